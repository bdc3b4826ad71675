// Narrow groups, depthwise ones among them, with output channels in the lanes: how channels are laid over the lanes,
// and where a block of lanes finds the rows that it reads.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "conv/packing.h"
#include "conv/padding_mode.h"
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

// The border that repeats the image, in rows or columns on either side; none where zeros lie there.
struct RepeatedBorder {
  int64_t low = 0, high = 0;
  RepeatedBorder() = default;
  RepeatedBorder(const TapProblem& p, int axis) {
    if (p.padding_mode == PaddingMode::zeros) return;
    for (const Tap& t : p.taps) {
      low = std::max(low, -t.at[axis]);
      high = std::max(high, (p.out[axis] - 1) * p.step[axis] + t.at[axis] - (p.in[axis] - 1));
    }
  }
  int64_t size() const { return low + high; }
};

// The input rows that one block of lanes reads, for each depth of the kernel: where they lie, or packed into scratch as
// pixels of the block's channels. Packed rows, with their border, are kept while they follow one another.
template <class T>
class BlockRows {
 public:
  static int64_t pitch(const ChannelBlocks& b) { return round_up(b.width, b.lanes); }
  static bool takes_planes(const TapProblem& p) {
    return p.in_c != 1 && p.padding_mode == PaddingMode::zeros && p.in_stride[1] == p.in[2] &&
           p.in[1] * p.in[2] <= kWholePlane;
  }
  // Rows from the first to the last that `rows` rows of output read.
  static int64_t extent(const TapProblem& p, int64_t rows) {
    return p.taps.back().at[1] - p.taps[0].at[1] + 1 + (rows - 1) * p.step[1];
  }
  static int64_t kept(const TapProblem& p, int64_t rows) { return takes_planes(p) ? p.in[1] : extent(p, rows); }
  // Elements of the packed rows of one depth.
  static int64_t slice_size(const TapProblem& p, const ChannelBlocks& b, int64_t rows) {
    // The last channels' vectors reach further.
    return round_up(kept(p, rows) * (p.in[2] + RepeatedBorder(p, 2).size()) * pitch(b) + pitch(b), 16);
  }
  static int64_t scratch_size(const TapProblem& p, const ChannelBlocks& b, int64_t rows) {
    return p.grid[0] * slice_size(p, b, rows);
  }

  // For `rows` rows of output at once; rows are packed where there is scratch.

  BlockRows(const Kernels<T>& kernel, const TapProblem& p, const ChannelBlocks& blocks, int64_t rows, T* scratch)
      : kernel_(kernel),
        p_(p),
        blocks_(blocks),
        columns_(p, 2),
        above_(RepeatedBorder(p, 1).low),
        kept_(kept(p, rows)),
        packs_(scratch != nullptr) {
    for (int64_t i = 0; packs_ && i < p.grid[0]; i++) slices_[i].packed = scratch + i * slice_size(p, blocks, rows);
  }

  // What output slice z of image n reads.
  void start(const T* in, int64_t n, int64_t z, int64_t block) {
    channels_ = blocks_.channels(block, p_.channels);
    for (int64_t i = 0; i < p_.grid[0]; i++) {
      const int64_t tap = p_.taps[size_t(i * p_.grid[1] * p_.grid[2])].at[0];
      const int64_t at = source_of(p_.padding_mode, z * p_.step[0] + tap, p_.in[0]);
      slices_[i].image =
          at >= 0 ? in + n * p_.in_n + at * p_.in_stride[0] + blocks_.channel[size_t(block)] * p_.in_c : nullptr;
      slices_[i].next = -1;
    }
  }
  // Row y of the image at a depth of the kernel; null where only zeros lie. Rows of a depth are asked for tap by tap,
  // the first tap's in rising order.
  const T* find(int64_t depth, int64_t y) {
    Slice& s = slices_[depth];
    const bool inside = y >= 0 && y < p_.in[1];
    if (s.next < 0) s.next = takes_planes(p_) ? 0 : std::max<int64_t>(0, above_ + y);
    if (!s.image || (!inside && p_.padding_mode == PaddingMode::zeros)) return nullptr;
    return packs_ ? packed(s, y) : s.image + y * p_.in_stride[1];
  }
  int64_t pixel() const { return packs_ ? pitch(blocks_) : p_.in_stride[2]; }
  int64_t first_column() const { return columns_.low; }
  int64_t width() const { return p_.in[2] + columns_.size(); }

 private:
  struct Slice {
    const T* image = nullptr;
    T* packed = nullptr;
    int64_t next = -1;  // the row after the last packed one, counted from the border's first
  };

  T* place(const Slice& s, int64_t y) const {
    const int64_t row = y + above_;
    return s.packed + (row < kept_ ? row : row % kept_) * width() * pitch(blocks_);
  }
  // Later taps' rows come before the first tap's that lie between, which are packed with them.
  const T* packed(Slice& s, int64_t y) const {
    if (s.next == 0 && takes_planes(p_)) {
      kernel_.transpose(s.image, p_.in_c, channels_, p_.in[1] * p_.in[2], s.packed, pitch(blocks_));
      s.next = above_ + p_.in[1];
    }
    for (; s.next <= above_ + y; s.next++) pack_row(s, s.next - above_);
    return place(s, y);
  }
  void pack_row(const Slice& s, int64_t y) const {
    const T* src = s.image + source_of(p_.padding_mode, y, p_.in[1]) * p_.in_stride[1];
    const int64_t P = pitch(blocks_);
    T *row = place(s, y), *dst = row + columns_.low * P;
    if (p_.in_c == 1)
      kernel_.copy_rows(src, p_.in_stride[2], p_.in[2], channels_, dst, P);
    else
      kernel_.transpose(src, p_.in_c, channels_, p_.in[2], dst, P);
    const auto repeat = [&](int64_t x) {
      kernel_.copy_rows(dst + mirrored(p_.padding_mode, x, p_.in[2]) * P, 0, 1, channels_, dst + x * P, 0);
    };
    for (int64_t x = -columns_.low; x < 0; x++) repeat(x);
    for (int64_t x = p_.in[2]; x < p_.in[2] + columns_.high; x++) repeat(x);
  }

  const Kernels<T>& kernel_;
  const TapProblem& p_;
  const ChannelBlocks& blocks_;
  const RepeatedBorder columns_;
  const int64_t above_, kept_;
  const bool packs_;
  int64_t channels_ = 0;
  Slice slices_[kMaxTapRows];
};

// Whether the kernels for such problems compute it.
bool fits_grouped_pixels(const ConvProblem& problem);
double grouped_pixels_cost(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_grouped_pixels_plan(const ConvProblem& problem);
std::unique_ptr<ConvPlan> make_grouped_pixels_weight_gradient_plan(const ConvProblem& problem);

}  // namespace konv
