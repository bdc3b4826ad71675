#include "graph/program.h"

#include <exception>
#include <utility>

#include "core/parallel.h"

namespace konv {

int Program::add_constant(AlignedBuffer memory) {
  constants_.push_back(std::move(memory));
  return add_bound(constants_.back().data());
}

int Program::add_bound(char* memory) {
  memory_.push_back(memory);
  return buffers() - 1;
}

int Program::add_external() { return add_bound(nullptr); }

void Program::add(std::unique_ptr<Step> step) {
  steps_.push_back(std::move(step));
  if (spans_.empty() || spans_.back().strand != strand_) spans_.push_back({strand_, steps_.size() - 1, 0});
  spans_.back().last = steps_.size();
}

AlignedBuffer Program::borrow() const {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      AlignedBuffer arena = std::move(idle_.back());
      idle_.pop_back();
      return arena;
    }
  }
  return AlignedBuffer(arena_bytes());
}

void Program::give_back(AlignedBuffer arena) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(arena));
}

void Program::run(char* const* external, StepTime* times) const {
  AlignedBuffer arena = borrow();
  Buffers buffers = memory_;
  for (size_t i = 0; i < buffers.size(); i++)
    if (is_external(int(i))) buffers[i] = *external++;
  buffers[kArena] = arena.data();
  for (size_t i = 0, next; i < spans_.size(); i = next) {
    next = i + 1;
    if (spans_[i].strand < 0) {
      run_steps(spans_[i], buffers, times, 0);
      continue;
    }
    while (next < spans_.size() && spans_[next].strand > 0) next++;
    run_strands(&spans_[i], int64_t(next - i), buffers, times);
  }
  give_back(std::move(arena));
}

void Program::run_steps(const Span& span, const Buffers& buffers, StepTime* times, int thread) const {
  for (size_t i = span.first; i < span.last; i++) {
    const int64_t begin = times ? now_ns() : 0;
    steps_[i]->run(buffers.data());
    if (times) times[i] = {begin, now_ns(), thread};
  }
}

void Program::run_strands(const Span* spans, int64_t count, const Buffers& buffers, StepTime* times) const {
  std::vector<Buffers> of_threads(size_t(threads_), buffers);
  for (int64_t i = 0; i < threads_; i++)
    of_threads[size_t(i)][kStrandArena] = buffers[kArena] + arena_bytes_ + i * strand_bytes_;
  std::mutex mutex;
  std::exception_ptr failure;
  parallel_for(count, threads_, [&](int64_t strand, int thread) {
    try {
      run_steps(spans[strand], of_threads[size_t(thread)], times, thread);
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
}

}  // namespace konv
