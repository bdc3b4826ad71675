// What cost estimates know of the CPU: cache sizes as the system tells them, speeds from a table in the source, so that
// the choice of an algorithm does not depend on the day.
#pragma once
#include <cstdint>

namespace konv {

int64_t l2_cache_bytes();
int64_t l3_cache_bytes();

// Estimated time to read or write so many bytes once, in the unit of all costs: one multiply-add of a vector by one
// core, at full rate. Zero where they stay in the second-level cache, from one time to the next of which `between`
// other bytes pass.
double stream_cost(double bytes, double between = 0);

// What else costs depend on, in the same unit, by the kind of CPU.
struct CoreSpeeds {
  double l3_bytes, memory_bytes;  // that a core streams meanwhile
  double pair_products;           // products of pairs of bfloat16 that it forms meanwhile, where it has them
  double vector_step;             // of a load, addition or store of vectors that no multiply-add hides
  bool requests_near;             // what is requested early should come to the first-level cache, not the second
};
const CoreSpeeds& core_speeds();

}  // namespace konv
