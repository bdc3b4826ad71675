// Products of four bytes, or two words, that are summed in each 32-bit lane in one instruction without saturating.
//
// One of the two operands of bytes is unsigned, the other signed: which is up to the weights' range.
#pragma once
#include "kernels/table.h"
#include "simd/vec.h"

#include "kernels/export.inl.h"
#include "kernels/integers.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

struct ByteProducts {
  KONV_INLINE Vec<float> add(Vec<float> sum, Vec<float> a, Vec<float> b) {
    return (Vec<float>)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
  }
};
struct SwappedByteProducts {
  KONV_INLINE Vec<float> add(Vec<float> sum, Vec<float> a, Vec<float> b) { return ByteProducts::add(sum, b, a); }
};

constexpr DotKernels make_dot_kernels() {
  DotKernels k{};
  k.bytes = make_int_gemm<ByteForm>();
  fill_int_gemm<ByteProducts>(k.bytes, 0), fill_int_gemm<SwappedByteProducts>(k.bytes, 1);
  k.words = make_word_gemm();
  return k;
}

}  // namespace konv::KONV_ISA_LEVEL_NAME

KONV_EXPORT_KERNELS(konv::DotKernels, konv::KONV_ISA_LEVEL_NAME::make_dot_kernels())
