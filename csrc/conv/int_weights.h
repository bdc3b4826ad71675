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

// One output's weights of some channels, in a panel: the element of channels c * together on and of tap i goes to
// dst[rows[c * taps + i]]. Returns the sum of all. The last element is filled up with zeros.
template <int Together, class W>
uint32_t pack_int_weights(const TapProblem& p, const W* w, int64_t channels, int32_t zero, const int64_t* rows,
                          float* dst) {
  constexpr int kBits = 32 / Together;
  constexpr uint32_t kMask = (uint64_t(1) << kBits) - 1;
  uint32_t sum = 0;
  for (int64_t c = 0; c < channels; c += Together)
    for (const Tap& tap : p.taps) {
      const W* src = w + c * p.w_channel + tap.weight;
      uint32_t element = 0;
      for (int64_t j = 0; j < Together && c + j < channels; j++) {
        const int32_t value = int32_t(src[j * p.w_channel]) - zero;
        sum += uint32_t(value);
        element |= (uint32_t(value) & kMask) << (j * kBits);
      }
      std::memcpy(dst + *rows++, &element, sizeof element);
    }
  return sum;
}
inline uint32_t pack_int_weights(const ConvProblem& conv, const TapProblem& p, int64_t together, const uint8_t* w,
                                 int64_t channels, int32_t zero, const int64_t* rows, float* dst) {
  const int8_t* s = reinterpret_cast<const int8_t*>(w);
  if (is_signed(conv.weight_dtype))
    return together == 4 ? pack_int_weights<4>(p, s, channels, zero, rows, dst)
                         : pack_int_weights<2>(p, s, channels, zero, rows, dst);
  return together == 4 ? pack_int_weights<4>(p, w, channels, zero, rows, dst)
                       : pack_int_weights<2>(p, w, channels, zero, rows, dst);
}

}  // namespace konv
