#include "conv/winograd_tiles.h"

#include <algorithm>
#include <cstdlib>

#include "conv/packing.h"

namespace konv {

namespace {

struct Phase {
  int64_t in, size, out, out_size, first;
};

// The sub-images that taps `distance` apart along one axis make.
std::vector<Phase> phases(const TapProblem& p, int axis, int64_t distance) {
  const int64_t lowest = std::min(p.taps.front().at[axis], p.taps.back().at[axis]);
  std::vector<Phase> r;
  for (int64_t phase = 0; phase < std::min(distance, p.out[axis]); phase++) {
    const int64_t at = phase + lowest;
    const int64_t first = at >= 0 ? at / distance : -ceil_div(-at, distance), start = at - first * distance;
    r.push_back({start, std::max<int64_t>(0, ceil_div(p.in[axis] - start, distance)), phase,
                 ceil_div(p.out[axis] - phase, distance), first});
  }
  return r;
}

int64_t even_part(int64_t total, int64_t most) { return ceil_div(total, ceil_div(total, std::max<int64_t>(1, most))); }

}  // namespace

WinogradTiles::WinogradTiles(const TapProblem& p, int outputs) : m(outputs) {
  const int64_t dy = std::llabs(p.taps[3].at[1] - p.taps[0].at[1]), dx = std::llabs(p.taps[1].at[2] - p.taps[0].at[2]);
  in_stride[0] = p.in_stride[1] * dy, in_stride[1] = p.in_stride[2] * dx;
  out_stride[0] = p.out_stride[1] * dy, out_stride[1] = p.out_stride[2] * dx;
  int64_t height = 0, width = 0;
  for (int64_t image = 0; image < p.n; image++)
    for (const Phase& y : phases(p, 1, dy))
      for (const Phase& x : phases(p, 2, dx)) {
        images.push_back({image * p.in_n + y.in * p.in_stride[1] + x.in * p.in_stride[2],
                          p.out_base + image * p.out_n + y.out * p.out_stride[1] + x.out * p.out_stride[2],
                          {y.size, x.size},
                          {y.out_size, x.out_size},
                          {y.first, x.first}});
        height = std::max(height, y.out_size), width = std::max(width, x.out_size);
      }
  tiles_h = ceil_div(height, m), tiles_w = ceil_div(width, m);
  const bool down = p.taps[3].at[1] > p.taps[0].at[1], right = p.taps[1].at[2] > p.taps[0].at[2];
  for (int64_t i = 0; i < 9; i++) tap[i] = (down ? i / 3 : 2 - i / 3) * 3 + (right ? i % 3 : 2 - i % 3);
}

void WinogradTiles::cut(int64_t tiles) {
  n = 1;
  if (tiles_h * tiles_w <= tiles) {
    h = tiles_h, w = tiles_w;
    n = even_part(int64_t(images.size()), tiles / (h * w));
  } else if (tiles_w <= tiles) {
    h = even_part(tiles_h, tiles / tiles_w), w = tiles_w;
  } else {
    // Two rows share more of their input than one as long.
    h = tiles >= 8 && tiles_h > 1 ? 2 : 1;
    w = even_part(tiles_w, tiles / h);
  }
  blocks_n = ceil_div(int64_t(images.size()), n), blocks_h = ceil_div(tiles_h, h), blocks_w = ceil_div(tiles_w, w);
}

WinogradBlock WinogradTiles::block(int64_t index) const {
  WinogradBlock b;
  b.col = index % blocks_w * w, index /= blocks_w;
  b.row = index % blocks_h * h, index /= blocks_h;
  b.image = index * n;
  b.n = std::min(n, int64_t(images.size()) - b.image);
  b.h = std::min(h, tiles_h - b.row);
  b.w = std::min(w, tiles_w - b.col);
  return b;
}

std::string winograd_supports(const ConvProblem& p) {
  if (p.precision == Precision::strict)
    return "its error is larger than the direct convolution's, which precision 'strict' excludes";
  if (p.kernel[0] != 1 || p.kernel[1] != 3 || p.kernel[2] != 3) return "the kernel is not 3x3";
  if (p.stride[0] != 1 || p.stride[1] != 1 || p.stride[2] != 1) return "the stride is not 1";
  if (p.in[0] != 1 || p.out[0] != 1) return "the input has depth";
  if (p.n == 0) return "the batch is empty";
  ConvProblem q = p;  // the weight gradient has the forward direction's taps
  if (q.direction == Direction::weight_gradient) q.direction = Direction::forward;
  const std::vector<TapProblem> taps = tap_problems(q);
  if (taps.size() != 1 || taps[0].taps.size() != 9) return "part of the kernel sees nothing but padding";
  return "";
}

int64_t uncrowded(int64_t elements, int64_t item) { return elements * item % 1024 ? elements : elements + 64 / item; }
int64_t odd_lines(int64_t elements, int64_t item) { return (ceil_div(elements * item, 64) | 1) * 64 / item; }

}  // namespace konv
