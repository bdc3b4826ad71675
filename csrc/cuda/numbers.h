// Element types that both sides of the bus know: float, double, and 16-bit storage whose arithmetic is float32.
#pragma once
#include <cstdint>

#include "cuda/device.h"

#if defined(__CUDACC__)
#  include <cuda_bf16.h>
#  include <cuda_fp16.h>
#else
#  include <cmath>
#  include <cstring>
#endif

namespace konv::cuda {

// What sums of T are formed in.
template <class T>
struct SumOf {
  using type = float;
};
template <>
struct SumOf<double> {
  using type = double;
};
template <class T>
using Sum = typename SumOf<T>::type;

__device__ __forceinline__ float widened(float v) { return v; }
__device__ __forceinline__ double widened(double v) { return v; }

#if defined(__CUDACC__)

__device__ __forceinline__ float bits_as_float(uint32_t bits) { return __uint_as_float(bits); }
__device__ __forceinline__ float widened(float16 v) { return __half2float(__ushort_as_half(v.bits)); }
__device__ __forceinline__ float widened(bfloat16 v) { return __uint_as_float(uint32_t(v.bits) << 16); }
__device__ __forceinline__ float16 to_float16(float v) { return {__half_as_ushort(__float2half_rn(v))}; }
__device__ __forceinline__ bfloat16 to_bfloat16(float v) { return {__bfloat16_as_ushort(__float2bfloat16_rn(v))}; }

#else

inline float bits_as_float(uint32_t bits) {
  float v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}
inline uint32_t float_as_bits(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  return bits;
}
inline float widened(bfloat16 v) { return bits_as_float(uint32_t(v.bits) << 16); }
inline float widened(float16 v) {
  const uint32_t sign = uint32_t(v.bits & 0x8000) << 16, exponent = v.bits >> 10 & 31, fraction = v.bits & 1023;
  if (exponent == 31) return bits_as_float(sign | 0x7f800000 | fraction << 13);
  if (exponent) return bits_as_float(sign | (exponent + 112) << 23 | fraction << 13);
  return bits_as_float(sign | float_as_bits(float(fraction) * 0x1p-24f));
}
inline bfloat16 to_bfloat16(float v) {
  const uint32_t bits = float_as_bits(v);
  if (v != v) return {0x7fff};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline float16 to_float16(float v) {
  const uint16_t sign = uint16_t(float_as_bits(v) >> 16 & 0x8000);
  if (v != v) return {0x7fff};
  const float a = std::fabs(v);
  if (a >= 65520) return {uint16_t(sign | 0x7c00)};
  if (a < 0x1p-14f) return {uint16_t(sign | uint16_t(std::nearbyint(a * 0x1p24f)))};
  const uint32_t bits = float_as_bits(a);
  return {uint16_t(sign | ((bits - (112u << 23) + 0xfff + (bits >> 13 & 1)) >> 13))};
}

#endif

// A sum as an element, rounded to nearest.
template <class T>
__device__ __forceinline__ T narrowed(Sum<T> v) {
  return T(v);
}
template <>
__device__ __forceinline__ float16 narrowed<float16>(float v) {
  return to_float16(v);
}
template <>
__device__ __forceinline__ bfloat16 narrowed<bfloat16>(float v) {
  return to_bfloat16(v);
}

}  // namespace konv::cuda
