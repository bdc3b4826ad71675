#define KONV_IMPORT_NUMPY
#include "bindings/args.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdlib>
#include <vector>

#include "bindings/result_memory.h"
#include "core/config.h"

namespace konv {

namespace {

void give_back(PyObject* capsule) {
  give_result_memory(static_cast<char*>(PyCapsule_GetPointer(capsule, nullptr)),
                     int64_t(reinterpret_cast<intptr_t>(PyCapsule_GetContext(capsule))));
}

void set_error(PyObject* type, const char* format, va_list args) {
  PyErr_FormatV(type, format, args);
  va_end(args);
}

std::string tuple_text(const std::string& joined, int count) { return "(" + joined + (count == 1 ? ",)" : ")"); }

bool has_attribute(PyObject* object, const char* name) { return PyObject_HasAttrString(object, name); }

Array checked_array(PyObject* object, const char* name) {
  if (!PyArray_Check(object)) {
    PyObject* requires_grad =
        has_attribute(object, "requires_grad") ? PyObject_GetAttrString(object, "requires_grad") : nullptr;
    const bool tracked = requires_grad && PyObject_IsTrue(requires_grad) == 1;
    Py_XDECREF(requires_grad);
    PyErr_Clear();
    if (tracked) type_error("%s: this tensor requires grad, which konv would lose; pass tensor.detach()", name);
    const bool shares = has_attribute(object, "__dlpack__") || has_attribute(object, "__array_interface__") ||
                        has_attribute(object, "__cuda_array_interface__");
    if (shares && !PyArray_IsScalar(object, Generic)) throw Delegate();
    type_error("%s: expected an array, got %s; numpy.asarray converts", name, Py_TYPE(object)->tp_name);
  }
  PyArrayObject* a = reinterpret_cast<PyArrayObject*>(object);
  return {a, DType::f32, PyArray_NDIM(a), PyArray_DATA(a), PyArray_DIMS(a), PyArray_STRIDES(a)};
}

void check_memory(const Array& a, const char* name) {
  if (!PyArray_ISNOTSWAPPED(a.object)) type_error("%s: expected native byte order", name);
  if (!PyArray_ISALIGNED(a.object)) value_error("%s: expected an aligned array; pass a copy", name);
  for (int i = 0; i < a.ndim; i++)
    if (a.shape[i] > 1 && PyArray_STRIDE(a.object, i) % PyArray_ITEMSIZE(a.object))
      value_error("%s: the stride of axis %d, %zd bytes, is not a multiple of the item size; pass a copy", name, i,
                  Py_ssize_t(PyArray_STRIDE(a.object, i)));
}

int bfloat16_type = -1;  // NumPy's number for ml_dtypes.bfloat16, once it is known

bool dtype_of(PyArrayObject* a, DType& dtype) {
  const int type = PyArray_TYPE(a);
  if (type == NPY_FLOAT) return dtype = DType::f32, true;
  if (type == NPY_DOUBLE) return dtype = DType::f64, true;
  if (type == NPY_HALF) return dtype = DType::f16, true;
  if (type == NPY_BOOL) return dtype = DType::boolean, true;
  if (PyArray_ISINTEGER(a)) {  // by size: two of C's types may be alike
    const npy_intp bytes = PyArray_ITEMSIZE(a);
    if (!PyArray_ISSIGNED(a)) return dtype = DType::u8, bytes == 1;
    return dtype = bytes == 1 ? DType::i8 : bytes == 2 ? DType::i16 : bytes == 4 ? DType::i32 : DType::i64, true;
  }
  if (bfloat16_type < 0 && PyTypeNum_ISUSERDEF(type)) {
    const std::string name = PyArray_DESCR(a)->typeobj->tp_name;
    if (name == "bfloat16" || name == "ml_dtypes.bfloat16") bfloat16_type = type;
  }
  return dtype = DType::bf16, bfloat16_type >= 0 && type == bfloat16_type;
}

// "float32, float64 or int8"
std::string set_text(DTypeSet set) {
  std::vector<std::string> names;
  for (int i = 0; i < kDTypes; i++)
    if (set >> i & 1) names.push_back(dtype_text(DType(i)));
  if (set & kComplex) names.insert(names.end(), {"complex64", "complex128"});
  std::string text;
  for (size_t i = 0; i < names.size(); i++) text += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + names[i];
  return text;
}

// Lowest and one past the highest byte of an array.
void bounds(PyArrayObject* a, const char*& low, const char*& high) {
  low = high = PyArray_BYTES(a);
  for (int i = 0; i < PyArray_NDIM(a); i++) {
    const npy_intp span = (PyArray_DIM(a, i) - 1) * PyArray_STRIDE(a, i);
    (span < 0 ? low : high) += span;
  }
  high += PyArray_ITEMSIZE(a);
}

bool overlaps_itself(PyArrayObject* a) {
  if (PyArray_SIZE(a) == 0) return false;
  std::pair<npy_intp, npy_intp> axes[NPY_MAXDIMS];
  int n = 0;
  for (int i = 0; i < PyArray_NDIM(a); i++)
    if (PyArray_DIM(a, i) > 1) axes[n++] = {std::llabs(PyArray_STRIDE(a, i)), PyArray_DIM(a, i)};
  std::sort(axes, axes + n);
  npy_intp extent = PyArray_ITEMSIZE(a);
  for (int i = 0; i < n; i++) {
    if (axes[i].first < extent) return true;
    extent += axes[i].first * (axes[i].second - 1);
  }
  return false;
}

// The items of a tuple or list, held while __index__ of one of them may change the list.
Ref as_tuple(PyObject* object) {
  Ref items(PySequence_Tuple(object));
  if (!items.get()) throw PythonError();
  return items;
}

}  // namespace

PyObject* delegate(PyObject* function, PyObject* const* args, size_t nargsf, PyObject* names) {
  Ref module(PyImport_ImportModule("konv._interop"));
  Ref call(module.get() ? PyObject_GetAttrString(module.get(), "call") : nullptr);
  if (!call.get()) throw PythonError();
  const size_t count = size_t(PyVectorcall_NARGS(nargsf)) + (names ? size_t(PyTuple_GET_SIZE(names)) : 0);
  std::vector<PyObject*> all{function};
  all.insert(all.end(), args, args + count);
  return PyObject_Vectorcall(call.get(), all.data(), size_t(PyVectorcall_NARGS(nargsf)) + 1, names);
}

bool import_numpy() { return _import_array() == 0; }

void value_error(const char* format, ...) {
  va_list args;
  va_start(args, format);
  set_error(PyExc_ValueError, format, args);
  throw PythonError();
}

void type_error(const char* format, ...) {
  va_list args;
  va_start(args, format);
  set_error(PyExc_TypeError, format, args);
  throw PythonError();
}

std::string shape_text(int ndim, const npy_intp* shape) {
  std::string s;
  for (int i = 0; i < ndim; i++) s += (i ? ", " : "") + (shape[i] == kOpen ? "None" : std::to_string(shape[i]));
  return tuple_text(s, ndim);
}

const char* dtype_text(DType dtype) {
  static constexpr const char* names[kDTypes] = {"float32", "float64", "float16", "bfloat16", "int8",
                                                 "uint8",   "int16",   "int32",   "int64",    "bool"};
  return names[int(dtype)];
}

int type_number(DType dtype) {
  if (dtype == DType::bf16 && bfloat16_type < 0) {
    Ref module(PyImport_ImportModule("ml_dtypes"));
    Ref type(module.get() ? PyObject_GetAttrString(module.get(), "bfloat16") : nullptr);
    PyArray_Descr* descr = type.get() ? PyArray_DescrFromTypeObject(type.get()) : nullptr;
    if (!descr) throw PythonError();
    bfloat16_type = descr->type_num;
    Py_DECREF(descr);
  }
  static constexpr int numbers[kDTypes] = {NPY_FLOAT, NPY_DOUBLE, NPY_HALF,  -1,        NPY_INT8,
                                           NPY_UINT8, NPY_INT16,  NPY_INT32, NPY_INT64, NPY_BOOL};
  return dtype == DType::bf16 ? bfloat16_type : numbers[int(dtype)];
}

void same_dtype(const Array& a, const char* name, DType expected, const char* like) {
  if (a.dtype != expected)
    type_error("%s: expected dtype %s like %s, got %s", name, dtype_text(expected), like, dtype_text(a.dtype));
}

Array array_arg(PyObject* object, const char* name, DTypeSet allowed) {
  Array a = checked_array(object, name);
  const int type = PyArray_TYPE(a.object);
  if ((allowed & kComplex) && (type == NPY_CFLOAT || type == NPY_CDOUBLE)) throw Delegate();
  if (!dtype_of(a.object, a.dtype) || !(allowed & set_of({a.dtype}))) {
    Ref text(PyObject_Str(reinterpret_cast<PyObject*>(PyArray_DESCR(a.object))));
    if (!text.get()) throw PythonError();
    type_error("%s: expected dtype %s, got %U", name, set_text(allowed).c_str(), text.get());
  }
  check_memory(a, name);
  return a;
}

Array index_array_arg(PyObject* object, const char* name) { return array_arg(object, name, set_of({DType::i64})); }

int Layout::position(int i, bool batched) const {
  const int lead = batched ? 1 : 0;
  if (i == 0) return batched ? 0 : -1;
  if (i == 1) return channels_last ? lead + spatial : lead;
  const int s = i - 2 - (3 - spatial);  // spatial axis, from the first that exists
  return s < 0 ? -1 : lead + s + (channels_last ? 0 : 1);
}

Layout layout_arg(PyObject* object, int spatial) {
  static const char* const first[] = {"NCW", "NCHW", "NCDHW"};
  static const char* const last[] = {"NWC", "NHWC", "NDHWC"};
  if (object == Py_None || is_string(object, first[spatial - 1])) return {spatial, false};
  if (is_string(object, last[spatial - 1])) return {spatial, true};
  if (!PyUnicode_Check(object)) type_error("layout: expected a string or None, got %s", Py_TYPE(object)->tp_name);
  value_error("layout: expected '%s', '%s' or None, got %R", first[spatial - 1], last[spatial - 1], object);
}

View view_of(const Array& a, const Layout& layout, const char* name) {
  View v;
  if (a.ndim != layout.spatial + 2 && a.ndim != layout.spatial + 1)
    value_error("%s: expected %d dimensions, or %d without a batch, got shape %s", name, layout.spatial + 2,
                layout.spatial + 1, shape_text(a.ndim, a.shape).c_str());
  v.batched = a.ndim == layout.spatial + 2;
  for (int i = 0; i < 5; i++) {
    const int p = layout.position(i, v.batched);
    v.shape[i] = p < 0 ? 1 : a.shape[p];
    v.strides[i] = p < 0 ? 0 : a.stride(p);
  }
  return v;
}

namespace {

View sizes(PyObject* object, const Layout& layout, const char* name, bool may_be_open) {
  if (!PyTuple_Check(object) && !PyList_Check(object))
    type_error("%s: expected a tuple of integers, got %s", name, Py_TYPE(object)->tp_name);
  const Ref items = as_tuple(object);
  const int n = int(PyTuple_GET_SIZE(items.get()));
  if (n != layout.spatial + 2 && n != layout.spatial + 1)
    value_error("%s: expected %d sizes, or %d without a batch, got %R", name, layout.spatial + 2, layout.spatial + 1,
                object);
  View v{};
  v.batched = n == layout.spatial + 2;
  for (int i = 0; i < 5; i++) {
    const int p = layout.position(i, v.batched);
    PyObject* item = p < 0 ? nullptr : PyTuple_GET_ITEM(items.get(), p);
    if (item == Py_None && may_be_open && i != 1)
      v.shape[i] = kOpen;
    else
      v.shape[i] = item ? int_arg(item, name, 0) : 1;
  }
  return v;
}

}  // namespace

View size_arg(PyObject* object, const Layout& layout, const char* name) { return sizes(object, layout, name, false); }
View open_size_arg(PyObject* object, const Layout& layout, const char* name) {
  return sizes(object, layout, name, true);
}

std::string view_text(const int64_t shape[5], const Layout& layout, bool batched) {
  npy_intp dims[5];
  const int n = layout.spatial + 1 + batched;
  for (int i = 0; i < 5; i++)
    if (int p = layout.position(i, batched); p >= 0) dims[p] = npy_intp(shape[i]);
  return shape_text(n, dims);
}

void strides_of(PyArrayObject* array, const Layout& layout, bool batched, int64_t strides[5]) {
  const int64_t item = PyArray_ITEMSIZE(array);
  for (int i = 0; i < 5; i++) {
    const int p = layout.position(i, batched);
    strides[i] = p < 0 ? 0 : PyArray_STRIDE(array, p) / item;
  }
}

int64_t int_arg(PyObject* object, const char* name, int64_t low) {
  if (PyBool_Check(object) || PyFloat_Check(object) || !PyIndex_Check(object))
    type_error("%s: expected an integer, got %R", name, object);
  int overflow = 0;
  Wide v;
  if (PyLong_Check(object)) {
    v = PyLong_AsLongLongAndOverflow(object, &overflow);
  } else {
    Ref index(PyNumber_Index(object));
    if (!index.get()) {  // an array of more than an integer, or an error of the caller's own __index__
      if (PyErr_ExceptionMatches(PyExc_TypeError)) type_error("%s: expected an integer, got %R", name, object);
      throw PythonError();
    }
    v = PyLong_AsLongLongAndOverflow(index.get(), &overflow);
  }
  if (overflow || v < low || v > INT32_MAX)
    value_error("%s: expected an integer from %lld to 2147483647, got %R", name, Wide(low), object);
  return v;
}

void spatial_arg(PyObject* object, const char* name, int spatial, int64_t low, int64_t value[3]) {
  for (int i = 0; i < 3; i++) value[i] = 1;
  if (PyTuple_Check(object) || PyList_Check(object)) {
    const Ref items = as_tuple(object);
    if (PyTuple_GET_SIZE(items.get()) != spatial)
      value_error("%s: expected an integer or %d of them, got %R", name, spatial, object);
    for (int i = 0; i < spatial; i++) value[3 - spatial + i] = int_arg(PyTuple_GET_ITEM(items.get(), i), name, low);
    return;
  }
  const int64_t v = int_arg(object, name, low);
  for (int i = 3 - spatial; i < 3; i++) value[i] = v;
}

void Padding::resolve(const int64_t in[3], const int64_t extent[3], const int64_t stride[3], int64_t to_before[3],
                      int64_t to_after[3]) const {
  for (int i = 0; i < 3; i++) {
    to_before[i] = before[i], to_after[i] = after[i];
    if (rule == causal) to_before[i] = extent[i] - 1;
    if (rule == given || rule == causal) continue;
    const int64_t out = (in[i] + stride[i] - 1) / stride[i];
    const int64_t total = std::max<int64_t>(0, (out - 1) * stride[i] + extent[i] - in[i]);
    to_before[i] = rule == same_lower ? total - total / 2 : total / 2;
    to_after[i] = total - to_before[i];
  }
}

Padding padding_arg(PyObject* object, int spatial, bool causal) {
  Padding p;
  const int first = 3 - spatial;
  if (PyUnicode_Check(object)) {
    if (is_string(object, "same"))
      p.rule = Padding::same;
    else if (is_string(object, "same_lower"))
      p.rule = Padding::same_lower;
    else if (causal && is_string(object, "causal"))
      p.rule = Padding::causal;
    else if (!is_string(object, "valid"))
      value_error("padding: expected an integer, a tuple, 'valid', 'same'%s, got %R",
                  causal ? ", 'same_lower' or 'causal'" : " or 'same_lower'", object);
  } else if (PyTuple_Check(object) || PyList_Check(object)) {
    const Ref items = as_tuple(object);
    if (PyTuple_GET_SIZE(items.get()) != spatial)
      value_error("padding: expected an integer, or %d integers or (before, after) pairs, got %R", spatial, object);
    for (int i = 0; i < spatial; i++) {
      PyObject* item = PyTuple_GET_ITEM(items.get(), i);
      if (PyTuple_Check(item) || PyList_Check(item)) {
        const Ref pair = as_tuple(item);
        if (PyTuple_GET_SIZE(pair.get()) != 2) value_error("padding: expected (before, after) pairs, got %R", object);
        p.before[first + i] = int_arg(PyTuple_GET_ITEM(pair.get(), 0), "padding", 0);
        p.after[first + i] = int_arg(PyTuple_GET_ITEM(pair.get(), 1), "padding", 0);
      } else {
        p.before[first + i] = p.after[first + i] = int_arg(item, "padding", 0);
      }
    }
  } else {
    const int64_t v = int_arg(object, "padding", 0);
    for (int i = first; i < 3; i++) p.before[i] = p.after[i] = v;
  }
  return p;
}

double number_arg(PyObject* object, const char* name) {
  const bool number = PyFloat_Check(object) || (PyLong_Check(object) && !PyBool_Check(object)) ||
                      PyArray_IsScalar(object, Integer) || PyArray_IsScalar(object, Floating);
  if (!number) type_error("%s: expected a number, got %R", name, object);
  const double v = PyFloat_AsDouble(object);
  if (!PyErr_Occurred()) return v;
  if (!PyErr_ExceptionMatches(PyExc_OverflowError)) throw PythonError();
  PyErr_Clear();
  return INFINITY;
}

int named_dimensions(PyObject* layout) {
  const Py_ssize_t letters = PyUnicode_Check(layout) ? PyUnicode_GET_LENGTH(layout) : 0;
  return letters >= 3 && letters <= 5 ? int(letters) - 2 : 0;
}

bool is_string(PyObject* object, const char* text) {
  return PyUnicode_Check(object) && PyUnicode_CompareWithASCIIString(object, text) == 0;
}

bool bool_arg(PyObject* object, const char* name) {
  if (!PyBool_Check(object)) type_error("%s: expected a bool, got %R", name, object);
  return object == Py_True;
}

int64_t threads_arg(PyObject* object) {
  if (object == Py_None) return config().threads;
  const int64_t n = int_arg(object, "threads", 1);
  if (n > 1024) value_error("threads: expected at most 1024, got %R", object);
  return n;
}

int64_t max_workspace_arg(PyObject* object) {
  if (object == Py_None) return std::min(config().max_workspace, int64_t(1) << 48);  // products of it stay in 64 bits
  return int_arg(object, "max_workspace", 0);
}

Ref contiguous_array(int n, const npy_intp* dims, DType dtype) {
  int64_t bytes = dtype_size(dtype);
  const int type = type_number(dtype);
  bool too_large = false;
  for (int i = 0; i < n; i++) too_large |= __builtin_mul_overflow(bytes, int64_t(dims[i]), &bytes);
  if (too_large || bytes < kLargeResult) {  // the one for NumPy to refuse
    Ref array(PyArray_SimpleNew(n, const_cast<npy_intp*>(dims), type));
    if (!array.get()) throw PythonError();
    return array;
  }
  char* const memory = take_result_memory(bytes);
  Ref array(PyArray_SimpleNewFromData(n, const_cast<npy_intp*>(dims), type, memory));
  PyObject* owner = array.get() ? PyCapsule_New(memory, nullptr, give_back) : nullptr;
  if (!owner) {
    give_result_memory(memory, bytes);
    throw PythonError();
  }
  PyCapsule_SetContext(owner, reinterpret_cast<void*>(intptr_t(bytes)));
  if (PyArray_SetBaseObject(array.array(), owner) < 0) throw PythonError();
  return array;
}

Ref new_array(DType dtype, const int64_t shape[5], const Layout& layout, bool batched, bool channels_last_memory) {
  npy_intp dims[5];
  const Layout memory{layout.spatial, layout.channels_last || channels_last_memory};
  const int n = layout.spatial + 1 + batched;
  for (int i = 0; i < 5; i++)
    if (int p = memory.position(i, batched); p >= 0) dims[p] = npy_intp(shape[i]);
  Ref array = contiguous_array(n, dims, dtype);
  if (memory.channels_last == layout.channels_last) return array;
  npy_intp order[5];
  PyArray_Dims permute{order, n};
  for (int i = 0; i < 5; i++)
    if (int p = layout.position(i, batched); p >= 0) order[p] = memory.position(i, batched);
  Ref view(PyArray_Transpose(array.array(), &permute));
  if (!view.get()) throw PythonError();
  return view;
}

bool is_channels_last_memory(const View& v) {
  if (v.shape[1] <= 1 || v.strides[1] != 1) return false;
  int64_t pixels = 1;
  for (int i = 2; i < 5; i++) pixels *= v.shape[i];
  if (pixels <= 1) return false;
  for (int i = 2; i < 5; i++)
    if (v.shape[i] > 1 && v.strides[i] < v.shape[1]) return false;
  return true;
}

bool share_memory(PyArrayObject* out, PyObject* input) {
  if (!input || !PyArray_Check(input)) return false;
  PyArrayObject* a = reinterpret_cast<PyArrayObject*>(input);
  if (PyArray_SIZE(a) == 0 || PyArray_SIZE(out) == 0) return false;
  const char *a0, *a1, *b0, *b1;
  bounds(out, a0, a1), bounds(a, b0, b1);
  if (a0 >= b1 || b0 >= a1) return false;
  Ref numpy(PyImport_ImportModule("numpy"));
  if (!numpy.get()) throw PythonError();
  Ref result(PyObject_CallMethod(numpy.get(), "shares_memory", "OO", reinterpret_cast<PyObject*>(out), input));
  if (!result.get()) throw PythonError();
  return PyObject_IsTrue(result.get()) == 1;
}

void check_out_memory(const Array& out, std::initializer_list<PyObject*> inputs) {
  if (!PyArray_ISWRITEABLE(out.object)) value_error("out: expected a writable array");
  if (overlaps_itself(out.object)) value_error("out: its elements overlap one another in memory");
  for (PyObject* input : inputs)
    if (share_memory(out.object, input)) value_error("out: expected memory that no input shares");
}

Ref out_arg(PyObject* object, DType dtype, const int64_t shape[5], const Layout& layout, bool batched,
            std::initializer_list<PyObject*> inputs) {
  const Array out = array_arg(object, "out", set_of({dtype}));
  bool same = out.ndim == layout.spatial + 1 + batched;
  for (int i = 0; same && i < 5; i++)
    if (int p = layout.position(i, batched); p >= 0) same = out.shape[p] == shape[i];
  if (!same)
    value_error("out: expected shape %s, got %s", view_text(shape, layout, batched).c_str(),
                shape_text(out.ndim, out.shape).c_str());
  check_out_memory(out, inputs);
  Py_INCREF(object);
  return Ref(object);
}

}  // namespace konv
