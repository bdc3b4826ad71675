// Arguments of the transforms in winograd.inl.h. Tile (i, j) of a block has number i * cols + j.
#pragma once
#include <cstdint>

namespace konv {

// The sizes of F(m x m, 3 x 3): m is 4 or 2.
constexpr int winograd_points(int m) { return (m + 2) * (m + 2); }

// dst[p * point_pitch + tile * tile_pitch + c] = (B^T d B)[p] of channel c, where d is the (m + 2)^2 patch of pixels at
// src + i * m * row_pitch + j * m * pixel_pitch. Channels are rounded up to whole vectors.
template <class T>
struct WinogradInput {
  const T* src;
  int64_t row_pitch, pixel_pitch;
  int64_t rows, cols;  // of tiles
  int64_t channels;
  T* dst;
  int64_t point_pitch, tile_pitch;
};

// The m x m pixels at dst + i * m * row_pitch + j * m * pixel_pitch = A^T M A + bias, then relu if asked, for
// `vectors` vectors of output channels. M[p] of a tile lies at src + p * point_pitch + tile * tile_pitch.
template <class T>
struct WinogradOutput {
  const T* src;
  int64_t point_pitch, tile_pitch;
  int64_t rows, cols;
  int vectors;
  T* dst;
  int64_t row_pitch, pixel_pitch;
  const T* bias;  // one value a lane, or null
  bool relu;
};

// dst[p * point_pitch + c * channel_pitch] = (G g G^T)[p], `vectors` vectors of output channels at once; element
// (r, s) of g of channel c lies at src + c * src_channel + tap[3 * r + s].
template <class T>
struct WinogradWeights {
  const T* src;
  const int64_t* tap;
  int64_t src_channel, channels;
  int vectors;
  T* dst;
  int64_t point_pitch, channel_pitch;
};

}  // namespace konv
