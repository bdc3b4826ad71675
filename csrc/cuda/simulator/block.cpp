#include "cuda/simulator/block.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>

#include "cuda/simulator/context.h"

#if defined(KONV_ADDRESS_SANITIZER)
#  include <pthread.h>
#  include <sanitizer/asan_interface.h>
#  include <sanitizer/common_interface_defs.h>
#endif

namespace konv::simulator {

thread_local Block* current_block = nullptr;

namespace {

#if defined(KONV_ADDRESS_SANITIZER)
constexpr int64_t kStack = 256 << 10;
#else
constexpr int64_t kStack = 64 << 10;
#endif
constexpr uint64_t kCanary = 0x5afe57ac5afe57acull;  // at a stack's end
constexpr int64_t kFewBlocks = 4;                    // that are not worth another worker

// Stacks for a block, kept for later ones: their pages are there already.
class Stacks {
 public:
  char* take() {
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        char* const stacks = idle_.back();
        idle_.pop_back();
        return stacks;
      }
    }
    void* const memory = mmap(nullptr, size_t(kStack * kMostThreads), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(memory);
  }
  void give(char* stacks) {
    std::lock_guard lock(mutex_);
    idle_.push_back(stacks);
  }

 private:
  std::mutex mutex_;
  std::vector<char*> idle_;
};
Stacks& stacks() {
  static Stacks* const all = new Stacks;
  return *all;
}

}  // namespace

Block::Block(Index g, Index b, int64_t shared_bytes)
    : grid(g), block(b), shared_bytes_(shared_bytes), count_(int(b.x * b.y * b.z)), stacks_(stacks().take()) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 1024, size_t(std::max<int64_t>(1, shared_bytes)))) throw std::bad_alloc();
  shared = static_cast<char*>(memory);
  threads_.resize(size_t(count_));
  warps_.resize(size_t((count_ + kWarpSize - 1) / kWarpSize));
  ready_.resize(size_t(count_));
  for (int t = 0; t < count_; t++) {
    threads_[size_t(t)].linear = t;
    threads_[size_t(t)].index = {unsigned(t) % b.x, unsigned(t) / b.x % b.y, unsigned(t) / b.x / b.y};
    std::memcpy(stacks_ + t * kStack, &kCanary, sizeof kCanary);
  }
}

Block::~Block() {
  std::free(shared);
  stacks().give(stacks_);
}

std::string Block::run(Index index, int64_t linear, void (*kernel)(const void*), const void* arguments) {
  block_index = index;
  kernel_ = kernel, arguments_ = arguments;
  std::memset(shared, 0xff, size_t(shared_bytes_));
  all_.expected = count_;
  all_.waiting.clear();
  for (size_t w = 0; w < warps_.size(); w++) {
    warps_[w].expected = std::min(kWarpSize, count_ - int(w) * kWarpSize);
    warps_[w].waiting.clear();
    warps_[w].lanes = {};
  }
  ready_first_ = ready_last_ = ready_count_ = 0;
  for (int i = 0; i < count_; i++) {
    const int t = linear % 2 ? i : count_ - 1 - i;
    Thread& thread = threads_[size_t(t)];
    thread.done = false;
    thread.group = 0;
    thread.copies.clear();
    thread.hidden_copies = false;
    thread.product_group = 0;
    thread.products.clear();
#if defined(KONV_ADDRESS_SANITIZER)
    __asan_unpoison_memory_region(stacks_ + t * kStack,
                                  size_t(kStack));  // the last thread's frames were left, not ended
#endif
    thread.context.stack_pointer = new_context(stacks_ + t * kStack, kStack, &Block::start);
    make_ready(t);
  }
  error_.clear();
  current_block = this;
  next();
  for (int t = 0; t < count_; t++)
    if (std::memcmp(stacks_ + t * kStack, &kCanary, sizeof kCanary)) error_ = "a thread's stack is full";
  return error_;
}

void Block::start() {
  Block& b = *current_block;
#if defined(KONV_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
  b.kernel_(b.arguments_);
  b.leave();
  std::abort();
}

void Block::leave() {
  running->done = true;
  Warp& warp = warps_[size_t(running->linear / kWarpSize)];
  // Who has returned is not waited for.
  warp.expected--;
  if (warp.expected && int(warp.waiting.size()) == warp.expected) complete(warp);
  all_.expected--;
  if (all_.expected && int(all_.waiting.size()) == all_.expected) release(all_);
  next();
}

void Block::switch_to(Context& from, Context& to, int thread) {
#if defined(KONV_ADDRESS_SANITIZER)
  static thread_local const void* main_bottom;
  static thread_local size_t main_size;
  void* fake = nullptr;
  const bool leaving_main = &from == &main_;
  __sanitizer_start_switch_fiber(&fake, thread < 0 ? main_bottom : stacks_ + thread * kStack,
                                 thread < 0 ? main_size : size_t(kStack));
  if (leaving_main) {
    pthread_attr_t attributes;
    void* bottom = nullptr;
    size_t size = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &bottom, &size);
    pthread_attr_destroy(&attributes);
    main_bottom = bottom, main_size = size;
  }
  konv_switch_context(&from.stack_pointer, to.stack_pointer);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
  (void)thread;
  konv_switch_context(&from.stack_pointer, to.stack_pointer);
#endif
}

void Block::next() {
  Context& from = running ? running->context : main_;
  if (ready_count_ == 0) {
    if (all_.expected > 0 && error_.empty())
      error_ = "threads wait where others of their block or warp never come: " + std::to_string(all_.waiting.size()) +
               " of " + std::to_string(all_.expected) + " are at the barrier";
    running = nullptr;
    return switch_to(from, main_, -1);
  }
  const int t = ready_[size_t(ready_first_)];
  ready_first_ = ready_first_ + 1 == int(ready_.size()) ? 0 : ready_first_ + 1;
  ready_count_--;
  Thread& thread = threads_[size_t(t)];
  if (running == &thread) return;
  running = &thread;
  switch_to(from, thread.context, t);
}

void Block::release(Meeting& meeting) {
  for (int t : meeting.waiting) make_ready(t);
  meeting.waiting.clear();
}

void Block::barrier() {
  if (int(all_.waiting.size()) + 1 == all_.expected) return release(all_);
  all_.waiting.push_back(running->linear);
  next();
}

void Block::complete(Warp& warp) {
  if (warp.operation) warp.operation(warp.lanes);
  warp.lanes = {};
  release(warp);
}

void Block::fail(const char* text) {
  error_ = text;
  // Nobody goes on: the block is over.
  Context& from = running->context;
  ready_count_ = 0;
  running = nullptr;
  switch_to(from, main_, -1);
}

void Block::warp(WarpOperation operation, const void* in, void* out) {
  Warp& warp = warps_[size_t(running->linear / kWarpSize)];
  if (!warp.waiting.empty() && warp.operation != operation) fail("the lanes of a warp make different calls");
  const int lane = running->linear % kWarpSize;
  warp.operation = operation;
  warp.lanes.in[lane] = in, warp.lanes.out[lane] = out;
  if (int(warp.waiting.size()) + 1 == warp.expected) return complete(warp);
  warp.waiting.push_back(running->linear);
  next();
}

std::string run_grid(Index grid, Index block, int64_t shared_bytes, void (*kernel)(const void*),
                     const void* arguments) {
  const int64_t count = int64_t(grid.x) * grid.y * grid.z;
  std::atomic<int64_t> taken{0};
  std::mutex mutex;
  std::string error;
  const auto work = [&] {
    Block b(grid, block, shared_bytes);
    for (int64_t i; (i = taken.fetch_add(1)) < count;) {
      const Index at{unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
      std::string wrong = b.run(at, i, kernel, arguments);
      if (wrong.empty()) continue;
      std::lock_guard lock(mutex);
      if (error.empty())
        error = "block (" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " + std::to_string(at.z) +
                "): " + wrong;
      taken = count;
    }
  };
  std::vector<std::thread> workers;
  const int64_t most = std::min<int64_t>(std::thread::hardware_concurrency(), count / kFewBlocks);
  for (int64_t i = 1; i < most; i++) workers.emplace_back(work);
  work();
  for (std::thread& w : workers) w.join();
  return error;
}

}  // namespace konv::simulator
