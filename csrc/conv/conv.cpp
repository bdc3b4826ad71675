#include "conv/conv.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#  include <pthread.h>
#endif

#include "conv/adapt.h"
#include "conv/autotune.h"
#include "conv/plan_cache.h"
#include "core/buffer.h"
#include "core/config.h"
#include "core/isa.h"
#include "core/parallel.h"

namespace konv {

#define KONV_ALGORITHM(name) extern const Algorithm name##_algorithm;
#include "conv/algos.def"

namespace {

const Algorithm* const kAlgorithms[] = {
#define KONV_ALGORITHM(name) &name##_algorithm,
#include "conv/algos.def"
};
constexpr int kCount = int(std::size(kAlgorithms));

// Empty if the algorithm computes the problem, which is none that adapt.h takes care of.
std::string refusal(int i, const ConvProblem& p) {
  const Operands operands = kAlgorithms[i]->operands;
  if (operands != Operands::all && is_byte(p.dtype) != (operands == Operands::bytes))
    return is_byte(p.dtype) ? "the arrays are integers" : "the arrays are not int8 or uint8";
  if (p.padding_mode != PaddingMode::zeros && !kAlgorithms[i]->any_padding) return "padding_mode is not 'zeros'";
  return kAlgorithms[i]->supports(p);
}

// Those that compute the problem, the cheapest first; the reference only where there is no other.
std::vector<int> candidates(const ConvProblem& p) {
  std::vector<std::pair<double, int>> found;
  for (int i = 0; i < kCount - 1; i++)
    if (refusal(i, p).empty()) found.emplace_back(cost_of(i, p), i);
  std::sort(found.begin(), found.end());
  std::vector<int> r;
  for (const auto& [cost, i] : found) r.push_back(i);
  if (r.empty()) r.push_back(kCount - 1);
  return r;
}

int choose(const ConvProblem& p) {
  if (p.algorithm >= 0) {
    const std::string reason = refusal(int(p.algorithm), p);
    if (!reason.empty())
      throw std::invalid_argument(std::string("algorithm: '") + kAlgorithms[p.algorithm]->name +
                                  "' does not compute this problem: " + reason);
    return int(p.algorithm);
  }
  const std::vector<int> all = candidates(p);
  if (p.autotune && all.size() > 1) {
    std::vector<TimedAlgorithm> times = algorithm_times(p, all);
    std::stable_sort(times.begin(), times.end(), [](const auto& a, const auto& b) { return a.seconds < b.seconds; });
    for (const TimedAlgorithm& t : times)
      for (int i : all)
        if (t.name == kAlgorithms[i]->name) return i;
  }
  return all[0];
}

std::shared_ptr<const ConvPlan> make_plan(const ConvProblem& p) {
  if (is_adapted(p)) return make_adapted_plan(p);
  const int algorithm = choose(p);
  std::unique_ptr<ConvPlan> plan = kAlgorithms[algorithm]->make_plan(p);
  plan->algorithm = algorithm;
  return plan;
}

PlanCache& cache() {
  static PlanCache* c = [] {
    static PlanCache* made = new PlanCache;  // never destroyed: threads may still convolve while the interpreter exits
#if defined(__unix__) || defined(__APPLE__)
    // A fork waits for a look-up in another thread, so that the child does not inherit a mutex that nobody will open.
    pthread_atfork([] { made->lock(); }, [] { made->unlock(); }, [] { made->unlock(); });
#endif
    return made;
  }();
  return *c;
}

// Scratch that the calling thread keeps between calls.
class Scratch {
 public:
  char* get(int64_t bytes) {
    if (bytes > memory_.size()) {
      memory_ = AlignedBuffer();
      memory_ = AlignedBuffer(bytes, 4096);
    }
    return memory_.data();
  }

 private:
  AlignedBuffer memory_;
};

}  // namespace

std::shared_ptr<const ConvPlan> find_plan(const ConvProblem& p) { return cache().find(p, make_plan); }

void prepare_plan(const ConvPlan& plan, const ConvTensors& tensors, char* packed) {
  FlushDenormals guard(!config().keep_denormals);
  plan.prepare(tensors, packed);
}

void run_plan(const ConvPlan& plan, const ConvTensors& tensors, const char* packed) {
  thread_local Scratch scratch;
  const auto round = [](int64_t n) { return (n + 63) / 64 * 64; };
  // A little more than a multiple of the page between threads, so that their scratch does not share cache sets.
  const int64_t weights = packed ? 0 : round(plan.prepared_bytes);
  const int64_t shared = round(plan.workspace.shared), mine = round(plan.workspace.per_thread) + 192;
  char* memory = scratch.get(weights + shared + mine * plan.threads);
  FlushDenormals guard(!config().keep_denormals);
  if (!packed) {
    plan.prepare(tensors, memory);
    packed = memory;
  }
  memory += weights;
  plan.run(tensors, packed, Workspace{memory, memory + shared, mine});
}

void run_conv(const ConvProblem& p, const ConvTensors& tensors) {
  struct Last {
    ConvProblem problem;
    std::shared_ptr<const ConvPlan> plan;
  };
  thread_local Last last{};
  if (!last.plan || !(last.problem == p)) {
    last.plan = find_plan(p);
    last.problem = p;
  }
  run_plan(*last.plan, tensors, nullptr);
}

int algorithm_index(const std::string& name) {
  if (name == "auto") return -1;
  std::string known = "'auto'";
  for (int i = 0; i < kCount; i++) {
    if (name == kAlgorithms[i]->name) return i;
    known += std::string(", '") + kAlgorithms[i]->name + "'";
  }
  throw std::invalid_argument("algorithm: expected one of " + known + ", got '" + name + "'");
}

bool supports_problem(const ConvProblem& p) {
  return p.algorithm < 0 || refusal(int(p.algorithm), innermost_problem(p)).empty();
}

std::string machine_of(const ConvProblem& p) { return isa_name(Isa(p.isa)); }

const Algorithm& algorithm_at(int index) { return *kAlgorithms[index]; }

double cost_of(int algorithm, ConvProblem p) {
  p.threads = 1;
  return kAlgorithms[algorithm]->cost(p);
}

double least_cost(const ConvProblem& p) { return cost_of(choose(p), p); }

std::vector<Explanation> explain_conv(const ConvProblem& problem) {
  const ConvProblem p = innermost_problem(problem);
  std::vector<Explanation> r;
  const int chosen = choose(p);
  std::vector<TimedAlgorithm> times;
  if (const std::vector<int> all = candidates(p); p.autotune && all.size() > 1) times = algorithm_times(p, all);
  for (int i = 0; i < kCount; i++) {
    std::string reason = refusal(i, p);
    const double cost = reason.empty() ? cost_of(i, p) : 0;
    Explanation e{kAlgorithms[i]->name, std::move(reason), cost, 0, i == chosen};
    for (const TimedAlgorithm& t : times)
      if (t.name == e.name) e.seconds = t.seconds;
    r.push_back(std::move(e));
  }
  return r;
}

PlanCacheInfo plan_cache_info() { return cache().info(); }
void clear_plan_cache() { cache().clear(); }

namespace {

template <class T>
void bias_gradient(const Kernels<T>& kernel, int threads, const T* y, int64_t n, int64_t k, const int64_t out[3],
                   const int64_t ys[5], T* bias) {
  const int64_t pixels = out[0] * out[1] * out[2];
  const bool channels_last = ys[1] == 1;
  // Channels last: a task sums 64 channels, so that each row read fills whole cache lines.
  const int64_t block = channels_last ? 64 : 1, tasks = (k + block - 1) / block;
  if (double(n) * double(pixels) * double(k) < 32768) threads = 1;
  parallel_for(tasks, threads, [&](int64_t task, int) {
    const int64_t k0 = task * block, count = std::min(block, k - k0);
    for (int64_t i = 0; i < count; i++) bias[k0 + i] = 0;
    for (int64_t in = 0; in < n; in++)
      for (int64_t z = 0; z < out[0]; z++) {
        const T* plane = y + in * ys[0] + k0 * ys[1] + z * ys[2];
        if (channels_last) {
          for (int64_t h = 0; h < out[1]; h++) kernel.sum_columns(plane + h * ys[3], ys[4], out[2], count, bias + k0);
        } else if (ys[4] == 1) {
          T sum;
          const bool flat = ys[3] == out[2];
          kernel.sum_rows(plane, ys[3], flat ? 1 : out[1], flat ? out[1] * out[2] : out[2], &sum);
          bias[k0] += sum;
        } else {
          for (int64_t h = 0; h < out[1]; h++)
            for (int64_t w = 0; w < out[2]; w++) bias[k0] += plane[h * ys[3] + w * ys[4]];
        }
      }
  });
}

}  // namespace

void bias_gradient(DType dtype, int64_t isa, int threads, const void* y, int64_t n, int64_t k, const int64_t out[3],
                   const int64_t ys[5], void* bias) {
  FlushDenormals guard(!config().keep_denormals);
  if (dtype == DType::f32)
    bias_gradient<float>(kernels<float>(Isa(isa)), threads, static_cast<const float*>(y), n, k, out, ys,
                         static_cast<float*>(bias));
  else
    bias_gradient<double>(kernels<double>(Isa(isa)), threads, static_cast<const double*>(y), n, k, out, ys,
                          static_cast<double*>(bias));
}

}  // namespace konv
