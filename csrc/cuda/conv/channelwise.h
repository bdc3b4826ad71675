// What convolutions of a channel, or of few, with their own weights share: the problem as kernels see it, and how they
// load and finish vectors of channels.
#pragma once
#include <cmath>

#include "core/algorithm.h"
#include "cuda/kernels/divider.cuh"
#include "cuda/kernels/epilogue.cuh"
#include "cuda/runtime.h"

namespace konv::cuda {

constexpr int kChannelwiseThreads = 256;

// Results from a source: y from x, or, `back`, x from y. Tap e of result o lies at o stride + e dilation - pad of the
// source, or back at (o + pad - e dilation) / stride.
template <class T>
struct Channelwise {
  int n, groups, source_channels, result_channels;  // of a group
  int in[3], out[3];                                // of the source and the result
  int kernel[3], stride[3], dilation[3], pad[3];
  bool back, channels_inner;
  int64_t ss[5], rs[5], ws[5];
  Divider inner[3];
  uint32_t count;  // threads an image
  const T *source, *w;
  T* result;
  Epilogue<T> epilogue;
};

// Where tap e of result o lies along axis a; -1: in the zeros.
template <class T>
__device__ __forceinline__ int source_at(const Channelwise<T>& p, int a, int o, int e) {
  if (!p.back) {
    const int at = o * p.stride[a] + e * p.dilation[a] - p.pad[a];
    return unsigned(at) < unsigned(p.in[a]) ? at : -1;
  }
  int at = o + p.pad[a] - e * p.dilation[a];
  if (p.stride[a] > 1) {
    if (at < 0 || at % p.stride[a]) return -1;
    at /= p.stride[a];
  }
  return unsigned(at) < unsigned(p.in[a]) ? at : -1;
}

template <class T>
Channelwise<T> channelwise_of(const ConvProblem& p, const ConvTensors& t) {
  const bool back = p.direction == Direction::input_gradient;
  Channelwise<T> r{};
  r.n = int(p.n), r.groups = int(p.groups), r.back = back;
  r.source_channels = int((back ? p.k : p.c) / p.groups), r.result_channels = int((back ? p.c : p.k) / p.groups);
  for (int a = 0; a < 3; a++) {
    r.in[a] = int(back ? p.out[a] : p.in[a]), r.out[a] = int(back ? p.in[a] : p.out[a]);
    r.kernel[a] = int(p.kernel[a]), r.stride[a] = int(p.stride[a]), r.dilation[a] = int(p.dilation[a]);
    r.pad[a] = int(p.pad[a]);
  }
  for (int i = 0; i < 5; i++) r.ss[i] = back ? p.ys[i] : p.xs[i], r.rs[i] = back ? p.xs[i] : p.ys[i], r.ws[i] = p.ws[i];
  r.source = static_cast<const T*>(back ? t.y : t.x), r.result = static_cast<T*>(back ? t.x : t.y);
  r.w = static_cast<const T*>(t.w);
  r.epilogue = epilogue_of<T>(p, t.bias, t.residual);
  return r;
}

// Whether all vectors of `bytes` along channels are aligned.
inline bool channels_align(const void* data, const int64_t strides[5], int64_t item, int64_t bytes) {
  bool aligned = strides[1] == 1 && reinterpret_cast<uintptr_t>(data) % uintptr_t(bytes) == 0;
  for (int i : {0, 2, 3, 4}) aligned = aligned && strides[i] * item % bytes == 0;
  return aligned;
}

template <class T, int V>
__device__ __forceinline__ void load_channels(const T* p, Sum<T> (&v)[V]) {
  const auto loaded = load_vector<Vector<T, V>>(p);
#pragma unroll
  for (int i = 0; i < V; i++) v[i] = widened(loaded.at[i]);
}

template <class T, int V>
__device__ __forceinline__ void add_channels(const Epilogue<T>& e, Sum<T> (&sum)[V], int64_t channel, int64_t offset) {
  if (e.bias)
#pragma unroll
    for (int v = 0; v < V; v++) sum[v] += widened(e.bias[channel + v]);
  if (e.residual) {
    Sum<T> residual[V];
    load_channels<T, V>(e.residual + offset, residual);
#pragma unroll
    for (int v = 0; v < V; v++) sum[v] += residual[v];
  }
}

template <class T>
__device__ __forceinline__ bool is_clip(const Epilogue<T>& e) {
  return e.activation == Activation::none || e.activation == Activation::relu || e.activation == Activation::relu6;
}

// Writes V neighbouring channels, with no activation or one that clips.
template <class T, int V>
__device__ __forceinline__ void clip_channels(const Epilogue<T>& e, Sum<T> (&sum)[V], int64_t channel, T* result,
                                              int64_t offset) {
  add_channels<T, V>(e, sum, channel, offset);
  const Sum<T> least = Sum<T>(e.activation == Activation::none ? -INFINITY : 0);
  const Sum<T> most = Sum<T>(e.activation == Activation::relu6 ? 6 : INFINITY);
  Vector<T, V> finished;
#pragma unroll
  for (int v = 0; v < V; v++) finished.at[v] = narrowed<T>(sum[v] < least ? least : sum[v] > most ? most : sum[v]);
  store_vector(result + offset, finished);
}

// The same with any activation, whose code is there once: sums and results move along instead of being numbered.
template <class T, int V>
__device__ __forceinline__ void finish_channels(const Epilogue<T>& e, Sum<T> (&given)[V], int64_t channel, T* result,
                                                int64_t offset) {
  if (is_clip(e)) return clip_channels<T, V>(e, given, channel, result, offset);
  Sum<T> sum[V];
#pragma unroll
  for (int v = 0; v < V; v++) sum[v] = given[v];
  add_channels<T, V>(e, sum, channel, offset);
  Vector<T, V> finished;
#pragma unroll 1
  for (int v = 0; v < V; v++) {
    const T last = narrowed<T>(activate(e.activation, Sum<T>(e.parameter), sum[0]));
#pragma unroll
    for (int i = 1; i < V; i++) sum[i - 1] = sum[i], finished.at[i - 1] = finished.at[i];
    finished.at[V - 1] = last;
  }
  store_vector(result + offset, finished);
}

std::unique_ptr<ConvPlan> make_channelwise_weight_plan(const ConvProblem& problem);
// Empty, or why not: sizes that 32 bits do not count.
std::string channelwise_refusal(const ConvProblem& problem);

}  // namespace konv::cuda
