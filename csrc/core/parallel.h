// Threads: the one place that knows how loops are spread over cores. Two backends, chosen by KONV_THREADING: konv's own
// pool (the default) and OpenMP.
#pragma once
#include <cstdint>

namespace konv {

// Cores that this process may use: CPU affinity and the container's quota honoured.
int available_cores();
// KONV_NUM_THREADS, else OMP_NUM_THREADS, else available_cores().
int default_threads();
const char* threading_backend();  // throws std::invalid_argument for a wrong KONV_THREADING

using ParallelBody = void (*)(void* context, int64_t task, int thread);
void parallel_for(int64_t tasks, int threads, ParallelBody body, void* context) noexcept;

// Calls body(task, thread) for every task in [0, tasks), on at most `threads` threads numbered from 0; returns when all
// are done. Which thread runs a task is open: results must not depend on it. The body must not throw.
template <class F>
inline void parallel_for(int64_t tasks, int threads, F&& body) noexcept {
  if (threads <= 1 || tasks <= 1) {
    for (int64_t i = 0; i < tasks; i++) body(i, 0);
    return;
  }
  parallel_for(tasks, threads, [](void* f, int64_t task, int thread) { (*static_cast<F*>(f))(task, thread); }, &body);
}

// Flushes denormals to zero while it lives; the caller's floating-point state comes back afterwards.
class FlushDenormals {
 public:
  explicit FlushDenormals(bool flush = true);
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace konv
