#include "director/departures.h"

#include <algorithm>
#include <map>
#include <thread>
#include <utility>

namespace director {
namespace {

// Another director may be the one that sends, so that nobody here could wake who waits: the
// journal is looked at, soon at first.
constexpr Duration kFirstLookAfter = std::chrono::milliseconds(10);
constexpr Duration kLookAgainAfterMax = std::chrono::milliseconds(160);

/// Counts one that waits for as long as it lives.
class WaitingPlace {
 public:
  WaitingPlace(std::atomic<std::size_t>& waiting, std::size_t most)
      : waiting_(waiting), is_free_(waiting.fetch_add(1) < most) {}
  ~WaitingPlace() { --waiting_; }
  WaitingPlace(const WaitingPlace&) = delete;
  WaitingPlace& operator=(const WaitingPlace&) = delete;

  bool is_free() const { return is_free_; }

 private:
  std::atomic<std::size_t>& waiting_;
  const bool is_free_;
};

Result<std::map<EnrollmentId, Dispatching>> Look(Store& store, const std::set<EnrollmentId>& ids,
                                                 Timestamp since) {
  std::map<EnrollmentId, Dispatching> seen;
  const Status done = store.Read([&](StoreReader& reader) -> Status {
    auto found = reader.LoadDispatching({ids.begin(), ids.end()}, since);
    if (!found) return Fail(found.error());
    seen = std::move(*found);
    return {};
  });
  if (!done) return Fail(done.error());
  return seen;
}

}  // namespace

Departures::Departures(Store& store, Upstreams& upstreams, Limits limits, Pause pause)
    : store_(store),
      upstreams_(upstreams),
      limits_(limits),
      pause_(pause ? std::move(pause)
                   : [](Duration duration) { std::this_thread::sleep_for(duration); }) {}

Result<std::set<EnrollmentId>> Departures::Await(const std::vector<Enrollment>& devices,
                                                 Timestamp since) {
  const WaitingPlace place(waiting_, limits_.waiting_max);
  if (!place.is_free()) return std::set<EnrollmentId>();
  return Watch(devices, since);
}

Result<std::set<EnrollmentId>> Departures::Watch(const std::vector<Enrollment>& devices,
                                                 Timestamp since) {
  const auto give_up_at = std::chrono::steady_clock::now() + limits_.time_max;
  std::set<EnrollmentId> open;
  for (const Enrollment& device : devices) open.insert(device.channel.enrollment_id);
  std::set<EnrollmentId> failed;
  for (Duration pause = kFirstLookAfter;; pause = std::min(pause * 2, kLookAgainAfterMax)) {
    const auto seen = Look(store_, open, since);
    if (!seen) return Fail(seen.error());
    for (const auto& [id, dispatching] : *seen) {
      if (!dispatching.is_decided || dispatching.waiting > 0) continue;
      if (dispatching.failed > 0) failed.insert(id);
      open.erase(id);
    }
    if (open.empty() || std::chrono::steady_clock::now() >= give_up_at) break;
    pause_(pause);
  }
  failed.insert(open.begin(), open.end());
  // While a server is away nothing is journaled for it.
  for (const Enrollment& device : devices) {
    if (IsAway(device.upstream)) failed.insert(device.channel.enrollment_id);
  }
  return failed;
}

bool Departures::IsAway(const UpstreamName& upstream) {
  const Upstreams::Member* server = upstreams_.Find(upstream);
  return server == nullptr || !server->health.answers();
}

}  // namespace director
