#include "pool/fold.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "core/halves.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

namespace {

constexpr double kSerialBytes = 128 << 10;

int threads_for(const FoldProblem& p) {
  const double elements = double(p.n * p.c) * double(p.taps() * p.windows());
  return elements * double(dtype_size(p.dtype)) < kSerialBytes ? 1 : int(p.threads);
}

// The windows along an axis whose element `tap` lies inside the image: [begin, end), and where that of window 0 would.
struct Span {
  int64_t begin, end, at;
};
Span span_of(const FoldProblem& p, int axis, int64_t tap) {
  const int64_t at = tap * p.dilation[axis] - p.pad[axis], step = p.stride[axis];
  const int64_t begin = std::min(p.out[axis], at < 0 ? (-at + step - 1) / step : 0);
  const int64_t end = at >= p.in[axis] ? 0 : std::min(p.out[axis], (p.in[axis] - 1 - at) / step + 1);
  return {begin, std::max(begin, end), at};
}

template <class T>
void copy_elements(const T* src, int64_t step, T* dst, int64_t dst_step, int64_t n) {
  if (step == 1 && dst_step == 1)
    std::memcpy(dst, src, size_t(n) * sizeof(T));
  else if (dst_step == 1)
    for (int64_t i = 0; i < n; i++) dst[i] = src[i * step];
  else
    for (int64_t i = 0; i < n; i++) dst[i * dst_step] = src[i * step];
}
template <class T>
void zero_elements(T* dst, int64_t step, int64_t n) {
  if (step == 1) {
    std::memset(dst, 0, size_t(n) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < n; i++) dst[i * step] = 0;
}

// T is any type of the elements' size.
template <class T>
void unfold_as(const FoldProblem& p, const T* image, T* columns) {
  const int64_t taps = p.taps(), step = p.columns[2];
  parallel_for(p.n * p.c * taps, threads_for(p), [&](int64_t task, int) {
    const int64_t tap = task % taps, c = task / taps % p.c, n = task / taps / p.c;
    const Span x = span_of(p, 2, tap % p.kernel[2]), y = span_of(p, 1, tap / p.kernel[2] % p.kernel[1]);
    const Span z = span_of(p, 0, tap / p.kernel[2] / p.kernel[1]);
    T* dst = columns + n * p.columns[0] + (c * taps + tap) * p.columns[1];
    const T* plane = image + n * p.xs[0] + c * p.xs[1];
    for (int64_t d = 0; d < p.out[0]; d++)
      for (int64_t h = 0; h < p.out[1]; h++, dst += p.out[2] * step) {
        if (d < z.begin || d >= z.end || h < y.begin || h >= y.end || x.begin == x.end) {
          zero_elements(dst, step, p.out[2]);
          continue;
        }
        const T* row = plane + (d * p.stride[0] + z.at) * p.xs[2] + (h * p.stride[1] + y.at) * p.xs[3] +
                       (x.begin * p.stride[2] + x.at) * p.xs[4];
        zero_elements(dst, step, x.begin);
        copy_elements(row, p.stride[2] * p.xs[4], dst + x.begin * step, step, x.end - x.begin);
        zero_elements(dst + x.end * step, step, p.out[2] - x.end);
      }
  });
}

// Where one thread sums a row of the image, in float32 where elements have 16 bits; `values` has room for a row of
// columns.
template <class T, class Sum>
struct Row {
  static constexpr bool kHalf = !std::is_same_v<T, Sum>;
  const FoldProblem& p;
  HalfRuns half;
  Sum *sums, *values;

  // Adds one tap's columns of a row of windows.
  void add(const T* src, const Span& x) {
    const int64_t n = x.end - x.begin, to = p.stride[2];
    int64_t from = p.columns[2];
    src += x.begin * from;
    Sum* dst = sums + x.begin * to + x.at;
    const Sum* from_values;
    if constexpr (kHalf) {
      half.widen(src, from, n, values);
      from_values = values, from = 1;
    } else {
      from_values = src;
    }
    if constexpr (std::is_floating_point_v<Sum>) {
      if (from == 1 && to == 1) return kernels<Sum>(Isa(p.isa)).add_rows(from_values, 0, 1, n, dst, 0);
    }
    for (int64_t i = 0; i < n; i++) dst[i * to] = Sum(dst[i * to] + from_values[i * from]);
  }
  void store(T* dst) {
    if constexpr (kHalf) {
      half.narrow(sums, p.in[2], dst, p.xs[4]);
    } else if (sums != dst) {
      copy_elements(sums, 1, dst, p.xs[4], p.in[2]);
    }
  }
};

template <class T, class Sum>
void fold_as(const FoldProblem& p, const T* columns, T* image) {
  const int64_t taps = p.taps(), rows = p.in[0] * p.in[1];
  std::vector<Span> spans;
  for (int64_t t = 0; t < p.kernel[2]; t++) spans.push_back(span_of(p, 2, t));
  // The window along an axis whose element `tap` lies at `at`, or -1.
  const auto window = [&](int axis, int64_t at, int64_t tap) {
    const int64_t from = at + p.pad[axis] - tap * p.dilation[axis];
    return from >= 0 && from % p.stride[axis] == 0 && from / p.stride[axis] < p.out[axis] ? from / p.stride[axis]
                                                                                          : int64_t(-1);
  };
  const bool in_place = std::is_same_v<T, Sum> && p.xs[4] == 1;
  const int threads = threads_for(p);
  const int64_t parts = p.n * p.c >= 4 * threads || threads == 1 ? 1 : std::min<int64_t>(rows, 4 * threads);
  const int64_t length = std::max(p.in[2], p.out[2]);
  std::vector<Sum> scratch(size_t(threads * 2 * length));
  parallel_for(p.n * p.c * parts, threads, [&](int64_t task, int thread) {
    const int64_t part = task % parts, c = task / parts % p.c, n = task / parts / p.c;
    T* const plane = image + n * p.xs[0] + c * p.xs[1];
    const T* const source = columns + n * p.columns[0] + c * taps * p.columns[1];
    Sum* const sums = scratch.data() + thread * 2 * length;
    Row<T, Sum> sum{p, HalfRuns(p.dtype, p.isa), sums, sums + length};
    for (int64_t row = part * rows / parts; row < (part + 1) * rows / parts; row++) {
      const int64_t z = row / p.in[1], y = row % p.in[1];
      T* const dst = plane + z * p.xs[2] + y * p.xs[3];
      if (in_place) sum.sums = reinterpret_cast<Sum*>(dst);
      std::fill_n(sum.sums, p.in[2], Sum(0));
      for (int64_t tz = 0; tz < p.kernel[0]; tz++) {
        const int64_t d = window(0, z, tz);
        for (int64_t ty = 0; d >= 0 && ty < p.kernel[1]; ty++) {
          const int64_t h = window(1, y, ty);
          for (int64_t tx = 0; h >= 0 && tx < p.kernel[2]; tx++)
            sum.add(source + ((tz * p.kernel[1] + ty) * p.kernel[2] + tx) * p.columns[1] +
                        (d * p.out[1] + h) * p.out[2] * p.columns[2],
                    spans[size_t(tx)]);
        }
      }
      sum.store(dst);
    }
  });
}

}  // namespace

void unfold(const FoldProblem& p, const void* image, void* columns) {
  const auto as = [&](auto type) {
    using T = decltype(type);
    unfold_as(p, static_cast<const T*>(image), static_cast<T*>(columns));
  };
  switch (dtype_size(p.dtype)) {
    case 1:
      return as(uint8_t());
    case 2:
      return as(uint16_t());
    case 4:
      return as(uint32_t());
    default:
      return as(uint64_t());
  }
}

void fold(const FoldProblem& p, const void* columns, void* image) {
  FlushDenormals guard(!p.keep_denormals);
  const auto as = [&](auto type, auto sum) {
    using T = decltype(type);
    fold_as<T, decltype(sum)>(p, static_cast<const T*>(columns), static_cast<T*>(image));
  };
  switch (p.dtype) {
    case DType::f32:
      return as(float(), float());
    case DType::f64:
      return as(double(), double());
    case DType::f16:
      return as(uint16_t(), float());
    case DType::bf16:
      return as(uint16_t(), float());
    case DType::i16:
      return as(uint16_t(), uint16_t());
    case DType::i32:
      return as(uint32_t(), uint32_t());
    case DType::i64:
      return as(uint64_t(), uint64_t());
    default:
      return as(uint8_t(), uint8_t());
  }
}

}  // namespace konv
