// Depthwise convolution and its input gradient: a channel has a kernel of its own, 2 k^2 FLOPs for an element that is
// read and one that is written, so memory is all that counts.
//
// - pixels: channels innermost are the lanes. A thread keeps four neighbouring results of 8 or 16 bytes of channels in
//   registers; an element of the source is loaded once for all of them. Weights wait in shared memory, as floats, and
//   a block goes on to further pixels with them.
// - planes: rows innermost. A block loads tiles of one or more planes, with their borders, into shared memory; a thread
//   computes strips of four results of a column, weights in registers.
// - any: a thread a result, or a vector of channels; all strides, dilations, dimensions.
//
// The first two have square kernels of 3, 5 and 7, stride 1 or 2; the input gradient of stride 1 is the convolution
// with the kernel turned around. Memory moves the source and the result once, (1 + stride^2) elements for each result.
// Predicted: 0.85 of the memory's bandwidth for pixels (3x3; 0.7 for 7x7, float16), 0.7 for planes of 4-byte elements,
// 0.5 of 2-byte ones.
#include "cuda/conv/channelwise.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = kChannelwiseThreads;
constexpr int kColumns = 4;  // results of a thread, in pixels
constexpr int kStrip = 4;    // in planes
constexpr int kRounds = 4;   // groups of pixels of a thread, in pixels

struct Tiling {
  Divider across, columns, rows, strips, width;  // of pixels: groups of columns; of planes see below
  int groups;                                    // pixels: of results in an image
  int high, wide, planes;                        // planes: results of a tile, planes of a block
};

template <class T>
struct Depthwise {
  Channelwise<T> p;
  Tiling t;
  bool turned;  // the kernel
};

template <class T>
__device__ __forceinline__ Sum<T> weight_at(const Depthwise<T>& a, int channel, int tap, int size) {
  const int e = a.turned ? size * size - 1 - tap : tap;
  return widened(a.p.w[channel * a.p.ws[0] + e / size * a.p.ws[3] + e % size * a.p.ws[4]]);
}

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
#pragma unroll
      for (int c = 0; c < kColumns; c++)
        if (left + c < p.out[2])
          finish_channels<T, V>(p.epilogue, sum[c], channel, p.result,
                                n * p.rs[0] + channel + int(row) * p.rs[3] + (left + c) * p.rs[4]);
    }
  }
}

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
#pragma unroll
    for (int r = 0; r < kStrip; r++)
      if (const int row = top + y + r; y + r < a.t.high && row < p.out[1] && left + x < p.out[2])
        p.result[offset + row * p.rs[3]] = p.epilogue.finished(sum[r], channel, offset + row * p.rs[3]);
  }
}

template <class T, int V>
__global__ void __launch_bounds__(kThreads, 3) depthwise_any(Channelwise<T> p) {
  uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= p.count) return;
  const int a = int(p.inner[0].split(i)), b = int(p.inner[1].split(i)), c = int(p.inner[2].split(i));
  const int channel = (p.channels_inner ? a : int(i)) * V, x = p.channels_inner ? b : a, y = p.channels_inner ? c : b;
  const int z = p.channels_inner ? int(i) : c;
  for (int n = int(blockIdx.y); n < p.n; n += int(gridDim.y)) {
    const T* source = p.source + n * p.ss[0] + channel * p.ss[1];
    Sum<T> sum[V];
#pragma unroll
    for (int v = 0; v < V; v++) sum[v] = 0;
    for (int ez = 0; ez < p.kernel[0]; ez++)
      for (int ey = 0; ey < p.kernel[1]; ey++) {
        const int sz = source_at(p, 0, z, ez), sy = source_at(p, 1, y, ey);
        if (sz < 0 || sy < 0) continue;
#pragma unroll 1
        for (int ex = 0; ex < p.kernel[2]; ex++) {
          const int sx = source_at(p, 2, x, ex);
          if (sx < 0) continue;
          const T* w = p.w + channel * p.ws[0] + ez * p.ws[2] + ey * p.ws[3] + ex * p.ws[4];
          Sum<T> e[V];
          load_channels<T, V>(source + sz * p.ss[2] + sy * p.ss[3] + sx * p.ss[4], e);
#pragma unroll
          for (int v = 0; v < V; v++) sum[v] += e[v] * widened(w[v * p.ws[0]]);
        }
      }
    finish_channels<T, V>(p.epilogue, sum, channel, p.result,
                          n * p.rs[0] + channel * p.rs[1] + z * p.rs[2] + y * p.rs[3] + x * p.rs[4]);
  }
}

int ceil_div(int a, int b) { return (a + b - 1) / b; }
unsigned grid_images(int n) { return unsigned(n < 65535 ? n : 65535); }

template <class T, int V>
void run_any(Queue queue, Channelwise<T> p) {
  p.channels_inner = V > 1 || (p.rs[1] == 1 && p.groups > 1);
  const int vectors = p.groups / V;
  p.count = uint32_t(int64_t(vectors) * p.out[0] * p.out[1] * p.out[2]);
  const int inner[3] = {p.channels_inner ? vectors : p.out[2], p.channels_inner ? p.out[2] : p.out[1],
                        p.channels_inner ? p.out[1] : p.out[0]};
  for (int i = 0; i < 3; i++) p.inner[i] = divider_of(inner[i]);
  launch<depthwise_any<T, V>>(queue, "depthwise_any", {blocks_for(p.count, kThreads).x, grid_images(p.n)}, {kThreads},
                              0, p);
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

// Calls f with K and S as constants; false where no kernel has them.
template <class F>
bool by_square(int k, int s, F f) {
  const auto by_stride = [&](auto size) {
    s == 1 ? f(size, std::integral_constant<int, 1>()) : f(size, std::integral_constant<int, 2>());
  };
  if (k == 3) return by_stride(std::integral_constant<int, 3>()), true;
  if (k == 5) return by_stride(std::integral_constant<int, 5>()), true;
  if (k == 7) return by_stride(std::integral_constant<int, 7>()), true;
  return false;
}

template <class T>
class DepthwisePlan final : public ConvPlan {
 public:
  explicit DepthwisePlan(const ConvProblem& p) : p_(p) {
    reads_weights = true;
    const bool back = p.direction == Direction::input_gradient;
    square_ = p.kernel[0] == 1 && p.stride[0] == 1 && p.pad[0] == 0 && p.in[0] == 1 && p.out[0] == 1 &&
              p.kernel[1] == p.kernel[2] && p.dilation[1] == 1 && p.dilation[2] == 1 && p.stride[1] == p.stride[2] &&
              p.stride[1] <= (back ? 1 : 2);
  }

  void run(const ConvTensors& t, const char*, const Workspace& workspace) const override {
    const Queue queue = *static_cast<const Queue*>(workspace.queue);
    Depthwise<T> a{channelwise_of<T>(p_, t), {}, false};
    const bool last = a.p.ss[1] == 1 && a.p.rs[1] == 1 && a.p.groups > 1;
    if (square_ && (last ? run_square_pixels(queue, a) : run_square_planes(queue, a))) return;
    constexpr int V = 16 / int(sizeof(T));
    aligns(a.p, V) ? run_any<T, V>(queue, a.p) : run_any<T, 1>(queue, a.p);
  }

 private:
  static bool aligns(const Channelwise<T>& p, int vector) {
    const int64_t item = int64_t(sizeof(T)), bytes = item * vector;
    return p.groups % vector == 0 && channels_align(p.source, p.ss, item, bytes) &&
           channels_align(p.result, p.rs, item, bytes) &&
           reinterpret_cast<uintptr_t>(p.epilogue.residual) % uintptr_t(bytes) == 0;
  }
  Depthwise<T> turned(Depthwise<T> a) const {
    if (!a.p.back) return a;
    a.turned = true;
    for (int i = 0; i < 3; i++) a.p.pad[i] = a.p.kernel[i] - 1 - a.p.pad[i];
    return a;
  }
  bool run_square_pixels(Queue queue, const Depthwise<T>& given) const {
    const Depthwise<T> a = turned(given);
    constexpr int kWhole = 16 / int(sizeof(T));
    if (!aligns(a.p, kWhole)) return false;
    return by_square(int(p_.kernel[1]), int(p_.stride[1]), [&](auto k, auto s) {
      constexpr int K = decltype(k)::value, S = decltype(s)::value, V = K == 3 || kWhole < 8 ? kWhole : kWhole / 2;
      run_pixels<T, V, K, S>(queue, a);
    });
  }
  bool run_square_planes(Queue queue, const Depthwise<T>& given) const {
    const Depthwise<T> a = turned(given);
    if (a.p.rs[4] != 1 || ceil_div(a.p.out[1], 16) * ceil_div(a.p.out[2], 64) > 65535) return false;
    return by_square(int(p_.kernel[1]), int(p_.stride[1]),
                     [&](auto k, auto s) { run_planes<T, decltype(k)::value, decltype(s)::value>(queue, a); });
  }

  ConvProblem p_;
  bool square_;
};

std::string supports(const ConvProblem& p) {
  if (p.groups != p.c || p.k != p.c) return "not a channel a group with one output";
  return channelwise_refusal(p);
}

template <class T>
std::unique_ptr<ConvPlan> plan_of(const ConvProblem& p) {
  return std::make_unique<DepthwisePlan<T>>(p);
}

}  // namespace

std::string channelwise_refusal(const ConvProblem& p) {
  const double most = double(INT32_MAX);
  const double in = double(p.in[0]) * double(p.in[1]) * double(p.in[2]), out = double(p.out_pixels());
  if (double(p.c) * in > most || double(p.k) * out > most || double(p.n) * double(p.c > p.k ? p.c : p.k) > most ||
      double(p.n) * out > most)
    return "more than 2^31 - 1 elements an image";
  if (p.taps() > 65535) return "more than 65535 taps";
  return "";
}

extern const Algorithm depthwise_algorithm;
const Algorithm depthwise_algorithm = {"depthwise", supports, [](const ConvProblem& p) { return p.flops(); },
                                       [](const ConvProblem& p) -> std::unique_ptr<ConvPlan> {
                                         if (p.direction == Direction::weight_gradient)
                                           return make_channelwise_weight_plan(p);
                                         switch (p.dtype) {
                                           case DType::f32:
                                             return plan_of<float>(p);
                                           case DType::f64:
                                             return plan_of<double>(p);
                                           case DType::f16:
                                             return plan_of<float16>(p);
                                           default:
                                             return plan_of<bfloat16>(p);
                                         }
                                       }};

}  // namespace konv::cuda
