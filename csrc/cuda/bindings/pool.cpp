// Pooling, as bindings/pool.cpp has it: each function takes a queue and then the arguments of that of konv._core.
#include "cuda/bindings/pool.h"

#include <algorithm>
#include <cstdlib>

#include "cuda/pool/pool.h"

namespace konv {

// For check_indices, of arrays in the host's memory.
bool pool_indices_inside(const PoolProblem& p, const int64_t* index, int64_t& outside) {
  const int64_t volume = p.in[0] * p.in[1] * p.in[2];
  for (int64_t i = 0; i < p.n * p.c; i++)
    for (int64_t z = 0; z < p.out[0]; z++)
      for (int64_t y = 0; y < p.out[1]; y++) {
        const int64_t* row =
            index + i / p.c * p.indices_s[0] + i % p.c * p.indices_s[1] + z * p.indices_s[2] + y * p.indices_s[3];
        for (int64_t x = 0; x < p.out[2]; x++)
          if (uint64_t(row[x * p.indices_s[4]]) >= uint64_t(volume)) return outside = row[x * p.indices_s[4]], false;
      }
  return true;
}

namespace cuda {

Operand pool_operand(PyObject* out, const CallQueue& queue, DType dtype, const int64_t shape[5], const Layout& layout,
                     const View& like, const std::vector<Operand>& inputs, std::initializer_list<PyObject*> objects) {
  if (out != Py_None) return out_operand(out, queue, dtype, shape, layout, like.batched, inputs, objects);
  return new_operand(queue, dtype, shape, layout, like.batched, !layout.channels_last && is_channels_last_memory(like));
}

Operand index_operand(PyObject* object, PoolProblem& p, const Layout& layout, bool batched, const char* where,
                      const CallQueue& queue) {
  const Operand index = operand_arg(object, "indices", queue, set_of({DType::i64}));
  const View iv = view_of(array_of(index), layout, "indices");
  check_shape(array_of(index), iv, windows_shape(p), batched, layout, "indices");
  if (PyArray_Check(object)) {
    const Array host = index_array_arg(object, "indices");
    std::copy_n(view_of(host, layout, "indices").strides, 5, p.indices_s);
    check_indices(p, static_cast<const int64_t*>(host.data), where);
  }
  std::copy_n(iv.strides, 5, p.indices_s);
  return index;
}

namespace {

constexpr DTypeSet kOrdered =
    kFloats | set_of({DType::i8, DType::u8, DType::i16, DType::i32, DType::i64, DType::boolean});
constexpr DTypeSet kAveraged = kFloats | set_of({DType::i64});

// Where a pooling starts: its queue, input and problem.
struct PoolCall {
  CallQueue queue;
  PyObject* object;
  Operand x;
  Layout layout;
  View xv;
  PoolProblem p;
};
PoolCall pool_call(PyObject* const* args, DTypeSet allowed, PyObject* layout, int spatial, PyObject* threads,
                   PyObject* max_workspace) {
  PoolCall c;
  c.queue = conv_queue_arg(args[0]);
  c.object = args[1];
  c.x = operand_arg(args[1], "input", c.queue, allowed);
  c.layout = layout_arg(layout, spatial);
  c.xv = view_of(array_of(c.x), c.layout, "input");
  c.p = pool_problem_of(c.x->dtype, threads, max_workspace);
  set_input(c.p, c.xv, "input");
  return c;
}

PyObject* pair(const Operand& first, const Operand& second) {
  Ref a(wrap(first)), b(wrap(second));
  return PyTuple_Pack(2, a.get(), b.get());
}

PyObject* maxima(PoolCall& c, bool indexed, PyObject* out_arg) {
  if (indexed) check_places(c.p);
  const PoolShape shape = windows_shape(c.p);
  const Operand out = pool_operand(out_arg, c.queue, c.p.dtype, shape.sizes, c.layout, c.xv, {c.x}, {c.object});
  strides_of(out, c.layout, c.xv.batched, c.p.ys);
  Operand indices;
  if (indexed) {
    indices = pool_operand(Py_None, c.queue, DType::i64, shape.sizes, c.layout, c.xv, {}, {});
    strides_of(indices, c.layout, c.xv.batched, c.p.indices_s);
  }
  if (out->size() > 0) {
    ReleaseGil release(true);
    max_pool(c.queue, c.p, c.x->data, out->data, indexed ? static_cast<int64_t*>(indices->data) : nullptr);
  }
  return indexed ? pair(out, indices) : wrap(out);
}

PyObject* averages(PoolCall& c, PyObject* out_arg) {
  const PoolShape shape = windows_shape(c.p);
  const Operand out = pool_operand(out_arg, c.queue, c.p.dtype, shape.sizes, c.layout, c.xv, {c.x}, {c.object});
  strides_of(out, c.layout, c.xv.batched, c.p.ys);
  if (out->size() > 0) {
    ReleaseGil release(true);
    avg_pool(c.queue, c.p, c.x->data, out->data);
  }
  return wrap(out);
}

// queue; input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout, out, threads,
// max_workspace
template <int Spatial>
PyObject* max_pool_of(PyObject* const* args) {
  PyObject* const* a = args + 1;
  PoolCall c = pool_call(args, kOrdered, a[8], Spatial, a[10], a[11]);
  const PoolConvention convention = pool_convention_arg(a[7]);
  const bool indexed = bool_arg(a[6], "return_indices");
  spatial_arg(a[4], "dilation", Spatial, 1, c.p.dilation);
  set_windows(c.p, Spatial, a[1], a[2], a[3], a[5], convention);
  return maxima(c, indexed, a[9]);
}

// queue; input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out,
// threads, max_workspace
template <int Spatial>
PyObject* avg_pool_of(PyObject* const* args) {
  PyObject* const* a = args + 1;
  PoolCall c = pool_call(args, kAveraged, a[8], Spatial, a[10], a[11]);
  const PoolConvention convention = pool_convention_arg(a[7]);
  set_windows(c.p, Spatial, a[1], a[2], a[3], a[4], convention);
  set_divisor(c.p, a[5], a[6], convention);
  return averages(c, a[9]);
}

// queue; input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads, max_workspace
template <int Spatial>
PyObject* lp_pool_of(PyObject* const* args) {
  PyObject* const* a = args + 1;
  PoolCall c = pool_call(args, kFloats, a[5], Spatial, a[7], a[8]);
  set_power(c.p, a[1]);
  set_windows(c.p, Spatial, a[2], a[3], nullptr, a[4], PoolConvention::torch);
  return averages(c, a[6]);
}

// queue; input, output_size, return_indices, layout, out, threads, max_workspace
template <int Spatial>
PyObject* adaptive_max_pool_of(PyObject* const* args) {
  PyObject* const* a = args + 1;
  PoolCall c = pool_call(args, kOrdered, a[3], Spatial, a[5], a[6]);
  const bool indexed = bool_arg(a[2], "return_indices");
  int64_t out[3];
  output_size_arg(a[1], Spatial, c.p.in, out);
  set_parts(c.p, out);
  return maxima(c, indexed, a[4]);
}

// queue; input, output_size, layout, out, threads, max_workspace
template <int Spatial>
PyObject* adaptive_avg_pool_of(PyObject* const* args) {
  PyObject* const* a = args + 1;
  PoolCall c = pool_call(args, kFloats, a[2], Spatial, a[4], a[5]);
  int64_t out[3];
  output_size_arg(a[1], Spatial, c.p.in, out);
  set_parts(c.p, out);
  return averages(c, a[3]);
}

// queue; input, indices, kernel_size, stride, padding, output_size, layout, out, threads, max_workspace
template <int Spatial>
PyObject* max_unpool_of(PyObject* const* args) {
  PyObject* const* a = args + 1;
  PoolCall c = pool_call(args, kFloats, a[6], Spatial, a[8], a[9]);
  PoolProblem& p = c.p;
  set_windows_of(p, c.xv);
  spatial_arg(a[2], "kernel_size", Spatial, 1, p.kernel);
  if (a[3] == Py_None)
    std::copy_n(p.kernel, 3, p.stride);
  else
    spatial_arg(a[3], "stride", Spatial, 1, p.stride);
  spatial_arg(a[4], "padding", Spatial, 0, p.pad);
  std::fill_n(p.pad, 3 - Spatial, 0);
  unpooled_size(a[5], p, c.layout, p.in);
  const Operand index = index_operand(a[1], p, c.layout, c.xv.batched, "the output", c.queue);
  const int64_t shape[5] = {p.n, p.c, p.in[0], p.in[1], p.in[2]};
  const Operand out = pool_operand(a[7], c.queue, p.dtype, shape, c.layout, c.xv, {c.x, index}, {c.object, a[1]});
  strides_of(out, c.layout, c.xv.batched, p.xs);
  if (out->size() > 0) {
    ReleaseGil release(true);
    max_unpool(c.queue, p, c.x->data, static_cast<const int64_t*>(index->data), out->data);
  }
  return wrap(out);
}

}  // namespace

PyMethodDef pool_methods[] = {device_entry<13, max_pool_of<1>>("max_pool1d"),
                              device_entry<13, max_pool_of<2>>("max_pool2d"),
                              device_entry<13, max_pool_of<3>>("max_pool3d"),
                              device_entry<13, avg_pool_of<1>>("avg_pool1d"),
                              device_entry<13, avg_pool_of<2>>("avg_pool2d"),
                              device_entry<13, avg_pool_of<3>>("avg_pool3d"),
                              device_entry<10, lp_pool_of<1>>("lp_pool1d"),
                              device_entry<10, lp_pool_of<2>>("lp_pool2d"),
                              device_entry<10, lp_pool_of<3>>("lp_pool3d"),
                              device_entry<8, adaptive_max_pool_of<1>>("adaptive_max_pool1d"),
                              device_entry<8, adaptive_max_pool_of<2>>("adaptive_max_pool2d"),
                              device_entry<8, adaptive_max_pool_of<3>>("adaptive_max_pool3d"),
                              device_entry<7, adaptive_avg_pool_of<1>>("adaptive_avg_pool1d"),
                              device_entry<7, adaptive_avg_pool_of<2>>("adaptive_avg_pool2d"),
                              device_entry<7, adaptive_avg_pool_of<3>>("adaptive_avg_pool3d"),
                              device_entry<11, max_unpool_of<1>>("max_unpool1d"),
                              device_entry<11, max_unpool_of<2>>("max_unpool2d"),
                              device_entry<11, max_unpool_of<3>>("max_unpool3d"),
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace cuda

}  // namespace konv
