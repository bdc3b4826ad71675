#include "cuda/bindings/foreign.h"

#include <pybind11/pybind11.h>

#include <algorithm>

#include "cuda/bindings/dlpack.h"

namespace py = pybind11;

namespace konv::cuda {

namespace {

DType dtype_of(dlpack::DataType t, const char* name) {
  constexpr struct {
    uint8_t code, bits;
    DType dtype;
  } known[] = {{dlpack::kFloat, 32, DType::f32},   {dlpack::kFloat, 64, DType::f64}, {dlpack::kFloat, 16, DType::f16},
               {dlpack::kBfloat, 16, DType::bf16}, {dlpack::kInt, 8, DType::i8},     {dlpack::kUInt, 8, DType::u8},
               {dlpack::kInt, 16, DType::i16},     {dlpack::kInt, 32, DType::i32},   {dlpack::kInt, 64, DType::i64},
               {dlpack::kBool, 8, DType::boolean}};
  for (const auto& k : known)
    if (t.lanes == 1 && k.code == t.code && k.bits == t.bits) return k.dtype;
  type_error("%s: elements of DLPack type %d of %d bits are not supported", name, int(t.code), int(t.bits));
}

// Calls `f`, which may run Python code, with the GIL, and not at all once the interpreter is gone. An error that is on
// its way stays what it was.
template <class F>
void let_go(F&& f) {
  if (!Py_IsInitialized()) return;
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  f();
  PyErr_Restore(type, value, trace);
  PyGILState_Release(state);
}

// What holds a foreign array.
template <class T>
std::shared_ptr<void> owner_of(T* managed) {
  return {managed, [](T* m) {
            if (m->deleter) let_go([m] { m->deleter(m); });
          }};
}

Operand from_tensor(const dlpack::Tensor& t, const char* name) {
  auto a = std::make_shared<DeviceArray>();
  if (t.ndim > kMostAxes) value_error("%s: expected at most %d dimensions, got %d", name, kMostAxes, int(t.ndim));
  a->dtype = dtype_of(t.dtype, name);
  a->ndim = t.ndim;
  a->data = static_cast<char*>(t.data) + t.byte_offset;
  for (int i = 0; i < t.ndim; i++) {
    a->shape[i] = npy_intp(t.shape[i]);
    if (t.strides) a->strides[i] = npy_intp(t.strides[i] * dtype_size(a->dtype));
  }
  if (!t.strides) make_contiguous(*a);
  return a;
}

// (device type, device)
dlpack::Device device_of(PyObject* object) {
  Ref pair(checked(PyObject_CallMethod(object, "__dlpack_device__", nullptr)));
  long type = 0, id = 0;
  Ref tuple(checked(PySequence_Tuple(pair.get())));
  Ref first(PyTuple_GET_SIZE(tuple.get()) == 2 ? PyNumber_Long(PyTuple_GET_ITEM(tuple.get(), 0)) : nullptr);
  Ref second(first.get() ? PyNumber_Long(PyTuple_GET_ITEM(tuple.get(), 1)) : nullptr);
  if (!second.get()) type_error("__dlpack_device__: expected a pair of integers, got %R", pair.get());
  type = PyLong_AsLong(first.get()), id = PyLong_AsLong(second.get());
  if (PyErr_Occurred()) throw PythonError();
  return {int32_t(type), int32_t(id)};
}

// What a capsule held and no longer does; no owner where it is none that could be taken, no tensor where its version
// is not known.
struct Taken {
  std::shared_ptr<void> owner;
  const dlpack::Tensor* tensor = nullptr;
  uint64_t flags = 0;
  uint32_t major = 0;
};
Taken take(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
    auto* m = static_cast<dlpack::VersionedManaged*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
    if (PyCapsule_SetName(capsule, "used_dltensor_versioned") < 0) throw PythonError();
    if (m->version.major != 1) return {owner_of(m), nullptr, 0, m->version.major};
    return {owner_of(m), &m->tensor, m->flags, 1};
  }
  if (!PyCapsule_IsValid(capsule, "dltensor")) return {};
  auto* m = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, "dltensor"));
  if (PyCapsule_SetName(capsule, "used_dltensor") < 0) throw PythonError();
  return {owner_of(m), &m->tensor};
}

// Whether the object is an array of the package, by the module of its type.
bool is_of(PyObject* object, const std::string& package) {
  if (package.empty()) return false;
  const Ref module(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__module__"));
  const char* const text = module.get() && PyUnicode_Check(module.get()) ? PyUnicode_AsUTF8(module.get()) : nullptr;
  if (!text) PyErr_Clear();
  const std::string name = text ? text : "";
  return name.substr(0, name.find('.')) == package;
}

}  // namespace

Operand from_dlpack(PyObject* object, const char* name, const CallQueue& queue) {
  const dlpack::Device device = device_of(object);
  if (device.type != dlpack::kCuda && device.type != dlpack::kCudaManaged)
    type_error("%s: expected an array on a CUDA device or of NumPy, got %s in other memory", name,
               Py_TYPE(object)->tp_name);
  check_device(name, device.id, queue);
  Ref method(checked(PyObject_GetAttrString(object, "__dlpack__")));
  Ref none(checked(PyTuple_New(0)));
  Ref keywords(checked(Py_BuildValue("{s:L,s:(ii)}", "stream", Wide(number_of(queue.stream)), "max_version", 1, 0)));
  Ref capsule(PyObject_Call(method.get(), none.get(), keywords.get()));
  if (!capsule.get() && PyErr_ExceptionMatches(PyExc_TypeError)) {  // of before version 1.0
    PyErr_Clear();
    if (PyDict_DelItemString(keywords.get(), "max_version") < 0) throw PythonError();
    capsule = Ref(PyObject_Call(method.get(), none.get(), keywords.get()));
  }
  checked(capsule.get());
  const Taken taken = take(capsule.get());
  capsule = Ref(nullptr);
  if (!taken.owner) type_error("%s: __dlpack__ returned no DLPack capsule that was not used before", name);
  if (!taken.tensor) type_error("%s: DLPack of version %d is not known", name, int(taken.major));
  Operand a = from_tensor(*taken.tensor, name);
  a->readonly = taken.flags & dlpack::kReadOnly;
  a->storage = std::make_shared<Storage>(queue, taken.owner, is_of(object, queue.package));
  return a;
}

namespace {

std::shared_ptr<void> held(PyObject* object) {
  return {Py_NewRef(object), [](void* o) { let_go([o] { Py_DECREF(static_cast<PyObject*>(o)); }); }};
}

}  // namespace

// https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html, version 3
Operand from_interface(PyObject* object, const char* name, const CallQueue& queue) {
  try {
    const auto described = py::reinterpret_borrow<py::object>(object).attr("__cuda_array_interface__").cast<py::dict>();
    const auto shape = described["shape"].cast<py::tuple>();
    const auto type = described["typestr"].cast<std::string>();
    const auto data = described["data"].cast<py::tuple>();
    if (int(shape.size()) > kMostAxes) value_error("%s: expected at most %d dimensions", name, kMostAxes);
    auto a = std::make_shared<DeviceArray>();
    constexpr struct {
      const char* text;
      DType dtype;
    } known[] = {{"f4", DType::f32}, {"f8", DType::f64}, {"f2", DType::f16}, {"i1", DType::i8},     {"u1", DType::u8},
                 {"i2", DType::i16}, {"i4", DType::i32}, {"i8", DType::i64}, {"b1", DType::boolean}};
    const auto* found = std::find_if(std::begin(known), std::end(known), [&](const auto& k) {
      return type.size() == 3 && type[0] != '>' && type.substr(1) == k.text;
    });
    if (found == std::end(known)) type_error("%s: elements of type '%s' are not supported", name, type.c_str());
    a->dtype = found->dtype;
    a->ndim = int(shape.size());
    a->data = reinterpret_cast<void*>(data[0].cast<uintptr_t>());
    a->readonly = data[1].cast<bool>();
    for (int i = 0; i < a->ndim; i++) a->shape[i] = shape[size_t(i)].cast<npy_intp>();
    make_contiguous(*a);
    if (described.contains("strides") && !described["strides"].is_none())
      for (int i = 0; i < a->ndim; i++)
        a->strides[i] = described["strides"].cast<py::tuple>()[size_t(i)].cast<npy_intp>();
    if (described.contains("mask") && !described["mask"].is_none())
      type_error("%s: masked arrays are not supported", name);
    if (a->size() > 0) {
      const int device = device_of(a->data);
      if (device == kNoDevice) value_error("%s: its __cuda_array_interface__ names no memory of a device", name);
      if (device != kEveryDevice) check_device(name, device, queue);
    }
    if (described.contains("stream") && !described["stream"].is_none())
      order({queue.device, stream_of(described["stream"].cast<int64_t>())}, queue);
    a->storage = std::make_shared<Storage>(queue, held(object), is_of(object, queue.package));
    return a;
  } catch (py::error_already_set& e) {
    e.restore();
    throw PythonError();
  } catch (const py::cast_error&) {
    type_error("%s: __cuda_array_interface__ is not as its definition says", name);
  }
}

}  // namespace konv::cuda
