// The weight gradient on the GEMM micro-kernel.
#pragma once
#include <memory>

#include "core/algorithm.h"

namespace konv {

double weight_gradient_cost(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_weight_gradient_plan(const ConvProblem& problem);

}  // namespace konv
