// Softmax, and resampling along an axis.
#include <algorithm>
#include <utility>

#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "graph/steps.h"

namespace konv {

namespace {

template <class T>
class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(const Operand& input, const Operand& output, int64_t threads)
      : input_(input), output_(output), kernel_(kernels<T>(Isa(config().isa))), threads_(int(threads)) {
    cols_ = input.rank ? input.shape[input.rank - 1] : 1;
    rows_ = cols_ ? input.elements() / cols_ : 0;
  }
  void run(char* const* buffers) const override {
    const T* x = input_.in<T>(buffers);
    T* y = output_.in<T>(buffers);
    const int64_t grain = std::max<int64_t>(1, 8192 / std::max<int64_t>(1, cols_));
    parallel_for((rows_ + grain - 1) / grain, rows_ * cols_ < 32768 ? 1 : threads_, [&](int64_t task, int) {
      const int64_t first = task * grain;
      kernel_.softmax(x + first * cols_, y + first * cols_, std::min(grain, rows_ - first), cols_);
    });
  }
  StepInfo info() const override { return {"softmax", "", 8.0 * double(input_.elements())}; }

 private:
  Operand input_, output_;
  const Kernels<T>& kernel_;
  int threads_;
  int64_t rows_, cols_;
};

// Neighbours in memory, of both sides, are what a row is made of; where the axis itself is innermost, single elements.
template <class T>
class ResampleStep final : public Step {
 public:
  ResampleStep(const Operand& input, const Operand& output, Resampling r, int64_t threads)
      : input_(input), output_(output), r_(std::move(r)), threads_(output.elements() < 32768 ? 1 : int(threads)) {
    inner_ = -1;
    for (int i = 0; i < output.rank; i++)
      if (i != r_.axis && input.strides[i] == 1 && output.strides[i] == 1 && output.shape[i] > 1) inner_ = i;
    tasks_ = 1;
    for (int i = 0; i < output.rank; i++)
      if (i != inner_ && i != r_.axis) tasks_ *= output.shape[i];
    if (output.elements() == 0) tasks_ = 0;
  }
  void run(char* const* buffers) const override {
    const T* x = input_.in<T>(buffers);
    T* y = output_.in<T>(buffers);
    parallel_for(tasks_, threads_, [&](int64_t task, int) {
      const T* src = x;
      T* dst = y;
      for (int i = output_.rank - 1; i >= 0; i--) {
        if (i == inner_ || i == r_.axis) continue;
        const int64_t at = task % output_.shape[i];
        task /= output_.shape[i];
        src += at * input_.strides[i], dst += at * output_.strides[i];
      }
      const int64_t count = inner_ < 0 ? 1 : output_.shape[inner_];
      for (int64_t o = 0; o < output_.shape[r_.axis]; o++) sum(src, dst + o * output_.strides[r_.axis], o, count);
    });
  }
  StepInfo info() const override { return {"resample", "", 2.0 * double(output_.elements() * r_.taps)}; }

 private:
  void sum(const T* src, T* dst, int64_t o, int64_t count) const {
    const int64_t* index = &r_.index[size_t(o * r_.taps)];
    const int64_t step = input_.strides[r_.axis];
    if (r_.weight.empty()) {
      std::copy_n(src + index[0] * step, count, dst);
      return;
    }
    const double* weight = &r_.weight[size_t(o * r_.taps)];
    for (int64_t t = 0; t < r_.taps; t++) {
      const T* row = src + index[t] * step;
      const T w = T(weight[t]);
      if (t == 0)
        for (int64_t i = 0; i < count; i++) dst[i] = w * row[i];
      else
        for (int64_t i = 0; i < count; i++) dst[i] += w * row[i];
    }
  }

  Operand input_, output_;
  Resampling r_;
  int threads_, inner_;
  int64_t tasks_;
};

}  // namespace

std::unique_ptr<Step> softmax_step(const Operand& input, const Operand& output, int64_t threads) {
  if (input.dtype == DType::f64) return std::make_unique<SoftmaxStep<double>>(input, output, threads);
  return std::make_unique<SoftmaxStep<float>>(input, output, threads);
}
std::unique_ptr<Step> resample_step(const Operand& input, const Operand& output, Resampling r, int64_t threads) {
  if (input.dtype == DType::f64) return std::make_unique<ResampleStep<double>>(input, output, std::move(r), threads);
  return std::make_unique<ResampleStep<float>>(input, output, std::move(r), threads);
}

}  // namespace konv
