// From Python objects to checked values. Every function throws PythonError, with the Python exception set, for what it
// does not accept; messages name the argument, the value and what was expected.
//
// Calls of a few microseconds arrive here, so the NumPy C API is used directly.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PY_ARRAY_UNIQUE_SYMBOL konv_numpy_api
#ifndef KONV_IMPORT_NUMPY
#  define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <stdexcept>
#include <string>

#include "core/problem.h"

namespace konv {

using Wide = long long;  // what messages' %lld is for

bool import_numpy();  // false with the exception set

struct PythonError {};  // the exception is set
struct Delegate {};     // some argument is an array of another library, or complex: konv._interop can help

[[noreturn]] void value_error(const char* format, ...);
[[noreturn]] void type_error(const char* format, ...);

// Owns one reference.
class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* object) : object_(object) {}
  Ref(Ref&& o) noexcept : object_(o.object_) { o.object_ = nullptr; }
  Ref& operator=(Ref&& o) noexcept {
    std::swap(object_, o.object_);
    return *this;
  }
  Ref(const Ref&) = delete;
  ~Ref() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }
  PyArrayObject* array() const { return reinterpret_cast<PyArrayObject*>(object_); }
  PyObject* release() {
    PyObject* o = object_;
    object_ = nullptr;
    return o;
  }

 private:
  PyObject* object_ = nullptr;
};

// A set of DTypes.
using DTypeSet = unsigned;
constexpr DTypeSet set_of(std::initializer_list<DType> types) {
  DTypeSet set = 0;
  for (DType t : types) set |= 1u << unsigned(t);
  return set;
}
constexpr DTypeSet kWideFloats = set_of({DType::f32, DType::f64});
constexpr DTypeSet kFloats = kWideFloats | set_of({DType::f16, DType::bf16});
constexpr DTypeSet kComplex = 1u << 31;  // which konv._complex computes by parts

// An array that kernels may read: aligned, native byte order, strides in whole elements. Of NumPy, or, where `object`
// is null, of a device.
struct Array {
  PyArrayObject* object;
  DType dtype;
  int ndim;
  void* data;
  const npy_intp *shape, *strides;  // in elements and in bytes
  int64_t stride(int axis) const { return strides[axis] / dtype_size(dtype); }
};
// Throws Delegate for what is no NumPy array but can become one.
Array array_arg(PyObject* object, const char* name, DTypeSet allowed = kWideFloats);
Array index_array_arg(PyObject* object, const char* name);  // int64
std::string shape_text(int ndim, const npy_intp* shape);
const char* dtype_text(DType dtype);
int type_number(DType dtype);  // NumPy's
void same_dtype(const Array& a, const char* name, DType expected, const char* like);

// Channels-first or channels-last arrays of `spatial` dimensions, batched or not, as (n, c, d, h, w).
struct View {
  int64_t shape[5], strides[5];
  bool batched;
};
constexpr int64_t kOpen = -1;  // a size that is not known yet
struct Layout {
  int spatial;
  bool channels_last;
  // Position in the array of canonical axis i (n, c, d, h, w), or -1 where the array has none.
  int position(int i, bool batched) const;
};
Layout layout_arg(PyObject* object, int spatial);
// How many spatial dimensions a layout has by the number of its letters, or 0 where no layout has so many.
int named_dimensions(PyObject* layout);
View view_of(const Array& array, const Layout& layout, const char* name);
// A size given as a tuple, in the order of the layout.
View size_arg(PyObject* object, const Layout& layout, const char* name);
// The same with None, which becomes kOpen, for any size but that of the channels.
View open_size_arg(PyObject* object, const Layout& layout, const char* name);
// A shape as Python writes it, kOpen as None.
std::string view_text(const int64_t shape[5], const Layout& layout, bool batched);
void strides_of(PyArrayObject* array, const Layout& layout, bool batched, int64_t strides[5]);

// An integer in [low, 2^31); bool and float are refused.
int64_t int_arg(PyObject* object, const char* name, int64_t low);
// A finite number, NaN, or infinity for what no double holds.
double number_arg(PyObject* object, const char* name);
// One integer, or one for each spatial dimension; fills the last `spatial` of three and leaves 1 before them.
void spatial_arg(PyObject* object, const char* name, int spatial, int64_t low, int64_t value[3]);
// Elements before and after the input along each axis, or the rule that says how many.
struct Padding {
  enum Rule { given, same, same_lower, causal } rule = given;
  int64_t before[3] = {}, after[3] = {};
  // `extent`: the elements that a kernel spans.
  void resolve(const int64_t in[3], const int64_t extent[3], const int64_t stride[3], int64_t to_before[3],
               int64_t to_after[3]) const;
};
// A number, one a dimension, (before, after) pairs, or a rule by name: "causal" where `causal` allows it.
Padding padding_arg(PyObject* object, int spatial, bool causal = false);
bool is_string(PyObject* object, const char* text);
bool bool_arg(PyObject* object, const char* name);
int64_t threads_arg(PyObject* object);        // None: the configuration's
int64_t max_workspace_arg(PyObject* object);  // None: the configuration's

// Allocates a contiguous array. NumPy's own large arrays lie 16 bytes past a line, where every vector takes two
// accesses.
Ref contiguous_array(int n, const npy_intp* dims, DType dtype);
// Allocates an array for `shape`; `channels_last_memory` keeps channels innermost in memory under a channels-first
// shape, as PyTorch's channels_last does.
Ref new_array(DType dtype, const int64_t shape[5], const Layout& layout, bool batched, bool channels_last_memory);
// Whether a channels-first array has channels innermost in memory.
bool is_channels_last_memory(const View& view);
// Whether some element of the two lies in the same memory; false where `input` is no array.
bool share_memory(PyArrayObject* out, PyObject* input);
// Checks that `out` may be written: no overlap with itself or with the inputs.
void check_out_memory(const Array& out, std::initializer_list<PyObject*> inputs);
// Checks the caller's `out`: type, shape, and its memory.
Ref out_arg(PyObject* object, DType dtype, const int64_t shape[5], const Layout& layout, bool batched,
            std::initializer_list<PyObject*> inputs);

// Calls `function` again by way of konv._interop, which turns arrays of other libraries into NumPy's and the result
// back.
PyObject* delegate(PyObject* function, PyObject* const* args, size_t nargsf, PyObject* names);

// Runs `f`, which returns a new reference, turning C++ exceptions into Python's.
template <class F>
PyObject* guarded(F&& f) {
  try {
    return f();
  } catch (const PythonError&) {
  } catch (const std::invalid_argument& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
  return nullptr;
}

// A function of the module that takes exactly Count arguments by position: the Python layer passes them all.
template <size_t N>
struct MethodName {
  char text[N];
  constexpr MethodName(const char (&s)[N]) { std::copy_n(s, N, text); }
};
template <Py_ssize_t Count, PyObject* (*Call)(PyObject* const*), MethodName Name>
PyObject* method(PyObject* module, PyObject* const* args, Py_ssize_t count) {
  if (count != Count) {
    PyErr_Format(PyExc_TypeError, "expected %zd positional arguments, got %zd", Count, count);
    return nullptr;
  }
  return guarded([&] {
    try {
      return Call(args);
    } catch (const Delegate&) {
    }
    Ref function(PyObject_GetAttrString(module, Name.text));
    if (!function.get()) throw PythonError();
    return delegate(function.get(), args, size_t(count), nullptr);
  });
}
template <Py_ssize_t Count, PyObject* (*Call)(PyObject* const*), MethodName Name>
constexpr PyMethodDef entry() {
  return {Name.text, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&method<Count, Call, Name>)),
          METH_FASTCALL, nullptr};
}

// Lets other Python threads run while a problem of some size is computed.
class ReleaseGil {
 public:
  explicit ReleaseGil(bool release) : state_(release ? PyEval_SaveThread() : nullptr) {}
  ~ReleaseGil() {
    if (state_) PyEval_RestoreThread(state_);
  }
  ReleaseGil(const ReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace konv
