// Batch normalisation in two passes over the data each way: sums, then results. Rows are cut into parts by their number
// alone, and the parts' sums are joined in their order, so results do not depend on the number of threads.
#include <algorithm>
#include <cmath>

#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "graph/training_steps.h"

namespace konv {

namespace {

constexpr int64_t kPartElements = 1 << 16;  // of a part: it stays in a core's cache between its two passes
constexpr int64_t kNearElements = 1 << 11;  // of an array, three of which are in the first-level cache at a time

struct Parts {
  Parts(int64_t all_rows, int64_t channels)
      : rows(std::max<int64_t>(16, kPartElements / std::max<int64_t>(1, channels))),
        count((all_rows + rows - 1) / rows) {}
  int64_t rows, count;
};

class NormStep : public Step {
 protected:
  NormStep(const Operand& x, const BatchNorm& options)
      : options_(options),
        rows_(x.shape[0]),
        channels_(x.shape[1]),
        parts_(rows_, channels_),
        threads_(rows_ * channels_ < 16384 ? 1 : int(options.threads)) {}
  template <class F>
  void by_part(F f) const {
    FlushDenormals guard(!config().keep_denormals);
    parallel_for(parts_.count, threads_, [&](int64_t part, int) {
      const int64_t first = part * parts_.rows;
      f(part, first, std::min(parts_.rows, rows_ - first));
    });
  }
  BatchNorm options_;
  int64_t rows_, channels_;
  Parts parts_;
  int threads_;
};

template <class T>
class BatchNormStep final : public NormStep {
 public:
  BatchNormStep(const BatchNormOperands& operands, const BatchNorm& options)
      : NormStep(operands.x, options), o_(operands), kernel_(kernels<T>(Isa(config().isa))) {}

  void run(char* const* buffers) const override {
    const int64_t c = channels_;
    const T* x = o_.x.in<T>(buffers);
    T *scale = o_.scratch.in<T>(buffers), *shift = scale + c, *means = shift + c, *squares = means + parts_.count * c;
    by_part([&](int64_t part, int64_t first, int64_t rows) {
      kernel_.channel_moments(
          {x + first * o_.x.strides[0], o_.x.strides[0], rows, c, means + part * c, squares + part * c});
    });
    for (int64_t i = 0; i < c; i++) finish(i, buffers, means, squares, scale, shift);
    const T* residual = o_.residual.in<T>(buffers);
    T* y = o_.y.in<T>(buffers);
    by_part([&](int64_t, int64_t first, int64_t rows) {
      kernel_.channel_scale({x + first * o_.x.strides[0],
                             residual ? residual + first * o_.residual.strides[0] : nullptr,
                             y + first * o_.y.strides[0], o_.x.strides[0], o_.residual.strides[0], o_.y.strides[0],
                             rows, c, scale, shift, T(options_.low), T(options_.high)});
    });
  }
  StepInfo info() const override {
    const bool bounded = std::isfinite(options_.low) || std::isfinite(options_.high);
    return {"batch_norm", bounded ? "bounded" : "", 6.0 * double(rows_ * channels_)};
  }

 private:
  // Means and distances of parts are joined as Chan, Golub and LeVeque do (1979).
  void finish(int64_t i, char* const* buffers, const T* means, const T* squares, T* scale, T* shift) const {
    double count = 0, mean = 0, square = 0;
    for (int64_t part = 0; part < parts_.count; part++) {
      const double n = double(std::min(parts_.rows, rows_ - part * parts_.rows));
      const double distance = double(means[part * channels_ + i]) - mean;
      mean += distance * n / (count + n);
      square += double(squares[part * channels_ + i]) + distance * distance * count * n / (count + n);
      count += n;
    }
    const double variance = square / count, deviation = 1 / std::sqrt(variance + options_.epsilon);
    const double gamma = o_.gamma ? double(o_.gamma.in<T>(buffers)[i]) : 1, factor = gamma * deviation;
    o_.mean.in<T>(buffers)[i] = T(mean), o_.deviation.in<T>(buffers)[i] = T(deviation);
    scale[i] = T(factor);
    shift[i] = T((o_.beta ? double(o_.beta.in<T>(buffers)[i]) : 0) - mean * factor);
    if (o_.moving_mean) move(o_.moving_mean.in<T>(buffers)[i], mean);
    if (o_.moving_variance) move(o_.moving_variance.in<T>(buffers)[i], variance);
  }
  void move(T& average, double value) const {
    average = T(double(average) * options_.momentum + value * (1 - options_.momentum));
  }

  BatchNormOperands o_;
  const Kernels<T>& kernel_;
};

// With g the gradient of what is bounded, d = x - mean and r the deviation's reciprocal:
// out = gamma r (g - sum(g) / n - d r^2 sum(g d) / n).
template <class T>
class BatchNormGradientStep final : public NormStep {
 public:
  BatchNormGradientStep(const BatchNormGradientOperands& operands, const BatchNorm& options)
      : NormStep(operands.x, options), o_(operands), kernel_(kernels<T>(Isa(config().isa))) {}

  void run(char* const* buffers) const override {
    const int64_t c = channels_;
    const T *x = o_.x.in<T>(buffers), *grad = o_.grad.in<T>(buffers), *y = o_.y.in<T>(buffers);
    const T* mean = o_.mean.in<T>(buffers);
    T *a = o_.scratch.in<T>(buffers), *b = a + c, *shift = b + c, *sums = shift + c,
      *products = sums + parts_.count * c;
    const auto row = [](const Operand& o, const T* base, int64_t first) {
      return base ? base + first * o.strides[0] : nullptr;
    };
    by_part([&](int64_t part, int64_t first, int64_t rows) {
      T *sum = sums + part * c, *product = products + part * c;
      std::fill_n(sum, c, T(0)), std::fill_n(product, c, T(0));
      // The kernel goes down the columns: a few rows at a time, so that three arrays are read in memory's order.
      const int64_t together = std::max<int64_t>(4, kNearElements / std::max<int64_t>(1, c)), end = first + rows;
      for (int64_t r = first; r < end; r += together)
        kernel_.channel_gradient_sums({row(o_.grad, grad, r), row(o_.x, x, r), row(o_.y, y, r), o_.grad.strides[0],
                                       o_.x.strides[0], o_.y.strides[0], std::min(together, end - r), c, mean,
                                       T(options_.low), T(options_.high), sum, product});
    });
    for (int64_t i = 0; i < c; i++) finish(i, buffers, sums, products, a, b, shift);
    T *out = o_.out.in<T>(buffers), *masked = o_.masked.in<T>(buffers);
    by_part([&](int64_t, int64_t first, int64_t rows) {
      kernel_.channel_gradient({row(o_.grad, grad, first), row(o_.x, x, first), row(o_.y, y, first),
                                out + first * o_.out.strides[0],
                                masked ? masked + first * o_.masked.strides[0] : nullptr, o_.grad.strides[0],
                                o_.x.strides[0], o_.y.strides[0], o_.out.strides[0], o_.masked.strides[0], rows, c,
                                mean, a, b, shift, T(options_.low), T(options_.high)});
    });
  }
  StepInfo info() const override { return {"batch_norm_gradient", "", 10.0 * double(rows_ * channels_)}; }

 private:
  void finish(int64_t i, char* const* buffers, const T* sums, const T* products, T* a, T* b, T* shift) const {
    double sum = 0, product = 0;
    for (int64_t part = 0; part < parts_.count; part++) {
      sum += double(sums[part * channels_ + i]);
      product += double(products[part * channels_ + i]);
    }
    const double deviation = double(o_.deviation.in<T>(buffers)[i]), n = double(rows_);
    const double factor = (o_.gamma ? double(o_.gamma.in<T>(buffers)[i]) : 1) * deviation;
    a[i] = T(factor);
    b[i] = T(-factor * deviation * deviation * product / n);
    shift[i] = T(-factor * sum / n);
    if (o_.gamma_grad) o_.gamma_grad.in<T>(buffers)[i] = T(product * deviation);
    if (o_.beta_grad) o_.beta_grad.in<T>(buffers)[i] = T(sum);
  }

  BatchNormGradientOperands o_;
  const Kernels<T>& kernel_;
};

}  // namespace

int64_t batch_norm_scratch(int64_t rows, int64_t channels) { return (3 + 2 * Parts(rows, channels).count) * channels; }

std::unique_ptr<Step> batch_norm_step(const BatchNormOperands& o, const BatchNorm& options) {
  if (o.x.dtype == DType::f64) return std::make_unique<BatchNormStep<double>>(o, options);
  return std::make_unique<BatchNormStep<float>>(o, options);
}
std::unique_ptr<Step> batch_norm_gradient_step(const BatchNormGradientOperands& o, const BatchNorm& options) {
  if (o.x.dtype == DType::f64) return std::make_unique<BatchNormGradientStep<double>>(o, options);
  return std::make_unique<BatchNormGradientStep<float>>(o, options);
}

}  // namespace konv
