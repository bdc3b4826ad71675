// The optimizers' steps, on one variable each.
#include <algorithm>

#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "graph/training_steps.h"

namespace konv {

namespace {

constexpr int64_t kRun = 1 << 14;  // elements of a task

template <class T>
class UpdateStep : public Step {
 protected:
  UpdateStep(const Operand& value, const Operand& grad, const Operand& rates, int64_t threads)
      : value_(value),
        grad_(grad),
        rates_(rates),
        kernel_(kernels<T>(Isa(config().isa))),
        n_(value.elements()),
        threads_(n_ < 4 * kRun ? 1 : int(threads)) {}
  template <class F>
  void in_runs(F f) const {
    FlushDenormals guard(!config().keep_denormals);
    parallel_for((n_ + kRun - 1) / kRun, threads_,
                 [&](int64_t task, int) { f(task * kRun, std::min(kRun, n_ - task * kRun)); });
  }
  Operand value_, grad_, rates_;
  const Kernels<T>& kernel_;
  int64_t n_;
  int threads_;
};

template <class T>
class SgdUpdateStep final : public UpdateStep<T> {
 public:
  SgdUpdateStep(const Operand& value, const Operand& grad, const Operand& velocity, const Operand& rates,
                const SgdOptions& options, int64_t threads)
      : UpdateStep<T>(value, grad, rates, threads), velocity_(velocity), options_(options) {}
  void run(char* const* buffers) const override {
    const double rate = this->rates_.template in<double>(buffers)[0];
    const SgdStep<T> step{this->value_.template in<T>(buffers),
                          this->grad_.template in<T>(buffers),
                          velocity_.in<T>(buffers),
                          T(rate),
                          T(options_.momentum),
                          options_.nesterov};
    this->in_runs([&](int64_t first, int64_t n) { this->kernel_.sgd_step(step, first, n); });
  }
  StepInfo info() const override { return {"sgd", "", 4.0 * double(this->n_)}; }

 private:
  Operand velocity_;
  SgdOptions options_;
};

template <class T>
class AdamUpdateStep final : public UpdateStep<T> {
 public:
  AdamUpdateStep(const Operand& value, const Operand& grad, const Operand& mean, const Operand& square,
                 const Operand& rates, const AdamOptions& options, int64_t threads)
      : UpdateStep<T>(value, grad, rates, threads), mean_(mean), square_(square), options_(options) {}
  void run(char* const* buffers) const override {
    const double *rates = this->rates_.template in<double>(buffers), decay = rates[1];
    T* const value = this->value_.template in<T>(buffers);
    const AdamStep<T> step{value,
                           this->grad_.template in<T>(buffers),
                           mean_.in<T>(buffers),
                           square_.in<T>(buffers),
                           T(rates[0]),
                           T(1 - options_.beta_1),
                           T(1 - options_.beta_2),
                           T(options_.epsilon)};
    this->in_runs([&](int64_t first, int64_t n) {
      if (decay != 0) this->kernel_.unary_run({UnaryOp::affine, value + first, value + first, n, T(1 - decay), T(0)});
      this->kernel_.adam_step(step, first, n);
    });
  }
  StepInfo info() const override { return {"adam", "", 10.0 * double(this->n_)}; }

 private:
  Operand mean_, square_;
  AdamOptions options_;
};

}  // namespace

std::unique_ptr<Step> sgd_update_step(const Operand& value, const Operand& grad, const Operand& velocity,
                                      const Operand& rates, const SgdOptions& options, int64_t threads) {
  if (value.dtype == DType::f64)
    return std::make_unique<SgdUpdateStep<double>>(value, grad, velocity, rates, options, threads);
  return std::make_unique<SgdUpdateStep<float>>(value, grad, velocity, rates, options, threads);
}
std::unique_ptr<Step> adam_update_step(const Operand& value, const Operand& grad, const Operand& mean,
                                       const Operand& square, const Operand& rates, const AdamOptions& options,
                                       int64_t threads) {
  if (value.dtype == DType::f64)
    return std::make_unique<AdamUpdateStep<double>>(value, grad, mean, square, rates, options, threads);
  return std::make_unique<AdamUpdateStep<float>>(value, grad, mean, square, rates, options, threads);
}

}  // namespace konv
