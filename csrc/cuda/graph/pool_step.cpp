#include "cuda/graph/steps.h"
#include "cuda/pool/pool.h"

namespace konv::cuda {

namespace {

class PoolStep final : public Step {
 public:
  PoolStep(PoolStepKind kind, const PoolProblem& problem, const konv::Operand& input, const konv::Operand& output,
           const konv::Operand& indices)
      : kind_(kind), problem_(problem), input_(input), output_(output), indices_(indices) {}

  void run(Queue queue, char* const* buffers, char*) const override {
    if (kind_ == PoolStepKind::max)
      max_pool(queue, problem_, input_.in(buffers), output_.in(buffers), indices_.in<int64_t>(buffers));
    else
      avg_pool(queue, problem_, input_.in(buffers), output_.in(buffers));
  }
  konv::StepInfo info() const override {
    static constexpr const char* kNames[] = {"max_pool", "avg_pool", "lp_pool"};
    const double taps = double(problem_.kernel[0] * problem_.kernel[1] * problem_.kernel[2]);
    return {kNames[int(kind_)], "", taps * double(output_.elements())};
  }

 private:
  PoolStepKind kind_;
  PoolProblem problem_;
  konv::Operand input_, output_, indices_;
};

}  // namespace

std::unique_ptr<Step> pool_step(PoolStepKind kind, const PoolProblem& problem, const konv::Operand& input,
                                const konv::Operand& output, const konv::Operand& indices) {
  return std::make_unique<PoolStep>(kind, problem, input, output, indices);
}

}  // namespace konv::cuda
