// Gradients of pooling, as bindings/pool_gradient.cpp has them, behind a queue.
#include <algorithm>

#include "cuda/bindings/pool.h"
#include "cuda/pool/pool.h"

namespace konv::cuda {

namespace {

void check_same_images(const View& size, const View& array, const Operand& of, const char* name, PyObject* given) {
  if (size.batched != array.batched || size.shape[0] != array.shape[0] || size.shape[1] != array.shape[1])
    value_error("input_size: expected the batch and channels of %s, whose shape is %s, got %R", name,
                shape_text(of->ndim, of->shape).c_str(), given);
}

// queue; grad_output, indices, input_size, layout, out, threads
template <int Spatial>
PyObject* max_pool_gradient_of(PyObject* const* args) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  const Operand dy = operand_arg(a[0], "grad_output", queue);
  const Layout layout = layout_arg(a[3], Spatial);
  const View yv = view_of(array_of(dy), layout, "grad_output"), xv = size_arg(a[2], layout, "input_size");
  PoolProblem p = pool_problem_of(dy->dtype, a[5], nullptr);
  check_same_images(xv, yv, dy, "grad_output", a[2]);
  set_input(p, xv, "input_size");
  set_windows_of(p, yv);
  const Operand index = index_operand(a[1], p, layout, yv.batched, "a plane of input_size", queue);
  const Operand out = pool_operand(a[4], queue, p.dtype, xv.shape, layout, yv, {dy, index}, {a[0], a[1]});
  strides_of(out, layout, xv.batched, p.xs);
  if (p.n > 0) {
    ReleaseGil release(true);
    max_pool_gradient(queue, p, dy->data, static_cast<const int64_t*>(index->data), out->data);
  }
  return wrap(out);
}

PyObject* spread(const CallQueue& queue, PoolProblem& p, const Operand& dy, const View& yv, const View& xv,
                 const Layout& layout, PyObject* out_arg, PyObject* object) {
  check_shape(array_of(dy), yv, windows_shape(p), xv.batched, layout, "grad_output");
  set_windows_of(p, yv);
  const Operand out = pool_operand(out_arg, queue, p.dtype, xv.shape, layout, yv, {dy}, {object});
  strides_of(out, layout, xv.batched, p.xs);
  if (p.n > 0) {
    ReleaseGil release(true);
    avg_pool_gradient(queue, p, dy->data, out->data);
  }
  return wrap(out);
}

// queue; grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
// convention, layout, out, threads
template <int Spatial>
PyObject* avg_pool_gradient_of(PyObject* const* args) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  const Operand dy = operand_arg(a[0], "grad_output", queue);
  const Layout layout = layout_arg(a[9], Spatial);
  const View yv = view_of(array_of(dy), layout, "grad_output"), xv = size_arg(a[1], layout, "input_size");
  PoolProblem p = pool_problem_of(dy->dtype, a[11], nullptr);
  const PoolConvention convention = pool_convention_arg(a[8]);
  set_input(p, xv, "input_size");
  set_windows(p, Spatial, a[2], a[3], a[4], a[5], convention);
  set_divisor(p, a[6], a[7], convention);
  return spread(queue, p, dy, yv, xv, layout, a[10], a[0]);
}

// queue; grad_output, input_size, layout, out, threads
template <int Spatial>
PyObject* adaptive_avg_pool_gradient_of(PyObject* const* args) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  const Operand dy = operand_arg(a[0], "grad_output", queue);
  const Layout layout = layout_arg(a[2], Spatial);
  const View yv = view_of(array_of(dy), layout, "grad_output"), xv = size_arg(a[1], layout, "input_size");
  PoolProblem p = pool_problem_of(dy->dtype, a[4], nullptr);
  check_same_images(xv, yv, dy, "grad_output", a[1]);
  set_input(p, xv, "input_size");
  set_parts(p, yv.shape + 2);
  return spread(queue, p, dy, yv, xv, layout, a[3], a[0]);
}

// queue; grad_output, input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads
template <int Spatial>
PyObject* lp_pool_gradient_of(PyObject* const* args) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  const Operand dy = operand_arg(a[0], "grad_output", queue), x = operand_arg(a[1], "input", queue);
  same_dtype(array_of(x), "input", dy->dtype, "grad_output");
  const Layout layout = layout_arg(a[6], Spatial);
  const View yv = view_of(array_of(dy), layout, "grad_output"), xv = view_of(array_of(x), layout, "input");
  PoolProblem p = pool_problem_of(dy->dtype, a[8], nullptr);
  set_input(p, xv, "input");
  set_power(p, a[2]);
  set_windows(p, Spatial, a[3], a[4], nullptr, a[5], PoolConvention::torch);
  check_shape(array_of(dy), yv, windows_shape(p), xv.batched, layout, "grad_output");
  set_windows_of(p, yv);
  const Operand out = pool_operand(a[7], queue, p.dtype, xv.shape, layout, xv, {dy, x}, {a[0], a[1]});
  strides_of(out, layout, xv.batched, p.xs);
  if (p.n > 0) {
    ReleaseGil release(true);
    lp_pool_gradient(queue, p, dy->data, x->data, xv.strides, out->data);
  }
  return wrap(out);
}

// queue; grad_output, indices, input_size, layout, out, threads
template <int Spatial>
PyObject* max_unpool_gradient_of(PyObject* const* args) {
  const CallQueue queue = conv_queue_arg(args[0]);
  PyObject* const* a = args + 1;
  const Operand dx = operand_arg(a[0], "grad_output", queue);
  const Layout layout = layout_arg(a[3], Spatial);
  const View xv = view_of(array_of(dx), layout, "grad_output"), yv = size_arg(a[2], layout, "input_size");
  PoolProblem p = pool_problem_of(dx->dtype, a[5], nullptr);
  check_same_images(yv, xv, dx, "grad_output", a[2]);
  set_input(p, yv, "input_size");
  set_windows_of(p, yv);
  set_input(p, xv, "grad_output");
  const Operand index = index_operand(a[1], p, layout, xv.batched, "a plane of grad_output", queue);
  const Operand out = pool_operand(a[4], queue, p.dtype, yv.shape, layout, xv, {dx, index}, {a[0], a[1]});
  strides_of(out, layout, yv.batched, p.ys);
  if (p.n > 0) {
    ReleaseGil release(true);
    max_unpool_gradient(queue, p, dx->data, static_cast<const int64_t*>(index->data), out->data);
  }
  return wrap(out);
}

}  // namespace

PyMethodDef pool_gradient_methods[] = {device_entry<7, max_pool_gradient_of<1>>("max_pool1d_grad"),
                                       device_entry<7, max_pool_gradient_of<2>>("max_pool2d_grad"),
                                       device_entry<7, max_pool_gradient_of<3>>("max_pool3d_grad"),
                                       device_entry<13, avg_pool_gradient_of<1>>("avg_pool1d_grad"),
                                       device_entry<13, avg_pool_gradient_of<2>>("avg_pool2d_grad"),
                                       device_entry<13, avg_pool_gradient_of<3>>("avg_pool3d_grad"),
                                       device_entry<6, adaptive_avg_pool_gradient_of<1>>("adaptive_avg_pool1d_grad"),
                                       device_entry<6, adaptive_avg_pool_gradient_of<2>>("adaptive_avg_pool2d_grad"),
                                       device_entry<6, adaptive_avg_pool_gradient_of<3>>("adaptive_avg_pool3d_grad"),
                                       device_entry<10, lp_pool_gradient_of<1>>("lp_pool1d_grad"),
                                       device_entry<10, lp_pool_gradient_of<2>>("lp_pool2d_grad"),
                                       device_entry<10, lp_pool_gradient_of<3>>("lp_pool3d_grad"),
                                       device_entry<7, max_unpool_gradient_of<1>>("max_unpool1d_grad"),
                                       device_entry<7, max_unpool_gradient_of<2>>("max_unpool2d_grad"),
                                       device_entry<7, max_unpool_gradient_of<3>>("max_unpool3d_grad"),
                                       {nullptr, nullptr, 0, nullptr}};

}  // namespace konv::cuda
