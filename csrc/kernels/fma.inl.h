// Multiply-adds on registers alone: what the units can do at most.
#pragma once

namespace konv::KONV_ISA_LEVEL_NAME {

template <class T>
static void multiply_adds(int64_t rounds, T factor, T* out, int64_t* flops) {
  // As many independent chains as registers leave room for: more than latency times units on any CPU.
  constexpr int kChains = KONV_GEMM_ROWS >= 12 ? 24 : 12;
  Vec<T> s[kChains] = {};
  KONV_UNROLL
  for (int i = 0; i < kChains; i++) keep_in_register(s[i]);  // or the compiler would see that all chains are equal
  const Vec<T> x = splat(factor), y = splat(T(1) - factor);
  KONV_NO_UNROLL
  for (int64_t n = 0; n < rounds; n++) {
    KONV_UNROLL
    for (int i = 0; i < kChains; i++) s[i] = s[i] * x + y;
  }
  Vec<T> sum = {};
  KONV_UNROLL
  for (int i = 0; i < kChains; i++) sum += s[i];
  *out = horizontal_sum<T>(sum);
  *flops = 2 * kChains * kLanes<T> * rounds;
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
