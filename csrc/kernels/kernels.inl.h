// Builds a part of the KernelTable of one ISA level, that of KONV_ISA_PART_f32, _f64 or _others; each csrc/isa/*.cpp
// includes it once, and is compiled once for each part.
#pragma once
#include "kernels/table.h"
#include "simd/vec.h"

#include "kernels/activation_gradient.inl.h"
#include "kernels/batch_norm.inl.h"
#include "kernels/blocks.inl.h"
#include "kernels/clip.inl.h"
#include "kernels/convert.inl.h"
#include "kernels/depthwise.inl.h"
#include "kernels/depthwise_gradient.inl.h"
#include "kernels/elementwise.inl.h"
#include "kernels/epilogue.inl.h"
#include "kernels/export.inl.h"
#include "kernels/filter.inl.h"
#include "kernels/fma.inl.h"
#include "kernels/gemm.inl.h"
#include "kernels/gemm_wide.inl.h"
#include "kernels/gemv.inl.h"
#include "kernels/grouped_pixels.inl.h"
#include "kernels/integers.inl.h"
#include "kernels/pack.inl.h"
#include "kernels/pool.inl.h"
#include "kernels/pool_gradient.inl.h"
#include "kernels/pool_runs.inl.h"
#include "kernels/reduce.inl.h"
#include "kernels/spectral.inl.h"
#include "kernels/tap_sums.inl.h"
#include "kernels/winograd.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

template <class S, class T>
constexpr void fill_any_pool(AnyPoolKernels<S, T>& k) {
  k.lanes = kLanes<T>;
#define KONV_POOL_KERNEL(name, args) k.name = name<S, T>;
#include "kernels/pool.def"
}
template <class T>
constexpr void fill_pool(PoolKernels<T>& k) {
  fill_any_pool(k);
#define KONV_POOL_ROWS_KERNEL(name, args) k.name = name<T>;
#include "kernels/pool.def"
}
template <class S>
constexpr HalfPoolKernels<S> make_half_pool_kernels() {
  HalfPoolKernels<S> k{};
  fill_any_pool(k);
  k.avg_pool_rows_gradient = avg_pool_rows_gradient<S, float>;
  k.avg_pool_pixels_gradient = avg_pool_pixels_gradient<S, float>;
  return k;
}
template <class T>
constexpr PoolKernels<T> make_pool_kernels() {
  PoolKernels<T> k{};
  fill_pool(k);
  return k;
}

template <class T>
constexpr Kernels<T> make_kernels() {
  Kernels<T> k{};
  fill_pool(k);
  k.gemm_rows = KONV_GEMM_ROWS;
  k.filter_rows_at_once = kFilterRows;
  k.tap_sum_outputs = tap_sum_outputs;
  fill_gemm<T, Products>(k);
  if constexpr (KONV_GEMM_ROWS == 14 && sizeof(T) == sizeof(float))
    k.gemm_wide = gemm_wide<T>, k.gemm_wide_columns = gemm_wide_columns<T>;
  fill_winograd(k);
#define KONV_KERNEL(name, args) k.name = name<T>;
#include "kernels/kernels.def"
  return k;
}

}  // namespace konv::KONV_ISA_LEVEL_NAME

#if defined(KONV_ISA_PART_f32)
KONV_EXPORT_KERNELS_PART(f32, konv::Kernels<float>, konv::KONV_ISA_LEVEL_NAME::make_kernels<float>())
#elif defined(KONV_ISA_PART_f64)
KONV_EXPORT_KERNELS_PART(f64, konv::Kernels<double>, konv::KONV_ISA_LEVEL_NAME::make_kernels<double>())
#else
KONV_EXPORT_KERNELS_PART(others, konv::OtherKernels,
                         {konv::KONV_ISA_LEVEL_NAME::make_pool_kernels<int32_t>(),
                          konv::KONV_ISA_LEVEL_NAME::make_pool_kernels<int64_t>(),
                          {konv::KONV_ISA_LEVEL_NAME::make_conversion<konv::Float16, float>(),
                           konv::KONV_ISA_LEVEL_NAME::make_conversion<konv::BFloat16, float>(),
                           konv::KONV_ISA_LEVEL_NAME::make_conversion<int8_t, int32_t>(),
                           konv::KONV_ISA_LEVEL_NAME::make_conversion<uint8_t, int32_t>(),
                           konv::KONV_ISA_LEVEL_NAME::make_conversion<int16_t, int32_t>()},
                          konv::KONV_ISA_LEVEL_NAME::make_int_kernels(),
                          konv::KONV_ISA_LEVEL_NAME::make_half_pool_kernels<konv::Float16>(),
                          konv::KONV_ISA_LEVEL_NAME::make_half_pool_kernels<konv::BFloat16>()})
#endif
