// Where the packed input of a tile lies: the geometry that PackRegion fills and offset tables address.
#pragma once
#include <cstdint>
#include <vector>

#include "conv/tap_conv.h"
#include "core/rounding.h"
#include "kernels/table.h"

namespace konv {

// Packed input for `rows` x `cols` output pixels (cols rounded up by the caller as far as kernels read) and `channels`.
template <class T>
struct InputPacking {
  TapAxis z, y, x;
  bool planes = true;
  int64_t slices = 1;                       // packed slices of a phase
  int64_t rows = 0;                         // packed rows of a phase
  int64_t slice = 0;                        // elements between slices of output, where those have steps of 1
  int64_t x_pitch = 0;                      // pixels between packed rows
  int64_t channel_pitch = 0;                // elements between channels of planes, between pixels otherwise
  int64_t channel = 0, pixel = 0, row = 0;  // elements between channels, pixels, rows of output pixels
  int64_t size = 0;                         // elements in all, with room to read two vectors past the end
  std::vector<int64_t> tap_off;             // elements from the tile's first pixel

  InputPacking() = default;
  // For `tile_depth` slices of output, if more than one.
  InputPacking(const TapProblem& p, bool in_planes, int64_t channels, int64_t tile_rows, int64_t cols, int lanes,
               int64_t tile_depth = 1)
      : z(tap_axis(p, 0)), y(tap_axis(p, 1)), x(tap_axis(p, 2)), planes(in_planes), slices(z.extent(tile_depth)) {
    const int64_t item = sizeof(T), line = 64 / item;
    rows = y.extent(tile_rows);
    x_pitch = x.extent(cols);
    const int64_t slab = rows * x_pitch, pixels = slab * slices * phases();
    channel_pitch = planes ? pixels : channels;
    // Strides that are near a multiple of 1 KiB would crowd into few cache sets.
    if (channels > 1 && channel_pitch * item % 1024 < (planes ? 64 : item)) channel_pitch += line;
    size = round_up((planes ? channels : pixels) * channel_pitch + 4 * lanes, line);
    channel = planes ? channel_pitch : 1;
    pixel = planes ? 1 : channel_pitch;
    row = x_pitch * pixel;
    slice = int64_t(y.phases.size() * x.phases.size()) * slab * pixel;
    for (size_t i = 0; i < p.taps.size(); i++) {
      const int64_t plane = ((z.tap_phase[i] * slices + z.tap_index[i]) * int64_t(y.phases.size()) + y.tap_phase[i]) *
                                int64_t(x.phases.size()) +
                            x.tap_phase[i];
      tap_off.push_back((plane * slab + y.tap_index[i] * x_pitch + x.tap_index[i]) * pixel);
    }
  }

  int64_t phases() const { return int64_t(z.phases.size() * y.phases.size() * x.phases.size()); }

  // Region of the tile at output pixel (oz, oh, ow); src is the image's first element of the first channel.
  template <class S>
  PackRegion<T, S> region(const TapProblem& p, const S* src, int64_t channels, int64_t oz, int64_t oh, int64_t ow,
                          T* dst) const {
    const auto axis = [&](int a, const TapAxis& t, int64_t first, int64_t count) {
      return PackAxis{p.in[a],        p.in_stride[a], (first + t.low) * p.step[a],
                      p.step[a],      count,          int64_t(t.phases.size()),
                      t.phases.data()};
    };
    return {src,
            dst,
            channels,
            p.in_c,
            channel_pitch,
            x_pitch,
            axis(0, z, oz, slices),
            axis(1, y, oh, rows),
            axis(2, x, ow, x_pitch)};
  }
};

// The same problem read pixel by pixel: its packing is not split by phase.
inline TapProblem unit_steps(TapProblem p) {
  for (int64_t& step : p.step) step = 1;
  return p;
}

// Bytes of such a packing for one channel, before padding.
template <class T>
int64_t packed_bytes(const InputPacking<T>& shape, int64_t rows, int64_t cols) {
  return int64_t(sizeof(T)) * shape.phases() * shape.slices * shape.y.extent(rows) * shape.x.extent(cols);
}

}  // namespace konv
