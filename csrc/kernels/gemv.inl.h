// Dot products of rows of weights with a few vectors: weights are read once, where they lie.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

// Vectors of a row of weights are read at a time. Four rows, two vectors each, are what memory delivers fastest.
template <class T, int Outputs, int Rows, int Vectors>
KONV_INLINE void gemv_block(const Gemv<T>& g, int64_t output, int64_t row) {
  constexpr int L = kLanes<T>;
  const T *w = g.w + output * g.w_ld, *x = g.x + row * g.x_ld;
  Vec<T> sum[Rows][Outputs] = {};
  const auto add_one = [&](auto&& get, int64_t i, int k) {
    const Vec<T> b = get(w + k * g.w_ld + i);
    KONV_UNROLL
    for (int r = 0; r < Rows; r++) sum[r][k] += get(x + r * g.x_ld + i) * b;
  };
  const auto add = [&](auto&& get, int64_t i) {
    KONV_UNROLL
    for (int k = 0; k < Outputs; k++) add_one(get, i, k);
  };
  const auto whole = [](const T* p) { return load(p); };
  int64_t i = 0;
  for (; i + Vectors * L <= g.length; i += Vectors * L) {
    KONV_UNROLL
    for (int k = 0; k < Outputs; k++) {
      KONV_UNROLL
      for (int v = 0; v < Vectors; v++) add_one(whole, i + v * L, k);
    }
  }
  for (; i + L <= g.length; i += L) add(whole, i);
  if (const int left = int(g.length - i); left > 0) add([left](const T* p) { return load_n(p, left); }, i);
  for (int r = 0; r < Rows; r++)
    for (int k = 0; k < Outputs; k++) {
      const T s = horizontal_sum<T>(sum[r][k]) + (g.bias ? g.bias[output + k] : T(0));
      g.out[(row + r) * g.out_ld + output + k] = clip<T>(splat(s), g.clip)[0];
    }
}

template <class T, int Outputs, int Rows, int Vectors>
KONV_INLINE int64_t gemv_outputs(const Gemv<T>& g, int64_t output) {
  for (; output + Outputs <= g.outputs; output += Outputs) {
    int64_t row = 0;
    for (; row + Rows <= g.rows; row += Rows) gemv_block<T, Outputs, Rows, Vectors>(g, output, row);
    for (; row < g.rows; row++) gemv_block<T, Outputs, 1, Vectors>(g, output, row);
  }
  return output;
}

template <class T>
static void gemv(const Gemv<T>& g) {
  const int64_t output = g.rows == 1 ? gemv_outputs<T, 4, 1, 2>(g, 0) : gemv_outputs<T, 4, 2, 1>(g, 0);
  gemv_outputs<T, 1, 1, 1>(g, output);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
