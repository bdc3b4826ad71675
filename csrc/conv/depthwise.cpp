// Depthwise forward and input gradient, in three forms. Planes: planar data and the usual square kernels with steps of
// 1 or 2, many planes a task, read where they lie, the borders by masked loads. Pixels: channels last, with channels in
// the lanes; only pixels at the border look at each tap. Packed: everything else; a band of one plane at a time is
// packed (padded, split by phase) into scratch.
#include "conv/depthwise.h"

#include <algorithm>
#include <vector>

#include "conv/epilogue.h"
#include "conv/few_channels.h"
#include "conv/grouped_pixels.h"
#include "conv/packing.h"
#include "conv/padding_mode.h"
#include "conv/separable.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kMaxPixelTaps = 256;    // pointers on the stack in the pixels form
constexpr int64_t kBandBytes = 24 << 10;  // of packed input
constexpr int64_t kTaskBytes = 64 << 10;  // of input planes, in the planes form
constexpr int64_t kUnfinished = 4096;     // elements, at least a row, that wait for their epilogue

enum class Form { planes, pixels, packed };

template <class T>
struct Stage {
  TapProblem p;
  Form form = Form::packed;
  int64_t tile_h, tile_w, tiles_h, tiles_w;  // output pixels of a packed band
  int64_t planes, bands, band;               // of the planes form: groups of a task, bands of rows, rows of a band
  InputPacking<T> packing;
  TapProblem padded{};        // of the planes form, where the border repeats the image
  int64_t low = 0, high = 0;  // outputs of a row whose taps all lie inside
  int64_t weight_base = 0, tasks = 0;
  int64_t unfinished = 0;  // output rows, or pixels, that wait at a time for an epilogue beyond registers
  bool weights_in_place;   // the caller's are [group][output][tap] already

  Stage(TapProblem problem, int lanes, int64_t threads, bool in_registers) : p(std::move(problem)) {
    sort_taps(p);
    if (p.in_c == 1 && p.out_c == 1 && p.channels == 1 && p.outputs == 1 && 2 * p.groups >= lanes &&
        int64_t(p.taps.size()) <= kMaxPixelTaps)
      form = Form::pixels;
    else if (is_square() && p.in_stride[2] == 1 &&
             ((p.out_stride[2] == 1 && in_registers) || p.channels * p.grid[0] == 1))
      form = Form::planes;
    tile_w = std::min<int64_t>(p.out[2], 512);
    const int64_t cols = round_up(tile_w, lanes);
    const InputPacking<T> shape(p, true, 1, 1, 1, lanes);
    tile_h = std::min<int64_t>(p.out[1], 8);
    while (tile_h + 8 <= p.out[1] && packed_bytes(shape, tile_h + 8, cols) <= kBandBytes) tile_h += 8;
    tiles_h = ceil_div(p.out[1], tile_h), tiles_w = ceil_div(p.out[2], tile_w);
    packing = InputPacking<T>(p, true, 1, tile_h, cols, lanes);
    low = 0, high = p.out[2];
    for (const Tap& t : p.taps) {
      low = std::max(low, t.at[2] >= 0 ? 0 : ceil_div(-t.at[2], p.step[2]));
      high = std::min(high, p.in[2] <= t.at[2] ? 0 : (p.in[2] - 1 - t.at[2]) / p.step[2] + 1);
    }
    high = std::max(low, high);
    low = std::min(low, p.out[2]), high = std::min(high, p.out[2]);
    weights_in_place = form != Form::pixels && p.channels == 1 && p.w_output == int64_t(p.taps.size()) &&
                       p.w_group == p.outputs * p.w_output;
    for (size_t i = 0; i < p.taps.size(); i++) weights_in_place = weights_in_place && p.taps[i].weight == int64_t(i);
    unfinished = std::max<int64_t>(1, kUnfinished / (form == Form::pixels ? p.groups : cols));
    if (form == Form::planes && p.padding_mode != PaddingMode::zeros) padded = unit_steps(p);
    if (form == Form::pixels)
      tasks = p.n * p.out[0] * p.out[1];
    else if (form == Form::planes)
      tasks = share_planes(threads);
    else
      tasks = p.n * p.groups * p.out[0] * tiles_h * tiles_w;
  }

  // Tasks of several small planes or, where there are few planes, of parts of one.
  int64_t share_planes(int64_t threads) {
    const int64_t slices = p.n * p.out[0], bytes = p.channels * p.in[1] * p.in[2] * int64_t(sizeof(T));
    const int64_t wanted = threads == 1 ? 1 : ceil_div(8 * threads, std::max<int64_t>(1, slices));
    planes = std::clamp<int64_t>(kTaskBytes / std::max<int64_t>(1, bytes), 1, ceil_div(p.groups, wanted));
    bands = std::clamp<int64_t>(ceil_div(p.out[1], 16), 1, ceil_div(wanted, p.groups));
    band = round_up(std::max<int64_t>(1, ceil_div(p.out[1], bands)), 8);
    if (repeats()) {
      const int64_t cols = (p.out[2] - 1) * p.step[2] + 1;
      const InputPacking<T> row(padded, true, 1, p.step[1], cols, 1);
      const int64_t fit = kBandBytes / packed_bytes(row, p.step[1], cols);
      band = std::min(band, std::max<int64_t>(8, fit / 8 * 8));
      packing = InputPacking<T>(padded, true, 1, (band - 1) * p.step[1] + 1, cols, 16);
    }
    bands = ceil_div(p.out[1], band);
    return slices * ceil_div(p.groups, planes) * bands;
  }

  // Whether a band of each plane is packed with its border.
  bool repeats() const { return !padded.taps.empty(); }

  // 3x3, 5x5 or 7x7 kernels on consecutive rows and columns, one for each depth, with equal steps of 1 or 2.
  bool is_square() const {
    const int64_t size = p.grid[2], n = size * size;
    if ((size != 3 && size != 5 && size != 7) || p.grid[1] != size) return false;
    if (p.step[1] != p.step[2] || p.step[1] > 2) return false;
    for (int64_t i = 0; i < p.grid[0] * n; i++) {
      const int64_t *a = p.taps[size_t(i)].at, *first = p.taps[0].at, *depth = p.taps[size_t(i / n * n)].at;
      if (a[0] != depth[0] || a[1] != first[1] + i % n / size || a[2] != first[2] + i % size) return false;
    }
    return true;
  }
};

template <class T>
class DepthwisePlan final : public ConvPlan {
 public:
  explicit DepthwisePlan(const ConvProblem& problem) : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))) {
    threads = problem.flops() < 1e6 ? 1 : int(problem.threads);
    for (TapProblem& p : tap_problems(problem))
      stages_.emplace_back(std::move(p), kernel_.lanes, threads, problem.ends_in_registers());
    gaps_ = leaves_gaps(problem, stages_.size());
    int64_t weights = 0, mine = 0;
    for (Stage<T>& s : stages_) {
      s.weight_base = weights;
      reads_weights = reads_weights || s.weights_in_place || problem.has_bias;
      if (!s.weights_in_place)
        weights += round_up(s.p.groups * s.p.outputs * s.p.channels * int64_t(s.p.taps.size()), 16);
      add_to_key({int64_t(s.weights_in_place), int64_t(s.form == Form::pixels)});
      add_to_key(taps_key(s.p));
      if (s.form == Form::packed)
        mine = std::max(mine, s.packing.size + s.tile_h * round_up(s.tile_w, kernel_.lanes));
      else if (!problem.ends_in_registers() || s.p.out_stride[2] != 1 || s.repeats())
        mine = std::max(mine, (s.repeats() ? s.packing.size : 0) +
                                  s.unfinished * (s.form == Form::pixels ? s.p.groups : s.p.out[2]));
    }
    prepared_bytes = weights * int64_t(sizeof(T));
    workspace.per_thread = mine * int64_t(sizeof(T));
  }

  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    for (const Stage<T>& s : stages_)
      if (!s.weights_in_place)
        pack_weights(s, static_cast<const T*>(tensors.w), reinterpret_cast<T*>(packed) + s.weight_base);
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    const bool forward = problem_.direction == Direction::forward;
    const T* in = static_cast<const T*>(forward ? tensors.x : tensors.y);
    T* out = static_cast<T*>(forward ? tensors.y : tensors.x);
    const Epilogue<T> epilogue(kernel_, problem_, tensors);
    const T* bias = static_cast<const T*>(tensors.bias);
    if (gaps_) zero_gradient(problem_, tensors.x);
    for (const Stage<T>& s : stages_) {
      const T* w =
          s.weights_in_place ? static_cast<const T*>(tensors.w) : reinterpret_cast<const T*>(packed) + s.weight_base;
      // Several small planes make one task.
      const int64_t grain = std::max<int64_t>(1, s.tasks / (32 * threads));
      parallel_for(ceil_div(s.tasks, grain), threads, [&](int64_t chunk, int thread) {
        for (int64_t task = chunk * grain; task < std::min(s.tasks, (chunk + 1) * grain); task++) {
          const Run r{in, out, w, bias, epilogue, reinterpret_cast<T*>(ws.of(thread))};
          if (s.form == Form::pixels)
            run_pixels(s, task, r);
          else if (s.form == Form::planes)
            run_planes(s, task, r);
          else
            run_packed(s, task, r);
        }
      });
    }
  }

 private:
  struct Run {
    const T* in;
    T* out;
    const T *weights, *bias;
    const Epilogue<T>& epilogue;
    T* scratch;
  };

  // [group][output][channel][tap], in the pixels form [tap][group].
  void pack_weights(const Stage<T>& s, const T* w, T* dst) const {
    const int64_t taps = int64_t(s.p.taps.size());
    for (int64_t g = 0; g < s.p.groups; g++)
      for (int64_t o = 0; o < s.p.outputs; o++)
        for (int64_t c = 0; c < s.p.channels; c++)
          for (int64_t t = 0; t < taps; t++) {
            const T v = w[g * s.p.w_group + o * s.p.w_output + c * s.p.w_channel + s.p.taps[size_t(t)].weight];
            dst[s.form == Form::pixels ? t * s.p.groups + g : ((g * s.p.outputs + o) * s.p.channels + c) * taps + t] =
                v;
          }
  }

  void run_planes(const Stage<T>& s, int64_t task, const Run& run) const {
    const TapProblem& p = s.p;
    const int64_t parts = ceil_div(p.groups, s.planes), taps = int64_t(p.taps.size());
    const int64_t h0 = task % s.bands * s.band, group = (task /= s.bands) % parts * s.planes;
    const int64_t z = (task /= parts) % p.out[0], n = task / p.out[0];
    DepthwisePlanes<T> d{};
    d.size = int(p.grid[2]), d.step = int(p.step[1]);
    d.in_plane = p.channels * p.in_c, d.in_pitch = p.in_stride[1], d.width = p.in[2];
    d.first_row = d.step * h0 + p.taps[0].at[1], d.first_col = p.taps[0].at[2];
    d.w_plane = p.outputs * p.channels * taps, d.bias_plane = p.outputs;
    d.out_plane = p.outputs * p.out_c, d.out_pitch = p.out_stride[1];
    d.planes = std::min(s.planes, p.groups - group), d.rows = std::min(s.band, p.out[1] - h0), d.cols = p.out[2];
    const int64_t sums = p.channels * p.grid[0];  // of each output, one for each channel and depth
    for (int64_t o = 0; o < p.outputs; o++)
      for (int64_t i = 0; i < sums; i++) {
        const int64_t k = group * p.outputs + o, c = i / p.grid[0], depth = i % p.grid[0] * d.size * d.size;
        const int64_t iz = z * p.step[0] + p.taps[size_t(depth)].at[0];
        d.height = iz >= 0 && iz < p.in[0] ? p.in[1] : 0;
        d.in = run.in + n * p.in_n + (group * p.channels + c) * p.in_c + iz * p.in_stride[0];
        d.w = run.weights + (k * p.channels + c) * taps + depth;
        d.bias = run.bias ? run.bias + k : nullptr;
        d.out = run.out + p.out_base + n * p.out_n + k * p.out_c + z * p.out_stride[0] + h0 * p.out_stride[1];
        d.clip = i + 1 == sums ? problem_.clip_in_registers() : Clip::none;
        d.accumulate = i > 0;
        if (s.repeats()) {
          run_repeated(s, d, run.in + n * p.in_n + (group * p.channels + c) * p.in_c, depth, z, h0, run);
          continue;
        }
        if (run.epilogue.in_registers() && p.out_stride[2] == 1)
          kernel_.depthwise_planes(d);
        else
          run_unfinished(s, d, run);
      }
  }

  // Plane by plane, each packed with its border.
  void run_repeated(const Stage<T>& s, const DepthwisePlanes<T>& all, const T* plane, int64_t depth, int64_t z,
                    int64_t h0, const Run& run) const {
    DepthwisePlanes<T> d = all;
    Run rest = run;
    rest.scratch += s.packing.size;
    d.planes = 1, d.first_row = d.first_col = 0;
    d.in = run.scratch + s.packing.tap_off[size_t(depth)], d.in_pitch = s.packing.row;
    d.height = (all.rows - 1) * d.step + d.size, d.width = (all.cols - 1) * d.step + d.size;
    for (int64_t k = 0; k < all.planes; k++) {
      const PackRegion<T> region =
          s.packing.region(s.padded, plane + k * all.in_plane, 1, z * s.p.step[0], h0 * s.p.step[1], 0, run.scratch);
      kernel_.pack_planes(region);
      mend_border(s.p.padding_mode, region, true);
      d.w = all.w + k * all.w_plane, d.bias = all.bias ? all.bias + k * all.bias_plane : nullptr;
      d.out = all.out + k * all.out_plane;
      if (run.epilogue.in_registers() && s.p.out_stride[2] == 1)
        kernel_.depthwise_planes(d);
      else
        run_unfinished(s, d, rest);
    }
  }

  // For results that are not just stored: some planes, or some rows of one, at a time, finished while in the cache.
  void run_unfinished(const Stage<T>& s, const DepthwisePlanes<T>& all, const Run& run) const {
    const int64_t rows = std::min(s.unfinished, all.rows), planes = rows < all.rows ? 1 : s.unfinished / rows;
    DepthwisePlanes<T> d = all;
    d.out = run.scratch, d.out_pitch = d.cols;
    for (int64_t k = 0; k < all.planes; k += planes)
      for (int64_t r = 0; r < all.rows; r += rows) {
        d.in = all.in + k * all.in_plane, d.w = all.w + k * all.w_plane;
        d.bias = all.bias ? all.bias + k * all.bias_plane : nullptr;
        d.first_row = all.first_row + d.step * r;
        d.planes = std::min(planes, all.planes - k), d.rows = std::min(rows, all.rows - r);
        d.out_plane = d.rows * d.cols;
        kernel_.depthwise_planes(d);
        T* const dst = all.out + k * all.out_plane + r * all.out_pitch;
        if (all.out_pitch == d.cols && s.p.out_stride[2] == 1)
          run.epilogue.finish(run.scratch, d.out_plane, d.planes, d.out_plane, dst, all.out_plane);
        else
          for (int64_t i = 0; i < d.planes; i++)
            run.epilogue.store_rows(run.scratch + i * d.out_plane, d.cols, d.rows, d.cols, dst + i * all.out_plane,
                                    all.out_pitch, s.p.out_stride[2]);
      }
  }

  void run_packed(const Stage<T>& s, int64_t task, const Run& run) const {
    const TapProblem& p = s.p;
    const int64_t w0 = task % s.tiles_w * s.tile_w, h0 = (task /= s.tiles_w) % s.tiles_h * s.tile_h;
    const int64_t z = (task /= s.tiles_h) % p.out[0], group = (task /= p.out[0]) % p.groups, n = task / p.groups;
    const int64_t rows = std::min(s.tile_h, p.out[1] - h0), cols = std::min(s.tile_w, p.out[2] - w0);
    const int64_t taps = int64_t(p.taps.size());
    T *packed = run.scratch, *tile = packed + s.packing.size;
    for (int64_t c = 0; c < p.channels; c++) {
      const T* plane = run.in + n * p.in_n + (group * p.channels + c) * p.in_c;
      const PackRegion<T> region = s.packing.region(p, plane, 1, z, h0, w0, packed);
      kernel_.pack_planes(region);
      mend_border(p.padding_mode, region, true);
      for (int64_t o = 0; o < p.outputs; o++) {
        const int64_t k = group * p.outputs + o;
        T* dst = run.out + p.out_base + n * p.out_n + k * p.out_c + z * p.out_stride[0] + h0 * p.out_stride[1] +
                 w0 * p.out_stride[2];
        const bool unit = p.out_stride[2] == 1 && run.epilogue.in_registers(), last = c + 1 == p.channels;
        DepthwisePlane<T> d{};
        d.src = packed, d.row_pitch = s.packing.row;
        d.w = run.weights + (k * p.channels + c) * taps, d.tap = s.packing.tap_off.data(), d.taps = taps;
        d.out = unit ? dst : tile, d.out_pitch = unit ? p.out_stride[1] : s.tile_w;
        d.rows = rows, d.cols = cols;
        d.bias = run.bias ? run.bias[k] : T(0);
        d.clip = last ? problem_.clip_in_registers() : Clip::none;
        d.accumulate = c > 0;
        if (!unit && c > 0 && run.epilogue.in_registers()) exchange(p, dst, tile, s.tile_w, rows, cols, false);
        kernel_.depthwise_plane(d);
        if (!run.epilogue.in_registers() && !last) continue;  // there is one output: its sums stay in the tile
        if (!run.epilogue.in_registers())
          run.epilogue.store_rows(tile, s.tile_w, rows, cols, dst, p.out_stride[1], p.out_stride[2]);
        else if (p.out_stride[2] == 2)
          kernel_.spread_rows(tile, s.tile_w, rows, cols, dst, p.out_stride[1]);
        else if (!unit)
          exchange(p, dst, tile, s.tile_w, rows, cols, true);
      }
    }
  }

  // Between a contiguous tile and strided output pixels.
  static void exchange(const TapProblem& p, T* dst, T* tile, int64_t ld, int64_t rows, int64_t cols, bool to_output) {
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = 0; c < cols; c++) {
        T& a = dst[r * p.out_stride[1] + c * p.out_stride[2]];
        T& b = tile[r * ld + c];
        if (to_output)
          a = b;
        else
          b = a;
      }
  }

  void run_pixels(const Stage<T>& s, int64_t task, const Run& r) const {
    const TapProblem& p = s.p;
    const int64_t h = task % p.out[1], z = task / p.out[1] % p.out[0], n = task / p.out[1] / p.out[0];
    const T* src[kMaxPixelTaps];
    DepthwisePixels<T> d{};
    d.src = src, d.taps = int64_t(p.taps.size()), d.pixel_step = p.step[2] * p.in_stride[2];
    d.w = r.weights, d.w_pitch = p.groups;
    d.channels = p.groups;
    d.bias = r.bias, d.clip = problem_.clip_in_registers();
    const auto run = [&](int64_t first, int64_t pixels) {
      for (int64_t t = 0; t < d.taps; t++) {
        const int64_t at[3] = {z * p.step[0] + p.taps[size_t(t)].at[0], h * p.step[1] + p.taps[size_t(t)].at[1],
                               first * p.step[2] + p.taps[size_t(t)].at[2]};
        int64_t offset = n * p.in_n;
        bool inside = true;
        for (int a = 0; a < 3; a++) {
          const int64_t from = source_of(p.padding_mode, at[a], p.in[a]);
          inside = inside && from >= 0;
          offset += from * p.in_stride[a];
        }
        src[t] = inside ? r.in + offset : nullptr;
      }
      T* dst = r.out + p.out_base + n * p.out_n + z * p.out_stride[0] + h * p.out_stride[1] + first * p.out_stride[2];
      const bool finished = r.epilogue.in_registers();
      d.out = finished ? dst : r.scratch, d.out_pitch = finished ? p.out_stride[2] : p.groups;
      d.pixels = pixels;
      kernel_.depthwise_pixels(d);
      if (!finished) r.epilogue.finish(r.scratch, p.groups, pixels, p.groups, dst, p.out_stride[2]);
    };
    for (int64_t i = 0; i < s.low; i++) run(i, 1);
    const int64_t step = r.epilogue.in_registers() ? p.out[2] : s.unfinished;
    for (int64_t i = s.low; i < s.high; i += step) run(i, std::min(step, s.high - i));
    for (int64_t i = std::max(s.low, s.high); i < p.out[2]; i++) run(i, 1);
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  std::vector<Stage<T>> stages_;
  bool gaps_;
};

// In planes a multiplication a cycle, loads beside it and more of them where columns are taken apart. Otherwise a load
// for each multiplication, half of it hidden; filling bands, pixel by pixel where they are not contiguous.
template <class T>
double depthwise_cost(const ConvProblem& conv, int lanes) {
  if (conv.direction == Direction::weight_gradient) {
    const double in = double(conv.n * conv.c) * double(conv.in[0] * conv.in[1] * conv.in[2]);
    const double out = double(conv.n * conv.k) * double(conv.out_pixels());
    const bool rows = conv.xs[4] == 1 && conv.ys[4] == 1, pixels = conv.xs[1] == 1 && conv.ys[1] == 1;
    return 1.5 * conv.flops() / 2 / lanes + (rows || pixels ? 3 * in / lanes : 2 * (in + out));
  }
  double cost = 0;
  for (TapProblem& problem : tap_problems(conv)) {
    const Stage<T> s(std::move(problem), lanes, 1, conv.ends_in_registers());
    const TapProblem& p = s.p;
    const double planes = double(p.n * p.out[0]), rows = double(p.out[1]);
    if (s.form == Form::pixels) {
      cost += 1.5 * planes * rows * double(p.out[2] * int64_t(p.taps.size()) * ceil_div(p.groups, lanes));
      continue;
    }
    const double row = double(ceil_div(p.out[2], lanes) * p.channels * p.groups) * planes;
    if (s.form == Form::planes) {
      const double size = double(p.grid[2]), loads = p.step[2] == 1 ? 4.5 : 5.5 * size;
      cost += row * rows * double(p.outputs * p.grid[0]) * (size * size + loads);
      continue;
    }
    cost += row * rows * double(p.outputs) * (1.5 * double(p.taps.size()) + 12);
    cost += (p.in_stride[2] == 1 ? 3 : 3 * lanes) * row * double(p.in[1]);
  }
  return cost;
}
double own_cost(const ConvProblem& p) {
  const KernelTable& table = kernel_table(Isa(p.isa));
  if (fits_depthwise_spread(p))
    return depthwise_spread_cost(p, p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes);
  const double cost =
      p.dtype == DType::f32 ? depthwise_cost<float>(p, table.f32.lanes) : depthwise_cost<double>(p, table.f64.lanes);
  // Filters of images are often products of a column and a row, which the direct algorithm finds out.
  const bool image = p.xs[4] == 1 && p.c <= kMaxInterleaved && worth_separating(p.kernel[1], p.kernel[2]);
  return image ? 1.25 * cost : cost;
}

// Whether channels become the lanes: on channels-last data, and on planes so small that their rows leave lanes empty.
bool by_pixels(const ConvProblem& p) {
  if (!fits_grouped_pixels(p)) return false;
  if (p.xs[1] == 1) return p.padding_mode == PaddingMode::zeros;
  const bool phases = p.direction == Direction::input_gradient && p.stride[2] > 1;
  return p.direction != Direction::weight_gradient && !phases && grouped_pixels_cost(p) < own_cost(p);
}

double depthwise_cost(const ConvProblem& p) { return by_pixels(p) ? grouped_pixels_cost(p) : own_cost(p); }

std::unique_ptr<ConvPlan> make_depthwise_plan(const ConvProblem& p) {
  if (by_pixels(p)) return make_grouped_pixels_plan(p);
  if (auto plan = make_depthwise_spread_plan(p)) return plan;
  if (p.direction == Direction::weight_gradient) return make_depthwise_weight_gradient_plan(p);
  if (p.dtype == DType::f32) return std::make_unique<DepthwisePlan<float>>(p);
  return std::make_unique<DepthwisePlan<double>>(p);
}

}  // namespace

extern const Algorithm depthwise_algorithm;
const Algorithm depthwise_algorithm = {
    "depthwise",
    [](const ConvProblem& p) { return p.is_depthwise() ? std::string() : std::string("groups differ from channels"); },
    depthwise_cost, make_depthwise_plan, true};

}  // namespace konv
