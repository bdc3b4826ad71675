// konv's own threads: workers that spin for a moment after a loop, then sleep, and are made anew in a forked child.
//
// A loop never waits for a worker that has not joined it yet: the caller starts on the tasks at once, closes the loop
// when none is left, and waits only for workers that are inside. So a sleeper that wakes late costs nothing but its
// help.
//
// Each thread begins with a share of the tasks of its own, in their order, and then helps the others: what one loop has
// written, the next reads for the most part on the core whose cache has it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#  include <sched.h>
#endif

namespace konv {

class ThreadPool {
 public:
  ThreadPool();
  using Body = void (*)(void* context, int64_t task, int thread);
  // The pool of this process.
  static ThreadPool& instance();
  // Runs the tasks on at most `threads` threads, the caller being thread 0. A second loop at the same time, from
  // another Python thread or from within a task, runs on its caller alone. `enter` is called once in every other
  // thread.
  void run(int64_t tasks, int threads, Body body, void* context, void (*enter)(uint64_t), uint64_t enter_argument);

 private:
  struct Loop {
    std::atomic<int> threads;
    std::atomic<Body> body;
    std::atomic<void*> context;
    std::atomic<void (*)(uint64_t)> enter;
    std::atomic<uint64_t> enter_argument;
  };
  // Tasks [next, end).
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  // Of the current loop: its number, whether workers may still join, and how many are inside.
  static constexpr uint64_t kOne = 1, kOpen = uint64_t(1) << 20, kNumber = uint64_t(1) << 21;

  void add_workers(int count);
  void worker(int index);
  uint64_t wait_for_loop(uint64_t last, int index);
  void wake();
  void work(int thread);

  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::vector<std::thread::native_handle_type> workers_;
  bool exhausted_ = false;  // the system refused a thread
  alignas(64) Loop loop_{};
  std::vector<Share> shares_;  // for those inside the loop alone
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<int> sleeping_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<char> asleep_;  // workers in wait() that wake() has not steered yet; guarded by mutex_
#if defined(__linux__)
  cpu_set_t allowed_{};  // the processors that this process had when the pool was made
#endif
};

}  // namespace konv
