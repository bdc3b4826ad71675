// Passes of batch normalisation: see batch_norm.h.
#pragma once
#include "kernels/reduce.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

// Calls f(c, load, store, lanes) for the channels, a vector at a time; the last one may be short.
template <class T, class F>
KONV_INLINE void by_channels(int64_t cols, F f) {
  constexpr int L = kLanes<T>;
  int64_t c = 0;
  for (; c + L <= cols; c += L) f(c, [](const T* p) { return load(p); }, [](T* p, Vec<T> v) { store(p, v); });
  if (c < cols) {
    const int n = int(cols - c);
    f(c, [n](const T* p) { return load_n(p, n); }, [n](T* p, Vec<T> v) { store_n(p, v, n); });
  }
}

// Rows in the outer loop read memory in its order. What a channel needs is held in the caches.
template <class T>
static void channel_moments(const ChannelMoments<T>& m) {
  const Vec<T> share = splat<T>(T(1) / T(m.rows));
  by_channels<T>(m.cols, [&](int64_t c, auto get, auto put) {
    Vec<T> sum[2] = {};
    int64_t r = 0;
    for (; r + 2 <= m.rows; r += 2) {
      sum[0] += get(m.x + r * m.ld + c);
      sum[1] += get(m.x + (r + 1) * m.ld + c);
    }
    if (r < m.rows) sum[0] += get(m.x + r * m.ld + c);
    const Vec<T> mean = (sum[0] + sum[1]) * share;
    Vec<T> squares[2] = {};
    for (r = 0; r + 2 <= m.rows; r += 2) {
      const Vec<T> a = get(m.x + r * m.ld + c) - mean, b = get(m.x + (r + 1) * m.ld + c) - mean;
      squares[0] += a * a;
      squares[1] += b * b;
    }
    if (r < m.rows) {
      const Vec<T> a = get(m.x + r * m.ld + c) - mean;
      squares[0] += a * a;
    }
    put(m.mean + c, mean);
    put(m.squares + c, squares[0] + squares[1]);
  });
}

template <class T>
static void channel_scale(const ChannelScale<T>& s) {
  const Vec<T> low = splat<T>(s.low), high = splat<T>(s.high);
  for (int64_t r = 0; r < s.rows; r++) {
    const T *x = s.x + r * s.x_ld, *residual = s.residual ? s.residual + r * s.residual_ld : nullptr;
    T* y = s.y + r * s.y_ld;
    by_channels<T>(s.cols, [&](int64_t c, auto get, auto put) {
      Vec<T> v = get(x + c) * get(s.scale + c) + get(s.shift + c);
      if (residual) v += get(residual + c);
      put(y + c, lesser(high, greater(low, v)));
    });
  }
}

template <class T>
static void channel_gradient_sums(const ChannelGradientSums<T>& s) {
  const Vec<T> low = splat<T>(s.low), high = splat<T>(s.high), zero = {};
  by_channels<T>(s.cols, [&](int64_t c, auto get, auto put) {
    const Vec<T> mean = get(s.mean + c);
    Vec<T> sum = {}, product = {};
    for (int64_t r = 0; r < s.rows; r++) {
      Vec<T> g = get(s.grad + r * s.grad_ld + c);
      if (s.y) {
        const Vec<T> y = get(s.y + r * s.y_ld + c);
        g = y > low ? g : zero;
        g = y < high ? g : zero;
      }
      sum += g;
      product += g * (get(s.x + r * s.x_ld + c) - mean);
    }
    put(s.sum + c, get(s.sum + c) + sum);
    put(s.product + c, get(s.product + c) + product);
  });
}

template <class T>
static void channel_gradient(const ChannelGradient<T>& s) {
  const Vec<T> low = splat<T>(s.low), high = splat<T>(s.high), zero = {};
  for (int64_t r = 0; r < s.rows; r++) {
    const T *grad = s.grad + r * s.grad_ld, *x = s.x + r * s.x_ld, *y = s.y ? s.y + r * s.y_ld : nullptr;
    T *out = s.out + r * s.out_ld, *masked = s.masked ? s.masked + r * s.masked_ld : nullptr;
    by_channels<T>(s.cols, [&](int64_t c, auto get, auto put) {
      Vec<T> g = get(grad + c);
      if (y) {
        const Vec<T> v = get(y + c);
        g = v > low ? g : zero;
        g = v < high ? g : zero;
      }
      const Vec<T> distance = get(x + c) - get(s.mean + c);
      put(out + c, get(s.a + c) * g + (get(s.b + c) * distance + get(s.c + c)));
      if (masked) put(masked + c, g);
    });
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
