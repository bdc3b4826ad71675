// A convolution written as taps: out[n, k, o] = sum over c and taps t of in[n, c, o * step + t] * w[k, c, t].
//
// Forward is one such sum. The input gradient is one for each residue of the input position modulo the stride: its
// taps are those kernel elements that reach that residue, its step is 1 and its outputs lie `stride` apart. So one
// form serves both directions, dense and depthwise.
#pragma once
#include <vector>

#include "core/problem.h"

namespace konv {

struct Tap {
  int64_t at[3];   // offset from o * step, in input elements along z, y, x
  int64_t weight;  // element offset of w[0, 0, t]
};

struct TapProblem {
  int64_t n, groups, channels, outputs;  // channels and outputs of one group
  int64_t in[3], out[3], step[3];
  PaddingMode padding_mode;
  int64_t phase[3];       // of the input gradient: the first output's position in the whole result
  std::vector<Tap> taps;  // a grid, z outermost and x innermost
  int64_t grid[3];
  int64_t in_n, in_c, in_stride[3];  // a group's channels follow the previous group's
  int64_t out_n, out_c, out_stride[3], out_base;
  int64_t w_group, w_output, w_channel;
};

// One entry for forward; for the input gradient one for each phase that some kernel element reaches, or for all phases
// where the result has a bias or the like. Kernel elements that see only zeros are left out.
std::vector<TapProblem> tap_problems(const ConvProblem& problem);
// The forward direction's, whose taps the weight gradient sums over.
TapProblem forward_problem(ConvProblem problem);
// What its taps say about how weights are packed, for ConvPlan::packed_key: which they are, in their order and phases.
std::vector<int64_t> taps_key(const TapProblem& p);
// Puts taps in the order of their offsets.
void sort_taps(TapProblem& p);
// Whether so many problems leave some of the input gradient unwritten, so that it must be zeroed first.
bool leaves_gaps(const ConvProblem& problem, size_t problems);
// Zeroes the result of either gradient.
void zero_gradient(const ConvProblem& problem, void* out);

// Whether every tap reads inside the input for every output.
bool can_read_in_place(const TapProblem& p);
// Joins image axes, and images, that one run of pixels covers (pointwise problems on contiguous rows).
void flatten_pixels(TapProblem& p);

// Rows of taps [first, last) that read inside the input for output row h; all of them where taps have depth, or where
// there is more than zeros outside.
struct TapRows {
  int64_t first, last;
  bool operator==(const TapRows&) const = default;
};
TapRows tap_rows_inside(const TapProblem& p, int64_t h);

// How one axis of the input is packed: by phase (tap position modulo step), so that consecutive outputs read
// consecutive packed elements.
struct TapAxis {
  std::vector<int64_t> phases;
  int64_t low = 0, high = 0;                  // range of floor(tap / step)
  std::vector<int64_t> tap_phase, tap_index;  // for each tap: index into phases, and floor(tap / step) - low
  int64_t extent(int64_t outputs) const { return outputs + high - low; }
};
TapAxis tap_axis(const TapProblem& p, int axis);

}  // namespace konv
