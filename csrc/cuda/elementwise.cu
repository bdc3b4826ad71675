#include "cuda/elementwise.h"

#include "cuda/device.h"
#include "cuda/numbers.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;

struct Strided {
  StridedCopy c;
  int64_t count;
};

__device__ inline void offsets_of(const StridedCopy& c, int64_t index, int64_t& to, int64_t& from) {
  to = from = 0;
  for (int a = c.ndim - 1; a >= 0; a--) {
    const int64_t i = index % c.shape[a];
    index /= c.shape[a];
    to += i * c.to_strides[a], from += i * c.from_strides[a];
  }
}

// A grid-stride loop over all elements.
template <class F>
__device__ void each_element(int64_t count, F&& f) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x)
    f(i);
}

template <class T>
__global__ void __launch_bounds__(kThreads) copy_strided(Strided s) {
  each_element(s.count, [&](int64_t i) {
    int64_t to, from;
    offsets_of(s.c, i, to, from);
    *reinterpret_cast<T*>(static_cast<char*>(s.c.to) + to) =
        *reinterpret_cast<const T*>(static_cast<const char*>(s.c.from) + from);
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads) add_strided(Strided s) {
  each_element(s.count, [&](int64_t i) {
    int64_t to, from;
    offsets_of(s.c, i, to, from);
    T& sum = *reinterpret_cast<T*>(static_cast<char*>(s.c.to) + to);
    sum = narrowed<T>(widened(sum) + widened(*reinterpret_cast<const T*>(static_cast<const char*>(s.c.from) + from)));
  });
}

struct ChannelSums {
  const void* y;
  void* sums;
  int64_t shape[5], strides[5];
};

// A block a channel: threads add elements kThreads apart, then halves of them add up in shared memory.
template <class T>
__global__ void __launch_bounds__(kThreads) sum_of_channel(ChannelSums s) {
  const T* y = static_cast<const T*>(s.y) + int64_t(blockIdx.x) * s.strides[1];
  const int64_t count = s.shape[0] * s.shape[2] * s.shape[3] * s.shape[4];
  Sum<T> sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) {
    const int64_t w = i % s.shape[4], h = i / s.shape[4] % s.shape[3], r = i / s.shape[4] / s.shape[3];
    sum +=
        widened(y[r / s.shape[2] * s.strides[0] + r % s.shape[2] * s.strides[2] + h * s.strides[3] + w * s.strides[4]]);
  }
  Sum<T>* sums = reinterpret_cast<Sum<T>*>(shared_memory());
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) static_cast<T*>(s.sums)[blockIdx.x] = narrowed<T>(sums[0]);
}

int64_t elements(const StridedCopy& c) {
  int64_t n = 1;
  for (int i = 0; i < c.ndim; i++) n *= c.shape[i];
  return n;
}

template <class T>
void sum_channels_of(Queue queue, const ChannelSums& s) {
  launch<sum_of_channel<T>>(queue, "sum_of_channel", {unsigned(s.shape[1])}, {kThreads},
                            kThreads * int64_t(sizeof(Sum<T>)), s);
}

}  // namespace

void copy_elements(Queue queue, const StridedCopy& c) {
  const Strided s{c, elements(c)};
  if (s.count == 0) return;
  const Dim grid = blocks_for(s.count, kThreads, kMostBlocks);
  switch (c.item) {
    case 1:
      return launch<copy_strided<uint8_t>>(queue, "copy_strided", grid, {kThreads}, 0, s);
    case 2:
      return launch<copy_strided<uint16_t>>(queue, "copy_strided", grid, {kThreads}, 0, s);
    case 4:
      return launch<copy_strided<uint32_t>>(queue, "copy_strided", grid, {kThreads}, 0, s);
    default:
      return launch<copy_strided<uint64_t>>(queue, "copy_strided", grid, {kThreads}, 0, s);
  }
}

void add_elements(Queue queue, DType dtype, const StridedCopy& c) {
  const Strided s{c, elements(c)};
  if (s.count == 0) return;
  const Dim grid = blocks_for(s.count, kThreads, kMostBlocks);
  switch (dtype) {
    case DType::f32:
      return launch<add_strided<float>>(queue, "add_strided", grid, {kThreads}, 0, s);
    case DType::f64:
      return launch<add_strided<double>>(queue, "add_strided", grid, {kThreads}, 0, s);
    case DType::f16:
      return launch<add_strided<float16>>(queue, "add_strided", grid, {kThreads}, 0, s);
    default:
      return launch<add_strided<bfloat16>>(queue, "add_strided", grid, {kThreads}, 0, s);
  }
}

void sum_channels(Queue queue, DType dtype, const void* y, const int64_t shape[5], const int64_t strides[5],
                  void* sums) {
  ChannelSums s{y, sums, {}, {}};
  for (int i = 0; i < 5; i++) s.shape[i] = shape[i], s.strides[i] = strides[i];
  switch (dtype) {
    case DType::f32:
      return sum_channels_of<float>(queue, s);
    case DType::f64:
      return sum_channels_of<double>(queue, s);
    case DType::f16:
      return sum_channels_of<float16>(queue, s);
    default:
      return sum_channels_of<bfloat16>(queue, s);
  }
}

}  // namespace konv::cuda
