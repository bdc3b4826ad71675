// Depthwise gradients of planar data: pixels of a row are the lanes.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// The lanes below n of a vector from column `first` on that lie inside a row.
template <class T>
KONV_INLINE LaneRange<T> lanes_of_row(int64_t first, int64_t width, int n) {
  const LaneSpan s = lanes_inside<T>(first, width);
  const int high = s.high < n ? s.high : n;
  LaneRange<T> r = lanes_between<T>(s.low < high ? s.low : high, high);
  fix(r);
  return r;
}

// Even and odd outputs of Rows rows, for the vector of input columns from j. Each shifted input vector serves both.
template <class T, int Rows, int Taps, bool EvenFirst>
KONV_INLINE void spread_tile(const DepthwiseSpread<T>& p, int64_t r0, int64_t j, bool whole) {
  constexpr int L = kLanes<T>, Even = EvenFirst ? Taps : Taps - 1, Odd = 2 * Taps - 1 - Even, Lead = EvenFirst ? 1 : 0;
  Vec<T> even[Rows] = {}, odd[Rows] = {};
  LaneRange<T> inside[Taps];
  KONV_UNROLL
  for (int s = 0; s < Taps; s++) inside[s] = lanes_of_row<T>(j + p.first + s, p.width, L);
  for (int64_t t = 0; t < p.tap_rows; t++) {
    const T *we = p.w + t * (2 * Taps - 1), *wo = we + Even;
    KONV_UNROLL
    for (int r = 0; r < Rows; r++) {
      const T* row = p.row[r0 + r + t];
      if (!row) continue;
      KONV_UNROLL
      for (int s = 0; s < Taps; s++) {
        const T* at = row + j + p.first + s;
        Vec<T> v = whole ? load(at) : load_lanes(at, inside[s]);
        keep_in_register(v);
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
  constexpr int Tall = KONV_VEC_BYTES == 64 ? 7 : 4;
  int64_t r = 0;
  if (p.even_first) {
    spread_strips<T, Tall, Taps, true>(p, r);
    spread_strips<T, 2, Taps, true>(p, r);
    spread_strips<T, 1, Taps, true>(p, r);
  } else {
    spread_strips<T, Tall, Taps, false>(p, r);
    spread_strips<T, 2, Taps, false>(p, r);
    spread_strips<T, 1, Taps, false>(p, r);
  }
}
template <class T>
static void depthwise_spread(const DepthwiseSpread<T>& p) {
  if (p.taps == 2) return spread<T, 2>(p);
  if (p.taps == 3) return spread<T, 3>(p);
  return spread<T, 4>(p);
}

// Unaligned vectors of 64 bytes cost two accesses, so there every second shifted vector is put together from the two
// outermost ones; and masks cost nothing, so that one form serves the row's inside and its ends.
constexpr bool kJoinShifts = KONV_VEC_BYTES == 64;

// v[s] = lanes from column s on, of which first begins at column 0 and last at column Taps - 1.
template <class T, int Taps, int S, int... I>
KONV_INLINE Vec<T> shifted(Vec<T> first, Vec<T> last, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  return __builtin_shufflevector(first, last, (I + S < L ? I + S : I + S - (Taps - 1) + L)...);
}
template <class T, int Taps, int S = 1>
KONV_INLINE void join_shifts(Vec<T>* v) {
  if constexpr (S < Taps - 1) {
    v[S] = shifted<T, Taps, S>(v[0], v[Taps - 1], std::make_integer_sequence<int, kLanes<T>>{});
    join_shifts<T, Taps, S + 2>(v);
  }
}

// The vectors that meet Taps columns of a row, for the first n lanes: v[s] lane l = row[at + s + l * Step]. Columns
// outside the row are zero, and so are lanes past n: what lies there may be infinite, and has no part in the sums.
template <class T, int Taps, int Step>
struct SumColumns {
  static constexpr int L = kLanes<T>;
  int64_t at, width;
  int n;
  LaneRange<T> lanes[Step == 1 ? Taps : 2];

  __attribute__((always_inline)) SumColumns(int64_t first, int64_t row_width, int count)
      : at(first), width(row_width), n(count) {
    KONV_UNROLL
    for (int s = 0; s < (Step == 1 ? Taps : 2); s++)
      lanes[s] = lanes_of_row<T>(at + (Step == 1 ? s : s * L), width, Step == 1 ? n : L);
  }
  // Whether load_row<true> serves.
  bool full() const { return n == L && (kJoinShifts || inside()); }
  bool inside() const { return at >= 0 && at + L * Step + Taps - 1 <= width; }

  template <bool Full>
  __attribute__((always_inline)) Vec<T> get(const T* p, LaneRange<T> r) const {
    Vec<T> v = Full && !kJoinShifts ? load(p) : load_lanes(p, r);
    keep_in_register(v);
    return v;
  }
  // p is column `at` of the row.
  template <bool Full>
  __attribute__((always_inline)) void load_row(const T* p, Vec<T>* v) const {
    if constexpr (Step == 1) {
      constexpr bool Join = Full && kJoinShifts && Taps - 1 <= L;
      KONV_UNROLL
      for (int s = 0; s < Taps; s++)
        if (!Join || s % 2 == 0) v[s] = get<Full>(p + s, lanes[s]);
      if constexpr (Join) join_shifts<T, Taps>(v);
    } else {
      const Vec<T> a = get<Full>(p, lanes[0]), b = get<Full>(p + L, lanes[1]);
      v[0] = even_lanes<T>(a, b);
      v[1] = odd_lanes<T>(a, b);
      KONV_UNROLL
      for (int s = 2; s < Taps; s++) {
        const int64_t next = at + 2 * L + s - 2;
        v[s] = shift_in<T>(v[s - 2], (Full && !kJoinShifts) || (next >= 0 && next < width) ? p[2 * L + s - 2] : T(0));
      }
      if (!Full && n < L) {
        KONV_UNROLL
        for (int s = 0; s < Taps; s++) v[s] = lane_numbers<T>() < T(n) ? v[s] : Vec<T>{};
      }
    }
  }
};

// Rows output rows, one vector wide: dy stays in registers, each vector of x meets all tap rows that it reaches.
template <class T, int Rows, int Taps, int TapRows, int Step, bool Full>
KONV_INLINE void sums_tile(const DepthwiseSums<T>& p, const SumColumns<T, Taps, Step>& columns, int64_t r0, int64_t t0,
                           int64_t j, Vec<T> (&acc)[TapRows * Taps]) {
  Vec<T> g[Rows];
  const T* dy = p.dy + r0 * p.dy_pitch + j;
  LaneRange<T> lanes = lanes_between<T>(0, columns.n);
  fix(lanes);
  KONV_UNROLL
  for (int r = 0; r < Rows; r++, dy += p.dy_pitch) {
    g[r] = Full ? load(dy) : load_lanes(dy, lanes);
    keep_in_register(g[r]);
  }
  const int64_t y = r0 * Step + t0, low = p.row_low - y, high = p.row_high - y;
  const T* row = p.x + y * p.x_pitch + columns.at;
  KONV_UNROLL
  for (int q = 0; q < (Rows - 1) * Step + TapRows; q++, row += p.x_pitch) {
    if (q < low || q >= high) continue;
    Vec<T> v[Taps];
    columns.template load_row<Full>(row, v);
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
    if (columns.full())
      sums_tile<T, Rows, Taps, TapRows, Step, true>(p, columns, r0, t0, j, acc);
    else
      sums_tile<T, Rows, Taps, TapRows, Step, false>(p, columns, r0, t0, j, acc);
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
