// Runs of 16-bit elements as float32, and back.
#pragma once
#include "core/isa.h"
#include "core/problem.h"

namespace konv {

class HalfRuns {
 public:
  HalfRuns() = default;
  HalfRuns(DType dtype, int64_t isa) : bf16_(dtype == DType::bf16), kernels_(&kernel_table(Isa(isa)).narrow) {}

  // n elements of the 16-bit side lie `step` apart.
  void widen(const uint16_t* src, int64_t step, int64_t n, float* dst) const {
    if (bf16_)
      kernels_->bf16.widen(reinterpret_cast<const BFloat16*>(src), step, n, dst);
    else
      kernels_->f16.widen(reinterpret_cast<const Float16*>(src), step, n, dst);
  }
  void narrow(const float* src, int64_t n, uint16_t* dst, int64_t step) const {
    if (bf16_)
      kernels_->bf16.narrow(src, n, reinterpret_cast<BFloat16*>(dst), step);
    else
      kernels_->f16.narrow(src, n, reinterpret_cast<Float16*>(dst), step);
  }

 private:
  bool bf16_ = false;
  const Conversions* kernels_ = nullptr;
};

}  // namespace konv
