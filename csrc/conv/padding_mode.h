// Padding that repeats the image: packed input is mended where the zeros beyond the border would be.
#pragma once
#include <algorithm>

#include "conv/tap_conv.h"
#include "kernels/table.h"

namespace konv {

// The element that position i of an axis repeats; positions beyond all padding, whose results nobody keeps, too.
inline int64_t mirrored(PaddingMode mode, int64_t i, int64_t size) {
  if (mode == PaddingMode::circular) return (i % size + size) % size;
  if (mode == PaddingMode::reflect) i = i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
  return std::clamp<int64_t>(i, 0, size - 1);
}

// Fills what `region` leaves zero; `planes` says in which order it was packed.
template <class T>
void mend_border(const TapProblem& problem, const PackRegion<T>& region, bool planes) {
  const PackAxis &az = region.z, &ay = region.y, &ax = region.x;
  const auto inside = [](const PackAxis& a, int64_t i) { return i >= 0 && i < a.size; };
  const auto source = [&](const PackAxis& a, int64_t i) {
    return (inside(a, i) ? i : mirrored(problem.padding_mode, i, a.size)) * a.stride;
  };
  const int64_t pixel = planes ? 1 : region.channel_pitch, channel = planes ? region.channel_pitch : 1;
  const auto row = [&](const T* src, int64_t first, bool whole, T* dst) {
    for (int64_t x = 0; x < ax.count; x++) {
      const int64_t i = first + x * ax.step;
      if (!whole && inside(ax, i)) {
        x += (ax.size - 1 - i) / ax.step;  // on to the last that lies inside
        continue;
      }
      const T* s = src + source(ax, i);
      for (int64_t c = 0; c < region.channels; c++) dst[x * pixel + c * channel] = s[c * region.channel_stride];
    }
  };
  T* dst = region.dst;
  for (int64_t pz = 0; pz < az.phases; pz++)
    for (int64_t z = 0; z < az.count; z++)
      for (int64_t py = 0; py < ay.phases; py++)
        for (int64_t px = 0; px < ax.phases; px++)
          for (int64_t y = 0; y < ay.count; y++, dst += region.x_pitch * pixel) {
            const int64_t iz = az.first + az.phase[pz] + z * az.step, iy = ay.first + ay.phase[py] + y * ay.step;
            row(region.src + source(az, iz) + source(ay, iy), ax.first + ax.phase[px],
                !inside(az, iz) || !inside(ay, iy), dst);
          }
}

}  // namespace konv
