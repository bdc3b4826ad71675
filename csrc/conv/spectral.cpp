// Convolution with large kernels and few channels by way of spectra: the image is cut into overlapping tiles, whose
// discrete Fourier transforms times that of the filter are those of the result (overlap-save; Oppenheim and Schafer,
// Discrete-Time Signal Processing, section 8.7). Two tiles of a plane are transformed as one of complex values.
//
// Errors are a few eps times the largest magnitudes in a pair of tiles, not around each result alone; a value that is
// not finite spreads over the pair.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "conv/direct.h"
#include "conv/epilogue.h"
#include "conv/few_channels.h"
#include "conv/packing.h"
#include "core/algorithm.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kTileSizes[] = {16, 32, 64, 128, 256, 512};

// How output pixels are cut into tiles, and at what cost.
struct SpectralTiling {
  int64_t size[2];   // of the transform: rows, columns
  int64_t valid[2];  // output pixels of a tile
  int64_t tiles[2];
  double image_cost, filter_cost;
};

// Elements of scratch. Rows of tiles lie a vector more than a multiple of a cache line apart.
struct SpectralScratch {
  int64_t pitch, tile, work, plane;
  SpectralScratch(const SpectralTiling& t, int64_t channels, int64_t lanes)
      : pitch(2 * t.size[0] + std::max<int64_t>(lanes, 16)),
        tile(t.size[1] * pitch),
        work(2 * lanes * std::max(t.size[0], t.size[1] * (channels + 1))),
        plane(t.size[0] * t.size[1]) {}
};

// Planes of a tile on their way in and out; none where rows are read and written in place.
int64_t input_planes(const TapProblem& p) {
  const Lie lie = input_lie(p);
  return lie == Lie::rows ? 0 : lie == Lie::pixels ? p.groups * p.channels : 1;
}
int64_t output_planes(const TapProblem& p, const ConvProblem& conv) {
  const Lie lie = output_lie(p);
  if (lie == Lie::rows && conv.ends_in_registers()) return 0;
  return lie == Lie::pixels ? p.groups * p.outputs : 1;
}
template <class T>
int64_t scratch_bytes(const TapProblem& p, const ConvProblem& conv, const SpectralTiling& t, int64_t lanes) {
  const SpectralScratch s(t, p.channels, lanes);
  const int64_t planes = 2 * (input_planes(p) + output_planes(p, conv));
  const int64_t joined = output_lie(p) == Lie::pixels ? p.groups * p.outputs * t.size[1] : 0;
  return (std::max(p.channels, p.outputs) * s.tile + s.work + planes * s.plane + joined) * int64_t(sizeof(T));
}

struct Span {
  int64_t low, high;
};
Span tap_span(const TapProblem& p, int axis) {
  Span s{p.taps[0].at[axis], p.taps[0].at[axis]};
  for (const Tap& t : p.taps) s.low = std::min(s.low, t.at[axis]), s.high = std::max(s.high, t.at[axis]);
  return s;
}

// Cycles: passes over both dimensions there and back, and the products; elements that are moved one by one.
void set_costs(const TapProblem& p, int64_t lanes, SpectralTiling& t) {
  const double vectors = double(t.size[0] * t.size[1]) / double(lanes), in = double(p.channels),
               out = double(p.outputs);
  const double passes = 6 * std::log2(double(t.size[0] * t.size[1]));
  const double product = 25 * (in * out - 1);
  const double move[] = {0, 8, 6 * double(lanes)};  // a pair of vectors of each Lie
  const double moved = move[int(input_lie(p))] * in + move[int(output_lie(p))] * out;
  const double pairs = double(p.n * p.groups * p.out[0] * ceil_div(t.tiles[0] * t.tiles[1], 2));
  t.image_cost = pairs * vectors * (passes * (in + out) + product + moved);
  t.filter_cost = double(p.groups) * in * out * passes * vectors;
}

// The same whether or not the filters are ready: results depend on the tiles.
template <class T>
std::optional<SpectralTiling> spectral_tiling(const TapProblem& p, const ConvProblem& conv, int64_t lanes) {
  std::optional<SpectralTiling> best;
  const Span span[] = {tap_span(p, 1), tap_span(p, 2)};
  for (int64_t rows : kTileSizes)
    for (int64_t cols : kTileSizes) {
      SpectralTiling t{{rows, cols}, {}, {}, 0, 0};
      for (int i = 0; i < 2; i++) {
        t.valid[i] = t.size[i] - (span[i].high - span[i].low);
        t.tiles[i] = t.valid[i] > 0 ? ceil_div(p.out[1 + i], t.valid[i]) : 0;
      }
      if (t.valid[0] <= 0 || t.valid[1] <= 0 || scratch_bytes<T>(p, conv, t, lanes) > conv.max_workspace) continue;
      set_costs(p, lanes, t);
      if (!best || t.image_cost + t.filter_cost < best->image_cost + best->filter_cost) best = t;
    }
  return best;
}

// The factors of a size, and the twiddle factors between them.
template <class T>
class Axis {
 public:
  explicit Axis(int64_t n) : n_(n) {
    radices_.push_back(8);
    for (n /= 8; n % 8 == 0; n /= 8) radices_.push_back(8);
    if (n > 1) radices_.insert(radices_.begin(), int(n));
    int64_t m = n_;
    for (size_t i = 0; i + 1 < radices_.size(); m /= radices_[i++]) {
      std::vector<T>& table = twiddles_.emplace_back();
      for (int64_t j = 0; j < m / radices_[i]; j++)
        for (int64_t k = 1; k < radices_[i]; k++) {
          const double angle = -2 * 3.14159265358979323846 * double(j * k) / double(m);
          table.push_back(T(std::cos(angle)));
          table.push_back(T(std::sin(angle)));
        }
    }
  }
  SpectralAxis<T> view() const {
    SpectralAxis<T> a{n_, int(radices_.size()), {}, {}};
    std::copy(radices_.begin(), radices_.end(), a.radix);
    for (size_t i = 0; i < twiddles_.size(); i++) a.twiddles[i] = twiddles_[i].data();
    return a;
  }

 private:
  int64_t n_;
  std::vector<int> radices_;
  std::vector<std::vector<T>> twiddles_;
};

template <class T>
struct Stage {
  TapProblem p;
  SpectralTiling t;
  SpectralScratch scratch;
  Axis<T> y, x;
  int64_t low[2];  // of the taps
  int64_t spectrum, spectrum_base = 0, bias_base = 0;
  int64_t groups, pairs, tasks;

  Stage(TapProblem problem, const ConvProblem& conv, int64_t lanes)
      : p(std::move(problem)),
        t(*spectral_tiling<T>(p, conv, lanes)),
        scratch(t, p.channels, lanes),
        y(t.size[0]),
        x(t.size[1]),
        low{tap_span(p, 1).low, tap_span(p, 2).low},
        spectrum(2 * scratch.plane),
        groups(groups_at_once(p)),
        pairs(ceil_div(t.tiles[0] * t.tiles[1], 2)),
        tasks(p.n * (p.groups / groups) * p.out[0] * pairs) {}
  int64_t filters() const { return p.groups * p.outputs * p.channels; }
};

template <class T>
class SpectralPlan final : public ConvPlan {
 public:
  explicit SpectralPlan(const ConvProblem& problem) : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))) {
    threads = problem.flops() < 1e6 ? 1 : int(problem.threads);
    int64_t packed = 0, preparing = 0;
    for (TapProblem& p : tap_problems(problem)) {
      Stage<T>& s = stages_.emplace_back(std::move(p), problem, kernel_.lanes);
      s.spectrum_base = packed;
      s.bias_base = packed + s.filters() * s.spectrum;
      packed = round_up(s.bias_base + s.p.groups * s.p.outputs, 16);
      preparing = std::max(preparing, s.scratch.tile + s.scratch.work + s.scratch.plane);
      workspace.per_thread = std::max(workspace.per_thread, scratch_bytes<T>(s.p, problem, s.t, kernel_.lanes));
      add_to_key({s.t.size[0], s.t.size[1], s.low[0], s.low[1]});
      add_to_key(taps_key(s.p));
    }
    gaps_ = leaves_gaps(problem, stages_.size());
    preparing_base_ = packed, preparing_ = round_up(preparing, 16);
    prepared_bytes = (packed + preparing_ * threads) * int64_t(sizeof(T));
  }

  // [group][output][channel] spectra, then the bias; scratch of the threads that prepare follows.
  void prepare(const ConvTensors& tensors, char* memory) const noexcept override {
    T* packed = reinterpret_cast<T*>(memory);
    for (const Stage<T>& s : stages_) {
      parallel_for(s.filters(), threads, [&](int64_t filter, int thread) {
        prepare_filter(s, filter, static_cast<const T*>(tensors.w), packed + s.spectrum_base + filter * s.spectrum,
                       packed + preparing_base_ + thread * preparing_);
      });
      const T* bias = static_cast<const T*>(tensors.bias);
      for (int64_t k = 0; k < s.p.groups * s.p.outputs; k++) packed[s.bias_base + k] = bias ? bias[k] : T(0);
    }
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    const bool forward = problem_.direction == Direction::forward;
    const Epilogue<T> epilogue(kernel_, problem_, tensors);
    if (gaps_) zero_gradient(problem_, tensors.x);
    for (const Stage<T>& s : stages_) {
      const Call call{static_cast<const T*>(forward ? tensors.x : tensors.y),
                      static_cast<T*>(forward ? tensors.y : tensors.x),
                      reinterpret_cast<const T*>(packed) + s.spectrum_base,
                      reinterpret_cast<const T*>(packed) + s.bias_base, epilogue};
      parallel_for(s.tasks, threads,
                   [&](int64_t task, int thread) { run_pair(s, task, call, reinterpret_cast<T*>(ws.of(thread))); });
    }
  }

 private:
  struct Call {
    const T* in;
    T* out;
    const T *spectra, *bias;
    const Epilogue<T>& epilogue;
  };
  // Output pixels of a tile, none of them where a pair lacks its second.
  struct Tile {
    int64_t h0, w0, rows, cols;
  };

  // Results are correlations: the filter lies mirrored about the tile's origin.
  void prepare_filter(const Stage<T>& s, int64_t filter, const T* weights, T* dst, T* scratch) const {
    const TapProblem& p = s.p;
    const int64_t c = filter % p.channels, o = filter / p.channels % p.outputs, g = filter / p.channels / p.outputs;
    const T* w = weights + g * p.w_group + o * p.w_output + c * p.w_channel;
    const int64_t rows = s.t.size[0], cols = s.t.size[1];
    T *plane = scratch, *tile = plane + s.scratch.plane, *work = tile + s.scratch.tile;
    std::fill(plane, plane + s.scratch.plane, T(0));
    for (const Tap& t : p.taps)
      plane[(s.low[0] - t.at[1] + rows) % rows * cols + (s.low[1] - t.at[2] + cols) % cols] = w[t.weight];
    kernel_.spectral_forward({s.y.view(), cols, {{plane, cols, 0, rows, 0, cols, 0}, {}}, work, tile, s.scratch.pitch});
    kernel_.spectral_filter(s.x.view(), rows, tile, s.scratch.pitch, T(1) / T(rows * cols), dst);
  }

  static Tile tile_of(const Stage<T>& s, int64_t index) {
    const TapProblem& p = s.p;
    if (index >= s.t.tiles[0] * s.t.tiles[1]) return {};
    const int64_t h0 = index / s.t.tiles[1] * s.t.valid[0], w0 = index % s.t.tiles[1] * s.t.valid[1];
    return {h0, w0, std::min(s.t.valid[0], p.out[1] - h0), std::min(s.t.valid[1], p.out[2] - w0)};
  }

  // A pair of tiles, its scratch, and the first element of the image's channels on both sides.
  struct Pair {
    Tile tiles[2];
    T *spectra, *work, *in_planes, *out_planes, *joined;
    const T* in;  // null where the input has no such depth
    T* out;
  };

  void run_pair(const Stage<T>& s, int64_t task, const Call& call, T* scratch) const {
    const TapProblem& p = s.p;
    const int64_t index = task % s.pairs, z = (task /= s.pairs) % p.out[0];
    const int64_t groups = p.groups / s.groups, first = (task /= p.out[0]) % groups * s.groups, n = task / groups;
    const int64_t depth = z * p.step[0] + p.taps[0].at[0];
    const bool inside = depth >= 0 && depth < p.in[0];
    Pair pair{{tile_of(s, 2 * index), tile_of(s, 2 * index + 1)}, scratch, {}, {}, {}, {}, {}, {}};
    pair.work = scratch + std::max(p.channels, p.outputs) * s.scratch.tile;
    pair.in_planes = pair.work + s.scratch.work;
    pair.out_planes = pair.in_planes + 2 * input_planes(p) * s.scratch.plane;
    pair.joined = pair.out_planes + 2 * output_planes(p, problem_) * s.scratch.plane;
    pair.in = inside ? call.in + n * p.in_n + depth * p.in_stride[0] : nullptr;
    pair.out = call.out + p.out_base + n * p.out_n + z * p.out_stride[0];
    for (int i = 0; i < 2 && pair.in && input_lie(p) == Lie::pixels; i++) split_tile(s, pair, i);
    for (int64_t group = first; group < first + s.groups; group++) run_group(s, pair, call, group);
    for (int i = 0; i < 2 && output_lie(p) == Lie::pixels; i++) join_tile(s, pair, call, i);
  }

  void run_group(const Stage<T>& s, const Pair& pair, const Call& call, int64_t group) const {
    const TapProblem& p = s.p;
    for (int64_t c = 0; c < p.channels; c++) {
      SpectralForward<T> f{s.y.view(), s.t.size[1], {}, pair.work, pair.spectra + c * s.scratch.tile, s.scratch.pitch};
      for (int i = 0; i < 2; i++) f.source[i] = source_of(s, pair, i, group * p.channels + c);
      kernel_.spectral_forward(f);
    }
    kernel_.spectral_product({s.x.view(), s.t.size[0], p.channels, p.outputs, pair.spectra, s.scratch.tile,
                              s.scratch.pitch, call.spectra + group * p.outputs * p.channels * s.spectrum, pair.work});
    for (int64_t o = 0; o < p.outputs; o++) store_pair(s, pair, call, o, group * p.outputs + o);
  }

  // The part of a plane that a tile reads, where it lies.
  static SpectralSource<T> part_of(const Stage<T>& s, const Pair& pair, int i, int64_t channel) {
    const TapProblem& p = s.p;
    const Tile& tile = pair.tiles[i];
    if (!pair.in || !tile.rows) return {};
    const int64_t y0 = tile.h0 + s.low[0], x0 = tile.w0 + s.low[1];
    const auto begin = [](int64_t at, int64_t n) { return std::clamp<int64_t>(-at, 0, n); };
    const auto end = [](int64_t at, int64_t size, int64_t n) { return std::clamp<int64_t>(size - at, 0, n); };
    const int64_t rows = s.t.size[0], cols = s.t.size[1];
    SpectralSource<T> r{pair.in + channel * p.in_c + y0 * p.in_stride[1] + x0 * p.in_stride[2],
                        p.in_stride[1],
                        begin(y0, rows),
                        end(y0, p.in[1], rows),
                        begin(x0, cols),
                        end(x0, p.in[2], cols),
                        2 * s.t.valid[1]};
    r.row_end = std::max(r.row_begin, r.row_end), r.col_end = std::max(r.col_begin, r.col_end);
    return r;
  }

  SpectralSource<T> source_of(const Stage<T>& s, const Pair& pair, int i, int64_t channel) const {
    const TapProblem& p = s.p;
    SpectralSource<T> r = part_of(s, pair, i, channel);
    const Lie lie = input_lie(p);
    if (lie == Lie::rows || !r.src) return r;
    const int64_t cols = s.t.size[1], plane = lie == Lie::pixels ? i * p.groups * p.channels + channel : i;
    T* const copy = pair.in_planes + plane * s.scratch.plane;
    if (lie == Lie::scattered)
      for (int64_t y = r.row_begin; y < r.row_end; y++)
        for (int64_t x = r.col_begin; x < r.col_end; x++) copy[y * cols + x] = r.src[y * r.stride + x * p.in_stride[2]];
    r.src = copy, r.stride = cols, r.ahead = 0;
    return r;
  }

  void split_tile(const Stage<T>& s, const Pair& pair, int i) const {
    const int64_t channels = s.p.groups * s.p.channels, cols = s.t.size[1];
    const SpectralSource<T> r = part_of(s, pair, i, 0);
    T* const planes = pair.in_planes + i * channels * s.scratch.plane;
    if (!r.src) return;
    for (int64_t y = r.row_begin; y < r.row_end; y++)
      kernel_.split_pixels(r.src + y * r.stride + r.col_begin * channels, r.col_end - r.col_begin, channels,
                           planes + y * cols + r.col_begin, s.scratch.plane);
  }

  static T* first_pixel(const Stage<T>& s, const Pair& pair, int i, int64_t k) {
    const TapProblem& p = s.p;
    return pair.out + k * p.out_c + pair.tiles[i].h0 * p.out_stride[1] + pair.tiles[i].w0 * p.out_stride[2];
  }

  void store_pair(const Stage<T>& s, const Pair& pair, const Call& call, int64_t o, int64_t k) const {
    const TapProblem& p = s.p;
    const int64_t planes = output_planes(p, problem_), cols = s.t.size[1];
    const bool pixels = output_lie(p) == Lie::pixels;
    SpectralInverse<T> f{s.y.view(), cols,         pair.spectra + o * s.scratch.tile, s.scratch.pitch, pair.work,
                         {},         call.bias[k], problem_.clip_in_registers()};
    for (int i = 0; i < 2; i++) {
      f.target[i] = {first_pixel(s, pair, i, k), p.out_stride[1], pair.tiles[i].rows, pair.tiles[i].cols};
      if (planes) {
        f.target[i].dst = pair.out_planes + (pixels ? i * planes + k : i) * s.scratch.plane;
        f.target[i].stride = cols;
      }
    }
    kernel_.spectral_inverse(f);
    for (int i = 0; i < 2 && planes && !pixels; i++)
      call.epilogue.store_rows(f.target[i].dst, cols, pair.tiles[i].rows, pair.tiles[i].cols,
                               first_pixel(s, pair, i, k), p.out_stride[1], p.out_stride[2]);
  }

  void join_tile(const Stage<T>& s, const Pair& pair, const Call& call, int i) const {
    const TapProblem& p = s.p;
    const int64_t outputs = p.groups * p.outputs, cols = pair.tiles[i].cols;
    const T* const planes = pair.out_planes + i * outputs * s.scratch.plane;
    const bool finished = call.epilogue.in_registers();
    for (int64_t y = 0; y < pair.tiles[i].rows; y++) {
      T* const dst = first_pixel(s, pair, i, 0) + y * p.out_stride[1];
      kernel_.join_pixels(planes + y * s.t.size[1], s.scratch.plane, cols, outputs, finished ? dst : pair.joined);
      if (!finished) call.epilogue.finish(pair.joined, 0, 1, cols * outputs, dst, 0);
    }
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  std::vector<Stage<T>> stages_;
  int64_t preparing_base_, preparing_;  // elements
  bool gaps_;
};

template <class T>
std::optional<SpectralTiling> tiling_of(const TapProblem& p, const ConvProblem& conv) {
  return spectral_tiling<T>(p, conv, kernels<T>(Isa(conv.isa)).lanes);
}
std::optional<SpectralTiling> tiling_of(const TapProblem& p, const ConvProblem& conv) {
  return conv.dtype == DType::f32 ? tiling_of<float>(p, conv) : tiling_of<double>(p, conv);
}

std::string spectral_refusal(const ConvProblem& problem) {
  if (problem.direction == Direction::weight_gradient) return "it computes no weight gradient";
  if (problem.precision == Precision::strict)
    return "precision is 'strict', and its errors are not relative to each result";
  if ((problem.c / problem.groups) * (problem.k / problem.groups) > kMaxFewChannels) return "a group has many channels";
  for (const TapProblem& p : tap_problems(problem)) {
    if (p.step[1] != 1 || p.step[2] != 1) return "it steps over rows or columns";
    if (p.taps.empty()) return "no element of the kernel meets the input";
    if (p.grid[0] != 1) return "the kernel has depth";
    if (!tiling_of(p, problem)) return "no tile for such a kernel fits max_workspace";
  }
  return "";
}

double spectral_cost(const ConvProblem& problem) {
  double cost = 0;
  for (const TapProblem& p : tap_problems(problem)) {
    const SpectralTiling t = *tiling_of(p, problem);
    cost += t.image_cost + (problem.weights_ready ? 0 : t.filter_cost);
  }
  return cost;
}

// Two passes where the weights turn out to be products of a column and a row, spectra otherwise.
class SeparableOrSpectralPlan final : public ConvPlan {
 public:
  SeparableOrSpectralPlan(std::unique_ptr<DirectFilterPlan> separable, std::unique_ptr<ConvPlan> spectral)
      : separable_(std::move(separable)),
        spectral_(std::move(spectral)),
        spectral_base_(round_up(separable_->prepared_bytes, 64)) {
    prepared_bytes = spectral_base_ + spectral_->prepared_bytes;
    packed_key = separable_->packed_key;
    add_to_key(spectral_->packed_key);
    workspace.per_thread = std::max(separable_->workspace.per_thread, spectral_->workspace.per_thread);
    threads = std::max(separable_->threads, spectral_->threads);
  }
  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    separable_->prepare(tensors, packed);
    if (!separable_->separated(packed)) spectral_->prepare(tensors, packed + spectral_base_);
  }
  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    if (separable_->separated(packed))
      separable_->run(tensors, packed, ws);
    else
      spectral_->run(tensors, packed + spectral_base_, ws);
  }

 private:
  std::unique_ptr<DirectFilterPlan> separable_;
  std::unique_ptr<ConvPlan> spectral_;
  int64_t spectral_base_;
};

std::unique_ptr<ConvPlan> make_spectral_plan(const ConvProblem& p) {
  std::unique_ptr<ConvPlan> plan;
  if (p.dtype == DType::f32)
    plan = std::make_unique<SpectralPlan<float>>(p);
  else
    plan = std::make_unique<SpectralPlan<double>>(p);
  std::unique_ptr<DirectFilterPlan> separable =
      p.algorithm < 0 && separable_cost(p) < spectral_cost(p) ? make_separable_plan(p) : nullptr;
  if (!separable) return plan;
  return std::make_unique<SeparableOrSpectralPlan>(std::move(separable), std::move(plan));
}

}  // namespace

extern const Algorithm spectral_algorithm;
const Algorithm spectral_algorithm = {"spectral", spectral_refusal, spectral_cost, make_spectral_plan};

}  // namespace konv
