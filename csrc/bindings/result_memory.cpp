#include "bindings/result_memory.h"

#include <mutex>
#include <vector>

#include "core/buffer.h"

namespace konv {

namespace {

// What waits for a next result: bytes of each, the allocator keeps smaller ones itself; of all; and how many.
constexpr int64_t kSmallestIdle = int64_t(1) << 20, kMostIdle = int64_t(64) << 20;
constexpr size_t kMostIdleBuffers = 8;

struct Idle {
  std::mutex mutex;
  std::vector<AlignedBuffer> buffers;  // in the order of their coming
  int64_t bytes = 0;
};
// Never destroyed: results may outlive static objects.
Idle& idle() {
  static Idle* const all = new Idle;
  return *all;
}

}  // namespace

char* take_result_memory(int64_t bytes) {
  if (bytes >= kSmallestIdle) {
    Idle& all = idle();
    std::lock_guard lock(all.mutex);
    const int64_t size = AlignedBuffer::rounded(bytes);
    for (size_t i = all.buffers.size(); i-- > 0;)
      if (all.buffers[i].size() == size) {
        char* memory = all.buffers[i].release();
        all.buffers.erase(all.buffers.begin() + int64_t(i));
        all.bytes -= size;
        return memory;
      }
  }
  return AlignedBuffer(bytes).release();
}

void give_result_memory(char* memory, int64_t bytes) {
  AlignedBuffer buffer = AlignedBuffer::adopt(memory, bytes);
  if (buffer.size() < kSmallestIdle || buffer.size() > kMostIdle) return;
  Idle& all = idle();
  std::lock_guard lock(all.mutex);
  all.bytes += buffer.size();
  all.buffers.push_back(std::move(buffer));
  while (all.bytes > kMostIdle || all.buffers.size() > kMostIdleBuffers) {
    all.bytes -= all.buffers.front().size();
    all.buffers.erase(all.buffers.begin());
  }
}

}  // namespace konv
