// A tile of a matrix product in shared memory, and what a block's threads do with it.
//
// A row of a tile is 128 bytes, eight chunks of 16, of one pixel or output channel: a run of the inner dimension. Chunk
// c of row r lies at c ^ (r % 8), so that eight rows' chunks of the same number, which one ldmatrix phase or eight
// threads read together, fall into all 32 banks; so does a row's 128 bytes that eight threads write.
//
// Both operands have this form: B's "columns" are rows of the packed weights, so that ldmatrix without transposition
// gives the fragments of mma's row.col form, for 16-bit elements (k16 in two chunks) as for tf32 (k8 in two chunks).
#pragma once
#include <type_traits>

#include "cuda/conv/implicit_gemm.h"
#include "cuda/device.h"
#include "cuda/numbers.h"

namespace konv::cuda {

constexpr int kChunk = 16, kChunksOfRow = kRowBytes / kChunk;

// WarpsM x WarpsN warps share a tile of M x N sums, whose operands are copied Stages - 1 steps ahead.
template <int M, int N, int WarpsM, int WarpsN, int Stages>
struct Tile {
  static constexpr int kM = M, kN = N, kWarpsN = WarpsN, kStages = Stages;
  static constexpr int kThreads = WarpsM * WarpsN * kWarp;
  static constexpr int kWarpM = M / WarpsM, kWarpN = N / WarpsN;
};

// Blocks that a processor should hold: two of 256 threads have 128 registers each, two of 128 threads all they may.
template <class T, class Tile>
constexpr int kBlocksOf = Tile::kM * Tile::kN >= 128 * 128 || sizeof(T) == 8 ? 2 : 3;

__device__ __forceinline__ int least(int a, int b) { return a < b ? a : b; }

// Bytes from the start of a tile.
__device__ __forceinline__ int chunk_at(int row, int chunk) {
  return row * kRowBytes + ((chunk ^ (row & (kChunksOfRow - 1))) * kChunk);
}

template <class T>
__device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (std::is_same_v<T, float>)
    multiply_add_tf32(d, a, b);
  else
    multiply_add(d, a, b, T());
}

// Tensor cores: float16, bfloat16, and float as tf32, whose B is rounded already. Each warp owns kWarpM x kWarpN sums.
// Fragments of the next 32 bytes are loaded before the products of these; tf32's, whose rounding waits for them, are
// not.
template <class T, class Tile>
class TensorSums {
 public:
  __device__ TensorSums() : lane_(int(threadIdx.x) % kWarp) {
    const int warp = int(threadIdx.x) / kWarp;
    m0_ = warp / Tile::kWarpsN * Tile::kWarpM, n0_ = warp % Tile::kWarpsN * Tile::kWarpN;
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
        for (int j = 0; j < kJ; j++) {
          const uint32_t pair[2] = {b_[step % kBuffers][j / 2][j % 2 * 2], b_[step % kBuffers][j / 2][j % 2 * 2 + 1]};
          multiply<T>(sums_[i][j], a_[step % kBuffers][i], pair);
        }
    }
  }

  // put(row, column, values): two neighbouring columns at a time.
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
  static constexpr int kI = Tile::kWarpM / 16, kJ = Tile::kWarpN / 8, kSteps = kChunksOfRow / 2;
  static constexpr int kBuffers = sizeof(T) == 2 ? 2 : 1;
  static_assert(kJ % 2 == 0);

  __device__ __forceinline__ void load(int buffer, const char* a, const char* b, int step) {
#pragma unroll
    for (int i = 0; i < kI; i++) {
      load_matrices(a_[buffer][i], a + chunk_at(m0_ + i * 16 + lane_ % 16, step * 2 + lane_ / 16));
      if constexpr (std::is_same_v<T, float>) {
#pragma unroll
        for (int r = 0; r < 4; r++) a_[buffer][i][r] = to_tf32(bits_as_float(a_[buffer][i][r]));
      }
    }
#pragma unroll
    for (int j = 0; j < kJ / 2; j++)
      load_matrices(b_[buffer][j], b + chunk_at(n0_ + j * 16 + lane_ / 16 * 8 + lane_ % 8, step * 2 + lane_ / 8 % 2));
  }

  int lane_, m0_, n0_;
  float sums_[kI][kJ][4];
  uint32_t a_[kBuffers][kI][4], b_[kBuffers][kJ / 2][4];
};

// Fused multiply-adds, float or double. Eight threads side by side have neighbouring columns, four above each other
// neighbouring rows, so that no two chunks that a warp reads at once share a bank.
template <class T, class Tile>
class FusedSums {
 public:
  __device__ FusedSums() {
    const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp;
    m0_ = warp / (kAcross / 8) * 4 + lane / 8, n0_ = warp % (kAcross / 8) * 8 + lane % 8;
#pragma unroll
    for (int i = 0; i < kI; i++)
#pragma unroll
      for (int j = 0; j < kJ; j++) sums_[i][j] = 0;
  }

  __device__ __forceinline__ void add(const char* a, const char* b) {
#pragma unroll 1
    for (int c = 0; c < kChunksOfRow; c++) {
      Chunk rows[kI];
#pragma unroll
      for (int i = 0; i < kI; i++) rows[i] = load_vector<Chunk>(a + chunk_at(m0_ + i * kDown, c));
#pragma unroll
      for (int j = 0; j < kJ; j++) {
        const Chunk column = load_vector<Chunk>(b + chunk_at(n0_ + j * kAcross, c));
#pragma unroll
        for (int i = 0; i < kI; i++)
#pragma unroll
          for (int e = 0; e < kElements; e++) sums_[i][j] += rows[i].at[e] * column.at[e];
      }
    }
  }

  template <class Put>
  __device__ __forceinline__ void each(Put&& put) const {
#pragma unroll
    for (int i = 0; i < kI; i++)
#pragma unroll
      for (int j = 0; j < kJ; j++) put(m0_ + i * kDown, n0_ + j * kAcross, Vector<T, 1>{{sums_[i][j]}});
  }

 private:
  static constexpr int kElements = kChunk / int(sizeof(T));
  using Chunk = Vector<T, kElements>;
  static constexpr int kAcross = Tile::kN < 64 ? 8 : Tile::kN / 8, kDown = Tile::kThreads / kAcross;
  static constexpr int kI = Tile::kM / kDown, kJ = Tile::kN / kAcross;

  int m0_, n0_;
  T sums_[kI][kJ];
};

}  // namespace konv::cuda
