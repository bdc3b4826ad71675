// Steps that move elements, row by row where memory allows it, and as transposed tiles where rows of one side are
// columns of the other.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"
#include "graph/numbers.h"
#include "graph/steps.h"

namespace konv {

namespace {

constexpr int64_t kTask = 1 << 14;  // elements of a task

struct Axis {
  int64_t size, src, dst;  // strides in elements
};

// Axes by the output's strides, joined where one step walks through both.
std::vector<Axis> joined_axes(const Operand& src, const Operand& dst) {
  std::vector<Axis> axes;
  for (int i = 0; i < dst.rank; i++)
    if (dst.shape[i] != 1) axes.push_back({dst.shape[i], src.strides[i], dst.strides[i]});
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return std::abs(a.dst) > std::abs(b.dst); });
  std::vector<Axis> joined;
  for (const Axis& a : axes) {
    if (!joined.empty() && joined.back().src == a.src * a.size && joined.back().dst == a.dst * a.size)
      joined.back() = {joined.back().size * a.size, a.src, a.dst};
    else
      joined.push_back(a);
  }
  if (joined.empty()) joined.push_back({1, 1, 1});
  return joined;
}

class CopyStep final : public Step {
 public:
  CopyStep(const Operand& input, const Operand& output, int64_t threads)
      : input_(input), output_(output), axes_(joined_axes(input, output)), item_(dtype_size(output.dtype)) {
    // The two innermost loops: rows of the output, and where the input's neighbours lie, if not there.
    const size_t last = axes_.size() - 1;
    size_t other = last;
    for (size_t i = 0; i <= last; i++)
      if (axes_[i].src == 1) other = i;
    turns_ = other != last && axes_[last].dst == 1 && (item_ == 4 || item_ == 8);
    if (turns_)
      std::rotate(axes_.begin() + std::ptrdiff_t(other), axes_.begin() + std::ptrdiff_t(other) + 1, axes_.end() - 1);
    if (axes_.size() == 1) axes_.insert(axes_.begin(), {1, 0, 0});
    outer_ = 1;
    for (size_t i = 0; i + 2 < axes_.size(); i++) outer_ *= axes_[i].size;
    const Axis &rows = axes_[axes_.size() - 2], &cols = axes_.back();
    rows_ = std::clamp<int64_t>(kTask / cols.size, turns_ ? 16 : 1, rows.size);
    parts_ = (rows.size + rows_ - 1) / rows_;
    threads_ = output.elements() < 2 * kTask ? 1 : int(threads);
  }

  void run(char* const* buffers) const override {
    const char* src = input_.in<char>(buffers);
    char* dst = output_.in<char>(buffers);
    parallel_for(output_.elements() ? outer_ * parts_ : 0, threads_, [&](int64_t task, int) {
      const int64_t first = task % parts_ * rows_;
      int64_t rest = task / parts_, from = 0, to = 0;
      for (size_t i = axes_.size() - 2; i-- > 0; rest /= axes_[i].size) {
        from += rest % axes_[i].size * axes_[i].src;
        to += rest % axes_[i].size * axes_[i].dst;
      }
      const Axis &rows = axes_[axes_.size() - 2], &cols = axes_.back();
      from += first * rows.src, to += first * rows.dst;
      const int64_t count = std::min(rows_, rows.size - first);
      if (turns_)
        turn(src + from * item_, dst + to * item_, count, rows, cols);
      else
        for (int64_t r = 0; r < count; r++, from += rows.src, to += rows.dst)
          copy_row(src + from * item_, dst + to * item_, cols);
    });
  }
  StepInfo info() const override { return {"copy", turns_ ? "transposed" : "", 0}; }

 private:
  void copy_row(const char* src, char* dst, const Axis& cols) const {
    if (cols.src == 1 && cols.dst == 1) {
      std::memcpy(dst, src, size_t(cols.size * item_));
      return;
    }
    const auto each = [&](auto zero) {
      using T = decltype(zero);
      for (int64_t c = 0; c < cols.size; c++)
        reinterpret_cast<T*>(dst)[c * cols.dst] = reinterpret_cast<const T*>(src)[c * cols.src];
    };
    item_ == 1 ? each(uint8_t{}) : item_ == 2 ? each(uint16_t{}) : item_ == 4 ? each(uint32_t{}) : each(uint64_t{});
  }
  // Rows of the input are columns of the output.
  void turn(const char* src, char* dst, int64_t count, const Axis& rows, const Axis& cols) const {
    const KernelTable& table = kernel_table(Isa(config().isa));
    if (item_ == 4)
      table.f32.transpose(reinterpret_cast<const float*>(src), cols.src, cols.size, count,
                          reinterpret_cast<float*>(dst), rows.dst);
    else
      table.f64.transpose(reinterpret_cast<const double*>(src), cols.src, cols.size, count,
                          reinterpret_cast<double*>(dst), rows.dst);
  }

  Operand input_, output_;
  std::vector<Axis> axes_;  // outermost first; with turns_ the last but one is the input's innermost
  int64_t item_, outer_, rows_, parts_;
  bool turns_;
  int threads_;
};

class FillStep final : public Step {
 public:
  FillStep(const Operand& output, double value) : output_(output), value_(value), axes_(joined_axes(output, output)) {}
  void run(char* const* buffers) const override {
    const auto fill = [&](auto value) {
      using T = decltype(value);
      fill_axis(output_.in<T>(buffers), 0, value);
    };
    if (output_.elements() == 0) return;
    switch (dtype_size(output_.dtype)) {
      case 8:
        return output_.dtype == DType::f64 ? fill(value_) : fill(int64_t(value_));
      case 4:
        return output_.dtype == DType::f32 ? fill(float(value_)) : fill(int32_t(value_));
      default: {
        if (!stands_for_numbers(output_)) return fill(int8_t(value_));
        uint32_t element = 0;  // its first bytes
        const float number = float(value_);
        Numbers(output_).store(&number, 1, reinterpret_cast<char*>(&element), 1);
        return output_.dtype == DType::bf16 ? fill(uint16_t(element)) : fill(uint8_t(element));
      }
    }
  }
  StepInfo info() const override { return {"fill", "", 0}; }

 private:
  template <class T>
  void fill_axis(T* out, size_t axis, T value) const {
    const Axis& a = axes_[axis];
    if (axis + 1 == axes_.size() && a.dst == 1) {
      std::fill_n(out, a.size, value);
      return;
    }
    for (int64_t i = 0; i < a.size; i++) {
      if (axis + 1 == axes_.size())
        out[i * a.dst] = value;
      else
        fill_axis(out + i * a.dst, axis + 1, value);
    }
  }
  Operand output_;
  double value_;
  std::vector<Axis> axes_;
};

}  // namespace

std::unique_ptr<Step> copy_step(const Operand& input, const Operand& output, int64_t threads) {
  return std::make_unique<CopyStep>(input, output, threads);
}
std::unique_ptr<Step> fill_step(const Operand& output, double value) {
  return std::make_unique<FillStep>(output, value);
}

}  // namespace konv
