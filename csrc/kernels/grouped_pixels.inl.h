// Narrow groups, channels last: the lanes are output channels. An input pixel is loaded once as a vector in which each
// lane holds its group's channel (for depthwise problems the channels as they lie, else a permutation) and meets every
// tap and output pixel of the tile that it reaches.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

constexpr int kTilePixels = 7;  // divides the usual image widths; two rows of them leave registers for the weights

template <class T, bool Permuted>
struct PixelLoader {
  LaneOrder<T> order;
  explicit PixelLoader(const int32_t* lane) : order{} {
    if constexpr (Permuted) order = lane_order<T>(lane);
  }
  // For a channel `by` later than the order says.
  __attribute__((always_inline)) PixelLoader later(int64_t by) const {
    PixelLoader r = *this;
    if constexpr (Permuted) r.order = later_lanes<T>(order, int(by));
    return r;
  }
  __attribute__((always_inline)) Vec<T> operator()(const T* p) const {
    Vec<T> v;
    if constexpr (Permuted)
      v = permute(load(p), order);
    else
      v = load(p);
    keep_in_register(v);
    return v;
  }
};

// The columns of a row that a tile of Pixels outputs reads lie inside from `low` to `high`. Where only columns at the
// ends of the tile, fewer than the taps, can lie outside, the others need no look.
template <int Taps, int Step, int Pixels>
constexpr bool ends_alone_outside(int64_t low, int64_t high) {
  return low < Taps && high > (Pixels - 1) * Step;
}
template <int Taps, int Step, int Pixels>
KONV_INLINE bool is_outside(int column, int64_t low, int64_t high) {
  if ((Pixels == 1 || column < Taps - 1) && column < low) return true;
  return (Pixels == 1 || column > (Pixels - 1) * Step) && column >= high;
}

// One input row meets the output rows that it reaches: the first with the taps at w0, the second with those at w1.
template <class T, int Taps, int Step, int Pixels, bool First, bool Second, class Loader>
KONV_INLINE void pixel_row(const T* row, int64_t pixel, int64_t low, int64_t high, const T* w0, const T* w1,
                           const Loader& get, Vec<T> (&acc)[2][Pixels]) {
  constexpr int L = kLanes<T>;
  Vec<T> a[Taps], b[Taps];
  KONV_UNROLL
  for (int s = 0; s < Taps; s++) {
    if (First) a[s] = load(w0 + s * L);
    if (Second) b[s] = load(w1 + s * L);
  }
  KONV_UNROLL
  for (int q = 0; q < (Pixels - 1) * Step + Taps; q++, row += pixel) {
    if (is_outside<Taps, Step, Pixels>(q, low, high)) continue;
    const Vec<T> v = get(row);
    KONV_UNROLL
    for (int s = 0; s < Taps; s++)
      if (q >= s && (q - s) % Step == 0 && (q - s) / Step < Pixels) {
        if (First) acc[0][(q - s) / Step] += v * a[s];
        if (Second) acc[1][(q - s) / Step] += v * b[s];
      }
  }
}

template <class T, int Pixels>
KONV_INLINE void store_pixels(Vec<T> (&v)[Pixels], Clip how, T* out, int64_t pixel) {
  if (how != Clip::none) {
    KONV_UNROLL
    for (int i = 0; i < Pixels; i++) v[i] = clip<T>(v[i], Clip::relu);
  }
  if (how == Clip::relu6) {
    KONV_UNROLL
    for (int i = 0; i < Pixels; i++) v[i] = at_most<T>(v[i], 6);
  }
  KONV_UNROLL
  for (int i = 0; i < Pixels; i++, out += pixel) store(out, v[i]);
}

template <class T, int Taps, int Step, int Pixels, class Loader>
KONV_INLINE void pixel_block(const GroupedPixels<T>& p, int64_t j, const Loader& loader, int64_t c, const T* w) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[2][Pixels];
  const Vec<T> bias = p.bias ? load(p.bias + c) : Vec<T>{};
  KONV_UNROLL
  for (int i = 0; i < Pixels; i++) acc[0][i] = acc[1][i] = bias;
  const int64_t at = j * Step + p.first, low = -at, high = p.width - at;
  const int64_t last = p.tap_rows + (p.rows - 1) * p.row_step;
  for (int64_t i = 0; i < p.depth; i++, w += p.tap_rows * Taps * L) {
    const Loader get = loader.later(p.wide ? 0 : i);
    for (int64_t q = 0; q < last; q++) {
      if (!p.row[q]) continue;
      const T *row = p.row[q] + at * p.pixel + c + (p.wide ? i : 0), *w0 = w + q * Taps * L,
              *w1 = w0 - p.row_step * Taps * L;
      const bool first = q < p.tap_rows, second = p.rows == 2 && q >= p.row_step;
      if (first && second)
        pixel_row<T, Taps, Step, Pixels, true, true>(row, p.pixel, low, high, w0, w1, get, acc);
      else if (first)
        pixel_row<T, Taps, Step, Pixels, true, false>(row, p.pixel, low, high, w0, w1, get, acc);
      else if (second)
        pixel_row<T, Taps, Step, Pixels, false, true>(row, p.pixel, low, high, w0, w1, get, acc);
    }
  }
  T* out = p.out + j * p.out_pixel + c;
  store_pixels<T, Pixels>(acc[0], p.clip, out, p.out_pixel);
  if (p.rows == 2) store_pixels<T, Pixels>(acc[1], p.clip, out + p.out_row, p.out_pixel);
}

// All blocks of channels, one after another: pixels are read from end to end. What the last block computes again comes
// out the same.
template <class T, int Taps, int Step, int Pixels, bool Permuted>
KONV_INLINE void pixel_tile(const GroupedPixels<T>& p, int64_t j, const PixelLoader<T, Permuted>& loader) {
  constexpr int L = kLanes<T>;
  const int64_t at = j * Step + p.first;
  if (Pixels > 1 && !ends_alone_outside<Taps, Step, Pixels>(-at, p.width - at)) {
    for (int i = 0; i < Pixels; i++) pixel_tile<T, Taps, Step, 1>(p, j + i, loader);
    return;
  }
  if constexpr (Permuted) return pixel_block<T, Taps, Step, Pixels>(p, j, loader, 0, p.w);
  const T* w = p.w;
  for (int64_t c = 0; c < p.channels; c += L, w += p.block_weights)
    pixel_block<T, Taps, Step, Pixels>(p, j, loader, c + L <= p.channels ? c : p.channels - L, w);
}

// A row's last tile is moved left to end with the row: what it computes again comes out the same.
template <class T, int Taps, int Step, bool Permuted>
static void pixel_tiles(const GroupedPixels<T>& given) {
  const GroupedPixels<T> p = given;  // which no store of a result can change
  const PixelLoader<T, Permuted> get(p.lane);
  constexpr int Wide = kTilePixels, Narrow = 4;
  int64_t j = 0;
  for (; j + Wide <= p.cols; j += Wide) pixel_tile<T, Taps, Step, Wide>(p, j, get);
  if (j == p.cols) return;
  if (p.cols >= Wide && p.cols - j > Narrow)
    pixel_tile<T, Taps, Step, Wide>(p, p.cols - Wide, get);
  else if (p.cols >= Narrow) {
    pixel_tile<T, Taps, Step, Narrow>(p, p.cols - Narrow, get);
    if (p.cols - j > Narrow) pixel_tile<T, Taps, Step, Narrow>(p, j, get);
  } else
    for (; j < p.cols; j++) pixel_tile<T, Taps, Step, 1>(p, j, get);
}

template <class T>
static void grouped_pixels(const GroupedPixels<T>& p) {
  if (p.lane) {
    if (p.step == 2) return pixel_tiles<T, 3, 2, true>(p);
    if (p.taps == 1) return pixel_tiles<T, 1, 1, true>(p);
    if (p.taps == 2) return pixel_tiles<T, 2, 1, true>(p);
    return pixel_tiles<T, 3, 1, true>(p);
  }
  if (p.step == 2) {
    if (p.taps == 3) return pixel_tiles<T, 3, 2, false>(p);
    if (p.taps == 5) return pixel_tiles<T, 5, 2, false>(p);
    return pixel_tiles<T, 7, 2, false>(p);
  }
  if (p.taps == 1) return pixel_tiles<T, 1, 1, false>(p);
  if (p.taps == 2) return pixel_tiles<T, 2, 1, false>(p);
  if (p.taps == 3) return pixel_tiles<T, 3, 1, false>(p);
  if (p.taps == 4) return pixel_tiles<T, 4, 1, false>(p);
  if (p.taps == 5) return pixel_tiles<T, 5, 1, false>(p);
  return pixel_tiles<T, 7, 1, false>(p);
}

// Asks for a tile's pixels of a row that comes later. The first line of an unaligned vector came with the block before.
template <class T, int Pixels>
KONV_INLINE void fetch_pixels(const T* row, int64_t pixel) {
  KONV_UNROLL
  for (int i = 0; i < Pixels; i++) __builtin_prefetch(row + i * pixel + kLanes<T> - 1);
}

// Pixels of dy stay in registers while the input pixels of TapRows rows stream past.
template <class T, int Taps, int Step, int TapRows, int Pixels, class Loader>
KONV_INLINE void pixel_sums_tile(const GroupedPixelSums<T>& p, const T* const* x, const T* dy, int64_t j,
                                 const Loader& get, Vec<T> (&acc)[TapRows * Taps]) {
  const int64_t at = j * Step + p.first, low = -at, high = p.width - at;
  if (Pixels > 1 && !ends_alone_outside<Taps, Step, Pixels>(low, high)) {
    for (int i = 0; i < Pixels; i++) pixel_sums_tile<T, Taps, Step, TapRows, 1>(p, x, dy, j + i, get, acc);
    return;
  }
  Vec<T> g[Pixels];
  KONV_UNROLL
  for (int i = 0; i < Pixels; i++) {
    g[i] = load(dy + (j + i) * p.dy_pixel);
    keep_in_register(g[i]);
  }
  KONV_UNROLL
  for (int t = 0; t < TapRows; t++) {
    if (!x[t]) continue;
    const T* row = x[t] + at * p.pixel;
    KONV_UNROLL
    for (int q = 0; q < (Pixels - 1) * Step + Taps; q++, row += p.pixel) {
      if (is_outside<Taps, Step, Pixels>(q, low, high)) continue;
      const Vec<T> v = get(row);
      KONV_UNROLL
      for (int s = 0; s < Taps; s++)
        if (q >= s && (q - s) % Step == 0 && (q - s) / Step < Pixels) acc[t * Taps + s] += v * g[(q - s) / Step];
    }
  }
}

// Tap rows [t, t + TapRows) of input channel i.
template <class T, int Taps, int Step, int TapRows, bool Permuted>
static void pixel_sums_rows(const GroupedPixelSums<T>& p, int64_t i, int64_t t) {
  constexpr int L = kLanes<T>, Wide = kTilePixels, Narrow = 3;
  const auto get = PixelLoader<T, Permuted>(p.lane).later(p.wide ? 0 : i);
  Vec<T> acc[TapRows * Taps] = {};
  for (int64_t r = 0; r < p.rows; r++) {
    const T* dy = p.dy + r * p.dy_row;
    const T* x[TapRows];
    const bool ahead = p.ahead && r + 1 < p.rows && i == 0 && t == 0;
    const T* next = ahead ? p.row[(r + 1) * p.row_step + p.tap_rows - 1] : nullptr;
    for (int k = 0; k < TapRows; k++) {
      const T* row = p.row[r * p.row_step + t + k];
      x[k] = row ? row + (p.wide ? i : 0) : nullptr;
    }
    int64_t j = 0;
    for (; j + Wide <= p.cols; j += Wide) {
      if (ahead) {
        fetch_pixels<T, Wide>(dy + p.dy_row + j * p.dy_pixel, p.dy_pixel);
        if (next) fetch_pixels<T, Wide * Step>(next + j * Step * p.pixel, p.pixel);
      }
      pixel_sums_tile<T, Taps, Step, TapRows, Wide>(p, x, dy, j, get, acc);
    }
    for (; j + Narrow <= p.cols; j += Narrow) pixel_sums_tile<T, Taps, Step, TapRows, Narrow>(p, x, dy, j, get, acc);
    for (; j < p.cols; j++) pixel_sums_tile<T, Taps, Step, TapRows, 1>(p, x, dy, j, get, acc);
  }
  T* sums = p.sums + (i * p.tap_rows + t) * Taps * L;
  KONV_UNROLL
  for (int k = 0; k < TapRows * Taps; k++) store(sums + k * L, load(sums + k * L) + acc[k]);
}

template <class T, int Taps, int Step, bool Permuted>
static void pixel_sums(const GroupedPixelSums<T>& p) {
  constexpr int Together = Taps == 3 ? 3 : 2;  // tap rows whose sums fit the registers
  for (int64_t i = 0; i < p.depth; i++) {
    int64_t t = 0;
    for (; t + Together <= p.tap_rows; t += Together) pixel_sums_rows<T, Taps, Step, Together, Permuted>(p, i, t);
    for (; t < p.tap_rows; t++) pixel_sums_rows<T, Taps, Step, 1, Permuted>(p, i, t);
  }
}

template <class T>
static void grouped_pixel_sums(const GroupedPixelSums<T>& p) {
  if (p.lane) return p.step == 1 ? pixel_sums<T, 3, 1, true>(p) : pixel_sums<T, 3, 2, true>(p);
  if (p.taps == 3) return p.step == 1 ? pixel_sums<T, 3, 1, false>(p) : pixel_sums<T, 3, 2, false>(p);
  if (p.taps == 5) return p.step == 1 ? pixel_sums<T, 5, 1, false>(p) : pixel_sums<T, 5, 2, false>(p);
  return p.step == 1 ? pixel_sums<T, 7, 1, false>(p) : pixel_sums<T, 7, 2, false>(p);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
