// What the lanes of a warp do together, by PTX's lane layouts, and the copies that a thread has in flight.
#pragma once
#include <cstdint>

#include "cuda/simulator/block.h"

namespace konv::simulator {

struct Fragments {
  const uint32_t *a, *b;
};
// `in` is the address of a lane's row, `out` its four registers.
void load_matrices(const Lanes&);
void load_matrices_transposed(const Lanes&);
// `in` is a lane's Fragments, `out` its four sums.
void multiply_add_float16(const Lanes&);
void multiply_add_bfloat16(const Lanes&);
void multiply_add_tf32(const Lanes&);

template <class T>
struct Shuffled {
  T value;
  int source;
};
// Lanes that name none keep their own value.
template <class T>
void shuffle(const Lanes& lanes) {
  for (int l = 0; l < kWarpSize; l++) {
    if (!lanes.in[l]) continue;
    const int source = static_cast<const Shuffled<T>*>(lanes.in[l])->source;
    if (source >= 0 && source < kWarpSize && lanes.in[source])
      *static_cast<T*>(lanes.out[l]) = static_cast<const Shuffled<T>*>(lanes.in[source])->value;
  }
}

// Copies are made no earlier than the wait that covers them, and never where no wait does.
void ask_copy(void* to, const void* from, int bytes);
void finish_copies(int newest);

}  // namespace konv::simulator
