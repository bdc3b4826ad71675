// Division by what a launch knows: a multiplication and a shift.
#pragma once
#include <cstdint>

#include "cuda/device.h"

namespace konv::cuda {

// n / divisor for n below 2^31.
struct Divider {
  uint32_t divisor, factor, shift;

  __device__ __forceinline__ uint32_t quotient(uint32_t n) const {
    return (uint32_t(uint64_t(n) * factor >> 32) + n) >> shift;
  }
  __device__ __forceinline__ uint32_t split(uint32_t& n) const {  // returns the remainder, leaves the quotient
    const uint32_t whole = n;
    n = quotient(n);
    return whole - n * divisor;
  }
};
inline Divider divider_of(int64_t divisor) {
  if (divisor < 1) return {1, 1, 0};  // nothing is there to be counted
  uint32_t shift = 0;
  while ((int64_t(1) << shift) < divisor) shift++;
  const uint64_t d = uint64_t(divisor), rest = (uint64_t(1) << shift) - d;
  return {uint32_t(d), uint32_t((rest << 32) / d + 1), shift};
}

}  // namespace konv::cuda
