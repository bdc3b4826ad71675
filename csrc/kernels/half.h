// Conversions between float32 and the types of 16 bits, for runs of n elements.
#pragma once
#include <cstdint>

namespace konv {

// Rounded to nearest, ties to even; NaN stays NaN, float16's denormals are kept. Halves travel as their bits.
struct HalfKernels {
  void (*widen_f16)(const uint16_t* src, float* dst, int64_t n);
  void (*narrow_f16)(const float* src, uint16_t* dst, int64_t n);
  void (*widen_bf16)(const uint16_t* src, float* dst, int64_t n);
  void (*narrow_bf16)(const float* src, uint16_t* dst, int64_t n);
};

}  // namespace konv
