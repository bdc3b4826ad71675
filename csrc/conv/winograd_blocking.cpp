#include "conv/winograd_blocking.h"

#include <algorithm>

#include "conv/packing.h"
#include "core/isa.h"
#include "core/machine.h"

namespace konv {

namespace {

constexpr int64_t kFewestPanels = 4;  // whose sums wait for all points

// Transforming weights takes about as long as reading the transformed ones from the third-level cache, and a third of
// the time that they take from memory. It pays to do it on the way where they would be written and read once or twice,
// and in every run where memory would deliver them more slowly than they are multiplied: a vector of them meets all
// tiles, and two threads read twice as fast as one, more of them no faster.
int64_t weight_chunk(const WinogradBlocking& b, const ConvProblem& problem, const TapProblem& p) {
  const int64_t item = dtype_size(problem.dtype), l2 = l2_cache_bytes(), point = p.groups * b.points() * item;
  const int64_t weights = point * b.channels * b.panels * b.width, inputs = point * b.all_tiles() * b.tile_pitch;
  if (b.sources.size() != 1 || b.panels < 2 || weights < 4 * inputs) return 0;
  if (inputs > problem.threads * (problem.max_workspace * 5 / 8)) return 0;
  const double readers = double(std::min<int64_t>(problem.threads, 2));
  const bool hidden = double(b.all_tiles()) * core_speeds().memory_bytes * readers > 64 * double(problem.threads);
  const bool beforehand = problem.weights_ready && (weights < l3_cache_bytes() * 5 / 8 || hidden);
  if (beforehand || weights < 2 * l2) return 0;
  const int64_t sums = 2 * b.points() * b.all_tiles() * b.width * item, channel = b.points() * b.width * item;
  const int64_t chunk = std::min(l2 * 3 / 8, problem.max_workspace / 2) / channel / kWinogradWeightChannels;
  if (chunk < 1 || sums > problem.max_workspace / 4) return 0;
  return std::min(chunk * kWinogradWeightChannels, p.channels);
}

}  // namespace

WinogradBlocking winograd_blocking(const ConvProblem& problem, const TapProblem& p, int form, int lanes,
                                   int gemm_rows) {
  WinogradBlocking b{WinogradTiles(p, form)};
  const int64_t sources = int64_t(b.sources.size());
  b.channels = sources * p.channels;
  const int64_t item = dtype_size(problem.dtype), threads = problem.threads, line = 64 / item;
  b.tile_pitch = uncrowded((sources - 1) * p.channels + round_up(p.channels, lanes), item);
  b.width = p.outputs > lanes ? 2 * lanes : lanes;
  b.panels = ceil_div(p.outputs, b.width);

  // The transformed inputs of a block share the L2 cache with its sums; a micro-tile has gemm_rows tiles. Weights that
  // come from beyond that cache for each block had better meet many tiles.
  const int64_t points = b.points(), weights = points * b.channels * b.panels * b.width * item;
  const int64_t tile_bytes = points * b.tile_pitch * item,
                budget = std::min(problem.max_workspace / 3, l2_cache_bytes() / 3);
  const bool far = weights > l2_cache_bytes();
  int64_t tiles = far ? 4 * gemm_rows : std::clamp<int64_t>(budget / tile_bytes, gemm_rows, 2 * gemm_rows);
  while (tiles > 1 && 2 * tiles * tile_bytes > problem.max_workspace) tiles--;
  b.weight_chunk = weight_chunk(b, problem, p);
  if (b.weight_chunk) {
    b.tile_pitch = uncrowded(round_up(b.weight_chunk, lanes), item);
    tiles = 2 * gemm_rows;
  }
  b.cut(tiles);
  // Threads share the blocks, or the panels where those suffice.
  const bool by_panels = far && b.panels >= 2 * threads;
  while (!b.weight_chunk && !by_panels && threads > 1 && tiles > gemm_rows && b.blocks() * p.groups < 4 * threads &&
         b.all_tiles() > threads)
    b.cut(--tiles);
  b.point_pitch = odd_lines(b.block_tiles() * b.tile_pitch, item);
  b.sums_pitch = odd_lines(b.block_tiles() * b.width, item);
  // Pairs of panels, and more of them than one, so that inputs from beyond the cache are not read for each.
  const int64_t group = l2_cache_bytes() / 4 / (points * b.sums_pitch * item);
  b.panel_group = std::clamp<int64_t>(group / 2 * 2, std::min(kFewestPanels, b.panels), b.panels);

  const int64_t all_inputs = p.groups * b.blocks() * points * b.point_pitch * item;
  const bool inputs_fit = all_inputs <= threads * (problem.max_workspace / 2);
  b.shared_inputs =
      b.weight_chunk || (inputs_fit && b.panels > 1 && threads > 1 && b.blocks() * p.groups < 4 * threads);
  b.channel_chunk = p.channels, b.panel_chunk = b.panels;
  if (b.shared_inputs && threads > 1) {
    const int64_t tasks = ceil_div(4 * threads, b.blocks() * p.groups);
    // The last vector of a source's channels reaches into the next source's, which must then be written later.
    if (sources == 1 || p.channels % lanes == 0)
      b.channel_chunk = round_up(ceil_div(p.channels, tasks), std::max<int64_t>(lanes, line));
    b.panel_chunk = ceil_div(b.panels, std::min(tasks, b.panels));
    // Pairs of them are faster, unless a thread would get more than its share.
    if (ceil_div(b.panels, 2 * threads) * 2 <= ceil_div(b.panels, threads) + b.panels % 2)
      b.panel_chunk = round_up(b.panel_chunk, 2);
    b.panel_group = std::min(b.panel_group, b.panel_chunk);
  }
  if (b.weight_chunk) b.channel_chunk = b.weight_chunk, b.panel_chunk = 1;
  return b;
}

double winograd_cost(const ConvProblem& problem, const TapProblem& p, int form) {
  const KernelTable& table = kernel_table(Isa(problem.isa));
  const bool single = problem.dtype == DType::f32;
  const int lanes = single ? table.f32.lanes : table.f64.lanes;
  const int rows = single ? table.f32.gemm_rows : table.f64.gemm_rows;
  const WinogradBlocking b = winograd_blocking(problem, p, form, lanes, rows);
  const double points = double(b.points()), groups = double(p.groups), tiles = double(b.all_tiles());
  const double sources = double(b.sources.size()), n = double(b.m[0] + b.r[0] + b.m[1] + b.r[1] - 2) / 2;
  const double in_vectors = sources * double(ceil_div(p.channels, lanes));
  const double out_vectors = double(ceil_div(p.outputs, lanes));
  double depth = 0;  // of all points' products
  for (int64_t point = 0; point < b.points(); point++)
    for (const WinogradSource& s : b.sources) depth += meets(s, b, point) ? double(p.channels) : 0;
  // One vector a row cannot hide the broadcasts behind multiplications, nor can few rows hide the loads of weights;
  // each product stores its sums.
  const double micro_rows = double(b.block_tiles()) / double(ceil_div(b.block_tiles(), rows));
  const double load = (b.width == lanes ? 1.25 : 1.0) * (1 + 0.5 / micro_rows), step = core_speeds().vector_step;
  const double multiply = tiles * (depth * load + 3 * step * points) * out_vectors;
  const double transforms = step * tiles * points * n * (in_vectors + out_vectors);
  // Planes are transposed into vectors of channels and back; each phase of a step of 2 reads all lines.
  const double slices = double(p.n * p.out[0]), pixels_in = slices * double(p.grid[0] * p.in[1] * p.in[2]);
  const double pixels_out = slices * double(p.out[1] * p.out[2]);
  const double turn = (p.in_c == 1 ? 0 : pixels_in * in_vectors / sources * (p.step[2] == 2 ? 1.8 : 0.3)) +
                      (p.out_c == 1 ? 0 : pixels_out * out_vectors * (p.out_stride[2] == 1 ? 0.3 : 0.6));
  // Weights stream past once a block; a core hides most of that behind the multiplications.
  const double item = double(dtype_size(problem.dtype)), filters = double(b.channels) * double(p.outputs);
  // Turning weights costs a cycle for 8 bytes.
  const double prepare = groups * (double(b.channels) * out_vectors * points * 3.5 +
                                   double(p.channels * p.outputs) * double(p.taps.size()) * item / 8);
  const double sum = groups * (multiply + transforms + turn * double(lanes));
  if (b.weight_chunk)
    return sum + prepare +
           groups * (stream_cost(double(p.channels * p.outputs) * double(p.taps.size()) * item,
                                 double(problem.bytes_between)) +
                     stream_cost(tiles * points * double(b.channels) * item) * double(b.panels) / 2);
  const double stream = groups * stream_cost(points * filters * item, double(problem.bytes_between)),
               streams = stream * double(b.blocks());
  return sum + (problem.weights_ready ? 0 : prepare + stream) + streams - 0.85 * std::min(streams, groups * multiply);
}

int winograd_form(ConvProblem problem, const TapProblem& p) {
  problem.threads = 1, problem.max_workspace = int64_t(8) << 20, problem.weights_ready = 0;
  int best = -1;
  double least = 0;
  for (int form : winograd_forms(p)) {
    const double cost = winograd_cost(problem, p, form);
    if (best < 0 || cost < least) best = form, least = cost;
  }
  return best;
}

}  // namespace konv
