#include "cuda/bindings/conv.h"

#include <utility>

#include "cuda/bindings/conv_args.h"

namespace konv::cuda {

namespace {

// queue, and then what the function of the same name of konv._core takes: input, weight, bias, stride, padding,
// dilation, groups, padding_mode, layout, activation, residual, algorithm, out, threads, max_workspace; of transposed
// convolutions output_padding
PyObject* conv(int spatial, PyObject* const* args, bool transposed) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[11], a[13], a[14]);
  if (transposed) set_transposed(c, a[15]);
  const Operand x = operand_arg(a[0], "input", queue), w = operand_arg(a[1], "weight", queue);
  same_dtype(array_of(w), "weight", x->dtype, "input");
  const View xv = view_of(array_of(x), c.layout, "input"), wv = weight_view(array_of(w), spatial);
  ConvProblem p = problem_of(c, transposed ? Direction::input_gradient : Direction::forward, x->dtype);
  set_operands(p, c, xv, wv);
  geometry(p, c);
  const Operand bias = bias_operand(a[2], p, queue);
  activation_arg(a[9], p);
  const DeviceResult result = result_operand(p, c.layout, xv, a[12], a[10], queue, {x, w, bias}, {a[0], a[1], a[2]});
  if (is_empty(p)) return wrap(result.out);
  ConvTensors t{x->data, w->data, result.out->data, bias ? bias->data : nullptr, result.residual_data};
  if (transposed) std::swap(t.x, t.y);
  run_conv_call(queue, p, t);
  return wrap(result.out);
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

PyMethodDef conv_methods[] = {device_entry<16, conv<1>>("conv1d"),
                              device_entry<16, conv<2>>("conv2d"),
                              device_entry<16, conv<3>>("conv3d"),
                              device_entry<17, conv_transpose<1>>("conv_transpose1d"),
                              device_entry<17, conv_transpose<2>>("conv_transpose2d"),
                              device_entry<17, conv_transpose<3>>("conv_transpose3d"),
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace konv::cuda
