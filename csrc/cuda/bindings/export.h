// konv's arrays for other libraries: as DLPack's capsules, and as __cuda_array_interface__ says.
#pragma once
#include <pybind11/pybind11.h>

#include "cuda/bindings/device_array.h"

namespace konv::cuda {

pybind11::object export_dlpack(const Operand& array, const pybind11::object& stream,
                               const pybind11::object& max_version, const pybind11::object& dl_device,
                               const pybind11::object& copy);
pybind11::tuple tuple_of(const npy_intp* values, int count);
pybind11::dict interface_of(const Operand& array);

}  // namespace konv::cuda
