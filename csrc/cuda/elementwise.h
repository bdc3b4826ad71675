// Element by element on a device: copies between strides, sums of two arrays, sums over all but the channels.
#pragma once
#include "core/problem.h"
#include "cuda/runtime.h"

namespace konv::cuda {

// Elements of `item` bytes, 1, 2, 4 or 8; strides in bytes.
struct StridedCopy {
  void* to;
  const void* from;
  int item, ndim;
  int64_t shape[8], to_strides[8], from_strides[8];
};
void copy_elements(Queue queue, const StridedCopy& copy);
// to += from, of floating-point elements.
void add_elements(Queue queue, DType dtype, const StridedCopy& operands);
// sums[k] = sum of y[n][k][...], in an order that depends on the shape alone.
void sum_channels(Queue queue, DType dtype, const void* y, const int64_t shape[5], const int64_t strides[5],
                  void* sums);

}  // namespace konv::cuda
