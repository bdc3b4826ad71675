// Gradients of pooling. Averages: each input element gathers from the windows that cover it, so nothing is written
// twice: the windows' gradients are divided and summed over the covering rows first, and a row of these sums is then
// spread by columns. By rows and by pixels the sums are the same, bit for bit. Maxima: each window adds to the element
// that its index names, in the order of the windows.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T, class S>
KONV_INLINE Vec<T> load_run(const S* p, int64_t step, int n) {
  if (step == 1) return n == kLanes<T> ? read<false>(p) : read_n<false>(p, n);
  S t[kLanes<T>] = {};
  for (int i = 0; i < n; i++) t[i] = p[i * step];
  return read<false>(t);
}

// Whether all windows of a span hold equally many elements. Counts are smaller at the borders alone.
KONV_INLINE bool equal_counts(const PoolAxis& a, const PoolSpan& windows) {
  if (windows.taps < 2 || a.adaptive) return windows.taps < 2;
  return a.count(windows.start) == a.kernel && a.count(windows.start + windows.taps - 1) == a.kernel;
}

// PoolAxis::count for n windows from number o on.
template <class T>
KONV_INLINE Vec<T> window_counts(const PoolAxis& a, int64_t o, int n) {
  if (!a.adaptive) return column_counts<T>(a, window_columns<T>(a, o));
  T counts[kLanes<T>] = {};
  for (int i = 0; i < n; i++) counts[i] = T(a.count(o + i));
  return load(counts);
}

// sums[o] = sum over the windows (z, y, x.start + o) of their gradients, each divided by its number of elements.
template <class S, class T>
KONV_INLINE void sum_window_rows(const PoolBand<S, T>& p, const PoolSpan& z, const PoolSpan& y, const PoolSpan& x,
                                 T* sums) {
  constexpr int L = kLanes<T>;
  if (z.taps * y.taps == 0) return zero_run(sums, x.taps);
  const bool equal = p.divisor != T(0) || (equal_counts(p.z, z) && equal_counts(p.y, y));
  const T rows = T(p.z.count(z.start) * p.y.count(y.start));
  for (int64_t j = 0; j < x.taps; j += L) {
    const int n = int(x.taps - j < L ? x.taps - j : L);
    const Vec<T> columns = window_counts<T>(p.x, x.start + j, n);
    Vec<T> sum = {};
    for (int64_t i = 0; i < z.taps; i++)
      for (int64_t k = 0; k < y.taps; k++) {
        const S* row = p.y_data + (z.start + i) * p.z.y_step + (y.start + k) * p.y.y_step;
        const Vec<T> v = load_run<T>(row + (x.start + j) * p.x.y_step, p.x.y_step, n);
        sum += equal ? v : v / (splat(T(p.z.count(z.start + i) * p.y.count(y.start + k))) * columns);
      }
    if (p.divisor != T(0))
      sum /= splat(p.divisor);
    else if (equal)
      sum /= splat(rows) * columns;
    store_run(sums + j, 1, sum, n);
  }
}

// The sum of sums[m], sums[m - 1], ...: those of the windows that cover an element `rest` behind window m's start.
template <class T>
KONV_INLINE Vec<T> covering_sum(const T* sums, int64_t m, int64_t rest, const PoolAxis& a) {
  Vec<T> v = {};
  for (int64_t t = rest; t < a.kernel; t += a.stride) v += load(sums + m--);
  return v;
}

// The same as below, of adaptive windows, one at least: between the places where one begins or ends, all elements are
// equal.
template <class T, class S>
KONV_INLINE void spread_parts(const PoolAxis& a, const T* sums, int64_t first, int64_t w, int64_t end, S* out) {
  constexpr int L = kLanes<T>;
  while (w < end) {
    const PoolSpan cover = a.windows(w), leaves = a.span(cover.start);
    const int64_t next = cover.start + cover.taps;
    int64_t to = leaves.start + leaves.taps < end ? leaves.start + leaves.taps : end;
    if (next < a.out && a.span(next).start < to) to = a.span(next).start;
    T sum = sums[next - 1 - first];
    for (int64_t o = next - 2; o >= cover.start; o--) sum += sums[o - first];
    if (a.x_step == 1)
      for (; w < to; w += L) store_run(out + w, 1, splat(sum), int(to - w < L ? to - w : L));
    else
      for (; w < to; w++) write_one(out + w * a.x_step, sum);
    w = to;
  }
}

// Columns [w, end) of a row of the input from the sums of the windows from number `first` on.
template <class T, class S>
KONV_INLINE void spread_columns(const PoolAxis& a, const T* sums, int64_t first, int64_t w, int64_t end, S* out) {
  constexpr int L = kLanes<T>;
  if (a.adaptive) return spread_parts(a, sums, first, w, end, out);
  if (a.x_step == 1 && a.kernel <= a.stride && a.stride > 2) {
    for (int64_t o = first, start = o * a.stride - a.pad; w < end; o++, start += a.stride) {
      const int64_t from = start < w ? w : start < end ? start : end;
      const int64_t to = o >= a.out ? from : start + a.kernel < end ? start + a.kernel : end;
      zero_run(out + w, (o >= a.out ? end : from) - w);
      const Vec<T> v = splat(sums[o - first]);
      for (int64_t x = from; x < to; x += L) store_run(out + x, 1, v, int(to - x < L ? to - x : L));
      w = o >= a.out ? end : to;
    }
  } else if (a.x_step == 1 && a.stride == 1) {
    for (; w < end; w += L)
      store_run(out + w, 1, covering_sum(sums, w + a.pad - first, 0, a), int(end - w < L ? end - w : L));
  } else if (a.x_step == 1 && a.stride == 2) {
    const int64_t rest = (w + a.pad) % 2;
    for (; w < end; w += 2 * L) {
      Vec<T> even = covering_sum(sums, (w + a.pad) / 2 - first, rest, a);
      Vec<T> odd = covering_sum(sums, (w + a.pad + 1) / 2 - first, 1 - rest, a);
      interleave<T>(even, odd);
      const int64_t left = end - w;
      store_run(out + w, 1, even, int(left < L ? left : L));
      if (left > L) store_run(out + w + L, 1, odd, int(left < 2 * L ? left - L : L));
    }
  } else {
    int64_t m = (w + a.pad) / a.stride - first, rest = (w + a.pad) % a.stride;
    for (; w < end; w++) {
      T v = 0;
      for (int64_t t = rest, o = m; t < a.kernel; t += a.stride) v += sums[o--];
      write_one(out + w * a.x_step, v);
      if (++rest == a.stride) m++, rest = 0;
    }
  }
}

// The windows that cover columns [w, end) of the input.
KONV_INLINE PoolSpan covering_windows(const PoolAxis& a, int64_t w, int64_t end) {
  const PoolSpan last = a.windows(end - 1);
  const int64_t first = a.windows(w).start;
  return {first, last.start + last.taps - first};
}

template <class S, class T>
static void avg_pool_rows_gradient(const PoolBand<S, T>& band) {
  const PoolBand<S, T> p = band;
  const int64_t end = p.column + p.columns;
  const PoolSpan z = p.z.windows(p.slice), x = covering_windows(p.x, p.column, end);
  T* sums = p.scratch + pool_scratch_lead(p.x);
  // Elements look for windows behind the last one too.
  const int64_t behind = p.x.adaptive ? 0 : (end - 1 + p.x.pad) / p.x.stride + 1 - x.start - x.taps;
  if (behind > 0) zero_run(sums + x.taps, behind);
  PoolSpan summed{-1, 0};
  for (int64_t h = p.first; h < p.first + p.rows; h++) {
    const PoolSpan y = p.y.windows(h);
    S* out = p.x_data + p.slice * p.z.x_step + h * p.y.x_step;
    const bool same = y.start == summed.start && y.taps == summed.taps;
    summed = y;
    if (same && p.x.x_step == 1) {
      copy_run(out - p.y.x_step + p.column, out + p.column, p.columns);
      continue;
    }
    if (!same) sum_window_rows(p, z, y, x, sums);
    spread_columns(p.x, sums, x.start, p.column, end, out);
  }
}

// The same for n channels from c on and windows [first, last), each with its own whole vectors: pitch elements.
template <class S, class T>
KONV_INLINE void sum_window_pixels(const PoolBand<S, T>& p, const PoolSpan& z, const PoolSpan& y, int64_t first,
                                   int64_t last, int64_t c, int64_t n, int64_t pitch, T* sums) {
  constexpr int L = kLanes<T>;
  if (z.taps * y.taps == 0) return zero_run(sums, (last - first) * pitch);
  const bool equal = p.divisor != T(0) || (equal_counts(p.z, z) && equal_counts(p.y, y));
  const T rows = T(p.z.count(z.start) * p.y.count(y.start));
  for (int64_t o = first; o < last; o++, sums += pitch) {
    const T columns = T(p.x.count(o)), divisor = p.divisor != T(0) ? p.divisor : rows * columns;
    for (int64_t j = 0; j < n; j += L) {
      const int lanes = int(n - j < L ? n - j : L);
      Vec<T> sum = {};
      for (int64_t i = 0; i < z.taps; i++)
        for (int64_t k = 0; k < y.taps; k++) {
          const S* src = p.y_data + (z.start + i) * p.z.y_step + (y.start + k) * p.y.y_step + o * p.x.y_step + c + j;
          const Vec<T> v = load_run<T>(src, 1, lanes);
          sum += equal ? v : v / splat(T(p.z.count(z.start + i) * p.y.count(y.start + k)) * columns);
        }
      store(sums + j, equal ? sum / splat(divisor) : sum);
    }
  }
}

// out[c] = src[c] + src[c - pitch] + ..., `count` of them, c < n. src holds whole vectors.
template <class T, class S>
KONV_INLINE void add_vectors(const T* src, int64_t count, int64_t pitch, S* out, int64_t n) {
  constexpr int L = kLanes<T>;
  const auto sum = [&](int64_t c) __attribute__((always_inline)) {
    Vec<T> v = load(src + c);
    for (int64_t t = 1; t < count; t++) v += load(src + c - t * pitch);
    return v;
  };
  if (count == 0) return zero_run(out, n);
  int64_t c = 0;
  if (count == 1)
    for (; c + L <= n; c += L) write(out + c, load(src + c));
  else
    for (; c + L <= n; c += L) write(out + c, sum(c));
  if (c < n) store_run(out + c, 1, sum(c), int(n - c));
}

// Input pixels [w0, w1) of all rows of the band, n channels from c on.
template <class S, class T>
KONV_INLINE void spread_pixels(const PoolBand<S, T>& p, int64_t w0, int64_t w1, int64_t c, int64_t n) {
  constexpr int L = kLanes<T>;
  const PoolSpan z = p.z.windows(p.slice), x = covering_windows(p.x, w0, w1);
  const int64_t first = x.start, last = first + x.taps, pitch = (n + L - 1) / L * L;
  PoolSpan summed{-1, 0};
  for (int64_t h = p.first; h < p.first + p.rows; h++) {
    const PoolSpan y = p.y.windows(h);
    if (y.start != summed.start || y.taps != summed.taps)
      sum_window_pixels(p, z, y, first, last, c, n, pitch, p.scratch);
    summed = y;
    S* out = p.x_data + p.slice * p.z.x_step + h * p.y.x_step + w0 * p.x.x_step + c;
    int64_t from = first, to = first;  // the windows that cover pixel w
    int64_t leaves = from * p.x.stride - p.x.pad + p.x.kernel, enters = leaves - p.x.kernel;
    for (int64_t w = w0; w < w1; w++, out += p.x.x_step) {
      if (p.x.adaptive) {
        const PoolSpan cover = p.x.windows(w);
        from = cover.start, to = from + cover.taps;
      } else {
        for (; to < last && enters <= w; to++) enters += p.x.stride;
        for (; from < to && leaves <= w; from++) leaves += p.x.stride;
      }
      const T* nearest = p.scratch + (to - 1 - first) * pitch;
      add_vectors(nearest, to - from, pitch, out, n);
    }
  }
}

template <class S, class T>
static void avg_pool_pixels_gradient(const PoolBand<S, T>& band) {
  const PoolBand<S, T> p = band;
  const int64_t width = pool_tile(p.x), end = p.column + p.columns;
  for (int64_t c = 0; c < p.channels; c += kPoolBlock)
    for (int64_t w = p.column; w < end; w += width)
      spread_pixels(p, w, end - w < width ? end : w + width, c,
                    p.channels - c < kPoolBlock ? p.channels - c : kPoolBlock);
}

// out[offset of index[i] + i * out_step] += grad[i * grad_step]; false where an index lies outside. Flat: places follow
// one another at the distance of columns.
template <class T, bool Flat>
KONV_INLINE bool scatter_run(const PoolBand<T>& p, const T* grad, int64_t grad_step, const int64_t* index,
                             int64_t index_step, T* out, int64_t out_step, int64_t n) {
  const int64_t plane = p.y.in * p.x.in;
  const uint64_t volume = uint64_t(p.z.in * plane);
  bool valid = true;
  KONV_UNROLL_BY(4)
  for (int64_t i = 0; i < n; i++, out += out_step) {
    const int64_t at = index[i * index_step];
    if (uint64_t(at) >= volume)
      valid = false;
    else if (Flat)
      out[at * p.x.x_step] += grad[i * grad_step];
    else
      out[at / plane * p.z.x_step + at % plane / p.x.in * p.y.x_step + at % p.x.in * p.x.x_step] += grad[i * grad_step];
  }
  return valid;
}

// Whether the rows of a plane follow one another at the distance of its elements.
KONV_INLINE bool flat_plane(int64_t rows, int64_t row_step, int64_t columns, int64_t step) {
  return rows == 1 || row_step == columns * step;
}

// Zeros `width` elements at each pixel of a volume.
template <class T>
KONV_INLINE void zero_volume(const PoolBand<T>& p, T* x, int64_t width) {
  const bool flat = flat_plane(p.y.in, p.y.x_step, p.x.in, p.x.x_step);
  const int64_t rows = flat ? 1 : p.y.in, columns = flat ? p.y.in * p.x.in : p.x.in;
  for (int64_t z = 0; z < p.z.in; z++)
    for (int64_t y = 0; y < rows; y++) {
      T* row = x + z * p.z.x_step + y * p.y.x_step;
      if (p.x.x_step == width)
        zero_run(row, columns * width);
      else
        for (int64_t c = 0; c < columns; c++) zero_run(row + c * p.x.x_step, width);
    }
}

template <class T, bool Flat>
static void scatter_rows(const PoolBand<T> p, bool* valid) {
  for (int64_t c = 0; c < p.channels; c++) {
    T* x = p.x_data + c * p.x_channel;
    zero_volume(p, x, 1);
    for (int64_t z = 0; z < p.z.out; z++)
      for (int64_t y = 0; y < p.y.out; y++) {
        const T* grad = p.y_data + c * p.y_channel + z * p.z.y_step + y * p.y.y_step;
        const int64_t* index = p.index + c * p.index_channel + z * p.z.index_step + y * p.y.index_step;
        *valid &= p.x.y_step == 1 && p.x.index_step == 1
                      ? scatter_run<T, Flat>(p, grad, 1, index, 1, x, 0, p.x.out)
                      : scatter_run<T, Flat>(p, grad, p.x.y_step, index, p.x.index_step, x, 0, p.x.out);
      }
  }
}
template <class T, bool Flat>
static void scatter_pixels(const PoolBand<T> p, bool* valid) {
  zero_volume(p, p.x_data, p.channels);
  for (int64_t z = 0; z < p.z.out; z++)
    for (int64_t y = 0; y < p.y.out; y++) {
      const T* grad = p.y_data + z * p.z.y_step + y * p.y.y_step;
      const int64_t* index = p.index + z * p.z.index_step + y * p.y.index_step;
      for (int64_t x = 0; x < p.x.out; x++, grad += p.x.y_step, index += p.x.index_step)
        *valid &= scatter_run<T, Flat>(p, grad, 1, index, 1, p.x_data, 1, p.channels);
    }
}

template <class T>
KONV_INLINE bool flat_volume(const PoolBand<T>& p) {
  return flat_plane(p.y.in, p.y.x_step, p.x.in, p.x.x_step) &&
         (p.z.in == 1 || p.z.x_step == p.y.in * p.x.in * p.x.x_step);
}
template <class T>
static void max_pool_rows_gradient(const PoolBand<T>& band, bool* valid) {
  PoolBand<T> p = band;
  if (flat_plane(p.y.out, p.y.y_step, p.x.out, p.x.y_step) &&
      flat_plane(p.y.out, p.y.index_step, p.x.out, p.x.index_step))
    p.x.out *= p.y.out, p.y.out = 1;  // windows too follow one another
  flat_volume(p) ? scatter_rows<T, true>(p, valid) : scatter_rows<T, false>(p, valid);
}
template <class T>
static void max_pool_pixels_gradient(const PoolBand<T>& p, bool* valid) {
  flat_volume(p) ? scatter_pixels<T, true>(p, valid) : scatter_pixels<T, false>(p, valid);
}

template <class T>
static void indices_inside(const int64_t* index, int64_t step, int64_t n, int64_t volume, bool* valid) {
  const uint64_t last = uint64_t(volume) - 1;
  uint64_t bits = 0;  // the sign of a number too small, or of what is left up to the last from one too large
  if (step == 1)
    for (int64_t i = 0; i < n; i++) bits |= uint64_t(index[i]) | (last - uint64_t(index[i]));
  else
    for (int64_t i = 0; i < n; i++) bits |= uint64_t(index[i * step]) | (last - uint64_t(index[i * step]));
  if (bits >> 63) *valid = false;
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
