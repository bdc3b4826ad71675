// Products of warpgroups, wgmma.mma_async, by PTX's descriptors and layout of sums.
//
// They are done where they are asked for, but what they read in shared memory is looked at again at the wait that
// covers them, so that a stage that is overwritten too early is found.
#pragma once
#include <cstdint>

#include "cuda/simulator/block.h"

namespace konv::simulator {

struct WarpgroupProduct {
  uint64_t a, b;
  int columns;
};
uint64_t matrix_descriptor(const void* shared);
// `in` is a lane's WarpgroupProduct, `out` its columns / 2 sums.
void multiply_warpgroup_float16(const Lanes&);
void multiply_warpgroup_bfloat16(const Lanes&);
void ask_product(const WarpgroupProduct& product);
void commit_products();
void finish_products(int newest);
void show_copies();

}  // namespace konv::simulator
