#include "conv/tap_conv.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/parallel.h"
#include "core/rounding.h"

namespace konv {

namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

// A kernel element along one axis, and the offset at which it reads.
struct AxisTap {
  int64_t element, at;
};

// Whether some output reads inside the input, however far from the image the kernel reaches.
bool meets_input(AxisTap tap, int64_t in, int64_t out, int64_t step) {
  return tap.at < in && tap.at + (out - 1) * step >= 0;
}

std::vector<AxisTap> forward_taps(const ConvProblem& p, int axis) {
  std::vector<AxisTap> r;
  for (int64_t e = 0; e < p.kernel[axis]; e++) {
    const AxisTap tap{e, e * p.dilation[axis] - p.pad[axis]};
    if (p.padding_mode != PaddingMode::zeros || meets_input(tap, p.in[axis], p.out[axis], p.stride[axis]))
      r.push_back(tap);
  }
  return r;
}

// Elements that reach input positions congruent to `phase`, of which there are `count`, with the offset of the output
// gradient that each one reads.
std::vector<AxisTap> gradient_taps(const ConvProblem& p, int axis, int64_t phase, int64_t count) {
  std::vector<AxisTap> r;
  for (int64_t e = 0; e < p.kernel[axis]; e++) {
    const int64_t position = phase + p.pad[axis] - e * p.dilation[axis];
    const AxisTap tap{e, position / p.stride[axis]};
    if (position % p.stride[axis] == 0 && meets_input(tap, p.out[axis], count, 1)) r.push_back(tap);
  }
  return r;
}

void set_grid(TapProblem& t, const ConvProblem& p, const std::vector<AxisTap> (&axis)[3]) {
  const bool empty = axis[0].empty() || axis[1].empty() || axis[2].empty();
  for (int i = 0; i < 3; i++) t.grid[i] = empty ? 0 : int64_t(axis[i].size());
  for (const AxisTap& z : axis[0])
    for (const AxisTap& y : axis[1])
      for (const AxisTap& x : axis[2])
        t.taps.push_back({{z.at, y.at, x.at}, z.element * p.ws[2] + y.element * p.ws[3] + x.element * p.ws[4]});
}

int64_t phase_count(const ConvProblem& p, int axis) { return std::min(p.stride[axis], p.in[axis]); }

}  // namespace

std::vector<TapProblem> tap_problems(const ConvProblem& p) {
  TapProblem t{};
  t.n = p.n;
  t.groups = p.groups;
  std::vector<TapProblem> all;
  if (p.direction == Direction::forward) {
    t.padding_mode = p.padding_mode;
    t.channels = p.c / p.groups;
    t.outputs = p.k / p.groups;
    std::copy_n(p.in, 3, t.in);
    std::copy_n(p.out, 3, t.out);
    std::copy_n(p.stride, 3, t.step);
    t.in_n = p.xs[0], t.in_c = p.xs[1], std::copy_n(p.xs + 2, 3, t.in_stride);
    t.out_n = p.ys[0], t.out_c = p.ys[1], std::copy_n(p.ys + 2, 3, t.out_stride);
    t.w_group = t.outputs * p.ws[0], t.w_output = p.ws[0], t.w_channel = p.ws[1];
    set_grid(t, p, {forward_taps(p, 0), forward_taps(p, 1), forward_taps(p, 2)});
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
  for (int64_t z = 0; z < phase_count(p, 0); z++)
    for (int64_t y = 0; y < phase_count(p, 1); y++)
      for (int64_t x = 0; x < phase_count(p, 2); x++) {
        const int64_t phase[3] = {z, y, x};
        TapProblem q = t;
        std::copy_n(phase, 3, q.phase);
        std::vector<AxisTap> taps[3];
        for (int i = 0; i < 3; i++) {
          q.out[i] = (p.in[i] - phase[i] + p.stride[i] - 1) / p.stride[i];
          q.out_base += phase[i] * p.xs[2 + i];
          taps[i] = gradient_taps(p, i, phase[i], q.out[i]);
        }
        if ((taps[0].empty() || taps[1].empty() || taps[2].empty()) && !p.is_finished()) continue;
        set_grid(q, p, taps);
        all.push_back(std::move(q));
      }
  return all;
}

TapProblem forward_problem(ConvProblem p) {
  p.direction = Direction::forward;
  return std::move(tap_problems(p)[0]);
}

std::vector<int64_t> taps_key(const TapProblem& p) {
  std::vector<int64_t> key(p.grid, p.grid + 3);
  for (const Tap& t : p.taps) {
    key.push_back(t.weight);
    for (int i = 0; i < 3; i++) key.push_back(t.at[i] - floor_div(t.at[i], p.step[i]) * p.step[i]);
  }
  return key;
}

void sort_taps(TapProblem& p) {
  std::sort(p.taps.begin(), p.taps.end(),
            [](const Tap& a, const Tap& b) { return std::lexicographical_compare(a.at, a.at + 3, b.at, b.at + 3); });
}

bool leaves_gaps(const ConvProblem& p, size_t problems) {
  return p.direction == Direction::input_gradient &&
         int64_t(problems) < phase_count(p, 0) * phase_count(p, 1) * phase_count(p, 2);
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
  for (const Tap& t : p.taps)
    for (int i = 0; i < 3; i++)
      if (t.at[i] < 0 || (p.out[i] - 1) * p.step[i] + t.at[i] >= p.in[i]) return false;
  return !p.taps.empty();
}

void flatten_pixels(TapProblem& p) {
  if (p.taps.size() != 1 || !can_read_in_place(p)) return;
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
  if (p.grid[0] != 1 || p.padding_mode != PaddingMode::zeros) return r;
  const auto inside = [&](int64_t row) {
    const int64_t at = h * p.step[1] + p.taps[size_t(row * p.grid[2])].at[1];
    return at >= 0 && at < p.in[1];
  };
  while (r.first < r.last && !inside(r.first)) r.first++;
  while (r.last > r.first && !inside(r.last - 1)) r.last--;
  return r;
}

namespace {

constexpr int64_t kRunBytes = 64 << 10;  // of a task

template <class T>
void zero(T* out, const int64_t shape[5], const int64_t strides[5], int threads) {
  struct Axis {
    int64_t size, stride;
  };
  Axis axes[5] = {{1, 1}};  // from the one with the smallest steps on, those that follow on one another joined
  int count = 0;
  int64_t elements = 1;
  for (int i = 0; i < 5; i++) {
    elements *= shape[i];
    if (shape[i] == 1) continue;
    int at = count++;
    for (; at > 0 && std::llabs(axes[at - 1].stride) > std::llabs(strides[i]); at--) axes[at] = axes[at - 1];
    axes[at] = {shape[i], strides[i]};
  }
  if (elements == 0) return;
  int last = 0;
  for (int i = 1; i < count; i++) {
    if (axes[i].stride == axes[last].size * axes[last].stride)
      axes[last].size *= axes[i].size;
    else
      axes[++last] = axes[i];
  }

  const Axis run = axes[0];
  const int64_t runs = elements / run.size, bytes = run.size * int64_t(sizeof(T));
  const int64_t cuts = std::min(run.size, ceil_div(bytes, kRunBytes)), together = ceil_div(kRunBytes, bytes);
  parallel_for(ceil_div(runs, together) * cuts, threads, [&](int64_t task, int) {
    const int64_t from = run.size * (task % cuts) / cuts, to = run.size * (task % cuts + 1) / cuts;
    const int64_t first = task / cuts * together;
    for (int64_t i = first; i < std::min(runs, first + together); i++) {
      T* at = out;
      int64_t rest = i;
      for (int a = 1; a <= last; a++) at += rest % axes[a].size * axes[a].stride, rest /= axes[a].size;
      if (run.stride == 1)
        std::fill(at + from, at + to, T(0));
      else
        for (int64_t x = from; x < to; x++) at[x * run.stride] = 0;
    }
  });
}

}  // namespace

void zero_gradient(const ConvProblem& p, void* out) {
  const bool weight = p.direction == Direction::weight_gradient;
  const int64_t input_shape[5] = {p.n, p.c, p.in[0], p.in[1], p.in[2]};
  const int64_t weight_shape[5] = {p.k, p.c / p.groups, p.kernel[0], p.kernel[1], p.kernel[2]};
  const int64_t *shape = weight ? weight_shape : input_shape, *strides = weight ? p.ws : p.xs;
  if (p.dtype == DType::f32)
    zero(static_cast<float*>(out), shape, strides, int(p.threads));
  else
    zero(static_cast<double*>(out), shape, strides, int(p.threads));
}

}  // namespace konv
