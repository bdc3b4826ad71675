// Filters: convolution with few channels, from rows where they lie.
//
// A strip of output rows stays in registers, a few vectors wide. Column by column of the kernel, each input row is
// loaded once and meets every output row that it reaches: (Rows + R - 1) / (Rows * R) loads a multiplication for
// kernels of R rows. Sums run column by column and down each column, whatever the strip.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

constexpr int kFilterRows = KONV_VEC_BYTES == 64 ? 8 : 6;
// Whether the weights of a column stay in registers, or are broadcast from memory for each row of input.
constexpr bool kHoldFilterWeights = KONV_VEC_BYTES == 64;

// The lanes of a vector from column `first` on that lie inside the row.
template <class T>
KONV_INLINE LaneRange<T> row_lanes(int64_t first, int64_t width) {
  const int64_t L = kLanes<T>;
  const int64_t low = first >= 0 ? 0 : first > -L ? -first : L, high = width - first;
  const int64_t end = high < 0 ? 0 : high < L ? high : L;
  return lanes_between<T>(int(low < end ? low : end), int(end));
}

template <class T>
KONV_INLINE Vec<T> filter_weight(const Vec<T>* w) {
  return *w;
}
template <class T>
KONV_INLINE Vec<T> filter_weight(const T* w) {
  return splat(*w);
}
template <class T>
KONV_INLINE const Vec<T>* forget_weights(const Vec<T>* w) {
  return w;
}
// Keeps the compiler from holding broadcasts between rows of input, for which there are no registers.
template <class T>
KONV_INLINE const T* forget_weights(const T* w) {
  asm("" : "+r"(w));
  return w;
}

template <class T, int Rows, int Vectors>
struct FilterSums {
  static constexpr int L = kLanes<T>;
  Vec<T> sum[Rows][Vectors];

  // The input row meets output rows [First, Last); output row i has weight w[-i].
  template <int First, int Last, bool Whole, class W>
  __attribute__((always_inline)) void add(const T* row, int64_t at, const LaneRange<T>* inside, const W* w) {
    if (!row) return;
    w = forget_weights<T>(w);
    Vec<T> v[Vectors];
    KONV_UNROLL
    for (int k = 0; k < Vectors; k++) {
      if constexpr (Whole)
        v[k] = load(row + at + k * L);
      else
        v[k] = load_lanes(row + at + k * L, inside[k], Vec<T>{});
      keep_in_register(v[k]);
    }
    KONV_UNROLL
    for (int i = First; i < Last; i++) {
      const Vec<T> weight = filter_weight<T>(w - i);
      KONV_UNROLL
      for (int k = 0; k < Vectors; k++) sum[i][k] += v[k] * weight;
    }
  }

  // Rows of input from the first that an output row reaches, for kernels of Taps rows; sizeof...(Q) of them.
  template <int Taps, bool Whole, class W, int... Q>
  __attribute__((always_inline)) void add_first([[maybe_unused]] const T* const* row, [[maybe_unused]] int64_t at,
                                                [[maybe_unused]] const LaneRange<T>* inside,
                                                [[maybe_unused]] const W* w, std::integer_sequence<int, Q...>) {
    (add<(Q >= Taps ? Q - Taps + 1 : 0), (Q < Rows ? Q + 1 : Rows), Whole>(row[Q], at, inside, w + Q), ...);
  }
  // Those that only the last output rows reach; w is one past the last weight.
  template <bool Whole, class W, int... Q>
  __attribute__((always_inline)) void add_last([[maybe_unused]] const T* const* row, [[maybe_unused]] int64_t at,
                                               [[maybe_unused]] const LaneRange<T>* inside, [[maybe_unused]] const W* w,
                                               std::integer_sequence<int, Q...>) {
    (add<Q + 1, Rows, Whole>(row[Q], at, inside, w + Q), ...);
  }

  // One column of the kernel. Taps is the number of its rows, or 0 where they are Rows or more.
  template <int Taps, bool Whole>
  __attribute__((always_inline)) void add_column(const T* const* row, int64_t at, const LaneRange<T>* inside,
                                                 const T* w, int64_t taps) {
    constexpr int kEnd = Taps > 0 ? Taps : Rows - 1;
    constexpr auto first = std::make_integer_sequence<int, (Taps ? Rows + Taps : Rows) - 1>{};
    constexpr auto last = std::make_integer_sequence<int, Rows - 1>{};
    Vec<T> held[kEnd + 1];
    if constexpr (kHoldFilterWeights) {
      KONV_UNROLL
      for (int i = 0; i < kEnd; i++) held[i] = splat(w[i]);
      add_first<Taps ? Taps : Rows, Whole>(row, at, inside, held, first);
    } else {
      add_first<Taps ? Taps : Rows, Whole>(row, at, inside, w, first);
    }
    if constexpr (Taps == 0) {
      KONV_NO_UNROLL
      for (int64_t q = Rows - 1; q < taps; q++) add<0, Rows, Whole>(row[q], at, inside, w + q);
      if constexpr (kHoldFilterWeights) {
        KONV_UNROLL
        for (int i = 0; i < kEnd; i++) held[i] = splat(w[taps - kEnd + i]);
        add_last<Whole>(row + taps, at, inside, held + kEnd, last);
      } else {
        add_last<Whole>(row + taps, at, inside, w + taps, last);
      }
    }
  }
};

// Taps is the number of kernel rows, or 0 where they are Rows or more.
template <class T, int Rows, int Vectors, int Taps, bool Whole>
static void filter_strip(const FilterRows<T>& p, int64_t r0, int64_t j) {
  constexpr int L = kLanes<T>;
  FilterSums<T, Rows, Vectors> s;
  KONV_UNROLL
  for (int i = 0; i < Rows; i++) {
    KONV_UNROLL
    for (int k = 0; k < Vectors; k++) s.sum[i][k] = splat(p.bias);
  }
  const T* w = p.w;
  KONV_NO_UNROLL
  for (int64_t c = 0; c < p.columns; c++, w += p.taps) {
    const T* const* row = p.row + p.column[c].row + r0;
    const int64_t at = p.column[c].at + j;
    LaneRange<T> inside[Vectors];
    if constexpr (!Whole) {
      KONV_UNROLL
      for (int k = 0; k < Vectors; k++) inside[k] = row_lanes<T>(at + k * L, p.width);
    }
    s.template add_column<Taps, Whole>(row, at, inside, w, p.taps);
  }
  KONV_UNROLL
  for (int i = 0; i < Rows; i++) {
    if (r0 + i >= p.rows) break;
    T* out = p.out + (r0 + i) * p.out_pitch + j;
    KONV_UNROLL
    for (int k = 0; k < Vectors; k++) {
      const Vec<T> v = clip<T>(s.sum[i][k], p.clip);
      const int64_t n = p.cols - j - k * L;
      if (n >= L)
        store(out + k * L, v);
      else if (n > 0)
        store_n(out + k * L, v, int(n));
    }
  }
}

template <class T>
using FilterStrip = void (*)(const FilterRows<T>&, int64_t, int64_t);
template <class T, int Rows, int Vectors, bool Whole, int... Taps>
KONV_INLINE FilterStrip<T> filter_strip_of(int64_t taps, std::integer_sequence<int, Taps...>) {
  static constexpr FilterStrip<T> strips[] = {filter_strip<T, Rows, Vectors, Taps, Whole>...};
  return strips[taps < Rows ? taps : 0];
}

// Asks for what the next strip reads and this one does not: hardware follows few of so many rows.
template <class T, int Rows, int Vectors>
KONV_INLINE void prefetch_strip(const T* const* row, int64_t j) {
  KONV_UNROLL
  for (int i = 0; i < Rows; i++) {
    if (!row[i]) continue;
    KONV_UNROLL
    for (int k = 0; k < Vectors; k++) __builtin_prefetch(row[i] + j + k * kLanes<T>, 0, 2);
  }
}

// The strip of Rows rows from r; fewer of them may be the caller's.
template <class T, int Rows, int Vectors>
static void filter_strips(const FilterRows<T>& p, int64_t r) {
  constexpr int L = kLanes<T>;
  constexpr auto taps = std::make_integer_sequence<int, Rows>{};
  const FilterStrip<T> whole = filter_strip_of<T, Rows, Vectors, true>(p.taps, taps),
                       wide = filter_strip_of<T, Rows, Vectors, false>(p.taps, taps),
                       narrow = filter_strip_of<T, Rows, 1, false>(p.taps, taps);
  for (int64_t j = 0; j < p.cols; j += Vectors * L) {
    if (Rows == kFilterRows && r + Rows <= p.rows) prefetch_strip<T, Rows, Vectors>(p.row + r + Rows + p.taps - 1, j);
    if (j + p.low >= 0 && j + Vectors * L + p.high <= p.width)
      whole(p, r, j);
    else
      (p.cols - j > L ? wide : narrow)(p, r, j);
  }
}

template <class T>
static void filter_rows(const FilterRows<T>& p) {
  constexpr int R = kFilterRows;
  for (int64_t r = 0; r < p.rows; r += R) {
    const int64_t left = p.rows - r;
    if (left > R / 2)
      filter_strips<T, R, 2>(p, r);
    else if (left > 1)
      filter_strips<T, R / 2, 2>(p, r);
    else
      filter_strips<T, 1, 4>(p, r);
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
