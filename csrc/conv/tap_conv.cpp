#include "conv/tap_conv.h"

#include <algorithm>

namespace konv {

namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// Kernel elements along one axis that reach input positions congruent to `phase`, with the offset of the output
// gradient that each one reads.
struct AxisTap {
  int64_t element, at;
};
std::vector<AxisTap> gradient_taps(const ConvProblem& p, int axis, int64_t phase) {
  std::vector<AxisTap> r;
  for (int64_t e = 0; e < p.kernel[axis]; e++) {
    const int64_t position = phase + p.pad[axis] - e * p.dilation[axis];
    if (position % p.stride[axis] == 0) r.push_back({e, position / p.stride[axis]});
  }
  return r;
}

}  // namespace

std::vector<TapProblem> tap_problems(const ConvProblem& p) {
  TapProblem t{};
  t.n = p.n;
  t.groups = p.groups;
  std::vector<TapProblem> all;
  if (p.direction == Direction::forward) {
    t.channels = p.c / p.groups;
    t.outputs = p.k / p.groups;
    std::copy_n(p.in, 3, t.in);
    std::copy_n(p.out, 3, t.out);
    std::copy_n(p.stride, 3, t.step);
    t.in_n = p.xs[0], t.in_c = p.xs[1], std::copy_n(p.xs + 2, 3, t.in_stride);
    t.out_n = p.ys[0], t.out_c = p.ys[1], std::copy_n(p.ys + 2, 3, t.out_stride);
    std::copy_n(p.kernel, 3, t.grid);
    t.w_group = t.outputs * p.ws[0], t.w_output = p.ws[0], t.w_channel = p.ws[1];
    for (int64_t z = 0; z < p.kernel[0]; z++)
      for (int64_t y = 0; y < p.kernel[1]; y++)
        for (int64_t x = 0; x < p.kernel[2]; x++)
          t.taps.push_back({{z * p.dilation[0] - p.pad[0], y * p.dilation[1] - p.pad[1], x * p.dilation[2] - p.pad[2]},
                            z * p.ws[2] + y * p.ws[3] + x * p.ws[4]});
    all.push_back(std::move(t));
    return all;
  }
  t.channels = p.k / p.groups;
  t.outputs = p.c / p.groups;
  std::copy_n(p.out, 3, t.in);
  std::fill_n(t.step, 3, 1);
  t.in_n = p.ys[0], t.in_c = p.ys[1], std::copy_n(p.ys + 2, 3, t.in_stride);
  t.out_n = p.xs[0], t.out_c = p.xs[1];
  t.w_group = t.channels * p.ws[0], t.w_output = p.ws[1], t.w_channel = p.ws[0];
  for (int i = 0; i < 3; i++) t.out_stride[i] = p.xs[2 + i] * p.stride[i];
  for (int64_t pz = 0; pz < std::min(p.stride[0], p.in[0]); pz++)
    for (int64_t py = 0; py < std::min(p.stride[1], p.in[1]); py++)
      for (int64_t px = 0; px < std::min(p.stride[2], p.in[2]); px++) {
        const int64_t phase[3] = {pz, py, px};
        TapProblem q = t;
        q.out_base = 0;
        for (int i = 0; i < 3; i++) {
          q.out[i] = (p.in[i] - phase[i] + p.stride[i] - 1) / p.stride[i];
          q.out_base += phase[i] * p.xs[2 + i];
        }
        const auto tz = gradient_taps(p, 0, pz), ty = gradient_taps(p, 1, py), tx = gradient_taps(p, 2, px);
        if (tz.empty() || ty.empty() || tx.empty()) continue;
        q.grid[0] = int64_t(tz.size()), q.grid[1] = int64_t(ty.size()), q.grid[2] = int64_t(tx.size());
        for (const AxisTap& z : tz)
          for (const AxisTap& y : ty)
            for (const AxisTap& x : tx)
              q.taps.push_back(
                  {{z.at, y.at, x.at}, z.element * p.ws[2] + y.element * p.ws[3] + x.element * p.ws[4]});
        all.push_back(std::move(q));
      }
  return all;
}

TapAxis tap_axis(const TapProblem& p, int axis) {
  TapAxis a;
  const int64_t step = p.step[axis];
  bool first = true;
  for (const Tap& t : p.taps) {
    const int64_t q = floor_div(t.at[axis], step), phase = t.at[axis] - q * step;
    a.low = first ? q : std::min(a.low, q);
    a.high = first ? q : std::max(a.high, q);
    first = false;
    auto it = std::find(a.phases.begin(), a.phases.end(), phase);
    a.tap_phase.push_back(it - a.phases.begin());
    if (it == a.phases.end()) a.phases.push_back(phase);
    a.tap_index.push_back(q);
  }
  for (int64_t& q : a.tap_index) q -= a.low;
  if (a.phases.empty()) a.phases.push_back(0);
  return a;
}

bool can_read_in_place(const TapProblem& p) {
  if (p.taps.size() != 1) return false;
  for (int i = 0; i < 3; i++)
    if (p.taps[0].at[i] < 0 || (p.out[i] - 1) * p.step[i] + p.taps[0].at[i] >= p.in[i]) return false;
  return true;
}

void flatten_pixels(TapProblem& p) {
  if (!can_read_in_place(p)) return;
  // Without padding the single tap's position is an offset of the input, whose size no longer matters.
  for (int i = 0; i < 3; i++)
    if (p.step[i] != 1 || p.taps[0].at[i] != 0 || p.in[i] != p.out[i]) return;
  const auto join = [&](int outer) {
    if (p.out[2] == 1) p.in_stride[2] = p.in_stride[outer], p.out_stride[2] = p.out_stride[outer];
    const bool joins = p.out[outer] == 1 || (p.in_stride[outer] == p.in[2] * p.in_stride[2] &&
                                             p.out_stride[outer] == p.out[2] * p.out_stride[2]);
    if (!joins || p.out[outer] == 1) return p.out[outer] == 1;
    p.in[2] *= p.in[outer];
    p.out[2] = p.in[2];
    p.in[outer] = p.out[outer] = 1;
    return true;
  };
  if (!join(1) || !join(0)) return;
  const bool images = p.n > 1 && p.in_n == p.in[2] * p.in_stride[2] && p.out_n == p.out[2] * p.out_stride[2];
  if (images) {
    p.in[2] *= p.n;
    p.out[2] = p.in[2];
    p.n = 1;
  }
}

TapRows tap_rows_inside(const TapProblem& p, int64_t h) {
  TapRows r{0, p.grid[0] * p.grid[1]};
  if (p.grid[0] != 1) return r;
  const auto inside = [&](int64_t row) {
    const int64_t at = h * p.step[1] + p.taps[size_t(row * p.grid[2])].at[1];
    return at >= 0 && at < p.in[1];
  };
  while (r.first < r.last && !inside(r.first)) r.first++;
  while (r.last > r.first && !inside(r.last - 1)) r.last--;
  return r;
}

bool leaves_gaps(const ConvProblem& p) {
  for (int i = 0; i < 3; i++)
    for (int64_t phase = 0; phase < std::min(p.stride[i], p.in[i]); phase++)
      if (gradient_taps(p, i, phase).empty()) return true;
  return false;
}

namespace {

template <class T>
void zero_input_gradient_(const ConvProblem& p, T* x) {
  for (int64_t n = 0; n < p.n; n++)
    for (int64_t c = 0; c < p.c; c++)
      for (int64_t z = 0; z < p.in[0]; z++)
        for (int64_t y = 0; y < p.in[1]; y++) {
          T* row = x + n * p.xs[0] + c * p.xs[1] + z * p.xs[2] + y * p.xs[3];
          for (int64_t i = 0; i < p.in[2]; i++) row[i * p.xs[4]] = 0;
        }
}

}  // namespace

void zero_input_gradient(const ConvProblem& p, void* x) {
  if (p.dtype == DType::f32)
    zero_input_gradient_(p, static_cast<float*>(x));
  else
    zero_input_gradient_(p, static_cast<double*>(x));
}

}  // namespace konv
