#include "bindings/pool_args.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/config.h"

namespace konv {

namespace {

constexpr int64_t kMaxExtent = INT32_MAX;

// What an axis has where its dimension does not exist.
void set_trivial(PoolProblem& p, int i) {
  p.kernel[i] = p.stride[i] = p.dilation[i] = 1;
  p.pad[i] = p.pad_after[i] = 0;
  p.adaptive[i] = false;
}

void check_padding(const PoolProblem& p, int i, PoolConvention convention) {
  const int64_t pad = std::max(p.pad[i], p.pad_after[i]);
  const bool torch = convention == PoolConvention::torch;
  if (pad > (torch ? p.kernel[i] / 2 : p.kernel[i] - 1))
    value_error("padding: expected %s kernel_size (%lld), got %lld", torch ? "at most half of" : "less than",
                Wide(p.kernel[i]), Wide(pad));
}

}  // namespace

PoolConvention pool_convention_arg(PyObject* object) {
  if (!PyUnicode_Check(object)) type_error("convention: expected a string, got %s", Py_TYPE(object)->tp_name);
  if (is_string(object, "torch")) return PoolConvention::torch;
  if (is_string(object, "onnx")) return PoolConvention::onnx;
  if (is_string(object, "tf")) return PoolConvention::tf;
  value_error("convention: expected 'torch', 'onnx' or 'tf', got %R", object);
}

PoolProblem pool_problem_of(DType dtype, PyObject* threads, PyObject* max_workspace) {
  const Config c = config();
  PoolProblem p{};
  p.dtype = dtype;
  p.isa = c.isa;
  p.keep_denormals = c.keep_denormals;
  p.threads = threads_arg(threads);
  p.max_workspace = max_workspace ? max_workspace_arg(max_workspace) : c.max_workspace;
  for (int i = 0; i < 3; i++) set_trivial(p, i);
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

void set_windows_of(PoolProblem& p, const View& v) {
  std::copy_n(v.shape + 2, 3, p.out);
  std::copy_n(v.strides, 5, p.ys);
}

void set_windows(PoolProblem& p, int spatial, PyObject* kernel_size, PyObject* stride, PyObject* padding,
                 PyObject* ceil_mode, PoolConvention convention) {
  spatial_arg(kernel_size, "kernel_size", spatial, 1, p.kernel);
  if (stride == Py_None)
    std::copy_n(p.kernel, 3, p.stride);
  else
    spatial_arg(stride, "stride", spatial, 1, p.stride);
  int64_t extent[3];
  for (int i = 0; i < 3; i++) extent[i] = (p.kernel[i] - 1) * p.dilation[i] + 1;
  if (padding) padding_arg(padding, spatial).resolve(p.in, extent, p.stride, p.pad, p.pad_after);
  const bool ceil = bool_arg(ceil_mode, "ceil_mode");
  if (ceil && convention == PoolConvention::tf)
    value_error("ceil_mode: expected False with convention='tf', whose windows 'same' and 'valid' describe");
  for (int i = 0; i < 3; i++) {
    if (padding && !PyUnicode_Check(padding)) check_padding(p, i, convention);
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

void set_divisor(PoolProblem& p, PyObject* count_include_pad, PyObject* divisor_override, PoolConvention convention) {
  p.count_padding = bool_arg(count_include_pad, "count_include_pad") && convention != PoolConvention::tf;
  if (divisor_override == Py_None) return;
  p.divisor = double(int_arg(divisor_override, "divisor_override", INT32_MIN));
  if (p.divisor == 0) value_error("divisor_override: expected a number other than 0, got 0");
}

void set_power(PoolProblem& p, PyObject* norm_type) {
  p.power = number_arg(norm_type, "norm_type");
  if (!(p.power > 0) || std::isinf(p.power))
    value_error("norm_type: expected a positive finite number, got %R", norm_type);
  p.divisor = 1;
}

void set_parts(PoolProblem& p, const int64_t out[3]) {
  for (int i = 0; i < 3; i++) {
    p.out[i] = out[i];
    p.adaptive[i] = out[i] == 0 || p.in[i] % out[i] != 0;
    p.kernel[i] = out[i] == 0 ? p.in[i] : (p.in[i] + out[i] - 1) / out[i];
    p.stride[i] = p.adaptive[i] ? 1 : p.kernel[i];
  }
}

void output_size_arg(PyObject* object, int spatial, const int64_t in[3], int64_t out[3]) {
  const bool sequence = PyTuple_Check(object) || PyList_Check(object);
  Ref items(sequence ? PySequence_Tuple(object) : nullptr);
  if (sequence && !items.get()) throw PythonError();
  if (sequence && PyTuple_GET_SIZE(items.get()) != spatial)
    value_error("output_size: expected an integer, None or %d of them, got %R", spatial, object);
  for (int i = 0; i < 3; i++) {
    const int axis = i - (3 - spatial);
    out[i] = in[i];
    if (axis < 0) continue;
    PyObject* item = sequence ? PyTuple_GET_ITEM(items.get(), axis) : object;
    if (item != Py_None) out[i] = int_arg(item, "output_size", 0);
  }
}

void unpooled_size(PyObject* object, const PoolProblem& p, const Layout& layout, int64_t size[3]) {
  int64_t given[3];
  if (object != Py_None) {
    const bool sequence = PyTuple_Check(object) || PyList_Check(object);
    const bool whole = sequence && PySequence_Size(object) == layout.spatial + 2;
    if (whole) {
      const View all = size_arg(object, layout, "output_size");
      if (all.shape[0] != p.n || all.shape[1] != p.c)
        value_error("output_size: expected the batch and channels of input, %lld and %lld, got %R", Wide(p.n),
                    Wide(p.c), object);
      std::copy_n(all.shape + 2, 3, given);
    } else if (sequence)
      spatial_arg(object, "output_size", layout.spatial, 1, given);
    else
      type_error("output_size: expected a tuple of integers or None, got %R", object);
  }
  for (int i = 0; i < 3; i++) {
    size[i] = (p.out[i] - 1) * p.stride[i] + p.kernel[i] - 2 * p.pad[i];
    if (object != Py_None && i >= 3 - layout.spatial) {
      if (std::llabs(given[i] - size[i]) >= p.stride[i])
        value_error("output_size: expected sizes between %lld and %lld, these excluded, got %R",
                    Wide(size[i] - p.stride[i]), Wide(size[i] + p.stride[i]), object);
      size[i] = given[i];
    }
    if (size[i] < 1 || size[i] > INT32_MAX)
      value_error("kernel_size: windows of %lld, %lld apart with padding %lld, make %lld elements of %lld",
                  Wide(p.kernel[i]), Wide(p.stride[i]), Wide(p.pad[i]), Wide(size[i]), Wide(p.out[i]));
  }
}

void check_places(const PoolProblem& p) {
  const auto reach = [&](int i) { return double(std::min((p.kernel[i] - 1) * p.dilation[i] + 1, p.in[i] - 1)); };
  const double last = (reach(0) * double(p.in[1]) + reach(1) + 1) * double(p.in[2]);
  const bool wide = p.dtype == DType::f64 || p.dtype == DType::i64;
  if (!wide && last > double(INT32_MAX))
    value_error("return_indices: the rows of one window hold %lld elements, more than 2^31 - 1", Wide(last));
}

void check_indices(const PoolProblem& p, const int64_t* index, const char* where) {
  int64_t outside = 0;
  bool valid = true;
  if (p.n > 0) {
    ReleaseGil release(is_large(p));
    valid = pool_indices_inside(p, index, outside);
  }
  if (!valid)
    value_error("indices: expected values from 0 to %lld, the last element of %s; got %lld",
                Wide(p.in[0] * p.in[1] * p.in[2] - 1), where, Wide(outside));
}

PoolShape windows_shape(const PoolProblem& p) { return {{p.n, p.c, p.out[0], p.out[1], p.out[2]}}; }

void check_shape(const Array& array, const View& view, const PoolShape& expected, bool batched, const Layout& layout,
                 const char* name) {
  if (view.batched != batched || !std::equal(expected.sizes, expected.sizes + 5, view.shape))
    value_error("%s: expected shape %s, got %s", name, view_text(expected.sizes, layout, batched).c_str(),
                shape_text(array.ndim, array.shape).c_str());
}

Ref pool_result(PyObject* out, DType dtype, const int64_t shape[5], const Layout& layout, const View& like,
                std::initializer_list<PyObject*> inputs) {
  if (out != Py_None) return out_arg(out, dtype, shape, layout, like.batched, inputs);
  return new_array(dtype, shape, layout, like.batched, !layout.channels_last && is_channels_last_memory(like));
}

}  // namespace konv
