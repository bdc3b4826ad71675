#include "core/machine.h"

#include <fstream>
#include <string>

#if defined(__x86_64__)
#  include <cpuid.h>
#endif

namespace konv {

namespace {

// Bytes that one core streams while it could do one vector multiply-add, from the third-level cache and from memory.
// Measured on Zen 4 with 64-byte vectors (3.7 GHz, one multiply-add a cycle): 55 and 20 GB/s. Cores with two such units
// a cycle have about twice the bandwidth too, narrower vectors do as many multiply-adds a cycle or twice as many.
constexpr double kL3Bytes = 15, kMemoryBytes = 5.5;

// Of the first core's cache of a level, as Linux lists them (sysconf adds up those of several sockets); else
// `otherwise`.
int64_t cache_size(int level, int64_t otherwise) {
  const std::string caches = "/sys/devices/system/cpu/cpu0/cache/index";
  for (int i = 0; i < 8; i++) {
    const std::string cache = caches + std::to_string(i);
    int found = 0;
    int64_t kilobytes = 0;
    std::string type;
    std::ifstream(cache + "/level") >> found;
    std::ifstream(cache + "/type") >> type;
    if (found == level && type != "Instruction" && std::ifstream(cache + "/size") >> kilobytes && kilobytes > 0)
      return kilobytes << 10;
  }
  return otherwise;
}

}  // namespace

int64_t l2_cache_bytes() {
  static const int64_t bytes = cache_size(2, int64_t(512) << 10);
  return bytes;
}

int64_t l3_cache_bytes() {
  static const int64_t bytes = cache_size(3, int64_t(8) << 20);
  return bytes;
}

double stream_cost(double bytes) {
  if (bytes <= double(l2_cache_bytes()) / 2) return 0;
  return bytes / (bytes <= double(l3_cache_bytes()) * 5 / 8 ? kL3Bytes : kMemoryBytes);
}

double pair_products_rate() {
#if defined(__x86_64__)
  // Intel's cores have two units for multiply-adds of float32, one of which has vdpbf16ps (uops.info: Cooper Lake and
  // Sapphire Rapids); AMD's have it wherever they multiply.
  unsigned max, b, c, d;
  if (__get_cpuid(0, &max, &b, &c, &d) && b == signature_INTEL_ebx) return 0.5;
#endif
  return 1;
}

}  // namespace konv
