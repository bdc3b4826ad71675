// Gradients of convolutions, as bindings/conv_gradients.cpp has them.
#include <algorithm>
#include <utility>

#include "cuda/bindings/conv.h"
#include "cuda/bindings/conv_args.h"
#include "cuda/conv/conv.h"
#include "cuda/elementwise.h"

namespace konv::cuda {

namespace {

void check_result(ConvProblem& p, const Common& c, const Operand& dy, const View& yv, bool batched) {
  const int64_t y[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]}, x[5] = {p.n, p.c, p.in[0], p.in[1], p.in[2]};
  const int64_t* expected = c.transposed ? x : y;
  if (yv.batched != batched || !std::equal(expected, expected + 5, yv.shape))
    value_error("grad_output: expected shape %s, got %s", view_text(expected, c.layout, batched).c_str(),
                shape_text(dy->ndim, dy->shape).c_str());
  std::copy_n(yv.strides, 5, c.transposed ? p.xs : p.ys);
}

bool accumulate_arg(PyObject* object, PyObject* out) {
  const bool accumulate = bool_arg(object, "accumulate");
  if (accumulate && out == Py_None) value_error("accumulate: expected False where `out` is not given, got True");
  return accumulate;
}

// queue; input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out,
// threads, max_workspace, accumulate; of transposed convolutions output_padding
PyObject* input_gradient(int spatial, PyObject* const* args, bool transposed) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[11], a[12]);
  c.input_name = "input_size";
  if (transposed) set_transposed(c, a[14]);
  const Operand w = operand_arg(a[1], "weight", queue), dy = operand_arg(a[2], "grad_output", queue);
  same_dtype(array_of(w), "weight", dy->dtype, "grad_output");
  const View xv = size_arg(a[0], c.layout, "input_size"), wv = weight_view(array_of(w), spatial);
  const View yv = view_of(array_of(dy), c.layout, "grad_output");
  ConvProblem p = problem_of(c, transposed ? Direction::forward : Direction::input_gradient, dy->dtype);
  set_operands(p, c, xv, wv);
  geometry(p, c);
  check_result(p, c, dy, yv, xv.batched);
  const bool accumulate = accumulate_arg(a[13], a[10]);
  const DeviceResult result =
      result_operand(p, c.layout, yv, a[10], accumulate ? a[10] : Py_None, queue, {w, dy}, {a[1], a[2]});
  if (is_empty(p)) return wrap(result.out);
  ConvTensors t{result.out->data, w->data, dy->data, nullptr, result.residual_data};
  if (transposed) std::swap(t.x, t.y);
  run_conv_call(queue, p, t);
  return wrap(result.out);
}

// Gradients of single images, along a new first axis.
Operand sample_gradients(Queue queue, ConvProblem p, const View& wv, int spatial, const ConvTensors& t) {
  npy_intp dims[6] = {npy_intp(p.n), npy_intp(wv.shape[0]), npy_intp(wv.shape[1])};
  std::copy_n(wv.shape + 5 - spatial, spatial, dims + 3);
  Operand out = contiguous_operand(queue, p.dtype, spatial + 3, dims);
  contiguous_strides(wv.shape, false, p.ws);
  const int64_t images = p.n, item = dtype_size(p.dtype), size = wv.shape[0] * wv.shape[1] * p.taps();
  const auto at = [item](void* data, int64_t elements) { return static_cast<char*>(data) + elements * item; };
  if (is_empty(p)) return out;
  p.n = 1;
  for (int64_t n = 0; n < images; n++)
    run_conv_call(queue, p, {at(t.x, n * p.xs[0]), at(out->data, n * size), at(t.y, n * p.ys[0]), nullptr, nullptr});
  return out;
}

// to += from
void add_operand(Queue queue, const Operand& to, const Operand& from) {
  StridedCopy c{};
  c.item = int(dtype_size(to->dtype)), c.ndim = to->ndim;
  c.to = to->data, c.from = from->data;
  for (int i = 0; i < to->ndim; i++)
    c.shape[i] = to->shape[i], c.to_strides[i] = to->strides[i], c.from_strides[i] = from->strides[i];
  add_elements(queue, to->dtype, c);
}

// queue; input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out,
// threads, max_workspace, accumulate, per_sample; of transposed convolutions output_padding
PyObject* weight_gradient(int spatial, PyObject* const* args, bool transposed) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  Common c = common_args(spatial, a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[11], a[12]);
  c.weight_name = "weight_size";
  if (transposed) set_transposed(c, a[15]);
  const Operand x = operand_arg(a[0], "input", queue), dy = operand_arg(a[2], "grad_output", queue);
  same_dtype(array_of(dy), "grad_output", x->dtype, "input");
  if ((PyTuple_Check(a[1]) || PyList_Check(a[1])) && PySequence_Fast_GET_SIZE(a[1]) != spatial + 2)
    value_error("weight_size: expected %d sizes, got %R", spatial + 2, a[1]);
  const Layout weight_layout{spatial, false};
  const View xv = view_of(array_of(x), c.layout, "input"), wv = size_arg(a[1], weight_layout, "weight_size");
  const View yv = view_of(array_of(dy), c.layout, "grad_output");
  ConvProblem p = problem_of(c, Direction::weight_gradient, x->dtype);
  set_operands(p, c, xv, wv);
  geometry(p, c);
  check_result(p, c, dy, yv, xv.batched);
  const bool accumulate = accumulate_arg(a[13], a[10]), per_sample = bool_arg(a[14], "per_sample");
  ConvTensors t{x->data, nullptr, dy->data, nullptr, nullptr};
  if (transposed) std::swap(t.x, t.y);
  if (per_sample) {
    if (a[10] != Py_None) value_error("out: expected None where per_sample is True");
    return wrap(sample_gradients(queue, p, wv, spatial, t));
  }
  Operand given, out;
  if (a[10] != Py_None)
    given = out = out_operand(a[10], queue, p.dtype, wv.shape, weight_layout, true, {x, dy}, {a[0], a[2]});
  if (!given || accumulate) out = new_operand(queue, p.dtype, wv.shape, weight_layout, true, false);
  strides_of(out, weight_layout, true, p.ws);
  t.w = out->data;
  if (is_empty(p)) {
    const Operand zeros = contiguous_operand(queue, p.dtype, out->ndim, out->shape);
    fill_bytes(queue, zeros->data, 0, zeros->size() * dtype_size(p.dtype));
    copy_operand(queue, out, zeros);
  } else {
    run_conv_call(queue, p, t);
  }
  if (!accumulate) return wrap(out);
  add_operand(queue, given, out);
  return wrap(given);
}

// queue; grad_output, layout, out, threads
PyObject* conv_bias(PyObject* const* args) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  const Operand dy = operand_arg(a[0], "grad_output", queue);
  const int named = named_dimensions(a[1]);
  const Layout layout = layout_arg(a[1], named ? named : std::clamp(dy->ndim - 2, 1, 3));
  const View yv = view_of(array_of(dy), layout, "grad_output");
  if (yv.shape[1] < 1) value_error("grad_output: expected at least one channel");
  threads_arg(a[3]);
  npy_intp size = npy_intp(yv.shape[1]);
  Operand out;
  if (a[2] != Py_None) {
    const Operand given = operand_arg(a[2], "out", queue, set_of({dy->dtype}));
    if (given->ndim != 1 || given->shape[0] != size)
      value_error("out: expected shape (%lld,), got %s", Wide(size), shape_text(given->ndim, given->shape).c_str());
    const int64_t shape[5] = {1, size, 1, 1, 1};
    out = out_operand(a[2], queue, dy->dtype, shape, Layout{0, false}, false, {dy}, {a[0]});
  }
  const Operand sums = contiguous_operand(queue, dy->dtype, 1, &size);
  sum_channels(queue, dy->dtype, dy->data, yv.shape, yv.strides, sums->data);
  if (!out) return wrap(sums);
  copy_operand(queue, out, sums);
  return wrap(out);
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

PyMethodDef conv_gradient_methods[] = {device_entry<15, conv_input<1>>("conv1d_input"),
                                       device_entry<15, conv_input<2>>("conv2d_input"),
                                       device_entry<15, conv_input<3>>("conv3d_input"),
                                       device_entry<16, conv_weight<1>>("conv1d_weight"),
                                       device_entry<16, conv_weight<2>>("conv2d_weight"),
                                       device_entry<16, conv_weight<3>>("conv3d_weight"),
                                       device_entry<16, transposed_input<1>>("conv_transpose1d_input"),
                                       device_entry<16, transposed_input<2>>("conv_transpose2d_input"),
                                       device_entry<16, transposed_input<3>>("conv_transpose3d_input"),
                                       device_entry<17, transposed_weight<1>>("conv_transpose1d_weight"),
                                       device_entry<17, transposed_weight<2>>("conv_transpose2d_weight"),
                                       device_entry<17, transposed_weight<3>>("conv_transpose3d_weight"),
                                       device_entry<5, conv_bias>("conv_bias"),
                                       {nullptr, nullptr, 0, nullptr}};

}  // namespace konv::cuda
