// Algorithm: a way to compute a convolution. Plan: an algorithm prepared for one problem.
#pragma once
#include <memory>
#include <string>

#include "core/problem.h"

namespace konv {

// Roles, not directions: the output of an input gradient is x, that of a weight gradient is w.
struct ConvTensors {
  void *x, *w, *y;
  const void* bias;
};

// Scratch for one run: `shared` once, `per_thread` for each thread, both 64-byte aligned.
struct WorkspaceSize {
  int64_t shared = 0, per_thread = 0;
};
struct Workspace {
  char* shared;
  char* threads;
  int64_t per_thread;
  char* of(int thread) const { return threads + thread * per_thread; }
};

class ConvPlan {
 public:
  virtual ~ConvPlan() = default;
  virtual void run(const ConvTensors& tensors, const Workspace& workspace) const noexcept = 0;
  WorkspaceSize workspace;
  int threads = 1;  // that a run uses
};

struct Algorithm {
  const char* name;
  // Empty if the algorithm computes the problem, else the reason why not.
  std::string (*supports)(const ConvProblem&);
  // Estimated cost: cycles of one core.
  double (*cost)(const ConvProblem&);
  std::unique_ptr<ConvPlan> (*make_plan)(const ConvProblem&);
};

}  // namespace konv
