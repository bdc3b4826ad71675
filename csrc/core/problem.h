// What a convolution is, as a plain value: it keys the plan cache and is all that an algorithm sees when planning.
#pragma once
#include <cstdint>
#include <cstring>

#include "kernels/epilogue.h"

namespace konv {

// Of an array's elements. Sums are formed in float32, in float64 for f64, and exactly for integers.
enum class DType : int64_t { f32, f64, f16, bf16, i8, u8, i16, i32, i64, boolean };
constexpr int kDTypes = 10;
// How exactly sums are formed: strict has only algorithms with the direct convolution's error, medium multiplies
// float32 arrays in bfloat16 where the CPU can.
enum class Precision : int64_t { strict, high, medium };
enum class Direction : int64_t { forward, input_gradient, weight_gradient };
// What the input holds beyond its border.
enum class PaddingMode : int64_t { zeros, reflect, replicate, circular };

// Of quantised weights: whether, less their zero points, they fit a byte with a sign, one without, or neither.
enum class WeightRange : int64_t { int8, uint8, wide };

inline bool is_byte(DType t) { return t == DType::i8 || t == DType::u8; }
inline int64_t dtype_size(DType t) {
  constexpr int8_t bytes[kDTypes] = {4, 8, 2, 2, 1, 1, 2, 4, 8, 1};
  return bytes[int(t)];
}
// Of the type that sums are formed in.
inline int64_t sum_size(DType t) { return t == DType::f64 ? 8 : 4; }

// 1-D and 2-D problems have leading spatial dimensions of size 1. Strides count elements; x is (n, c, d, h, w), w is
// (k, c / groups, d, h, w), y is (n, k, d, h, w), whatever the memory order. Only 64-bit members: no padding bytes, so
// that two problems are equal when their bytes are.
//
// A transposed convolution is the input gradient of one: its input is y, its result x, which bias, residual and
// activation finish.
struct ConvProblem {
  DType dtype;
  Direction direction;
  int64_t isa;  // an Isa; on devices which device
  int64_t threads, max_workspace;
  int64_t algorithm;  // index into the list of algorithms, or -1: choose
  int64_t autotune;   // 0: by estimated cost; else by time, as a table of conv/autotune.h has it
  Precision precision;
  DType weight_dtype;        // where dtype is i8 or u8: which the weights have, of these two
  WeightRange weight_range;  // likewise
  int64_t weights_ready;     // weights are prepared once for many runs
  int64_t bytes_between;     // that are read from one such run to the next, as far as is known: they displace weights
  int64_t has_bias, has_residual;
  Activation activation;
  double activation_parameter;
  int64_t n, c, k, groups;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3];
  int64_t pad[3];  // before; what follows the input is implied by out
  PaddingMode padding_mode;
  int64_t xs[5], ws[5], ys[5];

  bool operator==(const ConvProblem& o) const { return std::memcmp(this, &o, sizeof o) == 0; }
  constexpr int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  constexpr int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
  double flops() const {
    return 2.0 * double(n) * double(k) * double(c / groups) * double(taps()) * double(out_pixels());
  }
  // Whether anything is done to the sums.
  bool is_finished() const { return has_bias || has_residual || activation != Activation::none; }
  // The channels that a bias has.
  int64_t outputs() const { return direction == Direction::forward ? k : c; }
  // Whether no more than a bias and a clip follows the sums, which all kernels apply in registers.
  bool ends_in_registers() const { return !has_residual && clips(); }
  Clip clip_in_registers() const { return has_residual ? Clip::none : clip(); }
  // Whether the activation is a clip, and which.
  bool clips() const { return activation == Activation::none || clip() != Clip::none; }
  Clip clip() const {
    return activation == Activation::relu ? Clip::relu : activation == Activation::relu6 ? Clip::relu6 : Clip::none;
  }
  DType result_dtype() const { return is_byte(dtype) ? DType::i32 : dtype; }
  bool is_depthwise() const { return groups == c && c > 0; }
};

// Elements between neighbours of a contiguous tensor, channels innermost or (n, c, d, h, w).
inline void contiguous_strides(const int64_t shape[5], bool channels_last, int64_t strides[5]) {
  static constexpr int kFirst[] = {4, 3, 2, 1, 0}, kLast[] = {1, 4, 3, 2, 0};
  int64_t step = 1;
  for (int i : channels_last ? kLast : kFirst) {
    strides[i] = step;
    if (shape[i] > 1) step *= shape[i];
  }
}

struct ConvProblemHash {
  size_t operator()(const ConvProblem& p) const {
    uint64_t h = 0x9e3779b97f4a7c15ull, word;
    const char* bytes = reinterpret_cast<const char*>(&p);
    for (size_t i = 0; i < sizeof p; i += 8) {
      std::memcpy(&word, bytes + i, 8);
      h = (h ^ word) * 0xff51afd7ed558ccdull;
      h ^= h >> 32;
    }
    return size_t(h);
  }
};
static_assert(sizeof(ConvProblem) % 8 == 0);

}  // namespace konv
