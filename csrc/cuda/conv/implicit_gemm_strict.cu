// float32 and float64 with fused multiply-adds: the direct convolution's error.
#include "cuda/kernels/weight_gemm.cuh"

namespace konv::cuda {

const GemmKernels& strict_gemm_kernels() {
  using T = float;
  static const GemmKernels kernels{
      {gemm_kernel<T, Tile<128, 128, 2, 4, 3>, FusedSums>(1.0), gemm_kernel<T, Tile<128, 64, 2, 2, 3>, FusedSums>(0.95),
       gemm_kernel<T, Tile<64, 64, 2, 2, 4>, FusedSums>(0.8), gemm_kernel<T, Tile<128, 32, 4, 1, 4>, FusedSums>(0.75)},
      {weight_gemm_kernel<T, WeightTile<128, 128, 2, 4, 3, 32>, FusedWeightSums>(1.0),
       weight_gemm_kernel<T, WeightTile<64, 64, 2, 2, 3, 32>, FusedWeightSums>(0.8)},
      run_add_gemm_parts<T>,
      run_add_weight_parts<T>};
  return kernels;
}

const GemmKernels& float64_gemm_kernels() {
  using T = double;
  static const GemmKernels kernels{{gemm_kernel<T, Tile<64, 64, 2, 2, 3>, FusedSums>(1.0)},
                                   {weight_gemm_kernel<T, WeightTile<64, 64, 2, 2, 3, 16>, FusedWeightSums>(1.0)},
                                   run_add_gemm_parts<T>,
                                   run_add_weight_parts<T>};
  return kernels;
}

}  // namespace konv::cuda
