#include "core/isa.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>

#if defined(__x86_64__)
#  include <cpuid.h>
#endif

// The tables and their parts: one symbol from each ISA object.
#define KONV_ISA_LEVEL(name, supported)                         \
  extern const konv::Kernels<float> konv_kernels_##name##_f32;  \
  extern const konv::Kernels<double> konv_kernels_##name##_f64; \
  extern const konv::OtherKernels konv_kernels_##name##_others;
#define KONV_ISA_PAIRS(name, level, supported) extern const konv::PairKernels konv_kernels_##name;
#define KONV_ISA_DOTS(name, level, supported) extern const konv::DotKernels konv_kernels_##name;
#include "isa/isa.def"

namespace konv {

namespace {

struct Level {
  const char* name;
  bool supported;
  KernelTable table;
};

KernelTable table_of(const Kernels<float>& f32, const Kernels<double>& f64, const OtherKernels& o) {
  return {f32, f64, o.i32, o.i64, o.narrow, o.ints, o.f16, o.bf16};
}

const Level* levels() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  static const Level all[] = {
#define KONV_ISA_LEVEL(name, supported) \
  {#name, bool(supported),              \
   table_of(konv_kernels_##name##_f32, konv_kernels_##name##_f64, konv_kernels_##name##_others)},
#include "isa/isa.def"
  };
  return all;
}
constexpr int kLevels = int(Isa::count);

}  // namespace

const char* isa_name(Isa isa) { return levels()[int(isa)].name; }

Isa isa_from_name(const std::string& name) {
  std::string known;
  for (int i = 0; i < kLevels; i++) {
    if (name == levels()[i].name) {
      if (!levels()[i].supported) throw std::invalid_argument("isa: this CPU does not run '" + name + "'");
      return Isa(i);
    }
    known += std::string(i ? ", '" : "'") + levels()[i].name + "'";
  }
  throw std::invalid_argument("isa: expected one of " + known + ", got '" + name + "'");
}

std::vector<Isa> isa_levels() {
  std::vector<Isa> r;
  for (int i = 0; i < kLevels; i++)
    if (levels()[i].supported) r.push_back(Isa(i));
  return r;
}

Isa isa_default() {
  if (const char* forced = std::getenv("KONV_ISA"); forced && *forced) {
    try {
      return isa_from_name(forced);
    } catch (const std::invalid_argument& e) {
      throw std::invalid_argument(std::string("environment variable KONV_ISA: ") + e.what());
    }
  }
  return isa_levels().back();
}

const KernelTable& kernel_table(Isa isa) { return levels()[int(isa)].table; }

const PairKernels* pair_kernels([[maybe_unused]] Isa isa) {
#define KONV_ISA_PAIRS(name, level, supported) \
  if (isa == Isa::level && (supported)) return &konv_kernels_##name;
#include "isa/isa.def"
  return nullptr;
}

const DotKernels* dot_kernels([[maybe_unused]] Isa isa) {
#define KONV_ISA_DOTS(name, level, supported) \
  if (isa == Isa::level && (supported)) return &konv_kernels_##name;
#include "isa/isa.def"
  return nullptr;
}

std::string cpu_name() {
#if defined(__x86_64__)
  unsigned r[12] = {};
  if (__get_cpuid_max(0x80000000u, nullptr) >= 0x80000004u) {
    for (unsigned i = 0; i < 3; i++)
      __get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    char text[49] = {};
    std::memcpy(text, r, 48);
    std::string s = text;
    const size_t first = s.find_first_not_of(' ');
    return first == std::string::npos ? "x86-64" : s.substr(first, s.find_last_not_of(' ') - first + 1);
  }
  return "x86-64";
#elif defined(__aarch64__)
  return "AArch64";
#else
  return "unknown";
#endif
}

}  // namespace konv
