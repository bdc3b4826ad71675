#include "cuda/bindings/conv_args.h"

#include <algorithm>

#include "cuda/bindings/config.h"
#include "cuda/conv/conv.h"

namespace konv::cuda {

CallQueue conv_queue_arg(PyObject* object) {
  const CallQueue queue = queue_arg(object);
  set_problem_device(queue.device);
  return queue;
}

Operand bias_operand(PyObject* object, ConvProblem& p, const CallQueue& queue) {
  if (object == Py_None) return nullptr;
  const Operand b = operand_arg(object, "bias", queue);
  check_bias(array_of(b), p);
  same_dtype(array_of(b), "bias", p.dtype, "input");
  p.has_bias = 1;
  if (b->shape[0] == 1 || b->strides[0] == dtype_size(b->dtype)) return b;
  Operand copy = contiguous_operand(queue, b->dtype, 1, b->shape);
  copy_operand(queue, copy, b);
  return copy;
}

DeviceResult result_operand(ConvProblem& p, const Layout& layout, const View& view, PyObject* out, PyObject* residual,
                            const CallQueue& queue, const std::vector<Operand>& inputs,
                            std::initializer_list<PyObject*> objects) {
  const bool forward = p.direction == Direction::forward;
  const int64_t* size = forward ? p.out : p.in;
  const int64_t shape[5] = {p.n, p.c == 0 ? 0 : p.outputs(), size[0], size[1], size[2]};
  int64_t* strides = forward ? p.ys : p.xs;
  DeviceResult r;
  r.out = out == Py_None ? new_operand(queue, p.dtype, shape, layout, view.batched,
                                       !layout.channels_last && is_channels_last_memory(view))
                         : out_operand(out, queue, p.dtype, shape, layout, view.batched, inputs, objects);
  strides_of(r.out, layout, view.batched, strides);
  if (residual == Py_None) return r;
  // `out` of NumPy is a copy already.
  r.residual = residual == out ? r.out : operand_arg(residual, "residual", queue);
  const Operand& d = r.residual;
  same_dtype(array_of(d), "residual", p.dtype, "input");
  if (d->ndim != r.out->ndim || !std::equal(d->shape, d->shape + d->ndim, r.out->shape))
    value_error("residual: expected the result's shape %s, got %s", shape_text(r.out->ndim, r.out->shape).c_str(),
                shape_text(d->ndim, d->shape).c_str());
  p.has_residual = 1;
  int64_t given[5];
  strides_of(d, layout, view.batched, given);
  bool same = true;
  for (int i = 0; i < 5; i++) same = same && (shape[i] == 1 || given[i] == strides[i]);
  if (!(same && d->data == r.out->data) && share_memory(r.out, d))
    value_error("residual: expected `out` itself, or memory that `out` does not share");
  if (same) {
    r.residual_data = d->data;
    return r;
  }
  if (!is_empty(p)) find_plan(p);  // throws for an algorithm that cannot, while nothing has been written
  copy_operand(queue, r.out, d);
  r.residual_data = r.out->data;
  return r;
}

void run_conv_call(Queue queue, const ConvProblem& p, const ConvTensors& t) {
  ReleaseGil release(true);
  run_conv(queue, p, t);
}

}  // namespace konv::cuda
