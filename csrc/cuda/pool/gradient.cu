// Gradients of averages and power means: each element of the input adds up the windows that meet it, in their order.
//
// Threads as in forward.cu, along the input. Memory moves y once and x once (power means: x twice, and the windows'
// shares, in float32 or float64, twice): 1 + 1 / stride^2 elements for each of x. Predicted: 0.85 of the memory's
// bandwidth channels-last, 0.6 by rows, whose windows' counts are worked out for each element.
#include "cuda/pool/windows.cuh"

namespace konv::cuda {

void scale_windows(Queue queue, const PoolProblem& p, const void* x, const void* dy, const int64_t dy_strides[5],
                   void* scaled);

namespace {

template <class T, class S>
struct Spread {
  PoolGeometry g;
  const S* y;
  T* x;
  const T* own;  // the input of power means, else null
  int64_t own_s[5];
};

template <class T, class S, int V>
__global__ void __launch_bounds__(kPoolThreads, 3) spread_windows(Spread<T, S> a) {
  using W = Pooled<T>;
  const PoolGeometry& g = a.g;
  const uint32_t i = blockIdx.x * kPoolThreads + threadIdx.x;
  if (i >= g.count) return;
  const PoolItem item = item_of<V>(g, i);
  const Readers z = readers_of(g.axis[0], item.at[0]), y = readers_of(g.axis[1], item.at[1]);
  const Readers x = readers_of(g.axis[2], item.at[2]);
  for (int64_t n = blockIdx.y; n < g.n; n += gridDim.y) {
    const S* from = a.y + n * g.ys[0] + item.channel * g.ys[1];
    W sum[V];
#pragma unroll
    for (int v = 0; v < V; v++) sum[v] = 0;
    for (int oz = z.first; oz <= z.last; oz++)
      for (int oy = y.first; oy <= y.last; oy++) {
        const int64_t outer = g.divisor == 0 ? int64_t(counted(g.axis[0], oz)) * counted(g.axis[1], oy) : 0;
        W row[V];
#pragma unroll
        for (int v = 0; v < V; v++) row[v] = 0;
#pragma unroll 1
        for (int ox = x.first; ox <= x.last; ox++) {
          W share[V];
          load_elements<S, V>(from + oz * g.ys[2] + oy * g.ys[3] + ox * g.ys[4], share);
          const W divisor = g.divisor == 0 ? W(outer * counted(g.axis[2], ox)) : W(g.divisor);
#pragma unroll
          for (int v = 0; v < V; v++) row[v] += share[v] / divisor;
        }
#pragma unroll
        for (int v = 0; v < V; v++) sum[v] += row[v];
      }
    if (a.own) {
      W own[V];
      load_elements<T, V>(a.own + n * a.own_s[0] + offset_of(a.own_s, item.channel, item.at[0], item.at[1], item.at[2]),
                          own);
#pragma unroll
      for (int v = 0; v < V; v++) {
        const W scale = g.power == 1 ? W(1) : raised(own[v], g.power - 1);
        sum[v] = own[v] == 0 ? W(0) : own[v] < 0 ? -scale * sum[v] : scale * sum[v];
      }
    }
    store_elements<T, V>(a.x + n * g.xs[0] + offset_of(g.xs, item.channel, item.at[0], item.at[1], item.at[2]), sum);
  }
}

template <class T, class S>
void spread(Queue queue, const PoolProblem& p, Spread<T, S> a) {
  constexpr int V = 16 / int(sizeof(T));
  if (takes_vectors(a.x, p.xs, sizeof(T), p.c, V) && takes_vectors(a.y, p.ys, sizeof(S), p.c, V) &&
      (!a.own || takes_vectors(a.own, a.own_s, sizeof(T), p.c, V))) {
    a.g = geometry_of(p, p.in, p.xs, V);
    return launch<spread_windows<T, S, V>>(queue, "spread_windows", pool_grid(a.g), {kPoolThreads}, 0, a);
  }
  a.g = geometry_of(p, p.in, p.xs, 1);
  launch<spread_windows<T, S, 1>>(queue, "spread_windows", pool_grid(a.g), {kPoolThreads}, 0, a);
}

}  // namespace

void avg_pool_gradient(Queue queue, const PoolProblem& p, const void* y, void* x) {
  by_float_type(p.dtype, [&](auto t) {
    using T = decltype(t);
    spread<T, T>(queue, p, {{}, static_cast<const T*>(y), static_cast<T*>(x), nullptr, {}});
  });
}

void lp_pool_gradient(Queue queue, const PoolProblem& p, const void* y, const void* x, const int64_t x_strides[5],
                      void* gradient) {
  const int64_t shape[5] = {p.n, p.c, p.out[0], p.out[1], p.out[2]};
  PoolProblem windows = p, parts = p;
  for (int i = 0; i < 5; i++) windows.xs[i] = x_strides[i];
  contiguous_strides(shape, p.ys[1] == 1, windows.ys);
  for (int i = 0; i < 5; i++) parts.ys[i] = windows.ys[i];
  const Memory scaled(queue, p.n * p.c * p.out[0] * p.out[1] * p.out[2] * sum_size(p.dtype));
  scale_windows(queue, windows, x, y, p.ys, scaled.data());
  by_float_type(p.dtype, [&](auto t) {
    using T = decltype(t);
    Spread<T, Pooled<T>> a{
        {}, reinterpret_cast<const Pooled<T>*>(scaled.data()), static_cast<T*>(gradient), static_cast<const T*>(x), {}};
    for (int i = 0; i < 5; i++) a.own_s[i] = x_strides[i];
    spread<T, Pooled<T>>(queue, parts, a);
  });
}

}  // namespace konv::cuda
