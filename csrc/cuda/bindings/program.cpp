#include "cuda/bindings/program.h"

#include <utility>

#include "bindings/program_args.h"
#include "cuda/bindings/checked_call.h"
#include "cuda/bindings/config.h"
#include "cuda/bindings/device_array.h"
#include "cuda/graph/conv_step.h"
#include "cuda/graph/steps.h"

namespace py = pybind11;

namespace konv::cuda {

namespace {

using MaybePlace = std::optional<Place>;

class NodeWeightsObject {
 public:
  NodeWeightsObject(int device, const py::buffer& w, const std::optional<py::buffer>& bias, int64_t groups,
                    bool transposed, const std::string& dtype) {
    const GivenWeights given(w, bias, groups, transposed, dtype);
    operand_ = given.operand, has_bias_ = given.problem.has_bias;
    weights_ = std::make_unique<NodeWeights>(device, given.problem, given.w, given.bias);
  }
  NodeWeights& weights() const { return *weights_; }
  const konv::Operand& operand() const { return operand_; }
  bool has_bias() const { return has_bias_; }

 private:
  konv::Operand operand_;
  bool has_bias_;
  std::unique_ptr<NodeWeights> weights_;
};

class ProgramObject {
 public:
  ProgramObject(int device, int64_t arena_bytes)
      : program_(std::make_shared<Program>(device, arena_bytes)), bytes_{arena_bytes} {}

  int64_t arena_bytes() const { return program_->arena_bytes(); }
  int add_external(int64_t bytes) {
    bytes_.push_back(bytes);
    return program_->add_external();
  }
  int add_constant(const py::buffer& data) {
    const py::buffer_info i = data.request();
    bytes_.push_back(contiguous_bytes(i));
    return checked_call([&] {
      py::gil_scoped_release others;
      return program_->add_constant(i.ptr, bytes_.back());
    });
  }

  void conv(const Place& input, const NodeWeightsObject& weights, const Place& output, const MaybePlace& residual,
            bool transposed, const ConvOptions& options) {
    ConvArguments a;
    a.input = operand(input, 5), a.output = operand(output, 5), a.residual = optional(residual, 5);
    set_problem_device(program_->device());
    const Direction direction = transposed ? Direction::input_gradient : Direction::forward;
    a.problem = checked_call([&] { return problem_of(options, direction, a.input.dtype); });
    transposed ? set_sides(a.problem, a.output, weights.operand(), a.input)
               : set_sides(a.problem, a.input, weights.operand(), a.output);
    a.problem.weights_ready = 1, a.problem.has_bias = weights.has_bias(), a.problem.has_residual = residual.has_value();
    if (residual) check_residual(a.residual, a.output);
    add([&] { return cuda::conv_step(a, weights.weights()); });
  }
  void pool(const std::string& kind, const Place& input, const Place& output, const MaybePlace& indices,
            const PoolOptions& options) {
    set_problem_device(program_->device());
    const konv::Operand x = operand(input, 5), y = operand(output, 5), at = optional(indices, 5);
    const PoolProblem q = checked_call([&] { return pool_problem(options, x, y, at); });
    const PoolStepKind k = kind == "max"        ? PoolStepKind::max
                           : options.power != 0 ? PoolStepKind::power
                                                : PoolStepKind::average;
    add([&] { return cuda::pool_step(k, q, x, y, at); });
  }
  void elementwise(const std::vector<Place>& inputs, const Place& output, const std::vector<InstructionTuple>& code,
                   int64_t, std::string text) {
    std::vector<konv::Operand> in;
    for (const Place& place : inputs) in.push_back(operand(place));
    const konv::Operand y = operand(output);
    const std::vector<Instruction> all = instructions_of(code, in, y);
    add([&] { return cuda::expression_step(in, y, all, std::move(text)); });
  }
  void copy(const Place& input, const Place& output, int64_t) {
    const konv::Operand x = operand(input), y = operand(output);
    same_shape(x, y);
    if (x.dtype != y.dtype) throw std::invalid_argument("copy: dtypes differ");
    add([&] { return cuda::copy_step(x, y); });
  }
  void fill(const Place& output, double value) {
    add([&] { return cuda::fill_step(operand(output), value); });
  }
  void softmax(const Place& input, const Place& output, int64_t) {
    const konv::Operand x = operand(input), y = operand(output);
    same_shape(x, y);
    add([&] { return cuda::softmax_step(x, y); });
  }
  void resample(const Place& input, const Place& output, int axis, int64_t taps, std::vector<int64_t> index,
                std::vector<double> weight, int64_t) {
    const konv::Operand x = operand(input), y = operand(output);
    const Resampling r{axis, taps, std::move(index), std::move(weight)};
    check_resampling(x, y, r);
    add([&] { return cuda::resample_step(program_->device(), x, y, r); });
  }

  // Starts the program on a queue, for arrays of the inputs' sizes; returns its outputs, each given as (dtype, shape),
  // and, if `timed`, nanoseconds at which steps began and ended.
  py::tuple run(const py::object& queue_object, const py::sequence& inputs,
                const std::vector<std::pair<std::string, Sizes>>& outputs, bool timed) const {
    return checked_call([&] {
      check_process();
      let_go_of_passed();
      const CallQueue queue = queue_arg(queue_object.ptr());
      if (queue.device != program_->device())
        value_error("input: expected arrays on device %d, got some on device %d", program_->device(), queue.device);
      std::vector<konv::cuda::Operand> held;
      for (const py::handle given : inputs)
        held.push_back(whole(queue, operand_arg(given.ptr(), "input", queue, ~kComplex)));
      py::list made;
      for (const auto& [dtype, sizes] : outputs) {
        const std::vector<npy_intp> shape(sizes.begin(), sizes.end());
        if (shape.size() > kMostAxes) value_error("output: more axes than devices' arrays have");
        held.push_back(contiguous_operand(queue, dtype_named(dtype), int(shape.size()), shape.data()));
        made.append(py::reinterpret_steal<py::object>(wrap(held.back())));
      }
      std::vector<char*> external;
      for (size_t buffer = 0; buffer < bytes_.size(); buffer++) {
        if (!program_->is_external(int(buffer))) continue;
        const size_t at = external.size();
        if (at == held.size() || held[at]->size() * dtype_size(held[at]->dtype) != bytes_[buffer])
          value_error("input: an array is missing, or not of the size that the program is for");
        external.push_back(static_cast<char*>(held[at]->data));
      }
      if (external.size() != held.size()) value_error("input: too many arrays");
      std::vector<double> seconds;
      {
        py::gil_scoped_release release;
        program_->run(queue, external.data(), timed ? &seconds : nullptr);
      }
      py::list times;
      for (double s : seconds) times.append(py::int_(int64_t(s * 1e9)));
      return py::make_tuple(made, times);
    });
  }
  py::list steps() const {
    py::list all;
    for (const auto& step : program_->steps()) {
      const StepInfo i = step->info();
      all.append(py::make_tuple(i.kind, i.detail, i.flops, i.weight_bytes, i.workspace_bytes));
    }
    return all;
  }

 private:
  konv::Operand operand(const Place& place, int rank = -1) const { return operand_at(bytes_, place, rank); }
  konv::Operand optional(const MaybePlace& place, int rank) const {
    return place ? operand(*place, rank) : konv::Operand{};
  }
  template <class F>
  void add(F make) {
    checked_call([&] {
      py::gil_scoped_release release;
      program_->add(make());
    });
  }
  // In C order from an address that vectors of 16 bytes may start at, copied if need be.
  static konv::cuda::Operand whole(Queue queue, const konv::cuda::Operand& given) {
    bool in_order = reinterpret_cast<uintptr_t>(given->data) % 16 == 0;
    int64_t step = dtype_size(given->dtype);
    for (int i = given->ndim - 1; i >= 0; step *= given->shape[i--])
      in_order = in_order && (given->shape[i] == 1 || given->strides[i] == step);
    if (in_order) return given;
    const auto copy = contiguous_operand(queue, given->dtype, given->ndim, given->shape);
    copy_operand(queue, copy, given);
    return copy;
  }

  std::shared_ptr<Program> program_;
  std::vector<int64_t> bytes_;  // of each buffer
};

}  // namespace

void register_program(py::module_& m) {
  py::class_<ConvOptions>(m, "ConvOptions", py::module_local())
      .def(py::init<Sizes, Sizes, Sizes, int64_t, std::string, double, int64_t>());
  py::class_<PoolOptions>(m, "PoolOptions", py::module_local())
      .def(py::init<Sizes, Sizes, Sizes, Sizes, Sizes, bool, double, int64_t>());
  py::class_<NodeWeightsObject>(m, "NodeWeights", py::module_local())
      .def(py::init<int, const py::buffer&, const std::optional<py::buffer>&, int64_t, bool, const std::string&>())
      .def_property_readonly("bytes", [](const NodeWeightsObject& w) { return w.weights().bytes(); });
  py::class_<ProgramObject>(m, "Program", py::module_local())
      .def(py::init<int, int64_t>())
      .def_property_readonly("arena_bytes", &ProgramObject::arena_bytes)
      .def("add_external", &ProgramObject::add_external)
      .def("add_constant", &ProgramObject::add_constant)
      .def("conv", &ProgramObject::conv)
      .def("pool", &ProgramObject::pool)
      .def("elementwise", &ProgramObject::elementwise)
      .def("copy", &ProgramObject::copy)
      .def("fill", &ProgramObject::fill)
      .def("softmax", &ProgramObject::softmax)
      .def("resample", &ProgramObject::resample)
      .def("run", &ProgramObject::run)
      .def("steps", &ProgramObject::steps);
}

}  // namespace konv::cuda
