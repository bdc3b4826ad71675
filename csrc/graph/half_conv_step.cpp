// Convolutions of bfloat16 in a network: bands of the input become float32 in scratch, and bands of the result
// bfloat16, while they are in the cache. Weights are float32 numbers that bfloat16 holds: pairs of them multiply
// without rounding.
#include <utility>

#include "conv/half_arrays.h"
#include "core/parallel.h"
#include "graph/bands.h"
#include "graph/conv_step.h"

namespace konv {

namespace {

int64_t line(int64_t elements) { return (elements + 15) / 16 * 16; }
int64_t pixels(const int64_t sizes[3]) { return sizes[0] * sizes[1] * sizes[2]; }
int64_t input_elements(const ConvProblem& p) { return line(p.n * p.c * pixels(p.in)); }
int64_t output_elements(const ConvProblem& p) { return line(p.n * p.k * pixels(p.out)); }

Bands cut_of(const ConvProblem& p) {
  const int64_t out[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  const double image = double(p.c * pixels(p.in)) + double(p.k * pixels(p.out));
  return cut_bands(out, image * sizeof(float), 1.0, p.threads);
}
int64_t part_elements(const ConvProblem& p, const Bands& cut) {
  int64_t most = 0;
  for (int64_t i = 0; i < cut.count; i++) {
    const ConvProblem q = make_band(p, cut, i).problem;
    most = std::max(most, input_elements(q) + output_elements(q));
  }
  return most;
}

class HalfConvStep final : public Step {
 public:
  HalfConvStep(const ConvArguments& a, NodeWeights& weights, const Operand& scratch)
      : a_(a), scratch_(scratch), cut_(cut_of(a.problem)), part_(part_elements(a.problem, cut_)) {
    std::vector<ConvProblem> known;
    for (int64_t i = 0; i < cut_.count; i++) {
      const Band band = make_band(a.problem, cut_, i);
      ConvProblem p = band.problem;
      p.dtype = DType::f32;
      if (p.precision == Precision::high) p.precision = Precision::medium;
      const int64_t x[5] = {p.n, p.c, p.in[0], p.in[1], p.in[2]}, y[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
      contiguous_strides(x, a.input.strides[1] == 1 && p.c > 1, p.xs);
      known.push_back(p);
      const auto same = size_t(std::find(known.begin(), known.end(), p) - known.begin());
      int64_t at = 0, residual = 0;
      for (int axis = 0; axis < 3; axis++) {
        at += band.first[axis] * a.output.strides[2 + axis];
        residual += band.first[axis] * a.residual.strides[2 + axis];
      }
      parts_.push_back({same + 1 < known.size() ? parts_[same].plan : weights.prepare(p), input_elements(p), band.input,
                        at, residual, HalfCopy(DType::bf16, p.isa, x, a.input.strides, p.xs),
                        HalfCopy(DType::bf16, p.isa, y, a.output.strides, p.ys),
                        HalfCopy(DType::bf16, p.isa, y, a.residual.strides, p.ys)});
    }
  }

  void run(char* const* buffers) const override {
    const int threads = int(a_.problem.threads);
    if (cut_.joint) return run_part(0, 0, buffers, scratch_.in<float>(buffers), threads);
    parallel_for(a_.problem.n * cut_.count, threads, [&](int64_t task, int thread) {
      run_part(task / cut_.count, task % cut_.count, buffers, scratch_.in<float>(buffers) + thread * part_, 1);
    });
  }
  StepInfo info() const override {
    const PreparedPlan& p = *parts_[0].plan;
    const WorkspaceSize& w = p.plan->workspace;
    return {"conv", algorithm_at(p.plan->algorithm).name, a_.problem.flops(), p.packed->memory.size(),
            w.shared + w.per_thread * a_.problem.threads + half_conv_scratch(a_.problem)};
  }

 private:
  struct Part {
    std::shared_ptr<const PreparedPlan> plan;
    int64_t input_size;               // of the copy
    int64_t input, output, residual;  // elements from the image's first one
    HalfCopy x, y, r;
  };

  void run_part(int64_t image, int64_t number, char* const* buffers, float* x, int threads) const {
    const Part& p = parts_[size_t(number)];
    float* y = x + p.input_size;
    p.x.widen(a_.input.in<uint16_t>(buffers) + image * a_.input.strides[0] + p.input, x, threads);
    if (a_.residual)
      p.r.widen(a_.residual.in<uint16_t>(buffers) + image * a_.residual.strides[0] + p.residual, y, threads);
    p.plan->run(x, y, a_.residual ? y : nullptr);
    p.y.narrow(y, a_.output.in<uint16_t>(buffers) + image * a_.output.strides[0] + p.output, threads);
  }

  ConvArguments a_;
  Operand scratch_;
  Bands cut_;
  int64_t part_;  // elements of a part's scratch
  std::vector<Part> parts_;
};

}  // namespace

int64_t half_conv_scratch(const ConvProblem& p) {
  const Bands cut = cut_of(p);
  return part_elements(p, cut) * cut.parts(p.threads) * int64_t(sizeof(float));
}

std::unique_ptr<Step> half_conv_step(const ConvArguments& a, NodeWeights& weights, const Operand& scratch) {
  return std::make_unique<HalfConvStep>(a, weights, scratch);
}

}  // namespace konv
