#include "core/config.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/register.h"
#include "conv/autotune.h"
#include "conv/conv.h"
#include "core/isa.h"
#include "core/machine.h"
#include "core/parallel.h"
#include "core/peak.h"

namespace py = pybind11;

namespace konv {

namespace {

constexpr const char* kPrecisions[] = {"strict", "high", "medium"};

Precision precision_from_name(const std::string& name) {
  for (int i = 0; i < 3; i++)
    if (name == kPrecisions[i]) return Precision(i);
  throw std::invalid_argument("precision: expected 'strict', 'high' or 'medium', got '" + name + "'");
}

}  // namespace

void register_config(py::module_& m) {
  py::class_<Config>(m, "Config", "Settings that hold for a call.")
      .def(py::init<const Config&>())
      .def_property(
          "isa", [](const Config& c) { return isa_name(Isa(c.isa)); },
          [](Config& c, const std::string& name) { c.isa = int64_t(isa_from_name(name)); })
      .def_readwrite("threads", &Config::threads)
      .def_readwrite("max_workspace", &Config::max_workspace)
      .def_readwrite("autotune", &Config::autotune)
      .def_property(
          "keep_denormals", [](const Config& c) { return c.keep_denormals != 0; },
          [](Config& c, bool keep) { c.keep_denormals = keep; })
      .def_property(
          "precision", [](const Config& c) { return kPrecisions[int(c.precision)]; },
          [](Config& c, const std::string& name) { c.precision = precision_from_name(name); });
  m.def("config", &config, "The settings in force in this thread.");
  m.def(
      "settings",
      [] {
        const Config c = config();
        return py::make_tuple(c.isa, c.threads, c.max_workspace, c.keep_denormals, c.autotune, int(c.precision));
      },
      "The same as numbers: what is made of one problem under other settings is something else.");
  m.def("process_config", &process_config, "The process's defaults.");
  m.def("set_process_config", &set_process_config, py::arg("config"));
  m.def("thread_config", &thread_config, "This thread's override, or None.");
  m.def("set_thread_config", &set_thread_config, py::arg("config"));
  m.def("isa_levels", [] {
    std::vector<std::string> names;
    for (Isa isa : isa_levels()) names.push_back(isa_name(isa));
    return names;
  });
  m.def("has_bfloat16", [] { return pair_kernels(Isa(config().isa)) != nullptr; });
  m.def("cpu_name", &cpu_name);
  m.def("available_cores", &available_cores);
  m.def("default_threads", &default_threads);
  m.def("threading_backend", &threading_backend);
  m.def("l2_cache_bytes", &l2_cache_bytes);
  m.def(
      "multiply_add_gflops",
      [](bool f64, int threads) {
        if (threads < 1) throw std::invalid_argument("threads: expected at least 1");
        const Isa isa = Isa(config().isa);
        return f64 ? multiply_add_gflops<double>(isa, threads) : multiply_add_gflops<float>(isa, threads);
      },
      py::call_guard<py::gil_scoped_release>(), "The rate of multiply-adds on registers alone, timed once.");
  m.def("compiler", [] { return std::string(__VERSION__); });
  m.def("plan_cache_info", [] {
    const PlanCacheInfo i = plan_cache_info();
    return py::make_tuple(i.size, i.capacity, i.hits, i.misses);
  });
  m.def("autotune_table", &autotune_table, py::arg("path"), "The number of the table of this file; of '': in memory.");
  m.def("autotune_path", [](int64_t table) { return py::bytes(autotune_path(table)); }, py::arg("table"));
  m.def(
      "remember_times",
      [](int64_t table, const std::string& key, const std::vector<std::pair<std::string, double>>& times) {
        std::vector<TimedAlgorithm> r;
        for (const auto& [name, seconds] : times) r.push_back({name, seconds});
        remember_times(table, key, r);
      },
      py::arg("table"), py::arg("key"), py::arg("times"));
  m.def("clear_plan_cache", &clear_plan_cache);
}

}  // namespace konv
