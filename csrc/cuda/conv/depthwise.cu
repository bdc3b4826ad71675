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
// The first two, in files of their own, have square kernels of 3, 5 and 7, stride 1 or 2, of all but float64; the input
// gradient of stride 1 is the convolution with the kernel turned around. Memory moves the source and the result once,
// (1 + stride^2) elements for each result. Predicted: 0.85 of the memory's bandwidth for pixels (3x3; 0.7 for 7x7,
// float16), 0.7 for planes of 4-byte elements, 0.5 of 2-byte ones.
#include "cuda/conv/depthwise.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = kChannelwiseThreads;

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
    if constexpr (sizeof(T) < 8) {
      const int k = int(p_.kernel[1]), s = int(p_.stride[1]);
      if (square_ &&
          (last ? run_depthwise_pixels(queue, turned(a), k, s) : run_depthwise_planes(queue, turned(a), k, s)))
        return;
    }
    constexpr int V = 16 / int(sizeof(T));
    vectors_align(a.p, V) ? run_any<T, V>(queue, a.p) : run_any<T, 1>(queue, a.p);
  }

 private:
  Depthwise<T> turned(Depthwise<T> a) const {
    if (!a.p.back) return a;
    a.turned = true;
    for (int i = 0; i < 3; i++) a.p.pad[i] = a.p.kernel[i] - 1 - a.p.pad[i];
    return a;
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
