// Tap problems on the GEMM micro-kernel: how one TapProblem is cut into tiles.
//
// im2col is never formed. The input of a tile of output pixels is packed (padded, split by phase) into per-thread
// scratch, and the micro-kernel walks it through an offset table with one entry for each (channel, tap). Two
// orientations: with output channels in the lanes, packed weights are the vectors and pixels are broadcast; with pixels
// in the lanes, packed weights are broadcast and rows of pixels are the vectors, which suits few output channels and
// planar results. Pointwise problems read the input where it lies.
#pragma once
#include <vector>

#include "conv/tap_conv.h"
#include "core/algorithm.h"
#include "core/isa.h"

namespace konv {

enum class Lanes { outputs, pixels };

// What the micro-kernel reads of the input: a packed copy, the input itself, or a copy as pairs of channels in
// bfloat16, which counts as half as many channels everywhere (see PairKernels). Of integers, which become int32, a copy
// of bytes or of 16-bit words (see IntGemm).
enum class DenseInput { packed, in_place, pairs, bytes, words };
inline int64_t channels_an_element(DenseInput input) {
  constexpr int64_t channels[] = {1, 1, 2, 4, 2};
  return channels[int(input)];
}

struct DenseTiling {
  Lanes lanes;
  bool direct;      // the input is read in place
  bool planes;      // packed order: planes, else pixels (channels last)
  int64_t rows;     // broadcast rows of a micro-tile: pixels, or output channels
  int64_t width;    // lanes of a micro-tile: output channels, or pixels
  int64_t segment;  // Lanes::outputs: pixels of one image row in a micro-tile (rows == 2 * segment)
  int64_t panels;   // of packed weights: `width` output channels each, or `rows`
  int64_t channel_block, channel_blocks;
  int64_t tile_d, tile_h, tile_w, tiles_d, tiles_h, tiles_w;  // output pixels of a task: slices, rows, columns
  int64_t panel_block, panel_blocks;                          // weight panels of a task
  int64_t tasks;
  double cost;
};

// Chooses orientation and sizes; they depend on the problem, the ISA and the thread count, the cuts of sums on the
// first two alone. Channels are counted in elements.
DenseTiling dense_tiling(const TapProblem& p, const ConvProblem& problem, DenseInput input, int lanes, int gemm_rows);

// For the forward direction and the input gradient.
double dense_cost(const ConvProblem& problem, DenseInput input);
std::unique_ptr<ConvPlan> make_dense_plan(const ConvProblem& problem, DenseInput input);

}  // namespace konv
