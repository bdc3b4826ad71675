// Arrays as arguments: of konv, of NumPy, of other libraries (foreign.h).
#include <pybind11/pybind11.h>

#include <algorithm>

#include "cuda/bindings/device_array.h"
#include "cuda/bindings/foreign.h"

namespace py = pybind11;

namespace konv::cuda {

namespace {

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
  a->dtype = given.dtype, a->ndim = given.ndim;
  std::copy_n(PyArray_DIMS(from), a->ndim, a->shape);
  std::copy_n(PyArray_STRIDES(from), a->ndim, a->strides);
  const int64_t bytes = PyArray_NBYTES(from);
  a->storage = std::make_shared<Storage>(queue, std::max<int64_t>(1, bytes));
  a->data = a->storage->memory();
  const ReleaseGil others(true);
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

}  // namespace

CallQueue queue_arg(PyObject* object) {
  int device = 0;
  Wide stream = 0;
  const char* package = "";
  if (!PyTuple_Check(object) || !PyArg_ParseTuple(object, "iL|s", &device, &stream, &package)) {
    PyErr_Clear();
    type_error("queue: expected a device and a stream of it, got %R", object);
  }
  const int count = device_count();
  if (count == 0) throw Failure("konv.cuda: " + unavailable_reason());
  if (device < 0 || device >= count)
    value_error("device: expected one of the %d devices, from 0 on, got %d", count, device);
  if (device_info(device).major < 8)
    throw Failure("konv.cuda: device " + std::to_string(device) + " has a compute capability below 8.0");
  return {{device, stream_of(stream)}, package};
}

void check_device(const char* name, int device, Queue queue) {
  if (device != queue.device)
    value_error("%s: expected an array on device %d, as the others are, got one on device %d", name, queue.device,
                device);
}

Operand operand_arg(PyObject* object, const char* name, const CallQueue& queue, DTypeSet allowed) {
  Operand a;
  if (py::isinstance<DeviceArray>(object)) {
    a = std::make_shared<DeviceArray>(*py::cast<Operand>(py::handle(object)));
    check_device(name, a->device(), queue);
    a->storage->read_on(queue);
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

Operand out_operand(PyObject* object, const CallQueue& queue, DType dtype, const int64_t shape[5], const Layout& layout,
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
  out->storage->write_on(queue);
  return out;
}

}  // namespace konv::cuda
