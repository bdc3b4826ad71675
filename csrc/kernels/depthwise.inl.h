// Depthwise convolution: one filter a channel, no sum over channels, so memory and loads set the pace.
//
// Rows: pixels of a row are the lanes; for the usual square kernels with steps of 2 a strip of output rows stays in
// registers. Plane: any kernel, from packed input. Pixels: channels are the lanes, a run of pixels shares each weight.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// The lanes of a load that lie inside the row.
struct LaneSpan {
  int low, high;
};
template <class T>
KONV_INLINE LaneSpan lanes_inside(int64_t first, int64_t width) {
  const int64_t L = kLanes<T>;
  const int64_t low = first >= 0 ? 0 : -first, high = width > first ? width - first : 0;
  return {int(low < L ? low : L), int(high < L ? high : L)};
}
template <class T>
KONV_INLINE Vec<T> load_inside(const T* p, LaneSpan s, bool whole) {
  Vec<T> v = whole ? load(p) : load_between(p, s.low < s.high ? s.low : s.high, s.high);
  keep_in_register(v);
  return v;
}

// The input vectors that meet the kernel's columns: v[s] lane l = row[first + 2 * l + s]. They are the even and odd
// lanes of one stretch of the row, shifted by a lane for every second column.
template <class T, int Size>
struct DepthwiseColumns {
  static constexpr int L = kLanes<T>;
  int64_t first, width;
  LaneSpan span[2];

  static inline __attribute__((always_inline)) DepthwiseColumns at(int64_t first, int64_t width) {
    return {first, width, {lanes_inside<T>(first, width), lanes_inside<T>(first + L, width)}};
  }
  __attribute__((always_inline)) void load_row(const T* row, bool whole, Vec<T>* v) const {
    const Vec<T> a = load_inside(row + first, span[0], whole), b = load_inside(row + first + L, span[1], whole);
    v[0] = even_lanes<T>(a, b);
    v[1] = odd_lanes<T>(a, b);
    KONV_UNROLL
    for (int s = 2; s < Size; s++) {
      const int64_t next = first + 2 * L + s - 2;
      v[s] = shift_in<T>(v[s - 2], whole || (next >= 0 && next < width) ? row[next] : T(0));
    }
  }
};

// Rows output rows from r0, one vector wide from column j: each input vector is loaded once and meets all output rows
// that it reaches. Where the vectors do not lie wholly inside the row, lanes are masked.
template <class T, int Rows, int Size>
KONV_INLINE void depthwise_strip(const DepthwiseRows<T>& p, int64_t r0, int64_t j, int n, bool whole) {
  constexpr bool kHoldWeights = Size == 3 && KONV_VEC_BYTES == 64;  // else they are broadcast from memory
  const T* weights = p.w;
  Vec<T> acc[Rows], w[kHoldWeights ? Size * Size : 1];
  KONV_UNROLL
  for (int i = 0; i < Rows; i++) acc[i] = p.accumulate ? load_n(p.out + (r0 + i) * p.out_pitch + j, n) : splat(p.bias);
  if constexpr (kHoldWeights) {
    KONV_UNROLL
    for (int i = 0; i < Size * Size; i++) {
      w[i] = splat(weights[i]);
      keep_in_register(w[i]);
    }
  }
  const auto columns = DepthwiseColumns<T, Size>::at(2 * j + p.first, p.width);
  KONV_UNROLL
  for (int i = 0; i < 2 * (Rows - 1) + Size; i++) {
    const T* row = p.row[2 * r0 + i];
    if (!row) continue;
    Vec<T> v[Size];
    columns.load_row(row, whole, v);
    KONV_UNROLL
    for (int s = 0; s < Size; s++) {
      KONV_UNROLL
      for (int r = 0; r < Size; r++)
        if (i >= r && (i - r) % 2 == 0 && (i - r) / 2 < Rows)
          acc[(i - r) / 2] += v[s] * (kHoldWeights ? w[kHoldWeights ? r * Size + s : 0] : splat(weights[r * Size + s]));
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

template <class T, int Rows, int Size>
static void depthwise_strips(const DepthwiseRows<T>& p, int64_t& r) {
  constexpr int L = kLanes<T>;
  for (; r + Rows <= p.rows; r += Rows)
    for (int64_t j = 0; j < p.cols; j += L) {
      const int n = int(p.cols - j < L ? p.cols - j : L);
      const bool whole = 2 * j + p.first >= 0 && 2 * (j + L) + p.first + Size - 1 <= p.width;
      if (whole)
        depthwise_strip<T, Rows, Size>(p, r, j, n, true);
      else
        depthwise_strip<T, Rows, Size>(p, r, j, n, false);
    }
}

template <class T, int Size>
static void depthwise_square(const DepthwiseRows<T>& p) {
  int64_t r = 0;
  if (KONV_VEC_BYTES == 64) {
    if (p.rows % 7 == 0 && p.rows % 8) depthwise_strips<T, 7, Size>(p, r);
    depthwise_strips<T, 8, Size>(p, r);
  }
  depthwise_strips<T, 4, Size>(p, r);
  depthwise_strips<T, 1, Size>(p, r);
}

template <class T>
static void depthwise_rows(const DepthwiseRows<T>& p) {
  if (p.size == 3) return depthwise_square<T, 3>(p);
  if (p.size == 5) return depthwise_square<T, 5>(p);
  return depthwise_square<T, 7>(p);
}

template <class T>
static void depthwise_plane(const DepthwisePlane<T>& p) {
  constexpr int L = kLanes<T>;
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
  for (int i = 0; i < Pixels; i++) acc[i] = bias;
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
