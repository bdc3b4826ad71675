// Putting finished tiles where the result lies: transposed or strided as it wants, with residual and activation.
#pragma once
#include "core/algorithm.h"
#include "core/isa.h"

namespace konv {

template <class T>
class Epilogue {
 public:
  static constexpr int64_t kMaxCols = 32;

  // For one run. Kernels clip themselves where in_registers(): store and finish then only move.
  Epilogue(const Kernels<T>& kernel, const ConvProblem& p, const ConvTensors& t)
      : kernel_(kernel),
        activation_(p.ends_in_registers() ? Activation::none : p.activation),
        parameter_(T(p.activation_parameter)),
        in_registers_(p.ends_in_registers()),
        has_residual_(p.has_residual),
        residual_(reinterpret_cast<intptr_t>(t.residual) -
                  reinterpret_cast<intptr_t>(p.direction == Direction::forward ? t.y : t.x)) {}

  bool in_registers() const { return in_registers_; }
  // What is added to the element at dst; null where nothing is.
  const T* residual_of(const T* dst) const {
    return has_residual_ ? reinterpret_cast<const T*>(reinterpret_cast<intptr_t>(dst) + residual_) : nullptr;
  }

  // dst[r * dst_ld + c] = finished src[r * src_ld + c]; src may be dst where there is no residual.
  void finish(const T* src, int64_t src_ld, int64_t rows, int64_t cols, T* dst, int64_t dst_ld) const {
    if (in_registers_)
      kernel_.copy_rows(src, src_ld, rows, cols, dst, dst_ld);
    else
      kernel_.finish_rows({src, src_ld, rows, cols, dst, residual_of(dst), dst_ld, activation_, parameter_});
  }

  // dst[r * row_stride + c * col_stride] = finished tile[r * ld + c], with at most kMaxCols columns. The tile is
  // spoilt.
  void store(T* tile, int64_t ld, int64_t rows, int64_t cols, T* dst, int64_t row_stride, int64_t col_stride) const {
    if (col_stride == 1) return finish(tile, ld, rows, cols, dst, row_stride);
    if (row_stride == 1 && in_registers_) return kernel_.transpose(tile, ld, rows, cols, dst, col_stride);
    for (int64_t r = 0; r < rows; r += kRows)
      store_some(tile + r * ld, ld, rows - r < kRows ? rows - r : kRows, cols, dst + r * row_stride, row_stride,
                 col_stride);
  }

  // The same for rows of any length.
  void store_rows(T* tile, int64_t ld, int64_t rows, int64_t cols, T* dst, int64_t row_stride,
                  int64_t col_stride) const {
    if (col_stride == 1) return finish(tile, ld, rows, cols, dst, row_stride);
    for (int64_t c = 0; c < cols; c += kMaxCols)
      store(tile + c, ld, rows, cols - c < kMaxCols ? cols - c : kMaxCols, dst + c * col_stride, row_stride,
            col_stride);
  }

 private:
  static constexpr int64_t kRows = 16;

  // The input gradient of a convolution with stride 2 writes every second pixel, and so does each phase of a
  // convolution with dilation 2.
  void store_some(T* tile, int64_t ld, int64_t rows, int64_t cols, T* dst, int64_t row_stride,
                  int64_t col_stride) const {
    T turned[kRows * kMaxCols];
    if (row_stride == 1) {
      kernel_.transpose(tile, ld, rows, cols, turned, rows);
      return finish(turned, rows, cols, rows, dst, col_stride);
    }
    if (!in_registers_) finish_strided(tile, ld, rows, cols, dst, row_stride, col_stride);
    if (col_stride == 2) {
      kernel_.spread_rows(tile, ld, rows, cols, dst, row_stride);
    } else if (row_stride == 2) {
      kernel_.transpose(tile, ld, rows, cols, turned, rows);
      kernel_.spread_rows(turned, rows, cols, rows, dst, col_stride);
    } else {
      for (int64_t c = 0; c < cols; c++)
        for (int64_t r = 0; r < rows; r++) dst[r * row_stride + c * col_stride] = tile[r * ld + c];
    }
  }

  // The tile itself becomes the finished one.
  void finish_strided(T* tile, int64_t ld, int64_t rows, int64_t cols, const T* dst, int64_t row_stride,
                      int64_t col_stride) const {
    T residual[kMaxCols];
    for (int64_t r = 0; r < rows; r++) {
      if (has_residual_)
        for (int64_t c = 0; c < cols; c++) residual[c] = residual_of(dst)[r * row_stride + c * col_stride];
      kernel_.finish_rows(
          {tile + r * ld, 0, 1, cols, tile + r * ld, has_residual_ ? residual : nullptr, 0, activation_, parameter_});
    }
  }

  const Kernels<T>& kernel_;
  Activation activation_;
  T parameter_;
  bool in_registers_, has_residual_;
  intptr_t residual_;  // bytes from the result
};

}  // namespace konv
