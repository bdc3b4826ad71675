// Direct convolution with few channels, for image filters of any size: rows are read where they lie, pixels of a row
// are the lanes, and a strip of output rows stays in registers through all columns of the kernel. Interleaved pixels
// are taken apart into planes, row by row, in a ring of the rows that a strip reads.
//
// Where the weights turn out to be products of a column and a row, the row is applied first, in a ring again.
#include "conv/direct.h"

#include <algorithm>
#include <string>
#include <vector>

#include "conv/direct_weight_gradient.h"
#include "conv/epilogue.h"
#include "conv/few_channels.h"
#include "conv/packing.h"
#include "conv/separable.h"
#include "core/algorithm.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kBandRows = 32;  // output rows of a task, about

template <class T>
struct Stage {
  TapProblem p;
  Lie in, out;
  int64_t groups, channels, outputs;  // of a task: pixels need all groups at once
  int64_t taps, dy;                   // rows of the kernel, and the distance between them
  int64_t strip, band, bands, tasks;
  int64_t table;                      // row pointers of one channel and depth
  std::vector<FilterColumn> columns;  // of one output: channels, depths, columns
  std::vector<int64_t> weight_order;  // where the packed weights of a channel come from
  int64_t low = 0, high = 0, weight_base = 0, bias_base = 0;
  int64_t line;  // elements of a row in scratch
  int64_t ring_rows = 0, ring_size = 0, sums_size = 0;
  // Kernels that may be products: elements of their factors, and of rows to which only the row is applied.
  bool separable;
  int64_t factors = 0, factors_base = 0, filtered_rows, filtered_size = 0;

  Stage(TapProblem problem, const ConvProblem& conv, int filter_rows)
      : p(std::move(problem)), in(input_lie(p)), out(output_lie(p)) {
    groups = groups_at_once(p);
    channels = groups * p.channels, outputs = groups * p.outputs;
    std::sort(p.taps.begin(), p.taps.end(),
              [](const Tap& a, const Tap& b) { return std::lexicographical_compare(a.at, a.at + 3, b.at, b.at + 3); });
    taps = p.grid[1];
    dy = taps > 1 ? tap(0, 1, 0).at[1] - tap(0, 0, 0).at[1] : 1;
    strip = filter_rows;
    separable = p.channels == 1 && p.grid[0] == 1 && worth_separating(p.grid[1], p.grid[2]);
    // Two passes do the rows between bands twice.
    const auto band_for = [&](int64_t threads) {
      const int64_t share = p.out[1] / (2 * threads), wanted = separable ? std::min(share, 2 * taps) : 0;
      return round_up(std::max(kBandRows, wanted), strip);
    };
    band = band_for(conv.threads);
    int64_t largest = band_for(1) + taps - 1 + strip;  // decides what fits, whatever the threads
    bands = ceil_div(ceil_div(p.out[1], dy), band);
    tasks = p.n * p.out[0] * dy * bands * (p.groups / groups);
    table = band + taps - 1 + strip;
    for (int64_t c = 0; c < p.channels; c++)
      for (int64_t z = 0; z < p.grid[0]; z++)
        for (int64_t x = 0; x < p.grid[2]; x++) columns.push_back({(c * p.grid[0] + z) * table, tap(z, 0, x).at[2]});
    for (int64_t z = 0; z < p.grid[0]; z++)
      for (int64_t x = 0; x < p.grid[2]; x++)
        for (int64_t y = 0; y < taps; y++) weight_order.push_back(tap(z, y, x).weight);
    if (!p.taps.empty()) low = p.taps[0].at[2], high = p.taps.back().at[2];
    line = round_up(std::max(p.in[2], p.out[2]), 64 / int64_t(sizeof(T)));
    if (in != Lie::rows) ring_rows = strip + taps - 1, ring_size = ring_rows * p.grid[0] * channels * line;
    // Rows of sums, and a row of pixels that waits for its activation.
    if (out == Lie::pixels)
      sums_size = (strip + 1) * outputs * line;
    else if (out == Lie::scattered || !conv.ends_in_registers())
      sums_size = strip * line;
    filtered_rows = strip + taps - 1;
    if (!separable) return;
    filtered_size = outputs * filtered_rows * line;
    std::swap(table, largest);
    separable = thread_bytes() <= conv.max_workspace;
    std::swap(table, largest);
    if (separable)
      factors = 1 + taps + p.grid[2];
    else
      filtered_size = 0;
  }

  const Tap& tap(int64_t z, int64_t y, int64_t x) const { return p.taps[size_t((z * p.grid[1] + y) * p.grid[2] + x)]; }
  // Rows of pointers: one for each channel and depth.
  int64_t sets_of_group() const { return p.channels * p.grid[0]; }
  int64_t sets_of_task() const { return channels * p.grid[0]; }
  int64_t weights_of_output() const { return int64_t(columns.size()) * taps; }
  int64_t thread_bytes() const {
    const int64_t tables = sets_of_task() + (filtered_size ? outputs : 0);
    return tables * table * int64_t(sizeof(T*)) + (ring_size + sums_size + filtered_size) * int64_t(sizeof(T));
  }
};

template <class T>
class DirectPlan final : public DirectFilterPlan {
 public:
  explicit DirectPlan(const ConvProblem& problem) : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))) {
    threads = problem.flops() < 1e6 ? 1 : int(problem.threads);
    int64_t weights = 0, mine = 0;
    for (TapProblem& p : tap_problems(problem)) {
      Stage<T>& s = stages_.emplace_back(std::move(p), problem, kernel_.filter_rows_at_once);
      s.weight_base = weights;
      s.bias_base = weights + s.p.groups * s.p.outputs * s.weights_of_output();
      s.factors_base = s.bias_base + s.p.groups * s.p.outputs;
      weights = round_up(s.factors_base + s.p.groups * s.p.outputs * s.factors, 16);
      packed_key.push_back(s.factors);
      add_to_key(taps_key(s.p));
      mine = std::max(mine, s.thread_bytes());
    }
    gaps_ = leaves_gaps(problem, stages_.size());
    prepared_bytes = weights * int64_t(sizeof(T));
    workspace.per_thread = mine;
  }

  // [group][output][channel, depth, column][row], then the bias, then for each output whether its kernel is a product,
  // and of which column and row.
  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    for (const Stage<T>& s : stages_) {
      T* dst = reinterpret_cast<T*>(packed) + s.weight_base;
      for (int64_t g = 0; g < s.p.groups; g++)
        for (int64_t o = 0; o < s.p.outputs; o++)
          for (int64_t c = 0; c < s.p.channels; c++) {
            const T* w = static_cast<const T*>(tensors.w) + g * s.p.w_group + o * s.p.w_output + c * s.p.w_channel;
            for (const int64_t offset : s.weight_order) *dst++ = w[offset];
          }
      const T* bias = static_cast<const T*>(tensors.bias);
      for (int64_t k = 0; k < s.p.groups * s.p.outputs; k++) *dst++ = bias ? bias[k] : T(0);
      const T* w = reinterpret_cast<const T*>(packed) + s.weight_base;
      for (int64_t k = 0; s.separable && k < s.p.groups * s.p.outputs; k++, dst += s.factors)
        dst[0] = separate(w + k * s.weights_of_output(), s.taps, s.p.grid[2], dst + 1, dst + 1 + s.taps);
    }
  }

  bool separated(const char* packed) const override {
    for (const Stage<T>& s : stages_)
      if (!separated(s, reinterpret_cast<const T*>(packed) + s.factors_base, 0, s.p.groups * s.p.outputs)) return false;
    return true;
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    const bool forward = problem_.direction == Direction::forward;
    const Epilogue<T> epilogue(kernel_, problem_, tensors);
    if (gaps_) zero_gradient(problem_, tensors.x);
    for (const Stage<T>& s : stages_) {
      const Call call{
          static_cast<const T*>(forward ? tensors.x : tensors.y), static_cast<T*>(forward ? tensors.y : tensors.x),
          reinterpret_cast<const T*>(packed) + s.weight_base,     reinterpret_cast<const T*>(packed) + s.bias_base,
          reinterpret_cast<const T*>(packed) + s.factors_base,    epilogue};
      const int64_t grain = std::max<int64_t>(1, s.tasks / (32 * threads));  // several small planes make one task
      parallel_for(ceil_div(s.tasks, grain), threads, [&](int64_t chunk, int thread) {
        for (int64_t task = chunk * grain; task < std::min(s.tasks, (chunk + 1) * grain); task++)
          run_task(s, task, call, ws.of(thread));
      });
    }
  }

 private:
  struct Call {
    const T* in;
    T* out;
    const T *weights, *bias, *factors;
    const Epilogue<T>& epilogue;
  };
  static bool separated(const Stage<T>& s, const T* factors, int64_t first, int64_t last) {
    if (!s.separable) return false;
    for (int64_t k = first; k < last; k++)
      if (factors[k * s.factors] == T(0)) return false;
    return true;
  }

  // Output rows h0, h0 + dy, ..., `rows` of them, at depth z of image n.
  struct Band {
    int64_t n, group, z, h0, rows;
    const T** table;
    const T** filtered_table;  // of each output
    T *ring, *sums, *filtered;
    bool separated;
  };

  void run_task(const Stage<T>& s, int64_t task, const Call& call, char* scratch) const {
    const TapProblem& p = s.p;
    Band b;
    const int64_t first = task % s.bands * s.band, phase = (task /= s.bands) % s.dy;
    b.z = (task /= s.dy) % p.out[0], task /= p.out[0];
    const int64_t groups = p.groups / s.groups;
    b.group = task % groups * s.groups, b.n = task / groups;
    b.h0 = phase + first * s.dy;
    if (b.h0 >= p.out[1]) return;
    b.rows = std::min(s.band, ceil_div(p.out[1] - b.h0, s.dy));
    b.ring = reinterpret_cast<T*>(scratch), b.sums = b.ring + s.ring_size;
    b.filtered = b.sums + s.sums_size;
    b.table = reinterpret_cast<const T**>(b.filtered + s.filtered_size);
    b.filtered_table = b.table + s.sets_of_task() * s.table;
    b.separated = separated(s, call.factors, b.group * p.outputs, (b.group + s.groups) * p.outputs);
    fill_table(s, b, call.in);
    if (b.separated) fill_filtered_table(s, b);
    const int64_t step = b.separated || s.ring_size + s.sums_size ? s.strip : b.rows;
    for (int64_t r = 0; r < b.rows; r += step) {
      const int64_t rows = std::min(step, b.rows - r);
      if (s.in != Lie::rows) fill_ring(s, b, call.in, r, rows);
      for (int64_t g = 0; g < s.groups; g++) run_rows(s, b, call, b.group + g, r, rows);
      if (s.out == Lie::pixels) join_sums(s, b, call, r, rows);
    }
  }

  // Depth z of the input that a band reads, or -1 outside it; the rows that lie inside.
  static int64_t depth_at(const Stage<T>& s, const Band& b, int64_t z) {
    const int64_t at = b.z * s.p.step[0] + s.tap(z, 0, 0).at[0];
    return at >= 0 && at < s.p.in[0] ? at : -1;
  }
  struct Rows {
    int64_t first, step;  // row i of the band is first + i * step
    int64_t begin, end;
  };
  static Rows rows_of(const Stage<T>& s, const Band& b) {
    const int64_t first = b.h0 + (s.p.taps.empty() ? 0 : s.p.taps[0].at[1]);
    const int64_t ahead = b.rows == s.band ? s.strip : 0, all = b.rows + s.taps - 1 + ahead;
    const int64_t begin = first < 0 ? std::min(all, ceil_div(-first, s.dy)) : 0;
    const int64_t end = first < s.p.in[1] ? std::min(all, (s.p.in[1] - 1 - first) / s.dy + 1) : 0;
    return {first, s.dy, begin, std::max(begin, end)};
  }
  static T* ring_row(const Stage<T>& s, const Band& b, int64_t z, int64_t i) {
    return b.ring + (z * s.ring_rows + i % s.ring_rows) * s.channels * s.line;
  }

  void fill_table(const Stage<T>& s, const Band& b, const T* in) const {
    const TapProblem& p = s.p;
    const Rows rows = rows_of(s, b);
    const int64_t used = b.rows + s.taps - 1 + s.strip, pitch = rows.step * p.in_stride[1];
    const T** table = b.table;
    for (int64_t set = 0; set < s.sets_of_task(); set++, table += s.table) {
      const int64_t z = set % p.grid[0], c = set / p.grid[0], depth = depth_at(s, b, z);
      const int64_t begin = depth < 0 ? used : rows.begin, end = depth < 0 ? used : rows.end;
      std::fill(table, table + begin, nullptr);
      if (s.in != Lie::rows) {
        for (int64_t i = begin; i < end; i++) table[i] = ring_row(s, b, z, i) + c * s.line;
      } else {
        const T* row = in + b.n * p.in_n + (b.group * p.channels + c) * p.in_c + depth * p.in_stride[0] +
                       (rows.first + begin * rows.step) * p.in_stride[1];
        for (int64_t i = begin; i < end; i++, row += pitch) table[i] = row;
      }
      std::fill(table + end, table + used, nullptr);
    }
  }

  // Takes apart the rows of input that the strip from output row r reads and the one before did not.
  void fill_ring(const Stage<T>& s, const Band& b, const T* in, int64_t r, int64_t rows) const {
    const TapProblem& p = s.p;
    const Rows in_rows = rows_of(s, b);
    const int64_t begin = std::max(r ? r + s.taps - 1 : 0, in_rows.begin);
    const int64_t end = std::min(r + rows + s.taps - 1, in_rows.end);
    for (int64_t z = 0; z < p.grid[0]; z++) {
      const int64_t depth = depth_at(s, b, z);
      if (depth < 0) continue;
      const T* plane = in + b.n * p.in_n + b.group * p.channels * p.in_c + depth * p.in_stride[0];
      for (int64_t i = begin; i < end; i++) {
        const T* row = plane + (in_rows.first + i * in_rows.step) * p.in_stride[1];
        T* dst = ring_row(s, b, z, i);
        if (s.in == Lie::pixels) {
          kernel_.split_pixels(row, p.in[2], s.channels, dst, s.line);
          continue;
        }
        for (int64_t c = 0; c < s.channels; c++)
          for (int64_t j = 0; j < p.in[2]; j++) dst[c * s.line + j] = row[c * p.in_c + j * p.in_stride[2]];
      }
    }
  }

  static T* out_row(const Stage<T>& s, const Band& b, T* out, int64_t i) {
    const TapProblem& p = s.p;
    return out + p.out_base + b.n * p.out_n + b.z * p.out_stride[0] + (b.h0 + i * s.dy) * p.out_stride[1];
  }

  void join_sums(const Stage<T>& s, const Band& b, const Call& call, int64_t r, int64_t rows) const {
    const int64_t channels = s.outputs, cols = s.p.out[2];
    T* const joined = b.sums + s.strip * channels * s.line;
    for (int64_t i = 0; i < rows; i++) {
      T* dst = out_row(s, b, call.out, r + i);
      const bool finished = call.epilogue.in_registers();
      kernel_.join_pixels(b.sums + i * channels * s.line, s.line, cols, channels, finished ? dst : joined);
      if (!finished) call.epilogue.finish(joined, 0, 1, cols * channels, dst, 0);
    }
  }

  static T* filtered_row(const Stage<T>& s, const Band& b, int64_t output, int64_t i) {
    return b.filtered + (output * s.filtered_rows + i % s.filtered_rows) * s.line;
  }

  void fill_filtered_table(const Stage<T>& s, const Band& b) const {
    const int64_t used = b.rows + s.taps - 1 + s.strip;
    for (int64_t o = 0; o < s.outputs; o++)
      for (int64_t i = 0; i < used; i++)
        b.filtered_table[o * s.table + i] = b.table[o / s.p.outputs * s.table + i] ? filtered_row(s, b, o, i) : nullptr;
  }

  // Applies the row of a kernel to the rows of input that the strip from output row r reads and the one before did not,
  // and turns f into the column's filter of them.
  void filter_rows_first(const Stage<T>& s, const Band& b, const Call& call, int64_t k, int64_t r,
                         FilterRows<T>& f) const {
    const int64_t output = k - b.group * s.p.outputs, end = r + f.rows + s.taps - 1;
    const T* const factors = call.factors + k * s.factors;
    FilterRows<T> row = f;
    row.w = factors + 1 + s.taps, row.taps = 1, row.bias = 0, row.clip = Clip::none, row.out_pitch = s.line;
    for (int64_t i = r ? r + s.taps - 1 : 0; i < end; i += row.rows) {
      row.row = f.row + i - r, row.out = filtered_row(s, b, output, i);
      row.rows = std::min(end - i, s.filtered_rows - i % s.filtered_rows);
      kernel_.filter_rows(row);
    }
    static constexpr FilterColumn kColumn{0, 0};
    f.row = b.filtered_table + output * s.table + r;
    f.column = &kColumn, f.columns = 1, f.low = f.high = 0;
    f.width = s.p.out[2], f.w = factors + 1;
  }

  void run_rows(const Stage<T>& s, const Band& b, const Call& call, int64_t group, int64_t r, int64_t rows) const {
    const TapProblem& p = s.p;
    const int64_t pitch = s.dy * p.out_stride[1];
    FilterRows<T> f{};
    f.row = b.table + (group - b.group) * s.sets_of_group() * s.table + r;
    f.width = p.in[2];
    f.column = s.columns.data(), f.columns = int64_t(s.columns.size()), f.taps = s.taps;
    f.low = s.low, f.high = s.high;
    f.rows = rows, f.cols = p.out[2];
    f.clip = problem_.clip_in_registers();
    for (int64_t o = 0; o < p.outputs; o++) {
      const int64_t k = group * p.outputs + o;
      T* const dst = out_row(s, b, call.out, r) + k * p.out_c;
      f.w = call.weights + k * s.weights_of_output();
      f.bias = call.bias[k];
      f.out = dst, f.out_pitch = pitch;
      if (s.out == Lie::pixels)
        f.out = b.sums + k * s.line, f.out_pitch = s.outputs * s.line;
      else if (s.sums_size)
        f.out = b.sums, f.out_pitch = s.line;
      FilterRows<T> pass = f;
      if (b.separated) filter_rows_first(s, b, call, k, r, pass);
      kernel_.filter_rows(pass);
      if (s.sums_size && s.out != Lie::pixels)
        call.epilogue.store_rows(b.sums, s.line, rows, p.out[2], dst, pitch, p.out_stride[2]);
    }
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  std::vector<Stage<T>> stages_;
  bool gaps_;
};

std::unique_ptr<ConvPlan> make_direct_plan(const ConvProblem& p) {
  if (p.direction == Direction::weight_gradient) return make_direct_weight_gradient_plan(p);
  if (p.dtype == DType::f32) return std::make_unique<DirectPlan<float>>(p);
  return std::make_unique<DirectPlan<double>>(p);
}

std::string direct_refusal(const ConvProblem& problem) {
  if (problem.direction == Direction::weight_gradient) return direct_weight_gradient_refusal(problem);
  if ((problem.c / problem.groups) * (problem.k / problem.groups) > kMaxFewChannels) return "a group has many channels";
  ConvProblem alone = problem;  // by one thread, which needs the most
  alone.threads = 1;
  for (const TapProblem& p : tap_problems(problem)) {
    if (p.step[1] != 1 || p.step[2] != 1) return "it steps over rows or columns";
    const KernelTable& table = kernel_table(Isa(problem.isa));
    const int64_t bytes = problem.dtype == DType::f32
                              ? Stage<float>(p, alone, table.f32.filter_rows_at_once).thread_bytes()
                              : Stage<double>(p, alone, table.f64.filter_rows_at_once).thread_bytes();
    if (bytes > problem.max_workspace) return "max_workspace is less than the rows of a strip";
  }
  return "";
}

// A multiplication a vector and cycle, where a strip has all of its rows and vectors; triangles of rows at the ends of
// each column of the kernel; pointers to all rows; moving input and output.
double direct_cost(const ConvProblem& problem) {
  if (problem.direction == Direction::weight_gradient) return direct_weight_gradient_cost(problem);
  const KernelTable& table = kernel_table(Isa(problem.isa));
  const int64_t lanes = problem.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes;
  double cost = 0;
  for (const TapProblem& p : tap_problems(problem)) {
    const double outputs = double(p.n * p.groups * p.outputs * p.out[0]);
    const double vectors = double(p.out[1] * ceil_div(p.out[2], lanes));
    const double columns = double(p.channels * p.grid[0] * p.grid[2]);
    cost += outputs * vectors * (columns * (double(p.grid[1]) + 0.8) + 3);
    cost += double(p.n * p.groups * p.channels * p.out[0]) * (80 + 8 * double(p.out[1]));
    const double move[] = {0, 4, 3 * double(lanes)};  // a vector of each Lie
    const double moved = move[int(input_lie(p))] * double(p.channels) +
                         (p.out_stride[2] == 2 ? 4 : move[int(output_lie(p))]) * double(p.outputs);
    cost += double(p.n * p.out[0] * p.groups) * vectors * moved;
  }
  return cost;
}

}  // namespace

std::unique_ptr<DirectFilterPlan> make_separable_plan(const ConvProblem& p) {
  if (!direct_refusal(p).empty() || p.c != p.groups) return nullptr;
  if (!worth_separating(p.kernel[1], p.kernel[2])) return nullptr;
  if (p.dtype == DType::f32) return std::make_unique<DirectPlan<float>>(p);
  return std::make_unique<DirectPlan<double>>(p);
}

// Each vector that the row's pass loads serves one multiplication, and most lie across two cache lines.
double separable_cost(const ConvProblem& p) {
  const KernelTable& table = kernel_table(Isa(p.isa));
  const int64_t lanes = p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes;
  const bool forward = p.direction == Direction::forward;
  const int64_t* size = forward ? p.out : p.in;
  const double vectors = double(p.n * (forward ? p.k : p.c) * size[0] * size[1] * ceil_div(size[2], lanes));
  return vectors * (double(p.kernel[1]) + 2.5 * double(p.kernel[2]) + 12);
}

extern const Algorithm direct_algorithm;
const Algorithm direct_algorithm = {"direct", direct_refusal, direct_cost, make_direct_plan};

}  // namespace konv
