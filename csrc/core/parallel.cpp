#include "core/parallel.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include "core/thread_pool.h"

#if defined(__linux__)
#  include <sched.h>
#endif
#if defined(__SSE2__)
#  include <xmmintrin.h>
#endif
#if defined(KONV_OPENMP)
#  include <omp.h>
#endif

namespace konv {

namespace {

uint64_t read_float_state() {
#if defined(__SSE2__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  uint64_t v;
  asm volatile("mrs %0, fpcr" : "=r"(v));
  return v;
#else
  return 0;
#endif
}
void write_float_state(uint64_t v) {
#if defined(__SSE2__)
  _mm_setcsr(unsigned(v));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" ::"r"(v));
#else
  (void)v;
#endif
}
#if defined(__SSE2__)
constexpr uint64_t kFlushBits = 0x8040;  // flush to zero, denormals are zero
#else
constexpr uint64_t kFlushBits = 1u << 24;
#endif

// Cores granted by the control group (version 2, then 1), 0 where there is no limit.
int quota_cores() {
  double quota = 0, period = 0;
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    const int n = std::fscanf(f, "%lf %lf", &quota, &period);
    std::fclose(f);
    return n == 2 && quota > 0 && period > 0 ? std::max(1, int(quota / period + 0.5)) : 0;
  }
  const auto read = [](const char* path, double& value) {
    std::FILE* f = std::fopen(path, "r");
    if (!f) return false;
    const int n = std::fscanf(f, "%lf", &value);
    std::fclose(f);
    return n == 1;
  };
  if (read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota) && read("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period) &&
      quota > 0 && period > 0)
    return std::max(1, int(quota / period + 0.5));
  return 0;
}

// 0 where the variable is unset. KONV_NUM_THREADS must be right; OMP_NUM_THREADS may be a list that is not ours to
// judge.
int threads_from(const char* variable, bool ours) {
  const char* text = std::getenv(variable);
  if (!text || !*text) return 0;
  char* end;
  const long v = std::strtol(text, &end, 10);
  if (end != text && (!*end || !ours) && v > 0 && v <= 1024) return int(v);
  if (ours)
    throw std::invalid_argument(std::string("environment variable ") + variable +
                                ": expected an integer from 1 to 1024, got '" + text + "'");
  return 0;
}

}  // namespace

int available_cores() {
  int cores = int(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = std::max(1, CPU_COUNT(&set));
#endif
  const int quota = quota_cores();
  return quota ? std::min(cores, quota) : cores;
}

int default_threads() {
  if (int n = threads_from("KONV_NUM_THREADS", true)) return n;
  if (int n = threads_from("OMP_NUM_THREADS", false)) return n;
  return available_cores();
}

namespace {

bool use_openmp() {
  static const bool openmp = [] {
    const char* name = std::getenv("KONV_THREADING");
    const std::string text = name ? name : "";
#if defined(KONV_OPENMP)
    if (text == "openmp") return true;
#else
    if (text == "openmp") throw std::invalid_argument("environment variable KONV_THREADING: built without OpenMP");
#endif
    if (text.empty() || text == "pool") return false;
    throw std::invalid_argument("environment variable KONV_THREADING: expected 'pool' or 'openmp', got '" + text + "'");
  }();
  return openmp;
}

void openmp_for(int64_t tasks, int threads, ParallelBody body, void* context, uint64_t state) {
#if defined(KONV_OPENMP)
#  pragma omp parallel num_threads(threads)
  {
    const uint64_t mine = read_float_state();
    write_float_state(state);
#  pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < tasks; i++) body(context, i, omp_get_thread_num());
    write_float_state(mine);
  }
#else
  (void)tasks, (void)threads, (void)body, (void)context, (void)state;
#endif
}

}  // namespace

const char* threading_backend() { return use_openmp() ? "openmp" : "pool"; }

void parallel_for(int64_t tasks, int threads, ParallelBody body, void* context) noexcept {
  const int n = int(std::min<int64_t>(tasks, threads));
  const uint64_t state = read_float_state();  // the caller's rounding and denormal modes hold in every thread
  if (use_openmp())
    openmp_for(tasks, n, body, context, state);
  else
    ThreadPool::instance().run(tasks, n, body, context, write_float_state, state);
}

FlushDenormals::FlushDenormals(bool flush) : saved_(read_float_state()) {
  if (flush) write_float_state(saved_ | kFlushBits);
}
FlushDenormals::~FlushDenormals() { write_float_state(saved_); }

}  // namespace konv
