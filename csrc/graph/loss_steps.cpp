// Rows of scores and what is drawn at random: cross-entropy, the gradient of softmax, dropout; and sums.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "graph/training_steps.h"

namespace konv {

namespace {

constexpr int64_t kTask = 1 << 14;  // elements of a task

// Calls f(first, count) for runs of rows.
template <class F>
void in_rows(int64_t rows, int64_t cols, int threads, F f) {
  FlushDenormals guard(!config().keep_denormals);
  const int64_t grain = std::max<int64_t>(1, kTask / std::max<int64_t>(1, cols));
  parallel_for((rows + grain - 1) / grain, rows * cols < 4 * kTask ? 1 : threads,
               [&](int64_t task, int) { f(task * grain, std::min(grain, rows - task * grain)); });
}

template <class T>
class CrossEntropyStep final : public Step {
 public:
  CrossEntropyStep(const Operand& scores, const Operand& labels, const Operand& loss, const Operand& grad,
                   int64_t threads)
      : scores_(scores),
        labels_(labels),
        loss_(loss),
        grad_(grad),
        kernel_(kernels<T>(Isa(config().isa))),
        threads_(int(threads)) {}
  void run(char* const* buffers) const override {
    const T *x = scores_.in<T>(buffers), *targets = labels_.in<T>(buffers);
    const int64_t cols = scores_.shape[1], *classes = labels_.in<int64_t>(buffers);
    T *grad = grad_.in<T>(buffers), *loss = loss_.in<T>(buffers);
    const bool sparse = labels_.dtype == DType::i64;
    in_rows(scores_.shape[0], cols, threads_, [&](int64_t first, int64_t n) {
      constexpr int64_t kRows = 64;
      CrossEntropyRow rows[kRows];
      for (int64_t end = first + n; first < end; first += kRows) {
        const int64_t count = std::min(kRows, end - first);
        kernel_.softmax_cross_entropy({x + first * cols, sparse ? classes + first : nullptr,
                                       sparse ? nullptr : targets + first * cols, grad + first * cols, T(1), count,
                                       cols, rows});
        for (int64_t r = 0; r < count; r++) loss[first + r] = T(rows[r].weight * std::log(rows[r].sum) + rows[r].rest);
      }
    });
  }
  StepInfo info() const override { return {"cross_entropy", "", 10.0 * double(scores_.elements())}; }

 private:
  Operand scores_, labels_, loss_, grad_;
  const Kernels<T>& kernel_;
  int threads_;
};

template <class T>
class SoftmaxGradientStep final : public Step {
 public:
  SoftmaxGradientStep(const Operand& y, const Operand& grad, const Operand& output, int64_t threads)
      : y_(y), grad_(grad), output_(output), kernel_(kernels<T>(Isa(config().isa))), threads_(int(threads)) {}
  void run(char* const* buffers) const override {
    const T *y = y_.in<T>(buffers), *grad = grad_.in<T>(buffers);
    T* out = output_.in<T>(buffers);
    const int64_t cols = y_.shape[1];
    in_rows(y_.shape[0], cols, threads_, [&](int64_t first, int64_t n) {
      kernel_.softmax_grad(y + first * cols, grad + first * cols, out + first * cols, n, cols);
    });
  }
  StepInfo info() const override { return {"softmax_gradient", "", 4.0 * double(y_.elements())}; }

 private:
  Operand y_, grad_, output_;
  const Kernels<T>& kernel_;
  int threads_;
};

template <class T>
class DropoutStep final : public Step {
 public:
  DropoutStep(const Operand& input, const Operand& output, const Operand& seed, double rate, int64_t threads)
      : input_(input),
        output_(output),
        seed_(seed),
        rate_(rate),
        kernel_(kernels<T>(Isa(config().isa))),
        threads_(int(threads)) {}
  void run(char* const* buffers) const override {
    const T* x = input_.in<T>(buffers);
    T* y = output_.in<T>(buffers);
    const uint64_t seed = uint64_t(seed_.in<int64_t>(buffers)[0]);
    const auto threshold = uint32_t(std::min(rate_ * 4294967296.0, 4294967295.0));
    in_rows(input_.elements(), 1, threads_, [&](int64_t first, int64_t n) {
      if (rate_ == 1)
        std::fill_n(y + first, n, T(0));
      else
        kernel_.dropout(x + first, y + first, n, first, seed, threshold, T(1 / (1 - rate_)));
    });
  }
  StepInfo info() const override { return {"dropout", "", 12.0 * double(input_.elements())}; }

 private:
  Operand input_, output_, seed_;
  double rate_;
  const Kernels<T>& kernel_;
  int threads_;
};

// Axes are walked in the order of the input's memory; the innermost run is summed, or added element by element. Sums
// are of double precision until they are complete.
template <class T>
class SumStep final : public Step {
 public:
  SumStep(const Operand& input, const Operand& output, int64_t threads)
      : input_(input), output_(output), kernel_(kernels<T>(Isa(config().isa))) {
    int64_t step = 1;
    std::vector<Axis> axes;
    for (int i = input.rank; i-- > 0;) {
      if (output.shape[i] > 1) {
        axes.push_back({input.shape[i], input.strides[i], output.strides[i], step});
        step *= output.shape[i];
      } else if (input.shape[i] != 1) {
        axes.push_back({input.shape[i], input.strides[i], 0, 0});
      }
    }
    std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.src > b.src; });
    for (const Axis& a : axes) {
      if (!axes_.empty() && axes_.back().src == a.src * a.size && axes_.back().dst == a.dst * a.size &&
          axes_.back().sum == a.sum * a.size)
        axes_.back() = {axes_.back().size * a.size, a.src, a.dst, a.sum};
      else
        axes_.push_back(a);
    }
    if (axes_.empty()) axes_.push_back({1, 1, 1, 1});
    // What is kept along the outermost axis can be shared out.
    threads_ = axes_[0].sum && input.elements() >= 4 * kTask ? int(threads) : 1;
  }
  void run(char* const* buffers) const override {
    FlushDenormals guard(!config().keep_denormals);
    const T* x = input_.in<T>(buffers);
    T* y = output_.in<T>(buffers);
    std::vector<double> sums(size_t(std::max<int64_t>(1, output_.elements())));
    if (input_.elements())
      parallel_for(threads_ > 1 ? axes_[0].size : 1, threads_, [&](int64_t task, int) {
        if (threads_ > 1)
          walk(1, x + task * axes_[0].src, sums.data() + task * axes_[0].sum);
        else
          walk(0, x, sums.data());
      });
    write(0, y, sums.data());
  }
  StepInfo info() const override { return {"sum", "", double(input_.elements())}; }

 private:
  struct Axis {
    int64_t size, src, dst, sum;  // strides; `sum` is 0 where the axis is summed up
  };
  void walk(size_t a, const T* x, double* sums) const {
    if (a == axes_.size()) {
      *sums += double(*x);
      return;
    }
    const Axis& axis = axes_[a];
    if (a + 1 < axes_.size()) {
      for (int64_t i = 0; i < axis.size; i++) walk(a + 1, x + i * axis.src, sums + i * axis.sum);
    } else if (axis.sum) {
      for (int64_t i = 0; i < axis.size; i++) sums[i * axis.sum] += double(x[i * axis.src]);
    } else if (axis.src == 1) {
      T sum;
      kernel_.sum_rows(x, axis.size, 1, axis.size, &sum);
      *sums += double(sum);
    } else {
      for (int64_t i = 0; i < axis.size; i++) *sums += double(x[i * axis.src]);
    }
  }
  void write(size_t a, T* y, const double* sums) const {
    if (a == axes_.size())
      *y = T(*sums);
    else if (axes_[a].sum == 0)
      write(a + 1, y, sums);
    else
      for (int64_t i = 0; i < axes_[a].size; i++) write(a + 1, y + i * axes_[a].dst, sums + i * axes_[a].sum);
  }

  Operand input_, output_;
  const Kernels<T>& kernel_;
  std::vector<Axis> axes_;
  int threads_;
};

}  // namespace

std::unique_ptr<Step> cross_entropy_step(const Operand& scores, const Operand& labels, const Operand& loss,
                                         const Operand& grad, int64_t threads) {
  if (scores.dtype == DType::f64)
    return std::make_unique<CrossEntropyStep<double>>(scores, labels, loss, grad, threads);
  return std::make_unique<CrossEntropyStep<float>>(scores, labels, loss, grad, threads);
}
std::unique_ptr<Step> softmax_gradient_step(const Operand& y, const Operand& grad, const Operand& output,
                                            int64_t threads) {
  if (y.dtype == DType::f64) return std::make_unique<SoftmaxGradientStep<double>>(y, grad, output, threads);
  return std::make_unique<SoftmaxGradientStep<float>>(y, grad, output, threads);
}
std::unique_ptr<Step> dropout_step(const Operand& input, const Operand& output, const Operand& seed, double rate,
                                   int64_t threads) {
  if (input.dtype == DType::f64) return std::make_unique<DropoutStep<double>>(input, output, seed, rate, threads);
  return std::make_unique<DropoutStep<float>>(input, output, seed, rate, threads);
}
std::unique_ptr<Step> sum_step(const Operand& input, const Operand& output, int64_t threads) {
  if (input.dtype == DType::f64) return std::make_unique<SumStep<double>>(input, output, threads);
  return std::make_unique<SumStep<float>>(input, output, threads);
}

}  // namespace konv
