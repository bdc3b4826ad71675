// float16 and bfloat16 to float32 and back.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

typedef uint16_t HalfVec __attribute__((vector_size(KONV_VEC_BYTES / 2), aligned(2), may_alias));
using BitsVec = VecOf<uint32_t>::type;

KONV_INLINE BitsVec chosen(BitsVec mask, BitsVec yes, BitsVec no) { return (mask & yes) | (~mask & no); }

struct Bfloat16 {
  KONV_INLINE Vec<float> widen(HalfVec h) { return (Vec<float>)(__builtin_convertvector(h, BitsVec) << 16); }
  KONV_INLINE HalfVec narrow(Vec<float> v) {
    const BitsVec bits = (BitsVec)v, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const BitsVec nan = (BitsVec)(v != v);
    return __builtin_convertvector(chosen(nan, (bits >> 16) | 0x40, rounded), HalfVec);
  }
};

#if defined(__AVX512F__)

struct Float16 {
  KONV_INLINE Vec<float> widen(HalfVec h) { return (Vec<float>)_mm512_maskz_cvtph_ps(0xffff, (__m256i)h); }
  KONV_INLINE HalfVec narrow(Vec<float> v) {
    return (HalfVec)_mm512_maskz_cvtps_ph(0xffff, (__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
};

#elif defined(__F16C__)

struct Float16 {
  KONV_INLINE Vec<float> widen(HalfVec h) { return (Vec<float>)_mm256_cvtph_ps((__m128i)h); }
  KONV_INLINE HalfVec narrow(Vec<float> v) {
    return (HalfVec)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
};

#else

// By bits. No float32 denormal is computed with, as callers may flush them: float16's become integers times 2^-24.
struct Float16 {
  KONV_INLINE Vec<float> widen(HalfVec h) {
    const BitsVec bits = __builtin_convertvector(h, BitsVec), sign = (bits & 0x8000) << 16, size = bits & 0x7fff;
    const BitsVec normal = (size << 13) + ((size >= 0x7c00) & 0x38000000) + 0x38000000;
    const VecOf<int32_t>::type integer = (VecOf<int32_t>::type)size;
    const BitsVec small = (BitsVec)(__builtin_convertvector(integer, Vec<float>) * 0x1p-24f);
    return (Vec<float>)(chosen((BitsVec)(size < 0x400), small, normal) | sign);
  }
  KONV_INLINE HalfVec narrow(Vec<float> v) {
    const BitsVec bits = (BitsVec)v, sign = (bits >> 16) & 0x8000, size = bits & 0x7fffffff;
    const BitsVec normal = (size - 0x38000000 + 0xfff + ((size >> 13) & 1)) >> 13;
    // Added to a power of two whose last bit is float16's smallest number.
    const BitsVec small = (BitsVec)((Vec<float>)size + 0.5f) - 0x3f000000;
    BitsVec half = chosen((BitsVec)(size < 0x38800000), small, normal);
    half = chosen((BitsVec)(size >= 0x477ff000), BitsVec{} + 0x7c00, half);
    half = chosen((BitsVec)(size > 0x7f800000), BitsVec{} + 0x7e00, half);
    return __builtin_convertvector(half | sign, HalfVec);
  }
};

#endif

template <class Half>
static void widen(const uint16_t* src, float* dst, int64_t n) {
  constexpr int L = kLanes<float>;
  int64_t i = 0;
  for (; i + L <= n; i += L) store(dst + i, Half::widen(*reinterpret_cast<const HalfVec*>(src + i)));
  if (i == n) return;
  HalfVec last = {};
  for (int64_t j = 0; j < n - i; j++) last[j] = src[i + j];
  store_n(dst + i, Half::widen(last), int(n - i));
}
template <class Half>
static void narrow(const float* src, uint16_t* dst, int64_t n) {
  constexpr int L = kLanes<float>;
  int64_t i = 0;
  for (; i + L <= n; i += L) *reinterpret_cast<HalfVec*>(dst + i) = Half::narrow(load(src + i));
  if (i == n) return;
  const HalfVec last = Half::narrow(load_n(src + i, int(n - i)));
  for (int64_t j = 0; j < n - i; j++) dst[i + j] = last[j];
}

constexpr HalfKernels half_kernels() { return {widen<Float16>, narrow<Float16>, widen<Bfloat16>, narrow<Bfloat16>}; }

}  // namespace konv::KONV_ISA_LEVEL_NAME
