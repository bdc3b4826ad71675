// The gradient of (sum |x|^p)^(1/p):
//   sign(x) |x|^(p-1) sum over the windows of dy S^((1-p)/p), S being a window's sum of powers,
// and 0 where x or S is 0. The sums of the windows that a tile needs are formed anew, on copies in the cache.
#include "pool/copies.h"
#include "pool/power.h"

namespace konv {

namespace {

// g *= sign(s) |s|^power where s is not 0, else 0.
template <class T>
void scale_by_power(T* g, const T* s, int64_t n, double power) {
  const auto each = [&](auto f) {
    for (int64_t i = 0; i < n; i++) g[i] = s[i] == T(0) ? T(0) : g[i] * f(s[i]);
  };
  if (power == 0) return each([](T a) { return std::copysign(T(1), a); });
  if (power == 1) return each([](T a) { return a; });
  if (power == -0.5) return each([](T a) { return std::copysign(1 / std::sqrt(std::abs(a)), a); });
  each([&](T a) { return std::copysign(std::pow(std::abs(a), T(power)), a); });
}

template <class S, class T>
void lp_gradient(const PoolProblem& p, const S* dy, const S* x, const int64_t x_strides[5], S* dx) {
  const Isa isa = Isa(p.isa);
  const int64_t lanes = pool_kernels<T>(isa).lanes;
  const bool pixels = p.c > 1 && p.xs[1] == 1 && p.ys[1] == 1 && x_strides[1] == 1;
  const PoolLanes kind = pixels ? PoolLanes::pixels : PoolLanes::rows;
  const PoolCopies<S, T> from{isa, x_strides, pixels, false, lanes}, windows{isa, p.ys, pixels, false, lanes};
  const PoolCopies<S, T> to{isa, p.xs, pixels, false, lanes};
  const auto windows_of = [&](const PoolTiling& t) { return largest_pool_needs(p, true, t.size); };
  const auto input_of = [&](const PoolTiling& t) { return largest_pool_needs(p, false, windows_of(t).size); };
  const PoolTiling t =
      tiling_of(p, p.in, pixels ? p.c : 1, pixels ? std::min(p.c, 4 * lanes) : 1, [&](const PoolTiling& tiling) {
        return from.size(input_of(tiling), tiling.channels) * int64_t(sizeof(T)) <= pool_copy_bytes(p);
      });
  const int64_t x_size = from.size(input_of(t), t.channels), y_size = windows.size(windows_of(t), t.channels);
  const int64_t dx_size = to.size({{}, {t.size[0], t.size[1], t.size[2]}}, t.channels);
  const int64_t sums_size = pool_scratch<T>(p, kind, t.size[2], t.channels);
  PoolScratch scratch;
  const int64_t x_at = scratch.book<T>(x_size), s_at = scratch.book<T>(y_size), dy_at = scratch.book<T>(y_size);
  const int64_t tile_at = scratch.book<T>(dx_size), dx_at = scratch.book<T>(dx_size);
  const int64_t sums_at = scratch.book<T>(sums_size);
  scratch.allocate(threads_for(p));

  for_tiles(p, p.in, t, [&](const PoolTile& tile, int thread) {
    const auto part = [&](int64_t at) { return scratch.part<T>(at, thread); };
    T *const raised = part(x_at), *const s = part(s_at), *const g = part(dy_at);
    T *const own = part(tile_at), *const result = part(dx_at);
    const PoolBox needed = pool_needs(p, true, tile.start, tile.size);
    const PoolBox input = pool_needs(p, false, needed.start, needed.size);
    PoolBox written;
    std::copy_n(tile.start, 3, written.start), std::copy_n(tile.size, 3, written.size);
    const int64_t each = windows.pitch(tile.channels);
    const auto at = [&](const int64_t strides[5]) { return tile.n * strides[0] + tile.c * strides[1]; };
    PoolBand<T> b = pool_band<T, T>(p);
    b.channels = tile.channels;
    b.y_data = windows.attach(s, needed, tile.channels, &PoolAxis::y_step, b.z, b.y, b.x);
    b.x_data = from.attach(raised, input, tile.channels, &PoolAxis::x_step, b.z, b.y, b.x);
    from.load(x + at(x_strides), input, tile.channels, raised, nullptr);
    raise(raised, input.elements() * each, p.power);
    run_slices(pool_kernel<T, T>(p, PoolOp::avg, kind), b, needed.start, needed.size);

    windows.load(dy + at(p.ys), needed, tile.channels, g, nullptr);
    scale_by_power(g, s, needed.elements() * each, (1 - p.power) / p.power);
    b.y_data = windows.attach(g, needed, tile.channels, &PoolAxis::y_step, b.z, b.y, b.x);
    b.x_data = to.attach(result, written, tile.channels, &PoolAxis::x_step, b.z, b.y, b.x);
    b.scratch = part(sums_at);
    std::fill_n(b.scratch, sums_size, T(0));
    run_slices(pool_kernel<T, T>(p, PoolOp::avg_gradient, kind), b, tile.start, tile.size);

    from.load(x + at(x_strides), written, tile.channels, own, nullptr);
    scale_by_power(result, own, written.elements() * each, p.power - 1);
    to.store(result, written, tile.channels, dx + at(p.xs), nullptr);
  });
}

}  // namespace

void lp_pool_gradient(const PoolProblem& p, const void* y, const void* x, const int64_t x_strides[5], void* gradient) {
  FlushDenormals guard(!p.keep_denormals);
  const auto run = [&](auto s, auto t) {
    using S = decltype(s);
    lp_gradient<S, decltype(t)>(p, static_cast<const S*>(y), static_cast<const S*>(x), x_strides,
                                static_cast<S*>(gradient));
  };
  if (p.dtype == DType::f64)
    run(double(), double());
  else if (p.dtype == DType::f16)
    run(Float16(), float());
  else if (p.dtype == DType::bf16)
    run(BFloat16(), float());
  else
    run(float(), float());
}

}  // namespace konv
