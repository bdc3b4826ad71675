// konv.grad.activation: contiguous arrays in, the result into an array that the caller owns (`out` may be an input).
#include "bindings/activation_gradient.h"

#include <algorithm>

#include "bindings/conv_args.h"
#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kRun = 1 << 14;  // elements of a task

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

template <class T>
void run(const ConvProblem& p, const Array& grad, const Array& x, const Array& out, int64_t threads) {
  const auto& kernel = kernels<T>(Isa(config().isa));
  const int64_t n = PyArray_SIZE(x.object);
  const bool flush = !config().keep_denormals;
  ReleaseGil release(n > 50000);
  FlushDenormals guard(flush);
  parallel_for((n + kRun - 1) / kRun, n >= 4 * kRun ? int(threads) : 1, [&](int64_t task, int) {
    const int64_t i = task * kRun;
    kernel.activation_grad({static_cast<const T*>(x.data) + i, static_cast<const T*>(grad.data) + i,
                            static_cast<T*>(out.data) + i, std::min(kRun, n - i), p.activation,
                            T(p.activation_parameter)});
  });
}

// activation, grad_output, preactivation, out, threads
PyObject* activation_grad(PyObject* const* a) {
  ConvProblem p{};
  activation_arg(a[0], p);
  const Array grad = contiguous_arg(a[1], "grad_output"), x = like_arg(a[2], "preactivation", grad);
  const Array out = like_arg(a[3], "out", grad);
  if (!PyArray_ISWRITEABLE(out.object)) value_error("out: expected a writable array");
  const int64_t threads = threads_arg(a[4]);
  x.dtype == DType::f32 ? run<float>(p, grad, x, out, threads) : run<double>(p, grad, x, out, threads);
  Py_INCREF(Py_None);
  return Py_None;
}

}  // namespace

PyMethodDef activation_gradient_methods[] = {entry<5, activation_grad, "activation_grad">(),
                                             {nullptr, nullptr, 0, nullptr}};

}  // namespace konv
