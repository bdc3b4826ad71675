// The convolution calls of the Python module.
#pragma once
#include "bindings/args.h"

namespace konv {

extern PyMethodDef conv_methods[];

}  // namespace konv
