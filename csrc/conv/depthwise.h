// Depthwise convolution: one input channel a group.
#pragma once
#include <memory>

#include "core/algorithm.h"

namespace konv {

bool fits_depthwise_spread(const ConvProblem& problem);
double depthwise_spread_cost(const ConvProblem& problem, int64_t lanes);
// Null where the problem does not fit.
std::unique_ptr<ConvPlan> make_depthwise_spread_plan(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_depthwise_weight_gradient_plan(const ConvProblem& problem);

}  // namespace konv
