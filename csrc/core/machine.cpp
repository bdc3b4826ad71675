#include "core/machine.h"

#if defined(__unix__)
#  include <unistd.h>
#endif

namespace konv {

namespace {

// Bytes that one core streams while it could do one vector multiply-add, from the third-level cache and from memory.
// Measured on Zen 4 with 64-byte vectors (3.7 GHz, one multiply-add a cycle): 55 and 20 GB/s. Cores with two such units
// a cycle have about twice the bandwidth too, narrower vectors do as many multiply-adds a cycle or twice as many.
constexpr double kL3Bytes = 15, kMemoryBytes = 5.5;

#if defined(_SC_LEVEL2_CACHE_SIZE)
int64_t cache_size(int name, int64_t otherwise) {
  const long n = sysconf(name);
  return n > 0 ? int64_t(n) : otherwise;
}
constexpr int kL2 = _SC_LEVEL2_CACHE_SIZE, kL3 = _SC_LEVEL3_CACHE_SIZE;
#else
int64_t cache_size(int, int64_t otherwise) { return otherwise; }
constexpr int kL2 = 0, kL3 = 0;
#endif

}  // namespace

int64_t l2_cache_bytes() {
  static const int64_t bytes = cache_size(kL2, int64_t(512) << 10);
  return bytes;
}

int64_t l3_cache_bytes() {
  static const int64_t bytes = cache_size(kL3, int64_t(8) << 20);
  return bytes;
}

double stream_cost(double bytes) {
  if (bytes <= double(l2_cache_bytes()) / 2) return 0;
  return bytes / (bytes <= double(l3_cache_bytes()) * 5 / 8 ? kL3Bytes : kMemoryBytes);
}

}  // namespace konv
