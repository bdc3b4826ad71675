// Depthwise convolution, channels innermost: the form "pixels" of depthwise.cu.
#include "cuda/conv/depthwise.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = kChannelwiseThreads;
constexpr int kColumns = 4;  // results of a thread
constexpr int kRounds = 4;   // groups of columns of a thread

// Blocks are (vectors of channels, groups of columns).
template <class T, int V, int K, int S>
__global__ void __launch_bounds__(kThreads, 2) depthwise_pixels(Depthwise<T> a) {
  using W = Sum<T>;
  const Channelwise<T>& p = a.p;
  constexpr int kSpan = (kColumns - 1) * S + K;
  W* weights = reinterpret_cast<W*>(shared_memory());
  const int width = int(blockDim.x) * V, first = int(blockIdx.y) * width;
  for (int i = int(threadIdx.y * blockDim.x + threadIdx.x); i < K * K * width; i += int(blockDim.x * blockDim.y)) {
    const int c = i / (K * K), tap = i % (K * K);
    weights[tap * width + c] = first + c < p.groups ? weight_at(a, first + c, tap, K) : W(0);
  }
  __syncthreads();
  const int channel = first + int(threadIdx.x) * V;
  if (channel >= p.groups) return;
  for (int round = 0; round < kRounds; round++) {
    const int group = int((blockIdx.x * kRounds + round) * blockDim.y + threadIdx.y);
    if (group >= a.t.groups) return;
    uint32_t row = uint32_t(group);
    const int left = int(a.t.across.split(row)) * kColumns;
    for (int n = int(blockIdx.z); n < p.n; n += int(gridDim.z)) {
      const T* source = p.source + n * p.ss[0] + channel;
      W sum[kColumns][V];
#pragma unroll
      for (int c = 0; c < kColumns; c++)
#pragma unroll
        for (int v = 0; v < V; v++) sum[c][v] = 0;
#pragma unroll 1
      for (int ky = 0; ky < K; ky++) {
        const int y = int(row) * S + ky - p.pad[1];
        if (unsigned(y) >= unsigned(p.in[1])) continue;
        W w[K][V];
#pragma unroll
        for (int kx = 0; kx < K; kx++)
#pragma unroll
          for (int v = 0; v < V; v++) w[kx][v] = weights[(ky * K + kx) * width + int(threadIdx.x) * V + v];
#pragma unroll
        for (int j = 0; j < kSpan; j++) {
          const int x = left * S + j - p.pad[2];
          if (unsigned(x) >= unsigned(p.in[2])) continue;
          W e[V];
          load_channels<T, V>(source + y * p.ss[3] + x * p.ss[4], e);
#pragma unroll
          for (int c = 0; c < kColumns; c++)
            if (const int kx = j - c * S; kx >= 0 && kx < K)
#pragma unroll
              for (int v = 0; v < V; v++) sum[c][v] += e[v] * w[kx < 0 || kx >= K ? 0 : kx][v];
        }
      }
      const int64_t to = n * p.rs[0] + channel + int(row) * p.rs[3];
      if (is_clip(p.epilogue)) {
#pragma unroll
        for (int c = 0; c < kColumns; c++)
          if (left + c < p.out[2])
            clip_channels<T, V>(p.epilogue, sum[c], channel, p.result, to + (left + c) * p.rs[4]);
        continue;
      }
#pragma unroll 1
      for (int c = 0; c < kColumns && left + c < p.out[2]; c++) {
        finish_channels<T, V>(p.epilogue, sum[0], channel, p.result, to + (left + c) * p.rs[4]);
#pragma unroll
        for (int next = 1; next < kColumns; next++)
#pragma unroll
          for (int v = 0; v < V; v++) sum[next - 1][v] = sum[next][v];
      }
    }
  }
}

template <class T, int V, int K, int S>
void run_pixels(Queue queue, Depthwise<T> a) {
  const Channelwise<T>& p = a.p;
  const int across = ceil_div(p.out[2], kColumns), vectors = p.groups / V;
  a.t.across = divider_of(across), a.t.groups = across * p.out[1];
  int lanes = 1;
  while (lanes < vectors && lanes < kWarp) lanes *= 2;
  const int slots = kThreads / lanes;
  const Dim grid{unsigned(ceil_div(a.t.groups, slots * kRounds)), unsigned(ceil_div(vectors, lanes)), grid_images(p.n)};
  launch<depthwise_pixels<T, V, K, S>>(queue, "depthwise_pixels", grid, {unsigned(lanes), unsigned(slots)},
                                       int64_t(K * K * lanes * V) * int64_t(sizeof(Sum<T>)), a);
}

}  // namespace

template <class T>
bool run_depthwise_pixels(Queue queue, const Depthwise<T>& a, int k, int s) {
  constexpr int kWhole = 16 / int(sizeof(T));
  if (!vectors_align(a.p, kWhole)) return false;
  return by_square(k, s, [&](auto size, auto stride) {
    constexpr int K = decltype(size)::value, V = K == 3 || kWhole < 8 ? kWhole : kWhole / 2;
    run_pixels<T, V, K, decltype(stride)::value>(queue, a);
  });
}

template bool run_depthwise_pixels(Queue, const Depthwise<float>&, int, int);
template bool run_depthwise_pixels(Queue, const Depthwise<float16>&, int, int);
template bool run_depthwise_pixels(Queue, const Depthwise<bfloat16>&, int, int);

}  // namespace konv::cuda
