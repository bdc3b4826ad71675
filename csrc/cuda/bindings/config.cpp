#include "cuda/bindings/config.h"

#include "bindings/args.h"
#include "core/config.h"

namespace konv {

namespace {

thread_local int problem_device = 0;

Precision precision_of(PyObject* name) {
  return is_string(name, "strict")   ? Precision::strict
         : is_string(name, "medium") ? Precision::medium
                                     : Precision::high;
}

}  // namespace

// core/config.h as the checks of arguments call it, with the GIL held.
Config config() {
  Ref core(PyImport_ImportModule("konv._core"));
  Ref now(core.get() ? PyObject_CallMethod(core.get(), "config", nullptr) : nullptr);
  Ref precision(now.get() ? PyObject_GetAttrString(now.get(), "precision") : nullptr);
  Ref workspace(precision.get() ? PyObject_GetAttrString(now.get(), "max_workspace") : nullptr);
  if (!workspace.get()) throw PythonError();
  Config c{};
  c.isa = problem_device;
  c.threads = 1;  // of the host
  c.max_workspace = PyLong_AsLongLong(workspace.get());
  c.precision = precision_of(precision.get());
  if (PyErr_Occurred()) throw PythonError();
  return c;
}

namespace cuda {
void set_problem_device(int device) { problem_device = device; }
}  // namespace cuda

}  // namespace konv
