// Depthwise convolution: one filter a channel, no sum over channels, so memory and loads set the pace.
//
// Planes: pixels of a row are the lanes. For the usual square kernels each packed input vector is loaded once for a
// strip of output rows that stay in registers. Pixels: channels are the lanes, a run of pixels shares each weight.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// A strip of Rows output rows, one vector wide, of a Kh x Kw kernel with unit row steps.
template <class T, int Rows, int Kh, int Kw>
KONV_INLINE void depthwise_strip(const DepthwisePlane<T>& p, int64_t r0, int64_t j, int n) {
  Vec<T> acc[Rows];
  KONV_UNROLL
  for (int i = 0; i < Rows; i++)
    acc[i] = p.accumulate ? load_n(p.out + (r0 + i) * p.out_pitch + j, n) : splat(p.bias);
  const T* src = p.src + p.tap[0] + r0 * p.row_pitch + j;
  KONV_UNROLL
  for (int i = 0; i < Rows + Kh - 1; i++) {
    KONV_UNROLL
    for (int s = 0; s < Kw; s++) {
      const Vec<T> v = load(src + i * p.row_pitch + s * p.dx);
      KONV_UNROLL
      for (int r = 0; r < Kh; r++)
        if (i - r >= 0 && i - r < Rows) acc[i - r] += v * splat(p.w[r * Kw + s]);
    }
  }
  KONV_UNROLL
  for (int i = 0; i < Rows; i++) {
    const Vec<T> v = p.relu ? relu<T>(acc[i]) : acc[i];
    T* out = p.out + (r0 + i) * p.out_pitch + j;
    if (n == kLanes<T>)
      store(out, v);
    else
      store_n(out, v, n);
  }
}

template <class T, int Kh, int Kw>
KONV_INLINE void depthwise_square(const DepthwisePlane<T>& p) {
  constexpr int L = kLanes<T>, Strip = KONV_VEC_BYTES == 64 ? 8 : 4;
  int64_t r = 0;
  for (; r + Strip <= p.rows; r += Strip)
    for (int64_t j = 0; j < p.cols; j += L)
      depthwise_strip<T, Strip, Kh, Kw>(p, r, j, int(p.cols - j < L ? p.cols - j : L));
  if (r + Strip / 2 <= p.rows) {
    for (int64_t j = 0; j < p.cols; j += L)
      depthwise_strip<T, Strip / 2, Kh, Kw>(p, r, j, int(p.cols - j < L ? p.cols - j : L));
    r += Strip / 2;
  }
  for (; r < p.rows; r++)
    for (int64_t j = 0; j < p.cols; j += L)
      depthwise_strip<T, 1, Kh, Kw>(p, r, j, int(p.cols - j < L ? p.cols - j : L));
}

template <class T>
static void depthwise_plane(const DepthwisePlane<T>& p) {
  constexpr int L = kLanes<T>;
  if (p.kh == 3 && p.kw == 3) return depthwise_square<T, 3, 3>(p);
  if (p.kh == 5 && p.kw == 5) return depthwise_square<T, 5, 5>(p);
  if (p.kh == 7 && p.kw == 7) return depthwise_square<T, 7, 7>(p);
  for (int64_t r = 0; r < p.rows; r++) {
    T* out = p.out + r * p.out_pitch;
    const T* src = p.src + r * p.row_pitch;
    for (int64_t j = 0; j < p.cols; j += 4 * L) {
      const int64_t left = p.cols - j;
      Vec<T> acc[4];
      KONV_UNROLL
      for (int i = 0; i < 4; i++) {
        const int64_t n = left - i * L;
        acc[i] = splat(p.bias);
        if (p.accumulate && n > 0) acc[i] = load_n(out + j + i * L, int(n < L ? n : L));
      }
      for (int64_t t = 0; t < p.taps; t++) {
        const Vec<T> w = splat(p.w[t]);
        KONV_UNROLL
        for (int i = 0; i < 4; i++)
          if (left > i * L) acc[i] += load(src + p.tap[t] + j + i * L) * w;
      }
      KONV_UNROLL
      for (int i = 0; i < 4; i++) {
        const int64_t n = left - i * L;
        if (n > 0) store_n(out + j + i * L, p.relu ? relu<T>(acc[i]) : acc[i], int(n < L ? n : L));
      }
    }
  }
}

template <class T, int Pixels>
KONV_INLINE void depthwise_run(const DepthwisePixels<T>& p, int64_t j, int64_t c, int n) {
  Vec<T> acc[Pixels];
  const Vec<T> bias = p.bias ? load_n(p.bias + c, n) : Vec<T>{};
  KONV_UNROLL
  for (int i = 0; i < Pixels; i++) acc[i] = p.accumulate ? load_n(p.out + (j + i) * p.out_pitch + c, n) : bias;
  for (int64_t t = 0; t < p.taps; t++) {
    if (!p.src[t]) continue;
    const T* src = p.src[t] + j * p.pixel_step + c;
    if (n == kLanes<T>) {
      const Vec<T> w = load(p.w + t * p.w_pitch + c);
      KONV_UNROLL
      for (int i = 0; i < Pixels; i++) acc[i] += load(src + i * p.pixel_step) * w;
    } else {
      const Vec<T> w = load_n(p.w + t * p.w_pitch + c, n);
      KONV_UNROLL
      for (int i = 0; i < Pixels; i++) acc[i] += load_n(src + i * p.pixel_step, n) * w;
    }
  }
  KONV_UNROLL
  for (int i = 0; i < Pixels; i++) {
    const Vec<T> v = p.relu ? relu<T>(acc[i]) : acc[i];
    T* out = p.out + (j + i) * p.out_pitch + c;
    if (n == kLanes<T>)
      store(out, v);
    else
      store_n(out, v, n);
  }
}

template <class T>
static void depthwise_pixels(const DepthwisePixels<T>& p) {
  constexpr int L = kLanes<T>, Run = 8;
  for (int64_t c = 0; c < p.channels; c += L) {
    const int n = int(p.channels - c < L ? p.channels - c : L);
    int64_t j = 0;
    for (; j + Run <= p.pixels; j += Run) depthwise_run<T, Run>(p, j, c, n);
    for (; j + 2 <= p.pixels; j += 2) depthwise_run<T, 2>(p, j, c, n);
    for (; j < p.pixels; j++) depthwise_run<T, 1>(p, j, c, n);
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
