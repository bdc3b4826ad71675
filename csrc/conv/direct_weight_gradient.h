// The weight gradient of few input channels, a part of the algorithm "direct".
#pragma once
#include <memory>
#include <string>

#include "core/algorithm.h"

namespace konv {

std::string direct_weight_gradient_refusal(const ConvProblem& problem);
double direct_weight_gradient_cost(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_direct_weight_gradient_plan(const ConvProblem& problem);

}  // namespace konv
