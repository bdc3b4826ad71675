// The pooling calls of the Python module.
#pragma once
#include "bindings/args.h"

namespace konv {

extern PyMethodDef pool_methods[], pool_gradient_methods[];

}  // namespace konv
