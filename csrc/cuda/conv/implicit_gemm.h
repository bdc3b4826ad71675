// Convolutions as matrix products: what the host tells the kernels of kernels/*gemm*.cuh, and the tiles there are.
//
// Operands are channels last. The unit in which they are addressed is a vector: 16 bytes, or 8 where a pixel has no
// more than four 16-bit channels. Each group's channels are padded to whole vectors.
#pragma once
#include <cstdint>
#include <vector>

#include "core/problem.h"
#include "cuda/runtime.h"

namespace konv::cuda {

// The bytes of a tile's row, which is a run of the inner dimension.
constexpr int kRowBytes = 128;

// Taps: a grid whose offsets, and whose weights' places, are arithmetic progressions along each axis.
struct TapGrid {
  int count[3], at[3], step[3];
  int64_t weight, weight_step[3];  // elements
  constexpr int taps() const { return count[0] * count[1] * count[2]; }
};

// A channels-last operand; strides in vectors.
struct PixelVectors {
  int size[3];
  int n, stride[3], group;
  int channels;  // vectors of one group
};

// A vector of the inner dimension: where it lies from a pixel's own place, and how far from that along each axis.
struct alignas(16) TapVector {
  int at[3], offset;
};

// y[m][j] = finished(sum over taps and channels of a * w), m being pixels and j the channels of a group.
struct GemmArguments {
  const char *a, *w;  // w: [group][outputs][k_tiles * kRowBytes]
  const TapVector* table;
  PixelVectors pixels;
  int out[3], step[3];
  int m, outputs, k_tiles;  // outputs of one group
  int column_blocks, tiles_a_part;
  void* y;
  int64_t y_n, y_c, y_stride[3], y_base;  // elements
  int rows_of_vectors;                    // y and the residual take 16-byte vectors of channels
  void* sums;                             // [part][m][groups * outputs]: partial sums, or null: finish them
  const void *bias, *residual;
  Activation activation;
  double activation_parameter;
};

// Adds up parts in order and finishes the sums.
struct AddPartsArguments {
  GemmArguments gemm;
  int groups, parts;
};

// sums[part][group][i][column]: output channels i, columns of taps and padded channels; pixels are summed.
struct WeightGemmArguments {
  const char *x, *y;
  const TapVector* table;  // of columns
  PixelVectors x_pixels, y_pixels;
  int step[3];
  int m, outputs, columns;  // pixels; y's channels of one group; columns in elements
  int column_blocks, pixels_a_part;
  void* sums;
};
struct AddWeightPartsArguments {
  const void* sums;
  void* w;
  int groups, outputs, channels, padded_channels, columns, parts;
  TapGrid taps;
  int64_t w_output, w_channel;
};

// A tile and what computes it.
struct GemmKernel {
  int rows, columns;
  int vector;         // bytes
  double efficiency;  // of its inner loop, relative to the others'
  bool warpgroups;    // takes a device of capability 9.0
  void (*run)(Queue, const GemmArguments&, Dim grid);
};
struct WeightGemmKernel {
  int rows, columns, pixels;  // pixels of a step
  double efficiency;
  void (*run)(Queue, const WeightGemmArguments&, Dim grid);
};
struct GemmKernels {
  std::vector<GemmKernel> gemm;
  std::vector<WeightGemmKernel> weight;
  void (*add_parts)(Queue, const AddPartsArguments&);
  void (*add_weight_parts)(Queue, const AddWeightPartsArguments&);
};
// One file each: implicit_gemm_*.cu.
const GemmKernels& float16_gemm_kernels();
const GemmKernels& bfloat16_gemm_kernels();
const GemmKernels& tf32_gemm_kernels();
const GemmKernels& strict_gemm_kernels();
const GemmKernels& float64_gemm_kernels();

// For tests: all plans made from now on take this tile, where there is one of this size, and so many parts; 0 is free.
void force_gemm_tile(int rows, int columns, int parts);

}  // namespace konv::cuda
