// Weights of int8 and uint8 for the micro-kernel, and the numbers that turn sums of packed operands into the result.
//
// With x' = x + o, and w' = w less its zero point, the sum of (x - zero) * w' is that of x' * w' less (zero + o) times
// the sum of w'. The offset o makes bytes unsigned or signed, as the instruction wants them; words need none, since the
// zero point goes when they are packed.
#pragma once
#include <cstring>

#include "conv/tap_conv.h"
#include "core/algorithm.h"
#include "kernels/integers.h"

namespace konv {

inline bool is_signed(DType t) { return t == DType::i8; }
// Bytes with a sign become unsigned ones 128 larger, and the other way round.
constexpr uint8_t kFlipSign = 0x80;

struct InputBytes {
  ByteCode code;
  int32_t zero_offset = 0;  // that each packed number has from its difference to the zero point
};
// For elements of `together` channels; one is float32.
inline InputBytes input_bytes(const ConvProblem& p, int32_t x_zero, int64_t together) {
  if (together < 4) return {{is_signed(p.dtype) ? kFlipSign : uint8_t(0), x_zero + 128 * is_signed(p.dtype), 0}, 0};
  const bool is_unsigned = p.weight_range == WeightRange::int8, flips = is_unsigned == is_signed(p.dtype);
  const int32_t zero = x_zero + (!flips ? 0 : is_unsigned ? 128 : -128);
  return {{flips ? kFlipSign : uint8_t(0), 0, uint32_t(uint8_t(zero)) * 0x01010101u}, zero};
}

inline int32_t weight_value(DType t, uint8_t byte) { return is_signed(t) ? int32_t(int8_t(byte)) : int32_t(byte); }

// A panel of some outputs and channels, and where it goes: see WeightBytes.
struct IntPanel {
  const ConvProblem& conv;
  const TapProblem& p;
  const uint8_t* w;  // of the first output and channel
  int64_t outputs, channels;
  const int32_t* zero;  // of each output, or null: zeros
  const int64_t* rows;
  float* dst;
  uint32_t* sums;
};

// Whether the kernel elements of a channel, and the channels, follow one another and are all in use.
inline bool weights_follow(const ConvProblem& conv, const TapProblem& p) {
  const int64_t taps = int64_t(p.taps.size());
  if (taps != conv.taps() || taps > kMaxFollowingTaps || p.w_channel != taps) return false;
  for (int64_t i = 0; i < taps; i++)
    if (p.taps[size_t(i)].weight != i) return false;
  return true;
}

// Channels from `first` on, element by element. The last one is filled up with zeros.
template <int Together>
void pack_int_weights(const IntPanel& q, int64_t first) {
  constexpr int kBits = 32 / Together;
  constexpr uint32_t kMask = (uint64_t(1) << kBits) - 1;
  for (int64_t k = 0; k < q.outputs; k++) {
    const int64_t* row = q.rows + first / Together * int64_t(q.p.taps.size());
    for (int64_t c = first; c < q.channels; c += Together)
      for (const Tap& tap : q.p.taps) {
        const uint8_t* src = q.w + k * q.p.w_output + c * q.p.w_channel + tap.weight;
        uint32_t element = 0;
        for (int64_t j = 0; j < Together && c + j < q.channels; j++) {
          const int32_t value = weight_value(q.conv.weight_dtype, src[j * q.p.w_channel]) - (q.zero ? q.zero[k] : 0);
          q.sums[k] += uint32_t(value);
          element |= (uint32_t(value) & kMask) << (j * kBits);
        }
        std::memcpy(q.dst + k + *row++, &element, sizeof element);
      }
  }
}

inline void pack_int_weights(const IntGemm& kernel, const IntPanel& q) {
  int64_t done = 0;
  if (weights_follow(q.conv, q.p)) {
    done = q.channels / 4 * 4;
    kernel.pack_weights({q.w, q.p.w_output, q.outputs, done, q.p.w_channel, is_signed(q.conv.weight_dtype), q.zero,
                         q.rows, q.dst, q.sums});
  }
  kernel.together == 4 ? pack_int_weights<4>(q, done) : pack_int_weights<2>(q, done);
}

}  // namespace konv
