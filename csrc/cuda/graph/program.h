// A network on a device: graph/program.h's steps for a stream. Running it only starts work; nothing waits between
// steps.
//
// What stays (constants, packed weights) belongs to the device's legacy default stream, which has written it before the
// first run, so that any stream may read it. Each run borrows an arena of its stream, scratch included, before anything
// starts. A program that goes lets the default stream wait for all runs, so what stays outlives them.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/runtime.h"
#include "graph/program.h"

namespace konv::cuda {

inline Queue resident_queue(int device) { return {device, nullptr}; }
inline int64_t rounded_bytes(int64_t bytes) { return (bytes + 511) / 512 * 512; }

class Step {
 public:
  virtual ~Step() = default;
  // `buffers` and `scratch` are aligned to 16 bytes at least; the latter has scratch_bytes().
  virtual void run(Queue queue, char* const* buffers, char* scratch) const = 0;
  virtual int64_t scratch_bytes() const { return 0; }
  virtual konv::StepInfo info() const = 0;
};

class Program {
 public:
  static constexpr int kArena = konv::Program::kArena;
  Program(int device, int64_t arena_bytes) : device_(device), arena_bytes_(arena_bytes) {}
  ~Program();
  Program(const Program&) = delete;

  // Numbers of buffers, as in graph/program.h.
  int add_constant(const void* data, int64_t bytes);
  int add_external();
  void add(std::unique_ptr<Step> step);

  // `queue` is of the program's device. `seconds`, if any, gets the moments at which steps begin and end, two a step,
  // from the first one's beginning; then the call waits.
  void run(Queue queue, char* const* external, std::vector<double>* seconds = nullptr) const;

  int device() const { return device_; }
  int64_t arena_bytes() const { return arena_bytes_; }
  const std::vector<std::unique_ptr<Step>>& steps() const { return steps_; }
  bool is_external(int buffer) const { return buffer != kArena && !memory_[size_t(buffer)]; }

 private:
  void settle() const;
  void note_use(Queue queue) const;

  int device_;
  int64_t arena_bytes_, scratch_bytes_ = 0;
  std::vector<Memory> constants_;
  std::vector<char*> memory_{nullptr};  // by buffer: null for the arena and for externals
  std::vector<std::unique_ptr<Step>> steps_;
  mutable std::once_flag settled_;
  mutable std::mutex mutex_;
  mutable std::map<void*, Event> uses_;  // the newest run of each stream
};

}  // namespace konv::cuda
