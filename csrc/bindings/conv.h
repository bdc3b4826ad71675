// The convolution calls of the Python module.
#pragma once
#include "bindings/args.h"

namespace konv {

extern PyMethodDef conv_methods[], conv_gradient_methods[], conv_explain_methods[];

}  // namespace konv
