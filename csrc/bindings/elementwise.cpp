// The calls behind konv.nn: contiguous arrays in, results into arrays that the caller owns (`out` may be an input).
//
// Work is cut into runs whose length is fixed, never by the number of threads, so results do not depend on it.
#include "bindings/elementwise.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "bindings/conv_args.h"
#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kRun = 1 << 14;  // elements

Array contiguous_arg(PyObject* object, const char* name) {
  const Array a = array_arg(object, name);
  if (!PyArray_IS_C_CONTIGUOUS(a.object)) value_error("%s: expected a C-contiguous array", name);
  return a;
}

// An array of the same dtype and shape as `like`.
Array like_arg(PyObject* object, const char* name, const Array& like) {
  const Array a = contiguous_arg(object, name);
  if (a.dtype != like.dtype)
    type_error("%s: expected dtype %s, got %s", name, dtype_text(like.dtype), dtype_text(a.dtype));
  if (a.ndim != like.ndim || !std::equal(a.shape, a.shape + a.ndim, like.shape))
    value_error("%s: expected shape %s, got %s", name, shape_text(like.ndim, like.shape).c_str(),
                shape_text(a.ndim, a.shape).c_str());
  return a;
}

Array written(const Array& a, const char* name) {
  if (!PyArray_ISWRITEABLE(a.object)) value_error("%s: expected a writable array", name);
  return a;
}

double number_arg(PyObject* object, const char* name) {
  const double v = PyFloat_AsDouble(object);
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    type_error("%s: expected a number, got %R", name, object);
  }
  return v;
}

int64_t size_of(const Array& a) { return int64_t(PyArray_SIZE(a.object)); }

// Calls f(first, count) for runs of `step` out of n, `width` elements each.
template <class F>
void in_runs(int64_t n, int64_t step, int64_t width, F f, int64_t threads = config().threads) {
  const bool flush = !config().keep_denormals;
  const int64_t elements = n * width;
  ReleaseGil release(elements > 50000);
  FlushDenormals guard(flush);
  parallel_for((n + step - 1) / step, elements >= 4 * kRun ? int(threads) : 1,
               [&](int64_t task, int) { f(task * step, std::min(step, n - task * step)); });
}

// Calls f(T{}) for the element type of an array.
template <class F>
void by_type(DType dtype, F f) {
  dtype == DType::f32 ? f(float{}) : f(double{});
}

template <class T>
T* data(const Array& a) {
  return static_cast<T*>(a.data);
}
template <class T>
const Kernels<T>& active() {
  return kernels<T>(Isa(config().isa));
}

PyObject* none() {
  Py_INCREF(Py_None);
  return Py_None;
}

// Arguments x, out: call(kernels, x, out, first, count) on runs, x and out at element `first`.
template <class F>
PyObject* map(PyObject* const* a, F call) {
  const Array x = contiguous_arg(a[0], "x"), out = written(like_arg(a[1], "out", x), "out");
  by_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& k = active<T>();
    in_runs(size_of(x), kRun, 1, [&](int64_t i, int64_t n) { call(k, data<T>(x) + i, data<T>(out) + i, i, n); });
  });
  return none();
}

// Arguments x, grad, out: call(kernels, x, grad, out, count) on runs.
template <class F>
PyObject* map_grad(PyObject* const* a, F call) {
  const Array x = contiguous_arg(a[0], "x"), grad = like_arg(a[1], "grad", x);
  const Array out = written(like_arg(a[2], "out", x), "out");
  by_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& k = active<T>();
    in_runs(size_of(x), kRun, 1,
            [&](int64_t i, int64_t n) { call(k, data<T>(x) + i, data<T>(grad) + i, data<T>(out) + i, n); });
  });
  return none();
}

PyObject* sigmoid(PyObject* const* a) {
  return map(a, [](const auto& k, auto* x, auto* out, int64_t, int64_t n) { k.sigmoid(x, out, n); });
}
PyObject* tanh(PyObject* const* a) {
  return map(a, [](const auto& k, auto* x, auto* out, int64_t, int64_t n) { k.tanh(x, out, n); });
}
// activation, grad_output, preactivation, out, threads
PyObject* activation_grad(PyObject* const* a) {
  ConvProblem p{};
  activation_arg(a[0], p);
  const Array grad = contiguous_arg(a[1], "grad_output"), x = like_arg(a[2], "preactivation", grad);
  const Array out = written(like_arg(a[3], "out", grad), "out");
  const int64_t threads = threads_arg(a[4]);
  by_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& k = active<T>();
    const auto run = [&](int64_t i, int64_t n) {
      k.activation_grad(
          {data<T>(x) + i, data<T>(grad) + i, data<T>(out) + i, n, p.activation, T(p.activation_parameter)});
    };
    in_runs(size_of(x), kRun, 1, run, threads);
  });
  return none();
}
PyObject* relu_grad(PyObject* const* a) {
  return map_grad(a, [](const auto& k, auto* y, auto* g, auto* out, int64_t n) { k.relu_grad(y, g, out, n); });
}
PyObject* sigmoid_grad(PyObject* const* a) {
  return map_grad(a, [](const auto& k, auto* y, auto* g, auto* out, int64_t n) { k.sigmoid_grad(y, g, out, n); });
}
PyObject* tanh_grad(PyObject* const* a) {
  return map_grad(a, [](const auto& k, auto* y, auto* g, auto* out, int64_t n) { k.tanh_grad(y, g, out, n); });
}

struct ClippedRelu {
  double slope, max, threshold;
};
ClippedRelu clipped_relu_arg(PyObject* const* a) {
  return {number_arg(a[0], "slope"), number_arg(a[1], "max"), number_arg(a[2], "threshold")};
}
// x, out, slope, max, threshold
PyObject* clipped_relu(PyObject* const* a) {
  const ClippedRelu c = clipped_relu_arg(a + 2);
  return map(a, [c](const auto& k, auto* x, auto* out, int64_t, int64_t n) {
    k.clipped_relu(x, out, n, c.slope, c.max, c.threshold);
  });
}
// x, grad, out, slope, max, threshold
PyObject* clipped_relu_grad(PyObject* const* a) {
  const ClippedRelu c = clipped_relu_arg(a + 3);
  return map_grad(a, [c](const auto& k, auto* x, auto* g, auto* out, int64_t n) {
    k.clipped_relu_grad(x, g, out, n, c.slope, c.max, c.threshold);
  });
}

// An array as rows of its last axis.
struct Rows {
  int64_t count, length, a_run;
};
Rows rows_of(const Array& x, const char* name) {
  const int64_t length = x.ndim ? x.shape[x.ndim - 1] : 0;
  if (length < 1)
    value_error("%s: expected a last axis of at least one element, got shape %s", name,
                shape_text(x.ndim, x.shape).c_str());
  return {size_of(x) / length, length, std::max<int64_t>(1, kRun / length)};
}

// x, out
PyObject* softmax(PyObject* const* a) {
  const Array x = contiguous_arg(a[0], "x"), out = written(like_arg(a[1], "out", x), "out");
  const Rows rows = rows_of(x, "x");
  by_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& k = active<T>();
    in_runs(rows.count, rows.a_run, rows.length, [&](int64_t i, int64_t n) {
      k.softmax(data<T>(x) + i * rows.length, data<T>(out) + i * rows.length, n, rows.length);
    });
  });
  return none();
}

// y, grad, out
PyObject* softmax_grad(PyObject* const* a) {
  const Array y = contiguous_arg(a[0], "y"), grad = like_arg(a[1], "grad", y);
  const Array out = written(like_arg(a[2], "out", y), "out");
  const Rows rows = rows_of(y, "y");
  by_type(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& k = active<T>();
    in_runs(rows.count, rows.a_run, rows.length, [&](int64_t i, int64_t n) {
      const int64_t first = i * rows.length;
      k.softmax_grad(data<T>(y) + first, data<T>(grad) + first, data<T>(out) + first, n, rows.length);
    });
  });
  return none();
}

// logits (rows, classes), labels (rows,) int64 or (rows, classes), grad or None, scale; returns the sum of the losses
PyObject* softmax_cross_entropy(PyObject* const* a) {
  const Array x = contiguous_arg(a[0], "logits");
  if (x.ndim != 2) value_error("logits: expected 2 dimensions, got shape %s", shape_text(x.ndim, x.shape).c_str());
  const Rows rows = rows_of(x, "logits");
  const double scale = number_arg(a[3], "scale");
  if (!PyArray_Check(a[1])) type_error("labels: expected a numpy.ndarray, got %s", Py_TYPE(a[1])->tp_name);
  const bool sparse = PyArray_ISINTEGER(reinterpret_cast<PyArrayObject*>(a[1]));
  const Array labels = sparse ? index_array_arg(a[1], "labels") : like_arg(a[1], "labels", x);
  std::vector<int64_t> classes;  // a copy: once checked they must not change
  if (sparse) {
    if (labels.ndim != 1 || labels.shape[0] != rows.count || !PyArray_IS_C_CONTIGUOUS(labels.object))
      value_error("labels: expected a contiguous array of shape (%lld,), got %s", Wide(rows.count),
                  shape_text(labels.ndim, labels.shape).c_str());
    classes.assign(data<const int64_t>(labels), data<const int64_t>(labels) + rows.count);
    for (const int64_t v : classes)
      if (v < 0 || v >= rows.length)
        value_error("labels: expected classes from 0 to %lld, got %lld", Wide(rows.length - 1), Wide(v));
  }
  const bool wants_grad = a[2] != Py_None;
  const Array grad = wants_grad ? written(like_arg(a[2], "grad", x), "grad") : x;
  if (wants_grad && grad.data == x.data) value_error("grad: expected memory that logits do not share");
  double total = 0;
  by_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& k = active<T>();
    std::unique_ptr<T[]> scratch(wants_grad ? nullptr : new T[size_t(size_of(x))]);
    std::vector<CrossEntropyRow> loss(static_cast<size_t>(rows.count));
    in_runs(rows.count, rows.a_run, rows.length, [&](int64_t i, int64_t n) {
      const int64_t first = i * rows.length;
      k.softmax_cross_entropy(
          {data<T>(x) + first, sparse ? classes.data() + i : nullptr, sparse ? nullptr : data<T>(labels) + first,
           (wants_grad ? data<T>(grad) : scratch.get()) + first, T(scale), n, rows.length, loss.data() + i});
    });
    for (const CrossEntropyRow& row : loss) total += row.weight * std::log(row.sum) + row.rest;
  });
  return PyFloat_FromDouble(total);
}

// x, out, rate, seed
PyObject* dropout(PyObject* const* a) {
  const double rate = number_arg(a[2], "rate");
  if (!(rate >= 0 && rate <= 1)) value_error("rate: expected a number from 0 to 1, got %R", a[2]);
  const uint64_t seed = PyLong_AsUnsignedLongLong(a[3]);
  if (PyErr_Occurred()) throw PythonError();
  const double threshold = std::min(rate * 4294967296.0, 4294967295.0);
  return map(a, [=](const auto& k, auto* x, auto* out, int64_t first, int64_t n) {
    if (rate == 1)
      std::fill_n(out, n, 0);
    else
      k.dropout(x, out, n, first, seed, uint32_t(threshold), 1 / (1 - rate));
  });
}

// value, grad, mean, square, rate, beta_1, beta_2, epsilon
PyObject* adam_step(PyObject* const* a) {
  const Array value = written(contiguous_arg(a[0], "value"), "value"), grad = like_arg(a[1], "grad", value);
  const Array mean = written(like_arg(a[2], "mean", value), "mean");
  const Array square = written(like_arg(a[3], "square", value), "square");
  const double rate = number_arg(a[4], "rate"), beta_1 = number_arg(a[5], "beta_1");
  const double beta_2 = number_arg(a[6], "beta_2"), epsilon = number_arg(a[7], "epsilon");
  by_type(value.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& k = active<T>();
    const AdamStep<T> step{data<T>(value), data<T>(grad), data<T>(mean), data<T>(square),
                           T(rate),        T(1 - beta_1), T(1 - beta_2), T(epsilon)};
    in_runs(size_of(value), kRun, 1, [&](int64_t i, int64_t n) { k.adam_step(step, i, n); });
  });
  return none();
}

// value, grad, velocity or None, rate, momentum, nesterov
PyObject* sgd_step(PyObject* const* a) {
  const Array value = written(contiguous_arg(a[0], "value"), "value"), grad = like_arg(a[1], "grad", value);
  const bool has_velocity = a[2] != Py_None;
  const Array velocity = has_velocity ? written(like_arg(a[2], "velocity", value), "velocity") : value;
  const double rate = number_arg(a[3], "rate"), momentum = number_arg(a[4], "momentum");
  const bool nesterov = bool_arg(a[5], "nesterov");
  by_type(value.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto& k = active<T>();
    const SgdStep<T> step{data<T>(value), data<T>(grad), has_velocity ? data<T>(velocity) : nullptr,
                          T(rate),        T(momentum),   nesterov};
    in_runs(size_of(value), kRun, 1, [&](int64_t i, int64_t n) { k.sgd_step(step, i, n); });
  });
  return none();
}

}  // namespace

PyMethodDef elementwise_methods[] = {entry<5, activation_grad, "activation_grad">(),
                                     entry<2, sigmoid, "sigmoid">(),
                                     entry<3, sigmoid_grad, "sigmoid_grad">(),
                                     entry<2, tanh, "tanh">(),
                                     entry<3, tanh_grad, "tanh_grad">(),
                                     entry<3, relu_grad, "relu_grad">(),
                                     entry<5, clipped_relu, "clipped_relu">(),
                                     entry<6, clipped_relu_grad, "clipped_relu_grad">(),
                                     entry<2, softmax, "softmax">(),
                                     entry<3, softmax_grad, "softmax_grad">(),
                                     entry<4, softmax_cross_entropy, "softmax_cross_entropy">(),
                                     entry<4, dropout, "dropout">(),
                                     entry<8, adam_step, "adam_step">(),
                                     entry<6, sgd_step, "sgd_step">(),
                                     {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
