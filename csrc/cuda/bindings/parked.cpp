#include "cuda/bindings/parked.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <utility>

namespace konv::cuda {

namespace {

struct Parked {
  std::shared_ptr<void> owner;
  int device;
  std::vector<Event> events;

  bool has_passed() const {
    return std::all_of(events.begin(), events.end(),
                       [this](const Event& e) { return cuda::has_passed(device, e.get()); });
  }
};

// Never destroyed: what is left at the process's end goes with it, for the driver may be gone before.
struct List {
  std::mutex mutex;
  std::vector<Parked> all;
  std::atomic<int> count{0};
};
List& list() {
  static auto* const l = new List;
  return *l;
}

}  // namespace

void let_go_after(int device, const std::vector<void*>& streams, std::shared_ptr<void> owner) noexcept {
  if (is_forked_child() || streams.empty()) return;
  try {
    Parked p{owner, device, {}};
    for (void* stream : streams) {
      // The stream of each thread is another one here, perhaps; the legacy stream waits for all of them.
      p.events.emplace_back(device);
      record_event({device, stream == kStreamOfThread ? nullptr : stream}, p.events.back().get());
    }
    if (p.has_passed()) return;
    const std::lock_guard lock(list().mutex);
    list().all.push_back(std::move(p));
    list().count++;
  } catch (const Failure&) {  // a stream that is gone, or a driver: wait for what there is, and let go
    try {
      synchronize({device, nullptr});
    } catch (const Failure&) {
    }
  }
}

void let_go_of_passed() noexcept {
  if (list().count.load(std::memory_order_relaxed) == 0 || is_forked_child()) return;
  std::vector<Parked> passed;  // whose owners take the GIL as they go: after the lock
  const std::lock_guard lock(list().mutex);
  auto& all = list().all;
  const auto at = std::stable_partition(all.begin(), all.end(), [](const Parked& p) { return !p.has_passed(); });
  passed.assign(std::make_move_iterator(at), std::make_move_iterator(all.end()));
  all.erase(at, all.end());
  list().count = int(all.size());
}

int parked_owners() { return list().count; }

}  // namespace konv::cuda
