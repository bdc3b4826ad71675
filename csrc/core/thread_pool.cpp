#include "core/thread_pool.h"

#include <algorithm>
#include <chrono>
#include <exception>

#if defined(__unix__) || defined(__APPLE__)
#  include <pthread.h>
#endif

namespace konv {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(100);

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

std::atomic<ThreadPool*> pool{nullptr};

// The child of a fork has none of the parent's threads: it starts again with a new pool.
void forget_pool() { pool.store(nullptr); }

}  // namespace

ThreadPool& ThreadPool::instance() {
  static const bool registered = [] {
#if defined(__unix__) || defined(__APPLE__)
    pthread_atfork(nullptr, nullptr, forget_pool);
#endif
    return true;
  }();
  (void)registered;
  ThreadPool* p = pool.load();
  if (!p) {
    ThreadPool* fresh = new ThreadPool;  // never destroyed: its threads end with the process
    if (pool.compare_exchange_strong(p, fresh))
      p = fresh;
    else
      delete fresh;
  }
  return *p;
}

ThreadPool::ThreadPool() {
#if defined(__linux__)
  sched_getaffinity(0, sizeof allowed_, &allowed_);
#endif
}

void ThreadPool::run(int64_t tasks, int threads, Body body, void* context, void (*enter)(uint64_t),
                     uint64_t enter_argument) {
  if (busy_.test_and_set(std::memory_order_acquire)) {
    for (int64_t i = 0; i < tasks; i++) body(context, i, 0);
    return;
  }
  add_workers(threads - 1);
  if (shares_.size() < size_t(threads)) shares_ = std::vector<Share>(size_t(threads));
  for (int64_t i = 0; i < threads; i++) {
    shares_[size_t(i)].next.store(tasks * i / threads, std::memory_order_relaxed);
    shares_[size_t(i)].end = tasks * (i + 1) / threads;
  }
  loop_.threads = threads;
  loop_.body = body, loop_.context = context;
  loop_.enter = enter, loop_.enter_argument = enter_argument;
  state_.store((state_.load() / kNumber + 1) * kNumber + kOpen);
  if (sleeping_.load() > 0) wake();
  work(0);
  state_.fetch_and(~kOpen);
  for (int64_t spins = 0; state_.load() % kOpen != 0; spins++) {
    if (spins < 20000)
      pause();
    else
      std::this_thread::yield();
  }
  busy_.clear(std::memory_order_release);
}

void ThreadPool::work(int thread) {
  const int threads = loop_.threads.load(std::memory_order_relaxed);
  const Body body = loop_.body.load(std::memory_order_relaxed);
  void* const context = loop_.context.load(std::memory_order_relaxed);
  for (int i = 0; i < threads; i++) {
    Share& share = shares_[size_t((thread + i) % threads)];
    int64_t task;
    while ((task = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end) body(context, task, thread);
  }
}

void ThreadPool::add_workers(int count) {
  while (int(workers_.size()) < count && !exhausted_) {
    const int index = int(workers_.size());
    try {
      workers_.reserve(workers_.size() + 1);
      std::thread t([this, index] { worker(index); });
      workers_.push_back(t.native_handle());
      t.detach();
    } catch (const std::exception&) {  // a limit on threads: go on with those there are
      exhausted_ = true;
    }
  }
}

void ThreadPool::worker(int index) {
  uint64_t seen = 0;
  for (;;) {
    uint64_t state = wait_for_loop(seen, index);
    seen = state / kNumber;
    while ((state & kOpen) && state / kNumber == seen && index + 1 < loop_.threads.load()) {
      if (!state_.compare_exchange_weak(state, state + kOne)) continue;
      loop_.enter.load()(loop_.enter_argument.load());
      work(index + 1);
      state_.fetch_sub(kOne);
      break;
    }
  }
}

// The state, once it belongs to a later loop than `last` that has a place for worker `index`.
uint64_t ThreadPool::wait_for_loop(uint64_t last, int index) {
  const auto wanted = [&] { return state_.load() / kNumber != last && index + 1 < loop_.threads.load(); };
  const auto end = Clock::now() + kSpin;
  for (int i = 1;; i++) {
    if (wanted()) return state_.load();
    pause();
    if (i % 64 == 0 && Clock::now() > end) break;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  asleep_.resize(std::max(asleep_.size(), size_t(index) + 1));
  asleep_[size_t(index)] = true;
  sleeping_++;
  wake_.wait(lock, wanted);
  sleeping_--;
#if defined(__linux__)
  // wake() narrows the processors of sleepers; from here the thread may move again.
  if (!asleep_[size_t(index)]) sched_setaffinity(0, sizeof allowed_, &allowed_);
#endif
  asleep_[size_t(index)] = false;
  return state_.load();
}

void ThreadPool::wake() {
#if defined(__linux__)
  // Left to itself the kernel may queue a sleeper behind the caller, on the processor that the caller keeps busy.
  std::lock_guard<std::mutex> lock(mutex_);
  cpu_set_t others = allowed_;
  if (const int here = sched_getcpu(); here >= 0) CPU_CLR(here, &others);
  const size_t wanted = size_t(loop_.threads.load() - 1);
  for (size_t i = 0; CPU_COUNT(&others) > 0 && i < std::min({wanted, asleep_.size(), workers_.size()}); i++)
    if (asleep_[i]) {
      pthread_setaffinity_np(workers_[i], sizeof others, &others);
      asleep_[i] = false;
    }
#else
  std::lock_guard<std::mutex> lock(mutex_);
#endif
  wake_.notify_all();
}

}  // namespace konv
