#include "bench/loop.h"

#include <atomic>
#include <thread>
#include <vector>

#include "bench/fleet.h"
#include "tests/support/willing_upstream.h"

namespace director::bench {
namespace {
constexpr std::size_t kWorkers = 2;
}  // namespace

Loop::Loop(Store& store, const Clock& clock)
    : payloads_(store, nullptr),
      executor_(store, upstreams_, payloads_, secrets_, clock, random_),
      runner_(store, upstreams_, executor_, clock, random_, Settings()) {
  upstreams_.Add(std::make_unique<test::WillingUpstream>());
}

Result<std::size_t> Loop::Run() {
  std::atomic<std::size_t> decided{0};
  std::vector<Status> ends(kWorkers);
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&, i] {
      while (true) {
        const Result<std::size_t> claimed = runner_.Step();
        if (!claimed) ends[i] = Fail(claimed.error());
        if (!claimed || *claimed == 0) return;
        decided += *claimed;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const Status& end : ends) {
    if (!end) return Fail(end.error());
  }
  return decided.load();
}

Status SeedSettledFleet(Store& store, std::size_t devices, std::size_t profiles,
                        const Clock& clock) {
  Status done = SeedAssignments(store, profiles, clock.Now());
  // The assignments come to an end before there is anybody, so that each is decided about once.
  if (done)
    done = store.Write([&](StoreWriter& writer) -> Status {
      const auto nobody = writer.ClaimDue(clock.Now(), 0);
      return nobody ? Status() : Fail(nobody.error());
    });
  if (done) done = SeedEnrollments(store, devices, clock.Now());
  if (done) done = SeedReports(store, devices, profiles, clock.Now());
  if (!done) return done;
  Loop loop(store, clock);
  const Result<std::size_t> decided = loop.Run();
  if (!decided) return Fail(decided.error());
  if (*decided != devices || loop.commands() != 0)
    return Fail(ErrorKind::kCorrupt, "the fleet did not settle at once");
  return {};
}

}  // namespace director::bench
