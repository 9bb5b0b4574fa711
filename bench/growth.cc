// What one device costs in fleets of different sizes: the same, if every query finds its rows by an
// index.
#include <fmt/core.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/loop.h"

namespace director::bench {
namespace {

constexpr std::array<std::size_t, 2> kFleetSizes = {1'000, 100'000};
constexpr std::size_t kFloorSize = 10'000;
constexpr std::size_t kGrowthItems = 60;
constexpr std::size_t kSingleLooks = 200;
constexpr double kGrowthMax = 1.1;
/// What a pass costs whatever its size is shared by few.
constexpr double kSmallFleetMax = 1.5;
constexpr double kMicroseconds = 1e6;

/// A settled fleet in a database of its own.
class Fleet {
 public:
  static Result<std::unique_ptr<Fleet>> Create(const Options& options, std::size_t devices) {
    std::unique_ptr<Fleet> fleet(new Fleet(devices));
    auto database = Database::Create(options);
    if (!database) return Fail(database.error());
    fleet->database_ = std::move(*database);
    auto store = fleet->database_->Open();
    if (!store) return Fail(store.error());
    fleet->store_ = std::move(*store);
    Status done = SeedSettledFleet(*fleet->store_, devices, kGrowthItems, fleet->clock_);
    if (done) done = fleet->database_->Analyze();
    if (!done) return Fail(done.error());
    fleet->loop_.emplace(*fleet->store_, fleet->clock_);
    return fleet;
  }

  /// Microseconds for one device when all are due.
  Result<double> Pass() {
    std::map<EnrollmentId, Timestamp> due_at;
    for (std::size_t i = 0; i < devices_; ++i) due_at.emplace(UdidOf(i), clock_.Now());
    return LookAt(due_at);
  }

  /// Microseconds for one device when nobody else is due.
  Result<double> SingleLook() {
    double sum = 0;
    for (std::size_t i = 0; i < kSingleLooks; ++i) {
      const Result<double> look =
          LookAt({{EnrollmentId(UdidOf(i * devices_ / kSingleLooks)), clock_.Now()}});
      if (!look) return look;
      sum += *look;
    }
    return sum / static_cast<double>(kSingleLooks);
  }

 private:
  explicit Fleet(std::size_t devices) : devices_(devices) {}

  /// Until nobody is due any more; kCorrupt when others than these were looked at, or were sent
  /// anything.
  Result<double> LookAt(const std::map<EnrollmentId, Timestamp>& due_at) {
    const Status due = store_->Write([&](StoreWriter& writer) { return writer.MarkDue(due_at); });
    if (!due) return Fail(due.error());
    const Stopwatch watch;
    const Result<std::size_t> decided = loop_->Run();
    const double seconds = watch.seconds();
    if (!decided) return Fail(decided.error());
    if (*decided != due_at.size() || loop_->commands() != 0)
      return Fail(ErrorKind::kCorrupt, "the fleet is not settled");
    return seconds * kMicroseconds / static_cast<double>(due_at.size());
  }

  const SystemClock clock_;
  const std::size_t devices_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Store> store_;
  std::optional<Loop> loop_;
};

Line CostLine(std::string name, double target) {
  Line line;
  line.name = std::move(name);
  line.unit = "us";
  line.floor_name = fmt::format("of {} devices", kFloorSize);
  line.target = target;
  line.smaller_is_better = true;
  return line;
}

Status MeasureGrowth(Fleet& floor, Fleet& fleet, std::size_t devices, const Report& report) {
  const double target = devices < kFloorSize ? kSmallFleetMax : kGrowthMax;
  const Result<Line> pass = MeasureByTurns(
      CostLine(fmt::format("pass, for each of {} devices", devices), target),
      [&] { return floor.Pass(); }, [&] { return fleet.Pass(); });
  if (!pass) return Fail(pass.error());
  report(*pass);
  const Result<Line> look = MeasureByTurns(
      CostLine(fmt::format("a look at one of {} devices", devices), target),
      [&] { return floor.SingleLook(); }, [&] { return fleet.SingleLook(); });
  if (!look) return Fail(look.error());
  report(*look);
  return {};
}

}  // namespace

Status GrowthBench(const Options& options, const Report& report) {
  const auto floor = Fleet::Create(options, kFloorSize);
  if (!floor) return Fail(floor.error());
  std::vector<std::size_t> sizes(kFleetSizes.begin(), kFleetSizes.end());
  if (options.devices != 0) sizes = {options.devices};
  for (const std::size_t devices : sizes) {
    const auto fleet = Fleet::Create(options, devices);
    if (!fleet) return Fail(fleet.error());
    if (Status done = MeasureGrowth(**floor, **fleet, devices, report); !done) return done;
  }
  return {};
}

}  // namespace director::bench
