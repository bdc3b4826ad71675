// What a DensePlan works with: the kernels for its operands, and each TapProblem laid out for them.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "conv/dense_plan.h"
#include "conv/packing.h"
#include "conv/weights.h"
#include "core/machine.h"

namespace konv {

// The kernels for one kind of operand. Operands and sums have T's size; elements of the operands hold one channel, or
// some channels of a narrower type.
template <class T>
struct DenseKernels {
  using Gemm = void (*)(const GemmTile<T>&);
  using Pack = void (*)(const PackRegion<T>&);
  const Gemm (*gemm[2])[2][kMaxGemmRows + 1];  // for outputs and for pixels in the lanes
  Pack pack_planes, pack_pixels;
  const PairKernels* pairs = nullptr;
  const IntGemm* ints = nullptr;

  DenseKernels(const ConvProblem& p, DenseInput input) {
    const Isa isa = Isa(p.isa);
    const auto take = [&](const auto& k) {
      gemm[0] = gemm[1] = k.gemm, pack_planes = k.pack_planes, pack_pixels = k.pack_pixels;
    };
    take(kernels<T>(isa));
    if constexpr (sizeof(T) == sizeof(float)) {
      if (input == DenseInput::pairs) take(*(pairs = pair_kernels(isa)));
      if (!is_byte(p.dtype)) return;
      const DotKernels* dots = dot_kernels(isa);
      ints = input == DenseInput::bytes ? &dots->bytes : dots ? &dots->words : &kernel_table(isa).ints.words;
      // A is the input where outputs are in the lanes.
      const bool unsigned_input = p.weight_range == WeightRange::int8;
      gemm[int(Lanes::outputs)] = ints->gemm[!unsigned_input];
      gemm[int(Lanes::pixels)] = ints->gemm[unsigned_input];
    }
  }
};

constexpr int64_t kShallow = 32;  // products a sum

// The lowest and the highest of some elements in memory.
struct ElementRange {
  int64_t low = 0, high = 0;
  // Along an axis, from element `first` to `last`.
  void add(int64_t first, int64_t last, int64_t stride) {
    low += std::min(first * stride, last * stride);
    high += std::max(first * stride, last * stride);
  }
};

// One TapProblem with its tiling, offset tables, and places in the workspace.
template <class T>
struct DenseStage {
  TapProblem p;
  DenseTiling t;
  int64_t together, elements;  // channels of an element, elements of a group's channels
  InputPacking<T> packing;
  // Offsets in packed and in original input in the order of sum_index, for full blocks of channels and for the last.
  std::vector<int64_t> packed_off[2], direct_off[2];
  std::vector<int64_t> weight_off[2];
  bool far;                           // sums are too few for stores to hide behind, and leave the caches
  bool wide;                          // pairs of panels suit the kernel for them
  bool weights_in_place;              // panels are read where the caller has them
  int64_t weight_step;                // elements of packed weights for one k: outputs of a panel
  int64_t weight_panel, weight_size;  // elements of a packed panel (one channel block), of all
  int64_t weight_base, bias_base;     // element offsets in the packed weights
  ElementRange memory;                // of the input, from its first element
  int64_t pack_tasks;
  std::vector<int64_t> panel_row[2];  // as packed_off, see weights.h
  std::vector<TapRows> tap_rows;      // of each output row

  DenseStage(TapProblem problem, const ConvProblem& conv, DenseInput input) : p(std::move(problem)) {
    const Kernels<T>& kernel = kernels<T>(Isa(conv.isa));
    flatten_pixels(p);
    t = dense_tiling(p, conv, input, kernel.lanes, kernel.gemm_rows);
    together = channels_an_element(input), elements = ceil_div(p.channels, together);
    const int64_t unit = t.lanes == Lanes::outputs ? t.segment : kernel.lanes, line = 64 / int64_t(sizeof(T));
    packing = InputPacking<T>(p, t.planes, t.channel_block, t.tile_h, round_up(t.tile_w, unit), kernel.lanes, t.tile_d);
    const int64_t taps = int64_t(p.taps.size()), depth_k = t.channel_block * taps;
    weight_step = t.lanes == Lanes::outputs ? t.width : t.rows;
    // Outputs are innermost in the caller's weights, and too few pixels use each panel to pay for a copy.
    weights_in_place = !conv.weights_ready && together == 1 && t.lanes == Lanes::outputs && p.w_output == 1 &&
                       p.outputs % kernel.lanes == 0 && p.n * p.out[0] * p.out[1] * p.out[2] <= 8 * t.rows;
    far = depth_k <= kShallow && double(p.n * p.groups * p.outputs) * double(p.out[0] * p.out[1] * p.out[2]) >
                                     double(l2_cache_bytes()) / sizeof(T);
    // Rows of A are pixels' channels; a fourth of a tile of rows at most may be spent on what is no pixel.
    wide = kernel.gemm_wide && input != DenseInput::pairs && !is_byte(conv.dtype) && !weights_in_place && taps == 1 &&
           t.lanes == Lanes::outputs && t.width == 2 * kernel.lanes && t.channel_blocks == 1 && p.out_c == 1 &&
           conv.clips() && (t.direct ? p.in_c : packing.channel) == 1 && (t.tile_w >= 24 || t.tile_w % 6 == 0);
    for (int last = 0; last < 2; last++) {
      const int64_t channels = last ? elements - (t.channel_blocks - 1) * t.channel_block : t.channel_block;
      if (is_byte(conv.dtype)) {
        for (int64_t c = 0; c < channels; c++)
          for (int64_t i = 0; i < taps; i++) panel_row[last].push_back(sum_index(p, channels, c, i) * weight_step);
      } else if (!weights_in_place) {
        panel_row[last] = panel_rows(p, channels, conv, weight_step);
      }
      weight_off[last].resize(size_t(channels * taps));
      packed_off[last].resize(size_t(channels * taps));
      if (t.direct) direct_off[last].resize(size_t(channels * taps));
      for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < taps; i++) {
          const size_t k = size_t(sum_index(p, channels, c, i)), j = size_t(i);
          weight_off[last][k] = weights_in_place ? p.taps[j].weight + c * p.w_channel : int64_t(k) * weight_step;
          packed_off[last][k] = c * packing.channel + packing.tap_off[j];
          if (t.direct) {
            direct_off[last][k] = c * p.in_c;
            for (int a = 0; a < 3; a++) direct_off[last][k] += p.taps[j].at[a] * p.in_stride[a];
          }
        }
    }
    for (auto* table : {&packed_off[0], &packed_off[1], &direct_off[0], &direct_off[1], &weight_off[0], &weight_off[1]})
      if (!table->empty()) table->resize(table->size() + kGemmPrefetch, table->back());
    // Zero is not all that packed bytes may have for padding.
    for (int64_t h = 0; h < p.out[1]; h++)
      tap_rows.push_back(input == DenseInput::bytes ? TapRows{0, p.grid[0] * p.grid[1]} : tap_rows_inside(p, h));
    weight_panel = round_up(depth_k * weight_step, line);
    weight_size = weights_in_place ? 0 : p.groups * t.channel_blocks * t.panels * weight_panel;
    pack_tasks = p.groups * t.channel_blocks * t.panels;
    if (is_byte(conv.dtype)) pack_tasks = p.groups * t.panels;
    memory.add(0, p.n - 1, p.in_n);
    memory.add(0, p.groups * p.channels - 1, p.in_c);
    for (int a = 0; a < 3; a++) memory.add(0, p.in[a] - 1, p.in_stride[a]);
  }

  // Elements of one micro-tile on its way out, or of all those of a task, which wait for further channel blocks.
  int64_t sums_size() const {
    const int64_t tile = t.rows * t.width;
    if (t.channel_blocks == 1) return tile;
    const int64_t runs = t.lanes == Lanes::outputs ? t.tile_h * ceil_div(t.tile_w, t.segment) * t.segment * t.width
                                                   : t.tile_h * ceil_div(t.tile_w, t.width) * tile;
    return t.panel_block * runs;
  }
};

}  // namespace konv
