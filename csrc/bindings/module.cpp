// The extension module konv._core: registrations only.
#include "bindings/activation_gradient.h"
#include "bindings/conv.h"
#include "bindings/conv_int.h"
#include "bindings/fold.h"
#include "bindings/plan.h"
#include "bindings/pool.h"
#include "bindings/register.h"
#include "core/config.h"
#include "core/parallel.h"

namespace py = pybind11;

PYBIND11_MODULE(_core, m) {
  if (!konv::import_numpy()) throw py::error_already_set();
  m.doc() = "The compiled core of konv.";
  m.attr("__version__") = KONV_VERSION;
  konv::register_config(m);
  konv::register_program(m);
  konv::process_config(), konv::threading_backend();  // a wrong environment variable fails here, at import
  // Calls that may take less than a microsecond are plain C functions.
  for (PyMethodDef* methods : {konv::conv_methods, konv::conv_gradient_methods, konv::conv_explain_methods,
                               konv::conv_int_methods, konv::activation_gradient_methods, konv::fold_methods,
                               konv::plan_methods, konv::pool_methods, konv::pool_gradient_methods})
    if (PyModule_AddFunctions(m.ptr(), methods) < 0) throw py::error_already_set();
  if (!konv::register_plan(m.ptr())) throw py::error_already_set();
}
