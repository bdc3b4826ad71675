// A program in the making, as Python sees it: what the files that add steps to it share.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "graph/expression.h"
#include "graph/program.h"
#include "pool/pool.h"

namespace konv {

using Sizes = std::vector<int64_t>;
// (buffer, offset in bytes, dtype, shape, strides in elements, scale and zero point of quantised bytes)
using Place = std::tuple<int, int64_t, std::string, Sizes, Sizes, float, int32_t>;

// The bytes of a buffer; -1 where they are only known when it runs.
struct ProgramObject {
  explicit ProgramObject(int64_t arena_bytes) : program(arena_bytes), bytes{arena_bytes} {}
  Program program;
  std::vector<int64_t> bytes;

  // Throws std::invalid_argument where the place reaches beyond its buffer.
  Operand operand(const Place& place, int rank = -1) const;
  Operand optional(const std::optional<Place>& place, int rank = -1) const {
    return place ? operand(*place, rank) : Operand{};
  }
};

DType dtype_named(const std::string& name);
Activation activation_named(const std::string& name);
void same_shape(const Operand& a, const Operand& b);

// What a convolution is beside its operands.
struct ConvOptions {
  Sizes stride, dilation, pad;
  int64_t groups;
  std::string activation;
  double parameter;
  int64_t threads;
};
ConvProblem problem_of(const ConvOptions& options, Direction direction, DType dtype);
// `x` and `y` are the problem's, whatever the direction; `w` tells the weights' shape and strides.
void set_sides(ConvProblem& p, const Operand& x, const Operand& w, const Operand& y);
// The same where element types may differ.
void set_shapes(ConvProblem& p, const Operand& x, const Operand& w, const Operand& y);

struct PoolOptions {
  Sizes kernel, stride, dilation, pad, pad_after;
  bool count_padding;
  double power;  // of sums of powers, else 0
  int64_t threads;
};
PoolProblem pool_problem(const PoolOptions& options, const Operand& x, const Operand& y);

void add_training_steps(pybind11::class_<ProgramObject>& program);

}  // namespace konv
