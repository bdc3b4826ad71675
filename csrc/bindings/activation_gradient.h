// The derivative of activations.
#pragma once
#include "bindings/args.h"

namespace konv {

extern PyMethodDef activation_gradient_methods[];

}  // namespace konv
