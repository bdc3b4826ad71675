// Narrow groups, depthwise ones among them, with output channels in the lanes: how channels are laid over the lanes,
// and where a block of lanes finds the rows that it reads.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "conv/packing.h"
#include "conv/tap_conv.h"
#include "core/algorithm.h"
#include "core/isa.h"
#include "kernels/table.h"

namespace konv {

// Blocks of `lanes` output channels. The last block ends with the channels, and so may overlap the one before it.
struct ChannelBlocks {
  int64_t lanes = 0, outputs = 0, count = 0;
  int64_t width = 0;             // input channels that a block reads, at most
  int64_t span = 0;              // of those, the last lane's first one and all before it
  bool identity = false;         // lane l reads channel l of the block
  std::vector<int32_t> order;    // of each block: the input channel that each lane reads, from the first lane's on
  std::vector<int64_t> channel;  // of the input, that the first lane of each block reads

  ChannelBlocks() = default;
  ChannelBlocks(const TapProblem& p, int lanes);
  int64_t first(int64_t block) const { return std::min(block * lanes, outputs - lanes); }
  // Input channels of the block, of which the last may have less than `width`.
  int64_t channels(int64_t block, int64_t depth) const { return order[size_t((block + 1) * lanes - 1)] + depth; }
  const int32_t* lane(int64_t block) const { return identity ? nullptr : order.data() + block * lanes; }
};

constexpr int64_t kMaxTapRows = 32, kMaxRowStep = 4;

// Pixels of planes that are transposed whole, not row by row: squares of lanes are mostly full then.
constexpr int64_t kWholePlane = 400;

// The input rows that one block of lanes reads: where they lie, or packed into scratch as pixels of the block's
// channels. Packed rows are kept while they follow one another.
template <class T>
class BlockRows {
 public:
  // The most rows that are in use at a time.
  static int64_t ring(const TapProblem& p, int64_t rows) { return p.grid[1] + (rows - 1) * p.step[1]; }
  static int64_t pitch(const ChannelBlocks& b) { return round_up(b.width, b.lanes); }
  static bool takes_planes(const TapProblem& p) {
    return p.in_c != 1 && p.in_stride[1] == p.in[2] && p.in[1] * p.in[2] <= kWholePlane;
  }
  static int64_t kept(const TapProblem& p, int64_t rows) { return takes_planes(p) ? p.in[1] : ring(p, rows); }
  static int64_t scratch_size(const TapProblem& p, const ChannelBlocks& b, int64_t rows) {
    return kept(p, rows) * p.in[2] * pitch(b) + pitch(b);  // the last channels' vectors reach further
  }

  BlockRows(const Kernels<T>& kernel, const TapProblem& p, const ChannelBlocks& blocks, int64_t rows, T* scratch)
      : kernel_(kernel), p_(p), blocks_(blocks), kept_(kept(p, rows)), scratch_(scratch) {}

  void start(const T* in, int64_t n, int64_t z, int64_t block) {
    const int64_t iz = z * p_.step[0] + p_.taps[0].at[0];
    channels_ = blocks_.channels(block, p_.channels);
    slice_ = iz < 0 || iz >= p_.in[0]
                 ? nullptr
                 : in + n * p_.in_n + iz * p_.in_stride[0] + blocks_.channel[size_t(block)] * p_.in_c;
    packed_ = -1;
  }
  // Rows that output row h reads, and `count` in all; null outside the image.
  void find(int64_t h, int64_t count, const T** row) {
    for (int64_t i = 0, y = h * p_.step[1] + p_.taps[0].at[1]; i < count; i++, y++)
      row[i] = !slice_ || y < 0 || y >= p_.in[1] ? nullptr : scratch_ ? packed(y) : slice_ + y * p_.in_stride[1];
  }
  int64_t pixel() const { return scratch_ ? pitch(blocks_) : p_.in_stride[2]; }

 private:
  const T* packed(int64_t y) {
    T* dst = scratch_ + (y < kept_ ? y : y % kept_) * p_.in[2] * pitch(blocks_);
    if (y <= packed_) return dst;
    packed_ = takes_planes(p_) ? p_.in[1] : y;
    const T* src = slice_ + y * p_.in_stride[1];
    if (packed_ > y)
      kernel_.transpose(slice_, p_.in_c, channels_, p_.in[1] * p_.in[2], scratch_, pitch(blocks_));
    else if (p_.in_c == 1)
      kernel_.copy_rows(src, p_.in_stride[2], p_.in[2], channels_, dst, pitch(blocks_));
    else
      kernel_.transpose(src, p_.in_c, channels_, p_.in[2], dst, pitch(blocks_));
    return dst;
  }

  const Kernels<T>& kernel_;
  const TapProblem& p_;
  const ChannelBlocks& blocks_;
  int64_t kept_, channels_ = 0, packed_ = -1;
  T* scratch_;
  const T* slice_ = nullptr;
};

// Whether the kernels for such problems compute it.
bool fits_grouped_pixels(const ConvProblem& problem);
double grouped_pixels_cost(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_grouped_pixels_plan(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_grouped_pixels_weight_gradient_plan(const ConvProblem& problem);

}  // namespace konv
