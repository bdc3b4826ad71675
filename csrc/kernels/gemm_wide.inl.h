// Tiles of 6 rows by four vectors: 24 sums, four vectors of B and a broadcast in 32 registers.
//
// Each broadcast and each vector of B serves more multiply-adds than in gemm.inl.h's tiles (2.4 a load, there 1.75),
// and contiguous rows need no offsets: 35 instructions beside each other where those take 54 for as many products.
// Cores of two multiply-adds a cycle are else bound by what they can issue, above all where two threads share one.
#pragma once
#include "kernels/clip.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

constexpr int kWideRows = 6, kWideVectors = 4;

// Row k of B, of which the panels' rows are at b0 and b1, times A's elements of that k: at a0 and, of rows from the
// fourth, at a1, a_ld bytes apart.
template <class T, int Rows>
KONV_INLINE void add_products(Vec<T> (&c)[Rows][kWideVectors], const char* a0, const char* a1, int64_t a_ld,
                              const T* b0, const T* b1, int k) {
  constexpr int L = kLanes<T>;
  Vec<T> b[kWideVectors];
  KONV_UNROLL
  for (int j = 0; j < kWideVectors; j++) b[j] = load((j < 2 ? b0 : b1) + (2 * k + j % 2) * L);
  KONV_UNROLL
  for (int i = 0; i < Rows; i++) {
    const Vec<T> a = splat(reinterpret_cast<const T*>(i < 3 ? a0 + i * a_ld : a1 + (i - 3) * a_ld)[k]);
    KONV_UNROLL
    for (int j = 0; j < kWideVectors; j++) c[i][j] += a * b[j];
  }
}

template <class T, int Rows>
KONV_INLINE void multiply_rows(Vec<T> (&c)[Rows][kWideVectors], const WideGemm<T>& g, int64_t row) {
  constexpr int L = kLanes<T>, Unroll = 4;
  const int64_t a_ld = g.a_ld * int64_t(sizeof(T));
  const char *a0 = reinterpret_cast<const char*>(g.a + row * g.a_ld), *a1 = a0 + 3 * a_ld;
  const T *b0 = g.b[0], *b1 = g.b[1];
  // Rows of each panel to come every few steps: all of them by the last tile.
  const int64_t tiles = (g.rows + kWideRows - 1) / kWideRows,
                at_once = tiles < Unroll ? (Unroll + tiles - 1) / tiles : 1;
  const int64_t first = row / kWideRows * (g.kc / Unroll) * at_once;
  const bool request = g.next[0] && first < g.kc;
  const T* next0 = request ? g.next[0] + first * 2 * L : nullptr;
  const T* next1 = request ? g.next[1] + first * 2 * L : nullptr;
  int64_t k = g.kc;
  for (; k >= Unroll; k -= Unroll) {
    for (int64_t i = request ? at_once : 0; i > 0; i--, next0 += 2 * L, next1 += 2 * L) {
      if (g.near) {
        __builtin_prefetch(next0), __builtin_prefetch(next0 + L);
        __builtin_prefetch(next1), __builtin_prefetch(next1 + L);
      } else {
        __builtin_prefetch(next0, 0, 2), __builtin_prefetch(next0 + L, 0, 2);
        __builtin_prefetch(next1, 0, 2), __builtin_prefetch(next1 + L, 0, 2);
      }
    }
    KONV_UNROLL
    for (int u = 0; u < Unroll; u++) add_products<T, Rows>(c, a0, a1, a_ld, b0, b1, u);
    a0 += Unroll * sizeof(T), a1 += Unroll * sizeof(T), b0 += Unroll * 2 * L, b1 += Unroll * 2 * L;
  }
  for (; k > 0; k--, a0 += sizeof(T), a1 += sizeof(T), b0 += 2 * L, b1 += 2 * L)
    add_products<T, Rows>(c, a0, a1, a_ld, b0, b1, 0);
}

template <class T, int Rows>
KONV_INLINE void multiply_columns(Vec<T> (&c)[Rows][kWideVectors], const WideGemm<T>& g, int64_t row) {
  constexpr int Unroll = 2, kAhead = 8;
  const int64_t a_ld = g.a_ld, b_ld = g.b_ld, ahead = kAhead * a_ld;
  const T *a = g.a + row, *b0 = g.b[0], *b1 = g.b[1];
  const auto step = [&] KONV_LAMBDA {
    __builtin_prefetch(a + ahead);
    add_products<T, Rows>(c, reinterpret_cast<const char*>(a), reinterpret_cast<const char*>(a + 3), sizeof(T), b0, b1,
                          0);
    a += a_ld, b0 += b_ld, b1 += b_ld;
  };
  int64_t k = g.kc;
  for (; k >= Unroll; k -= Unroll) {
    KONV_UNROLL
    for (int u = 0; u < Unroll; u++) step();
  }
  if (k > 0) step();
}

template <class T, int Rows, bool Columns>
static void gemm_wide_tile(const WideGemm<T>& g, int64_t row) {
  constexpr int L = kLanes<T>;
  Vec<T> c[Rows][kWideVectors];
  T* const dst[2] = {g.c[0] + row * g.ldc, g.c[1] + row * g.ldc};
  const int64_t ldc = g.ldc;
  const auto each = [&](auto f) KONV_LAMBDA {
    KONV_UNROLL
    for (int i = 0; i < Rows; i++) {
      KONV_UNROLL
      for (int j = 0; j < kWideVectors; j++) f(c[i][j], j / 2, i * ldc + j % 2 * L, j % 2 * L);
    }
  };
  if (g.start == TileStart::load) {
    each([&](Vec<T>& v, int panel, int64_t at, int) KONV_LAMBDA { v = load(dst[panel] + at); });
  } else if (g.start == TileStart::lane_bias) {
    each([&](Vec<T>& v, int panel, int64_t, int lane) KONV_LAMBDA { v = load(g.bias[panel] + lane); });
  } else {
    each([&](Vec<T>& v, int, int64_t, int) KONV_LAMBDA { v = Vec<T>{}; });
  }
  if (g.far) each([&](Vec<T>&, int panel, int64_t at, int) KONV_LAMBDA { __builtin_prefetch(dst[panel] + at, 1); });

  if constexpr (Columns)
    multiply_columns<T, Rows>(c, g, row);
  else
    multiply_rows<T, Rows>(c, g, row);

  if (g.residual[0]) {
    const T* const residual[2] = {g.residual[0] + row * ldc, g.residual[1] + row * ldc};
    each([&](Vec<T>& v, int panel, int64_t at, int) KONV_LAMBDA { v += load(residual[panel] + at); });
  }
  if (g.clip != Clip::none) each([&](Vec<T>& v, int, int64_t, int) KONV_LAMBDA { v = relu<T>(v); });
  if (g.clip == Clip::relu6) each([&](Vec<T>& v, int, int64_t, int) KONV_LAMBDA { v = at_most<T>(v, 6); });
  each([&](Vec<T>& v, int panel, int64_t at, int) KONV_LAMBDA { store(dst[panel] + at, v); });
}

template <class T, bool Columns>
static void gemm_wide_any(const WideGemm<T>& g) {
  int64_t row = 0;
  for (; g.rows - row >= kWideRows; row += kWideRows) gemm_wide_tile<T, kWideRows, Columns>(g, row);
  switch (g.rows - row) {
    case 1:
      return gemm_wide_tile<T, 1, Columns>(g, row);
    case 2:
      return gemm_wide_tile<T, 2, Columns>(g, row);
    case 3:
      return gemm_wide_tile<T, 3, Columns>(g, row);
    case 4:
      return gemm_wide_tile<T, 4, Columns>(g, row);
    case 5:
      return gemm_wide_tile<T, 5, Columns>(g, row);
  }
}
template <class T>
static void gemm_wide(const WideGemm<T>& g) {
  gemm_wide_any<T, false>(g);
}
template <class T>
static void gemm_wide_columns(const WideGemm<T>& g) {
  gemm_wide_any<T, true>(g);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
