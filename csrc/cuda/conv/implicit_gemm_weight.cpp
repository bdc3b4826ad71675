// The weight gradient's plan (kernels/weight_gemm.cuh).
#include <algorithm>

#include "cuda/conv/implicit_gemm_operands.h"
#include "cuda/conv/implicit_gemm_plan.h"

namespace konv::cuda {

namespace {

ImageTensor x_of(const ConvProblem& p) {
  return {p.n, p.groups, p.c / p.groups, {p.in[0], p.in[1], p.in[2]}, p.xs[0], p.xs[1], {p.xs[2], p.xs[3], p.xs[4]}};
}
ImageTensor y_of(const ConvProblem& p) {
  return {p.n, p.groups, p.k / p.groups, {p.out[0], p.out[1], p.out[2]}, p.ys[0], p.ys[1], {p.ys[2], p.ys[3], p.ys[4]}};
}

class WeightGemmPlan final : public ConvPlan {
 public:
  explicit WeightGemmPlan(const ConvProblem& p)
      : p_(p),
        kernels_(gemm_kernels(p)),
        taps_(all_taps(p)),
        x_(x_of(p), int(item_size(p)), 16),
        y_(y_of(p), int(item_size(p)), 16),
        vectors_(int(p.taps()) * x_.pixels().channels),
        columns_(vectors_ * 16 / int(item_size(p))) {
    const int64_t m = p.n * p.out_pixels(), outputs = p.k / p.groups;
    std::vector<TileSize> tiles;
    for (const WeightGemmKernel& k : kernels_.weight) tiles.push_back({k.rows, k.columns, k.efficiency, true});
    // All tiles have the same pixels a step.
    const int64_t pixels = kernels_.weight[0].pixels;
    const GemmSize size{outputs, columns_, p.groups, ceil_div(m, pixels)};
    tile_ = choose_tile(tiles, size, true, p);
    pixels_a_part_ = ceil_div(size.steps, tile_.parts) * pixels;
    y_at_ = aligned(x_.bytes());
    table_at_ = y_at_ + aligned(y_.bytes());
    sums_at_ = table_at_ + aligned(vectors_ * int64_t(sizeof(TapVector)));
    workspace.shared = sums_at_ + tile_.parts * p.groups * outputs * columns_ * sum_size(p.dtype);
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& workspace) const override {
    const Queue queue = *static_cast<const Queue*>(workspace.queue);
    char* const scratch = workspace.shared;
    Memory moved_x, moved_y;
    WeightGemmArguments a{};
    a.x = x_.on(queue, tensors.x, scratch, moved_x);
    a.y = y_.on(queue, tensors.y, scratch + y_at_, moved_y);
    TapVector* const table = reinterpret_cast<TapVector*>(scratch + table_at_);
    write_table(queue, taps_, x_.pixels(), vectors_, table);
    a.table = table;
    a.x_pixels = x_.pixels(), a.y_pixels = y_.pixels();
    for (int i = 0; i < 3; i++) a.step[i] = int(p_.stride[i]);
    a.m = int(p_.n * p_.out_pixels()), a.outputs = int(p_.k / p_.groups), a.columns = columns_;
    a.column_blocks = int(tile_.blocks_across), a.pixels_a_part = int(pixels_a_part_);
    a.sums = scratch + sums_at_;
    kernels_.weight[size_t(tile_.kernel)].run(
        queue, a, {unsigned(tile_.blocks_down * tile_.blocks_across), unsigned(p_.groups), unsigned(tile_.parts)});
    kernels_.add_weight_parts(
        queue, {a.sums, tensors.w, int(p_.groups), a.outputs, int(p_.c / p_.groups),
                x_.pixels().channels * 16 / int(item_size(p_)), columns_, tile_.parts, taps_, p_.ws[0], p_.ws[1]});
  }

 private:
  ConvProblem p_;
  const GemmKernels& kernels_;
  TapGrid taps_;
  ChannelsLast x_, y_;
  int vectors_, columns_;
  TileChoice tile_;
  int64_t pixels_a_part_ = 0, y_at_ = 0, table_at_ = 0, sums_at_ = 0;
};

}  // namespace

std::string weight_gemm_refusal(const ConvProblem& p) {
  if (p.n * p.out_pixels() >= int64_t(1) << 30) return "more than 2^30 pixels";
  const int item = int(item_size(p));
  if (!ChannelsLast(x_of(p), item, 16).fits() || !ChannelsLast(y_of(p), item, 16).fits())
    return "an operand of more than 16 GiB";
  return "";
}

std::unique_ptr<ConvPlan> make_weight_gemm_plan(const ConvProblem& p) { return std::make_unique<WeightGemmPlan>(p); }

}  // namespace konv::cuda
