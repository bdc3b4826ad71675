// Runs TapProblems on the GEMM micro-kernel, as cut by dense_tiling.cpp. implicit_gemm, pointwise and
// implicit_gemm_bf16 are this plan with the input packed, read in place, and packed as pairs of channels;
// implicit_gemm_int8 and implicit_gemm_int16 pack it as bytes and words.
#include "conv/dense_plan.h"

#include <algorithm>
#include <type_traits>

#include "conv/dense_stage.h"
#include "conv/epilogue.h"
#include "conv/int_weights.h"
#include "conv/padding_mode.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kSerialPackBytes = 256 << 10;

// Of arrays of S, with sums in T.
template <class T, class S>
class DensePlan final : public ConvPlan {
 public:
  DensePlan(const ConvProblem& problem, DenseInput input)
      : problem_(problem),
        kernel_(kernels<T>(Isa(problem.isa))),
        dense_(problem, input),
        has_bias_(problem.has_bias || input == DenseInput::bytes) {
    threads = int(problem_.threads);
    if (problem_.flops() < 2e6) threads = 1;
    problem_.threads = threads;
    for (TapProblem& p : tap_problems(problem_)) stages_.emplace_back(std::move(p), problem_, input);
    gaps_ = leaves_gaps(problem, stages_.size());
    joined_ = channels_an_element(input) == 1 && can_join();
    if (joined_) join_panels();
    int64_t packed = 0, mine = 0;
    for (DenseStage<T>& s : stages_) {
      s.weight_base = packed;
      s.bias_base = packed + s.weight_size;
      packed = round_up(s.bias_base + s.p.groups * s.t.panels * s.weight_step, 16);
      mine = std::max(mine, s.packing.size + s.sums_size());
      reads_weights = reads_weights || s.weights_in_place;
      add_to_key({int64_t(s.t.lanes), s.t.channel_block, s.weight_step});
      add_to_key(taps_key(s.p));
    }
    if (joined_) join_rows();
    prepared_bytes = packed * int64_t(sizeof(T));
    workspace.per_thread = mine * int64_t(sizeof(T));
  }

  void prepare(const ConvTensors& tensors, char* packed) const noexcept override {
    int64_t tasks = 0;
    for (const DenseStage<T>& s : stages_) tasks += s.pack_tasks;
    if (joined_) tasks = stages_[0].pack_tasks;
    // Waking threads costs more than packing a few hundred kilobytes.
    parallel_for(tasks, prepared_bytes > kSerialPackBytes ? threads : 1, [&](int64_t task, int) {
      const DenseStage<T>& s = stage_of(task, [](const DenseStage<T>& q) { return q.pack_tasks; });
      if constexpr (kBytes)
        pack_bytes(s, task, tensors, reinterpret_cast<T*>(packed));
      else
        pack_weights(s, task, static_cast<const T*>(tensors.w), static_cast<const T*>(tensors.bias),
                     reinterpret_cast<T*>(packed));
    });
  }

  void run(const ConvTensors& tensors, const char* packed, const Workspace& ws) const noexcept override {
    const bool forward = problem_.direction == Direction::forward;
    const S* in = static_cast<const S*>(forward ? tensors.x : tensors.y);
    T* out = static_cast<T*>(forward ? tensors.y : tensors.x);
    if (gaps_) zero_gradient(problem_, tensors.x);
    const Epilogue<T> epilogue(kernel_, problem_, tensors);
    int64_t tasks = 0;
    for (const DenseStage<T>& s : stages_) tasks += s.t.tasks;
    parallel_for(tasks, threads, [&](int64_t task, int thread) {
      const DenseStage<T>& s = stage_of(task, [](const DenseStage<T>& q) { return q.t.tasks; });
      run_task(s, task, in, out, tensors, reinterpret_cast<const T*>(packed), epilogue,
               reinterpret_cast<T*>(ws.of(thread)));
    });
  }

 private:
  static constexpr bool kBytes = !std::is_same_v<T, S>;
  static constexpr int64_t kMaxPanel = 32;  // outputs of a panel of weights

  // Whether one pass over the weights can serve all phases of an input gradient, each element going to the panel of its
  // phase: they cut channels and outputs alike.
  bool can_join() const {
    for (const DenseStage<T>& s : stages_) {
      const DenseTiling &t = s.t, &first = stages_[0].t;
      if (s.weights_in_place || s.panel_row[0].empty() || s.p.w_output == 1 || t.lanes != first.lanes ||
          t.panels != first.panels || t.channel_block != first.channel_block || s.weight_step != stages_[0].weight_step)
        return false;
    }
    return stages_.size() > 1;
  }
  // Panels of one size, so that those of a task lie equally far apart in all tasks.
  void join_panels() {
    int64_t panel = 0;
    for (const DenseStage<T>& s : stages_) panel = std::max(panel, s.weight_panel);
    for (DenseStage<T>& s : stages_) s.weight_panel = panel, s.weight_size = s.pack_tasks * panel;
  }
  void join_rows() {
    for (int last = 0; last < 2; last++) {
      joined_row_[last].assign(stages_[0].panel_row[last].size(), -1);
      for (const DenseStage<T>& s : stages_)
        for (size_t i = 0; i < s.panel_row[last].size(); i++)
          if (s.panel_row[last][i] >= 0)
            joined_row_[last][i] = s.weight_base - stages_[0].weight_base + s.panel_row[last][i];
    }
  }

  template <class Count>
  const DenseStage<T>& stage_of(int64_t& task, Count count) const {
    size_t i = 0;
    while (task >= count(stages_[i])) task -= count(stages_[i++]);
    return stages_[i];
  }

  void pack_weights(const DenseStage<T>& s, int64_t task, const T* w, const T* bias, T* packed) const {
    const int64_t panel = task % s.t.panels, block = task / s.t.panels % s.t.channel_blocks;
    const int64_t group = task / s.t.panels / s.t.channel_blocks;
    const int64_t c0 = block * s.t.channel_block * s.together, first = panel * s.weight_step;
    const int64_t outputs = std::min(s.weight_step, s.p.outputs - first);
    const bool last = block + 1 == s.t.channel_blocks;
    WeightPanel<T> p{s.p,
                     w + group * s.p.w_group + first * s.p.w_output + c0 * s.p.w_channel,
                     outputs,
                     s.weight_step,
                     std::min(s.t.channel_block * s.together, s.p.channels - c0),
                     joined_ ? joined_row_[last] : s.panel_row[last],
                     packed + s.weight_base + task * s.weight_panel};
    for (size_t i = 1; joined_ && i < stages_.size(); i++)
      zero_outputs(WeightPanel<T>{stages_[i].p, nullptr, outputs, p.width, p.channels, p.rows,
                                  packed + stages_[i].weight_base + task * stages_[i].weight_panel});
    if constexpr (sizeof(T) == sizeof(float))
      if (dense_.pairs) pack_weight_panel(*dense_.pairs, p);
    if (!s.weights_in_place && !dense_.pairs) pack_weight_panel(kernel_, p);
    if (block > 0 || !bias) return;
    for (const DenseStage<T>& q : stages_) {
      if (!joined_ && &q != &s) continue;
      T* dst = packed + q.bias_base + (group * q.t.panels + panel) * q.weight_step;
      for (int64_t i = 0; i < q.weight_step; i++) dst[i] = i < outputs ? bias[group * q.p.outputs + first + i] : T(0);
    }
  }

  // A panel of bytes, all blocks of channels: the bias needs the sums of weights.
  void pack_bytes(const DenseStage<T>& s, int64_t task, const ConvTensors& tensors, T* packed) const {
    const TapProblem& p = s.p;
    const DenseTiling& t = s.t;
    const int64_t panel = task % t.panels, group = task / t.panels, first = panel * s.weight_step;
    const int64_t k0 = group * p.outputs + first, outputs = std::min(s.weight_step, p.outputs - first);
    const S* w = static_cast<const S*>(tensors.w) + k0 * p.w_output;
    const int32_t* zero = tensors.w_zero ? tensors.w_zero + k0 : nullptr;
    uint32_t sums[kMaxPanel] = {};
    for (int64_t block = 0; block < t.channel_blocks; block++) {
      const int64_t c0 = block * t.channel_block * s.together;
      T* dst = packed + s.weight_base + ((group * t.channel_blocks + block) * t.panels + panel) * s.weight_panel;
      std::fill_n(dst, s.weight_panel, T(0));
      pack_int_weights(*dense_.ints, {problem_, p, w + c0 * p.w_channel, outputs,
                                      std::min(t.channel_block * s.together, p.channels - c0), zero,
                                      s.panel_row[block + 1 == t.channel_blocks].data(), dst, sums});
    }
    const int32_t offset = input_bytes(problem_, tensors.x_zero, s.together).zero_offset;
    const int32_t* bias = problem_.has_bias ? static_cast<const int32_t*>(tensors.bias) + k0 : nullptr;
    T* const start = packed + s.bias_base + task * s.weight_step;
    for (int64_t i = 0; i < s.weight_step; i++) {
      const uint32_t value = (bias && i < outputs ? uint32_t(bias[i]) : 0) - uint32_t(offset) * sums[i];
      std::memcpy(start + i, &value, sizeof value);
    }
  }

  // What one task works on: output pixels [h0, h0 + h) x [w0, w0 + w) of an image and group.
  struct Tile {
    int64_t n, group, z, h0, h, w0, w;
    const T* src;  // packed or original input at the tile's first pixel, channel c0
    const int64_t* off;
    int64_t row_step, pixel_step;  // between output pixels, in the source
    T* dst;
    T* sums;
    int64_t first_panel, last_panel;
    bool first, last;  // channel block
    bool in_place;     // src is the original input
    int64_t elements;  // of channels, in this block
    const T* weights;  // panel 0 of this group and channel block
    const T* bias;
    const Epilogue<T>* epilogue;
  };

  void run_task(const DenseStage<T>& s, int64_t task, const S* in, T* out, const ConvTensors& tensors, const T* packed,
                const Epilogue<T>& epilogue, T* scratch) const {
    const TapProblem& p = s.p;
    const DenseTiling& t = s.t;
    Tile tile;
    tile.first_panel = task % t.panel_blocks * t.panel_block, task /= t.panel_blocks;
    tile.last_panel = std::min(t.panels, tile.first_panel + t.panel_block);
    tile.w0 = task % t.tiles_w * t.tile_w, task /= t.tiles_w;
    tile.h0 = task % t.tiles_h * t.tile_h, task /= t.tiles_h;
    tile.z = task % t.tiles_d * t.tile_d, task /= t.tiles_d;
    tile.group = task % p.groups, tile.n = task / p.groups;
    tile.h = std::min(t.tile_h, p.out[1] - tile.h0);
    tile.w = std::min(t.tile_w, p.out[2] - tile.w0);
    tile.sums = scratch + s.packing.size;
    tile.epilogue = &epilogue;
    tile.dst = out + p.out_base + tile.n * p.out_n + tile.group * p.outputs * p.out_c + tile.z * p.out_stride[0] +
               tile.h0 * p.out_stride[1] + tile.w0 * p.out_stride[2];
    tile.bias = has_bias_ ? packed + s.bias_base + tile.group * t.panels * s.weight_step : nullptr;
    const S* image = in + tile.n * p.in_n + tile.group * p.channels * p.in_c;

    for (int64_t block = 0; block < t.channel_blocks; block++) {
      const int64_t c0 = block * t.channel_block * s.together;
      const int64_t channels = std::min(t.channel_block * s.together, p.channels - c0);
      tile.first = block == 0, tile.last = block + 1 == t.channel_blocks;
      tile.elements = ceil_div(channels, s.together);
      tile.weights = s.weights_in_place
                         ? static_cast<const T*>(tensors.w) + tile.group * p.w_group + c0 * p.w_channel
                         : packed + s.weight_base + (tile.group * t.channel_blocks + block) * t.panels * s.weight_panel;
      tile.in_place = t.direct && reads_inside(s, tile, image + c0 * p.in_c - in, channels);
      if (tile.in_place) {
        tile.src = reinterpret_cast<const T*>(image) + c0 * p.in_c + tile.z * p.step[0] * p.in_stride[0] +
                   tile.h0 * p.step[1] * p.in_stride[1] + tile.w0 * p.step[2] * p.in_stride[2];
        tile.off = s.direct_off[tile.last].data();
        tile.row_step = p.step[1] * p.in_stride[1], tile.pixel_step = p.step[2] * p.in_stride[2];
      } else {
        const PackRegion<T, S> region =
            s.packing.region(p, image + c0 * p.in_c, channels, tile.z, tile.h0, tile.w0, scratch);
        if constexpr (kBytes) {
          (t.planes ? dense_.ints->pack_planes
                    : dense_.ints->pack_pixels)({region, input_bytes(problem_, tensors.x_zero, s.together).code});
        } else {
          (t.planes ? dense_.pack_planes : dense_.pack_pixels)(region);
          if constexpr (sizeof(T) == sizeof(float))
            if (dense_.pairs) mend_border<PackedPairs>(p.padding_mode, region, t.planes);
          if (!dense_.pairs) mend_border(p.padding_mode, region, t.planes);
        }
        tile.src = scratch;
        tile.off = s.packed_off[tile.last].data();
        tile.row_step = s.packing.row, tile.pixel_step = s.packing.pixel;
      }
      for (int64_t slice = 0; slice < std::min(t.tile_d, p.out[0] - tile.z); slice++) {
        if (t.lanes == Lanes::outputs)
          outputs_in_lanes(s, tile);
        else
          pixels_in_lanes(s, tile);
        if (t.tile_d > 1) tile.src += s.packing.slice, tile.dst += p.out_stride[0];
      }
    }
  }

  // Tiles are rounded up to whole segments or vectors: what that reads too much must still be the caller's memory.
  bool reads_inside(const DenseStage<T>& s, const Tile& tile, int64_t offset, int64_t channels) const {
    const TapProblem& p = s.p;
    const int64_t unit = s.t.lanes == Lanes::outputs ? s.t.segment : kernel_.lanes;
    const int64_t w = round_up(tile.w, unit);
    if (w == tile.w) return true;
    ElementRange read{offset, offset};
    read.add(0, channels - 1, p.in_c);
    const int64_t first[3] = {tile.z, tile.h0, tile.w0}, last[3] = {tile.z, tile.h0 + tile.h - 1, tile.w0 + w - 1};
    for (int a = 0; a < 3; a++) {
      int64_t low = p.taps[0].at[a], high = low;
      for (const Tap& t : p.taps) low = std::min(low, t.at[a]), high = std::max(high, t.at[a]);
      read.add(first[a] * p.step[a] + low, last[a] * p.step[a] + high, p.in_stride[a]);
    }
    return read.low >= s.memory.low && read.high <= s.memory.high;
  }

  // Leaves rows of taps out of the sum of a micro-tile: those outside the image for all of its output rows.
  static void sum_rows(GemmTile<T>& g, const DenseStage<T>& s, const Tile& tile, TapRows rows, const int64_t* a_off,
                       const int64_t* b_off) {
    const int64_t depth = tile.elements * s.p.grid[2];  // of one row of taps
    g.a_off = a_off + rows.first * depth;
    g.b_off = b_off + rows.first * depth;
    g.kc = (rows.last - rows.first) * depth;
  }

  // A tile that is stored where the result lies takes its residual from where that lies.
  void finish_in_tile(const DenseStage<T>& s, GemmTile<T>& g, const Epilogue<T>& epilogue) const {
    g.residual0 = epilogue.residual_of(g.c0), g.residual1 = epilogue.residual_of(g.c1);
    g.clip = problem_.clip();
    g.far = s.far;
  }

  // Multiplies pairs of panels by whole rows of pixels, where neither operand needs offsets and the sums can be stored
  // where the result lies. How many panels that were.
  int64_t wide_panels(const DenseStage<T>& s, const Tile& tile) const {
    const TapProblem& p = s.p;
    const int64_t width = s.t.width, whole = std::min(tile.last_panel, p.outputs / width);
    const int64_t panels = (whole - tile.first_panel) / 2 * 2;
    if (!s.wide || panels <= 0) return 0;
    WideGemm<T> g{};
    g.rows = tile.w, g.kc = tile.elements, g.a_ld = tile.pixel_step, g.ldc = p.out_stride[2];
    g.start = tile.bias ? TileStart::lane_bias : TileStart::zero;
    g.clip = problem_.clip();
    g.far = s.far, g.near = core_speeds().requests_near;
    for (int64_t panel = tile.first_panel; panel < tile.first_panel + panels; panel += 2)
      for (int64_t row = 0; row < tile.h; row++) {
        g.a = tile.src + row * tile.row_step;
        for (int i = 0; i < 2; i++) {
          const int64_t k0 = (panel + i) * width;
          g.b[i] = tile.weights + (panel + i) * s.weight_panel;
          g.next[i] = row == 0 && panel + 2 < tile.first_panel + panels ? g.b[i] + 2 * s.weight_panel : nullptr;
          g.c[i] = tile.dst + k0 + row * p.out_stride[1];
          g.residual[i] = tile.epilogue->residual_of(g.c[i]);
          g.bias[i] = tile.bias + (tile.bias ? k0 : 0);
        }
        kernel_.gemm_wide(g);
      }
    return panels;
  }

  void outputs_in_lanes(const DenseStage<T>& s, const Tile& tile) const {
    const DenseTiling& t = s.t;
    const TapProblem& p = s.p;
    const int64_t row_segments = ceil_div(tile.w, t.segment), segments = tile.h * row_segments;
    GemmTile<T> g{};
    const Clip clip = tile.last ? problem_.clip_in_registers() : Clip::none;
    g.a_ld = tile.pixel_step;
    T* sums = tile.sums;
    for (int64_t panel = tile.first_panel + wide_panels(s, tile); panel < tile.last_panel; panel++) {
      const int64_t k0 = panel * t.width, outputs = std::min(t.width, p.outputs - k0);
      const int vectors = outputs > kernel_.lanes ? 2 : 1;
      const auto* gemm = dense_.gemm[int(t.lanes)][vectors - 1][g.a_ld == 1];
      g.b = tile.weights + panel * (s.weights_in_place ? t.width : s.weight_panel);
      g.start = !tile.first ? TileStart::load : tile.bias ? TileStart::lane_bias : TileStart::zero;
      g.bias = tile.bias + (tile.bias ? k0 : 0);
      T* const dst = tile.dst + k0 * p.out_c;
      const bool whole_lanes =
          p.out_c == 1 && outputs == vectors * kernel_.lanes && t.channel_blocks == 1 && problem_.clips();
      for (int64_t i = 0, row = 0, col = 0, pair; i < segments; i += pair) {
        struct Run {
          const T* src;
          T* dst;
          int64_t pixels;
        } run[2] = {};
        const TapRows taps = s.tap_rows[size_t(tile.h0 + row)];
        const int64_t next_row = col + t.segment >= tile.w ? row + 1 : row;
        // Rows with other taps inside the image are never joined: whose sums hold which taps must not depend on tiles.
        pair = i + 1 < segments && s.tap_rows[size_t(tile.h0 + next_row)] == taps ? 2 : 1;
        for (int r = 0; r < pair; r++) {
          run[r] = {tile.src + row * tile.row_step + col * tile.pixel_step,
                    dst + row * p.out_stride[1] + col * p.out_stride[2], std::min(t.segment, tile.w - col)};
          col += t.segment;
          if (col >= tile.w) col = 0, row++;
        }
        sum_rows(g, s, tile, taps, tile.off, s.weight_off[tile.last].data());
        const int64_t half = (t.segment + 1) / 2;  // of a single run, which the micro-kernel halves as well
        g.a0 = run[0].src, g.a1 = pair == 2 ? run[1].src : g.a0 + half * g.a_ld;
        const bool whole = run[0].pixels == t.segment && (pair == 1 || run[1].pixels == t.segment);
        if (whole_lanes && whole) {
          g.ldc = p.out_stride[2];
          g.c0 = run[0].dst, g.c1 = pair == 2 ? run[1].dst : g.c0 + half * g.ldc;
          finish_in_tile(s, g, *tile.epilogue);
          gemm[pair * t.segment](g);
          continue;
        }
        g.ldc = t.width;
        g.residual0 = nullptr, g.clip = clip, g.far = false;
        g.c0 = sums, g.c1 = sums + (pair == 2 ? t.segment : half) * t.width;
        gemm[pair * t.segment](g);
        if (tile.last) {
          if (pair == 2 && run[0].pixels == t.segment && run[1].dst == run[0].dst + t.segment * p.out_stride[2]) {
            tile.epilogue->store(sums, t.width, t.segment + run[1].pixels, outputs, run[0].dst, p.out_stride[2],
                                 p.out_c);
          } else {
            for (int r = 0; r < pair; r++)
              tile.epilogue->store(sums + r * t.segment * t.width, t.width, run[r].pixels, outputs, run[r].dst,
                                   p.out_stride[2], p.out_c);
          }
        }
        if (t.channel_blocks > 1) sums += pair * t.segment * t.width;
      }
    }
  }

  void pixels_in_lanes(const DenseStage<T>& s, const Tile& tile) const {
    const DenseTiling& t = s.t;
    const TapProblem& p = s.p;
    GemmTile<T> g{};
    const Clip clip = tile.last ? problem_.clip_in_registers() : Clip::none;
    g.a_ld = 1;
    T* sums = tile.sums;
    for (int64_t panel = tile.first_panel; panel < tile.last_panel; panel++) {
      const int64_t k0 = panel * t.rows, rows = std::min(t.rows, p.outputs - k0), half = (rows + 1) / 2;
      g.a0 = tile.weights + panel * s.weight_panel, g.a1 = g.a0 + half;
      g.start = !tile.first ? TileStart::load : tile.bias ? TileStart::row_bias : TileStart::zero;
      g.bias = tile.bias + (tile.bias ? k0 : 0);
      // Hardware does not follow as many streams as there are channels.
      g.ahead = tile.in_place && panel == tile.first_panel ? 2 * t.width : 0;
      for (int64_t row = 0; row < tile.h; row++) {
        sum_rows(g, s, tile, s.tap_rows[size_t(tile.h0 + row)], s.weight_off[tile.last].data(), tile.off);
        for (int64_t col = 0; col < tile.w; col += t.width) {
          const int64_t pixels = std::min(t.width, tile.w - col);
          const int vectors = pixels > kernel_.lanes ? 2 : 1;
          T* dst = tile.dst + k0 * p.out_c + row * p.out_stride[1] + col * p.out_stride[2];
          g.b = tile.src + row * tile.row_step + col * tile.pixel_step;
          const bool in_place =
              t.channel_blocks == 1 && p.out_stride[2] == 1 && pixels == vectors * kernel_.lanes && problem_.clips();
          g.c0 = in_place ? dst : sums;
          g.ldc = in_place ? p.out_c : t.width;
          g.c1 = g.c0 + half * g.ldc;
          g.clip = clip, g.residual0 = nullptr, g.far = false;
          if (in_place) finish_in_tile(s, g, *tile.epilogue);
          dense_.gemm[int(t.lanes)][vectors - 1][1][rows](g);
          if (!in_place && tile.last) tile.epilogue->store(sums, t.width, rows, pixels, dst, p.out_c, p.out_stride[2]);
          if (t.channel_blocks > 1) sums += t.rows * t.width;
        }
      }
    }
  }

  ConvProblem problem_;
  const Kernels<T>& kernel_;
  const DenseKernels<T> dense_;
  bool has_bias_;
  std::vector<DenseStage<T>> stages_;
  bool gaps_ = false;
  bool joined_ = false;                 // weights of all stages are packed in one pass
  std::vector<int64_t> joined_row_[2];  // as Stage's panel_row, from the first stage's panel
};

}  // namespace

double dense_cost(const ConvProblem& problem, DenseInput input) {
  const KernelTable& table = kernel_table(Isa(problem.isa));
  const bool single = sum_size(problem.dtype) == sizeof(float);
  double cost = 0;
  for (TapProblem& p : tap_problems(problem)) {
    flatten_pixels(p);
    cost += dense_tiling(p, problem, input, single ? table.f32.lanes : table.f64.lanes,
                         single ? table.f32.gemm_rows : table.f64.gemm_rows)
                .cost;
  }
  return cost;
}

std::unique_ptr<ConvPlan> make_dense_plan(const ConvProblem& p, DenseInput input) {
  if (is_byte(p.dtype)) return std::make_unique<DensePlan<float, uint8_t>>(p, input);
  if (p.dtype == DType::f32) return std::make_unique<DensePlan<float, float>>(p, input);
  return std::make_unique<DensePlan<double, double>>(p, input);
}

}  // namespace konv
