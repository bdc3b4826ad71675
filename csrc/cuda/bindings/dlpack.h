// The part of DLPack's ABI (dmlc/dlpack, dlpack.h, versions 0.8 and 1.0) that arrays on devices need.
#pragma once
#include <cstdint>

namespace konv::cuda::dlpack {

enum DeviceType : int32_t { kCuda = 2, kCudaManaged = 13 };
enum TypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

struct Device {
  int32_t type, id;
};
struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct Tensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t *shape, *strides;  // in elements; null strides: contiguous
  uint64_t byte_offset;
};
struct Managed {
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};
struct Version {
  uint32_t major, minor;
};
struct VersionedManaged {
  Version version;
  void* context;
  void (*deleter)(VersionedManaged*);
  uint64_t flags;
  Tensor tensor;
};
constexpr uint64_t kReadOnly = 1, kIsCopied = 2;

}  // namespace konv::cuda::dlpack
