#include "core/config.h"

#if defined(__unix__) || defined(__APPLE__)
#  include <pthread.h>
#endif

#include <atomic>
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
  static Config c{int64_t(isa_default()), default_threads(), int64_t(8) << 20, 0, 0, Precision::high};
  return c;
}
std::atomic<uint64_t> version{1};  // of the process's settings
thread_local std::optional<Config> override_;

}  // namespace

Config process_config() {
  std::lock_guard lock(mutex);
  return process();
}
void set_process_config(const Config& c) {
  std::lock_guard lock(mutex);
  process() = c;
  version.fetch_add(1, std::memory_order_release);
}

// Asked several times in each call: the lock is taken only after a change.
Config config() {
  if (override_) return *override_;
  struct Seen {
    uint64_t version = 0;
    Config config{};
  };
  thread_local Seen seen;
  if (const uint64_t now = version.load(std::memory_order_acquire); seen.version != now) seen = {now, process_config()};
  return seen.config;
}
std::optional<Config> thread_config() { return override_; }
void set_thread_config(std::optional<Config> c) { override_ = c; }

}  // namespace konv
