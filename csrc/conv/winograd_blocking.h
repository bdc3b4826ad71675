// How the forward direction and the input gradient cut a Winograd convolution into blocks of tiles, and panels of
// output channels.
#pragma once
#include "conv/winograd_tiles.h"

namespace konv {

constexpr int64_t kWinogradWeightChannels = 16;  // whose weights are transposed at a time

struct WinogradBlocking : WinogradTiles {
  int64_t channels = 0;                        // of all sources
  int64_t tile_pitch = 0, point_pitch = 0;     // elements between the transformed inputs of tiles, and of points
  int64_t width = 0, panels = 0;               // output channels of a panel
  int64_t panel_group = 0, sums_pitch = 0;     // panels that a pass over the points multiplies; between points of sums
  bool shared_inputs = false;                  // inputs of all blocks are transformed first, for all panels' tasks
  int64_t channel_chunk = 0, panel_chunk = 0;  // channels of a transforming task, panels of a multiplying one
  // Channels whose weights a task transforms at a time, just before it multiplies them with all tiles, whose inputs
  // then lie chunk by chunk; 0: weights are transformed beforehand.
  int64_t weight_chunk = 0;
};

WinogradBlocking winograd_blocking(const ConvProblem& problem, const TapProblem& p, int form, int lanes, int gemm_rows);
// Whether a source takes part in the products of a point: with fewer taps than r, it is zero at infinity.
inline bool meets(const WinogradSource& s, const WinogradTiles& t, int64_t point) {
  const int64_t rows = t.m[0] + t.r[0] - 1, cols = t.m[1] + t.r[1] - 1;
  return (s.whole[0] || point / cols != rows - 1) && (s.whole[1] || point % cols != cols - 1);
}
double winograd_cost(const ConvProblem& problem, const TapProblem& p, int form);
// The form that costs least, but for kWinograd2x2. It decides the result, and so depends on the convolution alone.
int winograd_form(ConvProblem problem, const TapProblem& p);

}  // namespace konv
