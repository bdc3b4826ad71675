// Entry of every convolution on a device. Plans, names and explanations are those of conv/conv.h, of the list
// cuda/algos_cuda.def.
#pragma once
#include "conv/conv.h"
#include "cuda/runtime.h"

namespace konv::cuda {

// p.isa is the queue's device; tensors are memory of it. Nothing has been written where it throws OutOfMemory. With
// null `packed` weights are prepared in scratch first.
void run_conv(Queue queue, const ConvProblem& p, const ConvTensors& tensors);
void run_plan(Queue queue, const ConvPlan& plan, const ConvTensors& tensors, const char* packed);

}  // namespace konv::cuda
