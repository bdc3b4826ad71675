#include "bindings/conv_args.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/config.h"

namespace konv {

namespace {

int64_t algorithm_arg(PyObject* object) {
  if (!PyUnicode_Check(object)) type_error("algorithm: expected a string, got %s", Py_TYPE(object)->tp_name);
  if (is_string(object, "auto")) return -1;
  const char* name = PyUnicode_AsUTF8(object);
  if (!name) throw PythonError();
  return algorithm_index(name);
}

constexpr struct {
  const char* name;
  Activation value;
} kActivations[] = {
    {"relu", Activation::relu},       {"relu6", Activation::relu6},         {"leaky_relu", Activation::leaky_relu},
    {"sigmoid", Activation::sigmoid}, {"tanh", Activation::tanh},           {"silu", Activation::silu},
    {"gelu", Activation::gelu},       {"gelu_tanh", Activation::gelu_tanh}, {"hardswish", Activation::hardswish},
};

PaddingMode padding_mode_arg(PyObject* object) {
  constexpr const char* names[] = {"zeros", "reflect", "replicate", "circular"};
  if (!PyUnicode_Check(object)) type_error("padding_mode: expected a string, got %s", Py_TYPE(object)->tp_name);
  for (int i = 0; i < 4; i++)
    if (is_string(object, names[i])) return PaddingMode(i);
  value_error("padding_mode: expected 'zeros', 'reflect', 'replicate' or 'circular', got %R", object);
}

// Without padding all modes are one.
void set_padding_mode(ConvProblem& p, PaddingMode mode, const int64_t after[3]) {
  p.padding_mode = PaddingMode::zeros;
  for (int i = 0; i < 3; i++) {
    const int64_t most = std::max(p.pad[i], after[i]);
    if (most == 0) continue;
    p.padding_mode = mode;
    const int64_t limit = mode == PaddingMode::reflect ? p.in[i] - 1 : p.in[i];
    if ((mode == PaddingMode::reflect || mode == PaddingMode::circular) && most > limit)
      value_error("padding: mode '%s' takes at most %lld along an axis of %lld elements, got %lld",
                  mode == PaddingMode::reflect ? "reflect" : "circular", Wide(limit), Wide(p.in[i]), Wide(most));
  }
}

void transposed_geometry(ConvProblem& p, const Common& c) {
  int64_t after[3], extent[3];
  double elements = double(std::max<int64_t>(1, p.n)) * double(std::max<int64_t>(1, p.c));
  for (int i = 0; i < 3; i++) {
    const int64_t kernel = p.kernel[i], out = p.out[i], more = c.output_padding[i];
    if (kernel < 1) value_error("%s: expected kernel sizes of at least 1, got %lld", c.weight_name, Wide(kernel));
    if (out < 1) value_error("%s: expected spatial sizes of at least 1, got %lld", c.input_name, Wide(out));
    if (kernel > INT32_MAX || out > INT32_MAX)
      value_error("%s: a spatial size is too large", out > INT32_MAX ? c.input_name : c.weight_name);
    if (more >= std::max(p.stride[i], p.dilation[i]))
      value_error("output_padding: expected less than stride %lld or dilation %lld, got %lld", Wide(p.stride[i]),
                  Wide(p.dilation[i]), Wide(more));
    extent[i] = p.dilation[i] * (kernel - 1) + 1;
    if (c.padding.rule != Padding::given)
      p.in[i] = i < 3 - c.layout.spatial ? 1 : out * p.stride[i] + more;
    else
      p.in[i] = (out - 1) * p.stride[i] + extent[i] + more - c.padding.before[i] - c.padding.after[i];
    if (p.in[i] < 1)
      value_error("padding: the output would have %lld elements along one axis; expected at least 1", Wide(p.in[i]));
    elements *= double(p.in[i]);
  }
  if (elements > double(int64_t(1) << 58)) value_error("stride: the output would have more than 2^58 elements");
  int64_t covered[3];  // by the windows
  for (int i = 0; i < 3; i++) covered[i] = p.in[i] - c.output_padding[i];
  c.padding.resolve(covered, extent, p.stride, p.pad, after);
}

void check_channels(const ConvProblem& p, const Common& common, int64_t weight_channels) {
  const Wide c = p.c, k = p.k, groups = p.groups;
  if (k < 1) value_error("%s: expected at least one output channel", common.weight_name);
  if (k % groups)
    value_error("groups: %lld does not divide the %lld output channels of %s", groups, k, common.weight_name);
  if (c % groups) value_error("groups: %lld does not divide the %lld channels of %s", groups, c, common.input_name);
  if (weight_channels != c / groups)
    value_error("%s: expected %lld input channels a group (%s has %lld channels in %lld groups), got %lld",
                common.weight_name, c / groups, common.input_name, c, groups, Wide(weight_channels));
}

void check_transposed_channels(const ConvProblem& p, const Common& common, int64_t weight_channels) {
  const Wide k = p.k, groups = p.groups;
  if (k < 1) value_error("%s: expected at least one channel", common.input_name);
  if (p.c < 1) value_error("%s: expected at least one output channel", common.weight_name);
  if (k % groups) value_error("groups: %lld does not divide the %lld channels of %s", groups, k, common.input_name);
  if (weight_channels != k)
    value_error("%s: expected %lld input channels, as %s has, got %lld", common.weight_name, k, common.input_name,
                Wide(weight_channels));
}

const void* residual_arg(PyObject* object, ConvProblem& p, const int64_t shape[5], const int64_t* result_strides,
                         PyArrayObject* y, const Layout& layout, bool batched) {
  const Array r = array_arg(object, "residual", kFloats);
  same_dtype(r, "residual", p.dtype, "input");
  if (r.ndim != PyArray_NDIM(y) || !std::equal(r.shape, r.shape + r.ndim, PyArray_DIMS(y)))
    value_error("residual: expected the result's shape %s, got %s",
                shape_text(PyArray_NDIM(y), PyArray_DIMS(y)).c_str(), shape_text(r.ndim, r.shape).c_str());
  p.has_residual = 1;
  int64_t strides[5];
  strides_of(r.object, layout, batched, strides);
  bool same = true;
  for (int i = 0; i < 5; i++) same = same && (shape[i] == 1 || strides[i] == result_strides[i]);
  const bool is_out = same && r.data == PyArray_DATA(y);
  if (!is_out && share_memory(y, object))
    value_error("residual: expected `out` itself, or memory that `out` does not share");
  if (same) return r.data;
  if (!is_empty(p)) {
    ReleaseGil release(true);
    find_plan(p);  // throws for an algorithm that cannot, while nothing has been written
  }
  if (PyArray_CopyInto(y, r.object) < 0) throw PythonError();
  return PyArray_DATA(y);
}

}  // namespace

Common common_args(int spatial, PyObject* stride, PyObject* padding, PyObject* dilation, PyObject* groups,
                   PyObject* padding_mode, PyObject* layout, PyObject* algorithm, PyObject* threads,
                   PyObject* max_workspace) {
  Common c;
  c.layout = layout_arg(layout, spatial);
  spatial_arg(stride, "stride", spatial, 1, c.stride);
  spatial_arg(dilation, "dilation", spatial, 1, c.dilation);
  c.groups = int_arg(groups, "groups", 1);
  c.padding = padding_arg(padding, spatial, spatial == 1);
  c.padding_mode = padding_mode_arg(padding_mode);
  c.algorithm = algorithm_arg(algorithm);
  c.threads = threads_arg(threads);
  c.max_workspace = max_workspace_arg(max_workspace);
  return c;
}

void set_transposed(Common& c, PyObject* output_padding) {
  c.transposed = true;
  spatial_arg(output_padding, "output_padding", c.layout.spatial, 0, c.output_padding);
  std::fill_n(c.output_padding, 3 - c.layout.spatial, 0);
}

void geometry(ConvProblem& p, const Common& c) {
  std::copy_n(c.stride, 3, p.stride);
  std::copy_n(c.dilation, 3, p.dilation);
  if (c.transposed) return transposed_geometry(p, c);
  int64_t after[3], extent[3];
  for (int i = 0; i < 3; i++) {
    if (p.kernel[i] < 1)
      value_error("%s: expected kernel sizes of at least 1, got %lld", c.weight_name, Wide(p.kernel[i]));
    if (p.kernel[i] > INT32_MAX || p.in[i] > (int64_t(1) << 48))
      value_error("%s: a spatial size is too large", p.kernel[i] > INT32_MAX ? c.weight_name : c.input_name);
    extent[i] = p.dilation[i] * (p.kernel[i] - 1) + 1;
  }
  c.padding.resolve(p.in, extent, p.stride, p.pad, after);
  set_padding_mode(p, c.padding_mode, after);
  double elements = 1;
  for (int i = 0; i < 3; i++) {
    if (p.in[i] < 1) value_error("%s: expected spatial sizes of at least 1, got %lld", c.input_name, Wide(p.in[i]));
    const int64_t room = p.in[i] + p.pad[i] + after[i] - extent[i];
    if (room < 0)
      value_error("%s: a kernel of %lld with dilation %lld spans %lld elements, but the padded input has %lld",
                  c.weight_name, Wide(p.kernel[i]), Wide(p.dilation[i]), Wide(extent[i]),
                  Wide(p.in[i] + p.pad[i] + after[i]));
    p.out[i] = room / p.stride[i] + 1;
    elements *= double(p.out[i]);
  }
  if (elements * double(std::max<int64_t>(1, p.n)) * double(std::max<int64_t>(1, p.k)) > double(int64_t(1) << 58))
    value_error("padding: the output would have more than 2^58 elements");
}

void set_operands(ConvProblem& p, const Common& c, const View& input, const View& weight) {
  std::copy_n(weight.shape + 2, 3, p.kernel);
  std::copy_n(weight.strides, 5, p.ws);
  std::copy_n(input.shape + 2, 3, c.transposed ? p.out : p.in);
  std::copy_n(input.strides, 5, c.transposed ? p.ys : p.xs);
  p.n = input.shape[0];
  if (c.transposed) {
    p.k = input.shape[1];
    if (weight.shape[1] > INT32_MAX) value_error("%s: expected less than 2^31 output channels a group", c.weight_name);
    p.c = weight.shape[1] * p.groups;
    check_transposed_channels(p, c, weight.shape[0]);
  } else {
    p.c = input.shape[1], p.k = weight.shape[0];
    check_channels(p, c, weight.shape[1]);
  }
}

View weight_view(const Array& w, int spatial) {
  if (w.ndim != spatial + 2)
    value_error("weight: expected %d dimensions, two of channels and the kernel's, got shape %s", spatial + 2,
                shape_text(w.ndim, w.shape).c_str());
  return view_of(w, Layout{spatial, false}, "weight");
}

ConvProblem problem_of(const Common& c, Direction direction, DType dtype) {
  ConvProblem p{};
  p.direction = direction;
  p.dtype = dtype;
  p.isa = config().isa;
  p.threads = c.threads;
  p.max_workspace = c.max_workspace;
  p.algorithm = c.algorithm;
  if (p.algorithm < 0) p.autotune = config().autotune;
  p.precision = config().precision;
  p.groups = c.groups;
  return p;
}

void contiguous_operands(ConvProblem& p, const Common& c, const View& weight) {
  const int64_t x[5] = {p.n, p.c, p.in[0], p.in[1], p.in[2]}, y[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  contiguous_strides(x, c.layout.channels_last, p.xs);
  contiguous_strides(weight.shape, false, p.ws);
  contiguous_strides(y, c.layout.channels_last, p.ys);
}

DType dtype_arg(PyObject* object) {
  for (DType t : {DType::f32, DType::f64, DType::f16, DType::bf16})
    if (is_string(object, dtype_text(t))) return t;
  value_error("dtype: expected 'float32', 'float64', 'float16' or 'bfloat16', got %R", object);
}

void activation_arg(PyObject* object, ConvProblem& p) {
  if (object == Py_None) return;
  PyObject *name = object, *parameter = nullptr;
  if (PyTuple_Check(object)) {
    if (PyTuple_GET_SIZE(object) != 2)
      value_error("activation: expected a name or a (name, parameter) pair, got %R", object);
    name = PyTuple_GET_ITEM(object, 0), parameter = PyTuple_GET_ITEM(object, 1);
  }
  if (!PyUnicode_Check(name))
    type_error("activation: expected None, a string or a (string, number) pair, got %R", object);
  const auto* found = std::find_if(std::begin(kActivations), std::end(kActivations),
                                   [&](const auto& a) { return is_string(name, a.name); });
  if (found == std::end(kActivations)) {
    std::string known;
    for (const auto& a : kActivations) known += std::string(known.empty() ? "'" : ", '") + a.name + "'";
    value_error("activation: expected None or one of %s, got %R", known.c_str(), name);
  }
  p.activation = found->value;
  const bool takes_parameter = found->value == Activation::leaky_relu;
  if (takes_parameter) p.activation_parameter = 0.01;
  if (!parameter) return;
  if (!takes_parameter) value_error("activation: %R takes no parameter, got %R", name, parameter);
  p.activation_parameter = number_arg(parameter, "activation");
  if (!std::isfinite(p.activation_parameter))
    value_error("activation: expected a finite parameter of %R, got %R", name, parameter);
}

Array bias_view(PyObject* object, const ConvProblem& p) {
  const Array b = array_arg(object, "bias", is_byte(p.dtype) ? set_of({DType::i32}) : kFloats);
  check_bias(b, p);
  return b;
}

void check_bias(const Array& b, const ConvProblem& p) {
  if (b.ndim != 1 || b.shape[0] != p.outputs())
    value_error("bias: expected shape (%lld,), got %s", Wide(p.outputs()), shape_text(b.ndim, b.shape).c_str());
}

Ref bias_arg(PyObject* object, ConvProblem& p) {
  if (object == Py_None) return Ref();
  const Array b = bias_view(object, p);
  same_dtype(b, "bias", p.result_dtype(), "input");
  Ref bias(reinterpret_cast<PyObject*>(PyArray_GETCONTIGUOUS(b.object)));
  if (!bias.get()) throw PythonError();
  p.has_bias = 1;
  return bias;
}

Result result_args(ConvProblem& p, const Layout& layout, const View& view, PyObject* out, PyObject* residual,
                   std::initializer_list<PyObject*> inputs) {
  const bool forward = p.direction == Direction::forward;
  // No channels give no channels, as in PyTorch.
  const int64_t channels = p.c == 0 ? 0 : p.outputs();
  const int64_t* size = forward ? p.out : p.in;
  const int64_t shape[5] = {p.n, channels, size[0], size[1], size[2]};
  int64_t* strides = forward ? p.ys : p.xs;
  Result r;
  r.out = out == Py_None ? new_array(p.result_dtype(), shape, layout, view.batched,
                                     !layout.channels_last && is_channels_last_memory(view))
                         : out_arg(out, p.result_dtype(), shape, layout, view.batched, inputs);
  strides_of(r.out.array(), layout, view.batched, strides);
  if (residual == Py_None) return r;
  r.residual = residual_arg(residual, p, shape, strides, r.out.array(), layout, view.batched);
  return r;
}

}  // namespace konv
