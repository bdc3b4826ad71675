// The definition: a thread an output, any strides, any element type, any padding. Last in the list; chosen silently
// only where nothing else computes the problem.
#include "core/algorithm.h"
#include "cuda/device.h"
#include "cuda/kernels/epilogue.cuh"
#include "cuda/runtime.h"

namespace konv::cuda {

namespace {

constexpr int kThreads = 128;

template <class T>
struct Arguments {
  ConvProblem p;
  T *x, *w, *y;
  Epilogue<T> epilogue;
};

// The element that position i of an axis takes, or -1 for a zero beyond the border.
__device__ inline int64_t source(PaddingMode mode, int64_t i, int64_t size) {
  if (i >= 0 && i < size) return i;
  if (mode == PaddingMode::zeros) return -1;
  if (mode == PaddingMode::circular) return (i % size + size) % size;
  if (mode == PaddingMode::reflect) i = i < 0 ? -i : 2 * (size - 1) - i;
  return i < 0 ? 0 : i > size - 1 ? size - 1 : i;
}

struct Place {
  int64_t i, j, at[3];
};
// Of element `index` of a (rows, columns, size) tensor.
__device__ inline Place place_of(int64_t index, int64_t columns, const int64_t size[3]) {
  Place r;
  for (int a = 2; a >= 0; a--) r.at[a] = index % size[a], index /= size[a];
  r.j = index % columns, r.i = index / columns;
  return r;
}
__device__ inline int64_t offset_of(const int64_t strides[5], int64_t i, int64_t j, const int64_t at[3]) {
  return i * strides[0] + j * strides[1] + at[0] * strides[2] + at[1] * strides[3] + at[2] * strides[4];
}

template <class F>
__device__ void each_in(const int64_t size[3], F&& f) {
  int64_t e[3];
  for (e[0] = 0; e[0] < size[0]; e[0]++)
    for (e[1] = 0; e[1] < size[1]; e[1]++)
      for (e[2] = 0; e[2] < size[2]; e[2]++) f(e);
}

// Where tap e of output o lies in the input; false in the zeros beyond the border.
__device__ inline bool input_of(const ConvProblem& p, const int64_t o[3], const int64_t e[3], int64_t at[3]) {
  bool inside = true;
  for (int a = 0; a < 3; a++) {
    at[a] = source(p.padding_mode, o[a] * p.stride[a] + e[a] * p.dilation[a] - p.pad[a], p.in[a]);
    inside = inside && at[a] >= 0;
  }
  return inside;
}

template <class T>
__global__ void __launch_bounds__(kThreads) forward_reference(Arguments<T> a) {
  const ConvProblem& p = a.p;
  const int64_t count = p.n * p.k * p.out_pixels(), cg = p.c / p.groups;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    const Place o = place_of(i, p.k, p.out);
    const int64_t c0 = o.j / (p.k / p.groups) * cg;
    Sum<T> sum = 0;
    for (int64_t c = 0; c < cg; c++)
      each_in(p.kernel, [&](const int64_t* e) {
        int64_t at[3];
        if (input_of(p, o.at, e, at))
          sum += Sum<T>(widened(a.x[offset_of(p.xs, o.i, c0 + c, at)])) * widened(a.w[offset_of(p.ws, o.j, c, e)]);
      });
    const int64_t offset = offset_of(p.ys, o.i, o.j, o.at);
    a.y[offset] = a.epilogue.finished(sum, o.j, offset);
  }
}

// The sum over the outputs that read a place of the input through tap e: at most one under zeros.
template <class T, class F>
__device__ void each_reader(const ConvProblem& p, const int64_t at[3], const int64_t e[3], F&& f) {
  if (p.padding_mode == PaddingMode::zeros) {
    int64_t o[3];
    for (int a = 0; a < 3; a++) {
      o[a] = at[a] + p.pad[a] - e[a] * p.dilation[a];
      if (o[a] < 0 || o[a] % p.stride[a] || o[a] / p.stride[a] >= p.out[a]) return;
      o[a] /= p.stride[a];
    }
    f(o);
    return;
  }
  each_in(p.out, [&](const int64_t* o) {
    int64_t from[3];
    if (input_of(p, o, e, from) && from[0] == at[0] && from[1] == at[1] && from[2] == at[2]) f(o);
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads) input_gradient_reference(Arguments<T> a) {
  const ConvProblem& p = a.p;
  const int64_t count = p.n * p.c * p.in[0] * p.in[1] * p.in[2], kg = p.k / p.groups, cg = p.c / p.groups;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    const Place x = place_of(i, p.c, p.in);
    const int64_t k0 = x.j / cg * kg;
    Sum<T> sum = 0;
    for (int64_t k = k0; k < k0 + kg; k++)
      each_in(p.kernel, [&](const int64_t* e) {
        each_reader<T>(p, x.at, e, [&](const int64_t* o) {
          sum += Sum<T>(widened(a.y[offset_of(p.ys, x.i, k, o)])) * widened(a.w[offset_of(p.ws, k, x.j % cg, e)]);
        });
      });
    const int64_t offset = offset_of(p.xs, x.i, x.j, x.at);
    a.x[offset] = a.epilogue.finished(sum, x.j, offset);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) weight_gradient_reference(Arguments<T> a) {
  const ConvProblem& p = a.p;
  const int64_t cg = p.c / p.groups, count = p.k * cg * p.taps();
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    const Place w = place_of(i, cg, p.kernel);
    const int64_t channel = w.i / (p.k / p.groups) * cg + w.j;
    Sum<T> total = 0, sum = 0;
    for (int64_t n = 0; n < p.n; n++)
      each_in(p.out, [&](const int64_t* o) {
        int64_t at[3];
        if (input_of(p, o, w.at, at))
          sum += Sum<T>(widened(a.x[offset_of(p.xs, n, channel, at)])) * widened(a.y[offset_of(p.ys, n, w.i, o)]);
        if (o[2] + 1 == p.out[2]) total += sum, sum = 0;  // rounding grows with the longer of two loops alone
      });
    a.w[offset_of(p.ws, w.i, w.j, w.at)] = narrowed<T>(total);
  }
}

template <class T>
class ReferencePlan final : public ConvPlan {
 public:
  explicit ReferencePlan(const ConvProblem& p) : p_(p) { reads_weights = true; }

  void run(const ConvTensors& t, const char*, const Workspace& workspace) const override {
    const Queue queue = *static_cast<const Queue*>(workspace.queue);
    const Arguments<T> a{p_, static_cast<T*>(t.x), static_cast<T*>(t.w), static_cast<T*>(t.y),
                         epilogue_of<T>(p_, t.bias, t.residual)};
    switch (p_.direction) {
      case Direction::forward:
        return launch<forward_reference<T>>(queue, "forward_reference",
                                            blocks_for(p_.n * p_.k * p_.out_pixels(), kThreads), {kThreads}, 0, a);
      case Direction::input_gradient:
        return launch<input_gradient_reference<T>>(queue, "input_gradient_reference",
                                                   blocks_for(p_.n * p_.c * p_.in[0] * p_.in[1] * p_.in[2], kThreads),
                                                   {kThreads}, 0, a);
      case Direction::weight_gradient:
        return launch<weight_gradient_reference<T>>(queue, "weight_gradient_reference",
                                                    blocks_for(p_.k * (p_.c / p_.groups) * p_.taps(), kThreads),
                                                    {kThreads}, 0, a);
    }
  }

 private:
  ConvProblem p_;
};

}  // namespace

extern const Algorithm reference_algorithm;
const Algorithm reference_algorithm = {"reference", [](const ConvProblem&) { return std::string(); },
                                       [](const ConvProblem& p) { return 100 * p.flops(); },
                                       [](const ConvProblem& p) -> std::unique_ptr<ConvPlan> {
                                         switch (p.dtype) {
                                           case DType::f32:
                                             return std::make_unique<ReferencePlan<float>>(p);
                                           case DType::f64:
                                             return std::make_unique<ReferencePlan<double>>(p);
                                           case DType::f16:
                                             return std::make_unique<ReferencePlan<float16>>(p);
                                           default:
                                             return std::make_unique<ReferencePlan<bfloat16>>(p);
                                         }
                                       },
                                       true};

}  // namespace konv::cuda
