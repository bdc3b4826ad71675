// Maxima, averages and power means of windows.
//
// A thread computes the windows of 16 bytes of channels (channels-last), or one window (any strides), so that a warp
// reads and writes memory in lines. Windows of 2x2 and 3x3 are unrolled: their loads are in flight together. Windows
// that overlap are read from the caches: memory moves x once and y once, (stride^2 + 1) elements for each of y, plus 8
// bytes an index. Predicted: 0.85-0.9 of the memory's bandwidth channels-last, 0.7-0.8 by rows of 4-byte elements, 0.5
// of 2-byte ones, where instructions bind. Windows that are whole volumes (global pooling) are added up by a warp, or
// by 8 rows of threads with channels as lanes, in a fixed order: 1 element for each of x, predicted 0.8.
#include "cuda/pool/windows.cuh"

namespace konv::cuda {

namespace {

enum class Pooling {
  max,
  places,   // maxima and where they are
  average,  // by the divisor
  power,    // power means
  scale     // dy S^((1 - p) / p) of windows with the sum of powers S, 0 where that is: for the gradient
};

template <class T>
struct Pool {
  PoolGeometry g;
  const T* x;
  void* y;  // of T; of Pooled<T> for Pooling::scale
  int64_t* index;
  const T* dy;
  int64_t dys[5];
};

template <class T>
constexpr Pooled<T> lowest() {
  if constexpr (std::is_integral_v<T>)
    return std::numeric_limits<T>::min();
  else
    return -std::numeric_limits<Pooled<T>>::infinity();
}

// What a thread knows of the V windows that it goes through. Sums are formed by rows, so that rounding grows with the
// longer of two loops alone.
template <class T, Pooling Kind, int V>
struct Found {
  using W = Pooled<T>;
  static constexpr bool kMax = Kind == Pooling::max || Kind == Pooling::places;
  W value[V], row[V];
  int at[V];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int v = 0; v < V; v++) value[v] = kMax ? lowest<T>() : W(0), row[v] = 0, at[v] = -1;
  }
  __device__ __forceinline__ void take(const T* p, int place, double power) {
    W x[V];
    load_elements<T, V>(p, x);
#pragma unroll
    for (int v = 0; v < V; v++)
      if constexpr (kMax) {
        // The first of equal ones, the last NaN.
        bool take = x[v] > value[v] || x[v] != x[v];
        if constexpr (Kind == Pooling::places) {
          take = take || at[v] < 0;
          at[v] = take ? place : at[v];
        }
        value[v] = take ? x[v] : value[v];
      } else {
        row[v] += Kind == Pooling::average ? x[v] : raised(x[v], power);
      }
  }
  __device__ __forceinline__ void end_row() {
    if constexpr (!kMax)
#pragma unroll
      for (int v = 0; v < V; v++) value[v] += row[v], row[v] = 0;
  }
};

template <class T, Pooling Kind, int V>
__device__ __forceinline__ void finish(const Pool<T>& a, Found<T, Kind, V>& f, const PoolItem& item, int64_t n) {
  using W = Pooled<T>;
  const PoolGeometry& g = a.g;
  const int* o = item.at;
  if constexpr (Kind == Pooling::average) {
    W divisor = W(g.divisor);
    if (g.divisor == 0) {
      const int64_t count = int64_t(counted(g.axis[0], o[0])) * counted(g.axis[1], o[1]) * counted(g.axis[2], o[2]);
      divisor = W(count < 1 ? 1 : count);
    }
#pragma unroll
    for (int v = 0; v < V; v++) f.value[v] /= divisor;
  }
  if constexpr (Kind == Pooling::power)
#pragma unroll
    for (int v = 0; v < V; v++) f.value[v] = raised(f.value[v], 1 / g.power);
  if constexpr (Kind == Pooling::scale) {
    W dy[V];
    load_elements<T, V>(a.dy + n * a.dys[0] + offset_of(a.dys, item.channel, o[0], o[1], o[2]), dy);
#pragma unroll
    for (int v = 0; v < V; v++)
      f.value[v] = f.value[v] == 0 ? W(0) : dy[v] * W(pow(f.value[v], W((1 - g.power) / g.power)));
  }
  const int64_t to = n * g.ys[0] + offset_of(g.ys, item.channel, o[0], o[1], o[2]);
  if constexpr (Kind == Pooling::scale)
    store_elements<W, V>(static_cast<W*>(a.y) + to, f.value);
  else
    store_elements<T, V>(static_cast<T*>(a.y) + to, f.value);
  if constexpr (Kind == Pooling::places) {
    int64_t at[V];
#pragma unroll
    for (int v = 0; v < V; v++) at[v] = f.at[v];
    store_elements<int64_t, V>(a.index + n * g.indices_s[0] + offset_of(g.indices_s, item.channel, o[0], o[1], o[2]),
                               at);
  }
}

// K: windows of K x K without dilation in one slice; 0: any.
template <class T, Pooling Kind, int V, int K>
__global__ void __launch_bounds__(kPoolThreads, 3) pool_windows(Pool<T> a) {
  const PoolGeometry& g = a.g;
  const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= g.count) return;
  const PoolItem item = item_of<V>(g, i);
  const Taps z = taps_of(g.axis[0], item.at[0]);
  for (int64_t n = blockIdx.y; n < g.n; n += gridDim.y) {
    const T* x = a.x + n * g.xs[0] + item.channel * g.xs[1];
    Found<T, Kind, V> found;
    found.clear();
    if constexpr (K > 0) {
      const int top = item.at[1] * g.axis[1].stride - g.axis[1].pad,
                left = item.at[2] * g.axis[2].stride - g.axis[2].pad;
      x += z.start * g.xs[2];
#pragma unroll
      for (int ky = 0; ky < K; ky++) {
        const int row = top + ky;
        const bool inside = unsigned(row) < unsigned(g.axis[1].in);
#pragma unroll
        for (int kx = 0; kx < K; kx++)
          if (const int column = left + kx; inside && unsigned(column) < unsigned(g.axis[2].in))
            found.take(x + row * g.xs[3] + column * g.xs[4], (z.start * g.axis[1].in + row) * g.axis[2].in + column,
                       g.power);
        found.end_row();
      }
    } else {
      const Taps rows = taps_of(g.axis[1], item.at[1]), columns = taps_of(g.axis[2], item.at[2]);
      for (int ez = 0; ez < z.count; ez++)
        for (int ey = 0; ey < rows.count; ey++) {
          const int slice = z.start + ez * g.axis[0].dilation, row = rows.start + ey * g.axis[1].dilation;
          const T* from = x + slice * g.xs[2] + row * g.xs[3] + columns.start * g.xs[4];
          int place = (slice * g.axis[1].in + row) * g.axis[2].in + columns.start;
#pragma unroll 1
          for (int ex = 0; ex < columns.count; ex++) {
            found.take(from, place, g.power);
            from += g.axis[2].dilation * g.xs[4], place += g.axis[2].dilation;
          }
          found.end_row();
        }
    }
    finish(a, found, item, n);
  }
}

template <class T, Pooling Kind>
__device__ __forceinline__ Pooled<T> joined(Pooled<T> a, Pooled<T> b) {
  if constexpr (Kind == Pooling::max)
    return b > a || b != b ? b : a;
  else
    return a + b;
}

// Windows that are volumes whose elements are xs[4] apart, channels as lanes: threads of a block are 32 vectors by 8
// runs of every eighth element.
template <class T, Pooling Kind, int V>
__global__ void __launch_bounds__(kPoolThreads) pool_volumes(Pool<T> a) {
  using W = Pooled<T>;
  const PoolGeometry& g = a.g;
  constexpr int kRuns = kPoolThreads / kWarp;
  const int lane = int(threadIdx.x % kWarp), run = int(threadIdx.x / kWarp);
  const int64_t channel = (int64_t(blockIdx.x) * kWarp + lane) * V;
  const bool inside = channel < int64_t(g.count) * V;
  const int elements = g.axis[0].in * g.axis[1].in * g.axis[2].in;
  W* shared = reinterpret_cast<W*>(shared_memory());
  for (int64_t n = blockIdx.y; n < g.n; n += gridDim.y) {
    Found<T, Kind, V> found;
    found.clear();
    if (inside)
      for (int e = run; e < elements; e += kRuns) found.take(a.x + n * g.xs[0] + channel + e * g.xs[4], e, g.power);
    found.end_row();
#pragma unroll
    for (int v = 0; v < V; v++) shared[(run * V + v) * kWarp + lane] = found.value[v];
    __syncthreads();
    if (run == 0 && inside) {
      for (int r = 1; r < kRuns; r++)
#pragma unroll
        for (int v = 0; v < V; v++)
          found.value[v] = joined<T, Kind>(found.value[v], shared[(r * V + v) * kWarp + lane]);
      finish(a, found, PoolItem{channel, {0, 0, 0}}, n);
    }
    __syncthreads();
  }
}

// The same where channels lie apart: a warp a channel.
template <class T, Pooling Kind>
__global__ void __launch_bounds__(kPoolThreads, 4) pool_planes(Pool<T> a) {
  const PoolGeometry& g = a.g;
  const int lane = int(threadIdx.x % kWarp);
  const int64_t channel = int64_t(blockIdx.x) * (kPoolThreads / kWarp) + threadIdx.x / kWarp;
  if (channel >= g.count) return;
  const int elements = g.axis[0].in * g.axis[1].in * g.axis[2].in;
  for (int64_t n = blockIdx.y; n < g.n; n += gridDim.y) {
    const T* x = a.x + n * g.xs[0] + channel * g.xs[1];
    Found<T, Kind, 1> found;
    found.clear();
    for (int e = lane; e < elements; e += kWarp) found.take(x + e * g.xs[4], e, g.power);
    found.end_row();
    for (int mask = kWarp / 2; mask > 0; mask /= 2) {
      const Pooled<T> other = shuffle_xor(found.value[0], mask);
      found.value[0] = lane & mask ? joined<T, Kind>(other, found.value[0]) : joined<T, Kind>(found.value[0], other);
    }
    if (lane == 0) finish(a, found, PoolItem{channel, {0, 0, 0}}, n);
  }
}

bool is_whole_volume(const PoolProblem& p) {
  for (int i = 0; i < 3; i++)
    if (p.out[i] != 1 || p.pad[i] != 0 || p.dilation[i] != 1 || (!p.adaptive[i] && p.kernel[i] < p.in[i])) return false;
  const bool flat =
      (p.in[1] == 1 || p.xs[3] == p.in[2] * p.xs[4]) && (p.in[0] == 1 || p.xs[2] == p.in[1] * p.in[2] * p.xs[4]);
  return flat && p.in[0] * p.in[1] * p.in[2] > 8;
}

template <class T, Pooling Kind, int V>
void run_volumes(Queue queue, const PoolProblem& p, const Pool<T>& a) {
  const unsigned images = unsigned(p.n < 65535 ? p.n : 65535);
  if (a.g.channels_inner) {
    const unsigned blocks = unsigned((p.c / V + kWarp - 1) / kWarp);
    return launch<pool_volumes<T, Kind, V>>(queue, "pool_volumes", {blocks, images}, {kPoolThreads},
                                            kPoolThreads * V * int64_t(sizeof(Pooled<T>)), a);
  }
  const int planes = kPoolThreads / kWarp;
  launch<pool_planes<T, Kind>>(queue, "pool_planes", {unsigned((p.c + planes - 1) / planes), images}, {kPoolThreads}, 0,
                               a);
}

template <class T, Pooling Kind, int V>
void run(Queue queue, const PoolProblem& p, Pool<T> a) {
  a.g = geometry_of(p, p.out, p.ys, V);
  if constexpr (Kind != Pooling::places && Kind != Pooling::scale)
    if (is_whole_volume(p) && a.g.channels_inner == (p.xs[1] == 1 && p.c > 1))
      return run_volumes<T, Kind, V>(queue, p, a);
  bool square = p.kernel[0] == 1 && p.pad[0] == 0 && p.kernel[1] == p.kernel[2];
  for (int i = 0; i < 3; i++) square = square && !p.adaptive[i] && p.dilation[i] == 1;
  if constexpr (!std::is_integral_v<T> && (Kind == Pooling::max || Kind == Pooling::average)) {
    if (square && p.kernel[2] == 2)
      return launch<pool_windows<T, Kind, V, 2>>(queue, "pool_windows", pool_grid(a.g), {kPoolThreads}, 0, a);
    if (square && p.kernel[2] == 3)
      return launch<pool_windows<T, Kind, V, 3>>(queue, "pool_windows", pool_grid(a.g), {kPoolThreads}, 0, a);
  }
  launch<pool_windows<T, Kind, V, 0>>(queue, "pool_windows", pool_grid(a.g), {kPoolThreads}, 0, a);
}

template <class T, Pooling Kind>
void pool(Queue queue, const PoolProblem& p, const Pool<T>& a) {
  constexpr int V = 16 / int(sizeof(T)), kItem = int(sizeof(T));
  constexpr int kResult = Kind == Pooling::scale ? int(sizeof(Pooled<T>)) : kItem;
  if constexpr (!std::is_integral_v<T>) {
    bool vectors = takes_vectors(a.x, p.xs, kItem, p.c, V) && takes_vectors(a.y, p.ys, kResult, p.c, V);
    if (a.index) vectors = vectors && takes_vectors(a.index, p.indices_s, 8, p.c, V);
    if (a.dy) vectors = vectors && takes_vectors(a.dy, a.dys, kItem, p.c, V);
    if (vectors) return run<T, Kind, V>(queue, p, a);
  }
  run<T, Kind, 1>(queue, p, a);
}

template <class T>
void pool_maxima(Queue queue, const PoolProblem& p, const void* x, void* y, int64_t* index) {
  const Pool<T> a{{}, static_cast<const T*>(x), y, index, nullptr, {}};
  index ? pool<T, Pooling::places>(queue, p, a) : pool<T, Pooling::max>(queue, p, a);
}

}  // namespace

void max_pool(Queue queue, const PoolProblem& p, const void* x, void* y, int64_t* index) {
  switch (p.dtype) {
    case DType::i8:
      return pool_maxima<int8_t>(queue, p, x, y, index);
    case DType::u8:
    case DType::boolean:
      return pool_maxima<uint8_t>(queue, p, x, y, index);
    case DType::i16:
      return pool_maxima<int16_t>(queue, p, x, y, index);
    case DType::i32:
      return pool_maxima<int32_t>(queue, p, x, y, index);
    case DType::i64:
      return pool_maxima<int64_t>(queue, p, x, y, index);
    default:
      by_float_type(p.dtype, [&](auto t) { pool_maxima<decltype(t)>(queue, p, x, y, index); });
  }
}

void avg_pool(Queue queue, const PoolProblem& p, const void* x, void* y) {
  if (p.dtype == DType::i64)
    return pool<int64_t, Pooling::average>(queue, p, {{}, static_cast<const int64_t*>(x), y, nullptr, nullptr, {}});
  by_float_type(p.dtype, [&](auto t) {
    using T = decltype(t);
    const Pool<T> a{{}, static_cast<const T*>(x), y, nullptr, nullptr, {}};
    p.power != 0 ? pool<T, Pooling::power>(queue, p, a) : pool<T, Pooling::average>(queue, p, a);
  });
}

// csrc/pool/lp.cpp has the formula: windows give dy times a power of their sums, which the gradient of sums spreads.
void scale_windows(Queue queue, const PoolProblem& p, const void* x, const void* dy, const int64_t dy_strides[5],
                   void* scaled) {
  by_float_type(p.dtype, [&](auto t) {
    using T = decltype(t);
    Pool<T> a{{}, static_cast<const T*>(x), scaled, nullptr, static_cast<const T*>(dy), {}};
    for (int i = 0; i < 5; i++) a.dys[i] = dy_strides[i];
    pool<T, Pooling::scale>(queue, p, a);
  });
}

}  // namespace konv::cuda
