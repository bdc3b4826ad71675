// Problems that become another one: arrays of 16-bit elements, which are computed in float32 a few images at a time,
// and input gradients under padding that repeats the image, which fold the gradient of the padded input.
#pragma once
#include <memory>

#include "core/algorithm.h"

namespace konv {

bool is_adapted(const ConvProblem& problem);
std::shared_ptr<const ConvPlan> make_adapted_plan(const ConvProblem& problem);
// What is left to compute after all of it: the problem that an algorithm sees.
ConvProblem innermost_problem(ConvProblem problem);

// bias_gradient of conv.h for 16-bit elements.
void bias_gradient_of_halves(DType dtype, int64_t isa, int threads, const uint16_t* y, int64_t n, int64_t k,
                             const int64_t out[3], const int64_t ys[5], uint16_t* bias);

}  // namespace konv
