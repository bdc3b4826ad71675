// Planar images whose rows of windows fill few lanes: planes are transposed so that channels are the lanes.
#pragma once
#include "pool/pool.h"

namespace konv {

enum class PoolOp { max, avg, avg_gradient };

// Whether it pays, and all planes are contiguous.
bool pools_small_planes(const PoolProblem& problem, bool indices);
void pool_small_planes(const PoolProblem& problem, PoolOp op, const void* x, const void* y, const int64_t* index);

}  // namespace konv
