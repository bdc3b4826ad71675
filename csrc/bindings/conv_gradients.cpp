// Gradients of convolutions. That of a transposed convolution with respect to its input is a convolution, and that with
// respect to its weights the one of a convolution whose input and output change places.
#include <algorithm>
#include <utility>

#include "bindings/conv.h"
#include "bindings/conv_args.h"
#include "conv/adapt.h"
#include "conv/conv.h"
#include "core/config.h"

namespace konv {

namespace {

// grad_output has the shape of the convolution's result; its strides become the problem's.
void check_result(ConvProblem& p, const Common& c, const Array& dy, const View& yv, bool batched) {
  const int64_t y[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]}, x[5] = {p.n, p.c, p.in[0], p.in[1], p.in[2]};
  const int64_t* expected = c.transposed ? x : y;
  if (yv.batched != batched || !std::equal(expected, expected + 5, yv.shape))
    value_error("grad_output: expected shape %s, got %s", view_text(expected, c.layout, batched).c_str(),
                shape_text(dy.ndim, dy.shape).c_str());
  std::copy_n(yv.strides, 5, c.transposed ? p.xs : p.ys);
}

// Whether to add to `out`.
bool accumulate_arg(PyObject* object, PyObject* out) {
  const bool accumulate = bool_arg(object, "accumulate");
  if (accumulate && out == Py_None) value_error("accumulate: expected False where `out` is not given, got True");
  return accumulate;
}

void fill_zero(const Ref& array) {
  Ref zero(PyLong_FromLong(0));
  if (!zero.get() || PyArray_CopyObject(array.array(), zero.get()) < 0) throw PythonError();
}

// input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads,
// max_workspace, accumulate; of transposed convolutions output_padding
PyObject* input_gradient(int spatial, PyObject* const* a, bool transposed) {
  const Array w = array_arg(a[1], "weight", kFloats), dy = array_arg(a[2], "grad_output", kFloats);
  Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[11], a[12]);
  c.input_name = "input_size";
  if (transposed) set_transposed(c, a[14]);
  same_dtype(w, "weight", dy.dtype, "grad_output");
  const View xv = size_arg(a[0], c.layout, "input_size"), wv = weight_view(w, spatial);
  const View yv = view_of(dy, c.layout, "grad_output");
  ConvProblem p = problem_of(c, transposed ? Direction::forward : Direction::input_gradient, dy.dtype);
  set_operands(p, c, xv, wv);
  geometry(p, c);
  check_result(p, c, dy, yv, xv.batched);
  const bool accumulate = accumulate_arg(a[13], a[10]);
  Result result = result_args(p, c.layout, yv, a[10], accumulate ? a[10] : Py_None, {a[1], a[2]});
  if (is_empty(p)) return result.out.release();
  ConvTensors t{PyArray_DATA(result.out.array()), w.data, dy.data, nullptr, result.residual};
  if (transposed) std::swap(t.x, t.y);
  run_conv_call(p, t);
  return result.out.release();
}

// Gradients of single images, along a new first axis.
Ref sample_gradients(ConvProblem p, const View& wv, int spatial, const ConvTensors& t) {
  npy_intp dims[6] = {npy_intp(p.n), npy_intp(wv.shape[0]), npy_intp(wv.shape[1])};
  std::copy_n(wv.shape + 5 - spatial, spatial, dims + 3);
  Ref out = contiguous_array(spatial + 3, dims, p.dtype);
  contiguous_strides(wv.shape, false, p.ws);
  const int64_t images = p.n, item = dtype_size(p.dtype), size = wv.shape[0] * wv.shape[1] * p.taps();
  const auto at = [item](void* data, int64_t elements) { return static_cast<char*>(data) + elements * item; };
  if (is_empty(p)) return out;
  p.n = 1;
  for (int64_t n = 0; n < images; n++)
    run_conv_call(
        p, {at(t.x, n * p.xs[0]), at(PyArray_DATA(out.array()), n * size), at(t.y, n * p.ys[0]), nullptr, nullptr});
  return out;
}

// input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads,
// max_workspace, accumulate, per_sample; of transposed convolutions output_padding
PyObject* weight_gradient(int spatial, PyObject* const* a, bool transposed) {
  const Array x = array_arg(a[0], "input", kFloats), dy = array_arg(a[2], "grad_output", kFloats);
  Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[11], a[12]);
  c.weight_name = "weight_size";
  if (transposed) set_transposed(c, a[15]);
  same_dtype(dy, "grad_output", x.dtype, "input");
  if ((PyTuple_Check(a[1]) || PyList_Check(a[1])) && PySequence_Fast_GET_SIZE(a[1]) != spatial + 2)
    value_error("weight_size: expected %d sizes, got %R", spatial + 2, a[1]);
  const Layout weight_layout{spatial, false};
  const View xv = view_of(x, c.layout, "input"), wv = size_arg(a[1], weight_layout, "weight_size");
  const View yv = view_of(dy, c.layout, "grad_output");
  ConvProblem p = problem_of(c, Direction::weight_gradient, x.dtype);
  set_operands(p, c, xv, wv);
  geometry(p, c);
  check_result(p, c, dy, yv, xv.batched);
  const bool accumulate = accumulate_arg(a[13], a[10]), per_sample = bool_arg(a[14], "per_sample");
  ConvTensors t{x.data, nullptr, dy.data, nullptr, nullptr};
  if (transposed) std::swap(t.x, t.y);
  if (per_sample) {
    if (a[10] != Py_None) value_error("out: expected None where per_sample is True");
    return sample_gradients(p, wv, spatial, t).release();
  }
  Ref out;
  if (a[10] != Py_None) out = out_arg(a[10], p.dtype, wv.shape, weight_layout, true, {a[0], a[2]});
  if (a[10] == Py_None || accumulate) out = new_array(p.dtype, wv.shape, weight_layout, true, false);
  strides_of(out.array(), weight_layout, true, p.ws);
  t.w = PyArray_DATA(out.array());
  if (is_empty(p))
    fill_zero(out);
  else
    run_conv_call(p, t);
  return accumulate ? PyNumber_InPlaceAdd(a[10], out.get()) : out.release();
}

// grad_output, layout, out, threads; the number of spatial dimensions comes from the layout or the rank
PyObject* conv_bias(PyObject* const* a) {
  const Array dy = array_arg(a[0], "grad_output", kFloats);
  const int named = named_dimensions(a[1]);
  const Layout layout = layout_arg(a[1], named ? named : std::clamp(dy.ndim - 2, 1, 3));
  const View yv = view_of(dy, layout, "grad_output");
  if (yv.shape[1] < 1) value_error("grad_output: expected at least one channel");
  const int threads = int(threads_arg(a[3]));
  npy_intp size = npy_intp(yv.shape[1]);
  if (a[2] != Py_None) {
    const Array given = array_arg(a[2], "out", set_of({dy.dtype}));
    if (given.ndim != 1 || given.shape[0] != size)
      value_error("out: expected shape (%lld,), got %s", Wide(size), shape_text(given.ndim, given.shape).c_str());
    check_out_memory(given, {a[0]});
  }
  Ref sums(PyArray_SimpleNew(1, &size, type_number(dy.dtype)));
  if (!sums.get()) throw PythonError();
  {
    ReleaseGil release(PyArray_SIZE(dy.object) > 50000);
    void* bias = PyArray_DATA(sums.array());
    if (kWideFloats & set_of({dy.dtype}))
      bias_gradient(dy.dtype, config().isa, threads, dy.data, yv.shape[0], yv.shape[1], yv.shape + 2, yv.strides, bias);
    else
      bias_gradient_of_halves(dy.dtype, config().isa, threads, static_cast<const uint16_t*>(dy.data), yv.shape[0],
                              yv.shape[1], yv.shape + 2, yv.strides, static_cast<uint16_t*>(bias));
  }
  if (a[2] == Py_None) return sums.release();
  if (PyArray_CopyInto(reinterpret_cast<PyArrayObject*>(a[2]), sums.array()) < 0) throw PythonError();
  return Py_NewRef(a[2]);
}

template <int Spatial>
PyObject* conv_input(PyObject* const* a) {
  return input_gradient(Spatial, a, false);
}
template <int Spatial>
PyObject* conv_weight(PyObject* const* a) {
  return weight_gradient(Spatial, a, false);
}
template <int Spatial>
PyObject* transposed_input(PyObject* const* a) {
  return input_gradient(Spatial, a, true);
}
template <int Spatial>
PyObject* transposed_weight(PyObject* const* a) {
  return weight_gradient(Spatial, a, true);
}

}  // namespace

PyMethodDef conv_gradient_methods[] = {entry<14, conv_input<1>, "conv1d_input">(),
                                       entry<14, conv_input<2>, "conv2d_input">(),
                                       entry<14, conv_input<3>, "conv3d_input">(),
                                       entry<15, conv_weight<1>, "conv1d_weight">(),
                                       entry<15, conv_weight<2>, "conv2d_weight">(),
                                       entry<15, conv_weight<3>, "conv3d_weight">(),
                                       entry<15, transposed_input<1>, "conv_transpose1d_input">(),
                                       entry<15, transposed_input<2>, "conv_transpose2d_input">(),
                                       entry<15, transposed_input<3>, "conv_transpose3d_input">(),
                                       entry<16, transposed_weight<1>, "conv_transpose1d_weight">(),
                                       entry<16, transposed_weight<2>, "conv_transpose2d_weight">(),
                                       entry<16, transposed_weight<3>, "conv_transpose3d_weight">(),
                                       entry<4, conv_bias, "conv_bias">(),
                                       {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
