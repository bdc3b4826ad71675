#include <utility>

#include "pool/copies.h"

namespace konv {

namespace {

constexpr int64_t kShortRow = 512;

// Whether the one window of an axis is all of it.
bool is_whole(const PoolProblem& p, int i) {
  return p.out[i] == 1 && (p.adaptive[i] || (p.kernel[i] == p.in[i] && p.pad[i] == 0 && p.dilation[i] == 1));
}

void set_whole(PoolProblem& p, int i, int64_t size) {
  p.in[i] = p.kernel[i] = p.stride[i] = size;
  p.out[i] = p.dilation[i] = 1;
  p.pad[i] = p.pad_after[i] = 0;
  p.adaptive[i] = false;
}

// Columns take axis i in, where windows are all of both and the memory is one run.
bool take_in(PoolProblem& p, int i) {
  if (!is_whole(p, i) || !is_whole(p, 2)) return false;
  if (p.in[2] == 1) p.xs[4] = p.xs[2 + i];
  if (p.in[i] > 1 && (p.xs[2 + i] != p.xs[4] * p.in[2] || p.in[i] * p.in[2] > INT32_MAX)) return false;
  set_whole(p, 2, p.in[2] * p.in[i]);
  set_whole(p, i, 1);
  return true;
}

// The channels of 1-D volumes become rows, unless several long rows at once would be more streams than caches like.
PoolMethod by_rows(PoolProblem& p, PoolLanes lanes) {
  const auto trivial = [&](int i) { return p.in[i] == 1 && p.out[i] == 1 && p.kernel[i] == 1; };
  if (trivial(0) && trivial(1) && p.c > 1 && (lanes == PoolLanes::runs || p.in[2] <= kShortRow)) {
    p.in[1] = p.out[1] = std::exchange(p.c, 1);
    p.stride[1] = 1, p.pad[1] = p.pad_after[1] = 0, p.adaptive[1] = false;
    p.xs[3] = p.xs[1], p.ys[3] = p.ys[1], p.indices_s[3] = p.indices_s[1];
    p.channel_rows = true;
  }
  return {lanes, false};
}

// Whether the input of a single window, for all lanes, is small enough to be copied.
bool turned_window_fits(const PoolProblem& p, int64_t lanes) {
  constexpr int64_t kOne[3] = {1, 1, 1};
  return largest_pool_needs(p, false, kOne).elements() * lanes * 8 <= pool_copy_bytes(p);
}

}  // namespace

PoolBox pool_needs(const PoolProblem& p, bool gradient, const int64_t start[3], const int64_t size[3]) {
  PoolBox box;
  for (int i = 0; i < 3; i++) {
    const PoolAxis a = pool_axis(p, i);
    int64_t low, end;
    if (gradient) {
      const PoolSpan last = a.windows(start[i] + size[i] - 1);
      low = a.windows(start[i]).start, end = last.start + last.taps;
    } else if (a.adaptive) {
      const PoolSpan last = a.span(start[i] + size[i] - 1);
      low = a.span(start[i]).start, end = last.start + last.taps;
    } else {
      low = std::max<int64_t>(0, start[i] * a.stride - a.pad);
      end = std::min(a.in, (start[i] + size[i] - 1) * a.stride - a.pad + (a.kernel - 1) * a.dilation + 1);
    }
    box.start[i] = low, box.size[i] = std::max<int64_t>(0, end - low);
  }
  return box;
}

PoolBox largest_pool_needs(const PoolProblem& p, bool gradient, const int64_t size[3]) {
  PoolBox box{};
  for (int i = 0; i < 3; i++) {
    const int64_t from = gradient ? p.out[i] : p.in[i], to = gradient ? p.in[i] : p.out[i];
    const int64_t needs = p.adaptive[i] ? size[i] * from / to + 2
                          : gradient    ? (size[i] + p.kernel[i] - 2) / p.stride[i] + 2
                                        : (size[i] - 1) * p.stride[i] + (p.kernel[i] - 1) * p.dilation[i] + 1;
    box.size[i] = std::min(from, needs);
  }
  return box;
}

PoolMethod choose_pool_method(PoolProblem& p, PoolOp op, bool indexed) {
  const bool planar = p.xs[4] == 1 && p.in[2] > 1;
  if (p.c > 1 && p.xs[1] == 1 && p.ys[1] == 1 && (!indexed || p.indices_s[1] == 1) && !planar)
    return {PoolLanes::pixels, false};
  if (op == PoolOp::max_gradient) return {PoolLanes::rows, false};

  if (take_in(p, 1)) take_in(p, 0);
  const KernelTable& table = kernel_table(Isa(p.isa));
  const bool wide = p.dtype == DType::f64 || p.dtype == DType::i64;
  const int64_t lanes = wide ? table.f64.lanes : table.f32.lanes;
  const bool adaptive = p.adaptive[0] || p.adaptive[1] || p.adaptive[2];
  const bool many_channels = p.c * 2 > lanes, few = p.out[2] * 2 <= lanes;
  if (op == PoolOp::avg_gradient) {
    const bool fills = p.adaptive[2] ? p.out[2] > 0 && p.in[2] * 2 > p.out[2] * lanes
                                     : p.kernel[2] <= p.stride[2] && p.kernel[2] * 2 > lanes;
    if (!fills && (adaptive || (few && many_channels))) return {PoolLanes::pixels, true};
    return by_rows(p, PoolLanes::rows);
  }
  const int64_t window = p.adaptive[2] ? ceil_div(p.in[2], p.out[2]) : p.kernel[2];
  const bool spread = p.adaptive[2] || p.stride[2] > 2 || few;
  const bool turned = (spread || adaptive) && many_channels && turned_window_fits(p, lanes);
  // Folding the lanes of one run costs as much as many elements, unless rows are windows and are folded together.
  const bool rows_are_windows = is_whole(p, 2) && p.in[0] == 1 && p.in[1] == 1 && !indexed;
  const bool worth = !turned || rows_are_windows || p.kernel[0] * p.kernel[1] * window >= 16 * lanes;
  if (spread && p.dilation[2] == 1 && worth && window >= (rows_are_windows ? 1 : 2) * lanes)
    return by_rows(p, PoolLanes::runs);
  if (turned) return {PoolLanes::pixels, true};
  return by_rows(p, adaptive || (p.stride[2] > 2 && window * 2 >= lanes) ? PoolLanes::runs : PoolLanes::rows);
}

}  // namespace konv
