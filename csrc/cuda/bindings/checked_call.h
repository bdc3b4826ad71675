// For what pybind11 calls: errors as Python's.
#pragma once
#include <pybind11/pybind11.h>

#include "bindings/args.h"
#include "cuda/runtime.h"

namespace konv::cuda {

template <class F>
auto checked_call(F&& f) {
  try {
    return f();
  } catch (const PythonError&) {
    throw pybind11::error_already_set();
  } catch (const OutOfMemory& e) {
    PyErr_SetString(PyExc_MemoryError, e.what());
    throw pybind11::error_already_set();
  }
}

}  // namespace konv::cuda
