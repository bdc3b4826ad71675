// Forward convolution and input gradient as one implicit matrix product.
//
// Rows are output pixels, columns the output channels of a group, the inner dimension is taps x channels: a flat
// sequence of 16-byte vectors of channels, tap after tap. A step takes 128 bytes of it. The matrix of patches is never
// formed: a thread copies the vectors of one column of the tile, and the table of the inner dimension tells it, one
// entry a step, which tap that is and how far it lies from each pixel; pixels are found once a block. What lies beyond
// the border, the last pixel or the last tap is zero-filled by cp.async itself. Steps are copied kStages - 1 ahead,
// with one barrier a step.
//
// Budget of the 128x128 tile, by four warps of 64x64: 32 KiB a stage, two stages, 71 KiB with the sums' turn and the
// pixels; two blocks a processor, on an A100 too. A step of 64 elements of 16 bits is 2 * 128 * 128 * 64 FLOPs on 32
// KiB from the second-level cache, 64 a byte: at 4 TB/s (A100; 5.5 to 7 on an H100) that allows 260 (350 to 450)
// TFLOP/s. Shared memory, 128 bytes a cycle: 64 KiB of fragments and 32 KiB of copies are 768 cycles; an A100's tensor
// cores take 1024 for the products, an H100's by mma.sync about 830, 62 % of their rate. Warps of 64x32, as in the
// smaller tiles, read half as much again: 1024 cycles. Predicted for large layers, 16 bits: 65 to 75 % of an A100's 312
// TFLOP/s, 35 to 45 % of an H100's 989, which has warpgroup_gemm.cuh besides. tf32, by eight warps of 64x32, as
// four would need more registers than there are: 55 to 65 % of half these rates. Strict: 16 loads of 16 bytes for 256
// FMAs, 80 to 85 % of the float32 rate.
#pragma once
#include "cuda/kernels/gemm_finish.cuh"

namespace konv::cuda {

constexpr int kOutside = -(1 << 30);  // the position of what lies nowhere

// Where a pixel's window begins, and that place in vectors from the operand's first.
struct alignas(16) Window {
  int at[3], offset;
};
__device__ __forceinline__ Window window_of(const PixelVectors& v, const int (&out)[3], const int (&step)[3], int m,
                                            int group) {
  const Pixel p = pixel_of(m, out);
  Window w{{p.at[0] * step[0], p.at[1] * step[1], p.at[2] * step[2]}, p.n * v.n + group * v.group};
#pragma unroll
  for (int i = 0; i < 3; i++) w.offset += w.at[i] * v.stride[i];
  return w;
}
__device__ __forceinline__ bool is_inside(const PixelVectors& v, const Window& w, const TapVector& t) {
  return unsigned(w.at[0] + t.at[0]) < unsigned(v.size[0]) && unsigned(w.at[1] + t.at[1]) < unsigned(v.size[1]) &&
         unsigned(w.at[2] + t.at[2]) < unsigned(v.size[2]);
}

// Shared memory: the stages, which the finished sums take over, then the pixels' windows and results.
template <class T, class Tile>
struct GemmMemory {
  static constexpr int kStage = (Tile::kM + Tile::kN) * kRowBytes;
  static constexpr int kPitch = Tile::kN + 8;  // of sums: eight lanes' pairs of four rows fall into all banks
  static constexpr int kSums = Tile::kM * kPitch * int(sizeof(Sum<T>));
  static constexpr int kStages = kStage * Tile::kStages > kSums ? kStage * Tile::kStages : kSums;
  static constexpr int kBytes = kStages + Tile::kM * int(sizeof(Window) + sizeof(int64_t));
};

// Copies a thread's share of each step: one column of A's vectors, and of B's chunks.
template <class Tile, int VectorBytes>
class GemmCopies {
 public:
  __device__ GemmCopies(const GemmArguments& a, const Window* windows, int n0, int group, int first_tile) : a_(a) {
    const int t = int(threadIdx.x), column = t % kColumns, row = t / kColumns, chunk = t % kChunksOfRow;
    windows_ = windows + row;
    to_a_ = chunk_at(row, column * VectorBytes / kChunk) + column * VectorBytes % kChunk;
    entry_ = first_tile * kColumns + column;
    next_ = a.table[entry_];
    n_ = n0 + t / kChunksOfRow;
    weights_ = a.w + (int64_t(group) * a.outputs + n_) * a.k_tiles * kRowBytes + int64_t(first_tile) * kRowBytes +
               chunk * kChunk;
    to_b_ = Tile::kM * kRowBytes + chunk_at(t / kChunksOfRow, chunk);
  }

  // The next step, of which `more` follow. Its own entry of the table was read a step ago.
  __device__ __forceinline__ void issue(char* stage, bool more) {
    const TapVector tap = next_;
    entry_ += kColumns;
    if (more) next_ = a_.table[entry_];
#pragma unroll
    for (int i = 0; i < Tile::kM / kARows; i++) {
      const Window w = windows_[i * kARows];
      copy_async<VectorBytes>(stage + to_a_ + i * kARows * kRowBytes,
                              a_.a + int64_t(w.offset + tap.offset) * VectorBytes, is_inside(a_.pixels, w, tap));
    }
#pragma unroll
    for (int i = 0; i < Tile::kN / kBRows; i++)
      copy_async<kChunk>(stage + to_b_ + i * kBRows * kRowBytes,
                         weights_ + int64_t(i * kBRows) * a_.k_tiles * kRowBytes, n_ + i * kBRows < a_.outputs);
    weights_ += kRowBytes;
  }

 private:
  static constexpr int kColumns = kRowBytes / VectorBytes, kARows = Tile::kThreads / kColumns;
  static constexpr int kBRows = Tile::kThreads / kChunksOfRow;
  static_assert(kARows % 8 == 0 && kBRows % 8 == 0 && Tile::kM % kARows == 0 && Tile::kN % kBRows == 0);

  const GemmArguments& a_;
  const Window* windows_;
  int entry_, n_, to_a_, to_b_;
  TapVector next_;
  const char* weights_;
};

// What a block does. grid: tiles, columns fastest; groups; parts of the inner dimension.
struct GemmBlock {
  int m0, n0, group, part, first, count;  // of the inner dimension's steps

  __device__ GemmBlock(const GemmArguments& a, int rows, int columns)
      : m0(int(blockIdx.x) / a.column_blocks * rows),
        n0(int(blockIdx.x) % a.column_blocks * columns),
        group(int(blockIdx.y)),
        part(int(blockIdx.z)),
        first(part * a.tiles_a_part),
        count(least(a.tiles_a_part, a.k_tiles - first)) {}
};

template <class Tile>
__device__ __forceinline__ void find_pixels(const GemmArguments& a, const GemmBlock& block, Window* windows) {
  int64_t* const results = reinterpret_cast<int64_t*>(windows + Tile::kM);
  for (int r = int(threadIdx.x); r < Tile::kM; r += Tile::kThreads) {
    const int m = block.m0 + r;
    const Window nowhere{{kOutside, kOutside, kOutside}, 0};
    windows[r] = m < a.m ? window_of(a.pixels, a.out, a.step, m, block.group) : nowhere;
    results[r] = m < a.m ? result_of(a, m) : 0;
  }
}

// Through shared memory, which nobody uses for anything else any more.
template <class T, class Tile, class Sums>
__device__ __forceinline__ void finish_tile(const GemmArguments& a, const GemmBlock& block, const Sums& sums,
                                            char* stages, const Window* windows) {
  constexpr int kPitch = GemmMemory<T, Tile>::kPitch, kRuns = Tile::kN / kRun<T>;
  const int64_t* const results = reinterpret_cast<const int64_t*>(windows + Tile::kM);
  Sum<T>* const finished = reinterpret_cast<Sum<T>*>(stages);
  sums.each([&](int row, int column, const auto& values) { store_vector(finished + row * kPitch + column, values); });
  __syncthreads();
  const int64_t first_channel = int64_t(block.group) * a.outputs + block.n0, width = int64_t(gridDim.y) * a.outputs;
#pragma unroll 1
  for (int i = int(threadIdx.x); i < Tile::kM * kRuns; i += Tile::kThreads) {
    const bool by_channel = a.sums || a.y_c == 1;
    const int row = by_channel ? i / kRuns : i % Tile::kM, run = (by_channel ? i % kRuns : i / Tile::kM) * kRun<T>;
    const int n = least(kRun<T>, a.outputs - block.n0 - run);
    if (block.m0 + row >= a.m || n <= 0) continue;
    Sum<T>* const from = finished + row * kPitch + run;
    const int64_t channel = first_channel + run;
    if (a.sums) {
      Sum<T>* const to = static_cast<Sum<T>*>(a.sums) + (int64_t(block.part) * a.m + block.m0 + row) * width + channel;
      for (int j = 0; j < n; j++) to[j] = from[j];
    } else {
      finish_run<T>(a, from, n, channel, results[row] + channel * a.y_c);
    }
  }
}

template <class T, class Tile, template <class, class> class Sums, int VectorBytes>
__global__ void __launch_bounds__(Tile::kThreads, kBlocksOf<T, Tile>) implicit_gemm(GemmArguments a) {
  using Memory = GemmMemory<T, Tile>;
  char* const stages = shared_memory();
  Window* const windows = reinterpret_cast<Window*>(stages + Memory::kStages);
  const GemmBlock block(a, Tile::kM, Tile::kN);
  find_pixels<Tile>(a, block, windows);
  __syncthreads();
  Sums<T, Tile> sums;
  const int count = block.count;
  if (count > 0) {
    GemmCopies<Tile, VectorBytes> copies(a, windows, block.n0, block.group, block.first);
#pragma unroll
    for (int s = 0; s < Tile::kStages - 1; s++) {
      if (s < count) copies.issue(stages + s * Memory::kStage, s + 1 < count);
      commit_copies();
    }
    int from = 0, to = Tile::kStages - 1;
#pragma unroll 1
    for (int tile = 0; tile < count; tile++) {
      wait_copies<Tile::kStages - 2>();
      __syncthreads();  // this step is there, and nobody reads the stage that is copied to next
      const int ahead = tile + Tile::kStages - 1;
      if (ahead < count) copies.issue(stages + to * Memory::kStage, ahead + 1 < count);
      commit_copies();
      const char* const stage = stages + from * Memory::kStage;
      sums.add(stage, stage + Tile::kM * kRowBytes);
      from = from + 1 == Tile::kStages ? 0 : from + 1;
      to = to + 1 == Tile::kStages ? 0 : to + 1;
    }
    wait_copies<0>();
    __syncthreads();
  }
  finish_tile<T, Tile>(a, block, sums, stages, windows);
}

template <class T, class Tile, template <class, class> class Sums, int VectorBytes = kChunk>
GemmKernel gemm_kernel(double efficiency) {
  return {Tile::kM, Tile::kN, VectorBytes, efficiency, false, [](Queue queue, const GemmArguments& a, Dim grid) {
            launch<implicit_gemm<T, Tile, Sums, VectorBytes>>(queue, "implicit_gemm", grid, {unsigned(Tile::kThreads)},
                                                              GemmMemory<T, Tile>::kBytes, a);
          }};
}

}  // namespace konv::cuda
