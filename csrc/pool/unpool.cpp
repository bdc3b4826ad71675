// Indices of maxima: checking them, and moving elements to and from the places that they name.
#include <atomic>
#include <cstdlib>
#include <utility>

#include "core/isa.h"
#include "pool/tiles.h"

namespace konv {

namespace {

// Where a place, flat in a volume, lies in memory.
struct PlaceOffset {
  const PoolProblem& p;
  const bool flat;
  explicit PlaceOffset(const PoolProblem& problem)
      : p(problem),
        flat((p.in[1] == 1 || p.xs[3] == p.xs[4] * p.in[2]) &&
             (p.in[0] == 1 || p.xs[2] == p.xs[4] * p.in[2] * p.in[1])) {}
  int64_t operator()(int64_t at) const {
    if (flat) return at * p.xs[4];
    const int64_t plane = p.in[1] * p.in[2];
    return at / plane * p.xs[2] + at % plane / p.in[2] * p.xs[3] + at % p.in[2] * p.xs[4];
  }
};

// Calls f(offset in x, in y, place) for blocks of channels of all windows, channels innermost.
template <class F>
void for_windows(const PoolProblem& p, int64_t n, int64_t c0, int64_t channels, const int64_t* index, F f) {
  const PlaceOffset offset(p);
  const int64_t x0 = n * p.xs[0] + c0 * p.xs[1], y0 = n * p.ys[0] + c0 * p.ys[1];
  index += n * p.indices_s[0] + c0 * p.indices_s[1];
  for (int64_t z = 0; z < p.out[0]; z++)
    for (int64_t y = 0; y < p.out[1]; y++)
      for (int64_t x = 0; x < p.out[2]; x++) {
        const int64_t* at = index + z * p.indices_s[2] + y * p.indices_s[3] + x * p.indices_s[4];
        const int64_t to = y0 + z * p.ys[2] + y * p.ys[3] + x * p.ys[4];
        for (int64_t c = 0; c < channels; c++) f(x0 + c * p.xs[1] + offset(at[c * p.indices_s[1]]), to + c * p.ys[1]);
      }
}

// Channels that share lines of memory stay together.
PoolTiling whole_volumes(const PoolProblem& p) { return {p.xs[1] == 1 ? p.c : 1, {p.in[0], p.in[1], p.in[2]}}; }

template <class E>
void unpool(const PoolProblem& p, const E* y, const int64_t* index, E* x) {
  const bool flat = PlaceOffset(p).flat;
  for_tiles(p, p.in, whole_volumes(p), [&](const PoolTile& tile, int) {
    E* volume = x + tile.n * p.xs[0] + tile.c * p.xs[1];
    const int64_t elements = p.in[0] * p.in[1] * p.in[2];
    if (flat && (p.xs[4] == tile.channels || elements == 1))
      std::fill_n(volume, elements * tile.channels, E(0));
    else
      for (int64_t d = 0; d < p.in[0]; d++)
        for (int64_t h = 0; h < p.in[1]; h++)
          for (int64_t w = 0; w < p.in[2]; w++)
            for (int64_t c = 0; c < tile.channels; c++)
              volume[d * p.xs[2] + h * p.xs[3] + w * p.xs[4] + c * p.xs[1]] = 0;
    for_windows(p, tile.n, tile.c, tile.channels, index, [&](int64_t to, int64_t from) { x[to] = y[from]; });
  });
}

template <class E>
void unpool_gradient(const PoolProblem& p, const E* x, const int64_t* index, E* y) {
  for_tiles(p, p.in, whole_volumes(p), [&](const PoolTile& tile, int) {
    for_windows(p, tile.n, tile.c, tile.channels, index, [&](int64_t from, int64_t to) { y[to] = x[from]; });
  });
}

// Calls f(zero) with an unsigned integer as wide as the elements.
template <class F>
void by_size(DType dtype, F f) {
  const int64_t bytes = dtype_size(dtype);
  bytes == 2 ? f(uint16_t()) : bytes == 4 ? f(uint32_t()) : f(uint64_t());
}

}  // namespace

void max_unpool(const PoolProblem& p, const void* y, const int64_t* index, void* x) {
  by_size(p.dtype, [&](auto zero) {
    using E = decltype(zero);
    unpool<E>(p, static_cast<const E*>(y), index, static_cast<E*>(x));
  });
}

void max_unpool_gradient(const PoolProblem& p, const void* x, const int64_t* index, void* y) {
  by_size(p.dtype, [&](auto zero) {
    using E = decltype(zero);
    unpool_gradient<E>(p, static_cast<const E*>(x), index, static_cast<E*>(y));
  });
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
