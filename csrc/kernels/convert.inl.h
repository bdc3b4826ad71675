// Elements of 8 and 16 bits to those that kernels compute with, and back. What came from the narrow type goes back to
// the same bits, whatever NaN it is.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// As many narrow integers as a vector has lanes of 32 bits.
template <class S>
struct NarrowOf {
  typedef S type __attribute__((vector_size(KONV_VEC_BYTES / 4 * sizeof(S)), aligned(alignof(S)), may_alias));
};
template <class S>
using Narrow = typename NarrowOf<S>::type;
typedef Narrow<uint16_t> HalfBits;

// What is too low for the narrow type becomes its lowest value.
template <class S>
KONV_INLINE Vec<int32_t> widen_vector(const S* p) {
  return __builtin_convertvector(*reinterpret_cast<const Narrow<S>*>(p), Vec<int32_t>);
}
template <class S>
KONV_INLINE void narrow_vector(Vec<int32_t> v, S* p) {
  const Vec<int32_t> low = splat(int32_t(S(-1) < S(0) ? -(1 << (8 * sizeof(S) - 1)) : 0));
  *reinterpret_cast<Narrow<S>*>(p) = __builtin_convertvector(v < low ? low : v, Narrow<S>);
}
KONV_INLINE Vec<uint32_t> load_bits(const void* p) {
  return __builtin_convertvector(*static_cast<const HalfBits*>(p), Vec<uint32_t>);
}
KONV_INLINE void store_bits(Vec<uint32_t> v, void* p) {
  *static_cast<HalfBits*>(p) = __builtin_convertvector(v, HalfBits);
}

KONV_INLINE Vec<float> widen_vector(const BFloat16* p) { return Vec<float>(load_bits(p) << 16); }
// To nearest, ties to even.
KONV_INLINE void narrow_vector(Vec<float> v, BFloat16* p) {
  const Vec<uint32_t> bits = Vec<uint32_t>(v), rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const Vec<uint32_t> nan = bits >> 16 | ((bits >> 16 & 0x7fu) == 0u ? splat(0x40u) : Vec<uint32_t>{});
  store_bits(v == v ? rounded : nan, p);
}

#if defined(__AVX512F__)
KONV_INLINE Vec<float> float_of_half(const Float16* p) {
  return (Vec<float>)_mm512_maskz_cvtph_ps(__mmask16(-1), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
KONV_INLINE Vec<uint32_t> half_of_float(Vec<float> v) {
  return (Vec<uint32_t>)_mm512_maskz_cvtepu16_epi32(
      __mmask16(-1), _mm512_maskz_cvtps_ph(__mmask16(-1), (__m512)v, _MM_FROUND_TO_NEAREST_INT));
}
#elif defined(__F16C__)
KONV_INLINE Vec<float> float_of_half(const Float16* p) {
  return (Vec<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
KONV_INLINE Vec<uint32_t> half_of_float(Vec<float> v) {
  return (Vec<uint32_t>)_mm256_cvtepu16_epi32(_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
}
#else
// In integers, as floating-point arithmetic may flush subnormal numbers, which halves have among their common values.
KONV_INLINE Vec<float> float_of_half(const Float16* p) {
  const Vec<uint32_t> h = load_bits(p), magnitude = h & 0x7fffu, sign = (h & 0x8000u) << 16;
  // A subnormal half is its bits times 2^-24, which conversion of an integer gives exactly.
  const Vec<float> small = __builtin_convertvector(Vec<int32_t>(magnitude), Vec<float>) * splat(0x1p-24f);
  const Vec<uint32_t> normal = (magnitude << 13) + (112u << 23), infinite = magnitude << 13 | 0x7f800000u;
  const Vec<uint32_t> value = magnitude < 0x400u ? Vec<uint32_t>(small) : magnitude < 0x7c00u ? normal : infinite;
  return Vec<float>(value | sign);
}
KONV_INLINE Vec<uint32_t> half_of_float(Vec<float> v) {
  const Vec<uint32_t> bits = Vec<uint32_t>(v), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  const Vec<uint32_t> normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  // Adding 0.5 rounds to multiples of 2^-24, to nearest and ties to even.
  const Vec<uint32_t> small = Vec<uint32_t>(Vec<float>(magnitude) + splat(0.5f)) - (126u << 23);
  const Vec<uint32_t> value = magnitude < (113u << 23)  ? small
                              : magnitude < 0x47800000u ? (normal < 0x7c00u ? normal : splat(0x7c00u))
                                                        : splat(0x7c00u);
  return value | sign;
}
#endif

KONV_INLINE Vec<float> widen_vector(const Float16* p) {
  const Vec<uint32_t> h = load_bits(p);
  const Vec<uint32_t> nan = (h & 0x8000u) << 16 | 0x7f800000u | (h & 0x3ffu) << 13;
  return Vec<float>((h & 0x7fffu) > 0x7c00u ? nan : Vec<uint32_t>(float_of_half(p)));
}
KONV_INLINE void narrow_vector(Vec<float> v, Float16* p) {
  const Vec<uint32_t> bits = Vec<uint32_t>(v), payload = bits >> 13 & 0x3ffu;
  const Vec<uint32_t> nan = (bits >> 16 & 0x8000u) | 0x7c00u | (payload == 0u ? splat(0x200u) : payload);
  store_bits(v == v ? half_of_float(v) : nan, p);
}

// Calls f(vector's place, its lanes) for n elements.
template <class T, class F>
KONV_INLINE void by_vectors(int64_t n, F f) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  for (; i + L <= n; i += L) f(i, L);
  if (i < n) f(i, int(n - i));
}

template <class S, class T>
static void widen_run(const S* src, int64_t step, int64_t n, T* dst) {
  constexpr int L = kLanes<T>;
  by_vectors<T>(n, [&](int64_t i, int lanes) __attribute__((always_inline)) {
    if (step == 1 && lanes == L) return store(dst + i, widen_vector(src + i));
    S narrow[L] = {};
    T wide[L];
    for (int j = 0; j < lanes; j++) narrow[j] = src[(i + j) * step];
    store(wide, widen_vector(narrow));
    for (int j = 0; j < lanes; j++) dst[i + j] = wide[j];
  });
}
template <class S, class T>
static void narrow_run(const T* src, int64_t n, S* dst, int64_t step) {
  constexpr int L = kLanes<T>;
  by_vectors<T>(n, [&](int64_t i, int lanes) __attribute__((always_inline)) {
    if (step == 1 && lanes == L) return narrow_vector(load(src + i), dst + i);
    T wide[L] = {};
    S narrow[L];
    for (int j = 0; j < lanes; j++) wide[j] = src[i + j];
    narrow_vector(load(wide), narrow);
    for (int j = 0; j < lanes; j++) dst[(i + j) * step] = narrow[j];
  });
}

template <class S, class T>
constexpr Conversion<S, T> make_conversion() {
  return {widen_run<S, T>, narrow_run<S, T>};
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
