// float16 products, float32 sums.
#include "cuda/kernels/warpgroup_gemm.cuh"
#include "cuda/kernels/weight_gemm.cuh"

namespace konv::cuda {

const GemmKernels& float16_gemm_kernels() {
  using T = float16;
  static const GemmKernels kernels{
      {warpgroup_gemm_kernel<T, Tile<128, 256, 2, 4, 4>>(1.8), warpgroup_gemm_kernel<T, Tile<256, 128, 2, 4, 4>>(1.8),
       gemm_kernel<T, Tile<128, 128, 2, 2, 2>, TensorSums>(1.0),
       gemm_kernel<T, Tile<128, 64, 2, 2, 3>, TensorSums>(0.85), gemm_kernel<T, Tile<64, 64, 2, 2, 4>, TensorSums>(0.7),
       gemm_kernel<T, Tile<128, 32, 4, 1, 4>, TensorSums>(0.6),
       // first layers
       gemm_kernel<T, Tile<128, 64, 2, 2, 3>, TensorSums, 8>(0.7),
       gemm_kernel<T, Tile<128, 32, 4, 1, 4>, TensorSums, 8>(0.5)},
      {weight_gemm_kernel<T, WeightTile<128, 128, 2, 2, 4, 32>, TensorWeightSums>(1.0),
       weight_gemm_kernel<T, WeightTile<64, 64, 2, 2, 4, 32>, TensorWeightSums>(0.7)},
      run_add_gemm_parts<T>,
      run_add_weight_parts<T>};
  return kernels;
}

}  // namespace konv::cuda
