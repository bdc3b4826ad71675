// What follows the sums of a convolution.
#pragma once
#include <cstdint>

namespace konv {

enum class Activation : int64_t { none, relu, relu6, leaky_relu, sigmoid, tanh, silu, gelu, gelu_tanh, hardswish };

// What kernels themselves do to finished sums, in registers: nothing, or cut them at zero and relu6 also at six.
enum class Clip : int32_t { none, relu, relu6 };

// dst[r][c] = activation(src[r][c] + residual[r][c]); a null residual stands for zeros. src, dst and residual may be
// the same memory, element by element.
template <class T>
struct FinishRows {
  const T* src;
  int64_t src_ld;
  int64_t rows, cols;
  T* dst;
  const T* residual;
  int64_t dst_ld;  // of residual too
  Activation activation;
  T parameter;  // slope of leaky_relu below zero
};

// out[i] = grad[i] times the derivative at x[i], for n elements; out may be x or grad.
template <class T>
struct ActivationGradient {
  const T *x, *grad;
  T* out;
  int64_t n;
  Activation activation;
  T parameter;
};

}  // namespace konv
