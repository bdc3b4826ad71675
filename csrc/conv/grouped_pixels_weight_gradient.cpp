// Weight gradient of narrow groups, with output channels in the lanes: strips of output rows, whose sums stay in
// registers. Strips are cut into parts by the problem alone, and the parts added in order, so that results do not
// depend on the number of threads.
#include "conv/grouped_pixels.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kStripPixels = 512;        // output pixels that one sum takes in at most,
constexpr int64_t kPackedStripPixels = 128;  // where both operands are packed and read again for each channel
constexpr int64_t kStripRows = 16;
constexpr int64_t kWantedTasks = 16;      // blocks of channels times parts
constexpr int64_t kPartsBytes = 8 << 20;  // of all parts
constexpr int64_t kLargeBytes =
    8 << 20;  // operands that come from memory: those in the caches are not worth prefetching

template <class T>
class GroupedPixelsWeightGradientPlan final : public ConvPlan {
 public:
  explicit GroupedPixelsWeightGradientPlan(const ConvProblem& problem)
      : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))) {
    threads = problem.flops() < 1e6 ? 1 : int(problem.threads);
    ConvProblem forward = problem;
    forward.direction = Direction::forward;
    p_ = std::move(tap_problems(forward)[0]);
    sort_taps(p_);
    blocks_ = ChannelBlocks(p_, kernel_.lanes);
    taps_ = int64_t(p_.taps.size());
    const int64_t pixels =
        p_.n * (problem.c * problem.in[0] * problem.in[1] * problem.in[2] + problem.k * problem.out_pixels());
    large_ = pixels * int64_t(sizeof(T)) > kLargeBytes;
    block_sums_ = p_.channels * taps_ * kernel_.lanes;
    // Strips of rows, whose sums stay in registers, and parts of the images: by the problem alone.
    packs_ = !blocks_.identity || p_.in_c != 1 || p_.padding_mode != PaddingMode::zeros;
    strip_ = std::clamp<int64_t>((packs_ ? kPackedStripPixels : kStripPixels) / p_.out[2], 1,
                                 std::min(p_.out[1], kStripRows));
    strips_h_ = ceil_div(p_.out[1], strip_);
    strip_ = ceil_div(p_.out[1], strips_h_);
    strips_ = p_.n * p_.out[0] * strips_h_;
    part_sums_ = round_up(blocks_.count * block_sums_, 16);
    const int64_t most = std::min(kWantedTasks / blocks_.count, kPartsBytes / int64_t(sizeof(T)) / part_sums_);
    parts_ = std::max<int64_t>(1, std::min(most, strips_));
    block_parts_ = threads == 1 ? 1 : std::min(blocks_.count, ceil_div(4 * threads, parts_));
    workspace.shared = parts_ * part_sums_ * int64_t(sizeof(T));
    if (packs_) {
      packed_x_ = BlockRows<T>::scratch_size(p_, blocks_, strip_);
      workspace.per_thread = (packed_x_ + strip_ * p_.out[2] * blocks_.lanes) * int64_t(sizeof(T));
    }
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& ws) const noexcept override {
    const T *x = static_cast<const T*>(tensors.x), *dy = static_cast<const T*>(tensors.y);
    T *dw = static_cast<T*>(tensors.w), *sums = reinterpret_cast<T*>(ws.shared);
    if (taps_ < problem_.taps()) zero_gradient(problem_, tensors.w);
    parallel_for(parts_ * block_parts_, threads, [&](int64_t task, int thread) {
      const int64_t part = task / block_parts_, block_part = task % block_parts_;
      const int64_t first = blocks_.count * block_part / block_parts_;
      const int64_t last = blocks_.count * (block_part + 1) / block_parts_;
      std::fill(sums + part * part_sums_ + first * block_sums_, sums + part * part_sums_ + last * block_sums_, T(0));
      const int64_t strip0 = strips_ * part / parts_, strip1 = strips_ * (part + 1) / parts_;
      T* scratch = packs_ ? reinterpret_cast<T*>(ws.of(thread)) : nullptr;
      BlockRows<T> rows(kernel_, p_, blocks_, strip_, scratch);
      // Packed rows of one block serve several strips; unpacked strips are read along the memory.
      const int64_t inner = packs_ ? 1 : last - first;
      for (int64_t b = first; b < last; b += inner)
        for (int64_t strip = strip0; strip < strip1; strip++)
          for (int64_t i = b; i < b + inner; i++)
            add_strip(strip, i, strip == strip0, x, dy, rows, scratch, sums + part * part_sums_ + i * block_sums_);
    });
    for (int64_t part = 1; part < parts_; part++)
      kernel_.add_rows(sums + part * part_sums_, 0, 1, blocks_.count * block_sums_, sums, 0);
    for (int64_t b = 0; b < blocks_.count; b++) store_block(b, sums + b * block_sums_, dw);
  }

 private:
  void add_strip(int64_t strip, int64_t block, bool first, const T* x, const T* dy, BlockRows<T>& rows, T* scratch,
                 T* sums) const {
    const int64_t h = strip % strips_h_ * strip_, z = strip / strips_h_ % p_.out[0], n = strip / strips_h_ / p_.out[0];
    const T* row[kStripRows * kMaxRowStep + kMaxTapRows];
    GroupedPixelSums<T> d{};
    d.row = row, d.ahead = large_ && !packs_;
    d.width = rows.width(), d.first = rows.first_column() + p_.taps[0].at[2], d.pixel = rows.pixel();
    d.depth = p_.channels, d.tap_rows = p_.grid[1], d.row_step = p_.step[1], d.rows = std::min(strip_, p_.out[1] - h);
    d.taps = int(p_.grid[2]), d.step = int(p_.step[2]);
    d.cols = p_.out[2], d.dy_row = p_.out_stride[1], d.dy_pixel = p_.out_stride[2];
    d.lane = blocks_.lane(block), d.wide = blocks_.width > blocks_.lanes;
    d.dy = dy + n * p_.out_n + blocks_.first(block) * p_.out_c + z * p_.out_stride[0] + h * p_.out_stride[1];
    if (packs_) pack_dy(d, scratch + packed_x_);
    if (first || h == 0 || !packs_) rows.start(x, n, z, block);
    const int64_t slice = p_.grid[1] * p_.grid[2];
    for (int64_t depth = 0; depth < p_.grid[0]; depth++) {
      const int64_t y = h * p_.step[1] + p_.taps[size_t(depth * slice)].at[1];
      for (int64_t i = 0; i < BlockRows<T>::extent(p_, d.rows); i++) row[i] = rows.find(depth, y + i);
      d.sums = sums + depth * p_.channels * slice * blocks_.lanes;
      kernel_.grouped_pixel_sums(d);
    }
  }

  void pack_dy(GroupedPixelSums<T>& d, T* packed) const {
    const int64_t L = blocks_.lanes;
    for (int64_t r = 0; r < d.rows; r++) {
      if (p_.out_c == 1)
        kernel_.copy_rows(d.dy + r * d.dy_row, d.dy_pixel, d.cols, L, packed + r * d.cols * L, L);
      else
        kernel_.transpose(d.dy + r * d.dy_row, p_.out_c, L, d.cols, packed + r * d.cols * L, L);
    }
    d.dy = packed, d.dy_row = d.cols * L, d.dy_pixel = L;
  }

  void store_block(int64_t block, const T* sums, T* dw) const {
    const int64_t L = blocks_.lanes;
    T* dst = dw + blocks_.first(block) * p_.w_output;
    bool dense = p_.grid[0] == 1 && (p_.channels == 1 || p_.w_channel == taps_);
    for (int64_t t = 0; t < taps_; t++) dense = dense && p_.taps[size_t(t)].weight == t;
    if (dense) {
      kernel_.transpose(sums, L, p_.channels * taps_, L, dst, p_.w_output);
      return;
    }
    const int64_t slice = p_.grid[1] * p_.grid[2];
    for (int64_t t = 0; t < taps_; t++)
      for (int64_t i = 0; i < p_.channels; i++) {
        const T* src = sums + ((t / slice * p_.channels + i) * slice + t % slice) * L;
        for (int64_t l = 0; l < L; l++) dst[l * p_.w_output + i * p_.w_channel + p_.taps[size_t(t)].weight] = src[l];
      }
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  TapProblem p_;
  ChannelBlocks blocks_;
  bool large_, packs_;
  int64_t packed_x_ = 0;
  int64_t taps_, block_sums_, part_sums_, strip_, strips_h_, strips_, parts_, block_parts_;
};

}  // namespace

std::unique_ptr<ConvPlan> make_grouped_pixels_weight_gradient_plan(const ConvProblem& p) {
  if (p.dtype == DType::f32) return std::make_unique<GroupedPixelsWeightGradientPlan<float>>(p);
  return std::make_unique<GroupedPixelsWeightGradientPlan<double>>(p);
}

}  // namespace konv
