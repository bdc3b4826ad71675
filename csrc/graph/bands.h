// Outputs of convolutions cut into bands, so that copies of them in other forms fit a second-level cache.
#pragma once
#include <algorithm>
#include <cmath>

#include "core/machine.h"
#include "core/problem.h"

namespace konv {

// Parts of a result: single images, cut along the outermost axis that has more than one element. Where that would leave
// threads idle there is one part, which they share.
struct Bands {
  int axis;
  int64_t size, count;  // elements of the axis in a band, but for the last one; bands of an image
  int64_t images;       // of a part
  bool joint;
  int64_t parts(int64_t threads) const { return joint ? 1 : threads; }  // that exist at a time
};

// `bytes` of copies for one image; those of a part take up to `share` of the second-level cache.
inline Bands cut_bands(const int64_t out[5], double bytes, double share, int64_t threads) {
  int axis = 0;
  while (axis < 2 && out[2 + axis] == 1) axis++;
  const int64_t whole = out[2 + axis];
  const double bands = std::clamp(std::ceil(bytes / (share * double(l2_cache_bytes()))), 1.0, double(whole));
  Bands b{axis, (whole + int64_t(bands) - 1) / int64_t(bands), 0, 1, false};
  b.count = (whole + b.size - 1) / b.size;
  if (threads > 1 && out[0] * b.count < 2 * threads) b = {axis, whole, 1, out[0], true};
  return b;
}

struct Band {
  int64_t input;        // elements of the caller's array before its first row
  int64_t first[3];     // of the output
  ConvProblem problem;  // on the rows of the input that it sees; its result is contiguous, channels last
};

inline Band make_band(const ConvProblem& whole, const Bands& cut, int64_t number) {
  Band band{0, {}, whole};
  ConvProblem& p = band.problem;
  const int axis = cut.axis;
  p.n = cut.images;
  if (!cut.joint) p.threads = 1;
  band.first[axis] = number * cut.size;
  p.out[axis] = std::min(cut.size, p.out[axis] - band.first[axis]);
  if (cut.count > 1) {
    const int64_t begin = band.first[axis] * p.stride[axis] - p.pad[axis];
    const int64_t end = begin + (p.out[axis] - 1) * p.stride[axis] + (p.kernel[axis] - 1) * p.dilation[axis] + 1;
    const int64_t low = std::max<int64_t>(begin, 0), high = std::min(end, p.in[axis]);
    // A band that sees nothing but padding has it in front of a row that no tap meets.
    const bool sees = low < high;
    band.input = sees ? low * p.xs[2 + axis] : 0;
    p.pad[axis] = sees ? low - begin : end - begin;
    p.in[axis] = sees ? high - low : 1;
  }
  const int64_t shape[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  contiguous_strides(shape, true, p.ys);
  return band;
}

}  // namespace konv
