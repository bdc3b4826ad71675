// Padding that repeats the image: packed input is mended where the zeros beyond the border would be.
#pragma once
#include <algorithm>
#include <cstring>

#include "conv/tap_conv.h"
#include "kernels/table.h"

namespace konv {

// The element that position i of an axis repeats; positions beyond all padding, whose results nobody keeps, too.
inline int64_t mirrored(PaddingMode mode, int64_t i, int64_t size) {
  if (mode == PaddingMode::circular) return (i % size + size) % size;
  if (mode == PaddingMode::reflect) i = i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
  return std::clamp<int64_t>(i, 0, size - 1);
}

// Packed values: one channel an element.
template <class T>
struct PackedValues {
  static constexpr int kChannels = 1;
  static void put(T* element, int64_t, T value) { *element = value; }
};
// Two channels an element, rounded to bfloat16: see WeightPairs.
struct PackedPairs {
  static constexpr int kChannels = 2;
  static void put(float* element, int64_t half, float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const bool nan = value != value;
    const uint16_t rounded = uint16_t(nan ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    std::memcpy(reinterpret_cast<char*>(element) + 2 * half, &rounded, sizeof rounded);
  }
};

// Fills what `region` leaves zero where `mode` repeats the image; `planes` says in which order it was packed.
template <class Packed, class T>
void mend_border(PaddingMode mode, const PackRegion<T>& region, bool planes) {
  if (mode == PaddingMode::zeros) return;
  const PackAxis &az = region.z, &ay = region.y, &ax = region.x;
  const auto inside = [](const PackAxis& a, int64_t i) { return i >= 0 && i < a.size; };
  const auto source = [&](const PackAxis& a, int64_t i) {
    return (inside(a, i) ? i : mirrored(mode, i, a.size)) * a.stride;
  };
  constexpr int64_t C = Packed::kChannels;
  const int64_t pixel = planes ? 1 : region.channel_pitch, channel = planes ? region.channel_pitch : 1;
  const auto row = [&](const T* src, int64_t first, bool whole, T* dst) {
    for (int64_t x = 0; x < ax.count; x++) {
      const int64_t i = first + x * ax.step;
      if (!whole && inside(ax, i)) {
        x += (ax.size - 1 - i) / ax.step;  // on to the last that lies inside
        continue;
      }
      const T* s = src + source(ax, i);
      for (int64_t c = 0; c < region.channels; c++)
        Packed::put(dst + x * pixel + c / C * channel, c % C, s[c * region.channel_stride]);
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
template <class T>
void mend_border(PaddingMode mode, const PackRegion<T>& region, bool planes) {
  mend_border<PackedValues<T>>(mode, region, planes);
}

}  // namespace konv
