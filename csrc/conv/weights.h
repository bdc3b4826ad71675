// Packing weights into panels, in the order in which the micro-kernel sums: [tap row][channel][tap column][output], with
// outputs padded with zeros to the panel's width. Rows of taps come first so that a row of output pixels at the border
// can leave out the rows of taps that lie outside the image.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "conv/tap_conv.h"
#include "kernels/table.h"

namespace konv {

// Position in a sum over `channels` channels of tap t of channel c.
inline int64_t sum_index(const TapProblem& p, int64_t channels, int64_t c, int64_t t) {
  const int64_t cols = p.grid[2];
  return (t / cols * channels + c) * cols + t % cols;
}

template <class T>
struct WeightPanel {
  const TapProblem& problem;
  const T* w;  // of the first output and channel
  int64_t outputs, width, channels;
  // For each kernel element in memory order its tap, or -1 if this problem does not use it; empty where the elements of
  // a kernel do not follow one another.
  const std::vector<int64_t>& element_tap;
  T* dst;
};

inline std::vector<int64_t> element_taps(const TapProblem& p, int64_t elements) {
  std::vector<int64_t> r(size_t(elements), -1);
  for (size_t t = 0; t < p.taps.size(); t++) {
    if (p.taps[t].weight < 0 || p.taps[t].weight >= elements) return {};
    r[size_t(p.taps[t].weight)] = int64_t(t);
  }
  return r;
}

template <class T>
void pack_weight_panel(const Kernels<T>& kernel, const WeightPanel<T>& p) {
  const TapProblem& q = p.problem;
  const int64_t taps = int64_t(q.taps.size()), width = p.width, elements = int64_t(p.element_tap.size());
  if (p.outputs < width)
    for (int64_t k = 0; k < p.channels * taps; k++)
      for (int64_t i = p.outputs; i < width; i++) p.dst[k * width + i] = 0;
  constexpr int64_t kColumns = 256;
  if (elements > 0 && elements <= kColumns && q.w_output != 1) {
    // Kernels lie in one piece: transpose them, several channels at a time where those follow one another.
    int64_t offset[kColumns];
    const int64_t together = q.w_channel == elements ? kColumns / elements : 1;
    for (int64_t c = 0; c < p.channels; c += together) {
      int64_t n = 0;
      for (int64_t i = c; i < std::min(p.channels, c + together); i++)
        for (int64_t t : p.element_tap) offset[n++] = t < 0 ? -1 : sum_index(q, p.channels, i, t) * width;
      kernel.transpose_scatter(p.w + c * q.w_channel, q.w_output, p.outputs, n, p.dst, offset);
    }
    return;
  }
  for (int64_t c = 0; c < p.channels; c++)
    for (int64_t t = 0; t < taps; t++) {
      const T* src = p.w + c * q.w_channel + q.taps[size_t(t)].weight;
      T* dst = p.dst + sum_index(q, p.channels, c, t) * width;
      if (q.w_output == 1)
        kernel.copy_rows(src, 0, 1, p.outputs, dst, 0);
      else
        for (int64_t i = 0; i < p.outputs; i++) dst[i] = src[i * q.w_output];
    }
}

}  // namespace konv
