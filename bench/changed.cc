#include <fmt/core.h>

#include <utility>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/http_load.h"
#include "bench/loop.h"
#include "bench/served.h"
#include "director/app.h"
#include "mdm/command.h"

namespace director::bench {
namespace {

constexpr std::size_t kChangesPerTurn = 2'000;
constexpr std::size_t kChangesMax = 3 * kChangesPerTurn;
constexpr std::size_t kConnections = 32;
constexpr double kDeliveryMaxSeconds = 120;
/// The floors differ: pgbench's clients share their commits, SQLite's one connection does not.
constexpr double kPostgresTarget = 0.4;
constexpr double kSqliteTarget = 0.2;

}  // namespace

/// Every device reports that it has another revision of one profile: the whole Director, until the
/// MDM server has the commands that mend it. Each turn is about other devices.
Status ChangedBench(const Options& options, const Report& report) {
  const auto database = Database::Create(options);
  if (!database) return Fail(database.error());
  const SystemClock clock;
  const auto mdm = StartMdm(clock);
  if (!mdm) return Fail(mdm.error());
  auto store = (*database)->Open();
  if (!store) return Fail(store.error());
  Status done = SeedSettledFleet(**store, kChangesMax, kProfiles, clock);
  if (done)
    done = SeedIntents(**store, kChangesMax, MakeUuids("changed", kChangesMax),
                       request_type::kProfileList, clock.Now());
  if (done) done = (*database)->Analyze();
  if (!done) return done;
  const auto app = App::Start(MakeConfig((*mdm)->url()), clock, std::move(*store));
  if (!app) return Fail(app.error());

  std::size_t changed = 0;
  const auto change_some = [&]() -> Result<double> {
    std::vector<std::string> bodies;
    for (std::size_t i = changed; i < changed + kChangesPerTurn; ++i) {
      bodies.push_back(
          ProfileListBody(i, fmt::format("changed-{}", i), PayloadUuidOf(kProfiles + i)));
    }
    changed += bodies.size();
    const Stopwatch watch;
    const Result<LoadResult> load =
        PostAll((*app)->port(), "/webhook", bodies, {kConnections, kDeliveryMaxSeconds, 0});
    if (!load) return Fail(load.error());
    // Each device is sent the profile and the question whether it is there.
    const Status sent = WaitFor("the last command", kDeliveryMaxSeconds,
                                [&] { return (*mdm)->core_counters().commands >= 2 * changed; });
    if (!sent) return Fail(sent.error());
    return static_cast<double>(bodies.size()) / watch.seconds();
  };
  Line names;
  names.name = "ingest ProfileList, one changed, until enqueued";
  names.unit = "events/s";
  names.floor_name = (*database)->commits_name();
  names.target = (*database)->is_postgres() ? kPostgresTarget : kSqliteTarget;
  const Result<Line> line = MeasureByTurns(
      std::move(names), [&] { return (*database)->CommitsPerSecond(options.seconds); },
      change_some);
  if (!line) return Fail(line.error());
  report(*line);
  return {};
}

}  // namespace director::bench
