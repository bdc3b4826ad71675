#include "cuda/bindings/device_array.h"

#include <pybind11/pybind11.h>

#include <algorithm>

#include "cuda/bindings/checked_call.h"
#include "cuda/bindings/dlpack.h"
#include "cuda/bindings/export.h"
#include "cuda/elementwise.h"

namespace py = pybind11;

namespace konv::cuda {

void make_contiguous(DeviceArray& a) {
  int64_t step = dtype_size(a.dtype);
  for (int i = a.ndim - 1; i >= 0; i--) a.strides[i] = npy_intp(step), step *= a.shape[i];
}

Ref header(const DeviceArray& a) {
  const int64_t item = dtype_size(a.dtype);
  const int type = item == 1 ? NPY_UINT8 : item == 2 ? NPY_UINT16 : item == 4 ? NPY_UINT32 : NPY_UINT64;
  return Ref(
      checked(PyArray_New(&PyArray_Type, a.ndim, const_cast<npy_intp*>(a.shape), type, const_cast<npy_intp*>(a.strides),
                          a.data, 0, a.readonly ? 0 : NPY_ARRAY_WRITEABLE, nullptr)));
}

// Where no memory waits the driver may wait for the device: others run Python meanwhile.
Storage::Storage(Queue queue, int64_t bytes)
    : home_(queue), writer_(queue.stream), memory_(allocate_idle(queue, bytes)) {
  if (memory_) return;
  const ReleaseGil others(true);
  memory_ = allocate(queue, bytes);
}

Storage::~Storage() {
  if (memory_) {
    release(home_, memory_, others_);
  } else if (!in_order_ || !others_.empty()) {
    if (!in_order_) others_.push_back(home_.stream);
    let_go_after(home_.device, others_, std::move(owner_));
  }
}

Queue Storage::writer() const {
  const std::lock_guard lock(mutex_);
  return {home_.device, writer_};
}

void Storage::note(void* stream) {
  if (stream != home_.stream && std::find(others_.begin(), others_.end(), stream) == others_.end())
    others_.push_back(stream);
}

void Storage::read_on(Queue queue) {
  const std::lock_guard lock(mutex_);
  order({home_.device, writer_}, queue);
  note(queue.stream);
}

void Storage::write_on(Queue queue) {
  const std::lock_guard lock(mutex_);
  order({home_.device, writer_}, queue);
  order(home_, queue);
  for (void* stream : others_) order({home_.device, stream}, queue);
  note(queue.stream);
  writer_ = queue.stream;
}

Array array_of(const Operand& a) { return {nullptr, a->dtype, a->ndim, a->data, a->shape, a->strides}; }

Operand contiguous_operand(Queue queue, DType dtype, int ndim, const npy_intp* shape) {
  auto a = std::make_shared<DeviceArray>();
  a->dtype = dtype, a->ndim = ndim;
  std::copy_n(shape, ndim, a->shape);
  make_contiguous(*a);
  a->storage = std::make_shared<Storage>(queue, std::max<int64_t>(1, a->size() * dtype_size(dtype)));
  a->data = a->storage->memory();
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

py::object to_numpy(const Operand& a) {
  return checked_call([&] {
    int64_t low, high;
    bounds(*a, low, high);
    npy_intp bytes = npy_intp(high - low);
    Ref memory(checked(PyArray_SimpleNew(1, &bytes, NPY_UINT8)));
    char* const host = static_cast<char*>(PyArray_DATA(memory.array()));
    const Queue writer = a->storage->writer();
    {
      py::gil_scoped_release others;
      copy_to_host(writer, host, static_cast<char*>(a->data) + low, bytes);
    }
    let_go_of_passed();
    PyObject* array = checked(PyArray_New(&PyArray_Type, a->ndim, a->shape, type_number(a->dtype), a->strides,
                                          host - low, 0, NPY_ARRAY_WRITEABLE | NPY_ARRAY_ALIGNED, nullptr));
    if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array), memory.release()) < 0) throw PythonError();
    return py::reinterpret_steal<py::object>(array);
  });
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
      .def_property_readonly("device", [](const DeviceArray& a) { return a.device(); })
      .def_property_readonly("stream", [](const DeviceArray& a) { return number_of(a.storage->writer().stream); })
      .def("numpy", &to_numpy, "A copy in the host's memory.")
      .def("transpose", &transposed, "The same elements with the axes in another order.")
      .def("__dlpack__", &export_dlpack, py::kw_only(), py::arg("stream") = py::none(),
           py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
      .def("__dlpack_device__", [](const DeviceArray& a) { return py::make_tuple(int(dlpack::kCuda), a.device()); })
      .def_property_readonly("__cuda_array_interface__", &interface_of)
      .def("__repr__", [](const DeviceArray& a) {
        return "DeviceArray(shape=" + shape_text(a.ndim, a.shape) + ", dtype=" + dtype_text(a.dtype) +
               ", device=" + std::to_string(a.device()) + ")";
      });
  return true;
}

}  // namespace konv::cuda
