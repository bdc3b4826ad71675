// Packing weights into panels, in the order in which the micro-kernel sums: [tap row][channel][tap column][output],
// with outputs padded with zeros to the panel's width. Rows of taps come first so that a row of output pixels at the
// border can leave out the rows of taps that lie outside the image.
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

// For each channel and kernel element, in memory order, the row of the panel that it becomes, or -1 if this problem
// does not use it; empty where the elements of a kernel do not lie in one piece.
inline std::vector<int64_t> panel_rows(const TapProblem& p, int64_t channels, const ConvProblem& conv, int64_t width) {
  const int64_t elements = conv.taps();
  int64_t last = 0;
  for (int i = 0; i < 3; i++) {
    if (conv.kernel[i] > 1 && conv.ws[2 + i] <= 0) return {};
    last += (conv.kernel[i] - 1) * conv.ws[2 + i];
  }
  if (last != elements - 1) return {};
  std::vector<int64_t> tap(size_t(elements), -1), rows;
  for (size_t t = 0; t < p.taps.size(); t++) {
    const int64_t element = p.taps[t].weight;
    if (element < 0 || element >= elements || tap[size_t(element)] >= 0) return {};
    tap[size_t(element)] = int64_t(t);
  }
  for (int64_t c = 0; c < channels; c++)
    for (int64_t t : tap) rows.push_back(t < 0 ? -1 : sum_index(p, channels, c, t) * width);
  return rows;
}

template <class T>
struct WeightPanel {
  const TapProblem& problem;
  const T* w;  // of the first output and channel
  int64_t outputs, width, channels;
  const std::vector<int64_t>& rows;  // panel_rows
  T* dst;
};

// Zeroes the panel past its outputs.
template <class T>
void zero_outputs(const WeightPanel<T>& p) {
  for (int64_t k = 0; k < p.channels * int64_t(p.problem.taps.size()); k++)
    for (int64_t i = p.outputs; i < p.width; i++) p.dst[k * p.width + i] = 0;
}

template <class T>
void pack_weight_panel(const Kernels<T>& kernel, const WeightPanel<T>& p) {
  const TapProblem& q = p.problem;
  const int64_t width = p.width;
  zero_outputs(p);
  const int64_t elements = int64_t(p.rows.size()) / p.channels;
  if (elements > 0 && q.w_output != 1) {
    // Several channels at a time where their kernels follow one another.
    const int64_t together = q.w_channel == elements ? p.channels : 1;
    for (int64_t c = 0; c < p.channels; c += together)
      kernel.transpose_scatter(p.w + c * q.w_channel, q.w_output, p.outputs, together * elements, p.dst,
                               p.rows.data() + c * elements);
    return;
  }
  for (size_t t = 0; t < q.taps.size(); t++) {
    const T* src = p.w + q.taps[t].weight;
    T* dst = p.dst + sum_index(q, p.channels, 0, int64_t(t)) * width;
    const int64_t next = q.grid[2] * width;  // from one channel to the next
    if (q.w_output == 1) {
      kernel.copy_rows(src, q.w_channel, p.channels, p.outputs, dst, next);
      continue;
    }
    for (int64_t c = 0; c < p.channels; c++)
      for (int64_t i = 0; i < p.outputs; i++) dst[c * next + i] = src[c * q.w_channel + i * q.w_output];
  }
}

// The same as pairs of channels; `rows` has an entry for each pair and kernel element.
inline void pack_weight_panel(const PairKernels& kernel, const WeightPanel<float>& p) {
  const TapProblem& q = p.problem;
  const int64_t taps = int64_t(q.taps.size()), width = p.width, pairs = (p.channels + 1) / 2;
  if (p.outputs < width)
    for (int64_t k = 0; k < pairs * taps; k++)
      for (int64_t i = p.outputs; i < width; i++) p.dst[k * width + i] = 0;
  if (!p.rows.empty()) {
    const int64_t elements = int64_t(p.rows.size()) / pairs;
    kernel.pack_weights({p.w, q.w_output, q.w_channel, p.outputs, p.channels, elements, p.dst, p.rows.data()});
    return;
  }
  for (int64_t i = 0; i < pairs; i++)
    for (int64_t t = 0; t < taps; t++) {
      const int64_t row = sum_index(q, pairs, i, t) * width;
      kernel.pack_weights({p.w + 2 * i * q.w_channel + q.taps[size_t(t)].weight, q.w_output, q.w_channel, p.outputs,
                           std::min<int64_t>(2, p.channels - 2 * i), 1, p.dst, &row});
    }
}

}  // namespace konv
