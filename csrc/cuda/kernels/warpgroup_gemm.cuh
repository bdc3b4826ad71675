// The implicit matrix product of implicit_gemm.cuh by wgmma, for float16 and bfloat16 on sm_90a.
//
// The tile in shared memory is the same to the byte: its exchange of chunks is PTX's swizzle over 128 bytes, so that
// descriptors name it, and the same copies fill it. Two warpgroups share a tile of 128x256 (each 64 rows, m64n256k16)
// or 256x128 (each 128 rows, two of m64n128k16). All threads copy: cp.async of step t + 2 runs while wgmma reads step
// t, and one group of products stays in flight over the barrier, so that the tensor cores do not wait for it. That
// takes a stage that is neither read nor copied to: four stages.
//
// Budget: 48 KiB a stage, four stages, 195 or 198 KiB with the pixels: one block a processor, 128 sums a thread. A step
// is 2 * 128 * 256 * 64 FLOPs on 48 KiB, 85 FLOPs a byte from the second-level cache: at its 5.5 to 7 TB/s 470 to 600
// TFLOP/s, which is the limit. wgmma takes 1024 cycles a step; the copies are 12 a thread of about ten instructions,
// 240 of each scheduler's cycles, beside it. Predicted for large layers: 45 to 60 % of 989 TFLOP/s. More takes clusters
// that share copies, or copies that stop in the first-level cache, where a 3x3 kernel's taps meet the same pixels
// again.
#pragma once
#include "cuda/kernels/implicit_gemm.cuh"

namespace konv::cuda {

#if KONV_WARPGROUPS

template <class T, class Tile>
class WarpgroupSums {
 public:
  __device__ WarpgroupSums() {
#  pragma unroll
    for (int i = 0; i < kI; i++)
#  pragma unroll
      for (int r = 0; r < kSums; r++) sums_[i][r] = 0;
  }

  // No copy of a sum may be made across this: products in flight write the registers behind the compiler's back.
  __device__ __forceinline__ void hold() {
#  pragma unroll
    for (int i = 0; i < kI; i++)
#  pragma unroll
      for (int r = 0; r < kSums; r++) hold_register(sums_[i][r]);
  }

  __device__ __forceinline__ void add(const char* stage) {
    const uint64_t a = matrix_descriptor(stage + int(threadIdx.x) / (4 * kWarp) * kRows * kRowBytes);
    const uint64_t b = matrix_descriptor(stage + Tile::kM * kRowBytes);
    constexpr int kUnit = 16;  // of a descriptor's address
    begin_products();
#  pragma unroll
    for (int step = 0; step < kRowBytes / 32; step++)
#  pragma unroll
      for (int i = 0; i < kI; i++)
        multiply_warpgroup(sums_[i], a + (i * 64 * kRowBytes + step * 32) / kUnit, b + step * 32 / kUnit, T());
    commit_products();
  }

  template <class Put>
  __device__ __forceinline__ void each(Put&& put) const {
    const int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
    const int m0 = warp / 4 * kRows + warp % 4 * 16 + lane / 4;
#  pragma unroll
    for (int i = 0; i < kI; i++)
#  pragma unroll
      for (int r = 0; r < kSums; r += 2)
        put(m0 + i * 64 + r / 2 % 2 * 8, r / 4 * 8 + lane % 4 * 2, Vector<float, 2>{{sums_[i][r], sums_[i][r + 1]}});
  }

 private:
  static constexpr int kRows = Tile::kM / 2, kI = kRows / 64, kSums = Tile::kN / 2;
  static_assert(Tile::kThreads == 256);

  float sums_[kI][kSums];
};

#endif

template <class T, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1) warpgroup_gemm(GemmArguments a) {
#if KONV_WARPGROUPS
  using Memory = GemmMemory<T, Tile>;
  constexpr int kStages = Tile::kStages;
  static_assert(kStages >= 3 && Memory::kStage % 1024 == 0);
  char* const stages = shared_memory();
  Window* const windows = reinterpret_cast<Window*>(stages + Memory::kStages);
  const GemmBlock block(a, Tile::kM, Tile::kN);
  find_pixels<Tile>(a, block, windows);
  __syncthreads();
  WarpgroupSums<T, Tile> sums;
  sums.hold();
  const int count = block.count;
  if (count > 0) {
    GemmCopies<Tile, kChunk> copies(a, windows, block.n0, block.group, block.first);
#  pragma unroll
    for (int s = 0; s < kStages - 2; s++) {
      if (s < count) copies.issue(stages + s * Memory::kStage, s + 1 < count);
      commit_copies();
    }
    int from = 0, to = kStages - 2;
#  pragma unroll 1
    for (int tile = 0; tile < count; tile++) {
      wait_copies<kStages - 3>();
      show_copies();
      __syncthreads();  // this step is there, and all products but the last step's are done
      sums.add(stages + from * Memory::kStage);
      const int ahead = tile + kStages - 2;
      if (ahead < count) copies.issue(stages + to * Memory::kStage, ahead + 1 < count);
      commit_copies();
      wait_products<1>();
      from = from + 1 == kStages ? 0 : from + 1;
      to = to + 1 == kStages ? 0 : to + 1;
    }
    wait_products<0>();
    sums.hold();
    wait_copies<0>();
    __syncthreads();
  }
  finish_tile<T, Tile>(a, block, sums, stages, windows);
#endif
}

template <class T, class Tile>
GemmKernel warpgroup_gemm_kernel(double efficiency) {
  return {Tile::kM, Tile::kN, kChunk, efficiency, true, [](Queue queue, const GemmArguments& a, Dim grid) {
            launch<warpgroup_gemm<T, Tile>>(queue, "warpgroup_gemm", grid, {unsigned(Tile::kThreads)},
                                            GemmMemory<T, Tile>::kBytes, a);
          }};
}

}  // namespace konv::cuda
