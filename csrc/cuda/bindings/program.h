// konv._cuda.Program and NodeWeights: what konv._graph compiles a graph to for a device.
#pragma once
#include <pybind11/pybind11.h>

namespace konv::cuda {

void register_program(pybind11::module_& m);

}  // namespace konv::cuda
