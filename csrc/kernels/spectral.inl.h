// Convolution of tiles by way of their spectra: the discrete Fourier transform makes a product of it.
//
// Lanes are columns of the tile, so twiddle factors are scalars and no shuffle occurs but the transpose between the two
// dimensions. Forward transforms decimate in frequency, inverse ones in time: neither needs the permutation of
// indices that the other undoes (Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992). A block of
// one vector's columns stays in first-level cache through all passes along it.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
struct Complex {
  Vec<T> re, im;
};
template <class T>
KONV_INLINE Complex<T> operator+(Complex<T> a, Complex<T> b) {
  return {a.re + b.re, a.im + b.im};
}
template <class T>
KONV_INLINE Complex<T> operator-(Complex<T> a, Complex<T> b) {
  return {a.re - b.re, a.im - b.im};
}
template <class T>
KONV_INLINE Complex<T> operator*(Complex<T> a, Complex<T> b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
// Times -i, or i for inverse transforms.
template <bool Inverse, class T>
KONV_INLINE Complex<T> quarter_turn(Complex<T> a) {
  if constexpr (Inverse)
    return {-a.im, a.re};
  else
    return {a.im, -a.re};
}
// Times (1 - i) / sqrt(2), or (1 + i) / sqrt(2).
template <bool Inverse, class T>
KONV_INLINE Complex<T> eighth_turn(Complex<T> a) {
  const Vec<T> c = splat(T(0.70710678118654752440));
  if constexpr (Inverse)
    return {c * (a.re - a.im), c * (a.re + a.im)};
  else
    return {c * (a.re + a.im), c * (a.im - a.re)};
}

template <bool Inverse, class T>
KONV_INLINE void dft2(Complex<T>& a, Complex<T>& b) {
  const Complex<T> t = a - b;
  a = a + b;
  b = t;
}
template <bool Inverse, class T>
KONV_INLINE void dft4(Complex<T>& a, Complex<T>& b, Complex<T>& c, Complex<T>& d) {
  const Complex<T> even = a + c, odd = b + d, low = a - c, high = quarter_turn<Inverse>(b - d);
  a = even + odd;
  b = low + high;
  c = even - odd;
  d = low - high;
}
// v[k] = sum over j of v[j] exp(-+ 2 pi i j k / R)
template <int R, bool Inverse, class T>
KONV_INLINE void dft(Complex<T>* v) {
  if constexpr (R == 2) {
    dft2<Inverse>(v[0], v[1]);
  } else if constexpr (R == 4) {
    dft4<Inverse>(v[0], v[1], v[2], v[3]);
  } else {
    Complex<T> even[4], odd[4];
    KONV_UNROLL
    for (int i = 0; i < 4; i++) even[i] = v[i] + v[i + 4], odd[i] = v[i] - v[i + 4];
    odd[1] = eighth_turn<Inverse>(odd[1]);
    odd[2] = quarter_turn<Inverse>(odd[2]);
    odd[3] = quarter_turn<Inverse>(eighth_turn<Inverse>(odd[3]));
    dft4<Inverse>(even[0], even[1], even[2], even[3]);
    dft4<Inverse>(odd[0], odd[1], odd[2], odd[3]);
    KONV_UNROLL
    for (int i = 0; i < 4; i++) v[2 * i] = even[i], v[2 * i + 1] = odd[i];
  }
}

template <class T>
KONV_INLINE Complex<T> load_complex(const T* p) {
  return {load(p), load(p + kLanes<T>)};
}
template <class T>
KONV_INLINE void store_complex(T* p, Complex<T> v) {
  store(p, v.re);
  store(p + kLanes<T>, v.im);
}

// One pass over n complex vectors: transforms of R vectors m / R apart, in each run of m of them.
template <class T, int R, bool Inverse>
static void spectral_pass(T* w, int64_t n, int64_t m, const T* twiddles) {
  constexpr int64_t Row = 2 * kLanes<T>;
  const int64_t step = m / R * Row;
  for (int64_t j = 0; j < m / R; j++, twiddles += 2 * (R - 1)) {
    for (T *p = w + j * Row, *end = w + n * Row; p < end; p += m * Row) {
      Complex<T> v[R];
      KONV_UNROLL
      for (int k = 0; k < R; k++) v[k] = load_complex(p + k * step);
      if (j == 0) {
        dft<R, Inverse>(v);
      } else {
        Complex<T> turn[R];
        KONV_UNROLL
        for (int k = 1; k < R; k++) {
          turn[k] = {splat(twiddles[2 * k - 2]), splat(twiddles[2 * k - 1])};
          if (Inverse) turn[k].im = -turn[k].im;
        }
        if constexpr (Inverse) {
          KONV_UNROLL
          for (int k = 1; k < R; k++) v[k] = v[k] * turn[k];
        }
        dft<R, Inverse>(v);
        if constexpr (!Inverse) {
          KONV_UNROLL
          for (int k = 1; k < R; k++) v[k] = v[k] * turn[k];
        }
      }
      KONV_UNROLL
      for (int k = 0; k < R; k++) store_complex(p + k * step, v[k]);
    }
  }
}

template <bool Inverse, class T>
KONV_INLINE void spectral_pass_of(int radix, T* w, int64_t n, int64_t m, const T* twiddles) {
  if (radix == 8)
    spectral_pass<T, 8, Inverse>(w, n, m, twiddles);
  else if (radix == 4)
    spectral_pass<T, 4, Inverse>(w, n, m, twiddles);
  else
    spectral_pass<T, 2, Inverse>(w, n, m, twiddles);
}
// All passes but the last of the forward transform, or but the first of the inverse one.
template <class T>
KONV_INLINE void spectral_down(const SpectralAxis<T>& a, T* w) {
  int64_t m = a.n;
  for (int i = 0; i + 1 < a.passes; m /= a.radix[i++]) spectral_pass_of<false>(a.radix[i], w, a.n, m, a.twiddles[i]);
}
template <class T>
KONV_INLINE void spectral_up(const SpectralAxis<T>& a, T* w) {
  int64_t m = 8;
  for (int i = a.passes - 2; i >= 0; i--) {
    m *= a.radix[i];
    spectral_pass_of<true>(a.radix[i], w, a.n, m, a.twiddles[i]);
  }
}

// Real or imaginary parts of a block of columns, from an image.
template <class T>
KONV_INLINE void load_columns(const SpectralSource<T>& s, int64_t n, int64_t c, T* w) {
  constexpr int64_t L = kLanes<T>;
  const int64_t begin = s.src ? s.row_begin : n, end = s.src ? s.row_end : n;
  const LaneRange<T> inside = row_lanes<T>(c - s.col_begin, s.col_end - s.col_begin);
  for (int64_t r = 0; r < begin; r++) store(w + 2 * r * L, Vec<T>{});
  const bool whole = c >= s.col_begin && c + L <= s.col_end;
  for (int64_t r = begin; r < end; r++) {
    const T* src = s.src + r * s.stride + c;
    __builtin_prefetch(src + s.ahead, 0, 2);
    store(w + 2 * r * L, whole ? load(src) : load_lanes(src, inside, Vec<T>{}));
  }
  for (int64_t r = end; r < n; r++) store(w + 2 * r * L, Vec<T>{});
}

template <class T>
static void spectral_forward(const SpectralForward<T>& p) {
  constexpr int64_t L = kLanes<T>;
  const int64_t n = p.y.n;
  for (int64_t c = 0; c < p.cols; c += L) {
    load_columns(p.source[0], n, c, p.work);
    load_columns(p.source[1], n, c, p.work + L);
    spectral_down(p.y, p.work);
    spectral_pass<T, 8, false>(p.work, n, 8, nullptr);
    for (int64_t r = 0; r < n; r += L)
      for (int part = 0; part < 2; part++) {
        Vec<T> t[L];
        KONV_UNROLL
        for (int i = 0; i < L; i++) t[i] = load(p.work + (2 * (r + i) + part) * L);
        transpose_square<T>(t);
        KONV_UNROLL
        for (int i = 0; i < L; i++) store(p.dst + (c + i) * p.pitch + part * n + r, t[i]);
      }
  }
}

// Columns [c, c + L) of a half transformed tile.
template <class T>
KONV_INLINE void load_spectral_columns(const T* tile, int64_t pitch, int64_t n, int64_t cols, int64_t c, T* w) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t r = 0; r < n; r++)
    store_complex(w + 2 * r * L, Complex<T>{load(tile + r * pitch + c), load(tile + r * pitch + cols + c)});
}

// The spectrum of a filter from its half transformed tile, times `scale`.
template <class T>
static void spectral_filter(const SpectralAxis<T>& x, int64_t cols, const T* tile, int64_t pitch, T scale, T* dst) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t c = 0; c < cols; c += L, dst += 2 * x.n * L) {
    load_spectral_columns(tile, pitch, x.n, cols, c, dst);
    spectral_down(x, dst);
    spectral_pass<T, 8, false>(dst, x.n, 8, nullptr);
    for (int64_t r = 0; r < 2 * x.n; r++) store(dst + r * L, load(dst + r * L) * splat(scale));
  }
}

// The last pass of the forward transform of eight vectors, times a filter's spectrum.
template <class T>
KONV_INLINE void multiply_eight(const T* src, const T* filter, Complex<T>* v) {
  constexpr int64_t Row = 2 * kLanes<T>;
  KONV_UNROLL
  for (int k = 0; k < 8; k++) v[k] = load_complex(src + k * Row);
  dft<8, false>(v);
  KONV_UNROLL
  for (int k = 0; k < 8; k++) v[k] = v[k] * load_complex(filter + k * Row);
}

// The sum of the channels' products, and the first pass of the inverse transform.
template <class T>
KONV_INLINE void multiply_spectra(const SpectralProduct<T>& p, const T* w, const T* spectrum, T* dst) {
  constexpr int64_t Row = 2 * kLanes<T>;
  const int64_t n = p.x.n, next_filter = 2 * p.cols * n;
  for (int64_t b = 0; b < n; b += 8, w += 8 * Row, spectrum += 8 * Row, dst += 8 * Row) {
    Complex<T> sum[8];
    multiply_eight(w, spectrum, sum);
    for (int64_t c = 1; c < p.channels; c++) {
      Complex<T> v[8];
      multiply_eight(w + c * n * Row, spectrum + c * next_filter, v);
      KONV_UNROLL
      for (int k = 0; k < 8; k++) sum[k] = sum[k] + v[k];
    }
    dft<8, true>(sum);
    KONV_UNROLL
    for (int k = 0; k < 8; k++) store_complex(dst + k * Row, sum[k]);
  }
}

template <class T>
static void spectral_product(const SpectralProduct<T>& p) {
  constexpr int64_t L = kLanes<T>;
  const int64_t n = p.x.n, block = 2 * n * L;
  T* const result = p.work + p.channels * block;
  for (int64_t c = 0; c < p.cols; c += L) {
    for (int64_t i = 0; i < p.channels; i++) {
      load_spectral_columns(p.tiles + i * p.tile, p.pitch, n, p.cols, c, p.work + i * block);
      spectral_down(p.x, p.work + i * block);
    }
    for (int64_t o = 0; o < p.outputs; o++) {
      multiply_spectra(p, p.work, p.spectra + o * p.channels * 2 * p.cols * n + c * 2 * n, result);
      spectral_up(p.x, result);
      T* tile = p.tiles + o * p.tile + c;
      for (int64_t r = 0; r < n; r++) {
        const Complex<T> v = load_complex(result + 2 * r * L);
        store(tile + r * p.pitch, v.re);
        store(tile + r * p.pitch + p.cols, v.im);
      }
    }
  }
}

template <class T>
static void spectral_inverse(const SpectralInverse<T>& p) {
  constexpr int64_t L = kLanes<T>;
  const int64_t n = p.y.n;
  const Vec<T> bias = splat(p.bias);
  for (int64_t c = 0; c < p.cols; c += L) {
    if (c >= p.target[0].cols && c >= p.target[1].cols) break;
    for (int64_t r = 0; r < n; r += L)
      for (int part = 0; part < 2; part++) {
        Vec<T> t[L];
        KONV_UNROLL
        for (int i = 0; i < L; i++) t[i] = load(p.src + (c + i) * p.pitch + part * n + r);
        transpose_square<T>(t);
        KONV_UNROLL
        for (int i = 0; i < L; i++) store(p.work + (2 * (r + i) + part) * L, t[i]);
      }
    spectral_pass<T, 8, true>(p.work, n, 8, nullptr);
    spectral_up(p.y, p.work);
    for (int part = 0; part < 2; part++) {
      const SpectralTarget<T>& t = p.target[part];
      const int64_t left = t.cols - c;
      for (int64_t r = 0; r < t.rows && left > 0; r++) {
        const Vec<T> v = load(p.work + (2 * r + part) * L) + bias;
        const Vec<T> out = clip<T>(v, p.clip);
        if (left >= L)
          store(t.dst + r * t.stride + c, out);
        else
          store_n(t.dst + r * t.stride + c, out, int(left));
      }
    }
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
