// device.h for the simulator: what PTX documents, as plain C++.
#pragma once
#include <cmath>
#include <cstring>

#include "cuda/simulator/block.h"
#include "cuda/simulator/warp.h"
#include "cuda/simulator/warpgroup.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define threadIdx (::konv::simulator::current_block->running->index)
#define blockIdx (::konv::simulator::current_block->block_index)
#define blockDim (::konv::simulator::current_block->block)
#define gridDim (::konv::simulator::current_block->grid)

#define KONV_HOPPER 0
#define KONV_WARPGROUPS 1

inline void __syncthreads() { konv::simulator::current_block->barrier(); }
inline void __syncwarp() { konv::simulator::current_block->warp(nullptr, nullptr, nullptr); }

namespace konv::cuda {

inline char* shared_memory() { return simulator::current_block->shared; }

template <int Bytes>
void copy_async(void* shared, const void* global, bool inside = true) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  simulator::ask_copy(shared, inside ? global : nullptr, Bytes);
}
inline void commit_copies() { simulator::current_block->running->group++; }
template <int Newest>
void wait_copies() {
  simulator::finish_copies(Newest);
}

inline void load_matrices(uint32_t (&r)[4], const void* row) {
  simulator::current_block->warp(simulator::load_matrices, &row, r);
}
inline void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  simulator::current_block->warp(simulator::load_matrices_transposed, &row, r);
}

inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], float16) {
  const simulator::Fragments in{a, b};
  simulator::current_block->warp(simulator::multiply_add_float16, &in, d);
}
inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bfloat16) {
  const simulator::Fragments in{a, b};
  simulator::current_block->warp(simulator::multiply_add_bfloat16, &in, d);
}
inline void multiply_add_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const simulator::Fragments in{a, b};
  simulator::current_block->warp(simulator::multiply_add_tf32, &in, d);
}
// To nearest, ties away from zero.
inline uint32_t to_tf32(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (!std::isfinite(x)) return x != x ? 0x7fffffffu : bits;
  return (bits + 0x1000) & ~0x1fffu;
}

inline uint64_t matrix_descriptor(const void* shared) { return simulator::matrix_descriptor(shared); }
inline void show_copies() { simulator::show_copies(); }
inline void begin_products() {}
inline void commit_products() { simulator::commit_products(); }
inline void hold_register(float&) {}
template <int Newest>
void wait_products() {
  simulator::finish_products(Newest);
}
template <int Sums>
void multiply_warpgroup(float (&d)[Sums], uint64_t a, uint64_t b, float16) {
  const simulator::WarpgroupProduct in{a, b, Sums * 2};
  simulator::ask_product(in);
  simulator::current_block->warp(simulator::multiply_warpgroup_float16, &in, d);
}
template <int Sums>
void multiply_warpgroup(float (&d)[Sums], uint64_t a, uint64_t b, bfloat16) {
  const simulator::WarpgroupProduct in{a, b, Sums * 2};
  simulator::ask_product(in);
  simulator::current_block->warp(simulator::multiply_warpgroup_bfloat16, &in, d);
}

template <class T>
T shuffle_from(T x, int source) {
  const simulator::Shuffled<T> in{x, source};
  T out = x;
  simulator::current_block->warp(simulator::shuffle<T>, &in, &out);
  return out;
}
inline int lane_of_thread() { return simulator::current_block->running->linear % kWarp; }
template <class T>
T shuffle_xor(T x, int mask) {
  return shuffle_from(x, lane_of_thread() ^ mask);
}
template <class T>
T shuffle_down(T x, int n) {
  return shuffle_from(x, lane_of_thread() + n);
}
template <class T>
T shuffle(T x, int lane) {
  return shuffle_from(x, lane % kWarp);
}

}  // namespace konv::cuda
