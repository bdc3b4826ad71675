// The algorithms on the GEMM micro-kernel: implicit_gemm packs its operands and computes everything dense; pointwise
// reads the input of a 1x1 convolution where it lies; implicit_gemm_bf16 packs operands rounded to bfloat16,
// implicit_gemm_int8 and implicit_gemm_int16 those of quantised layers as bytes and words.
#include <algorithm>
#include <cstdlib>

#include "conv/dense_plan.h"
#include "conv/weight_gradient.h"
#include "core/isa.h"
#include "core/machine.h"

namespace konv {

namespace {

// Whether the kernel of few rows multiplies most outputs of a 1x1 convolution on channels-last arrays.
bool is_wide(const ConvProblem& p) {
  const bool forward = p.direction == Direction::forward;
  const auto& kernel = kernel_table(Isa(p.isa)).f32;
  return p.dtype == DType::f32 && kernel.gemm_wide && p.taps() == 1 && p.clips() && (forward ? p.ys : p.xs)[1] == 1 &&
         (forward ? p.k : p.c) / p.groups >= 8 * kernel.lanes;
}

// Pixels or planes whose strides are multiples of the page would lie in few sets of the first-level cache, fewer than
// tiles have rows.
std::string crowded_strides(const ConvProblem& p) {
  const int64_t item = dtype_size(p.dtype);
  const int64_t* s = p.direction == Direction::forward ? p.xs : p.ys;
  const int64_t channels = p.direction == Direction::forward ? p.c : p.k;
  if (is_wide(p)) return "";
  if (s[1] == 1 && channels > 1 && std::llabs(s[4]) * item % 2048 == 0) return "pixels lie a multiple of 2 KiB apart";
  if (s[1] != 1 && channels > 128 && std::llabs(s[1]) * item % 4096 == 0) return "planes lie a multiple of 4 KiB apart";
  return "";
}

bool all_in_place(const ConvProblem& p) {
  for (const TapProblem& t : tap_problems(p))
    if (!can_read_in_place(t)) return false;
  return true;
}

std::string pointwise_supports(const ConvProblem& p) {
  if (p.direction == Direction::weight_gradient) return "computes the forward direction and the input gradient";
  if (p.taps() != 1) return "the kernel has more than one element";
  if (!all_in_place(p)) return "the input is padded";
  return crowded_strides(p);
}

// Without padding the input can be read where it lies. That pays where few outputs share the cost of packing it.
DenseInput input_of(const ConvProblem& p) {
  const int64_t outputs = (p.direction == Direction::forward ? p.k : p.c) / p.groups;
  const bool in_place = p.taps() > 1 && outputs <= 64 && all_in_place(p) && crowded_strides(p).empty();
  return in_place ? DenseInput::in_place : DenseInput::packed;
}

// Close calls go to the algorithms that keep float32's accuracy.
constexpr double kFavourFloat32 = 1.05;

std::string bf16_supports(const ConvProblem& p) {
  if (p.precision != Precision::medium) return "precision is not 'medium'";
  if (p.dtype != DType::f32) return "the arrays are not float32";
  if (p.direction == Direction::weight_gradient) return "computes the forward direction and the input gradient";
  if (!pair_kernels(Isa(p.isa))) return "the CPU, or the instruction set in use, has no products in bfloat16";
  return "";
}

// With the weights: packed for a call that has them once, else streamed past, most of it behind the multiplications if
// there are enough of them.
double cost_with_weights(const ConvProblem& p, DenseInput input) {
  const double bytes = double(p.k * (p.c / p.groups) * p.taps() * dtype_size(p.dtype)),
               stream = stream_cost(bytes, double(p.bytes_between));
  const double cost = dense_cost(p, input), hidden = p.n * p.out_pixels() <= 4 ? 0.5 : 0.85;
  return p.weights_ready ? cost + stream - hidden * std::min(stream, cost) : cost + bytes / 16 + 2 * stream;
}

// Narrow groups are packed and stored one by one, a few channels at a time: cycles a vector of both.
double narrow_groups_cost(const ConvProblem& p) {
  if (p.groups == 1 || p.c / p.groups > 16) return 0;
  const KernelTable& table = kernel_table(Isa(p.isa));
  const double lanes = p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes;
  const double in = double(p.c) * double(p.in[0] * p.in[1] * p.in[2]), out = double(p.k) * double(p.out_pixels());
  return 10 * double(p.n) * (in + out) / lanes;
}
double implicit_gemm_cost(const ConvProblem& p) {
  return p.direction == Direction::weight_gradient ? weight_gradient_cost(p)
                                                   : cost_with_weights(p, input_of(p)) + narrow_groups_cost(p);
}

std::string int8_supports(const ConvProblem& p) {
  if (!dot_kernels(Isa(p.isa))) return "the CPU, or the instruction set in use, has no products of bytes";
  if (p.weight_range == WeightRange::wide) return "weights less their zero points do not fit a byte";
  return "";
}
// Weights are packed byte by byte.
double int_cost(const ConvProblem& p, DenseInput input) {
  const double weights = 1.25 * double(p.k * (p.c / p.groups) * p.taps());
  const bool one_step = input == DenseInput::bytes || dot_kernels(Isa(p.isa));  // else products and a sum
  return (one_step ? 1 : 2) * dense_cost(p, input) + (p.weights_ready ? 0 : weights);
}

std::unique_ptr<ConvPlan> make_implicit_gemm(const ConvProblem& p) {
  return p.direction == Direction::weight_gradient ? make_weight_gradient_plan(p) : make_dense_plan(p, input_of(p));
}

}  // namespace

extern const Algorithm pointwise_algorithm;
const Algorithm pointwise_algorithm = {"pointwise", pointwise_supports,
                                       [](const ConvProblem& p) { return cost_with_weights(p, DenseInput::in_place); },
                                       [](const ConvProblem& p) { return make_dense_plan(p, DenseInput::in_place); }};

extern const Algorithm implicit_gemm_bf16_algorithm;
const Algorithm implicit_gemm_bf16_algorithm = {
    "implicit_gemm_bf16", bf16_supports,
    [](const ConvProblem& p) {
      return kFavourFloat32 / core_speeds().pair_products * cost_with_weights(p, DenseInput::pairs);
    },
    [](const ConvProblem& p) { return make_dense_plan(p, DenseInput::pairs); }, true};

extern const Algorithm implicit_gemm_algorithm;
const Algorithm implicit_gemm_algorithm = {"implicit_gemm", [](const ConvProblem&) { return std::string(); },
                                           implicit_gemm_cost, make_implicit_gemm, true};

extern const Algorithm implicit_gemm_int8_algorithm;
const Algorithm implicit_gemm_int8_algorithm = {
    "implicit_gemm_int8",
    int8_supports,
    [](const ConvProblem& p) { return int_cost(p, DenseInput::bytes); },
    [](const ConvProblem& p) { return make_dense_plan(p, DenseInput::bytes); },
    false,
    Operands::bytes};

extern const Algorithm implicit_gemm_int16_algorithm;
const Algorithm implicit_gemm_int16_algorithm = {
    "implicit_gemm_int16",
    [](const ConvProblem&) { return std::string(); },
    [](const ConvProblem& p) { return int_cost(p, DenseInput::words); },
    [](const ConvProblem& p) { return make_dense_plan(p, DenseInput::words); },
    false,
    Operands::bytes};

}  // namespace konv
