#include "cuda/bindings/device_array.h"

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdlib>

#include "cuda/bindings/checked_call.h"
#include "cuda/bindings/dlpack.h"
#include "cuda/elementwise.h"

namespace py = pybind11;

namespace konv::cuda {

namespace {

constexpr int64_t kLegacyStream = 1;  // as DLPack and the CUDA runtime number it

void* stream_of(int64_t number) { return number <= kLegacyStream ? nullptr : reinterpret_cast<void*>(number); }
int64_t number_of(void* stream) { return stream ? reinterpret_cast<int64_t>(stream) : kLegacyStream; }

template <class T>
T checked(T object) {
  if (!object) throw PythonError();
  return object;
}

void contiguous(DeviceArray& a) {
  int64_t step = dtype_size(a.dtype);
  for (int i = a.ndim - 1; i >= 0; i--) a.strides[i] = npy_intp(step), step *= a.shape[i];
}

// Lowest and one past the highest byte, relative to data.
void bounds(const DeviceArray& a, int64_t& low, int64_t& high) {
  low = high = 0;
  if (a.size() == 0) return;
  for (int i = 0; i < a.ndim; i++) {
    const int64_t span = int64_t(a.shape[i] - 1) * a.strides[i];
    (span < 0 ? low : high) += span;
  }
  high += dtype_size(a.dtype);
}

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
dlpack::DataType dlpack_type(DType t) {
  const uint8_t code = t == DType::bf16                                        ? dlpack::kBfloat
                       : t == DType::f16 || t == DType::f32 || t == DType::f64 ? dlpack::kFloat
                       : t == DType::u8                                        ? dlpack::kUInt
                       : t == DType::boolean                                   ? dlpack::kBool
                                                                               : dlpack::kInt;
  return {code, uint8_t(8 * dtype_size(t)), 1};
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

Operand from_tensor(const dlpack::Tensor& t, const char* name, Queue queue) {
  auto a = std::make_shared<DeviceArray>();
  if (t.ndim > kMostAxes) value_error("%s: expected at most %d dimensions, got %d", name, kMostAxes, int(t.ndim));
  a->queue = queue;
  a->dtype = dtype_of(t.dtype, name);
  a->ndim = t.ndim;
  a->data = static_cast<char*>(t.data) + t.byte_offset;
  for (int i = 0; i < t.ndim; i++) {
    a->shape[i] = npy_intp(t.shape[i]);
    if (t.strides) a->strides[i] = npy_intp(t.strides[i] * dtype_size(a->dtype));
  }
  if (!t.strides) contiguous(*a);
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

void check_device(const char* name, int device, Queue queue) {
  if (device != queue.device)
    value_error("%s: expected an array on device %d, as the others are, got one on device %d", name, queue.device,
                device);
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

Operand from_dlpack(PyObject* object, const char* name, Queue queue) {
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
  Operand a = from_tensor(*taken.tensor, name, queue);
  a->readonly = taken.flags & dlpack::kReadOnly;
  a->owner = taken.owner;
  return a;
}

std::shared_ptr<void> held(PyObject* object) {
  return {Py_NewRef(object), [](void* o) { let_go([o] { Py_DECREF(static_cast<PyObject*>(o)); }); }};
}

// https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html, version 3
Operand from_interface(PyObject* object, const char* name, Queue queue) {
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
    a->queue = queue;
    a->dtype = found->dtype;
    a->ndim = int(shape.size());
    a->data = reinterpret_cast<void*>(data[0].cast<uintptr_t>());
    a->readonly = data[1].cast<bool>();
    for (int i = 0; i < a->ndim; i++) a->shape[i] = shape[size_t(i)].cast<npy_intp>();
    contiguous(*a);
    if (described.contains("strides") && !described["strides"].is_none())
      for (int i = 0; i < a->ndim; i++)
        a->strides[i] = described["strides"].cast<py::tuple>()[size_t(i)].cast<npy_intp>();
    if (described.contains("mask") && !described["mask"].is_none())
      type_error("%s: masked arrays are not supported", name);
    if (described.contains("stream") && !described["stream"].is_none())
      order({queue.device, stream_of(described["stream"].cast<int64_t>())}, queue);
    a->owner = held(object);
    return a;
  } catch (py::error_already_set& e) {
    e.restore();
    throw PythonError();
  } catch (const py::cast_error&) {
    type_error("%s: __cuda_array_interface__ is not as its definition says", name);
  }
}

// Whether the elements fill one piece of memory, in some order of the axes.
bool is_dense(PyArrayObject* a) {
  std::pair<npy_intp, npy_intp> axes[NPY_MAXDIMS];
  int n = 0;
  for (int i = 0; i < PyArray_NDIM(a); i++)
    if (PyArray_DIM(a, i) > 1) axes[n++] = {PyArray_STRIDE(a, i), PyArray_DIM(a, i)};
  std::sort(axes, axes + n);
  npy_intp step = PyArray_ITEMSIZE(a);
  for (int i = 0; i < n; step *= axes[i++].second)
    if (axes[i].first != step) return false;
  return true;
}

Operand from_numpy(const Array& given, const char* name, Queue queue) {
  Ref copy;
  PyArrayObject* from = given.object;
  if (!is_dense(from)) {
    copy = Ref(checked(PyArray_NewCopy(from, NPY_KEEPORDER)));
    from = copy.array();
  }
  if (given.ndim > kMostAxes) value_error("%s: expected at most %d dimensions, got %d", name, kMostAxes, given.ndim);
  auto a = std::make_shared<DeviceArray>();
  a->queue = queue, a->dtype = given.dtype, a->ndim = given.ndim;
  std::copy_n(PyArray_DIMS(from), a->ndim, a->shape);
  std::copy_n(PyArray_STRIDES(from), a->ndim, a->strides);
  const int64_t bytes = PyArray_NBYTES(from);
  a->storage = std::make_shared<Storage>(queue, std::max<int64_t>(1, bytes));
  a->data = a->storage->memory;
  copy_to_device(queue, a->data, PyArray_DATA(from), bytes);
  return a;
}

bool has(PyObject* object, const char* name) { return PyObject_HasAttrString(object, name); }

std::string text_of(DTypeSet set) {
  std::string text;
  for (int i = 0; i < kDTypes; i++)
    if (set >> i & 1) text += (text.empty() ? "" : ", ") + std::string(dtype_text(DType(i)));
  return text;
}

// A NumPy array's header on the memory, for NumPy to compare addresses; its elements must not be touched.
Ref header(const DeviceArray& a) {
  const int64_t item = dtype_size(a.dtype);
  const int type = item == 1 ? NPY_UINT8 : item == 2 ? NPY_UINT16 : item == 4 ? NPY_UINT32 : NPY_UINT64;
  return Ref(
      checked(PyArray_New(&PyArray_Type, a.ndim, const_cast<npy_intp*>(a.shape), type, const_cast<npy_intp*>(a.strides),
                          a.data, 0, a.readonly ? 0 : NPY_ARRAY_WRITEABLE, nullptr)));
}

}  // namespace

Queue queue_arg(PyObject* object) {
  int device = 0;
  Wide stream = 0;
  if (!PyTuple_Check(object) || !PyArg_ParseTuple(object, "iL", &device, &stream)) {
    PyErr_Clear();
    type_error("queue: expected a (device, stream) pair of integers, got %R", object);
  }
  const int count = device_count();
  if (count == 0) throw Failure("konv.cuda: " + unavailable_reason());
  if (device < 0 || device >= count)
    value_error("device: expected one of the %d devices, from 0 on, got %d", count, device);
  if (device_info(device).major < 8)
    throw Failure("konv.cuda: device " + std::to_string(device) + " has a compute capability below 8.0");
  return {device, stream_of(stream)};
}

namespace {

// Both callers hold the storage's mutex.
void note_stream(Storage& storage, void* stream) {
  auto& known = storage.streams;
  if (std::find(known.begin(), known.end(), stream) == known.end()) known.push_back(stream);
}

}  // namespace

Operand operand_arg(PyObject* object, const char* name, Queue queue, DTypeSet allowed) {
  Operand a;
  if (py::isinstance<DeviceArray>(object)) {
    a = std::make_shared<DeviceArray>(*py::cast<Operand>(py::handle(object)));
    check_device(name, a->queue.device, queue);
    if (!(a->queue == queue)) {
      order(a->queue, queue);
      if (a->storage) {
        std::lock_guard lock(a->storage->mutex);
        note_stream(*a->storage, queue.stream);
      }
    }
  } else if (PyArray_Check(object)) {
    return from_numpy(array_arg(object, name, allowed), name, queue);
  } else {
    Ref requires_grad(has(object, "requires_grad") ? PyObject_GetAttrString(object, "requires_grad") : nullptr);
    if (requires_grad.get() && PyObject_IsTrue(requires_grad.get()) == 1)
      type_error("%s: this tensor requires grad, which konv would lose; pass tensor.detach()", name);
    PyErr_Clear();
    if (has(object, "__dlpack__") && has(object, "__dlpack_device__"))
      a = from_dlpack(object, name, queue);
    else if (has(object, "__cuda_array_interface__"))
      a = from_interface(object, name, queue);
    else
      type_error("%s: expected an array, got %s; numpy.asarray converts", name, Py_TYPE(object)->tp_name);
  }
  if (!(allowed & set_of({a->dtype})))
    type_error("%s: expected dtype %s, got %s", name, text_of(allowed).c_str(), dtype_text(a->dtype));
  const int64_t item = dtype_size(a->dtype);
  if (reinterpret_cast<uintptr_t>(a->data) % uintptr_t(item)) value_error("%s: expected an aligned array", name);
  for (int i = 0; i < a->ndim; i++)
    if (a->shape[i] > 1 && a->strides[i] % item)
      value_error("%s: the stride of axis %d, %zd bytes, is not a multiple of the item size; pass a copy", name, i,
                  Py_ssize_t(a->strides[i]));
  return a;
}

Array array_of(const Operand& a) { return {nullptr, a->dtype, a->ndim, a->data, a->shape, a->strides}; }

Operand contiguous_operand(Queue queue, DType dtype, int ndim, const npy_intp* shape) {
  auto a = std::make_shared<DeviceArray>();
  a->queue = queue, a->dtype = dtype, a->ndim = ndim;
  std::copy_n(shape, ndim, a->shape);
  contiguous(*a);
  a->storage = std::make_shared<Storage>(queue, std::max<int64_t>(1, a->size() * dtype_size(dtype)));
  a->data = a->storage->memory;
  return a;
}

Operand new_operand(Queue queue, DType dtype, const int64_t shape[5], const Layout& layout, bool batched,
                    bool channels_last_memory) {
  const Layout memory{layout.spatial, layout.channels_last || channels_last_memory};
  npy_intp dims[5];
  const int n = layout.spatial + 1 + batched;
  for (int i = 0; i < 5; i++)
    if (int p = memory.position(i, batched); p >= 0) dims[p] = npy_intp(shape[i]);
  Operand a = contiguous_operand(queue, dtype, n, dims);
  if (memory.channels_last == layout.channels_last) return a;
  const DeviceArray stored = *a;
  for (int i = 0; i < 5; i++)
    if (int p = layout.position(i, batched); p >= 0) {
      a->shape[p] = stored.shape[memory.position(i, batched)];
      a->strides[p] = stored.strides[memory.position(i, batched)];
    }
  return a;
}

void strides_of(const Operand& a, const Layout& layout, bool batched, int64_t strides[5]) {
  for (int i = 0; i < 5; i++) {
    const int p = layout.position(i, batched);
    strides[i] = p < 0 ? 0 : a->strides[p] / dtype_size(a->dtype);
  }
}

bool share_memory(const Operand& a, const Operand& b) {
  const Ref x = header(*a), y = header(*b);
  return konv::share_memory(x.array(), y.get());
}

Operand out_operand(PyObject* object, Queue queue, DType dtype, const int64_t shape[5], const Layout& layout,
                    bool batched, const std::vector<Operand>& inputs, std::initializer_list<PyObject*> objects) {
  const Operand out = operand_arg(object, "out", queue, set_of({dtype}));
  bool same = out->ndim == layout.spatial + 1 + batched;
  for (int i = 0; same && i < 5; i++)
    if (int p = layout.position(i, batched); p >= 0) same = out->shape[p] == shape[i];
  if (!same)
    value_error("out: expected shape %s, got %s", view_text(shape, layout, batched).c_str(),
                shape_text(out->ndim, out->shape).c_str());
  if (PyArray_Check(object)) {
    check_out_memory(array_arg(object, "out", set_of({dtype})), objects);
    return out;
  }
  const Ref on_memory = header(*out);
  Array checked_out = array_of(out);
  checked_out.object = on_memory.array();
  check_out_memory(checked_out, {});
  for (const Operand& input : inputs)
    if (input && share_memory(out, input)) value_error("out: expected memory that no input shares");
  if (out->storage) {  // who still reads it on other streams reads what was there
    std::lock_guard lock(out->storage->mutex);
    for (void* stream : out->storage->streams) order({queue.device, stream}, queue);
  }
  if (py::isinstance<DeviceArray>(object)) py::cast<Operand>(py::handle(object))->queue = queue;
  return out;
}

void copy_operand(Queue queue, const Operand& to, const Operand& from) {
  StridedCopy c{};
  c.item = int(dtype_size(to->dtype));
  c.to = to->data, c.from = from->data;
  c.ndim = to->ndim;
  for (int i = 0; i < to->ndim; i++)
    c.shape[i] = to->shape[i], c.to_strides[i] = to->strides[i], c.from_strides[i] = from->strides[i];
  copy_elements(queue, c);
}

PyObject* wrap(const Operand& a) { return py::cast(a).release().ptr(); }

namespace {

py::object to_numpy(const Operand& a) {
  return checked_call([&] {
    int64_t low, high;
    bounds(*a, low, high);
    npy_intp bytes = npy_intp(high - low);
    Ref memory(checked(PyArray_SimpleNew(1, &bytes, NPY_UINT8)));
    char* const host = static_cast<char*>(PyArray_DATA(memory.array()));
    copy_to_host(a->queue, host, static_cast<char*>(a->data) + low, bytes);
    PyObject* array = checked(PyArray_New(&PyArray_Type, a->ndim, a->shape, type_number(a->dtype), a->strides,
                                          host - low, 0, NPY_ARRAY_WRITEABLE | NPY_ARRAY_ALIGNED, nullptr));
    if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array), memory.release()) < 0) throw PythonError();
    return py::reinterpret_steal<py::object>(array);
  });
}

py::tuple tuple_of(const npy_intp* values, int n) {
  py::tuple t{size_t(n)};
  for (int i = 0; i < n; i++) t[size_t(i)] = py::int_(values[i]);
  return t;
}

// What an exported tensor holds on to.
struct Export {
  Operand array;
  int64_t shape[kMostAxes], strides[kMostAxes];
};

template <class M>
py::object capsule_of(const Operand& a, const char* name) {
  auto holder = std::make_unique<Export>();
  holder->array = a;
  const int64_t item = dtype_size(a->dtype);
  for (int i = 0; i < a->ndim; i++) holder->shape[i] = a->shape[i], holder->strides[i] = a->strides[i] / item;
  auto m = std::make_unique<M>();
  m->tensor = {
      a->data, {dlpack::kCuda, a->queue.device}, a->ndim, dlpack_type(a->dtype), holder->shape, holder->strides, 0};
  m->context = holder.get();
  m->deleter = [](M* managed) {
    delete static_cast<Export*>(managed->context);
    delete managed;
  };
  if constexpr (std::is_same_v<M, dlpack::VersionedManaged>) {
    m->version = {1, 0};
    m->flags = a->readonly ? dlpack::kReadOnly : 0;
  }
  PyObject* capsule = PyCapsule_New(m.get(), name, [](PyObject* c) {
    const char* now = PyCapsule_GetName(c);
    if (!now || std::strncmp(now, "dltensor", 8)) return;  // somebody took it
    M* managed = static_cast<M*>(PyCapsule_GetPointer(c, now));
    managed->deleter(managed);
  });
  if (!capsule) throw py::error_already_set();
  holder.release(), m.release();
  return py::reinterpret_steal<py::object>(capsule);
}

// https://data-apis.org/array-api: the consumer's stream waits for what the array's own has been asked; None is the
// legacy default stream, -1 asks for no waiting.
py::object export_dlpack(const Operand& a, const py::object& stream, const py::object& max_version,
                         const py::object& dl_device, const py::object& copy) {
  return checked_call([&]() -> py::object {
    check_process();
    const int64_t number = stream.is_none() ? kLegacyStream : stream.cast<int64_t>();
    if (number == 0 || number < -1) value_error("stream: expected -1, 1, 2, a stream or None, got %R", stream.ptr());
    if (!dl_device.is_none() && !dl_device.equal(py::make_tuple(int(dlpack::kCuda), a->queue.device))) {
      PyErr_SetString(PyExc_BufferError, "dl_device: the array stays on its device; numpy() copies it to the host");
      throw PythonError();
    }
    Operand given = a;
    if (!copy.is_none() && copy.cast<bool>()) {
      given = contiguous_operand(a->queue, a->dtype, a->ndim, a->shape);
      copy_operand(a->queue, given, a);
    }
    if (number != -1) {
      const Queue consumer{a->queue.device, stream_of(number)};
      order(a->queue, consumer);
      if (given->storage && consumer.stream != a->queue.stream) {
        std::lock_guard lock(given->storage->mutex);
        note_stream(*given->storage, consumer.stream);
      }
    }
    const bool versioned = !max_version.is_none() && max_version.cast<py::tuple>()[0].cast<int>() >= 1;
    return versioned ? capsule_of<dlpack::VersionedManaged>(given, "dltensor_versioned")
                     : capsule_of<dlpack::Managed>(given, "dltensor");
  });
}

py::dict interface_of(const Operand& a) {
  if (a->dtype == DType::bf16) throw py::attribute_error("__cuda_array_interface__ has no bfloat16");
  constexpr const char* types[kDTypes] = {"<f4", "<f8", "<f2", "", "|i1", "|u1", "<i2", "<i4", "<i8", "|b1"};
  py::dict d;
  d["shape"] = tuple_of(a->shape, a->ndim);
  d["strides"] = tuple_of(a->strides, a->ndim);
  d["typestr"] = types[int(a->dtype)];
  d["data"] = py::make_tuple(reinterpret_cast<uintptr_t>(a->data), a->readonly);
  d["stream"] = number_of(a->queue.stream);
  d["version"] = 3;
  return d;
}

Operand transposed(const Operand& a, const py::args& axes) {
  auto t = std::make_shared<DeviceArray>(*a);
  std::vector<bool> seen(size_t(a->ndim), false);
  if (int(axes.size()) != a->ndim) throw py::value_error("axes: expected one for each dimension");
  for (int i = 0; i < a->ndim; i++) {
    const int from = axes[size_t(i)].cast<int>();
    if (from < 0 || from >= a->ndim || seen[size_t(from)]) throw py::value_error("axes: expected a permutation");
    seen[size_t(from)] = true;
    t->shape[i] = a->shape[from], t->strides[i] = a->strides[from];
  }
  return t;
}

}  // namespace

bool register_device_array(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module);
  py::class_<DeviceArray, Operand>(m, "DeviceArray", "An array on a device, for other libraries to take by DLPack.")
      .def_property_readonly("shape", [](const DeviceArray& a) { return tuple_of(a.shape, a.ndim); })
      .def_property_readonly("strides", [](const DeviceArray& a) { return tuple_of(a.strides, a.ndim); })
      .def_property_readonly("ndim", [](const DeviceArray& a) { return a.ndim; })
      .def_property_readonly("dtype", [](const DeviceArray& a) { return dtype_text(a.dtype); })
      .def_property_readonly("device", [](const DeviceArray& a) { return a.queue.device; })
      .def_property_readonly("stream", [](const DeviceArray& a) { return number_of(a.queue.stream); })
      .def("numpy", &to_numpy, "A copy in the host's memory.")
      .def("transpose", &transposed, "The same elements with the axes in another order.")
      .def("__dlpack__", &export_dlpack, py::kw_only(), py::arg("stream") = py::none(),
           py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
      .def("__dlpack_device__", [](const DeviceArray& a) { return py::make_tuple(int(dlpack::kCuda), a.queue.device); })
      .def_property_readonly("__cuda_array_interface__", &interface_of)
      .def("__repr__", [](const DeviceArray& a) {
        return "DeviceArray(shape=" + shape_text(a.ndim, a.shape) + ", dtype=" + dtype_text(a.dtype) +
               ", device=" + std::to_string(a.queue.device) + ")";
      });
  return true;
}

}  // namespace konv::cuda
