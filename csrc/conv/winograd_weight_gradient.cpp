// The weight gradient of a 3x3 convolution as Winograd's F(3 x 3, 4 x 4): dw = G^T (sum over tiles of
// (A dy A^T) * (B^T x B)) G, a product of matrices over the tiles for each of the 36 points.
//
// A task owns a block of input and of output channels, whose 36 sums stay in the L2 cache while tiles stream past. With
// few such blocks the tiles are cut into parts, whose results are added in their order.
#include <algorithm>

#include "conv/packing.h"
#include "conv/weight_gradient.h"
#include "conv/winograd_tiles.h"
#include "conv/winograd_weight_gradient.h"
#include "core/isa.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kPoints = 36, kBlock = 64;  // channels of a block
constexpr int64_t kWantedTasks = 16;
constexpr int64_t kPartTiles = 128;  // at least, of a part: its results are 9 elements a channel pair
constexpr int64_t kPartsBytes = int64_t(4) << 20;

// Cuts of tiles depend on the problem and the ISA alone: they decide the order of sums. Cuts of channels do not.
struct Cuts {
  WinogradTiles tiles;
  int64_t width;  // lanes of a micro-tile: output channels
  int64_t c_block, c_blocks, k_block, k_blocks;
  int64_t parts;
  int64_t blocks;  // of channels, over all groups

  // Whether smaller blocks, of whole `units`, are possible.
  static bool cut_in_two(int64_t& block, int64_t& blocks, int64_t channels, int64_t unit) {
    if (block <= unit) return false;
    block = round_up(ceil_div(block, 2), unit);
    blocks = ceil_div(channels, block);
    return true;
  }

  Cuts(const ConvProblem& problem, const TapProblem& p, int lanes, int gemm_rows) : tiles(p, kWinograd4x4) {
    const int64_t item = dtype_size(problem.dtype);
    width = p.outputs > lanes ? 2 * lanes : lanes;
    c_blocks = ceil_div(p.channels, kBlock), c_block = ceil_div(p.channels, c_blocks);
    k_blocks = ceil_div(p.outputs, kBlock), k_block = round_up(ceil_div(p.outputs, k_blocks), width);
    k_blocks = ceil_div(p.outputs, k_block);
    blocks = p.groups * c_blocks * k_blocks;
    const int64_t tile_bytes = kPoints * (c_block + k_block) * item;
    const int64_t budget = std::min(problem.max_workspace / 2, l2_cache_bytes() / 2);
    tiles.cut(std::clamp<int64_t>(budget / tile_bytes, gemm_rows, 4 * gemm_rows));
    const int64_t results = p.groups * p.outputs * p.channels * 9 * item;
    parts = std::min(
        {ceil_div(kWantedTasks, blocks), tiles.all_tiles() / kPartTiles, kPartsBytes / results, tiles.blocks()});
    parts = std::max<int64_t>(1, parts);
    for (bool more = true; more && problem.threads > 1 && blocks * parts < 2 * problem.threads;) {
      more = cut_in_two(k_block, k_blocks, p.outputs, width) || cut_in_two(c_block, c_blocks, p.channels, lanes);
      blocks = p.groups * c_blocks * k_blocks;
    }
  }
};

template <class T>
class WinogradWeightGradientPlan final : public ConvPlan {
 public:
  explicit WinogradWeightGradientPlan(const ConvProblem& problem)
      : kernel_(kernels<T>(Isa(problem.isa))),
        p_(forward_problem(problem)),
        cut_(problem, p_, kernel_.lanes, kernel_.gemm_rows) {
    threads = int(problem.threads);
    const int64_t item = sizeof(T), line = 64 / item, tiles = cut_.tiles.block_tiles();
    x_pitch_ = uncrowded(round_up(cut_.c_block, kernel_.lanes), item), y_pitch_ = uncrowded(cut_.k_block, item);
    x_point_ = odd_lines(tiles * x_pitch_, item), y_point_ = odd_lines(tiles * y_pitch_, item);
    sums_point_ = odd_lines(cut_.c_block * cut_.k_block, item);
    const int64_t side = cut_.tiles.h * 4, pixels = (side + 2) * (cut_.tiles.w * 4 + 2);
    packed_ =
        round_up(pixels * std::max(round_up(cut_.c_block, kernel_.lanes), cut_.k_block) + 4 * kernel_.lanes, line);
    result_ = round_up(cut_.c_block * 9 * cut_.k_block, line);
    for (int64_t t = 0; t < tiles + kGemmPrefetch; t++) {
      x_off_.push_back(std::min(t, tiles - 1) * x_pitch_);
      y_off_.push_back(std::min(t, tiles - 1) * y_pitch_);
    }
    workspace.per_thread = (packed_ + kPoints * (x_point_ + y_point_ + sums_point_) + result_) * item;
    workspace.shared = cut_.parts > 1 ? cut_.parts * cut_.blocks * result_ * item : 0;
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& ws) const noexcept override {
    const T *x = static_cast<const T*>(tensors.x), *dy = static_cast<const T*>(tensors.y);
    T *dw = static_cast<T*>(tensors.w), *parts = reinterpret_cast<T*>(ws.shared);
    parallel_for(cut_.blocks * cut_.parts, threads, [&](int64_t task, int thread) {
      const int64_t part = task / cut_.blocks, all = cut_.tiles.blocks();
      const ChannelBlock b = channel_block(task % cut_.blocks);
      const Scratch s = scratch_of(reinterpret_cast<T*>(ws.of(thread)));
      const int64_t first = all * part / cut_.parts, last = all * (part + 1) / cut_.parts;
      for (int64_t i = first; i < last; i++) {
        const WinogradBlock tiles = cut_.tiles.block(i);
        transform_inputs(x, b, tiles, s);
        transform_gradients(dy, b, tiles, s);
        multiply(b, tiles.tiles(), s, i == first);
      }
      T* result = cut_.parts > 1 ? parts + task * result_ : s.result;
      kernel_.winograd_taps(
          {s.sums, sums_point_, cut_.k_block, b.channels, b.outputs, result, 9 * cut_.k_block, cut_.k_block});
      if (cut_.parts == 1) store(b, result, dw);
    });
    if (cut_.parts == 1) return;
    parallel_for(cut_.blocks, threads, [&](int64_t block, int) {
      T* sum = parts + block * result_;
      for (int64_t part = 1; part < cut_.parts; part++)
        kernel_.add_rows(parts + (part * cut_.blocks + block) * result_, 0, 1, result_, sum, 0);
      store(channel_block(block), sum, dw);
    });
  }

 private:
  struct ChannelBlock {
    int64_t group, c0, channels, k0, outputs;
  };
  struct Scratch {
    T *packed, *inputs, *gradients, *sums, *result;
  };

  ChannelBlock channel_block(int64_t index) const {
    const int64_t c0 = index % cut_.c_blocks * cut_.c_block, k0 = index / cut_.c_blocks % cut_.k_blocks * cut_.k_block;
    return {index / cut_.c_blocks / cut_.k_blocks, c0, std::min(cut_.c_block, p_.channels - c0), k0,
            std::min(cut_.k_block, p_.outputs - k0)};
  }
  Scratch scratch_of(T* s) const {
    T *inputs = s + packed_, *gradients = inputs + kPoints * x_point_, *sums = gradients + kPoints * y_point_;
    return {s, inputs, gradients, sums, sums + kPoints * sums_point_};
  }

  void transform_inputs(const T* x, const ChannelBlock& b, const WinogradBlock& tiles, const Scratch& s) const {
    for (int64_t i = 0; i < tiles.n; i++) {
      const WinogradView& image = cut_.tiles.view(tiles.image + i, 0);
      const ChannelsLast<T> pixels(kernel_, x + image.in + (b.group * p_.channels + b.c0) * p_.in_c, b.channels,
                                   p_.in_c, cut_.tiles.in_stride, image.size, image.first[0] + tiles.row * 4,
                                   tiles.h * 4 + 2, image.first[1] + tiles.col * 4, tiles.w * 4 + 2, s.packed,
                                   round_up(b.channels, kernel_.lanes), p_.padding_mode);
      kernel_.winograd_input[cut_.tiles.form]({pixels.src, pixels.row_pitch, pixels.pixel_pitch, tiles.h, tiles.w,
                                               b.channels, s.inputs + i * tiles.h * tiles.w * x_pitch_, x_point_,
                                               x_pitch_});
    }
  }

  void transform_gradients(const T* dy, const ChannelBlock& b, const WinogradBlock& tiles, const Scratch& s) const {
    for (int64_t i = 0; i < tiles.n; i++) {
      const WinogradImage& image = cut_.tiles.images[size_t(tiles.image + i)];
      const ChannelsLast<T> pixels(kernel_, dy + image.out + (b.group * p_.outputs + b.k0) * p_.out_c, b.outputs,
                                   p_.out_c, cut_.tiles.out_stride, image.size, tiles.row * 4, tiles.h * 4,
                                   tiles.col * 4, tiles.w * 4, s.packed, round_up(b.outputs, kernel_.lanes));
      kernel_.winograd_gradient({pixels.src, pixels.row_pitch, pixels.pixel_pitch, tiles.h, tiles.w, b.outputs,
                                 s.gradients + i * tiles.h * tiles.w * y_pitch_, y_point_, y_pitch_});
    }
  }

  // sums[point][channel][output] of this block of tiles. Vectors past the last output hold what nobody reads.
  void multiply(const ChannelBlock& b, int64_t tiles, const Scratch& s, bool first) const {
    const int64_t rows = ceil_div(b.channels, ceil_div(b.channels, kernel_.gemm_rows));
    GemmTile<T> g{};
    g.kc = tiles;
    g.a_off = x_off_.data(), g.b_off = y_off_.data();
    g.a_ld = 1;
    g.ldc = cut_.k_block;
    g.start = first ? TileStart::zero : TileStart::load;
    for (int64_t point = 0; point < kPoints; point++)
      for (int64_t k = 0; k < b.outputs; k += cut_.width) {
        const auto* gemm = kernel_.gemm[b.outputs - k > kernel_.lanes ? 1 : 0][1];
        g.b = s.gradients + point * y_point_ + k;
        for (int64_t c = 0; c < b.channels; c += rows) {
          const int64_t count = std::min(rows, b.channels - c), half = (count + 1) / 2;
          g.a0 = s.inputs + point * x_point_ + c, g.a1 = g.a0 + half;
          g.c0 = s.sums + point * sums_point_ + c * cut_.k_block + k, g.c1 = g.c0 + half * g.ldc;
          gemm[count](g);
        }
      }
  }

  // result is [channel][3 r + s][output].
  void store(const ChannelBlock& b, const T* result, T* dw) const {
    T* dst = dw + b.group * p_.w_group + b.k0 * p_.w_output + b.c0 * p_.w_channel;
    bool dense = p_.w_channel == 9 || b.channels == 1;
    int64_t element[9];
    for (int i = 0; i < 9; i++) {
      element[i] = p_.taps[size_t(cut_.tiles.sources[0].tap[i])].weight;
      dense = dense && element[i] == i;
    }
    if (dense) return kernel_.transpose(result, cut_.k_block, b.channels * 9, b.outputs, dst, p_.w_output);
    for (int64_t c = 0; c < b.channels; c++)
      for (int i = 0; i < 9; i++) {
        const T* row = result + (c * 9 + i) * cut_.k_block;
        T* d = dst + c * p_.w_channel + element[i];
        for (int64_t k = 0; k < b.outputs; k++) d[k * p_.w_output] = row[k];
      }
  }

  const Kernels<T>& kernel_;
  TapProblem p_;
  Cuts cut_;
  int64_t x_pitch_, y_pitch_, x_point_, y_point_;  // of transformed inputs and gradients: between tiles, between points
  int64_t sums_point_, packed_, result_;           // elements of scratch
  std::vector<int64_t> x_off_, y_off_;
};

}  // namespace

double winograd_weight_gradient_cost(const ConvProblem& problem) {
  const KernelTable& table = kernel_table(Isa(problem.isa));
  const bool single = problem.dtype == DType::f32;
  const int lanes = single ? table.f32.lanes : table.f64.lanes;
  const int rows = single ? table.f32.gemm_rows : table.f64.gemm_rows;
  const TapProblem p = forward_problem(problem);
  const Cuts cut(problem, p, lanes, rows);
  const double tiles = double(cut.tiles.all_tiles()), groups = double(p.groups);
  const double in_vectors = double(ceil_div(p.channels, lanes)), out_vectors = double(ceil_div(p.outputs, lanes));
  // Each step of the micro-kernel loads its vectors; each block of tiles loads and stores the sums.
  const double load = cut.width == lanes ? 1.35 : 1.1;
  const double products = tiles * kPoints * double(p.channels) * out_vectors * load;
  const double sums = double(cut.tiles.blocks()) * kPoints * double(p.channels) * out_vectors * 3;
  const double transforms =
      tiles * kPoints * 7 * (in_vectors * double(cut.k_blocks) + out_vectors * double(cut.c_blocks));
  const double results = double(cut.parts) * double(p.channels) * out_vectors * kPoints * 3;
  return groups * (products + sums + transforms + results) + turning_cost(problem, problem.xs, problem.c, problem.in) +
         turning_cost(problem, problem.ys, problem.k, problem.out);
}

std::unique_ptr<ConvPlan> make_winograd_weight_gradient_plan(const ConvProblem& p) {
  if (p.dtype == DType::f32) return std::make_unique<WinogradWeightGradientPlan<float>>(p);
  return std::make_unique<WinogradWeightGradientPlan<double>>(p);
}

}  // namespace konv
