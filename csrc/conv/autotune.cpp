#include "conv/autotune.h"

#if defined(__unix__) || defined(__APPLE__)
#  include <pthread.h>
#endif

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <unordered_map>

#include "conv/conv.h"
#include "core/buffer.h"
#include "core/isa.h"

namespace konv {

namespace {

constexpr double kSampleSeconds = 5e-6;  // below, several runs make one sample
constexpr double kSeconds = 4e-3;        // for each candidate, once all have run three times
constexpr int kRounds = 12;              // at most
constexpr double kFar = 3;               // times slower than the best: not timed again
constexpr double kHopeless = 10;         // times more costly than the cheapest: not timed at all
constexpr double kBatchFlops = 1e9;      // a thread; larger batches are cut to this
constexpr size_t kRemembered = 16384;    // problems of a table

struct Table {
  std::string path;
  std::unordered_map<std::string, std::vector<TimedAlgorithm>> times;
};

// Locked while it is looked at, and all through a measurement: two at once would disturb each other.
struct Tables {
  std::mutex mutex;
  std::deque<Table> all{1};
  Table& operator[](int64_t number) { return all[size_t(number - 1)]; }
};
Tables& tables() {
  static Tables* t = [] {
    static Tables* made = new Tables;  // never destroyed: threads may still convolve while the interpreter exits
#if defined(__unix__) || defined(__APPLE__)
    // A forked child must not inherit a mutex that another thread held.
    pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); }, [] { made->mutex.unlock(); });
#endif
    return made;
  }();
  return *t;
}

struct Tensor {
  int64_t shape[5];
  int64_t* strides;
  bool channels_last() const { return shape[1] > 1 && strides[1] == 1; }
  // Elements before the first, and in all.
  void extent(int64_t& before, int64_t& all) const {
    before = 0, all = 1;
    for (int i = 0; i < 5; i++) {
      all += (shape[i] - 1) * std::abs(strides[i]);
      before += strides[i] < 0 ? (shape[i] - 1) * -strides[i] : 0;
    }
  }
  int64_t elements() const { return shape[0] * shape[1] * shape[2] * shape[3] * shape[4]; }
};

struct Tensors {
  Tensor x, w, y;
  explicit Tensors(ConvProblem& p)
      : x{{p.n, p.c, p.in[0], p.in[1], p.in[2]}, p.xs},
        w{{p.k, p.c / p.groups, p.kernel[0], p.kernel[1], p.kernel[2]}, p.ws},
        y{{p.n, p.k, p.out[0], p.out[1], p.out[2]}, p.ys} {}
};

// Contiguous strides where the tensor's are those but for axes of one element, and where it is spread over far more
// memory than it has elements.
void simplify(Tensor t) {
  int64_t plain[5], before, all;
  contiguous_strides(t.shape, t.channels_last(), plain);
  bool same = true;
  for (int i = 0; i < 5; i++) same = same && (t.shape[i] <= 1 || plain[i] == t.strides[i]);
  t.extent(before, all);
  if (same || all > 2 * t.elements() + 4096) std::copy_n(plain, 5, t.strides);
}

// What is timed in place of a problem.
ConvProblem representative(ConvProblem p) {
  p.algorithm = -1, p.autotune = 0;
  p.has_bias = p.has_residual = 0;
  p.activation = Activation::none, p.activation_parameter = 0;
  const Tensors t(p);
  for (const Tensor& tensor : {t.x, t.w, t.y}) simplify(tensor);
  return p;
}

// Scratch arrays of a problem. Zeros would let memory that was never written look like cache.
class Arrays {
 public:
  explicit Arrays(ConvProblem& p) {
    Tensors t(p);
    const Tensor* const of[] = {&t.x, &t.w, &t.y};
    const int64_t item = dtype_size(p.dtype);
    void* at[3];
    for (int i = 0; i < 3; i++) {
      int64_t before, all;
      of[i]->extent(before, all);
      memory_[i] = AlignedBuffer(all * item);
      std::memset(memory_[i].data(), 0x3c, size_t(all * item));
      at[i] = memory_[i].data() + before * item;
    }
    tensors = {at[0], at[1], at[2], nullptr, nullptr};
  }
  ConvTensors tensors;

 private:
  AlignedBuffer memory_[3];
};

struct Candidate {
  int index;
  std::unique_ptr<ConvPlan> plan;
  AlignedBuffer packed;
  double seconds = 0;
  int repeats = 1;

  void run(const Arrays& arrays, bool ready) const { run_plan(*plan, arrays.tensors, ready ? packed.data() : nullptr); }
  double sample(const Arrays& arrays, bool ready) const {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; i++) run(arrays, ready);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
  }
};

double fastest(const std::vector<Candidate>& candidates) {
  double best = candidates[0].seconds;
  for (const Candidate& c : candidates) best = std::min(best, c.seconds);
  return best;
}

// Rounds in which each takes its turn, so that a disturbance meets all alike; the least time of each counts.
std::vector<TimedAlgorithm> measure(ConvProblem p, const std::vector<int>& indices) {
  const double image = p.flops() / double(p.n);
  p.n = std::clamp<int64_t>(int64_t(kBatchFlops * double(p.threads) / image), 1, p.n);
  const Arrays arrays(p);
  std::vector<Candidate> candidates;
  for (int index : indices) {
    const Algorithm& a = algorithm_at(index);
    if (!a.supports(p).empty() || cost_of(index, p) > kHopeless * cost_of(indices[0], p)) continue;
    Candidate c{index, a.make_plan(p), {}};
    if (p.weights_ready) {
      c.packed = AlignedBuffer(c.plan->prepared_bytes);
      prepare_plan(*c.plan, arrays.tensors, c.packed.data());
    }
    c.run(arrays, p.weights_ready);
    c.seconds = c.sample(arrays, p.weights_ready);
    c.repeats = std::clamp(int(kSampleSeconds / std::max(c.seconds, 1e-9)), 1, 100);
    candidates.push_back(std::move(c));
  }
  if (candidates.empty()) return {};
  double spent = 0;
  for (int round = 0; round < kRounds && (round < 2 || spent < kSeconds * double(candidates.size())); round++) {
    const double best = fastest(candidates);
    for (Candidate& c : candidates) {
      if (round > 0 && c.seconds > kFar * best) continue;
      const double seconds = c.sample(arrays, p.weights_ready);
      spent += seconds * c.repeats;
      c.seconds = std::min(c.seconds, seconds);
    }
  }
  std::vector<TimedAlgorithm> times;
  for (const Candidate& c : candidates) times.push_back({algorithm_at(c.index).name, c.seconds});
  return times;
}

std::string quoted(const std::string& text) {
  std::string s = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') s += '\\';
    s += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return s + '"';
}

// One line, in one write at the end of the file, so that several processes may remember in the same one.
void append(const std::string& path, const std::string& key, const std::vector<TimedAlgorithm>& times) {
  std::string line = "{\"konv\": " + quoted(KONV_VERSION) + ", \"cpu\": " + quoted(cpu_name()) +
                     ", \"problem\": " + quoted(key) + ", \"seconds\": {";
  for (const TimedAlgorithm& t : times) {
    char number[32];
    std::snprintf(number, sizeof number, "%.4g", t.seconds);
    line += (&t == times.data() ? "" : ", ") + quoted(t.name) + ": " + number;
  }
  line += "}}\n";
  std::FILE* file = std::fopen(path.c_str(), "ab");
  bool written = file && std::setvbuf(file, nullptr, _IOFBF, line.size() + 1) == 0;
  written = written && std::fwrite(line.data(), 1, line.size(), file) == line.size();
  if (file) written = std::fclose(file) == 0 && written;
  if (!written) throw std::runtime_error("autotune: cannot write to '" + path + "': " + std::strerror(errno));
}

// The first times of a problem stay: its choice does not change while a process lives.
void remember(Table& table, const std::string& key, const std::vector<TimedAlgorithm>& times) {
  if (table.times.size() >= kRemembered) table.times.clear();
  table.times.try_emplace(key, times);
}

std::string joined(const int64_t* values, int count) {
  std::string s;
  for (int i = 0; i < count; i++) s += (i ? "," : "") + std::to_string(values[i]);
  return s;
}

}  // namespace

std::string autotune_key(const ConvProblem& problem) {
  static const char* const directions[] = {"forward", "input_gradient", "weight_gradient"};
  ConvProblem p = representative(problem);
  std::string s = directions[int(p.direction)];
  s += p.dtype == DType::f32 ? " float32 " : " float64 ";
  s += isa_name(Isa(p.isa));
  if (p.precision != Precision::high) s += p.precision == Precision::strict ? " strict" : " medium";
  if (p.weights_ready) s += " weights_ready";
  const auto add = [&](const char* name, const int64_t* values, int count) {
    s += std::string(" ") + name + "=" + joined(values, count);
  };
  add("threads", &p.threads, 1), add("max_workspace", &p.max_workspace, 1);
  add("n", &p.n, 1), add("c", &p.c, 1), add("k", &p.k, 1), add("groups", &p.groups, 1);
  add("in", p.in, 3), add("out", p.out, 3), add("kernel", p.kernel, 3), add("stride", p.stride, 3);
  add("dilation", p.dilation, 3), add("pad", p.pad, 3);
  add("xs", p.xs, 5), add("ws", p.ws, 5), add("ys", p.ys, 5);
  return s;
}

int64_t autotune_table(const std::string& path) {
  Tables& t = tables();
  std::lock_guard lock(t.mutex);
  const auto found = std::find_if(t.all.begin(), t.all.end(), [&](const Table& table) { return table.path == path; });
  if (found != t.all.end()) return found - t.all.begin() + 1;
  t.all.push_back({path, {}});
  return int64_t(t.all.size());
}

std::string autotune_path(int64_t table) {
  Tables& t = tables();
  std::lock_guard lock(t.mutex);
  return t[table].path;
}

void remember_times(int64_t table, const std::string& key, const std::vector<TimedAlgorithm>& times) {
  Tables& t = tables();
  std::lock_guard lock(t.mutex);
  remember(t[table], key, times);
}

std::vector<TimedAlgorithm> algorithm_times(const ConvProblem& problem, const std::vector<int>& candidates) {
  const std::string key = autotune_key(problem);
  Tables& t = tables();
  std::lock_guard lock(t.mutex);
  Table& table = t[problem.autotune];
  if (const auto found = table.times.find(key); found != table.times.end()) return found->second;
  std::vector<TimedAlgorithm> times;
  try {
    times = measure(representative(problem), candidates);
  } catch (const std::bad_alloc&) {
    return {};
  }
  remember(table, key, times);
  if (!table.path.empty()) append(table.path, key, times);
  return times;
}

}  // namespace konv
