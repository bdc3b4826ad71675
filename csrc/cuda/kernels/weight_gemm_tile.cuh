// A tile of the weight gradient's matrix product in shared memory: both operands lie by pixel, which is the inner
// dimension, so that each is read across its rows.
//
// A row is one pixel's channels, cut into panels of 128 bytes: [panel][pixel][eight chunks]. 16-bit elements are read
// by ldmatrix with transposition, eight pixels' chunks of one number at a time: chunk c of pixel r lies at c ^ (r % 8).
// tf32 has no such load; there four pixels' pairs of chunks are read at a time, which c ^ (2 r % 8) spreads over the
// banks, and which serves rows of neighbouring chunks as well (FusedWeightSums).
#pragma once
#include "cuda/kernels/gemm_tile.cuh"

namespace konv::cuda {

// M output channels x N columns, Pixels a step.
template <int M, int N, int WarpsM, int WarpsN, int Stages, int Pixels>
struct WeightTile : Tile<M, N, WarpsM, WarpsN, Stages> {
  static constexpr int kPixels = Pixels;
};

template <class T, int Pixels>
__device__ __forceinline__ int pixel_chunk_at(int pixel, int chunk) {
  const int turn = sizeof(T) == 2 ? pixel & 7 : pixel * 2 & 7;
  return (chunk / kChunksOfRow * Pixels + pixel) * kRowBytes + ((chunk % kChunksOfRow ^ turn) * kChunk);
}

// 16-bit fragments are loaded before the products of the ones before; tf32's, of which there are as many for half the
// products, as they are needed: registers.
template <class T, class Tile>
class TensorWeightSums {
 public:
  __device__ TensorWeightSums() : lane_(int(threadIdx.x) % kWarp) {
    const int warp = int(threadIdx.x) / kWarp;
    m0_ = warp / Tile::kWarpsN * Tile::kWarpM, n0_ = warp % Tile::kWarpsN * Tile::kWarpN;
    word_at_ = lane_ % 4 * kRowBytes + (lane_ / 16 ^ (lane_ % 4 * 2)) * kChunk + lane_ / 4 % 4 * 4;
#pragma unroll
    for (int i = 0; i < kI; i++)
#pragma unroll
      for (int j = 0; j < kJ; j++)
#pragma unroll
        for (int r = 0; r < 4; r++) sums_[i][j][r] = 0;
  }

  __device__ __forceinline__ void add(const char* a, const char* b) {
    if constexpr (kBuffers == 2) load(0, a, b, 0);
#pragma unroll
    for (int step = 0; step < kSteps; step++) {
      if constexpr (kBuffers == 1) load(0, a, b, step);
      if (kBuffers == 2 && step + 1 < kSteps) load((step + 1) % 2, a, b, step + 1);
#pragma unroll
      for (int i = 0; i < kI; i++)
#pragma unroll
        for (int j = 0; j < kJ; j++) multiply<T>(sums_[i][j], a_[step % kBuffers][i], b_[step % kBuffers][j]);
    }
  }

  template <class Put>
  __device__ __forceinline__ void each(Put&& put) const {
#pragma unroll
    for (int i = 0; i < kI; i++)
#pragma unroll
      for (int j = 0; j < kJ; j++)
#pragma unroll
        for (int half = 0; half < 2; half++)
          put(m0_ + i * 16 + half * 8 + lane_ / 4, n0_ + j * 8 + lane_ % 4 * 2,
              Vector<float, 2>{{sums_[i][j][half * 2], sums_[i][j][half * 2 + 1]}});
  }

 private:
  static constexpr int kI = Tile::kWarpM / 16, kJ = Tile::kWarpN / 8, kInner = sizeof(T) == 2 ? 16 : 8;
  static constexpr int kSteps = Tile::kPixels / kInner, kBuffers = sizeof(T) == 2 ? 2 : 1;
  static constexpr int kWordsOfRow = kRowBytes / 4;
  static_assert(kJ % 2 == 0);

  __device__ __forceinline__ void load(int buffer, const char* a, const char* b, int step) {
    if constexpr (sizeof(T) == 2) {
#pragma unroll
      for (int i = 0; i < kI; i++)
        load_matrices_transposed(a_[buffer][i],
                                 a + pixel_chunk_at<T, Tile::kPixels>(step * 16 + lane_ / 16 * 8 + lane_ % 8,
                                                                      (m0_ + i * 16) / 8 + lane_ / 8 % 2));
#pragma unroll
      for (int j = 0; j < kJ; j += 2) {
        uint32_t four[4];
        load_matrices_transposed(
            four, b + pixel_chunk_at<T, Tile::kPixels>(step * 16 + lane_ % 16, (n0_ + j * 8) / 8 + lane_ / 16));
#pragma unroll
        for (int r = 0; r < 4; r++) b_[buffer][j + r / 2][r % 2] = four[r];
      }
    } else {
      static_assert(Tile::kWarpM % kWordsOfRow == 0 && Tile::kWarpN % kWordsOfRow == 0);
      const char* const rows = a + m0_ / kWordsOfRow * (Tile::kPixels * kRowBytes);
      const char* const columns = b + n0_ / kWordsOfRow * (Tile::kPixels * kRowBytes);
#pragma unroll
      for (int i = 0; i < kI; i++)
#pragma unroll
        for (int r = 0; r < 4; r++) a_[buffer][i][r] = word(rows, step * 8 + r / 2 * 4, i * 16 + r % 2 * 8);
#pragma unroll
      for (int j = 0; j < kJ; j++)
#pragma unroll
        for (int r = 0; r < 2; r++) b_[buffer][j][r] = word(columns, step * 8 + r * 4, j * 8);
    }
  }
  // Of the lane's pixel among four, and its channel among eight; pixel and channel are multiples of these.
  __device__ __forceinline__ uint32_t word(const char* panels, int pixel, int channel) const {
    const char* const rows = panels + channel / kWordsOfRow * (Tile::kPixels * kRowBytes) + pixel * kRowBytes;
    return to_tf32(*reinterpret_cast<const float*>(rows + (word_at_ ^ channel % kWordsOfRow / 8 * (2 * kChunk))));
  }

  int lane_, m0_, n0_;
  int word_at_;  // of 32-bit elements, in the first pair of chunks
  float sums_[kI][kJ][4];
  uint32_t a_[kBuffers][kI][4], b_[kBuffers][kJ][2];
};

// Fused multiply-adds: a thread has chunks of rows times chunks of columns.
template <class T, class Tile>
class FusedWeightSums {
 public:
  __device__ FusedWeightSums() {
    const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp;
    m0_ = warp / (kAcross / 8) * 4 + lane / 8, n0_ = warp % (kAcross / 8) * 8 + lane % 8;
#pragma unroll
    for (int i = 0; i < kI * kElements; i++)
#pragma unroll
      for (int j = 0; j < kJ * kElements; j++) sums_[i][j] = 0;
  }

  __device__ __forceinline__ void add(const char* a, const char* b) {
#pragma unroll 4
    for (int p = 0; p < Tile::kPixels; p++) {
      Chunk rows[kI], columns[kJ];
#pragma unroll
      for (int i = 0; i < kI; i++)
        rows[i] = load_vector<Chunk>(a + pixel_chunk_at<T, Tile::kPixels>(p, m0_ + i * kDown));
#pragma unroll
      for (int j = 0; j < kJ; j++)
        columns[j] = load_vector<Chunk>(b + pixel_chunk_at<T, Tile::kPixels>(p, n0_ + j * kAcross));
#pragma unroll
      for (int i = 0; i < kI * kElements; i++)
#pragma unroll
        for (int j = 0; j < kJ * kElements; j++)
          sums_[i][j] += rows[i / kElements].at[i % kElements] * columns[j / kElements].at[j % kElements];
    }
  }

  template <class Put>
  __device__ __forceinline__ void each(Put&& put) const {
#pragma unroll
    for (int i = 0; i < kI * kElements; i++)
#pragma unroll
      for (int j = 0; j < kJ * kElements; j += 2)
        put((m0_ + i / kElements * kDown) * kElements + i % kElements,
            (n0_ + j / kElements * kAcross) * kElements + j % kElements, Vector<T, 2>{{sums_[i][j], sums_[i][j + 1]}});
  }

 private:
  static constexpr int kElements = kChunk / int(sizeof(T));
  using Chunk = Vector<T, kElements>;
  // Chunks across the tile that neighbouring threads have, and down.
  static constexpr int kAcross = Tile::kThreads == 256 ? 16 : 8, kDown = Tile::kThreads / kAcross;
  static constexpr int kI = Tile::kM / kElements / kDown, kJ = Tile::kN / kElements / kAcross;
  static_assert(kI > 0 && kJ > 0);

  int m0_, n0_;
  T sums_[kI * kElements][kJ * kElements];
};

}  // namespace konv::cuda
