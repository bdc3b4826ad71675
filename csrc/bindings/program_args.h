// What Python says of a program's steps, checked: of konv._core.Program, and of the one on devices (cuda/bindings).
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "graph/expression.h"
#include "graph/program.h"
#include "graph/steps.h"
#include "pool/pool.h"

namespace konv {

using Sizes = std::vector<int64_t>;
// (buffer, offset in bytes, dtype, shape, strides in elements, scale and zero point of quantised bytes)
using Place = std::tuple<int, int64_t, std::string, Sizes, Sizes, float, int32_t>;
// (kind, name of the operation, a, b, out, p, q, r)
using InstructionTuple = std::tuple<std::string, std::string, int, int, int, double, double, double>;

// `bytes` are those of each buffer. Throws std::invalid_argument where the place reaches beyond its buffer.
Operand operand_at(const std::vector<int64_t>& bytes, const Place& place, int rank = -1);
DType dtype_named(const std::string& name);
Activation activation_named(const std::string& name);
void same_shape(const Operand& a, const Operand& b);
int64_t contiguous_bytes(const pybind11::buffer_info& array);

template <size_t N>
void copy_sizes(const Sizes& from, int64_t (&to)[N]) {
  if (from.size() != N) throw std::invalid_argument("sizes: wrong number");
  std::copy(from.begin(), from.end(), to);
}

// What a convolution is beside its operands.
struct ConvOptions {
  Sizes stride, dilation, pad;
  int64_t groups;
  std::string activation;
  double parameter;
  int64_t threads;
  int64_t bytes_between = 0;
};
ConvProblem problem_of(const ConvOptions& options, Direction direction, DType dtype);
// `x` and `y` are the problem's, whatever the direction; `w` tells the weights' shape and strides.
void set_sides(ConvProblem& p, const Operand& x, const Operand& w, const Operand& y);
// The same where element types may differ.
void set_shapes(ConvProblem& p, const Operand& x, const Operand& w, const Operand& y);
// A residual is walked through as the output is.
void check_residual(const Operand& residual, const Operand& output);

// The weights of a convolution, or of a transposed one, where they are (in, out / groups, d, h, w).
struct GivenWeights {
  GivenWeights(const pybind11::buffer& w, const std::optional<pybind11::buffer>& bias, int64_t groups, bool transposed,
               const std::string& dtype);
  ConvProblem problem{};  // what the weights tell of it
  const void *w, *bias = nullptr;
  Operand operand;  // their shape and strides
};

struct PoolOptions {
  Sizes kernel, stride, dilation, pad, pad_after;
  bool count_padding;
  double power;  // of sums of powers, else 0
  int64_t threads;
};
PoolProblem pool_problem(const PoolOptions& options, const Operand& x, const Operand& y);
// Likewise, with places for the indices of maxima, which may be none.
PoolProblem pool_problem(const PoolOptions& options, const Operand& x, const Operand& y, const Operand& indices);

// For expression_step.
std::vector<Instruction> instructions_of(const std::vector<InstructionTuple>& code, const std::vector<Operand>& inputs,
                                         const Operand& output);
void check_resampling(const Operand& x, const Operand& y, const Resampling& resampling);

}  // namespace konv
