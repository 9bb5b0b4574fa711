// What one device costs in fleets of different sizes: the same, if every query finds its rows by an
// index.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/loop.h"

namespace director::bench {
namespace {

constexpr std::array<std::size_t, 3> kFleetSizes = {1'000, 10'000, 100'000};
constexpr std::size_t kFloorSize = 10'000;
constexpr std::size_t kGrowthItems = 60;
constexpr std::size_t kSingleLooks = 500;
constexpr double kGrowthMax = 1.1;
/// What a pass costs whatever its size is shared by few.
constexpr double kSmallFleetMax = 1.5;
constexpr double kMicroseconds = 1e6;

/// Microseconds for one device.
struct Cost {
  double in_pass = 0;  ///< when all are due
  double alone = 0;    ///< when nobody else is
};

/// Seconds until nobody is due any more; kCorrupt when others than these were looked at, or were
/// sent anything.
Result<double> LookAt(Store& store, Loop& loop, const std::map<EnrollmentId, Timestamp>& due_at) {
  const Status due = store.Write([&](StoreWriter& writer) { return writer.MarkDue(due_at); });
  if (!due) return Fail(due.error());
  const Stopwatch watch;
  const Result<std::size_t> decided = loop.Run();
  const double seconds = watch.seconds();
  if (!decided) return Fail(decided.error());
  if (*decided != due_at.size() || loop.commands() != 0)
    return Fail(ErrorKind::kCorrupt, "the fleet is not settled");
  return seconds;
}

Result<Cost> MeasureFleet(const Options& options, std::size_t devices) {
  const SystemClock clock;
  const auto database = Database::Create(options);
  if (!database) return Fail(database.error());
  const auto store = (*database)->Open();
  if (!store) return Fail(store.error());
  Status done = SeedSettledFleet(**store, devices, kGrowthItems, clock);
  if (done) done = (*database)->Analyze();
  if (!done) return Fail(done.error());
  Loop loop(**store, clock);
  std::map<EnrollmentId, Timestamp> all;
  for (std::size_t i = 0; i < devices; ++i) all.emplace(UdidOf(i), clock.Now());
  const Result<double> pass = LookAt(**store, loop, all);
  if (!pass) return Fail(pass.error());
  double alone = 0;
  for (std::size_t i = 0; i < kSingleLooks; ++i) {
    const std::size_t device = i * devices / kSingleLooks;
    const Result<double> look =
        LookAt(**store, loop, {{EnrollmentId(UdidOf(device)), clock.Now()}});
    if (!look) return Fail(look.error());
    alone += *look;
  }
  return Cost{*pass * kMicroseconds / static_cast<double>(devices),
              alone * kMicroseconds / static_cast<double>(kSingleLooks)};
}

}  // namespace

Status GrowthBench(const Options& options, const Report& report) {
  const Result<Cost> floor = MeasureFleet(options, kFloorSize);
  if (!floor) return Fail(floor.error());
  std::vector<std::size_t> sizes(kFleetSizes.begin(), kFleetSizes.end());
  if (options.devices != 0) sizes = {options.devices};
  for (const std::size_t devices : sizes) {
    if (devices == kFloorSize) continue;
    const Result<Cost> cost = MeasureFleet(options, devices);
    if (!cost) return Fail(cost.error());
    const std::string floor_name = fmt::format("of {} devices", kFloorSize);
    const double target = devices < kFloorSize ? kSmallFleetMax : kGrowthMax;
    report({fmt::format("pass, for each of {} devices", devices), cost->in_pass, "us",
            floor->in_pass, floor_name, cost->in_pass / floor->in_pass, target, true});
    report({fmt::format("a look at one of {} devices", devices), cost->alone, "us", floor->alone,
            floor_name, cost->alone / floor->alone, target, true});
  }
  return {};
}

}  // namespace director::bench
