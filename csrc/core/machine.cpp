#include "core/machine.h"

#include <fstream>
#include <string>

#if defined(__x86_64__)
#  include <cpuid.h>
#endif

namespace konv {

namespace {

// Measured on Zen 4 with 64-byte vectors: 3.7 GHz, one multiply-add a cycle, 55 GB/s from the third-level cache and 20
// from memory.
constexpr CoreSpeeds kOneMultiplyAdd = {15, 5.5, 1, 1, true};
// On Zen 5: 4.25 GHz, two multiply-adds or vdpbf16ps a cycle, 100 and 48 GB/s.
constexpr CoreSpeeds kTwoMultiplyAdds = {12, 5.5, 1, 2, true};
// On Emerald Rapids: 2.8 GHz, two multiply-adds a cycle, 28 and 10 GB/s; one of its two units has vdpbf16ps.
constexpr CoreSpeeds kIntel = {5, 2, 0.5, 2, false};

CoreSpeeds speeds_of_cpu() {
#if defined(__x86_64__)
  unsigned a, b, c, d, signature;
  if (!__get_cpuid(0, &a, &b, &c, &d) || !__get_cpuid(1, &signature, &a, &c, &d)) return kOneMultiplyAdd;
  if (b == signature_INTEL_ebx) return kIntel;
  const unsigned family = (signature >> 8 & 15) + (signature >> 20 & 255);
  const unsigned models = signature >> 16 & 15;                       // each number stands for sixteen
  const bool half_units = models == 2 || models == 3 || models == 6;  // Strix Point and Krackan Point
  if (b == signature_AMD_ebx && family >= 0x1a && !half_units) return kTwoMultiplyAdds;
#endif
  return kOneMultiplyAdd;
}

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

const CoreSpeeds& core_speeds() {
  static const CoreSpeeds speeds = speeds_of_cpu();
  return speeds;
}

double stream_cost(double bytes, double between) {
  if (bytes + between <= double(l2_cache_bytes()) / 2) return 0;
  const bool from_l3 = bytes + between <= double(l3_cache_bytes()) * 5 / 8;
  return bytes / (from_l3 ? core_speeds().l3_bytes : core_speeds().memory_bytes);
}

}  // namespace konv
