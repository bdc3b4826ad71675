// Arithmetic on runs of elements: what fused chains of element-wise operations are made of.
#pragma once
#include <cstdint>

namespace konv {

// Of one number, with up to two parameters p and q.
enum class UnaryOp : int64_t {
  negate,
  absolute,
  square_root,
  reciprocal,
  exponential,
  floor,
  ceil,
  round,
  sign,
  affine,
  clip
};
// Of two numbers; leaky is a below zero times b.
enum class BinaryOp : int64_t { add, subtract, multiply, divide, minimum, maximum, leaky };

// out[i] = op(a[i]): affine is p * a + q, clip is a within [p, q], round takes halves to even. out may be a.
template <class T>
struct UnaryRun {
  UnaryOp op;
  const T* a;
  T* out;
  int64_t n;
  T p, q;
};
// out[i] = op(a[i], b[i]). Minima and maxima of a NaN are NaN. out may be a or b.
template <class T>
struct BinaryRun {
  BinaryOp op;
  const T *a, *b;
  T* out;
  int64_t n;
};

}  // namespace konv
