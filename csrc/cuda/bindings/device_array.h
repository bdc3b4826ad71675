// Arrays on devices, as arguments and results. DLPack, __cuda_array_interface__ and konv's own DeviceArray are taken
// where they lie; NumPy arrays are copied to the queue's device.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bindings/args.h"
#include "cuda/runtime.h"

namespace konv::cuda {

// Memory of konv's own, given back when nobody holds it.
struct Storage {
  Storage(Queue q, int64_t bytes) : queue(q), memory(allocate(q, bytes)) {}
  ~Storage() { release(queue, memory, streams); }
  Storage(const Storage&) = delete;
  Queue queue;
  void* memory;
  std::mutex mutex;
  std::vector<void*> streams;  // of others, that were told of it
};

constexpr int kMostAxes = 8;

struct DeviceArray {
  Queue queue;  // the stream that writes it
  DType dtype = DType::f32;
  int ndim = 0;
  void* data = nullptr;
  npy_intp shape[kMostAxes] = {}, strides[kMostAxes] = {};  // strides in bytes
  bool readonly = false;
  std::shared_ptr<Storage> storage;  // null where another library owns the memory
  std::shared_ptr<void> owner;       // then this holds it

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return n;
  }
};
using Operand = std::shared_ptr<DeviceArray>;

// (device, stream) as Python passes it: the stream 0 or 1 is the legacy default one.
Queue queue_arg(PyObject* object);
// An argument on the queue's device, whose contents are there in the queue's order.
Operand operand_arg(PyObject* object, const char* name, Queue queue, DTypeSet allowed = kFloats);
// What the project's checks of arguments see of it; valid while the operand lives.
Array array_of(const Operand& operand);

Operand contiguous_operand(Queue queue, DType dtype, int ndim, const npy_intp* shape);
// For `shape`, like new_array of bindings/args.h.
Operand new_operand(Queue queue, DType dtype, const int64_t shape[5], const Layout& layout, bool batched,
                    bool channels_last_memory);
void strides_of(const Operand& operand, const Layout& layout, bool batched, int64_t strides[5]);
// The caller's `out`, checked as out_arg of bindings/args.h does. `objects` are the inputs as given.
Operand out_operand(PyObject* object, Queue queue, DType dtype, const int64_t shape[5], const Layout& layout,
                    bool batched, const std::vector<Operand>& inputs, std::initializer_list<PyObject*> objects);
bool share_memory(const Operand& a, const Operand& b);
// Copies elements between any strides.
void copy_operand(Queue queue, const Operand& to, const Operand& from);

PyObject* wrap(const Operand& operand);  // as a Python DeviceArray
bool register_device_array(PyObject* module);

// Functions of the module take exactly Count arguments by position, and call with the GIL held.
template <class F>
PyObject* guarded_on_device(F&& f) {
  return guarded([&]() -> PyObject* {
    try {
      check_process();
      return f();
    } catch (const OutOfMemory& e) {
      PyErr_SetString(PyExc_MemoryError, e.what());
    } catch (const Delegate&) {
      PyErr_SetString(PyExc_TypeError, "complex arrays are not computed on devices; pass real and imaginary parts");
    }
    throw PythonError();
  });
}
template <Py_ssize_t Count, PyObject* (*Call)(PyObject* const*)>
PyObject* device_method(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != Count) {
    PyErr_Format(PyExc_TypeError, "expected %zd positional arguments, got %zd", Count, count);
    return nullptr;
  }
  return guarded_on_device([&] { return Call(args); });
}
template <Py_ssize_t Count, PyObject* (*Call)(PyObject* const*)>
PyMethodDef device_entry(const char* name) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&device_method<Count, Call>)), METH_FASTCALL,
          nullptr};
}

}  // namespace konv::cuda
