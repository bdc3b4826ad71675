// Steps along one axis: softmax and resampling.
#include <stdexcept>
#include <utility>

#include "cuda/device.h"
#include "cuda/graph/axes.h"
#include "cuda/graph/steps.h"
#include "cuda/numbers.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;

template <class F>
void by_dtype(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      return f(float());
    case DType::f64:
      return f(double());
    case DType::bf16:
      return f(bfloat16());
    case DType::f16:
      return f(float16());
    default:
      throw std::invalid_argument("dtype: expected floating-point numbers");
  }
}

// --- softmax ---------------------------------------------------------------------------------------------------------

struct Rows {
  const void* x;
  void* y;
  int64_t rows, cols;
};

// A warp a row: lane l takes elements l, l + 32, ..., and what the lanes have is joined pair by pair.
template <class T>
__global__ void __launch_bounds__(kThreads) softmax(Rows r) {
  const int lane = int(threadIdx.x) % kWarp, warps = kThreads / kWarp;
  for (int64_t row = int64_t(blockIdx.x) * warps + threadIdx.x / kWarp; row < r.rows;
       row += int64_t(gridDim.x) * warps) {
    const T* x = static_cast<const T*>(r.x) + row * r.cols;
    T* y = static_cast<T*>(r.y) + row * r.cols;
    Sum<T> top = widened(x[0]), sum = 0;
    for (int64_t i = lane; i < r.cols; i += kWarp) {
      const Sum<T> v = widened(x[i]);
      top = v > top ? v : top;
    }
    for (int mask = kWarp / 2; mask > 0; mask /= 2) {
      const Sum<T> other = shuffle_xor(top, mask);
      top = other > top ? other : top;
    }
    for (int64_t i = lane; i < r.cols; i += kWarp) sum += exp(Sum<T>(widened(x[i]) - top));
    for (int mask = kWarp / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    const Sum<T> share = 1 / sum;
    for (int64_t i = lane; i < r.cols; i += kWarp) y[i] = narrowed<T>(Sum<T>(exp(Sum<T>(widened(x[i]) - top))) * share);
  }
}

class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(const konv::Operand& input, const konv::Operand& output) : input_(input), output_(output) {
    cols_ = input.rank ? input.shape[input.rank - 1] : 1;
    rows_ = cols_ ? input.elements() / cols_ : 0;
    by_dtype(input.dtype, [](auto) {});
  }
  void run(Queue queue, char* const* buffers, char*) const override {
    if (rows_ == 0) return;
    const Rows r{input_.in(buffers), output_.in(buffers), rows_, cols_};
    by_dtype(input_.dtype, [&](auto t) {
      launch<softmax<decltype(t)>>(queue, "softmax", blocks_for(rows_ * kWarp, kThreads, kMostBlocks), {kThreads}, 0,
                                   r);
    });
  }
  konv::StepInfo info() const override { return {"softmax", "", 8.0 * double(input_.elements())}; }

 private:
  konv::Operand input_, output_;
  int64_t rows_, cols_;
};

// --- resampling ------------------------------------------------------------------------------------------------------

struct Resamples {
  const void* x;
  void* y;
  const int32_t* index;
  const void* weight;  // of sums' type, or null
  int64_t count, step;
  int axes, axis, taps;  // `axis` is resampled along
  int64_t size[kMaxRank], x_stride[kMaxRank], y_stride[kMaxRank];
};

template <class T, class Index>
__global__ void __launch_bounds__(kThreads) resample(Resamples r) {
  for (Index i = Index(blockIdx.x) * kThreads + threadIdx.x; i < Index(r.count); i += Index(gridDim.x) * kThreads) {
    int64_t from = 0, to = 0, place = 0;
    Index rest = i;
#pragma unroll
    for (int axis = kMaxRank - 1; axis >= 0; axis--) {
      if (axis >= r.axes) continue;
      const Index at = rest % Index(r.size[axis]);
      rest /= Index(r.size[axis]);
      to += int64_t(at) * r.y_stride[axis];
      if (axis == r.axis)
        place = int64_t(at) * r.taps;
      else
        from += int64_t(at) * r.x_stride[axis];
    }
    const T* x = static_cast<const T*>(r.x) + from;
    T& y = static_cast<T*>(r.y)[to];
    if (!r.weight) {
      y = x[r.index[place] * r.step];
      continue;
    }
    Sum<T> sum = 0;
    for (int t = 0; t < r.taps; t++)
      sum += static_cast<const Sum<T>*>(r.weight)[place + t] * widened(x[r.index[place + t] * r.step]);
    y = narrowed<T>(sum);
  }
}

class ResampleStep final : public Step {
 public:
  ResampleStep(int device, const konv::Operand& input, const konv::Operand& output, const Resampling& given)
      : input_(input), output_(output) {
    // In the order of the output's memory.
    std::vector<int> order;
    for (int i = 0; i < output.rank; i++) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return std::abs(output.strides[a]) > std::abs(output.strides[b]); });
    r_.axes = output.rank, r_.taps = int(given.taps), r_.count = output.elements();
    r_.step = input.strides[given.axis];
    for (int i = 0; i < output.rank; i++) {
      const int axis = order[size_t(i)];
      if (axis == given.axis) r_.axis = i;
      r_.size[i] = output.shape[axis], r_.x_stride[i] = input.strides[axis], r_.y_stride[i] = output.strides[axis];
    }
    const Queue queue = resident_queue(device);
    index_ = upload<int32_t>(queue, given.index);
    by_dtype(input.dtype, [&](auto t) {
      if (!given.weight.empty()) weight_ = upload<Sum<decltype(t)>>(queue, given.weight);
    });
  }
  void run(Queue queue, char* const* buffers, char*) const override {
    if (r_.count == 0) return;
    Resamples r = r_;
    r.x = input_.in(buffers), r.y = output_.in(buffers);
    r.index = reinterpret_cast<const int32_t*>(index_.data()), r.weight = weight_.data();
    by_dtype(input_.dtype, [&](auto t) {
      const Dim grid = blocks_for(r.count, kThreads, kMostBlocks);
      if (r.count < int64_t(1) << 31)
        launch<resample<decltype(t), uint32_t>>(queue, "resample", grid, {kThreads}, 0, r);
      else
        launch<resample<decltype(t), uint64_t>>(queue, "resample", grid, {kThreads}, 0, r);
    });
  }
  konv::StepInfo info() const override { return {"resample", "", 2.0 * double(r_.count) * r_.taps}; }

 private:
  template <class T, class S>
  static Memory upload(Queue queue, const std::vector<S>& values) {
    const std::vector<T> narrow(values.begin(), values.end());
    const int64_t bytes = int64_t(narrow.size() * sizeof(T));
    Memory memory(queue, bytes);
    copy_to_device(queue, memory.data(), narrow.data(), bytes);
    return memory;
  }

  konv::Operand input_, output_;
  Resamples r_{};
  Memory index_, weight_;
};

}  // namespace

std::unique_ptr<Step> softmax_step(const konv::Operand& input, const konv::Operand& output) {
  return std::make_unique<SoftmaxStep>(input, output);
}
std::unique_ptr<Step> resample_step(int device, const konv::Operand& input, const konv::Operand& output,
                                    const Resampling& resampling) {
  return std::make_unique<ResampleStep>(device, input, output, resampling);
}

}  // namespace konv::cuda
