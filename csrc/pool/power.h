// Powers of magnitudes, of copies that are in the cache.
#pragma once
#include <cmath>
#include <cstdint>

namespace konv {

// v = |v|^power. Small whole powers and the square root have loops of their own, which compilers vectorise.
template <class T>
void raise(T* v, int64_t n, double power) {
  const auto each = [&](auto f) {
    for (int64_t i = 0; i < n; i++) v[i] = f(std::abs(v[i]));
  };
  if (power == 1) return each([](T a) { return a; });
  if (power == 2) return each([](T a) { return a * a; });
  if (power == 3) return each([](T a) { return a * a * a; });
  if (power == 4) return each([](T a) { return a * a * (a * a); });
  if (power == 0.5) return each([](T a) { return std::sqrt(a); });
  each([&](T a) { return std::pow(a, T(power)); });
}

}  // namespace konv
