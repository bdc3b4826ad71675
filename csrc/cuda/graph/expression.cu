// Chains of element-wise operations in one pass: a thread takes up to four neighbours through all instructions. What an
// instruction is graph/expression.h says.
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "cuda/device.h"
#include "cuda/graph/axes.h"
#include "cuda/graph/steps.h"
#include "cuda/kernels/epilogue.cuh"
#include "cuda/numbers.h"

namespace konv {

// As conv/conv.h, graph/expression.h is implemented for the CPU and here; derivatives are not: nothing trains here.
const std::vector<std::string>& function_names() {
  static const std::vector<std::string> names = {"log",  "pow",      "erf",      "elu", "selu",
                                                 "celu", "softplus", "softsign", "mish"};
  return names;
}

namespace cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;
constexpr int kMostInstructions = 16;
enum class Function : uint8_t { log, pow, erf, elu, selu, celu, softplus, softsign, mish };

template <class T>
struct Code {
  uint8_t kind, op, a, b, out;
  T p, q, r;
};

// Elements of an operand. `inner`: from one of a thread's neighbours to the next.
struct Elements {
  char* data;
  int form;      // a DType
  int together;  // neighbours are loaded and stored at once
  int64_t inner, stride[kMaxRank];
};

template <class T>
struct Arguments {
  int64_t groups;  // of neighbours
  int axes, inputs, length;
  int64_t size[kMaxRank];  // of groups
  Elements output, input[kMaxRegisters];
  Code<T> code[kMostInstructions];
};

template <class T>
__device__ T unary(UnaryOp op, T x, T p, T q) {
  switch (op) {
    case UnaryOp::negate:
      return -x;
    case UnaryOp::absolute:
      return fabs(x);
    case UnaryOp::square_root:
      return sqrt(x);
    case UnaryOp::reciprocal:
      return 1 / x;
    case UnaryOp::exponential:
      return exp(x);
    case UnaryOp::floor:
      return floor(x);
    case UnaryOp::ceil:
      return ceil(x);
    case UnaryOp::round:
      return rint(x);
    case UnaryOp::sign:
      return x > 0 ? T(1) : x < 0 ? T(-1) : x;
    case UnaryOp::affine:
      return x * p + q;
    case UnaryOp::clip: {
      const T low = x < p ? p : x;
      return low > q ? q : low;
    }
  }
  return x;
}

template <class T>
__device__ T binary(BinaryOp op, T x, T y) {
  switch (op) {
    case BinaryOp::add:
      return x + y;
    case BinaryOp::subtract:
      return x - y;
    case BinaryOp::multiply:
      return x * y;
    case BinaryOp::divide:
      return x / y;
    case BinaryOp::minimum:
      return y != y || y < x ? y : x;
    case BinaryOp::maximum:
      return y != y || y > x ? y : x;
    case BinaryOp::leaky:
      return x < 0 ? x * y : x;
  }
  return x;
}

template <class T>
__device__ T softplus(T x) {
  return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

template <class T>
__device__ T function(Function f, T x, T y, T p, T q) {
  switch (f) {
    case Function::log:
      return log(x);
    case Function::pow:
      return pow(x, y);
    case Function::erf:
      return erf(x);
    case Function::elu:
      return x > 0 ? x : p * expm1(x);
    case Function::selu:
      return q * (x > 0 ? x : p * expm1(x));
    case Function::celu:
      return x > 0 ? x : p * expm1(x / p);
    case Function::softplus:
      return softplus(x);
    case Function::softsign:
      return x / (1 + fabs(x));
    case Function::mish:
      return x * tanh(softplus(x));
  }
  return x;
}

template <class T>
__device__ T apply(const Code<T>& c, T x, T y) {
  switch (Instruction::Kind(c.kind)) {
    case Instruction::Kind::unary:
      return unary(UnaryOp(c.op), x, c.p, c.q);
    case Instruction::Kind::binary:
      return binary(BinaryOp(c.op), x, y);
    case Instruction::Kind::activation:
      return activate(Activation(c.op), c.p, x);
    case Instruction::Kind::function:
      return function(Function(c.op), x, y, c.p, c.q);
    case Instruction::Kind::clipped:
      return x < c.r ? c.p * (x - c.r) : x > c.q ? c.q : x;
    default:
      return x;
  }
}

template <int Width, class S, class T>
__device__ void load_as(const Elements& e, int64_t offset, T (&to)[Width]) {
  const S* from = reinterpret_cast<const S*>(e.data) + offset;
  if (Width > 1 && e.together) {
    const auto v = load_vector<Vector<S, Width>>(from);
#pragma unroll
    for (int i = 0; i < Width; i++) to[i] = widened(v.at[i]);
    return;
  }
#pragma unroll
  for (int i = 0; i < Width; i++) to[i] = widened(from[i * e.inner]);
}
template <int Width, class S, class T>
__device__ void store_as(const Elements& e, int64_t offset, const T (&from)[Width]) {
  S* to = reinterpret_cast<S*>(e.data) + offset;
  if (Width > 1 && e.together) {
    Vector<S, Width> v;
#pragma unroll
    for (int i = 0; i < Width; i++) v.at[i] = narrowed<S>(from[i]);
    return store_vector(to, v);
  }
#pragma unroll
  for (int i = 0; i < Width; i++) to[i * e.inner] = narrowed<S>(from[i]);
}

template <class T, class Index, int Width>
__global__ void __launch_bounds__(kThreads) evaluate(Arguments<T> a) {
  T reg[kMaxRegisters][Width];
  for (Index i = Index(blockIdx.x) * kThreads + threadIdx.x; i < Index(a.groups); i += Index(gridDim.x) * kThreads) {
    Index at[kMaxRank], rest = i;
#pragma unroll
    for (int axis = kMaxRank - 1; axis >= 0; axis--) {
      at[axis] = 0;
      if (axis < a.axes) at[axis] = rest % Index(a.size[axis]), rest /= Index(a.size[axis]);
    }
    const auto offset_in = [&](const Elements& e) {
      int64_t offset = 0;
#pragma unroll
      for (int axis = 0; axis < kMaxRank; axis++)
        if (axis < a.axes) offset += int64_t(at[axis]) * e.stride[axis];
      return offset;
    };
    for (int k = 0; k < a.inputs; k++) {
      const Elements& e = a.input[k];
      if constexpr (std::is_same_v<T, double>) {
        load_as<Width, double>(e, offset_in(e), reg[k]);
      } else {
        if (DType(e.form) == DType::f32)
          load_as<Width, float>(e, offset_in(e), reg[k]);
        else
          load_as<Width, bfloat16>(e, offset_in(e), reg[k]);
      }
    }
    int last = 0;
    for (int k = 0; k < a.length; k++) {
      const Code<T> c = a.code[k];
#pragma unroll
      for (int w = 0; w < Width; w++) reg[c.out][w] = apply(c, reg[c.a][w], reg[c.b][w]);
      last = c.out;
    }
    if constexpr (std::is_same_v<T, double>) {
      store_as<Width, double>(a.output, offset_in(a.output), reg[last]);
    } else {
      if (DType(a.output.form) == DType::f32)
        store_as<Width, float>(a.output, offset_in(a.output), reg[last]);
      else
        store_as<Width, bfloat16>(a.output, offset_in(a.output), reg[last]);
    }
  }
}

template <class T>
class ExpressionStep final : public Step {
 public:
  ExpressionStep(const std::vector<konv::Operand>& inputs, const konv::Operand& output,
                 const std::vector<Instruction>& instructions, std::string text)
      : inputs_(inputs), output_(output), text_(std::move(text)) {
    std::vector<konv::Operand> all{output};
    all.insert(all.end(), inputs.begin(), inputs.end());
    const Axes axes = joined_axes(all);
    const size_t last = axes.size.size() - 1;
    width_ = axes.size[last] % kWidth == 0 ? kWidth : 1;
    arguments_.groups = output.elements() / width_;
    arguments_.axes = int(last) + 1, arguments_.inputs = int(inputs.size()), arguments_.length = 0;
    for (size_t i = 0; i <= last; i++) arguments_.size[i] = axes.size[i] / (i == last ? width_ : 1);
    arguments_.output = elements_of(output, axes.stride[0]);
    for (size_t k = 0; k < inputs.size(); k++) arguments_.input[k] = elements_of(inputs[k], axes.stride[k + 1]);
    for (const Instruction& i : instructions)
      arguments_.code[arguments_.length++] = {uint8_t(i.kind), uint8_t(i.op), uint8_t(i.a), uint8_t(i.b),
                                              uint8_t(i.out),  T(i.p),        T(i.q),       T(i.r)};
  }

  void run(Queue queue, char* const* buffers, char*) const override {
    if (arguments_.groups == 0) return;
    Arguments<T> a = arguments_;
    place(a.output, output_, buffers);
    for (size_t k = 0; k < inputs_.size(); k++) place(a.input[k], inputs_[k], buffers);
    const bool narrow = a.groups < int64_t(1) << 31;
    if (width_ == kWidth)
      narrow ? start<uint32_t, kWidth>(queue, a) : start<uint64_t, kWidth>(queue, a);
    else
      narrow ? start<uint32_t, 1>(queue, a) : start<uint64_t, 1>(queue, a);
  }
  konv::StepInfo info() const override {
    return {arguments_.length == 0 ? "convert" : "elementwise", text_,
            double(output_.elements()) * double(arguments_.length)};
  }

 private:
  static constexpr int kWidth = sizeof(T) == 8 ? 2 : 4;

  Elements elements_of(const konv::Operand& o, const std::vector<int64_t>& strides) const {
    Elements e{nullptr, int(o.dtype), 0, strides.back(), {}};
    bool together = width_ > 1 && strides.back() == 1;
    for (size_t i = 0; i < strides.size(); i++) {
      e.stride[i] = strides[i] * (i + 1 == strides.size() ? width_ : 1);
      together = together && e.stride[i] % width_ == 0;
    }
    e.together = together;
    return e;
  }
  void place(Elements& e, const konv::Operand& o, char* const* buffers) const {
    e.data = o.in<char>(buffers);
    if (reinterpret_cast<uintptr_t>(e.data) % uintptr_t(width_ * dtype_size(o.dtype))) e.together = 0;
  }
  template <class Index, int Width>
  void start(Queue queue, const Arguments<T>& a) const {
    launch<evaluate<T, Index, Width>>(queue, "evaluate", blocks_for(a.groups, kThreads, kMostBlocks), {kThreads}, 0, a);
  }

  std::vector<konv::Operand> inputs_;
  konv::Operand output_;
  std::string text_;
  int width_;
  Arguments<T> arguments_{};
};

}  // namespace

std::unique_ptr<Step> expression_step(const std::vector<konv::Operand>& inputs, const konv::Operand& output,
                                      const std::vector<Instruction>& instructions, std::string text) {
  if (instructions.size() > kMostInstructions) throw std::invalid_argument("expression: too many instructions");
  for (const Instruction& i : instructions)
    if (i.kind == Instruction::Kind::gradient || i.kind == Instruction::Kind::clipped_gradient)
      throw std::invalid_argument("expression: gradients are not computed on devices");
  bool known = true;
  for (const konv::Operand& o : inputs) known = known && !is_byte(o.dtype);
  if (!known || is_byte(output.dtype)) throw std::invalid_argument("expression: bytes are not computed on devices");
  if (output.dtype == DType::f64)
    return std::make_unique<ExpressionStep<double>>(inputs, output, instructions, std::move(text));
  return std::make_unique<ExpressionStep<float>>(inputs, output, instructions, std::move(text));
}

}  // namespace cuda

}  // namespace konv
