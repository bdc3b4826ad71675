// Depthwise convolution: one filter a channel, no sum over channels, so memory and loads set the pace.
//
// Planes: pixels of a row are the lanes; for the usual square kernels a strip of output rows stays in registers, one
// vector wide. Plane: any kernel, from packed input. Pixels: channels are the lanes, a run of pixels shares each
// weight.
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

// What all strips at one vector of output columns share: which lanes of each load lie inside the row. With steps of 1
// there is a load for each column of the kernel; with steps of 2 one for each half of the pixels under the first two
// columns, and then one pixel for each further column.
template <class T, int Size, int Step>
struct StripColumn {
  static constexpr int L = kLanes<T>;
  LaneRange<T> inside[Size];
  int64_t j;
  int lanes;   // of the output
  bool whole;  // all loads lie inside

  template <bool Whole, int S>
  __attribute__((always_inline)) Vec<T> get(const T* p) const {
    Vec<T> v;
    if constexpr (!Whole)
      v = load_lanes(p, inside[S]);
    else if constexpr (Step == 2 && S >= 2)
      v = splat(*p);
    else
      v = load(p);
    keep_in_register(v);
    return v;
  }
};

template <class T, int Size, int Step>
KONV_INLINE StripColumn<T, Size, Step> strip_column(const DepthwisePlanes<T>& p, int64_t j) {
  constexpr int L = kLanes<T>;
  StripColumn<T, Size, Step> c;
  c.j = j;
  c.lanes = int(p.cols - j < L ? p.cols - j : L);
  const int64_t at = j * Step + p.first_col;
  c.whole = at >= 0 && at + L * Step + Size - Step <= p.width;
  for (int s = 0; s < Size; s++) {
    const bool pixel = Step == 2 && s >= 2;
    LaneSpan in = lanes_inside<T>(at + (Step == 1 ? s : s < 2 ? s * L : 2 * L + s - 2), p.width);
    if (pixel && in.high > 1) in.high = 1;
    c.inside[s] = lanes_between<T>(in.low < in.high ? in.low : in.high, in.high);
  }
  return c;
}

// Sums of Rows output rows, one vector wide. Bit i of `rows` says whether row i from `in` on lies in the image.
template <class T, int Rows, int Size, int Step>
struct StripSums {
  static constexpr int L = kLanes<T>, kRowsIn = (Rows - 1) * Step + Size;
  using Column = StripColumn<T, Size, Step>;
  Vec<T> sum[Rows];

  // Column by column of the kernel, whose weights stay in registers. Each vector meets all output rows it reaches.
  template <bool Whole, int S = 0>
  __attribute__((always_inline)) void add_columns(const Column& c, const T* in, int64_t pitch, unsigned rows,
                                                  const T* w) {
    if constexpr (S < Size) {
      Vec<T> held[Size];
      KONV_UNROLL
      for (int r = 0; r < Size; r++) held[r] = splat(w[r * Size + S]);
      KONV_UNROLL
      for (int i = 0; i < kRowsIn; i++) {
        if (!(rows >> i & 1)) continue;
        const Vec<T> v = c.template get<Whole, S>(in + i * pitch + S);
        KONV_UNROLL
        for (int r = 0; r < Size; r++)
          if (i >= r && i - r < Rows) sum[i - r] += v * held[r];
      }
      add_columns<Whole, S + 1>(c, in, pitch, rows, w);
    }
  }

  // v[s] lane l = row[2 * l + s]: even and odd lanes of one stretch of the row, shifted for every second column.
  template <bool Whole, int S = 0>
  __attribute__((always_inline)) void shifted_columns(const Column& c, const T* row, Vec<T>* v) {
    if constexpr (S < Size) {
      if constexpr (S == 0) {
        const Vec<T> a = c.template get<Whole, 0>(row), b = c.template get<Whole, 1>(row + L);
        v[0] = even_lanes<T>(a, b);
        v[1] = odd_lanes<T>(a, b);
      } else if constexpr (S > 1) {
        v[S] = shift_in_vector<T>(v[S - 2], c.template get<Whole, S>(row + 2 * L + S - 2));
      }
      shifted_columns<Whole, S + 1>(c, row, v);
    }
  }
  // Row by row: the columns share their loads.
  template <bool Whole>
  __attribute__((always_inline)) void add_rows(const Column& c, const T* in, int64_t pitch, unsigned rows, const T* w) {
    constexpr bool kHold = Size == 3 && KONV_VEC_BYTES == 64;  // else weights are broadcast from memory
    Vec<T> held[kHold ? Size * Size : 1];
    if constexpr (kHold) {
      KONV_UNROLL
      for (int i = 0; i < Size * Size; i++) {
        held[i] = splat(w[i]);
        keep_in_register(held[i]);
      }
    }
    KONV_UNROLL
    for (int i = 0; i < kRowsIn; i++) {
      if (!(rows >> i & 1)) continue;
      Vec<T> v[Size];
      shifted_columns<Whole>(c, in + i * pitch, v);
      KONV_UNROLL
      for (int s = 0; s < Size; s++) {
        KONV_UNROLL
        for (int r = 0; r < Size; r++)
          if (i >= r && (i - r) % Step == 0 && (i - r) / Step < Rows)
            sum[(i - r) / Step] += v[s] * (kHold ? held[kHold ? r * Size + s : 0] : splat(w[r * Size + s]));
      }
    }
  }
  template <bool Whole>
  __attribute__((always_inline)) void add(const Column& c, const T* in, int64_t pitch, unsigned rows, const T* w) {
    if constexpr (Step == 1)
      add_columns<Whole>(c, in, pitch, rows, w);
    else
      add_rows<Whole>(c, in, pitch, rows, w);
  }
};

// Output rows r, r + 1, ... of plane k, Rows of them, over `count` vectors of columns.
template <class T, int Rows, int Size, int Step>
static void depthwise_strip(const DepthwisePlanes<T>& p, int64_t k, int64_t r, const StripColumn<T, Size, Step>* column,
                            int count) {
  constexpr int L = kLanes<T>, kRowsIn = StripSums<T, Rows, Size, Step>::kRowsIn;
  const int64_t y = r * Step + p.first_row;
  const int64_t low = y >= 0 ? 0 : -y, high = p.height - y;
  const unsigned all = (1u << kRowsIn) - 1, before = low < kRowsIn ? (1u << low) - 1 : all,
                 upto = high <= 0        ? 0
                        : high < kRowsIn ? (1u << high) - 1
                                         : all,
                 rows = upto & ~before;
  const T *w = p.w + k * p.w_plane, *in = p.in + k * p.in_plane + y * p.in_pitch + p.first_col;
  T* out = p.out + k * p.out_plane + r * p.out_pitch;
  const Vec<T> bias = p.bias ? splat(p.bias[k * p.bias_plane]) : Vec<T>{};
  for (int i = 0; i < count; i++) {
    const StripColumn<T, Size, Step>& c = column[i];
    StripSums<T, Rows, Size, Step> s;
    KONV_UNROLL
    for (int q = 0; q < Rows; q++) s.sum[q] = p.accumulate ? load_n(out + q * p.out_pitch + c.j, c.lanes) : bias;
    if (c.whole)  // masked loads take slots from multiply-adds
      s.template add<true>(c, in + c.j * Step, p.in_pitch, rows, w);
    else
      s.template add<false>(c, in + c.j * Step, p.in_pitch, rows, w);
    KONV_UNROLL
    for (int q = 0; q < Rows; q++) {
      const Vec<T> v = clip<T>(s.sum[q], p.clip);
      if (c.lanes == L)
        store(out + q * p.out_pitch + c.j, v);
      else
        store_n(out + q * p.out_pitch + c.j, v, c.lanes);
    }
  }
}

template <class T, int Size, int Step>
static void depthwise_square(const DepthwisePlanes<T>& p) {
  constexpr int L = kLanes<T>, kColumns = 16;
  constexpr int kTall = KONV_VEC_BYTES == 64 ? 8 : KONV_VEC_BYTES == 32 ? 7 : 4;
  // Strips of 7 rows before those of 8, or of 4, so that as few rows as can be are left.
  int64_t sevens = kTall == 8 ? (8 - p.rows % 8) % 8 : kTall == 7 ? p.rows / 7 : 0;
  if (7 * sevens > p.rows) sevens = 0;
  StripColumn<T, Size, Step> column[kColumns];
  for (int64_t j = 0; j < p.cols;) {
    int count = 0;
    for (; count < kColumns && j < p.cols; count++, j += L) column[count] = strip_column<T, Size, Step>(p, j);
    for (int64_t k = 0; k < p.planes; k++) {
      int64_t r = 0;
      if constexpr (kTall >= 7)
        for (; r < 7 * sevens; r += 7) depthwise_strip<T, 7, Size, Step>(p, k, r, column, count);
      if constexpr (kTall == 8)
        for (; r + 8 <= p.rows; r += 8) depthwise_strip<T, 8, Size, Step>(p, k, r, column, count);
      for (; r + 4 <= p.rows; r += 4) depthwise_strip<T, 4, Size, Step>(p, k, r, column, count);
      for (; r < p.rows; r++) depthwise_strip<T, 1, Size, Step>(p, k, r, column, count);
    }
  }
}

template <class T>
static void depthwise_planes(const DepthwisePlanes<T>& p) {
  if (p.step == 1) {
    if (p.size == 3) return depthwise_square<T, 3, 1>(p);
    if (p.size == 5) return depthwise_square<T, 5, 1>(p);
    return depthwise_square<T, 7, 1>(p);
  }
  if (p.size == 3) return depthwise_square<T, 3, 2>(p);
  if (p.size == 5) return depthwise_square<T, 5, 2>(p);
  return depthwise_square<T, 7, 2>(p);
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
        if (n > 0) store_n(out + j + i * L, clip<T>(acc[i], p.clip), int(n < L ? n : L));
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
    const Vec<T> v = clip<T>(acc[i], p.clip);
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
