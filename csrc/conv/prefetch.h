// Bringing rows of a tensor into the cache while other work goes on: hardware prefetchers do not follow short rows that
// lie planes apart, and their misses then come one after another.
#pragma once
#include <cstdint>

namespace konv {

// planes x rows rows of `bytes` bytes.
struct RowsAhead {
  const char* first = nullptr;
  int64_t planes = 0, plane_bytes = 0, rows = 0, row_bytes = 0, bytes = 0;

  int64_t count() const { return planes * rows; }
  // Requests rows [from, to), counted over all planes.
  void request(int64_t from, int64_t to) const {
    for (int64_t i = from; i < to && i < count(); i++) {
      const char* row = first + i / rows * plane_bytes + i % rows * row_bytes;
      for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(row + b);
      __builtin_prefetch(row + bytes - 1);
    }
  }
};

}  // namespace konv
