// One pooling or gradient: its axes, what its lanes are, and its kernel.
#pragma once
#include "core/isa.h"
#include "pool/tiles.h"

namespace konv {

enum class PoolOp { max, avg, avg_gradient, max_gradient };
inline bool is_gradient(PoolOp op) { return op >= PoolOp::avg_gradient; }

// Rows: columns of a volume are the lanes; runs: the elements of a window; pixels: channels.
enum class PoolLanes { rows, runs, pixels };

struct PoolMethod {
  PoolLanes lanes;
  bool turned;  // channels that lie apart become the lanes of copies
};

// The problem as one of fewer axes, where axes are one in memory and in the windows; chooses how to go about it.
// Gradients of maxima only learn whether channels are the lanes.
PoolMethod choose_pool_method(PoolProblem& p, PoolOp op, bool indexed);

inline PoolAxis pool_axis(const PoolProblem& p, int i) {
  const int64_t low = p.count_padding ? -p.pad[i] : 0, high = p.in[i] + (p.count_padding ? p.pad_after[i] : 0);
  return {p.in[i], p.out[i], p.kernel[i], p.stride[i], p.pad[i],           p.dilation[i],
          low,     high,     p.xs[2 + i], p.ys[2 + i], p.indices_s[2 + i], p.adaptive[i]};
}

// The band of whole volumes at no place in particular.
template <class S, class T>
PoolBand<S, T> pool_band(const PoolProblem& p) {
  PoolBand<S, T> b{};
  b.z = pool_axis(p, 0), b.y = pool_axis(p, 1), b.x = pool_axis(p, 2);
  b.x_channel = p.xs[1], b.y_channel = p.ys[1], b.index_channel = p.indices_s[1];
  b.row_places = p.channel_rows ? 0 : p.in[2];
  b.divisor = T(p.divisor);
  return b;
}

template <class T>
const PoolKernels<T>& pool_kernels(Isa isa) {
  const KernelTable& table = kernel_table(isa);
  if constexpr (std::is_same_v<T, float>) return table.f32;
  if constexpr (std::is_same_v<T, double>) return table.f64;
  if constexpr (std::is_same_v<T, int32_t>) return table.i32;
  if constexpr (std::is_same_v<T, int64_t>) return table.i64;
}

// Those that read and write S; the gradients of floating-point numbers are among them.
template <class S, class T>
const auto& kernels_between(Isa isa) {
  if constexpr (std::is_same_v<S, Float16>)
    return kernel_table(isa).f16;
  else if constexpr (std::is_same_v<S, BFloat16>)
    return kernel_table(isa).bf16;
  else if constexpr (std::is_floating_point_v<T>)
    return kernels<T>(isa);
  else
    return pool_kernels<T>(isa);
}

template <class S, class T>
using PoolKernel = void (*)(const PoolBand<S, T>&);

// Of all but the gradients of maxima. Rows of halves have kernels for gradients alone.
template <class S, class T>
PoolKernel<S, T> pool_kernel(const PoolProblem& p, PoolOp op, PoolLanes lanes) {
  const auto& k = kernels_between<S, T>(Isa(p.isa));
  if constexpr (std::is_floating_point_v<T>)
    if (op == PoolOp::avg_gradient)
      return lanes == PoolLanes::pixels ? k.avg_pool_pixels_gradient : k.avg_pool_rows_gradient;
  if (lanes == PoolLanes::pixels) return op == PoolOp::max ? k.max_pool_pixels : k.avg_pool_pixels;
  if constexpr (std::is_same_v<S, T>)
    if (lanes == PoolLanes::rows) return op == PoolOp::max ? k.max_pool_rows : k.avg_pool_rows;
  return op == PoolOp::max ? k.max_pool_runs : k.avg_pool_runs;
}

// Runs a kernel on all slices of a tile.
template <class S, class T>
void run_slices(PoolKernel<S, T> kernel, PoolBand<S, T> b, const int64_t start[3], const int64_t size[3]) {
  b.first = start[1], b.rows = size[1], b.column = start[2], b.columns = size[2];
  for (b.slice = start[0]; b.slice < start[0] + size[0]; b.slice++) kernel(b);
}

// Scratch of the gradients of averages for tiles of `columns` by `channels`, with room for the vectors that kernels
// read past the end.
template <class T>
int64_t pool_scratch(const PoolProblem& p, PoolLanes lanes, int64_t columns, int64_t channels) {
  const int64_t l = pool_kernels<T>(Isa(p.isa)).lanes;
  const PoolAxis x = pool_axis(p, 2);
  return 2 * l + (lanes == PoolLanes::pixels ? pool_pixels_scratch(x, columns, ceil_div(channels, l) * l)
                                             : pool_rows_scratch(x, columns));
}

}  // namespace konv
