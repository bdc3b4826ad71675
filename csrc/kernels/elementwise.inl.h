// Activations, softmax with its loss, dropout and the optimizers' steps: what a network does beside convolving.
//
// Every entry works on a run of n elements, or on whole rows, so that callers may cut the work anywhere without
// changing a bit of the result. Arrays are contiguous. `out` may be an input; other arrays do not overlap.
#pragma once
#include "kernels/reduce.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
struct Float;
template <>
struct Float<float> {
  typedef int32_t Int;
  static constexpr int mantissa = 23, bias = 127, taylor = 7;
  static constexpr float exp_low = -104.0f, exp_high = 89.0f, round = 0x1.8p23f;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
};
template <>
struct Float<double> {
  typedef int64_t Int;
  static constexpr int mantissa = 52, bias = 1023, taylor = 13;
  static constexpr double exp_low = -746.0, exp_high = 710.0, round = 0x1.8p52;
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
};

// 2^n of whole numbers n within the range of normal exponents.
template <class T>
KONV_INLINE Vec<T> power_of_two(Vec<typename Float<T>::Int> n) {
  return (Vec<T>)((n + Float<T>::bias) << Float<T>::mantissa);
}

// exp within about an ulp: x = k ln 2 + r, a Taylor series for exp(r), and the exponent set by hand. NaN stays NaN.
template <class T>
KONV_INLINE Vec<T> exp(Vec<T> x) {
  using F = Float<T>;
  using Int = typename F::Int;
  const Vec<T> low = splat<T>(F::exp_low), high = splat<T>(F::exp_high), round = splat<T>(F::round);
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Vec<T> shifted = x * splat<T>(T(1.4426950408889634074)) + round;
  const Vec<T> k = shifted - round;
  const Vec<T> r = (x - k * splat<T>(F::ln2_high)) - k * splat<T>(F::ln2_low);
  T factorial[F::taylor + 1] = {1};
  KONV_UNROLL
  for (int i = 1; i <= F::taylor; i++) factorial[i] = factorial[i - 1] * T(i);
  Vec<T> sum = splat<T>(T(1) / factorial[F::taylor]);
  KONV_UNROLL
  for (int i = F::taylor - 1; i >= 0; i--) sum = sum * r + splat<T>(T(1) / factorial[i]);
  // k lies in the low bits of `shifted`. Two factors reach results whose exponent alone would not be normal.
  const Vec<Int> n = (Vec<Int>)shifted - (Vec<Int>)round;
  const Vec<Int> half = n >> 1;
  return sum * power_of_two<T>(half) * power_of_two<T>(n - half);
}

// out[i] = f(x[i]), a vector at a time.
template <class T, class F>
KONV_INLINE void map(const T* x, T* out, int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(out + i, f(load(x + i)));
  if (i < n) store_n(out + i, f(load_n(x + i, int(n - i))), int(n - i));
}
// out[i] = f(x[i], y[i])
template <class T, class F>
KONV_INLINE void map(const T* x, const T* y, T* out, int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store(out + i, f(load(x + i), load(y + i)));
  if (i < n) store_n(out + i, f(load_n(x + i, int(n - i)), load_n(y + i, int(n - i))), int(n - i));
}

template <class T>
static void clipped_relu(const T* x, T* out, int64_t n, T slope, T max, T threshold) {
  const Vec<T> a = splat<T>(slope), top = splat<T>(max), t = splat<T>(threshold);
  map<T>(x, out, n, [=](Vec<T> x) {
    const Vec<T> capped = x > top ? top : x;
    return x < t ? a * (x - t) : capped;
  });
}

template <class T>
static void clipped_relu_grad(const T* x, const T* grad, T* out, int64_t n, T slope, T max, T threshold) {
  const Vec<T> a = splat<T>(slope), top = splat<T>(max), t = splat<T>(threshold);
  map<T>(x, grad, out, n, [=](Vec<T> x, Vec<T> g) {
    const Vec<T> above = x >= top ? Vec<T>{} : g;
    return x <= t ? a * g : above;
  });
}

// Near zero the rational function of Cephes' tanh.c, elsewhere 1 - 2 / (exp(2|x|) + 1) with the sign of x.
template <class T>
KONV_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> one = splat<T>(1), two = splat<T>(2), border = splat<T>(T(0.625));
  const Vec<T> size = x < Vec<T>{} ? -x : x;
  const Vec<T> far = one - two / (exp<T>(size + size) + one);
  const Vec<T> z = x * x;
  const Vec<T> p = (splat<T>(T(-9.64399179425052238628e-1)) * z + splat<T>(T(-9.92877231001918586564e1))) * z +
                   splat<T>(T(-1.61468768441708447952e3));
  const Vec<T> q = ((z + splat<T>(T(1.12811678491632931402e2))) * z + splat<T>(T(2.23548839060100448583e3))) * z +
                   splat<T>(T(4.84406305325125486048e3));
  const Vec<T> near = x + x * (z * (p / q));
  const Vec<T> signed_far = x < Vec<T>{} ? -far : far;
  return size < border ? near : signed_far;
}
// out[i] = exp(x[i] - max(x)); returns the sum of the row, and its maximum through `top`.
template <class T>
KONV_INLINE T exp_row(const T* x, T* out, int64_t n, T* top) {
  constexpr int L = kLanes<T>;
  T largest = x[0];
  int64_t i = 0;
  if (n >= L) {
    Vec<T> m = load(x);
    for (i = L; i + L <= n; i += L) {
      const Vec<T> v = load(x + i);
      m = v > m ? v : m;
    }
    T lane[L];
    store(lane, m);
    for (int j = 0; j < L; j++) largest = lane[j] > largest ? lane[j] : largest;
  }
  for (; i < n; i++) largest = x[i] > largest ? x[i] : largest;
  *top = largest;

  const Vec<T> shift = splat<T>(largest);
  Vec<T> sum = {};
  for (i = 0; i + L <= n; i += L) {
    const Vec<T> e = exp<T>(load(x + i) - shift);
    store(out + i, e);
    sum += e;
  }
  if (i < n) {
    store_n(out + i, exp<T>(load_n(x + i, int(n - i)) - shift), int(n - i));
    sum += load_n(out + i, int(n - i));
  }
  return horizontal_sum<T>(sum);
}

template <class T>
static void softmax(const T* x, T* out, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; r++, x += cols, out += cols) {
    T top;
    const Vec<T> share = splat<T>(T(1) / exp_row<T>(x, out, cols, &top));
    map<T>(out, out, cols, [=](Vec<T> e) { return e * share; });
  }
}

template <class T>
static void softmax_grad(const T* y, const T* grad, T* out, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; r++, y += cols, grad += cols, out += cols) {
    T dot;
    dot_rows<T>(y, cols, grad, cols, 1, cols, &dot);
    const Vec<T> mean = splat<T>(dot);
    map<T>(y, grad, out, cols, [=](Vec<T> y, Vec<T> g) { return y * (g - mean); });
  }
}

template <class T>
static void softmax_cross_entropy(const CrossEntropy<T>& c) {
  const T *x = c.logits, *t = c.targets;
  T* g = c.grad;
  for (int64_t r = 0; r < c.rows; r++, x += c.cols, g += c.cols) {
    T top, sum = exp_row<T>(x, g, c.cols, &top);
    if (c.labels) {
      const Vec<T> share = splat<T>(c.scale / sum);
      map<T>(g, g, c.cols, [=](Vec<T> e) { return e * share; });
      g[c.labels[r]] -= c.scale;
      c.loss[r] = {1, double(sum), double(top) - double(x[c.labels[r]])};
      continue;
    }
    double weight = 0, rest = 0;
    for (int64_t i = 0; i < c.cols; i++) {
      rest += t[i] == 0 ? 0.0 : double(t[i]) * (double(top) - double(x[i]));
      weight += double(t[i]);
    }
    const Vec<T> share = splat<T>(T(weight) * c.scale / sum), scale = splat<T>(c.scale);
    map<T>(g, t, g, c.cols, [=](Vec<T> e, Vec<T> t) { return e * share - t * scale; });
    c.loss[r] = {weight, double(sum), rest};
    t += c.cols;
  }
}

// Keeps x[i] * scale where a hash of (seed, first + i) is at least `threshold`, else 0: the mask is never stored.
// The hash is Chris Wellons' lowbias32, applied twice so that neighbouring seeds have nothing in common.
template <class T>
static void dropout(const T* x, T* out, int64_t n, int64_t first, uint64_t seed, uint32_t threshold, T scale) {
  const uint32_t low = uint32_t(seed) ^ (uint32_t(uint64_t(first) >> 32) * 0x9e3779b9u), high = uint32_t(seed >> 32);
  for (int64_t i = 0; i < n; i++) {
    uint32_t h = uint32_t(first + i) ^ low;
    h = (h ^ (h >> 16)) * 0x7feb352du;
    h = (h ^ (h >> 15)) * 0x846ca68bu;
    h = (h ^ (h >> 16)) + high;
    h = (h ^ (h >> 16)) * 0x7feb352du;
    h = (h ^ (h >> 15)) * 0x846ca68bu;
    h ^= h >> 16;
    out[i] = h >= threshold ? x[i] * scale : T(0);
  }
}

KONV_INLINE float square_root(float v) { return __builtin_sqrtf(v); }
KONV_INLINE double square_root(double v) { return __builtin_sqrt(v); }

template <class T>
static void adam_step(const AdamStep<T>& a, int64_t first, int64_t n) {
  T* __restrict w = a.value + first, * __restrict m = a.mean + first, * __restrict v = a.square + first;
  const T* __restrict g = a.grad + first;
  const T rate = a.rate, mean_rate = a.mean_rate, square_rate = a.square_rate, epsilon = a.epsilon;
  for (int64_t i = 0; i < n; i++) {
    m[i] += (g[i] - m[i]) * mean_rate;
    v[i] += (g[i] * g[i] - v[i]) * square_rate;
    w[i] -= rate * m[i] / (square_root(v[i]) + epsilon);
  }
}

template <class T>
static void sgd_step(const SgdStep<T>& s, int64_t first, int64_t n) {
  T* __restrict w = s.value + first;
  const T* __restrict g = s.grad + first;
  if (!s.velocity) {
    for (int64_t i = 0; i < n; i++) w[i] -= s.rate * g[i];
    return;
  }
  T* __restrict v = s.velocity + first;
  const T rate = s.rate, momentum = s.momentum, look_ahead = s.nesterov ? 1 : 0;
  for (int64_t i = 0; i < n; i++) {
    const T step = momentum * v[i] - rate * g[i];
    w[i] += look_ahead != 0 ? momentum * step - rate * g[i] : step;
    v[i] = step;
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
