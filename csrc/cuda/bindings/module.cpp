// The extension module konv._cuda: registrations only. Importing it touches no driver.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/conv.h"
#include "conv/conv.h"
#include "cuda/bindings/conv.h"
#include "cuda/bindings/device_array.h"
#include "cuda/bindings/pool.h"
#include "cuda/bindings/program.h"
#include "cuda/conv/implicit_gemm.h"
#include "cuda/tests/primitives.h"

#if defined(KONV_CUDA_SIMULATOR)
#  include "cuda/simulator/control.h"
#endif

namespace py = pybind11;

namespace konv::cuda {

namespace {

// queue, array; the array as it lies on the device, copied there where it is NumPy's
PyObject* as_device_array(PyObject* const* a) {
  const CallQueue queue = queue_arg(a[0]);
  return wrap(operand_arg(a[1], "array", queue, ~kComplex));
}

PyMethodDef array_methods[] = {device_entry<2, as_device_array>("as_device_array"), {nullptr, nullptr, 0, nullptr}};

void register_runtime(py::module_& m) {
  m.def("device_count", &device_count, "How many devices there are; 0 where there is none or no driver.");
  m.def("unavailable_reason", &unavailable_reason, "Why there is no device; empty where there is one.");
  m.def("device_info", [](int device) {
    if (device < 0 || device >= device_count()) throw py::value_error("device: there is none of this number");
    const DeviceInfo& i = device_info(device);
    py::dict d;
    d["name"] = i.name;
    d["capability"] = py::make_tuple(i.major, i.minor);
    d["processors"] = i.processors;
    d["memory"] = i.memory_bytes;
    return d;
  });
  m.def(
      "memory_info",
      [] {
        const MemoryInfo i = memory_info();
        return py::make_tuple(i.used, i.idle);
      },
      "Bytes in use and waiting for reuse.");
  m.def(
      "release_idle",
      [] {
        check_process();
        let_go_of_passed();
        py::gil_scoped_release others;
        release_idle();
      },
      "Gives memory that waits for reuse back to the driver.");
  m.def(
      "device_of_memory", [](uintptr_t address) { return device_of(reinterpret_cast<const void*>(address)); },
      "The device of this address; -1 where all devices read it, -2 where none does.");
  m.def("parked_owners", &parked_owners, "Arrays of other libraries that are held until kernels have read them.");
  m.def("create_stream", [](int device) { return reinterpret_cast<int64_t>(create_stream(device)); });
  m.def("destroy_stream", [](int device, int64_t stream) { destroy_stream(device, reinterpret_cast<void*>(stream)); });
  m.def("synchronize", [](int device, int64_t stream) {
    {
      py::gil_scoped_release others;
      synchronize({device, stream_of(stream)});
    }
    let_go_of_passed();
  });
  m.def("plan_cache_info", [] {
    const PlanCacheInfo i = plan_cache_info();
    return py::make_tuple(i.size, i.capacity, i.hits, i.misses);
  });
}

}  // namespace

}  // namespace konv::cuda

PYBIND11_MODULE(_cuda, m) {
  if (!konv::import_numpy()) throw py::error_already_set();
  m.doc() = "konv on CUDA devices.";
  konv::cuda::register_runtime(m);
  for (PyMethodDef* methods : {konv::cuda::array_methods, konv::cuda::conv_methods, konv::cuda::conv_gradient_methods,
                               konv::conv_explain_methods, konv::cuda::pool_methods, konv::cuda::pool_gradient_methods})
    if (PyModule_AddFunctions(m.ptr(), methods) < 0) throw py::error_already_set();
  konv::cuda::register_device_array(m.ptr());
  konv::cuda::register_program(m);
  m.def("check_primitive", &konv::cuda::check_primitive, "Runs the kernel that checks a part of device.h.");
  m.def("primitives", &konv::cuda::primitives);
  m.def("force_gemm_tile", &konv::cuda::force_gemm_tile,
        "For tests: rows, columns and parts of plans made from now on.");
#if defined(KONV_CUDA_SIMULATOR)
  m.attr("simulator") = true;
  m.def(
      "simulate",
      [](int devices, const std::string& failing_call, int64_t calls_before_failure, bool unfinished, bool waits) {
        konv::simulator::set({devices, failing_call, calls_before_failure, unfinished, waits});
      },
      py::arg("devices") = 2, py::arg("failing_call") = "", py::arg("calls_before_failure") = 0,
      py::arg("unfinished") = false, py::arg("waits") = false);
  m.def("waiting", &konv::simulator::waiting);
#else
  m.attr("simulator") = false;
#endif
}
