// What moves by the places of maxima: their gradient, unpooling, and its gradient.
//
// The calls know indices and sizes, but no windows. A first pass over the indices finds how far from their share of the
// input they point along each axis; then each element of the input looks through the windows that may point to it, in
// their order, and adds what does (unpooling: keeps the last). So nothing is written twice, sums have a fixed order,
// and no atomics are needed; indices that point anywhere make the second pass longer, not wrong. Memory moves the
// indices twice, y once, x once: 16 bytes, and 1 + stride^2 elements, for each window. Predicted: 0.65 of the memory's
// bandwidth channels-last, 0.4 by rows.
#include "cuda/pool/windows.cuh"

namespace konv::cuda {

namespace {

// Of place * out - window * in along each axis, over all windows.
struct Reach {
  int64_t low[3], high[3];

  __device__ void clear() {
    for (int a = 0; a < 3; a++) low[a] = INT64_MAX, high[a] = INT64_MIN;
  }
  __device__ void add(const Reach& o) {
    for (int a = 0; a < 3; a++) {
      low[a] = o.low[a] < low[a] ? o.low[a] : low[a];
      high[a] = o.high[a] > high[a] ? o.high[a] : high[a];
    }
  }
};

constexpr int kReachBlocks = 512;

struct Reaches {
  PoolGeometry g;  // of the windows
  const int64_t* index;
  Reach *parts, *all;
  int count;  // of parts
  Divider columns, rows;
  uint32_t volume;
};

__device__ inline void join_in_block(Reach r, Reach* result) {
  Reach* shared = reinterpret_cast<Reach*>(shared_memory());
  shared[threadIdx.x] = r;
  __syncthreads();
  for (unsigned half = kPoolThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x].add(shared[threadIdx.x + half]);
    __syncthreads();
  }
  if (threadIdx.x == 0) *result = shared[0];
}

__global__ void __launch_bounds__(kPoolThreads) reach_of_places(Reaches a) {
  const PoolGeometry& g = a.g;
  Reach r;
  r.clear();
  for (uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x; i < g.count; i += gridDim.x * kPoolThreads) {
    const PoolItem item = item_of<1>(g, i);
    const int64_t* index = a.index + offset_of(g.indices_s, item.channel, item.at[0], item.at[1], item.at[2]);
    for (int64_t n = 0; n < g.n; n++) {
      const int64_t place = index[n * g.indices_s[0]];
      if (uint64_t(place) >= a.volume) continue;
      uint32_t rest = uint32_t(place);
      const uint32_t x = a.columns.split(rest), y = a.rows.split(rest), at[3] = {rest, y, x};
      for (int d = 0; d < 3; d++) {
        const int64_t from = int64_t(at[d]) * g.axis[d].out - int64_t(item.at[d]) * g.axis[d].in;
        r.low[d] = from < r.low[d] ? from : r.low[d], r.high[d] = from > r.high[d] ? from : r.high[d];
      }
    }
  }
  join_in_block(r, a.parts + blockIdx.x);
}

__global__ void __launch_bounds__(kPoolThreads) join_reaches(Reaches a) {
  Reach r;
  r.clear();
  for (int i = int(threadIdx.x); i < a.count; i += kPoolThreads) r.add(a.parts[i]);
  join_in_block(r, a.all);
}

// The windows that may point to element i. What rounds here only lets in more of them.
__device__ inline Readers pointers_to(const AxisWindows& a, int i, int64_t low, int64_t high) {
  if (low > high) return {0, -1};
  const float in = float(a.in), at = float(i) * (float(a.out) / in);
  const float least = at - float(high) / in, most = at - float(low) / in;
  const float slack = 1e-3f + (at + fabsf(least) + fabsf(most)) * 0x1p-21f;
  const float last = float(a.out - 1), from = ceilf(least - slack), to = floorf(most + slack);
  const int first = int(from < 0 ? 0 : from > last ? last : from), end = int(to < 0 ? 0 : to > last ? last : to);
  // A last window that float32 rounds up is brought back; it is among those looked through in any case.
  return {first, end < a.out ? end : a.out - 1};
}

template <class T>
struct Places {
  PoolGeometry g;  // of the input
  const T* y;
  const int64_t* index;
  T* x;
  const Reach* reach;
};

template <class T, int V, bool Sum>
__global__ void __launch_bounds__(kPoolThreads, 4) gather_places(Places<T> a) {
  using W = std::conditional_t<Sum, Pooled<T>, T>;
  const PoolGeometry& g = a.g;
  const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= g.count) return;
  const PoolItem item = item_of<V>(g, i);
  const Reach reach = *a.reach;
  const int64_t place = (int64_t(item.at[0]) * g.axis[1].in + item.at[1]) * g.axis[2].in + item.at[2];
  Readers r[3];
#pragma unroll
  for (int d = 0; d < 3; d++) r[d] = pointers_to(g.axis[d], item.at[d], reach.low[d], reach.high[d]);
  for (int64_t n = blockIdx.y; n < g.n; n += gridDim.y) {
    const T* y = a.y + n * g.ys[0] + item.channel * g.ys[1];
    const int64_t* index = a.index + n * g.indices_s[0] + item.channel * g.indices_s[1];
    W found[V];
#pragma unroll
    for (int v = 0; v < V; v++) found[v] = 0;
    for (int oz = r[0].first; oz <= r[0].last; oz++)
      for (int oy = r[1].first; oy <= r[1].last; oy++)
#pragma unroll 1
        for (int ox = r[2].first; ox <= r[2].last; ox++) {
          int64_t points[V];
          load_elements<int64_t, V>(index + oz * g.indices_s[2] + oy * g.indices_s[3] + ox * g.indices_s[4], points);
          const T* from = y + oz * g.ys[2] + oy * g.ys[3] + ox * g.ys[4];
          if constexpr (Sum) {
            W dy[V];
            load_elements<T, V>(from, dy);
#pragma unroll
            for (int v = 0; v < V; v++) found[v] = points[v] == place ? found[v] + dy[v] : found[v];
          } else {
            const auto value = load_vector<Vector<T, V>>(from);
#pragma unroll
            for (int v = 0; v < V; v++) found[v] = points[v] == place ? value.at[v] : found[v];
          }
        }
    T* to = a.x + n * g.xs[0] + offset_of(g.xs, item.channel, item.at[0], item.at[1], item.at[2]);
    if constexpr (Sum) {
      store_elements<T, V>(to, found);
    } else {
      Vector<T, V> moved;
#pragma unroll
      for (int v = 0; v < V; v++) moved.at[v] = found[v];
      store_vector(to, moved);
    }
  }
}

template <class T>
struct Taken {
  PoolGeometry g;  // of the windows
  const T* x;
  const int64_t* index;
  T* y;
  Divider columns, rows;
  uint32_t volume;
};

template <class T>
__global__ void __launch_bounds__(kPoolThreads) take_places(Taken<T> a) {
  const PoolGeometry& g = a.g;
  const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= g.count) return;
  const PoolItem item = item_of<1>(g, i);
  const int64_t windows = offset_of(g.ys, item.channel, item.at[0], item.at[1], item.at[2]);
  const int64_t indices = offset_of(g.indices_s, item.channel, item.at[0], item.at[1], item.at[2]);
  for (int64_t n = blockIdx.y; n < g.n; n += gridDim.y) {
    const int64_t place = a.index[n * g.indices_s[0] + indices];
    T value = 0;
    if (uint64_t(place) < a.volume) {
      uint32_t rest = uint32_t(place);
      const int x = int(a.columns.split(rest)), y = int(a.rows.split(rest));
      value = a.x[n * g.xs[0] + offset_of(g.xs, item.channel, int(rest), y, x)];
    }
    a.y[n * g.ys[0] + windows] = value;
  }
}

uint32_t volume_of(const PoolProblem& p) { return uint32_t(p.in[0] * p.in[1] * p.in[2]); }

template <class T, bool Sum>
void gather(Queue queue, const PoolProblem& p, const void* y, const int64_t* index, void* x) {
  const PoolGeometry windows = geometry_of(p, p.out, p.indices_s, 1);
  const Dim blocks = blocks_for(windows.count, kPoolThreads, kReachBlocks);
  const Memory scratch(queue, int64_t(sizeof(Reach)) * (kReachBlocks + 1));
  Reach* parts = reinterpret_cast<Reach*>(scratch.data());
  const Reaches reaches{
      windows,     index, parts, parts + kReachBlocks, int(blocks.x), divider_of(p.in[2]), divider_of(p.in[1]),
      volume_of(p)};
  constexpr int64_t kShared = kPoolThreads * int64_t(sizeof(Reach));
  launch<reach_of_places>(queue, "reach_of_places", blocks, {kPoolThreads}, kShared, reaches);
  launch<join_reaches>(queue, "join_reaches", {1}, {kPoolThreads}, kShared, reaches);
  constexpr int V = 16 / int(sizeof(T));
  const bool vectors = takes_vectors(x, p.xs, sizeof(T), p.c, V) && takes_vectors(y, p.ys, sizeof(T), p.c, V) &&
                       takes_vectors(index, p.indices_s, 8, p.c, V);
  const Places<T> a{geometry_of(p, p.in, p.xs, vectors ? V : 1), static_cast<const T*>(y), index, static_cast<T*>(x),
                    reaches.all};
  if (vectors) return launch<gather_places<T, V, Sum>>(queue, "gather_places", pool_grid(a.g), {kPoolThreads}, 0, a);
  launch<gather_places<T, 1, Sum>>(queue, "gather_places", pool_grid(a.g), {kPoolThreads}, 0, a);
}

// Calls f(zero) with an unsigned integer as wide as the elements, which move as they are.
template <class F>
void by_size(DType dtype, F f) {
  const int64_t bytes = dtype_size(dtype);
  bytes == 2 ? f(uint16_t()) : bytes == 4 ? f(uint32_t()) : f(uint64_t());
}

}  // namespace

void max_pool_gradient(Queue queue, const PoolProblem& p, const void* y, const int64_t* index, void* x) {
  by_float_type(p.dtype, [&](auto t) { gather<decltype(t), true>(queue, p, y, index, x); });
}

void max_unpool(Queue queue, const PoolProblem& p, const void* y, const int64_t* index, void* x) {
  by_size(p.dtype, [&](auto zero) { gather<decltype(zero), false>(queue, p, y, index, x); });
}

void max_unpool_gradient(Queue queue, const PoolProblem& p, const void* x, const int64_t* index, void* y) {
  by_size(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Taken<T> a{geometry_of(p, p.out, p.ys, 1),
                     static_cast<const T*>(x),
                     index,
                     static_cast<T*>(y),
                     divider_of(p.in[2]),
                     divider_of(p.in[1]),
                     volume_of(p)};
    if (a.g.count == 0) return;
    launch<take_places<T>>(queue, "take_places", pool_grid(a.g), {kPoolThreads}, 0, a);
  });
}

}  // namespace konv::cuda
