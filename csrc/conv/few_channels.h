// Problems with few channels, as image filters have them: how their pixels lie in memory.
#pragma once
#include "conv/tap_conv.h"

namespace konv {

constexpr int64_t kMaxFewChannels = 16;  // input times output channels of a group
constexpr int64_t kMaxInterleaved = 7;   // channels of a pixel

// Channels in rows of their own, contiguous pixels of all channels, or otherwise.
enum class Lie { rows, pixels, scattered };
inline Lie lie_of(int64_t channels, int64_t channel_stride, int64_t pixel_stride) {
  if (pixel_stride == 1) return Lie::rows;
  const bool whole = channel_stride == 1 && pixel_stride == channels;
  return whole && channels <= kMaxInterleaved ? Lie::pixels : Lie::scattered;
}
inline Lie input_lie(const TapProblem& p) { return lie_of(p.groups * p.channels, p.in_c, p.in_stride[2]); }
inline Lie output_lie(const TapProblem& p) { return lie_of(p.groups * p.outputs, p.out_c, p.out_stride[2]); }
// Groups that a task computes together: pixels are read and written whole.
inline int64_t groups_at_once(const TapProblem& p) {
  return input_lie(p) == Lie::pixels || output_lie(p) == Lie::pixels ? p.groups : 1;
}

}  // namespace konv
