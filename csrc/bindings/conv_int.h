// The quantised convolutions of the Python module.
#pragma once
#include "bindings/args.h"

namespace konv {

extern PyMethodDef conv_int_methods[];

// A convolution of int8 and uint8 with sums in int32. `a` holds input, weight, bias (int32 or None), input_zero_point,
// weight_zero_point, stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace.
PyObject* conv_int(int spatial, PyObject* const* a);

}  // namespace konv
