// Convolutions in int8 and uint8: packing bytes into elements of four bytes, products of words, results.
//
// The 16-bit words of a pair are exact differences of a byte and its zero point, so padding is zero and one
// multiply-add of pairs (pmaddwd) sums two channels. dots.inl.h has the products of four bytes.
#pragma once
#include "kernels/integers.h"

#include "kernels/gemm.inl.h"
#include "kernels/pack.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

using Ints = Vec<int32_t>;

// Both operands are words of either sign.
struct WordProducts {
  KONV_INLINE Vec<float> add(Vec<float> sum, Vec<float> a, Vec<float> b) {
#if defined(__AVX512VNNI__)
    return (Vec<float>)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(__AVX512BW__)
    return (Vec<float>)((Ints)sum + (Ints)_mm512_madd_epi16((__m512i)a, (__m512i)b));
#elif defined(__AVX2__)
    return (Vec<float>)((Ints)sum + (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b));
#elif defined(__SSE2__)
    return (Vec<float>)((Ints)sum + (Ints)_mm_madd_epi16((__m128i)a, (__m128i)b));
#else
    const Ints u = (Ints)a, v = (Ints)b;
    return (Vec<float>)((Ints)sum + (u << 16 >> 16) * (v << 16 >> 16) + (u >> 16) * (v >> 16));
#endif
  }
};

// Forms of elements: join() makes one, or a vector of them, from the bytes of each channel as 32-bit numbers.
struct ByteForm {
  static constexpr int kTogether = 4;
  template <class V>
  KONV_INLINE V join(const V* b, const ByteCode& code) {
    const int32_t flip = int32_t(uint32_t(code.flip) * 0x01010101u);
    return (b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24) ^ flip;
  }
};
struct WordForm {
  static constexpr int kTogether = 2;
  template <class V>
  KONV_INLINE V join(const V* b, const ByteCode& code) {
    const int32_t flip = code.flip, offset = code.offset;
    return (((b[0] ^ flip) - offset) & 0xffff) | ((b[1] ^ flip) - offset) << 16;
  }
};
struct FloatForm {
  static constexpr int kTogether = 1;
  KONV_INLINE Ints join(const Ints* b, const ByteCode& code) {
    const int32_t flip = code.flip, offset = code.offset;
    return (Ints) __builtin_convertvector((b[0] ^ flip) - offset, Vec<float>);
  }
  KONV_INLINE int32_t join(const int32_t* b, const ByteCode& code) {
    const float value = float((b[0] ^ int32_t(code.flip)) - code.offset);
    int32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
  }
};

// As many pairs of bytes as there are 32-bit lanes; lanes at any address.
typedef uint16_t LanePairs __attribute__((vector_size(KONV_VEC_BYTES / 2), aligned(1), may_alias));
typedef int32_t LaneWords __attribute__((vector_size(KONV_VEC_BYTES), aligned(1), may_alias));

KONV_INLINE void store_bits(float* dst, int32_t bits) { __builtin_memcpy(dst, &bits, sizeof bits); }
KONV_INLINE void blank_run(float* dst, int64_t n, const ByteCode& code) {
  constexpr int L = kLanes<float>;
  const Vec<float> blank = (Vec<float>)splat<int32_t>(int32_t(code.blank));
  int64_t i = 0;
  for (; i + L <= n; i += L) store(dst + i, blank);
  if (i < n) store_n(dst + i, blank, int(n - i));
}

// Bytes 0, Step, 2 * Step, ... from p. With a step of 2 the last one's neighbour is read as well.
template <int Step>
KONV_INLINE Ints load_bytes(const uint8_t* p) {
  if constexpr (Step == 1) return widen_bytes(p);
  return __builtin_convertvector(*reinterpret_cast<const LanePairs*>(p), Ints) & 0xff;
}

// dst[i] = the element of row[j][i * step] for i in [begin, end), of one row a channel; the code's blank elsewhere in
// [0, n). Writes nothing more.
template <class Form>
KONV_INLINE void pack_byte_row(const uint8_t* const* row, int64_t step, float* dst, int64_t begin, int64_t end,
                               int64_t n, const ByteCode& code) {
  constexpr int L = kLanes<float>, C = Form::kTogether;
  blank_run(dst, begin, code);
  int64_t i = begin;
  const auto vectors = [&](auto by, int64_t last) {
    constexpr int Step = decltype(by)::value;
    for (; i + L <= last; i += L) {
      Ints b[C];
      KONV_UNROLL
      for (int j = 0; j < C; j++) b[j] = load_bytes<Step>(row[j] + i * Step);
      store(dst + i, (Vec<float>)Form::join(b, code));
    }
  };
  if (step == 1) {
    vectors(std::integral_constant<int, 1>{}, end);
    if (const int left = int(end - i); left > 0) {
      Ints b[C];
      KONV_UNROLL
      for (int j = 0; j < C; j++) b[j] = widen_bytes_n(row[j] + i, left);
      store_n(dst + i, (Vec<float>)Form::join(b, code), left);
      i = end;
    }
  }
  if (step == 2) vectors(std::integral_constant<int, 2>{}, end - 1);
  for (; i < end; i++) {
    int32_t b[C];
    KONV_UNROLL
    for (int j = 0; j < C; j++) b[j] = row[j][i * step];
    store_bits(dst + i, Form::join(b, code));
  }
  blank_run(dst + end, n - end, code);
}

template <class Form>
static void pack_byte_planes(const PackBytes& p) {
  constexpr int C = Form::kTogether;
  pack_planes_by(
      p, C, [&](float* dst, int64_t n) { blank_run(dst, n, p.code); },
      [&](int64_t c, const uint8_t* row, int64_t step, float* dst, int64_t begin, int64_t end, int64_t n) {
        const uint8_t* rows[C];  // past the last channel any will do
        for (int j = 0; j < C; j++) rows[j] = row + (c + j < p.channels ? j * p.channel_stride : 0);
        pack_byte_row<Form>(rows, step, dst, begin, end, n, p.code);
      });
}

// The elements of n channels that lie side by side.
template <class Form>
KONV_INLINE void pack_byte_run(const uint8_t* src, float* dst, int64_t n, const ByteCode& code) {
  constexpr int L = kLanes<float>, C = Form::kTogether;
  int64_t i = 0;
  for (; i + L * C <= n; i += L * C, dst += L) {
    if constexpr (C == 4) {
      const Ints bytes = *reinterpret_cast<const LaneWords*>(src + i);
      store(dst, (Vec<float>)(bytes ^ int32_t(uint32_t(code.flip) * 0x01010101u)));
    } else if constexpr (C == 2) {
      const Ints pairs = __builtin_convertvector(*reinterpret_cast<const LanePairs*>(src + i), Ints);
      const Ints b[] = {pairs & 0xff, pairs >> 8};
      store(dst, (Vec<float>)Form::join(b, code));
    } else {
      const Ints b[] = {load_bytes<1>(src + i)};
      store(dst, (Vec<float>)Form::join(b, code));
    }
  }
  if constexpr (C != 2) {
    const int left = int((n - i) / C);
    Ints elements;
    if constexpr (C == 4) {
      const Ints bytes = (Ints)load_n(reinterpret_cast<const float*>(src + i), left);
      elements = bytes ^ int32_t(uint32_t(code.flip) * 0x01010101u);
    } else {
      const Ints b[] = {widen_bytes_n(src + i, left)};
      elements = Form::join(b, code);
    }
    store_n(dst, (Vec<float>)elements, left);
    i += left * C, dst += left;
  }
  for (; i < n; i += C) {
    int32_t b[C];
    KONV_UNROLL
    for (int j = 0; j < C; j++) b[j] = src[i + j < n ? i + j : i];
    store_bits(dst++, Form::join(b, code));
  }
}
template <class Form>
static void pack_byte_pixels(const PackBytes& p) {
  constexpr int C = Form::kTogether;
  const auto blank = [&](float* dst, int64_t n) { blank_run(dst, n, p.code); };
  const int64_t elements = (p.channels + C - 1) / C;
  pack_pixels_by(p, blank, [&](const uint8_t* row, int64_t step, float* d, int64_t n) {
    if (p.channel_stride == 1 && step == p.channels && C * p.channel_pitch == p.channels)
      return pack_byte_run<Form>(row, d, n * p.channels, p.code);
    for (int64_t x = 0; x < n; x++, row += step, d += p.channel_pitch) {
      if (p.channel_stride == 1) {
        pack_byte_run<Form>(row, d, p.channels, p.code);
      } else {
        for (int64_t c = 0; c < p.channels; c += C) {
          int32_t b[C];
          for (int j = 0; j < C; j++) b[j] = row[(c + j < p.channels ? c + j : c) * p.channel_stride];
          store_bits(d + c / C, Form::join(b, p.code));
        }
      }
      blank_run(d + elements, p.channel_pitch - elements, p.code);
    }
  });
}

// Four channels at a time: their bytes, as words of one output each, are transposed to vectors of outputs, from which
// each element takes its bytes.
template <class Form>
static void pack_byte_weights(const WeightBytes& p) {
  constexpr int L = kLanes<float>, C = Form::kTogether;
  const int32_t flip = p.is_signed ? 0x80 : 0;
  for (int64_t k = 0; k < p.outputs; k += L) {
    const int n = int(p.outputs - k < L ? p.outputs - k : L);
    Ints zero = splat<int32_t>(flip), sum{};
    if (p.zero)
      for (int i = 0; i < n; i++) zero[i] += p.zero[k + i];
    for (int64_t c = 0; c < p.channels; c += 4) {
      const uint8_t* src = p.src + k * p.output + c * p.taps;
      Ints words[kMaxFollowingTaps + L];
      for (int64_t at = 0; at < p.taps; at += L) {
        const int cols = int(p.taps - at < L ? p.taps - at : L);
        Vec<float> t[L];
        KONV_UNROLL
        for (int i = 0; i < L; i++)
          t[i] = i < n ? load_n(reinterpret_cast<const float*>(src + i * p.output + 4 * at), cols) : Vec<float>{};
        transpose_square<float>(t);
        KONV_UNROLL
        for (int i = 0; i < L; i++) words[at + i] = (Ints)t[i];
      }
      for (int64_t tap = 0; tap < p.taps; tap++)
        for (int first = 0; first < 4; first += C) {
          Ints element{};
          KONV_UNROLL
          for (int j = 0; j < C; j++) {
            const int64_t at = (first + j) * p.taps + tap;
            const Ints value = (((words[at / 4] >> int32_t(at % 4 * 8)) & 0xff) ^ flip) - zero;
            sum += value;
            element |= (value & int32_t((uint64_t(1) << (32 / C)) - 1)) << (j * (32 / C));
          }
          store_n(p.dst + p.rows[(c + first) / C * p.taps + tap] + k, (Vec<float>)element, n);
        }
    }
    for (int i = 0; i < n; i++) p.sums[k + i] += uint32_t(sum[i]);
  }
}

template <class Form>
constexpr IntGemm make_int_gemm() {
  IntGemm k{};
  k.pack_weights = pack_byte_weights<Form>;
  k.together = Form::kTogether;
  k.pack_planes = pack_byte_planes<Form>;
  k.pack_pixels = pack_byte_pixels<Form>;
  return k;
}
template <class Step>
constexpr void fill_int_gemm(IntGemm& k, int b_unsigned) {
  struct {
    void (*gemm[kMaxGemmVectors][2][kMaxGemmRows + 1])(const GemmTile<float>&);
  } t{};
  fill_gemm<float, Step>(t);
  for (int v = 0; v < kMaxGemmVectors; v++)
    for (int unit = 0; unit < 2; unit++)
      for (int rows = 0; rows <= kMaxGemmRows; rows++) k.gemm[b_unsigned][v][unit][rows] = t.gemm[v][unit][rows];
}
constexpr IntGemm make_word_gemm() {
  IntGemm k = make_int_gemm<WordForm>();
  fill_int_gemm<WordProducts>(k, 0), fill_int_gemm<WordProducts>(k, 1);
  return k;
}

static void whole_rows(const WholeRows& p) {
  constexpr int L = kLanes<float>;
  for (int64_t r = 0; r < p.rows; r++) {
    float* row = p.data + r * p.ld;
    int64_t c = 0;
    for (; c + L <= p.cols; c += L) {
      const Ints bias = p.lane_bias ? load(p.lane_bias + c) : splat<int32_t>(p.row_bias);
      store(row + c, (Vec<float>)(__builtin_convertvector(load(row + c), Ints) + bias));
    }
    for (; c < p.cols; c++)
      store_bits(row + c, int32_t(uint32_t(int32_t(row[c])) + uint32_t(p.lane_bias ? p.lane_bias[c] : p.row_bias)));
  }
}

// Adding and taking away 1.5 * 2^23 rounds half to even whatever is below 2^22.
static void requantize_rows(const RequantizeRows& p) {
  constexpr int L = kLanes<float>;
  constexpr float kRound = 12582912.0f;
  const float low = float(p.low - p.zero), high = float(p.high - p.zero);
  for (int64_t r = 0; r < p.rows; r++) {
    const int32_t* src = p.src + r * p.src_ld;
    uint8_t* dst = p.dst + r * p.dst_ld;
    int64_t c = 0;
    for (; c + L <= p.cols; c += L) {
      const Vec<float> scale = p.lane_scale ? load(p.lane_scale + c) : splat<float>(p.row_scale);
      Vec<float> v = __builtin_convertvector(load(src + c), Vec<float>) * scale;
      v = v < splat<float>(low) ? splat<float>(low) : v;
      v = v > splat<float>(high) ? splat<float>(high) : v;
      const Ints whole = (Ints)(v + splat<float>(kRound)) - (Ints)splat<float>(kRound) + p.zero;
      store_bytes(dst + c, whole);
    }
    for (; c < p.cols; c++) {
      float v = float(src[c]) * (p.lane_scale ? p.lane_scale[c] : p.row_scale);
      v = v < low ? low : v > high ? high : v;
      dst[c] = uint8_t(int32_t((v + kRound) - kRound) + p.zero);
    }
  }
}

static void dequantize_rows(const DequantizeRows& p) {
  constexpr int L = kLanes<float>;
  for (int64_t r = 0; r < p.rows; r++) {
    const int32_t* src = p.src + r * p.src_ld;
    float* dst = p.dst + r * p.dst_ld;
    int64_t c = 0;
    for (; c + L <= p.cols; c += L)
      store(dst + c, __builtin_convertvector(load(src + c), Vec<float>) * load(p.lane_scale + c));
    for (; c < p.cols; c++) dst[c] = float(src[c]) * p.lane_scale[c];
  }
}

static void numbers_of_bytes(const uint8_t* src, int64_t step, int64_t n, ByteScale s, float* dst) {
  constexpr int L = kLanes<float>;
  const int32_t flip = s.is_signed ? 0x80 : 0, offset = s.zero + flip;
  int64_t i = 0;
  if (step == 1)
    for (; i + L <= n; i += L)
      store(dst + i, __builtin_convertvector((widen_bytes(src + i) ^ flip) - offset, Vec<float>) * s.scale);
  for (; i < n; i++) dst[i] = float((src[i * step] ^ flip) - offset) * s.scale;
}

static void bytes_of_numbers(const float* src, int64_t n, ByteScale s, uint8_t* dst, int64_t step) {
  constexpr int L = kLanes<float>;
  constexpr float kRound = 12582912.0f;
  const int32_t lowest = s.is_signed ? -128 : 0;
  const float low = float(lowest - s.zero), high = float(lowest + 255 - s.zero), factor = 1 / s.scale;
  int64_t i = 0;
  if (step == 1)
    for (; i + L <= n; i += L) {
      Vec<float> v = load(src + i) * factor;
      v = v > splat<float>(low) ? v : splat<float>(low);
      v = v < splat<float>(high) ? v : splat<float>(high);
      store_bytes(dst + i, (Ints)(v + splat<float>(kRound)) - (Ints)splat<float>(kRound) + s.zero);
    }
  for (; i < n; i++) {
    float v = src[i] * factor;
    v = v > low ? v : low;
    v = v < high ? v : high;
    dst[i * step] = uint8_t(int32_t((v + kRound) - kRound) + s.zero);
  }
}

constexpr IntKernels make_int_kernels() {
  IntKernels k{};
  k.words = make_word_gemm();
  k.pack_float_planes = pack_byte_planes<FloatForm>;
  k.pack_float_pixels = pack_byte_pixels<FloatForm>;
  k.whole_rows = whole_rows;
  k.requantize_rows = requantize_rows;
  k.dequantize_rows = dequantize_rows;
  k.numbers_of_bytes = numbers_of_bytes;
  k.bytes_of_numbers = bytes_of_numbers;
  return k;
}

}  // namespace konv::KONV_ISA_LEVEL_NAME
