// Arguments of the pooling kernels. Functions here are part of each ISA's code, hence always inlined.
#pragma once
#include <cstdint>

#define KONV_POOL_INLINE inline __attribute__((always_inline))

namespace konv {

// The elements start + t * dilation, t < taps, of an axis: those of a window that lie inside the input.
struct PoolSpan {
  int64_t start, taps;
};

// One axis of a pooling: window o covers the elements o * stride - pad + t * dilation, t < kernel; where it is
// adaptive, those from floor(o * in / out) to below ceil((o + 1) * in / out).
struct PoolAxis {
  int64_t in, out, kernel, stride, pad, dilation;
  int64_t low, high;  // averages divide by the elements of a window within [low, high), be they inside or padding
  int64_t x_step, y_step, index_step;  // strides of input, output and indices
  bool adaptive;

  // Which of `from` elements meet part i of `to` equal parts; those that meet an element are found the other way round.
  static KONV_POOL_INLINE PoolSpan part(int64_t i, int64_t from, int64_t to) {
    const int64_t start = i * from / to;
    return {start, ((i + 1) * from + to - 1) / to - start};
  }
  KONV_POOL_INLINE PoolSpan span(int64_t o) const {
    if (adaptive) return part(o, in, out);
    const int64_t first = o * stride - pad;
    if (first >= 0 && first + (kernel - 1) * dilation < in) return {first, kernel};
    const int64_t skipped = first < 0 ? (dilation - 1 - first) / dilation : 0;
    const int64_t end = (in - 1 - first) / dilation + 1;
    return {first + skipped * dilation, at_least_0((end < kernel ? end : kernel) - skipped)};
  }
  // The windows that cover element x, as a span of window numbers; without dilation.
  KONV_POOL_INLINE PoolSpan windows(int64_t x) const {
    if (adaptive) return part(x, out, in);
    const int64_t first = x + pad < kernel ? 0 : (x + pad - kernel) / stride + 1, last = (x + pad) / stride;
    return {first, at_least_0((last < out ? last + 1 : out) - first)};
  }
  KONV_POOL_INLINE int64_t count(int64_t o) const {
    if (adaptive) return span(o).taps;
    const int64_t first = o * stride - pad, skipped = first < low ? (low - first + dilation - 1) / dilation : 0;
    const int64_t end = first < high ? (high - 1 - first) / dilation + 1 : 0;
    return (end < kernel ? end : kernel) - skipped;
  }
  static KONV_POOL_INLINE int64_t at_least_0(int64_t n) { return n > 0 ? n : 0; }
};

// Rows [first, first + rows) and columns [column, column + columns) of one slice of what is written, for one channel
// (kernels named rows and runs: elements of a row are the lanes) or for `channels` of them that lie one element apart
// (pixels: channels are the lanes). Gradients of maxima take whole volumes, by rows too for `channels` of them.
//
// x is the side of the input, y and index that of the windows, whichever is read or written. All point at the first
// element of a volume, of which only what the band needs has to exist.
//
// S is the type of the elements in memory, T the one that kernels compute with.
template <class S, class T = S>
struct PoolBand {
  PoolAxis z, y, x;
  S *x_data, *y_data;
  int64_t* index;  // may be null
  int64_t slice, first, rows, column, columns, channels;
  int64_t row_places;  // flat places from a row of the input to the next: x.in, or 0 where rows are channels
  // Distances of channels.
  int64_t x_channel, y_channel, index_channel;
  T divisor;   // of averages; 0 stands for the number of elements
  T* scratch;  // of the gradients of averages: zeros at first, as many as the functions below say and two vectors
};

// Scratch of avg_pool_rows_gradient for `columns` of the input: sums of the windows that cover them, after
// pool_scratch_lead zeros, as input elements look that far back; zeros follow as far as they look ahead.
KONV_POOL_INLINE int64_t pool_scratch_lead(const PoolAxis& a) { return a.adaptive ? 0 : (a.kernel - 1) / a.stride; }
KONV_POOL_INLINE int64_t pool_rows_scratch(const PoolAxis& a, int64_t columns) {
  if (a.adaptive) return columns * a.out / a.in + 2;
  return 2 * pool_scratch_lead(a) + (columns - 1) / a.stride + 3;
}
// avg_pool_pixels_gradient goes by pool_tile columns of the input and kPoolBlock channels. Its scratch, for `columns`
// of the input and `channels` that count whole vectors: the sums of the windows that cover a tile.
constexpr int64_t kPoolTile = 64, kPoolBlock = 128;
KONV_POOL_INLINE int64_t pool_tile(const PoolAxis& a) { return a.adaptive ? kPoolTile : kPoolTile * a.stride; }
KONV_POOL_INLINE int64_t pool_pixels_scratch(const PoolAxis& a, int64_t columns, int64_t channels) {
  const int64_t tile = columns < pool_tile(a) ? columns : pool_tile(a);
  const int64_t windows = a.adaptive ? tile * a.out / a.in + 2 : (tile + a.kernel - 2) / a.stride + 2;
  return windows * (channels < kPoolBlock ? channels : kPoolBlock);
}

}  // namespace konv
