// Winograd's minimal filtering for 3x3 convolutions with unit stride, forward and input gradient.
//
// One pass a block of tiles: its input is packed to channels-last order and transformed; for each of the 36 (16)
// points the GEMM micro-kernel multiplies all tiles by a panel of transformed weights; the sums are transformed back
// into pixels, channels last, and stored where they belong. A block's transformed inputs and sums stay in the L2 cache.
#include <algorithm>

#include "conv/epilogue.h"
#include "conv/packing.h"
#include "conv/weights.h"
#include "conv/winograd_blocking.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kWeightChannels = 16;  // whose weights are transposed at a time

template <class T>
class WinogradPlan final : public ConvPlan {
 public:
  WinogradPlan(const ConvProblem& problem, int m)
      : problem_(problem), kernel_(kernels<T>(Isa(problem.isa))), p_(std::move(tap_problems(problem)[0])) {
    threads = int(problem.threads);
    b_ = winograd_blocking(problem, p_, m, kernel_.lanes, kernel_.gemm_rows);
    const int64_t line = 64 / int64_t(sizeof(T));
    for (int64_t last = 0; last < 2; last++) {
      const int64_t channels = last ? (p_.channels - 1) % kWeightChannels + 1 : kWeightChannels;
      panel_row_[last] = panel_rows(p_, channels, problem, b_.width);
      for (int i = 0; i < 9; i++) tap_off_[last][i] = sum_index(p_, channels, 0, b_.tap[i]) * b_.width;
    }
    weight_point_ = round_up(p_.channels * b_.width, line) + line;
    bias_base_ = p_.groups * b_.panels * b_.points() * weight_point_;
    prepared_bytes = (bias_base_ + p_.groups * b_.panels * b_.width) * int64_t(sizeof(T));
    packed_key = {m};
    for (int64_t c = 0; c < p_.channels + kGemmPrefetch; c++) {
      a_off_.push_back(std::min(c, p_.channels - 1));
      b_off_.push_back(a_off_.back() * b_.width);
    }
    pixel_pitch_ = round_up(b_.channel_chunk, kernel_.lanes);
    inputs_ = b_.points() * b_.point_pitch;
    packed_ = round_up((b_.h * m + 2) * (b_.w * m + 2) * pixel_pitch_, line);
    sums_ = b_.panel_group * b_.points() * b_.sums_pitch;
    const int64_t pixels = round_up(b_.h * m * b_.w * m * b_.width, line);
    const int64_t multiply = sums_ + pixels, item = sizeof(T);
    workspace.shared = b_.shared_inputs ? p_.groups * b_.blocks() * inputs_ * item : 0;
    workspace.per_thread = (b_.shared_inputs ? std::max(packed_, multiply) : inputs_ + packed_ + multiply) * item;
  }

  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    T* const u = reinterpret_cast<T*>(packed);
    parallel_for(p_.groups * b_.panels, threads, [&](int64_t task, int) {
      const int64_t group = task / b_.panels, first = task % b_.panels * b_.width;
      const int64_t outputs = std::min(b_.width, p_.outputs - first);
      const T* w = static_cast<const T*>(tensors.w) + group * p_.w_group + first * p_.w_output;
      for (int64_t c = 0; c < p_.channels; c += kWeightChannels)
        transform_weights(w + c * p_.w_channel, outputs, c, u + task * b_.points() * weight_point_);
      T* bias = u + bias_base_ + task * b_.width;
      if (tensors.bias)
        for (int64_t i = 0; i < b_.width; i++)
          bias[i] = i < outputs ? static_cast<const T*>(tensors.bias)[group * p_.outputs + first + i] : T(0);
    });
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    const bool forward = problem_.direction == Direction::forward;
    const Epilogue<T> epilogue(kernel_, problem_, tensors);
    const Run run{static_cast<const T*>(forward ? tensors.x : tensors.y),
                  static_cast<T*>(forward ? tensors.y : tensors.x), reinterpret_cast<const T*>(packed), epilogue};
    const int64_t blocks = p_.groups * b_.blocks();
    if (!b_.shared_inputs) {
      parallel_for(blocks, threads, [&](int64_t task, int thread) {
        T* inputs = reinterpret_cast<T*>(ws.of(thread));
        const Block block = block_at(task);
        transform_inputs(run, block, 0, inputs, inputs + inputs_);
        multiply(run, block, 0, b_.panels, inputs, inputs + inputs_ + packed_);
      });
      return;
    }
    T* const shared = reinterpret_cast<T*>(ws.shared);
    const int64_t channel_tasks = ceil_div(p_.channels, b_.channel_chunk);
    const int64_t panel_tasks = ceil_div(b_.panels, b_.panel_chunk);
    parallel_for(blocks * channel_tasks, threads, [&](int64_t task, int thread) {
      const int64_t block = task / channel_tasks;
      transform_inputs(run, block_at(block), task % channel_tasks * b_.channel_chunk, shared + block * inputs_,
                       reinterpret_cast<T*>(ws.of(thread)));
    });
    parallel_for(blocks * panel_tasks, threads, [&](int64_t task, int thread) {
      const int64_t block = task / panel_tasks, first = task % panel_tasks * b_.panel_chunk;
      multiply(run, block_at(block), first, std::min(b_.panels, first + b_.panel_chunk), shared + block * inputs_,
               reinterpret_cast<T*>(ws.of(thread)));
    });
  }

 private:
  struct Run {
    const T* in;
    T* out;
    const T* packed;
    const Epilogue<T>& epilogue;
  };
  // Tiles [row, row + h) x [col, col + w) of n images.
  struct Block {
    int64_t group, image, n, row, h, col, w;
  };

  Block block_at(int64_t task) const {
    Block k;
    k.col = task % b_.blocks_w * b_.w, task /= b_.blocks_w;
    k.row = task % b_.blocks_h * b_.h, task /= b_.blocks_h;
    k.image = task % b_.blocks_n * b_.n, k.group = task / b_.blocks_n;
    k.n = std::min(b_.n, int64_t(b_.images.size()) - k.image);
    k.h = std::min(b_.h, b_.tiles_h - k.row);
    k.w = std::min(b_.w, b_.tiles_w - k.col);
    return k;
  }

  // Weights of up to kWeightChannels channels from `first` on, into all points of a panel.
  void transform_weights(const T* w, int64_t outputs, int64_t first, T* u) const {
    T panel[kWeightChannels * 9 * 32];
    const int64_t channels = std::min(kWeightChannels, p_.channels - first);
    const int last = channels < kWeightChannels;
    pack_weight_panel(kernel_, WeightPanel<T>{p_, w, outputs, b_.width, channels, panel_row_[last], panel});
    const WinogradWeights<T> t{
        panel,         tap_off_[last], 3 * b_.width, channels, int(b_.width / kernel_.lanes), u + first * b_.width,
        weight_point_, b_.width};
    (b_.m == 4 ? kernel_.winograd_weights4 : kernel_.winograd_weights2)(t);
  }

  void transform_inputs(const Run& run, const Block& k, int64_t channel, T* inputs, T* packed) const {
    static constexpr int64_t kZero = 0;
    const int64_t channels = std::min(b_.channel_chunk, p_.channels - channel), m = b_.m;
    for (int64_t i = 0; i < k.n; i++) {
      const WinogradImage& image = b_.images[size_t(k.image + i)];
      const int64_t y = image.first[0] + k.row * m, x = image.first[1] + k.col * m, h = k.h * m + 2, w = k.w * m + 2;
      const T* src = run.in + image.in + (k.group * p_.channels + channel) * p_.in_c;
      WinogradInput<T> t{};
      t.rows = k.h, t.cols = k.w, t.channels = channels;
      t.dst = inputs + i * k.h * k.w * b_.tile_pitch + channel;
      t.point_pitch = b_.point_pitch, t.tile_pitch = b_.tile_pitch;
      const bool inside = y >= 0 && x >= 0 && y + h <= image.size[0] && x + w <= image.size[1];
      if (p_.in_c == 1 && channels % kernel_.lanes == 0 && inside) {
        t.src = src + y * b_.in_stride[0] + x * b_.in_stride[1];
        t.row_pitch = b_.in_stride[0], t.pixel_pitch = b_.in_stride[1];
      } else {
        kernel_.pack_pixels({src, packed, channels, p_.in_c, pixel_pitch_, w, PackAxis{1, 0, 0, 1, 1, 1, &kZero},
                             PackAxis{image.size[0], b_.in_stride[0], y, 1, h, 1, &kZero},
                             PackAxis{image.size[1], b_.in_stride[1], x, 1, w, 1, &kZero}});
        t.src = packed;
        t.row_pitch = w * pixel_pitch_, t.pixel_pitch = pixel_pitch_;
      }
      (m == 4 ? kernel_.winograd_input4 : kernel_.winograd_input2)(t);
    }
  }

  void multiply(const Run& run, const Block& k, int64_t first, int64_t last, const T* inputs, T* scratch) const {
    for (int64_t panel = first; panel < last; panel += b_.panel_group) {
      const int64_t end = std::min(last, panel + b_.panel_group);
      for (int64_t point = 0; point < b_.points(); point++)
        for (int64_t i = panel; i < end; i++)
          multiply_point(run, k, i, point, inputs, scratch + ((i - panel) * b_.points() + point) * b_.sums_pitch);
      for (int64_t i = panel; i < end; i++)
        transform_outputs(run, k, i, scratch + (i - panel) * b_.points() * b_.sums_pitch, scratch + sums_);
    }
  }

  int vectors(int64_t panel) const { return p_.outputs - panel * b_.width > kernel_.lanes ? 2 : 1; }

  void multiply_point(const Run& run, const Block& k, int64_t panel, int64_t point, const T* inputs, T* sums) const {
    const int64_t tiles = k.n * k.h * k.w, rows = ceil_div(tiles, ceil_div(tiles, kernel_.gemm_rows));
    GemmTile<T> g{};
    g.kc = p_.channels;
    g.a_off = a_off_.data(), g.b_off = b_off_.data();
    g.a_ld = b_.tile_pitch;
    g.b = run.packed + ((k.group * b_.panels + panel) * b_.points() + point) * weight_point_;
    g.ldc = b_.width;
    g.start = TileStart::zero;
    const auto* gemm = kernel_.gemm[vectors(panel) - 1][0];
    for (int64_t tile = 0; tile < tiles; tile += rows) {
      const int64_t count = std::min(rows, tiles - tile), half = (count + 1) / 2;
      g.a0 = inputs + point * b_.point_pitch + tile * b_.tile_pitch, g.a1 = g.a0 + half * g.a_ld;
      g.c0 = sums + tile * b_.width, g.c1 = g.c0 + half * b_.width;
      gemm[count](g);
    }
  }

  void transform_outputs(const Run& run, const Block& k, int64_t panel, const T* sums, T* pixels) const {
    const int64_t first = panel * b_.width, outputs = std::min(b_.width, p_.outputs - first), m = b_.m;
    WinogradOutput<T> t{};
    t.point_pitch = b_.sums_pitch, t.tile_pitch = b_.width;
    t.rows = k.h, t.cols = k.w, t.vectors = vectors(panel);
    t.bias = problem_.has_bias ? run.packed + bias_base_ + (k.group * b_.panels + panel) * b_.width : nullptr;
    t.relu = problem_.relu_in_registers();
    for (int64_t i = 0; i < k.n; i++) {
      const WinogradImage& image = b_.images[size_t(k.image + i)];
      const int64_t rows = std::min(k.h * m, image.out_size[0] - k.row * m);
      const int64_t cols = std::min(k.w * m, image.out_size[1] - k.col * m);
      if (rows <= 0 || cols <= 0) continue;
      T* dst = run.out + image.out + (k.group * p_.outputs + first) * p_.out_c + k.row * m * b_.out_stride[0] +
               k.col * m * b_.out_stride[1];
      t.src = sums + i * k.h * k.w * b_.width;
      const bool in_place = p_.out_c == 1 && outputs == t.vectors * kernel_.lanes && rows == k.h * m &&
                            cols == k.w * m && run.epilogue.in_registers();
      t.dst = in_place ? dst : pixels;
      t.pixel_pitch = in_place ? b_.out_stride[1] : b_.width;
      t.row_pitch = in_place ? b_.out_stride[0] : k.w * m * b_.width;
      (m == 4 ? kernel_.winograd_output4 : kernel_.winograd_output2)(t);
      if (!in_place) store_pixels(run.epilogue, pixels, t.row_pitch, rows, cols, outputs, dst);
    }
  }

  void store_pixels(const Epilogue<T>& epilogue, T* pixels, int64_t pitch, int64_t rows, int64_t cols, int64_t outputs,
                    T* dst) const {
    if (pitch == cols * b_.width && b_.out_stride[0] == cols * b_.out_stride[1]) cols *= rows, rows = 1;
    for (int64_t r = 0; r < rows; r++)
      epilogue.store(pixels + r * pitch, b_.width, cols, outputs, dst + r * b_.out_stride[0], b_.out_stride[1],
                     p_.out_c);
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  TapProblem p_;
  WinogradBlocking b_;
  std::vector<int64_t> panel_row_[2];  // for kWeightChannels channels, and for the last ones
  int64_t tap_off_[2][9];
  int64_t weight_point_, bias_base_;  // elements of packed weights
  int64_t pixel_pitch_;               // of packed input
  int64_t inputs_, packed_, sums_;    // elements of scratch
  std::vector<int64_t> a_off_, b_off_;
};

template <int M>
std::unique_ptr<ConvPlan> make_winograd(const ConvProblem& p) {
  if (p.dtype == DType::f32) return std::make_unique<WinogradPlan<float>>(p, M);
  return std::make_unique<WinogradPlan<double>>(p, M);
}

}  // namespace

extern const Algorithm winograd_algorithm;
const Algorithm winograd_algorithm = {"winograd", winograd_supports,
                                      [](const ConvProblem& p) { return winograd_cost(p, 4); }, make_winograd<4>};

extern const Algorithm winograd_2x2_algorithm;
const Algorithm winograd_2x2_algorithm = {"winograd_2x2", winograd_supports,
                                          [](const ConvProblem& p) { return winograd_cost(p, 2); }, make_winograd<2>};

}  // namespace konv
