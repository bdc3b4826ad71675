// Depthwise weight gradient: for every channel and tap the dot product of the output gradient with the shifted input.
// Planar data and rows of 3, 5 or 7 taps: read where they lie, with the sums of several rows of taps in registers.
// Anything else: packed bands, or channels in the lanes, one tap at a time. Sums are cut into parts by the problem
// alone, so that results do not depend on the number of threads.
#include <algorithm>

#include "conv/depthwise.h"
#include "conv/packing.h"
#include "conv/padding_mode.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kBandPixels = 32768;  // that one sum in registers takes in at most
constexpr int64_t kWantedTasks = 16;    // planes times parts
constexpr int64_t kRunPixels = 32;      // of channels-last rows, at a time
// Of a task: whole blocks of the kernel, whose sums do not depend then on how channels are shared among threads.
constexpr int64_t kRunChannels = 64;

template <class T>
class DepthwiseWeightGradientPlan final : public ConvPlan {
 public:
  explicit DepthwiseWeightGradientPlan(const ConvProblem& problem)
      : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))) {
    threads = problem.flops() < 1e6 ? 1 : int(problem.threads);
    ConvProblem forward = problem;
    forward.direction = Direction::forward;
    p_ = std::move(tap_problems(forward)[0]);
    taps_ = int64_t(p_.taps.size());
    pixels_ = p_.in_c == 1 && p_.out_c == 1 && p_.outputs == 1 && p_.groups > 1;
    const int64_t L = kernel_.lanes;
    if (fits_rows()) {
      plan_rows();
      return;
    }
    if (pixels_) {
      channels_ = threads == 1 ? p_.groups : std::min(p_.groups, kRunChannels);
      workspace.per_thread = taps_ * channels_ * int64_t(sizeof(T));
      return;
    }
    band_w_ = std::min<int64_t>(p_.out[2], 512), band_h_ = std::min<int64_t>(p_.out[1], 16);
    packing_ = InputPacking<T>(p_, true, 1, band_h_, round_up(band_w_, L), kernel_.lanes);
    workspace.per_thread = (packing_.size + band_h_ * band_w_ + round_up(taps_, 16)) * int64_t(sizeof(T));
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& ws) const noexcept override {
    const T *x = static_cast<const T*>(tensors.x), *dy = static_cast<const T*>(tensors.y);
    T* dw = static_cast<T*>(tensors.w);
    if (taps_ < problem_.taps()) zero_gradient(problem_, tensors.w);
    if (rows_) return run_rows(x, dy, dw, reinterpret_cast<T*>(ws.shared), ws);
    const int64_t tasks = pixels_ ? ceil_div(p_.groups, channels_) : p_.groups * p_.outputs;
    parallel_for(tasks, threads, [&](int64_t task, int thread) {
      T* scratch = reinterpret_cast<T*>(ws.of(thread));
      if (pixels_)
        run_pixels(task * channels_, std::min(channels_, p_.groups - task * channels_), x, dy, dw, scratch);
      else
        run_plane(task, x, dy, dw, scratch);
    });
  }

 private:
  bool fits_rows() const {
    const int64_t cols = p_.grid[2];
    if (p_.in_stride[2] != 1 || p_.out_stride[2] != 1 || (cols != 3 && cols != 5 && cols != 7) ||
        p_.step[1] != p_.step[2] || p_.step[1] > 2)
      return false;
    for (int64_t i = 0; i < taps_; i++) {
      const int64_t *at = p_.taps[size_t(i)].at, *first = p_.taps[0].at;
      if (at[0] != p_.taps[size_t(i / slice() * slice())].at[0] || at[1] != first[1] + i % slice() / cols ||
          at[2] != first[2] + i % cols)
        return false;
    }
    return true;
  }

  int64_t slice() const { return p_.grid[1] * p_.grid[2]; }  // taps of one depth
  bool repeats() const { return p_.padding_mode != PaddingMode::zeros; }

  // Bands of rows, and parts of them.
  void plan_rows() {
    rows_ = true;
    const int64_t planes = p_.groups * p_.outputs, images = std::max<int64_t>(1, p_.n * p_.out[0]);
    const int64_t wanted = std::max<int64_t>(1, kWantedTasks / planes);
    const int64_t cuts = std::max(ceil_div(wanted, images), ceil_div(p_.out[1] * p_.out[2], kBandPixels));
    band_h_ = round_up(ceil_div(p_.out[1], cuts), std::min<int64_t>(p_.out[1], 28));
    bands_h_ = ceil_div(p_.out[1], band_h_);
    parts_ = std::min(wanted, images * bands_h_);
    workspace.shared = parts_ * planes * taps_ * int64_t(sizeof(T));
    if (!repeats()) return;
    padded_ = unit_steps(p_);
    packing_ = InputPacking<T>(padded_, true, 1, (band_h_ - 1) * p_.step[1] + 1, (p_.out[2] - 1) * p_.step[2] + 1,
                               kernel_.lanes);
    workspace.per_thread = packing_.size * int64_t(sizeof(T));
  }

  void run_rows(const T* x, const T* dy, T* dw, T* sums, const Workspace& ws) const {
    const int64_t planes = p_.groups * p_.outputs, tasks = planes * parts_;
    const int64_t grain = std::max<int64_t>(1, tasks / (32 * threads));
    parallel_for(ceil_div(tasks, grain), threads, [&](int64_t chunk, int thread) {
      T* scratch = reinterpret_cast<T*>(ws.of(thread));
      for (int64_t task = chunk * grain; task < std::min(tasks, (chunk + 1) * grain); task++)
        sum_part(task / planes, task % planes, x, dy, sums + task * taps_, scratch);
    });
    for (int64_t part = 1; part < parts_; part++)
      kernel_.add_rows(sums + part * planes * taps_, 0, 1, planes * taps_, sums, 0);
    for (int64_t k = 0; k < planes; k++) {
      T* dst = dw + k / p_.outputs * p_.w_group + k % p_.outputs * p_.w_output;
      for (int64_t t = 0; t < taps_; t++) dst[p_.taps[size_t(t)].weight] = sums[k * taps_ + t];
    }
  }

  void sum_part(int64_t part, int64_t k, const T* x, const T* dy, T* sums, T* packed) const {
    const int64_t bands = p_.n * p_.out[0] * bands_h_;
    DepthwiseSums<T> d{};
    d.x_pitch = p_.in_stride[1], d.width = p_.in[2], d.first = p_.taps[0].at[2];
    d.tap_rows = p_.grid[1], d.taps = int(p_.grid[2]), d.step = int(p_.step[1]);
    d.dy_pitch = p_.out_stride[1], d.cols = p_.out[2];
    std::fill_n(sums, taps_, T(0));
    for (int64_t band = bands * part / parts_; band < bands * (part + 1) / parts_; band++) {
      const int64_t h = band % bands_h_ * band_h_, z = band / bands_h_ % p_.out[0], n = band / bands_h_ / p_.out[0];
      const int64_t iy = h * p_.step[1] + p_.taps[0].at[1];
      const T* plane = x + n * p_.in_n + k / p_.outputs * p_.in_c;
      d.row_low = -iy, d.row_high = p_.in[1] - iy;
      d.dy = dy + n * p_.out_n + k * p_.out_c + z * p_.out_stride[0] + h * p_.out_stride[1];
      d.rows = std::min(band_h_, p_.out[1] - h);
      if (repeats()) {
        pack_band(plane, z, h, packed);
        d.x_pitch = packing_.row, d.first = 0, d.width = (d.cols - 1) * d.step + d.taps;
        d.row_low = 0, d.row_high = (d.rows - 1) * d.step + d.tap_rows;
      }
      for (int64_t depth = 0; depth < p_.grid[0]; depth++) {
        const int64_t iz = z * p_.step[0] + p_.taps[size_t(depth * slice())].at[0];
        if (!repeats() && (iz < 0 || iz >= p_.in[0])) continue;
        d.x = repeats() ? packed + packing_.tap_off[size_t(depth * slice())]
                        : plane + iz * p_.in_stride[0] + iy * p_.in_stride[1];
        d.sums = sums + depth * slice();
        kernel_.depthwise_sums(d);
      }
    }
  }

  void pack_band(const T* plane, int64_t z, int64_t h, T* packed) const {
    const PackRegion<T> region = packing_.region(padded_, plane, 1, z * p_.step[0], h * p_.step[1], 0, packed);
    kernel_.pack_planes(region);
    mend_border(p_.padding_mode, region, true);
  }

  void run_plane(int64_t k, const T* x, const T* dy, T* dw, T* packed) const {
    T *tile = packed + packing_.size, *sums = tile + band_h_ * band_w_;
    const int64_t channel = k / p_.outputs;
    std::fill_n(sums, taps_, T(0));
    for (int64_t n = 0; n < p_.n; n++)
      for (int64_t z = 0; z < p_.out[0]; z++)
        for (int64_t h = 0; h < p_.out[1]; h += band_h_)
          for (int64_t w = 0; w < p_.out[2]; w += band_w_) {
            const int64_t rows = std::min(band_h_, p_.out[1] - h), cols = std::min(band_w_, p_.out[2] - w);
            const PackRegion<T> region = packing_.region(p_, x + n * p_.in_n + channel * p_.in_c, 1, z, h, w, packed);
            kernel_.pack_planes(region);
            mend_border(p_.padding_mode, region, true);
            const T* g =
                dy + n * p_.out_n + k * p_.out_c + z * p_.out_stride[0] + h * p_.out_stride[1] + w * p_.out_stride[2];
            int64_t ld = p_.out_stride[1];
            if (p_.out_stride[2] != 1) {
              for (int64_t r = 0; r < rows; r++)
                for (int64_t c = 0; c < cols; c++) tile[r * cols + c] = g[r * p_.out_stride[1] + c * p_.out_stride[2]];
              g = tile, ld = cols;
            }
            for (int64_t t = 0; t < taps_; t++) {
              T sum;
              kernel_.dot_rows(g, ld, packed + packing_.tap_off[size_t(t)], packing_.row, rows, cols, &sum);
              sums[t] += sum;
            }
          }
    for (int64_t t = 0; t < taps_; t++)
      dw[channel * p_.w_group + k % p_.outputs * p_.w_output + p_.taps[size_t(t)].weight] = sums[t];
  }

  // Channels [c0, c0 + channels): runs of pixels that stay in the cache while all taps meet them.
  void run_pixels(int64_t c0, int64_t channels, const T* x, const T* dy, T* dw, T* sums) const {
    std::fill_n(sums, taps_ * channels, T(0));
    for (int64_t n = 0; n < p_.n; n++)
      for (int64_t z = 0; z < p_.out[0]; z++)
        for (int64_t h = 0; h < p_.out[1]; h++)
          for (int64_t w = 0; w < p_.out[2]; w += kRunPixels)
            for (int64_t t = 0; t < taps_; t++)
              add_run(x + n * p_.in_n + c0, dy + n * p_.out_n + c0 + z * p_.out_stride[0] + h * p_.out_stride[1], z, h,
                      w, p_.taps[size_t(t)].at, channels, sums + t * channels);
    for (int64_t c = 0; c < channels; c++)
      for (int64_t t = 0; t < taps_; t++)
        dw[(c0 + c) * p_.w_group + p_.taps[size_t(t)].weight] = sums[t * channels + c];
  }

  void add_run(const T* x, const T* dy, int64_t z, int64_t h, int64_t w, const int64_t at[3], int64_t channels,
               T* sums) const {
    const int64_t step = p_.step[2], end = std::min(p_.out[2], w + kRunPixels);
    const int64_t first[3] = {z * p_.step[0] + at[0], h * p_.step[1] + at[1], at[2]};
    const int64_t z_in = source(0, first[0]), y_in = source(1, first[1]);
    if (z_in < 0 || y_in < 0) return;
    const T* row = x + z_in * p_.in_stride[0] + y_in * p_.in_stride[1];
    const int64_t low = std::clamp(at[2] >= 0 ? 0 : ceil_div(-at[2], step), w, end);
    const int64_t high = std::clamp(p_.in[2] <= at[2] ? 0 : (p_.in[2] - 1 - at[2]) / step + 1, low, end);
    const auto add = [&](int64_t column, int64_t from, int64_t pixels) {
      kernel_.dot_columns(row + column * p_.in_stride[2], step * p_.in_stride[2], dy + from * p_.out_stride[2],
                          p_.out_stride[2], pixels, channels, sums);
    };
    if (high > low) add(low * step + at[2], low, high - low);
    if (p_.padding_mode == PaddingMode::zeros) return;
    for (int64_t j = w; j < low; j++) add(source(2, j * step + at[2]), j, 1);
    for (int64_t j = high; j < end; j++) add(source(2, j * step + at[2]), j, 1);
  }
  int64_t source(int axis, int64_t i) const { return source_of(p_.padding_mode, i, p_.in[axis]); }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  TapProblem p_;
  InputPacking<T> packing_;
  TapProblem padded_;  // where the border repeats the image
  bool pixels_, rows_ = false;
  int64_t channels_ = 0;  // of a task, channels last
  int64_t taps_, band_h_ = 0, band_w_ = 0, bands_h_ = 0, parts_ = 1;
};

}  // namespace

std::unique_ptr<ConvPlan> make_depthwise_weight_gradient_plan(const ConvProblem& p) {
  if (p.dtype == DType::f32) return std::make_unique<DepthwiseWeightGradientPlan<float>>(p);
  return std::make_unique<DepthwiseWeightGradientPlan<double>>(p);
}

}  // namespace konv
