#include "cuda/simulator/warp.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/numbers.h"

namespace konv::simulator {

namespace {

void misaligned(const char* what) {
  std::fprintf(stderr, "konv simulator: a misaligned address of %s\n", what);
  std::abort();
}

// Row i of matrix m is where lane 8 m + i says. Lane l receives the elements 2 (l % 4) and the next one of row l / 4,
// or, transposed, of column l / 4.
void load(const Lanes& lanes, bool transposed) {
  uint16_t elements[4][8][8];
  for (int l = 0; l < kWarpSize; l++) {
    const void* row = *static_cast<const void* const*>(lanes.in[l]);
    if (reinterpret_cast<uintptr_t>(row) % 16) misaligned("load_matrices");
    std::memcpy(elements[l / 8][l % 8], row, 16);
  }
  for (int l = 0; l < kWarpSize; l++)
    for (int m = 0; m < 4; m++) {
      const int i = l / 4, j = l % 4 * 2;
      const uint32_t low = transposed ? elements[m][j][i] : elements[m][i][j];
      const uint32_t high = transposed ? elements[m][j + 1][i] : elements[m][i][j + 1];
      static_cast<uint32_t*>(lanes.out[l])[m] = low | high << 16;
    }
}

// d[16][8] += a[16][K] b[K][8], of the sums that lanes hold: lane l has columns 2 (l % 4) and the next one of rows
// l / 4 and l / 4 + 8.
template <int K>
void add_products(const Lanes& lanes, const float (&a)[16][K], const float (&b)[K][8]) {
  float d[16][8] = {};
  for (int i = 0; i < 16; i++)
    for (int k = 0; k < K; k++)
      for (int j = 0; j < 8; j++) d[i][j] += a[i][k] * b[k][j];
  for (int l = 0; l < kWarpSize; l++)
    for (int r = 0; r < 4; r++) static_cast<float*>(lanes.out[l])[r] += d[l / 4 + r / 2 * 8][l % 4 * 2 + r % 2];
}

const Fragments& fragments(const Lanes& lanes, int l) { return *static_cast<const Fragments*>(lanes.in[l]); }

// Register r of a holds rows l / 4 (+ 8 for odd r), columns 2 (l % 4) and the next (+ 8 for r of 2 and 3); register r
// of b holds rows 2 (l % 4) and the next (+ 8 r) of column l / 4.
template <class T>
void multiply_halves(const Lanes& lanes) {
  float a[16][16], b[16][8];
  const auto value = [](uint32_t pair, int half) { return cuda::widened(T{uint16_t(pair >> 16 * half)}); };
  for (int l = 0; l < kWarpSize; l++) {
    const Fragments& f = fragments(lanes, l);
    for (int half = 0; half < 2; half++) {
      for (int r = 0; r < 4; r++) a[l / 4 + r % 2 * 8][l % 4 * 2 + half + r / 2 * 8] = value(f.a[r], half);
      for (int r = 0; r < 2; r++) b[l % 4 * 2 + half + r * 8][l / 4] = value(f.b[r], half);
    }
  }
  add_products(lanes, a, b);
}

}  // namespace

void load_matrices(const Lanes& lanes) { load(lanes, false); }
void load_matrices_transposed(const Lanes& lanes) { load(lanes, true); }
void multiply_add_float16(const Lanes& lanes) { multiply_halves<cuda::float16>(lanes); }
void multiply_add_bfloat16(const Lanes& lanes) { multiply_halves<cuda::bfloat16>(lanes); }

// Register r of a holds row l / 4 (+ 8 for odd r), column l % 4 (+ 4 for r of 2 and 3); register r of b row
// l % 4 (+ 4 r), column l / 4. The hardware leaves the last 13 bits out.
void multiply_add_tf32(const Lanes& lanes) {
  float a[16][8], b[8][8];
  const auto value = [](uint32_t bits) { return cuda::bits_as_float(bits & ~0x1fffu); };
  for (int l = 0; l < kWarpSize; l++) {
    const Fragments& f = fragments(lanes, l);
    for (int r = 0; r < 4; r++) a[l / 4 + r % 2 * 8][l % 4 + r / 2 * 4] = value(f.a[r]);
    for (int r = 0; r < 2; r++) b[l % 4 + r * 4][l / 4] = value(f.b[r]);
  }
  add_products(lanes, a, b);
}

void ask_copy(void* to, const void* from, int bytes) {
  Thread& t = *current_block->running;
  if (reinterpret_cast<uintptr_t>(to) % uintptr_t(bytes) || reinterpret_cast<uintptr_t>(from) % uintptr_t(bytes))
    misaligned("copy_async");
  t.copies.push_back({to, from, bytes, t.group});
}

void finish_copies(int newest) {
  Thread& t = *current_block->running;
  size_t kept = 0;
  for (const PendingCopy& c : t.copies) {
    if (c.group >= t.group - newest) {
      t.copies[kept++] = c;
      continue;
    }
    if (c.from)
      std::memcpy(c.to, c.from, size_t(c.bytes));
    else
      std::memset(c.to, 0, size_t(c.bytes));
  }
  t.hidden_copies = t.hidden_copies || kept < t.copies.size();
  t.copies.resize(kept);
}

}  // namespace konv::simulator
