// Pooling on a device: the operations of pool/pool.h, whose semantics and problems these are, on a queue. Images have
// fewer than 2^31 elements on either side; integers are pooled by their maxima alone, int64 also by averages.
#pragma once
#include "cuda/runtime.h"
#include "pool/pool.h"

namespace konv::cuda {

void max_pool(Queue queue, const PoolProblem& problem, const void* x, void* y, int64_t* index);
void avg_pool(Queue queue, const PoolProblem& problem, const void* x, void* y);  // with a power: its means
void avg_pool_gradient(Queue queue, const PoolProblem& problem, const void* y, void* x);
void lp_pool_gradient(Queue queue, const PoolProblem& problem, const void* y, const void* x, const int64_t x_strides[5],
                      void* gradient);

// Indices outside of the volume are passed over: nothing is read or written for them.
void max_pool_gradient(Queue queue, const PoolProblem& problem, const void* y, const int64_t* index, void* x);
void max_unpool(Queue queue, const PoolProblem& problem, const void* y, const int64_t* index, void* x);
void max_unpool_gradient(Queue queue, const PoolProblem& problem, const void* x, const int64_t* index, void* y);

}  // namespace konv::cuda
