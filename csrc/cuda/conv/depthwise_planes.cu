// Depthwise convolution, rows innermost: the form "planes" of depthwise.cu.
#include "cuda/conv/depthwise.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = kChannelwiseThreads;
constexpr int kStrip = 4;  // results of a thread

// Tiles of high x wide results of some planes; t.columns and t.rows divide by the sizes of a tile of the source,
// t.strips and t.width by those of the results in strips, t.across by the tiles of a row.
template <class T, int K, int S>
__global__ void __launch_bounds__(kThreads, 2) depthwise_planes(Depthwise<T> a) {
  using W = Sum<T>;
  const Channelwise<T>& p = a.p;
  W* tile = reinterpret_cast<W*>(shared_memory());
  const int rows = int(a.t.rows.divisor), columns = int(a.t.columns.divisor), planes = p.n * p.groups;
  uint32_t down = blockIdx.y;
  const int left = int(a.t.across.split(down)) * a.t.wide, top = int(down) * a.t.high;
  const int first = int(blockIdx.x) * a.t.planes;
  const int count = planes - first < a.t.planes ? planes - first : a.t.planes;
  for (int i = int(threadIdx.x); i < count * rows * columns; i += kThreads) {
    uint32_t rest = uint32_t(i);
    const int x = left * S + int(a.t.columns.split(rest)) - p.pad[2],
              y = top * S + int(a.t.rows.split(rest)) - p.pad[1];
    const int plane = first + int(rest);
    const bool inside = unsigned(x) < unsigned(p.in[2]) && unsigned(y) < unsigned(p.in[1]);
    tile[i] =
        inside ? widened(p.source[plane / p.groups * p.ss[0] + plane % p.groups * p.ss[1] + y * p.ss[3] + x * p.ss[4]])
               : W(0);
  }
  W* weights = tile + a.t.planes * rows * columns;
  for (int i = int(threadIdx.x); i < count * K * K; i += kThreads)
    weights[i] = weight_at(a, (first + i / (K * K)) % p.groups, i % (K * K), K);
  __syncthreads();
  const int strips = int(a.t.strips.divisor);
  for (int i = int(threadIdx.x); i < count * strips * a.t.wide; i += kThreads) {
    uint32_t rest = uint32_t(i);
    const int x = int(a.t.width.split(rest)), y = int(a.t.strips.split(rest)) * kStrip, plane = first + int(rest);
    const W* from = tile + (int(rest) * rows + y * S) * columns + x * S;
    const W* w = weights + int(rest) * K * K;
    W sum[kStrip];
#pragma unroll
    for (int r = 0; r < kStrip; r++) sum[r] = 0;
#pragma unroll 1
    for (int kx = 0; kx < K; kx++) {
      W column[K];
#pragma unroll
      for (int ky = 0; ky < K; ky++) column[ky] = w[ky * K + kx];
#pragma unroll
      for (int j = 0; j < (kStrip - 1) * S + K; j++) {
        const W e = from[j * columns + kx];
#pragma unroll
        for (int r = 0; r < kStrip; r++)
          if (const int ky = j - r * S; ky >= 0 && ky < K) sum[r] += e * column[ky < 0 || ky >= K ? 0 : ky];
      }
    }
    const int channel = plane % p.groups;
    const int64_t offset = plane / p.groups * p.rs[0] + channel * p.rs[1] + (left + x) * p.rs[4];
#pragma unroll 1
    for (int r = 0; r < kStrip; r++) {
      if (const int row = top + y + r; y + r < a.t.high && row < p.out[1] && left + x < p.out[2])
        p.result[offset + row * p.rs[3]] = p.epilogue.finished(sum[0], channel, offset + row * p.rs[3]);
#pragma unroll
      for (int next = 1; next < kStrip; next++) sum[next - 1] = sum[next];
    }
  }
}

template <class T, int K, int S>
void run_planes(Queue queue, Depthwise<T> a) {
  const Channelwise<T>& p = a.p;
  Tiling& t = a.t;
  t.wide = p.out[2] < 64 ? p.out[2] : 64, t.high = p.out[1] < 16 ? p.out[1] : 16;
  const int strips = ceil_div(t.high, kStrip), most = 2048 / (strips * kStrip * t.wide);
  t.planes = most < 1 ? 1 : most > 16 ? 16 : most;
  // Strips past the tile's end read rows of their own.
  const int rows = (strips * kStrip - 1) * S + K, columns = (t.wide - 1) * S + K, across = ceil_div(p.out[2], t.wide);
  t.across = divider_of(across), t.columns = divider_of(columns), t.rows = divider_of(rows);
  t.strips = divider_of(strips), t.width = divider_of(t.wide);
  const int64_t bytes = int64_t(t.planes) * (rows * columns + K * K) * int64_t(sizeof(Sum<T>));
  const Dim grid{unsigned(ceil_div(p.n * p.groups, t.planes)), unsigned(across * ceil_div(p.out[1], t.high))};
  launch<depthwise_planes<T, K, S>>(queue, "depthwise_planes", grid, {kThreads}, bytes, a);
}

}  // namespace

template <class T>
bool run_depthwise_planes(Queue queue, const Depthwise<T>& a, int k, int s) {
  if (a.p.rs[4] != 1 || ceil_div(a.p.out[1], 16) * ceil_div(a.p.out[2], 64) > 65535) return false;
  return by_square(
      k, s, [&](auto size, auto stride) { run_planes<T, decltype(size)::value, decltype(stride)::value>(queue, a); });
}

template bool run_depthwise_planes(Queue, const Depthwise<float>&, int, int);
template bool run_depthwise_planes(Queue, const Depthwise<float16>&, int, int);
template bool run_depthwise_planes(Queue, const Depthwise<bfloat16>&, int, int);

}  // namespace konv::cuda
