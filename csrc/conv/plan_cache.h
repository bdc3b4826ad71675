// Plans by their problems: least recently used ones leave first. The mutex guards a look-up, never a run.
#pragma once
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "conv/conv.h"

namespace konv {

class PlanCache {
 public:
  // `make(problem)` makes a plan that is not there, which another thread may do at the same time.
  template <class Make>
  std::shared_ptr<const ConvPlan> find(const ConvProblem& p, Make&& make) {
    {
      std::lock_guard lock(mutex_);
      if (auto it = index_.find(p); it != index_.end()) {
        hits_++;
        order_.splice(order_.begin(), order_, it->second);
        return it->second->second;
      }
      misses_++;
    }
    const std::shared_ptr<const ConvPlan> plan = make(p);
    std::lock_guard lock(mutex_);
    if (auto it = index_.find(p); it != index_.end()) return it->second->second;
    order_.emplace_front(p, plan);
    index_[p] = order_.begin();
    if (int64_t(order_.size()) > kCapacity) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    return plan;
  }
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  PlanCacheInfo info() {
    std::lock_guard lock(mutex_);
    return {int64_t(order_.size()), kCapacity, hits_, misses_};
  }
  void clear() {
    std::lock_guard lock(mutex_);
    index_.clear();
    order_.clear();
    hits_ = misses_ = 0;
  }

 private:
  static constexpr int64_t kCapacity = 512;
  using Entry = std::pair<ConvProblem, std::shared_ptr<const ConvPlan>>;
  std::mutex mutex_;
  std::list<Entry> order_;
  std::unordered_map<ConvProblem, std::list<Entry>::iterator, ConvProblemHash> index_;
  int64_t hits_ = 0, misses_ = 0;
};

}  // namespace konv
