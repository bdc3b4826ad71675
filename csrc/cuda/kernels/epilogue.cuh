// What follows the sums of a convolution, for every kernel.
#pragma once
#include "core/problem.h"
#include "cuda/numbers.h"

namespace konv::cuda {

// T is float or double. NaN stays NaN.
template <class T>
__device__ __forceinline__ T activate(Activation activation, T parameter, T x) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x < 0 ? T(0) : x;
    case Activation::relu6:
      return x < 0 ? T(0) : x > 6 ? T(6) : x;
    case Activation::leaky_relu:
      return x < 0 ? parameter * x : x;
    case Activation::sigmoid:
      return 1 / (1 + exp(-x));
    case Activation::tanh:
      return tanh(x);
    case Activation::silu:
      return x / (1 + exp(-x));
    case Activation::gelu:
      return x / 2 * erfc(T(-0.70710678118654752440) * x);
    case Activation::gelu_tanh:
      return x / 2 * (1 + tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x)));
    case Activation::hardswish:
      return x * (x < -3 ? T(0) : x > 3 ? T(6) : x + 3) / 6;
  }
  return x;
}

// Of results of T; bias and residual may be null. The residual has the result's strides.
template <class T>
struct Epilogue {
  const T* bias;
  const T* residual;
  Activation activation;
  double parameter;

  // `offset`: the element's place in the result.
  __device__ __forceinline__ T finished(Sum<T> sum, int64_t channel, int64_t offset) const {
    if (bias) sum += widened(bias[channel]);
    if (residual) sum += widened(residual[offset]);
    return narrowed<T>(activate(activation, Sum<T>(parameter), sum));
  }
};

template <class T>
Epilogue<T> epilogue_of(const ConvProblem& p, const void* bias, const void* residual) {
  return {p.has_bias ? static_cast<const T*>(bias) : nullptr,
          p.has_residual ? static_cast<const T*>(residual) : nullptr, p.activation, p.activation_parameter};
}

}  // namespace konv::cuda
