// float32 arrays multiplied as tf32: ten bits of fraction, float32 sums.
#include "cuda/kernels/weight_gemm.cuh"

namespace konv::cuda {

const GemmKernels& tf32_gemm_kernels() {
  using T = float;
  static const GemmKernels kernels{
      {gemm_kernel<T, Tile<128, 128, 2, 4, 2>, TensorSums>(1.0),
       gemm_kernel<T, Tile<128, 64, 2, 2, 3>, TensorSums>(0.85), gemm_kernel<T, Tile<64, 64, 2, 2, 4>, TensorSums>(0.7),
       gemm_kernel<T, Tile<128, 32, 4, 1, 4>, TensorSums>(0.6)},
      {weight_gemm_kernel<T, WeightTile<128, 128, 2, 2, 2, 32>, TensorWeightSums>(1.0),
       weight_gemm_kernel<T, WeightTile<64, 64, 2, 2, 3, 32>, TensorWeightSums>(0.7)},
      run_add_gemm_parts<T>,
      run_add_weight_parts<T>};
  return kernels;
}

}  // namespace konv::cuda
