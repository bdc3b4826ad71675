#include <algorithm>

#include "conv/dense_plan.h"
#include "conv/packing.h"
#include "core/config.h"
#include "core/machine.h"

namespace konv {

namespace {

// Products of one panel row stay below this, so that a weight panel streams from the L2 cache.
constexpr int64_t kMaxDepth = 2560;

constexpr int64_t kStreamedOutputs = 4, kStreamedChannels = 8, kStreamedPixels = 2048;

// Cycles a vector spends beside its multiplications when its tile is stored: transposing costs about 7 vector
// operations for each vector, copying through a stack tile 2.
constexpr double kTransposeStore = 8, kCopyStore = 3, kDirectStore = 1;

// Pixels of one image row in half a micro-tile: few lanes to spare at the row's end, but not too narrow either, since
// each k costs loads of B and a step of the loop beside its rows.
int64_t best_segment(int64_t pixels, int gemm_rows) {
  int64_t best = 1;
  double best_cost = 0;
  for (int64_t w = 1; w <= std::max(1, gemm_rows / 2); w++) {
    const double cost = double(ceil_div(pixels, w)) * (double(w) + 0.25);
    if (w == 1 || cost <= best_cost) best = w, best_cost = cost;
  }
  return best;
}

double orientation_cost(const TapProblem& p, Lanes orientation, int lanes, int gemm_rows) {
  const double depth = double(p.channels) * double(p.taps.size());
  const double images = double(p.n) * double(p.groups) * double(p.out[0]) * double(p.out[1]);
  if (orientation == Lanes::outputs) {
    const double pixels = double(round_up(p.out[2], best_segment(p.out[2], gemm_rows)));
    const double vectors = double(ceil_div(p.outputs, lanes));
    const double store = p.out_c == 1 ? (p.outputs % (2 * lanes) ? kCopyStore : kDirectStore) : kTransposeStore;
    // One vector a row cannot hide the broadcasts behind multiplications.
    const double load = p.outputs <= lanes ? 1.25 : 1.0;
    return images * pixels * vectors * (depth * load + store);
  }
  const double vectors = double(ceil_div(p.out[2], lanes));
  const int64_t blocks = ceil_div(p.outputs, gemm_rows), rows = ceil_div(p.outputs, blocks);
  const double store = p.out_stride[2] == 1 ? kDirectStore : kTransposeStore;
  // Unaligned vectors of pixels take two load slots each, beside one broadcast a row.
  const double load = std::max(1.0, double(rows + 4) / double(2 * rows));
  // Planes come from channels-last pixels by transposing, or element by element if there are few channels.
  const double pack = p.in_stride[2] == 1 ? 0.0 : (p.channels >= 4 ? 0.5 : 1.5) * lanes * double(p.channels);
  return images * vectors * (double(blocks * rows) * (depth * load + store) + pack);
}

// Slices of output whose packed slices fit the budget: neighbours share most of them.
int64_t tile_depth(const TapProblem& p, const DenseTiling& t, const InputPacking<char>& shape, int64_t bytes,
                   int64_t budget) {
  if (p.grid[0] == 1 || p.step[0] != 1 || t.direct || t.channel_blocks > 1) return 1;
  const int64_t slices = budget / std::max<int64_t>(1, bytes / shape.slices);
  const int64_t most = std::clamp<int64_t>(slices - (shape.slices - 1), 1, std::max<int64_t>(1, p.out[0]));
  return ceil_div(p.out[0], ceil_div(p.out[0], most));
}

}  // namespace

DenseTiling dense_tiling(const TapProblem& single, const ConvProblem& problem, DenseInput input, int lanes,
                         int gemm_rows) {
  DenseTiling t{};
  TapProblem p = single;
  p.channels = ceil_div(single.channels, channels_an_element(input));
  const int64_t taps = int64_t(p.taps.size()), item = sum_size(problem.dtype);
  const double outputs_cost = orientation_cost(p, Lanes::outputs, lanes, gemm_rows);
  const double pixels_cost = orientation_cost(p, Lanes::pixels, lanes, gemm_rows);
  t.lanes = outputs_cost <= pixels_cost ? Lanes::outputs : Lanes::pixels;
  t.direct = input == DenseInput::in_place && (t.lanes == Lanes::outputs || p.in_stride[2] * p.step[2] == 1);
  t.cost = std::min(outputs_cost, pixels_cost);
  const int64_t steps = p.step[0] * p.step[1] * p.step[2];
  const double copy_cost = (steps == 1 ? 0.25 : 1.0) * double(p.n) * double(p.groups) * double(single.channels) *
                           double(p.out[0] * p.out[1] * p.out[2]) * double(steps);
  if (!t.direct) t.cost += copy_cost;  // of the input, once a tile
  t.planes = t.lanes == Lanes::pixels || p.in_c != 1 || single.channels == 1;

  if (t.lanes == Lanes::outputs) {
    t.segment = best_segment(p.out[2], gemm_rows);
    t.rows = 2 * t.segment;
    t.width = p.outputs > lanes ? 2 * lanes : lanes;
    t.panels = ceil_div(p.outputs, t.width);
  } else {
    t.rows = ceil_div(p.outputs, ceil_div(p.outputs, gemm_rows));
    t.width = 2 * lanes;
    t.panels = ceil_div(p.outputs, t.rows);
  }

  // With few outputs the input streams past: better some long rows at a time than a few pixels of all channels, which
  // are more streams than hardware follows.
  const bool streams = t.direct && t.lanes == Lanes::pixels && t.rows <= kStreamedOutputs &&
                       item * p.channels * p.n * p.out[1] * p.out[2] > l2_cache_bytes();
  t.channel_block = std::max<int64_t>(1, std::min(p.channels, kMaxDepth / std::max<int64_t>(1, taps)));
  if (streams) t.channel_block = std::min(t.channel_block, kStreamedChannels);
  const int64_t budget = std::min(problem.max_workspace, l2_cache_bytes() * 3 / 8);
  const InputPacking<char> shape(p, true, 1, 1, 1, 1);
  const int64_t unit = t.lanes == Lanes::outputs ? t.segment : lanes;
  const auto bytes = [&](int64_t h, int64_t w, int64_t channels) {
    return item * channels * packed_bytes(shape, h, round_up(w, unit));
  };
  // Workspace beyond the budget for the smallest tile: fewer channels at a time.
  const int64_t smallest = std::min(p.out[2], 2 * unit);
  while (t.channel_block > 1 && bytes(1, smallest, t.channel_block) > std::max(budget, int64_t(1) << 16))
    t.channel_block = ceil_div(t.channel_block, 2);
  t.channel_blocks = ceil_div(std::max<int64_t>(1, p.channels), t.channel_block);
  t.channel_block = ceil_div(std::max<int64_t>(1, p.channels), t.channel_blocks);

  // Width first, then height, while the packed tile fits; then even tiles, and enough of them for the threads.
  const int64_t max_pixels = streams ? kStreamedPixels : 32 * std::max<int64_t>(t.rows, t.width) / 2;
  t.tile_w = p.out[2];
  while (t.tile_w > 2 * unit && (bytes(1, t.tile_w, t.channel_block) > budget || t.tile_w > max_pixels))
    t.tile_w = round_up(ceil_div(t.tile_w, 2), 2 * unit);
  t.tiles_w = ceil_div(p.out[2], t.tile_w);
  t.tile_w = std::min(p.out[2], round_up(ceil_div(p.out[2], t.tiles_w), t.tiles_w > 1 ? 2 * unit : 1));
  t.tile_h = 1;
  // Rows that neighbouring tiles both pack had better be a fourth of them at most.
  const int64_t shared_rows = t.direct || t.channel_blocks > 1 ? 0 : shape.y.extent(1) - 1;
  while (t.tile_h < p.out[1] && ((t.tile_h + 1) * t.tile_w <= max_pixels || t.tile_h < 4 * shared_rows) &&
         bytes(t.tile_h + 1, t.tile_w, t.channel_block) <= budget)
    t.tile_h++;
  t.tiles_h = ceil_div(p.out[1], t.tile_h);
  t.panel_block = t.panels;
  const int64_t threads = problem.threads, volumes = std::max<int64_t>(1, p.n * p.groups);
  int64_t wanted = 8 * threads, panel_blocks = 1;
  // Tasks that share an image read the weights once each, those that share the outputs the image: where it is the
  // smaller, they are cut first: into one block a thread, and into more as far as packing the image for each of them
  // stays below a fiftieth of the work. Then two tasks a thread are enough.
  const double images = double(p.n) * double(p.out[0] * p.out[1] * p.out[2]) * double(steps);
  if (threads > 1 && images < double(p.outputs) * double(taps)) {
    panel_blocks = std::min(t.panels, ceil_div(wanted, volumes * t.tiles_h * t.tiles_w));
    if (!t.direct && copy_cost > 0)
      panel_blocks = std::min(panel_blocks, std::max(threads, int64_t(0.02 * t.cost / copy_cost)));
    wanted = ceil_div(2 * threads, panel_blocks);
  }
  t.tile_d = tile_depth(p, t, shape, bytes(t.tile_h, t.tile_w, t.channel_block), budget);
  while (t.tile_d > 1 && threads > 1 && volumes * ceil_div(p.out[0], t.tile_d) * t.tiles_h * t.tiles_w < wanted)
    t.tile_d--;
  t.tiles_d = ceil_div(p.out[0], t.tile_d);
  const int64_t outer = volumes * t.tiles_d;
  if (threads > 1) {
    if (outer * t.tiles_h * t.tiles_w < wanted) {
      if (p.out[1] > 1) {
        t.tiles_h = std::min(p.out[1], ceil_div(wanted, outer * t.tiles_w));
      } else {
        const int64_t units = ceil_div(p.out[2], 2 * unit);
        t.tile_w = std::min(p.out[2], 2 * unit * ceil_div(units, std::min(units, ceil_div(wanted, outer))));
      }
    }
  }
  t.tile_h = ceil_div(p.out[1], t.tiles_h);
  t.tiles_h = ceil_div(p.out[1], t.tile_h);
  t.tiles_w = ceil_div(p.out[2], t.tile_w);
  const int64_t spatial = outer * t.tiles_h * t.tiles_w;
  if (threads > 1 && spatial * panel_blocks < 2 * threads)
    panel_blocks = std::min(t.panels, ceil_div(4 * threads, spatial));
  t.panel_block = ceil_div(t.panels, panel_blocks);
  // The wide kernel takes panels in pairs.
  if (t.panel_block % 2 != 0 && spatial * ceil_div(t.panels, t.panel_block + 1) >= 2 * threads) t.panel_block++;
  t.panel_blocks = ceil_div(t.panels, t.panel_block);
  t.tasks = spatial * t.panel_blocks;
  return t;
}

}  // namespace konv
