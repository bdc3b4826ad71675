// Arrays of 16-bit elements and their copies in float32.
#pragma once
#include <algorithm>
#include <vector>

#include "core/halves.h"
#include "core/parallel.h"

namespace konv {

// How one becomes the other: axes from the innermost of the copy on, joined where both lie in one piece.
class HalfCopy {
 public:
  HalfCopy() = default;
  HalfCopy(DType dtype, int64_t isa, const int64_t shape[5], const int64_t half[5], const int64_t wide[5])
      : runs_(dtype, isa) {
    for (int i = 0; i < 5; i++) elements_ *= shape[i];
    for (int i = 0; i < 5; i++)
      if (shape[i] > 1) axes_.push_back({shape[i], half[i], wide[i]});
    std::sort(axes_.begin(), axes_.end(), [](const Axis& a, const Axis& b) { return a.wide < b.wide; });
    if (axes_.empty()) axes_.push_back({1, 1, 1});
    for (size_t i = 1; i < axes_.size();) {
      Axis &a = axes_[i - 1], &b = axes_[i];
      if (b.half != a.half * a.size || b.wide != a.wide * a.size) {
        i++;
        continue;
      }
      a.size *= b.size;
      axes_.erase(axes_.begin() + int64_t(i));
    }
    parts_ = (axes_[0].size + kPart - 1) / kPart;
    rows_ = elements_ ? elements_ / axes_[0].size : 0;
  }

  void widen(const uint16_t* half, float* wide, int threads) const noexcept {
    each_part(threads, [&](int64_t h, int64_t w, int64_t n) { runs_.widen(half + h, axes_[0].half, n, wide + w); });
  }
  void narrow(const float* wide, uint16_t* half, int threads) const noexcept {
    each_part(threads, [&](int64_t h, int64_t w, int64_t n) { runs_.narrow(wide + w, n, half + h, axes_[0].half); });
  }

 private:
  static constexpr int64_t kPart = 4096, kTask = 32768;  // elements
  struct Axis {
    int64_t size, half, wide;
  };

  // Calls f(offset in the half array, offset in the copy, n) for runs along the first axis.
  template <class F>
  void each_part(int threads, F f) const noexcept {
    const int64_t total = rows_ * parts_, part = std::min(kPart, axes_[0].size);
    const int64_t task = elements_ < 2 * kTask ? total : std::max<int64_t>(1, kTask / part);
    if (total == 0) return;
    parallel_for((total + task - 1) / task, threads, [&](int64_t t, int) {
      for (int64_t i = t * task; i < std::min(total, (t + 1) * task); i++) {
        int64_t row = i / parts_;
        const int64_t first = i % parts_ * kPart;
        int64_t h = first * axes_[0].half, w = first;
        for (size_t a = 1; a < axes_.size(); row /= axes_[a++].size) {
          h += row % axes_[a].size * axes_[a].half;
          w += row % axes_[a].size * axes_[a].wide;
        }
        f(h, w, std::min(kPart, axes_[0].size - first));
      }
    });
  }

  HalfRuns runs_;
  std::vector<Axis> axes_;
  int64_t elements_ = 1, rows_ = 0, parts_ = 0;
};

}  // namespace konv
