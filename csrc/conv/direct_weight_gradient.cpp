// The weight gradient of a network's first layer: few input channels, kernels of 3, 5 or 7 columns, planar output
// gradients, which are read where they lie.
//
// A task owns a part of the images, which it walks in bands of rows: it packs the band's padded input, and for each
// group of output channels, input channel and row of taps the kernel adds up products of vectors of pixels. Lanes are
// summed at the end of a part, and parts in their order.
#include "conv/direct_weight_gradient.h"

#include <algorithm>

#include "conv/packing.h"
#include "core/isa.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kMaxChannels = 4;
constexpr int64_t kPartPixels = 6144;  // of a part, at least: summing its lanes costs as much as some rows
constexpr int64_t kMaxParts = 32;

TapProblem forward_taps(ConvProblem problem) {
  problem.direction = Direction::forward;
  return std::move(tap_problems(problem)[0]);
}

template <class T>
class DirectWeightGradientPlan final : public ConvPlan {
 public:
  explicit DirectWeightGradientPlan(const ConvProblem& problem)
      : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))), p_(forward_taps(problem)) {
    threads = problem.flops() < 2e6 ? 1 : int(problem.threads);
    taps_ = p_.grid[2], rows_ = p_.grid[1];
    const int64_t most = kernel_.tap_sum_outputs(int(taps_)), line = 64 / int64_t(sizeof(T));
    groups_ = ceil_div(p_.outputs, most), group_ = ceil_div(p_.outputs, groups_);
    groups_ = ceil_div(p_.outputs, group_);
    // A group's output gradients stay in the second-level cache for all rows of taps.
    const int64_t row_bytes = group_ * p_.out[2] * int64_t(sizeof(T));
    bands_ = ceil_div(p_.out[1], std::max<int64_t>(1, l2_cache_bytes() / 6 / row_bytes));
    band_ = ceil_div(p_.out[1], bands_), bands_ = ceil_div(p_.out[1], band_);
    const int64_t images = p_.n * p_.groups;
    parts_ = std::clamp<int64_t>(p_.n * p_.out[1] * p_.out[2] / kPartPixels, 1, std::min(kMaxParts, p_.n * bands_));
    packing_ = InputPacking<T>(p_, true, p_.channels, band_, round_up(p_.out[2], kernel_.lanes), kernel_.lanes);
    count_ = groups_ * p_.channels * rows_ * taps_ * group_;
    sums_ = count_ * kernel_.lanes, result_ = round_up(count_, line);
    workspace.shared = images / p_.n * parts_ * result_ * int64_t(sizeof(T));
    workspace.per_thread = (packing_.size + 2 * round_up(sums_, line)) * int64_t(sizeof(T));
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& ws) const noexcept override {
    const T *x = static_cast<const T*>(tensors.x), *dy = static_cast<const T*>(tensors.y) + p_.out_base;
    T* const results = reinterpret_cast<T*>(ws.shared);
    parallel_for(p_.groups * parts_, threads, [&](int64_t task, int thread) {
      sum_part(x, dy, task / parts_, task % parts_, reinterpret_cast<T*>(ws.of(thread)), results + task * result_);
    });
    for (int64_t group = 0; group < p_.groups; group++) {
      T* sum = results + group * parts_ * result_;
      for (int64_t part = 1; part < parts_; part++) kernel_.add_rows(sum + part * result_, 0, 1, count_, sum, 0);
      store(sum, static_cast<T*>(tensors.w) + group * p_.w_group);
    }
  }

 private:
  // Sums lie as [group of outputs][channel][row of taps][output][tap].
  void sum_part(const T* x, const T* dy, int64_t group, int64_t part, T* packed, T* result) const {
    T *const sums = packed + packing_.size, *const turned = sums + round_up(sums_, 64 / int64_t(sizeof(T)));
    std::fill_n(sums, sums_, T(0));
    const int64_t all = p_.n * bands_;
    for (int64_t i = all * part / parts_; i < all * (part + 1) / parts_; i++) {
      const int64_t n = i / bands_, h0 = i % bands_ * band_, h = std::min(band_, p_.out[1] - h0);
      kernel_.pack_planes(
          packing_.region(p_, x + n * p_.in_n + group * p_.channels * p_.in_c, p_.channels, 0, h0, 0, packed));
      const T* gradient = dy + n * p_.out_n + group * p_.outputs * p_.out_c + h0 * p_.out_stride[1];
      T* s = sums;
      for (int64_t k = 0; k < p_.outputs; k += group_)
        for (int64_t c = 0; c < p_.channels; c++)
          for (int64_t row = 0; row < rows_; row++, s += taps_ * group_ * kernel_.lanes)
            kernel_.tap_sums({packed + c * packing_.channel + packing_.tap_off[size_t(row * taps_)], packing_.row,
                              gradient + k * p_.out_c, p_.out_c, p_.out_stride[1], h, p_.out[2], int(taps_),
                              int(std::min(group_, p_.outputs - k)), s});
    }
    kernel_.transpose(sums, kernel_.lanes, count_, kernel_.lanes, turned, count_);
    std::fill_n(result, count_, T(0));
    kernel_.sum_columns(turned, count_, kernel_.lanes, count_, result);
  }

  void store(const T* sum, T* dw) const {
    for (int64_t k = 0; k < p_.outputs; k += group_)
      for (int64_t c = 0; c < p_.channels; c++)
        for (int64_t row = 0; row < rows_; row++, sum += taps_ * group_)
          for (int64_t i = 0; i < std::min(group_, p_.outputs - k); i++)
            for (int64_t t = 0; t < taps_; t++)
              dw[(k + i) * p_.w_output + c * p_.w_channel + p_.taps[size_t(row * taps_ + t)].weight] =
                  sum[i * taps_ + t];
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  TapProblem p_;
  InputPacking<T> packing_;  // of a band
  int64_t taps_, rows_;      // of a row of the kernel, and such rows
  int64_t group_, groups_;   // output channels of a call of the kernel
  int64_t band_, bands_;     // rows of output
  int64_t parts_;
  int64_t count_, sums_, result_;  // sums, elements of their vectors, and of a part's result
};

}  // namespace

std::string direct_weight_gradient_refusal(const ConvProblem& problem) {
  if (problem.c / problem.groups > kMaxChannels) return "a group has many channels";
  if (problem.n == 0 || problem.k == 0) return "there is nothing to sum";
  const TapProblem p = forward_taps(problem);
  if (int64_t(p.taps.size()) != problem.taps()) return "part of the kernel sees nothing but padding";
  if (p.grid[2] != 3 && p.grid[2] != 5 && p.grid[2] != 7) return "a row of the kernel has not 3, 5 or 7 elements";
  if (problem.kernel[0] != 1 || p.in[0] != 1 || p.out[0] != 1) return "the input has depth";
  if (p.step[2] != 1 || problem.dilation[2] != 1) return "it steps over columns";
  if (p.out_stride[2] != 1) return "the columns of the output gradient do not lie side by side";
  const int64_t lanes = 64 / dtype_size(problem.dtype), outputs = p.outputs + 16;
  const int64_t bytes = 2 * outputs * p.channels * int64_t(p.taps.size()) * lanes * dtype_size(problem.dtype);
  return bytes > problem.max_workspace ? "max_workspace is less than the sums" : "";
}

double direct_weight_gradient_cost(const ConvProblem& problem) {
  const KernelTable& table = kernel_table(Isa(problem.isa));
  const int64_t lanes = problem.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes;
  const TapProblem p = forward_taps(problem);
  const double vectors = double(p.n * p.groups * p.out[1] * ceil_div(p.out[2], lanes));
  const double taps = double(p.channels) * double(p.taps.size());
  // Few rows of dy cannot hide the unaligned vectors of x.
  const double load = 1.08 + 1.5 / double(std::min<int64_t>(p.outputs, 9));
  const double sums = double(p.groups * p.outputs) * taps * 2;
  return vectors * double(p.outputs) * taps * load + sums +
         stream_cost(vectors * double(p.outputs * lanes * dtype_size(problem.dtype))) / 2;
}

std::unique_ptr<ConvPlan> make_direct_weight_gradient_plan(const ConvProblem& p) {
  if (p.dtype == DType::f32) return std::make_unique<DirectWeightGradientPlan<float>>(p);
  return std::make_unique<DirectWeightGradientPlan<double>>(p);
}

}  // namespace konv
