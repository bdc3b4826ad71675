// Elements of an operand as the float32 numbers that they stand for: as they are, bfloat16, or quantised bytes.
#pragma once
#include <cstring>

#include "core/config.h"
#include "core/halves.h"
#include "core/isa.h"
#include "graph/forms.h"

namespace konv {

class Numbers {
 public:
  Numbers() = default;
  explicit Numbers(const Operand& o)
      : dtype_(o.dtype),
        halves_(o.dtype, config().isa),
        bytes_(&kernel_table(Isa(config().isa)).ints),
        scale_{o.scale, o.zero, o.dtype == DType::i8} {}

  bool as_they_are() const { return dtype_ == DType::f32; }
  int64_t item() const { return dtype_size(dtype_); }

  // n elements `step` apart as contiguous numbers, and back.
  void load(const char* src, int64_t step, int64_t n, float* dst) const {
    if (dtype_ == DType::bf16) return halves_.widen(reinterpret_cast<const uint16_t*>(src), step, n, dst);
    if (is_byte(dtype_)) return bytes_->numbers_of_bytes(reinterpret_cast<const uint8_t*>(src), step, n, scale_, dst);
    const float* from = reinterpret_cast<const float*>(src);
    for (int64_t i = 0; i < n; i++) dst[i] = from[i * step];
  }
  void store(const float* src, int64_t n, char* dst, int64_t step) const {
    if (dtype_ == DType::bf16) return halves_.narrow(src, n, reinterpret_cast<uint16_t*>(dst), step);
    if (is_byte(dtype_)) return bytes_->bytes_of_numbers(src, n, scale_, reinterpret_cast<uint8_t*>(dst), step);
    float* to = reinterpret_cast<float*>(dst);
    for (int64_t i = 0; i < n; i++) to[i * step] = src[i];
  }

 private:
  DType dtype_ = DType::f32;
  HalfRuns halves_;
  const IntKernels* bytes_ = nullptr;
  ByteScale scale_{};
};

}  // namespace konv
