// Depthwise convolution: one input channel a group.
#pragma once
#include <memory>

#include "core/algorithm.h"

namespace konv {

// Null where the problem is not of its kind.
std::unique_ptr<ConvPlan> make_depthwise_spread_plan(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_depthwise_weight_gradient_plan(const ConvProblem& problem);

}  // namespace konv
