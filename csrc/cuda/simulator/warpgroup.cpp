#include "cuda/simulator/warpgroup.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/numbers.h"

namespace konv::simulator {

namespace {

constexpr int kInner = 16, kRows = 64;

[[noreturn]] void wrong(const char* what) {
  std::fprintf(stderr, "konv simulator: %s\n", what);
  std::abort();
}

// Where element k of row r is: rows of eight groups are as far apart as the descriptor says, rows in a group 128 bytes;
// bits 4 to 6 of the address are exchanged by bits 7 to 9.
const char* element_at(uint64_t descriptor, int r, int k) {
  if (descriptor >> 62 != 1) wrong("a descriptor without the swizzle over 128 bytes");
  const uint64_t start = (descriptor & 0x3fff) << 4, groups = (descriptor >> 32 & 0x3fff) << 4;
  uint64_t at = start + uint64_t(r / 8) * groups + uint64_t(r % 8) * 128 + uint64_t(k) * 2;
  at ^= (at >> 7 & 7) << 4;
  return current_block->shared + at;
}

uint64_t hash(uint64_t descriptor, int rows) {
  uint64_t h = 0;
  for (int r = 0; r < rows; r++)
    for (int k = 0; k < kInner; k += 8) {
      uint64_t words[2];
      std::memcpy(words, element_at(descriptor, r, k), 16);
      h = (h ^ words[0]) * 0x9e3779b97f4a7c15u;
      h = (h ^ words[1] ^ h >> 29) * 0xbf58476d1ce4e5b9u;
    }
  return h;
}

// Warp w of the four has rows 16 w to 16 w + 15; register 4 j + r of a lane is row l / 4 (+ 8 for r of 2 and 3), column
// 8 j + 2 (l % 4) + r % 2.
template <class T>
void multiply(const Lanes& lanes) {
  const auto& p = *static_cast<const WarpgroupProduct*>(lanes.in[0]);
  const int first = current_block->running->linear / kWarpSize % 4 * 16;
  const auto value = [](uint64_t descriptor, int r, int k) {
    T element;
    std::memcpy(&element, element_at(descriptor, r, k), sizeof element);
    return cuda::widened(element);
  };
  float a[16][kInner];
  for (int r = 0; r < 16; r++)
    for (int k = 0; k < kInner; k++) a[r][k] = value(p.a, first + r, k);
  for (int n = 0; n < p.columns; n++) {
    float b[kInner];
    for (int k = 0; k < kInner; k++) b[k] = value(p.b, n, k);
    for (int r = 0; r < 16; r++) {
      float sum = 0;
      for (int k = 0; k < kInner; k++) sum += a[r][k] * b[k];
      const int lane = r % 8 * 4 + n % 8 / 2, index = n / 8 * 4 + r / 8 * 2 + n % 2;
      static_cast<float*>(lanes.out[lane])[index] += sum;
    }
  }
}

}  // namespace

uint64_t matrix_descriptor(const void* shared) {
  const auto at = uint64_t(static_cast<const char*>(shared) - current_block->shared);
  return (at >> 4 & 0x3fff) | uint64_t(1) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}

void multiply_warpgroup_float16(const Lanes& lanes) { multiply<cuda::float16>(lanes); }
void multiply_warpgroup_bfloat16(const Lanes& lanes) { multiply<cuda::bfloat16>(lanes); }

void ask_product(const WarpgroupProduct& p) {
  Thread& t = *current_block->running;
  if (t.hidden_copies) wrong("a product of copies that no fence has shown to it");
  if (t.linear % kWarpSize == 0)
    t.products.push_back({p.a, p.b, p.columns, hash(p.a, kRows) ^ hash(p.b, p.columns), t.product_group});
}

void commit_products() { current_block->running->product_group++; }

void finish_products(int newest) {
  Thread& t = *current_block->running;
  size_t kept = 0;
  for (const PendingProduct& p : t.products) {
    if (p.group >= t.product_group - newest)
      t.products[kept++] = p;
    else if (p.read != (hash(p.a, kRows) ^ hash(p.b, p.columns)))
      wrong("shared memory has changed under a product of a warpgroup");
  }
  t.products.resize(kept);
}

void show_copies() { current_block->running->hidden_copies = false; }

}  // namespace konv::simulator
