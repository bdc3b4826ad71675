#include "cuda/graph/program.h"

#include <algorithm>
#include <utility>

namespace konv::cuda {

Program::~Program() {
  if (is_forked_child()) return;
  try {
    for (const auto& [stream, event] : uses_) wait_for_event(resident_queue(device_), event.get());
  } catch (const Failure&) {  // the driver is gone, or broken for good
  }
}

int Program::add_constant(const void* data, int64_t bytes) {
  Memory memory(resident_queue(device_), std::max<int64_t>(bytes, 1));
  copy_to_device(resident_queue(device_), memory.data(), data, bytes);
  memory_.push_back(memory.data());
  constants_.push_back(std::move(memory));
  return int(memory_.size()) - 1;
}

int Program::add_external() {
  memory_.push_back(nullptr);
  return int(memory_.size()) - 1;
}

void Program::add(std::unique_ptr<Step> step) {
  scratch_bytes_ = std::max(scratch_bytes_, step->scratch_bytes());
  steps_.push_back(std::move(step));
}

void Program::settle() const {
  std::call_once(settled_, [this] { synchronize(resident_queue(device_)); });
}

void Program::note_use(Queue queue) const {
  const std::lock_guard lock(mutex_);
  const auto found = uses_.find(queue.stream);
  if (found == uses_.end()) {
    Event event(device_);
    record_event(queue, event.get());
    uses_.emplace(queue.stream, std::move(event));
    return;
  }
  wait_for_event(queue, found->second.get());  // of an earlier stream, perhaps, that had the same address
  record_event(queue, found->second.get());
}

void Program::run(Queue queue, char* const* external, std::vector<double>* seconds) const {
  check_process();
  settle();
  const int64_t arena = rounded_bytes(arena_bytes_);
  const Memory memory(queue, arena + scratch_bytes_);
  std::vector<char*> buffers = memory_;
  for (size_t i = 1; i < buffers.size(); i++)
    if (!buffers[i]) buffers[i] = *external++;
  buffers[kArena] = memory.data();
  std::vector<Event> moments;
  for (size_t i = 0; seconds && i <= steps_.size(); i++) moments.emplace_back(device_, true);
  note_use(queue);  // what can be recorded now can be recorded later
  try {
    if (seconds) record_event(queue, moments[0].get());
    for (size_t i = 0; i < steps_.size(); i++) {
      steps_[i]->run(queue, buffers.data(), memory.data() + arena);
      if (seconds) record_event(queue, moments[i + 1].get());
    }
  } catch (...) {
    note_use(queue);
    throw;
  }
  note_use(queue);
  if (!seconds) return;
  for (size_t i = 0; i < steps_.size(); i++)
    for (size_t at : {i, i + 1}) seconds->push_back(seconds_between(device_, moments[0].get(), moments[at].get()));
}

}  // namespace konv::cuda
