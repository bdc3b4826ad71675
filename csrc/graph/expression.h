// Chains of element-wise operations in one pass: blocks of elements stay in the cache while the chain runs over them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "graph/program.h"
#include "kernels/blocks.h"
#include "kernels/epilogue.h"

namespace konv {

constexpr int kMaxRegisters = 16;

// Registers hold a block each: first the inputs in their order, then what instructions write.
struct Instruction {
  // gradient: an activation's derivative at a, times b. clipped and its gradient are relu with slope p below r, and at
  // most q.
  enum class Kind { unary, binary, activation, function, gradient, clipped, clipped_gradient } kind;
  int op;         // UnaryOp, BinaryOp, Activation, or an index into function_names()
  int a, b, out;  // registers
  double p = 0, q = 0, r = 0;
};

// Functions of the mathematical library, one element at a time.
const std::vector<std::string>& function_names();

// The last instruction's register becomes `output`, or the first input where there are none. In float64 all operands
// are; else each is float32, bfloat16 or quantised bytes, and what is computed is float32. Inputs have the output's
// shape, with strides of 0 where they are repeated.
std::unique_ptr<Step> expression_step(const std::vector<Operand>& inputs, const Operand& output,
                                      const std::vector<Instruction>& instructions, int64_t threads, std::string text);

}  // namespace konv
