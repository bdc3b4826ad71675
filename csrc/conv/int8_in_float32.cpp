// int8_in_float32: quantised layers that sum few products, in float32's own algorithms.
//
// Products of bytes less their zero points are below 2^16, so float32 holds sums of up to 258 of them exactly, in any
// order. That covers depthwise layers, narrow groups and first layers, where elements of four channels would be mostly
// empty. Tiles of the input become float32 in scratch, padding included; a plan for a tile convolves them into the
// result, whose numbers then become int32 where they lie.
#include <algorithm>

#include "conv/conv.h"
#include "conv/int_weights.h"
#include "conv/packing.h"
#include "core/algorithm.h"
#include "core/isa.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kExactProducts = (int64_t(1) << 24) / (255 * 255);

// Of the input of the smallest part.
constexpr double kMaxElements = 1 << 24;

// How the output is cut: some groups, all of the first axis, and parts of the other two, of which the last ones may be
// smaller.
struct Cut {
  int64_t groups;
  int64_t size[2], count[2];
  bool channels_last;
  bool whole;       // a part has whole images, as they are
  double elements;  // of a part's input, padding included
  int64_t outputs(int axis, int64_t out, bool last) const {
    return last ? out - (count[axis] - 1) * size[axis] : size[axis];
  }
};

int64_t tile_input(const ConvProblem& p, int axis, int64_t outputs) {
  return (outputs - 1) * p.stride[axis] + (p.kernel[axis] - 1) * p.dilation[axis] + 1;
}

Cut cut_of(const ConvProblem& p) {
  Cut c{p.groups, {p.out[1], p.out[2]}, {}, p.xs[1] == 1 && p.c > 1, false, 0};
  const double budget = double(std::min(p.max_workspace, l2_cache_bytes() / 2)) / sizeof(float);
  const auto elements = [&] {
    return double(c.groups * (p.c / p.groups)) * double(tile_input(p, 0, p.out[0])) *
           double(tile_input(p, 1, c.size[0])) * double(tile_input(p, 2, c.size[1]));
  };
  const auto fewer_groups_while = [&](auto&& wanted) {
    for (int64_t g = c.groups - 1; g >= 1 && wanted(); g--)
      if (p.groups % g == 0) c.groups = g;
  };
  const auto too_large = [&] { return elements() > budget; };
  // Channels that lie side by side stay together, rows of planes likewise.
  if (!c.channels_last) fewer_groups_while(too_large);
  for (int axis = 0; axis < 2; axis++)
    while (c.size[axis] > (axis ? 32 : 1) && too_large()) c.size[axis] = ceil_div(c.size[axis], 2);
  fewer_groups_while(too_large);
  if (p.threads > 1) {
    const auto too_few = [&] { return p.n * (p.groups / c.groups) * ceil_div(p.out[1], c.size[0]) < 4 * p.threads; };
    if (!c.channels_last) fewer_groups_while(too_few);
    while (c.size[0] > 4 && too_few()) c.size[0] = ceil_div(c.size[0], 2);
  }
  for (int axis = 0; axis < 2; axis++) c.count[axis] = ceil_div(p.out[1 + axis], c.size[axis]);
  c.elements = elements();
  // Windows far apart may leave most of an image unread.
  const double image = double(c.groups * (p.c / p.groups)) * double(p.in[0]) * double(p.in[1]) * double(p.in[2]);
  c.whole = c.count[0] == 1 && c.count[1] == 1 && image <= 2 * c.elements;
  return c;
}

// The float32 problem of one tile, on scratch.
ConvProblem tile_problem(const ConvProblem& p, const Cut& cut, bool last_row, bool last_col) {
  ConvProblem q = p;
  q.dtype = DType::f32;
  q.weight_dtype = {}, q.weight_range = {};
  q.threads = 1;
  q.algorithm = -1, q.autotune = 0;
  q.precision = Precision::strict;
  q.weights_ready = 0, q.has_bias = 0;
  q.n = 1;
  q.groups = cut.groups, q.c = p.c / p.groups * cut.groups, q.k = p.k / p.groups * cut.groups;
  q.out[1] = cut.outputs(0, p.out[1], last_row), q.out[2] = cut.outputs(1, p.out[2], last_col);
  // Parts have their padding in scratch; a whole image needs none.
  for (int i = 0; i < 3 && !cut.whole; i++) q.in[i] = tile_input(p, i, q.out[i]), q.pad[i] = 0;
  const int64_t x[5] = {1, q.c, q.in[0], q.in[1], q.in[2]},
                w[5] = {q.k, p.c / p.groups, p.kernel[0], p.kernel[1], p.kernel[2]};
  contiguous_strides(x, cut.channels_last, q.xs);
  contiguous_strides(w, false, q.ws);
  return q;
}

class Int8InFloat32Plan final : public ConvPlan {
 public:
  explicit Int8InFloat32Plan(const ConvProblem& p)
      : problem_(p), kernel_(kernel_table(Isa(p.isa)).ints), cut_(cut_of(p)) {
    threads = p.flops() < 2e6 ? 1 : int(p.threads);
    for (int row = 0; row < 2; row++)
      for (int col = 0; col < 2; col++) {
        const ConvProblem q = tile_problem(p, cut_, row, col);
        std::shared_ptr<const ConvPlan> plan = find_plan(q);
        scratch_ = std::max(scratch_, round_up(plan->prepared_bytes, 64) + round_up(plan->workspace.per_thread, 64) +
                                          round_up(plan->workspace.shared, 64));
        tiles_[row][col] = {q, std::move(plan)};
      }
    const ConvProblem& q = tiles_[0][0].problem;
    const int64_t lanes = kernel_table(Isa(p.isa)).f32.lanes;
    input_ = round_up((q.c * q.in[0] * q.in[1] * q.in[2] + 2 * lanes) * int64_t(sizeof(float)), 64);
    prepared_bytes = p.k * (p.c / p.groups) * p.taps() * int64_t(sizeof(float));
    reads_weights = p.has_bias;  // the bias
    workspace.per_thread = input_ + scratch_;
  }

  void prepare(const ConvTensors& t, char* packed) const noexcept override {
    const ConvProblem& p = problem_;
    const uint8_t* w = static_cast<const uint8_t*>(t.w);
    float* dst = reinterpret_cast<float*>(packed);
    for (int64_t k = 0; k < p.k; k++)
      for (int64_t c = 0; c < p.c / p.groups; c++)
        for (int64_t z = 0; z < p.kernel[0]; z++)
          for (int64_t y = 0; y < p.kernel[1]; y++)
            for (int64_t x = 0; x < p.kernel[2]; x++) {
              const uint8_t* at = w + k * p.ws[0] + c * p.ws[1] + z * p.ws[2] + y * p.ws[3] + x * p.ws[4];
              *dst++ = float(weight_value(p.weight_dtype, *at) - (t.w_zero ? t.w_zero[k] : 0));
            }
  }

  void run(const ConvTensors& t, const char* packed, const Workspace& ws) const noexcept override {
    const ByteCode code = input_bytes(problem_, t.x_zero, 1).code;
    const int64_t blocks = problem_.groups / cut_.groups;
    parallel_for(problem_.n * blocks * cut_.count[0] * cut_.count[1], threads, [&](int64_t task, int thread) {
      const int64_t col = task % cut_.count[1], row = task / cut_.count[1] % cut_.count[0];
      const int64_t image = task / (cut_.count[0] * cut_.count[1]);
      run_tile(t, code, image / blocks, image % blocks, row, col, packed, ws.of(thread));
    });
  }

 private:
  struct Tile {
    ConvProblem problem;
    std::shared_ptr<const ConvPlan> plan;
  };

  void run_tile(const ConvTensors& t, const ByteCode& code, int64_t n, int64_t block, int64_t row, int64_t col,
                const char* packed, char* scratch) const {
    const ConvProblem& p = problem_;
    const Tile& tile = tiles_[row + 1 == cut_.count[0]][col + 1 == cut_.count[1]];
    const ConvProblem& q = tile.problem;
    pack_input(q, code, static_cast<const uint8_t*>(t.x) + n * p.xs[0] + block * q.c * p.xs[1], row, col,
               reinterpret_cast<float*>(scratch));

    ConvTensors tensors{};
    tensors.x = scratch;
    const int64_t k0 = block * q.k;
    tensors.w = const_cast<char*>(packed) + k0 * (p.c / p.groups) * p.taps() * int64_t(sizeof(float));
    float* const y = static_cast<float*>(t.y) + n * p.ys[0] + k0 * p.ys[1] + row * cut_.size[0] * p.ys[3] +
                     col * cut_.size[1] * p.ys[4];
    tensors.y = y;
    char* const prepared = scratch + input_;
    char* const mine = prepared + round_up(tile.plan->prepared_bytes, 64);
    char* const shared = mine + round_up(tile.plan->workspace.per_thread, 64);
    tile.plan->prepare(tensors, prepared);
    tile.plan->run(tensors, prepared, Workspace{shared, mine, tile.plan->workspace.per_thread});
    make_whole(q, y, p.has_bias ? static_cast<const int32_t*>(t.bias) + k0 : nullptr);
  }

  void pack_input(const ConvProblem& q, const ByteCode& code, const uint8_t* src, int64_t row, int64_t col,
                  float* dst) const {
    static constexpr int64_t kPhase = 0;
    const ConvProblem& p = problem_;
    const int64_t first[3] = {0, row * cut_.size[0], col * cut_.size[1]};
    PackBytes r;
    r.code = code;
    r.src = src, r.dst = dst;
    r.channels = q.c, r.channel_stride = p.xs[1];
    r.channel_pitch = cut_.channels_last ? q.c : q.in[0] * q.in[1] * q.in[2];
    PackAxis* const axes[] = {&r.z, &r.y, &r.x};
    for (int i = 0; i < 3; i++)
      *axes[i] = {p.in[i], p.xs[2 + i], first[i] * p.stride[i] - p.pad[i] + q.pad[i], 1, q.in[i], 1, &kPhase};
    // What follows one another becomes one row.
    for (int i = 1; i >= 0 && cut_.whole && (p.in[i] == 1 || p.xs[2 + i] == r.x.size * r.x.stride); i--) {
      r.x.size = r.x.count *= p.in[i];
      *axes[i] = {1, 0, 0, 1, 1, 1, &kPhase};
    }
    const bool whole_rows = r.x.first == 0 && r.x.count == r.x.size && r.x.stride == 1;
    if (!cut_.channels_last && whole_rows && r.x.count == r.channel_pitch && r.channel_stride == r.x.size) {
      r.x.size = r.x.count *= r.channels;
      r.channels = 1;
    }
    r.x_pitch = r.x.count;
    (cut_.channels_last ? kernel_.pack_float_pixels : kernel_.pack_float_planes)(r);
  }

  // Whether the result of one image lies in one piece.
  static bool is_dense(const ConvProblem& q) {
    int64_t strides[5];
    const int64_t shape[5] = {1, q.k, q.out[0], q.out[1], q.out[2]};
    for (bool last : {false, true}) {
      contiguous_strides(shape, last, strides);
      bool same = true;
      for (int i = 1; i < 5; i++) same = same && (shape[i] == 1 || strides[i] == q.ys[i]);
      if (same) return true;
    }
    return false;
  }

  // The result's numbers become int32.
  void make_whole(const ConvProblem& q, float* y, const int32_t* bias) const {
    WholeRows rows{};
    const auto run = [&](float* data, int64_t count, int64_t ld, int64_t cols) {
      rows.data = data, rows.rows = count, rows.ld = ld, rows.cols = cols;
      if (ld == cols && !rows.lane_bias) rows.rows = 1, rows.cols = count * cols;
      kernel_.whole_rows(rows);
    };
    if (!bias && is_dense(q)) return run(y, 1, 0, q.k * q.out_pixels());
    if (q.ys[1] == 1 && q.k > 1) {
      rows.lane_bias = bias;
      for (int64_t z = 0; z < q.out[0]; z++)
        for (int64_t h = 0; h < q.out[1]; h++) run(y + z * q.ys[2] + h * q.ys[3], q.out[2], q.ys[4], q.k);
      return;
    }
    for (int64_t k = 0; k < q.k; k++) {
      rows.row_bias = bias ? bias[k] : 0;
      for (int64_t z = 0; z < q.out[0]; z++) {
        float* plane = y + k * q.ys[1] + z * q.ys[2];
        if (q.ys[4] == 1 || q.out[2] == 1) {
          run(plane, q.out[1], q.ys[3], q.out[2]);
          continue;
        }
        for (int64_t h = 0; h < q.out[1]; h++)
          for (int64_t x = 0; x < q.out[2]; x++) run(plane + h * q.ys[3] + x * q.ys[4], 1, 1, 1);
      }
    }
  }

  ConvProblem problem_;
  const IntKernels& kernel_;
  Cut cut_;
  Tile tiles_[2][2];
  int64_t input_ = 0, scratch_ = 0;  // bytes of a tile's input, and of what its plan uses
};

std::string supports(const ConvProblem& p) {
  if (p.direction != Direction::forward) return "computes the forward direction";
  if (p.c / p.groups * p.taps() > kExactProducts) return "float32 may not hold the sums exactly";
  if (cut_of(p).elements > kMaxElements) return "what few windows span is too large to be copied";
  return "";
}

double cost(const ConvProblem& p) {
  const Cut cut = cut_of(p);
  const ConvProblem q = tile_problem(p, cut, false, false);
  const double tiles = double(p.n * (p.groups / cut.groups) * cut.count[0] * cut.count[1]);
  const double lanes = kernel_table(Isa(p.isa)).f32.lanes;
  const double in = double(q.c) * double(q.in[0] * q.in[1] * q.in[2]), out = double(q.k) * double(q.out_pixels());
  return tiles * (least_cost(q) + (3 * in + 2 * out) / lanes);
}

}  // namespace

extern const Algorithm int8_in_float32_algorithm;
const Algorithm int8_in_float32_algorithm = {
    "int8_in_float32",
    supports,
    cost,
    [](const ConvProblem& p) -> std::unique_ptr<ConvPlan> { return std::make_unique<Int8InFloat32Plan>(p); },
    false,
    Operands::bytes};

}  // namespace konv
