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

// The element that position i of an axis takes, or -1 for a zero beyond the border.
inline int64_t source_of(PaddingMode mode, int64_t i, int64_t size) {
  if (i >= 0 && i < size) return i;
  return mode == PaddingMode::zeros ? -1 : mirrored(mode, i, size);
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
class BorderMender {
 public:
  BorderMender(PaddingMode mode, const PackRegion<T>& region, bool planes)
      : mode_(mode), r_(region), planes_(planes), pixel_(planes ? 1 : region.channel_pitch) {}

  void run() const {
    T* dst = r_.dst;
    for (int64_t pz = 0; pz < r_.z.phases; pz++)
      for (int64_t z = 0; z < r_.z.count; z++)
        for (int64_t py = 0; py < r_.y.phases; py++)
          for (int64_t px = 0; px < r_.x.phases; px++)
            for (int64_t y = 0; y < r_.y.count; y++, dst += r_.x_pitch * pixel_) {
              const int64_t iz = r_.z.first + r_.z.phase[pz] + z * r_.z.step;
              const int64_t iy = r_.y.first + r_.y.phase[py] + y * r_.y.step;
              const bool whole = !inside(r_.z, iz) || !inside(r_.y, iy);
              mend_row(r_.src + source(r_.z, iz) + source(r_.y, iy), r_.x.first + r_.x.phase[px], whole, dst);
            }
  }

 private:
  static constexpr int64_t kChannels = Packed::kChannels, kSome = 64;

  static bool inside(const PackAxis& a, int64_t i) { return i >= 0 && i < a.size; }
  int64_t source(const PackAxis& a, int64_t i) const {
    return (inside(a, i) ? i : mirrored(mode_, i, a.size)) * a.stride;
  }

  // The pixels of a row that lie outside, or all of them: some at a time, then channel by channel.
  void mend_row(const T* src, int64_t first, bool whole, T* dst) const {
    int64_t place[kSome], from[kSome], count = 0;
    for (int64_t x = 0; x < r_.x.count; x++) {
      const int64_t i = first + x * r_.x.step;
      if (!whole && inside(r_.x, i)) {
        x += (r_.x.size - 1 - i) / r_.x.step;  // on to the last that lies inside
        continue;
      }
      place[count] = x * pixel_, from[count++] = source(r_.x, i);
      if (count == kSome) copy(src, from, place, count, dst), count = 0;
    }
    copy(src, from, place, count, dst);
  }

  void copy(const T* src, const int64_t* from, const int64_t* place, int64_t count, T* dst) const {
    const int64_t channel = planes_ ? r_.channel_pitch : 1;
    if (planes_) {
      for (int64_t c = 0; c < r_.channels; c++)
        for (int64_t i = 0; i < count; i++) put(src + from[i], c, dst + place[i] + c / kChannels * channel);
    } else {
      for (int64_t i = 0; i < count; i++)
        for (int64_t c = 0; c < r_.channels; c++) put(src + from[i], c, dst + place[i] + c / kChannels * channel);
    }
  }
  void put(const T* pixel, int64_t c, T* element) const {
    Packed::put(element, c % kChannels, pixel[c * r_.channel_stride]);
  }

  PaddingMode mode_;
  const PackRegion<T>& r_;
  bool planes_;
  int64_t pixel_;
};

template <class Packed, class T>
void mend_border(PaddingMode mode, const PackRegion<T>& region, bool planes) {
  if (mode != PaddingMode::zeros) BorderMender<Packed, T>(mode, region, planes).run();
}
template <class T>
void mend_border(PaddingMode mode, const PackRegion<T>& region, bool planes) {
  mend_border<PackedValues<T>>(mode, region, planes);
}

}  // namespace konv
