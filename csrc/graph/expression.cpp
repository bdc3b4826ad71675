#include "graph/expression.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <utility>

#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "graph/numbers.h"

namespace konv {

namespace {

constexpr int64_t kBlock = 1024;    // elements of a register
constexpr int64_t kTask = 1 << 14;  // elements of a task

double elu(double x, double alpha) { return x > 0 ? x : alpha * std::expm1(x); }
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
double mish_slope(double x) {
  const double t = std::tanh(softplus(x)), s = 1 / (1 + std::exp(-x));
  return t + x * s * (1 - t * t);
}
double softsign_slope(double x) { return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x))); }
struct Function {
  const char* name;
  double (*f)(double x, double y, double p, double q);
};
constexpr Function kFunctions[] = {
    {"log", [](double x, double, double, double) { return std::log(x); }},
    {"pow", [](double x, double y, double, double) { return std::pow(x, y); }},
    {"erf", [](double x, double, double, double) { return std::erf(x); }},
    {"elu", [](double x, double, double alpha, double) { return elu(x, alpha); }},
    {"selu", [](double x, double, double alpha, double gamma) { return gamma * elu(x, alpha); }},
    {"celu", [](double x, double, double alpha, double) { return x > 0 ? x : alpha * std::expm1(x / alpha); }},
    {"softplus", [](double x, double, double, double) { return softplus(x); }},
    {"softsign", [](double x, double, double, double) { return x / (1 + std::fabs(x)); }},
    {"mish", [](double x, double, double, double) { return x * std::tanh(softplus(x)); }},
    // Their derivatives
    {"elu_slope", [](double x, double, double alpha, double) { return x > 0 ? 1 : alpha * std::exp(x); }},
    {"selu_slope",
     [](double x, double, double alpha, double gamma) { return gamma * (x > 0 ? 1 : alpha * std::exp(x)); }},
    {"softplus_slope", [](double x, double, double, double) { return 1 / (1 + std::exp(-x)); }},
    {"softsign_slope", [](double x, double, double, double) { return softsign_slope(x); }},
    {"mish_slope", [](double x, double, double, double) { return mish_slope(x); }},
};

// Axes of the loops, outermost first, with the strides of the output and of each input; the last two are within blocks.
struct Loops {
  std::vector<int64_t> size;
  std::vector<std::vector<int64_t>> stride;  // [operand][axis], the output first
};

// Sorted by the output's strides, and joined where one step walks through both for every operand.
Loops make_loops(const std::vector<Operand>& operands) {
  const Operand& y = operands[0];
  std::vector<int> axes;
  for (int i = 0; i < y.rank; i++)
    if (y.shape[i] != 1) axes.push_back(i);
  std::stable_sort(axes.begin(), axes.end(),
                   [&](int a, int b) { return std::abs(y.strides[a]) > std::abs(y.strides[b]); });
  Loops l;
  l.stride.resize(operands.size());
  for (int axis : axes) {
    bool joins = !l.size.empty();
    for (size_t i = 0; joins && i < operands.size(); i++)
      joins = l.stride[i].back() == operands[i].strides[axis] * y.shape[axis];
    if (joins) {
      l.size.back() *= y.shape[axis];
      for (size_t i = 0; i < operands.size(); i++) l.stride[i].back() = operands[i].strides[axis];
      continue;
    }
    l.size.push_back(y.shape[axis]);
    for (size_t i = 0; i < operands.size(); i++) l.stride[i].push_back(operands[i].strides[axis]);
  }
  while (l.size.size() < 2) {
    l.size.insert(l.size.begin(), 1);
    for (auto& s : l.stride) s.insert(s.begin(), 0);
  }
  return l;
}

template <class T>
class ExpressionStep final : public Step {
 public:
  ExpressionStep(const std::vector<Operand>& inputs, const Operand& output, std::vector<Instruction> instructions,
                 int64_t threads, std::string text)
      : inputs_(inputs),
        output_(output),
        instructions_(std::move(instructions)),
        text_(std::move(text)),
        kernel_(kernels<T>(Isa(config().isa))),
        threads_(int(threads)) {
    std::vector<Operand> all{output};
    all.insert(all.end(), inputs.begin(), inputs.end());
    loops_ = make_loops(all);
    const size_t last = loops_.size.size() - 1;
    cols_ = std::clamp<int64_t>(loops_.size[last], 1, kBlock);
    col_blocks_ = (loops_.size[last] + cols_ - 1) / cols_;
    block_rows_ = col_blocks_ > 1 ? 1 : std::clamp<int64_t>(loops_.size[last - 1], 1, kBlock / cols_);
    row_blocks_ = (loops_.size[last - 1] + block_rows_ - 1) / block_rows_;
    outer_ = std::accumulate(loops_.size.begin(), loops_.size.end() - 2, int64_t(1), std::multiplies<>());
    const int64_t blocks = outer_ * row_blocks_ * col_blocks_;
    grain_ = std::max<int64_t>(1, kTask / (block_rows_ * cols_));
    tasks_ = output.elements() == 0 ? 0 : (blocks + grain_ - 1) / grain_;
    blocks_ = blocks;
    for (const auto& stride : loops_.stride) forms_.push_back(form_of(stride[last - 1], stride[last]));
    for (const Operand& o : all) elements_.emplace_back(o);
  }

  void run(char* const* buffers) const override {
    char* out = output_.in<char>(buffers);
    const char* in[kMaxRegisters];
    for (size_t i = 0; i < inputs_.size(); i++) in[i] = inputs_[i].in<char>(buffers);
    FlushDenormals guard(!config().keep_denormals);
    parallel_for(tasks_, threads_, [&](int64_t task, int) { run_task(task, in, out); });
  }
  StepInfo info() const override {
    return {instructions_.empty() ? "convert" : "elementwise", text_,
            double(output_.elements()) * double(instructions_.size())};
  }

 private:
  // How a block's elements lie: one after another, the same row again and again, one number a row, or otherwise.
  enum class Form { run, repeated, scalar, strided };
  Form form_of(int64_t row, int64_t col) const {
    const size_t last = loops_.size.size() - 1;
    const bool one_row = block_rows_ == 1;
    if (col == 1 && (one_row || row == loops_.size[last])) return Form::run;
    if (col == 1 && row == 0) return Form::repeated;
    if (col == 0 && (one_row || row == 0)) return Form::scalar;
    return Form::strided;
  }

  // Elements of one operand, the output's number being 0: T, or what stands for numbers.
  struct Elements {
    explicit Elements(const Operand& o) : numbers(o), native(std::is_same_v<T, double> || numbers.as_they_are()) {}
    int64_t item() const { return native ? int64_t(sizeof(T)) : numbers.item(); }
    void load(const char* src, int64_t step, int64_t n, T* dst) const {
      if constexpr (std::is_same_v<T, float>)
        if (!native) return numbers.load(src, step, n, dst);
      const T* from = reinterpret_cast<const T*>(src);
      if (step == 1)
        std::copy_n(from, n, dst);
      else
        for (int64_t i = 0; i < n; i++) dst[i] = from[i * step];
    }
    void store(const T* src, int64_t n, char* dst, int64_t step) const {
      if constexpr (std::is_same_v<T, float>)
        if (!native) return numbers.store(src, n, dst, step);
      T* to = reinterpret_cast<T*>(dst);
      if (step == 1)
        std::copy_n(src, n, to);
      else
        for (int64_t i = 0; i < n; i++) to[i * step] = src[i];
    }
    Numbers numbers;
    bool native;
  };

  void run_task(int64_t task, const char* const* in, char* out) const {
    alignas(64) T memory[kMaxRegisters][kBlock];
    const size_t axes = loops_.size.size(), n = inputs_.size();
    bool filled[kMaxRegisters] = {};
    for (int64_t b = task * grain_; b < std::min(blocks_, (task + 1) * grain_); b++) {
      const int64_t col = b % col_blocks_ * cols_, row = b / col_blocks_ % row_blocks_ * block_rows_;
      int64_t offset[kMaxRegisters + 1] = {};
      int64_t rest = b / (col_blocks_ * row_blocks_);
      for (size_t a = axes - 2; a-- > 0; rest /= loops_.size[a])
        for (size_t i = 0; i <= n; i++) offset[i] += rest % loops_.size[a] * loops_.stride[i][a];
      for (size_t i = 0; i <= n; i++) offset[i] += row * loops_.stride[i][axes - 2] + col * loops_.stride[i][axes - 1];
      const int64_t rows = std::min(block_rows_, loops_.size[axes - 2] - row);
      const int64_t cols = std::min(cols_, loops_.size[axes - 1] - col);
      const T* reg[kMaxRegisters];
      for (size_t i = 0; i < n; i++) {
        const char* src = in[i] + offset[i + 1] * elements_[i + 1].item();
        reg[i] = read(i + 1, src, rows, cols, memory[i], filled[i]);
      }
      char* const result = out + offset[0] * elements_[0].item();
      const bool in_place = forms_[0] == Form::run && elements_[0].native;
      for (const Instruction& instruction : instructions_) {
        const bool last = &instruction == &instructions_.back();
        T* to = last && in_place ? reinterpret_cast<T*>(result) : memory[instruction.out];
        evaluate(instruction, reg, to, rows * cols);
        reg[instruction.out] = to;
      }
      if (!in_place || instructions_.empty())
        write(reg[instructions_.empty() ? 0 : instructions_.back().out], rows, cols, result);
    }
  }

  const T* read(size_t i, const char* src, int64_t rows, int64_t cols, T* memory, bool& filled) const {
    const size_t last = loops_.size.size() - 1;
    const int64_t row = loops_.stride[i][last - 1] * elements_[i].item(), col = loops_.stride[i][last];
    switch (forms_[i]) {
      case Form::run:
        if (elements_[i].native) return reinterpret_cast<const T*>(src);
        elements_[i].load(src, 1, rows * cols, memory);
        return memory;
      case Form::scalar:
        elements_[i].load(src, 1, 1, memory);
        std::fill_n(memory, rows * cols, T(memory[0]));
        return memory;
      case Form::repeated:
        // The same for all blocks of a task while outer axes do not move it, and all columns fit a block.
        if (filled && steady(i)) return memory;
        elements_[i].load(src, 1, cols, memory);
        for (int64_t r = 1; r < rows; r++) std::copy_n(memory, cols, memory + r * cols);
        filled = rows == block_rows_;
        return memory;
      case Form::strided:
        for (int64_t r = 0; r < rows; r++, src += row) elements_[i].load(src, col, cols, memory + r * cols);
    }
    return memory;
  }
  bool steady(size_t i) const {
    if (col_blocks_ > 1) return false;
    for (size_t a = 0; a + 2 < loops_.size.size(); a++)
      if (loops_.stride[i][a] != 0) return false;
    return true;
  }

  void write(const T* src, int64_t rows, int64_t cols, char* dst) const {
    const size_t last = loops_.size.size() - 1;
    const int64_t row = loops_.stride[0][last - 1] * elements_[0].item(), col = loops_.stride[0][last];
    if (forms_[0] == Form::run) return elements_[0].store(src, rows * cols, dst, 1);
    for (int64_t r = 0; r < rows; r++, src += cols, dst += row) elements_[0].store(src, cols, dst, col);
  }

  void evaluate(const Instruction& i, const T* const* reg, T* out, int64_t n) const {
    const T* a = reg[i.a];
    switch (i.kind) {
      case Instruction::Kind::unary:
        return kernel_.unary_run({UnaryOp(i.op), a, out, n, T(i.p), T(i.q)});
      case Instruction::Kind::binary:
        return kernel_.binary_run({BinaryOp(i.op), a, reg[i.b], out, n});
      case Instruction::Kind::activation:
        return kernel_.finish_rows({a, n, 1, n, out, nullptr, n, Activation(i.op), T(i.p)});
      case Instruction::Kind::function:
        for (int64_t k = 0; k < n; k++) out[k] = T(kFunctions[i.op].f(double(a[k]), double(reg[i.b][k]), i.p, i.q));
        return;
      case Instruction::Kind::gradient:
        return kernel_.activation_grad({a, reg[i.b], out, n, Activation(i.op), T(i.p)});
      case Instruction::Kind::clipped:
        return kernel_.clipped_relu(a, out, n, T(i.p), T(i.q), T(i.r));
      case Instruction::Kind::clipped_gradient:
        return kernel_.clipped_relu_grad(a, reg[i.b], out, n, T(i.p), T(i.q), T(i.r));
    }
  }

  std::vector<Operand> inputs_;
  Operand output_;
  std::vector<Instruction> instructions_;
  std::string text_;
  const Kernels<T>& kernel_;
  int threads_;
  Loops loops_;
  std::vector<Form> forms_;  // the output's first
  std::vector<Elements> elements_;
  int64_t cols_, col_blocks_, block_rows_, row_blocks_, outer_, blocks_, grain_, tasks_;
};

}  // namespace

const std::vector<std::string>& function_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Function& f : kFunctions) all.emplace_back(f.name);
    return all;
  }();
  return names;
}

std::unique_ptr<Step> expression_step(const std::vector<Operand>& inputs, const Operand& output,
                                      const std::vector<Instruction>& instructions, int64_t threads, std::string text) {
  if (output.elements() < 2 * kTask) threads = 1;
  if (output.dtype == DType::f64)
    return std::make_unique<ExpressionStep<double>>(inputs, output, instructions, threads, std::move(text));
  return std::make_unique<ExpressionStep<float>>(inputs, output, instructions, threads, std::move(text));
}

}  // namespace konv
