// Windows of an image as columns of a matrix (im2col), and the sum of such columns (col2im): each the other's gradient.
#pragma once
#include "core/problem.h"

namespace konv {

// Columns are (n, c * taps, windows): row c * taps + t holds element t of each window of channel c. 1-D and 2-D
// problems have leading spatial dimensions of size 1. Strides count elements; x is (n, c, d, h, w) of the image.
struct FoldProblem {
  DType dtype;
  int64_t isa, threads, keep_denormals;
  int64_t n, c;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3];  // in: of the image; out: windows along each axis
  int64_t pad[3];
  int64_t xs[5], columns[3];

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t windows() const { return out[0] * out[1] * out[2]; }
};

// Moves values of any type bit by bit.
void unfold(const FoldProblem& problem, const void* image, void* columns);
// Each element of the image is summed in the order of the taps, by one thread; float16 and bfloat16 in float32,
// integers wrap around.
void fold(const FoldProblem& problem, const void* columns, void* image);

}  // namespace konv
