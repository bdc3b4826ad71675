// What cost estimates know of the CPU: cache sizes as the system tells them, speeds from a table in the source, so that
// the choice of an algorithm does not depend on the day.
#pragma once
#include <cstdint>

namespace konv {

int64_t l2_cache_bytes();
int64_t l3_cache_bytes();

// Estimated time to read or write so many bytes once, in the unit of all costs: one multiply-add of a vector by one
// core, at full rate. Zero where they stay in the second-level cache.
double stream_cost(double bytes);

// How many multiply-adds of pairs of bfloat16 a core does in the time of one of float32s, where it has them.
double pair_products_rate();

}  // namespace konv
