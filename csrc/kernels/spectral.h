// Arguments of the kernels that convolve tiles by way of their spectra; see spectral.inl.h.
//
// A tile is y.n x x.n pixels of two images at once, the second as imaginary part: the filter is real, so the parts stay
// apart. Complex vectors are pairs: lanes of real parts, then of imaginary parts.
#pragma once
#include <cstdint>

namespace konv {

constexpr int kMaxSpectralPasses = 4;

// One dimension of the transform: n = product of radices 2, 4 and 8, the last of which is 8. The forward transform
// takes natural to permuted order, the inverse one back.
template <class T>
struct SpectralAxis {
  int64_t n;
  int passes;
  int radix[kMaxSpectralPasses];
  // For each pass but the last, over a length m: exp(-2 pi i j k / m) for j < m / radix and 0 < k < radix.
  const T* twiddles[kMaxSpectralPasses];
};

// Pixels of one image: element (r, c) of the tile lies at src[r * stride + c] inside the given ranges and is zero
// elsewhere; a null src has none. The next source lies `ahead` elements further and is asked for.
template <class T>
struct SpectralSource {
  const T* src;
  int64_t stride, row_begin, row_end, col_begin, col_end, ahead;
};
template <class T>
struct SpectralTarget {
  T* dst;
  int64_t stride, rows, cols;
};

// A half transformed tile: x.n rows of y.n complex values, `pitch` elements from row to row.
template <class T>
struct SpectralForward {
  SpectralAxis<T> y;
  int64_t cols;  // x.n
  SpectralSource<T> source[2];
  T* work;  // 2 * y.n vectors
  T* dst;
  int64_t pitch;
};

// Transforms along x, the products with the filters' spectra, and back: tile o becomes the sum over channels c of
// spectrum (o, c) times tile c.
template <class T>
struct SpectralProduct {
  SpectralAxis<T> x;
  int64_t cols;  // y.n
  int64_t channels, outputs;
  T* tiles;  // `tile` elements apart, the larger of channels and outputs
  int64_t tile, pitch;
  const T* spectra;  // [output][channel][y in vectors][x], 2 * cols * x.n elements each
  T* work;           // 2 * x.n vectors for each channel and once more
};

template <class T>
struct SpectralInverse {
  SpectralAxis<T> y;
  int64_t cols;  // x.n
  const T* src;
  int64_t pitch;
  T* work;
  SpectralTarget<T> target[2];
  T bias;
  Clip clip;
};

}  // namespace konv
