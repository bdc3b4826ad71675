#include "pool/small_planes.h"

#include <vector>

#include "pool/pooling.h"

namespace konv {

namespace {

constexpr int64_t kMaxBytes = 48 << 10;  // of the transposed planes: they stay in the first-level cache

int64_t volume(const int64_t size[3]) { return size[0] * size[1] * size[2]; }

bool contiguous(const int64_t size[3], const int64_t strides[5]) {
  int64_t step = 1;
  for (int i = 2; i >= 0; step *= size[i--])
    if (size[i] > 1 && strides[2 + i] != step) return false;
  return true;
}

// A thread's copy of a group of planes, channels `lanes` to a pixel.
template <class T>
struct PlaneGroup {
  std::vector<T> x, y, sums;
  std::vector<int64_t> index;

  PlaneGroup(const PoolProblem& p, bool indices, int64_t lanes, int64_t sums_size)
      : x(size_t(volume(p.in) * lanes)),
        y(size_t(volume(p.out) * lanes)),
        sums(size_t(sums_size)),
        index(indices ? size_t(volume(p.out) * lanes) : 0) {}

  void attach(PoolBand<T>& b, int64_t lanes) {
    b.x_data = x.data(), b.y_data = y.data(), b.scratch = sums.data();
    if (b.index) b.index = index.data();
    int64_t x_step = lanes, y_step = lanes;
    for (PoolAxis* a : {&b.x, &b.y, &b.z}) {
      a->x_step = x_step, a->y_step = a->index_step = y_step;
      x_step *= a->in, y_step *= a->out;
    }
  }
};

template <class T>
void run(const PoolProblem& p, PoolOp op, const Kernels<T>& k, const Kernels<double>& k64, const Pooling<T>& pooling) {
  const int64_t lanes = k.lanes, in = volume(p.in), out = volume(p.out);
  const bool gradient = op == PoolOp::avg_gradient;
  const int64_t sums = gradient ? pool_pixels_scratch(pooling.band.x) + 2 * lanes : 0;
  std::vector<PlaneGroup<T>> groups(size_t(threads_for(p)),
                                    PlaneGroup<T>(p, pooling.band.index != nullptr, lanes, sums));
  pooling.for_volumes(lanes, [&](const PoolBand<T>& planes, int thread) {
    PlaneGroup<T>& group = groups[size_t(thread)];
    PoolBand<T> b = planes;
    group.attach(b, lanes);
    if (gradient)
      k.transpose(planes.y_data, p.ys[1], b.channels, out, b.y_data, lanes);
    else
      k.transpose(planes.x_data, p.xs[1], b.channels, in, b.x_data, lanes);
    b.first = 0, b.rows = gradient ? p.in[1] : p.out[1];
    for (b.slice = 0; b.slice < (gradient ? p.in[0] : p.out[0]); b.slice++)
      (op == PoolOp::max ? k.max_pool_pixels : gradient ? k.avg_pool_pixels_gradient : k.avg_pool_pixels)(b);
    if (gradient)
      k.transpose(b.x_data, lanes, in, b.channels, planes.x_data, p.xs[1]);
    else
      k.transpose(b.y_data, lanes, out, b.channels, planes.y_data, p.ys[1]);
    if (b.index)  // moved as doubles, which are as wide
      k64.transpose(reinterpret_cast<const double*>(b.index), lanes, out, b.channels,
                    reinterpret_cast<double*>(planes.index), p.indices_s[1]);
  });
}

}  // namespace

bool pools_small_planes(const PoolProblem& p, bool indices) {
  const KernelTable& table = kernel_table(Isa(p.isa));
  const int64_t lanes = p.dtype == DType::f32 ? table.f32.lanes : table.f64.lanes;
  const bool few = p.out[2] * 2 <= lanes && p.c * 2 > lanes;
  return few && (volume(p.in) + volume(p.out)) * lanes * dtype_size(p.dtype) <= kMaxBytes && contiguous(p.in, p.xs) &&
         contiguous(p.out, p.ys) && (!indices || contiguous(p.out, p.indices_s));
}

void pool_small_planes(const PoolProblem& p, PoolOp op, const void* x, const void* y, const int64_t* index) {
  by_type(p, [&](auto zero, const auto& k) {
    using T = decltype(zero);
    run<T>(p, op, k, kernels<double>(Isa(p.isa)), Pooling<T>(p, x, y, index));
  });
}

}  // namespace konv
