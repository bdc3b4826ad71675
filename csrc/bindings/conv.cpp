#include "conv/conv.h"

#include <utility>

#include "bindings/conv.h"
#include "bindings/conv_args.h"
#include "bindings/conv_int.h"

namespace konv {

namespace {

// Sums of integers are exact, and nothing but a bias follows them.
PyObject* conv_of_bytes(int spatial, PyObject* const* a) {
  if (a[9] != Py_None) value_error("activation: convolutions of integers take none, got %R", a[9]);
  if (a[10] != Py_None) value_error("residual: convolutions of integers take none");
  for (const char* mode : {"reflect", "replicate", "circular"})
    if (is_string(a[7], mode)) value_error("padding_mode: convolutions of integers take 'zeros', got %R", a[7]);
  const Ref zero(PyLong_FromLong(0));
  PyObject* const args[] = {a[0], a[1], a[2], zero.get(), zero.get(), a[3],  a[4], a[5],
                            a[6], a[7], a[8], a[11],      a[12],      a[13], a[14]};
  return conv_int(spatial, args);
}

// input, weight, bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual, algorithm, out,
// threads, max_workspace; of transposed convolutions output_padding
PyObject* conv(int spatial, PyObject* const* a, bool transposed) {
  constexpr DTypeSet kBytes = set_of({DType::i8, DType::u8});
  const DTypeSet types = kFloats | (transposed ? 0 : kBytes | kComplex);
  const Array x = array_arg(a[0], "input", types);
  if (kBytes & set_of({x.dtype})) return conv_of_bytes(spatial, a);
  const Array w = array_arg(a[1], "weight", types & ~kBytes);
  Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[11], a[13], a[14]);
  if (transposed) set_transposed(c, a[15]);
  same_dtype(w, "weight", x.dtype, "input");
  const View xv = view_of(x, c.layout, "input"), wv = weight_view(w, spatial);
  ConvProblem p = problem_of(c, transposed ? Direction::input_gradient : Direction::forward, x.dtype);
  set_operands(p, c, xv, wv);
  geometry(p, c);
  const Ref bias = bias_arg(a[2], p);
  activation_arg(a[9], p);
  Result result = result_args(p, c.layout, xv, a[12], a[10], {a[0], a[1], a[2]});
  if (is_empty(p)) return result.out.release();
  ConvTensors t{x.data, w.data, PyArray_DATA(result.out.array()), nullptr, result.residual};
  if (p.has_bias) t.bias = PyArray_DATA(bias.array());
  if (transposed) std::swap(t.x, t.y);
  run_conv_call(p, t);
  return result.out.release();
}

template <int Spatial>
PyObject* conv(PyObject* const* a) {
  return conv(Spatial, a, false);
}
template <int Spatial>
PyObject* conv_transpose(PyObject* const* a) {
  return conv(Spatial, a, true);
}
}  // namespace

PyMethodDef conv_methods[] = {entry<15, conv<1>, "conv1d">(),
                              entry<15, conv<2>, "conv2d">(),
                              entry<15, conv<3>, "conv3d">(),
                              entry<16, conv_transpose<1>, "conv_transpose1d">(),
                              entry<16, conv_transpose<2>, "conv_transpose2d">(),
                              entry<16, conv_transpose<3>, "conv_transpose3d">(),
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
