#include "cuda/bindings/export.h"

#include <cstring>
#include <memory>

#include "cuda/bindings/checked_call.h"
#include "cuda/bindings/dlpack.h"

namespace py = pybind11;

namespace konv::cuda {

namespace {

dlpack::DataType dlpack_type(DType t) {
  const uint8_t code = t == DType::bf16                                        ? dlpack::kBfloat
                       : t == DType::f16 || t == DType::f32 || t == DType::f64 ? dlpack::kFloat
                       : t == DType::u8                                        ? dlpack::kUInt
                       : t == DType::boolean                                   ? dlpack::kBool
                                                                               : dlpack::kInt;
  return {code, uint8_t(8 * dtype_size(t)), 1};
}

// What an exported tensor holds on to.
struct Export {
  Operand array;
  int64_t shape[kMostAxes], strides[kMostAxes];
};

template <class M>
py::object capsule_of(const Operand& a, const char* name, bool copied) {
  auto holder = std::make_unique<Export>();
  holder->array = a;
  const int64_t item = dtype_size(a->dtype);
  for (int i = 0; i < a->ndim; i++) holder->shape[i] = a->shape[i], holder->strides[i] = a->strides[i] / item;
  auto m = std::make_unique<M>();
  m->tensor = {a->data, {dlpack::kCuda, a->device()}, a->ndim, dlpack_type(a->dtype), holder->shape, holder->strides,
               0};
  m->context = holder.get();
  m->deleter = [](M* managed) {
    delete static_cast<Export*>(managed->context);
    delete managed;
  };
  if constexpr (std::is_same_v<M, dlpack::VersionedManaged>) {
    m->version = {1, 0};
    m->flags = (a->readonly ? dlpack::kReadOnly : 0) | (copied ? dlpack::kIsCopied : 0);
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

}  // namespace

// https://data-apis.org/array-api: the consumer's stream waits for what the array's own has been asked; None is the
// legacy default stream, -1 asks for no waiting.
py::object export_dlpack(const Operand& a, const py::object& stream, const py::object& max_version,
                         const py::object& dl_device, const py::object& copy) {
  return checked_call([&]() -> py::object {
    check_process();
    const int64_t number = stream.is_none() ? kLegacyStream : stream.cast<int64_t>();
    if (number == 0 || number < -1) value_error("stream: expected -1, 1, 2, a stream or None, got %R", stream.ptr());
    if (!dl_device.is_none() && !dl_device.equal(py::make_tuple(int(dlpack::kCuda), a->device()))) {
      PyErr_SetString(PyExc_BufferError, "dl_device: the array stays on its device; numpy() copies it to the host");
      throw PythonError();
    }
    Operand given = a;
    const bool copied = !copy.is_none() && copy.cast<bool>();
    if (copied) {
      const Queue writer = a->storage->writer();
      given = contiguous_operand(writer, a->dtype, a->ndim, a->shape);
      copy_operand(writer, given, a);
    }
    if (number != -1) given->storage->read_on({a->device(), stream_of(number)});
    const bool versioned = !max_version.is_none() && max_version.cast<py::tuple>()[0].cast<int>() >= 1;
    return versioned ? capsule_of<dlpack::VersionedManaged>(given, "dltensor_versioned", copied)
                     : capsule_of<dlpack::Managed>(given, "dltensor", copied);
  });
}

py::tuple tuple_of(const npy_intp* values, int n) {
  py::tuple t{size_t(n)};
  for (int i = 0; i < n; i++) t[size_t(i)] = py::int_(values[i]);
  return t;
}

py::dict interface_of(const Operand& a) {
  if (a->dtype == DType::bf16) throw py::attribute_error("__cuda_array_interface__ has no bfloat16");
  constexpr const char* types[kDTypes] = {"<f4", "<f8", "<f2", "", "|i1", "|u1", "<i2", "<i4", "<i8", "|b1"};
  py::dict d;
  d["shape"] = tuple_of(a->shape, a->ndim);
  d["strides"] = tuple_of(a->strides, a->ndim);
  d["typestr"] = types[int(a->dtype)];
  d["data"] = py::make_tuple(reinterpret_cast<uintptr_t>(a->data), a->readonly);
  d["stream"] = number_of(a->storage->writer().stream);
  d["version"] = 3;
  return d;
}

}  // namespace konv::cuda
