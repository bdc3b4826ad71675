// What the micro-kernel multiplies, and how its operands are packed. Strides and offsets count elements.
#pragma once
#include <cstdint>

namespace konv {

constexpr int kMaxGemmRows = 14;
constexpr int kMaxGemmVectors = 2;
constexpr int kGemmPrefetch = 16;  // rows of B ahead; the offset tables hold as many entries past the last in use

enum class TileStart : int32_t { zero, load, lane_bias, row_bias };

// C[m][0..nv*lanes) = start + sum over k < kc of A[m][k] * B[k][.], then clipped.
//
// A[m][k] is a scalar at a0 + a_off[k] + m * a_ld for the first half of the rows, (rows + 1) / 2 of them, and at
// a1 + a_off[k] + (m - half) * a_ld for the rest: two runs let one tile cover pixels of two image rows. Rows of C lie
// likewise at c0 and c1. B[k] is a vector row at b + b_off[k]. Nothing needs more than the element's alignment.
// The caller owes readable memory for every full vector of B, and writable memory for every full vector of C.
template <class T>
struct GemmTile {
  int64_t kc;
  const T *a0, *a1;
  const int64_t* a_off;
  int64_t a_ld;
  const T* b;
  const int64_t* b_off;
  int64_t ahead;  // elements of B from this tile to one to come, whose rows are requested meanwhile, or 0
  T *c0, *c1;
  const T *residual0, *residual1;  // added before the clip, lying as C does, or null
  int64_t ldc;
  const T* bias;  // with lane_bias one value a lane, with row_bias one a row
  TileStart start;
  Clip clip;
  bool far;  // C is likely in no cache of this core: its lines are requested before the products
};

// Rows of A times two panels of B side by side, each of two vectors a row of B: C[panel][m][.] = start + sum over
// k < kc of A[m][k] * B[panel][k][.], for any number of rows. Either rows of A and of B are contiguous along k, or,
// with gemm_wide_columns, A[.][k] is contiguous, a_ld from one k to the next, and rows of B are b_ld apart.
template <class T>
struct WideGemm {
  int64_t rows, kc;
  const T* a;
  int64_t a_ld;
  const T* b[2];
  int64_t b_ld;
  const T* next[2];  // panels that the next call will read, to be requested meanwhile, or null; not for columns
  bool near;         // into the first-level cache, else the second
  T* c[2];
  const T* residual[2];  // added before the clip, lying as C does, or null
  int64_t ldc;
  const T* bias[2];  // one value a lane, with lane_bias
  TileStart start;   // all but row_bias
  Clip clip;
  bool far;  // C is likely in no cache of this core: its lines are requested before the products
};

// One axis of a packed region. Source index of packed index u of phase p: first + phase[p] + u * step; indices outside
// [0, size) read as zero.
struct PackAxis {
  int64_t size, stride;  // of the source
  int64_t first, step;
  int64_t count;   // packed indices a phase
  int64_t phases;  // number of entries of phase
  const int64_t* phase;
};

// Copies a region of a (channel, depth, row, column) source into scratch, split by phase so that a strided convolution
// walks it with unit steps. The order of packed data is
//   planes: [channel][z phase][z][y phase][x phase][y][x], rows x_pitch apart and channels channel_pitch apart;
//   pixels: [z phase][z][y phase][x phase][y][x][channel], pixels channel_pitch apart, x_pitch pixels a row.
// dst has room for one vector past the end.
// Elements of the source may differ from packed ones: see the kernels that take such regions.
template <class T, class S = T>
struct PackRegion {
  const S* src;
  T* dst;
  int64_t channels, channel_stride, channel_pitch, x_pitch;
  PackAxis z, y, x;
};

}  // namespace konv
