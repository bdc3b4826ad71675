// Pooling: maxima, with their places where asked, and averages over windows.
//
// Rows: pixels of a row are the lanes. Steps of one and two are read where they lie, two by splitting pairs of vectors
// into even and odd elements; other steps are gathered. Lanes outside the row are masked to a value that does not
// count, so nothing is copied or padded. Pixels: channels are the lanes, and each window is cut to what lies inside.
//
// A maximum's place travels in integer lanes as wide as T, as the distance from a window's first row or element.
#pragma once
#include "kernels/pool_elements.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
using Place = Vec<typename PoolElement<T>::Int>;
template <class T>
KONV_INLINE Place<T> place(int64_t p) {
  return splat(typename PoolElement<T>::Int(p));
}

// What becomes of the elements of a window; `fill` stands for those outside. Rows and pixels fold the rows of a plane
// first, then their results, so that in two dimensions sums do not depend on which of the two it was.
template <class T>
struct MaxFold {
  static constexpr bool places = false, sums = false;
  static constexpr T fill = PoolElement<T>::lowest;
  Vec<T> value;
};
template <class T>
struct MaxPlaceFold {
  static constexpr bool places = true, sums = false;
  static constexpr T fill = PoolElement<T>::lowest;
  Vec<T> value;
  Place<T> at;
};
template <class T>
struct SumFold {
  static constexpr bool places = false, sums = true;
  static constexpr T fill = 0;
  Vec<T> value;
};

// A fold of one element a lane, and the fold of one that precedes and one that follows; `at` is moved by `offset`.
template <class Fold, class T>
KONV_INLINE Fold fold_of(Vec<T> v, Place<T> at) {
  if constexpr (Fold::places)
    return {v, at};
  else
    return {v};
}
template <class T>
KONV_INLINE void join(MaxFold<T>& f, const MaxFold<T>& next, int64_t) {
  if constexpr (PoolElement<T>::integer)
    f.value = next.value > f.value ? next.value : f.value;
  else
    f.value = max_or_nan(f.value, next.value);
}
template <class T>
KONV_INLINE void join(MaxPlaceFold<T>& f, const MaxPlaceFold<T>& next, int64_t offset) {
  const Place<T> at = next.at + place<T>(offset);
  if constexpr (PoolElement<T>::integer) {
    f.at = next.value > f.value ? at : f.at;
    f.value = next.value > f.value ? next.value : f.value;
  } else {
    max_or_nan_at(f.value, f.at, next.value, at);
  }
}
template <class T>
KONV_INLINE void join(SumFold<T>& f, const SumFold<T>& next, int64_t) {
  f.value += next.value;
}

// Integers are rounded towards zero; lanes to be divided by 0 are of no account, and nothing overflows.
template <class T>
__attribute__((noinline)) static Vec<T> integer_quotient(Vec<T> sum, Vec<T> by) {
  const Vec<T> safe = (by == 0) | (by == -1) ? splat(T(1)) : by;
  using Bits = Vec<typename PoolElement<T>::Bits>;
  return by == -1 ? Vec<T>(Bits{} - Bits(sum)) : sum / safe;
}
template <class T>
KONV_INLINE Vec<T> quotient(Vec<T> sum, Vec<T> by) {
  if constexpr (PoolElement<T>::integer)
    return integer_quotient<T>(sum, by);
  else
    return sum / by;
}

// Flat places base + at, or -1 where `at` is negative.
KONV_INLINE void store_flat(int64_t* out, int64_t step, Vec<int64_t> at, int64_t base, int n) {
  if (n > 0)
    store_run(out, step, at < 0 ? splat(int64_t(-1)) : at + splat(base), n < kLanes<int64_t> ? n : kLanes<int64_t>);
}
KONV_INLINE void store_places(int64_t* out, int64_t step, Vec<int64_t> at, int64_t base, int n) {
  store_flat(out, step, at, base, n);
}
KONV_INLINE void store_places(int64_t* out, int64_t step, Vec<int32_t> at, int64_t base, int n) {
  constexpr int Half = kLanes<int64_t>;
  store_flat(out, step, widen<0>(at), base, n);
  store_flat(out + Half * step, step, widen<Half>(at), base, n - Half);
}
template <class S, class T>
KONV_INLINE int64_t first_place(const PoolBand<S, T>& p, const PoolSpan& z, const PoolSpan& y, int64_t x) {
  return (z.start * p.y.in + y.start) * p.row_places + x;
}

template <class T>
KONV_INLINE LaneRange<Moved<T>> columns_inside(int64_t c, int64_t width) {
  constexpr int L = kLanes<T>;
  const int low = int(c >= 0 ? 0 : -c < L ? -c : L);
  return lanes_between<Moved<T>>(low, int(width - c >= L ? L : width - c > low ? width - c : low));
}
// Columns of the first n lanes: a tile's copy ends with its own windows, and the next may be any stride away. A
// function of its own, as all that goes element by element here: the code would be in every kernel many times.
template <class T>
__attribute__((noinline)) static Vec<T> gather_columns(const PoolBand<T>& p, const T* row, int64_t c, int n, T fill) {
  T t[kLanes<T>];
  for (int i = 0; i < kLanes<T>; i++) {
    const int64_t x = c + i * p.x.stride;
    t[i] = i < n && x >= 0 && x < p.x.in ? row[x * p.x.x_step] : fill;
  }
  return load(t);
}

// For each lane's window the first column that lies inside, or -1.
template <class T>
KONV_INLINE Place<T> first_columns(const PoolAxis& a, Place<T> column) {
  for (int64_t before = a.pad; before > 0; before -= a.dilation)
    column = column < 0 ? column + place<T>(a.dilation) : column;
  return column < place<T>(a.in) ? column : place<T>(-1);
}
// PoolAxis::count for each lane's window.
template <class T>
KONV_INLINE Vec<T> column_counts(const PoolAxis& a, Place<T> column) {
  const Place<T> low = place<T>(a.low), high = place<T>(a.high), end = column + place<T>(a.kernel);
  if (a.dilation > 1) {
    Place<T> count = {};
    for (int64_t k = 0; k < a.kernel; k++, column += place<T>(a.dilation))
      count -= (column >= low) & (column < high);  // true is -1
    return __builtin_convertvector(count, Vec<T>);
  }
  return __builtin_convertvector((end < high ? end : high) - (column > low ? column : low), Vec<T>);
}
template <class T>
KONV_INLINE Place<T> window_columns(const PoolAxis& a, int64_t o) {
  return lane_numbers<typename PoolElement<T>::Int>() * place<T>(a.stride) + place<T>(o * a.stride - a.pad);
}

constexpr int kPoolStrip = 8, kPoolShared = 64, kPoolPixelsAhead = 8;

// A vector of n windows of a row, from the one numbered j on. Step 0 stands for any stride and any distance of
// elements, Size 0 for any kernel and dilation. Unless they are Inside, some of the columns that they meet lie outside.
template <class T, int Step, int Size, bool Inside>
struct Columns {
  static constexpr bool inside = Inside;
  static constexpr int loads = Step == 2 ? 2 : Size;
  int64_t j, c;  // c: column of the first lane's first tap
  int n;
  Place<T> at, first;  // columns of each lane's first tap, and of its first tap that lies inside or -1
  LaneRange<Moved<T>> range[loads ? loads : 1];
};
template <class T, int Step, int Size, bool Inside>
KONV_INLINE Columns<T, Step, Size, Inside> columns_from(const PoolAxis& a, int64_t j, int n) {
  Columns<T, Step, Size, Inside> k;
  k.j = j, k.c = j * a.stride - a.pad, k.n = n;
  k.at = k.first = window_columns<T>(a, j);
  if constexpr (!Inside) {
    k.first = first_columns<T>(a, k.at);
    KONV_UNROLL
    for (int i = 0; i < k.loads; i++) k.range[i] = columns_inside<T>(k.c + i * (Step == 2 ? kLanes<T> : 1), a.in);
  }
  return k;
}
template <class T, bool Inside>
KONV_INLINE Vec<T> load_columns(const T* p, LaneRange<Moved<T>> range, T fill) {
  if constexpr (Inside)
    return load(p);
  else
    return Vec<T>(load_lanes(moved(p), range, Vec<Moved<T>>(splat(fill))));
}

// The taps of one row.
template <class Fold, class T, int Step, int Size, bool Inside>
KONV_INLINE Fold fold_row(const PoolBand<T>& p, const T* row, const Columns<T, Step, Size, Inside>& k) {
  constexpr int L = kLanes<T>;
  const T* src = row + k.c;
  if constexpr (Step == 2 && Size > 0) {
    static_assert(Size == 2 || Size == 3);
    Vec<T> a = load_columns<T, Inside>(src, k.range[0], Fold::fill);
    Vec<T> b = load_columns<T, Inside>(src + L, k.range[1], Fold::fill);
    keep_in_register(a), keep_in_register(b);
    const Vec<T> even = even_lanes<T>(a, b);
    Fold f = fold_of<Fold, T>(even, k.first);
    join(f, fold_of<Fold, T>(odd_lanes<T>(a, b), k.at), 1);
    if constexpr (Size == 3) {
      const T next = Inside || k.c + 2 * L < p.x.in ? src[2 * L] : Fold::fill;
      join(f, fold_of<Fold, T>(shift_in<T>(even, next), k.at), 2);
    }
    return f;
  } else if constexpr (Size > 0) {
    Fold f = fold_of<Fold, T>(load_columns<T, Inside>(src, k.range[0], Fold::fill), k.first);
    KONV_UNROLL
    for (int s = 1; s < Size; s++)
      join(f, fold_of<Fold, T>(load_columns<T, Inside>(src + s, k.range[s], Fold::fill), k.at), s);
    return f;
  } else {
    const auto tap = [&](int64_t d) __attribute__((always_inline)) {
      if constexpr (Step == 0) return gather_columns(p, row, k.c + d, k.n, Fold::fill);
      const Vec<T> a = load_columns<T, Inside>(src + d, columns_inside<T>(k.c + d, p.x.in), Fold::fill);
      if constexpr (Step == 1) return a;
      return even_lanes<T>(a, load_columns<T, Inside>(src + d + L, columns_inside<T>(k.c + d + L, p.x.in), Fold::fill));
    };
    Fold f = fold_of<Fold, T>(tap(0), k.first);
    for (int64_t s = 1, d = p.x.dilation; s < p.x.kernel; s++, d += p.x.dilation)
      join(f, fold_of<Fold, T>(tap(d), k.at), d);
    return f;
  }
}

// Output rows [first, first + count) of a slice, and the input rows that each of them meets.
struct PoolStrip {
  PoolSpan z, y[kPoolStrip];
  int64_t first;
  int count;
};

// Where windows overlap, input rows are folded once for all output rows of a strip.
template <class T, class Fold, int Size, class Columns>
KONV_INLINE void pool_strip(const PoolBand<T>& p, const PoolStrip& strip, const Columns& columns) {
  const PoolSpan *y = strip.y, z = strip.z;
  const int64_t low = y[0].start, high = y[strip.count - 1].start + y[strip.count - 1].taps;
  const bool share = p.y.kernel > p.y.stride && p.y.dilation == 1 && high - low <= kPoolShared &&
                     (z.taps == 1 || (z.taps > 1 && !Fold::places));
  const auto row = [&](int64_t d, int64_t h) __attribute__((always_inline)) {
    const T* row = p.x_data + d * p.z.x_step + h * p.y.x_step;
    const T* next_strip = row + columns.c + kPoolStrip * p.y.stride * p.y.x_step;
    __builtin_prefetch(next_strip);
    if (columns.loads == 2) __builtin_prefetch(next_strip + kLanes<T>);
    return fold_row<Fold>(p, row, columns);
  };
  Fold shared[kPoolShared];
  if (share)
    for (int64_t h = low; h < high; h++) {
      Fold& f = shared[h - low] = row(z.start, h);
      for (int64_t i = 1; i < z.taps; i++) join(f, row(z.start + i * p.z.dilation, h), 0);
    }

  Vec<T> counts = splat(T(p.x.kernel));
  if (Fold::sums && !Columns::inside) counts = column_counts<T>(p.x, columns.at);
  T* out = p.y_data + p.slice * p.z.y_step + strip.first * p.y.y_step + columns.j * p.x.y_step;
  for (int r = 0; r < strip.count; r++, out += p.y.y_step) {
    Fold f = fold_of<Fold, T>(splat(Fold::fill), place<T>(-1));
    if (share) {
      f = shared[y[r].start - low];
      for (int64_t k = 1; k < y[r].taps; k++) join(f, shared[y[r].start - low + k], k * p.x.in);
    } else if (Size > 0 && y[r].taps == Size && z.taps == 1) {
      f = row(z.start, y[r].start);
      KONV_UNROLL
      for (int k = 1; k < Size; k++) join(f, row(z.start, y[r].start + k * p.y.dilation), k * p.y.dilation * p.x.in);
    } else if (z.taps * y[r].taps > 0) {
      f = row(z.start, y[r].start);
      for (int64_t i = 0; i < z.taps; i++)
        for (int64_t k = i == 0; k < y[r].taps; k++)
          join(f, row(z.start + i * p.z.dilation, y[r].start + k * p.y.dilation),
               (i * p.z.dilation * p.y.in + k * p.y.dilation) * p.x.in);
    }
    if constexpr (Fold::sums)
      f.value =
          quotient<T>(f.value, p.divisor != T(0) ? splat(p.divisor)
                                                 : splat(T(p.z.count(p.slice) * p.y.count(strip.first + r))) * counts);
    store_run(out, p.x.y_step, f.value, columns.n);
    if constexpr (Fold::places)
      store_places(p.index + p.slice * p.z.index_step + (strip.first + r) * p.y.index_step + columns.j * p.x.index_step,
                   p.x.index_step, f.at, first_place(p, z, y[r], 0), columns.n);
  }
}

// Windows of single rows: a vector of those of output row o. `rows` are those that windows count.
template <class Fold, class T, class Columns>
KONV_INLINE void pool_line(const PoolBand<T>& p, const PoolSpan& z, int64_t o, T rows, const T* in, T* out,
                           const Columns& columns) {
  Fold f = fold_row<Fold>(p, in, columns);
  if constexpr (Fold::sums) {
    const Vec<T> counts =
        Columns::inside ? splat(rows * T(p.x.kernel)) : splat(rows) * column_counts<T>(p.x, columns.at);
    f.value = quotient<T>(f.value, p.divisor != T(0) ? splat(p.divisor) : counts);
  }
  store_run(out + columns.j * p.x.y_step, p.x.y_step, f.value, columns.n);
  if constexpr (Fold::places)
    store_places(p.index + p.slice * p.z.index_step + o * p.y.index_step + columns.j * p.x.index_step, p.x.index_step,
                 f.at, first_place(p, z, {o, 1}, 0), columns.n);
}

// Kernels take the band by value: stores of vectors may alias anything else, and would have it read again each time.
template <class T, class Fold, int Step, int Size>
static void pool_rows(const PoolBand<T> p) {
  constexpr int L = kLanes<T>;
  const int64_t last = (p.x.kernel - 1) * p.x.dilation;
  const int64_t end = p.first + p.rows, end_column = p.column + p.columns;
  // Calls f(columns) for the vectors of windows of a row.
  const auto along_row = [&](auto f) __attribute__((always_inline)) {
    for (int64_t j = p.column; j < end_column; j += L) {
      const int64_t left = end_column - j, c = j * p.x.stride - p.x.pad;
      if (Step > 0 && left >= L && c >= 0 && c + last + Step * L <= p.x.in)
        f(columns_from<T, Step, Size, Step != 0>(p.x, j, L));
      else
        f(columns_from<T, Step, Size, false>(p.x, j, int(left < L ? left : L)));
    }
  };
  PoolStrip strip;
  strip.z = p.z.span(p.slice);
  if (strip.z.taps == 1 && p.y.kernel == 1 && p.y.pad == 0 && p.y.stride <= 1) {
    const T rows = T(p.z.count(p.slice));
    for (int64_t o = p.first; o < end; o++) {
      const T* in = p.x_data + strip.z.start * p.z.x_step + o * p.y.x_step;
      T* out = p.y_data + p.slice * p.z.y_step + o * p.y.y_step;
      along_row([&](const auto& columns)
                    __attribute__((always_inline)) { pool_line<Fold>(p, strip.z, o, rows, in, out, columns); });
    }
    return;
  }
  for (strip.first = p.first; strip.first < end; strip.first += kPoolStrip) {
    strip.count = int(end - strip.first < kPoolStrip ? end - strip.first : kPoolStrip);
    for (int r = 0; r < strip.count; r++) strip.y[r] = p.y.span(strip.first + r);
    along_row([&](const auto& columns)
                  __attribute__((always_inline)) { pool_strip<T, Fold, Size>(p, strip, columns); });
  }
}

template <class T, class Fold>
KONV_INLINE void pool_rows_of_any(const PoolBand<T>& p) {
  const int64_t size = p.x.dilation == 1 ? p.x.kernel : 0;
  if (p.x.x_step != 1 || p.x.stride > 2) return pool_rows<T, Fold, 0, 0>(p);
  if (p.x.stride == 1) return size == 3 ? pool_rows<T, Fold, 1, 3>(p) : pool_rows<T, Fold, 1, 0>(p);
  if (size == 2) return pool_rows<T, Fold, 2, 2>(p);
  return size == 3 ? pool_rows<T, Fold, 2, 3>(p) : pool_rows<T, Fold, 2, 0>(p);
}

template <class T>
static void max_pool_rows(const PoolBand<T>& p) {
  return p.index ? pool_rows_of_any<T, MaxPlaceFold<T>>(p) : pool_rows_of_any<T, MaxFold<T>>(p);
}
template <class T>
static void avg_pool_rows(const PoolBand<T>& p) {
  pool_rows_of_any<T, SumFold<T>>(p);
}

// The window's elements, as offsets from its first one. Size 0 stands for any window, else it is a Size x Size square.
template <class S, class T>
struct PixelWindow {
  PoolSpan z, y, x;
  const S* src;
  T divisor;
  int64_t base;  // flat place of the first element
};

// Vectors vectors of channels from c on, of the last of which n lanes count.
template <class Fold, int Vectors, int Size, class S, class T>
KONV_INLINE void fold_channels(const PoolBand<S, T>& p, const PixelWindow<S, T>& w, int64_t c, int n, S* out,
                               int64_t* index) {
  constexpr int L = kLanes<T>;
  const int64_t slices = Size ? 1 : w.z.taps, columns = Size ? Size : w.x.taps;
  const int64_t rows = Size ? Size : columns ? w.y.taps : 0;
  Fold f[Vectors];
  KONV_UNROLL
  for (int v = 0; v < Vectors; v++)
    f[v] = fold_of<Fold, T>(splat(Fold::fill), place<T>(slices * rows * columns > 0 ? 0 : -1));
  for (int64_t i = 0; i < slices; i++) {
    KONV_UNROLL
    for (int64_t k = 0; k < rows; k++) {
      const S* src = w.src + i * p.z.dilation * p.z.x_step + k * p.y.dilation * p.y.x_step + c;
      const int64_t at = (i * p.z.dilation * p.y.in + k * p.y.dilation) * p.x.in;
      const auto tap = [&](int v, int64_t s) __attribute__((always_inline)) {
        const S* x = src + s * p.x.dilation * p.x.x_step + v * L;
        // Of large windows hardware does not see what follows: channels are taken in blocks.
        if (Size == 0) __builtin_prefetch(x + kPoolPixelsAhead * p.x.x_step);
        return fold_of<Fold, T>(n == L || v + 1 < Vectors ? read<!Fold::sums>(x) : read_n<!Fold::sums>(x, n),
                                place<T>(s * p.x.dilation));
      };
      Fold row[Vectors];
      KONV_UNROLL
      for (int v = 0; v < Vectors; v++) row[v] = tap(v, 0);
      for (int64_t s = 1; s < columns; s++) {
        KONV_UNROLL
        for (int v = 0; v < Vectors; v++) join(row[v], tap(v, s), 0);
      }
      KONV_UNROLL
      for (int v = 0; v < Vectors; v++) join(f[v], row[v], at);
    }
  }
  KONV_UNROLL
  for (int v = 0; v < Vectors; v++) {
    const int lanes = v + 1 < Vectors ? L : n;
    if constexpr (Fold::sums) f[v].value = quotient<T>(f[v].value, splat(w.divisor));
    store_run<!Fold::sums>(out + c + v * L, 1, f[v].value, lanes);
    if constexpr (Fold::places) store_places(index + c + v * L, 1, f[v].at, w.base, lanes);
  }
}

template <class Fold, int Size, class S, class T>
KONV_INLINE void pool_pixel(const PoolBand<S, T>& p, const PixelWindow<S, T>& w, S* out, int64_t* index) {
  constexpr int L = kLanes<T>;
  int64_t c = 0;
  if constexpr (KONV_VEC_BYTES == 64 && !Fold::places)
    for (; c + 8 * L <= p.channels; c += 8 * L) fold_channels<Fold, 8, Size>(p, w, c, L, out, index);
  for (; c + 4 * L <= p.channels; c += 4 * L) fold_channels<Fold, 4, Size>(p, w, c, L, out, index);
  for (; c + 2 * L <= p.channels; c += 2 * L) fold_channels<Fold, 2, Size>(p, w, c, L, out, index);
  if (c + L <= p.channels) fold_channels<Fold, 1, Size>(p, w, c, L, out, index), c += L;
  if (c < p.channels) fold_channels<Fold, 1, Size>(p, w, c, int(p.channels - c), out, index);
}

template <class Fold, class S, class T>
static void pool_pixels(const PoolBand<S, T> p) {
  PixelWindow<S, T> w{};
  w.z = p.z.span(p.slice);
  for (int64_t o = p.first; o < p.first + p.rows; o++) {
    w.y = p.y.span(o);
    const T rows = T(p.z.count(p.slice) * p.y.count(o));
    S* out = p.y_data + p.slice * p.z.y_step + o * p.y.y_step + p.column * p.x.y_step;
    int64_t* index = nullptr;
    if (Fold::places) index = p.index + p.slice * p.z.index_step + o * p.y.index_step + p.column * p.x.index_step;
    for (int64_t j = p.column; j < p.column + p.columns; j++, out += p.x.y_step) {
      w.x = p.x.span(j);
      w.src = p.x_data + w.z.start * p.z.x_step + w.y.start * p.y.x_step + w.x.start * p.x.x_step;
      w.base = first_place(p, w.z, w.y, w.x.start);
      w.divisor = p.divisor != T(0) ? p.divisor : rows * T(p.x.count(j));
      const int64_t square = w.z.taps == 1 && w.y.taps == w.x.taps ? w.x.taps : 0;
      if (square == 2)
        pool_pixel<Fold, 2>(p, w, out, index);
      else if (square == 3)
        pool_pixel<Fold, 3>(p, w, out, index);
      else
        pool_pixel<Fold, 0>(p, w, out, index);
      if (Fold::places) index += p.x.index_step;
    }
  }
}

template <class S, class T>
static void max_pool_pixels(const PoolBand<S, T>& p) {
  return p.index ? pool_pixels<MaxPlaceFold<T>>(p) : pool_pixels<MaxFold<T>>(p);
}
template <class S, class T>
static void avg_pool_pixels(const PoolBand<S, T>& p) {
  pool_pixels<SumFold<T>>(p);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
