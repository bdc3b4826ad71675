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

// How output channels and rows are cut. Bands and parts are cut by the problem alone: they decide the order of sums.
struct Cuts {
  int64_t group, groups;  // output channels of a call of the kernel
  int64_t band, bands;    // rows of output
  int64_t parts;

  Cuts(const ConvProblem& problem, const TapProblem& p, int64_t most_outputs) {
    groups = ceil_div(p.outputs, most_outputs), group = ceil_div(p.outputs, groups);
    groups = ceil_div(p.outputs, group);
    // A group's output gradients stay in the second-level cache for all rows of taps, and so does the packed input.
    const int64_t row_bytes = std::max(group, p.channels * p.step[1]) * p.out[2] * dtype_size(problem.dtype);
    const int64_t budget = std::min(problem.max_workspace, l2_cache_bytes()) / 6;
    bands = ceil_div(p.out[1], std::max<int64_t>(1, budget / row_bytes));
    band = ceil_div(p.out[1], bands), bands = ceil_div(p.out[1], band);
    const int64_t most = std::min(kMaxParts, p.n * bands);
    parts = std::clamp<int64_t>(p.n * p.out[1] * p.out[2] / kPartPixels, 1, most);
  }
};

template <class T>
class DirectWeightGradientPlan final : public ConvPlan {
 public:
  explicit DirectWeightGradientPlan(const ConvProblem& problem)
      : kernel_(kernels<T>(Isa(problem.isa))),
        p_(forward_problem(problem)),
        cut_(problem, p_, kernel_.tap_sum_outputs(int(p_.grid[2]))) {
    threads = problem.flops() < 2e6 ? 1 : int(problem.threads);
    taps_ = p_.grid[2], rows_ = p_.grid[1];
    const int64_t line = 64 / int64_t(sizeof(T));
    packing_ = InputPacking<T>(p_, true, p_.channels, cut_.band, round_up(p_.out[2], kernel_.lanes), kernel_.lanes);
    sums_of_group_ = p_.channels * rows_ * taps_ * cut_.group;
    const int64_t tasks = p_.groups * cut_.parts;
    shares_ = std::min(cut_.groups, ceil_div(threads, tasks));
    const int64_t sums = ceil_div(cut_.groups, shares_) * sums_of_group_;
    vectors_ = round_up(sums * kernel_.lanes, line), result_ = round_up(cut_.groups * sums_of_group_, line);
    workspace.shared = tasks * result_ * int64_t(sizeof(T));
    workspace.per_thread = (packing_.size + 2 * vectors_) * int64_t(sizeof(T));
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& ws) const noexcept override {
    const T *x = static_cast<const T*>(tensors.x), *dy = static_cast<const T*>(tensors.y) + p_.out_base;
    T* const results = reinterpret_cast<T*>(ws.shared);
    parallel_for(p_.groups * cut_.parts * shares_, threads, [&](int64_t task, int thread) {
      const int64_t share = task % shares_, part = task / shares_;
      sum_part(x, dy, part / cut_.parts, part % cut_.parts, cut_.groups * share / shares_,
               cut_.groups * (share + 1) / shares_, reinterpret_cast<T*>(ws.of(thread)), results + part * result_);
    });
    const int64_t sums = cut_.groups * sums_of_group_;
    for (int64_t group = 0; group < p_.groups; group++) {
      T* sum = results + group * cut_.parts * result_;
      for (int64_t part = 1; part < cut_.parts; part++) kernel_.add_rows(sum + part * result_, 0, 1, sums, sum, 0);
      store(sum, static_cast<T*>(tensors.w) + group * p_.w_group);
    }
  }

 private:
  // Of groups [first, last) of outputs. Sums lie as [group of outputs][channel][row of taps][output][tap].
  void sum_part(const T* x, const T* dy, int64_t group, int64_t part, int64_t first, int64_t last, T* packed,
                T* result) const {
    T *const vectors = packed + packing_.size, *const turned = vectors + vectors_;
    const int64_t sums = (last - first) * sums_of_group_;
    std::fill_n(vectors, sums * kernel_.lanes, T(0));
    const int64_t all = p_.n * cut_.bands;
    for (int64_t i = all * part / cut_.parts; i < all * (part + 1) / cut_.parts; i++) {
      const int64_t n = i / cut_.bands, h0 = i % cut_.bands * cut_.band, h = std::min(cut_.band, p_.out[1] - h0);
      kernel_.pack_planes(
          packing_.region(p_, x + n * p_.in_n + group * p_.channels * p_.in_c, p_.channels, 0, h0, 0, packed));
      const T* gradient = dy + n * p_.out_n + group * p_.outputs * p_.out_c + h0 * p_.out_stride[1];
      T* v = vectors;
      for (int64_t k = first * cut_.group; k < std::min(last * cut_.group, p_.outputs); k += cut_.group)
        for (int64_t c = 0; c < p_.channels; c++)
          for (int64_t row = 0; row < rows_; row++, v += taps_ * cut_.group * kernel_.lanes)
            kernel_.tap_sums({packed + c * packing_.channel + packing_.tap_off[size_t(row * taps_)], packing_.row,
                              gradient + k * p_.out_c, p_.out_c, p_.out_stride[1], h, p_.out[2], int(taps_),
                              int(std::min(cut_.group, p_.outputs - k)), v});
    }
    T* const out = result + first * sums_of_group_;
    kernel_.transpose(vectors, kernel_.lanes, sums, kernel_.lanes, turned, sums);
    std::fill_n(out, sums, T(0));
    kernel_.sum_columns(turned, sums, kernel_.lanes, sums, out);
  }

  void store(const T* sum, T* dw) const {
    for (int64_t k = 0; k < p_.outputs; k += cut_.group)
      for (int64_t c = 0; c < p_.channels; c++)
        for (int64_t row = 0; row < rows_; row++, sum += taps_ * cut_.group)
          for (int64_t i = 0; i < std::min(cut_.group, p_.outputs - k); i++)
            for (int64_t t = 0; t < taps_; t++)
              dw[(k + i) * p_.w_output + c * p_.w_channel + p_.taps[size_t(row * taps_ + t)].weight] =
                  sum[i * taps_ + t];
  }

  const Kernels<T>& kernel_;
  TapProblem p_;
  Cuts cut_;
  InputPacking<T> packing_;                   // of a band
  int64_t taps_, rows_;                       // of a row of the kernel, and such rows
  int64_t shares_;                            // tasks of a part: each has some groups of outputs
  int64_t sums_of_group_, vectors_, result_;  // elements, of a task's sums before lanes are summed, of a part's result
};

}  // namespace

std::string direct_weight_gradient_refusal(const ConvProblem& problem) {
  if (problem.c / problem.groups > kMaxChannels) return "a group has many channels";
  if (problem.n == 0 || problem.k == 0) return "there is nothing to sum";
  const TapProblem p = forward_problem(problem);
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
  const TapProblem p = forward_problem(problem);
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
