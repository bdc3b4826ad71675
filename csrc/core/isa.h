// The ISA levels that are compiled in, which of them this CPU runs, and which one is active.
#pragma once
#include <string>
#include <vector>

#include "kernels/table.h"

namespace konv {

enum class Isa : int {
#define KONV_ISA_LEVEL(name, supported) name,
#include "isa/isa.def"
  count
};

const char* isa_name(Isa isa);
// Throws std::invalid_argument for a name that is unknown or a level that this CPU lacks.
Isa isa_from_name(const std::string& name);
std::vector<Isa> isa_levels();  // those that this CPU runs, lowest first
Isa isa_default();              // the highest one, or what KONV_ISA names
const KernelTable& kernel_table(Isa isa);
// Null where the level or the CPU has none.
const PairKernels* pair_kernels(Isa isa);
const DotKernels* dot_kernels(Isa isa);
std::string cpu_name();

template <class T>
inline const Kernels<T>& kernels(Isa isa);
template <>
inline const Kernels<float>& kernels<float>(Isa isa) {
  return kernel_table(isa).f32;
}
template <>
inline const Kernels<double>& kernels<double>(Isa isa) {
  return kernel_table(isa).f64;
}

}  // namespace konv
