// Groups of few channels, forward and input gradient: tiles of tensor cores would be mostly empty, so each thread
// multiplies what its group has.
//
// A thread computes four neighbouring results of a row and one channel; lanes are channels where these are innermost,
// else columns. Channels of the source are loaded in vectors where a group has them side by side. Weights are repacked
// as [tap][vector of channels][result channel][channel of the vector], which lanes read as lines; a weight serves four
// results. Lanes of one group read the same elements of the source, which a warp's load fetches once.
//
// FLOPs for an element of the source: 2 k^2 (outputs of a group). Memory moves source and result once; the first-level
// cache is what binds: (4 + 1) loads for 4 (channels of a vector) multiplications a lane. Predicted: 0.6 of the
// memory's bandwidth for 4 channels a group, 0.3 for 8, float16, channels-last; by rows about half of that.
#include "cuda/conv/channelwise.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = kChannelwiseThreads;
constexpr int kColumns = 4;
constexpr int kMostChannels = 16;  // of a group

template <class T>
struct Grouped {
  Channelwise<T> p;
  const T* packed;
  Divider result_channels;
  bool aligned;  // vectors of the source
};

template <class T>
struct Packing {
  const T* w;
  T* packed;
  int64_t ws[5];
  int kernel[3];
  int taps, groups, source_channels, result_channels, vector;
  bool back;
};

template <class T>
__global__ void __launch_bounds__(kThreads) pack_grouped(Packing<T> a) {
  const int64_t results = int64_t(a.groups) * a.result_channels, count = results * a.source_channels * a.taps;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  int64_t rest = i;
  const int inner = int(rest % a.vector);
  rest /= a.vector;
  const int64_t result = rest % results;
  rest /= results;
  const int vectors = a.source_channels / a.vector, source = int(rest % vectors) * a.vector + inner;
  const int tap = int(rest / vectors), x = tap % a.kernel[2], y = tap / a.kernel[2] % a.kernel[1];
  // The weight of output k and channel c of its group.
  const int64_t k = a.back ? result / a.result_channels * a.source_channels + source : result;
  const int64_t c = a.back ? result % a.result_channels : source;
  a.packed[i] = a.w[k * a.ws[0] + c * a.ws[1] + tap / a.kernel[2] / a.kernel[1] * a.ws[2] + y * a.ws[3] + x * a.ws[4]];
}

template <class T, int V>
__global__ void __launch_bounds__(kThreads, 3) grouped_direct(Grouped<T> a) {
  const Channelwise<T>& p = a.p;
  uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= p.count) return;
  const int first = int(p.inner[0].split(i)), second = int(p.inner[1].split(i)), third = int(p.inner[2].split(i));
  const int channel = p.channels_inner ? first : int(i), y = p.channels_inner ? third : second;
  const int left = (p.channels_inner ? second : first) * kColumns, z = p.channels_inner ? int(i) : third;
  const int group = int(a.result_channels.quotient(uint32_t(channel))), results = p.groups * p.result_channels;
  for (int n = int(blockIdx.y); n < p.n; n += int(gridDim.y)) {
    const T* source = p.source + n * p.ss[0] + group * p.source_channels * p.ss[1];
    Sum<T> sum[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; c++) sum[c] = 0;
    for (int ez = 0; ez < p.kernel[0]; ez++)
      for (int ey = 0; ey < p.kernel[1]; ey++) {
        const int sz = source_at(p, 0, z, ez), sy = source_at(p, 1, y, ey);
        if (sz < 0 || sy < 0) continue;
        const T* row = source + sz * p.ss[2] + sy * p.ss[3];
#pragma unroll 1
        for (int ex = 0; ex < p.kernel[2]; ex++) {
          int at[kColumns];
#pragma unroll
          for (int c = 0; c < kColumns; c++) at[c] = source_at(p, 2, left + c, ex);
          const int tap = (ez * p.kernel[1] + ey) * p.kernel[2] + ex;
          const T* w = a.packed + (int64_t(tap) * p.source_channels * results + channel * V);
#pragma unroll 1
          for (int s = 0; s < p.source_channels; s += V, w += results * V) {
            Sum<T> weight[V];
            load_channels<T, V>(w, weight);
#pragma unroll
            for (int c = 0; c < kColumns; c++) {
              if (at[c] < 0) continue;
              Sum<T> e[V];
              const T* from = row + s * p.ss[1] + at[c] * p.ss[4];
              if (V == 1 || a.aligned)
                load_channels<T, V>(from, e);
              else
#pragma unroll
                for (int v = 0; v < V; v++) e[v] = widened(from[v]);
#pragma unroll
              for (int v = 0; v < V; v++) sum[c] += e[v] * weight[v];
            }
          }
        }
      }
    const int64_t to = n * p.rs[0] + channel * p.rs[1] + z * p.rs[2] + y * p.rs[3];
#pragma unroll
    for (int c = 0; c < kColumns; c++)
      if (const int64_t offset = to + (left + c) * p.rs[4]; left + c < p.out[2])
        p.result[offset] = p.epilogue.finished(sum[c], channel, offset);
  }
}

template <class T>
class GroupedPlan final : public ConvPlan {
 public:
  explicit GroupedPlan(const ConvProblem& p) : p_(p) {
    prepared_bytes = p.k * (p.c / p.groups) * p.taps() * int64_t(sizeof(T));
    const bool back = p.direction == Direction::input_gradient;
    const int64_t channels = (back ? p.k : p.c) / p.groups, *strides = back ? p.ys : p.xs;
    for (int vector = 16 / int(sizeof(T)); vector > 1 && vector_ == 1; vector /= 2) {
      const int64_t bytes = vector * int64_t(sizeof(T));
      if (channels % vector == 0 && channels_align(nullptr, strides, int64_t(sizeof(T)), bytes)) vector_ = vector;
    }
    add_to_key({int64_t(p.dtype), p.groups, p.c, p.k, p.kernel[0], p.kernel[1], p.kernel[2], back, vector_, p.ws[0],
                p.ws[1], p.ws[2], p.ws[3], p.ws[4]});
  }

  void prepare_on(const void* queue, const ConvTensors& t, char* packed) const override {
    pack(*static_cast<const Queue*>(queue), static_cast<const T*>(t.w), reinterpret_cast<T*>(packed));
  }

  void run(const ConvTensors& t, const char* packed, const Workspace& workspace) const override {
    const Queue queue = *static_cast<const Queue*>(workspace.queue);
    Grouped<T> a{channelwise_of<T>(p_, t), reinterpret_cast<const T*>(packed), {}, true};
    Channelwise<T>& p = a.p;
    a.result_channels = divider_of(p.result_channels);
    const int results = p.groups * p.result_channels, across = (p.out[2] + kColumns - 1) / kColumns;
    p.channels_inner = p.rs[1] == 1 && results > 1;
    p.count = uint32_t(int64_t(results) * across * p.out[1] * p.out[0]);
    const int inner[3] = {p.channels_inner ? results : across, p.channels_inner ? across : p.out[1],
                          p.channels_inner ? p.out[1] : p.out[0]};
    for (int i = 0; i < 3; i++) p.inner[i] = divider_of(inner[i]);
    a.aligned = reinterpret_cast<uintptr_t>(p.source) % (uintptr_t(vector_) * sizeof(T)) == 0;
    by_vector(queue, a);
  }

 private:
  void pack(Queue queue, const T* w, T* packed) const {
    const Channelwise<T> p = channelwise_of<T>(p_, {});
    Packing<T> a{w, packed, {}, {}, int(p_.taps()), p.groups, p.source_channels, p.result_channels, vector_, p.back};
    for (int i = 0; i < 5; i++) a.ws[i] = p_.ws[i];
    for (int i = 0; i < 3; i++) a.kernel[i] = p.kernel[i];
    launch<pack_grouped<T>>(queue, "pack_grouped", blocks_for(prepared_bytes / int64_t(sizeof(T)), kThreads),
                            {kThreads}, 0, a);
  }
  template <int V>
  void start(Queue queue, const Grouped<T>& a) const {
    const unsigned images = unsigned(a.p.n < 65535 ? a.p.n : 65535);
    launch<grouped_direct<T, V>>(queue, "grouped_direct", {blocks_for(a.p.count, kThreads).x, images}, {kThreads}, 0,
                                 a);
  }
  void by_vector(Queue queue, const Grouped<T>& a) const {
    if (vector_ == 1) return start<1>(queue, a);
    if (vector_ == 2) return start<2>(queue, a);
    if constexpr (sizeof(T) <= 4)
      if (vector_ == 4) return start<4>(queue, a);
    if constexpr (sizeof(T) == 2) return start<8>(queue, a);
  }

  ConvProblem p_;
  int vector_ = 1;
};

std::string supports(const ConvProblem& p) {
  if (p.groups == 1) return "one group";
  if (p.c / p.groups >= kMostChannels || p.k / p.groups >= kMostChannels) return "groups of 16 channels or more";
  return channelwise_refusal(p);
}

}  // namespace

extern const Algorithm grouped_algorithm;
const Algorithm grouped_algorithm = {"grouped", supports, [](const ConvProblem& p) { return 2 * p.flops(); },
                                     [](const ConvProblem& p) -> std::unique_ptr<ConvPlan> {
                                       if (p.direction == Direction::weight_gradient)
                                         return make_channelwise_weight_plan(p);
                                       switch (p.dtype) {
                                         case DType::f32:
                                           return std::make_unique<GroupedPlan<float>>(p);
                                         case DType::f64:
                                           return std::make_unique<GroupedPlan<double>>(p);
                                         case DType::f16:
                                           return std::make_unique<GroupedPlan<float16>>(p);
                                         default:
                                           return std::make_unique<GroupedPlan<bfloat16>>(p);
                                       }
                                     }};

}  // namespace konv::cuda
