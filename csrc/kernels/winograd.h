// Winograd's minimal filtering F(m x m', r x r'): r x r' taps, tiles of m x m' outputs, n = m + r - 1 points along an
// axis; with m = r = 1 along one axis it filters the other alone. Tile (i, j) of a block has number i * cols + j, point
// (i, j) number i * n' + j.
#pragma once
#include <cstdint>

namespace konv {

// KONV_WINOGRAD_FORM(m along y, m along x, r along y, r along x)
#define KONV_WINOGRAD_FORMS(KONV_WINOGRAD_FORM) \
  KONV_WINOGRAD_FORM(4, 4, 3, 3)                \
  KONV_WINOGRAD_FORM(2, 2, 3, 3)                \
  KONV_WINOGRAD_FORM(3, 3, 2, 2)                \
  KONV_WINOGRAD_FORM(3, 3, 4, 4)                \
  KONV_WINOGRAD_FORM(2, 2, 5, 5)                \
  KONV_WINOGRAD_FORM(1, 4, 1, 3)                \
  KONV_WINOGRAD_FORM(4, 1, 3, 1)                \
  KONV_WINOGRAD_FORM(1, 3, 1, 4)                \
  KONV_WINOGRAD_FORM(3, 1, 4, 1)

struct WinogradForm {
  int m[2], r[2];
  constexpr int n(int axis) const { return m[axis] + r[axis] - 1; }
  constexpr int points() const { return n(0) * n(1); }
};
constexpr WinogradForm kWinogradForms[] = {
#define KONV_WINOGRAD_FORM(my, mx, ry, rx) {{my, mx}, {ry, rx}},
    KONV_WINOGRAD_FORMS(KONV_WINOGRAD_FORM)
#undef KONV_WINOGRAD_FORM
};
constexpr int kWinogradFormCount = int(sizeof(kWinogradForms) / sizeof(kWinogradForms[0]));
constexpr int kMaxWinogradTaps = 25;

// dst[p * point_pitch + tile * tile_pitch + c] = (B^T d B)[p] of channel c, where d is the n x n' patch of pixels at
// src + i * m * row_pitch + j * m' * pixel_pitch. Channels are rounded up to whole vectors. The weight gradient also
// transforms its 4 x 4 tiles of output gradients so, with A dy A^T.
template <class T>
struct WinogradInput {
  const T* src;
  int64_t row_pitch, pixel_pitch;
  int64_t rows, cols;  // of tiles
  int64_t channels;
  T* dst;
  int64_t point_pitch, tile_pitch;
};

// The m x m' pixels at dst + i * m * row_pitch + j * m' * pixel_pitch = A^T M A + bias, then clipped, for
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
  Clip clip;
};

// dst[p * point_pitch + c * channel_pitch] = (G g G^T)[p], `vectors` vectors of output channels at once; element
// (i, j) of g of channel c lies at src + c * src_channel + tap[i * r' + j], or is zero where that is negative.
template <class T>
struct WinogradWeights {
  const T* src;
  const int64_t* tap;
  int64_t src_channel, channels;
  int vectors;
  T* dst;
  int64_t point_pitch, channel_pitch;
};

// dst[c * dst_channel + (3 * r + s) * dst_tap + k] = (G^T M G)[r][s] for k in [0, outputs), rounded up to whole
// vectors. M[p] lies at src + p * point_pitch + c * src_channel.
template <class T>
struct WinogradTaps {
  const T* src;
  int64_t point_pitch, src_channel;
  int64_t channels, outputs;
  T* dst;
  int64_t dst_channel, dst_tap;
};

}  // namespace konv
