// Pooling: each function takes its arguments in the order that the comment above it lists. Gradients follow in
// pool_gradient.cpp.
#include "bindings/pool.h"

#include "bindings/pool_args.h"

namespace konv {

namespace {

constexpr DTypeSet kOrdered =
    kFloats | set_of({DType::i8, DType::u8, DType::i16, DType::i32, DType::i64, DType::boolean});
constexpr DTypeSet kAveraged = kFloats | set_of({DType::i64});

// Maxima of the windows that p describes, and their places if asked.
PyObject* maxima(PoolProblem& p, const Array& x, const View& xv, const Layout& layout, bool indexed,
                 PyObject* out_arg) {
  if (indexed) check_places(p);
  const PoolShape shape = windows_shape(p);
  PyObject* const input = reinterpret_cast<PyObject*>(x.object);
  Ref out = pool_result(out_arg, p.dtype, shape.sizes, layout, xv, {input}), indices;
  strides_of(out.array(), layout, xv.batched, p.ys);
  if (indexed) {
    indices = pool_result(Py_None, DType::i64, shape.sizes, layout, xv, {});
    strides_of(indices.array(), layout, xv.batched, p.indices_s);
  }
  if (PyArray_SIZE(out.array()) > 0) {
    ReleaseGil release(is_large(p));
    max_pool(p, x.data, data_of(out), indexed ? static_cast<int64_t*>(data_of(indices)) : nullptr);
  }
  return indexed ? PyTuple_Pack(2, out.get(), indices.get()) : out.release();
}

PyObject* averages(PoolProblem& p, const Array& x, const View& xv, const Layout& layout, PyObject* out_arg) {
  PyObject* const input = reinterpret_cast<PyObject*>(x.object);
  Ref out = pool_result(out_arg, p.dtype, windows_shape(p).sizes, layout, xv, {input});
  strides_of(out.array(), layout, xv.batched, p.ys);
  if (PyArray_SIZE(out.array()) > 0) {
    ReleaseGil release(is_large(p));
    avg_pool(p, x.data, data_of(out));
  }
  return out.release();
}

// input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout, out, threads,
// max_workspace
template <int Spatial>
PyObject* max_pool_of(PyObject* const* a) {
  const Array x = array_arg(a[0], "input", kOrdered);
  const Layout layout = layout_arg(a[8], Spatial);
  const View xv = view_of(x, layout, "input");
  PoolProblem p = pool_problem_of(x.dtype, a[10], a[11]);
  const PoolConvention convention = pool_convention_arg(a[7]);
  const bool indexed = bool_arg(a[6], "return_indices");
  set_input(p, xv, "input");
  spatial_arg(a[4], "dilation", Spatial, 1, p.dilation);
  set_windows(p, Spatial, a[1], a[2], a[3], a[5], convention);
  return maxima(p, x, xv, layout, indexed, a[9]);
}

// input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out,
// threads, max_workspace
template <int Spatial>
PyObject* avg_pool_of(PyObject* const* a) {
  const Array x = array_arg(a[0], "input", kAveraged);
  const Layout layout = layout_arg(a[8], Spatial);
  const View xv = view_of(x, layout, "input");
  PoolProblem p = pool_problem_of(x.dtype, a[10], a[11]);
  const PoolConvention convention = pool_convention_arg(a[7]);
  set_input(p, xv, "input");
  set_windows(p, Spatial, a[1], a[2], a[3], a[4], convention);
  set_divisor(p, a[5], a[6], convention);
  return averages(p, x, xv, layout, a[9]);
}

// input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads, max_workspace
template <int Spatial>
PyObject* lp_pool_of(PyObject* const* a) {
  const Array x = array_arg(a[0], "input", kFloats);
  const Layout layout = layout_arg(a[5], Spatial);
  const View xv = view_of(x, layout, "input");
  PoolProblem p = pool_problem_of(x.dtype, a[7], a[8]);
  set_input(p, xv, "input");
  set_power(p, a[1]);
  set_windows(p, Spatial, a[2], a[3], nullptr, a[4], PoolConvention::torch);
  return averages(p, x, xv, layout, a[6]);
}

// input, output_size, return_indices, layout, out, threads, max_workspace
template <int Spatial>
PyObject* adaptive_max_pool_of(PyObject* const* a) {
  const Array x = array_arg(a[0], "input", kOrdered);
  const Layout layout = layout_arg(a[3], Spatial);
  const View xv = view_of(x, layout, "input");
  PoolProblem p = pool_problem_of(x.dtype, a[5], a[6]);
  const bool indexed = bool_arg(a[2], "return_indices");
  set_input(p, xv, "input");
  int64_t out[3];
  output_size_arg(a[1], Spatial, p.in, out);
  set_parts(p, out);
  return maxima(p, x, xv, layout, indexed, a[4]);
}

// input, output_size, layout, out, threads, max_workspace
template <int Spatial>
PyObject* adaptive_avg_pool_of(PyObject* const* a) {
  const Array x = array_arg(a[0], "input", kFloats);
  const Layout layout = layout_arg(a[2], Spatial);
  const View xv = view_of(x, layout, "input");
  PoolProblem p = pool_problem_of(x.dtype, a[4], a[5]);
  set_input(p, xv, "input");
  int64_t out[3];
  output_size_arg(a[1], Spatial, p.in, out);
  set_parts(p, out);
  return averages(p, x, xv, layout, a[3]);
}

// input, indices, kernel_size, stride, padding, output_size, layout, out, threads, max_workspace
template <int Spatial>
PyObject* max_unpool_of(PyObject* const* a) {
  const Array y = array_arg(a[0], "input", kFloats), index = index_array_arg(a[1], "indices");
  const Layout layout = layout_arg(a[6], Spatial);
  const View yv = view_of(y, layout, "input"), iv = view_of(index, layout, "indices");
  PoolProblem p = pool_problem_of(y.dtype, a[8], a[9]);
  set_input(p, yv, "input");
  set_windows_of(p, yv);
  check_shape(index, iv, windows_shape(p), yv.batched, layout, "indices");
  std::copy_n(iv.strides, 5, p.indices_s);
  spatial_arg(a[2], "kernel_size", Spatial, 1, p.kernel);
  if (a[3] == Py_None)
    std::copy_n(p.kernel, 3, p.stride);
  else
    spatial_arg(a[3], "stride", Spatial, 1, p.stride);
  spatial_arg(a[4], "padding", Spatial, 0, p.pad);
  std::fill_n(p.pad, 3 - Spatial, 0);
  unpooled_size(a[5], p, layout, p.in);
  const int64_t shape[5] = {p.n, p.c, p.in[0], p.in[1], p.in[2]};
  Ref out = pool_result(a[7], p.dtype, shape, layout, yv, {a[0], a[1]});
  strides_of(out.array(), layout, yv.batched, p.xs);
  check_indices(p, static_cast<const int64_t*>(index.data), "the output");
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    max_unpool(p, y.data, static_cast<const int64_t*>(index.data), data_of(out));
  }
  return out.release();
}

}  // namespace

PyMethodDef pool_methods[] = {entry<12, max_pool_of<1>, "max_pool1d">(),
                              entry<12, max_pool_of<2>, "max_pool2d">(),
                              entry<12, max_pool_of<3>, "max_pool3d">(),
                              entry<12, avg_pool_of<1>, "avg_pool1d">(),
                              entry<12, avg_pool_of<2>, "avg_pool2d">(),
                              entry<12, avg_pool_of<3>, "avg_pool3d">(),
                              entry<9, lp_pool_of<1>, "lp_pool1d">(),
                              entry<9, lp_pool_of<2>, "lp_pool2d">(),
                              entry<9, lp_pool_of<3>, "lp_pool3d">(),
                              entry<7, adaptive_max_pool_of<1>, "adaptive_max_pool1d">(),
                              entry<7, adaptive_max_pool_of<2>, "adaptive_max_pool2d">(),
                              entry<7, adaptive_max_pool_of<3>, "adaptive_max_pool3d">(),
                              entry<6, adaptive_avg_pool_of<1>, "adaptive_avg_pool1d">(),
                              entry<6, adaptive_avg_pool_of<2>, "adaptive_avg_pool2d">(),
                              entry<6, adaptive_avg_pool_of<3>, "adaptive_avg_pool3d">(),
                              entry<10, max_unpool_of<1>, "max_unpool1d">(),
                              entry<10, max_unpool_of<2>, "max_unpool2d">(),
                              entry<10, max_unpool_of<3>, "max_unpool3d">(),
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
