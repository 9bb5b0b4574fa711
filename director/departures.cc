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
/// A look at more would hold the database for longer than the time that is left.
constexpr std::size_t kDevicesPerLook = 200;

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

/// The devices of a request.
struct Progress {
  std::set<EnrollmentId> open;    ///< not known yet
  std::set<EnrollmentId> failed;  ///< their changes have not surely left
  std::set<EnrollmentId> taken;   ///< the MDM server has taken something for them
};

Status Look(Store& store, const std::vector<EnrollmentId>& ids, Timestamp since,
            Progress& progress) {
  std::map<EnrollmentId, Dispatching> seen;
  Status done = store.Read([&](StoreReader& reader) -> Status {
    auto found = reader.LoadDispatching(ids, since);
    if (!found) return Fail(found.error());
    seen = std::move(*found);
    return {};
  });
  for (const auto& [id, dispatching] : seen) {
    if (!dispatching.is_decided || dispatching.waiting > 0) continue;
    if (dispatching.failed > 0) progress.failed.insert(id);
    if (dispatching.taken > 0) progress.taken.insert(id);
    progress.open.erase(id);
  }
  return done;
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
  const auto is_over = [&] { return std::chrono::steady_clock::now() >= give_up_at; };
  Progress progress;
  for (const Enrollment& device : devices) progress.open.insert(device.channel.enrollment_id);
  for (Duration pause = kFirstLookAfter;; pause = std::min(pause * 2, kLookAgainAfterMax)) {
    const std::vector<EnrollmentId> open(progress.open.begin(), progress.open.end());
    for (auto first = open.begin(); first != open.end() && !is_over();) {
      const auto last = first + std::min<std::ptrdiff_t>(kDevicesPerLook, open.end() - first);
      if (Status looked = Look(store_, {first, last}, since, progress); !looked) {
        return Fail(looked.error());
      }
      first = last;
    }
    if (progress.open.empty() || is_over()) break;
    pause_(pause);
  }
  std::set<EnrollmentId> failed = std::move(progress.failed);
  failed.insert(progress.open.begin(), progress.open.end());
  // While a server is away nothing is journaled for it. That it went away later is no failure.
  for (const Enrollment& device : devices) {
    const EnrollmentId& id = device.channel.enrollment_id;
    if (!progress.taken.contains(id) && IsAway(device.upstream)) failed.insert(id);
  }
  return failed;
}

bool Departures::IsAway(const UpstreamName& upstream) {
  const Upstreams::Member* server = upstreams_.Find(upstream);
  return server == nullptr || !server->health.answers();
}

}  // namespace director
