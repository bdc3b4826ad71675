// A block of threads on the CPU: each thread is a fiber, a stack of its own that gives way only where threads meet.
//
// Threads run one at a time, from one meeting to the next: a barrier, or an operation of a warp, which the last thread
// to arrive carries out for all. Blocks of even index start their threads from the last, others from the first, so that
// a missing barrier shows in one or the other. A block whose threads wait for others that never come is an error.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

// GCC says so by a macro, Clang by a feature.
#if defined(__SANITIZE_ADDRESS__)
#  define KONV_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define KONV_ADDRESS_SANITIZER 1
#  endif
#endif

namespace konv::simulator {

struct Index {
  unsigned x = 1, y = 1, z = 1;
};

constexpr int kWarpSize = 32, kMostThreads = 1024;

// What each lane brings to an operation of its warp and takes from it; null for lanes that have returned.
struct Lanes {
  const void* in[kWarpSize];
  void* out[kWarpSize];
};
using WarpOperation = void (*)(const Lanes&);

// cp.async: what was asked for and not yet done.
struct PendingCopy {
  void* to;
  const void* from;  // null: zeros
  int bytes;
  int group;
};

// wgmma: what is asked for and not yet waited for, and a digest of what it reads.
struct PendingProduct {
  uint64_t a, b;
  int columns;
  uint64_t read;
  int group;
};

struct Context {
  void* stack_pointer = nullptr;
};

struct Thread {
  Context context;
  Index index;
  int linear = 0;
  bool done = false;
  int group = 0;  // of copies that is open
  std::vector<PendingCopy> copies;
  bool hidden_copies = false;  // there are some that warpgroups' products do not see yet
  int product_group = 0;
  std::vector<PendingProduct> products;
};

// The threads of a block, and where the running one is. Blocks run one after another on one worker.
class Block {
 public:
  Block(Index grid, Index block, int64_t shared_bytes);
  ~Block();
  Block(const Block&) = delete;
  // Empty, or what went wrong.
  std::string run(Index index, int64_t linear, void (*kernel)(const void*), const void* arguments);

  // For the running thread.
  void barrier();
  void warp(WarpOperation operation, const void* in, void* out);

  Index grid, block, block_index;
  char* shared = nullptr;
  Thread* running = nullptr;

 private:
  struct Meeting {
    int expected = 0;
    std::vector<int> waiting;
  };
  struct Warp : Meeting {
    WarpOperation operation = nullptr;
    Lanes lanes{};
  };

  static void start();
  void leave();                    // the running thread is done
  void next();                     // to the next ready thread, or back to run
  void release(Meeting& meeting);  // those that wait become ready
  void complete(Warp& warp);
  void fail(const char* text);
  void switch_to(Context& from, Context& to, int thread);
  void make_ready(int thread) {
    ready_[size_t(ready_last_)] = thread;
    ready_last_ = ready_last_ + 1 == int(ready_.size()) ? 0 : ready_last_ + 1;
    ready_count_++;
  }

  int64_t shared_bytes_;
  int count_;
  char* stacks_;
  Context main_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  Meeting all_;
  std::vector<int> ready_;  // a ring
  int ready_first_ = 0, ready_last_ = 0, ready_count_ = 0;
  void (*kernel_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  std::string error_;
};

// The block that this worker runs. Fibers never change workers.
extern thread_local Block* current_block;

// Runs all blocks of a grid; empty, or what went wrong.
std::string run_grid(Index grid, Index block, int64_t shared_bytes, void (*kernel)(const void*), const void* arguments);

}  // namespace konv::simulator
