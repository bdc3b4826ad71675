// Arguments that the pooling functions share, as parts of a PoolProblem.
#pragma once
#include "bindings/args.h"
#include "pool/pool.h"

namespace konv {

// Whose windows and divisors.
enum class PoolConvention { torch, onnx, tf };
PoolConvention pool_convention_arg(PyObject* object);

// Everything but the geometry; `max_workspace` may be null.
PoolProblem pool_problem_of(DType dtype, PyObject* threads, PyObject* max_workspace);
// The larger side. Sizes other than the batch have to be 1 at least.
void set_input(PoolProblem& p, const View& v, const char* name);
// The side of the windows, whose sizes are set already or are those of the view.
void set_windows_of(PoolProblem& p, const View& v);
// Windows as the arguments describe them; p.in and p.dilation are set.
void set_windows(PoolProblem& p, int spatial, PyObject* kernel_size, PyObject* stride, PyObject* padding,
                 PyObject* ceil_mode, PoolConvention convention);
void set_divisor(PoolProblem& p, PyObject* count_include_pad, PyObject* divisor_override, PoolConvention convention);
void set_power(PoolProblem& p, PyObject* norm_type);
// Windows that share each axis between `out` of them.
void set_parts(PoolProblem& p, const int64_t out[3]);
// A number or None for each dimension; None stands for the input's size.
void output_size_arg(PyObject* object, int spatial, const int64_t in[3], int64_t out[3]);
// What unpooling makes: as windows of kernel_size tell, or within less than a stride of that.
void unpooled_size(PyObject* object, const PoolProblem& p, const Layout& layout, int64_t size[3]);
// Refuses indices outside of the input's side, which `where` names.
void check_indices(const PoolProblem& p, const int64_t* index, const char* where);
// Refuses windows whose places kernels cannot count.
void check_places(const PoolProblem& p);

// The batch and channels of p, with the sizes of its windows.
struct PoolShape {
  int64_t sizes[5];
};
PoolShape windows_shape(const PoolProblem& p);
void check_shape(const Array& array, const View& view, const PoolShape& expected, bool batched, const Layout& layout,
                 const char* name);

// `out`, or a new array in the memory order of `like`.
Ref pool_result(PyObject* out, DType dtype, const int64_t shape[5], const Layout& layout, const View& like,
                std::initializer_list<PyObject*> inputs);
inline void* data_of(const Ref& array) { return PyArray_DATA(array.array()); }
inline bool is_large(const PoolProblem& p) { return p.bytes() > 100e3; }

}  // namespace konv
