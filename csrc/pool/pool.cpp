#include "pool/pool.h"

#include <atomic>
#include <cstdlib>
#include <utility>
#include <vector>

#include "pool/pooling.h"
#include "pool/small_planes.h"

namespace konv {

int64_t pool_out_size(int64_t in, int64_t pad, int64_t pad_after, int64_t extent, int64_t stride, bool ceil_mode) {
  const int64_t room = in + pad + pad_after - extent + (ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  const int64_t out = room / stride + 1;
  return ceil_mode && (out - 1) * stride >= in + pad ? out - 1 : out;
}

void max_pool(const PoolProblem& p, const void* x, void* y, int64_t* index) {
  if (pools_small_planes(p, index != nullptr)) return pool_small_planes(p, PoolOp::max, x, y, index);
  by_type(p, [&](auto zero, const auto& k) {
    const Pooling<decltype(zero)> pooling(p, x, y, index);
    pooling.for_bands(p.out[0], p.out[1],
                      [&](const auto& band, int) { pooling.pixels ? k.max_pool_pixels(band) : k.max_pool_rows(band); });
  });
}

void avg_pool(const PoolProblem& p, const void* x, void* y) {
  FlushDenormals guard(!p.keep_denormals);
  if (pools_small_planes(p, false)) return pool_small_planes(p, PoolOp::avg, x, y, nullptr);
  by_type(p, [&](auto zero, const auto& k) {
    const Pooling<decltype(zero)> pooling(p, x, y, nullptr);
    pooling.for_bands(p.out[0], p.out[1],
                      [&](const auto& band, int) { pooling.pixels ? k.avg_pool_pixels(band) : k.avg_pool_rows(band); });
  });
}

void avg_pool_gradient(const PoolProblem& p, const void* y, void* x) {
  FlushDenormals guard(!p.keep_denormals);
  if (pools_small_planes(p, false)) return pool_small_planes(p, PoolOp::avg_gradient, x, y, nullptr);
  by_type(p, [&](auto zero, const auto& k) {
    using T = decltype(zero);
    const Pooling<T> pooling(p, x, y, nullptr);
    const PoolAxis& axis = pooling.band.x;
    const int64_t size = (pooling.pixels ? pool_pixels_scratch(axis) : pool_rows_scratch(axis)) + 2 * k.lanes;
    std::vector<T> scratch(size_t(size * threads_for(p)));
    pooling.for_bands(p.in[0], p.in[1], [&](PoolBand<T> band, int thread) {
      band.scratch = scratch.data() + thread * size;
      pooling.pixels ? k.avg_pool_pixels_gradient(band) : k.avg_pool_rows_gradient(band);
    });
  });
}

bool max_pool_gradient(const PoolProblem& p, const void* y, const int64_t* index, void* x) {
  FlushDenormals guard(!p.keep_denormals);
  std::atomic<bool> all_valid = true;
  by_type(p, [&](auto zero, const auto& k) {
    const Pooling<decltype(zero)> pooling(p, x, y, index);
    // Channels that are lanes stay together: two threads in turn on each pixel's memory are slower than one.
    const int64_t cuts = (threads_for(p) + p.n - 1) / p.n, block = pooling.pixels ? p.c : (p.c + cuts - 1) / cuts;
    pooling.for_volumes(block, [&](const auto& band, int) {
      bool valid = true;
      pooling.pixels ? k.max_pool_pixels_gradient(band, &valid) : k.max_pool_rows_gradient(band, &valid);
      if (!valid) all_valid = false;
    });
  });
  return all_valid;
}

bool pool_indices_inside(const PoolProblem& p, const int64_t* index, int64_t& outside) {
  // Axes from the one with the smallest step on; the first two become one where they can.
  std::pair<int64_t, int64_t> axes[5];  // step and size
  const int64_t sizes[5] = {p.out[2], p.out[1], p.out[0], p.c, p.n}, order[5] = {4, 3, 2, 1, 0};
  for (int i = 0; i < 5; i++) axes[i] = {p.indices_s[order[i]], sizes[i]};
  std::stable_sort(axes, axes + 5, [](auto a, auto b) {
    return std::pair(a.second == 1, std::abs(a.first)) < std::pair(b.second == 1, std::abs(b.first));
  });
  if (axes[1].first == axes[0].first * axes[0].second) axes[0].second *= std::exchange(axes[1].second, 1);
  const auto run = kernel_table(Isa(p.isa)).f32.indices_inside;
  const int64_t volume = p.in[0] * p.in[1] * p.in[2];
  std::atomic<const int64_t*> found = nullptr;
  const int64_t rows = axes[1].second * axes[2].second;
  parallel_for(axes[3].second * axes[4].second, threads_for(p), [&](int64_t i, int) {
    const int64_t* block = index + i / axes[3].second * axes[4].first + i % axes[3].second * axes[3].first;
    for (int64_t j = 0; j < rows; j++) {
      const int64_t* row = block + j / axes[1].second * axes[2].first + j % axes[1].second * axes[1].first;
      bool valid = true;
      run(row, axes[0].first, axes[0].second, volume, &valid);
      for (int64_t x = 0; !valid && x < axes[0].second; x++)
        if (uint64_t(row[x * axes[0].first]) >= uint64_t(volume)) found = row + x * axes[0].first;
    }
  });
  if (found) outside = *found;
  return !found;
}

}  // namespace konv
