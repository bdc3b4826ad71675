// Derivatives of the activations of epilogue.inl.h, times a gradient. At corners they are PyTorch's.
#pragma once
#include "kernels/epilogue.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

// The sigmoid of x, and one minus it, neither by way of the other's rounding.
template <class T>
struct Sigmoid {
  Vec<T> value, rest;
  __attribute__((always_inline)) explicit Sigmoid(Vec<T> x) {
    const Vec<T> one = splat<T>(1), t = exp<T>(-x);
    value = one / (one + t);
    rest = value > Vec<T>{} ? t * value : one;  // t may be infinite
  }
};

template <class T>
static void activation_grad(const ActivationGradient<T>& p) {
  const Vec<T> zero = {}, one = splat<T>(1);
  const auto run = [&](auto derivative) {
    map<T>(p.x, p.grad, p.out, p.n, [=](Vec<T> x, Vec<T> g) { return derivative(x, g); });
  };
  switch (p.activation) {
    case Activation::none:
      return run([](Vec<T>, Vec<T> g) { return g; });
    case Activation::relu:
      return run([=](Vec<T> x, Vec<T> g) { return x <= zero ? zero : g; });
    case Activation::relu6:
      return run([=](Vec<T> x, Vec<T> g) {
        const Vec<T> above = x <= zero ? zero : g;
        return x >= splat<T>(6) ? zero : above;
      });
    case Activation::leaky_relu: {
      const Vec<T> slope = splat<T>(p.parameter);
      return run([=](Vec<T> x, Vec<T> g) { return x > zero ? g : slope * g; });
    }
    case Activation::sigmoid:
      return run([=](Vec<T> x, Vec<T> g) {
        const Sigmoid<T> s(x);
        return g * (s.value * s.rest);
      });
    case Activation::tanh:
      return run([=](Vec<T> x, Vec<T> g) {
        const Vec<T> y = tanh<T>(x);
        return g * (one - y * y);
      });
    case Activation::silu:
      return run([=](Vec<T> x, Vec<T> g) {
        const Sigmoid<T> s(x);
        return g * (s.value * (one + x * s.rest));
      });
    case Activation::gelu: {
      const Vec<T> half = splat<T>(T(0.5)), scale = splat<T>(T(-0.70710678118654752440));
      const Vec<T> density = splat<T>(T(0.39894228040143267794));
      return run([=](Vec<T> x, Vec<T> g) {
        return g * (half * erfc<T>(x * scale) + x * (density * exp<T>(-half * (x * x))));
      });
    }
    case Activation::gelu_tanh: {
      // x s with s the sigmoid of x (a + b x^2).
      const Vec<T> a = splat<T>(T(1.5957691216057307118)), b = splat<T>(T(0.071354816272600370404));
      return run([=](Vec<T> x, Vec<T> g) {
        const Vec<T> square = x * x;
        const Sigmoid<T> s(x * (a + b * square));
        return g * (s.value + x * (s.value * s.rest) * (a + splat<T>(3) * b * square));
      });
    }
    case Activation::hardswish: {
      const Vec<T> third = splat<T>(T(1) / T(3)), half = splat<T>(T(0.5)), three = splat<T>(3);
      return run([=](Vec<T> x, Vec<T> g) {
        const Vec<T> inside = x < three ? g * (x * third + half) : g;
        return x <= -three ? zero : inside;
      });
    }
  }
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
