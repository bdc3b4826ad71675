// Depthwise input gradient of planar data where columns have stride 2. Each phase of the gradient alone would write
// every second element of its rows; here both phases of columns are computed together and leave as whole vectors.
#include <algorithm>
#include <vector>

#include "conv/depthwise.h"
#include "conv/packing.h"
#include "conv/tap_conv.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kBandRows = 32;  // rows of a phase in a task
constexpr int64_t kMaxTapRows = 32;

// The two phases of columns of one phase of rows.
struct Pair {
  TapProblem even, odd;
  int64_t weight_base = 0;
  std::vector<int64_t> weight;  // offsets of a group's weights, in the order of the kernel
  int64_t row_weights() const { return even.grid[2] + odd.grid[2]; }
  void order_weights() {
    for (int64_t row = 0; row < even.grid[1]; row++)
      for (const TapProblem* q : {&even, &odd})
        for (int64_t s = 0; s < q->grid[2]; s++) weight.push_back(q->taps[size_t(row * q->grid[2] + s)].weight);
  }
};

bool consecutive(const TapProblem& p) {
  if (p.taps.empty() || p.grid[0] != 1 || p.grid[1] > kMaxTapRows) return false;
  for (size_t i = 0; i < p.taps.size(); i++)
    for (int a = 0; a < 3; a++)
      if (p.taps[i].at[a] != p.taps[0].at[a] + (a == 1 ? int64_t(i) / p.grid[2] : a == 2 ? int64_t(i) % p.grid[2] : 0))
        return false;
  return true;
}

// One phase has a tap a row more, and the other's taps lie to the right of its first one, or level with it.
bool fits(const Pair& p) {
  const int64_t even = p.even.grid[2], odd = p.odd.grid[2], more = std::max(even, odd);
  if (!consecutive(p.even) || !consecutive(p.odd) || more < 2 || more > 4 || even + odd != 2 * more - 1) return false;
  const int64_t lead = p.odd.taps[0].at[2] - p.even.taps[0].at[2];
  return lead == (even > odd ? 1 : 0) && p.even.taps[0].at[1] == p.odd.taps[0].at[1] && p.even.grid[1] == p.odd.grid[1];
}

template <class T>
class DepthwiseSpreadPlan final : public ConvPlan {
 public:
  DepthwiseSpreadPlan(const ConvProblem& problem, std::vector<Pair> pairs)
      : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))), pairs_(std::move(pairs)) {
    threads = problem.flops() < 1e6 ? 1 : int(problem.threads);
    int64_t weights = 0, rows = 1;
    packed_key = {-1};  // unlike any of the general form
    for (Pair& p : pairs_) {
      add_to_key(taps_key(p.even)), add_to_key(taps_key(p.odd));
      p.weight_base = weights;
      p.order_weights();
      weights += p.even.groups * int64_t(p.weight.size());
      rows = std::max(rows, p.even.out[1]);
    }
    bands_ = ceil_div(rows, kBandRows);
    prepared_bytes = weights * int64_t(sizeof(T));
  }

  // [group][tap row][even taps, odd taps]
  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    for (const Pair& p : pairs_) {
      T* dst = reinterpret_cast<T*>(packed) + p.weight_base;
      for (int64_t g = 0; g < p.even.groups; g++) {
        const T* w = static_cast<const T*>(tensors.w) + g * p.even.w_group;
        for (const int64_t offset : p.weight) *dst++ = w[offset];
      }
    }
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace&) const noexcept override {
    const int64_t tasks = problem_.n * problem_.groups * bands_, grain = std::max<int64_t>(1, tasks / (32 * threads));
    if (leaves_gaps(problem_, 2 * pairs_.size())) zero_gradient(problem_, tensors.x);
    parallel_for(ceil_div(tasks, grain), threads, [&](int64_t chunk, int) {
      for (int64_t task = chunk * grain; task < std::min(tasks, (chunk + 1) * grain); task++)
        for (const Pair& p : pairs_)
          run_band(p, task, static_cast<const T*>(tensors.y), static_cast<T*>(tensors.x),
                   reinterpret_cast<const T*>(packed) + p.weight_base);
    });
  }

 private:
  void run_band(const Pair& pair, int64_t task, const T* dy, T* dx, const T* weights) const {
    const TapProblem& p = pair.even;
    const int64_t h0 = task % bands_ * kBandRows, group = task / bands_ % p.groups, n = task / bands_ / p.groups;
    const T* row[kBandRows + kMaxTapRows];
    DepthwiseSpread<T> d{};
    d.row = row;
    d.width = p.in[2], d.tap_rows = p.grid[1];
    d.first = p.taps[0].at[2];
    d.even_first = p.grid[2] > pair.odd.grid[2], d.taps = int(std::max(p.grid[2], pair.odd.grid[2]));
    d.w = weights + group * d.tap_rows * pair.row_weights();
    d.rows = std::min(kBandRows, p.out[1] - h0), d.cols = p.out[2] + pair.odd.out[2], d.out_pitch = p.out_stride[1];
    d.out = dx + p.out_base + n * p.out_n + group * p.out_c + h0 * d.out_pitch;
    if (d.rows <= 0) return;
    for (int64_t i = 0; i < d.rows + d.tap_rows - 1; i++) {
      const int64_t y = h0 + p.taps[0].at[1] + i;
      row[i] = y >= 0 && y < p.in[1] ? dy + n * p.in_n + group * p.in_c + y * p.in_stride[1] : nullptr;
    }
    kernel_.depthwise_spread(d);
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  std::vector<Pair> pairs_;
  int64_t bands_;
};

// Empty where the problem is not of this kind.
std::vector<Pair> pairs_of(const ConvProblem& p) {
  if (p.direction != Direction::input_gradient || p.stride[2] != 2 || p.k != p.groups || p.in[0] != 1 || p.xs[4] != 1 ||
      p.is_finished() || p.ys[4] != 1 || p.in[2] < 2)
    return {};
  std::vector<TapProblem> phases = tap_problems(p);
  if (phases.size() % 2) return {};
  std::vector<Pair> pairs;
  for (size_t i = 0; i < phases.size(); i += 2) {
    sort_taps(phases[i]), sort_taps(phases[i + 1]);
    if (phases[i + 1].out_base != phases[i].out_base + 1) return {};
    pairs.push_back({std::move(phases[i]), std::move(phases[i + 1]), 0, {}});
    if (!fits(pairs.back())) return {};
  }
  return pairs;
}

}  // namespace

bool fits_depthwise_spread(const ConvProblem& p) { return !pairs_of(p).empty(); }

// Measured: 8 cycles for each vector of the result beside the multiply-adds.
double depthwise_spread_cost(const ConvProblem& p, int64_t lanes) {
  const double vectors = double(p.n * p.c) * double(p.in[1] * ceil_div(p.in[2], lanes));
  return vectors * (double(p.taps()) / double(p.stride[1] * p.stride[2]) + 8);
}

std::unique_ptr<ConvPlan> make_depthwise_spread_plan(const ConvProblem& p) {
  std::vector<Pair> pairs = pairs_of(p);
  if (pairs.empty()) return nullptr;
  if (p.dtype == DType::f32) return std::make_unique<DepthwiseSpreadPlan<float>>(p, std::move(pairs));
  return std::make_unique<DepthwiseSpreadPlan<double>>(p, std::move(pairs));
}

}  // namespace konv
