// Element-wise arithmetic on runs: see blocks.h.
#pragma once
#include "kernels/elementwise.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

// Rounds to whole numbers: adding and subtracting 1.5 * 2^mantissa rounds halves to even, and what is larger is whole.
template <class T>
KONV_INLINE Vec<T> whole(Vec<T> x) {
  const Vec<T> magic = splat<T>(Float<T>::round), size = x < Vec<T>{} ? -x : x;
  const Vec<T> near = (size + magic) - magic, signed_near = x < Vec<T>{} ? -near : near;
  const Vec<T> limit = splat<T>(Float<T>::round / T(1.5));
  const Vec<T> kept = signed_near == Vec<T>{} ? x * Vec<T>{} : signed_near;  // the sign of zero
  return size < limit ? kept : x;
}

template <class T>
static void unary_run(const UnaryRun<T>& r) {
  const Vec<T> zero = {}, one = splat<T>(1), p = splat<T>(r.p), q = splat<T>(r.q);
  const T* a = r.a;
  T* out = r.out;
  switch (r.op) {
    case UnaryOp::negate:
      return map<T>(a, out, r.n, [](Vec<T> x) { return -x; });
    case UnaryOp::absolute:
      return map<T>(a, out, r.n, [=](Vec<T> x) { return x < zero ? -x : x + zero; });
    case UnaryOp::square_root:
      for (int64_t i = 0; i < r.n; i++) out[i] = square_root(a[i]);
      return;
    case UnaryOp::reciprocal:
      return map<T>(a, out, r.n, [=](Vec<T> x) { return one / x; });
    case UnaryOp::exponential:
      return map<T>(a, out, r.n, [](Vec<T> x) { return exp<T>(x); });
    case UnaryOp::floor:
      return map<T>(a, out, r.n, [=](Vec<T> x) {
        const Vec<T> w = whole<T>(x);
        return w > x ? w - one : w;
      });
    case UnaryOp::ceil:
      return map<T>(a, out, r.n, [=](Vec<T> x) {
        const Vec<T> w = whole<T>(x);
        return w < x ? w + one : w;
      });
    case UnaryOp::round:
      return map<T>(a, out, r.n, [](Vec<T> x) { return whole<T>(x); });
    case UnaryOp::sign:
      return map<T>(a, out, r.n, [=](Vec<T> x) {
        const Vec<T> below = x < zero ? -one : x;
        return x > zero ? one : below;
      });
    case UnaryOp::affine:
      return map<T>(a, out, r.n, [=](Vec<T> x) { return x * p + q; });
    case UnaryOp::clip:
      return map<T>(a, out, r.n, [=](Vec<T> x) {
        const Vec<T> low = x < p ? p : x;
        return low > q ? q : low;
      });
  }
}

template <class T>
static void binary_run(const BinaryRun<T>& r) {
  const Vec<T> zero = {};
  const T *a = r.a, *b = r.b;
  T* out = r.out;
  switch (r.op) {
    case BinaryOp::add:
      return map<T>(a, b, out, r.n, [](Vec<T> x, Vec<T> y) { return x + y; });
    case BinaryOp::subtract:
      return map<T>(a, b, out, r.n, [](Vec<T> x, Vec<T> y) { return x - y; });
    case BinaryOp::multiply:
      return map<T>(a, b, out, r.n, [](Vec<T> x, Vec<T> y) { return x * y; });
    case BinaryOp::divide:
      return map<T>(a, b, out, r.n, [](Vec<T> x, Vec<T> y) { return x / y; });
    case BinaryOp::minimum:
      return map<T>(a, b, out, r.n, [](Vec<T> x, Vec<T> y) {
        const Vec<T> least = y < x ? y : x;
        return y != y ? y : least;
      });
    case BinaryOp::maximum:
      return map<T>(a, b, out, r.n, [](Vec<T> x, Vec<T> y) {
        const Vec<T> most = y > x ? y : x;
        return y != y ? y : most;
      });
    case BinaryOp::leaky:
      return map<T>(a, b, out, r.n, [=](Vec<T> x, Vec<T> y) { return x < zero ? x * y : x; });
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
