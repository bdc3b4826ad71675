// Medium precision: operands rounded to bfloat16, two channels an element, sums in float32.
//
// One instruction multiplies both halves of each lane and adds the two products to a float32 lane. With a pair of
// channels in the place of a channel that is the micro-kernel and the packing of gemm.inl.h and pack.inl.h over half as
// many elements. Conversion rounds to nearest, ties to even, and treats subnormals as zero, and so do the products.
#pragma once
#include "kernels/table.h"
#include "simd/vec.h"

#include "kernels/export.inl.h"
#include "kernels/gemm.inl.h"
#include "kernels/pack.inl.h"

namespace konv::KONV_ISA_LEVEL_NAME {

struct PairProducts {
  KONV_INLINE Vec<float> add(Vec<float> sum, Vec<float> a, Vec<float> b) {
    return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
};

// Pairs of consecutive values: (low[0], low[1]), ..., (high[14], high[15]).
KONV_INLINE Vec<float> neighbour_pairs(Vec<float> low, Vec<float> high) {
  return (Vec<float>)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}
// (first[i], second[i])
KONV_INLINE Vec<float> pairs(Vec<float> first, Vec<float> second) {
  const __m512i halves = (__m512i)neighbour_pairs(first, second);
  // Lane i takes words i and 16 + i.
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i words = _mm512_or_si512(lane, _mm512_slli_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(16)), 16));
  return (Vec<float>)_mm512_permutexvar_epi16(words, halves);
}

// As pack_run, for the rows of two channels; `second` is null where the number of channels is odd.
template <int Step>
KONV_INLINE void pack_pair_run(const float* first, const float* second, float* dst, int64_t begin, int64_t end,
                               int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes<float>)
    store(dst + i,
          pairs(load_run<Step>(first, i, begin, end), second ? load_run<Step>(second, i, begin, end) : Vec<float>{}));
}
static void pack_pair_row(const float* first, const float* second, int64_t step, float* dst, int64_t begin, int64_t end,
                          int64_t n) {
  constexpr int L = kLanes<float>;
  if (step == 1) return pack_pair_run<1>(first, second, dst, begin, end, n);
  if (step == 2) return pack_pair_run<2>(first, second, dst, begin, end, n);
  for (int64_t i = 0; i < n; i += L) {
    float a[L] = {}, b[L] = {};
    const int64_t last = end - i < L ? end - i : L;
    for (int64_t j = begin > i ? begin - i : 0; j < last; j++) {
      a[j] = first[(i + j) * step];
      if (second) b[j] = second[(i + j) * step];
    }
    store(dst + i, pairs(load(a), load(b)));
  }
}
static void pack_pair_planes(const PackRegion<float>& p) {
  pack_planes_by(
      p, 2, [](float* dst, int64_t n) { zero_run(dst, n); },
      [&](int64_t c, const float* row, int64_t step, float* dst, int64_t begin, int64_t end, int64_t n) {
        pack_pair_row(row, c + 1 < p.channels ? row + p.channel_stride : nullptr, step, dst, begin, end, n);
      });
}

KONV_INLINE Vec<float> load_first(const float* p, int64_t n) {
  constexpr int L = kLanes<float>;
  return n >= L ? load(p) : load_n(p, n > 0 ? int(n) : 0);
}
// The n values from src, and a zero after an odd number of them.
static void pack_neighbours(const float* src, float* dst, int64_t n) {
  constexpr int L = kLanes<float>;
  int64_t i = 0;
  for (; i + 2 * L <= n; i += 2 * L) store(dst + i / 2, neighbour_pairs(load(src + i), load(src + i + L)));
  if (i < n)
    store_n(dst + i / 2, neighbour_pairs(load_first(src + i, n - i), load_first(src + i + L, n - i - L)),
            int(n - i + 1) / 2);
}
static void pack_pair_pixels(const PackRegion<float>& p) {
  const int64_t pairs = (p.channels + 1) / 2;
  const auto blank = [](float* dst, int64_t n) { zero_run(dst, n); };
  pack_pixels_by(p, blank, [&](const float* row, int64_t step, float* d, int64_t n) {
    if (step == p.channels && 2 * p.channel_pitch == p.channels) return pack_neighbours(row, d, n * p.channels);
    for (int64_t x = 0; x < n; x++) {
      pack_neighbours(row + x * step, d + x * p.channel_pitch, p.channels);
      zero_run(d + x * p.channel_pitch + pairs, p.channel_pitch - pairs);
    }
  });
}

// Transposes 16 outputs and up to 16 pairs: pair(k) loads those of output k, row(c) is where column c goes, or null.
template <class Pair, class Row>
KONV_INLINE void transpose_pairs(int outputs, int cols, Pair&& pair, Row&& row) {
  constexpr int L = kLanes<float>;
  Vec<float> t[L];
  KONV_UNROLL
  for (int k = 0; k < L; k++) t[k] = k < outputs ? pair(k) : Vec<float>{};
  transpose_square<float>(t);
  KONV_UNROLL
  for (int c = 0; c < L; c++)
    if (c < cols)
      if (float* d = row(c)) store_n(d, t[c], outputs);
}
// Weights of a panel lie in short runs, which end before the CPU sees a stream: requests a pair some pairs ahead.
KONV_INLINE void request_ahead(const float* src, int64_t channel) {
  constexpr int64_t kAhead = 4;
  __builtin_prefetch(src + 2 * kAhead * channel);
  __builtin_prefetch(src + (2 * kAhead + 1) * channel);
}
KONV_INLINE float* weight_row(const WeightPairs& p, int64_t index, int64_t k) {
  return p.dst_off[index] < 0 ? nullptr : p.dst + p.dst_off[index] + k;
}
// The channels of an output lie side by side.
static void pack_neighbour_weights(const WeightPairs& p) {
  constexpr int L = kLanes<float>;
  for (int64_t k0 = 0; k0 < p.outputs; k0 += L)
    for (int64_t c = 0; c < p.channels; c += 2 * L) {
      const int64_t rest = p.channels - c;
      const float* src = p.src + k0 * p.output + c;
      transpose_pairs(
          int(p.outputs - k0 < L ? p.outputs - k0 : L), int(rest < 2 * L ? (rest + 1) / 2 : L),
          [&](int k) {
            const float* row = src + k * p.output;
            return neighbour_pairs(load_first(row, rest), load_first(row + L, rest - L));
          },
          [&](int i) { return weight_row(p, c / 2 + i, k0); });
    }
}
// The outputs of a channel lie side by side: nothing to transpose.
static void pack_weight_rows(const WeightPairs& p) {
  constexpr int L = kLanes<float>;
  for (int64_t c = 0; c < p.channels; c += 2)
    for (int64_t k = 0; k < p.outputs; k += L) {
      const int64_t n = p.outputs - k;
      const float* src = p.src + c * p.channel + k;
      request_ahead(src, p.channel);
      const Vec<float> second = c + 1 < p.channels ? load_first(src + p.channel, n) : Vec<float>{};
      if (float* d = weight_row(p, c / 2, k)) store_n(d, pairs(load_first(src, n), second), int(n < L ? n : L));
    }
}
static void pack_weight_pairs(const WeightPairs& p) {
  constexpr int L = kLanes<float>;
  if (p.elements == 1 && p.output == 1) return pack_weight_rows(p);
  if (p.elements == 1 && p.channel == 1) return pack_neighbour_weights(p);
  for (int64_t k0 = 0; k0 < p.outputs; k0 += L)
    for (int64_t c = 0; c < p.channels; c += 2)
      for (int64_t e = 0; e < p.elements; e += L) {
        const int64_t n = p.elements - e;
        const float* src = p.src + k0 * p.output + c * p.channel + e;
        transpose_pairs(
            int(p.outputs - k0 < L ? p.outputs - k0 : L), int(n < L ? n : L),
            [&](int k) {
              const float* row = src + k * p.output;
              request_ahead(row, p.channel);
              return pairs(load_first(row, n), c + 1 < p.channels ? load_first(row + p.channel, n) : Vec<float>{});
            },
            [&](int i) { return weight_row(p, c / 2 * p.elements + e + i, k0); });
      }
}

constexpr PairKernels make_pair_kernels() {
  PairKernels k{};
  fill_gemm<float, PairProducts>(k);
  k.pack_planes = pack_pair_planes;
  k.pack_pixels = pack_pair_pixels;
  k.pack_weights = pack_weight_pairs;
  return k;
}

}  // namespace konv::KONV_ISA_LEVEL_NAME

KONV_EXPORT_KERNELS(konv::PairKernels, konv::KONV_ISA_LEVEL_NAME::make_pair_kernels())
