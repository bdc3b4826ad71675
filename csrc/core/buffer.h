// Memory on the heap at an alignment that kernels want.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace konv {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t bytes, int64_t alignment = 64)
      : size_((bytes + alignment - 1) / alignment * alignment) {
    if (size_ == 0) return;
    data_ = static_cast<char*>(std::aligned_alloc(size_t(alignment), size_t(size_)));
    if (!data_) throw std::bad_alloc();
  }
  AlignedBuffer(AlignedBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& o) noexcept {
    std::swap(data_, o.data_), std::swap(size_, o.size_);
    return *this;
  }
  ~AlignedBuffer() { std::free(data_); }
  char* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace konv
