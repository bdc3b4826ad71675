// Arrays of other libraries, taken where they lie: DLPack's, and those with __cuda_array_interface__.
#pragma once
#include "cuda/bindings/device_array.h"

namespace konv::cuda {

Operand from_dlpack(PyObject* object, const char* name, const CallQueue& queue);
Operand from_interface(PyObject* object, const char* name, const CallQueue& queue);

}  // namespace konv::cuda
