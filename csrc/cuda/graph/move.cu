// Steps that move elements: as one piece, in rows of vectors, or as transposed tiles where rows of one side are columns
// of the other.
#include <algorithm>
#include <type_traits>

#include "cuda/device.h"
#include "cuda/graph/axes.h"
#include "cuda/graph/steps.h"
#include "cuda/numbers.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kTile = 32;
constexpr int64_t kMostBlocks = 1 << 16;

struct alignas(16) Line {
  uint32_t at[4];
};

// `to` and `from` count elements of the kernel's type.
struct Moves {
  char *to, *from;
  int64_t count;
  int axes;
  int64_t size[kMaxRank], to_stride[kMaxRank], from_stride[kMaxRank];
};

template <class Index>
struct Offsets {
  int64_t to = 0, from = 0;
  // Of element i of the first `axes` axes.
  __device__ Offsets(const Moves& m, int axes, Index i) {
#pragma unroll
    for (int axis = kMaxRank - 1; axis >= 0; axis--) {
      if (axis >= axes) continue;
      const Index at = i % Index(m.size[axis]);
      i /= Index(m.size[axis]);
      to += int64_t(at) * m.to_stride[axis], from += int64_t(at) * m.from_stride[axis];
    }
  }
};

template <class T, class Index>
__global__ void __launch_bounds__(kThreads) move(Moves m) {
  for (Index i = Index(blockIdx.x) * kThreads + threadIdx.x; i < Index(m.count); i += Index(gridDim.x) * kThreads) {
    const Offsets<Index> o(m, m.axes, i);
    reinterpret_cast<T*>(m.to)[o.to] = reinterpret_cast<const T*>(m.from)[o.from];
  }
}

struct Filling {
  Moves m;
  double value;
};
template <class T>
__global__ void __launch_bounds__(kThreads) fill(Filling f) {
  T value;
  if constexpr (std::is_integral_v<T>)
    value = T(int64_t(f.value));
  else
    value = narrowed<T>(Sum<T>(f.value));
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < f.m.count; i += int64_t(gridDim.x) * kThreads)
    reinterpret_cast<T*>(f.m.to)[Offsets<uint64_t>(f.m, f.m.axes, uint64_t(i)).to] = value;
}

// The last axis is the output's innermost, the one before it the input's; a block moves a tile of both. The tile's rows
// are one element longer than it, so that its columns lie in different banks.
template <class T>
__global__ void __launch_bounds__(kThreads) turn(Moves m) {
  T* tile = reinterpret_cast<T*>(shared_memory());
  const int64_t rows = m.size[m.axes - 2], cols = m.size[m.axes - 1];
  const int64_t row_tiles = (rows + kTile - 1) / kTile, col_tiles = (cols + kTile - 1) / kTile;
  const int64_t block = blockIdx.x, outer = block / (row_tiles * col_tiles);
  const int64_t row0 = block / col_tiles % row_tiles * kTile, col0 = block % col_tiles * kTile;
  const Offsets<uint64_t> o(m, m.axes - 2, uint64_t(outer));
  const int lane = int(threadIdx.x) % kTile, first = int(threadIdx.x) / kTile;
  const T* from = reinterpret_cast<const T*>(m.from) + o.from;
  T* to = reinterpret_cast<T*>(m.to) + o.to;
  for (int c = first; c < kTile; c += kThreads / kTile)
    if (row0 + lane < rows && col0 + c < cols)
      tile[c * (kTile + 1) + lane] =
          from[(row0 + lane) * m.from_stride[m.axes - 2] + (col0 + c) * m.from_stride[m.axes - 1]];
  __syncthreads();
  for (int r = first; r < kTile; r += kThreads / kTile)
    if (row0 + r < rows && col0 + lane < cols)
      to[(row0 + r) * m.to_stride[m.axes - 2] + (col0 + lane) * m.to_stride[m.axes - 1]] = tile[lane * (kTile + 1) + r];
}

Moves moves_of(const Axes& axes) {
  Moves m{nullptr, nullptr, axes.elements(), int(axes.size.size()), {}, {}, {}};
  for (size_t i = 0; i < axes.size.size(); i++) {
    m.size[i] = axes.size[i], m.to_stride[i] = axes.stride[0][i];
    m.from_stride[i] = axes.stride.back()[i];
  }
  return m;
}

template <class F>
void by_size(int64_t item, F f) {
  switch (item) {
    case 1:
      return f(uint8_t());
    case 2:
      return f(uint16_t());
    case 4:
      return f(uint32_t());
    case 8:
      return f(uint64_t());
    default:
      return f(Line());
  }
}

class CopyStep final : public Step {
 public:
  CopyStep(const konv::Operand& input, const konv::Operand& output)
      : input_(input), output_(output), item_(dtype_size(output.dtype)) {
    Axes axes = joined_axes({output, input});
    const size_t last = axes.size.size() - 1;
    whole_ = last == 0 && axes.stride[0][0] == 1 && axes.stride[1][0] == 1;
    size_t other = last;
    for (size_t i = 0; i < last; i++)
      if (axes.stride[1][i] == 1) other = i;
    turns_ =
        other != last && axes.stride[0][last] == 1 && axes.size[last] >= kTile / 2 && axes.size[other] >= kTile / 2;
    if (turns_)
      for (auto* row : {&axes.size, &axes.stride[0], &axes.stride[1]})
        std::rotate(row->begin() + std::ptrdiff_t(other), row->begin() + std::ptrdiff_t(other) + 1, row->end() - 1);
    moves_ = moves_of(axes);
    rows_ = axes.stride[0][last] == 1 && axes.stride[1][last] == 1;
  }

  void run(Queue queue, char* const* buffers, char*) const override {
    Moves m = moves_;
    m.to = output_.in<char>(buffers), m.from = input_.in<char>(buffers);
    if (m.count == 0) return;
    if (whole_) return copy_on_device(queue, m.to, m.from, m.count * item_);
    if (turns_) {
      const auto tiles = [&](int axis) { return (m.size[axis] + kTile - 1) / kTile; };
      int64_t blocks = tiles(m.axes - 1) * tiles(m.axes - 2);
      for (int i = 0; i + 2 < m.axes; i++) blocks *= m.size[i];
      if (blocks < int64_t(1) << 31)
        return by_size(item_, [&](auto t) {
          launch<turn<decltype(t)>>(queue, "turn", {unsigned(blocks)}, {kThreads}, kTile * (kTile + 1) * sizeof(t), m);
        });
    }
    by_size(item_ * widen(m), [&](auto t) {
      using T = decltype(t);
      const Dim grid = blocks_for(m.count, kThreads, kMostBlocks);
      if (m.count < int64_t(1) << 31)
        launch<move<T, uint32_t>>(queue, "move", grid, {kThreads}, 0, m);
      else
        launch<move<T, uint64_t>>(queue, "move", grid, {kThreads}, 0, m);
    });
  }
  konv::StepInfo info() const override { return {"copy", turns_ ? "transposed" : "", 0}; }

 private:
  // Lets rows be made of vectors of up to 16 bytes, where everything lies so; returns the elements of one.
  int64_t widen(Moves& m) const {
    if (!rows_) return 1;
    const int last = m.axes - 1;
    int64_t n = 16 / item_;
    const auto fits = [&](int64_t elements) { return elements % n == 0; };
    for (; n > 1; n /= 2) {
      bool all = fits(m.size[last]) && fits(int64_t(reinterpret_cast<uintptr_t>(m.to) / uintptr_t(item_))) &&
                 fits(int64_t(reinterpret_cast<uintptr_t>(m.from) / uintptr_t(item_)));
      for (int i = 0; i < last; i++) all = all && fits(m.to_stride[i]) && fits(m.from_stride[i]);
      if (all) break;
    }
    m.size[last] /= n, m.count /= n;
    for (int i = 0; i < last; i++) m.to_stride[i] /= n, m.from_stride[i] /= n;
    return n;
  }

  konv::Operand input_, output_;
  int64_t item_;
  bool whole_, turns_, rows_;
  Moves moves_;
};

class FillStep final : public Step {
 public:
  FillStep(const konv::Operand& output, double value)
      : output_(output), value_(value), moves_(moves_of(joined_axes({output, output}))) {}

  void run(Queue queue, char* const* buffers, char*) const override {
    if (moves_.count == 0) return;
    Filling f{moves_, value_};
    f.m.to = output_.in<char>(buffers);
    by_dtype(output_.dtype, [&](auto t) {
      launch<fill<decltype(t)>>(queue, "fill", blocks_for(f.m.count, kThreads, kMostBlocks), {kThreads}, 0, f);
    });
  }
  konv::StepInfo info() const override { return {"fill", "", 0}; }

 private:
  template <class F>
  static void by_dtype(DType dtype, F f) {
    switch (dtype) {
      case DType::f32:
        return f(float());
      case DType::f64:
        return f(double());
      case DType::f16:
        return f(float16());
      case DType::bf16:
        return f(bfloat16());
      case DType::i64:
        return f(int64_t());
      case DType::i32:
        return f(int32_t());
      case DType::i16:
        return f(int16_t());
      default:
        return f(int8_t());
    }
  }

  konv::Operand output_;
  double value_;
  Moves moves_;
};

}  // namespace

std::unique_ptr<Step> copy_step(const konv::Operand& input, const konv::Operand& output) {
  return std::make_unique<CopyStep>(input, output);
}
std::unique_ptr<Step> fill_step(const konv::Operand& output, double value) {
  return std::make_unique<FillStep>(output, value);
}

}  // namespace konv::cuda
