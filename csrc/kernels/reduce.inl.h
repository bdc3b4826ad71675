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

template <class T>
static void dot_columns(const T* a, int64_t a_ld, const T* b, int64_t b_ld, int64_t rows, int64_t cols, T* out) {
  constexpr int L = kLanes<T>;
  int64_t c = 0;
  for (; c + L <= cols; c += L) {
    Vec<T> s = {};
    for (int64_t r = 0; r < rows; r++) s += load(a + r * a_ld + c) * load(b + r * b_ld + c);
    store(out + c, load(out + c) + s);
  }
  if (c < cols) {
    const int n = int(cols - c);
    Vec<T> s = {};
    for (int64_t r = 0; r < rows; r++) s += load_n(a + r * a_ld + c, n) * load_n(b + r * b_ld + c, n);
    store_n(out + c, load_n(out + c, n) + s, n);
  }
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
