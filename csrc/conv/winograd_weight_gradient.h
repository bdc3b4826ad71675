// The weight-gradient form of Winograd's algorithm, a part of the algorithm "winograd".
#pragma once
#include <memory>

#include "core/algorithm.h"

namespace konv {

double winograd_weight_gradient_cost(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_winograd_weight_gradient_plan(const ConvProblem& problem);

}  // namespace konv
