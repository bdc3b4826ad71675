// dw[k, c, t] = sum over images n and output pixels o of dy[n, k, o] * x[n, c, o * stride + t].
//
// A GEMM whose inner dimension is pixels. A task owns a block of output channels times a block of input channels with
// all taps, whose sums stay in the second-level cache, and walks the images in bands of rows: it packs the band of dy
// into panels [pixel][output channel], the band of x by phase as the forward direction does, and runs the micro-kernel
// once for each tap, group of input channels and panel, or the wide one for each tap and pair of panels. Pointwise
// kernels read x where it lies, and sums whose outputs are dw's last axis are formed in dw. Few channels of
// channels-last pixels are taken with the taps of a kernel row, which lie side by side. Where that gives few tasks the
// images are cut into parts besides; the cut depends on the problem alone, and the parts are added in order, so that
// results never depend on the number of threads.
#include "conv/weight_gradient.h"

#include <algorithm>
#include <vector>

#include "conv/packing.h"
#include "conv/padding_mode.h"
#include "core/config.h"
#include "core/isa.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kSumsBytes = 256 << 10;  // of one task
constexpr int64_t kPartsBytes = 8 << 20;   // of all parts
constexpr int64_t kWantedTasks = 32;       // blocks of 64 x 64 channels times parts
constexpr int64_t kPartPixels = 512;       // at least, of a part
// Of a band, so that a pair of panels of dy stays in the first-level cache, and the pixels that columns of x are read
// from lie in different sets of it.
constexpr int64_t kNearPixels = 112;
constexpr int64_t kFewChannels = 8;
constexpr int64_t kWideRun = 20;  // pixels that pay for loading and storing a wide tile's sums

template <class T>
class WeightGradientPlan final : public ConvPlan {
 public:
  explicit WeightGradientPlan(const ConvProblem& problem) : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))) {
    threads = problem.flops() < 2e6 ? 1 : int(problem.threads);
    p_ = forward_problem(problem);
    if (p_.taps.size() == 1 && p_.w_channel == 1 && can_read_in_place(p_)) exchange_roles();
    flatten_pixels(p_);
    taps_ = int64_t(p_.taps.size());
    if (taps_ == 0) return;  // all padding: the gradient is zero
    width_ = p_.outputs > kernel_.lanes ? 2 * kernel_.lanes : kernel_.lanes;
    parts_ = most_parts();
    cut_outputs();
    cut_pixels();
    layout();
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& ws) const noexcept override {
    const T* x = static_cast<const T*>(exchanged_ ? tensors.y : tensors.x);
    const T* dy = static_cast<const T*>(exchanged_ ? tensors.x : tensors.y) + p_.out_base;
    T* dw = static_cast<T*>(tensors.w);
    const int64_t blocks = p_.groups * k_blocks_ * c_blocks_;
    T* parts = reinterpret_cast<T*>(ws.shared);
    if (taps_ < problem_.taps()) zero_gradient(problem_, tensors.w);
    if (taps_ == 0) return;
    parallel_for(blocks * parts_, threads, [&](int64_t task, int thread) {
      T* scratch = reinterpret_cast<T*>(ws.of(thread));
      const int64_t part = task / blocks, block = task % blocks;
      T* sums = parts_ > 1 ? parts + task * sums_size_ : scratch + packing_.size + gathered_ + packed_y_;
      run_part(block, part, x, dy, sums_stay_ ? sums_in(block, dw) : sums, scratch);
      if (parts_ == 1 && !sums_stay_) store_block(block, sums, dw);
    });
    if (parts_ == 1) return;
    parallel_for(blocks, threads, [&](int64_t block, int) {
      T* sums = parts + block * sums_size_;
      for (int64_t part = 1; part < parts_; part++)
        kernel_.add_rows(parts + (part * blocks + block) * sums_size_, 0, 1, sums_size_, sums, 0);
      store_block(block, sums, dw);
    });
  }

 private:
  // A pointwise kernel: dw^T is the same sum with x and dy exchanged, and has its lanes along w's last axis, so that
  // the result needs no transposing.
  void exchange_roles() {
    TapProblem q = p_;
    q.channels = p_.outputs, q.outputs = p_.channels;
    q.in_n = p_.out_n, q.in_c = p_.out_c, q.out_n = p_.in_n, q.out_c = p_.in_c;
    q.w_output = p_.w_channel, q.w_channel = p_.w_output;
    for (int i = 0; i < 3; i++) {
      q.in[i] = p_.out[i], q.in_stride[i] = p_.out_stride[i], q.out_stride[i] = p_.step[i] * p_.in_stride[i];
      q.out_base += p_.taps[0].at[i] * p_.in_stride[i];
      q.step[i] = 1, q.taps[0].at[i] = 0;
    }
    p_ = std::move(q);
    exchanged_ = true;
  }

  // Each has enough pixels to pay for adding its sums. They cut the sums, and so depend on the problem alone.
  int64_t most_parts() const {
    const int64_t pixels = p_.n * p_.out[0] * p_.out[1] * p_.out[2];
    const int64_t blocks = p_.groups * ceil_div(p_.outputs, 64) * ceil_div(p_.channels, 64);
    const int64_t all_sums = p_.groups * (p_.outputs + width_) * p_.channels * taps_ * int64_t(sizeof(T));
    return std::max<int64_t>(1,
                             std::min({ceil_div(kWantedTasks, blocks), pixels / kPartPixels, kPartsBytes / all_sums}));
  }

  // Blocks of output and input channels whose sums fit kSumsBytes; smaller ones where threads would go idle. Cutting
  // outputs does not change any sum.
  void cut_outputs() {
    const int64_t item = sizeof(T);
    k_block_ = std::min(ceil_div(p_.outputs, width_), std::max<int64_t>(1, 256 / width_)) * width_;
    c_block_ = std::min<int64_t>(p_.channels, 256);
    const int64_t pair = kernel_.gemm_wide ? 2 * width_ : width_;
    const auto halve = [&] {
      if (k_block_ > width_ && (c_block_ == 1 || (k_block_ >= c_block_ && k_block_ > pair)))
        k_block_ = round_up(ceil_div(k_block_, 2), width_);
      else
        c_block_ = ceil_div(c_block_, 2);
    };
    while (k_block_ * c_block_ * taps_ * item > kSumsBytes && k_block_ * c_block_ > width_) halve();
    band_k_ = k_block_, band_c_ = c_block_;
    const auto tasks = [&] { return p_.groups * ceil_div(p_.outputs, k_block_) * ceil_div(p_.channels, c_block_); };
    while (threads > 1 && tasks() * parts_ < 2 * threads && k_block_ * c_block_ > 32 * 64) halve();
    k_blocks_ = ceil_div(p_.outputs, k_block_);
    k_block_ = round_up(ceil_div(p_.outputs, k_blocks_), k_blocks_ > 1 ? pair : width_);
    k_blocks_ = ceil_div(p_.outputs, k_block_);
    c_blocks_ = ceil_div(p_.channels, c_block_);
    c_block_ = ceil_div(p_.channels, c_blocks_);
    rows_ = ceil_div(c_block_, ceil_div(c_block_, kernel_.gemm_rows));
    sums_size_ = round_up(c_block_ * taps_ * k_block_, 16);
  }

  // Bands of output rows, by the problem alone.
  void cut_pixels() {
    const int64_t item = sizeof(T), rows = p_.n * p_.out[0] * p_.out[1];
    gathers_ = gather_pays();
    planes_ = p_.in_c != 1;
    joins_taps_ = !gathers_ && !planes_ && p_.channels <= kFewChannels && c_block_ == p_.channels && p_.grid[2] > 1 &&
                  p_.grid[0] == 1 && taps_lie_side_by_side();
    // Single elements are read, of planes that do not crowd into few sets of the cache, or runs of pixels that the wide
    // kernel need not break off at each row.
    const bool one_run = p_.out[1] == 1 || p_.step[1] * p_.in_stride[1] == p_.out[2] * p_.step[2] * p_.in_stride[2];
    reads_in_place_ = taps_ == 1 && can_read_in_place(p_) && (p_.in_c * item % 2048 != 0 || p_.channels <= 8) &&
                      (planes_ || one_run || !kernel_.gemm_wide);
    const bool wide = kernel_.gemm_wide && width_ == 2 * kernel_.lanes && band_k_ >= 2 * width_ && !gathers_ &&
                      (!planes_ || !reads_in_place_ || p_.step[2] * p_.in_stride[2] == 1) &&
                      (taps_ == 1 || p_.out[2] >= kWideRun);
    wide_ = wide && k_block_ >= 2 * width_;
    const int64_t pixels = wide || (reads_in_place_ && !planes_) ? kNearPixels : 1024;
    const int64_t pixel = (band_k_ + (gathers_ ? band_c_ * taps_ : 0)) * item;
    const InputPacking<T> shape(p_, true, 1, 1, 1, 1);
    const auto bytes = [&](int64_t h, int64_t w) { return band_c_ * packed_bytes(shape, h, w) + h * w * pixel; };
    const int64_t budget = std::min(problem_.max_workspace, l2_cache_bytes() * 3 / 8);
    band_w_ = rows >= parts_ ? p_.out[2] : ceil_div(rows * p_.out[2], parts_);
    while (band_w_ > 16 && (band_w_ > pixels || bytes(1, band_w_) > budget)) band_w_ = ceil_div(band_w_, 2);
    band_h_ = 1;
    const int64_t most = std::max<int64_t>(1, std::min(p_.out[1], rows / parts_));
    while (band_h_ < most && (band_h_ + 1) * band_w_ <= pixels && bytes(band_h_ + 1, band_w_) <= budget) band_h_++;
    bands_h_ = ceil_div(p_.out[1], band_h_);
    band_h_ = ceil_div(p_.out[1], bands_h_);
    bands_w_ = ceil_div(p_.out[2], band_w_);
    bands_ = p_.n * p_.out[0] * bands_h_ * bands_w_;
    parts_ = std::min(parts_, bands_);
  }

  void layout() {
    padded_ = unit_steps(p_);
    const int64_t step[2] = {p_.step[1], p_.step[2]};
    if (gathers_ || joins_taps_)
      packing_ = InputPacking<T>(padded_, gathers_, c_block_, (band_h_ - 1) * step[0] + 1, (band_w_ - 1) * step[1] + 1,
                                 kernel_.lanes);
    else if (!reads_in_place_)
      packing_ = InputPacking<T>(p_, planes_, c_block_, band_h_, band_w_, kernel_.lanes);
    row_step_ = packing_.row, pixel_step_ = packing_.pixel;
    if (gathers_)
      plan_gather();
    else if (joins_taps_)
      row_step_ *= step[0], pixel_step_ *= step[1];
    else if (reads_in_place_)
      row_step_ = step[0] * p_.in_stride[1], pixel_step_ = step[1] * p_.in_stride[2];
    packed_y_ = round_up(band_h_ * band_w_ * k_block_, 16);
    const int64_t cols = p_.grid[2];
    rows_along_taps_ = planes_ && !wide_ && p_.channels <= 4 && cols > 1 && cols <= kernel_.gemm_rows &&
                       p_.grid[0] == 1 && p_.step[2] == 1;
    sums_stay_ = parts_ == 1 && p_.w_output == 1 && p_.outputs % kernel_.lanes == 0 && !gathers_ && !rows_along_taps_ &&
                 !joins_taps_;
    tap_step_ = cols > 1 && !reads_in_place_ ? packing_.tap_off[1] - packing_.tap_off[0] : 0;
    for (int64_t h = 0; h < band_h_; h++)
      for (int64_t w = 0; w < band_w_; w++) x_off_.push_back(h * row_step_ + w * pixel_step_);
    for (int64_t i = 0; i < band_h_ * band_w_; i++) y_off_.push_back(i * width_);
    y_off_.resize(y_off_.size() + kGemmPrefetch, y_off_.back());
    const int64_t blocks = p_.groups * k_blocks_ * c_blocks_;
    workspace.shared = parts_ > 1 ? blocks * parts_ * sums_size_ * int64_t(sizeof(T)) : 0;
    workspace.per_thread = (packing_.size + gathered_ + packed_y_ + (parts_ > 1 ? 0 : sums_size_)) * int64_t(sizeof(T));
  }

  void run_part(int64_t block, int64_t part, const T* x, const T* dy, T* sums, T* scratch) const {
    const int64_t cb = block % c_blocks_, kb = block / c_blocks_ % k_blocks_, group = block / c_blocks_ / k_blocks_;
    const int64_t c0 = cb * c_block_, channels = std::min(c_block_, p_.channels - c0);
    const int64_t k0 = kb * k_block_, outputs = std::min(k_block_, p_.outputs - k0);
    T *packed_x = scratch, *gathered = scratch + packing_.size, *packed_y = gathered + gathered_;
    const int64_t first = bands_ * part / parts_, last = bands_ * (part + 1) / parts_;
    for (int64_t band = first; band < last; band++) {
      int64_t i = band;
      const int64_t w0 = i % bands_w_ * band_w_, h0 = (i /= bands_w_) % bands_h_ * band_h_;
      const int64_t z = (i /= bands_h_) % p_.out[0], n = i / p_.out[0];
      const int64_t h = std::min(band_h_, p_.out[1] - h0), w = std::min(band_w_, p_.out[2] - w0);
      const T* image = x + n * p_.in_n + (group * p_.channels + c0) * p_.in_c;
      const T* rows_of_x = packed_x;
      if (gathers_)
        gather(image, channels, z, h0, h, w0, w, packed_x, gathered), rows_of_x = gathered;
      else if (joins_taps_)
        pack_x(padded_region(image, channels, z, h0, w0, packed_x), false);
      else if (reads_in_place_)
        rows_of_x = image + (z * p_.step[0] + p_.taps[0].at[0]) * p_.in_stride[0] +
                    (h0 * p_.step[1] + p_.taps[0].at[1]) * p_.in_stride[1] +
                    (w0 * p_.step[2] + p_.taps[0].at[2]) * p_.in_stride[2];
      else
        pack_x(packing_.region(p_, image, channels, z, h0, w0, packed_x), planes_);
      pack_y(dy + n * p_.out_n + (group * p_.outputs + k0) * p_.out_c + z * p_.out_stride[0] + h0 * p_.out_stride[1] +
                 w0 * p_.out_stride[2],
             outputs, h, w, packed_y);
      multiply(channels, outputs, h0, h, w, rows_of_x, packed_y, sums, band == first);
    }
  }

  void pack_x(const PackRegion<T>& region, bool planes) const {
    (planes ? kernel_.pack_planes : kernel_.pack_pixels)(region);
    mend_border(p_.padding_mode, region, planes);
  }

  // [panel][pixel][output channel], band_w_ pixels a row so that pixel offsets never change.
  void pack_y(const T* src, int64_t outputs, int64_t h, int64_t w, T* dst) const {
    for (int64_t k = 0; k < outputs; k += width_, dst += band_h_ * band_w_ * width_) {
      const int64_t n = std::min(width_, outputs - k);
      if (n < width_)
        for (int64_t i = 0; i < band_h_ * band_w_ * width_; i++) dst[i] = 0;
      const T* s = src + k * p_.out_c;
      const bool one_run = p_.out_stride[1] == w * p_.out_stride[2] && w == band_w_;
      const int64_t rows = one_run ? 1 : h, cols = one_run ? h * w : w;
      for (int64_t r = 0; r < rows; r++) {
        const T* row = s + r * p_.out_stride[1];
        T* d = dst + r * band_w_ * width_;
        if (p_.out_stride[2] == 1) {
          kernel_.transpose(row, p_.out_c, n, cols, d, width_);
        } else if (p_.out_c == 1) {
          kernel_.copy_rows(row, p_.out_stride[2], cols, n, d, width_);
        } else {
          for (int64_t i = 0; i < cols; i++)
            for (int64_t j = 0; j < n; j++) d[i * width_ + j] = row[i * p_.out_stride[2] + j * p_.out_c];
        }
      }
    }
  }

  using Gemm = void (*const (*)[kMaxGemmRows + 1])(const GemmTile<T>&);

  // Rows of the micro-tile are input channels, one tap at a time.
  void channel_tiles(GemmTile<T> g, int64_t channels, int64_t h0, int64_t h, int64_t w, int64_t runs, const T* x,
                     T* sums, Gemm gemm) const {
    g.a_ld = reads_in_place_ ? p_.in_c : packing_.channel;
    const int64_t channel_ld = sums_stay_ ? p_.w_channel : taps_ * k_block_;
    g.ldc = channel_ld;
    for (int64_t c = 0; c < channels; c += rows_) {
      const int64_t rows = std::min(rows_, channels - c), half = (rows + 1) / 2;
      for (int64_t t = 0; t < taps_; t++) {
        const Rows inside = runs == 1 ? rows_inside(t, h0, h) : Rows{0, 1};
        g.a_off = x_off_.data() + inside.first * band_w_;
        g.b_off = y_off_.data() + inside.first * band_w_;
        g.kc = (inside.last - inside.first) * w;
        g.a0 = x + (reads_in_place_ ? 0 : packing_.tap_off[size_t(t)]) + c * g.a_ld;
        g.a1 = g.a0 + half * g.a_ld;
        g.c0 = sums + c * channel_ld + (sums_stay_ ? p_.taps[size_t(t)].weight : t * k_block_);
        g.c1 = g.c0 + half * g.ldc;
        gemm[g.a_ld == 1][rows](g);
      }
    }
  }

  // All taps and channels with a pair of panels of dy, whose first is packed_y. Rows of the tile are input channels, of
  // one tap or of those of a kernel row.
  void wide_tiles(int64_t channels, int64_t h0, int64_t h, int64_t w, const T* x, const T* packed_y, T* sums,
                  bool first) const {
    WideGemm<T> g{};
    const int64_t together = joins_taps_ ? p_.grid[2] : 1;
    g.rows = channels * together;
    g.a_ld = !planes_ ? pixel_step_ : reads_in_place_ ? p_.in_c : packing_.channel;
    g.b_ld = width_;
    g.ldc = joins_taps_ ? k_block_ : sums_stay_ ? p_.w_channel : taps_ * k_block_;
    const bool one_run = w == band_w_ && row_step_ == w * pixel_step_;
    for (int64_t t = 0; t < taps_; t += together) {
      const Rows inside = joins_taps_ ? Rows{0, h} : rows_inside(t, h0, h);
      g.c[0] = sums + (sums_stay_ ? p_.taps[size_t(t)].weight : t * (joins_taps_ ? channels : 1) * k_block_);
      g.c[1] = g.c[0] + width_;
      g.start = first ? TileStart::zero : TileStart::load;
      const int64_t rows = inside.last - inside.first, at_once = one_run ? std::max<int64_t>(1, rows) : 1;
      for (int64_t r = 0; r < rows || (r == 0 && first); r += at_once) {
        g.kc = std::min(at_once, rows - r) * w;
        g.a = x + (reads_in_place_ ? 0 : packing_.tap_off[size_t(t)]) + (inside.first + r) * row_step_;
        g.b[0] = packed_y + (inside.first + r) * band_w_ * width_;
        g.b[1] = g.b[0] + band_h_ * band_w_ * width_;
        (planes_ ? kernel_.gemm_wide : kernel_.gemm_wide_columns)(g);
        g.start = TileStart::load;
      }
    }
  }

  // With few input channels rows are the taps of one kernel row, or of two, of one channel.
  void tap_tiles(GemmTile<T> g, int64_t channels, int64_t h, int64_t w, int64_t runs, const T* x, T* sums,
                 Gemm gemm) const {
    const int64_t cols = p_.grid[2], together = 2 * cols <= kernel_.gemm_rows ? 2 : 1;
    g.a_ld = tap_step_;
    g.ldc = k_block_;
    g.a_off = x_off_.data(), g.b_off = y_off_.data();
    g.kc = runs == 1 ? h * w : w;
    for (int64_t c = 0; c < channels; c++)
      for (int64_t row = 0; row < p_.grid[1]; row += together) {
        const bool two = together == 2 && row + 1 < p_.grid[1];
        const int64_t rows = two ? 2 * cols : cols, half = (rows + 1) / 2;
        const T* channel = x + c * packing_.channel;
        g.a0 = channel + packing_.tap_off[size_t(row * cols)];
        g.a1 = two ? channel + packing_.tap_off[size_t((row + 1) * cols)] : g.a0 + half * g.a_ld;
        g.c0 = sums + (c * taps_ + row * cols) * k_block_;
        g.c1 = g.c0 + half * g.ldc;
        gemm[g.a_ld == 1][rows](g);
      }
  }

  // Rows are all channels of some taps that lie side by side: those of a kernel row, or all, gathered for each pixel.
  void joined_tiles(GemmTile<T> g, int64_t all, int64_t h, int64_t w, int64_t runs, const T* x, T* sums,
                    Gemm gemm) const {
    const int64_t tiles = ceil_div(all, kernel_.gemm_rows);
    g.a_ld = 1;
    g.ldc = k_block_;
    g.a_off = x_off_.data(), g.b_off = y_off_.data();
    g.kc = runs == 1 ? h * w : w;
    for (int64_t tile = 0; tile < tiles; tile++) {
      const int64_t first = all * tile / tiles, rows = all * (tile + 1) / tiles - first, half = (rows + 1) / 2;
      g.a0 = x + first, g.a1 = g.a0 + half;
      g.c0 = sums + first * k_block_;
      g.c1 = g.c0 + half * g.ldc;
      gemm[1][rows](g);
    }
  }

  // One or two channels give the other forms few rows a tile where columns are strided, and where one vector holds all
  // outputs. Taps of a kernel row have to lie side by side, and most of what lies between the pixels has to be read.
  bool gather_pays() const {
    const bool few = p_.step[2] != 1 || (p_.grid[2] > 3 && p_.outputs <= kernel_.lanes);
    if (!few || p_.channels > 2 || p_.grid[2] == 1 || p_.grid[0] != 1) return false;
    if (p_.step[1] > 2 * p_.grid[1] || p_.step[2] > 2 * p_.grid[2]) return false;
    return taps_lie_side_by_side();
  }
  bool taps_lie_side_by_side() const {
    for (int64_t i = 0; i < taps_; i++)
      if (p_.taps[size_t(i)].at[2] != p_.taps[0].at[2] + i % p_.grid[2]) return false;
    return true;
  }

  // From padded planes of the band, for each pixel the values of all taps.
  void plan_gather() {
    packing_.size = round_up(packing_.size + 64 / int64_t(sizeof(T)), 16);
    for (int64_t c = 0; c < c_block_; c++)
      for (int64_t t = 0; t < taps_; t += p_.grid[2])
        runs_off_.push_back(c * packing_.channel + packing_.tap_off[size_t(t)]);
    gather_ld_ = c_block_ * taps_;
    row_step_ = band_w_ * gather_ld_, pixel_step_ = gather_ld_;
    gathered_ = round_up(band_h_ * band_w_ * gather_ld_ + 64, 16);
  }

  // Of the band, not split by phase.
  PackRegion<T> padded_region(const T* image, int64_t channels, int64_t z, int64_t h0, int64_t w0, T* packed) const {
    return packing_.region(padded_, image, channels, z * p_.step[0], h0 * p_.step[1], w0 * p_.step[2], packed);
  }

  void gather(const T* image, int64_t channels, int64_t z, int64_t h0, int64_t h, int64_t w0, int64_t w, T* packed,
              T* gathered) const {
    pack_x(padded_region(image, channels, z, h0, w0, packed), true);
    for (int64_t r = 0; r < h; r++)
      kernel_.gather_taps(packed + r * p_.step[1] * packing_.row, p_.step[2], runs_off_.data(), channels * p_.grid[1],
                          p_.grid[2], w, gathered + r * band_w_ * gather_ld_, gather_ld_);
  }

  // Rows of the band [h0, h0 + h) for which tap t reads inside the image.
  struct Rows {
    int64_t first, last;
  };
  Rows rows_inside(int64_t t, int64_t h0, int64_t h) const {
    const int64_t at = p_.taps[size_t(t)].at[1], step = p_.step[1];
    Rows r{0, h};
    if (p_.padding_mode != PaddingMode::zeros) return r;
    while (r.first < r.last && (h0 + r.first) * step + at < 0) r.first++;
    while (r.last > r.first && (h0 + r.last - 1) * step + at >= p_.in[1]) r.last--;
    return r;
  }

  void multiply(int64_t channels, int64_t outputs, int64_t h0, int64_t h, int64_t w, const T* packed_x,
                const T* packed_y, T* sums, bool first) const {
    int64_t pairs = 0;  // outputs of pairs of panels
    for (; wide_ && pairs + 2 * width_ <= outputs; pairs += 2 * width_)
      wide_tiles(channels, h0, h, w, packed_x, packed_y + pairs * band_h_ * band_w_, sums + pairs, first);
    GemmTile<T> g{};
    g.start = first ? TileStart::zero : TileStart::load;
    // A narrower band than the tables are made for (the last of a row) goes row by row.
    const int64_t runs = w == band_w_ ? 1 : h;
    for (int64_t run = 0; run < runs; run++) {
      for (int64_t k = pairs; k < outputs; k += width_) {
        const int vectors = outputs - k > kernel_.lanes ? 2 : 1;
        g.b = packed_y + (k * band_h_ + run * width_) * band_w_;
        const T* x = packed_x + x_off_[size_t(run * band_w_)];
        const Gemm gemm = kernel_.gemm[vectors - 1];
        if (gathers_)
          joined_tiles(g, channels * taps_, h, w, runs, x, sums + k, gemm);
        else if (joins_taps_)
          for (int64_t t = 0; t < taps_; t += p_.grid[2])
            joined_tiles(g, channels * p_.grid[2], h, w, runs, x + packing_.tap_off[size_t(t)],
                         sums + t * channels * k_block_ + k, gemm);
        else if (rows_along_taps_)
          tap_tiles(g, channels, h, w, runs, x, sums + k, gemm);
        else
          channel_tiles(g, channels, h0, h, w, runs, x, sums + k, gemm);
      }
      g.start = TileStart::load;
    }
  }

  // Where a block's sums lie in dw itself.
  T* sums_in(int64_t block, T* dw) const {
    const int64_t cb = block % c_blocks_, kb = block / c_blocks_ % k_blocks_, group = block / c_blocks_ / k_blocks_;
    return dw + group * p_.w_group + kb * k_block_ * p_.w_output + cb * c_block_ * p_.w_channel;
  }

  // sums is [channel][tap][output channel], or [tap][channel][output channel] where taps were joined.
  void store_block(int64_t block, const T* sums, T* dw) const {
    const int64_t cb = block % c_blocks_, kb = block / c_blocks_ % k_blocks_, group = block / c_blocks_ / k_blocks_;
    const int64_t c0 = cb * c_block_, channels = std::min(c_block_, p_.channels - c0);
    const int64_t k0 = kb * k_block_, outputs = std::min(k_block_, p_.outputs - k0);
    T* dst = dw + group * p_.w_group + k0 * p_.w_output + c0 * p_.w_channel;
    bool dense = (p_.w_channel == taps_ && !joins_taps_) || channels == 1;
    for (size_t i = 0; i < p_.taps.size(); i++) dense = dense && p_.taps[i].weight == int64_t(i);
    if (dense) {
      kernel_.transpose(sums, k_block_, channels * taps_, outputs, dst, p_.w_output);
      return;
    }
    for (int64_t c = 0; c < channels; c++)
      for (int64_t t = 0; t < taps_; t++) {
        const T* row = sums + (joins_taps_ ? t * channels + c : c * taps_ + t) * k_block_;
        T* d = dst + c * p_.w_channel + p_.taps[size_t(t)].weight;
        if (p_.w_output == 1)
          kernel_.copy_rows(row, 0, 1, outputs, d, 0);
        else
          for (int64_t k = 0; k < outputs; k++) d[k * p_.w_output] = row[k];
      }
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  TapProblem p_;
  InputPacking<T> packing_;
  int64_t taps_ = 0, width_ = 0, k_block_ = 0, k_blocks_ = 0, c_block_ = 0, c_blocks_ = 0, rows_ = 0, sums_size_ = 0;
  int64_t band_k_, band_c_;  // channels for which a band fits the cache
  int64_t band_h_, band_w_, bands_h_, bands_w_, bands_, parts_;
  bool planes_, exchanged_ = false, rows_along_taps_ = false;
  bool reads_in_place_ = false;            // x has no packed copy
  bool sums_stay_ = false;                 // sums are formed in dw
  bool wide_ = false;                      // the wide kernel takes pairs of panels
  bool joins_taps_ = false;                // rows are the channels of all taps of a kernel row
  int64_t row_step_ = 0, pixel_step_ = 0;  // between output pixels, in what is read of x
  int64_t tap_step_ = 0;                   // between the taps of a kernel row, in the packed input
  // Where x is gathered for all taps of each pixel:
  bool gathers_ = false;
  TapProblem padded_;
  std::vector<int64_t> runs_off_;  // of kernel rows in the padded planes
  int64_t gather_ld_ = 0, gathered_ = 0;
  int64_t packed_y_;
  std::vector<int64_t> x_off_, y_off_;  // of the band's pixels in the packed operands
};

}  // namespace

double turning_cost(const ConvProblem& p, const int64_t strides[5], int64_t channels, const int64_t size[3]) {
  const double elements = double(p.n * channels) * double(size[0] * size[1] * size[2]);
  return strides[1] == 1 ? 0 : 0.3 * elements + stream_cost(elements * double(dtype_size(p.dtype)));
}

double weight_gradient_cost(const ConvProblem& p) {
  const KernelTable& table = kernel_table(Isa(p.isa));
  const int64_t lanes = p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes;
  const double vectors = double(p.groups * ceil_div(p.k / p.groups, lanes));
  return double(p.n) * double(p.out_pixels()) * double(p.taps()) * double(p.c / p.groups) * vectors +
         turning_cost(p, p.ys, p.k, p.out);
}

std::unique_ptr<ConvPlan> make_weight_gradient_plan(const ConvProblem& p) {
  if (p.dtype == DType::f32) return std::make_unique<WeightGradientPlan<float>>(p);
  return std::make_unique<WeightGradientPlan<double>>(p);
}

}  // namespace konv
