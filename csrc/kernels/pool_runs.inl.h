// Pooling of wide windows: the elements of a window's row are the lanes, and lanes are folded at the end. Serves any
// window and any distance of elements, adaptive windows included.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// n elements `step` apart; the other lanes are Fold::fill.
template <class Fold, class S>
KONV_INLINE auto load_filled(const S* p, int64_t step, int n) {
  using V = decltype(Fold::value);
  constexpr bool exact = !Fold::sums;
  constexpr int L = sizeof(V) / sizeof(Fold::fill);
  if (step == 1 && n == L) return read<exact>(p);
  if constexpr (sizeof(S) == sizeof(Fold::fill))
    if (step == 1) return load_columns<S, false>(p, lanes_between<Moved<S>>(0, n), Fold::fill);
  S t[L] = {};
  for (int i = 0; i < n; i++) t[i] = p[i * step];
  const auto lanes = lane_numbers<typename PoolElement<std::remove_const_t<decltype(Fold::fill)>>::Int>();
  return V(lanes < n ? read<exact>(t) : splat(Fold::fill));
}

// Folds the lanes into lane 0: of equal maxima the one with the lowest place, of NaNs the one with the highest.
template <class T>
KONV_INLINE void fold_lanes(SumFold<T>& f) {
  f.value[0] = horizontal_sum<T>(f.value);
}
template <class T>
KONV_INLINE void fold_lanes(MaxFold<T>& f) {
  T v[kLanes<T>];
  store(v, f.value);
  KONV_UNROLL
  for (int d = kLanes<T> / 2; d > 0; d /= 2)
    for (int i = 0; i < d; i++) v[i] = v[i + d] > v[i] || v[i + d] != v[i + d] ? v[i + d] : v[i];
  f.value[0] = v[0];
}
template <class T>
KONV_INLINE void fold_lanes(MaxPlaceFold<T>& f) {
  T v[kLanes<T>];
  typename PoolElement<T>::Int at[kLanes<T>];
  store(v, f.value), store(at, f.at);
  int best = 0;
  for (int i = 1; i < kLanes<T>; i++) {
    const bool nan = v[i] != v[i], best_nan = v[best] != v[best];
    const bool better = nan ? !best_nan || at[i] > at[best] : v[i] > v[best] || (v[i] == v[best] && at[i] < at[best]);
    if (better) best = i;
  }
  f.value[0] = v[best], f.at[0] = at[best];
}

// One stage of folding many vectors at once: they hold the folds of L / (2 * Half) windows each, 2 * Half lanes apiece;
// halves are joined, and the windows of a are followed by those of b.
template <int Half, class Fold, class T, int... I>
KONV_INLINE Vec<T> join_halves(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>, Windows = L / (2 * Half);
  Fold f{__builtin_shufflevector(a, b, (I / Half % Windows * 2 * Half + I % Half + I / Half / Windows * L)...)};
  const Fold next{
      __builtin_shufflevector(a, b, (I / Half % Windows * 2 * Half + I % Half + Half + I / Half / Windows * L)...)};
  join(f, next, 0);
  return f.value;
}
// Folds each of Count vectors: lane i of the first one becomes the fold of vector i.
template <int Count, class Fold, class T>
KONV_INLINE void fold_vectors(Vec<T>* v) {
  if constexpr (Count > 1) {
    KONV_UNROLL
    for (int i = 0; i < Count / 2; i++)
      v[i] = join_halves<Count / 2, Fold, T>(v[2 * i], v[2 * i + 1], std::make_integer_sequence<int, kLanes<T>>{});
    fold_vectors<Count / 2, Fold, T>(v);
  }
}

// Rows that are windows, a vector of them at a time, from row o on; returns the first row that is left.
template <class Fold, class S, class T>
KONV_INLINE int64_t pool_whole_rows(const PoolBand<S, T>& p, int64_t o) {
  constexpr int L = kLanes<T>;
  const PoolSpan z = p.z.span(p.slice), x = p.x.span(p.column);
  for (; o + L <= p.first + p.rows; o += L) {
    const S* row = p.x_data + z.start * p.z.x_step + p.y.span(o).start * p.y.x_step + x.start;
    Vec<T> v[L];
    for (int i = 0; i < L; i++, row += p.y.stride * p.y.x_step) {
      Fold f{splat(Fold::fill)};
      int64_t s = 0;
      for (; s + L <= x.taps; s += L) join(f, Fold{read<!Fold::sums>(row + s)}, 0);
      if (s < x.taps) join(f, Fold{load_filled<Fold>(row + s, 1, int(x.taps - s))}, 0);
      v[i] = f.value;
    }
    fold_vectors<L, Fold, T>(v);
    if constexpr (Fold::sums)
      v[0] = quotient<T>(v[0], splat(p.divisor != T(0) ? p.divisor : T(p.z.count(p.slice) * p.x.count(p.column))));
    store_run(p.y_data + p.slice * p.z.y_step + o * p.y.y_step + p.column * p.x.y_step, p.y.y_step, v[0], L);
  }
  return o;
}

template <class Fold, class S, class T>
static void pool_runs(const PoolBand<S, T> p) {
  constexpr int L = kLanes<T>;
  const PoolSpan z = p.z.span(p.slice);
  const Place<T> lanes = lane_numbers<typename PoolElement<T>::Int>() * place<T>(p.x.dilation);
  const int64_t step = p.x.dilation * p.x.x_step;
  int64_t o = p.first;
  if constexpr (!Fold::places)
    if (p.columns == 1 && z.taps == 1 && !p.y.adaptive && p.y.kernel == 1 && p.y.pad == 0 && step == 1)
      o = pool_whole_rows<Fold>(p, o);
  for (; o < p.first + p.rows; o++) {
    const PoolSpan y = p.y.span(o);
    for (int64_t j = p.column; j < p.column + p.columns; j++) {
      const PoolSpan x = p.x.span(j);
      // Lanes that no element reaches keep a place behind that of the first one.
      Fold f = fold_of<Fold, T>(splat(Fold::fill), lanes);
      const S* first = p.x_data + z.start * p.z.x_step + y.start * p.y.x_step + x.start * p.x.x_step;
      for (int64_t i = 0; i < z.taps; i++)
        for (int64_t k = 0; k < y.taps; k++) {
          const S* row = first + i * p.z.dilation * p.z.x_step + k * p.y.dilation * p.y.x_step;
          const int64_t at = (i * p.z.dilation * p.y.in + k * p.y.dilation) * p.x.in;
          for (int64_t s = 0; s < x.taps; s += L) {
            const int n = int(x.taps - s < L ? x.taps - s : L);
            join(f, fold_of<Fold, T>(load_filled<Fold>(row + s * step, step, n), lanes), at + s * p.x.dilation);
          }
        }
      fold_lanes(f);
      if constexpr (Fold::sums)
        f.value = quotient<T>(
            f.value, splat(p.divisor != T(0) ? p.divisor : T(p.z.count(p.slice) * p.y.count(o) * p.x.count(j))));
      write_one(p.y_data + p.slice * p.z.y_step + o * p.y.y_step + j * p.x.y_step, f.value[0]);
      if constexpr (Fold::places)
        p.index[p.slice * p.z.index_step + o * p.y.index_step + j * p.x.index_step] =
            z.taps * y.taps * x.taps > 0 ? first_place(p, z, y, x.start) + f.at[0] : -1;
    }
  }
}

template <class S, class T>
static void max_pool_runs(const PoolBand<S, T>& p) {
  return p.index ? pool_runs<MaxPlaceFold<T>>(p) : pool_runs<MaxFold<T>>(p);
}
template <class S, class T>
static void avg_pool_runs(const PoolBand<S, T>& p) {
  pool_runs<SumFold<T>>(p);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
