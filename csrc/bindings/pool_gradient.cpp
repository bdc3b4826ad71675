// Gradients of pooling: each function takes its arguments in the order that the comment above it lists.
#include "bindings/pool.h"
#include "bindings/pool_args.h"

namespace konv {

namespace {

// Both sides have the same batch and channels.
void check_same_images(const View& size, const View& array, const Array& of, const char* name, PyObject* given) {
  if (size.batched != array.batched || size.shape[0] != array.shape[0] || size.shape[1] != array.shape[1])
    value_error("input_size: expected the batch and channels of %s, whose shape is %s, got %R", name,
                shape_text(of.ndim, of.shape).c_str(), given);
}

// grad_output, indices, input_size, layout, out, threads
template <int Spatial>
PyObject* max_pool_gradient_of(PyObject* const* a) {
  const Array dy = array_arg(a[0], "grad_output", kFloats), index = index_array_arg(a[1], "indices");
  const Layout layout = layout_arg(a[3], Spatial);
  const View yv = view_of(dy, layout, "grad_output"), iv = view_of(index, layout, "indices");
  const View xv = size_arg(a[2], layout, "input_size");
  PoolProblem p = pool_problem_of(dy.dtype, a[5], nullptr);
  check_same_images(xv, yv, dy, "grad_output", a[2]);
  set_input(p, xv, "input_size");
  set_windows_of(p, yv);
  check_shape(index, iv, windows_shape(p), yv.batched, layout, "indices");
  std::copy_n(iv.strides, 5, p.indices_s);
  const bool given = a[4] != Py_None;
  Ref out = pool_result(a[4], p.dtype, xv.shape, layout, yv, {a[0], a[1]});
  strides_of(out.array(), layout, xv.batched, p.xs);
  const int64_t* places = static_cast<const int64_t*>(index.data);
  // An array of our own may be written before all indices are known to be good: nobody will see it.
  if (given) check_indices(p, places, "a plane of input_size");
  bool valid = true;
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    valid = max_pool_gradient(p, dy.data, places, data_of(out));
  }
  if (!valid) check_indices(p, places, "a plane of input_size");
  return out.release();
}

// What the gradients of averages do once their windows are known.
PyObject* spread(PoolProblem& p, const Array& dy, const View& yv, const View& xv, const Layout& layout,
                 PyObject* out_arg) {
  check_shape(dy, yv, windows_shape(p), xv.batched, layout, "grad_output");
  set_windows_of(p, yv);
  Ref out = pool_result(out_arg, p.dtype, xv.shape, layout, yv, {reinterpret_cast<PyObject*>(dy.object)});
  strides_of(out.array(), layout, xv.batched, p.xs);
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    avg_pool_gradient(p, dy.data, data_of(out));
  }
  return out.release();
}

// grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention,
// layout, out, threads
template <int Spatial>
PyObject* avg_pool_gradient_of(PyObject* const* a) {
  const Array dy = array_arg(a[0], "grad_output", kFloats);
  const Layout layout = layout_arg(a[9], Spatial);
  const View yv = view_of(dy, layout, "grad_output"), xv = size_arg(a[1], layout, "input_size");
  PoolProblem p = pool_problem_of(dy.dtype, a[11], nullptr);
  const PoolConvention convention = pool_convention_arg(a[8]);
  set_input(p, xv, "input_size");
  set_windows(p, Spatial, a[2], a[3], a[4], a[5], convention);
  set_divisor(p, a[6], a[7], convention);
  return spread(p, dy, yv, xv, layout, a[10]);
}

// grad_output, input_size, layout, out, threads
template <int Spatial>
PyObject* adaptive_avg_pool_gradient_of(PyObject* const* a) {
  const Array dy = array_arg(a[0], "grad_output", kFloats);
  const Layout layout = layout_arg(a[2], Spatial);
  const View yv = view_of(dy, layout, "grad_output"), xv = size_arg(a[1], layout, "input_size");
  PoolProblem p = pool_problem_of(dy.dtype, a[4], nullptr);
  check_same_images(xv, yv, dy, "grad_output", a[1]);
  set_input(p, xv, "input_size");
  set_parts(p, yv.shape + 2);
  return spread(p, dy, yv, xv, layout, a[3]);
}

// grad_output, input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads
template <int Spatial>
PyObject* lp_pool_gradient_of(PyObject* const* a) {
  const Array dy = array_arg(a[0], "grad_output", kFloats), x = array_arg(a[1], "input", kFloats);
  same_dtype(x, "input", dy.dtype, "grad_output");
  const Layout layout = layout_arg(a[6], Spatial);
  const View yv = view_of(dy, layout, "grad_output"), xv = view_of(x, layout, "input");
  PoolProblem p = pool_problem_of(dy.dtype, a[8], nullptr);
  set_input(p, xv, "input");
  set_power(p, a[2]);
  set_windows(p, Spatial, a[3], a[4], nullptr, a[5], PoolConvention::torch);
  check_shape(dy, yv, windows_shape(p), xv.batched, layout, "grad_output");
  set_windows_of(p, yv);
  Ref out = pool_result(a[7], p.dtype, xv.shape, layout, xv, {a[0], a[1]});
  strides_of(out.array(), layout, xv.batched, p.xs);
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    lp_pool_gradient(p, dy.data, x.data, xv.strides, data_of(out));
  }
  return out.release();
}

// grad_output, indices, input_size, layout, out, threads
template <int Spatial>
PyObject* max_unpool_gradient_of(PyObject* const* a) {
  const Array dx = array_arg(a[0], "grad_output", kFloats), index = index_array_arg(a[1], "indices");
  const Layout layout = layout_arg(a[3], Spatial);
  const View xv = view_of(dx, layout, "grad_output"), iv = view_of(index, layout, "indices");
  const View yv = size_arg(a[2], layout, "input_size");
  PoolProblem p = pool_problem_of(dx.dtype, a[5], nullptr);
  check_same_images(yv, xv, dx, "grad_output", a[2]);
  set_input(p, yv, "input_size");
  set_windows_of(p, yv);
  check_shape(index, iv, windows_shape(p), yv.batched, layout, "indices");
  std::copy_n(iv.strides, 5, p.indices_s);
  set_input(p, xv, "grad_output");
  Ref out = pool_result(a[4], p.dtype, yv.shape, layout, xv, {a[0], a[1]});
  strides_of(out.array(), layout, yv.batched, p.ys);
  const int64_t* places = static_cast<const int64_t*>(index.data);
  check_indices(p, places, "a plane of grad_output");
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    max_unpool_gradient(p, dx.data, places, data_of(out));
  }
  return out.release();
}

}  // namespace

PyMethodDef pool_gradient_methods[] = {entry<6, max_pool_gradient_of<1>, "max_pool1d_grad">(),
                                       entry<6, max_pool_gradient_of<2>, "max_pool2d_grad">(),
                                       entry<6, max_pool_gradient_of<3>, "max_pool3d_grad">(),
                                       entry<12, avg_pool_gradient_of<1>, "avg_pool1d_grad">(),
                                       entry<12, avg_pool_gradient_of<2>, "avg_pool2d_grad">(),
                                       entry<12, avg_pool_gradient_of<3>, "avg_pool3d_grad">(),
                                       entry<5, adaptive_avg_pool_gradient_of<1>, "adaptive_avg_pool1d_grad">(),
                                       entry<5, adaptive_avg_pool_gradient_of<2>, "adaptive_avg_pool2d_grad">(),
                                       entry<5, adaptive_avg_pool_gradient_of<3>, "adaptive_avg_pool3d_grad">(),
                                       entry<9, lp_pool_gradient_of<1>, "lp_pool1d_grad">(),
                                       entry<9, lp_pool_gradient_of<2>, "lp_pool2d_grad">(),
                                       entry<9, lp_pool_gradient_of<3>, "lp_pool3d_grad">(),
                                       entry<6, max_unpool_gradient_of<1>, "max_unpool1d_grad">(),
                                       entry<6, max_unpool_gradient_of<2>, "max_unpool2d_grad">(),
                                       entry<6, max_unpool_gradient_of<3>, "max_unpool3d_grad">(),
                                       {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
