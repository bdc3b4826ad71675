#include "core/peak.h"

#include <atomic>
#include <chrono>

#include "core/parallel.h"

namespace konv {

template <class T>
double multiply_add_gflops(Isa isa, int threads) {
  constexpr int64_t kRounds = 200'000;
  const Kernels<T>& kernel = kernels<T>(isa);
  std::atomic<int64_t> flops = 0;
  const auto start = std::chrono::steady_clock::now();
  parallel_for(threads, threads, [&](int64_t, int) {
    T sum;
    int64_t done;
    kernel.multiply_adds(kRounds, T(0.5), &sum, &done);
    flops += done;
  });
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  return double(flops) / elapsed.count();
}

template double multiply_add_gflops<float>(Isa, int);
template double multiply_add_gflops<double>(Isa, int);

}  // namespace konv
