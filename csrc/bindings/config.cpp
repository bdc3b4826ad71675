#include "core/config.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/register.h"
#include "conv/conv.h"
#include "core/isa.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace py = pybind11;

namespace konv {

void register_config(py::module_& m) {
  py::class_<Config>(m, "Config", "Settings that hold for a call.")
      .def(py::init<const Config&>())
      .def_property(
          "isa", [](const Config& c) { return isa_name(Isa(c.isa)); },
          [](Config& c, const std::string& name) { c.isa = int64_t(isa_from_name(name)); })
      .def_readwrite("threads", &Config::threads)
      .def_readwrite("max_workspace", &Config::max_workspace)
      .def_property(
          "keep_denormals", [](const Config& c) { return c.keep_denormals != 0; },
          [](Config& c, bool keep) { c.keep_denormals = keep; })
      .def_property(
          "strict", [](const Config& c) { return c.strict != 0; }, [](Config& c, bool strict) { c.strict = strict; });
  m.def("config", &config, "The settings in force in this thread.");
  m.def("process_config", &process_config, "The process's defaults.");
  m.def("set_process_config", &set_process_config, py::arg("config"));
  m.def("thread_config", &thread_config, "This thread's override, or None.");
  m.def("set_thread_config", &set_thread_config, py::arg("config"));
  m.def("isa_levels", [] {
    std::vector<std::string> names;
    for (Isa isa : isa_levels()) names.push_back(isa_name(isa));
    return names;
  });
  m.def("cpu_name", &cpu_name);
  m.def("available_cores", &available_cores);
  m.def("default_threads", &default_threads);
  m.def("threading_backend", &threading_backend);
  m.def("l2_cache_bytes", &l2_cache_bytes);
  m.def("compiler", [] { return std::string(__VERSION__); });
  m.def("plan_cache_info", [] {
    const PlanCacheInfo i = plan_cache_info();
    return py::make_tuple(i.size, i.capacity, i.hits, i.misses);
  });
  m.def("clear_plan_cache", &clear_plan_cache);
}

}  // namespace konv
