// A few output pixels, as of fully connected layers and of 1x1 images: each output channel is a dot product of its
// weights, which stream past once where the caller has them, with the pixel's window, which is copied beside them.
#include <algorithm>
#include <vector>

#include "conv/epilogue.h"
#include "conv/packing.h"
#include "core/isa.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr int64_t kMaxPixels = 4, kTaskOutputs = 32, kSmallWindows = 64 << 10;

// Elements of a kernel and group: of a row of weights.
int64_t row_length(const ConvProblem& p) { return p.c / p.groups * p.taps(); }

template <class T>
class GemvPlan final : public ConvPlan {
 public:
  explicit GemvPlan(const ConvProblem& p) : p_(p), kernel_(kernels<T>(Isa(p.isa))), pixels_(p.n * p.out_pixels()) {
    threads = p.flops() < 2e6 ? 1 : int(p.threads);
    reads_weights = true;
    pitch_ = round_up(row_length(p), 64 / int64_t(sizeof(T)));
    find_taps();
    workspace.shared = pixels_ * p.groups * pitch_ * int64_t(sizeof(T));
  }

  void run(const ConvTensors& tensors, const char*, const Workspace& ws) const noexcept override {
    const int64_t outputs = p_.k / p_.groups, tasks = ceil_div(outputs, kTaskOutputs), length = row_length(p_);
    T* const windows = reinterpret_cast<T*>(ws.shared);
    for (int64_t pixel = 0; pixel < pixels_; pixel++)
      copy_windows(static_cast<const T*>(tensors.x), pixel, windows + pixel * p_.groups * pitch_);
    const Epilogue<T> epilogue(kernel_, p_, tensors);
    parallel_for(p_.groups * tasks, threads, [&](int64_t task, int) {
      static_assert(kTaskOutputs <= Epilogue<T>::kMaxCols);
      const int64_t group = task / tasks, first = task % tasks * kTaskOutputs, k = group * outputs + first;
      const int64_t count = std::min(kTaskOutputs, outputs - first);
      T sums[kMaxPixels * kTaskOutputs];
      kernel_.gemv({static_cast<const T*>(tensors.w) + k * p_.ws[0], p_.ws[0], count, windows + group * pitch_,
                    p_.groups * pitch_, pixels_, length,
                    tensors.bias ? static_cast<const T*>(tensors.bias) + k : nullptr, p_.clip_in_registers(), sums,
                    kTaskOutputs});
      for (int64_t pixel = 0; pixel < pixels_; pixel++)
        epilogue.store(sums + pixel * kTaskOutputs, kTaskOutputs, 1, count,
                       static_cast<T*>(tensors.y) + offset_of(pixel) + k * p_.ys[1], 0, p_.ys[1]);
    });
  }

 private:
  int64_t offset_of(int64_t pixel) const {
    const int64_t n = pixel / p_.out_pixels(), i = pixel % p_.out_pixels(), area = p_.out[1] * p_.out[2];
    return n * p_.ys[0] + i / area * p_.ys[2] + i / p_.out[2] % p_.out[1] * p_.ys[3] + i % p_.out[2] * p_.ys[4];
  }

  // Where each kernel element of each pixel of an image reads in a plane of the input, and whether it does.
  void find_taps() {
    for (int64_t i = 0; i < p_.out_pixels(); i++) {
      const int64_t out[3] = {i / (p_.out[1] * p_.out[2]), i / p_.out[2] % p_.out[1], i % p_.out[2]};
      for (int64_t t = 0; t < p_.taps(); t++) {
        const int64_t tap[3] = {t / (p_.kernel[1] * p_.kernel[2]), t / p_.kernel[2] % p_.kernel[1], t % p_.kernel[2]};
        int64_t offset = 0;
        bool inside = true;
        for (int a = 0; a < 3; a++) {
          const int64_t at = out[a] * p_.stride[a] + tap[a] * p_.dilation[a] - p_.pad[a];
          inside = inside && at >= 0 && at < p_.in[a];
          offset += at * p_.xs[2 + a];
        }
        inside_.push_back(inside), tap_.push_back(inside ? offset : 0);
      }
    }
  }

  // In the order of the weights, with zeros outside the image.
  void copy_windows(const T* x, int64_t pixel, T* dst) const {
    const int64_t channels = p_.c / p_.groups, taps = p_.taps(), first = pixel % p_.out_pixels() * taps;
    for (int64_t group = 0; group < p_.groups; group++, dst += pitch_) {
      const T* plane = x + pixel / p_.out_pixels() * p_.xs[0] + group * channels * p_.xs[1];
      T* d = dst;
      for (int64_t c = 0; c < channels; c++, plane += p_.xs[1])
        for (int64_t t = first; t < first + taps; t++) *d++ = inside_[size_t(t)] ? plane[tap_[size_t(t)]] : T(0);
    }
  }

  ConvProblem p_;
  const Kernels<T>& kernel_;
  int64_t pixels_, pitch_;
  std::vector<int64_t> tap_;
  std::vector<char> inside_;
};

std::string gemv_supports(const ConvProblem& p) {
  if (p.direction != Direction::forward) return "computes the forward direction alone";
  if (p.n * p.out_pixels() > kMaxPixels) return "there are more than " + std::to_string(kMaxPixels) + " output pixels";
  const int64_t windows = p.n * p.out_pixels() * p.groups * row_length(p) * dtype_size(p.dtype);
  if (windows > std::max(p.max_workspace, kSmallWindows)) return "max_workspace is less than the pixels' windows";
  int64_t step = 1;
  for (int i = 4; i >= 1; i--) {
    const int64_t size = i == 1 ? p.c / p.groups : p.kernel[i - 2];
    if (size > 1 && p.ws[i] != step) return "the weights of an output channel do not lie side by side";
    step *= size;
  }
  return "";
}

// The multiplications, the sums of lanes, and the copies of windows.
double gemv_cost(const ConvProblem& p) {
  const KernelTable& table = kernel_table(Isa(p.isa));
  const int64_t lanes = p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes, length = row_length(p);
  const double pixels = double(p.n * p.out_pixels()), outputs = double(p.k);
  // Two pixels share each vector; long rows have left the first-level cache when the next two need them.
  const bool long_rows = 4 * length * dtype_size(p.dtype) > 24 << 10;
  const double again = long_rows && pixels > 2 ? 1.5 : 0;
  const double multiply = outputs * double(ceil_div(length, lanes)) * (0.4 + 0.5 * pixels + again);
  const double stream = stream_cost(outputs * double(length * dtype_size(p.dtype)), double(p.bytes_between));
  return multiply + outputs * pixels * 12 + pixels * double(p.groups * length) * 2 + stream -
         0.85 * std::min(stream, multiply);
}

}  // namespace

extern const Algorithm gemv_algorithm;
const Algorithm gemv_algorithm = {"gemv", gemv_supports, gemv_cost,
                                  [](const ConvProblem& p) -> std::unique_ptr<ConvPlan> {
                                    if (p.dtype == DType::f32) return std::make_unique<GemvPlan<float>>(p);
                                    return std::make_unique<GemvPlan<double>>(p);
                                  }};

}  // namespace konv
