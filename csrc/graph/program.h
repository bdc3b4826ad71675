// A network whose shapes are known: steps that run one after another on planned memory.
//
// What makes a program of a graph is Python's business (konv.graph): which steps, which order of memory, what lies
// where in the arena. A program never changes once it runs, so any number of threads may run it at once: each run
// borrows an arena of its own. Constants (packed weights among them) are shared.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/problem.h"

namespace konv {

constexpr int kMaxRank = 8;

// An array in one of a program's buffers. Strides count elements; those of axes of one element mean nothing.
struct Operand {
  int buffer = -1;     // -1: none
  int64_t offset = 0;  // bytes
  DType dtype = DType::f32;
  int rank = 0;
  int64_t shape[kMaxRank] = {}, strides[kMaxRank] = {};
  float scale = 0;  // of quantised bytes, which stand for (byte - zero) * scale
  int32_t zero = 0;

  explicit operator bool() const { return buffer >= 0; }
  template <class T = void>
  T* in(char* const* buffers) const {
    return buffer < 0 ? nullptr : reinterpret_cast<T*>(buffers[buffer] + offset);
  }
  int64_t elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= shape[i];
    return n;
  }
};

struct StepInfo {
  std::string kind;    // "conv", "max_pool", ...
  std::string detail;  // the algorithm, or the expression
  double flops = 0;
  int64_t weight_bytes = 0, workspace_bytes = 0;
};

class Step {
 public:
  virtual ~Step() = default;
  virtual void run(char* const* buffers) const = 0;
  virtual StepInfo info() const = 0;
};

// Nanoseconds since a moment of the machine's own.
inline int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct StepTime {
  int64_t begin, end;  // now_ns()
  int thread;
};

// Steps run one after another, but for groups of strands. Steps that are added for strands 0, 1, 2 and so on make a
// group, whose strands run beside one another, each on one thread; the next strand 0 begins a group that runs later.
class Program {
 public:
  static constexpr int kArena = 0, kStrandArena = 1;
  // Steps of strands have `strand_bytes` of their own, of which each of the `threads` that strands run on has one copy:
  // what one strand leaves there no other may read.
  explicit Program(int64_t arena_bytes, int64_t strand_bytes = 0, int threads = 1)
      : arena_bytes_(arena_bytes), strand_bytes_(strand_bytes), threads_(threads) {}

  // Number of a buffer that the program keeps, or that each run is given, in the order of these calls.
  int add_constant(AlignedBuffer memory);
  int add_bound(char* memory);  // the caller's, who keeps it as long as the program
  int add_external();
  void add(std::unique_ptr<Step> step);
  // To which strand the steps belong that are added from now on; -1: none.
  void set_strand(int strand) { strand_ = strand; }

  // `times`, if any, has room for one a step.
  void run(char* const* external, StepTime* times = nullptr) const;

  const std::vector<std::unique_ptr<Step>>& steps() const { return steps_; }
  int64_t arena_bytes() const { return arena_bytes_ + strand_bytes_ * threads_; }
  int buffers() const { return int(memory_.size()); }
  bool is_external(int buffer) const { return buffer > kStrandArena && !memory_[size_t(buffer)]; }

 private:
  // Steps [first, last) of one strand, or of none.
  struct Span {
    int strand;
    size_t first, last;
  };
  using Buffers = std::vector<char*>;
  void run_steps(const Span& span, const Buffers& buffers, StepTime* times, int thread) const;
  void run_strands(const Span* spans, int64_t count, const Buffers& buffers, StepTime* times) const;
  AlignedBuffer borrow() const;
  void give_back(AlignedBuffer arena) const;

  int64_t arena_bytes_, strand_bytes_;
  int threads_, strand_ = -1;
  std::vector<AlignedBuffer> constants_;
  std::vector<char*> memory_{nullptr, nullptr};  // by buffer: null for the arenas and for externals
  std::vector<std::unique_ptr<Step>> steps_;
  std::vector<Span> spans_;
  mutable std::mutex mutex_;
  mutable std::vector<AlignedBuffer> idle_;
};

}  // namespace konv
