// The CUDA runtime's and the driver's calls with errors as exceptions, and the current device.
#pragma once
#include <cuda.h>
#include <cuda_runtime.h>

#include <map>
#include <mutex>
#include <string>

#include "cuda/process.h"
#include "cuda/runtime.h"

namespace konv::cuda {

inline void check(cudaError_t error, const std::string& call) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // errors that do not stay are not the next call's
  const std::string text = call + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")";
  if (error == cudaErrorMemoryAllocation) throw OutOfMemory(text);
  throw Failure(text);
}
inline void check(CUresult error, const std::string& call) {
  if (error != CUDA_SUCCESS) throw Failure(call + ": error " + std::to_string(int(error)) + " of the driver");
}

// What the runtime has no call for. The driver's library is not linked: the runtime has loaded it.
struct DriverCalls {
  decltype(&cuDeviceGet) get_device = found<decltype(&cuDeviceGet)>("cuDeviceGet");
  decltype(&cuDevicePrimaryCtxRetain) retain = found<decltype(&cuDevicePrimaryCtxRetain)>("cuDevicePrimaryCtxRetain");
  decltype(&cuCtxPushCurrent) push = found<decltype(&cuCtxPushCurrent)>("cuCtxPushCurrent");
  decltype(&cuCtxPopCurrent) pop = found<decltype(&cuCtxPopCurrent)>("cuCtxPopCurrent");
  decltype(&cuPointerGetAttributes) describe = found<decltype(&cuPointerGetAttributes)>("cuPointerGetAttributes");

 private:
  template <class F>
  static F found(const char* name) {
    void* call = nullptr;
    cudaDriverEntryPointQueryResult result{};
#if CUDART_VERSION >= 12050
    check(cudaGetDriverEntryPointByVersion(name, &call, 12000, cudaEnableDefault, &result), name);
#else
    check(cudaGetDriverEntryPoint(name, &call, cudaEnableDefault, &result), name);
#endif
    if (!call || result != cudaDriverEntryPointSuccess) throw Failure(std::string(name) + ": the driver lacks it");
    return reinterpret_cast<F>(call);
  }
};
inline const DriverCalls& driver() {
  static const DriverCalls calls;
  return calls;
}

// The one that the runtime works in, kept for good.
inline CUcontext primary_context(int device) {
  static std::mutex mutex;
  static auto* const kept = new std::map<int, CUcontext>;
  const std::lock_guard lock(mutex);
  CUcontext& context = (*kept)[device];
  if (context) return context;
  CUdevice handle{};
  check(driver().get_device(&handle, device), "cuDeviceGet of " + std::to_string(device));
  check(driver().retain(&context, handle), "cuDevicePrimaryCtxRetain of device " + std::to_string(device));
  return context;
}

// Makes a device the current one, and comes back to what was: to a context of the caller, or to none. cudaSetDevice
// would have made one, of hundreds of megabytes, on the device that it came back to. Runtime calls that name no stream
// of a device need this too: where no context is current they make one on device 0.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    use_device();
    int current = 0;
    check(cudaGetDevice(&current), "cudaGetDevice");
    if (current == device) return;
    check(driver().push(primary_context(device)), "cuCtxPushCurrent of device " + std::to_string(device));
    pushed_ = true;
  }
  ~OnDevice() {
    CUcontext context = nullptr;
    if (pushed_) (void)driver().pop(&context);
  }
  OnDevice(const OnDevice&) = delete;

 private:
  bool pushed_ = false;
};

}  // namespace konv::cuda
