// konv._core.Program and NodeWeights: what konv.graph builds of a graph whose shapes are known. Everything here comes
// from Python code of ours; checks are of what would otherwise read or write out of bounds.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <tuple>
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

Operand ProgramObject::operand(const Place& place, int rank) const {
  const auto& [buffer, offset, dtype, shape, strides, scale, zero] = place;
  if (buffer < 0 || buffer >= program.buffers()) throw std::invalid_argument("operand: no such buffer");
  if (shape.size() > kMaxRank || shape.size() != strides.size() || (rank >= 0 && int(shape.size()) != rank))
    throw std::invalid_argument("operand: wrong number of axes");
  Operand o;
  o.buffer = buffer, o.offset = offset, o.dtype = dtype_named(dtype), o.rank = int(shape.size());
  o.scale = scale, o.zero = zero;
  int64_t low = offset, high = offset;
  const int64_t item = dtype_size(o.dtype);
  for (size_t i = 0; i < shape.size(); i++) {
    if (shape[i] < 0) throw std::invalid_argument("operand: negative size");
    o.shape[i] = shape[i], o.strides[i] = strides[i];
    (strides[i] < 0 ? low : high) += std::max<int64_t>(0, shape[i] - 1) * strides[i] * item;
  }
  if (o.elements() > 0 && (low < 0 || high + item > bytes[size_t(buffer)]))
    throw std::invalid_argument("operand: beyond its buffer");
  return o;
}
DType dtype_named(const std::string& name) {
  for (int i = 0; i < kDTypes; i++)
    if (name == dtype_text(DType(i))) return DType(i);
  throw std::invalid_argument("dtype: unknown name '" + name + "'");
}

void same_shape(const Operand& a, const Operand& b) {
  if (a.rank != b.rank || !std::equal(a.shape, a.shape + a.rank, b.shape))
    throw std::invalid_argument("operands: different shapes");
}

Activation activation_named(const std::string& name) {
  static constexpr const char* kNames[] = {"none", "relu", "relu6", "leaky_relu", "sigmoid",
                                           "tanh", "silu", "gelu",  "gelu_tanh",  "hardswish"};
  for (int i = 0; i < 10; i++)
    if (name == kNames[i]) return Activation(i);
  throw std::invalid_argument("activation: unknown name '" + name + "'");
}

namespace {

template <size_t N>
void copy_sizes(const Sizes& from, int64_t (&to)[N]) {
  if (from.size() != N) throw std::invalid_argument("sizes: wrong number");
  std::copy(from.begin(), from.end(), to);
}

}  // namespace

ConvProblem problem_of(const ConvOptions& o, Direction direction, DType dtype) {
  ConvProblem p{};
  p.direction = direction, p.dtype = dtype;
  p.isa = config().isa, p.precision = config().precision;
  p.max_workspace = std::min(config().max_workspace, int64_t(1) << 48), p.threads = o.threads;
  p.algorithm = -1, p.autotune = config().autotune;
  p.groups = o.groups;
  p.activation = activation_named(o.activation), p.activation_parameter = o.parameter;
  copy_sizes(o.stride, p.stride), copy_sizes(o.dilation, p.dilation), copy_sizes(o.pad, p.pad);
  return p;
}

void set_sides(ConvProblem& p, const Operand& x, const Operand& w, const Operand& y) {
  if (x.dtype != y.dtype || x.dtype != w.dtype) throw std::invalid_argument("conv: element types differ");
  set_shapes(p, x, w, y);
}

void set_shapes(ConvProblem& p, const Operand& x, const Operand& w, const Operand& y) {
  p.n = x.shape[0], p.c = x.shape[1], p.k = y.shape[1];
  std::copy_n(x.shape + 2, 3, p.in), std::copy_n(y.shape + 2, 3, p.out), std::copy_n(w.shape + 2, 3, p.kernel);
  std::copy_n(x.strides, 5, p.xs), std::copy_n(w.strides, 5, p.ws), std::copy_n(y.strides, 5, p.ys);
  const bool fits =
      y.shape[0] == p.n && w.shape[0] == p.k && p.groups > 0 && w.shape[1] * p.groups == p.c && p.k % p.groups == 0;
  bool inside = true;
  for (int i = 0; i < 3; i++)
    inside = inside && p.stride[i] > 0 && p.dilation[i] > 0 && p.kernel[i] > 0 && p.pad[i] >= 0 && p.in[i] > 0 &&
             p.out[i] > 0;
  if (!fits || !inside) throw std::invalid_argument("conv: operands do not fit one another");
}

PoolProblem pool_problem(const PoolOptions& o, const Operand& x, const Operand& y) {
  PoolProblem p{};
  p.dtype = x.dtype, p.isa = config().isa, p.threads = o.threads;
  p.keep_denormals = config().keep_denormals, p.max_workspace = std::min(config().max_workspace, int64_t(1) << 48);
  p.n = x.shape[0], p.c = x.shape[1];
  std::copy_n(x.shape + 2, 3, p.in), std::copy_n(y.shape + 2, 3, p.out);
  copy_sizes(o.kernel, p.kernel), copy_sizes(o.stride, p.stride), copy_sizes(o.dilation, p.dilation);
  copy_sizes(o.pad, p.pad), copy_sizes(o.pad_after, p.pad_after);
  p.count_padding = o.count_padding, p.divisor = o.power != 0 ? 1 : 0, p.power = o.power;
  std::copy_n(x.strides, 5, p.xs), std::copy_n(y.strides, 5, p.ys);
  if (x.dtype != y.dtype || y.shape[0] != p.n || y.shape[1] != p.c)
    throw std::invalid_argument("pool: operands do not fit one another");
  for (int i = 0; i < 3; i++)
    if (p.in[i] < 1 || p.out[i] < 1 || p.kernel[i] < 1 || p.stride[i] < 1 || p.dilation[i] < 1 || p.pad[i] < 0)
      throw std::invalid_argument("pool: sizes out of range");
  return p;
}

namespace {

class NodeWeightsObject {
 public:
  // Of a convolution, or of a transposed one, whose weights are (in, out / groups, d, h, w).
  NodeWeightsObject(const py::buffer& w, const std::optional<py::buffer>& bias, int64_t groups, bool transposed,
                    const std::string& dtype, int32_t x_zero) {
    const py::buffer_info wi = w.request();
    if (wi.ndim != 5) throw std::invalid_argument("weight: five axes");
    ConvProblem p{};
    p.dtype = dtype_named(dtype), p.groups = groups, p.k = wi.shape[0], p.c = wi.shape[1] * groups;
    p.direction = transposed ? Direction::input_gradient : Direction::forward;
    std::copy_n(wi.shape.begin() + 2, 3, p.kernel);
    p.has_bias = bias.has_value();
    if (wi.itemsize != dtype_size(p.dtype)) throw std::invalid_argument("weight: wrong dtype");
    int64_t bytes = wi.itemsize;
    for (int i = 4; i >= 0; bytes *= wi.shape[size_t(i)], i--)
      if (wi.shape[size_t(i)] != 1 && wi.strides[size_t(i)] != bytes)
        throw std::invalid_argument("weight: not contiguous");
    const void* b = nullptr;
    if (bias) {
      const py::buffer_info bi = bias->request();
      if (bi.ndim != 1 || bi.shape[0] != p.outputs() || bi.strides[0] != bi.itemsize ||
          bi.itemsize != dtype_size(p.result_dtype()))
        throw std::invalid_argument("bias: wrong shape");
      b = bi.ptr;
    }
    shape_.assign(wi.shape.begin(), wi.shape.end());
    dtype_ = dtype, has_bias_ = p.has_bias;
    weights_ = std::make_shared<NodeWeights>(p, wi.ptr, b, x_zero);
  }
  const std::shared_ptr<NodeWeights>& weights() const { return weights_; }
  Operand operand() const {
    Operand o;
    o.rank = 5, o.dtype = dtype_named(dtype_);
    std::copy(shape_.begin(), shape_.end(), o.shape);
    contiguous_strides(o.shape, false, o.strides);
    return o;
  }
  bool has_bias() const { return has_bias_; }
  int64_t bytes() const { return weights_->bytes(); }

 private:
  Sizes shape_;
  std::string dtype_;
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
  if (residual) {
    same_shape(a.residual, a.output);
    for (int i = 0; i < 5; i++)
      if (a.output.shape[i] > 1 && a.residual.strides[i] != a.output.strides[i])
        throw std::invalid_argument("residual: strides differ from the output's");
  }
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

// (kind, name of the operation, a, b, out, p, q, r)
using InstructionTuple = std::tuple<std::string, std::string, int, int, int, double, double, double>;

int index_of(const std::string& name, const std::vector<std::string>& names) {
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) throw std::invalid_argument("operation: unknown name '" + name + "'");
  return int(at - names.begin());
}

Instruction instruction_of(const InstructionTuple& t, int registers) {
  static const std::vector<std::string> unary = {"negate",      "absolute", "square_root", "reciprocal",
                                                 "exponential", "floor",    "ceil",        "round",
                                                 "sign",        "affine",   "clip"};
  static const std::vector<std::string> binary = {"add",     "subtract", "multiply", "divide",
                                                  "minimum", "maximum",  "leaky"};
  const auto& [kind, name, a, b, out, p, q, r] = t;
  for (int read : {a, b})
    if (read < 0 || read >= registers) throw std::invalid_argument("expression: no such register");
  if (out < 0 || out >= kMaxRegisters) throw std::invalid_argument("expression: too many registers");
  Instruction i{Instruction::Kind::unary, 0, a, b, out, p, q, r};
  if (kind == "unary") i.op = index_of(name, unary);
  if (kind == "binary") i.kind = Instruction::Kind::binary, i.op = index_of(name, binary);
  if (kind == "activation") i.kind = Instruction::Kind::activation, i.op = int(activation_named(name));
  if (kind == "gradient") i.kind = Instruction::Kind::gradient, i.op = int(activation_named(name));
  if (kind == "clipped") i.kind = Instruction::Kind::clipped;
  if (kind == "clipped_gradient") i.kind = Instruction::Kind::clipped_gradient;
  if (kind == "function") i.kind = Instruction::Kind::function, i.op = index_of(name, function_names());
  return i;
}

int64_t contiguous_bytes(const py::buffer_info& i) {
  int64_t bytes = i.itemsize;
  for (py::ssize_t a = i.ndim; a-- > 0; bytes *= i.shape[size_t(a)])
    if (i.shape[size_t(a)] > 1 && i.strides[size_t(a)] != bytes) throw std::invalid_argument("array: not contiguous");
  return bytes;
}

// An array that the program reads and writes where it lies.
int add_bound(ProgramObject& p, const py::buffer& data) {
  const py::buffer_info i = data.request(true);
  p.bytes.push_back(contiguous_bytes(i));
  return p.program.add_bound(static_cast<char*>(i.ptr));
}

// Addresses of arrays that each run is given: exactly as large as declared, checked by the caller.
py::list run(ProgramObject& p, const std::vector<std::tuple<uintptr_t, int64_t>>& arrays, bool timed) {
  std::vector<char*> external;
  size_t at = 0;
  for (size_t buffer = 0; buffer < p.bytes.size(); buffer++) {
    if (!p.program.is_external(int(buffer))) continue;
    if (at == arrays.size() || std::get<1>(arrays[at]) < p.bytes[buffer])
      throw std::invalid_argument("run: an array is missing or too small");
    external.push_back(reinterpret_cast<char*>(std::get<0>(arrays[at++])));
  }
  std::vector<int64_t> times(timed ? 2 * p.program.steps().size() : 0);
  {
    py::gil_scoped_release release;
    p.program.run(external.data(), timed ? times.data() : nullptr);
  }
  return py::cast(times);
}

}  // namespace

void register_program(py::module_& m) {
  py::class_<ConvOptions>(m, "ConvOptions").def(py::init<Sizes, Sizes, Sizes, int64_t, std::string, double, int64_t>());
  py::class_<NodeWeightsObject>(m, "NodeWeights")
      .def(py::init<const py::buffer&, const std::optional<py::buffer>&, int64_t, bool, const std::string&, int32_t>())
      .def_property_readonly("bytes", &NodeWeightsObject::bytes);
  py::class_<PoolOptions>(m, "PoolOptions").def(py::init<Sizes, Sizes, Sizes, Sizes, Sizes, bool, double, int64_t>());
  py::class_<ProgramObject> program(m, "Program");
  program.def(py::init<int64_t>())
      .def_property_readonly("arena_bytes", [](const ProgramObject& p) { return p.program.arena_bytes(); })
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
             PoolProblem q = pool_problem(options, x, y);
             if (indices) {
               if (at.dtype != DType::i64) throw std::invalid_argument("indices: int64");
               same_shape(at, y);
               std::copy_n(at.strides, 5, q.indices_s);
             }
             const PoolStepKind k = kind == "max"        ? PoolStepKind::max
                                    : options.power != 0 ? PoolStepKind::power
                                                         : PoolStepKind::average;
             p.program.add(pool_step(k, q, x, y, at));
           })
      .def("elementwise",
           [](ProgramObject& p, const std::vector<Place>& inputs, const Place& output,
              const std::vector<InstructionTuple>& code, int64_t threads, std::string text) {
             if (inputs.empty() || inputs.size() + 1 > kMaxRegisters || (code.empty() && inputs.size() > 1))
               throw std::invalid_argument("expression: too many inputs, or no instructions");
             std::vector<Operand> in;
             const Operand y = p.operand(output);
             if (y.dtype != DType::f64 && !stands_for_numbers(y)) throw std::invalid_argument("expression: dtype");
             for (const Place& place : inputs) {
               in.push_back(p.operand(place));
               same_shape(in.back(), y);
               if (y.dtype == DType::f64 ? in.back().dtype != y.dtype : !stands_for_numbers(in.back()))
                 throw std::invalid_argument("expression: dtypes differ");
             }
             std::vector<Instruction> all;
             for (const InstructionTuple& t : code) all.push_back(instruction_of(t, kMaxRegisters));
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
             if (axis < 0 || axis >= y.rank || x.rank != y.rank || x.dtype != y.dtype || taps < 1 ||
                 int64_t(index.size()) != y.shape[axis] * taps || (!weight.empty() && weight.size() != index.size()))
               throw std::invalid_argument("resample: operands do not fit one another");
             for (int i = 0; i < y.rank; i++)
               if (i != axis && x.shape[i] != y.shape[i]) throw std::invalid_argument("resample: shapes differ");
             for (int64_t i : index)
               if (i < 0 || i >= x.shape[axis]) throw std::invalid_argument("resample: index beyond the input");
             p.program.add(resample_step(x, y, {axis, taps, std::move(index), std::move(weight)}, threads));
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
