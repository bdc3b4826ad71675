// Pooling of volumes: maxima with their places, averages, and the gradients of both.
//
// Nothing is packed or planned: kernels read and write any strides. Channels are the lanes where they lie one element
// apart on all sides, pixels of a row otherwise. Each output is computed by one thread in a fixed order, so results do
// not depend on the number of threads.
#pragma once
#include "core/problem.h"

namespace konv {

// 1-D and 2-D problems have leading spatial dimensions of size 1. Strides count elements; x is (n, c, d, h, w) of the
// input, y that of the windows, indices are like y. For the gradient of maxima only n, c, in, out and strides matter.
struct PoolProblem {
  DType dtype;
  int64_t isa, threads, keep_denormals;
  int64_t n, c;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3];
  int64_t pad[3], pad_after[3];
  bool count_padding;  // averages divide by the elements of a window within the padded input, else within the input
  double divisor;      // of all averages; 0: as count_padding says
  int64_t xs[5], ys[5], indices_s[5];

  double bytes() const {
    const double elements =
        double(in[0]) * double(in[1]) * double(in[2]) + double(out[0]) * double(out[1]) * double(out[2]);
    return double(n) * double(c) * elements * double(dtype_size(dtype));
  }
};

// The windows of one axis: last ones may start, with ceil_mode, anywhere in the input or the padding before it.
int64_t pool_out_size(int64_t in, int64_t pad, int64_t pad_after, int64_t extent, int64_t stride, bool ceil_mode);

// Index, flat in a volume, of the first of equal maxima, or of the last NaN; -1 where a window meets no element (its
// maximum is minus infinity). `index` may be null.
void max_pool(const PoolProblem& problem, const void* x, void* y, int64_t* index);
void avg_pool(const PoolProblem& problem, const void* x, void* y);
void avg_pool_gradient(const PoolProblem& problem, const void* y, void* x);
// False where an index lies outside the volume: that element of y is then left out. Writes within x alone in any case.
bool max_pool_gradient(const PoolProblem& problem, const void* y, const int64_t* index, void* x);
// Whether all indices lie inside the volume; if not, `outside` becomes one that does not.
bool pool_indices_inside(const PoolProblem& problem, const int64_t* index, int64_t& outside);

}  // namespace konv
