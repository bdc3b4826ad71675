#include "graph/conv_step.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/config.h"

namespace konv {

namespace {

// With weights that were packed beforehand.
class PreparedConvStep final : public Step {
 public:
  PreparedConvStep(const ConvArguments& a, std::shared_ptr<const PreparedPlan> plan)
      : plan_(std::move(plan)), input_(a.input), output_(a.output), residual_(a.residual), flops_(a.problem.flops()) {}

  void run(char* const* buffers) const override {
    plan_->run(input_.in(buffers), output_.in(buffers), residual_.in(buffers));
  }
  StepInfo info() const override {
    const WorkspaceSize& w = plan_->plan->workspace;
    return {"conv", algorithm_at(plan_->plan->algorithm).name, flops_, plan_->packed->memory.size(),
            w.shared + w.per_thread * plan_->plan->threads};
  }

 private:
  std::shared_ptr<const PreparedPlan> plan_;
  Operand input_, output_, residual_;
  double flops_;
};

// With weights that change from run to run.
class ConvStep final : public Step {
 public:
  explicit ConvStep(const ConvArguments& a) : a_(a), plan_(find_plan(a.problem)) {}

  void run(char* const* buffers) const override {
    char *in = a_.input.in<char>(buffers), *out = a_.output.in<char>(buffers), *w = a_.weight.in<char>(buffers);
    ConvTensors t{in, w, out, a_.bias.in(buffers), a_.residual.in(buffers)};
    if (a_.problem.direction == Direction::input_gradient) std::swap(t.x, t.y);
    if (a_.problem.direction == Direction::weight_gradient) t.y = w, t.w = out;
    run_plan(*plan_, t, nullptr);
  }
  StepInfo info() const override {
    static constexpr const char* kKinds[] = {"conv", "conv_input", "conv_weight"};
    const WorkspaceSize& w = plan_->workspace;
    return {kKinds[int(a_.problem.direction)], algorithm_at(plan_->algorithm).name, a_.problem.flops(), 0,
            w.shared + w.per_thread * plan_->threads + plan_->prepared_bytes};
  }

 private:
  ConvArguments a_;
  std::shared_ptr<const ConvPlan> plan_;
};

class BiasGradientStep final : public Step {
 public:
  BiasGradientStep(const Operand& input, const Operand& output, int64_t threads)
      : input_(input), output_(output), isa_(config().isa), threads_(int(threads)) {}
  void run(char* const* buffers) const override {
    bias_gradient(input_.dtype, isa_, threads_, input_.in(buffers), input_.shape[0], input_.shape[1], input_.shape + 2,
                  input_.strides, output_.in(buffers));
  }
  StepInfo info() const override { return {"conv_bias", "", double(input_.elements())}; }

 private:
  Operand input_, output_;
  int64_t isa_;
  int threads_;
};

}  // namespace

NodeWeights::NodeWeights(const ConvProblem& p, const void* w, const void* bias, int32_t x_zero) {
  auto copy = std::make_shared<WeightCopy>(p);
  copy->x_zero = x_zero;
  std::memcpy(copy->w(), w, size_t(p.k * (p.c / p.groups) * p.taps() * dtype_size(p.dtype)));
  if (p.has_bias) std::memcpy(copy->bias(), bias, size_t(p.outputs() * dtype_size(p.result_dtype())));
  copy_ = std::move(copy);
}

std::shared_ptr<const PreparedPlan> NodeWeights::prepare(const ConvProblem& p) {
  const std::lock_guard lock(mutex_);
  known_.push_back(prepare_problem(p, copy_, known_));
  return known_.back();
}

int64_t NodeWeights::bytes() const {
  const std::lock_guard lock(mutex_);
  int64_t total = copy_->bytes();
  for (size_t i = 0; i < known_.size(); i++) {
    bool seen = false;
    for (size_t j = 0; j < i; j++) seen = seen || known_[j]->packed == known_[i]->packed;
    if (!seen) total += known_[i]->packed->memory.size();
  }
  return total;
}

std::unique_ptr<Step> conv_step(const ConvArguments& a, NodeWeights* weights) {
  if (weights) return std::make_unique<PreparedConvStep>(a, weights->prepare(a.problem));
  return std::make_unique<ConvStep>(a);
}

std::unique_ptr<Step> bias_gradient_step(const Operand& input, const Operand& output, int64_t threads) {
  return std::make_unique<BiasGradientStep>(input, output, threads);
}

}  // namespace konv
