// Memory of large results. A fresh array costs page faults and the kernel's zeroing of every page, which can take as
// long as the convolution that fills it: memory of results that are gone serves the next ones of their size.
#pragma once
#include <cstdint>

namespace konv {

constexpr int64_t kLargeResult = 64 << 10;  // bytes from which results lie here, on cache lines

char* take_result_memory(int64_t bytes);  // throws std::bad_alloc
void give_result_memory(char* memory, int64_t bytes);

}  // namespace konv
