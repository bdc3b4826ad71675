// Sums and dot products over blocks: bias gradients and depthwise weight gradients.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
static void dot_rows(const T* a, int64_t a_ld, const T* b, int64_t b_ld, int64_t rows, int64_t cols, T* out) {
  constexpr int L = kLanes<T>;
  Vec<T> s[4] = {};
  for (int64_t r = 0; r < rows; r++, a += a_ld, b += b_ld) {
    int64_t i = 0;
    for (; i + 4 * L <= cols; i += 4 * L) {
      KONV_UNROLL
      for (int j = 0; j < 4; j++) s[j] += load(a + i + j * L) * load(b + i + j * L);
    }
    for (; i + L <= cols; i += L) s[0] += load(a + i) * load(b + i);
    if (i < cols) s[1] += load_n(a + i, int(cols - i)) * load_n(b + i, int(cols - i));
  }
  *out = horizontal_sum<T>((s[0] + s[1]) + (s[2] + s[3]));
}

// Several sums at a time, as each addition waits for the one before it: of neighbouring vectors, or of every fourth
// row.
template <class T, int Vectors, class Load>
KONV_INLINE void dot_column(const T* a, int64_t a_ld, const T* b, int64_t b_ld, int64_t rows, Load&& get, T* out) {
  constexpr int L = kLanes<T>, Chains = Vectors == 1 ? 4 : 1;
  Vec<T> s[Chains * Vectors] = {};
  int64_t r = 0;
  for (; r + Chains <= rows; r += Chains) {
    KONV_UNROLL
    for (int i = 0; i < Chains * Vectors; i++) {
      const int64_t row = r + i % Chains, at = i / Chains * L;
      s[i] += get(a + row * a_ld + at) * get(b + row * b_ld + at);
    }
  }
  for (; r < rows; r++) s[0] += get(a + r * a_ld) * get(b + r * b_ld);
  if constexpr (Chains > 1) {
    get.add(out, (s[0] + s[1]) + (s[2] + s[3]));
  } else {
    KONV_UNROLL
    for (int i = 0; i < Vectors; i++) get.add(out + i * L, s[i]);
  }
}
template <class T>
struct WholeColumns {
  __attribute__((always_inline)) Vec<T> operator()(const T* p) const { return load(p); }
  __attribute__((always_inline)) void add(T* p, Vec<T> v) const { store(p, load(p) + v); }
};
template <class T>
struct FirstColumns {
  int n;
  __attribute__((always_inline)) Vec<T> operator()(const T* p) const { return load_n(p, n); }
  __attribute__((always_inline)) void add(T* p, Vec<T> v) const { store_n(p, load_n(p, n) + v, n); }
};

template <class T>
static void dot_columns(const T* a, int64_t a_ld, const T* b, int64_t b_ld, int64_t rows, int64_t cols, T* out) {
  constexpr int L = kLanes<T>;
  int64_t c = 0;
  for (; c + 4 * L <= cols; c += 4 * L) dot_column<T, 4>(a + c, a_ld, b + c, b_ld, rows, WholeColumns<T>{}, out + c);
  for (; c + L <= cols; c += L) dot_column<T, 1>(a + c, a_ld, b + c, b_ld, rows, WholeColumns<T>{}, out + c);
  if (c < cols) dot_column<T, 1>(a + c, a_ld, b + c, b_ld, rows, FirstColumns<T>{int(cols - c)}, out + c);
}

template <class T>
static void sum_rows(const T* a, int64_t a_ld, int64_t rows, int64_t cols, T* out) {
  constexpr int L = kLanes<T>;
  Vec<T> s[4] = {};
  for (int64_t r = 0; r < rows; r++, a += a_ld) {
    int64_t i = 0;
    for (; i + 4 * L <= cols; i += 4 * L) {
      KONV_UNROLL
      for (int j = 0; j < 4; j++) s[j] += load(a + i + j * L);
    }
    for (; i + L <= cols; i += L) s[0] += load(a + i);
    if (i < cols) s[1] += load_n(a + i, int(cols - i));
  }
  *out = horizontal_sum<T>((s[0] + s[1]) + (s[2] + s[3]));
}

template <class T>
static void sum_columns(const T* a, int64_t a_ld, int64_t rows, int64_t cols, T* out) {
  constexpr int L = kLanes<T>;
  int64_t c = 0;
  for (; c + L <= cols; c += L) {
    Vec<T> s = {};
    for (int64_t r = 0; r < rows; r++) s += load(a + r * a_ld + c);
    store(out + c, load(out + c) + s);
  }
  if (c < cols) {
    const int n = int(cols - c);
    Vec<T> s = {};
    for (int64_t r = 0; r < rows; r++) s += load_n(a + r * a_ld + c, n);
    store_n(out + c, load_n(out + c, n) + s, n);
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
