#include "conv/conv.h"

#include <algorithm>

#include "bindings/conv.h"
#include "bindings/conv_args.h"
#include "core/config.h"
#include "core/isa.h"

namespace konv {

namespace {

void run(const ConvProblem& p, const ConvTensors& t) {
  ReleaseGil release(p.flops() > kTinyFlops);
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
  same_dtype(f.w, "weight", f.x.dtype, "input");
  f.xv = view_of(f.x, f.common.layout, "input");
  const View wv = weight_view(f.w, spatial);
  f.problem = problem_of(f.common, Direction::forward, f.x.dtype);
  set_input(f.problem, f.xv);
  set_kernel(f.problem, wv);
  channels(f.problem, wv.shape[1], "input");
  geometry(f.problem, f.common, "input");
  f.bias = bias_arg(a[2], f.problem);
  activation_arg(a[9], f.problem);
}

PyObject* conv(int spatial, PyObject* const* a) {
  Forward f;
  forward_args(f, spatial, a);
  ConvProblem& p = f.problem;
  Result result = result_args(p, f.common.layout, f.xv, a[12], a[10], {a[0], a[1], a[2]});
  const void* bias = p.has_bias ? PyArray_DATA(f.bias.array()) : nullptr;
  if (p.n > 0) run(p, {f.x.data, f.w.data, PyArray_DATA(result.out.array()), bias, result.residual});
  return result.out.release();
}

// input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads,
// max_workspace
PyObject* conv_input(int spatial, PyObject* const* a) {
  const Array w = array_arg(a[1], "weight"), dy = array_arg(a[2], "grad_output");
  const Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[11], a[12]);
  same_dtype(w, "weight", dy.dtype, "grad_output");
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
  Ref out = a[10] == Py_None ? new_array(p.dtype, xv.shape, c.layout, xv.batched,
                                         !c.layout.channels_last && is_channels_last_memory(yv))
                             : out_arg(a[10], p.dtype, xv.shape, c.layout, xv.batched, {a[1], a[2]});
  if (PyArray_SIZE(out.array()) == 0) return out.release();
  strides_of(out.array(), c.layout, xv.batched, p.xs);
  run(p, {PyArray_DATA(out.array()), w.data, dy.data, nullptr, nullptr});
  return out.release();
}

// input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads,
// max_workspace
PyObject* conv_weight(int spatial, PyObject* const* a) {
  const Array x = array_arg(a[0], "input"), dy = array_arg(a[2], "grad_output");
  const Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[11], a[12]);
  same_dtype(dy, "grad_output", x.dtype, "input");
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
  Ref out = a[10] == Py_None ? new_array(p.dtype, wv.shape, weight_layout, true, false)
                             : out_arg(a[10], p.dtype, wv.shape, weight_layout, true, {a[0], a[2]});
  if (p.n == 0) {
    Ref zero(PyLong_FromLong(0));
    if (PyArray_CopyObject(out.array(), zero.get()) < 0) throw PythonError();
    return out.release();
  }
  strides_of(out.array(), weight_layout, true, p.ws);
  run(p, {x.data, PyArray_DATA(out.array()), dy.data, nullptr, nullptr});
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
    same_dtype(given, "out", dy.dtype, "grad_output");
    if (given.ndim != 1 || given.shape[0] != size)
      value_error("out: expected shape (%lld,), got %s", (long long)size, shape_text(given.ndim, given.shape).c_str());
    check_out_memory(given, {a[0]});
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

// input_shape, weight_shape, stride, padding, dilation, groups, padding_mode, layout, algorithm, threads,
// max_workspace, dtype, direction, plan
PyObject* explain(PyObject* const* a) {
  const Common c = common_args(2, a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10]);
  const View xv = size_arg(a[0], c.layout, "input_shape"), wv = size_arg(a[1], Layout{2, false}, "weight_shape");
  Direction direction = Direction::forward;
  if (is_string(a[12], "input"))
    direction = Direction::input_gradient;
  else if (is_string(a[12], "weight"))
    direction = Direction::weight_gradient;
  ConvProblem p = problem_of(c, direction, dtype_arg(a[11]));
  p.weights_ready = bool_arg(a[13], "plan");
  set_input(p, xv);
  set_kernel(p, wv);
  channels(p, wv.shape[1], "input_shape");
  geometry(p, c, "input_shape");
  const int64_t out[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  contiguous_strides(xv.shape, c.layout.channels_last, p.xs);
  contiguous_strides(wv.shape, false, p.ws);
  contiguous_strides(out, c.layout.channels_last, p.ys);
  Ref list(PyList_New(0));
  if (!list.get()) throw PythonError();
  for (const Explanation& e : explain_conv(p)) {
    Ref row(
        Py_BuildValue("(ssddO)", e.name.c_str(), e.reason.c_str(), e.cost, e.seconds, e.chosen ? Py_True : Py_False));
    if (!row.get() || PyList_Append(list.get(), row.get()) < 0) throw PythonError();
  }
  return Py_BuildValue("(Ods)", list.get(), p.flops(), isa_name(Isa(p.isa)));
}

PyObject* conv2d(PyObject* const* a) { return conv(2, a); }
PyObject* conv2d_input(PyObject* const* a) { return conv_input(2, a); }
PyObject* conv2d_weight(PyObject* const* a) { return conv_weight(2, a); }

}  // namespace

PyMethodDef conv_methods[] = {entry<15, conv2d, "conv2d">(),
                              entry<13, conv2d_input, "conv2d_input">(),
                              entry<13, conv2d_weight, "conv2d_weight">(),
                              entry<4, conv_bias, "conv_bias">(),
                              entry<14, explain, "explain_conv2d">(),
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
