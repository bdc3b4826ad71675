// Kernels of convolutions in int8 and uint8, whose sums are int32.
//
// An element of the operands has four bytes: four channels as bytes, or two as 16-bit words. It travels as one float
// whose bits nobody computes with, and so do the sums, so that everything that moves float32 serves them as well.
#pragma once
#include "kernels/tile.h"

namespace konv {

// How bytes become numbers: (byte ^ flip) - offset. `blank` is the packed element that stands for padding.
struct ByteCode {
  uint8_t flip;
  int32_t offset;
  uint32_t blank;
};
struct PackBytes : PackRegion<float, uint8_t> {
  ByteCode code;
};

// Weights whose kernel elements, and channels, follow one another: those of each output in one run. The element of
// channels c * together on and of kernel element i, less the zero points, goes to dst[rows[c * taps + i] + k] for
// output k; sums[k] grows by all of them.
constexpr int64_t kMaxFollowingTaps = 64;
struct WeightBytes {
  const uint8_t* src;
  int64_t output;                   // distance
  int64_t outputs, channels, taps;  // channels are a multiple of 4, taps at most kMaxFollowingTaps
  bool is_signed;
  const int32_t* zero;  // of each output, or null: zeros
  const int64_t* rows;
  float* dst;
  uint32_t* sums;
};

// GemmTile and PackRegion for one form of elements. Sources are bytes and count single channels; what is packed counts
// elements, and so does `kc`. Channels past the last hold what may be anything: their weights are zero.
struct IntGemm {
  int together;  // channels of an element
  // [whether B instead of A is the operand without sign]: bytes are multiplied unsigned by signed, words alike.
  void (*gemm[2][kMaxGemmVectors][2][kMaxGemmRows + 1])(const GemmTile<float>&);
  void (*pack_planes)(const PackBytes&);
  void (*pack_pixels)(const PackBytes&);
  void (*pack_weights)(const WeightBytes&);
};

// Rows of a result in 32-bit elements: whole numbers in float32 become int32 where they lie, plus a bias.
struct WholeRows {
  float* data;
  int64_t ld, rows, cols;
  int32_t row_bias;
  const int32_t* lane_bias;  // one a column, or null: row_bias
};

// dst[r * dst_ld + c] = src[r * src_ld + c] * scale, rounded half to even, plus zero, within [low, high].
struct RequantizeRows {
  const int32_t* src;
  int64_t src_ld, rows, cols;
  uint8_t* dst;
  int64_t dst_ld;
  float row_scale;
  const float* lane_scale;  // one a column, or null: row_scale
  int32_t zero, low, high;
};

// dst[r * dst_ld + c] = src[r * src_ld + c] * lane_scale[c], in float32.
struct DequantizeRows {
  const int32_t* src;
  int64_t src_ld, rows, cols;
  const float* lane_scale;
  float* dst;
  int64_t dst_ld;
};

// What bytes stand for: (byte - zero) * scale.
struct ByteScale {
  float scale;
  int32_t zero;
  bool is_signed;
};

struct IntKernels {
  IntGemm words;
  // Elements of one channel, in float32; padding is zero.
  void (*pack_float_planes)(const PackBytes&);
  void (*pack_float_pixels)(const PackBytes&);
  void (*whole_rows)(const WholeRows&);
  void (*requantize_rows)(const RequantizeRows&);
  void (*dequantize_rows)(const DequantizeRows&);
  // n bytes, `step` apart, as the contiguous numbers that they stand for, and back: to nearest, half to even, within
  // what a byte holds. NaN becomes the lowest.
  void (*numbers_of_bytes)(const uint8_t* src, int64_t step, int64_t n, ByteScale scale, float* dst);
  void (*bytes_of_numbers)(const float* src, int64_t n, ByteScale scale, uint8_t* dst, int64_t step);
};

// What a CPU with products of bytes adds to a level, or does better.
struct DotKernels {
  IntGemm bytes, words;
};

}  // namespace konv
