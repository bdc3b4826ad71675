// Algorithm: a way to compute a convolution. Plan: an algorithm prepared for one problem.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/problem.h"

namespace konv {

// Roles, not directions: the output of an input gradient is x, that of a weight gradient is w.
struct ConvTensors {
  void *x, *w, *y;
  const void* bias;
  const void* residual;  // with the result's strides; may be the result
  // Of bytes: what stands for zero in x, and for each output channel in w, where null stands for zeros. The bias is
  // int32.
  int32_t x_zero = 0;
  const int32_t* w_zero = nullptr;
};

enum class Operands { floats, bytes, all };

// Scratch for one run, beside packed weights: `shared` once, `per_thread` for each thread, both 64-byte aligned.
struct WorkspaceSize {
  int64_t shared = 0, per_thread = 0;
};
struct Workspace {
  char* shared;
  char* threads;
  int64_t per_thread;
  const void* queue = nullptr;  // of a device: a cuda::Queue; `shared` is memory of it, and there are no threads
  char* of(int thread) const { return threads + thread * per_thread; }
};

class ConvPlan {
 public:
  virtual ~ConvPlan() = default;
  // Writes prepared_bytes: weights and bias as run wants them. They serve for any number of runs. Plans of devices do
  // so in prepare_on, and they alone throw: where the driver refuses a launch.
  virtual void prepare(const ConvTensors&, char* /*packed*/) const noexcept {}
  virtual void prepare_on(const void* /*queue*/, const ConvTensors&, char* /*packed*/) const {}
  virtual void run(const ConvTensors& tensors, const char* packed, const Workspace& workspace) const = 0;

  void add_to_key(const std::vector<int64_t>& values) {
    packed_key.insert(packed_key.end(), values.begin(), values.end());
  }

  int algorithm = -1;  // index into the list
  int64_t prepared_bytes = 0;
  bool reads_weights = false;       // run reads w or bias themselves, beside what is packed
  std::vector<int64_t> packed_key;  // plans of one algorithm and equal keys pack alike
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
  bool any_padding = false;              // takes padding modes beside zeros
  Operands operands = Operands::floats;  // of the problems that it is asked about at all
};

}  // namespace konv
