// How a Winograd convolution is cut: into images (the phases of a dilated one), blocks of tiles, panels of outputs.
#pragma once
#include <string>
#include <vector>

#include "conv/tap_conv.h"

namespace konv {

// A 3x3 convolution with unit dilation: output pixel (i, j) sums input pixels (first + i + r, first + j + s). One with
// dilation d is d * d such, on every d-th row and column.
struct WinogradImage {
  int64_t in, out;  // element offsets of the first pixels
  int64_t size[2], out_size[2], first[2];
};

struct WinogradBlocking {
  int m;  // outputs of a tile along each axis
  std::vector<WinogradImage> images;
  int64_t in_stride[2], out_stride[2];   // between the rows, and the columns, of an image
  int64_t tap[9];                        // tap of the problem that meets input pixel (r, s) of a window
  int64_t tiles_h, tiles_w;              // of an image
  int64_t n, h, w;                       // images, rows and columns of tiles of a block
  int64_t blocks_n, blocks_h, blocks_w;  //
  int64_t tile_pitch, point_pitch;       // elements between the transformed inputs of tiles, and of points
  int64_t width, panels;                 // output channels of a panel
  int64_t panel_group, sums_pitch;       // panels that a pass over the points multiplies; between points of sums
  bool shared_inputs;                    // inputs of all blocks are transformed first, for all panels' tasks
  int64_t channel_chunk, panel_chunk;    // channels of a transforming task, panels of a multiplying one
  int64_t points() const { return (m + 2) * (m + 2); }
  int64_t blocks() const { return blocks_n * blocks_h * blocks_w; }
  int64_t tiles() const { return n * h * w; }
};

// Empty if Winograd's algorithm computes the problem, else the reason why not.
std::string winograd_supports(const ConvProblem& problem);
WinogradBlocking winograd_blocking(const ConvProblem& problem, const TapProblem& p, int m, int lanes, int gemm_rows);
double winograd_cost(const ConvProblem& problem, int m);

}  // namespace konv
