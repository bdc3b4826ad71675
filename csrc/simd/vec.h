// Vectors as plain values, on GCC's and Clang's vector_size.
//
// Included by one translation unit per ISA level, which has defined KONV_ISA_LEVEL_NAME and KONV_VEC_BYTES: everything
// here and in the kernels lives in that level's namespace and is static, so that no symbol compiled with one level's
// flags can be linked into another's code. No function of the C++ library may be used here for the same reason.
#pragma once
#include <cstdint>
#include <utility>

#define KONV_INLINE static inline __attribute__((always_inline))
#define KONV_LAMBDA __attribute__((always_inline))  // between a lambda's parameters and its body
#define KONV_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#  define KONV_UNROLL KONV_PRAGMA(clang loop unroll(full))
#  define KONV_UNROLL_BY(n) KONV_PRAGMA(clang loop unroll_count(n))
#  define KONV_NO_UNROLL KONV_PRAGMA(clang loop unroll(disable))
#else
#  define KONV_UNROLL KONV_PRAGMA(GCC unroll 64)
#  define KONV_UNROLL_BY(n) KONV_PRAGMA(GCC unroll n)
#  define KONV_NO_UNROLL KONV_PRAGMA(GCC unroll 1)
#endif

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
struct VecOf {
  // Loads and stores through pointers to it need only the element's alignment.
  typedef T type __attribute__((vector_size(KONV_VEC_BYTES), aligned(alignof(T)), may_alias));
};
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
constexpr int kLanes = KONV_VEC_BYTES / int(sizeof(T));

template <class T>
KONV_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const Vec<T>*>(p);
}
template <class T>
KONV_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<Vec<T>*>(p) = v;
}

// Holds a value in a register: compilers may otherwise fold one load into each of its uses, and unaligned vectors of
// 64 bytes cost two accesses each time.
template <class V>
KONV_INLINE void keep_in_register(V& v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
}

// {s, s, ...} becomes a broadcast from memory; vec{} + s would cost a move and a register broadcast on GCC 12.
template <class T, int... I>
KONV_INLINE Vec<T> splat_(T s, std::integer_sequence<int, I...>) {
  return Vec<T>{((void)I, s)...};
}
template <class T>
KONV_INLINE Vec<T> splat(T s) {
  return splat_<T>(s, std::make_integer_sequence<int, kLanes<T>>{});
}

// Transposing in steps that are single instructions without an index register everywhere: interleaving within blocks of
// 16 bytes, then choosing blocks.
template <class T>
inline constexpr int kBlockLanes = 16 / int(sizeof(T));

// The first or second half (High) of each block of a and b, in turns of Run elements.
template <int Run, int High, class T, int... I>
KONV_INLINE Vec<T> interleave_blocks_(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  constexpr int B = kBlockLanes<T>;
  return __builtin_shufflevector(
      a, b, (I / B * B + High * B / 2 + I % B / Run / 2 * Run + I % Run + I % B / Run % 2 * kLanes<T>)...);
}
// Every second block of the vectors a, b put side by side.
template <int Odd, class T, int... I>
KONV_INLINE Vec<T> every_second_block_(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  constexpr int B = kBlockLanes<T>;
  return __builtin_shufflevector(a, b, (I / B * 2 * B + Odd * B + I % B)...);
}
template <int Run, class T>
KONV_INLINE void interleave_blocks(Vec<T>& a, Vec<T>& b) {
  constexpr auto lanes = std::make_integer_sequence<int, kLanes<T>>{};
  const Vec<T> low = interleave_blocks_<Run, 0, T>(a, b, lanes), high = interleave_blocks_<Run, 1, T>(a, b, lanes);
  a = low, b = high;
}
template <class T>
KONV_INLINE void separate_blocks(Vec<T>& a, Vec<T>& b) {
  constexpr auto lanes = std::make_integer_sequence<int, kLanes<T>>{};
  const Vec<T> even = every_second_block_<0, T>(a, b, lanes), odd = every_second_block_<1, T>(a, b, lanes);
  a = even, b = odd;
}

// Transposes the square of kLanes<T> vectors in registers.
template <class T>
KONV_INLINE void transpose_square(Vec<T>* r) {
  constexpr int L = kLanes<T>, B = kBlockLanes<T>, Blocks = L / B;
  KONV_UNROLL
  for (int i = 0; i < L; i += B) {
    if constexpr (B == 2) {
      interleave_blocks<1, T>(r[i], r[i + 1]);
    } else {
      interleave_blocks<1, T>(r[i], r[i + 1]), interleave_blocks<1, T>(r[i + 2], r[i + 3]);
      interleave_blocks<2, T>(r[i], r[i + 2]), interleave_blocks<2, T>(r[i + 1], r[i + 3]);
      const Vec<T> second = r[i + 2];
      r[i + 2] = r[i + 1], r[i + 1] = second;
    }
  }
  // Column k of the block at (i, q) has to become block i of row q * B + k.
  KONV_UNROLL
  for (int k = 0; k < B; k++) {
    if constexpr (Blocks == 2) separate_blocks<T>(r[k], r[B + k]);
    if constexpr (Blocks == 4) {
      separate_blocks<T>(r[k], r[B + k]), separate_blocks<T>(r[2 * B + k], r[3 * B + k]);
      separate_blocks<T>(r[k], r[2 * B + k]), separate_blocks<T>(r[B + k], r[3 * B + k]);
    }
  }
}

// Elements 0, 2, 4, ... of the two vectors a, b put side by side.
template <class T, int... I>
KONV_INLINE Vec<T> even_(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (2 * I)...);
}
template <class T>
KONV_INLINE Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
  return even_<T>(a, b, std::make_integer_sequence<int, kLanes<T>>{});
}

// Elements 1, 3, 5, ... likewise.
template <class T, int... I>
KONV_INLINE Vec<T> odd_(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (2 * I + 1)...);
}
template <class T>
KONV_INLINE Vec<T> odd_lanes(Vec<T> a, Vec<T> b) {
  return odd_<T>(a, b, std::make_integer_sequence<int, kLanes<T>>{});
}
// Lanes 1, 2, ... of v, then s, or lane 0 of s.
template <class T, int... I>
KONV_INLINE Vec<T> shift_in_(Vec<T> v, Vec<T> s, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, s, (I + 1)...);
}
template <class T>
KONV_INLINE Vec<T> shift_in(Vec<T> v, T s) {
  return shift_in_<T>(v, splat(s), std::make_integer_sequence<int, kLanes<T>>{});
}
template <class T>
KONV_INLINE Vec<T> shift_in_vector(Vec<T> v, Vec<T> s) {
  return shift_in_<T>(v, s, std::make_integer_sequence<int, kLanes<T>>{});
}

// Lanes First, First, First + 1, First + 1, ... of v.
template <int First, class T, int... I>
KONV_INLINE Vec<T> doubled_(Vec<T> v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, (First + I / 2)...);
}
template <int First, class T>
KONV_INLINE Vec<T> doubled(Vec<T> v) {
  return doubled_<First, T>(v, std::make_integer_sequence<int, kLanes<T>>{});
}

// a0, b0, a1, b1, ... as two vectors.
template <class T, int... I>
KONV_INLINE void interleave_(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, I...>) {
  constexpr int n = kLanes<T>;
  const Vec<T> low = __builtin_shufflevector(a, b, (I / 2 + (I % 2) * n)...);
  b = __builtin_shufflevector(a, b, (I / 2 + n / 2 + (I % 2) * n)...);
  a = low;
}
template <class T>
KONV_INLINE void interleave(Vec<T>& a, Vec<T>& b) {
  interleave_<T>(a, b, std::make_integer_sequence<int, kLanes<T>>{});
}

// 0, 1, 2, ...
template <class T, int... I>
KONV_INLINE Vec<T> lane_numbers_(std::integer_sequence<int, I...>) {
  return Vec<T>{T(I)...};
}
template <class T>
KONV_INLINE Vec<T> lane_numbers() {
  return lane_numbers_<T>(std::make_integer_sequence<int, kLanes<T>>{});
}

// Half of the lanes, from lane First on, as 64-bit integers.
template <int First, int... I>
KONV_INLINE Vec<int64_t> widen_(Vec<int32_t> v, std::integer_sequence<int, I...>) {
  return __builtin_convertvector(__builtin_shufflevector(v, v, (First + I)...), Vec<int64_t>);
}
template <int First>
KONV_INLINE Vec<int64_t> widen(Vec<int32_t> v) {
  return widen_<First>(v, std::make_integer_sequence<int, kLanes<int64_t>>{});
}

template <class T>
KONV_INLINE T horizontal_sum(Vec<T> v) {
  T s[kLanes<T>];
  store(s, v);
  KONV_UNROLL
  for (int d = kLanes<T> / 2; d > 0; d /= 2)
    for (int i = 0; i < d; i++) s[i] += s[i + d];
  return s[0];
}

// One stage of summing lanes: the vectors hold kLanes / (2 * Half) sums' parts each, of 2 * Half lanes; halves are
// added, and those of a are followed by those of b.
template <int Half, class T, int... I>
KONV_INLINE Vec<T> fold_(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>, Sums = L / (2 * Half);
  return __builtin_shufflevector(a, b, (I / Half % Sums * 2 * Half + I % Half + I / Half / Sums * L)...) +
         __builtin_shufflevector(a, b, (I / Half % Sums * 2 * Half + I % Half + Half + I / Half / Sums * L)...);
}
template <int Half, int Count, class T>
KONV_INLINE void fold_stages(Vec<T>* v) {
  if constexpr (Half > 0) {
    KONV_UNROLL
    for (int i = 0; i < (Count + 1) / 2; i++)
      v[i] = fold_<Half, T>(v[2 * i], v[2 * i + 1 < Count ? 2 * i + 1 : 2 * i],
                            std::make_integer_sequence<int, kLanes<T>>{});
    fold_stages<Half / 2, (Count + 1) / 2, T>(v);
  }
}
// sums[i] += the sum of the lanes of v[i]; overwrites v.
template <int Count, class T>
KONV_INLINE void add_lane_sums(Vec<T>* v, T* sums) {
  constexpr int L = kLanes<T>;
  fold_stages<L / 2, Count, T>(v);
  T s[(Count + L - 1) / L * L];
  KONV_UNROLL
  for (int i = 0; i < Count; i += L) store(s + i, v[i / L]);
  for (int i = 0; i < Count; i++) sums[i] += s[i];
}

}  // namespace konv::KONV_ISA_LEVEL_NAME

#include "simd/holes.h"
