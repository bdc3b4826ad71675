// Dense convolutions as implicit matrix products (kernels/implicit_gemm.cuh): forward and input gradient are products
// over taps, one for each phase of the stride (conv/tap_conv.h); the weight gradient is a product over pixels.
#include <algorithm>
#include <string>

#include "cuda/conv/implicit_gemm_operands.h"
#include "cuda/conv/implicit_gemm_plan.h"

namespace konv::cuda {

namespace {

// All phases: those without taps hold the bias, or zeros.
std::vector<TapProblem> all_phases(ConvProblem p) {
  p.has_bias = 1;
  return tap_problems(p);
}

ImageTensor input_of(const TapProblem& t) {
  return {t.n,
          t.groups,
          t.channels,
          {t.in[0], t.in[1], t.in[2]},
          t.in_n,
          t.in_c,
          {t.in_stride[0], t.in_stride[1], t.in_stride[2]}};
}

// Pixels with up to four 16-bit channels take half a vector.
int vector_bytes(const ConvProblem& p, const TapProblem& t) {
  return item_size(p) == 2 && t.channels <= 4 ? kRowBytes / 16 : kRowBytes / 8;
}

bool is_whole(int64_t elements, const ConvProblem& p) { return elements * item_size(p) % 16 == 0; }

class ImplicitGemmPlan final : public ConvPlan {
 public:
  explicit ImplicitGemmPlan(const ConvProblem& p)
      : p_(p),
        kernels_(gemm_kernels(p)),
        problems_(all_phases(p)),
        input_(input_of(problems_[0]), int(item_size(p)), vector_bytes(p, problems_[0])) {
    int64_t sums = 0;
    for (const TapProblem& t : problems_) {
      add_phase(t);
      const Phase& last = phases_.back();
      if (last.tile.parts > 1)
        sums = std::max(sums, last.tile.parts * last.m * t.groups * t.outputs * sum_size(p_.dtype));
    }
    sums_at_ = aligned(input_.bytes());
    workspace.shared = sums_at_ + sums;
    reads_weights = p.has_bias != 0;
    const PixelVectors& v = input_.pixels();
    add_to_key({int64_t(p.dtype), is_on_tensor_cores(p), p.groups, p.c, p.k, v.channels, v.stride[0], v.stride[1],
                v.stride[2]});
    for (const TapProblem& t : problems_) {
      add_to_key({t.grid[0], t.grid[1], t.grid[2]});
      for (const Tap& tap : t.taps) add_to_key({tap.at[0], tap.at[1], tap.at[2], tap.weight});
    }
    add_to_key({p.ws[0], p.ws[1]});
  }

  void prepare_on(const void* queue_address, const ConvTensors& tensors, char* packed) const override {
    const Queue queue = *static_cast<const Queue*>(queue_address);
    const int item = int(item_size(p_)), vector = vector_bytes(p_, problems_[0]);
    for (size_t i = 0; i < phases_.size(); i++) {
      const Phase& phase = phases_[i];
      const TapProblem& t = problems_[i];
      if (phase.k_tiles == 0) continue;
      pack_weights(
          queue, item, p_.dtype == DType::f32 && is_on_tensor_cores(p_),
          {tensors.w, packed + phase.weights_at, phase.taps, t.w_group, t.w_output, t.w_channel, int(t.groups),
           int(t.outputs), int(t.channels), input_.pixels().channels * vector / item, phase.k_tiles * kRowBytes});
      write_table(queue, phase.taps, input_.pixels(), int(phase.k_tiles * kRowBytes / vector),
                  reinterpret_cast<TapVector*>(packed + phase.table_at));
    }
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace& workspace) const override {
    const Queue queue = *static_cast<const Queue*>(workspace.queue);
    const bool forward = p_.direction == Direction::forward;
    void* const y = forward ? tensors.y : tensors.x;
    Memory moved;
    const char* const a = input_.on(queue, forward ? tensors.x : tensors.y, workspace.shared, moved);
    for (size_t i = 0; i < phases_.size(); i++) {
      const Phase& phase = phases_[i];
      const TapProblem& t = problems_[i];
      GemmArguments g{};
      g.a = a, g.w = packed + phase.weights_at;
      g.table = reinterpret_cast<const TapVector*>(packed + phase.table_at);
      g.pixels = input_.pixels();
      g.m = int(phase.m), g.outputs = int(t.outputs), g.k_tiles = int(phase.k_tiles);
      g.column_blocks = int(phase.tile.blocks_across);
      g.tiles_a_part = int(ceil_div(phase.k_tiles, phase.tile.parts));
      g.y = y, g.y_n = t.out_n, g.y_c = t.out_c, g.y_base = t.out_base;
      bool whole = t.out_c == 1 && is_whole(t.outputs, p_) && is_whole(t.out_base, p_) && is_whole(t.out_n, p_) &&
                   reinterpret_cast<uintptr_t>(y) % 16 == 0 && reinterpret_cast<uintptr_t>(tensors.residual) % 16 == 0;
      for (int axis = 0; axis < 3; axis++) {
        g.out[axis] = int(t.out[axis]), g.step[axis] = int(t.step[axis]);
        g.y_stride[axis] = t.out_stride[axis];
        whole = whole && is_whole(t.out_stride[axis], p_);
      }
      g.rows_of_vectors = whole;
      g.sums = phase.tile.parts > 1 ? workspace.shared + sums_at_ : nullptr;
      g.bias = p_.has_bias ? tensors.bias : nullptr;
      g.residual = p_.has_residual ? tensors.residual : nullptr;
      g.activation = p_.activation, g.activation_parameter = p_.activation_parameter;
      kernels_.gemm[size_t(phase.tile.kernel)].run(queue, g,
                                                   {unsigned(phase.tile.blocks_down * phase.tile.blocks_across),
                                                    unsigned(t.groups), unsigned(phase.tile.parts)});
      if (g.sums) kernels_.add_parts(queue, {g, int(t.groups), phase.tile.parts});
    }
  }

 private:
  struct Phase {
    TapGrid taps;
    int64_t m, k_tiles;
    TileChoice tile;
    int64_t weights_at, table_at;  // in what is packed
  };

  void add_phase(const TapProblem& t) {
    Phase phase{};
    const int vector = vector_bytes(p_, t);
    phase.taps = tap_grid(t);
    phase.m = t.n * t.out[0] * t.out[1] * t.out[2];
    phase.k_tiles = ceil_div(int64_t(phase.taps.taps()) * input_.pixels().channels * vector, kRowBytes);
    std::vector<TileSize> tiles;
    for (const GemmKernel& k : kernels_.gemm)
      tiles.push_back({k.rows, k.columns, k.efficiency,
                       k.vector == vector && (!k.warpgroups || has_warpgroups(p_, k.rows, k.columns))});
    phase.tile = choose_tile(tiles, {phase.m, t.outputs, t.groups, phase.k_tiles}, false, p_);
    phase.weights_at = prepared_bytes;
    phase.table_at = phase.weights_at + aligned(t.groups * t.outputs * phase.k_tiles * kRowBytes);
    prepared_bytes = phase.table_at + aligned(phase.k_tiles * kRowBytes / vector * int64_t(sizeof(TapVector)));
    phases_.push_back(phase);
  }

  ConvProblem p_;
  const GemmKernels& kernels_;
  std::vector<TapProblem> problems_;
  ChannelsLast input_;
  std::vector<Phase> phases_;
  int64_t sums_at_ = 0;
};

std::string supports(const ConvProblem& p) {
  if (p.groups > 65535) return "more than 65535 groups";
  if (p.direction == Direction::weight_gradient) return weight_gemm_refusal(p);
  const TapProblem t = all_phases(p)[0];
  if (t.n * t.out[0] * t.out[1] * t.out[2] >= int64_t(1) << 30) return "more than 2^30 pixels";
  if (!ChannelsLast(input_of(t), int(item_size(p)), vector_bytes(p, t)).fits()) return "an input of more than 16 GiB";
  return "";
}

// FLOPs of the float32 units in whose time this is done: with what tiles have too much, tensor cores eight times as
// fast.
double cost(const ConvProblem& p) {
  const int64_t item = item_size(p), vector = 16 / item, c = p.c / p.groups, k = p.k / p.groups;
  const auto whole = [](int64_t n, int64_t step) { return double(ceil_div(n, step) * step); };
  const bool by_input = p.direction == Direction::input_gradient;
  const double channels = whole(by_input ? k : c, vector), outputs = whole(by_input ? c : k, 32);
  double flops = 2.0 * double(p.n * p.out_pixels() * p.taps() * p.groups) * channels * outputs;
  if (p.direction == Direction::weight_gradient)
    flops = 2.0 * double(p.n * p.out_pixels() * p.groups) * whole(k, 64) * whole(p.taps() * int64_t(channels), 64);
  return flops / (is_on_tensor_cores(p) ? 8 : 1);
}

}  // namespace

extern const Algorithm implicit_gemm_algorithm;
const Algorithm implicit_gemm_algorithm = {"implicit_gemm", supports, cost,
                                           [](const ConvProblem& p) -> std::unique_ptr<ConvPlan> {
                                             if (p.direction == Direction::weight_gradient)
                                               return make_weight_gemm_plan(p);
                                             return std::make_unique<ImplicitGemmPlan>(p);
                                           }};

}  // namespace konv::cuda
