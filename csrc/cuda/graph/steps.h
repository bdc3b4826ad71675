// What networks on a device do beside convolving: the steps of graph/steps.h and graph/expression.h.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cuda/graph/program.h"
#include "graph/expression.h"
#include "graph/steps.h"

namespace konv::cuda {

std::unique_ptr<Step> pool_step(PoolStepKind kind, const PoolProblem& problem, const konv::Operand& input,
                                const konv::Operand& output, const konv::Operand& indices);
std::unique_ptr<Step> copy_step(const konv::Operand& input, const konv::Operand& output);
std::unique_ptr<Step> fill_step(const konv::Operand& output, double value);
std::unique_ptr<Step> softmax_step(const konv::Operand& input, const konv::Operand& output);
// Its tables lie on the device.
std::unique_ptr<Step> resample_step(int device, const konv::Operand& input, const konv::Operand& output,
                                    const Resampling& resampling);
// In float64 all operands are; else each is float32 or bfloat16.
std::unique_ptr<Step> expression_step(const std::vector<konv::Operand>& inputs, const konv::Operand& output,
                                      const std::vector<Instruction>& instructions, std::string text);

}  // namespace konv::cuda
