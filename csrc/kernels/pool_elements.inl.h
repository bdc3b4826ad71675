// What pooling reads and writes: elements that kernels compute with as they are, and halves, which become float32 on
// the way. Exact: values that were halves to begin with, of which every NaN keeps its bits.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// Integers move as the floats of their size do, and count in themselves.
template <class T>
struct PoolElement;
template <>
struct PoolElement<float> {
  typedef uint32_t Bits;
  static constexpr bool integer = false;
  typedef float Float;
  typedef int32_t Int;
  static constexpr float lowest = -__builtin_inff();
};
template <>
struct PoolElement<double> {
  typedef uint64_t Bits;
  static constexpr bool integer = false;
  typedef double Float;
  typedef int64_t Int;
  static constexpr double lowest = -__builtin_inf();
};
template <>
struct PoolElement<int32_t> {
  typedef uint32_t Bits;
  static constexpr bool integer = true;
  typedef float Float;
  typedef int32_t Int;
  static constexpr int32_t lowest = INT32_MIN;
};
template <>
struct PoolElement<int64_t> {
  typedef uint64_t Bits;
  static constexpr bool integer = true;
  typedef double Float;
  typedef int64_t Int;
  static constexpr int64_t lowest = INT64_MIN;
};
template <class T>
using Moved = typename PoolElement<T>::Float;
template <class T>
KONV_INLINE const Moved<T>* moved(const T* p) {
  return reinterpret_cast<const Moved<T>*>(p);
}

template <class S>
struct PoolComputed {
  typedef S type;
};
template <>
struct PoolComputed<Float16> {
  typedef float type;
};
template <>
struct PoolComputed<BFloat16> {
  typedef float type;
};
// The type that kernels compute with.
template <class S>
using Computed = typename PoolComputed<S>::type;

template <bool Exact, class S>
KONV_INLINE Vec<Computed<S>> read(const S* p) {
  if constexpr (std::is_same_v<S, Computed<S>>)
    return load(p);
  else if constexpr (std::is_same_v<S, Float16> && !Exact)
    return float_of_half(p);
  else
    return widen_vector(p);
}
// The first n lanes; the others are zero.
template <bool Exact, class S>
KONV_INLINE Vec<Computed<S>> read_n(const S* p, int n) {
  if constexpr (std::is_same_v<S, Computed<S>>) {
    return Vec<S>(load_n(moved(p), n));
  } else {
    S t[kLanes<float>] = {};
    for (int i = 0; i < n; i++) t[i] = p[i];
    return read<Exact>(t);
  }
}
template <bool Exact = false, class S>
KONV_INLINE void write(S* out, Vec<Computed<S>> v) {
  if constexpr (std::is_same_v<S, Computed<S>>)
    store(out, v);
  else if constexpr (std::is_same_v<S, BFloat16> && Exact)
    store_bits(Vec<uint32_t>(v) >> 16, out);
  else
    narrow_vector(v, out);
}
template <class S>
KONV_INLINE void write_one(S* out, Computed<S> v) {
  if constexpr (std::is_same_v<S, Computed<S>>) {
    *out = v;
  } else {
    S t[kLanes<float>];
    write(t, splat(v));
    *out = t[0];
  }
}

KONV_INLINE void zero_run(BFloat16* out, int64_t n) { __builtin_memset(out, 0, size_t(n) * sizeof *out); }
KONV_INLINE void zero_run(Float16* out, int64_t n) { __builtin_memset(out, 0, size_t(n) * sizeof *out); }
KONV_INLINE void copy_run(const BFloat16* from, BFloat16* to, int64_t n) {
  __builtin_memcpy(to, from, size_t(n) * sizeof *to);
}
KONV_INLINE void copy_run(const Float16* from, Float16* to, int64_t n) {
  __builtin_memcpy(to, from, size_t(n) * sizeof *to);
}

template <bool Exact, class S>
__attribute__((noinline)) static void store_strided(S* out, int64_t step, Vec<Computed<S>> v, int n) {
  S t[kLanes<Computed<S>>];
  write<Exact>(t, v);
  for (int i = 0; i < n; i++) out[i * step] = t[i];
}
template <bool Exact = false, class S>
KONV_INLINE void store_run(S* out, int64_t step, Vec<Computed<S>> v, int n) {
  constexpr int L = kLanes<Computed<S>>;
  if (step == 1 && n == L) return write<Exact>(out, v);
  if constexpr (std::is_same_v<S, Computed<S>>)
    if (step == 1) return store_n(reinterpret_cast<Moved<S>*>(out), Vec<Moved<S>>(v), n);
  store_strided<Exact>(out, step, v, n);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
