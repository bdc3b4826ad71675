// Copies of tiles: contiguous elements of the type that kernels compute with, small enough to stay in the cache.
#pragma once
#include <cstring>
#include <type_traits>

#include "core/buffer.h"
#include "pool/pooling.h"

namespace konv {

constexpr int64_t kPoolCopyBytes = 64 << 10;  // of the tile that is read

inline int64_t pool_copy_bytes(const PoolProblem& p) { return std::min(kPoolCopyBytes, p.max_workspace / 2); }

struct PoolBox {
  int64_t start[3], size[3];
  int64_t elements() const { return size[0] * size[1] * size[2]; }
};
// The part of the input that windows [start, start + size) need; of a gradient, the windows that such elements need.
PoolBox pool_needs(const PoolProblem& p, bool gradient, const int64_t start[3], const int64_t size[3]);
// At least as large as any of them; its start means nothing.
PoolBox largest_pool_needs(const PoolProblem& p, bool gradient, const int64_t size[3]);

// Calls f(offset in memory, offset in the copy, step, n) for the runs of elements that make a box of channels, in the
// order of the copy: channels innermost, or outermost.
template <class F>
void for_runs(const PoolBox& box, int64_t channels, const int64_t strides[5], bool channels_innermost, F f) {
  struct Axis {
    int64_t size, step;
  } axes[4];
  int count = 0;
  const auto add = [&](int64_t size, int64_t step) {
    if (size == 1) return;
    if (count > 0 && axes[count - 1].step * axes[count - 1].size == step)
      axes[count - 1].size *= size;
    else
      axes[count++] = {size, step};
  };
  if (channels_innermost) add(channels, strides[1]);
  for (int i = 2; i >= 0; i--) add(box.size[i], strides[2 + i]);
  if (!channels_innermost) add(channels, strides[1]);
  while (count < 4) axes[count++] = {1, 1};
  int64_t copied = 0;
  for (int64_t i = 0; i < axes[3].size; i++)
    for (int64_t j = 0; j < axes[2].size; j++)
      for (int64_t k = 0; k < axes[1].size; k++, copied += axes[0].size)
        f(i * axes[3].step + j * axes[2].step + k * axes[1].step, copied, axes[0].step, axes[0].size);
}

template <class S, class T>
const Conversion<S, T>& conversion(Isa isa) {
  const Conversions& c = kernel_table(isa).narrow;
  if constexpr (std::is_same_v<S, Float16>)
    return c.f16;
  else if constexpr (std::is_same_v<S, BFloat16>)
    return c.bf16;
  else if constexpr (std::is_same_v<S, int8_t>)
    return c.i8;
  else if constexpr (std::is_same_v<S, uint8_t>)
    return c.u8;
  else
    return c.i16;
}

template <class S, class T>
void load_elements(Isa isa, const S* src, int64_t step, int64_t n, T* dst) {
  if constexpr (!std::is_same_v<S, T>)
    conversion<S, T>(isa).widen(src, step, n, dst);
  else if (step == 1)
    std::memcpy(dst, src, size_t(n) * sizeof(T));
  else
    for (int64_t i = 0; i < n; i++) dst[i] = src[i * step];
}
template <class S, class T>
void store_elements(Isa isa, const T* src, int64_t n, S* dst, int64_t step) {
  if constexpr (!std::is_same_v<S, T>)
    conversion<S, T>(isa).narrow(src, n, dst, step);
  else if (step == 1)
    std::memcpy(dst, src, size_t(n) * sizeof(T));
  else
    for (int64_t i = 0; i < n; i++) dst[i * step] = src[i];
}

// Moves 32 or 64 bits, whatever they are.
template <class T>
void transpose_elements(Isa isa, const T* src, int64_t src_ld, int64_t rows, int64_t cols, T* dst, int64_t dst_ld) {
  using Float = std::conditional_t<sizeof(T) == 4, float, double>;
  kernels<Float>(isa).transpose(reinterpret_cast<const Float*>(src), src_ld, rows, cols, reinterpret_cast<Float*>(dst),
                                dst_ld);
}

// One array's copies, in the order [z][y][x] for single channels, [z][y][x][channel] for pixels; where `turned`, of
// planes as pixels of `lanes` channels. `planes` is memory for as much as the copy.
template <class S, class T>
struct PoolCopies {
  Isa isa;
  const int64_t* strides;
  bool pixels, turned;
  int64_t lanes;

  int64_t pitch(int64_t channels) const { return turned ? lanes : channels; }
  // Kernels read ahead of the last element.
  int64_t size(const PoolBox& box, int64_t channels) const { return box.elements() * pitch(channels) + 4 * lanes; }

  void load(const S* src, const PoolBox& box, int64_t channels, T* copy, T* planes) const {
    src += offset(box);
    if (!turned)
      return for_runs(box, channels, strides, pixels, [&](int64_t from, int64_t to, int64_t step, int64_t n) {
        load_elements(isa, src + from, step, n, copy + to);
      });
    if constexpr (std::is_same_v<S, T>)
      if (runs_lie_together(box))
        return for_runs(box, 1, strides, false, [&](int64_t from, int64_t to, int64_t, int64_t n) {
          transpose_elements(isa, src + from, strides[1], channels, n, copy + to * lanes, lanes);
        });
    for_runs(box, channels, strides, false, [&](int64_t from, int64_t to, int64_t step, int64_t n) {
      load_elements(isa, src + from, step, n, planes + to);
    });
    transpose_elements(isa, planes, box.elements(), channels, box.elements(), copy, lanes);
  }

  void store(const T* copy, const PoolBox& box, int64_t channels, S* dst, T* planes) const {
    dst += offset(box);
    if (!turned)
      return for_runs(box, channels, strides, pixels, [&](int64_t to, int64_t from, int64_t step, int64_t n) {
        store_elements(isa, copy + from, n, dst + to, step);
      });
    if constexpr (std::is_same_v<S, T>)
      if (runs_lie_together(box))
        return for_runs(box, 1, strides, false, [&](int64_t to, int64_t from, int64_t, int64_t n) {
          transpose_elements(isa, copy + from * lanes, lanes, n, channels, dst + to, strides[1]);
        });
    transpose_elements(isa, copy, lanes, box.elements(), channels, planes, box.elements());
    for_runs(box, channels, strides, false, [&](int64_t to, int64_t from, int64_t step, int64_t n) {
      store_elements(isa, planes + from, n, dst + to, step);
    });
  }

  // Sets the steps of a copy, and returns where the first element of its whole volume would lie.
  T* attach(T* copy, const PoolBox& box, int64_t channels, int64_t PoolAxis::* step, PoolAxis& z, PoolAxis& y,
            PoolAxis& x) const {
    x.*step = pitch(channels), y.*step = x.*step * box.size[2], z.*step = y.*step * box.size[1];
    return copy - (box.start[0] * z.*step + box.start[1] * y.*step + box.start[2] * x.*step);
  }

 private:
  // Whether the elements of each run lie side by side; the stride of an axis of one element means nothing.
  bool runs_lie_together(const PoolBox& box) const {
    for (int i = 2; i >= 0; i--)
      if (box.size[i] > 1) return strides[2 + i] == 1;
    return true;
  }
  int64_t offset(const PoolBox& box) const {
    return box.start[0] * strides[2] + box.start[1] * strides[3] + box.start[2] * strides[4];
  }
};

// Parts of one piece of memory for each thread.
class PoolScratch {
 public:
  template <class T>
  int64_t book(int64_t elements) {
    const int64_t at = size_;
    size_ += AlignedBuffer::rounded(elements * int64_t(sizeof(T)));
    return at;
  }
  void allocate(int threads) { memory_ = AlignedBuffer(size_ * threads); }
  template <class T>
  T* part(int64_t at, int thread) const {
    return reinterpret_cast<T*>(memory_.data() + size_ * thread + at);
  }

 private:
  int64_t size_ = 0;
  AlignedBuffer memory_;
};

}  // namespace konv
