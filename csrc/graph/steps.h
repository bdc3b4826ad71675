// What networks do beside convolving and arithmetic: pooling, moving, softmax, resampling.
#pragma once
#include <memory>
#include <vector>

#include "graph/program.h"
#include "pool/pool.h"

namespace konv {

enum class PoolStepKind { max, average, power };
// Operands have five axes. `problem` is complete but for what they tell; `indices` may be none.
std::unique_ptr<Step> pool_step(PoolStepKind kind, const PoolProblem& problem, const Operand& input,
                                const Operand& output, const Operand& indices);

// output = input, element by element; they have the same shape and element size, and strides of any kind.
std::unique_ptr<Step> copy_step(const Operand& input, const Operand& output, int64_t threads);
// All elements become one number.
std::unique_ptr<Step> fill_step(const Operand& output, double value);
// Along the last axis. Operands are contiguous.
std::unique_ptr<Step> softmax_step(const Operand& input, const Operand& output, int64_t threads);

// Along one axis: output[o] = sum over t of weight[o][t] * input[index[o][t]], for `taps` of them.
struct Resampling {
  int axis;
  int64_t taps;
  std::vector<int64_t> index;
  std::vector<double> weight;  // empty: 1
};
std::unique_ptr<Step> resample_step(const Operand& input, const Operand& output, Resampling resampling,
                                    int64_t threads);

}  // namespace konv
