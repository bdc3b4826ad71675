// Weight gradients of rows of taps, pixels in the lanes: neither operand is transposed.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// Sums, the vectors of x and one of dy stay in registers.
template <int Taps>
constexpr int kTapSumOutputs = ((KONV_GEMM_ROWS >= 12 ? 31 : 15) - Taps) / Taps;

template <class T, int Taps, int Outputs>
static void tap_sums_of(const TapSums<T>& g) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[Outputs][Taps];
  KONV_UNROLL
  for (int k = 0; k < Outputs; k++) {
    KONV_UNROLL
    for (int t = 0; t < Taps; t++) sum[k][t] = load(g.sums + (k * Taps + t) * L);
  }
  for (int64_t r = 0; r < g.rows; r++) {
    const T *x = g.x + r * g.x_row, *dy = g.dy + r * g.dy_row;
    const auto add = [&](auto&& get, int64_t i) {
      Vec<T> a[Taps];
      KONV_UNROLL
      for (int t = 0; t < Taps; t++) a[t] = get(x + i + t);
      const T* d = dy + i;
      KONV_UNROLL
      for (int k = 0; k < Outputs; k++, d = next_row(d, g.dy_output)) {
        Vec<T> b = get(d);
        keep_in_register(b);  // or compilers load it once for each tap
        KONV_UNROLL
        for (int t = 0; t < Taps; t++) sum[k][t] += a[t] * b;
      }
    };
    int64_t i = 0;
    for (; i + L <= g.cols; i += L) add([](const T* p) { return load(p); }, i);
    if (const int left = int(g.cols - i); left > 0) add([left](const T* p) { return load_n(p, left); }, i);
  }
  KONV_UNROLL
  for (int k = 0; k < Outputs; k++) {
    KONV_UNROLL
    for (int t = 0; t < Taps; t++) store(g.sums + (k * Taps + t) * L, sum[k][t]);
  }
}

template <class T, int Taps, int Outputs = kTapSumOutputs<Taps>>
KONV_INLINE void tap_sums_dispatch(const TapSums<T>& g) {
  if constexpr (Outputs > 1) {
    if (g.outputs < Outputs) return tap_sums_dispatch<T, Taps, Outputs - 1>(g);
  }
  tap_sums_of<T, Taps, Outputs>(g);
}
template <class T>
static void tap_sums(const TapSums<T>& g) {
  if (g.taps == 3) return tap_sums_dispatch<T, 3>(g);
  if (g.taps == 5) return tap_sums_dispatch<T, 5>(g);
  tap_sums_dispatch<T, 7>(g);
}
static constexpr int tap_sum_outputs(int taps) {
  return taps == 3 ? kTapSumOutputs<3> : taps == 5 ? kTapSumOutputs<5> : kTapSumOutputs<7>;
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
