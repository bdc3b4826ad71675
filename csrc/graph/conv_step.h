// Convolutions of a network, and what goes for them: dense layers are convolutions of rows.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "conv/prepared.h"
#include "graph/program.h"

namespace konv {

// The weights of one node in every form that programs for other sizes of the input have packed them into.
class NodeWeights {
 public:
  // A copy of `w` and `bias`, which are contiguous. Of bytes: `x_zero` stands for zero in the input, the bias is int32.
  NodeWeights(const ConvProblem& problem, const void* w, const void* bias, int32_t x_zero = 0);
  std::shared_ptr<const PreparedPlan> prepare(const ConvProblem& problem);
  int64_t bytes() const;

 private:
  std::shared_ptr<const WeightCopy> copy_;
  mutable std::mutex mutex_;
  PreparedPlans known_;
};

// `problem` is complete but for what the operands tell: element type, strides, and whether there are bias and residual.
// Operands have five axes: (n, c, d, h, w), or (k, c / groups, d, h, w).
struct ConvArguments {
  ConvProblem problem;
  Operand input, output, residual;
  Operand weight, bias;  // of a program that trains: nothing is packed beforehand
};

std::unique_ptr<Step> conv_step(const ConvArguments& arguments, NodeWeights* weights);
// Of quantised bytes. Sums times `scale`, one number for each output channel, are what bias, residual and activation
// finish; the output is float32 or bytes, and so is the residual. `scratch` has int_conv_scratch bytes.
std::unique_ptr<Step> int_conv_step(const ConvArguments& arguments, NodeWeights& weights, std::vector<float> scale,
                                    const Operand& scratch);
int64_t int_conv_scratch(const ConvProblem& problem);
// Of bfloat16 in, out and as residual, with float32 weights. `scratch` has half_conv_scratch bytes.
std::unique_ptr<Step> half_conv_step(const ConvArguments& arguments, NodeWeights& weights, const Operand& scratch);
int64_t half_conv_scratch(const ConvProblem& problem);
// input: grad_output; output: the gradient of the bias, one axis.
std::unique_ptr<Step> bias_gradient_step(const Operand& input, const Operand& output, int64_t threads);

}  // namespace konv
