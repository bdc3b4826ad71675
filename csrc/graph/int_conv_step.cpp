// Convolutions of quantised bytes in a network: int32 sums become the next layer's bytes while they are in the cache.
//
// A task convolves one band of one image into its thread's scratch, channels last, and finishes it: scale, residual,
// activation, rounding. Where there are too few bands, threads share one convolution, and then the rows of its sums.
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "graph/bands.h"
#include "graph/conv_step.h"
#include "graph/numbers.h"

namespace konv {

namespace {

constexpr int64_t kBlock = 1024;  // numbers that are finished at a time

Bands cut_of(const ConvProblem& p) {
  const int64_t out[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
  return cut_bands(out, double(p.k * p.out_pixels()) * sizeof(int32_t), 0.25, p.threads);
}
int64_t part_elements(const ConvProblem& p, const Bands& cut) {
  const ConvProblem q = make_band(p, cut, 0).problem;  // the largest
  return q.n * q.k * q.out_pixels();
}

class IntConvStep final : public Step {
 public:
  IntConvStep(const ConvArguments& a, NodeWeights& weights, std::vector<float> scale, const Operand& scratch)
      : a_(a),
        scale_(std::move(scale)),
        scratch_(scratch),
        cut_(cut_of(a.problem)),
        part_(part_elements(a.problem, cut_)),
        table_(kernel_table(Isa(a.problem.isa))),
        out_(a.output),
        added_(a.residual ? a.residual : a.output) {
    std::vector<ConvProblem> known;
    for (int64_t i = 0; i < cut_.count; i++) {
      Band band = make_band(a.problem, cut_, i);
      band.problem.activation = Activation::none, band.problem.has_residual = 0;
      known.push_back(band.problem);
      const auto same = size_t(std::find(known.begin(), known.end(), band.problem) - known.begin());
      plans_.push_back(same + 1 < known.size() ? plans_[same] : weights.prepare(band.problem));
      bands_.push_back(band);
    }
  }

  void run(char* const* buffers) const override {
    int32_t* const sums = scratch_.in<int32_t>(buffers);
    const int threads = int(a_.problem.threads);
    FlushDenormals guard(!config().keep_denormals);
    if (cut_.joint) {
      convolve(0, 0, buffers, sums);
      const int64_t rows = a_.output.shape[0] * a_.output.shape[2] * a_.output.shape[3];
      const int64_t row = a_.output.shape[1] * a_.output.shape[4], grain = std::max<int64_t>(1, 16384 / row);
      parallel_for((rows + grain - 1) / grain, threads, [&](int64_t task, int) {
        for (int64_t r = task * grain; r < std::min(rows, (task + 1) * grain); r++) {
          const int64_t h = r % a_.output.shape[3], d = r / a_.output.shape[3] % a_.output.shape[2];
          finish_row(sums + r * row, {r / a_.output.shape[3] / a_.output.shape[2], d, h}, buffers);
        }
      });
      return;
    }
    parallel_for(a_.output.shape[0] * cut_.count, threads, [&](int64_t task, int thread) {
      int32_t* part = sums + thread * part_;
      convolve(task / cut_.count, task % cut_.count, buffers, part);
      finish_band(task / cut_.count, bands_[size_t(task % cut_.count)], buffers, part);
    });
  }
  StepInfo info() const override {
    const PreparedPlan& p = *plans_[0];
    const WorkspaceSize& w = p.plan->workspace;
    return {"conv", algorithm_at(p.plan->algorithm).name, a_.problem.flops(), p.packed->memory.size(),
            w.shared + w.per_thread * a_.problem.threads + int_conv_scratch(a_.problem)};
  }

 private:
  void convolve(int64_t image, int64_t band, char* const* buffers, int32_t* sums) const {
    const int64_t first = image * a_.problem.xs[0] + bands_[size_t(band)].input;
    plans_[size_t(band)]->run(a_.input.in<char>(buffers) + first, sums, nullptr);
  }

  void finish_band(int64_t n, const Band& b, char* const* buffers, const int32_t* sums) const {
    const ConvProblem& p = b.problem;
    for (int64_t d = 0; d < p.out[0]; d++)
      for (int64_t h = 0; h < p.out[1]; h++, sums += p.out[2] * p.k)
        finish_row(sums, {n, b.first[0] + d, b.first[1] + h}, buffers, b.first[2], p.out[2]);
  }

  struct Row {
    int64_t n, d, h;
    int64_t in(const Operand& o, int64_t w) const {
      return n * o.strides[0] + d * o.strides[2] + h * o.strides[3] + w * o.strides[4];
    }
  };
  void finish_row(const int32_t* sums, const Row& row, char* const* buffers) const {
    finish_row(sums, row, buffers, 0, a_.output.shape[4]);
  }
  void finish_row(const int32_t* sums, const Row& row, char* const* buffers, int64_t first, int64_t pixels) const {
    const Operand &y = a_.output, &r = a_.residual;
    const int64_t channels = y.shape[1], cols = std::min(channels, kBlock), rows = std::max<int64_t>(1, kBlock / cols);
    if (requantizes()) return requantize(sums, y.in<uint8_t>(buffers) + row.in(y, first), pixels);
    alignas(64) float block[kBlock], added[kBlock];
    for (int64_t w = 0; w < pixels; w += rows)
      for (int64_t k = 0; k < channels; k += cols) {
        const int64_t count = std::min(rows, pixels - w), width = std::min(cols, channels - k);
        table_.ints.dequantize_rows(
            {sums + w * channels + k, channels, count, width, &scale_[size_t(k)], block, width});
        if (r)
          move(r, r.in<char>(buffers) + (row.in(r, first + w) + k * r.strides[1]) * added_.item(), count, width,
               [&](int64_t at, char* place, int64_t step, int64_t n) { added_.load(place, step, n, added + at); });
        if (r || a_.problem.activation != Activation::none)
          table_.f32.finish_rows({block, width, count, width, block, r ? added : nullptr, width, a_.problem.activation,
                                  float(a_.problem.activation_parameter)});
        move(y, y.in<char>(buffers) + (row.in(y, first + w) + k * y.strides[1]) * out_.item(), count, width,
             [&](int64_t at, char* place, int64_t step, int64_t n) { out_.store(block + at, n, place, step); });
      }
  }

  // Calls f(offset in a block, place in the array, step, n) for `pixels` of `channels`, as one run where they are one.
  template <class F>
  static void move(const Operand& o, char* place, int64_t pixels, int64_t channels, F f) {
    if (channels == 1) return f(0, place, o.strides[4], pixels);
    if (o.strides[1] == 1 && (pixels == 1 || o.strides[4] == channels)) return f(0, place, 1, pixels * channels);
    for (int64_t i = 0; i < pixels; i++)
      f(i * channels, place + i * o.strides[4] * dtype_size(o.dtype), o.strides[1], channels);
  }

  // Whether sums become bytes by their scale and limits alone.
  bool requantizes() const {
    const Activation a = a_.problem.activation;
    const bool clips = a == Activation::none || a == Activation::relu || a == Activation::relu6;
    return clips && !a_.residual && is_byte(a_.output.dtype) && a_.output.strides[1] == 1;
  }
  void requantize(const int32_t* sums, uint8_t* dst, int64_t pixels) const {
    const Operand& y = a_.output;
    const bool is_signed = y.dtype == DType::i8;
    RequantizeRows r{};
    r.src = sums, r.src_ld = y.shape[1], r.rows = pixels, r.cols = y.shape[1];
    r.dst = dst, r.dst_ld = y.strides[4];
    r.lane_scale = &scale_[scale_.size() / 2];
    r.zero = y.zero, r.low = is_signed ? -128 : 0, r.high = r.low + 255;
    if (a_.problem.activation != Activation::none) r.low = std::max(r.low, y.zero);
    if (a_.problem.activation == Activation::relu6)
      r.high = std::min(r.high, y.zero + int32_t(std::min(255.0f, std::nearbyint(6 / float(y.scale)))));
    table_.ints.requantize_rows(r);
  }

  ConvArguments a_;
  std::vector<float> scale_;  // of sums, then the same over the output's
  Operand scratch_;
  Bands cut_;
  int64_t part_;  // elements of a part's sums
  const KernelTable& table_;
  Numbers out_, added_;
  std::vector<Band> bands_;
  std::vector<std::shared_ptr<const PreparedPlan>> plans_;
};

}  // namespace

int64_t int_conv_scratch(const ConvProblem& p) {
  const Bands cut = cut_of(p);
  return part_elements(p, cut) * cut.parts(p.threads) * int64_t(sizeof(int32_t));
}

std::unique_ptr<Step> int_conv_step(const ConvArguments& a, NodeWeights& weights, std::vector<float> scale,
                                    const Operand& scratch) {
  const size_t channels = scale.size();
  for (size_t k = 0; k < channels; k++) scale.push_back(is_byte(a.output.dtype) ? scale[k] / a.output.scale : 0);
  return std::make_unique<IntConvStep>(a, weights, std::move(scale), scratch);
}

}  // namespace konv
