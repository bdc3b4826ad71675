#include "bindings/conv_int.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "bindings/conv_args.h"
#include "conv/conv.h"
#include "conv/requantize.h"
#include "core/buffer.h"
#include "core/config.h"

namespace konv {

namespace {

constexpr DTypeSet kBytes = set_of({DType::i8, DType::u8});
constexpr DTypeSet kIntegers = kBytes | set_of({DType::i16, DType::i32, DType::i64});

int64_t lowest(DType t) { return t == DType::i8 ? -128 : 0; }

bool is_number(PyObject* object) {
  return PyLong_Check(object) || PyFloat_Check(object) || PyArray_IsScalar(object, Generic);
}

// The one value of an array without or with one element, or the `count` of a vector, as doubles: all types fit.
std::vector<double> array_values(PyObject* object, const char* name, DTypeSet allowed, int64_t count) {
  const Array a = array_arg(object, name, allowed);
  const int64_t size = PyArray_SIZE(a.object);
  if (a.ndim > 1 || (size != 1 && size != count))
    value_error("%s: expected one value%s, got shape %s", name, count > 1 ? " or one an output channel" : "",
                shape_text(a.ndim, a.shape).c_str());
  Ref doubles(PyArray_FROMANY(object, NPY_DOUBLE, 0, 1, NPY_ARRAY_CARRAY | NPY_ARRAY_FORCECAST));
  if (!doubles.get()) throw PythonError();
  const double* data = static_cast<const double*>(PyArray_DATA(doubles.array()));
  return std::vector<double>(data, data + size);
}

// One zero point, or one for each of `count` channels, of an array of type `dtype`.
std::vector<int32_t> zero_points(PyObject* object, const char* name, DType dtype, const char* of, int64_t count) {
  std::vector<double> values;
  if (is_number(object)) {
    if (PyBool_Check(object) || !PyIndex_Check(object)) type_error("%s: expected an integer, got %R", name, object);
    values.push_back(PyFloat_AsDouble(object));
    if (PyErr_Occurred()) PyErr_Clear(), values[0] = INFINITY;  // too large
  } else {
    values = array_values(object, name, kIntegers, count);
  }
  std::vector<int32_t> r;
  for (double v : values) {
    if (!(v >= double(lowest(dtype)) && v <= double(lowest(dtype) + 255)))
      value_error("%s: expected integers from %lld to %lld, as %s is %s, got %R", name, Wide(lowest(dtype)),
                  Wide(lowest(dtype) + 255), of, dtype_text(dtype), object);
    r.push_back(int32_t(v));
  }
  return r;
}

std::vector<float> scales(PyObject* object, const char* name, int64_t count) {
  std::vector<double> values;
  if (is_number(object)) {
    values.push_back(number_arg(object, name));
  } else {
    values = array_values(object, name, kWideFloats | set_of({DType::f16}), count);
  }
  std::vector<float> r;
  for (double v : values) {
    if (!(std::isfinite(float(v)) && float(v) > 0))
      value_error("%s: expected positive finite float32 numbers, got %R", name, object);
    r.push_back(float(v));
  }
  return r;
}

// A quantised problem, but for where its result goes.
struct Quantised {
  ConvProblem problem;
  Common common;
  Array x, w;
  View xv;
  Ref bias;
  int32_t x_zero;
  std::vector<int32_t> w_zero;  // one for each output channel, or empty: zeros

  ConvTensors tensors(void* y) const {
    return {x.data,
            w.data,
            y,
            problem.has_bias ? PyArray_DATA(bias.array()) : nullptr,
            nullptr,
            x_zero,
            w_zero.empty() ? nullptr : w_zero.data()};
  }
};

// Whether weights less their zero points are sure to fit a byte.
WeightRange range_of(DType dtype, const std::vector<int32_t>& zero) {
  const auto all = [&](int32_t value) {
    return std::all_of(zero.begin(), zero.end(), [=](int32_t z) { return z == value; });
  };
  if (all(dtype == DType::i8 ? 0 : 128)) return WeightRange::int8;
  return all(dtype == DType::i8 ? -128 : 0) ? WeightRange::uint8 : WeightRange::wide;
}

struct QuantisedArgs {
  PyObject *input, *weight, *bias, *input_zero_point, *weight_zero_point;
};
void quantised_args(Quantised& q, Common common, const QuantisedArgs& a) {
  q.x = array_arg(a.input, "input", kBytes);
  q.w = array_arg(a.weight, "weight", kBytes);
  q.common = common;
  q.xv = view_of(q.x, common.layout, "input");
  const View wv = weight_view(q.w, common.layout.spatial);
  ConvProblem& p = q.problem;
  p = problem_of(common, Direction::forward, q.x.dtype);
  p.weight_dtype = q.w.dtype;
  p.autotune = 0;  // the algorithms differ too much to be worth timing
  set_operands(p, common, q.xv, wv);
  geometry(p, common);
  q.bias = bias_arg(a.bias, p);
  q.x_zero = zero_points(a.input_zero_point, "input_zero_point", p.dtype, "input", 1)[0];
  q.w_zero = zero_points(a.weight_zero_point, "weight_zero_point", p.weight_dtype, "weight", p.k);
  p.weight_range = range_of(p.weight_dtype, q.w_zero);
  if (std::all_of(q.w_zero.begin(), q.w_zero.end(), [](int32_t z) { return z == 0; })) q.w_zero.clear();
  if (q.w_zero.size() == 1) q.w_zero.resize(size_t(p.k), q.w_zero[0]);
}

}  // namespace

PyObject* conv_int(int spatial, PyObject* const* a) {
  Quantised q;
  quantised_args(q, common_args(spatial, a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[13], a[14]),
                 {a[0], a[1], a[2], a[3], a[4]});
  Result result = result_args(q.problem, q.common.layout, q.xv, a[12], Py_None, {a[0], a[1], a[2], a[3], a[4]});
  if (!is_empty(q.problem)) {
    ReleaseGil release(q.problem.flops() > kTinyFlops);
    run_conv(q.problem, q.tensors(PyArray_DATA(result.out.array())));
  }
  return result.out.release();
}

namespace {

// An integer without a type of bytes leaves the choice to the input.
DType output_dtype(PyObject* zero_point, DType input) {
  PyArray_Descr* descr = nullptr;
  if (PyArray_Check(zero_point))
    descr = PyArray_DESCR(reinterpret_cast<PyArrayObject*>(zero_point)), Py_INCREF(descr);
  else if (PyArray_IsScalar(zero_point, Generic))
    descr = PyArray_DescrFromScalar(zero_point);
  const int type = descr ? descr->type_num : -1;
  Py_XDECREF(descr);
  return type == NPY_INT8 ? DType::i8 : type == NPY_UINT8 ? DType::u8 : input;
}

// Some images at a time, so that their sums stay within the workspace.
void run_qlinear(const Quantised& q, Requantize r, int32_t* sums, int64_t images) {
  ConvProblem p = q.problem;
  if (images == p.n) {
    run_conv(p, q.tensors(sums));
    return requantize(r, p.isa, int(p.threads));
  }
  p.weights_ready = 1;
  AlignedBuffer packed;
  std::shared_ptr<const ConvPlan> plan;
  for (int64_t n = 0; n < q.problem.n; n += images) {
    ConvTensors t = q.tensors(sums);
    t.x = static_cast<char*>(t.x) + n * p.xs[0];
    p.n = r.shape[0] = std::min(images, q.problem.n - n);
    if (const std::shared_ptr<const ConvPlan> found = find_plan(p); found != plan) {
      plan = found;
      packed = AlignedBuffer(plan->prepared_bytes);
      prepare_plan(*plan, t, packed.data());
    }
    run_plan(*plan, t, packed.data());
    requantize(r, p.isa, int(p.threads));
    r.out += p.n * r.out_strides[0];
  }
}

// input, input_scale, input_zero_point, weight, weight_scale, weight_zero_point, output_scale, output_zero_point, bias,
// stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
PyObject* qlinear(int spatial, PyObject* const* a) {
  Quantised q;
  quantised_args(q, common_args(spatial, a[9], a[10], a[11], a[12], a[13], a[14], a[15], a[17], a[18]),
                 {a[0], a[3], a[8], a[2], a[5]});
  ConvProblem& p = q.problem;
  const float x_scale = scales(a[1], "input_scale", 1)[0], y_scale = scales(a[6], "output_scale", 1)[0];
  std::vector<float> scale = scales(a[4], "weight_scale", p.k);
  scale.resize(size_t(p.k), scale[0]);
  for (float& s : scale) {
    s = x_scale * s / y_scale;
    if (!std::isfinite(s)) value_error("output_scale: input_scale * weight_scale / output_scale overflows float32");
  }
  Requantize r{};
  r.dtype = output_dtype(a[7], p.dtype);
  r.zero = zero_points(a[7], "output_zero_point", r.dtype, "the output", 1)[0];
  r.scale = scale.data();
  const Layout& layout = q.common.layout;
  const int64_t shape[5] = {p.n, p.c == 0 ? 0 : p.k, p.out[0], p.out[1], p.out[2]};
  const bool last = layout.channels_last || is_channels_last_memory(q.xv);
  Ref out = a[16] == Py_None
                ? new_array(r.dtype, shape, layout, q.xv.batched, !layout.channels_last && last)
                : out_arg(a[16], r.dtype, shape, layout, q.xv.batched, {a[0], a[1], a[2], a[3], a[4], a[5], a[8]});
  if (is_empty(p)) return out.release();
  std::copy_n(shape, 5, r.shape);
  r.out = static_cast<uint8_t*>(PyArray_DATA(out.array()));
  strides_of(out.array(), layout, q.xv.batched, r.out_strides);
  const int64_t image = p.k * p.out_pixels();
  const int64_t images = std::clamp(p.max_workspace * p.threads / (image * int64_t(sizeof(int32_t))), int64_t(1), p.n);
  const npy_intp size = npy_intp(images * image);
  const Ref sums = contiguous_array(1, &size, DType::i32);
  contiguous_strides(shape, last, p.ys);
  std::copy_n(p.ys, 5, r.sum_strides);
  r.sums = static_cast<const int32_t*>(PyArray_DATA(sums.array()));
  {
    ReleaseGil release(p.flops() > kTinyFlops);
    run_qlinear(q, r, static_cast<int32_t*>(PyArray_DATA(sums.array())), images);
  }
  return out.release();
}

PyObject* conv1d_int(PyObject* const* a) { return conv_int(1, a); }
PyObject* conv2d_int(PyObject* const* a) { return conv_int(2, a); }
PyObject* conv3d_int(PyObject* const* a) { return conv_int(3, a); }
PyObject* conv2d_qlinear(PyObject* const* a) { return qlinear(2, a); }

}  // namespace

PyMethodDef conv_int_methods[] = {entry<15, conv1d_int, "conv1d_int">(),
                                  entry<15, conv2d_int, "conv2d_int">(),
                                  entry<15, conv3d_int, "conv3d_int">(),
                                  entry<19, conv2d_qlinear, "conv2d_qlinear">(),
                                  {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
