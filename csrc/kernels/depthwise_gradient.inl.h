// Depthwise gradients of planar data: pixels of a row are the lanes.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// Even and odd outputs of Rows rows, for the vector of input columns from j. Each shifted input vector serves both.
template <class T, int Rows, int Taps, bool EvenFirst>
KONV_INLINE void spread_tile(const DepthwiseSpread<T>& p, int64_t r0, int64_t j, bool whole) {
  constexpr int L = kLanes<T>, Even = EvenFirst ? Taps : Taps - 1, Odd = 2 * Taps - 1 - Even, Lead = EvenFirst ? 1 : 0;
  Vec<T> even[Rows] = {}, odd[Rows] = {};
  LaneSpan span[Taps];
  KONV_UNROLL
  for (int s = 0; s < Taps; s++) span[s] = lanes_inside<T>(j + p.first + s, p.width);
  for (int64_t t = 0; t < p.tap_rows; t++) {
    const T *we = p.w + t * (2 * Taps - 1), *wo = we + Even;
    KONV_UNROLL
    for (int r = 0; r < Rows; r++) {
      const T* row = p.row[r0 + r + t];
      if (!row) continue;
      KONV_UNROLL
      for (int s = 0; s < Taps; s++) {
        const Vec<T> v = load_inside(row + j + p.first + s, span[s], whole);
        if (s < Even) even[r] += v * splat(we[s]);
        if (s >= Lead && s - Lead < Odd) odd[r] += v * splat(wo[s - Lead]);
      }
    }
  }
  const int64_t n = p.cols - 2 * j;
  KONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    T* out = p.out + (r0 + r) * p.out_pitch + 2 * j;
    interleave<T>(even[r], odd[r]);
    if (n >= 2 * L) {
      store(out, even[r]);
      store(out + L, odd[r]);
    } else {
      store_n(out, even[r], int(n < L ? n : L));
      if (n > L) store_n(out + L, odd[r], int(n - L));
    }
  }
}

template <class T, int Rows, int Taps, bool EvenFirst>
static void spread_strips(const DepthwiseSpread<T>& p, int64_t& r) {
  constexpr int L = kLanes<T>;
  for (; r + Rows <= p.rows; r += Rows)
    for (int64_t j = 0; 2 * j < p.cols; j += L) {
      if (j + p.first >= 0 && j + p.first + Taps - 1 + L <= p.width)
        spread_tile<T, Rows, Taps, EvenFirst>(p, r, j, true);
      else
        spread_tile<T, Rows, Taps, EvenFirst>(p, r, j, false);
    }
}
template <class T, int Taps>
static void spread(const DepthwiseSpread<T>& p) {
  int64_t r = 0;
  if (p.even_first) {
    spread_strips<T, 4, Taps, true>(p, r);
    spread_strips<T, 1, Taps, true>(p, r);
  } else {
    spread_strips<T, 4, Taps, false>(p, r);
    spread_strips<T, 1, Taps, false>(p, r);
  }
}
template <class T>
static void depthwise_spread(const DepthwiseSpread<T>& p) {
  if (p.taps == 2) return spread<T, 2>(p);
  if (p.taps == 3) return spread<T, 3>(p);
  return spread<T, 4>(p);
}

// v[s] = row[s], row[s + 1], ...: with vectors of 64 bytes, of which unaligned ones cost two accesses, every second one
// is put together from the two outer ones.
template <class T, int Taps, int Shift, int... I>
KONV_INLINE Vec<T> shifted_(Vec<T> first, Vec<T> last, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  return __builtin_shufflevector(first, last, (I + Shift < L ? I + Shift : I + Shift - (Taps - 1) + L)...);
}
template <class T, int Taps, int S = 1>
KONV_INLINE void fill_shifts(const T* row, Vec<T>* v) {
  if constexpr (S < Taps - 1) {
    if constexpr (S % 2 == 1 && KONV_VEC_BYTES == 64 && Taps - 1 < kLanes<T>) {
      v[S] = shifted_<T, Taps, S>(v[0], v[Taps - 1], std::make_integer_sequence<int, kLanes<T>>{});
    } else {
      v[S] = load(row + S);
      keep_in_register(v[S]);
    }
    fill_shifts<T, Taps, S + 1>(row, v);
  }
}

// The vectors that meet Taps columns, lanes [0, n) of them: the others, and columns outside the row, are zero.
template <class T, int Taps, int Step>
struct SumColumns {
  static constexpr int L = kLanes<T>;
  LaneSpan span[Taps];
  int64_t at;
  bool whole;

  __attribute__((always_inline)) SumColumns(int64_t first, int64_t width, int n) : at(first) {
    whole = n == L && first >= 0 && first + L * Step + Taps - 1 <= width;
    KONV_UNROLL
    for (int s = 0; s < Taps; s++) {
      // Lanes l with 0 <= first + s + l * Step < width.
      const int64_t from = first + s, low = from >= 0 ? 0 : (-from + Step - 1) / Step;
      const int64_t high = width > from ? (width - from + Step - 1) / Step : 0;
      span[s] = {int(low < n ? low : n), int(high < n ? high : n)};
      if (span[s].low > span[s].high) span[s].low = span[s].high;
    }
  }
  template <bool Whole>
  __attribute__((always_inline)) void load_row(const T* row, Vec<T>* v) const {
    const T* p = row + at;
    if constexpr (!Whole) {
      KONV_UNROLL
      for (int s = 0; s < Taps; s++) {
        v[s] = load_step_between<Step>(p + s, span[s].low, span[s].high);
        keep_in_register(v[s]);
      }
    } else if constexpr (Step == 1) {
      v[0] = load(p);
      v[Taps - 1] = load(p + Taps - 1);
      keep_in_register(v[0]);
      keep_in_register(v[Taps - 1]);
      fill_shifts<T, Taps>(p, v);
    } else {
      const Vec<T> a = load(p), b = load(p + L);
      v[0] = even_lanes<T>(a, b);
      v[1] = odd_lanes<T>(a, b);
      KONV_UNROLL
      for (int s = 2; s < Taps; s++) v[s] = shift_in<T>(v[s - 2], p[2 * L + s - 2]);
    }
  }
};

// Rows output rows, one vector wide: dy stays in registers, each vector of x meets all tap rows that it reaches.
template <class T, int Rows, int Taps, int TapRows, int Step, bool Whole>
KONV_INLINE void sums_tile(const DepthwiseSums<T>& p, const SumColumns<T, Taps, Step>& columns, int64_t r0, int64_t t0,
                           int64_t j, int n, Vec<T> (&acc)[TapRows * Taps]) {
  Vec<T> g[Rows];
  KONV_UNROLL
  for (int r = 0; r < Rows; r++) {
    const T* dy = p.dy + (r0 + r) * p.dy_pitch + j;
    g[r] = Whole ? load(dy) : load_n(dy, n);
    keep_in_register(g[r]);
  }
  KONV_UNROLL
  for (int q = 0; q < (Rows - 1) * Step + TapRows; q++) {
    const int64_t y = r0 * Step + t0 + q;
    if (y < p.row_low || y >= p.row_high) continue;
    Vec<T> v[Taps];
    columns.template load_row<Whole>(p.x + y * p.x_pitch, v);
    KONV_UNROLL
    for (int t = 0; t < TapRows; t++)
      if (q >= t && (q - t) % Step == 0 && (q - t) / Step < Rows) {
        KONV_UNROLL
        for (int s = 0; s < Taps; s++) acc[t * Taps + s] += v[s] * g[(q - t) / Step];
      }
  }
}

template <class T, int Rows, int Taps, int TapRows, int Step>
KONV_INLINE void sums_strip(const DepthwiseSums<T>& p, int64_t r0, int64_t t0, Vec<T> (&acc)[TapRows * Taps]) {
  constexpr int L = kLanes<T>;
  for (int64_t j = 0; j < p.cols; j += L) {
    const int n = int(p.cols - j < L ? p.cols - j : L);
    const SumColumns<T, Taps, Step> columns(j * Step + p.first, p.width, n);
    if (columns.whole)
      sums_tile<T, Rows, Taps, TapRows, Step, true>(p, columns, r0, t0, j, n, acc);
    else
      sums_tile<T, Rows, Taps, TapRows, Step, false>(p, columns, r0, t0, j, n, acc);
  }
}

// Tap rows [t, t + TapRows).
template <class T, int Taps, int TapRows, int Step>
static void sums_rows(const DepthwiseSums<T>& p, int64_t t) {
  constexpr int Tall = KONV_VEC_BYTES == 64 ? 7 : 4;
  Vec<T> acc[TapRows * Taps] = {};
  int64_t r = 0;
  for (; r + Tall <= p.rows; r += Tall) sums_strip<T, Tall, Taps, TapRows, Step>(p, r, t, acc);
  for (; r + 2 <= p.rows; r += 2) sums_strip<T, 2, Taps, TapRows, Step>(p, r, t, acc);
  for (; r < p.rows; r++) sums_strip<T, 1, Taps, TapRows, Step>(p, r, t, acc);
  add_lane_sums<TapRows * Taps, T>(acc, p.sums + t * Taps);
}

template <class T, int Taps, int Step>
static void sums_of(const DepthwiseSums<T>& p) {
  constexpr int Together = Taps == 3 ? 3 : 2;  // tap rows whose sums fit the registers
  int64_t t = 0;
  for (; t + Together <= p.tap_rows; t += Together) sums_rows<T, Taps, Together, Step>(p, t);
  for (; t < p.tap_rows; t++) sums_rows<T, Taps, 1, Step>(p, t);
}
template <class T>
static void depthwise_sums(const DepthwiseSums<T>& p) {
  if (p.taps == 3) return p.step == 1 ? sums_of<T, 3, 1>(p) : sums_of<T, 3, 2>(p);
  if (p.taps == 5) return p.step == 1 ? sums_of<T, 5, 1>(p) : sums_of<T, 5, 2>(p);
  return p.step == 1 ? sums_of<T, 7, 1>(p) : sums_of<T, 7, 2>(p);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
