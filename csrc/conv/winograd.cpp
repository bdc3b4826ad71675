// Winograd's minimal filtering of square kernels, rows and columns with strides 1 and 2: forward and input gradient.
//
// One pass a block of tiles: its input is packed to channels-last order and transformed; for each
// point the GEMM micro-kernel multiplies all tiles by a panel of transformed weights; the sums are transformed back
// into pixels, channels last, and stored where they belong. A block's transformed inputs and sums stay in the L2 cache.
#include <algorithm>

#include "conv/epilogue.h"
#include "conv/packing.h"
#include "conv/plan_sequence.h"
#include "conv/prefetch.h"
#include "conv/weights.h"
#include "conv/winograd_blocking.h"
#include "conv/winograd_weight_gradient.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace konv {

namespace {

template <class T>
class WinogradPlan final : public ConvPlan {
 public:
  WinogradPlan(const ConvProblem& problem, TapProblem p, int form)
      : problem_(problem),
        kernel_(kernels<T>(Isa(problem.isa))),
        p_(std::move(p)),
        b_(winograd_blocking(problem, p_, form, kernel_.lanes, kernel_.gemm_rows)) {
    threads = int(problem.threads);
    const int64_t line = 64 / int64_t(sizeof(T)), item = sizeof(T);
    for (int64_t last = 0; last < 2; last++) {
      const int64_t channels = last ? (p_.channels - 1) % kWinogradWeightChannels + 1 : kWinogradWeightChannels;
      panel_row_[last] = panel_rows(p_, channels, problem, b_.width);
      for (const WinogradSource& s : b_.sources)
        for (int64_t tap : s.tap) tap_off_[last].push_back(tap < 0 ? -1 : sum_index(p_, channels, 0, tap) * b_.width);
    }
    weight_point_ = round_up((b_.weight_chunk ? b_.weight_chunk : b_.channels) * b_.width, line) + line;
    bias_base_ = b_.weight_chunk ? 0 : p_.groups * b_.panels * b_.points() * weight_point_;
    reads_weights = b_.weight_chunk > 0;
    prepared_bytes = (bias_base_ + p_.groups * b_.panels * b_.width) * item;
    packed_key = {form, b_.weight_chunk};
    add_to_key(taps_key(p_));
    for (int64_t point = 0; point < b_.points(); point++) summed_at_.push_back(place_of_sums(point));
    pixel_pitch_ = round_up(b_.channel_chunk, kernel_.lanes);
    chunk_inputs_ = b_.points() * b_.point_pitch;
    inputs_ = b_.weight_chunk ? ceil_div(p_.channels, b_.weight_chunk) * chunk_inputs_ : chunk_inputs_;
    packed_ = round_up(region(0, b_.h) * region(1, b_.w) * pixel_pitch_ + 4 * kernel_.lanes, line);
    sums_ = (b_.weight_chunk ? b_.blocks() : b_.panel_group) * b_.points() * b_.sums_pitch;
    weights_ = b_.weight_chunk ? b_.points() * weight_point_ : 0;
    requests_weights_ = b_.panels * b_.points() * weight_point_ * item + problem.bytes_between > l2_cache_bytes() / 2;
    const double pixels_in = double(p_.in[1] * p_.in[2]), pixels_out = double(p_.out[1] * p_.out[2]);
    const double elements = pixels_in * double(p_.channels) + pixels_out * double(p_.outputs);
    streams_ = double(p_.n * p_.out[0] * p_.groups) * elements * double(item) > double(l2_cache_bytes() / 4);
    const int64_t multiply = sums_ + weights_ + round_up(b_.h * b_.m[0] * b_.w * b_.m[1] * b_.width, line);
    workspace.shared = b_.shared_inputs ? p_.groups * b_.blocks() * inputs_ * item : 0;
    workspace.per_thread = (b_.shared_inputs ? std::max(packed_, multiply) : inputs_ + packed_ + multiply) * item;
  }

  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    T* const u = reinterpret_cast<T*>(packed);
    parallel_for(p_.groups * b_.panels, threads, [&](int64_t task, int) {
      const int64_t group = task / b_.panels, first = task % b_.panels * b_.width;
      const int64_t outputs = std::min(b_.width, p_.outputs - first);
      if (!b_.weight_chunk)
        transform_weights(tensors, group, first, 0, p_.channels, u + task * b_.points() * weight_point_);
      T* bias = u + bias_base_ + task * b_.width;
      if (tensors.bias)
        for (int64_t i = 0; i < b_.width; i++)
          bias[i] = i < outputs ? static_cast<const T*>(tensors.bias)[group * p_.outputs + first + i] : T(0);
    });
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    const bool forward = problem_.direction == Direction::forward;
    const Epilogue<T> epilogue(kernel_, problem_, tensors);
    const Run run{tensors, static_cast<const T*>(forward ? tensors.x : tensors.y),
                  static_cast<T*>(forward ? tensors.y : tensors.x), reinterpret_cast<const T*>(packed), epilogue};
    const int64_t blocks = p_.groups * b_.blocks();
    if (!b_.shared_inputs) {
      parallel_for(blocks, threads, [&](int64_t task, int thread) {
        T* inputs = reinterpret_cast<T*>(ws.of(thread));
        const Block block = block_at(task);
        transform_inputs(run, block, 0, inputs, inputs + inputs_);
        // The next task of this thread, most often.
        const bool more = streams_ && task + 1 < blocks;
        multiply(run, block, 0, b_.panels, inputs, inputs + inputs_ + packed_,
                 more ? inputs_ahead(run, block_at(task + 1)) : RowsAhead{});
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
    if (b_.weight_chunk) {
      parallel_for(p_.groups * b_.panels, threads, [&](int64_t task, int thread) {
        transform_and_multiply(run, task / b_.panels, task % b_.panels, shared, reinterpret_cast<T*>(ws.of(thread)));
      });
      return;
    }
    parallel_for(blocks * panel_tasks, threads, [&](int64_t task, int thread) {
      // By panels: a thread's share reads part of the weights.
      const int64_t block = task % blocks, first = task / blocks * b_.panel_chunk;
      multiply(run, block_at(block), first, std::min(b_.panels, first + b_.panel_chunk), shared + block * inputs_,
               reinterpret_cast<T*>(ws.of(thread)), RowsAhead{});
    });
  }

 private:
  struct Run {
    const ConvTensors& tensors;
    const T* in;
    T* out;
    const T* packed;
    const Epilogue<T>& epilogue;
  };
  struct Block : WinogradBlock {
    int64_t group;
  };

  // Pixels along an axis that so many tiles read.
  int64_t region(int axis, int64_t tiles) const { return tiles * b_.m[axis] + b_.r[axis] - 1; }
  Block block_at(int64_t task) const { return {b_.block(task % b_.blocks()), task / b_.blocks()}; }

  // The channels that a point sums over, as offsets in transformed inputs and in weights.
  struct Summed {
    int64_t count;
    std::vector<int64_t> a_off, b_off;
    bool contiguous() const { return count == 0 || a_off[size_t(count) - 1] - a_off[0] == count - 1; }
  };
  // Their place in summed_: most points sum over the same.
  size_t place_of_sums(int64_t point) {
    std::vector<int64_t> a_off;
    for (size_t i = 0; i < b_.sources.size(); i++)
      for (int64_t c = 0; meets(b_.sources[i], b_, point) && c < p_.channels; c++)
        a_off.push_back(int64_t(i) * p_.channels + c);
    const int64_t count = int64_t(a_off.size());
    a_off.resize(a_off.size() + kGemmPrefetch, count ? a_off.back() : 0);
    size_t at = 0;
    while (at < summed_.size() && (summed_[at].count != count || summed_[at].a_off != a_off)) at++;
    if (at < summed_.size()) return at;
    std::vector<int64_t> b_off(a_off);
    for (int64_t& offset : b_off) offset *= b_.width;
    summed_.push_back({count, std::move(a_off), std::move(b_off)});
    return at;
  }

  const Summed& summed_at(int64_t point) const { return summed_[summed_at_[size_t(point)]]; }

  // Weights of a panel's outputs and of channels [first, first + count), into all points.
  void transform_weights(const ConvTensors& tensors, int64_t group, int64_t output, int64_t first, int64_t count,
                         T* u) const {
    T panel[kWinogradWeightChannels * kMaxWinogradElements * (128 / sizeof(T))];
    const int64_t outputs = std::min(b_.width, p_.outputs - output);
    const T* w = static_cast<const T*>(tensors.w) + group * p_.w_group + output * p_.w_output;
    for (int64_t c = 0; c < count; c += kWinogradWeightChannels) {
      const int64_t channels = std::min(kWinogradWeightChannels, count - c);
      const int last = channels < kWinogradWeightChannels;
      pack_weight_panel(kernel_, WeightPanel<T>{p_, w + (first + c) * p_.w_channel, outputs, b_.width, channels,
                                                panel_row_[last], panel});
      for (size_t source = 0; source < b_.sources.size(); source++)
        kernel_.winograd_weights[b_.form]({panel, tap_off_[last].data() + source * kMaxWinogradTaps,
                                           p_.grid[2] * b_.width, channels, int(b_.width / kernel_.lanes),
                                           u + (int64_t(source) * p_.channels + c) * b_.width, weight_point_,
                                           b_.width});
    }
  }

  void transform_inputs(const Run& run, const Block& k, int64_t channel, T* inputs, T* packed) const {
    const int64_t channels = std::min(b_.channel_chunk, p_.channels - channel);
    inputs += b_.weight_chunk ? channel / b_.weight_chunk * chunk_inputs_ : channel;
    // Sources in their order: the last vector of one reaches into the channels of the next.
    for (size_t source = 0; source < b_.sources.size(); source++)
      for (int64_t i = 0; i < k.n; i++) {
        const WinogradView& v = b_.view(k.image + i, source);
        const ChannelsLast<T> pixels(kernel_, run.in + v.in + (k.group * p_.channels + channel) * p_.in_c, channels,
                                     p_.in_c, b_.in_stride, v.size, v.first[0] + k.row * b_.m[0], region(0, k.h),
                                     v.first[1] + k.col * b_.m[1], region(1, k.w), packed, pixel_pitch_,
                                     p_.padding_mode);
        kernel_.winograd_input[b_.form]({pixels.src, pixels.row_pitch, pixels.pixel_pitch, k.h, k.w, channels,
                                         inputs + i * k.h * k.w * b_.tile_pitch + int64_t(source) * p_.channels,
                                         b_.point_pitch, b_.tile_pitch});
      }
  }

  // What the pixels in [y, y + h) x [x, x + w) of an image take of its memory, `channels` of them.
  RowsAhead rows_ahead(const T* image, const int64_t stride[2], const int64_t size[2], int64_t channels,
                       int64_t channel_stride, int64_t y, int64_t h, int64_t x, int64_t w) const {
    const int64_t y0 = std::max<int64_t>(0, y), y1 = std::min(size[0], y + h), item = sizeof(T);
    const int64_t x0 = std::max<int64_t>(0, x), x1 = std::min(size[1], x + w);
    if (y0 >= y1 || x0 >= x1 || stride[0] < 0 || stride[1] < 0 || channel_stride < 0) return {};
    const bool last = channel_stride == 1;
    const int64_t pixels = (x1 - x0 - 1) * stride[1];
    return {reinterpret_cast<const char*>(image + y0 * stride[0] + x0 * stride[1]),
            last ? 1 : channels,
            channel_stride * item,
            y1 - y0,
            stride[0] * item,
            (last ? pixels + channels : pixels + 1) * item};
  }
  // Of the first image of a block: blocks of several images are small.
  RowsAhead inputs_ahead(const Run& run, const Block& k) const {
    const WinogradView& v = b_.view(k.image, 0);
    const int64_t *step = p_.step + 1, *m = b_.m;
    const int64_t stride[2] = {b_.in_stride[0] / step[0], b_.in_stride[1] / step[1]};
    const int64_t size[2] = {v.size[0] * step[0], v.size[1] * step[1]};
    return rows_ahead(run.in + v.in + k.group * p_.channels * p_.in_c, stride, size, p_.channels, p_.in_c,
                      (v.first[0] + k.row * m[0]) * step[0], region(0, k.h) * step[0],
                      (v.first[1] + k.col * m[1]) * step[1], region(1, k.w) * step[1]);
  }
  RowsAhead outputs_ahead(const Run& run, const Block& k, int64_t first, int64_t last) const {
    const WinogradImage& image = b_.images[size_t(k.image)];
    const int64_t channel = first * b_.width, channels = std::min(p_.outputs, last * b_.width) - channel;
    return rows_ahead(run.out + image.out + (k.group * p_.outputs + channel) * p_.out_c, b_.out_stride, image.size,
                      channels, p_.out_c, k.row * b_.m[0], k.h * b_.m[0], k.col * b_.m[1], k.w * b_.m[1]);
  }

  // While panels [first, last) are multiplied, `ahead` is requested: the input of the block to come.
  void multiply(const Run& run, const Block& k, int64_t first, int64_t last, const T* inputs, T* scratch,
                const RowsAhead& ahead) const {
    const int64_t calls = (last - first) * b_.points(), share = ceil_div(ahead.count(), calls);
    int64_t requested = 0;
    for (int64_t panel = first; panel < last; panel += b_.panel_group) {
      const int64_t end = std::min(last, panel + b_.panel_group);
      const RowsAhead results = streams_ ? outputs_ahead(run, k, panel, end) : RowsAhead{};
      const int64_t result_share = ceil_div(results.count(), (end - panel) * b_.points());
      int64_t result = 0;
      for (int64_t point = 0; point < b_.points(); point++)
        for (int64_t i = panel, count; i < end; i += count) {
          count = takes_pairs(point) && i + 1 < end && vectors(i + 1) == 2 ? 2 : 1;
          ahead.request(requested, requested + count * share), requested += count * share;
          results.request(result, result + count * result_share), result += count * result_share;
          T* const sums = scratch + ((i - panel) * b_.points() + point) * b_.sums_pitch;
          if (count == 2)
            multiply_pair(run, k, i, point, i + 3 < end ? i + 2 : panel, inputs, sums);
          else
            multiply_point(run, k, i, point, inputs, sums);
        }
      for (int64_t i = panel; i < end; i++)
        transform_outputs(run, k, i, scratch + (i - panel) * b_.points() * b_.sums_pitch, scratch + sums_);
    }
  }

  int vectors(int64_t panel) const { return p_.outputs - panel * b_.width > kernel_.lanes ? 2 : 1; }

  void multiply_point(const Run& run, const Block& k, int64_t panel, int64_t point, const T* inputs, T* sums) const {
    const Summed& summed = summed_at(point);
    GemmTile<T> g{};
    g.kc = summed.count;
    g.a_off = summed.a_off.data(), g.b_off = summed.b_off.data();
    g.b = run.packed + ((k.group * b_.panels + panel) * b_.points() + point) * weight_point_;
    g.start = TileStart::zero;
    multiply_tiles(k, panel, g, inputs + point * b_.point_pitch, sums);
  }

  bool takes_pairs(int64_t point) const { return kernel_.gemm_wide && summed_at(point).contiguous(); }
  // Two whole panels at a time, from the given one on; those that follow begin at `next`, of the next point where that
  // is no later one.
  void multiply_pair(const Run& run, const Block& k, int64_t panel, int64_t point, int64_t next, const T* inputs,
                     T* sums) const {
    const Summed& summed = summed_at(point);
    WideGemm<T> g{};
    g.rows = k.tiles(), g.kc = summed.count;
    g.a = inputs + point * b_.point_pitch + (g.kc ? summed.a_off[0] : 0), g.a_ld = b_.tile_pitch;
    g.ldc = b_.width, g.near = core_speeds().requests_near;
    const int64_t next_point = next > panel ? point : point + 1;
    for (int i = 0; i < 2; i++) {
      g.b[i] = run.packed + ((k.group * b_.panels + panel + i) * b_.points() + point) * weight_point_ +
               (g.kc ? summed.b_off[0] : 0);
      if (requests_weights_ && next_point < b_.points())
        g.next[i] = run.packed + ((k.group * b_.panels + next + i) * b_.points() + next_point) * weight_point_;
      g.c[i] = sums + i * b_.points() * b_.sums_pitch;
    }
    kernel_.gemm_wide(g);
  }

  void multiply_tiles(const Block& k, int64_t panel, GemmTile<T> g, const T* inputs, T* sums) const {
    const int64_t tiles = k.tiles(), rows = ceil_div(tiles, ceil_div(tiles, kernel_.gemm_rows));
    const auto* gemm = kernel_.gemm[vectors(panel) - 1][0];
    g.a_ld = b_.tile_pitch, g.ldc = b_.width;
    for (int64_t tile = 0; tile < tiles; tile += rows) {
      const int64_t count = std::min(rows, tiles - tile), half = (count + 1) / 2;
      g.a0 = inputs + tile * b_.tile_pitch, g.a1 = g.a0 + half * g.a_ld;
      g.c0 = sums + tile * b_.width, g.c1 = g.c0 + half * b_.width;
      gemm[count](g);
    }
  }

  // A panel with all tiles: chunk by chunk its weights are transformed, and multiplied while they are in the cache.
  void transform_and_multiply(const Run& run, int64_t group, int64_t panel, const T* inputs, T* scratch) const {
    T *const weights = scratch + sums_, *const pixels = weights + weights_;
    const int64_t blocks = b_.blocks();
    for (int64_t c = 0; c < p_.channels; c += b_.weight_chunk) {
      const int64_t channels = std::min(b_.weight_chunk, p_.channels - c);
      transform_weights(run.tensors, group, panel * b_.width, c, channels, weights);
      const T* chunk = inputs + c / b_.weight_chunk * chunk_inputs_;
      GemmTile<T> g{};
      g.a_off = summed_at(0).a_off.data(), g.b_off = summed_at(0).b_off.data();
      g.start = c ? TileStart::load : TileStart::zero;
      for (int64_t i = 0; i < blocks; i++) {
        const Block k = block_at(group * blocks + i);
        for (int64_t point = 0; point < b_.points(); point++) {
          g.b = weights + point * weight_point_;
          g.kc = summed_at(point).count ? channels : 0;
          multiply_tiles(k, panel, g, chunk + (group * blocks + i) * inputs_ + point * b_.point_pitch,
                         scratch + (i * b_.points() + point) * b_.sums_pitch);
        }
      }
    }
    for (int64_t i = 0; i < blocks; i++)
      transform_outputs(run, block_at(group * blocks + i), panel, scratch + i * b_.points() * b_.sums_pitch, pixels);
  }

  void transform_outputs(const Run& run, const Block& k, int64_t panel, const T* sums, T* pixels) const {
    const int64_t first = panel * b_.width, outputs = std::min(b_.width, p_.outputs - first);
    const int64_t* m = b_.m;
    WinogradOutput<T> t{};
    t.point_pitch = b_.sums_pitch, t.tile_pitch = b_.width;
    t.rows = k.h, t.cols = k.w, t.vectors = vectors(panel);
    t.bias = problem_.has_bias ? run.packed + bias_base_ + (k.group * b_.panels + panel) * b_.width : nullptr;
    t.clip = problem_.clip_in_registers();
    for (int64_t i = 0; i < k.n; i++) {
      const WinogradImage& image = b_.images[size_t(k.image + i)];
      const int64_t rows = std::min(k.h * m[0], image.size[0] - k.row * m[0]);
      const int64_t cols = std::min(k.w * m[1], image.size[1] - k.col * m[1]);
      if (rows <= 0 || cols <= 0) continue;
      T* dst = run.out + image.out + (k.group * p_.outputs + first) * p_.out_c + k.row * m[0] * b_.out_stride[0] +
               k.col * m[1] * b_.out_stride[1];
      t.src = sums + i * k.h * k.w * b_.width;
      const bool in_place = p_.out_c == 1 && outputs == t.vectors * kernel_.lanes && rows == k.h * m[0] &&
                            cols == k.w * m[1] && run.epilogue.in_registers();
      t.dst = in_place ? dst : pixels;
      t.pixel_pitch = in_place ? b_.out_stride[1] : b_.width;
      t.row_pitch = in_place ? b_.out_stride[0] : k.w * m[1] * b_.width;
      kernel_.winograd_output[b_.form](t);
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
  std::vector<int64_t> panel_row_[2], tap_off_[2];  // for kWinogradWeightChannels channels, and for the last ones
  std::vector<Summed> summed_;                      // each once
  std::vector<size_t> summed_at_;                   // of each point
  int64_t weight_point_, bias_base_;                // elements of packed weights
  int64_t pixel_pitch_;                             // of packed input
  int64_t inputs_, chunk_inputs_, packed_, sums_, weights_;  // elements of scratch
  bool requests_weights_;                                    // the next panels, while some are multiplied
  bool streams_;                                             // tensors are larger than the cache
};

// For the part of an input gradient that no phase writes.
class ZeroGradientPlan final : public ConvPlan {
 public:
  explicit ZeroGradientPlan(const ConvProblem& problem) : problem_(problem) {}
  void run(const ConvTensors& tensors, const char*, const Workspace&) const noexcept override {
    zero_gradient(problem_, tensors.x);
  }

 private:
  ConvProblem problem_;
};

// With one form for all phases, or with the best one for each where `form` is negative.
std::unique_ptr<ConvPlan> make_winograd(const ConvProblem& problem, int form) {
  std::vector<std::unique_ptr<ConvPlan>> phases;
  std::vector<TapProblem> problems = tap_problems(problem);
  if (leaves_gaps(problem, problems.size())) phases.push_back(std::make_unique<ZeroGradientPlan>(problem));
  for (TapProblem& p : problems) {
    const int chosen = form < 0 ? winograd_form(problem, p) : form;
    if (problem.dtype == DType::f32)
      phases.push_back(std::make_unique<WinogradPlan<float>>(problem, std::move(p), chosen));
    else
      phases.push_back(std::make_unique<WinogradPlan<double>>(problem, std::move(p), chosen));
  }
  if (phases.size() == 1) return std::move(phases[0]);
  return std::make_unique<PlanSequence>(std::move(phases));
}

}  // namespace

extern const Algorithm winograd_algorithm;
const Algorithm winograd_algorithm = {"winograd", winograd_supports,
                                      [](const ConvProblem& problem) {
                                        if (problem.direction == Direction::weight_gradient)
                                          return winograd_weight_gradient_cost(problem);
                                        double cost = 0;
                                        for (const TapProblem& p : tap_problems(problem))
                                          cost += winograd_cost(problem, p, winograd_form(problem, p));
                                        return cost;
                                      },
                                      [](const ConvProblem& problem) {
                                        return problem.direction == Direction::weight_gradient
                                                   ? make_winograd_weight_gradient_plan(problem)
                                                   : make_winograd(problem, -1);
                                      },
                                      true};

extern const Algorithm winograd_2x2_algorithm;
const Algorithm winograd_2x2_algorithm = {
    "winograd_2x2",
    [](const ConvProblem& problem) {
      const std::string reason = winograd_supports(problem);
      return reason.empty() && !has_winograd_2x2(problem) ? "3x3 taps are the most of a source (a kernel of 3, or of 5 "
                                                            "or 6 with stride 2), forward or of an input gradient"
                                                          : reason;
    },
    [](const ConvProblem& problem) {
      double cost = 0;
      for (const TapProblem& p : tap_problems(problem)) cost += winograd_cost(problem, p, kWinograd2x2);
      return cost;
    },
    [](const ConvProblem& problem) { return make_winograd(problem, kWinograd2x2); }, true};

}  // namespace konv
