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
bool folds(const ConvProblem& p) {
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

// Of one image: the gradient of the input as it was padded.
ConvProblem unfolded(const ConvProblem& p) {
  ConvProblem q = p;
  q.n = 1, q.padding_mode = PaddingMode::zeros, q.has_residual = 0;
  for (int i = 0; i < 3; i++) {
    const int64_t reached = (p.out[i] - 1) * p.stride[i] + (p.kernel[i] - 1) * p.dilation[i] + 1;
    q.in[i] = std::max(p.in[i] + p.pad[i], reached), q.pad[i] = 0;
  }
  contiguous_strides(Shapes(q).x, p.xs[1] == 1 && p.c > 1, q.xs);
  return q;
}

class AdaptedPlan : public ConvPlan {
 protected:
  // `shared`: bytes beside the inner plan's.
  AdaptedPlan(const ConvProblem& inner_problem, int64_t shared)
      : inner_(find_plan(inner_problem)), shared_(round_up(shared, 64)) {
    algorithm = inner_->algorithm;
    threads = inner_->threads;
    workspace = {shared_ + inner_->workspace.shared, inner_->workspace.per_thread};
  }
  void run_inner(const ConvTensors& t, const char* packed, const Workspace& ws) const noexcept {
    inner_->run(t, packed, Workspace{ws.shared + shared_, ws.threads, ws.per_thread});
  }

  const std::shared_ptr<const ConvPlan> inner_;
  const int64_t shared_;
};

class HalfPlan final : public AdaptedPlan {
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
  HalfPlan(const ConvProblem& p, const ConvProblem& q)
      : AdaptedPlan(q, 4 * (line(elements(Shapes(q).x)) + line(elements(Shapes(q).y)) +
                            (p.direction == Direction::weight_gradient ? 2 * line(elements(Shapes(q).w)) : 0))),
        p_(p),
        q_(q) {
    const Shapes s(q);
    const int64_t bias[5] = {1, p.outputs(), 1, 1, 1}, unit[5] = {1, 1, 1, 1, 1};
    x_size_ = line(elements(s.x)), y_size_ = line(elements(s.y)), w_size_ = line(elements(s.w));
    x_copy_ = HalfCopy(p.dtype, p.isa, s.x, p.xs, q.xs), y_copy_ = HalfCopy(p.dtype, p.isa, s.y, p.ys, q.ys);
    w_copy_ = HalfCopy(p.dtype, p.isa, s.w, p.ws, q.ws), bias_copy_ = HalfCopy(p.dtype, p.isa, bias, unit, unit);
    prepared_bytes = round_up(inner_->prepared_bytes, 64);
    if (p.direction != Direction::weight_gradient) prepared_bytes += 4 * (w_size_ + line(p.outputs()));
    packed_key = inner_->packed_key;
    packed_key.insert(packed_key.end(), {int64_t(p.dtype), q.has_bias});
  }

  static int64_t line(int64_t n) { return round_up(n, 16); }
  float* weights(char* packed) const { return reinterpret_cast<float*>(packed + round_up(inner_->prepared_bytes, 64)); }

  ConvProblem p_, q_;
  int64_t x_size_, y_size_, w_size_;
  HalfCopy x_copy_, y_copy_, w_copy_, bias_copy_;
};

template <class T>
class FoldedGradientPlan final : public AdaptedPlan {
 public:
  explicit FoldedGradientPlan(const ConvProblem& p)
      : AdaptedPlan(unfolded(p), elements(Shapes(unfolded(p)).x) * int64_t(sizeof(T))), p_(p), q_(unfolded(p)) {
    prepared_bytes = inner_->prepared_bytes;
    packed_key = inner_->packed_key;
    reads_weights = inner_->reads_weights;
    threads = int(p.threads);
    workspace.per_thread = std::max<int64_t>(workspace.per_thread, 1);
  }

  void prepare(const ConvTensors& t, char* packed) const noexcept override { inner_->prepare(t, packed); }

  void run(const ConvTensors& t, const char* packed, const Workspace& ws) const noexcept override {
    T* padded = reinterpret_cast<T*>(ws.shared);
    const int64_t block = q_.xs[1] == 1 ? 64 : 1, blocks = ceil_div(p_.c, block);
    for (int64_t n = 0; n < p_.n; n++) {
      run_inner({padded, t.w, static_cast<T*>(t.y) + n * p_.ys[0], nullptr, nullptr}, packed, ws);
      T* dx = static_cast<T*>(t.x) + n * p_.xs[0];
      parallel_for(blocks, threads, [&](int64_t b, int) {
        const int64_t c = b * block;
        fold(padded + c * q_.xs[1], dx + c * p_.xs[1], std::min(block, p_.c - c));
      });
    }
  }

 private:
  // The image itself first, then what its border repeats.
  void fold(const T* padded, T* dx, int64_t channels) const {
    for (int border = 0; border < 2; border++)
      for (int64_t z = 0; z < q_.in[0]; z++)
        for (int64_t y = 0; y < q_.in[1]; y++) {
          const int64_t iz = place(0, z), iy = place(1, y);
          const bool row_inside = iz == z - p_.pad[0] && iy == y - p_.pad[1];
          if (!border && !row_inside) continue;
          const T* src = padded + z * q_.xs[2] + y * q_.xs[3];
          T* dst = dx + iz * p_.xs[2] + iy * p_.xs[3];
          for (int64_t x = 0; x < q_.in[2]; x++) {
            const int64_t ix = place(2, x);
            const bool inside = row_inside && ix == x - p_.pad[2];
            if (inside == border) continue;
            for (int64_t c = 0; c < channels; c++) {
              T& sum = dst[ix * p_.xs[4] + c * p_.xs[1]];
              const T value = src[x * q_.xs[4] + c * q_.xs[1]];
              sum = border || p_.has_residual ? sum + value : value;
            }
          }
        }
  }
  int64_t place(int axis, int64_t i) const {
    i -= p_.pad[axis];
    return i >= 0 && i < p_.in[axis] ? i : mirrored(p_.padding_mode, i, p_.in[axis]);
  }

  ConvProblem p_, q_;
};

}  // namespace

bool is_adapted(const ConvProblem& p) { return is_half(p.dtype) || folds(p); }

std::shared_ptr<const ConvPlan> make_adapted_plan(const ConvProblem& p) {
  if (is_half(p.dtype)) return std::make_shared<HalfPlan>(p);
  if (p.dtype == DType::f32) return std::make_shared<FoldedGradientPlan<float>>(p);
  return std::make_shared<FoldedGradientPlan<double>>(p);
}

ConvProblem innermost_problem(ConvProblem p) {
  if (is_half(p.dtype)) p = widened(p);
  return folds(p) ? unfolded(p) : p;
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
