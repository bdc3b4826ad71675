// The tiles of a Winograd convolution, the images that hold them, and the blocks of tiles that are computed at a time.
//
// A convolution with dilation d is d * d convolutions without, on every d-th row and column: its phases are images of
// their own. One with stride 2 is a sum of convolutions with unit stride, each on every second row and column with half
// of the taps, one with more taps along an axis than the form has is a sum over parts of them, and one of volumes is a
// sum over slices: these are sources, which the products sum up as they do channels. The input gradient of stride 2 is
// a problem of unit stride for each phase.
#pragma once
#include <string>
#include <vector>

#include "conv/tap_conv.h"
#include "kernels/table.h"

namespace konv {

// One source of one image: output pixel (i, j) sums its pixels (first + i + y, first + j + x) over taps (y, x).
struct WinogradView {
  int64_t in;  // element offset of the first pixel
  int64_t size[2], first[2];
};
struct WinogradImage {
  int64_t out;  // element offset of the first pixel
  int64_t size[2];
};
struct WinogradSource {
  int64_t tap[kMaxWinogradTaps];  // of the problem, for each (y, x) of the form; -1 where it has none
  bool whole[2];                  // whether there are r taps along the axis: with fewer, the point at infinity is zero
};

// Tiles [row, row + h) x [col, col + w) of images [image, image + n).
struct WinogradBlock {
  int64_t image, n, row, h, col, w;
  int64_t tiles() const { return n * h * w; }
};

struct WinogradTiles {
  int form;            // index into kWinogradForms
  int64_t m[2], r[2];  // of the form
  std::vector<WinogradImage> images;
  std::vector<WinogradSource> sources;
  std::vector<WinogradView> views;      // of each source of each image
  int64_t in_stride[2], out_stride[2];  // between the rows, and the columns, of an image
  int64_t tiles_h, tiles_w;             // of an image
  int64_t n, h, w;                      // of a block: images, rows and columns of tiles
  int64_t blocks_n, blocks_h, blocks_w;

  WinogradTiles(const TapProblem& p, int form);
  // Cuts into blocks of about `tiles` tiles: several images, whole rows of tiles, or parts of two rows.
  void cut(int64_t tiles);

  int64_t points() const { return kWinogradForms[form].points(); }
  int64_t blocks() const { return blocks_n * blocks_h * blocks_w; }
  int64_t block_tiles() const { return n * h * w; }
  int64_t all_tiles() const { return int64_t(images.size()) * tiles_h * tiles_w; }
  WinogradBlock block(int64_t index) const;
  const WinogradView& view(int64_t image, size_t source) const {
    return views[size_t(image) * sources.size() + source];
  }
};

constexpr int64_t kMaxWinogradSide = 8, kMaxWinogradLength = 16;  // taps of a square kernel, and of a row or column
constexpr int64_t kMaxWinogradElements = kMaxWinogradSide * kMaxWinogradSide;
constexpr int kWinograd4x4 = 0, kWinograd2x2 = 1;  // forms for 3x3 taps, by the size of their tiles
static_assert(kWinogradForms[kWinograd4x4].m[0] == 4 && kWinogradForms[kWinograd4x4].r[0] == 3);
static_assert(kWinogradForms[kWinograd2x2].m[0] == 2 && kWinogradForms[kWinograd2x2].r[0] == 3);

// Empty if Winograd's algorithm computes the problem, else the reason why not.
std::string winograd_supports(const ConvProblem& problem);
// The forms that compute the problem, or one phase of it.
std::vector<int> winograd_forms(const TapProblem& p);
// Whether sources have up to 3x3 taps, for the form of 2x2 outputs.
bool has_winograd_2x2(const ConvProblem& problem);

// Elements between vectors that are used together: not a multiple of a kilobyte, since those would crowd into few sets
// of the cache.
int64_t uncrowded(int64_t elements, int64_t item);
int64_t odd_lines(int64_t elements, int64_t item);

// Pixels [y, y + h) x [x, x + w) of an image, channels last: where they lie if they can be read there by whole vectors,
// else packed, with zeros outside the image.
template <class T>
struct ChannelsLast {
  const T* src;
  int64_t row_pitch, pixel_pitch;

  ChannelsLast(const Kernels<T>& kernel, const T* image, int64_t channels, int64_t channel_stride,
               const int64_t stride[2], const int64_t size[2], int64_t y, int64_t h, int64_t x, int64_t w, T* packed,
               int64_t packed_pitch) {
    static constexpr int64_t kZero = 0;
    const bool inside = y >= 0 && x >= 0 && y + h <= size[0] && x + w <= size[1];
    if (inside && channel_stride == 1 && channels % kernel.lanes == 0) {
      src = image + y * stride[0] + x * stride[1];
      row_pitch = stride[0], pixel_pitch = stride[1];
      return;
    }
    kernel.pack_pixels({image, packed, channels, channel_stride, packed_pitch, w, PackAxis{1, 0, 0, 1, 1, 1, &kZero},
                        PackAxis{size[0], stride[0], y, 1, h, 1, &kZero},
                        PackAxis{size[1], stride[1], x, 1, w, 1, &kZero}});
    src = packed;
    row_pitch = w * packed_pitch, pixel_pitch = packed_pitch;
  }
};

}  // namespace konv
