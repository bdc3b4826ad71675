// Plans whose weights were packed beforehand, for any number of runs.
#pragma once
#include <memory>
#include <vector>

#include "conv/conv.h"
#include "core/buffer.h"

namespace konv {

// A copy of weights and bias: contiguous, in the shape that the caller gave them. Bytes have an int32 bias and 0 as
// their zero point.
class WeightCopy {
 public:
  explicit WeightCopy(const ConvProblem& p)
      : weight_bytes_(p.k * (p.c / p.groups) * p.taps() * dtype_size(p.dtype)),
        memory_((weight_bytes_ + 63) / 64 * 64 + (p.has_bias ? p.outputs() * dtype_size(p.result_dtype()) : 0)),
        has_bias_(p.has_bias) {}
  char* w() const { return memory_.data(); }
  char* bias() const { return has_bias_ ? memory_.data() + (weight_bytes_ + 63) / 64 * 64 : nullptr; }
  int64_t bytes() const { return memory_.size(); }
  int32_t x_zero = 0;  // of inputs in bytes

 private:
  int64_t weight_bytes_;
  AlignedBuffer memory_;
  bool has_bias_;
};

struct PackedWeights {
  std::vector<int64_t> key;
  AlignedBuffer memory;
};

struct PreparedPlan {
  std::shared_ptr<const ConvPlan> plan;
  std::shared_ptr<const PackedWeights> packed;  // shared with plans that pack alike
  std::shared_ptr<const WeightCopy> weights;    // of a plan that reads them itself
  bool transposed = false;                      // the result is the problem's x
  int32_t x_zero = 0;                           // of an input in bytes
  void run(const void* input, void* result, const void* residual) const;
};
using PreparedPlans = std::vector<std::shared_ptr<const PreparedPlan>>;

// A plan for the problem, with the packed weights of one of `known` or with its own. Null where there is neither: where
// `weights` is null and the plan would pack or read them.
std::shared_ptr<const PreparedPlan> prepare_problem(const ConvProblem& problem,
                                                    const std::shared_ptr<const WeightCopy>& weights,
                                                    const PreparedPlans& known);

}  // namespace konv
