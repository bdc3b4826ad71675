#include "conv/winograd_blocking.h"

#include <algorithm>
#include <cstdlib>

#include "conv/packing.h"
#include "core/config.h"
#include "core/isa.h"

namespace konv {

namespace {

struct Phase {
  int64_t in, size, out, out_size, first;
};

// The sub-images that taps `distance` apart along one axis make.
std::vector<Phase> phases(const TapProblem& p, int axis, int64_t distance) {
  const int64_t lowest = std::min(p.taps.front().at[axis], p.taps.back().at[axis]);
  std::vector<Phase> r;
  for (int64_t phase = 0; phase < std::min(distance, p.out[axis]); phase++) {
    const int64_t at = phase + lowest;
    const int64_t first = at >= 0 ? at / distance : -ceil_div(-at, distance), start = at - first * distance;
    r.push_back({start, std::max<int64_t>(0, ceil_div(p.in[axis] - start, distance)), phase,
                 ceil_div(p.out[axis] - phase, distance), first});
  }
  return r;
}

void set_images(WinogradBlocking& b, const TapProblem& p) {
  const int64_t dy = std::llabs(p.taps[3].at[1] - p.taps[0].at[1]), dx = std::llabs(p.taps[1].at[2] - p.taps[0].at[2]);
  b.in_stride[0] = p.in_stride[1] * dy, b.in_stride[1] = p.in_stride[2] * dx;
  b.out_stride[0] = p.out_stride[1] * dy, b.out_stride[1] = p.out_stride[2] * dx;
  for (int64_t n = 0; n < p.n; n++)
    for (const Phase& y : phases(p, 1, dy))
      for (const Phase& x : phases(p, 2, dx))
        b.images.push_back({n * p.in_n + y.in * p.in_stride[1] + x.in * p.in_stride[2],
                            p.out_base + n * p.out_n + y.out * p.out_stride[1] + x.out * p.out_stride[2],
                            {y.size, x.size},
                            {y.out_size, x.out_size},
                            {y.first, x.first}});
  const bool down = p.taps[3].at[1] > p.taps[0].at[1], right = p.taps[1].at[2] > p.taps[0].at[2];
  for (int64_t i = 0; i < 9; i++) b.tap[i] = (down ? i / 3 : 2 - i / 3) * 3 + (right ? i % 3 : 2 - i % 3);
}

int64_t even_part(int64_t total, int64_t most) { return ceil_div(total, ceil_div(total, std::max<int64_t>(1, most))); }

// Blocks of about `tiles` tiles: several images, whole rows of tiles, or part of a row.
void cut_tiles(WinogradBlocking& b, int64_t tiles) {
  const int64_t images = int64_t(b.images.size());
  b.n = 1;
  if (b.tiles_h * b.tiles_w <= tiles) {
    b.h = b.tiles_h, b.w = b.tiles_w;
    b.n = even_part(images, tiles / (b.h * b.w));
  } else if (b.tiles_w <= tiles) {
    b.h = even_part(b.tiles_h, tiles / b.tiles_w), b.w = b.tiles_w;
  } else {
    // Two rows share more of their input than one as long.
    b.h = tiles >= 8 && b.tiles_h > 1 ? 2 : 1;
    b.w = even_part(b.tiles_w, tiles / b.h);
  }
  b.blocks_n = ceil_div(images, b.n), b.blocks_h = ceil_div(b.tiles_h, b.h), b.blocks_w = ceil_div(b.tiles_w, b.w);
}

// Elements between vectors that are used together: not a multiple of a kilobyte, since those would crowd into few sets
// of the cache.
int64_t uncrowded(int64_t elements, int64_t item) { return elements * item % 1024 ? elements : elements + 64 / item; }
int64_t odd_lines(int64_t elements, int64_t item) { return (ceil_div(elements * item, 64) | 1) * 64 / item; }

}  // namespace

std::string winograd_supports(const ConvProblem& p) {
  if (p.direction == Direction::weight_gradient) return "computes the forward direction and the input gradient";
  if (p.strict) return "its error is larger than the direct convolution's, which precision 'strict' excludes";
  if (p.kernel[0] != 1 || p.kernel[1] != 3 || p.kernel[2] != 3) return "the kernel is not 3x3";
  if (p.stride[0] != 1 || p.stride[1] != 1 || p.stride[2] != 1) return "the stride is not 1";
  if (p.in[0] != 1 || p.out[0] != 1) return "the input has depth";
  if (p.n == 0) return "the batch is empty";
  const std::vector<TapProblem> taps = tap_problems(p);
  if (taps.size() != 1 || taps[0].taps.size() != 9) return "part of the kernel sees nothing but padding";
  return "";
}

WinogradBlocking winograd_blocking(const ConvProblem& problem, const TapProblem& p, int m, int lanes, int gemm_rows) {
  WinogradBlocking b{};
  const int64_t item = dtype_size(problem.dtype), threads = problem.threads, line = 64 / item;
  b.m = m;
  set_images(b, p);
  int64_t height = 0, breadth = 0;
  for (const WinogradImage& i : b.images)
    height = std::max(height, i.out_size[0]), breadth = std::max(breadth, i.out_size[1]);
  b.tiles_h = ceil_div(height, m), b.tiles_w = ceil_div(breadth, m);
  b.tile_pitch = uncrowded(round_up(p.channels, lanes), item);
  b.width = p.outputs > lanes ? 2 * lanes : lanes;
  b.panels = ceil_div(p.outputs, b.width);

  // The transformed inputs of a block share the L2 cache with its sums; a micro-tile has gemm_rows tiles.
  const int64_t all_tiles = int64_t(b.images.size()) * b.tiles_h * b.tiles_w, points = b.points();
  const int64_t tile_bytes = points * b.tile_pitch * item,
                budget = std::min(problem.max_workspace / 3, l2_cache_bytes() / 3);
  int64_t tiles = std::clamp<int64_t>(budget / tile_bytes, gemm_rows, 2 * gemm_rows);
  while (tiles > 1 && 2 * tiles * tile_bytes > problem.max_workspace) tiles--;
  cut_tiles(b, tiles);
  while (threads > 1 && tiles > gemm_rows && b.blocks() * p.groups < 4 * threads && all_tiles > threads)
    cut_tiles(b, --tiles);
  b.point_pitch = odd_lines(b.tiles() * b.tile_pitch, item);
  b.sums_pitch = odd_lines(b.tiles() * b.width, item);
  b.panel_group = std::clamp<int64_t>(l2_cache_bytes() / 4 / (points * b.sums_pitch * item), 1, b.panels);

  const int64_t all_inputs = p.groups * b.blocks() * points * b.point_pitch * item;
  b.shared_inputs = threads > 1 && b.blocks() * p.groups < 4 * threads && b.panels > 1 &&
                    all_inputs <= threads * (problem.max_workspace / 2);
  b.channel_chunk = p.channels, b.panel_chunk = b.panels;
  if (b.shared_inputs) {
    const int64_t tasks = ceil_div(4 * threads, b.blocks() * p.groups);
    b.channel_chunk = round_up(ceil_div(p.channels, tasks), std::max<int64_t>(lanes, line));
    b.panel_chunk = ceil_div(b.panels, std::min(tasks, b.panels));
    b.panel_group = std::min(b.panel_group, b.panel_chunk);
  }
  return b;
}

double winograd_cost(const ConvProblem& problem, int m) {
  const KernelTable& table = kernel_table(Isa(problem.isa));
  const bool single = problem.dtype == DType::f32;
  const int lanes = single ? table.f32.lanes : table.f64.lanes;
  const int rows = single ? table.f32.gemm_rows : table.f64.gemm_rows;
  const TapProblem p = std::move(tap_problems(problem)[0]);
  const WinogradBlocking b = winograd_blocking(problem, p, m, lanes, rows);
  const double points = double(b.points()), groups = double(p.groups), channels = double(p.channels);
  const double tiles = double(b.images.size()) * double(b.tiles_h) * double(b.tiles_w);
  const double in_vectors = double(ceil_div(p.channels, lanes)), out_vectors = double(ceil_div(p.outputs, lanes));
  // One vector a row cannot hide the broadcasts behind multiplications, nor can few rows hide the loads of weights.
  const double micro_rows = double(b.tiles()) / double(ceil_div(b.tiles(), rows));
  const double load = (b.width == lanes ? 1.25 : 1.0) * (1 + 2 / micro_rows);
  const double multiply = tiles * points * channels * out_vectors * load;
  const double transforms = tiles * points * (6 * in_vectors + 6 * out_vectors);
  const double weights = problem.weights_ready ? 0 : channels * out_vectors * points * 3.5;
  return groups * (multiply + transforms + weights);
}

}  // namespace konv
