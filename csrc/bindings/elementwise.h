// Activations, softmax, dropout and optimizer steps for konv.nn.
#pragma once
#include "bindings/args.h"

namespace konv {

extern PyMethodDef elementwise_methods[];

}  // namespace konv
