// What vector_size lacks, or what compilers make too much of: loads and stores of some lanes (others read as zero and
// are not touched in memory), moves between lanes, maxima, narrow forms.
#pragma once
#if defined(__AVX2__)
#  include <immintrin.h>
#elif defined(__SSE2__)
#  include <emmintrin.h>
#endif

namespace konv::KONV_ISA_LEVEL_NAME {

#if defined(__AVX512F__)

// Lanes [low, high).
KONV_INLINE Vec<float> load_between(const float* p, int low, int high) {
  return (Vec<float>)_mm512_maskz_loadu_ps((1u << high) - (1u << low), p);
}
KONV_INLINE Vec<double> load_between(const double* p, int low, int high) {
  return (Vec<double>)_mm512_maskz_loadu_pd((1u << high) - (1u << low), p);
}
// The first n lanes.
KONV_INLINE Vec<float> load_n(const float* p, int n) { return (Vec<float>)_mm512_maskz_loadu_ps((1u << n) - 1u, p); }
KONV_INLINE void store_n(float* p, Vec<float> v, int n) { _mm512_mask_storeu_ps(p, (1u << n) - 1u, (__m512)v); }
KONV_INLINE Vec<double> load_n(const double* p, int n) { return (Vec<double>)_mm512_maskz_loadu_pd((1u << n) - 1u, p); }
KONV_INLINE void store_n(double* p, Vec<double> v, int n) { _mm512_mask_storeu_pd(p, (1u << n) - 1u, (__m512d)v); }
KONV_INLINE void store_n(int64_t* p, Vec<int64_t> v, int n) {
  _mm512_mask_storeu_epi64(p, __mmask8((1u << n) - 1u), (__m512i)v);
}

// Lanes 0, 2, 4, ... below n.
KONV_INLINE void store_even_n(float* p, Vec<float> v, int n) {
  _mm512_mask_storeu_ps(p, ((1u << n) - 1u) & 0x5555u, (__m512)v);
}
KONV_INLINE void store_even_n(double* p, Vec<double> v, int n) {
  _mm512_mask_storeu_pd(p, ((1u << n) - 1u) & 0x55u, (__m512d)v);
}

#elif defined(__AVX2__)

KONV_INLINE __m256i first_lanes32(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
KONV_INLINE __m256i first_lanes64(int n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
KONV_INLINE Vec<float> load_between(const float* p, int low, int high) {
  return (Vec<float>)_mm256_maskload_ps(p, _mm256_andnot_si256(first_lanes32(low), first_lanes32(high)));
}
KONV_INLINE Vec<double> load_between(const double* p, int low, int high) {
  return (Vec<double>)_mm256_maskload_pd(p, _mm256_andnot_si256(first_lanes64(low), first_lanes64(high)));
}
KONV_INLINE Vec<float> load_n(const float* p, int n) { return (Vec<float>)_mm256_maskload_ps(p, first_lanes32(n)); }
KONV_INLINE void store_n(float* p, Vec<float> v, int n) { _mm256_maskstore_ps(p, first_lanes32(n), (__m256)v); }
KONV_INLINE Vec<double> load_n(const double* p, int n) { return (Vec<double>)_mm256_maskload_pd(p, first_lanes64(n)); }
KONV_INLINE void store_n(double* p, Vec<double> v, int n) { _mm256_maskstore_pd(p, first_lanes64(n), (__m256d)v); }
KONV_INLINE void store_n(int64_t* p, Vec<int64_t> v, int n) {
  _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), first_lanes64(n), (__m256i)v);
}

#else

template <class T>
KONV_INLINE Vec<T> load_between(const T* p, int low, int high) {
  T t[kLanes<T>] = {};
  for (int i = low; i < high && i < kLanes<T>; i++) __builtin_memcpy(t + i, p + i, sizeof(T));  // aligned or not
  return load(t);
}
template <class T>
KONV_INLINE Vec<T> load_n(const T* p, int n) {
  return load_between(p, 0, n);
}
template <class T>
KONV_INLINE void store_n(T* p, Vec<T> v, int n) {
  T t[kLanes<T>];
  store(t, v);
  for (int i = 0; i < n && i < kLanes<T>; i++) p[i] = t[i];
}

#endif

#if !defined(__AVX512F__)
template <class T>
KONV_INLINE void store_even_n(T* p, Vec<T> v, int n) {
  T t[kLanes<T>];
  store(t, v);
  for (int i = 0; i < n && i < kLanes<T>; i += 2) p[i] = t[i];
}
#endif

// p[2 * i] = lane i for the first n lanes. What lies between is not touched: other threads may be writing it.
template <class T>
KONV_INLINE void store_spread(T* p, Vec<T> v, int n) {
  constexpr int L = kLanes<T>;
  const int elements = 2 * n - 1;
  store_even_n(p, doubled<0, T>(v), elements < L ? elements : L);
  if (elements > L) store_even_n(p + L, doubled<L / 2, T>(v), elements - L);
}

// Elements 0, Step, 2 * Step, ... from p, for Step 1 or 2.
template <int Step, class T>
KONV_INLINE Vec<T> load_step(const T* p) {
  if constexpr (Step == 1)
    return load(p);
  else
    return even_lanes<T>(load(p), load(p + kLanes<T>));
}
// The same for lanes [low, high) alone.
template <int Step, class T>
KONV_INLINE Vec<T> load_step_between(const T* p, int low, int high) {
  constexpr int L = kLanes<T>;
  if constexpr (Step == 1) {
    return load_between(p, low, high);
  } else {
    const int first = low < high ? 2 * low : 0, last = low < high ? 2 * high - 1 : 0;
    return even_lanes<T>(load_between(p, first < L ? first : L, last < L ? last : L),
                         load_between(p + L, first > L ? first - L : 0, last > L ? last - L : 0));
  }
}

// The lanes [low, high), to load by: the others are not touched in memory and come out as those of `rest`.
#if defined(__AVX512F__)
template <class T>
struct LaneRange {
  __mmask16 mask;
};
template <class T>
KONV_INLINE LaneRange<T> lanes_between(int low, int high) {
  return {__mmask16((1u << high) - (1u << low))};
}
KONV_INLINE Vec<float> load_lanes(const float* p, LaneRange<float> r, Vec<float> rest) {
  return (Vec<float>)_mm512_mask_loadu_ps((__m512)rest, __mmask16(r.mask), p);
}
KONV_INLINE Vec<double> load_lanes(const double* p, LaneRange<double> r, Vec<double> rest) {
  return (Vec<double>)_mm512_mask_loadu_pd((__m512d)rest, __mmask8(r.mask), p);
}
#elif defined(__AVX2__)
template <class T>
struct LaneRange {
  __m256i mask;
};
template <class T>
KONV_INLINE LaneRange<T> lanes_between(int low, int high) {
  if constexpr (sizeof(T) == 4)
    return {_mm256_andnot_si256(first_lanes32(low), first_lanes32(high))};
  else
    return {_mm256_andnot_si256(first_lanes64(low), first_lanes64(high))};
}
KONV_INLINE Vec<float> load_lanes(const float* p, LaneRange<float> r, Vec<float> rest) {
  return (Vec<float>)_mm256_blendv_ps((__m256)rest, _mm256_maskload_ps(p, r.mask), (__m256)r.mask);
}
KONV_INLINE Vec<double> load_lanes(const double* p, LaneRange<double> r, Vec<double> rest) {
  return (Vec<double>)_mm256_blendv_pd((__m256d)rest, _mm256_maskload_pd(p, r.mask), (__m256d)r.mask);
}
#else
template <class T>
struct LaneRange {
  int low, high;
};
template <class T>
KONV_INLINE LaneRange<T> lanes_between(int low, int high) {
  return {low, high};
}
template <class T>
KONV_INLINE Vec<T> load_lanes(const T* p, LaneRange<T> r, Vec<T> rest) {
  if (r.high - r.low == kLanes<T>) return load(p);
  T t[kLanes<T>];
  store(t, rest);
  for (int i = r.low; i < r.high; i++) t[i] = p[i];
  return load(t);
}
#endif

// Lane numbers, to permute by: lane l of the result is lane order[l] of v. later_lanes() adds to all of them.
#if defined(__AVX512F__)
template <class T>
struct LaneOrder {
  __m512i lanes;
};
template <class T>
KONV_INLINE LaneOrder<T> lane_order(const int32_t* lane) {
  if constexpr (sizeof(T) == 4)
    return {_mm512_loadu_si512(lane)};
  else
    return {_mm512_maskz_cvtepi32_epi64(__mmask8(-1), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane)))};
}
template <class T>
KONV_INLINE LaneOrder<T> later_lanes(LaneOrder<T> o, int by) {
  if constexpr (sizeof(T) == 4)
    return {_mm512_add_epi32(o.lanes, _mm512_set1_epi32(by))};
  else
    return {_mm512_add_epi64(o.lanes, _mm512_set1_epi64(by))};
}
KONV_INLINE Vec<float> permute(Vec<float> v, LaneOrder<float> o) {
  return (Vec<float>)_mm512_maskz_permutexvar_ps(__mmask16(-1), o.lanes, (__m512)v);
}
KONV_INLINE Vec<double> permute(Vec<double> v, LaneOrder<double> o) {
  return (Vec<double>)_mm512_maskz_permutexvar_pd(__mmask8(-1), o.lanes, (__m512d)v);
}
#elif defined(__AVX2__)
template <class T>
struct LaneOrder {
  __m256i lanes;  // of 32 bits
};
template <class T>
KONV_INLINE LaneOrder<T> lane_order(const int32_t* lane) {
  if constexpr (sizeof(T) == 4) return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane))};
  return {_mm256_setr_epi32(2 * lane[0], 2 * lane[0] + 1, 2 * lane[1], 2 * lane[1] + 1, 2 * lane[2], 2 * lane[2] + 1,
                            2 * lane[3], 2 * lane[3] + 1)};
}
template <class T>
KONV_INLINE LaneOrder<T> later_lanes(LaneOrder<T> o, int by) {
  return {_mm256_add_epi32(o.lanes, _mm256_set1_epi32(by * int(sizeof(T) / 4)))};
}
KONV_INLINE Vec<float> permute(Vec<float> v, LaneOrder<float> o) {
  return (Vec<float>)_mm256_permutevar8x32_ps((__m256)v, o.lanes);
}
KONV_INLINE Vec<double> permute(Vec<double> v, LaneOrder<double> o) {
  return (Vec<double>)_mm256_permutevar8x32_ps((__m256)v, o.lanes);
}
#else
template <class T>
struct LaneOrder {
  int lanes[kLanes<T>];
};
template <class T>
KONV_INLINE LaneOrder<T> lane_order(const int32_t* lane) {
  LaneOrder<T> o;
  for (int i = 0; i < kLanes<T>; i++) o.lanes[i] = lane[i];
  return o;
}
template <class T>
KONV_INLINE LaneOrder<T> later_lanes(LaneOrder<T> o, int by) {
  for (int i = 0; i < kLanes<T>; i++) o.lanes[i] += by;
  return o;
}
template <class T>
KONV_INLINE Vec<T> permute(Vec<T> v, LaneOrder<T> o) {
  T from[kLanes<T>], to[kLanes<T>];
  store(from, v);
  for (int i = 0; i < kLanes<T>; i++) to[i] = from[o.lanes[i]];
  return load(to);
}
#endif

// The same with zeros in the other lanes. fix() holds a range in the form that loads want, or compilers make it anew
// for each load.
#if defined(__AVX512F__)
template <class T>
KONV_INLINE void fix(LaneRange<T>& r) {
  asm("" : "+Yk"(r.mask));
}
KONV_INLINE Vec<float> load_lanes(const float* p, LaneRange<float> r) {
  return (Vec<float>)_mm512_maskz_loadu_ps(__mmask16(r.mask), p);
}
KONV_INLINE Vec<double> load_lanes(const double* p, LaneRange<double> r) {
  return (Vec<double>)_mm512_maskz_loadu_pd(__mmask8(r.mask), p);
}
#else
template <class T>
KONV_INLINE void fix(LaneRange<T>&) {}
#  if defined(__AVX2__)
KONV_INLINE Vec<float> load_lanes(const float* p, LaneRange<float> r) {
  return (Vec<float>)_mm256_maskload_ps(p, r.mask);
}
KONV_INLINE Vec<double> load_lanes(const double* p, LaneRange<double> r) {
  return (Vec<double>)_mm256_maskload_pd(p, r.mask);
}
#  else
template <class T>
KONV_INLINE Vec<T> load_lanes(const T* p, LaneRange<T> r) {
  return load_between(p, r.low, r.high);
}
#  endif
#endif

// The larger of two values, `best` where they are equal, and the later NaN where there is one: bits only move.
#if defined(__AVX512F__)
KONV_INLINE Vec<float> max_or_nan(Vec<float> best, Vec<float> v) {
  return (Vec<float>)_mm512_mask_max_ps(v, _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v, best);
}
KONV_INLINE Vec<double> max_or_nan(Vec<double> best, Vec<double> v) {
  return (Vec<double>)_mm512_mask_max_pd(v, _mm512_cmp_pd_mask(v, v, _CMP_ORD_Q), v, best);
}
#elif defined(__AVX2__)
KONV_INLINE Vec<float> max_or_nan(Vec<float> best, Vec<float> v) {
  return (Vec<float>)_mm256_blendv_ps(_mm256_max_ps(v, best), v, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}
KONV_INLINE Vec<double> max_or_nan(Vec<double> best, Vec<double> v) {
  return (Vec<double>)_mm256_blendv_pd(_mm256_max_pd(v, best), v, _mm256_cmp_pd(v, v, _CMP_UNORD_Q));
}
#else
template <class V>
KONV_INLINE V max_or_nan(V best, V v) {
  return (v > best) | (v != v) ? v : best;
}
#endif

// The same, and `at` becomes `v_at` where v is taken.
#if defined(__AVX512F__)
KONV_INLINE void max_or_nan_at(Vec<float>& best, Vec<int32_t>& at, Vec<float> v, Vec<int32_t> v_at) {
  const __mmask16 take = _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  best = (Vec<float>)_mm512_mask_mov_ps(best, take, v);
  at = (Vec<int32_t>)_mm512_mask_mov_epi32((__m512i)at, take, (__m512i)v_at);
}
KONV_INLINE void max_or_nan_at(Vec<double>& best, Vec<int64_t>& at, Vec<double> v, Vec<int64_t> v_at) {
  const __mmask8 take = _mm512_cmp_pd_mask(v, best, _CMP_GT_OQ) | _mm512_cmp_pd_mask(v, v, _CMP_UNORD_Q);
  best = (Vec<double>)_mm512_mask_mov_pd(best, take, v);
  at = (Vec<int64_t>)_mm512_mask_mov_epi64((__m512i)at, take, (__m512i)v_at);
}
#else
template <class V, class I>
KONV_INLINE void max_or_nan_at(V& best, I& at, V v, I v_at) {
  const auto take = (v > best) | (v != v);
  best = take ? v : best;
  at = take ? v_at : at;
}
#endif

// As many bytes as there are 32-bit lanes, as numbers without a sign.
KONV_INLINE Vec<int32_t> widen_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  return (Vec<int32_t>)_mm512_maskz_cvtepu8_epi32(__mmask16(-1), _mm_loadu_si128((const __m128i*)p));
#elif defined(__AVX2__)
  return (Vec<int32_t>)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#elif defined(__SSE2__)
  int32_t bytes;
  __builtin_memcpy(&bytes, p, sizeof bytes);
  const __m128i zero = _mm_setzero_si128();
  return (Vec<int32_t>)_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), zero), zero);
#else
  typedef uint8_t Bytes __attribute__((vector_size(KONV_VEC_BYTES / 4), aligned(1), may_alias));
  return __builtin_convertvector(*reinterpret_cast<const Bytes*>(p), Vec<int32_t>);
#endif
}
// The first n alone, n at most the number of lanes.
KONV_INLINE Vec<int32_t> widen_bytes_n(const uint8_t* p, int n) {
#if defined(__AVX512F__)
  return (Vec<int32_t>)_mm512_maskz_cvtepu8_epi32(__mmask16(-1), _mm_maskz_loadu_epi8(__mmask16((1u << n) - 1u), p));
#else
  uint8_t bytes[KONV_VEC_BYTES / 4] = {};
  for (int i = 0; i < n; i++) bytes[i] = p[i];
  return widen_bytes(bytes);
#endif
}
// The low byte of each lane.
KONV_INLINE void store_bytes(uint8_t* p, Vec<int32_t> v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(__mmask16(-1), (__m512i)v));
#elif defined(__SSE2__)
  typedef int32_t Block __attribute__((vector_size(16)));
  Block b[KONV_VEC_BYTES / 16];
  __builtin_memcpy(b, &v, sizeof v);
  for (int i = 0; i < KONV_VEC_BYTES / 16; i++) {
    const __m128i words = _mm_packs_epi32((__m128i)(b[i] & 0xff), (__m128i)(b[i] & 0xff));
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    __builtin_memcpy(p + 4 * i, &bytes, sizeof bytes);
  }
#else
  for (int i = 0; i < kLanes<int32_t>; i++) p[i] = uint8_t(v[i]);
#endif
}

// a > b ? a : b and a < b ? a : b, so b where one of them is NaN. Compilers make two instructions of that; without
// masks GCC 12 warns of what the header itself leaves unset.
#if defined(__AVX512F__)
KONV_INLINE Vec<float> greater(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_maskz_max_ps(__mmask16(-1), (__m512)a, (__m512)b);
}
KONV_INLINE Vec<float> lesser(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_maskz_min_ps(__mmask16(-1), (__m512)a, (__m512)b);
}
KONV_INLINE Vec<double> greater(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_maskz_max_pd(__mmask8(-1), (__m512d)a, (__m512d)b);
}
KONV_INLINE Vec<double> lesser(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_maskz_min_pd(__mmask8(-1), (__m512d)a, (__m512d)b);
}
#elif defined(__AVX2__)
KONV_INLINE Vec<float> greater(Vec<float> a, Vec<float> b) { return (Vec<float>)_mm256_max_ps((__m256)a, (__m256)b); }
KONV_INLINE Vec<float> lesser(Vec<float> a, Vec<float> b) { return (Vec<float>)_mm256_min_ps((__m256)a, (__m256)b); }
KONV_INLINE Vec<double> greater(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm256_max_pd((__m256d)a, (__m256d)b);
}
KONV_INLINE Vec<double> lesser(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm256_min_pd((__m256d)a, (__m256d)b);
}
#elif defined(__SSE2__)
KONV_INLINE Vec<float> greater(Vec<float> a, Vec<float> b) { return (Vec<float>)_mm_max_ps((__m128)a, (__m128)b); }
KONV_INLINE Vec<float> lesser(Vec<float> a, Vec<float> b) { return (Vec<float>)_mm_min_ps((__m128)a, (__m128)b); }
KONV_INLINE Vec<double> greater(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm_max_pd((__m128d)a, (__m128d)b);
}
KONV_INLINE Vec<double> lesser(Vec<double> a, Vec<double> b) { return (Vec<double>)_mm_min_pd((__m128d)a, (__m128d)b); }
#else
template <class V>
KONV_INLINE V greater(V a, V b) {
  return a > b ? a : b;
}
template <class V>
KONV_INLINE V lesser(V a, V b) {
  return a < b ? a : b;
}
#endif

}  // namespace konv::KONV_ISA_LEVEL_NAME
