// The runtime on the CPU: device memory is malloc's, so that AddressSanitizer watches it, and everything is done before
// a call returns. Tests say how many devices there are and which calls fail.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <set>

#include "cuda/memory_pool.h"
#include "cuda/process.h"
#include "cuda/runtime.h"
#include "cuda/simulator/block.h"
#include "cuda/simulator/control.h"

#if defined(KONV_ADDRESS_SANITIZER)
#  include <malloc.h>
#  include <sanitizer/asan_interface.h>
#endif

namespace konv::cuda {

namespace {

// For AddressSanitizer: so many bytes of a piece of memory are in use. The rest is the pool's.
void guard(void* memory, int64_t used) noexcept {
#if defined(KONV_ADDRESS_SANITIZER)
  ASAN_POISON_MEMORY_REGION(memory, malloc_usable_size(memory));
  ASAN_UNPOISON_MEMORY_REGION(memory, size_t(used));
#else
  (void)memory, (void)used;
#endif
}

std::mutex mutex;
simulator::Settings settings;
std::set<std::pair<int, void*>> streams;
std::map<const char*, std::pair<int64_t, int>> blocks;  // of the devices' memory: bytes, device

// When a stream came somewhere, by a count of all such moments. Kernels have run by then, but tests may say that
// nobody knows before he has waited.
struct Moment {
  Queue queue;
  int64_t number;
};
int64_t moments;
std::map<std::pair<int, void*>, int64_t> waited_for;

Moment moment(Queue queue) {
  std::lock_guard lock(mutex);
  return {queue, ++moments};
}
bool is_past(const Moment& m) {
  std::lock_guard lock(mutex);
  return !settings.unfinished || m.number <= waited_for[{m.queue.device, m.queue.stream}];
}
int waiting;
std::condition_variable settings_changed;
void wait_if_told() {
  std::unique_lock lock(mutex);
  ++waiting;
  settings_changed.wait_for(lock, std::chrono::seconds(10), [] { return !settings.waits; });
  --waiting;
}
void wait_for(Queue queue) {
  wait_if_told();
  std::lock_guard lock(mutex);
  waited_for[{queue.device, queue.stream}] = ++moments;
}

// Counts the calls of a kind that a test wants to see fail.
bool fails(const std::string& call) {
  std::lock_guard lock(mutex);
  return settings.failing_call == call && settings.calls_before_failure-- == 0;
}

struct Driver {
  using Event = Moment;
  static void* allocate(int device, int64_t bytes) {
    if (fails("allocate")) return nullptr;
    {
      std::lock_guard lock(mutex);
      if (settings.failing_call == "allocate" && settings.calls_before_failure < 0) return nullptr;
    }
    void* memory = nullptr;
    if (posix_memalign(&memory, 256, size_t(bytes))) return nullptr;
    std::memset(memory, 0xff, size_t(bytes));
    std::lock_guard lock(mutex);
    blocks[static_cast<char*>(memory)] = {bytes, device};
    return memory;
  }
  static void release(int, void* memory) noexcept {
    wait_if_told();
    {
      std::lock_guard lock(mutex);
      blocks.erase(static_cast<char*>(memory));
    }
    std::free(memory);
  }
  static std::string allocation_call(int64_t bytes) { return "cudaMalloc of " + std::to_string(bytes) + " bytes"; }
  static Event record(Queue queue) noexcept { return moment(queue); }
  static bool passed(int, const Event& event) { return is_past(event); }
  static void wait(Queue, const Event&) {}
  static void destroy(int, const Event&) noexcept {}
};

MemoryPool<Driver>& pool() {
  static auto* const p = new MemoryPool<Driver>;
  return *p;
}

void check_call(Queue queue, const char* name) {
  use_device();
  std::lock_guard lock(mutex);
  if (queue.device < 0 || queue.device >= settings.devices)
    throw Failure(std::string(name) + ": invalid device ordinal " + std::to_string(queue.device));
  if (queue.stream && reinterpret_cast<uintptr_t>(queue.stream) > 2 && !streams.count({queue.device, queue.stream}))
    throw Failure(std::string(name) + ": invalid resource handle (a stream of another device, or of none)");
}
void* fresh(void* memory, int64_t bytes) {
  guard(memory, bytes);
  std::memset(memory, 0xff, size_t(bytes));  // reused memory, too, holds NaN
  return memory;
}
void check_failure(const char* call, const std::string& what) {
  if (fails(call)) throw Failure(what + ": unspecified launch failure (simulated)");
}

}  // namespace

int device_count() {
  use_device();
  std::lock_guard lock(mutex);
  return settings.devices;
}
std::string unavailable_reason() { return device_count() ? "" : "the simulator was told to have no device"; }

const DeviceInfo& device_info(int) {
  static const DeviceInfo info{"simulated device", 8, 0, 4, 227 << 10, int64_t(1) << 32};
  return info;
}
void check_process() { use_device(); }
bool is_forked_child() noexcept { return process_is_child; }

void* allocate(Queue queue, int64_t bytes) {
  check_call(queue, "cudaMalloc");
  return fresh(pool().allocate(queue, bytes), bytes);
}
void* allocate_idle(Queue queue, int64_t bytes) {
  check_call(queue, "cudaMalloc");
  void* const memory = pool().allocate_idle(queue, bytes);
  return memory ? fresh(memory, bytes) : nullptr;
}
void release(Queue queue, void* memory, const std::vector<void*>& others) noexcept {
  if (process_is_child) return;
  guard(memory, 0);
  pool().release(queue, memory, others);
}
MemoryInfo memory_info() { return pool().info(); }
void release_idle() {
  use_device();
  pool().release_idle();
}

int device_of(const void* memory) {
  use_device();
  std::lock_guard lock(mutex);
  auto after = blocks.upper_bound(static_cast<const char*>(memory));
  if (after == blocks.begin()) return kNoDevice;
  const auto& [start, block] = *--after;
  return static_cast<const char*>(memory) < start + block.first ? block.second : kNoDevice;
}

void copy_to_device(Queue queue, void* to, const void* from, int64_t bytes) {
  check_call(queue, "cudaMemcpyAsync");
  check_failure("copy", "cudaMemcpyAsync to the device");
  if (bytes) std::memcpy(to, from, size_t(bytes));
  wait_for(queue);
}
void copy_to_host(Queue queue, void* to, const void* from, int64_t bytes) {
  check_call(queue, "cudaMemcpyAsync");
  check_failure("copy", "cudaMemcpyAsync to the host");
  if (bytes) std::memcpy(to, from, size_t(bytes));
  wait_for(queue);
}
void copy_on_device(Queue queue, void* to, const void* from, int64_t bytes) {
  check_call(queue, "cudaMemcpyAsync");
  if (bytes) std::memcpy(to, from, size_t(bytes));
}
void fill_bytes(Queue queue, void* to, int value, int64_t bytes) {
  check_call(queue, "cudaMemsetAsync");
  if (bytes) std::memset(to, value, size_t(bytes));
}
void synchronize(Queue queue) {
  check_call(queue, "cudaStreamSynchronize");
  wait_for(queue);
}
void order(Queue earlier, Queue later) {
  check_call(earlier, "cudaEventRecord");
  check_call(later, "cudaStreamWaitEvent");
}
void* create_stream(int device) {
  check_call({device, nullptr}, "cudaStreamCreate");
  void* const stream = std::malloc(64);
  std::lock_guard lock(mutex);
  streams.insert({device, stream});
  return stream;
}
void destroy_stream(int device, void* stream) {
  std::lock_guard lock(mutex);
  if (streams.erase({device, stream})) std::free(stream);
}

namespace {

struct Recorded {
  std::chrono::steady_clock::time_point time;
  Moment moment;
};
Recorded& event_at(void* event) { return *static_cast<Recorded*>(event); }

}  // namespace

void* create_event(int device, bool) {
  check_call({device, nullptr}, "cudaEventCreate");
  return new Recorded{};
}
void destroy_event(int, void* event) noexcept { delete static_cast<Recorded*>(event); }
void record_event(Queue queue, void* event) {
  check_call(queue, "cudaEventRecord");
  event_at(event) = {std::chrono::steady_clock::now(), moment(queue)};
}
bool has_passed(int, void* event) { return is_past(event_at(event).moment); }
void wait_for_event(Queue later, void*) { check_call(later, "cudaStreamWaitEvent"); }
double seconds_between(int, void* from, void* to) {
  return std::chrono::duration<double>(event_at(to).time - event_at(from).time).count();
}

namespace detail {

void before_launch(Queue queue, const char* name, Dim grid, Dim block, int64_t shared_bytes) {
  const std::string what = std::string("launch of ") + name;
  check_call(queue, what.c_str());
  check_failure("launch", what);
  const int64_t threads = int64_t(block.x) * block.y * block.z;
  if (threads < 1 || threads > 1024 || block.z > 64 || grid.x < 1 || grid.x > 2147483647u || grid.y < 1 ||
      grid.y > 65535 || grid.z < 1 || grid.z > 65535)
    throw Failure(what + ": invalid configuration argument");
  if (shared_bytes > device_info(queue.device).shared_bytes)
    throw Failure(what + ": " + std::to_string(shared_bytes) + " bytes of shared memory are too many");
}

void simulate_kernel(Queue, const char* name, Dim grid, Dim block, int64_t shared_bytes, void (*kernel)(const void*),
                     const void* arguments) {
  const std::string error =
      simulator::run_grid({grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes, kernel, arguments);
  if (!error.empty()) throw Failure(std::string("launch of ") + name + ": " + error);
}

}  // namespace detail

}  // namespace konv::cuda

namespace konv::simulator {

void set(const Settings& s) {
  std::lock_guard lock(cuda::mutex);
  cuda::settings = s;
  cuda::settings_changed.notify_all();
}

int waiting() {
  std::lock_guard lock(cuda::mutex);
  return cuda::waiting;
}

}  // namespace konv::simulator
