// The pooling calls of konv._cuda: those of konv._core with the queue in front of the other arguments.
#pragma once
#include "bindings/pool_args.h"
#include "cuda/bindings/conv_args.h"

namespace konv::cuda {

extern PyMethodDef pool_methods[], pool_gradient_methods[];

// `out`, or a new array in the memory order of `like`. `objects` and `inputs` are the same arrays, as given and as
// operands.
Operand pool_operand(PyObject* out, const CallQueue& queue, DType dtype, const int64_t shape[5], const Layout& layout,
                     const View& like, const std::vector<Operand>& inputs, std::initializer_list<PyObject*> objects);
// Places of the windows of p. Where NumPy has them they are checked; on devices, kernels pass over what is outside.
Operand index_operand(PyObject* object, PoolProblem& p, const Layout& layout, bool batched, const char* where,
                      const CallQueue& queue);

}  // namespace konv::cuda
