// One pooling or gradient with its memory, cut into tasks for threads.
#pragma once
#include <algorithm>

#include "core/isa.h"
#include "core/parallel.h"
#include "pool/pool.h"

namespace konv {

constexpr double kPoolSerialBytes = 192 << 10;  // a second thread costs more than it saves below this
constexpr double kPoolTaskBytes = 32 << 10;

inline int threads_for(const PoolProblem& p) { return p.bytes() < kPoolSerialBytes ? 1 : int(p.threads); }

// An image is a volume of one channel, or of all of them where they are the lanes.
template <class T>
struct Pooling {
  const PoolProblem& p;
  PoolBand<T> band{};
  bool pixels;
  int64_t images_of_n;

  Pooling(const PoolProblem& problem, const void* x, const void* y, const int64_t* index)
      : p(problem), pixels(unit_channels(index != nullptr)), images_of_n(pixels ? 1 : p.c) {
    band.z = axis(0), band.y = axis(1), band.x = axis(2);
    band.x_data = static_cast<T*>(const_cast<void*>(x));
    band.y_data = static_cast<T*>(const_cast<void*>(y));
    band.index = const_cast<int64_t*>(index);
    band.channels = pixels ? p.c : 1;
    band.x_channel = p.xs[1], band.y_channel = p.ys[1], band.index_channel = p.indices_s[1];
    band.divisor = T(p.divisor);
  }

  bool unit_channels(bool indices) const {
    const bool planar = p.xs[4] == 1 && p.in[2] > 1;
    return p.c > 1 && p.xs[1] == 1 && p.ys[1] == 1 && (!indices || p.indices_s[1] == 1) && !planar;
  }

  PoolAxis axis(int i) const {
    const int64_t low = p.count_padding ? -p.pad[i] : 0, high = p.in[i] + (p.count_padding ? p.pad_after[i] : 0);
    return {p.in[i], p.out[i], p.kernel[i], p.stride[i], p.pad[i],          p.dilation[i],
            low,     high,     p.xs[2 + i], p.ys[2 + i], p.indices_s[2 + i]};
  }

  // The band with its pointers at channel c of image n.
  PoolBand<T> at(int64_t n, int64_t c) const {
    PoolBand<T> b = band;
    b.x_data += n * p.xs[0] + c * p.xs[1];
    b.y_data += n * p.ys[0] + c * p.ys[1];
    if (b.index) b.index += n * p.indices_s[0] + c * p.indices_s[1];
    return b;
  }

  // Calls run(band, thread) for bands of rows of what is written, whose sizes are `slices` and `rows`.
  template <class F>
  void for_bands(int64_t slices, int64_t rows, F run) const {
    const int threads = threads_for(p);
    const int64_t total = p.n * images_of_n * slices * rows;
    const double row_bytes = p.bytes() / double(total);
    const int64_t task =
        threads == 1 ? total : std::max(total / (16 * threads), int64_t(kPoolTaskBytes / row_bytes) + 1);
    parallel_for((total + task - 1) / task, threads, [&](int64_t t, int thread) {
      for (int64_t row = t * task, end = std::min(total, row + task), count; row < end; row += count) {
        const int64_t slice = row / rows, image = slice / slices;
        PoolBand<T> b = at(image / images_of_n, image % images_of_n);
        b.slice = slice % slices, b.first = row % rows;
        b.rows = count = std::min(rows - b.first, end - row);
        run(b, thread);
      }
    });
  }

  // Calls run(band, thread) for whole volumes of at most `block` channels each; `band.channels` says how many.
  template <class F>
  void for_volumes(int64_t block, F run) const {
    const int threads = threads_for(p);
    const int64_t blocks = (p.c + block - 1) / block, total = p.n * blocks;
    const int64_t task = threads == 1 ? total : std::max<int64_t>(1, total / (16 * threads));
    parallel_for((total + task - 1) / task, threads, [&](int64_t t, int thread) {
      for (int64_t i = t * task; i < std::min(total, (t + 1) * task); i++) {
        const int64_t c = i % blocks * block;
        PoolBand<T> b = at(i / blocks, c);
        b.channels = std::min(block, p.c - c);
        run(b, thread);
      }
    });
  }
};

// Calls f(zero, kernels) with the problem's type of elements.
template <class F>
void by_type(const PoolProblem& p, F f) {
  if (p.dtype == DType::f32)
    f(float(), kernels<float>(Isa(p.isa)));
  else
    f(double(), kernels<double>(Isa(p.isa)));
}

}  // namespace konv
