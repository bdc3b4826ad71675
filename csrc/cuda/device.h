// What a kernel may use. The same kernel source is compiled by nvcc for GPUs, and by the C++ compiler for the
// simulator, which runs it on the CPU (simulator/block.h).
//
// A kernel is a `__global__` function, or template, whose arguments are plain values; it is started with
// runtime.h's `launch`. Of CUDA it may use
//
//   threadIdx, blockIdx, blockDim, gridDim      x, y, z of each
//   __syncthreads(), __syncwarp()               by all threads of a block or warp that have not returned
//   __launch_bounds__, __restrict__, __forceinline__, #pragma unroll
//
// and what is declared below. There is no static `__shared__`: shared memory is `shared_memory()`, whose bytes the
// launch names and whose contents are NaN in the simulator until they are written. Calls named `warp` are made by all
// threads of a warp together. Code for one architecture alone stands between `#if KONV_HOPPER`, or `#if
// KONV_WARPGROUPS` where the simulator has it too.
//
//   char* shared_memory()                            aligned to 1024 bytes
//   copy_async<Bytes>(shared, global, inside)        16, 8 or 4 bytes, aligned to that; zeros where not `inside`
//   commit_copies(); wait_copies<N>()                closes a group; waits until all but the thread's last N are there,
//                                                    for the thread itself: others see them after a barrier
//   load_matrices(r, row)                            warp: four 8x8 matrices of 16 bits; lane l gives row l % 8 of
//   load_matrices_transposed(r, row)                 matrix l / 8 and receives what PTX's ldmatrix.x4 says
//   multiply_add(d, a, b, float16() or bfloat16())   warp: mma.m16n8k16, float32 sums: d += a b
//   multiply_add_tf32(d, a, b)                       warp: mma.m16n8k8 of floats that to_tf32 has rounded
//   to_tf32(x)                                       the bits of x rounded to ten bits of fraction
//   shuffle_xor(x, mask), shuffle_down(x, n), shuffle(x, lane)    warp
//   load_vector<V>(p), store_vector(p, v)            V is Vector<T, N>, of 4, 8 or 16 bytes, p aligned to that
//
// Where KONV_WARPGROUPS, for four warps whose first is a multiple of four:
//
//   matrix_descriptor(shared)         rows of 128 bytes, of which chunk c of row r lies at c ^ (r % 8), from a multiple
//   of
//                                     1024 bytes on; + 2 for each 32 bytes along the rows
//   show_copies()                     before the barrier after which products read what was copied
//   begin_products()                  before the first product of a group
//   multiply_warpgroup(d, a, b, T())  wgmma.m64nNk16 of T: d += a b, of 64 rows a and N = 2 * size of d rows b; warp w
//   has
//                                     rows 16 w to 16 w + 15, in the order of m16n8 fragments for each 8 columns
//   commit_products(), wait_products<N>()  as of copies: sums and shared memory are free again after the wait
#pragma once
#include <cstdint>

namespace konv::cuda {

constexpr int kWarp = 32;

// Storage alone: numbers.h converts.
struct alignas(2) float16 {
  uint16_t bits;
};
struct alignas(2) bfloat16 {
  uint16_t bits;
};

template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
  T at[N];
};

}  // namespace konv::cuda

#if defined(__CUDACC__)
#  include "cuda/device_hopper.h"
#  include "cuda/device_nvcc.h"
#else
#  include "cuda/device_simulator.h"
#endif

namespace konv::cuda {

template <class V, class T>
__device__ __forceinline__ V load_vector(const T* p) {
  return *reinterpret_cast<const V*>(p);
}
template <class V, class T>
__device__ __forceinline__ void store_vector(T* p, const V& v) {
  *reinterpret_cast<V*>(p) = v;
}

}  // namespace konv::cuda
