// The definition, written as loops: any strides, any problem. Last in the list; chosen silently only where nothing else
// computes the problem.
#include <cmath>
#include <type_traits>

#include "conv/padding_mode.h"
#include "conv/tap_conv.h"
#include "core/algorithm.h"
#include "core/parallel.h"

namespace konv {

namespace {

// Of arrays of X, weights of W, with sums in T.
template <class T, class X = T, class W = T>
class ReferencePlan final : public ConvPlan {
 public:
  explicit ReferencePlan(const ConvProblem& p) : p_(p) {
    threads = int(p.threads);
    reads_weights = true;
  }

  void run(const ConvTensors& t, const char*, const Workspace&) const noexcept override {
    const T* bias = static_cast<const T*>(t.bias);
    if constexpr (kBytes)
      return each(p_.n, p_.k, p_.out, p_.ys, static_cast<T*>(t.y),
                  [&](int64_t n, int64_t k, const int64_t* o) { return forward(t, n, k, o) + (bias ? bias[k] : 0); });
    else
      run_floats(t, bias);
  }

 private:
  static constexpr bool kBytes = !std::is_same_v<T, X>;  // sums of integers wrap around, as unsigned ones do

  void run_floats(const ConvTensors& t, const T* bias) const {
    const T *x = static_cast<const T*>(t.x), *w = static_cast<const T*>(t.w), *y = static_cast<const T*>(t.y);
    const T* residual = static_cast<const T*>(t.residual);
    switch (p_.direction) {
      case Direction::forward:
        return each(p_.n, p_.k, p_.out, p_.ys, static_cast<T*>(t.y), [&](int64_t n, int64_t k, const int64_t* o) {
          return finished(forward(t, n, k, o), bias, residual, p_.ys, n, k, o);
        });
      case Direction::input_gradient:
        return each(p_.n, p_.c, p_.in, p_.xs, static_cast<T*>(t.x), [&](int64_t n, int64_t c, const int64_t* at) {
          return finished(input_gradient(y, w, n, c, at), bias, residual, p_.xs, n, c, at);
        });
      case Direction::weight_gradient:
        return each(p_.k, p_.c / p_.groups, p_.kernel, p_.ws, static_cast<T*>(t.w),
                    [&](int64_t k, int64_t c, const int64_t* e) { return weight_gradient(k, c, e, x, y); });
    }
  }

  // The element that position i of an axis reads, or -1 for a zero beyond the border.
  int64_t source(int axis, int64_t i) const { return source_of(p_.padding_mode, i, p_.in[axis]); }

  T forward(const ConvTensors& t, int64_t n, int64_t k, const int64_t* o) const {
    const X* x = static_cast<const X*>(t.x);
    const W* w = static_cast<const W*>(t.w);
    T sum = 0;
    const int64_t kg = p_.k / p_.groups, cg = p_.c / p_.groups, c0 = k / kg * cg;
    for (int64_t c = 0; c < cg; c++)
      taps([&](const int64_t* e) {
        int64_t i = n * p_.xs[0] + (c0 + c) * p_.xs[1];
        for (int a = 0; a < 3; a++) {
          const int64_t at = source(a, o[a] * p_.stride[a] + e[a] * p_.dilation[a] - p_.pad[a]);
          if (at < 0) return;
          i += at * p_.xs[2 + a];
        }
        if constexpr (kBytes)
          sum += T(int32_t(x[i]) - t.x_zero) * T(int32_t(w[weight(k, c, e)]) - (t.w_zero ? t.w_zero[k] : 0));
        else
          sum += x[i] * w[weight(k, c, e)];
      });
    return sum;
  }

  T input_gradient(const T* y, const T* w, int64_t n, int64_t c, const int64_t* at) const {
    T sum = 0;
    const int64_t kg = p_.k / p_.groups, cg = p_.c / p_.groups, k0 = c / cg * kg;
    for (int64_t k = k0; k < k0 + kg; k++)
      taps([&](const int64_t* e) {
        int64_t i = n * p_.ys[0] + k * p_.ys[1];
        for (int a = 0; a < 3; a++) {
          const int64_t o = at[a] + p_.pad[a] - e[a] * p_.dilation[a];
          if (o < 0 || o % p_.stride[a] || o / p_.stride[a] >= p_.out[a]) return;
          i += o / p_.stride[a] * p_.ys[2 + a];
        }
        sum += y[i] * w[weight(k, c % cg, e)];
      });
    return sum;
  }

  T finished(T sum, const T* bias, const T* residual, const int64_t strides[5], int64_t n, int64_t channel,
             const int64_t* at) const {
    if (bias) sum += bias[channel];
    if (p_.has_residual)
      sum += residual[n * strides[0] + channel * strides[1] + at[0] * strides[2] + at[1] * strides[3] +
                      at[2] * strides[4]];
    return activate(sum);
  }

  int64_t weight(int64_t k, int64_t c, const int64_t* e) const {
    return k * p_.ws[0] + c * p_.ws[1] + e[0] * p_.ws[2] + e[1] * p_.ws[3] + e[2] * p_.ws[4];
  }

  template <class F>
  void taps(F&& f) const {
    int64_t e[3];
    for (e[0] = 0; e[0] < p_.kernel[0]; e[0]++)
      for (e[1] = 0; e[1] < p_.kernel[1]; e[1]++)
        for (e[2] = 0; e[2] < p_.kernel[2]; e[2]++) f(e);
  }

  // out[i, j, at] = f(i, j, at) for every element of a (rows, cols, size) tensor.
  template <class F>
  void each(int64_t rows, int64_t cols, const int64_t size[3], const int64_t strides[5], T* out, F&& f) const {
    parallel_for(rows * cols, threads, [&](int64_t task, int) {
      const int64_t i = task / cols, j = task % cols;
      int64_t at[3];
      for (at[0] = 0; at[0] < size[0]; at[0]++)
        for (at[1] = 0; at[1] < size[1]; at[1]++)
          for (at[2] = 0; at[2] < size[2]; at[2]++)
            out[i * strides[0] + j * strides[1] + at[0] * strides[2] + at[1] * strides[3] + at[2] * strides[4]] =
                f(i, j, at);
    });
  }

  T activate(T x) const {
    switch (p_.activation) {
      case Activation::none:
        return x;
      case Activation::relu:
        return x < 0 ? T(0) : x;
      case Activation::relu6:
        return x < 0 ? T(0) : x > 6 ? T(6) : x;
      case Activation::leaky_relu:
        return x < 0 ? T(p_.activation_parameter) * x : x;
      case Activation::sigmoid:
        return 1 / (1 + std::exp(-x));
      case Activation::tanh:
        return std::tanh(x);
      case Activation::silu:
        return x / (1 + std::exp(-x));
      case Activation::gelu:
        return x / 2 * std::erfc(T(-0.70710678118654752440) * x);
      case Activation::gelu_tanh:
        return x / 2 * (1 + std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x)));
      case Activation::hardswish:
        return x * (x < -3 ? T(0) : x > 3 ? T(6) : x + 3) / 6;
    }
    return x;
  }

  T weight_gradient(int64_t k, int64_t c, const int64_t* e, const T* x, const T* y) const {
    const int64_t channel = k / (p_.k / p_.groups) * (p_.c / p_.groups) + c;
    T total = 0;
    for (int64_t n = 0; n < p_.n; n++)
      for (int64_t z = 0; z < p_.out[0]; z++)
        for (int64_t h = 0; h < p_.out[1]; h++) {
          T sum = 0;  // a row at a time: rounding grows with the longer of two loops, not with their product
          for (int64_t q = 0; q < p_.out[2]; q++) {
            const int64_t o[3] = {z, h, q};
            int64_t i = n * p_.xs[0] + channel * p_.xs[1], j = n * p_.ys[0] + k * p_.ys[1];
            bool inside = true;
            for (int a = 0; a < 3; a++) {
              const int64_t at = source(a, o[a] * p_.stride[a] + e[a] * p_.dilation[a] - p_.pad[a]);
              inside = inside && at >= 0;
              i += at * p_.xs[2 + a], j += o[a] * p_.ys[2 + a];
            }
            if (inside) sum += x[i] * y[j];
          }
          total += sum;
        }
    return total;
  }

  ConvProblem p_;
};

}  // namespace

extern const Algorithm reference_algorithm;
const Algorithm reference_algorithm = {
    "reference",
    [](const ConvProblem& p) {
      const bool gradient = is_byte(p.dtype) && p.direction != Direction::forward;
      return gradient ? std::string("integers have no gradients") : std::string();
    },
    [](const ConvProblem& p) { return 2 * p.flops(); },
    [](const ConvProblem& p) -> std::unique_ptr<ConvPlan> {
      if (p.dtype == DType::f32) return std::make_unique<ReferencePlan<float>>(p);
      if (p.dtype == DType::f64) return std::make_unique<ReferencePlan<double>>(p);
      const bool w = p.weight_dtype == DType::i8;
      if (p.dtype == DType::i8)
        return w ? std::unique_ptr<ConvPlan>(std::make_unique<ReferencePlan<uint32_t, int8_t, int8_t>>(p))
                 : std::make_unique<ReferencePlan<uint32_t, int8_t, uint8_t>>(p);
      return w ? std::unique_ptr<ConvPlan>(std::make_unique<ReferencePlan<uint32_t, uint8_t, int8_t>>(p))
               : std::make_unique<ReferencePlan<uint32_t, uint8_t, uint8_t>>(p);
    },
    true,
    Operands::all};

}  // namespace konv
