// Arrays on devices, as arguments and results. DLPack, __cuda_array_interface__ and konv's own DeviceArray are taken
// where they lie; NumPy arrays are copied to the queue's device.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bindings/args.h"
#include "cuda/bindings/parked.h"
#include "cuda/runtime.h"

namespace konv::cuda {

// A call's queue, and the library on whose stream it works, if it is one whose memory goes back in the order of that
// stream: "torch", "cupy" or "".
struct CallQueue : Queue {
  std::string package;
};

// What arrays share: memory of konv's own, given back when nobody holds it, or that of another library, whose owner is
// let go then, though not before kernels have read it (parked.h).
class Storage {
 public:
  Storage(Queue queue, int64_t bytes);
  // `in_order`: the library reuses the memory in the order of the queue's stream.
  Storage(Queue queue, std::shared_ptr<void> owner, bool in_order)
      : home_(queue), writer_(queue.stream), in_order_(in_order), owner_(std::move(owner)) {}
  ~Storage();
  Storage(const Storage&) = delete;

  int device() const { return home_.device; }
  void* memory() const { return memory_; }
  bool is_own() const { return memory_; }
  Queue writer() const;  // the last one
  // The queue comes after the last writer, and is one of those that the memory is kept for.
  void read_on(Queue queue);
  // It also comes after all who read, and is the last writer from now on.
  void write_on(Queue queue);

 private:
  void note(void* stream);

  const Queue home_;
  mutable std::mutex mutex_;
  void* writer_;
  std::vector<void*> others_;  // streams that were told of it, beside the home's
  void* memory_ = nullptr;
  bool in_order_ = false;
  std::shared_ptr<void> owner_;
};

constexpr int kMostAxes = 8;

struct DeviceArray {
  DType dtype = DType::f32;
  int ndim = 0;
  void* data = nullptr;
  npy_intp shape[kMostAxes] = {}, strides[kMostAxes] = {};  // strides in bytes
  bool readonly = false;
  std::shared_ptr<Storage> storage;

  int device() const { return storage->device(); }
  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return n;
  }
};
using Operand = std::shared_ptr<DeviceArray>;

constexpr int64_t kLegacyStream = 1;  // as DLPack and the CUDA runtime number it
inline void* stream_of(int64_t number) { return number <= kLegacyStream ? nullptr : reinterpret_cast<void*>(number); }
inline int64_t number_of(void* stream) { return stream ? reinterpret_cast<int64_t>(stream) : kLegacyStream; }

template <class T>
T checked(T object) {
  if (!object) throw PythonError();
  return object;
}

// (device, stream) or (device, stream, package) as Python passes it: the stream 0 or 1 is the legacy default one.
CallQueue queue_arg(PyObject* object);
// An argument on the queue's device, whose contents are there in the queue's order.
Operand operand_arg(PyObject* object, const char* name, const CallQueue& queue, DTypeSet allowed = kFloats);
void check_device(const char* name, int device, Queue queue);  // of an argument
// What the project's checks of arguments see of it; valid while the operand lives.
Array array_of(const Operand& operand);

Operand contiguous_operand(Queue queue, DType dtype, int ndim, const npy_intp* shape);
// For `shape`, like new_array of bindings/args.h.
Operand new_operand(Queue queue, DType dtype, const int64_t shape[5], const Layout& layout, bool batched,
                    bool channels_last_memory);
void strides_of(const Operand& operand, const Layout& layout, bool batched, int64_t strides[5]);
// The caller's `out`, checked as out_arg of bindings/args.h does. `objects` are the inputs as given.
Operand out_operand(PyObject* object, const CallQueue& queue, DType dtype, const int64_t shape[5], const Layout& layout,
                    bool batched, const std::vector<Operand>& inputs, std::initializer_list<PyObject*> objects);
bool share_memory(const Operand& a, const Operand& b);
// Copies elements between any strides.
void copy_operand(Queue queue, const Operand& to, const Operand& from);

// Strides of an array in C order.
void make_contiguous(DeviceArray& array);
// A NumPy array's header on the memory, for NumPy to compare addresses; its elements must not be touched.
Ref header(const DeviceArray& array);

PyObject* wrap(const Operand& operand);  // as a Python DeviceArray
bool register_device_array(PyObject* module);

// Functions of the module take exactly Count arguments by position, and call with the GIL held.
template <class F>
PyObject* guarded_on_device(F&& f) {
  return guarded([&]() -> PyObject* {
    try {
      check_process();
      let_go_of_passed();
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
