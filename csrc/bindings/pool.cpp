#include "pool/pool.h"

#include <algorithm>

#include "bindings/pool.h"
#include "core/config.h"

namespace konv {

namespace {

using Wide = long long;  // what printf knows

constexpr int64_t kMaxExtent = INT32_MAX;

void convention_arg(PyObject* object) {
  if (!PyUnicode_Check(object)) type_error("convention: expected a string, got %s", Py_TYPE(object)->tp_name);
  if (!is_string(object, "torch")) value_error("convention: this version supports 'torch', got %R", object);
}

PoolProblem problem_of(DType dtype, PyObject* threads) {
  const Config c = config();
  PoolProblem p{};
  p.dtype = dtype;
  p.isa = c.isa;
  p.keep_denormals = c.keep_denormals;
  p.threads = threads_arg(threads);
  for (int i = 0; i < 3; i++) p.dilation[i] = 1;
  return p;
}

void set_input(PoolProblem& p, const View& v, const char* name) {
  p.n = v.shape[0], p.c = v.shape[1];
  std::copy_n(v.shape + 2, 3, p.in);
  std::copy_n(v.strides, 5, p.xs);
  if (p.c < 1) value_error("%s: expected at least one channel", name);
  for (int i = 0; i < 3; i++)
    if (p.in[i] < 1) value_error("%s: expected spatial sizes of at least 1", name);
}

// Windows as the arguments describe them; p.in and p.dilation are set.
void set_windows(PoolProblem& p, int spatial, PyObject* kernel_size, PyObject* stride, PyObject* padding,
                 PyObject* ceil_mode) {
  spatial_arg(kernel_size, "kernel_size", spatial, 1, p.kernel);
  if (stride == Py_None)
    std::copy_n(p.kernel, 3, p.stride);
  else
    spatial_arg(stride, "stride", spatial, 1, p.stride);
  int64_t extent[3];
  for (int i = 0; i < 3; i++) extent[i] = (p.kernel[i] - 1) * p.dilation[i] + 1;
  padding_arg(padding, spatial).resolve(p.in, extent, p.stride, p.pad, p.pad_after);
  const bool ceil = bool_arg(ceil_mode, "ceil_mode");
  for (int i = 0; i < 3; i++) {
    const Wide pad = Wide(std::max(p.pad[i], p.pad_after[i]));
    if (!PyUnicode_Check(padding) && pad > p.kernel[i] / 2)
      value_error("padding: expected at most half of kernel_size (%lld), got %lld", Wide(p.kernel[i]), pad);
    const int64_t padded = p.in[i] + p.pad[i] + p.pad_after[i];
    if (std::max(padded, p.in[i] + extent[i]) > kMaxExtent)
      value_error("kernel_size: input and kernel span %lld elements along one axis, more than 2^31 - 1",
                  Wide(std::max(padded, p.in[i] + extent[i])));
    p.out[i] = pool_out_size(p.in[i], p.pad[i], p.pad_after[i], extent[i], p.stride[i], ceil);
    if (p.out[i] < 1)
      value_error("kernel_size: a kernel of %lld with dilation %lld spans %lld elements, but the padded input has %lld",
                  Wide(p.kernel[i]), Wide(p.dilation[i]), Wide(extent[i]), Wide(padded));
  }
}

void set_divisor(PoolProblem& p, PyObject* count_include_pad, PyObject* divisor_override) {
  p.count_padding = bool_arg(count_include_pad, "count_include_pad");
  if (divisor_override == Py_None) return;
  p.divisor = double(int_arg(divisor_override, "divisor_override", INT32_MIN));
  if (p.divisor == 0) value_error("divisor_override: expected a number other than 0, got 0");
}

// Kernels count the distance of an element from its window's first row in integers as wide as the element.
void check_places(const PoolProblem& p) {
  const auto reach = [&](int i) { return double(std::min((p.kernel[i] - 1) * p.dilation[i], p.in[i] - 1)); };
  const double last = (reach(0) * double(p.in[1]) + reach(1) + 1) * double(p.in[2]);
  if (p.dtype == DType::f32 && last > double(INT32_MAX))
    value_error("return_indices: the rows of one window hold %lld elements, more than 2^31 - 1", (long long)last);
}

Ref result(PyObject* out, DType dtype, const int64_t shape[5], const Layout& layout, const View& like,
           std::initializer_list<PyObject*> inputs) {
  if (out != Py_None) return out_arg(out, dtype, shape, layout, like.batched, inputs);
  return new_array(dtype, shape, layout, like.batched, !layout.channels_last && is_channels_last_memory(like));
}

void* data_of(const Ref& array) { return PyArray_DATA(array.array()); }
bool is_large(const PoolProblem& p) { return p.bytes() > 100e3; }

// input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout, out, threads,
// max_workspace
PyObject* max_pool(int spatial, PyObject* const* a) {
  const Array x = array_arg(a[0], "input");
  const Layout layout = layout_arg(a[8], spatial);
  const View xv = view_of(x, layout, "input");
  PoolProblem p = problem_of(x.dtype, a[10]);
  max_workspace_arg(a[11]);
  convention_arg(a[7]);
  const bool indexed = bool_arg(a[6], "return_indices");
  set_input(p, xv, "input");
  spatial_arg(a[4], "dilation", spatial, 1, p.dilation);
  set_windows(p, spatial, a[1], a[2], a[3], a[5]);
  if (indexed) check_places(p);
  const int64_t shape[5] = {p.n, p.c, p.out[0], p.out[1], p.out[2]};
  Ref out = result(a[9], p.dtype, shape, layout, xv, {a[0]}), indices;
  strides_of(out.array(), layout, xv.batched, p.ys);
  if (indexed) {
    indices = new_array(DType::i64, shape, layout, xv.batched, !layout.channels_last && is_channels_last_memory(xv));
    strides_of(indices.array(), layout, xv.batched, p.indices_s);
  }
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    konv::max_pool(p, x.data, data_of(out), indexed ? static_cast<int64_t*>(data_of(indices)) : nullptr);
  }
  return indexed ? PyTuple_Pack(2, out.get(), indices.get()) : out.release();
}

// input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out,
// threads, max_workspace
PyObject* avg_pool(int spatial, PyObject* const* a) {
  const Array x = array_arg(a[0], "input");
  const Layout layout = layout_arg(a[8], spatial);
  const View xv = view_of(x, layout, "input");
  PoolProblem p = problem_of(x.dtype, a[10]);
  max_workspace_arg(a[11]);
  convention_arg(a[7]);
  set_input(p, xv, "input");
  set_windows(p, spatial, a[1], a[2], a[3], a[4]);
  set_divisor(p, a[5], a[6]);
  const int64_t shape[5] = {p.n, p.c, p.out[0], p.out[1], p.out[2]};
  Ref out = result(a[9], p.dtype, shape, layout, xv, {a[0]});
  strides_of(out.array(), layout, xv.batched, p.ys);
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    konv::avg_pool(p, x.data, data_of(out));
  }
  return out.release();
}

[[noreturn]] void index_error(const PoolProblem& p, int64_t index) {
  value_error("indices: expected values from 0 to %lld, the last element of a plane of input_size; got %lld",
              Wide(p.in[0] * p.in[1] * p.in[2] - 1), Wide(index));
}

// grad_output, indices, input_size, layout, out, threads
PyObject* max_pool_gradient(int spatial, PyObject* const* a) {
  const Array dy = array_arg(a[0], "grad_output"), index = index_array_arg(a[1], "indices");
  const Layout layout = layout_arg(a[3], spatial);
  const View yv = view_of(dy, layout, "grad_output"), iv = view_of(index, layout, "indices");
  const View xv = size_arg(a[2], layout, "input_size");
  PoolProblem p = problem_of(dy.dtype, a[5]);
  if (iv.batched != yv.batched || !std::equal(yv.shape, yv.shape + 5, iv.shape))
    value_error("indices: expected grad_output's shape %s, got %s", shape_text(dy.ndim, dy.shape).c_str(),
                shape_text(index.ndim, index.shape).c_str());
  if (xv.batched != yv.batched || xv.shape[0] != yv.shape[0] || xv.shape[1] != yv.shape[1])
    value_error("input_size: expected the batch and channels of grad_output, whose shape is %s, got %R",
                shape_text(dy.ndim, dy.shape).c_str(), a[2]);
  set_input(p, xv, "input_size");
  std::copy_n(yv.shape + 2, 3, p.out);
  std::copy_n(yv.strides, 5, p.ys);
  std::copy_n(iv.strides, 5, p.indices_s);
  const bool given = a[4] != Py_None;
  Ref out = result(a[4], p.dtype, xv.shape, layout, yv, {a[0], a[1]});
  if (p.n == 0) return out.release();
  strides_of(out.array(), layout, xv.batched, p.xs);
  const int64_t* places = static_cast<const int64_t*>(index.data);
  int64_t outside = 0;
  bool valid = true;
  {
    ReleaseGil release(is_large(p));
    // An array of our own may be written before all indices are known to be good: nobody will see it.
    if (given) valid = pool_indices_inside(p, places, outside);
    if (valid && !konv::max_pool_gradient(p, dy.data, places, data_of(out)))
      valid = pool_indices_inside(p, places, outside);
  }
  if (!valid) index_error(p, outside);
  return out.release();
}

// grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention,
// layout, out, threads
PyObject* avg_pool_gradient(int spatial, PyObject* const* a) {
  const Array dy = array_arg(a[0], "grad_output");
  const Layout layout = layout_arg(a[9], spatial);
  const View yv = view_of(dy, layout, "grad_output"), xv = size_arg(a[1], layout, "input_size");
  PoolProblem p = problem_of(dy.dtype, a[11]);
  convention_arg(a[8]);
  set_input(p, xv, "input_size");
  set_windows(p, spatial, a[2], a[3], a[4], a[5]);
  set_divisor(p, a[6], a[7]);
  const int64_t expected[5] = {p.n, p.c, p.out[0], p.out[1], p.out[2]};
  if (yv.batched != xv.batched || !std::equal(expected, expected + 5, yv.shape))
    value_error("grad_output: expected shape %s, got %s", view_text(expected, layout, xv.batched).c_str(),
                shape_text(dy.ndim, dy.shape).c_str());
  std::copy_n(yv.strides, 5, p.ys);
  Ref out = result(a[10], p.dtype, xv.shape, layout, yv, {a[0]});
  strides_of(out.array(), layout, xv.batched, p.xs);
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    konv::avg_pool_gradient(p, dy.data, data_of(out));
  }
  return out.release();
}

PyObject* max_pool2d(PyObject* const* a) { return max_pool(2, a); }
PyObject* avg_pool2d(PyObject* const* a) { return avg_pool(2, a); }
PyObject* max_pool2d_gradient(PyObject* const* a) { return max_pool_gradient(2, a); }
PyObject* avg_pool2d_gradient(PyObject* const* a) { return avg_pool_gradient(2, a); }

}  // namespace

PyMethodDef pool_methods[] = {entry<12, max_pool2d, "max_pool2d">(),
                              entry<12, avg_pool2d, "avg_pool2d">(),
                              entry<6, max_pool2d_gradient, "max_pool2d_grad">(),
                              entry<12, avg_pool2d_gradient, "avg_pool2d_grad">(),
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
