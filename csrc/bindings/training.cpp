// The steps of a konv._core.Program that only training needs.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "bindings/program.h"
#include "graph/conv_step.h"
#include "graph/training_steps.h"

namespace konv {

namespace py = pybind11;

namespace {

using MaybePlace = std::optional<Place>;

void require(bool fits, const char* what) {
  if (!fits) throw std::invalid_argument(what);
}

bool contiguous(const Operand& o) {
  int64_t step = 1;
  for (int i = o.rank; i-- > 0; step *= o.shape[i])
    if (o.shape[i] != 1 && o.strides[i] != step) return false;
  return true;
}

Operand contiguous_like(const ProgramObject& p, const Place& place, const Operand& like) {
  const Operand o = p.operand(place);
  same_shape(o, like);
  require(o.dtype == like.dtype && contiguous(o), "operand: not contiguous, or of another dtype");
  return o;
}

// direction: "forward" or "input_gradient" (input, weight and perhaps bias and residual make output), or
// "weight_gradient" (input and `weight`, the output's gradient, make output, which is shaped like the weights).
void add_variable_conv(ProgramObject& p, const std::string& direction, const Place& input, const Place& weight,
                       const MaybePlace& bias, const Place& output, const MaybePlace& residual,
                       const ConvOptions& options) {
  ConvArguments a;
  a.input = p.operand(input, 5), a.weight = p.operand(weight, 5), a.output = p.operand(output, 5);
  a.bias = p.optional(bias, 1), a.residual = p.optional(residual, 5);
  const Direction d = direction == "forward"          ? Direction::forward
                      : direction == "input_gradient" ? Direction::input_gradient
                                                      : Direction::weight_gradient;
  a.problem = problem_of(options, d, a.input.dtype);
  if (d == Direction::forward) set_sides(a.problem, a.input, a.weight, a.output);
  if (d == Direction::input_gradient) set_sides(a.problem, a.output, a.weight, a.input);
  if (d == Direction::weight_gradient) {
    set_sides(a.problem, a.input, a.output, a.weight);
    require(!bias && !residual, "conv: weight gradients have neither bias nor residual");
  }
  a.problem.has_bias = bias.has_value(), a.problem.has_residual = residual.has_value();
  if (bias)
    require(a.bias.shape[0] == a.output.shape[1] && contiguous(a.bias) && a.bias.dtype == a.input.dtype,
            "bias: wrong shape");
  if (residual) {
    same_shape(a.residual, a.output);
    for (int i = 0; i < 5; i++)
      require(a.output.shape[i] == 1 || a.residual.strides[i] == a.output.strides[i], "residual: other strides");
  }
  py::gil_scoped_release release;
  p.program.add(conv_step(a, nullptr));
}

struct Channels {
  const ProgramObject& program;
  Operand x;
  Operand rows(const MaybePlace& place) const {
    const Operand o = program.optional(place, 2);
    if (o) {
      same_shape(o, x);
      require(o.dtype == x.dtype && (o.shape[1] == 1 || o.strides[1] == 1), "operand: not rows of channels");
    }
    return o;
  }
  Operand vector(const MaybePlace& place) const {
    const Operand o = program.optional(place, 1);
    require(!o || (o.dtype == x.dtype && o.shape[0] == x.shape[1] && contiguous(o)), "operand: one number a channel");
    return o;
  }
  Operand scratch(const Place& place) const {
    const Operand o = program.operand(place, 1);
    require(o.dtype == x.dtype && o.shape[0] >= batch_norm_scratch(x.shape[0], x.shape[1]) && contiguous(o),
            "scratch: too small");
    return o;
  }
};
Channels channels_of(const ProgramObject& p, const Place& x) {
  Channels c{p, p.operand(x, 2)};
  c.rows(x);
  require(c.x.dtype == DType::f32 || c.x.dtype == DType::f64, "batch_norm: dtype");
  return c;
}

void add_batch_norm(ProgramObject& p, const Place& x, const Place& y, const MaybePlace& gamma, const MaybePlace& beta,
                    const MaybePlace& residual, const Place& mean, const Place& deviation,
                    const MaybePlace& moving_mean, const MaybePlace& moving_variance, const Place& scratch,
                    const BatchNorm& options) {
  const Channels c = channels_of(p, x);
  BatchNormOperands o;
  o.x = c.x, o.y = c.rows(y), o.residual = c.rows(residual);
  o.gamma = c.vector(gamma), o.beta = c.vector(beta), o.mean = c.vector(mean), o.deviation = c.vector(deviation);
  o.moving_mean = c.vector(moving_mean), o.moving_variance = c.vector(moving_variance);
  o.scratch = c.scratch(scratch);
  p.program.add(batch_norm_step(o, options));
}

void add_batch_norm_gradient(ProgramObject& p, const Place& grad, const Place& x, const MaybePlace& y, const Place& out,
                             const MaybePlace& masked, const MaybePlace& gamma, const Place& mean,
                             const Place& deviation, const MaybePlace& gamma_grad, const MaybePlace& beta_grad,
                             const Place& scratch, const BatchNorm& options) {
  const Channels c = channels_of(p, x);
  BatchNormGradientOperands o;
  o.grad = c.rows(grad), o.x = c.x, o.y = c.rows(y), o.out = c.rows(out), o.masked = c.rows(masked);
  o.gamma = c.vector(gamma), o.mean = c.vector(mean), o.deviation = c.vector(deviation);
  o.gamma_grad = c.vector(gamma_grad), o.beta_grad = c.vector(beta_grad);
  o.scratch = c.scratch(scratch);
  p.program.add(batch_norm_gradient_step(o, options));
}

void add_pool_gradient(ProgramObject& p, const Place& grad, const MaybePlace& indices, const Place& output,
                       const PoolOptions& options) {
  const Operand g = p.operand(grad, 5), at = p.optional(indices, 5), x = p.operand(output, 5);
  PoolProblem problem = pool_problem(options, x, g);
  if (!indices) return p.program.add(avg_pool_gradient_step(problem, g, x));
  require(at.dtype == DType::i64, "indices: int64");
  same_shape(at, g);
  std::copy_n(at.strides, 5, problem.indices_s);
  p.program.add(max_pool_gradient_step(problem, g, at, x));
}

}  // namespace

void add_training_steps(py::class_<ProgramObject>& program) {
  py::class_<BatchNorm>(program, "BatchNorm").def(py::init<double, double, double, double, int64_t>());
  program.def("variable_conv", &add_variable_conv)
      .def("bias_gradient",
           [](ProgramObject& p, const Place& grad, const Place& output, int64_t threads) {
             const Operand g = p.operand(grad, 5), o = p.operand(output, 1);
             require(o.shape[0] == g.shape[1] && contiguous(o) && o.dtype == g.dtype, "bias: wrong shape");
             p.program.add(bias_gradient_step(g, o, threads));
           })
      .def("batch_norm", &add_batch_norm)
      .def("batch_norm_gradient", &add_batch_norm_gradient)
      .def_static("batch_norm_scratch", &batch_norm_scratch)
      .def("pool_gradient", &add_pool_gradient)
      .def("sum",
           [](ProgramObject& p, const Place& input, const Place& output, int64_t threads) {
             const Operand x = p.operand(input), y = p.operand(output);
             require(x.rank == y.rank && x.dtype == y.dtype, "sum: operands do not fit one another");
             for (int i = 0; i < x.rank; i++)
               require(y.shape[i] == 1 || y.shape[i] == x.shape[i], "sum: operands do not fit one another");
             p.program.add(sum_step(x, y, threads));
           })
      .def("cross_entropy",
           [](ProgramObject& p, const Place& scores, const Place& labels, const Place& loss, const Place& grad,
              int64_t threads) {
             const Operand x = p.operand(scores, 2), g = contiguous_like(p, grad, x);
             const Operand t = p.operand(labels), l = p.operand(loss, 1);
             require(contiguous(x) && contiguous(t) && contiguous(l) && l.dtype == x.dtype && l.shape[0] == x.shape[0],
                     "cross_entropy: operands do not fit one another");
             if (t.dtype == DType::i64)
               require(t.rank == 1 && t.shape[0] == x.shape[0], "labels: one a row");
             else
               contiguous_like(p, labels, x);
             p.program.add(cross_entropy_step(x, t, l, g, threads));
           })
      .def("softmax_gradient",
           [](ProgramObject& p, const Place& y, const Place& grad, const Place& output, int64_t threads) {
             const Operand o = contiguous_like(p, y, p.operand(y, 2));
             p.program.add(
                 softmax_gradient_step(o, contiguous_like(p, grad, o), contiguous_like(p, output, o), threads));
           })
      .def("dropout",
           [](ProgramObject& p, const Place& input, const Place& output, const Place& seed, double rate,
              int64_t threads) {
             const Operand x = contiguous_like(p, input, p.operand(input)), s = p.operand(seed, 1);
             require(s.dtype == DType::i64 && s.shape[0] == 1, "seed: one int64");
             p.program.add(dropout_step(x, contiguous_like(p, output, x), s, rate, threads));
           })
      .def("sgd",
           [](ProgramObject& p, const Place& value, const Place& grad, const MaybePlace& velocity, const Place& rates,
              double momentum, bool nesterov, int64_t threads) {
             const Operand v = contiguous_like(p, value, p.operand(value)), r = p.operand(rates, 1);
             require(r.dtype == DType::f64 && r.shape[0] >= 1, "rates: float64");
             const Operand speed = velocity ? contiguous_like(p, *velocity, v) : Operand{};
             p.program.add(sgd_update_step(v, contiguous_like(p, grad, v), speed, r, {momentum, nesterov}, threads));
           })
      .def("adam", [](ProgramObject& p, const Place& value, const Place& grad, const Place& mean, const Place& square,
                      const Place& rates, double beta_1, double beta_2, double epsilon, int64_t threads) {
        const Operand v = contiguous_like(p, value, p.operand(value)), r = p.operand(rates, 1);
        require(r.dtype == DType::f64 && r.shape[0] >= 2, "rates: float64");
        p.program.add(adam_update_step(v, contiguous_like(p, grad, v), contiguous_like(p, mean, v),
                                       contiguous_like(p, square, v), r, {beta_1, beta_2, epsilon}, threads));
      });
}

}  // namespace konv
