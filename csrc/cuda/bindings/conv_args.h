// bindings/conv_args.h for arrays on devices: what reads or makes arrays; all else is shared.
#pragma once
#include <vector>

#include "bindings/conv_args.h"
#include "cuda/bindings/device_array.h"

namespace konv::cuda {

// A queue, which is from then on the device of the thread's problems.
CallQueue conv_queue_arg(PyObject* object);
// Contiguous, or null for None.
Operand bias_operand(PyObject* object, ConvProblem& p, const CallQueue& queue);
struct DeviceResult {
  Operand out;
  Operand residual;  // holds the memory
  const void* residual_data = nullptr;
};
// As result_args: `objects` and `inputs` are the same arrays, as given and as operands.
DeviceResult result_operand(ConvProblem& p, const Layout& layout, const View& view, PyObject* out, PyObject* residual,
                            const CallQueue& queue, const std::vector<Operand>& inputs,
                            std::initializer_list<PyObject*> objects);
void run_conv_call(Queue queue, const ConvProblem& p, const ConvTensors& t);

}  // namespace konv::cuda
