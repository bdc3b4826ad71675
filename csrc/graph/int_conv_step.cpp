// Convolutions of quantised bytes in a network: int32 sums become the next layer's bytes while they are in the cache.
//
// The output is cut into bands of rows whose sums fit part of the second-level cache. A task convolves one band of one
// image into its thread's scratch, channels last, and finishes it: scale, residual, activation, rounding. Where that
// would leave threads idle, they share one convolution, and then the rows of its sums.
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/config.h"
#include "core/isa.h"
#include "core/machine.h"
#include "core/parallel.h"
#include "graph/conv_step.h"
#include "graph/numbers.h"

namespace konv {

namespace {

constexpr int64_t kBlock = 1024;  // numbers that are finished at a time

// Parts of the output: images, and bands along the outermost axis that has more than one element.
struct Cut {
  int axis;
  int64_t size, count, images;
  bool joint;     // threads share each part
  int64_t sums;   // elements of a part
  int64_t parts;  // whose sums exist at a time
};
Cut cut_of(const int64_t out[5], int64_t threads) {
  int axis = 0;
  while (axis < 2 && out[2 + axis] == 1) axis++;
  const int64_t image = out[1] * out[2] * out[3] * out[4], row = image / out[2 + axis];
  const int64_t budget = l2_cache_bytes() / 4 / int64_t(sizeof(int32_t));
  const int64_t bands = std::min(out[2 + axis], (image + budget - 1) / budget);
  Cut c{axis, (out[2 + axis] + bands - 1) / bands, 0, 1, false, 0, threads};
  c.count = (out[2 + axis] + c.size - 1) / c.size;
  if (threads > 1 && out[0] * c.count < 2 * threads)
    c = {axis, out[2 + axis], 1, out[0], true, 0, 1};
  c.sums = c.images * c.size * row;
  return c;
}

class IntConvStep final : public Step {
 public:
  IntConvStep(const ConvArguments& a, NodeWeights& weights, std::vector<float> scale, const Operand& scratch)
      : a_(a),
        scale_(std::move(scale)),
        scratch_(scratch),
        cut_(cut_of(a.output.shape, a.problem.threads)),
        table_(kernel_table(Isa(a.problem.isa))),
        out_(a.output),
        added_(a.residual ? a.residual : a.output) {
    std::vector<ConvProblem> known;
    for (int64_t i = 0; i < cut_.count; i++) {
      bands_.push_back({});
      Band& band = bands_.back();
      known.push_back(band_problem(i, band));
      const auto same = size_t(std::find(known.begin(), known.end(), known.back()) - known.begin());
      band.plan = same + 1 < known.size() ? bands_[same].plan : weights.prepare(known.back());
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
      int32_t* part = sums + thread * cut_.sums;
      convolve(task / cut_.count, task % cut_.count, buffers, part);
      finish_band(task / cut_.count, bands_[size_t(task % cut_.count)], buffers, part);
    });
  }
  StepInfo info() const override {
    const PreparedPlan& p = *bands_[0].plan;
    const WorkspaceSize& w = p.plan->workspace;
    return {"conv", algorithm_at(p.plan->algorithm).name, a_.problem.flops(), p.packed->memory.size(),
            w.shared + w.per_thread * a_.problem.threads + cut_.sums * cut_.parts * int64_t(sizeof(int32_t))};
  }

 private:
  struct Band {
    std::shared_ptr<const PreparedPlan> plan;
    int64_t input;     // elements from the image's first one
    int64_t first[3];  // output position
    int64_t size[3];
  };

  ConvProblem band_problem(int64_t number, Band& band) const {
    const int axis = cut_.axis;
    ConvProblem p = a_.problem;
    p.activation = Activation::none, p.has_residual = 0;
    p.n = cut_.images;
    if (!cut_.joint) p.threads = 1;
    band.first[axis] = number * cut_.size;
    p.out[axis] = std::min(cut_.size, p.out[axis] - band.first[axis]);
    if (cut_.count > 1) {
      const int64_t begin = band.first[axis] * p.stride[axis] - p.pad[axis];
      const int64_t end = begin + (p.out[axis] - 1) * p.stride[axis] + (p.kernel[axis] - 1) * p.dilation[axis] + 1;
      const int64_t low = std::max<int64_t>(begin, 0), high = std::min(end, p.in[axis]);
      // A band that sees nothing but padding has it in front of a row that no tap meets.
      const bool sees = low < high;
      band.input = sees ? low * p.xs[2 + axis] : 0;
      p.pad[axis] = sees ? low - begin : end - begin;
      p.in[axis] = sees ? high - low : 1;
    }
    std::copy_n(p.out, 3, band.size);
    const int64_t shape[5] = {p.n, p.k, p.out[0], p.out[1], p.out[2]};
    contiguous_strides(shape, true, p.ys);
    return p;
  }

  void convolve(int64_t image, int64_t band, char* const* buffers, int32_t* sums) const {
    const Band& b = bands_[size_t(band)];
    b.plan->run(a_.input.in<char>(buffers) + image * a_.problem.xs[0] + b.input, sums, nullptr);
  }

  void finish_band(int64_t n, const Band& b, char* const* buffers, const int32_t* sums) const {
    for (int64_t d = 0; d < b.size[0]; d++)
      for (int64_t h = 0; h < b.size[1]; h++, sums += b.size[2] * a_.output.shape[1])
        finish_row(sums, {n, b.first[0] + d, b.first[1] + h}, buffers, b.first[2], b.size[2]);
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
        table_.ints.dequantize_rows({sums + w * channels + k, channels, count, width, &scale_[size_t(k)], block, width});
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
    if (a_.problem.activation == Activation::relu6) r.high = std::min(r.high, y.zero + int32_t(std::nearbyint(6 / y.scale)));
    table_.ints.requantize_rows(r);
  }

  ConvArguments a_;
  std::vector<float> scale_;  // of sums, then the same over the output's
  Operand scratch_;
  Cut cut_;
  const KernelTable& table_;
  Numbers out_, added_;
  std::vector<Band> bands_;
};

}  // namespace

int64_t int_conv_scratch(const int64_t out_shape[5], int64_t threads) {
  const Cut c = cut_of(out_shape, threads);
  return c.sums * c.parts * int64_t(sizeof(int32_t));
}

std::unique_ptr<Step> int_conv_step(const ConvArguments& a, NodeWeights& weights, std::vector<float> scale,
                                    const Operand& scratch) {
  const size_t channels = scale.size();
  for (size_t k = 0; k < channels; k++) scale.push_back(is_byte(a.output.dtype) ? scale[k] / a.output.scale : 0);
  return std::make_unique<IntConvStep>(a, weights, std::move(scale), scratch);
}

}  // namespace konv
