#include "conv/winograd_tiles.h"

#include <algorithm>
#include <cstdlib>

#include "conv/packing.h"

namespace konv {

namespace {

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

// Every `step`-th element along one axis of the input, read from index `first` on, for outputs from `out` on.
struct Part {
  int64_t in, size, first, out, out_size;
  std::vector<int64_t> taps;  // positions in the problem's grid, in the order of the input
};
struct Axis {
  std::vector<Part> parts;
  bool are_images;  // else sources of one image
  int64_t in_step, out_step;
};

Axis axis_of(const TapProblem& p, int axis) {
  const int64_t count = p.grid[axis], between = axis == 2 ? 1 : p.grid[2];
  const auto at = [&](int64_t i) { return p.taps[size_t(i * between)].at[axis]; };
  const int64_t distance = std::llabs(at(1) - at(0)), lowest = std::min(at(0), at(count - 1)), step = p.step[axis];
  std::vector<int64_t> order;
  for (int64_t i = 0; i < count; i++) order.push_back(at(1) > at(0) ? i : count - 1 - i);
  Axis a{{}, step == 1, std::max(distance, step), step == 1 ? distance : 1};
  const auto part = [&](int64_t position, int64_t out, std::vector<int64_t> taps) {
    const int64_t first = floor_div(position, a.in_step), in = position - first * a.in_step;
    a.parts.push_back({in, std::max<int64_t>(0, ceil_div(p.in[axis] - in, a.in_step)), first, out,
                       ceil_div(p.out[axis] - out, a.out_step), std::move(taps)});
  };
  if (a.are_images) {
    for (int64_t phase = 0; phase < std::min(distance, p.out[axis]); phase++) part(phase + lowest, phase, order);
  } else {
    for (int64_t phase = 0; phase < std::min(step, count); phase++) {
      std::vector<int64_t> taps;
      for (int64_t i = phase; i < count; i += step) taps.push_back(order[size_t(i)]);
      part(lowest + phase, 0, std::move(taps));
    }
  }
  return a;
}

int64_t even_part(int64_t total, int64_t most) { return ceil_div(total, ceil_div(total, std::max<int64_t>(1, most))); }

// Taps along an axis of each source.
int64_t taps_of_source(const ConvProblem& p) { return ceil_div(p.kernel[2], p.stride[2]); }

}  // namespace

WinogradTiles::WinogradTiles(const TapProblem& p, int index)
    : form(index), m(kWinogradForms[index].m), r(kWinogradForms[index].r) {
  const Axis ys = axis_of(p, 1), xs = axis_of(p, 2);
  in_stride[0] = p.in_stride[1] * ys.in_step, in_stride[1] = p.in_stride[2] * xs.in_step;
  out_stride[0] = p.out_stride[1] * ys.out_step, out_stride[1] = p.out_stride[2] * xs.out_step;
  int64_t height = 0, width = 0;
  for (int64_t image = 0; image < p.n; image++)
    for (const Part& y : ys.parts)
      for (const Part& x : xs.parts) {
        views.push_back(
            {image * p.in_n + y.in * p.in_stride[1] + x.in * p.in_stride[2], {y.size, x.size}, {y.first, x.first}});
        if (!ys.are_images && (&y != &ys.parts[0] || &x != &xs.parts[0])) continue;
        images.push_back({p.out_base + image * p.out_n + y.out * p.out_stride[1] + x.out * p.out_stride[2],
                          {y.out_size, x.out_size}});
        height = std::max(height, y.out_size), width = std::max(width, x.out_size);
      }
  for (const Part& y : ys.parts)
    for (const Part& x : xs.parts) {
      if (ys.are_images && !sources.empty()) continue;
      WinogradSource s{};
      std::fill_n(s.tap, kMaxWinogradTaps, -1);
      for (size_t i = 0; i < y.taps.size(); i++)
        for (size_t j = 0; j < x.taps.size(); j++) s.tap[i * size_t(r) + j] = y.taps[i] * p.grid[2] + x.taps[j];
      s.whole[0] = int64_t(y.taps.size()) == r, s.whole[1] = int64_t(x.taps.size()) == r;
      sources.push_back(s);
    }
  tiles_h = ceil_div(height, m), tiles_w = ceil_div(width, m);
}

void WinogradTiles::cut(int64_t tiles) {
  n = 1;
  if (tiles_h * tiles_w <= tiles) {
    h = tiles_h, w = tiles_w;
    n = even_part(int64_t(images.size()), tiles / (h * w));
  } else if (tiles_w <= tiles) {
    h = even_part(tiles_h, tiles / tiles_w), w = tiles_w;
  } else {
    // Two rows share more of their input than one as long.
    h = tiles >= 8 && tiles_h > 1 ? 2 : 1;
    w = even_part(tiles_w, tiles / h);
  }
  blocks_n = ceil_div(int64_t(images.size()), n), blocks_h = ceil_div(tiles_h, h), blocks_w = ceil_div(tiles_w, w);
}

WinogradBlock WinogradTiles::block(int64_t index) const {
  WinogradBlock b;
  b.col = index % blocks_w * w, index /= blocks_w;
  b.row = index % blocks_h * h, index /= blocks_h;
  b.image = index * n;
  b.n = std::min(n, int64_t(images.size()) - b.image);
  b.h = std::min(h, tiles_h - b.row);
  b.w = std::min(w, tiles_w - b.col);
  return b;
}

std::string winograd_supports(const ConvProblem& p) {
  if (p.strict) return "its error is larger than the direct convolution's, which precision 'strict' excludes";
  const int64_t stride = p.stride[2], size = p.kernel[2];
  const bool square = p.kernel[0] == 1 && p.kernel[1] == size && p.stride[1] == stride;
  const bool known = stride == 1 ? size == 3 || size == 5 : stride == 2 && size >= 3 && size <= 8;
  if (!square || !known) return "the kernel is not 3x3 or 5x5 with stride 1, nor 3x3 to 8x8 with stride 2";
  if (p.direction == Direction::weight_gradient && (stride != 1 || size != 3))
    return "computes the weight gradient of 3x3 kernels with stride 1 alone";
  if (p.direction == Direction::input_gradient && stride != 1) return "computes no input gradient of stride 2";
  if (stride != 1 && (p.dilation[1] != 1 || p.dilation[2] != 1)) return "the kernel is dilated and the stride is not 1";
  if (p.in[0] != 1 || p.out[0] != 1 || p.stride[0] != 1) return "the input has depth";
  if (p.n == 0) return "the batch is empty";
  ConvProblem q = p;  // the weight gradient has the forward direction's taps
  if (q.direction == Direction::weight_gradient) q.direction = Direction::forward;
  const std::vector<TapProblem> taps = tap_problems(q);
  if (taps.size() != 1 || int64_t(taps[0].taps.size()) != p.taps())
    return "part of the kernel sees nothing but padding";
  return "";
}

int winograd_form(const ConvProblem& p, int m) {
  for (int i = 0; i < kWinogradFormCount; i++)
    if (kWinogradForms[i].r == taps_of_source(p) && (m == 0 || kWinogradForms[i].m == m)) return i;
  return -1;
}

int64_t uncrowded(int64_t elements, int64_t item) { return elements * item % 1024 ? elements : elements + 64 / item; }
int64_t odd_lines(int64_t elements, int64_t item) { return (ceil_div(elements * item, 64) | 1) * 64 / item; }

}  // namespace konv
