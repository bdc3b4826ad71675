#include "bindings/program_args.h"

#include <algorithm>
#include <stdexcept>

#include "bindings/args.h"
#include "core/config.h"
#include "graph/forms.h"

namespace konv {

namespace py = pybind11;

Operand operand_at(const std::vector<int64_t>& bytes, const Place& place, int rank) {
  const auto& [buffer, offset, dtype, shape, strides, scale, zero] = place;
  if (buffer < 0 || size_t(buffer) >= bytes.size()) throw std::invalid_argument("operand: no such buffer");
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

ConvProblem problem_of(const ConvOptions& o, Direction direction, DType dtype) {
  ConvProblem p{};
  p.direction = direction, p.dtype = dtype;
  p.isa = config().isa, p.precision = config().precision;
  p.max_workspace = std::min(config().max_workspace, int64_t(1) << 48), p.threads = o.threads;
  p.algorithm = -1, p.autotune = config().autotune;
  p.groups = o.groups, p.bytes_between = o.bytes_between;
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
PoolProblem pool_problem(const PoolOptions& o, const Operand& x, const Operand& y, const Operand& indices) {
  PoolProblem p = pool_problem(o, x, y);
  if (!indices) return p;
  if (indices.dtype != DType::i64) throw std::invalid_argument("indices: int64");
  same_shape(indices, y);
  std::copy_n(indices.strides, 5, p.indices_s);
  return p;
}

void check_residual(const Operand& residual, const Operand& output) {
  same_shape(residual, output);
  for (int i = 0; i < 5; i++)
    if (output.shape[i] > 1 && residual.strides[i] != output.strides[i])
      throw std::invalid_argument("residual: strides differ from the output's");
}

GivenWeights::GivenWeights(const py::buffer& weight, const std::optional<py::buffer>& given_bias, int64_t groups,
                           bool transposed, const std::string& dtype) {
  const py::buffer_info wi = weight.request();
  if (wi.ndim != 5) throw std::invalid_argument("weight: five axes");
  ConvProblem& p = problem;
  p.dtype = dtype_named(dtype), p.groups = groups, p.k = wi.shape[0], p.c = wi.shape[1] * groups;
  p.direction = transposed ? Direction::input_gradient : Direction::forward;
  std::copy_n(wi.shape.begin() + 2, 3, p.kernel);
  p.has_bias = given_bias.has_value();
  if (wi.itemsize != dtype_size(p.dtype)) throw std::invalid_argument("weight: wrong dtype");
  contiguous_bytes(wi);
  w = wi.ptr;
  if (given_bias) {
    const py::buffer_info bi = given_bias->request();
    if (bi.ndim != 1 || bi.shape[0] != p.outputs() || bi.strides[0] != bi.itemsize ||
        bi.itemsize != dtype_size(p.result_dtype()))
      throw std::invalid_argument("bias: wrong shape");
    bias = bi.ptr;
  }
  operand.rank = 5, operand.dtype = p.dtype;
  std::copy(wi.shape.begin(), wi.shape.end(), operand.shape);
  contiguous_strides(operand.shape, false, operand.strides);
}

namespace {

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

}  // namespace

std::vector<Instruction> instructions_of(const std::vector<InstructionTuple>& code, const std::vector<Operand>& inputs,
                                         const Operand& output) {
  if (inputs.empty() || inputs.size() + 1 > kMaxRegisters || (code.empty() && inputs.size() > 1))
    throw std::invalid_argument("expression: too many inputs, or no instructions");
  if (output.dtype != DType::f64 && !stands_for_numbers(output)) throw std::invalid_argument("expression: dtype");
  for (const Operand& x : inputs) {
    same_shape(x, output);
    if (output.dtype == DType::f64 ? x.dtype != output.dtype : !stands_for_numbers(x))
      throw std::invalid_argument("expression: dtypes differ");
  }
  std::vector<Instruction> all;
  for (const InstructionTuple& t : code) all.push_back(instruction_of(t, kMaxRegisters));
  return all;
}

void check_resampling(const Operand& x, const Operand& y, const Resampling& r) {
  if (r.axis < 0 || r.axis >= y.rank || x.rank != y.rank || x.dtype != y.dtype || r.taps < 1 ||
      int64_t(r.index.size()) != y.shape[r.axis] * r.taps || (!r.weight.empty() && r.weight.size() != r.index.size()))
    throw std::invalid_argument("resample: operands do not fit one another");
  for (int i = 0; i < y.rank; i++)
    if (i != r.axis && x.shape[i] != y.shape[i]) throw std::invalid_argument("resample: shapes differ");
  for (int64_t i : r.index)
    if (i < 0 || i >= x.shape[r.axis]) throw std::invalid_argument("resample: index beyond the input");
}

int64_t contiguous_bytes(const py::buffer_info& i) {
  int64_t bytes = i.itemsize;
  for (py::ssize_t a = i.ndim; a-- > 0; bytes *= i.shape[size_t(a)])
    if (i.shape[size_t(a)] > 1 && i.strides[size_t(a)] != bytes) throw std::invalid_argument("array: not contiguous");
  return bytes;
}

}  // namespace konv
