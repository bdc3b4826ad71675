// Kernels of rank one: a column times a row, found in the weights themselves, so that a filter of R x S elements costs
// R + S multiplications a pixel.
//
// A kernel counts as such if every element is within 4 eps of itself of the product, which a product of two vectors
// rounded to the element type is; results change by no more than 4 eps sum |x| |w|. Where R S - R - S >= 8 even the
// worst error of two passes, (R + S) / 2 more, is no larger than the direct sum's R S / 2: only such kernels are looked
// at.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

namespace konv {

inline bool worth_separating(int64_t rows, int64_t cols) { return rows * cols - rows - cols >= 8; }

// w[c * rows + r] = column[r] * row[c]. Both factors are written in any case.
template <class T>
bool separate(const T* w, int64_t rows, int64_t cols, T* column, T* row) {
  int64_t pivot = 0;
  for (int64_t i = 1; i < rows * cols; i++)
    if (std::fabs(w[i]) > std::fabs(w[pivot])) pivot = i;
  const T* const pivot_column = w + pivot / rows * rows;
  for (int64_t r = 0; r < rows; r++) column[r] = pivot_column[r];
  for (int64_t c = 0; c < cols; c++) row[c] = w[c * rows + pivot % rows] / w[pivot];
  const T relative = 4 * std::numeric_limits<T>::epsilon(), absolute = std::numeric_limits<T>::min();
  for (int64_t c = 0; c < cols; c++)
    for (int64_t r = 0; r < rows; r++) {
      const T e = w[c * rows + r];
      if (!(std::fabs(e - column[r] * row[c]) <= relative * std::fabs(e) + absolute)) return false;
    }
  return true;
}

}  // namespace konv
