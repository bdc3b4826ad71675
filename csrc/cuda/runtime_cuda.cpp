// The runtime over the CUDA runtime library.
#include <memory>

#include "cuda/driver.h"
#include "cuda/memory_pool.h"
#include "cuda/runtime.h"

namespace konv::cuda {

namespace {

cudaStream_t stream_of(Queue q) { return static_cast<cudaStream_t>(q.stream); }

// Where all that a queue was given is behind: the stream of each thread is another one in every thread, and the legacy
// stream waits for all of them.
cudaStream_t recorded(Queue queue) { return queue.stream == kStreamOfThread ? nullptr : stream_of(queue); }

// Whether the call went well; an error that does not stay is not the next call's.
template <class F>
bool quietly(int device, F&& call) noexcept {
  try {
    OnDevice on(device);
    if (call() == cudaSuccess) return true;
  } catch (const Failure&) {
  }
  (void)cudaGetLastError();
  return false;
}

struct Driver {
  using Event = cudaEvent_t;
  static void* allocate(int device, int64_t bytes) {
    OnDevice on(device);
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, size_t(bytes));
    if (error == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    check(error, allocation_call(bytes));
    return memory;
  }
  static void release(int device, void* memory) noexcept {
    quietly(device, [&] { return cudaFree(memory); });
  }
  static std::string allocation_call(int64_t bytes) { return "cudaMalloc of " + std::to_string(bytes) + " bytes"; }
  // Null where the driver refuses: then memory passes as free only to its own stream.
  static Event record(Queue queue) noexcept {
    Event event = nullptr;
    quietly(queue.device, [&] {
      cudaError_t error = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
      if (error == cudaSuccess && (error = cudaEventRecord(event, recorded(queue))) != cudaSuccess)
        (void)cudaEventDestroy(std::exchange(event, nullptr));
      return error;
    });
    return event;
  }
  static bool passed(int device, Event event) noexcept {
    return event && quietly(device, [&] { return cudaEventQuery(event); });
  }
  // Lets the stream wait for the event.
  static void wait(Queue queue, Event event) {
    if (!event) return;
    OnDevice on(queue.device);
    check(cudaStreamWaitEvent(stream_of(queue), event, 0), "cudaStreamWaitEvent");
  }
  static void destroy(int device, Event event) noexcept {
    if (event) quietly(device, [&] { return cudaEventDestroy(event); });
  }
};

MemoryPool<Driver>& pool() {
  static auto* const p = new MemoryPool<Driver>;  // never destroyed: the driver may be gone before it
  return *p;
}

// The runtime says the same of a driver that is too old and of none.
std::string missing_driver() {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0) {
    (void)cudaGetLastError();
    return "there is no NVIDIA driver";
  }
  const auto text = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  return "the NVIDIA driver is for CUDA " + text(version) + " at most, and konv was built with CUDA " +
         text(CUDART_VERSION);
}

std::vector<DeviceInfo> find_devices(std::string& reason) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  std::vector<DeviceInfo> devices;
  if (error != cudaSuccess || count == 0) {
    (void)cudaGetLastError();
    reason = error == cudaSuccess                   ? "there is no CUDA device"
             : error == cudaErrorInsufficientDriver ? missing_driver()
                                                    : cudaGetErrorString(error);
    return devices;
  }
  for (int i = 0; i < count; i++) {
    cudaDeviceProp p{};
    check(cudaGetDeviceProperties(&p, i), "cudaGetDeviceProperties");
    devices.push_back({p.name, p.major, p.minor, p.multiProcessorCount, int64_t(p.sharedMemPerBlockOptin),
                       int64_t(p.totalGlobalMem)});
  }
  return devices;
}
struct Devices {
  std::vector<DeviceInfo> all;
  std::string reason;
};
const Devices& devices() {
  use_device();
  static const Devices* const found = [] {
    auto d = std::make_unique<Devices>();
    d->all = find_devices(d->reason);
    return d.release();
  }();
  return *found;
}

}  // namespace

int device_count() { return int(devices().all.size()); }
std::string unavailable_reason() { return devices().reason; }
const DeviceInfo& device_info(int device) { return devices().all.at(size_t(device)); }
void check_process() { use_device(); }
bool is_forked_child() noexcept { return process_is_child; }

void* allocate(Queue queue, int64_t bytes) {
  use_device();
  return pool().allocate(queue, bytes);
}
void release(Queue queue, void* memory, const std::vector<void*>& others) noexcept {
  if (!process_is_child) pool().release(queue, memory, others);
}
void* allocate_idle(Queue queue, int64_t bytes) {
  use_device();
  return pool().allocate_idle(queue, bytes);
}
MemoryInfo memory_info() { return pool().info(); }
void release_idle() {
  use_device();
  pool().release_idle();
}

int device_of(const void* memory) {
  use_device();
  int ordinal = 0;
  unsigned type = 0, managed = 0;  // the type stays 0 for memory that the driver does not know
  CUpointer_attribute wanted[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
                                  CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
  void* values[] = {&type, &managed, &ordinal};
  check(driver().describe(3, wanted, values, CUdeviceptr(reinterpret_cast<uintptr_t>(memory))),
        "cuPointerGetAttributes");
  if (type == 0) return kNoDevice;
  return managed || type == CU_MEMORYTYPE_HOST ? kEveryDevice : ordinal;
}

void copy_to_device(Queue queue, void* to, const void* from, int64_t bytes) {
  OnDevice on(queue.device);
  check(cudaMemcpyAsync(to, from, size_t(bytes), cudaMemcpyHostToDevice, stream_of(queue)),
        "cudaMemcpyAsync of " + std::to_string(bytes) + " bytes to the device");
  // NumPy's arrays may lie in pinned memory, which is read later, while the caller may change them on return.
  check(cudaStreamSynchronize(stream_of(queue)), "cudaStreamSynchronize");
}
void copy_to_host(Queue queue, void* to, const void* from, int64_t bytes) {
  OnDevice on(queue.device);
  check(cudaMemcpyAsync(to, from, size_t(bytes), cudaMemcpyDeviceToHost, stream_of(queue)),
        "cudaMemcpyAsync of " + std::to_string(bytes) + " bytes to the host");
  check(cudaStreamSynchronize(stream_of(queue)), "cudaStreamSynchronize");
}
void copy_on_device(Queue queue, void* to, const void* from, int64_t bytes) {
  OnDevice on(queue.device);
  check(cudaMemcpyAsync(to, from, size_t(bytes), cudaMemcpyDeviceToDevice, stream_of(queue)),
        "cudaMemcpyAsync of " + std::to_string(bytes) + " bytes on the device");
}
void fill_bytes(Queue queue, void* to, int value, int64_t bytes) {
  OnDevice on(queue.device);
  check(cudaMemsetAsync(to, value, size_t(bytes), stream_of(queue)), "cudaMemsetAsync");
}
void synchronize(Queue queue) {
  OnDevice on(queue.device);
  check(cudaStreamSynchronize(stream_of(queue)), "cudaStreamSynchronize");
}
void order(Queue earlier, Queue later) {
  if (earlier == later && earlier.stream != kStreamOfThread) return;
  cudaEvent_t event = nullptr;
  {
    OnDevice on(earlier.device);
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    check(cudaEventRecord(event, recorded(earlier)), "cudaEventRecord");
  }
  OnDevice on(later.device);
  const cudaError_t error = cudaStreamWaitEvent(stream_of(later), event, 0);
  (void)cudaEventDestroy(event);  // once it has been passed
  check(error, "cudaStreamWaitEvent");
}
void* create_stream(int device) {
  OnDevice on(device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}
void destroy_stream(int device, void* stream) {
  OnDevice on(device);
  check(cudaStreamDestroy(static_cast<cudaStream_t>(stream)), "cudaStreamDestroy");
}

void* create_event(int device, bool timed) {
  OnDevice on(device);
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming), "cudaEventCreate");
  return event;
}
void destroy_event(int device, void* event) noexcept { Driver::destroy(device, static_cast<cudaEvent_t>(event)); }
void record_event(Queue queue, void* event) {
  OnDevice on(queue.device);
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), stream_of(queue)), "cudaEventRecord");
}
bool has_passed(int device, void* event) { return Driver::passed(device, static_cast<cudaEvent_t>(event)); }
void wait_for_event(Queue later, void* event) {
  OnDevice on(later.device);
  check(cudaStreamWaitEvent(stream_of(later), static_cast<cudaEvent_t>(event), 0), "cudaStreamWaitEvent");
}
double seconds_between(int device, void* from, void* to) {
  OnDevice on(device);
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(to)), "cudaEventSynchronize");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(from), static_cast<cudaEvent_t>(to)),
        "cudaEventElapsedTime");
  return double(milliseconds) / 1e3;
}

namespace detail {

void before_launch(Queue, const char*, Dim, Dim, int64_t) { use_device(); }

void launch_kernel(Queue queue, const char* name, const void* kernel, Dim grid, Dim block, int64_t shared_bytes,
                   void** arguments) {
  OnDevice on(queue.device);
  const std::string what = std::string("launch of ") + name;
  if (shared_bytes > 48 << 10)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes)), what);
  check(cudaLaunchKernel(kernel, dim3(grid.x, grid.y, grid.z), dim3(block.x, block.y, block.z), arguments,
                         size_t(shared_bytes), stream_of(queue)),
        what);
}

}  // namespace detail

}  // namespace konv::cuda
