// The activations that kernels apply to sums in registers; NaN stays NaN.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
KONV_INLINE Vec<T> relu(Vec<T> v) {
  return greater(Vec<T>{}, v);
}
template <class T>
KONV_INLINE Vec<T> at_most(Vec<T> v, T top) {
  return lesser(splat(top), v);
}

template <class T>
KONV_INLINE Vec<T> clip(Vec<T> v, Clip how) {
  if (how == Clip::none) return v;
  v = relu<T>(v);
  return how == Clip::relu ? v : at_most<T>(v, 6);
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
