// Channels last with narrow groups: forward, input gradient and weight gradient with output channels in the lanes, read
// and written where they lie.
#include "conv/grouped_pixels.h"

#include <algorithm>

#include "conv/epilogue.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kMaxTapRows = 32, kMaxRowStep = 4;
constexpr int64_t kBandRows = 8;      // output rows of a task
constexpr int64_t kStripPixels = 512;  // output pixels that one sum of the weight gradient takes in at most
constexpr int64_t kStripRows = 16;
constexpr int64_t kWantedTasks = 16;       // of the weight gradient: blocks of channels times parts
constexpr int64_t kLargeBytes = 8 << 20;  // operands that come from memory: those in the caches are not worth prefetching
constexpr int64_t kPartsBytes = 8 << 20;  // of all parts

// Rows of the input that output row h reads, from the first tap on.
template <class T>
void find_rows(const TapProblem& p, const T* image, int64_t z, int64_t h, int64_t count, const T** row) {
  const int64_t iz = z * p.step[0] + p.taps[0].at[0];
  for (int64_t i = 0; i < count; i++) {
    const int64_t iy = h * p.step[1] + p.taps[0].at[1] + i;
    const bool inside = iz >= 0 && iz < p.in[0] && iy >= 0 && iy < p.in[1];
    row[i] = inside ? image + iz * p.in_stride[0] + iy * p.in_stride[1] : nullptr;
  }
}

// Offset of each kernel element's tap in the packed weights of one channel, or -1 for an element without one; empty
// where the elements of a kernel do not lie in one piece.
std::vector<int64_t> element_offsets(const TapProblem& p, const ConvProblem& conv, int64_t lanes) {
  int64_t last = 0;
  for (int i = 0; i < 3; i++) {
    if (conv.kernel[i] > 1 && conv.ws[2 + i] <= 0) return {};
    last += (conv.kernel[i] - 1) * conv.ws[2 + i];
  }
  if (last != conv.taps() - 1) return {};
  std::vector<int64_t> offset(size_t(conv.taps()), -1);
  for (size_t t = 0; t < p.taps.size(); t++) offset[size_t(p.taps[t].weight)] = int64_t(t) * lanes;
  return offset;
}

template <class T>
struct Stage {
  TapProblem p;
  ChannelBlocks blocks;
  std::vector<int64_t> offsets;  // see element_offsets
  int64_t block_weights, weight_base = 0;

  Stage(TapProblem problem, const ConvProblem& conv, int lanes) : p(std::move(problem)), blocks(p, lanes) {
    sort_taps(p);
    offsets = element_offsets(p, conv, lanes);
    block_weights = p.channels * int64_t(p.taps.size()) * lanes;
  }

  // [channel][tap][lane]
  void pack_weights(const Kernels<T>& kernel, const T* w, int64_t block, T* dst) const {
    const int64_t L = blocks.lanes, k0 = blocks.first(block), taps = int64_t(p.taps.size());
    for (int64_t l = 0, run; l < L; l += run) {  // a run of lanes whose weights lie equally far apart
      const int64_t group = (k0 + l) / p.outputs, output = (k0 + l) % p.outputs;
      const bool even = p.outputs == 1 || p.w_group == p.outputs * p.w_output;
      run = even ? L : std::min(L - l, p.outputs - output);
      const int64_t apart = p.outputs == 1 ? p.w_group : p.w_output;
      const T* src = w + group * p.w_group + output * p.w_output;
      for (int64_t i = 0; i < p.channels; i++, src += p.w_channel) {
        T* d = dst + i * taps * L + l;
        if (!offsets.empty()) {
          kernel.transpose_scatter(src, apart, run, int64_t(offsets.size()), d, offsets.data());
          continue;
        }
        for (int64_t t = 0; t < taps; t++)
          for (int64_t j = 0; j < run; j++) d[t * L + j] = src[j * apart + p.taps[size_t(t)].weight];
      }
    }
  }
};

template <class T>
class GroupedPixelsPlan final : public ConvPlan {
 public:
  explicit GroupedPixelsPlan(const ConvProblem& problem)
      : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))) {
    threads = problem.flops() < 1e6 ? 1 : int(problem.threads);
    int64_t weights = 0, rows = 1, cols = 1;
    for (TapProblem& p : tap_problems(problem)) {
      Stage<T>& s = stages_.emplace_back(std::move(p), problem, kernel_.lanes);
      s.weight_base = weights;
      weights += s.blocks.count * s.block_weights;
      rows = std::max(rows, s.p.out[1]), cols = std::max(cols, s.p.out[2]), depth_ = std::max(depth_, s.p.out[0]);
    }
    gaps_ = leaves_gaps(problem, stages_.size());
    prepared_bytes = weights * int64_t(sizeof(T));
    reads_weights = true;
    if (!problem.ends_in_registers()) workspace.per_thread = 2 * cols * problem.k * int64_t(sizeof(T));
    bands_ = ceil_div(rows, kBandRows);
    // The last block may write channels of the one before it, and stays with it.
    blocks_ = stages_.empty() ? 1 : std::max<int64_t>(1, stages_[0].blocks.count - 1);
    block_parts_ = threads == 1 ? 1 : std::min(blocks_, ceil_div(4 * threads, problem.n * depth_ * bands_));
  }

  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    for (const Stage<T>& s : stages_)
      for (int64_t b = 0; b < s.blocks.count; b++)
        s.pack_weights(kernel_, static_cast<const T*>(tensors.w), b,
                       reinterpret_cast<T*>(packed) + s.weight_base + b * s.block_weights);
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    const bool forward = problem_.direction == Direction::forward;
    const Epilogue<T> epilogue(kernel_, problem_, tensors);
    const Run r{static_cast<const T*>(forward ? tensors.x : tensors.y),
                static_cast<T*>(forward ? tensors.y : tensors.x), reinterpret_cast<const T*>(packed),
                static_cast<const T*>(tensors.bias), epilogue};
    if (gaps_) zero_gradient(problem_, tensors.x);
    // All phases of a strided gradient's band together: they write the same lines.
    parallel_for(problem_.n * depth_ * bands_ * block_parts_, threads, [&](int64_t task, int thread) {
      const int64_t part = task % block_parts_, band = (task /= block_parts_) % bands_;
      const int64_t z = (task /= bands_) % depth_, n = task / depth_;
      for (const Stage<T>& s : stages_)
        if (z < s.p.out[0]) run_band(s, r, n, z, band * kBandRows, part, reinterpret_cast<T*>(ws.of(thread)));
    });
  }

 private:
  struct Run {
    const T* in;
    T* out;
    const T *weights, *bias;
    const Epilogue<T>& epilogue;
  };

  void run_band(const Stage<T>& s, const Run& run, int64_t n, int64_t z, int64_t h0, int64_t part, T* scratch) const {
    const TapProblem& p = s.p;
    const bool finished = run.epilogue.in_registers();
    const T *row[kMaxTapRows + kMaxRowStep], *rows[kMaxTapRows + kMaxRowStep];
    GroupedPixels<T> d{};
    d.row = rows;
    d.width = p.in[2], d.first = p.taps[0].at[2], d.pixel = p.in_stride[2];
    d.depth = p.channels, d.tap_rows = p.grid[1], d.row_step = p.step[1];
    d.taps = int(p.grid[2]), d.step = int(p.step[2]);
    d.cols = p.out[2];
    d.out_pixel = finished ? p.out_stride[2] : s.blocks.outputs;
    d.out_row = finished ? p.out_stride[1] : d.cols * d.out_pixel;
    d.relu = problem_.relu_in_registers();
    const int64_t first = blocks_ * part / block_parts_, end = blocks_ * (part + 1) / block_parts_;
    const int64_t last = end == blocks_ ? s.blocks.count : end;
    for (int64_t h = h0; h < std::min(p.out[1], h0 + kBandRows); h += 2) {
      d.rows = std::min<int64_t>(2, p.out[1] - h);
      const int64_t reach = d.tap_rows + (d.rows - 1) * d.row_step;
      find_rows(p, run.in + n * p.in_n, z, h, reach, row);
      T* const dst = run.out + p.out_base + n * p.out_n + z * p.out_stride[0] + h * p.out_stride[1];
      for (int64_t b = first; b < last; b++) {
        const int64_t k0 = s.blocks.first(b);
        for (int64_t i = 0; i < reach; i++) rows[i] = row[i] ? row[i] + s.blocks.channel[size_t(b)] : nullptr;
        d.lanes = s.blocks.pixel_lanes(b);
        d.w = run.weights + s.weight_base + b * s.block_weights;
        d.out = (finished ? dst : scratch) + k0;
        d.bias = run.bias ? run.bias + k0 : nullptr;
        kernel_.grouped_pixels(d);
      }
      if (finished) continue;
      const int64_t k = first * s.blocks.lanes, channels = std::min(s.blocks.outputs, last * s.blocks.lanes) - k;
      for (int64_t r = 0; r < d.rows; r++)
        run.epilogue.finish(scratch + r * d.out_row + k, d.out_pixel, d.cols, channels, dst + r * p.out_stride[1] + k,
                            p.out_stride[2]);
    }
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  std::vector<Stage<T>> stages_;
  bool gaps_;
  int64_t depth_ = 1, bands_, blocks_, block_parts_;
};

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
    const int64_t pixels = p_.n * (problem.c * problem.in[0] * problem.in[1] * problem.in[2] + problem.k * problem.out_pixels());
    large_ = pixels * int64_t(sizeof(T)) > kLargeBytes;
    block_sums_ = p_.channels * taps_ * kernel_.lanes;
    // Strips of rows, whose sums stay in registers, and parts of the images: by the problem alone.
    strip_ = std::clamp<int64_t>(kStripPixels / p_.out[2], 1, std::min(p_.out[1], kStripRows));
    strips_h_ = ceil_div(p_.out[1], strip_);
    strip_ = ceil_div(p_.out[1], strips_h_);
    strips_ = p_.n * p_.out[0] * strips_h_;
    part_sums_ = round_up(blocks_.count * block_sums_, 16);
    parts_ = std::clamp<int64_t>(std::min(kWantedTasks / blocks_.count, kPartsBytes / int64_t(sizeof(T)) / part_sums_), 1,
                                 strips_);
    block_parts_ = threads == 1 ? 1 : std::min(blocks_.count, ceil_div(4 * threads, parts_));
    workspace.shared = parts_ * part_sums_ * int64_t(sizeof(T));
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& ws) const noexcept override {
    const T *x = static_cast<const T*>(tensors.x), *dy = static_cast<const T*>(tensors.y);
    T *dw = static_cast<T*>(tensors.w), *sums = reinterpret_cast<T*>(ws.shared);
    if (taps_ < problem_.taps()) zero_gradient(problem_, tensors.w);
    parallel_for(parts_ * block_parts_, threads, [&](int64_t task, int) {
      const int64_t part = task / block_parts_, block_part = task % block_parts_;
      const int64_t first = blocks_.count * block_part / block_parts_;
      const int64_t last = blocks_.count * (block_part + 1) / block_parts_;
      std::fill(sums + part * part_sums_ + first * block_sums_, sums + part * part_sums_ + last * block_sums_, T(0));
      for (int64_t strip = strips_ * part / parts_; strip < strips_ * (part + 1) / parts_; strip++)
        add_strip(strip, first, last, x, dy, sums + part * part_sums_);
    });
    for (int64_t part = 1; part < parts_; part++)
      kernel_.add_rows(sums + part * part_sums_, 0, 1, blocks_.count * block_sums_, sums, 0);
    for (int64_t b = 0; b < blocks_.count; b++) store_block(b, sums + b * block_sums_, dw);
  }

 private:
  void add_strip(int64_t strip, int64_t first, int64_t last, const T* x, const T* dy, T* sums) const {
    const int64_t h = strip % strips_h_ * strip_, z = strip / strips_h_ % p_.out[0], n = strip / strips_h_ / p_.out[0];
    const T *row[kStripRows * kMaxRowStep + kMaxTapRows], *rows[kStripRows * kMaxRowStep + kMaxTapRows];
    GroupedPixelSums<T> d{};
    d.row = rows, d.ahead = large_;
    d.width = p_.in[2], d.first = p_.taps[0].at[2], d.pixel = p_.in_stride[2];
    d.depth = p_.channels, d.tap_rows = p_.grid[1], d.row_step = p_.step[1], d.rows = std::min(strip_, p_.out[1] - h);
    d.taps = int(p_.grid[2]), d.step = int(p_.step[2]);
    d.cols = p_.out[2], d.dy_row = p_.out_stride[1], d.dy_pixel = p_.out_stride[2];
    const int64_t reach = d.tap_rows + (d.rows - 1) * d.row_step;
    find_rows(p_, x + n * p_.in_n, z, h, reach, row);
    for (int64_t b = first; b < last; b++) {
      for (int64_t i = 0; i < reach; i++) rows[i] = row[i] ? row[i] + blocks_.channel[size_t(b)] : nullptr;
      d.lanes = blocks_.pixel_lanes(b);
      d.dy = dy + n * p_.out_n + blocks_.first(b) + z * p_.out_stride[0] + h * p_.out_stride[1];
      d.sums = sums + b * block_sums_;
      kernel_.grouped_pixel_sums(d);
    }
  }

  void store_block(int64_t block, const T* sums, T* dw) const {
    const int64_t L = blocks_.lanes;
    T* dst = dw + blocks_.first(block) * p_.w_output;
    bool dense = p_.channels == 1 || p_.w_channel == taps_;
    for (int64_t t = 0; t < taps_; t++) dense = dense && p_.taps[size_t(t)].weight == t;
    if (dense) {
      kernel_.transpose(sums, L, p_.channels * taps_, L, dst, p_.w_output);
      return;
    }
    for (int64_t i = 0; i < p_.channels; i++)
      for (int64_t t = 0; t < taps_; t++)
        for (int64_t l = 0; l < L; l++)
          dst[l * p_.w_output + i * p_.w_channel + p_.taps[size_t(t)].weight] = sums[(i * taps_ + t) * L + l];
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  TapProblem p_;
  ChannelBlocks blocks_;
  bool large_;
  int64_t taps_, block_sums_, part_sums_, strip_, strips_h_, strips_, parts_, block_parts_;
};

template <class T>
std::unique_ptr<ConvPlan> make(const ConvProblem& p) {
  if (p.direction == Direction::weight_gradient) return std::make_unique<GroupedPixelsWeightGradientPlan<T>>(p);
  return std::make_unique<GroupedPixelsPlan<T>>(p);
}

}  // namespace

ChannelBlocks::ChannelBlocks(const TapProblem& p, int l)
    : lanes(l), outputs(p.groups * p.outputs), count(ceil_div(outputs, l)) {
  identity = p.channels == 1 && p.outputs == 1;
  for (int64_t b = 0; b < count; b++) {
    const int64_t group = first(b) / p.outputs;
    channel.push_back(group * p.channels);
    for (int64_t i = 0; i < lanes; i++) order.push_back(int32_t(((first(b) + i) / p.outputs - group) * p.channels));
    span = std::max<int64_t>(span, order.back() + 1);
  }
}

namespace {

bool fits(TapProblem p, int lanes, bool weight) {
  if (p.taps.empty() || p.in_c != 1 || p.out_c != 1 || p.groups * p.outputs < lanes) return false;
  sort_taps(p);
  const int64_t cols = p.grid[2];
  if (p.grid[0] != 1 || p.grid[1] > kMaxTapRows || p.step[1] > kMaxRowStep) return false;
  const bool odd = cols == 3 || cols == 5 || cols == 7;
  if (weight || p.step[2] != 1 ? !odd || p.step[2] > 2 : cols > 7 || cols == 6) return false;
  for (size_t i = 0; i < p.taps.size(); i++)
    for (int a = 0; a < 3; a++)
      if (p.taps[i].at[a] != p.taps[0].at[a] + (a == 1 ? int64_t(i) / cols : a == 2 ? int64_t(i) % cols : 0))
        return false;
  const ChannelBlocks blocks(p, lanes);
  return blocks.identity || (blocks.span <= lanes && cols <= 3);
}

}  // namespace

bool fits_grouped_pixels(const ConvProblem& p) {
  const KernelTable& table = kernel_table(Isa(p.isa));
  const bool weight = p.direction == Direction::weight_gradient;
  ConvProblem q = p;
  if (weight) q.direction = Direction::forward;
  for (const TapProblem& t : tap_problems(q))
    if (!fits(t, p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes, weight)) return false;
  return true;
}

std::unique_ptr<ConvPlan> make_grouped_pixels_plan(const ConvProblem& p) {
  return p.dtype == DType::f32 ? make<float>(p) : make<double>(p);
}

double grouped_pixels_cost(const ConvProblem& p) {
  const KernelTable& table = kernel_table(Isa(p.isa));
  const double lanes = p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes;
  return 1.15 * p.flops() / 2 / lanes;
}

}  // namespace konv
