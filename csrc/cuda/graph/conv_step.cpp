#include "cuda/graph/conv_step.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace konv::cuda {

namespace {

class ConvStep final : public Step {
 public:
  ConvStep(const ConvArguments& a, DevicePreparedPlan plan) : a_(a), plan_(std::move(plan)) {}

  void run(Queue queue, char* const* buffers, char* scratch) const override {
    ConvTensors t{a_.input.in(buffers), nullptr, a_.output.in(buffers), nullptr, a_.residual.in(buffers)};
    if (a_.problem.direction == Direction::input_gradient) std::swap(t.x, t.y);
    if (plan_.weights) t.w = plan_.weights->w, t.bias = plan_.weights->bias;
    plan_.plan->run(t, plan_.packed->memory.data(), {scratch, nullptr, 0, &queue});
  }
  int64_t scratch_bytes() const override { return plan_.plan->workspace.shared; }
  konv::StepInfo info() const override {
    return {"conv", algorithm_at(plan_.plan->algorithm).name, a_.problem.flops(), plan_.plan->prepared_bytes,
            scratch_bytes()};
  }

 private:
  ConvArguments a_;
  DevicePreparedPlan plan_;
};

}  // namespace

NodeWeights::NodeWeights(int device, const ConvProblem& p, const void* w, const void* bias)
    : device_(device), copy_(p), bias_at_(copy_.bias() ? copy_.bias() - copy_.w() : 0) {
  std::memcpy(copy_.w(), w, size_t(p.k * (p.c / p.groups) * p.taps() * dtype_size(p.dtype)));
  if (copy_.bias()) std::memcpy(copy_.bias(), bias, size_t(p.outputs() * dtype_size(p.dtype)));
}

std::shared_ptr<const DeviceWeights> NodeWeights::uploaded() {
  if (auto there = uploaded_.lock()) return there;
  auto made = std::make_shared<DeviceWeights>();
  made->memory = Memory(resident_queue(device_), copy_.bytes());
  copy_to_device(resident_queue(device_), made->memory.data(), copy_.w(), copy_.bytes());
  made->w = made->memory.data();
  if (copy_.bias()) made->bias = made->w + bias_at_;
  uploaded_ = made;
  return made;
}

DevicePreparedPlan NodeWeights::prepare(const ConvProblem& p) {
  const std::lock_guard lock(mutex_);
  DevicePreparedPlan made;
  made.plan = find_plan(p);
  if (made.plan->reads_weights) made.weights = uploaded();
  std::vector<int64_t> key = {made.plan->algorithm, made.plan->prepared_bytes};
  key.insert(key.end(), made.plan->packed_key.begin(), made.plan->packed_key.end());
  std::erase_if(packed_, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : packed_)
    if (auto other = weak.lock(); other && other->key == key) {
      made.packed = std::move(other);
      return made;
    }
  auto packed = std::make_shared<DevicePackedWeights>();
  packed->key = std::move(key);
  if (made.plan->prepared_bytes > 0) {
    const Queue queue = resident_queue(device_);
    packed->memory = Memory(queue, made.plan->prepared_bytes);
    const std::shared_ptr<const DeviceWeights> given = uploaded();
    const ConvTensors tensors{nullptr, given->w, nullptr, given->bias, nullptr};
    made.plan->prepare_on(&queue, tensors, packed->memory.data());
  }
  packed_.push_back(packed);
  made.packed = std::move(packed);
  return made;
}

int64_t NodeWeights::bytes() const {
  const std::lock_guard lock(mutex_);
  int64_t total = uploaded_.expired() ? 0 : copy_.bytes();
  for (const auto& weak : packed_)
    if (const auto packed = weak.lock()) total += packed->key[1];
  return total;
}

std::unique_ptr<Step> conv_step(const ConvArguments& a, NodeWeights& weights) {
  return std::make_unique<ConvStep>(a, weights.prepare(a.problem));
}

}  // namespace konv::cuda
