// Plans that compute one problem's result part by part, as one plan.
#pragma once
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/algorithm.h"

namespace konv {

class PlanSequence final : public ConvPlan {
 public:
  explicit PlanSequence(std::vector<std::unique_ptr<ConvPlan>> parts) : parts_(std::move(parts)) {
    for (const auto& part : parts_) {
      packed_at_.push_back(prepared_bytes);
      prepared_bytes += (part->prepared_bytes + 63) / 64 * 64;
      reads_weights = reads_weights || part->reads_weights;
      add_to_key(part->packed_key);
      workspace.shared = std::max(workspace.shared, part->workspace.shared);
      workspace.per_thread = std::max(workspace.per_thread, part->workspace.per_thread);
      threads = std::max(threads, part->threads);
    }
  }

  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    for (size_t i = 0; i < parts_.size(); i++) parts_[i]->prepare(tensors, packed + packed_at_[i]);
  }
  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    for (size_t i = 0; i < parts_.size(); i++) parts_[i]->run(tensors, packed + packed_at_[i], ws);
  }

 private:
  std::vector<std::unique_ptr<ConvPlan>> parts_;
  std::vector<int64_t> packed_at_;
};

}  // namespace konv
