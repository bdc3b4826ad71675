// A process that has used a device and forks: its child can neither use the driver nor give memory back to it.
#pragma once
#include <pthread.h>

#include <atomic>

#include "cuda/runtime.h"

namespace konv::cuda {

inline std::atomic<bool> process_uses_device{false}, process_is_child{false};

// Called by whatever talks to the driver first.
inline void use_device() {
  if (process_is_child.load(std::memory_order_relaxed))
    throw Failure(
        "konv.cuda was used before this process was forked, and CUDA does not survive a fork; start processes with "
        "multiprocessing's 'spawn' or 'forkserver' method, or use konv.cuda first in the child");
  if (process_uses_device.load(std::memory_order_relaxed)) return;
  static const int once = pthread_atfork(nullptr, nullptr, [] {
    if (process_uses_device) process_is_child = true;
  });
  (void)once;
  process_uses_device = true;
}

}  // namespace konv::cuda
