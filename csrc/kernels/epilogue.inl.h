// Activations, with a residual added before: what follows the sums of a convolution where registers do not hold them.
#pragma once
#include "kernels/clip.inl.h"
#include "kernels/elementwise.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T, int N>
KONV_INLINE Vec<T> polynomial(Vec<T> x, const double (&c)[N]) {
  Vec<T> sum = splat<T>(T(c[0]));
  KONV_UNROLL
  for (int i = 1; i < N; i++) sum = sum * x + splat<T>(T(c[i]));
  return sum;
}

// 1 - erf(x), with the rational functions of Cephes' ndtr.c.
template <class T>
KONV_INLINE Vec<T> erfc(Vec<T> x) {
  constexpr double near_p[] = {9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3,
                               7.00332514112805075473e3, 5.55923013010394962768e4};
  constexpr double near_q[] = {1,
                               3.35617141647503099647e1,
                               5.21357949780152679795e2,
                               4.59432382970980127987e3,
                               2.26290000613890934246e4,
                               4.92673942608635921086e4};
  constexpr double mid_p[] = {2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0,
                              4.86371970985681366614e1,   1.96520832956077098242e2,  5.26445194995477358631e2,
                              9.34528527171957607540e2,   1.02755188689515710272e3,  5.57535335369399327526e2};
  constexpr double mid_q[] = {1,
                              1.32281951154744992508e1,
                              8.67072140885989742329e1,
                              3.54937778887819891062e2,
                              9.75708501743205489753e2,
                              1.82390916687909736289e3,
                              2.24633760818710981792e3,
                              1.65666309194161350182e3,
                              5.57535340817727675546e2};
  constexpr double far_p[] = {5.64189583547755073984e-1, 1.27536670759978104416e0, 5.01905042251180477414e0,
                              6.16021097993053585195e0,  7.40974269950448939160e0, 2.97886665372100240670e0};
  constexpr double far_q[] = {1,
                              2.26052863220117276590e0,
                              9.39603524938001434673e0,
                              1.20489539808096656605e1,
                              1.70814450747565897222e1,
                              9.60896809063285878198e0,
                              3.36907645100081516050e0};
  const Vec<T> one = splat<T>(1), size = x < Vec<T>{} ? -x : x, square = x * x;
  const Vec<T> near = one - x * (polynomial<T>(square, near_p) / polynomial<T>(square, near_q));
  Vec<T> ratio = polynomial<T>(size, mid_p) / polynomial<T>(size, mid_q);
  if constexpr (sizeof(T) == 8) {  // float underflows where this differs
    const Vec<T> far = polynomial<T>(size, far_p) / polynomial<T>(size, far_q);
    ratio = size < splat<T>(8) ? ratio : far;
  }
  // Beyond 27 the exponential is zero while the polynomials may overflow.
  const Vec<T> tail = size > splat<T>(27) ? Vec<T>{} : exp<T>(-square) * ratio;
  const Vec<T> far = x < Vec<T>{} ? splat<T>(2) - tail : tail;
  return size < one ? near : far;
}

template <class T>
KONV_INLINE Vec<T> clamp(Vec<T> x, T low, T high) {
  return at_most<T>(greater(splat(low), x), high);
}

template <class T, class F>
KONV_INLINE void finish(const FinishRows<T>& f, F activate) {
  for (int64_t r = 0; r < f.rows; r++) {
    const T* src = f.src + r * f.src_ld;
    T* dst = f.dst + r * f.dst_ld;
    if (f.residual)
      map<T>(src, f.residual + r * f.dst_ld, dst, f.cols, [=](Vec<T> x, Vec<T> y) { return activate(x + y); });
    else
      map<T>(src, dst, f.cols, activate);
  }
}

template <class T>
static void finish_rows(const FinishRows<T>& f) {
  const Vec<T> one = splat<T>(1);
  switch (f.activation) {
    case Activation::none:
      return finish(f, [](Vec<T> x) { return x; });
    case Activation::relu:
      return finish(f, [](Vec<T> x) { return relu<T>(x); });
    case Activation::relu6:
      return finish(f, [](Vec<T> x) { return clamp<T>(x, 0, 6); });
    case Activation::leaky_relu: {
      const Vec<T> slope = splat<T>(f.parameter);
      return finish(f, [=](Vec<T> x) { return x < Vec<T>{} ? slope * x : x; });
    }
    case Activation::sigmoid:
      return finish(f, [=](Vec<T> x) { return one / (one + exp<T>(-x)); });
    case Activation::tanh:
      return finish(f, [](Vec<T> x) { return tanh<T>(x); });
    case Activation::silu:
      return finish(f, [=](Vec<T> x) { return x / (one + exp<T>(-x)); });
    case Activation::gelu: {
      const Vec<T> half = splat<T>(T(0.5)), scale = splat<T>(T(-0.70710678118654752440));
      return finish(f, [=](Vec<T> x) { return half * x * erfc<T>(x * scale); });
    }
    case Activation::gelu_tanh: {
      // (1 + tanh(u)) / 2 is the sigmoid of 2 u.
      const Vec<T> a = splat<T>(T(-1.5957691216057307118)), b = splat<T>(T(-0.071354816272600370404));
      return finish(f, [=](Vec<T> x) { return x / (one + exp<T>(x * (a + b * (x * x)))); });
    }
    case Activation::hardswish: {
      const Vec<T> sixth = splat<T>(T(1) / T(6));
      return finish(f, [=](Vec<T> x) { return x * (clamp<T>(x + splat<T>(3), 0, 6) * sixth); });
    }
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
