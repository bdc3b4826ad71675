#include "conv/winograd_tiles.h"

#include <algorithm>
#include <cstdlib>

#include "conv/packing.h"

namespace konv {

namespace {

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

// Along one axis: images start at some offset in input and output, and take every in_step-th and out_step-th element;
// sources have some of the taps, and start at the offset of the first.
struct Axis {
  struct Image {
    int64_t in, out, out_size;
  };
  struct Source {
    int64_t in;
    std::vector<int64_t> taps;  // positions in the problem's grid, in the order of the input
  };
  std::vector<Image> images;
  std::vector<Source> sources;
  int64_t in_step, out_step;
};

Axis axis_of(const TapProblem& p, int axis, int64_t r) {
  const int64_t count = p.grid[axis], between = axis == 2 ? 1 : p.grid[2], step = p.step[axis];
  const auto at = [&](int64_t i) { return p.taps[size_t(i * between)].at[axis]; };
  const bool rising = at(count - 1) > at(0);
  const int64_t distance = count > 1 ? std::llabs(at(1) - at(0)) : 1, lowest = rising ? at(0) : at(count - 1);
  Axis a{{}, {}, std::max(distance, step), step == 1 ? distance : 1};
  for (int64_t phase = 0; phase < std::min(a.out_step, p.out[axis]); phase++)
    a.images.push_back({phase, phase, ceil_div(p.out[axis] - phase, a.out_step)});
  for (int64_t phase = 0; phase < std::min(step, count); phase++)
    for (int64_t first = phase; first < count; first += step * r) {
      std::vector<int64_t> taps;
      for (int64_t i = first; i < std::min(count, first + step * r); i += step)
        taps.push_back(rising ? i : count - 1 - i);
      a.sources.push_back({lowest + first * distance, std::move(taps)});
    }
  return a;
}

int64_t even_part(int64_t total, int64_t most) { return ceil_div(total, ceil_div(total, std::max<int64_t>(1, most))); }

}  // namespace

WinogradTiles::WinogradTiles(const TapProblem& p, int index)
    : form(index),
      m{kWinogradForms[index].m[0], kWinogradForms[index].m[1]},
      r{kWinogradForms[index].r[0], kWinogradForms[index].r[1]} {
  const Axis ys = axis_of(p, 1, r[0]), xs = axis_of(p, 2, r[1]);
  in_stride[0] = p.in_stride[1] * ys.in_step, in_stride[1] = p.in_stride[2] * xs.in_step;
  out_stride[0] = p.out_stride[1] * ys.out_step, out_stride[1] = p.out_stride[2] * xs.out_step;
  for (int64_t z = 0; z < p.grid[0]; z++)
    for (const Axis::Source& y : ys.sources)
      for (const Axis::Source& x : xs.sources) {
        WinogradSource s{};
        std::fill_n(s.tap, kMaxWinogradTaps, -1);
        for (size_t i = 0; i < y.taps.size(); i++)
          for (size_t j = 0; j < x.taps.size(); j++)
            s.tap[i * size_t(r[1]) + j] = (z * p.grid[1] + y.taps[i]) * p.grid[2] + x.taps[j];
        s.whole[0] = int64_t(y.taps.size()) == r[0], s.whole[1] = int64_t(x.taps.size()) == r[1];
        sources.push_back(s);
      }
  struct Start {
    int64_t in, size, first;  // the offset of the first element, their number, and the first that an output reads
  };
  const auto start = [&p](int axis, int64_t step, int64_t position) {
    const int64_t first = floor_div(position, step), in = position - first * step;
    return Start{in, std::max<int64_t>(0, ceil_div(p.in[axis] - in, step)), first};
  };
  // What output (z, i, j) of image n reads of depth `at`: nothing but zeros beyond the volume.
  const auto view = [&](int64_t n, int64_t at, const Start& y, const Start& x) {
    at = source_of(p.padding_mode, at, p.in[0]);
    if (at < 0) return WinogradView{n * p.in_n, {0, 0}, {y.first, x.first}};
    const int64_t in = n * p.in_n + at * p.in_stride[0] + y.in * p.in_stride[1] + x.in * p.in_stride[2];
    return WinogradView{in, {y.size, x.size}, {y.first, x.first}};
  };
  for (int64_t slice = 0; slice < p.n * p.out[0]; slice++) {
    const int64_t n = slice / p.out[0], z = slice % p.out[0];
    for (const Axis::Image& i : ys.images)
      for (const Axis::Image& j : xs.images) {
        images.push_back(
            {p.out_base + n * p.out_n + z * p.out_stride[0] + i.out * p.out_stride[1] + j.out * p.out_stride[2],
             {i.out_size, j.out_size}});
        for (int64_t tap = 0; tap < p.grid[0]; tap++)
          for (const Axis::Source& k : ys.sources)
            for (const Axis::Source& l : xs.sources)
              views.push_back(view(n, z * p.step[0] + p.taps[size_t(tap * p.grid[1] * p.grid[2])].at[0],
                                   start(1, ys.in_step, i.in + k.in), start(2, xs.in_step, j.in + l.in)));
      }
  }
  tiles_h = ceil_div(images[0].size[0], m[0]), tiles_w = ceil_div(images[0].size[1], m[1]);
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
  if (p.precision == Precision::strict)
    return "its error is larger than the direct convolution's, which precision 'strict' excludes";
  const int64_t height = p.kernel[1], width = p.kernel[2];
  const bool square = height == width && p.stride[1] == p.stride[2];
  const bool row = height == 1 && p.stride[1] == 1, column = width == 1 && p.stride[2] == 1;
  const int64_t size = std::max(height, width), stride = std::max(p.stride[1], p.stride[2]);
  const int64_t most = square ? kMaxWinogradSide : kMaxWinogradLength;
  if (!(square || row || column) || stride > 2 || size <= stride || size > most)
    return "the kernel is not square, a row or a column, with stride 1 or 2 and more taps along it";
  if (p.taps() > kMaxWinogradElements) return "the kernel has more than 64 elements";
  const bool flat = p.in[0] == 1 && p.out[0] == 1 && p.kernel[0] == 1 && p.stride[0] == 1;
  if (p.direction == Direction::weight_gradient && (!square || stride != 1 || size != 3 || !flat))
    return "computes the weight gradient of 3x3 kernels with stride 1 alone";
  if (stride != 1 && (p.dilation[1] != 1 || p.dilation[2] != 1)) return "the kernel is dilated and the stride is not 1";
  if (p.padding_mode != PaddingMode::zeros && (stride != 1 || p.dilation[1] != 1 || p.dilation[2] != 1))
    return "padding_mode is not 'zeros', and the stride or dilation not 1";
  if (p.n == 0) return "the batch is empty";
  if (p.is_depthwise()) return "each group has a single channel";
  ConvProblem q = p;  // the weight gradient has the forward direction's taps
  if (q.direction == Direction::weight_gradient) q.direction = Direction::forward;
  int64_t taps = 0;
  for (const TapProblem& phase : tap_problems(q)) {
    if (phase.taps.empty()) return "no element of the kernel meets some of the results";
    taps += int64_t(phase.taps.size());
  }
  if (taps != p.taps()) return "part of the kernel sees nothing but padding";
  return "";
}

// Forms with more taps than the problem would have the error of their number. Along an axis with a single tap neither
// outputs nor taps are grouped, but for a phase of a gradient with few taps.
std::vector<int> winograd_forms(const TapProblem& p) {
  std::vector<int> forms;
  const int64_t taps[2] = {ceil_div(p.grid[1], p.step[1]), ceil_div(p.grid[2], p.step[2])};
  const bool few = std::max(taps[0], taps[1]) <= 2;
  for (int i = 0; i < kWinogradFormCount; i++) {
    const auto suits = [&](int axis) {
      const int64_t r = kWinogradForms[i].r[axis];
      return r == 1 ? taps[axis] == 1 && !few : taps[axis] >= r || (r == 2 && few);
    };
    if (i != kWinograd2x2 && suits(0) && suits(1)) forms.push_back(i);
  }
  return forms;
}

bool has_winograd_2x2(const ConvProblem& p) {
  const int64_t taps = ceil_div(p.kernel[1], p.stride[1]);
  return taps == 3 && p.kernel[2] == p.kernel[1] && p.direction != Direction::weight_gradient;
}

int64_t uncrowded(int64_t elements, int64_t item) { return elements * item % 1024 ? elements : elements + 64 / item; }
int64_t odd_lines(int64_t elements, int64_t item) { return (ceil_div(elements * item, 64) | 1) * 64 / item; }

}  // namespace konv
