// The convolution calls of konv._cuda: those of konv._core with the queue in front of the other arguments.
#pragma once
#include "bindings/args.h"

namespace konv::cuda {

extern PyMethodDef conv_methods[], conv_gradient_methods[];

}  // namespace konv::cuda
