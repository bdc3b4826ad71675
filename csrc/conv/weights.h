// Packing weights into panels: [channel][tap][output], outputs padded with zeros to the panel's width.
#pragma once
#include <cstdint>
#include <vector>

#include "conv/tap_conv.h"
#include "kernels/table.h"

namespace konv {

template <class T>
struct WeightPanel {
  const T* w;  // of the first output and channel
  int64_t output_stride, channel_stride;
  const std::vector<Tap>& taps;
  int64_t outputs, width, channels;
  T* dst;
};

// Distance between the weights of consecutive taps, if it is the same throughout, else 0.
inline int64_t tap_stride(const std::vector<Tap>& taps) {
  if (taps.size() < 2) return 1;
  const int64_t d = taps[1].weight - taps[0].weight;
  for (size_t i = 2; i < taps.size(); i++)
    if (taps[i].weight - taps[i - 1].weight != d) return 0;
  return d;
}

template <class T>
void pack_weight_panel(const Kernels<T>& kernel, const WeightPanel<T>& p) {
  const int64_t taps = int64_t(p.taps.size()), width = p.width;
  if (p.outputs < width)
    for (int64_t k = 0; k < p.channels * taps; k++)
      for (int64_t i = p.outputs; i < width; i++) p.dst[k * width + i] = 0;
  if (taps == 0) return;
  const T* first = p.w + p.taps[0].weight;
  const int64_t step = tap_stride(p.taps);
  if (p.output_stride == 1) {
    for (int64_t c = 0; c < p.channels; c++)
      for (int64_t t = 0; t < taps; t++)
        kernel.copy_rows(p.w + c * p.channel_stride + p.taps[size_t(t)].weight, 0, 1, p.outputs,
                         p.dst + (c * taps + t) * width, 0);
  } else if (step == 1 && (p.channel_stride == taps || p.channels == 1)) {
    kernel.transpose(first, p.output_stride, p.outputs, p.channels * taps, p.dst, width);
  } else if (p.channel_stride == 1 && taps == 1) {
    kernel.transpose(first, p.output_stride, p.outputs, p.channels, p.dst, width);
  } else if (step == 1 || step == -1) {  // one channel at a time; taps of a flipped kernel run backwards
    const T* low = step == 1 ? first : first - (taps - 1);
    for (int64_t c = 0; c < p.channels; c++)
      kernel.transpose(low + c * p.channel_stride, p.output_stride, p.outputs, taps,
                       p.dst + (step == 1 ? c * taps : c * taps + taps - 1) * width, step * width);
  } else {
    for (int64_t c = 0; c < p.channels; c++)
      for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < p.outputs; i++)
          p.dst[(c * taps + t) * width + i] =
              p.w[i * p.output_stride + c * p.channel_stride + p.taps[size_t(t)].weight];
  }
}

}  // namespace konv
