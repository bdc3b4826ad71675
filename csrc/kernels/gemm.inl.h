// The micro-kernel: a tile of C stays in registers while rows of B stream past scalars of A.
//
// Both operands are read through offset tables, so the same loop multiplies packed weights by pixels where they lie,
// pixels by packed weights, or two packed activations: both orientations and all three directions of a convolution.
// A tile of 14 rows of two vectors keeps 28 accumulators, two vectors of B and a broadcast in the 32 registers of
// AVX-512; 6 rows fit the 16 registers of AVX2 (Goto and van de Geijn, Anatomy of High-Performance Matrix
// Multiplication, 2008; tile shapes as in BLIS).
#pragma once
#include "kernels/clip.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

// What one step of the loop adds to a vector of sums.
struct Products {
  template <class V>
  KONV_INLINE V add(V sum, V a, V b) {
    return sum + a * b;
  }
};

template <class T, class Step, int Rows, int Vectors, bool UnitA>
static void gemm_tile(const GemmTile<T>& g) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>, Half = (Rows + 1) / 2;
  V c[Rows][Vectors];

  if (g.start == TileStart::load) {
    KONV_UNROLL
    for (int i = 0; i < Rows; i++) {
      const T* row = i < Half ? g.c0 + i * g.ldc : g.c1 + (i - Half) * g.ldc;
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) c[i][j] = load(row + j * L);
    }
  } else if (g.start == TileStart::lane_bias) {
    KONV_UNROLL
    for (int j = 0; j < Vectors; j++) {
      V b = load(g.bias + j * L);
      KONV_UNROLL
      for (int i = 0; i < Rows; i++) c[i][j] = b;
    }
  } else if (g.start == TileStart::row_bias) {
    KONV_UNROLL
    for (int i = 0; i < Rows; i++) {
      V b = splat(g.bias[i]);
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) c[i][j] = b;
    }
  } else {
    KONV_UNROLL
    for (int i = 0; i < Rows; i++) {
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) c[i][j] = V{};
    }
  }

  if (g.residual0) {
    KONV_NO_UNROLL
    for (int i = 0; i < Rows; i++) {
      const T* row = i < Half ? g.residual0 + i * g.ldc : g.residual1 + (i - Half) * g.ldc;
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) __builtin_prefetch(row + j * L);
    }
  }
  if (g.far) {
    KONV_NO_UNROLL
    for (int i = 0; i < Rows; i++) {
      const T* row = i < Half ? g.c0 + i * g.ldc : g.c1 + (i - Half) * g.ldc;
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) __builtin_prefetch(row + j * L, 1);
    }
  }

  const int64_t *a_off = g.a_off, *b_off = g.b_off;
  const char* base_a = reinterpret_cast<const char*>(g.a0);
  const T* base_b = g.b;
  // Counted in bytes, distances of rows fit into addresses, and few need a register: compilers spill those to vector
  // registers, where each move takes the place of a multiply-add.
  const int64_t second = (g.a1 - g.a0) * int64_t(sizeof(T));
  const int64_t lda = (UnitA ? 1 : g.a_ld) * int64_t(sizeof(T));
  // Rows of B are requested some steps before they are read, or the tile to come. One distance for all, although rows
  // may lie unevenly: a table of its own costs registers that the loop does not have (3.5 % of its speed).
  const int64_t ahead = g.ahead || g.kc == 0 ? g.ahead : b_off[kGemmPrefetch] - b_off[0];
  KONV_NO_UNROLL
  for (int64_t k = 0, kc = g.kc; k < kc; k++) {
    const char *a0 = base_a + a_off[k] * int64_t(sizeof(T)), *a1 = a0 + second;
    asm("" : "+r"(a1));  // or `second` would be added to each row's distance
    const T* row_b = base_b + b_off[k];
    V b[Vectors];
    KONV_UNROLL
    for (int j = 0; j < Vectors; j++) {
      b[j] = load(row_b + j * L);
      if (j * L * int(sizeof(T)) % 64 == 0) __builtin_prefetch(row_b + ahead + j * L);
    }
    KONV_UNROLL
    for (int i = 0; i < Rows; i++) {
      V a = splat(*reinterpret_cast<const T*>(i < Half ? a0 + i * lda : a1 + (i - Half) * lda));
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) c[i][j] = Step::add(c[i][j], a, b[j]);
    }
  }

  if (g.residual0) {
    KONV_UNROLL
    for (int i = 0; i < Rows; i++) {
      const T* row = i < Half ? g.residual0 + i * g.ldc : g.residual1 + (i - Half) * g.ldc;
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) c[i][j] += load(row + j * L);
    }
  }
  if (g.clip != Clip::none) {
    KONV_UNROLL
    for (int i = 0; i < Rows; i++) {
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) c[i][j] = relu<T>(c[i][j]);
    }
  }
  if (g.clip == Clip::relu6) {
    KONV_UNROLL
    for (int i = 0; i < Rows; i++) {
      KONV_UNROLL
      for (int j = 0; j < Vectors; j++) c[i][j] = at_most<T>(c[i][j], 6);
    }
  }
  KONV_UNROLL
  for (int i = 0; i < Rows; i++) {
    T* row = i < Half ? g.c0 + i * g.ldc : g.c1 + (i - Half) * g.ldc;
    KONV_UNROLL
    for (int j = 0; j < Vectors; j++) store(row + j * L, c[i][j]);
  }
}

template <class T, class Step, class Table, int... I>
constexpr void fill_gemm_(Table& k, std::integer_sequence<int, I...>) {
  ((k.gemm[0][0][I + 1] = gemm_tile<T, Step, I + 1, 1, false>), ...);
  ((k.gemm[0][1][I + 1] = gemm_tile<T, Step, I + 1, 1, true>), ...);
  ((k.gemm[1][0][I + 1] = gemm_tile<T, Step, I + 1, 2, false>), ...);
  ((k.gemm[1][1][I + 1] = gemm_tile<T, Step, I + 1, 2, true>), ...);
}
template <class T, class Step, class Table>
constexpr void fill_gemm(Table& k) {
  fill_gemm_<T, Step>(k, std::make_integer_sequence<int, KONV_GEMM_ROWS>{});
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
