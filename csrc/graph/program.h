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

class Program {
 public:
  static constexpr int kArena = 0;
  explicit Program(int64_t arena_bytes) : arena_bytes_(arena_bytes) {}

  // Number of a buffer that the program keeps, or that each run is given, in the order of these calls.
  int add_constant(AlignedBuffer memory);
  int add_bound(char* memory);  // the caller's, who keeps it as long as the program
  int add_external();
  void add(std::unique_ptr<Step> step) { steps_.push_back(std::move(step)); }

  // `times`, if any, has room for two a step: when it began and when it ended.
  void run(char* const* external, int64_t* times = nullptr) const;

  const std::vector<std::unique_ptr<Step>>& steps() const { return steps_; }
  int64_t arena_bytes() const { return arena_bytes_; }
  int buffers() const { return int(memory_.size()); }
  bool is_external(int buffer) const { return buffer != kArena && !memory_[size_t(buffer)]; }

 private:
  AlignedBuffer borrow() const;
  void give_back(AlignedBuffer arena) const;

  int64_t arena_bytes_;
  std::vector<AlignedBuffer> constants_;
  std::vector<char*> memory_{nullptr};  // by buffer: null for the arena and for externals
  std::vector<std::unique_ptr<Step>> steps_;
  mutable std::mutex mutex_;
  mutable std::vector<AlignedBuffer> idle_;
};

}  // namespace konv
