// konv._core.Program and NodeWeights: what konv.graph builds of a graph whose shapes are known. Everything here comes
// from Python code of ours; checks are of what would otherwise read or write out of bounds.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/program.h"

#include "bindings/args.h"
#include "bindings/register.h"
#include "core/config.h"
#include "graph/conv_step.h"
#include "graph/numbers.h"
#include "graph/steps.h"

namespace konv {

namespace py = pybind11;

namespace {

class NodeWeightsObject {
 public:
  NodeWeightsObject(const py::buffer& w, const std::optional<py::buffer>& bias, int64_t groups, bool transposed,
                    const std::string& dtype, int32_t x_zero) {
    const GivenWeights given(w, bias, groups, transposed, dtype);
    operand_ = given.operand, has_bias_ = given.problem.has_bias;
    weights_ = std::make_shared<NodeWeights>(given.problem, given.w, given.bias, x_zero);
  }
  const std::shared_ptr<NodeWeights>& weights() const { return weights_; }
  const Operand& operand() const { return operand_; }
  bool has_bias() const { return has_bias_; }
  int64_t bytes() const { return weights_->bytes(); }

 private:
  Operand operand_;
  bool has_bias_;
  std::shared_ptr<NodeWeights> weights_;
};

void add_conv(ProgramObject& program, const Place& input, const NodeWeightsObject& weights, const Place& output,
              const std::optional<Place>& residual, bool transposed, const ConvOptions& options) {
  ConvArguments a;
  a.input = program.operand(input, 5), a.output = program.operand(output, 5);
  a.residual = program.optional(residual, 5);
  a.problem = problem_of(options, transposed ? Direction::input_gradient : Direction::forward, a.input.dtype);
  transposed ? set_sides(a.problem, a.output, weights.operand(), a.input)
             : set_sides(a.problem, a.input, weights.operand(), a.output);
  a.problem.weights_ready = 1, a.problem.has_bias = weights.has_bias(), a.problem.has_residual = residual.has_value();
  if (residual) check_residual(a.residual, a.output);
  py::gil_scoped_release release;
  program.program.add(conv_step(a, weights.weights().get()));
}

// A convolution of bytes or bfloat16: operands but for element types, and options.
ConvProblem narrow_problem(const ConvOptions& options, const Operand& x, const Operand& w, const Operand& y) {
  ConvProblem p = problem_of(options, Direction::forward, x.dtype);
  if (is_byte(x.dtype)) p.weight_dtype = DType::i8, p.weight_range = WeightRange::int8, p.autotune = 0;
  set_shapes(p, x, w, y);
  p.weights_ready = 1;
  return p;
}
int64_t narrow_scratch(const ConvProblem& p) { return is_byte(p.dtype) ? int_conv_scratch(p) : half_conv_scratch(p); }

// `scale` is for bytes.
void add_narrow_conv(ProgramObject& program, const Place& input, const NodeWeightsObject& weights, const Place& output,
                     const std::optional<Place>& residual, std::vector<float> scale, const Place& scratch,
                     const ConvOptions& options) {
  ConvArguments a;
  a.input = program.operand(input, 5), a.output = program.operand(output, 5);
  a.residual = program.optional(residual, 5);
  const Operand w = weights.operand(), room = program.operand(scratch);
  const bool bytes = is_byte(a.input.dtype);
  const auto fits = [&](const Operand& o) { return bytes ? stands_for_numbers(o) : o.dtype == DType::bf16; };
  if (!(bytes || a.input.dtype == DType::bf16) || w.dtype != (bytes ? DType::i8 : DType::f32) || !fits(a.output) ||
      (residual && !fits(a.residual)))
    throw std::invalid_argument("narrow_conv: dtype");
  if (residual) same_shape(a.residual, a.output);
  a.problem = narrow_problem(options, a.input, w, a.output);
  a.problem.has_bias = weights.has_bias(), a.problem.has_residual = residual.has_value();
  if (room.elements() < narrow_scratch(a.problem) || (bytes && int64_t(scale.size()) != a.problem.k))
    throw std::invalid_argument("narrow_conv: scratch or scale too small");
  py::gil_scoped_release release;
  program.program.add(bytes ? int_conv_step(a, *weights.weights(), std::move(scale), room)
                            : half_conv_step(a, *weights.weights(), room));
}

// An array that the program reads and writes where it lies.
int add_bound(ProgramObject& p, const py::buffer& data) {
  const py::buffer_info i = data.request(true);
  p.bytes.push_back(contiguous_bytes(i));
  return p.program.add_bound(static_cast<char*>(i.ptr));
}

// The arrays, in C order, that each run is given: as large as declared; the caller owns those that are written.
py::list run(ProgramObject& p, const std::vector<py::array>& arrays, bool timed) {
  std::vector<char*> external;
  size_t at = 0;
  for (size_t buffer = 0; buffer < p.bytes.size(); buffer++) {
    if (!p.program.is_external(int(buffer))) continue;
    if (at == arrays.size() || arrays[at].nbytes() < p.bytes[buffer] || !(arrays[at].flags() & py::array::c_style))
      throw std::invalid_argument("run: an array is missing, too small or not in C order");
    external.push_back(static_cast<char*>(const_cast<void*>(arrays[at++].data())));
  }
  std::vector<StepTime> times(timed ? p.program.steps().size() : 0);
  {
    py::gil_scoped_release release;
    p.program.run(external.data(), timed ? times.data() : nullptr);
  }
  py::list all;
  for (const StepTime& t : times) all.append(py::make_tuple(t.begin, t.end, t.thread));
  return all;
}

}  // namespace

void register_program(py::module_& m) {
  py::class_<ConvOptions>(m, "ConvOptions")
      .def(py::init<Sizes, Sizes, Sizes, int64_t, std::string, double, int64_t, int64_t>());
  py::class_<NodeWeightsObject>(m, "NodeWeights")
      .def(py::init<const py::buffer&, const std::optional<py::buffer>&, int64_t, bool, const std::string&, int32_t>())
      .def_property_readonly("bytes", &NodeWeightsObject::bytes);
  py::class_<PoolOptions>(m, "PoolOptions").def(py::init<Sizes, Sizes, Sizes, Sizes, Sizes, bool, double, int64_t>());
  py::class_<ProgramObject> program(m, "Program");
  program.def(py::init<int64_t, int64_t, int>())
      .def_property_readonly("arena_bytes", [](const ProgramObject& p) { return p.program.arena_bytes(); })
      .def("set_strand", [](ProgramObject& p, int strand) { p.program.set_strand(strand); })
      .def("add_external",
           [](ProgramObject& p, int64_t bytes) {
             p.bytes.push_back(bytes);
             return p.program.add_external();
           })
      .def("add_constant",
           [](ProgramObject& p, const py::buffer& data) {
             const py::buffer_info i = data.request();
             const int64_t bytes = contiguous_bytes(i);
             AlignedBuffer memory(std::max<int64_t>(bytes, 64));
             std::memcpy(memory.data(), i.ptr, size_t(bytes));
             p.bytes.push_back(bytes);
             return p.program.add_constant(std::move(memory));
           })
      .def("add_bound", &add_bound, py::keep_alive<1, 2>())
      .def("conv", &add_conv)
      .def("narrow_conv", &add_narrow_conv)
      .def_static("narrow_conv_scratch",
                  [](const std::string& dtype, const Sizes& x, const Sizes& w, const Sizes& y, const ConvOptions& o) {
                    Operand operands[3];
                    const Sizes* shapes[] = {&x, &w, &y};
                    for (int i = 0; i < 3; i++) {
                      operands[i].dtype = dtype_named(dtype), operands[i].rank = 5;
                      int64_t sizes[5];
                      copy_sizes(*shapes[i], sizes);
                      std::copy_n(sizes, 5, operands[i].shape);
                    }
                    return narrow_scratch(narrow_problem(o, operands[0], operands[1], operands[2]));
                  })
      .def("pool",
           [](ProgramObject& p, const std::string& kind, const Place& input, const Place& output,
              const std::optional<Place>& indices, const PoolOptions& options) {
             const Operand x = p.operand(input, 5), y = p.operand(output, 5), at = p.optional(indices, 5);
             const PoolProblem q = pool_problem(options, x, y, at);
             const PoolStepKind k = kind == "max"        ? PoolStepKind::max
                                    : options.power != 0 ? PoolStepKind::power
                                                         : PoolStepKind::average;
             p.program.add(pool_step(k, q, x, y, at));
           })
      .def("elementwise",
           [](ProgramObject& p, const std::vector<Place>& inputs, const Place& output,
              const std::vector<InstructionTuple>& code, int64_t threads, std::string text) {
             std::vector<Operand> in;
             for (const Place& place : inputs) in.push_back(p.operand(place));
             const Operand y = p.operand(output);
             const std::vector<Instruction> all = instructions_of(code, in, y);
             p.program.add(expression_step(in, y, all, threads, std::move(text)));
           })
      .def("copy",
           [](ProgramObject& p, const Place& input, const Place& output, int64_t threads) {
             const Operand x = p.operand(input), y = p.operand(output);
             same_shape(x, y);
             if (x.dtype != y.dtype) throw std::invalid_argument("copy: dtypes differ");
             p.program.add(copy_step(x, y, threads));
           })
      .def("fill", [](ProgramObject& p, const Place& output,
                      double value) { p.program.add(fill_step(p.operand(output), value)); })
      .def("softmax",
           [](ProgramObject& p, const Place& input, const Place& output, int64_t threads) {
             const Operand x = p.operand(input), y = p.operand(output);
             same_shape(x, y);
             p.program.add(softmax_step(x, y, threads));
           })
      .def("resample",
           [](ProgramObject& p, const Place& input, const Place& output, int axis, int64_t taps,
              std::vector<int64_t> index, std::vector<double> weight, int64_t threads) {
             const Operand x = p.operand(input), y = p.operand(output);
             Resampling r{axis, taps, std::move(index), std::move(weight)};
             check_resampling(x, y, r);
             p.program.add(resample_step(x, y, std::move(r), threads));
           })
      .def("run", &run)
      .def("steps", [](const ProgramObject& p) {
        py::list all;
        for (const auto& step : p.program.steps()) {
          const StepInfo i = step->info();
          all.append(py::make_tuple(i.kind, i.detail, i.flops, i.weight_bytes, i.workspace_bytes));
        }
        return all;
      });
  add_training_steps(program);
}

}  // namespace konv
