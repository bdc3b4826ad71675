// Narrow groups on channels-last data, depthwise ones among them: how output channels are laid over the lanes.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "conv/packing.h"
#include "conv/tap_conv.h"
#include "core/algorithm.h"
#include "kernels/table.h"

namespace konv {

// Blocks of `lanes` output channels. The last block ends with the channels, and so may overlap the one before it.
struct ChannelBlocks {
  int64_t lanes = 0, outputs = 0, count = 0;
  bool identity = false;       // lane l reads channel l of the block
  std::vector<int32_t> order;  // of each block, see PixelLanes
  std::vector<int64_t> channel;  // of the input, that the first lane of each block reads
  int64_t span = 0;            // channels that the widest block reads a lane apart, at most

  ChannelBlocks() = default;
  ChannelBlocks(const TapProblem& p, int lanes);
  int64_t first(int64_t block) const { return block * lanes < outputs - lanes ? block * lanes : outputs - lanes; }
  PixelLanes pixel_lanes(int64_t block) const {
    const int32_t* lane = order.data() + block * lanes;
    return {identity ? nullptr : lane, int(lane[lanes - 1]) + 1};
  }
};

// Whether the kernels for such problems compute it: pixels and channels where they lie, taps in one piece.
bool fits_grouped_pixels(const ConvProblem& problem);
double grouped_pixels_cost(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_grouped_pixels_plan(const ConvProblem& problem);

}  // namespace konv
