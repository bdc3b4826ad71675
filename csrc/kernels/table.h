// The boundary between the library and code compiled per ISA level: one table of inner loops for each level.
//
// Raw pointers and sizes cross it, never vector types. Strides and offsets count elements.
#pragma once
#include <cstdint>

#include "kernels/batch_norm.h"
#include "kernels/blocks.h"
#include "kernels/elementwise.h"
#include "kernels/epilogue.h"
#include "kernels/integers.h"
#include "kernels/pool.h"
#include "kernels/spectral.h"
#include "kernels/tile.h"
#include "kernels/winograd.h"

namespace konv {

// out[r * out_ld + k] = bias[k] + sum of w[k * w_ld + i] * x[r * x_ld + i] for i in [0, length), then clipped.
template <class T>
struct Gemv {
  const T* w;
  int64_t w_ld, outputs;
  const T* x;
  int64_t x_ld, rows, length;
  const T* bias;  // may be null
  Clip clip;
  T* out;
  int64_t out_ld;
};

// Products of `rows` x `cols` pixels of dy, of some outputs, with those of x from each of 3, 5 or 7 columns on.
template <class T>
struct TapSums {
  const T* x;
  int64_t x_row;
  const T* dy;
  int64_t dy_output, dy_row;
  int64_t rows, cols;
  int taps, outputs;
  T* sums;
};

// Depthwise convolution of one plane, packed by PackRegion as planes.
// out[r][j] = start + sum over taps t of w[t] * src[tap[t] + r * row_pitch + j].
template <class T>
struct DepthwisePlane {
  const T* src;
  int64_t row_pitch;
  const T* w;
  const int64_t* tap;
  int64_t taps;
  T* out;
  int64_t rows, cols, out_pitch;
  T bias;
  Clip clip;
  bool accumulate;
};

// The same for many planes where they lie, for square kernels of 3, 5 and 7 and steps of 1 or 2:
// out[k][r][j] = start + sum over i, s of
//   w[k][i * size + s] * in[k][r * step + first_row + i][j * step + first_col + s]
// where rows outside [0, height) and columns outside [0, width) read as zero. Plane k of each array lies k times its
// `_plane` further; start is the plane's bias, or what out holds.
template <class T>
struct DepthwisePlanes {
  const T* in;
  int64_t in_plane, in_pitch, height, width;
  int64_t first_row, first_col;
  int size, step;
  const T* w;
  int64_t w_plane;
  const T* bias;  // may be null
  int64_t bias_plane;
  T* out;
  int64_t out_plane, out_pitch, planes, rows, cols;
  Clip clip;
  bool accumulate;
};

// One column of a filter's kernel: where its rows start in the table of rows, and its offset along them.
struct FilterColumn {
  int64_t row, at;
};

// A filter on rows where they lie, with steps of 1:
// out[r][j] = bias + sum over columns c and i < taps of w[c * taps + i] * row[column[c].row + r + i][j + column[c].at],
// where a null row, and columns outside [0, width), read as zero. The table has filter_rows_at_once rows more than
// the last row of output reads, null where `rows` is no multiple of that: they are read ahead.
template <class T>
struct FilterRows {
  const T* const* row;
  int64_t width;
  const FilterColumn* column;
  int64_t columns, taps;
  int64_t low, high;  // the range of column[c].at
  const T* w;
  T* out;
  int64_t rows, cols, out_pitch;
  T bias;
  Clip clip;
};

// Depthwise convolution of a run of pixels, channels last.
// out[j][c] = start + sum over taps t of w[t * w_pitch + c] * src[t][j * pixel_step + c]; src[t] is null where that
// tap lies outside for every pixel of the run.
template <class T>
struct DepthwisePixels {
  const T* const* src;
  int64_t taps, pixel_step;
  const T* w;
  int64_t w_pitch;
  T* out;
  int64_t pixels, channels, out_pitch;
  const T* bias;  // may be null
  Clip clip;
};

// The input gradient of a depthwise convolution whose columns have stride 2: both phases of output columns together.
// out[r][2 * j + h] = sum over tap rows t and taps s of phase h of w[t][h][s] * row[r + t][j + first + lead[h] + s],
// where a null row, and columns outside [0, width), read as zero. One phase has `taps` taps a row and a lead of 0, the
// other one tap less: even outputs the first (lead[1] is 1) or odd outputs (lead[0] is 0 as well).
template <class T>
struct DepthwiseSpread {
  const T* const* row;
  int64_t width, first, tap_rows;
  int taps;  // 2 to 4
  bool even_first;
  const T* w;  // a row of even taps, then a row of odd ones
  T* out;
  int64_t rows, cols, out_pitch;
};

// The weight gradient of one channel over a band of output rows.
// sums[t * taps + s] += sum over rows r and columns j of dy[r][j] * x[r * step + t][j * step + first + s], where rows
// of x outside [row_low, row_high) and columns outside [0, width) read as zero. taps is 3, 5 or 7, step 1 or 2.
template <class T>
struct DepthwiseSums {
  const T* x;
  int64_t x_pitch, row_low, row_high, width, first, tap_rows;
  int taps, step;
  const T* dy;
  int64_t dy_pitch, rows, cols;
  T* sums;
};

// Narrow groups, channels last: one or two output rows, output channels in the lanes. Of one block of lanes, to which
// the following applies, or with a null lane of `channels` channels: l is then a channel, and blocks have weights of
// their own, the last of them those of the last channels.
// out[r][j][l] = bias[l] + sum over i < depth, tap rows t and taps s of
//   w[((i * tap_rows + t) * taps + s) * lanes + l] * row[r * row_step + t][(j * step + first + s) * pixel + lane[l] +
//   i]
// where a null row, and pixels outside [0, width), read as zero; lane[l] is l where lane is null, and below the number
// of lanes. Whole vectors are read and written. With step 1 taps is 1 to 5 or 7, with step 2 3, 5 or 7; with lane, at
// most 3.
template <class T>
struct GroupedPixels {
  int64_t channels;  // `lanes` or more
  const T* const* row;
  int64_t width, first, pixel;
  int64_t depth, tap_rows, row_step, rows;
  int taps, step;
  const int32_t* lane;
  bool wide;  // lane[l] + i may exceed a vector
  const T* w;
  int64_t block_weights;
  T* out;
  int64_t cols, out_row, out_pixel;
  const T* bias;  // may be null
  Clip clip;
};

// The weight gradient of such a block over a band of output rows, with taps of 3, 5 or 7; with lane, of 3.
// sums[((i * tap_rows + t) * taps + s) * lanes + l] += sum over rows r and pixels j of
//   dy[r][j][l] * row[r * row_step + t][(j * step + first + s) * pixel + lane[l] + i].
template <class T>
struct GroupedPixelSums {
  const T* const* row;
  bool ahead;  // whether to ask for each next row early
  int64_t width, first, pixel;
  int64_t depth, tap_rows, row_step, rows;
  int taps, step;
  const int32_t* lane;
  bool wide;  // lane[l] + i may exceed a vector
  const T* dy;
  int64_t cols, dy_row, dy_pixel;
  T* sums;
};

// Two float32 values rounded to bfloat16 make a pair: the element of operands of medium precision. It travels as one
// float whose bits nobody computes with, the first value in the low half.
//
// dst[dst_off[i * elements + e] + k] = pair of src[k * output + c * channel + e] for c = 2 i and 2 i + 1, leaving out
// entries whose offset is negative.
struct WeightPairs {
  const float* src;
  int64_t output, channel;  // distances
  int64_t outputs, channels, elements;
  float* dst;
  const int64_t* dst_off;
};

// GemmTile and PackRegion with pairs of channels for elements. Sources are float32 and count single channels; what is
// packed counts pairs, and so does `kc`. The last pair of an odd number of channels ends in zero. Sums are float32.
struct PairKernels {
  void (*gemm[kMaxGemmVectors][2][kMaxGemmRows + 1])(const GemmTile<float>&);
  void (*pack_planes)(const PackRegion<float>&);
  void (*pack_pixels)(const PackRegion<float>&);  // channels of a pixel lie side by side
  void (*pack_weights)(const WeightPairs&);
};

template <class S, class T>
struct AnyPoolKernels {
  int lanes;
#define KONV_POOL_KERNEL(name, args) void(*name) args;
#include "kernels/pool.def"
};
template <class T>
struct PoolKernels : AnyPoolKernels<T, T> {
#define KONV_POOL_ROWS_KERNEL(name, args) void(*name) args;
#include "kernels/pool.def"
};
// Elements of 16 bits that become float32 as they are read.
template <class S>
struct HalfPoolKernels : AnyPoolKernels<S, float> {
  void (*avg_pool_rows_gradient)(const PoolBand<S, float>&);
  void (*avg_pool_pixels_gradient)(const PoolBand<S, float>&);
};

// The bits of narrow floating-point numbers.
struct Float16 {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};
// n elements `step` apart as contiguous elements of another type, and back. Back and forth gives the same bits; T to S
// rounds to nearest, and integers below the lowest S become that.
template <class S, class T>
struct Conversion {
  void (*widen)(const S* src, int64_t step, int64_t n, T* dst);
  void (*narrow)(const T* src, int64_t n, S* dst, int64_t step);
};
struct Conversions {
  Conversion<Float16, float> f16;
  Conversion<BFloat16, float> bf16;
  Conversion<int8_t, int32_t> i8;
  Conversion<uint8_t, int32_t> u8;
  Conversion<int16_t, int32_t> i16;
};

template <class T>
struct Kernels : PoolKernels<T> {
  int gemm_rows;                     // the largest tile has gemm_rows rows and two vectors
  int filter_rows_at_once;           // output rows of a strip of filter_rows
  int (*tap_sum_outputs)(int taps);  // that tap_sums takes at most
  // [vectors - 1][whether a_ld is 1][rows]
  void (*gemm[kMaxGemmVectors][2][kMaxGemmRows + 1])(const GemmTile<T>&);
  void (*gemm_wide)(const WideGemm<T>&);  // null where registers hold no tile worth it
  void (*gemm_wide_columns)(const WideGemm<T>&);
  void (*winograd_input[kWinogradFormCount])(const WinogradInput<T>&);
  void (*winograd_output[kWinogradFormCount])(const WinogradOutput<T>&);
  void (*winograd_weights[kWinogradFormCount])(const WinogradWeights<T>&);
#define KONV_KERNEL(name, args) void(*name) args;
#include "kernels/kernels.def"
};

struct OtherKernels {
  PoolKernels<int32_t> i32;
  PoolKernels<int64_t> i64;
  Conversions narrow;
  IntKernels ints;
  HalfPoolKernels<Float16> f16;
  HalfPoolKernels<BFloat16> bf16;
};

struct KernelTable {
  const Kernels<float>& f32;
  const Kernels<double>& f64;
  const PoolKernels<int32_t>& i32;
  const PoolKernels<int64_t>& i64;
  const Conversions& narrow;
  const IntKernels& ints;
  const HalfPoolKernels<Float16>& f16;
  const HalfPoolKernels<BFloat16>& bf16;
};

}  // namespace konv
