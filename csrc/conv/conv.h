// Entry of every convolution: finds or makes the plan, lends it scratch memory, runs it. The CUDA module has an entry
// of its own (cuda/conv/conv.cpp) under the same names, for the same checks of arguments.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/algorithm.h"

namespace konv {

// Throws std::invalid_argument where the forced algorithm does not compute the problem.
std::shared_ptr<const ConvPlan> find_plan(const ConvProblem& problem);
// `packed` has prepared_bytes, aligned to 64 bytes.
void prepare_plan(const ConvPlan& plan, const ConvTensors& tensors, char* packed);
// With a null `packed` weights are prepared in scratch first.
void run_plan(const ConvPlan& plan, const ConvTensors& tensors, const char* packed);
void run_conv(const ConvProblem& problem, const ConvTensors& tensors);

int algorithm_index(const std::string& name);  // -1 for "auto"; throws for an unknown name
const Algorithm& algorithm_at(int index);
// For one thread, so that any number of threads takes the same algorithm and has the same results.
double cost_of(int algorithm, ConvProblem problem);
double least_cost(const ConvProblem& problem);      // of the algorithm that find_plan takes
bool supports_problem(const ConvProblem& problem);  // false where find_plan throws
struct Explanation {
  std::string name, reason;  // the reason is empty where the algorithm computes the problem
  double cost;
  double seconds;  // 0 where it was not timed
  bool chosen;
};
std::vector<Explanation> explain_conv(const ConvProblem& problem);
std::string machine_of(const ConvProblem& problem);  // what the problem's `isa` names

struct PlanCacheInfo {
  int64_t size, capacity, hits, misses;
};
PlanCacheInfo plan_cache_info();
void clear_plan_cache();

// The gradient with respect to the bias: out[k] = sum of y[n][k][...] over n and pixels. y and ys as in ConvProblem.
void bias_gradient(DType dtype, int64_t isa, int threads, const void* y, int64_t n, int64_t k, const int64_t out[3],
                   const int64_t ys[5], void* bias);

}  // namespace konv
