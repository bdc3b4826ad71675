// Device memory that waits for the next request of its size, in the order of streams. Both runtimes use it; what they
// know better is `Driver`: raw memory, and events that say whether a stream has come so far.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cuda/runtime.h"

namespace konv::cuda {

template <class Driver>
class MemoryPool {
 public:
  // Calls of the driver that wait for the device are made without the lock, which other threads may want at once.
  void* allocate(Queue queue, int64_t bytes) {
    if (void* const memory = allocate_idle(queue, bytes)) return memory;
    const int64_t size = rounded(bytes);
    void* memory = Driver::allocate(queue.device, size);
    if (!memory) {
      release_idle();
      memory = Driver::allocate(queue.device, size);
    }
    if (!memory)
      throw OutOfMemory(Driver::allocation_call(size) + ": out of memory on device " + std::to_string(queue.device));
    std::lock_guard lock(mutex_);
    used_[memory] = size;
    used_bytes_ += size;
    return memory;
  }

  void* allocate_idle(Queue queue, int64_t bytes) {
    const int64_t size = rounded(bytes);
    std::lock_guard lock(mutex_);
    auto& idle = idle_[queue.device];
    // The smallest that is not much too large: the stream's own at once, others' once all who used it are through.
    for (auto it = idle.lower_bound(size); it != idle.end() && it->first <= size + size / 4; ++it) {
      Block& block = it->second;
      const bool own = block.stream == queue.stream && block.stream != kStreamOfThread && block.events.empty();
      if (!own && !is_free(queue.device, block)) continue;
      // A stream that is gone may have left its address to this one.
      if (own) Driver::wait(queue, block.own);
      void* const memory = block.memory;
      forget(queue.device, block);
      idle_bytes_ -= it->first, used_bytes_ += it->first;
      used_[memory] = it->first;
      idle.erase(it);
      return memory;
    }
    return nullptr;
  }

  void release(Queue queue, void* memory, const std::vector<void*>& others) noexcept {
    std::lock_guard lock(mutex_);
    const auto found = used_.find(memory);
    if (found == used_.end()) return;
    const int64_t size = found->second;
    used_.erase(found);
    used_bytes_ -= size, idle_bytes_ += size;
    Block block{memory, queue.stream, Driver::record(queue), {}};
    for (void* stream : others)
      if (stream != queue.stream) block.events.push_back(Driver::record({queue.device, stream}));
    idle_[queue.device].emplace(size, std::move(block));
  }

  void release_idle() noexcept {
    std::lock_guard one(releasing_);  // who is late finds the memory given back
    decltype(idle_) all;
    {
      std::lock_guard lock(mutex_);
      all.swap(idle_);
      idle_bytes_ = 0;
    }
    for (auto& [device, blocks] : all)
      for (auto& [size, block] : blocks) {
        forget(device, block);
        Driver::release(device, block.memory);  // waits for the device
      }
  }
  MemoryInfo info() {
    std::lock_guard lock(mutex_);
    return {used_bytes_, idle_bytes_};
  }

 private:
  using Event = typename Driver::Event;
  struct Block {
    void* memory;
    void* stream;
    Event own;                  // where `stream` was when it gave the block back
    std::vector<Event> events;  // and others
  };

  static int64_t rounded(int64_t bytes) {
    const int64_t step = bytes < (1 << 20) ? 512 : 1 << 21;
    return (bytes + step - 1) / step * step;
  }
  static bool is_free(int device, const Block& block) {
    if (!Driver::passed(device, block.own)) return false;
    for (const Event& e : block.events)
      if (!Driver::passed(device, e)) return false;
    return true;
  }
  static void forget(int device, Block& block) noexcept {
    Driver::destroy(device, block.own);
    for (Event& e : block.events) Driver::destroy(device, e);
  }

  std::mutex mutex_, releasing_;
  std::map<int, std::multimap<int64_t, Block>> idle_;
  std::unordered_map<void*, int64_t> used_;
  int64_t used_bytes_ = 0, idle_bytes_ = 0;
};

}  // namespace konv::cuda
