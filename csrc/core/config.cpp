#include "core/config.h"

#if defined(__unix__) || defined(__APPLE__)
#  include <pthread.h>
#endif

#include <mutex>

#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

std::mutex mutex;
Config& process() {
#if defined(__unix__) || defined(__APPLE__)
  // A forked child must not inherit a mutex that another thread held.
  static const int once = pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });
  (void)once;
#endif
  static Config c{int64_t(isa_default()), default_threads(), int64_t(8) << 20, 0, 0};
  return c;
}
thread_local std::optional<Config> override_;

}  // namespace

Config process_config() {
  std::lock_guard lock(mutex);
  return process();
}
void set_process_config(const Config& c) {
  std::lock_guard lock(mutex);
  process() = c;
}
Config config() { return override_ ? *override_ : process_config(); }
std::optional<Config> thread_config() { return override_; }
void set_thread_config(std::optional<Config> c) { override_ = c; }

}  // namespace konv
