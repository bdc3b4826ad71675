// unfold and fold of the Python module.
#pragma once
#include "bindings/args.h"

namespace konv {

extern PyMethodDef fold_methods[];

}  // namespace konv
