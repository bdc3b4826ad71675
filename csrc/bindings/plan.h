// Plans as Python objects.
#pragma once
#include "bindings/args.h"

namespace konv {

extern PyMethodDef plan_methods[];
bool register_plan(PyObject* module);  // the type; false with the exception set

}  // namespace konv
