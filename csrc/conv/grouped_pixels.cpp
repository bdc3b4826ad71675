// Narrow groups with output channels in the lanes: forward and input gradient. Depthwise problems on channels-last data
// are read and written where they lie. With several channels a group each pixel is read once for each of them: rows are
// packed first, channels-last ones into aligned vectors that do not crowd into few cache sets. Planes are transposed,
// by rows or, where they are small, whole.
#include "conv/grouped_pixels.h"

#include <numeric>

#include "conv/epilogue.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kBandRows = 8;  // output rows of a task, where it does not take whole planes

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
  for (size_t t = 0; t < p.taps.size(); t++) {
    int64_t& place = offset[size_t(p.taps[t].weight)];
    if (place >= 0) return {};  // elements that share memory
    place = int64_t(t) * lanes;
  }
  return offset;
}

const Tap& tap_row(const TapProblem& p, int64_t depth, int64_t row) {
  return p.taps[size_t((depth * p.grid[1] + row) * p.grid[2])];
}
bool has_neighbouring_rows(const TapProblem& p) {
  for (int64_t i = 0; i < p.grid[1]; i++)
    if (tap_row(p, 0, i).at[1] != p.taps[0].at[1] + i) return false;
  return true;
}
// Whether two rows of output can share the rows that both read.
bool joins_rows(const TapProblem& p) { return p.grid[0] == 1 && has_neighbouring_rows(p); }
int64_t column_distance(const TapProblem& p) { return p.grid[2] > 1 ? p.taps[1].at[2] - p.taps[0].at[2] : 1; }

// Taps that lie apart read every so many pixels: the columns of output fall into phases, each a convolution of its own
// with taps side by side on some of the columns of input.
struct ColumnPhase {
  int64_t in, pixels, first, width;  // the first column of input, their distance, the first that is read, their number
  int64_t out, out_step, cols;
  int64_t step;
};
// With `border` columns before the image and `width` in all.
std::vector<ColumnPhase> column_phases(const TapProblem& p, int64_t border, int64_t width) {
  const int64_t apart = column_distance(p), shared = std::gcd(p.step[2], apart), count = apart / shared;
  std::vector<ColumnPhase> phases;
  for (int64_t out = 0; out < std::min(count, p.out[2]); out++) {
    const int64_t at = out * p.step[2] + p.taps[0].at[2] + border, first = at >= 0 ? at / apart : -ceil_div(-at, apart);
    const int64_t in = at - first * apart;
    phases.push_back({in, apart, first, std::max<int64_t>(0, ceil_div(width - in, apart)), out, count,
                      ceil_div(p.out[2] - out, count), p.step[2] / shared});
  }
  return phases;
}

template <class T>
struct Stage {
  TapProblem p;
  ChannelBlocks blocks;
  std::vector<int64_t> offsets;      // see element_offsets
  std::vector<ColumnPhase> columns;  // of the rows that the first stage of a phase packs
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
  explicit GroupedPixelsPlan(const ConvProblem& problem) : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))) {
    const bool forward = problem.direction == Direction::forward;
    threads = problem.flops() < 1e6 ? 1 : int(problem.threads);
    width_ = forward ? problem.out[2] : problem.in[2], pixel_step_ = forward ? 1 : problem.stride[2];
    int64_t weights = 0, rows = 1, stages = 0;
    for (TapProblem& p : tap_problems(problem)) {
      Stage<T> s(std::move(p), problem, kernel_.lanes);
      s.weight_base = weights, stages++;
      weights += s.blocks.count * s.block_weights;
      rows = std::max(rows, s.p.out[1]), depth_ = std::max(depth_, s.p.out[0]);
      blocks_ = s.blocks.count;
      packs_ = !s.blocks.identity || s.p.in_c != 1 || s.p.padding_mode != PaddingMode::zeros;
      if (!joins_rows(s.p)) at_once_ = 1;
      in_place_ = s.p.out_c == 1 && problem.ends_in_registers();
      add_to_key(taps_key(s.p));
      const bool same_rows = !phases_.empty() && std::equal(s.p.phase, s.p.phase + 2, phases_.back()[0].p.phase);
      if (!same_rows) phases_.emplace_back();
      phases_.back().push_back(std::move(s));
    }
    for (Phase& phase : phases_) {
      const RepeatedBorder border(phase[0].p, 2);
      for (Stage<T>& s : phase) {
        s.columns = column_phases(s.p, border.low, phase[0].p.in[2] + border.size());
        packed_ = std::max(packed_, BlockRows<T>::scratch_size(s.p, s.blocks, at_once_));
      }
    }
    if (!packs_) packed_ = 0;
    gaps_ = leaves_gaps(problem, size_t(stages));
    prepared_bytes = weights * int64_t(sizeof(T));
    reads_weights = problem.has_bias;
    if (packs_ && rows * width_ <= kWholePlane) tile_rows_ = band_rows_ = round_up(rows, 2);
    workspace.per_thread = (packed_ + (in_place_ ? 0 : tile_rows_ * width_ * kernel_.lanes)) * int64_t(sizeof(T));
    bands_ = ceil_div(rows, band_rows_);
    // The last block may write channels of the one before it, and stays with it.
    const int64_t apart = std::max<int64_t>(1, blocks_ - 1);
    block_parts_ = threads == 1 ? 1 : std::min(apart, ceil_div(4 * threads, problem.n * depth_ * bands_));
  }

  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    for (const auto& phase : phases_)
      for (const Stage<T>& s : phase)
        for (int64_t b = 0; b < blocks_; b++)
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
      for (const auto& phase : phases_)
        if (z < phase[0].p.out[0])
          run_band(phase, r, n, z, band * band_rows_, part, reinterpret_cast<T*>(ws.of(thread)));
    });
  }

 private:
  using Phase = std::vector<Stage<T>>;  // the phases of columns of one phase of rows
  struct Run {
    const T* in;
    T* out;
    const T *weights, *bias;
    const Epilogue<T>& epilogue;
  };

  void run_band(const Phase& phase, const Run& run, int64_t n, int64_t z, int64_t h0, int64_t part, T* scratch) const {
    const TapProblem& p = phase[0].p;
    const ChannelBlocks& blocks = phase[0].blocks;
    const int64_t apart = std::max<int64_t>(1, blocks_ - 1), end = apart * (part + 1) / block_parts_;
    const int64_t first = apart * part / block_parts_, last = end == apart ? blocks_ : end;
    const int64_t h1 = std::min(p.out[1], h0 + band_rows_);
    BlockRows<T> rows(kernel_, p, blocks, at_once_, packs_ ? scratch : nullptr);
    T* tile = scratch + packed_;
    if (packs_) {  // packed rows of one block serve the whole band
      for (int64_t b = first; b < last; b++) {
        rows.start(run.in, n, z, b);
        for (int64_t h = h0; h < h1; h += tile_rows_)
          run_tile(phase, run, n, z, h, std::min(h1, h + tile_rows_), b, b + 1, rows, tile);
      }
      return;
    }
    const int64_t together = in_place_ ? last - first : 1;
    for (int64_t h = h0; h < h1; h += 2)
      for (int64_t b = first; b < last; b += together) {
        rows.start(run.in, n, z, b);
        run_tile(phase, run, n, z, h, std::min(h1, h + 2), b, b + together, rows, tile);
      }
  }

  T* output(const Run& run, const TapProblem& p, int64_t n, int64_t z, int64_t h, int64_t channel) const {
    return run.out + p.out_base + n * p.out_n + z * p.out_stride[0] + h * p.out_stride[1] + channel * p.out_c;
  }

  // Output rows [h, h1) of blocks [block, end), which may be several where all is in place.
  void run_tile(const Phase& phase, const Run& run, int64_t n, int64_t z, int64_t h, int64_t h1, int64_t block,
                int64_t end, BlockRows<T>& rows, T* tile) const {
    const ChannelBlocks& blocks = phase[0].blocks;
    const TapProblem& p = phase[0].p;
    const int64_t L = blocks.lanes, k0 = blocks.first(block);
    if (!in_place_ && int64_t(phase.size()) < std::min(pixel_step_, width_))
      std::fill_n(tile, tile_rows_ * width_ * L, T(0));
    for (int64_t i = h; i < h1; i += at_once_)
      run_rows(phase, run, n, z, i, block, end, rows, tile + (i - h) * width_ * L);
    if (in_place_) return;
    const int64_t again = block * L - k0;  // lanes that the block before has written
    const int64_t pixel = p.out_stride[2] / pixel_step_;
    T* const dst = output(run, p, n, z, h, k0 + again) - p.phase[2] * pixel;
    const bool joined = p.out_stride[1] == width_ * pixel;
    const int64_t pixels = joined ? (h1 - h) * width_ : width_, step = joined ? h1 - h : 1;
    for (int64_t r = 0; r < h1 - h; r += step)
      run.epilogue.store(tile + r * width_ * L + again, L, pixels, L - again, dst + r * p.out_stride[1], pixel,
                         p.out_c);
  }

  // Output row h, or rows h and h + 1, of these blocks.
  void run_rows(const Phase& phase, const Run& run, int64_t n, int64_t z, int64_t h, int64_t block, int64_t end,
                BlockRows<T>& rows, T* tile) const {
    const ChannelBlocks& blocks = phase[0].blocks;
    const int64_t L = blocks.lanes, k0 = blocks.first(block);
    const TapProblem& q = phase[0].p;
    const T *found[kMaxTapRows + kMaxRowStep], *row[kMaxTapRows + kMaxRowStep];
    GroupedPixels<T> d{};
    d.row = row;
    d.channels = blocks.first(end - 1) + L - k0;
    d.depth = q.channels, d.tap_rows = q.grid[0] * q.grid[1], d.row_step = q.step[1];
    d.rows = std::min(at_once_, q.out[1] - h);
    d.lane = blocks.lane(block), d.wide = blocks.width > L;
    d.bias = run.bias ? run.bias + k0 : nullptr;
    d.clip = problem_.clip_in_registers();
    const int64_t count = d.tap_rows + (d.rows - 1) * d.row_step;
    for (int64_t i = 0; i < count; i++) {
      const int64_t depth = at_once_ == 1 ? i / q.grid[1] : 0, tap = at_once_ == 1 ? i % q.grid[1] : 0;
      found[i] = rows.find(depth, h * q.step[1] + tap_row(q, depth, tap).at[1] + (at_once_ == 1 ? 0 : i));
    }
    for (const Stage<T>& s : phase)
      for (const ColumnPhase& c : s.columns) {
        d.taps = int(s.p.grid[2]), d.step = int(c.step), d.first = c.first, d.width = c.width;
        d.pixel = c.pixels * rows.pixel();
        for (int64_t i = 0; i < count; i++) row[i] = found[i] ? found[i] + c.in * rows.pixel() : nullptr;
        d.w = run.weights + s.weight_base + block * s.block_weights, d.block_weights = s.block_weights;
        d.cols = c.cols;
        d.out = in_place_ ? output(run, s.p, n, z, h, k0) : tile + s.p.phase[2] * L;
        d.out_pixel = in_place_ ? s.p.out_stride[2] : pixel_step_ * L;
        d.out += c.out * d.out_pixel, d.out_pixel *= c.out_step;
        d.out_row = in_place_ ? s.p.out_stride[1] : width_ * L;
        kernel_.grouped_pixels(d);
      }
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  std::vector<Phase> phases_;
  bool gaps_, packs_ = false, in_place_ = true;
  int64_t at_once_ = 2;                            // output rows that share the rows they read
  int64_t tile_rows_ = 2, band_rows_ = kBandRows;  // output rows that are stored together, and of a task
  int64_t width_, pixel_step_, packed_ = 0, depth_ = 1, bands_, blocks_ = 1, block_parts_;
};

bool fits(TapProblem p, int lanes, bool weight) {
  if (p.taps.empty() || p.groups * p.outputs < lanes) return false;
  if ((p.in_c == 1) != (p.out_c == 1)) return false;  // planes, unless both are channels last
  if (p.in_c != 1 && (p.in_stride[2] != 1 || (weight && p.out_stride[2] != 1))) return false;
  sort_taps(p);
  const int64_t cols = p.grid[2], apart = column_distance(p), step = p.step[2] / std::gcd(p.step[2], apart);
  if (p.grid[0] * p.grid[1] > kMaxTapRows || p.step[1] > kMaxRowStep) return false;
  const bool odd = cols == 3 || cols == 5 || cols == 7;
  if (weight || step != 1 ? !odd || step > 2 : cols > 7 || cols == 6) return false;
  if (weight && (!has_neighbouring_rows(p) || apart != 1)) return false;
  for (size_t i = 0; i < p.taps.size(); i++) {
    const Tap& row = tap_row(p, int64_t(i) / (p.grid[1] * cols), int64_t(i) / cols % p.grid[1]);
    const int64_t at[3] = {row.at[0], p.taps[i / size_t(cols) % size_t(p.grid[1]) * size_t(cols)].at[1],
                           p.taps[0].at[2] + int64_t(i) % cols * apart};
    if (!std::equal(at, at + 3, p.taps[i].at)) return false;
  }
  const ChannelBlocks blocks(p, lanes);
  return blocks.identity ? !weight || p.in_c == 1 : blocks.span <= lanes && cols <= 3;
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
    width = std::max(width, channels(b, p.channels));
  }
}

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
  if (p.direction == Direction::weight_gradient) return make_grouped_pixels_weight_gradient_plan(p);
  if (p.dtype == DType::f32) return std::make_unique<GroupedPixelsPlan<float>>(p);
  return std::make_unique<GroupedPixelsPlan<double>>(p);
}

// The multiplications, where the loads and permutations of strided rows weigh more, and moving planes into the lanes
// and back; in cycles a vector.
double grouped_pixels_cost(const ConvProblem& p) {
  const KernelTable& table = kernel_table(Isa(p.isa));
  const double lanes = p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes;
  const double in = double(p.n) * double(p.c) * double(p.in[0] * p.in[1] * p.in[2]) / lanes;
  const double out = double(p.n) * double(p.k) * double(p.out_pixels()) / lanes;
  const double move = p.xs[1] == 1 ? 2.5 : 6;
  return (p.stride[2] == 1 ? 1.1 : 1.3) * p.flops() / 2 / lanes + move * (in + out);
}

}  // namespace konv
