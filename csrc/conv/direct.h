// Direct convolution with few channels.
#pragma once
#include <memory>

#include "core/algorithm.h"

namespace konv {

class DirectFilterPlan : public ConvPlan {
 public:
  // Whether weights prepared so are all products of a column and a row, which run makes use of.
  virtual bool separated(const char* packed) const = 0;
};

// Null where direct does not compute the problem, or kernels of its kind are never taken apart.
std::unique_ptr<DirectFilterPlan> make_separable_plan(const ConvProblem& problem);
// Cycles of its two passes.
double separable_cost(const ConvProblem& problem);

}  // namespace konv
