// The weight gradient of depthwise and narrowly grouped convolutions: each weight sums over all pixels of the batch.
//
// Pairs are (output, channel of its group): one a channel of depthwise convolutions. Two kernels make partial sums of
// parts of the batch's rows, a third adds them up in their order, so results depend on the problem and the device
// alone.
//
// - pixels: pairs are the lanes, channels innermost; vectors of channels where they are depthwise. The threads of a
//   block take the rows of the kernel, so that y comes once from memory, and x from the first-level cache.
// - planes: any strides; a block has one pair and one row of the kernel, and lanes along the rows of an image.
//
// Memory moves x and y once, 2 elements for each of y at stride 1. Predicted: 0.6 of the memory's bandwidth for pixels,
// 0.35 for planes, which read again from the second-level cache for each row of the kernel.
#include <algorithm>

#include "cuda/conv/channelwise.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = kChannelwiseThreads;
constexpr int kMostParts = 256;

template <class T>
struct WeightGradient {
  int n, pairs, group_pairs, group_inputs;  // pairs of an output: its group's channels
  int group_outputs;
  int in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
  int64_t xs[5], ys[5], ws[5];
  int runs, rows, part_rows, parts;  // runs of taps, as long as a thread takes; rows of the batch
  Divider out_height, out_depth, out_width;
  const T *x, *y;
  Sum<T>* sums;  // [part][pair][tap]
  T* w;
};

// The taps that a thread takes: from `first` of a row of the kernel.
struct TapRun {
  int z, y, first;
};
template <class T>
__device__ __forceinline__ TapRun run_of(const WeightGradient<T>& a, int run, int length) {
  const int across = (a.kernel[2] + length - 1) / length, row = run / across;
  return {row / a.kernel[1], row % a.kernel[1], run % across * length};
}

// Where a row of y and the row of x that it meets start; false where that lies in the zeros.
template <class T>
__device__ __forceinline__ bool rows_of(const WeightGradient<T>& a, const TapRun& run, int row, int64_t& x,
                                        int64_t& y) {
  uint32_t rest = uint32_t(row);
  const int oy = int(a.out_height.split(rest)), oz = int(a.out_depth.split(rest)), n = int(rest);
  const int iy = oy * a.stride[1] + run.y * a.dilation[1] - a.pad[1];
  const int iz = oz * a.stride[0] + run.z * a.dilation[0] - a.pad[0];
  x = n * a.xs[0] + iz * a.xs[2] + iy * a.xs[3], y = n * a.ys[0] + oz * a.ys[2] + oy * a.ys[3];
  return unsigned(iy) < unsigned(a.in[1]) && unsigned(iz) < unsigned(a.in[0]);
}

template <class T>
__device__ __forceinline__ void keep_sum(const WeightGradient<T>& a, const TapRun& run, int part, int pair, int tap,
                                         Sum<T> sum) {
  const int taps = a.kernel[0] * a.kernel[1] * a.kernel[2];
  const int at = (run.z * a.kernel[1] + run.y) * a.kernel[2] + run.first + tap;
  a.sums[(int64_t(part) * a.pairs + pair) * taps + at] = sum;
}

// Blocks are (vectors of pairs, runs, slots); slots take rows in turn, and are added up at the end.
template <class T, int V, int L>
__global__ void __launch_bounds__(kThreads, 2) weight_pixels(WeightGradient<T> a) {
  using W = Sum<T>;
  const int pair = int(blockIdx.x * blockDim.x + threadIdx.x) * V, number = int(blockIdx.z * blockDim.y + threadIdx.y);
  const TapRun run = run_of(a, number, L);
  const int output = pair / a.group_inputs, channel = output / a.group_outputs * a.group_inputs + pair % a.group_inputs;
  W sum[L][V];
#pragma unroll
  for (int l = 0; l < L; l++)
#pragma unroll
    for (int v = 0; v < V; v++) sum[l][v] = 0;
  const int start = int(blockIdx.y) * a.part_rows, end = start + a.part_rows < a.rows ? start + a.part_rows : a.rows;
  const bool works = pair < a.pairs && number < a.runs;
  for (int row = start + int(threadIdx.z); works && row < end; row += int(blockDim.z)) {
    int64_t x, y;
    if (!rows_of(a, run, row, x, y)) continue;
    x += channel * a.xs[1], y += output * a.ys[1];
    for (int o = 0; o < a.out[2]; o++) {
      W dy[V];
      load_channels<T, V>(a.y + y + o * a.ys[4], dy);
      const int left = o * a.stride[2] + run.first * a.dilation[2] - a.pad[2];
#pragma unroll
      for (int l = 0; l < L; l++) {
        const int at = left + l * a.dilation[2];
        if (unsigned(at) >= unsigned(a.in[2])) continue;
        W e[V];
        load_channels<T, V>(a.x + x + at * a.xs[4], e);
#pragma unroll
        for (int v = 0; v < V; v++) sum[l][v] += e[v] * dy[v];
      }
    }
  }
  W* shared = reinterpret_cast<W*>(shared_memory());
  const int column = int(threadIdx.y * blockDim.x + threadIdx.x), across = int(blockDim.x * blockDim.y);
#pragma unroll
  for (int l = 0; l < L; l++)
#pragma unroll
    for (int v = 0; v < V; v++) {
      if (threadIdx.z > 0) shared[(int(threadIdx.z) - 1) * across + column] = sum[l][v];
      __syncthreads();
      if (threadIdx.z == 0) {
        for (int slot = 0; slot < int(blockDim.z) - 1; slot++) sum[l][v] += shared[slot * across + column];
        if (works && run.first + l < a.kernel[2]) keep_sum(a, run, int(blockIdx.y), pair + v, l, sum[l][v]);
      }
      __syncthreads();
    }
}

template <class T, int L>
__global__ void __launch_bounds__(kThreads, 3) weight_planes(WeightGradient<T> a) {
  using W = Sum<T>;
  const int pair = int(blockIdx.x), output = pair / a.group_inputs;
  const int channel = output / a.group_outputs * a.group_inputs + pair % a.group_inputs;
  const TapRun run = run_of(a, int(blockIdx.z), L);
  W sum[L];
#pragma unroll
  for (int l = 0; l < L; l++) sum[l] = 0;
  const int start = int(blockIdx.y) * a.part_rows, end = start + a.part_rows < a.rows ? start + a.part_rows : a.rows;
  for (int64_t i = threadIdx.x; i < int64_t(end - start) * a.out[2]; i += kThreads) {
    uint32_t rest = uint32_t(i);
    const int o = int(a.out_width.split(rest));
    int64_t x, y;
    if (!rows_of(a, run, start + int(rest), x, y)) continue;
    const W dy = widened(a.y[y + output * a.ys[1] + o * a.ys[4]]);
    const int left = o * a.stride[2] + run.first * a.dilation[2] - a.pad[2];
#pragma unroll
    for (int l = 0; l < L; l++)
      if (const int at = left + l * a.dilation[2]; unsigned(at) < unsigned(a.in[2]))
        sum[l] += widened(a.x[x + channel * a.xs[1] + at * a.xs[4]]) * dy;
  }
  constexpr int kWarps = kThreads / kWarp;
  W* shared = reinterpret_cast<W*>(shared_memory());
#pragma unroll
  for (int l = 0; l < L; l++) {
    for (int mask = kWarp / 2; mask > 0; mask /= 2) sum[l] += shuffle_xor(sum[l], mask);
    if (threadIdx.x % kWarp == 0) shared[int(threadIdx.x) / kWarp * L + l] = sum[l];
  }
  __syncthreads();
  const int l = int(threadIdx.x);
  if (l >= L || run.first + l >= a.kernel[2]) return;
  W total = shared[l];
  for (int warp = 1; warp < kWarps; warp++) total += shared[warp * L + l];
  keep_sum(a, run, int(blockIdx.y), pair, l, total);
}

template <class T>
__global__ void __launch_bounds__(kThreads) add_weight_parts(WeightGradient<T> a) {
  const int taps = a.kernel[0] * a.kernel[1] * a.kernel[2];
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x, all = int64_t(a.pairs) * taps;
  if (i >= all) return;
  Sum<T> sum = 0;
  for (int part = 0; part < a.parts; part++) sum += a.sums[part * all + i];
  const int pair = int(i / taps), tap = int(i % taps), x = tap % a.kernel[2], y = tap / a.kernel[2] % a.kernel[1];
  a.w[pair / a.group_inputs * a.ws[0] + pair % a.group_inputs * a.ws[1] + tap / a.kernel[2] / a.kernel[1] * a.ws[2] +
      y * a.ws[3] + x * a.ws[4]] = narrowed<T>(sum);
}

int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How blocks share the work.
struct Shares {
  int length = 8;  // of a run of taps: 3 or 8
  int64_t runs, rows, parts, part_rows;
  bool pixels;
  int lanes = 1, run_threads = 1, slots = 1;  // of pixels
};
Shares shares_of(const ConvProblem& p, int vector, bool pixels) {
  Shares s;
  s.pixels = pixels;
  s.length = p.kernel[2] <= 3 ? 3 : 8;
  s.runs = p.kernel[0] * p.kernel[1] * up(p.kernel[2], s.length);
  s.rows = p.n * p.out[0] * p.out[1];
  const int64_t pairs = p.k * (p.c / p.groups), vectors = std::max<int64_t>(1, pairs / vector);
  int64_t blocks = pairs * s.runs, least = up(4 * kThreads, p.out[2]);  // rows that a part is worth
  if (pixels) {
    while (s.lanes < vectors && s.lanes < kWarp) s.lanes *= 2;
    s.run_threads = int(std::min<int64_t>(s.runs, kThreads / s.lanes));
    s.slots = std::clamp(kThreads / (s.lanes * s.run_threads), 1, 64);
    blocks = up(vectors, s.lanes) * up(s.runs, s.run_threads), least = 2 * s.slots;
  }
  const int64_t wanted = up(8 * device_info(int(p.isa)).processors, blocks);
  s.parts = std::clamp<int64_t>(std::min(wanted, up(s.rows, least)), 1, kMostParts);
  s.part_rows = up(s.rows, s.parts), s.parts = up(s.rows, s.part_rows);
  return s;
}

template <class T>
class ChannelwiseWeightPlan final : public ConvPlan {
 public:
  explicit ChannelwiseWeightPlan(const ConvProblem& p) : p_(p) {
    int64_t parts = 1;
    for (int vector : {1, kVector}) parts = std::max(parts, shares_of(p, vector, true).parts);
    parts = std::max(parts, shares_of(p, 1, false).parts);
    workspace.shared = parts * p.k * (p.c / p.groups) * p.taps() * int64_t(sizeof(Sum<T>));
  }

  void run(const ConvTensors& t, const char*, const Workspace& workspace) const override {
    const Queue queue = *static_cast<const Queue*>(workspace.queue);
    const bool last = p_.xs[1] == 1 && p_.ys[1] == 1 && p_.c > 1;
    const int64_t item = int64_t(sizeof(T)), bytes = item * kVector;
    const bool vectors = last && p_.groups == p_.c && p_.k == p_.c && p_.c % kVector == 0 &&
                         channels_align(t.x, p_.xs, item, bytes) && channels_align(t.y, p_.ys, item, bytes);
    const Shares s = shares_of(p_, vectors ? kVector : 1, last);
    const WeightGradient<T> a = arguments(t, s, workspace.shared);
    if (!last)
      s.length == 3 ? run_planes<3>(queue, a) : run_planes<8>(queue, a);
    else if (vectors)
      s.length == 3 ? run_pixels<kVector, 3>(queue, a, s) : run_pixels<kVector, 8>(queue, a, s);
    else
      s.length == 3 ? run_pixels<1, 3>(queue, a, s) : run_pixels<1, 8>(queue, a, s);
    launch<add_weight_parts<T>>(queue, "add_weight_parts", blocks_for(a.pairs * p_.taps(), kThreads), {kThreads}, 0, a);
  }

 private:
  static constexpr int kVector = sizeof(T) == 8 ? 2 : 4;

  WeightGradient<T> arguments(const ConvTensors& t, const Shares& s, char* sums) const {
    WeightGradient<T> a{};
    a.n = int(p_.n), a.group_inputs = int(p_.c / p_.groups), a.group_outputs = int(p_.k / p_.groups);
    a.pairs = int(p_.k) * a.group_inputs;
    for (int i = 0; i < 3; i++) {
      a.in[i] = int(p_.in[i]), a.out[i] = int(p_.out[i]), a.kernel[i] = int(p_.kernel[i]);
      a.stride[i] = int(p_.stride[i]), a.dilation[i] = int(p_.dilation[i]), a.pad[i] = int(p_.pad[i]);
    }
    for (int i = 0; i < 5; i++) a.xs[i] = p_.xs[i], a.ys[i] = p_.ys[i], a.ws[i] = p_.ws[i];
    a.runs = int(s.runs), a.rows = int(s.rows), a.part_rows = int(s.part_rows), a.parts = int(s.parts);
    a.out_height = divider_of(p_.out[1]), a.out_depth = divider_of(p_.out[0]), a.out_width = divider_of(p_.out[2]);
    a.x = static_cast<const T*>(t.x), a.y = static_cast<const T*>(t.y), a.w = static_cast<T*>(t.w);
    a.sums = reinterpret_cast<Sum<T>*>(sums);
    return a;
  }
  template <int V, int L>
  void run_pixels(Queue queue, const WeightGradient<T>& a, const Shares& s) const {
    const Dim grid{unsigned(up(a.pairs / V, s.lanes)), unsigned(s.parts), unsigned(up(s.runs, s.run_threads))};
    const Dim block{unsigned(s.lanes), unsigned(s.run_threads), unsigned(s.slots)};
    launch<weight_pixels<T, V, L>>(queue, "weight_pixels", grid, block,
                                   int64_t(s.lanes) * s.run_threads * s.slots * int64_t(sizeof(Sum<T>)), a);
  }
  template <int L>
  void run_planes(Queue queue, const WeightGradient<T>& a) const {
    const Dim grid{unsigned(a.pairs), unsigned(a.parts), unsigned(a.runs)};
    launch<weight_planes<T, L>>(queue, "weight_planes", grid, {kThreads},
                                kThreads / kWarp * L * int64_t(sizeof(Sum<T>)), a);
  }

  ConvProblem p_;
};

}  // namespace

std::unique_ptr<ConvPlan> make_channelwise_weight_plan(const ConvProblem& p) {
  switch (p.dtype) {
    case DType::f32:
      return std::make_unique<ChannelwiseWeightPlan<float>>(p);
    case DType::f64:
      return std::make_unique<ChannelwiseWeightPlan<double>>(p);
    case DType::f16:
      return std::make_unique<ChannelwiseWeightPlan<float16>>(p);
    default:
      return std::make_unique<ChannelwiseWeightPlan<bfloat16>>(p);
  }
}

}  // namespace konv::cuda
