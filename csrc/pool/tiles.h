// What a pooling writes, cut into tiles: blocks of channels by slices, rows and columns.
#pragma once
#include <algorithm>
#include "core/rounding.h"

#include "core/parallel.h"
#include "pool/pool.h"

namespace konv {

constexpr double kPoolSerialBytes = 192 << 10;  // a second thread costs more than it saves below this
constexpr double kPoolTaskBytes = 32 << 10;

inline int threads_for(const PoolProblem& p) { return p.bytes() < kPoolSerialBytes ? 1 : int(p.threads); }

struct PoolTile {
  int64_t n, c, channels;
  int64_t start[3], size[3];
};

// How large tiles are, at most.
struct PoolTiling {
  int64_t channels, size[3];
};

// Tiles of `written` elements of each volume, small enough for all threads to have some, cut from the outside in, and
// for small(tiling) to hold where that can be. Channels are cut last, to blocks of no less than `least` of them.
template <class F>
PoolTiling tiling_of(const PoolProblem& p, const int64_t written[3], int64_t channels, int64_t least, F small) {
  const int threads = threads_for(p);
  PoolTiling t{channels, {written[0], written[1], written[2]}};
  const auto count = [&] {
    return p.n * ceil_div(p.c, t.channels) * ceil_div(written[0], t.size[0]) * ceil_div(written[1], t.size[1]) *
           ceil_div(written[2], t.size[2]);
  };
  const auto enough = [&] {
    const int64_t tiles = count();
    return (threads == 1 || tiles >= 4 * threads || p.bytes() / double(tiles) < kPoolTaskBytes) && small(t);
  };
  for (int i = 0; i < 3; i++)
    while (t.size[i] > 1 && !enough()) t.size[i] = (t.size[i] + 1) / 2;
  while (t.channels > least && !enough()) t.channels = std::max(least, ceil_div(t.channels, 2 * least) * least);
  return t;
}

// Calls run(tile, thread) for all tiles of `written` elements of each volume.
template <class F>
void for_tiles(const PoolProblem& p, const int64_t written[3], const PoolTiling& t, F run) {
  const int threads = threads_for(p);
  const int64_t blocks = ceil_div(p.c, t.channels);
  int64_t parts[3];
  for (int i = 0; i < 3; i++) parts[i] = ceil_div(written[i], t.size[i]);
  const int64_t total = p.n * blocks * parts[0] * parts[1] * parts[2];
  const int64_t small = int64_t(kPoolTaskBytes / (p.bytes() / double(total))) + 1;
  const int64_t task = threads == 1 ? total : std::max(total / (16 * threads), small);
  parallel_for(ceil_div(total, task), threads, [&](int64_t number, int thread) {
    for (int64_t i = number * task; i < std::min(total, (number + 1) * task); i++) {
      PoolTile tile;
      int64_t rest = i;
      for (int a = 2; a >= 0; rest /= parts[a--]) {
        tile.start[a] = rest % parts[a] * t.size[a];
        tile.size[a] = std::min(t.size[a], written[a] - tile.start[a]);
      }
      tile.c = rest % blocks * t.channels, tile.n = rest / blocks;
      tile.channels = std::min(t.channels, p.c - tile.c);
      run(tile, thread);
    }
  });
}

}  // namespace konv
