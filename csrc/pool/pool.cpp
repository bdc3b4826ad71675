#include "pool/pool.h"

#include <atomic>
#include <vector>

#include "pool/copies.h"
#include "pool/power.h"

namespace konv {

namespace {

// Calls f(S(), T()) with the types of the elements and of those that kernels compute with.
template <class F>
void by_type(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      return f(float(), float());
    case DType::f64:
      return f(double(), double());
    case DType::f16:
      return f(Float16(), float());
    case DType::bf16:
      return f(BFloat16(), float());
    case DType::i8:
      return f(int8_t(), int32_t());
    case DType::u8:
    case DType::boolean:
      return f(uint8_t(), int32_t());
    case DType::i16:
      return f(int16_t(), int32_t());
    case DType::i32:
      return f(int32_t(), int32_t());
    case DType::i64:
      return f(int64_t(), int64_t());
  }
}

// The arrays of a pooling: x, the windows, and their indices or null.
template <class S>
struct PoolArrays {
  S *x, *y;
  int64_t* index;
};

// False where a gradient of maxima met an index outside.
template <class S, class T>
bool run_kernel(const PoolProblem& p, PoolOp op, PoolLanes lanes, PoolBand<S, T> b, const PoolTile& tile) {
  bool valid = true;
  if constexpr (std::is_floating_point_v<S>)
    if (op == PoolOp::max_gradient) {
      const Kernels<T>& k = kernels<T>(Isa(p.isa));
      (lanes == PoolLanes::pixels ? k.max_pool_pixels_gradient : k.max_pool_rows_gradient)(b, &valid);
      return valid;
    }
  run_slices(pool_kernel<S, T>(p, op, lanes), b, tile.start, tile.size);
  return valid;
}

// Kernels read and write the arrays.
template <class S, class T>
bool pool_in_place(const PoolProblem& p, PoolOp op, PoolMethod m, const PoolArrays<S>& arrays) {
  const bool pixels = m.lanes == PoolLanes::pixels;
  const int64_t* written = is_gradient(op) ? p.in : p.out;
  PoolTiling tiling{pixels ? p.c : ceil_div(p.c, ceil_div(threads_for(p), p.n)), {p.in[0], p.in[1], p.in[2]}};
  int64_t size = 0;
  const auto scratch_of = [&](const PoolTiling& t) { return pool_scratch<T>(p, m.lanes, t.size[2], t.channels); };
  // Gradients of maxima: channels that are lanes stay together, as two threads in turn on each pixel's memory are
  // slower than one.
  if (op != PoolOp::max_gradient)
    tiling = tiling_of(p, written, pixels ? p.c : 1, pixels ? std::min<int64_t>(p.c, 64) : 1, [&](const PoolTiling& t) {
      return op != PoolOp::avg_gradient || scratch_of(t) * int64_t(sizeof(T)) <= pool_copy_bytes(p);
    });
  if (op == PoolOp::avg_gradient) size = scratch_of(tiling);
  std::vector<T> scratch(size_t(size * threads_for(p)));
  std::atomic<bool> valid = true;
  for_tiles(p, written, tiling, [&](const PoolTile& tile, int thread) {
    PoolBand<S, T> b = pool_band<S, T>(p);
    b.channels = tile.channels;
    b.x_data = arrays.x + tile.n * p.xs[0] + tile.c * p.xs[1];
    b.y_data = arrays.y + tile.n * p.ys[0] + tile.c * p.ys[1];
    if (arrays.index) b.index = arrays.index + tile.n * p.indices_s[0] + tile.c * p.indices_s[1];
    b.scratch = scratch.data() + thread * size;
    if (!run_kernel(p, op, m.lanes, b, tile)) valid = false;
  });
  return valid;
}

// Tiles are copied on the way in and out.
template <class S, class T>
bool pool_copies(const PoolProblem& p, PoolOp op, PoolMethod m, const PoolArrays<S>& arrays) {
  const Isa isa = Isa(p.isa);
  const int64_t lanes = pool_kernels<T>(isa).lanes;
  const bool gradient = is_gradient(op), pixels = m.lanes == PoolLanes::pixels;
  const int64_t* written = gradient ? p.in : p.out;
  const PoolCopies<S, T> x{isa, p.xs, pixels, m.turned, lanes}, y{isa, p.ys, pixels, m.turned, lanes};
  const PoolCopies<int64_t, int64_t> places{isa, p.indices_s, pixels, m.turned, lanes};
  const PoolCopies<S, T>&in = gradient ? y : x, &out = gradient ? x : y;

  const int64_t block = !pixels ? 1 : m.turned ? lanes : std::min(p.c, 4 * lanes);
  PoolTiling t{block, {p.in[0], p.in[1], p.in[2]}};
  const auto needs = [&](const PoolTiling& tiling) { return largest_pool_needs(p, gradient, tiling.size); };
  if (op != PoolOp::max_gradient)
    t = tiling_of(p, written,
                  m.turned ? block
                  : pixels ? p.c
                           : 1,
                  block, [&](const PoolTiling& tiling) {
                    return in.size(needs(tiling), tiling.channels) * int64_t(sizeof(T)) <= pool_copy_bytes(p);
                  });
  PoolBox read = needs(t), write{{}, {t.size[0], t.size[1], t.size[2]}};
  if (op == PoolOp::max_gradient) std::copy_n(p.out, 3, read.size);
  PoolScratch scratch;
  const int64_t read_size = in.size(read, t.channels), write_size = out.size(write, t.channels);
  const int64_t sums_size = op == PoolOp::avg_gradient ? pool_scratch<T>(p, m.lanes, t.size[2], t.channels) : 0;
  const bool turned_places = arrays.index && m.turned;
  const int64_t read_at = scratch.book<T>(read_size), write_at = scratch.book<T>(write_size);
  const int64_t planes_at = scratch.book<T>(m.turned ? std::max(read_size, write_size) : 0);
  const int64_t sums_at = scratch.book<T>(sums_size);
  const int64_t places_at = scratch.book<int64_t>(turned_places ? 2 * write_size : 0);
  scratch.allocate(threads_for(p));

  std::atomic<bool> valid = true;
  for_tiles(p, written, t, [&](const PoolTile& tile, int thread) {
    PoolBand<T> b = pool_band<T, T>(p);
    b.channels = tile.channels;
    PoolBox from = pool_needs(p, gradient, tile.start, tile.size), to;
    if (op == PoolOp::max_gradient) from = {{}, {p.out[0], p.out[1], p.out[2]}};
    std::copy_n(tile.start, 3, to.start), std::copy_n(tile.size, 3, to.size);
    T *from_copy = scratch.part<T>(read_at, thread), *to_copy = scratch.part<T>(write_at, thread);
    T* const planes = scratch.part<T>(planes_at, thread);
    int64_t *place_copy = scratch.part<int64_t>(places_at, thread), *index = nullptr;
    b.x_data =
        x.attach(gradient ? to_copy : from_copy, gradient ? to : from, tile.channels, &PoolAxis::x_step, b.z, b.y, b.x);
    b.y_data =
        y.attach(gradient ? from_copy : to_copy, gradient ? from : to, tile.channels, &PoolAxis::y_step, b.z, b.y, b.x);
    if (arrays.index) b.index = index = arrays.index + tile.n * p.indices_s[0] + tile.c * p.indices_s[1];
    if (turned_places) b.index = places.attach(place_copy, to, tile.channels, &PoolAxis::index_step, b.z, b.y, b.x);
    b.scratch = scratch.part<T>(sums_at, thread);
    std::fill_n(b.scratch, sums_size, T(0));

    const S* source = (gradient ? arrays.y : arrays.x) + tile.n * in.strides[0] + tile.c * in.strides[1];
    in.load(source, from, tile.channels, from_copy, planes);
    if constexpr (std::is_floating_point_v<T>)
      if (p.power != 0) raise(from_copy, from.elements() * in.pitch(tile.channels), p.power);
    if (!run_kernel(p, op, m.lanes, b, tile)) valid = false;
    if constexpr (std::is_floating_point_v<T>)
      if (p.power != 0) raise(to_copy, to.elements() * out.pitch(tile.channels), 1 / p.power);
    S* target = (gradient ? arrays.x : arrays.y) + tile.n * out.strides[0] + tile.c * out.strides[1];
    out.store(to_copy, to, tile.channels, target, planes);
    if (turned_places) places.store(place_copy, to, tile.channels, index, place_copy + write_size);
  });
  return valid;
}

template <class S, class T>
bool pool(PoolProblem p, PoolOp op, const void* x, const void* y, const int64_t* index) {
  const PoolMethod m = choose_pool_method(p, op, index != nullptr);
  const PoolArrays<S> arrays{static_cast<S*>(const_cast<void*>(x)), static_cast<S*>(const_cast<void*>(y)),
                             const_cast<int64_t*>(index)};
  // Rows of halves are copied, as each of their elements is read for several windows and at the borders lane by lane.
  constexpr bool same = std::is_same_v<S, T>, halves = std::is_same_v<T, float> && !same;
  if constexpr (same || halves)
    if (!m.turned && p.power == 0 &&
        (same || op == PoolOp::avg_gradient || (op != PoolOp::max_gradient && m.lanes != PoolLanes::rows)))
      return pool_in_place<S, T>(p, op, m, arrays);
  return pool_copies<S, T>(p, op, m, arrays);
}

}  // namespace

void max_pool(const PoolProblem& p, const void* x, void* y, int64_t* index) {
  by_type(p.dtype, [&](auto s, auto t) { pool<decltype(s), decltype(t)>(p, PoolOp::max, x, y, index); });
}

void avg_pool(const PoolProblem& p, const void* x, void* y) {
  FlushDenormals guard(!p.keep_denormals);
  by_type(p.dtype, [&](auto s, auto t) { pool<decltype(s), decltype(t)>(p, PoolOp::avg, x, y, nullptr); });
}

void avg_pool_gradient(const PoolProblem& p, const void* y, void* x) {
  FlushDenormals guard(!p.keep_denormals);
  by_type(p.dtype, [&](auto s, auto t) { pool<decltype(s), decltype(t)>(p, PoolOp::avg_gradient, x, y, nullptr); });
}

bool max_pool_gradient(const PoolProblem& p, const void* y, const int64_t* index, void* x) {
  // Of one window nothing is added up: elements move as they are.
  if (p.out[0] * p.out[1] * p.out[2] == 1 && dtype_size(p.dtype) == 2) {
    int64_t outside;
    if (!pool_indices_inside(p, index, outside)) return false;
    max_unpool(p, y, index, x);
    return true;
  }
  FlushDenormals guard(!p.keep_denormals);
  bool valid = true;
  by_type(p.dtype,
          [&](auto s, auto t) { valid = pool<decltype(s), decltype(t)>(p, PoolOp::max_gradient, x, y, index); });
  return valid;
}

}  // namespace konv
