// Depthwise convolutions with square kernels: depthwise.cu describes all forms.
#pragma once
#include <type_traits>

#include "cuda/conv/channelwise.h"

namespace konv::cuda {

struct Tiling {
  Divider across, columns, rows, strips, width;  // of pixels: groups of columns; of planes see there
  int groups;                                    // pixels: of results in an image
  int high, wide, planes;                        // planes: results of a tile, planes of a block
};

template <class T>
struct Depthwise {
  Channelwise<T> p;
  Tiling t;
  bool turned;  // the kernel
};

// False where they do not compute a kernel of k x k with stride s on this memory.
template <class T>
bool run_depthwise_pixels(Queue queue, const Depthwise<T>& problem, int k, int s);
template <class T>
bool run_depthwise_planes(Queue queue, const Depthwise<T>& problem, int k, int s);

template <class T>
__device__ __forceinline__ Sum<T> weight_at(const Depthwise<T>& a, int channel, int tap, int size) {
  const int e = a.turned ? size * size - 1 - tap : tap;
  return widened(a.p.w[channel * a.p.ws[0] + e / size * a.p.ws[3] + e % size * a.p.ws[4]]);
}

template <class T>
bool vectors_align(const Channelwise<T>& p, int vector) {
  const int64_t item = int64_t(sizeof(T)), bytes = item * vector;
  return p.groups % vector == 0 && channels_align(p.source, p.ss, item, bytes) &&
         channels_align(p.result, p.rs, item, bytes) &&
         reinterpret_cast<uintptr_t>(p.epilogue.residual) % uintptr_t(bytes) == 0;
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

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }
inline unsigned grid_images(int n) { return unsigned(n < 65535 ? n : 65535); }

}  // namespace konv::cuda
