// Convolutions of a network on a device.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "conv/prepared.h"
#include "cuda/conv/conv.h"
#include "cuda/graph/program.h"
#include "graph/conv_step.h"

namespace konv::cuda {

// Weights on a device as given; plans that read them hold on to it.
struct DeviceWeights {
  Memory memory;
  char* w = nullptr;
  char* bias = nullptr;
};
struct DevicePackedWeights {
  std::vector<int64_t> key;
  Memory memory;
};
struct DevicePreparedPlan {
  std::shared_ptr<const ConvPlan> plan;
  std::shared_ptr<const DevicePackedWeights> packed;  // shared with plans that pack alike
  std::shared_ptr<const DeviceWeights> weights;       // of a plan that reads them itself
};

// The weights of one node: a copy in the host's memory, and what programs for other sizes of the input have made of it
// on the device. That goes with the last program that uses it.
class NodeWeights {
 public:
  NodeWeights(int device, const ConvProblem& problem, const void* w, const void* bias);
  DevicePreparedPlan prepare(const ConvProblem& problem);
  int64_t bytes() const;

 private:
  std::shared_ptr<const DeviceWeights> uploaded();

  int device_;
  WeightCopy copy_;
  int64_t bias_at_;
  mutable std::mutex mutex_;
  std::weak_ptr<const DeviceWeights> uploaded_;
  std::vector<std::weak_ptr<const DevicePackedWeights>> packed_;
};

std::unique_ptr<Step> conv_step(const ConvArguments& arguments, NodeWeights& weights);

}  // namespace konv::cuda
