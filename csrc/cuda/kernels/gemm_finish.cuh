// What becomes of sums that lie in shared memory: bias, residual and activation, and 16-byte rows of the result; or,
// where the inner dimension was cut, float32 partial sums, which a second kernel adds in the order of the parts.
#pragma once
#include "cuda/kernels/epilogue.cuh"
#include "cuda/kernels/gemm_tile.cuh"

namespace konv::cuda {

// A run of channels that makes 16 bytes of results of T.
template <class T>
constexpr int kRun = 16 / int(sizeof(T));

// sums[0 .. count) of channels from `channel` on, whose first result is y[offset]. They may be overwritten.
template <class T>
__device__ __forceinline__ void finish_run(const GemmArguments& a, Sum<T>* sums, int count, int64_t channel,
                                           int64_t offset) {
  using Run = Vector<T, kRun<T>>;
  T* const y = static_cast<T*>(a.y) + offset;
  const T* const bias = static_cast<const T*>(a.bias);
  const T* const residual = a.residual ? static_cast<const T*>(a.residual) + offset : nullptr;
  if (!a.rows_of_vectors || count < kRun<T>) {
    const Epilogue<T> epilogue{bias, static_cast<const T*>(a.residual), a.activation, a.activation_parameter};
#pragma unroll 1
    for (int i = 0; i < count; i++) y[i * a.y_c] = epilogue.finished(sums[i], channel + i, offset + i * a.y_c);
    return;
  }
  Sum<T> values[kRun<T>];
#pragma unroll
  for (int i = 0; i < kRun<T>; i++) values[i] = sums[i];
  if (bias)
#pragma unroll
    for (int i = 0; i < kRun<T>; i++) values[i] += widened(bias[channel + i]);
  if (residual) {
    const Run more = load_vector<Run>(residual);
#pragma unroll
    for (int i = 0; i < kRun<T>; i++) values[i] += widened(more.at[i]);
  }
  if (a.activation == Activation::relu) {
#pragma unroll
    for (int i = 0; i < kRun<T>; i++) values[i] = values[i] < 0 ? 0 : values[i];
  } else if (a.activation != Activation::none) {  // a loop, through shared memory: these take many instructions
#pragma unroll
    for (int i = 0; i < kRun<T>; i++) sums[i] = values[i];
#pragma unroll 1
    for (int i = 0; i < kRun<T>; i++) sums[i] = activate(a.activation, Sum<T>(a.activation_parameter), sums[i]);
#pragma unroll
    for (int i = 0; i < kRun<T>; i++) values[i] = sums[i];
  }
  Run out;
#pragma unroll
  for (int i = 0; i < kRun<T>; i++) out.at[i] = narrowed<T>(values[i]);
  store_vector(y, out);
}

// Where the result of pixel m begins, in elements; and of an operand, in vectors.
struct Pixel {
  int n, at[3];
};
__device__ __forceinline__ Pixel pixel_of(int m, const int (&size)[3]) {
  Pixel p;
  unsigned rest = unsigned(m);
#pragma unroll
  for (int a = 2; a >= 0; a--) {
    p.at[a] = int(rest % unsigned(size[a]));
    rest /= unsigned(size[a]);
  }
  p.n = int(rest);
  return p;
}
__device__ __forceinline__ int64_t result_of(const GemmArguments& a, int m) {
  const Pixel p = pixel_of(m, a.out);
  return a.y_base + p.n * a.y_n + p.at[0] * a.y_stride[0] + p.at[1] * a.y_stride[1] + p.at[2] * a.y_stride[2];
}

constexpr int kAddThreads = 128;

// A thread a run of channels of a pixel.
template <class T>
__global__ void __launch_bounds__(kAddThreads) add_gemm_parts(AddPartsArguments a) {
  const GemmArguments& g = a.gemm;
  const int runs = (g.outputs + kRun<T> - 1) / kRun<T>;
  const int64_t count = int64_t(g.m) * a.groups * runs, i = int64_t(blockIdx.x) * kAddThreads + threadIdx.x;
  if (i >= count) return;
  // Neighbouring threads have neighbouring elements of the result.
  const bool by_channel = g.y_c == 1;
  const int64_t channels = int64_t(a.groups) * runs;
  const int m = int(by_channel ? i / channels : i % g.m), run = int(by_channel ? i % channels : i / g.m);
  const int group = run / runs, first = run % runs * kRun<T>, n = least(kRun<T>, g.outputs - first);
  const int64_t width = int64_t(a.groups) * g.outputs, channel = int64_t(group) * g.outputs + first;
  Sum<T>* const sums = reinterpret_cast<Sum<T>*>(shared_memory()) + int(threadIdx.x) * kRun<T>;
  const Sum<T>* part = static_cast<const Sum<T>*>(g.sums) + m * width + channel;
#pragma unroll 1
  for (int j = 0; j < n; j++) {
    Sum<T> sum = part[j];
    for (int p = 1; p < a.parts; p++) sum += part[int64_t(p) * g.m * width + j];
    sums[j] = sum;
  }
  finish_run<T>(g, sums, n, channel, result_of(g, m) + channel * g.y_c);
}
template <class T>
void run_add_gemm_parts(Queue queue, const AddPartsArguments& a) {
  const int64_t runs = (a.gemm.outputs + kRun<T> - 1) / kRun<T>;
  launch<add_gemm_parts<T>>(queue, "add_gemm_parts", blocks_for(int64_t(a.gemm.m) * a.groups * runs, kAddThreads),
                            {kAddThreads}, kAddThreads * kRun<T> * int64_t(sizeof(Sum<T>)), a);
}

}  // namespace konv::cuda
