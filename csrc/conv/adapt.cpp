#include "conv/adapt.h"

#include <algorithm>
#include <vector>

#include "conv/conv.h"
#include "conv/half_arrays.h"
#include "conv/packing.h"
#include "conv/padding_mode.h"
#include "core/buffer.h"

namespace konv {

namespace {

constexpr int64_t kImageBytes = 4 << 20;  // of images in float32 at a time, if more than one

bool is_half(DType t) { return t == DType::f16 || t == DType::bf16; }
bool repeats(const ConvProblem& p) {
  return p.direction == Direction::input_gradient && p.padding_mode != PaddingMode::zeros;
}

struct Shapes {
  int64_t x[5], w[5], y[5];
  explicit Shapes(const ConvProblem& p)
      : x{p.n, p.c, p.in[0], p.in[1], p.in[2]},
        w{p.k, p.c / p.groups, p.kernel[0], p.kernel[1], p.kernel[2]},
        y{p.n, p.k, p.out[0], p.out[1], p.out[2]} {}
};
int64_t elements(const int64_t shape[5]) { return shape[0] * shape[1] * shape[2] * shape[3] * shape[4]; }

// As many images as share a copy, which is a divisor of their number: all runs are alike.
int64_t images_at_once(const ConvProblem& p) {
  const Shapes s(p);
  const int64_t bytes = std::max<int64_t>(1, 4 * (elements(s.x) + elements(s.y)) / std::max<int64_t>(1, p.n));
  int64_t images = std::clamp<int64_t>(kImageBytes / bytes, 1, std::max<int64_t>(1, p.n));
  while (p.n % images) images--;
  return images;
}

// In float32, contiguous in the order of memory that the arrays have. Products of two bfloat16 values are exact in
// float32, so that kernels for pairs of them lose nothing.
ConvProblem widened(const ConvProblem& p) {
  ConvProblem q = p;
  q.dtype = DType::f32;
  if (p.dtype == DType::bf16 && p.precision == Precision::high) q.precision = Precision::medium;
  q.n = images_at_once(p);
  const Shapes s(q);
  contiguous_strides(s.x, p.xs[1] == 1 && p.c > 1, q.xs);
  contiguous_strides(s.w, false, q.ws);
  contiguous_strides(s.y, p.ys[1] == 1 && p.k > 1, q.ys);
  return q;
}

// The gradient of the input alone, as if zeros lay around it.
ConvProblem bare(const ConvProblem& p) {
  ConvProblem q = p;
  q.padding_mode = PaddingMode::zeros;
  return q;
}

// A part of the border: `size` elements from `first` on, counted from the image's first element.
struct Slab {
  int64_t first[3], size[3];
};
// The border, as far as windows reach, without overlaps: in front of the image and behind it along each axis.
std::vector<Slab> border_slabs(const ConvProblem& p) {
  std::vector<Slab> slabs;
  Slab rest{};  // what the slabs before have left
  for (int i = 0; i < 3; i++) {
    const int64_t end = (p.out[i] - 1) * p.stride[i] + (p.kernel[i] - 1) * p.dilation[i] + 1 - p.pad[i];
    rest.first[i] = -p.pad[i], rest.size[i] = std::max(end, p.in[i]) + p.pad[i];
  }
  for (int i = 0; i < 3; i++) {
    const int64_t behind = rest.first[i] + rest.size[i] - p.in[i];
    Slab slab = rest;
    slab.first[i] = -p.pad[i], slab.size[i] = p.pad[i];
    if (p.pad[i] > 0) slabs.push_back(slab);
    slab.first[i] = p.in[i], slab.size[i] = behind;
    if (behind > 0) slabs.push_back(slab);
    rest.first[i] = 0, rest.size[i] = p.in[i];
  }
  return slabs;
}

// The gradient of a slab: the positions count from its first element.
ConvProblem slab_problem(const ConvProblem& p, const Slab& slab) {
  ConvProblem q = bare(p);
  q.has_residual = 0;
  for (int i = 0; i < 3; i++) q.in[i] = slab.size[i], q.pad[i] = p.pad[i] + slab.first[i];
  contiguous_strides(Shapes(q).x, p.xs[1] == 1 && p.c > 1, q.xs);
  if (!supports_problem(q)) q.algorithm = -1;  // what is asked for computes the image
  return q;
}

class HalfPlan final : public ConvPlan {
 public:
  explicit HalfPlan(const ConvProblem& p) : HalfPlan(p, widened(p)) {}

  // What the inner plan packs, then weights and bias in float32.
  void prepare(const ConvTensors& t, char* packed) const noexcept override {
    float* w = weights(packed);
    if (p_.direction == Direction::weight_gradient) return;
    w_copy_.widen(static_cast<const uint16_t*>(t.w), w, threads);
    if (t.bias) bias_copy_.widen(static_cast<const uint16_t*>(t.bias), w + w_size_, 1);
    inner_->prepare({nullptr, w, nullptr, t.bias ? w + w_size_ : nullptr, nullptr}, packed);
  }

  void run(const ConvTensors& t, const char* packed, const Workspace& ws) const noexcept override {
    float *x = reinterpret_cast<float*>(ws.shared), *y = x + x_size_, *dw = y + y_size_;
    float* w = weights(const_cast<char*>(packed));
    const bool from_x = p_.direction != Direction::input_gradient, from_y = p_.direction != Direction::forward;
    for (int64_t n = 0; n < p_.n; n += q_.n) {
      uint16_t* hx = static_cast<uint16_t*>(t.x) + n * p_.xs[0];
      uint16_t* hy = static_cast<uint16_t*>(t.y) + n * p_.ys[0];
      const uint16_t* residual = static_cast<const uint16_t*>(t.residual);
      if (from_x) x_copy_.widen(hx, x, threads);
      if (from_y) y_copy_.widen(hy, y, threads);
      if (p_.direction == Direction::weight_gradient) {
        float* part = n ? dw + w_size_ : dw;
        run_inner({x, part, y, nullptr, nullptr}, packed, ws);
        if (n) kernels<float>(Isa(p_.isa)).add_rows(part, 0, 1, w_size_, dw, 0);
        continue;
      }
      float* result = from_x ? y : x;
      const HalfCopy& copy = from_x ? y_copy_ : x_copy_;
      if (p_.has_residual) copy.widen(residual + n * (from_x ? p_.ys : p_.xs)[0], result, threads);
      run_inner({x, w, y, p_.has_bias ? w + w_size_ : nullptr, p_.has_residual ? result : nullptr}, packed, ws);
      copy.narrow(result, from_x ? hy : hx, threads);
    }
    if (p_.direction == Direction::weight_gradient) w_copy_.narrow(dw, static_cast<uint16_t*>(t.w), 1);
  }

 private:
  HalfPlan(const ConvProblem& p, const ConvProblem& q) : inner_(find_plan(q)), p_(p), q_(q) {
    const Shapes s(q);
    const int64_t bias[5] = {1, p.outputs(), 1, 1, 1}, unit[5] = {1, 1, 1, 1, 1};
    x_size_ = line(elements(s.x)), y_size_ = line(elements(s.y)), w_size_ = line(elements(s.w));
    x_copy_ = HalfCopy(p.dtype, p.isa, s.x, p.xs, q.xs), y_copy_ = HalfCopy(p.dtype, p.isa, s.y, p.ys, q.ys);
    w_copy_ = HalfCopy(p.dtype, p.isa, s.w, p.ws, q.ws), bias_copy_ = HalfCopy(p.dtype, p.isa, bias, unit, unit);
    algorithm = inner_->algorithm, threads = inner_->threads;
    shared_ = 4 * (x_size_ + y_size_ + (p.direction == Direction::weight_gradient ? 2 * w_size_ : 0));
    workspace = {shared_ + inner_->workspace.shared, inner_->workspace.per_thread};
    prepared_bytes = round_up(inner_->prepared_bytes, 64);
    if (p.direction != Direction::weight_gradient) prepared_bytes += 4 * (w_size_ + line(p.outputs()));
    packed_key = inner_->packed_key;
    add_to_key({int64_t(p.dtype), q.has_bias});
  }

  static int64_t line(int64_t n) { return round_up(n, 16); }
  void run_inner(const ConvTensors& t, const char* packed, const Workspace& ws) const noexcept {
    inner_->run(t, packed, Workspace{ws.shared + shared_, ws.threads, ws.per_thread});
  }
  float* weights(char* packed) const { return reinterpret_cast<float*>(packed + round_up(inner_->prepared_bytes, 64)); }

  const std::shared_ptr<const ConvPlan> inner_;
  ConvProblem p_, q_;
  int64_t x_size_, y_size_, w_size_, shared_;
  HalfCopy x_copy_, y_copy_, w_copy_, bias_copy_;
};

// The gradient of the image, to which that of its border is added where it was repeated from.
template <class T>
class RepeatedGradientPlan final : public ConvPlan {
 public:
  explicit RepeatedGradientPlan(const ConvProblem& p) : p_(p), slabs_(border_slabs(p)) {
    add_part(bare(p));
    for (const Slab& slab : slabs_) {
      problems_.push_back(slab_problem(p, slab));
      add_part(problems_.back());
      slab_size_ = std::max(slab_size_, elements(Shapes(problems_.back()).x));
    }
    algorithm = parts_[0].plan->algorithm;
    threads = std::max(threads, int(p.threads));
    workspace.shared += shared();
    workspace.per_thread = std::max<int64_t>(workspace.per_thread, 1);
  }

  void prepare(const ConvTensors& t, char* packed) const noexcept override {
    for (const Part& part : parts_)
      if (part.packs) part.plan->prepare(t, packed + part.packed);
  }

  void run(const ConvTensors& t, const char* packed, const Workspace& ws) const noexcept override {
    const Workspace inner{ws.shared + shared(), ws.threads, ws.per_thread};
    parts_[0].plan->run(t, packed + parts_[0].packed, inner);
    T *border = reinterpret_cast<T*>(ws.shared), *dx = static_cast<T*>(t.x);
    const int64_t block = p_.xs[1] == 1 ? 64 : 1, blocks = ceil_div(p_.c, block);
    for (size_t i = 0; i < slabs_.size(); i++) {
      const ConvProblem& q = problems_[i];
      parts_[i + 1].plan->run({border, t.w, t.y, nullptr, nullptr}, packed + parts_[i + 1].packed, inner);
      parallel_for(p_.n * blocks, elements(Shapes(q).x) < 16384 ? 1 : threads, [&](int64_t task, int) {
        const int64_t n = task / blocks, c = task % blocks * block;
        add_slab(slabs_[i], q, border + n * q.xs[0] + c * q.xs[1], dx + n * p_.xs[0] + c * p_.xs[1],
                 std::min(block, p_.c - c));
      });
    }
  }

 private:
  struct Part {
    std::shared_ptr<const ConvPlan> plan;
    int64_t packed;
    bool packs;  // no part before packs alike
  };

  void add_part(const ConvProblem& q) {
    Part part{find_plan(q), round_up(prepared_bytes, 64), true};
    const ConvPlan& plan = *part.plan;
    for (const Part& other : parts_) {
      const ConvPlan& o = *other.plan;
      const bool alike = o.algorithm == plan.algorithm && o.packed_key == plan.packed_key;
      if (alike && o.prepared_bytes == plan.prepared_bytes) part.packed = other.packed, part.packs = false;
    }
    if (part.packs) {
      prepared_bytes = part.packed + plan.prepared_bytes;
      packed_key.push_back(plan.algorithm);
      add_to_key(plan.packed_key);
    }
    reads_weights = reads_weights || plan.reads_weights;
    threads = std::max(threads, plan.threads);
    workspace.shared = std::max(workspace.shared, plan.workspace.shared);
    workspace.per_thread = std::max(workspace.per_thread, plan.workspace.per_thread);
    parts_.push_back(std::move(part));
  }
  int64_t shared() const { return round_up(slab_size_ * int64_t(sizeof(T)), 64); }

  void add_slab(const Slab& slab, const ConvProblem& q, const T* border, T* dx, int64_t channels) const {
    const auto place = [&](int axis, int64_t i) {
      return source_of(p_.padding_mode, i + slab.first[axis], p_.in[axis]);
    };
    for (int64_t z = 0; z < q.in[0]; z++)
      for (int64_t y = 0; y < q.in[1]; y++) {
        const T* src = border + z * q.xs[2] + y * q.xs[3];
        T* dst = dx + place(0, z) * p_.xs[2] + place(1, y) * p_.xs[3];
        for (int64_t x = 0; x < q.in[2]; x++) {
          T* to = dst + place(2, x) * p_.xs[4];
          for (int64_t c = 0; c < channels; c++) to[c * p_.xs[1]] += src[x * q.xs[4] + c * q.xs[1]];
        }
      }
  }

  ConvProblem p_;
  std::vector<Slab> slabs_;
  std::vector<ConvProblem> problems_;  // of each slab
  std::vector<Part> parts_;            // the image, then the slabs
  int64_t slab_size_ = 0;
};

}  // namespace

bool is_adapted(const ConvProblem& p) { return is_half(p.dtype) || repeats(p); }

std::shared_ptr<const ConvPlan> make_adapted_plan(const ConvProblem& p) {
  if (is_half(p.dtype)) return std::make_shared<HalfPlan>(p);
  if (p.dtype == DType::f32) return std::make_shared<RepeatedGradientPlan<float>>(p);
  return std::make_shared<RepeatedGradientPlan<double>>(p);
}

ConvProblem innermost_problem(ConvProblem p) {
  if (is_half(p.dtype)) p = widened(p);
  return repeats(p) ? bare(p) : p;
}

void bias_gradient_of_halves(DType dtype, int64_t isa, int threads, const uint16_t* y, int64_t n, int64_t k,
                             const int64_t out[3], const int64_t ys[5], uint16_t* bias) {
  const int64_t shape[5] = {1, k, out[0], out[1], out[2]};
  int64_t wide[5];
  contiguous_strides(shape, ys[1] == 1 && k > 1, wide);
  const HalfCopy copy(dtype, isa, shape, ys, wide);
  const AlignedBuffer image(4 * elements(shape)), sums(8 * round_up(k, 16));
  float *values = reinterpret_cast<float*>(image.data()), *sum = reinterpret_cast<float*>(sums.data());
  float* part = sum + round_up(k, 16);
  std::fill_n(sum, k, 0.0f);
  for (int64_t i = 0; i < n; i++) {
    copy.widen(y + i * ys[0], values, threads);
    bias_gradient(DType::f32, isa, threads, values, 1, k, out, wide, part);
    for (int64_t j = 0; j < k; j++) sum[j] += part[j];
  }
  const int64_t bias_shape[5] = {1, k, 1, 1, 1}, unit[5] = {1, 1, 1, 1, 1};
  HalfCopy(dtype, isa, bias_shape, unit, unit).narrow(sum, bias, 1);
}

}  // namespace konv
