// The weight gradient on the GEMM micro-kernel.
#pragma once
#include <memory>

#include "core/algorithm.h"

namespace konv {

// Of turning the planes of x or y, of so many channels, into vectors of channels.
double turning_cost(const ConvProblem& p, const int64_t strides[5], int64_t channels, const int64_t size[3]);

double weight_gradient_cost(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_weight_gradient_plan(const ConvProblem& problem);

}  // namespace konv
