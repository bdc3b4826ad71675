// Memory on the heap at an alignment that kernels want.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__linux__)
#  include <sys/mman.h>
#endif

namespace konv {

// Asks for huge pages where they can hold most of the memory: fewer page faults, and fewer misses of the page tables'
// cache while it streams. The system may decline.
inline void prefer_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] int64_t bytes) {
#if defined(__linux__)
  constexpr uintptr_t kPage = 4096;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + uintptr_t(bytes)) / kPage * kPage;
  if (bytes >= int64_t(4) << 20) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t bytes, int64_t alignment = kLine) : size_(rounded(bytes, alignment)) {
    if (size_ == 0) return;
    data_ = static_cast<char*>(std::aligned_alloc(size_t(alignment), size_t(size_)));
    if (!data_) throw std::bad_alloc();
    prefer_huge_pages(data_, size_);
  }
  AlignedBuffer(AlignedBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& o) noexcept {
    std::swap(data_, o.data_), std::swap(size_, o.size_);
    return *this;
  }
  ~AlignedBuffer() { std::free(data_); }
  // Gives the memory away; adopt() takes it back.
  char* release() { return size_ = 0, std::exchange(data_, nullptr); }
  static AlignedBuffer adopt(char* data, int64_t bytes) {
    AlignedBuffer b;
    b.data_ = data, b.size_ = rounded(bytes);
    return b;
  }
  static int64_t rounded(int64_t bytes, int64_t alignment = kLine) {
    return (bytes + alignment - 1) / alignment * alignment;
  }
  char* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  static constexpr int64_t kLine = 64;
  char* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace konv
