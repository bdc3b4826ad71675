#include "conv/prepared.h"

#include <utility>

namespace konv {

void PreparedPlan::run(const void* input, void* result, const void* residual) const {
  ConvTensors tensors{const_cast<void*>(input), nullptr, result, nullptr, residual, x_zero};
  if (transposed) std::swap(tensors.x, tensors.y);
  if (weights) tensors.w = weights->w(), tensors.bias = weights->bias();
  run_plan(*plan, tensors, packed->memory.data());
}

std::shared_ptr<const PreparedPlan> prepare_problem(const ConvProblem& problem,
                                                    const std::shared_ptr<const WeightCopy>& weights,
                                                    const PreparedPlans& known) {
  auto made = std::make_shared<PreparedPlan>();
  made->plan = find_plan(problem);
  made->transposed = problem.direction == Direction::input_gradient;
  if (made->plan->reads_weights) {
    if (!weights) return nullptr;
    made->weights = weights;
  }
  if (weights) made->x_zero = weights->x_zero;
  std::vector<int64_t> key = {made->plan->algorithm, problem.isa, made->plan->prepared_bytes};
  key.insert(key.end(), made->plan->packed_key.begin(), made->plan->packed_key.end());
  for (const auto& other : known)
    if (other->packed->key == key) {
      made->packed = other->packed;
      return made;
    }
  if (!weights) return nullptr;
  auto packed = std::make_shared<PackedWeights>();
  packed->key = std::move(key);
  packed->memory = AlignedBuffer(made->plan->prepared_bytes);
  ConvTensors tensors{nullptr, weights->w(), nullptr, weights->bias(), nullptr, weights->x_zero};
  prepare_plan(*made->plan, tensors, packed->memory.data());
  made->packed = std::move(packed);
  return made;
}

}  // namespace konv
