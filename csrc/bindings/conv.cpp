#include "conv/conv.h"

#include <algorithm>

#include "bindings/conv.h"
#include "core/config.h"
#include "core/isa.h"

namespace konv {

namespace {

// What all directions take. The Python layer passes every argument by position, in the order of these indices.
struct Common {
  Layout layout;
  int64_t stride[3], dilation[3], groups;
  PyObject *padding, *padding_mode;
  int64_t algorithm, threads, max_workspace;
};

int64_t algorithm_arg(PyObject* object) {
  if (!PyUnicode_Check(object)) type_error("algorithm: expected a string, got %s", Py_TYPE(object)->tp_name);
  if (is_string(object, "auto")) return -1;
  const char* name = PyUnicode_AsUTF8(object);
  if (!name) throw PythonError();
  return algorithm_index(name);
}

Common common_args(int spatial, PyObject* stride, PyObject* padding, PyObject* dilation, PyObject* groups,
                   PyObject* padding_mode, PyObject* layout, PyObject* algorithm, PyObject* threads,
                   PyObject* max_workspace) {
  Common c;
  c.layout = layout_arg(layout, spatial);
  spatial_arg(stride, "stride", spatial, 1, c.stride);
  spatial_arg(dilation, "dilation", spatial, 1, c.dilation);
  c.groups = int_arg(groups, "groups", 1);
  c.padding = padding;
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

// Fills kernel-dependent members: sizes, padding, output.
void geometry(ConvProblem& p, const Common& c, const char* input_name) {
  const int spatial = c.layout.spatial;
  std::copy_n(c.stride, 3, p.stride);
  std::copy_n(c.dilation, 3, p.dilation);
  int64_t after[3], extent[3];
  for (int i = 0; i < 3; i++) {
    if (p.kernel[i] < 1) value_error("weight: expected kernel sizes of at least 1, got %lld", (long long)p.kernel[i]);
    if (p.kernel[i] > INT32_MAX || p.in[i] > (int64_t(1) << 48))
      value_error("%s: a spatial size is too large", p.kernel[i] > INT32_MAX ? "weight" : input_name);
    extent[i] = p.dilation[i] * (p.kernel[i] - 1) + 1;
  }
  padding_arg(c.padding, spatial, p.in, extent, p.stride, p.pad, after);
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

void run(const ConvProblem& p, const ConvTensors& t) {
  ReleaseGil release(p.flops() > 1e5);
  run_conv(p, t);
}

// input, weight, bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual, algorithm, out,
// threads, max_workspace
struct Forward {
  ConvProblem problem;
  Common common;
  Array x, w;
  View xv;
  Ref bias;
};

void forward_args(Forward& f, int spatial, PyObject* const* a) {
  f.x = array_arg(a[0], "input");
  f.w = array_arg(a[1], "weight");
  f.common = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[11], a[13], a[14]);
  same_dtype(f.w, "weight", f.x, "input");
  f.xv = view_of(f.x, f.common.layout, "input");
  const View wv = weight_view(f.w, spatial);
  f.problem = problem_of(f.common, Direction::forward, f.x.dtype);
  set_input(f.problem, f.xv);
  set_kernel(f.problem, wv);
  channels(f.problem, wv.shape[1], "input");
  geometry(f.problem, f.common, "input");
  if (a[2] != Py_None) {
    const Array b = array_arg(a[2], "bias");
    same_dtype(b, "bias", f.x, "input");
    if (b.ndim != 1 || b.shape[0] != f.problem.k)
      value_error("bias: expected shape (%lld,), got %s", (long long)f.problem.k, shape_text(b.ndim, b.shape).c_str());
    f.bias = Ref(reinterpret_cast<PyObject*>(PyArray_GETCONTIGUOUS(b.object)));
    if (!f.bias.get()) throw PythonError();
    f.problem.has_bias = 1;
  }
  if (a[9] != Py_None) {
    if (!PyUnicode_Check(a[9]) && !PyTuple_Check(a[9]))
      type_error("activation: expected a string or None, got %s", Py_TYPE(a[9])->tp_name);
    if (!is_string(a[9], "relu")) value_error("activation: this version fuses 'relu' or None, got %R", a[9]);
    f.problem.relu = 1;
  }
  if (a[10] != Py_None) value_error("residual: not supported in this version; expected None");
}

PyObject* conv(int spatial, PyObject* const* a) {
  Forward f;
  forward_args(f, spatial, a);
  ConvProblem& p = f.problem;
  const int64_t shape[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  const int type = type_number(p.dtype);
  Ref out = a[12] == Py_None ? new_array(type, shape, f.common.layout, f.xv.batched,
                                         !f.common.layout.channels_last && is_channels_last_memory(f.xv))
                             : out_arg(a[12], type, shape, f.common.layout, f.xv.batched, {a[0], a[1], a[2]});
  if (p.n == 0) return out.release();
  strides_of(out.array(), f.common.layout, f.xv.batched, p.ys);
  run(p, {f.x.data, f.w.data, PyArray_DATA(out.array()), p.has_bias ? PyArray_DATA(f.bias.array()) : nullptr});
  return out.release();
}

// input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads,
// max_workspace
PyObject* conv_input(int spatial, PyObject* const* a) {
  const Array w = array_arg(a[1], "weight"), dy = array_arg(a[2], "grad_output");
  const Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[11], a[12]);
  same_dtype(w, "weight", dy, "grad_output");
  const View xv = size_arg(a[0], c.layout, "input_size"), wv = weight_view(w, spatial);
  const View yv = view_of(dy, c.layout, "grad_output");
  ConvProblem p = problem_of(c, Direction::input_gradient, dy.dtype);
  set_input(p, xv);
  set_kernel(p, wv);
  channels(p, wv.shape[1], "input_size");
  geometry(p, c, "input_size");
  const int64_t expected[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  if (yv.batched != xv.batched || !std::equal(expected, expected + 5, yv.shape))
    value_error("grad_output: expected shape %s, got %s", view_text(expected, c.layout, xv.batched).c_str(),
                shape_text(dy.ndim, dy.shape).c_str());
  std::copy_n(yv.strides, 5, p.ys);
  const int type = type_number(p.dtype);
  Ref out = a[10] == Py_None ? new_array(type, xv.shape, c.layout, xv.batched,
                                         !c.layout.channels_last && is_channels_last_memory(yv))
                             : out_arg(a[10], type, xv.shape, c.layout, xv.batched, {a[1], a[2]});
  if (PyArray_SIZE(out.array()) == 0) return out.release();
  strides_of(out.array(), c.layout, xv.batched, p.xs);
  run(p, {PyArray_DATA(out.array()), w.data, dy.data, nullptr});
  return out.release();
}

// input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads,
// max_workspace
PyObject* conv_weight(int spatial, PyObject* const* a) {
  const Array x = array_arg(a[0], "input"), dy = array_arg(a[2], "grad_output");
  const Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[11], a[12]);
  same_dtype(dy, "grad_output", x, "input");
  const Layout weight_layout{spatial, false};
  if ((PyTuple_Check(a[1]) || PyList_Check(a[1])) && PySequence_Fast_GET_SIZE(a[1]) != spatial + 2)
    value_error("weight_size: expected %d sizes, got %R", spatial + 2, a[1]);
  const View xv = view_of(x, c.layout, "input"), wv = size_arg(a[1], weight_layout, "weight_size");
  const View yv = view_of(dy, c.layout, "grad_output");
  ConvProblem p = problem_of(c, Direction::weight_gradient, x.dtype);
  set_input(p, xv);
  set_kernel(p, wv);
  channels(p, wv.shape[1], "input");
  geometry(p, c, "input");
  const int64_t expected[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  if (yv.batched != xv.batched || !std::equal(expected, expected + 5, yv.shape))
    value_error("grad_output: expected shape %s, got %s", view_text(expected, c.layout, xv.batched).c_str(),
                shape_text(dy.ndim, dy.shape).c_str());
  std::copy_n(yv.strides, 5, p.ys);
  const int type = type_number(p.dtype);
  Ref out = a[10] == Py_None ? new_array(type, wv.shape, weight_layout, true, false)
                             : out_arg(a[10], type, wv.shape, weight_layout, true, {a[0], a[2]});
  if (p.n == 0) {
    Ref zero(PyLong_FromLong(0));
    if (PyArray_CopyObject(out.array(), zero.get()) < 0) throw PythonError();
    return out.release();
  }
  strides_of(out.array(), weight_layout, true, p.ws);
  run(p, {x.data, PyArray_DATA(out.array()), dy.data, nullptr});
  return out.release();
}

// grad_output, layout, out, threads; the number of spatial dimensions comes from the layout or the rank
PyObject* conv_bias(PyObject* const* a) {
  const Array dy = array_arg(a[0], "grad_output");
  int spatial = std::clamp(dy.ndim - 2, 1, 3);
  if (PyUnicode_Check(a[1])) spatial = std::clamp(int(PyUnicode_GET_LENGTH(a[1])) - 2, 1, 3);
  const Layout layout = layout_arg(a[1], spatial);
  const View yv = view_of(dy, layout, "grad_output");
  if (yv.shape[1] < 1) value_error("grad_output: expected at least one channel");
  const int64_t threads = threads_arg(a[3]);
  const int type = type_number(dy.dtype);
  npy_intp size = npy_intp(yv.shape[1]);
  if (a[2] != Py_None) {
    const Array given = array_arg(a[2], "out");
    same_dtype(given, "out", dy, "grad_output");
    if (given.ndim != 1 || given.shape[0] != size)
      value_error("out: expected shape (%lld,), got %s", (long long)size, shape_text(given.ndim, given.shape).c_str());
    if (!PyArray_ISWRITEABLE(given.object)) value_error("out: expected a writable array");
  }
  Ref sums(PyArray_SimpleNew(1, &size, type));
  if (!sums.get()) throw PythonError();
  {
    ReleaseGil release(PyArray_SIZE(dy.object) > 50000);
    bias_gradient(dy.dtype, config().isa, int(threads), dy.data, yv.shape[0], yv.shape[1], yv.shape + 2, yv.strides,
                  PyArray_DATA(sums.array()));
  }
  if (a[2] == Py_None) return sums.release();
  if (PyArray_CopyInto(reinterpret_cast<PyArrayObject*>(a[2]), sums.array()) < 0) throw PythonError();
  Py_INCREF(a[2]);
  return a[2];
}

// The arguments of conv, with shapes as tuples for input and weight, then the dtype's name.
PyObject* explain(PyObject* const* a) {
  const Common c = common_args(2, a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10]);
  const View xv = size_arg(a[0], c.layout, "input_shape"), wv = size_arg(a[1], Layout{2, false}, "weight_shape");
  const bool single = is_string(a[11], "float32");
  if (!single && !is_string(a[11], "float64")) value_error("dtype: expected 'float32' or 'float64', got %R", a[11]);
  Direction direction = Direction::forward;
  if (is_string(a[12], "input"))
    direction = Direction::input_gradient;
  else if (is_string(a[12], "weight"))
    direction = Direction::weight_gradient;
  ConvProblem p = problem_of(c, direction, single ? DType::f32 : DType::f64);
  set_input(p, xv);
  set_kernel(p, wv);
  channels(p, wv.shape[1], "input_shape");
  geometry(p, c, "input_shape");
  const auto contiguous = [](const int64_t shape[5], bool channels_last, int64_t strides[5]) {
    const int first[] = {4, 3, 2, 1, 0}, last[] = {1, 4, 3, 2, 0};
    int64_t step = 1;
    for (int i : channels_last ? last : first) strides[i] = step, step *= std::max<int64_t>(1, shape[i]);
  };
  const int64_t out[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  contiguous(xv.shape, c.layout.channels_last, p.xs);
  contiguous(wv.shape, false, p.ws);
  contiguous(out, c.layout.channels_last, p.ys);
  Ref list(PyList_New(0));
  if (!list.get()) throw PythonError();
  for (const Explanation& e : explain_conv(p)) {
    Ref row(Py_BuildValue("(ssdO)", e.name.c_str(), e.reason.c_str(), e.cost, e.chosen ? Py_True : Py_False));
    if (!row.get() || PyList_Append(list.get(), row.get()) < 0) throw PythonError();
  }
  return Py_BuildValue("(Ods)", list.get(), p.flops(), isa_name(Isa(p.isa)));
}

PyObject* conv2d(PyObject* const* a) { return conv(2, a); }
PyObject* conv2d_input(PyObject* const* a) { return conv_input(2, a); }
PyObject* conv2d_weight(PyObject* const* a) { return conv_weight(2, a); }

}  // namespace

PyMethodDef conv_methods[] = {entry<15, conv2d>("conv2d"),
                              entry<13, conv2d_input>("conv2d_input"),
                              entry<13, conv2d_weight>("conv2d_weight"),
                              entry<4, conv_bias>("conv_bias"),
                              entry<13, explain>("explain_conv2d"),
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
