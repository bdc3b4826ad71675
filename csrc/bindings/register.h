// What each file of this folder adds to the module.
#pragma once
#include <pybind11/pybind11.h>

namespace konv {

void register_config(pybind11::module_& m);
void register_program(pybind11::module_& m);

}  // namespace konv
