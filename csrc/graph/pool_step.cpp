#include "core/config.h"
#include "core/parallel.h"
#include "graph/steps.h"
#include "graph/training_steps.h"

namespace konv {

namespace {

class PoolStep final : public Step {
 public:
  PoolStep(PoolStepKind kind, const PoolProblem& problem, const Operand& input, const Operand& output,
           const Operand& indices)
      : kind_(kind), problem_(problem), input_(input), output_(output), indices_(indices) {}

  void run(char* const* buffers) const override {
    if (kind_ == PoolStepKind::max)
      max_pool(problem_, input_.in(buffers), output_.in(buffers), indices_.in<int64_t>(buffers));
    else
      avg_pool(problem_, input_.in(buffers), output_.in(buffers));
  }
  StepInfo info() const override {
    static constexpr const char* kNames[] = {"max_pool", "avg_pool", "lp_pool"};
    const double taps = double(problem_.kernel[0] * problem_.kernel[1] * problem_.kernel[2]);
    return {kNames[int(kind_)], "", taps * double(output_.elements())};
  }

 private:
  PoolStepKind kind_;
  PoolProblem problem_;
  Operand input_, output_, indices_;
};

class MaxPoolGradientStep final : public Step {
 public:
  MaxPoolGradientStep(const PoolProblem& problem, const Operand& grad, const Operand& indices, const Operand& output)
      : problem_(problem), grad_(grad), indices_(indices), output_(output) {}
  void run(char* const* buffers) const override {
    max_pool_gradient(problem_, grad_.in(buffers), indices_.in<int64_t>(buffers), output_.in(buffers));
  }
  StepInfo info() const override { return {"max_pool_gradient", "", double(output_.elements())}; }

 private:
  PoolProblem problem_;
  Operand grad_, indices_, output_;
};

class AvgPoolGradientStep final : public Step {
 public:
  AvgPoolGradientStep(const PoolProblem& problem, const Operand& grad, const Operand& output)
      : problem_(problem), grad_(grad), output_(output) {}
  void run(char* const* buffers) const override { avg_pool_gradient(problem_, grad_.in(buffers), output_.in(buffers)); }
  StepInfo info() const override { return {"avg_pool_gradient", "", double(output_.elements())}; }

 private:
  PoolProblem problem_;
  Operand grad_, output_;
};

}  // namespace

std::unique_ptr<Step> max_pool_gradient_step(const PoolProblem& problem, const Operand& grad, const Operand& indices,
                                             const Operand& output) {
  return std::make_unique<MaxPoolGradientStep>(problem, grad, indices, output);
}
std::unique_ptr<Step> avg_pool_gradient_step(const PoolProblem& problem, const Operand& grad, const Operand& output) {
  return std::make_unique<AvgPoolGradientStep>(problem, grad, output);
}

std::unique_ptr<Step> pool_step(PoolStepKind kind, const PoolProblem& problem, const Operand& input,
                                const Operand& output, const Operand& indices) {
  return std::make_unique<PoolStep>(kind, problem, input, output, indices);
}

}  // namespace konv
