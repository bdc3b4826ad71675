// The device as the rest of konv sees it: memory, copies, streams, launches, errors. Two implementations: the CUDA
// runtime (runtime_cuda.cpp) and the simulator (runtime_simulator.cpp).
//
// Every function that may fail throws Failure, which names the call, what it was asked and what the driver said; where
// memory is short OutOfMemory, after what waits for reuse was given back and nothing else has changed.
#pragma once
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace konv::cuda {

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
class OutOfMemory : public Failure {
 public:
  using Failure::Failure;
};

// Where work goes: a device and a stream of it (a cudaStream_t; null is the legacy default stream). What a Workspace's
// queue points to.
struct Queue {
  int device = 0;
  void* stream = nullptr;
  bool operator==(const Queue& o) const { return device == o.device && stream == o.stream; }
};

// The handle that stands for another stream in each thread; equal to itself says nothing.
inline void* const kStreamOfThread = reinterpret_cast<void*>(2);

struct DeviceInfo {
  std::string name;
  int major, minor;  // compute capability
  int processors;
  int64_t shared_bytes;  // that a block may ask for
  int64_t memory_bytes;
};

// 0 where there is no device; then `unavailable_reason` says why. Throws after a fork.
int device_count();
std::string unavailable_reason();
const DeviceInfo& device_info(int device);  // device_count() > device
// Throws where this process is the child of one that has used a device.
void check_process();
bool is_forked_child() noexcept;

// Memory that belongs to a stream: what the stream does later may use it as soon as it is given back. Blocks are kept
// for requests of about their size. Aligned to 256 bytes. May wait for the device.
void* allocate(Queue queue, int64_t bytes);
// The same where memory of about that size is idle, else null. Never waits.
void* allocate_idle(Queue queue, int64_t bytes);
// `others`: further streams that have been asked to use it.
void release(Queue queue, void* memory, const std::vector<void*>& others = {}) noexcept;
struct MemoryInfo {
  int64_t used, idle;  // bytes, of all devices
};
MemoryInfo memory_info();
void release_idle();  // to the driver; waits for the devices

// Where memory lies, of anybody's: on a device, or where all devices read it (managed, or the host's and pinned), or
// where none does.
constexpr int kEveryDevice = -1, kNoDevice = -2;
int device_of(const void* memory);

void copy_to_device(Queue queue, void* to, const void* from, int64_t bytes);  // `from` may change on return
void copy_to_host(Queue queue, void* to, const void* from, int64_t bytes);    // waits
void copy_on_device(Queue queue, void* to, const void* from, int64_t bytes);
void fill_bytes(Queue queue, void* to, int value, int64_t bytes);
void synchronize(Queue queue);
// What `later` does from now on waits for what `earlier` has been asked so far. Streams of any devices.
void order(Queue earlier, Queue later);
void* create_stream(int device);
void destroy_stream(int device, void* stream);

// A moment of a stream: when it came to where the event was recorded last. Timed ones can be compared.
void* create_event(int device, bool timed);
void destroy_event(int device, void* event) noexcept;
void record_event(Queue queue, void* event);
bool has_passed(int device, void* event);       // whether all is done that came before it
void wait_for_event(Queue later, void* event);  // `later` may be of any device
// Waits for `to`; both are timed and have been recorded.
double seconds_between(int device, void* from, void* to);

class Event {
 public:
  explicit Event(int device, bool timed = false) : device_(device), event_(create_event(device, timed)) {}
  Event(Event&& o) noexcept : device_(o.device_), event_(std::exchange(o.event_, nullptr)) {}
  Event& operator=(Event&& o) noexcept {
    std::swap(device_, o.device_), std::swap(event_, o.event_);
    return *this;
  }
  ~Event() {
    if (event_) destroy_event(device_, event_);
  }
  void* get() const { return event_; }

 private:
  int device_;
  void* event_;
};

class Memory {
 public:
  Memory() = default;
  Memory(Queue queue, int64_t bytes) : queue_(queue), data_(bytes > 0 ? allocate(queue, bytes) : nullptr) {}
  Memory(Memory&& o) noexcept : queue_(o.queue_), data_(o.data_) { o.data_ = nullptr; }
  Memory& operator=(Memory&& o) noexcept {
    std::swap(queue_, o.queue_), std::swap(data_, o.data_);
    return *this;
  }
  ~Memory() {
    if (data_) release(queue_, data_);
  }
  char* data() const { return static_cast<char*>(data_); }

 private:
  Queue queue_;
  void* data_ = nullptr;
};

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

// Blocks of `threads` that cover n elements with a thread each, of a grid that need not cover all: kernels stride.
inline Dim blocks_for(int64_t n, int threads, int64_t most = int64_t(1) << 30) {
  const int64_t blocks = (n + threads - 1) / threads;
  return {unsigned(blocks < 1 ? 1 : blocks > most ? most : blocks), 1, 1};
}

namespace detail {
// Throws what is wrong already: a forked process, and in the simulator sizes that a device refuses.
void before_launch(Queue queue, const char* name, Dim grid, Dim block, int64_t shared_bytes);
void launch_kernel(Queue queue, const char* name, const void* kernel, Dim grid, Dim block, int64_t shared_bytes,
                   void** arguments);
void simulate_kernel(Queue queue, const char* name, Dim grid, Dim block, int64_t shared_bytes,
                     void (*kernel)(const void*), const void* arguments);
}  // namespace detail

// Starts `kernel(argument)`. `name` is for messages. The argument is a plain value of at most 4 KiB.
template <auto Kernel, class Argument>
void launch(Queue queue, const char* name, Dim grid, Dim block, int64_t shared_bytes, const Argument& argument) {
  static_assert(std::is_trivially_copyable_v<Argument> && sizeof(Argument) <= 4000);
  detail::before_launch(queue, name, grid, block, shared_bytes);
#if defined(__CUDACC__)
  void* arguments[] = {const_cast<Argument*>(&argument)};
  detail::launch_kernel(queue, name, reinterpret_cast<const void*>(Kernel), grid, block, shared_bytes, arguments);
#else
  detail::simulate_kernel(
      queue, name, grid, block, shared_bytes, [](const void* a) { Kernel(*static_cast<const Argument*>(a)); },
      &argument);
#endif
}

}  // namespace konv::cuda
