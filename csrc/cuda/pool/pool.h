// Pooling on a device: pool/pool.h with a queue, for memory of its device.
#pragma once
#include "cuda/runtime.h"
#include "pool/pool.h"

namespace konv::cuda {

// `index` may be null.
void max_pool(Queue queue, const PoolProblem& problem, const void* x, void* y, int64_t* index);
void avg_pool(Queue queue, const PoolProblem& problem, const void* x, void* y);

}  // namespace konv::cuda
