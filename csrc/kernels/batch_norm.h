// Batch normalisation of rows of channels: what its passes over the data do. Rows are `ld` elements apart, channels
// one.
#pragma once
#include <cstdint>

namespace konv {

// Of each channel over `rows`: its mean, and the sum of squared distances from it.
template <class T>
struct ChannelMoments {
  const T* x;
  int64_t ld, rows, cols;
  T *mean, *squares;
};

// y = min(max(x * scale + shift + residual, low), high); residual may be null, and y may be x or residual.
template <class T>
struct ChannelScale {
  const T *x, *residual;
  T* y;
  int64_t x_ld, residual_ld, y_ld, rows, cols;
  const T *scale, *shift;
  T low, high;
};

// g = grad where low < y < high, else 0; all of grad where y is null. `sum` and `product` are added to:
// sum += g, product += g * (x - mean).
template <class T>
struct ChannelGradientSums {
  const T *grad, *x, *y;
  int64_t grad_ld, x_ld, y_ld, rows, cols;
  const T* mean;
  T low, high;
  T *sum, *product;
};

// out = a * g + b * (x - mean) + c, with g as above; `masked`, where it is not null, becomes g. out and masked may be
// grad.
template <class T>
struct ChannelGradient {
  const T *grad, *x, *y;
  T *out, *masked;
  int64_t grad_ld, x_ld, y_ld, out_ld, masked_ld, rows, cols;
  const T *mean, *a, *b, *c;
  T low, high;
};

}  // namespace konv
