#include "graph/program.h"

#include <utility>

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

AlignedBuffer Program::borrow() const {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      AlignedBuffer arena = std::move(idle_.back());
      idle_.pop_back();
      return arena;
    }
  }
  return AlignedBuffer(arena_bytes_);
}

void Program::give_back(AlignedBuffer arena) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(arena));
}

void Program::run(char* const* external, int64_t* times) const {
  AlignedBuffer arena = borrow();
  std::vector<char*> buffers = memory_;
  for (size_t i = 1; i < buffers.size(); i++)
    if (!buffers[i]) buffers[i] = *external++;
  buffers[kArena] = arena.data();
  for (const auto& step : steps_) {
    if (times) *times++ = now_ns();
    step->run(buffers.data());
    if (times) *times++ = now_ns();
  }
  give_back(std::move(arena));
}

}  // namespace konv
