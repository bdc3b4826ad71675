#include "cuda/conv/conv.h"

#include <iterator>
#include <stdexcept>

#include "conv/plan_cache.h"

namespace konv {

namespace cuda {
#define KONV_ALGORITHM(name) extern const Algorithm name##_algorithm;
#include "cuda/algos_cuda.def"
}  // namespace cuda

namespace {

const Algorithm* const kAlgorithms[] = {
#define KONV_ALGORITHM(name) &cuda::name##_algorithm,
#include "cuda/algos_cuda.def"
};
constexpr int kCount = int(std::size(kAlgorithms));

std::string refusal(int i, const ConvProblem& p) {
  if (p.padding_mode != PaddingMode::zeros && !kAlgorithms[i]->any_padding) return "padding_mode is not 'zeros'";
  return kAlgorithms[i]->supports(p);
}

// The cheapest; the reference only where there is no other.
int choose(const ConvProblem& p) {
  if (p.algorithm >= 0) {
    const std::string reason = refusal(int(p.algorithm), p);
    if (!reason.empty())
      throw std::invalid_argument(std::string("algorithm: '") + kAlgorithms[p.algorithm]->name +
                                  "' does not compute this problem: " + reason);
    return int(p.algorithm);
  }
  int best = kCount - 1;
  double least = 0;
  for (int i = 0; i < kCount - 1; i++) {
    if (!refusal(i, p).empty()) continue;
    const double cost = cost_of(i, p);
    if (best == kCount - 1 || cost < least) best = i, least = cost;
  }
  return best;
}

std::shared_ptr<const ConvPlan> make_plan(const ConvProblem& p) {
  const int algorithm = choose(p);
  std::unique_ptr<ConvPlan> plan = kAlgorithms[algorithm]->make_plan(p);
  plan->algorithm = algorithm;
  return plan;
}

PlanCache& cache() {
  static PlanCache* const c = new PlanCache;
  return *c;
}

int64_t rounded(int64_t bytes) { return (bytes + 511) / 512 * 512; }

}  // namespace

std::shared_ptr<const ConvPlan> find_plan(const ConvProblem& p) { return cache().find(p, make_plan); }
PlanCacheInfo plan_cache_info() { return cache().info(); }
void clear_plan_cache() { cache().clear(); }

int algorithm_index(const std::string& name) {
  if (name == "auto") return -1;
  std::string known = "'auto'";
  for (int i = 0; i < kCount; i++) {
    if (name == kAlgorithms[i]->name) return i;
    known += std::string(", '") + kAlgorithms[i]->name + "'";
  }
  throw std::invalid_argument("algorithm: expected one of " + known + ", got '" + name + "'");
}

const Algorithm& algorithm_at(int index) { return *kAlgorithms[index]; }
double cost_of(int algorithm, ConvProblem p) { return kAlgorithms[algorithm]->cost(p); }
std::string machine_of(const ConvProblem& p) { return cuda::device_info(int(p.isa)).name; }

std::vector<Explanation> explain_conv(const ConvProblem& p) {
  std::vector<Explanation> r;
  const int chosen = choose(p);
  for (int i = 0; i < kCount; i++) {
    std::string reason = refusal(i, p);
    const double cost = reason.empty() ? cost_of(i, p) : 0;
    r.push_back({kAlgorithms[i]->name, std::move(reason), cost, 0, i == chosen});
  }
  return r;
}

namespace cuda {

void run_plan(Queue queue, const ConvPlan& plan, const ConvTensors& tensors, const char* packed) {
  const int64_t weights = packed ? 0 : rounded(plan.prepared_bytes);
  const Memory scratch(queue, weights + rounded(plan.workspace.shared));
  if (!packed) {
    if (weights) plan.prepare_on(&queue, tensors, scratch.data());
    packed = scratch.data();
  }
  const Workspace workspace{scratch.data() + weights, nullptr, 0, &queue};
  plan.run(tensors, packed, workspace);
}

void run_conv(Queue queue, const ConvProblem& p, const ConvTensors& tensors) {
  run_plan(queue, *find_plan(p), tensors, nullptr);
}

}  // namespace cuda

}  // namespace konv
