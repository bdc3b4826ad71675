// Arguments that the convolution functions share, as parts of a ConvProblem.
#pragma once
#include "bindings/args.h"

namespace konv {

// Smaller problems are over before another Python thread would run.
constexpr double kTinyFlops = 1e5;

// What all directions take. The Python layer passes every argument by position, in the order of these indices.
struct Common {
  Layout layout;
  int64_t stride[3], dilation[3], groups;
  Padding padding;
  int64_t algorithm, threads, max_workspace;
};
Common common_args(int spatial, PyObject* stride, PyObject* padding, PyObject* dilation, PyObject* groups,
                   PyObject* padding_mode, PyObject* layout, PyObject* algorithm, PyObject* threads,
                   PyObject* max_workspace);

ConvProblem problem_of(const Common& c, Direction direction, DType dtype);
View weight_view(const Array& w, int spatial);
void set_input(ConvProblem& p, const View& v);
void set_kernel(ConvProblem& p, const View& v);
// Checks the numbers of channels, and of those in a weight, against the groups.
void channels(ConvProblem& p, int64_t weight_channels, const char* input_name);
// Fills what depends on the kernel's size: padding and output.
void geometry(ConvProblem& p, const Common& c, const char* input_name);
DType dtype_arg(PyObject* object);  // by name
// A name, or a (name, parameter) pair.
void activation_arg(PyObject* object, ConvProblem& p);
// Where the result of a forward problem goes, and what is added to it.
struct Result {
  Ref out;
  const void* residual = nullptr;  // with the result's strides
};
// Adds the result's strides and the residual to the problem; `out` and `residual` may be None. A residual of other
// strides is copied into the result.
Result result_args(ConvProblem& p, const Layout& layout, const View& view, PyObject* out, PyObject* residual,
                   std::initializer_list<PyObject*> inputs);
// The bias: its shape is checked, its type is not.
Array bias_view(PyObject* object, const ConvProblem& p);
// A contiguous copy of the bias where it is not None, else an empty reference.
Ref bias_arg(PyObject* object, ConvProblem& p);

}  // namespace konv
