#include "bindings/conv_args.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "conv/conv.h"
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

}  // namespace

Common common_args(int spatial, PyObject* stride, PyObject* padding, PyObject* dilation, PyObject* groups,
                   PyObject* padding_mode, PyObject* layout, PyObject* algorithm, PyObject* threads,
                   PyObject* max_workspace) {
  Common c;
  c.layout = layout_arg(layout, spatial);
  spatial_arg(stride, "stride", spatial, 1, c.stride);
  spatial_arg(dilation, "dilation", spatial, 1, c.dilation);
  c.groups = int_arg(groups, "groups", 1);
  c.padding = padding_arg(padding, spatial);
  if (!is_string(padding_mode, "zeros")) {
    if (!PyUnicode_Check(padding_mode))
      type_error("padding_mode: expected a string, got %s", Py_TYPE(padding_mode)->tp_name);
    value_error("padding_mode: this version supports 'zeros', got %R", padding_mode);
  }
  c.algorithm = algorithm_arg(algorithm);
  c.threads = threads_arg(threads);
  c.max_workspace = max_workspace_arg(max_workspace);
  return c;
}

void geometry(ConvProblem& p, const Common& c, const char* input_name) {
  std::copy_n(c.stride, 3, p.stride);
  std::copy_n(c.dilation, 3, p.dilation);
  int64_t after[3], extent[3];
  for (int i = 0; i < 3; i++) {
    if (p.kernel[i] < 1) value_error("weight: expected kernel sizes of at least 1, got %lld", (long long)p.kernel[i]);
    if (p.kernel[i] > INT32_MAX || p.in[i] > (int64_t(1) << 48))
      value_error("%s: a spatial size is too large", p.kernel[i] > INT32_MAX ? "weight" : input_name);
    extent[i] = p.dilation[i] * (p.kernel[i] - 1) + 1;
  }
  c.padding.resolve(p.in, extent, p.stride, p.pad, after);
  double elements = 1;
  for (int i = 0; i < 3; i++) {
    const int64_t room = p.in[i] + p.pad[i] + after[i] - extent[i];
    if (room < 0)
      value_error("weight: a kernel of %lld with dilation %lld spans %lld elements, but the padded input has %lld",
                  (long long)p.kernel[i], (long long)p.dilation[i], (long long)extent[i],
                  (long long)(p.in[i] + p.pad[i] + after[i]));
    p.out[i] = room / p.stride[i] + 1;
    elements *= double(p.out[i]);
  }
  if (elements * double(std::max<int64_t>(1, p.n)) * double(std::max<int64_t>(1, p.k)) > double(int64_t(1) << 58))
    value_error("padding: the output would have more than 2^58 elements");
}

void channels(ConvProblem& p, int64_t weight_channels, const char* input_name) {
  if (p.c < 1) value_error("%s: expected at least one channel", input_name);
  if (p.k < 1) value_error("weight: expected at least one output channel");
  if (p.k % p.groups)
    value_error("groups: %lld does not divide the %lld output channels of weight", (long long)p.groups, (long long)p.k);
  if (p.c % p.groups)
    value_error("groups: %lld does not divide the %lld channels of %s", (long long)p.groups, (long long)p.c,
                input_name);
  if (weight_channels != p.c / p.groups)
    value_error("weight: expected %lld input channels a group (%s has %lld channels in %lld groups), got %lld",
                (long long)(p.c / p.groups), input_name, (long long)p.c, (long long)p.groups,
                (long long)weight_channels);
}

View weight_view(const Array& w, int spatial) {
  if (w.ndim != spatial + 2)
    value_error("weight: expected %d dimensions (out, in / groups, kernel), got shape %s", spatial + 2,
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

void set_input(ConvProblem& p, const View& v) {
  p.n = v.shape[0], p.c = v.shape[1];
  std::copy_n(v.shape + 2, 3, p.in);
  std::copy_n(v.strides, 5, p.xs);
}
void set_kernel(ConvProblem& p, const View& v) {
  p.k = v.shape[0];
  std::copy_n(v.shape + 2, 3, p.kernel);
  std::copy_n(v.strides, 5, p.ws);
}

DType dtype_arg(PyObject* object) {
  if (is_string(object, "float32")) return DType::f32;
  if (!is_string(object, "float64")) value_error("dtype: expected 'float32' or 'float64', got %R", object);
  return DType::f64;
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
  if (PyBool_Check(parameter) || !(PyFloat_Check(parameter) || PyLong_Check(parameter)))
    type_error("activation: expected a number as the parameter of %R, got %R", name, parameter);
  p.activation_parameter = PyFloat_AsDouble(parameter);
  if (PyErr_Occurred()) throw PythonError();
  if (!std::isfinite(p.activation_parameter))
    value_error("activation: expected a finite parameter of %R, got %R", name, parameter);
}

Array bias_view(PyObject* object, const ConvProblem& p) {
  const Array b = array_arg(object, "bias", is_byte(p.dtype) ? set_of({DType::i32}) : kWideFloats);
  if (b.ndim != 1 || b.shape[0] != p.k)
    value_error("bias: expected shape (%lld,), got %s", (long long)p.k, shape_text(b.ndim, b.shape).c_str());
  return b;
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

namespace {

const void* residual_arg(PyObject* object, ConvProblem& p, PyArrayObject* y, const Layout& layout, bool batched) {
  const Array r = array_arg(object, "residual");
  if (r.ndim != PyArray_NDIM(y) || !std::equal(r.shape, r.shape + r.ndim, PyArray_DIMS(y)))
    value_error("residual: expected the result's shape %s, got %s",
                shape_text(PyArray_NDIM(y), PyArray_DIMS(y)).c_str(), shape_text(r.ndim, r.shape).c_str());
  p.has_residual = 1;
  int64_t strides[5];
  strides_of(r.object, layout, batched, strides);
  const int64_t shape[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  bool same = true;
  for (int i = 0; i < 5; i++) same = same && (shape[i] == 1 || strides[i] == p.ys[i]);
  const bool is_out = same && r.data == PyArray_DATA(y);
  if (!is_out && share_memory(y, object))
    value_error("residual: expected `out` itself, or memory that `out` does not share");
  if (same) return r.data;
  if (p.n > 0) find_plan(p);  // throws for an algorithm that cannot, while nothing has been written
  if (PyArray_CopyInto(y, r.object) < 0) throw PythonError();
  return PyArray_DATA(y);
}

}  // namespace

Result result_args(ConvProblem& p, const Layout& layout, const View& view, PyObject* out, PyObject* residual,
                   std::initializer_list<PyObject*> inputs) {
  const int64_t shape[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  Result r;
  r.out = out == Py_None ? new_array(p.result_dtype(), shape, layout, view.batched,
                                     !layout.channels_last && is_channels_last_memory(view))
                         : out_arg(out, p.result_dtype(), shape, layout, view.batched, inputs);
  strides_of(r.out.array(), layout, view.batched, p.ys);
  if (residual == Py_None) return r;
  same_dtype(array_arg(residual, "residual"), "residual", p.dtype, "input");
  r.residual = residual_arg(residual, p, r.out.array(), layout, view.batched);
  return r;
}

}  // namespace konv
