// What only training does: batch statistics, gradients, losses, and the optimizers' updates.
#pragma once
#include <memory>

#include "graph/program.h"
#include "pool/pool.h"

namespace konv {

// Batch normalisation (Ioffe and Szegedy, 2015) of rows of channels: images are (rows, channels), channels one element
// apart. `low` and `high` bound the result: a relu, or none.
struct BatchNorm {
  double epsilon, low, high;
  double momentum;  // of the moving statistics
  int64_t threads;
};
// Elements of scratch, of the data's type, that both steps need.
int64_t batch_norm_scratch(int64_t rows, int64_t channels);

struct BatchNormOperands {
  Operand x, y;
  Operand gamma, beta, residual;         // may be none; the residual is added before the bounds
  Operand mean, deviation;               // results: the batch's mean, and 1 / sqrt(variance + epsilon)
  Operand moving_mean, moving_variance;  // moved towards the batch's, unless they are none
  Operand scratch;
};
std::unique_ptr<Step> batch_norm_step(const BatchNormOperands& operands, const BatchNorm& options);

struct BatchNormGradientOperands {
  Operand grad, x, out;
  Operand y;  // none where nothing bounds it
  Operand gamma, mean, deviation;
  Operand masked;                 // the gradient of what is bounded, for a residual; may be none
  Operand gamma_grad, beta_grad;  // may be none
  Operand scratch;
};
std::unique_ptr<Step> batch_norm_gradient_step(const BatchNormGradientOperands& operands, const BatchNorm& options);

// output = sum of the input over the axes along which the output has one element.
std::unique_ptr<Step> sum_step(const Operand& input, const Operand& output, int64_t threads);

// The gradients of pooling. Operands have five axes; `problem` is complete but for what they tell.
std::unique_ptr<Step> max_pool_gradient_step(const PoolProblem& problem, const Operand& grad, const Operand& indices,
                                             const Operand& output);
std::unique_ptr<Step> avg_pool_gradient_step(const PoolProblem& problem, const Operand& grad, const Operand& output);

// Rows of scores: the loss of each, and its gradient. Labels are class numbers (int64) or rows of shares.
std::unique_ptr<Step> cross_entropy_step(const Operand& scores, const Operand& labels, const Operand& loss,
                                         const Operand& grad, int64_t threads);
// Rows: y is softmax's result.
std::unique_ptr<Step> softmax_gradient_step(const Operand& y, const Operand& grad, const Operand& output,
                                            int64_t threads);
// `seed` holds one int64 when the program runs; the same one drops the same elements.
std::unique_ptr<Step> dropout_step(const Operand& input, const Operand& output, const Operand& seed, double rate,
                                   int64_t threads);

// `rates` holds float64: {rate} for SGD, {rate, decay} for Adam, by which weights shrink first: value -= decay * value.
struct SgdOptions {
  double momentum;
  bool nesterov;
};
std::unique_ptr<Step> sgd_update_step(const Operand& value, const Operand& grad, const Operand& velocity,
                                      const Operand& rates, const SgdOptions& options, int64_t threads);
struct AdamOptions {
  double beta_1, beta_2, epsilon;
};
std::unique_ptr<Step> adam_update_step(const Operand& value, const Operand& grad, const Operand& mean,
                                       const Operand& square, const Operand& rates, const AdamOptions& options,
                                       int64_t threads);

}  // namespace konv
