// Sums of int32 back to bytes.
#pragma once
#include <cstdint>

#include "core/problem.h"

namespace konv {

// out = sum * scale of its output channel, rounded half to even, plus `zero`, saturated to what `dtype`, i8 or u8,
// holds. `sums` has the shape and `strides` the order of memory of the result: shape is (n, k, d, h, w).
struct Requantize {
  DType dtype;
  const int32_t* sums;
  uint8_t* out;
  int64_t shape[5], sum_strides[5], out_strides[5];
  const float* scale;  // one for each of the k output channels
  int32_t zero;
};
void requantize(const Requantize& problem, int64_t isa, int threads);

}  // namespace konv
