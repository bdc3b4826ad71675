// Arguments that the convolution functions share, as parts of a ConvProblem.
#pragma once
#include "bindings/args.h"
#include "conv/conv.h"

namespace konv {

// Smaller problems are over before another Python thread would run.
constexpr double kTinyFlops = 1e5;

// What all directions take. The Python layer passes every argument by position, in the order of these indices.
struct Common {
  Layout layout;
  int64_t stride[3], dilation[3], groups;
  Padding padding;
  PaddingMode padding_mode;
  int64_t algorithm, threads, max_workspace;
  const char *input_name = "input", *weight_name = "weight";  // what messages call them
  // Of a transposed convolution, whose input is the problem's y.
  bool transposed = false;
  int64_t output_padding[3] = {};
};
Common common_args(int spatial, PyObject* stride, PyObject* padding, PyObject* dilation, PyObject* groups,
                   PyObject* padding_mode, PyObject* layout, PyObject* algorithm, PyObject* threads,
                   PyObject* max_workspace);

ConvProblem problem_of(const Common& c, Direction direction, DType dtype);
View weight_view(const Array& w, int spatial);
void set_transposed(Common& c, PyObject* output_padding);
// The convolution's input and weight, whose numbers of channels are checked against the groups.
void set_operands(ConvProblem& p, const Common& c, const View& input, const View& weight);
// Fills what depends on the kernel's size: padding and the size of the result.
void geometry(ConvProblem& p, const Common& c);
// Whether a result of no elements is all that there is to compute, as PyTorch has it for no images or no channels.
inline bool is_empty(const ConvProblem& p) { return p.n == 0 || p.c == 0; }
// Strides as of contiguous arrays.
void contiguous_operands(ConvProblem& p, const Common& c, const View& weight);
DType dtype_arg(PyObject* object);  // by name
// A name, or a (name, parameter) pair.
void activation_arg(PyObject* object, ConvProblem& p);
// Where the result goes, of a forward problem or an input gradient, and what is added to it.
struct Result {
  Ref out;
  const void* residual = nullptr;  // with the result's strides
};
// Adds the result's strides and the residual to the problem; `out` and `residual` may be None. A residual of other
// strides is copied into the result. `view` is of the operand whose batch and order of memory the result takes.
Result result_args(ConvProblem& p, const Layout& layout, const View& view, PyObject* out, PyObject* residual,
                   std::initializer_list<PyObject*> inputs);
// The bias: its shape is checked, its type is not.
void check_bias(const Array& bias, const ConvProblem& p);
Array bias_view(PyObject* object, const ConvProblem& p);
// A contiguous copy of the bias where it is not None, else an empty reference.
Ref bias_arg(PyObject* object, ConvProblem& p);

// Without the GIL, unless that would cost more than it gives.
inline void run_conv_call(const ConvProblem& p, const ConvTensors& t) {
  ReleaseGil release(p.flops() > kTinyFlops);
  run_conv(p, t);
}

}  // namespace konv
