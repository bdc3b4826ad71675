// The activations that kernels apply to sums in registers; NaN stays NaN.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
KONV_INLINE Vec<T> clip(Vec<T> v, Clip how) {
  if (how == Clip::none) return v;
  v = relu<T>(v);
  if (how == Clip::relu) return v;
  const Vec<T> six = splat<T>(6);
  return v > six ? six : v;
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
