// What kernels of pooling share: where windows lie along an axis, and which element a thread computes.
//
// Threads count the vectors of one side of an image, in the order of its memory: channels innermost where they are one
// element apart, else columns. Grids go over the images in y. Divisions are multiplications.
#pragma once
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "cuda/kernels/divider.cuh"
#include "cuda/numbers.h"
#include "cuda/pool/pool.h"

namespace konv::cuda {

constexpr int kPoolThreads = 256;

// What is computed with: 16-bit floats as float32, narrow integers as int32.
template <class T>
struct PooledAs {
  using type = std::conditional_t<sizeof(T) == 8, T, std::conditional_t<std::is_integral_v<T>, int32_t, float>>;
};
template <class T>
using Pooled = typename PooledAs<T>::type;
template <class T>
__device__ __forceinline__ Pooled<T> pooled(T v) {
  if constexpr (std::is_integral_v<T>)
    return v;
  else
    return widened(v);
}
template <class T>
__device__ __forceinline__ T unpooled(Pooled<T> v) {
  if constexpr (std::is_integral_v<T>)
    return T(v);
  else
    return narrowed<T>(v);
}

struct AxisWindows {
  int in, out, kernel, stride, dilation, pad, low, high;  // averages count taps from low to before high
  bool adaptive;
  double per_in, per_out;  // 1 / in, 1 / out
  Divider by_stride;
};
// floor(n / d) below 2^31, without a division.
__device__ __forceinline__ int quotient_of(int64_t n, int d, double inverse) {
  const int64_t q = int64_t(double(n) * inverse), rest = n - q * d;
  return int(rest < 0 ? q - 1 : rest >= d ? q + 1 : q);
}
// The elements of the input that a window meets: start, start + dilation, ...
struct Taps {
  int start, count;
};
__device__ __forceinline__ Taps taps_of(const AxisWindows& a, int o) {
  if (a.adaptive) {
    const int start = quotient_of(int64_t(o) * a.in, a.out, a.per_out);
    return {start, quotient_of(int64_t(o + 1) * a.in + a.out - 1, a.out, a.per_out) - start};
  }
  int start = o * a.stride - a.pad, count = a.kernel;
  if (start < 0) {
    const int before = a.dilation == 1 ? -start : (a.dilation - 1 - start) / a.dilation;
    start += before * a.dilation, count -= before;
  }
  const int room = a.in - start;
  const int most = room <= 0 ? 0 : a.dilation == 1 ? room : (room + a.dilation - 1) / a.dilation;
  return {start, count < 0 ? 0 : count < most ? count : most};
}
// The elements that an average divides by, without dilation.
__device__ __forceinline__ int counted(const AxisWindows& a, int o) {
  if (a.adaptive) return taps_of(a, o).count;
  const int start = o * a.stride - a.pad, end = start + a.kernel;
  const int count = (end < a.high ? end : a.high) - (start > a.low ? start : a.low);
  return count < 0 ? 0 : count;
}
// The windows, from first to last, that meet element i, without dilation.
struct Readers {
  int first, last;
};
__device__ __forceinline__ Readers readers_of(const AxisWindows& a, int i) {
  if (a.adaptive) {
    const int last = quotient_of(int64_t(i + 1) * a.out - 1, a.in, a.per_in);
    return {quotient_of(int64_t(i) * a.out, a.in, a.per_in), last};
  }
  const int at = i + a.pad, late = at - a.kernel + a.stride;
  const int last = int(a.by_stride.quotient(uint32_t(at)));
  return {late < 0 ? 0 : int(a.by_stride.quotient(uint32_t(late))), last < a.out ? last : a.out - 1};
}

struct PoolGeometry {
  AxisWindows axis[3];
  int64_t xs[5], ys[5], indices_s[5];
  int64_t n;
  bool channels_inner;
  uint32_t count;  // threads for an image
  Divider inner[3];
  double divisor, power;
};

// The first channel of a thread's vector, and its place on the side that is counted.
struct PoolItem {
  int64_t channel;
  int at[3];
};
template <int V>
__device__ __forceinline__ PoolItem item_of(const PoolGeometry& g, uint32_t i) {
  PoolItem r;
  if (g.channels_inner) {
    r.channel = int64_t(g.inner[0].split(i)) * V;
    r.at[2] = int(g.inner[1].split(i)), r.at[1] = int(g.inner[2].split(i)), r.at[0] = int(i);
  } else {
    r.at[2] = int(g.inner[0].split(i)), r.at[1] = int(g.inner[1].split(i)), r.at[0] = int(g.inner[2].split(i));
    r.channel = int64_t(i) * V;
  }
  return r;
}
__device__ __forceinline__ int64_t offset_of(const int64_t s[5], int64_t channel, int z, int y, int x) {
  return channel * s[1] + z * s[2] + y * s[3] + x * s[4];
}

inline void check_pool_sizes(const PoolProblem& p) {
  const double channels = double(p.c), most = double(INT32_MAX);
  if (channels * double(p.in[0]) * double(p.in[1]) * double(p.in[2]) > most ||
      channels * double(p.out[0]) * double(p.out[1]) * double(p.out[2]) > most)
    throw std::invalid_argument("input: on devices an image has fewer than 2^31 elements; pass its channels in parts");
}
// For threads that compute `size`, the input or the windows, V channels each.
inline PoolGeometry geometry_of(const PoolProblem& p, const int64_t size[3], const int64_t strides[5], int vector) {
  check_pool_sizes(p);
  PoolGeometry g{};
  for (int i = 0; i < 3; i++) {
    const int64_t low = p.count_padding ? -p.pad[i] : 0, high = p.in[i] + (p.count_padding ? p.pad_after[i] : 0);
    g.axis[i] = {int(p.in[i]),
                 int(p.out[i]),
                 int(p.kernel[i]),
                 int(p.stride[i]),
                 int(p.dilation[i]),
                 int(p.pad[i]),
                 int(low),
                 int(high),
                 p.adaptive[i],
                 1.0 / double(p.in[i]),
                 1.0 / double(p.out[i] < 1 ? 1 : p.out[i]),
                 divider_of(p.stride[i])};
  }
  for (int i = 0; i < 5; i++) g.xs[i] = p.xs[i], g.ys[i] = p.ys[i], g.indices_s[i] = p.indices_s[i];
  g.n = p.n, g.divisor = p.divisor, g.power = p.power;
  g.channels_inner = vector > 1 || (strides[1] == 1 && p.c > 1);
  const int64_t vectors = p.c / vector;
  g.count = uint32_t(vectors * size[0] * size[1] * size[2]);
  const int64_t inner[3] = {g.channels_inner ? vectors : size[2], g.channels_inner ? size[2] : size[1],
                            g.channels_inner ? size[1] : size[0]};
  for (int i = 0; i < 3; i++) g.inner[i] = divider_of(inner[i]);
  return g;
}
inline Dim pool_grid(const PoolGeometry& g) {
  return {blocks_for(g.count, kPoolThreads).x, unsigned(g.n < 65535 ? g.n : 65535), 1};
}

// Whether vectors of `bytes` along channels are aligned in an array whose elements have `item`.
inline bool takes_vectors(const void* data, const int64_t strides[5], int item, int64_t channels, int vector) {
  if (strides[1] != 1 || channels % vector) return false;
  const int64_t align = item * vector < 16 ? item * vector : 16;
  bool aligned = reinterpret_cast<uintptr_t>(data) % uintptr_t(align) == 0;
  for (int i : {0, 2, 3, 4}) aligned = aligned && strides[i] * item % align == 0;
  return aligned;
}

template <class T, int V>
__device__ __forceinline__ void load_elements(const T* p, Pooled<T> (&v)[V]) {
  if constexpr (V * sizeof(T) <= 16) {
    const auto loaded = load_vector<Vector<T, V>>(p);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = pooled(loaded.at[i]);
  } else {
    constexpr int kPart = 16 / int(sizeof(T));
#pragma unroll
    for (int j = 0; j < V; j += kPart) {
      const auto loaded = load_vector<Vector<T, kPart>>(p + j);
#pragma unroll
      for (int i = 0; i < kPart; i++) v[j + i] = pooled(loaded.at[i]);
    }
  }
}
template <class T, int V>
__device__ __forceinline__ void store_elements(T* p, const Pooled<T> (&v)[V]) {
  constexpr int kPart = V * sizeof(T) <= 16 ? V : 16 / int(sizeof(T));
#pragma unroll
  for (int j = 0; j < V; j += kPart) {
    Vector<T, kPart> part;
#pragma unroll
    for (int i = 0; i < kPart; i++) part.at[i] = unpooled<T>(v[j + i]);
    store_vector(p + j, part);
  }
}

// |v|^power.
template <class W>
__device__ __forceinline__ W raised(W v, double power) {
  const W a = v < 0 ? -v : v;
  if (power == 1) return a;
  if (power == 2) return a * a;
  if (power == 3) return a * a * a;
  if (power == 0.5) return W(sqrt(a));
  return W(pow(a, W(power)));
}

// Calls f(T()) with the type of the elements.
template <class F>
void by_float_type(DType dtype, F f) {
  dtype == DType::f32   ? f(float())
  : dtype == DType::f64 ? f(double())
  : dtype == DType::f16 ? f(float16())
                        : f(bfloat16());
}

}  // namespace konv::cuda
