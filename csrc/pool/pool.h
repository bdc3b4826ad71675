// Pooling of volumes: maxima with their places, averages, power means, the gradients of all, and unpooling.
//
// Nothing is packed or planned: kernels read and write any strides. Channels are the lanes where they lie one element
// apart on all sides, elements of a row otherwise. Halves become float32 as they are read. Where that suits no kernel,
// and for other element types that kernels do not compute with, tiles are copied on the way. Each output is computed by
// one thread in a fixed order, so results do not depend on the number of threads.
#pragma once
#include "core/problem.h"

namespace konv {

// 1-D and 2-D problems have leading spatial dimensions of size 1. Strides count elements; x is (n, c, d, h, w) of the
// input, y that of the windows, indices are like y. For the gradient of maxima only n, c, in, out and strides matter.
struct PoolProblem {
  DType dtype;
  int64_t isa, threads, keep_denormals, max_workspace;
  int64_t n, c;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3];
  int64_t pad[3], pad_after[3];
  bool adaptive[3];    // windows are the parts of an axis cut into out, whatever kernel, stride and padding say
  bool channel_rows;   // the second axis of each volume is channels: places count along the last one
  bool count_padding;  // averages divide by the elements of a window within the padded input, else within the input
  double divisor;      // of all averages; 0: as count_padding says
  double power;        // of sums of powers, else 0
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
// maximum is the lowest value there is). `index` may be null. Booleans are bytes of 0 and 1.
void max_pool(const PoolProblem& problem, const void* x, void* y, int64_t* index);
// With a power, (sum |x|^power)^(1 / power): the divisor is then 1. Of floating-point numbers and int64, whose
// quotients are rounded towards zero; the gradients of floating-point alone.
void avg_pool(const PoolProblem& problem, const void* x, void* y);
void avg_pool_gradient(const PoolProblem& problem, const void* y, void* x);
// False where an index lies outside the volume: what x holds is then of no account. Writes within x alone in any case.
bool max_pool_gradient(const PoolProblem& problem, const void* y, const int64_t* index, void* x);
// The gradient of such a pooling with a power. x has strides of its own.
void lp_pool_gradient(const PoolProblem& problem, const void* y, const void* x, const int64_t x_strides[5],
                      void* gradient);

// x[index[i]] = y[i], zero elsewhere, and y[i] = x[index[i]]: all indices have to lie inside the volume.
void max_unpool(const PoolProblem& problem, const void* y, const int64_t* index, void* x);
void max_unpool_gradient(const PoolProblem& problem, const void* x, const int64_t* index, void* y);
// Whether all indices lie inside the volume; if not, `outside` becomes one that does not.
bool pool_indices_inside(const PoolProblem& problem, const int64_t* index, int64_t& outside);

}  // namespace konv
