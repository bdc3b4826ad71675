// The rate of multiply-adds that the arithmetic units reach: what benchmarks hold a kernel's rate against.
#pragma once
#include "core/isa.h"

namespace konv {

// FLOPs a second, in units of 10^9, of `threads` threads that do a few milliseconds of multiply-adds on registers.
template <class T>
double multiply_add_gflops(Isa isa, int threads);

}  // namespace konv
