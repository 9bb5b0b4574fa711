// What the inventories of a large fleet cost in a day.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "reconciler/plan.h"
#include "tests/support/catch.h"

namespace director::reconciler_inventory_load_test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kDevices = 100'000;
constexpr Duration kBucket = minutes(10);
constexpr Duration kPollInterval = hours(1);
const Timestamp kBegin = FromUnixMs(1'795'000'000'000);

/// A device that has all that it should and nothing to be asked but inventories.
Snapshot Settled(int index) {
  Snapshot snapshot;
  Enrollment& enrollment = snapshot.enrollment;
  enrollment.channel.enrollment_id = EnrollmentId(fmt::format("UDID-{}", index));
  enrollment.channel.udid = enrollment.channel.enrollment_id.value();
  enrollment.status = EnrollmentStatus::kEnrolled;
  enrollment.enrolled_at = kBegin - hours(24 * 30);
  enrollment.epoch = 1;
  snapshot.profile_list.emplace();
  snapshot.profile_list->epoch = 1;
  return snapshot;
}

using Buckets = std::vector<int>;

/// How many inventories a fleet is asked for, from `kBegin` on. Every device is met in the first
/// hour, polls once in each hour and answers at once.
Buckets CountQuestions(Duration length) {
  Buckets buckets(static_cast<std::size_t>(length / kBucket));
  const Settings settings;
  SeededRandom random(1);
  for (int index = 0; index < kDevices; ++index) {
    Snapshot snapshot = Settled(index);
    Enrollment& enrollment = snapshot.enrollment;
    const Duration phase(random.Below(static_cast<std::uint64_t>(kPollInterval.count())));
    for (Timestamp now = kBegin + phase; now < kBegin + length; now += kPollInterval) {
      enrollment.last_seen_at = now;
      snapshot.profile_list->reported_at = now;
      for (const PlannedCommand& command : Reconcile(snapshot, settings, now).commands) {
        const auto kind = ParseInventoryKind(command.request_type);
        REQUIRE(kind);
        enrollment.inventory_at[*kind] = now + seconds(1);
        ++buckets[static_cast<std::size_t>((now - kBegin) / kBucket)];
      }
    }
  }
  return buckets;
}

Buckets Part(const Buckets& buckets, Duration begin, Duration end) {
  return {buckets.begin() + begin / kBucket, buckets.begin() + end / kBucket};
}

int Sum(const Buckets& buckets) { return std::accumulate(buckets.begin(), buckets.end(), 0); }

void CheckNoBurst(const Buckets& buckets) {
  const double mean = static_cast<double>(Sum(buckets)) / static_cast<double>(buckets.size());
  const int most = *std::max_element(buckets.begin(), buckets.end());
  INFO(fmt::format("{:.0f} in ten minutes on average, at most {}", mean, most));
  CHECK(most <= 2 * mean);
}

TEST_CASE("inventories of 100,000 devices have no burst above twice the mean of their day") {
  const Duration met(hours(1));
  const Buckets all = CountQuestions(met + 2 * kDay);
  // What a new device is asked at once is a cost of its enrollment.
  CHECK(Sum(Part(all, {}, met)) == 4 * kDevices);
  const Buckets first_day = Part(all, met, met + kDay);
  const Buckets second_day = Part(all, met + kDay, met + 2 * kDay);
  CheckNoBurst(first_day);
  CheckNoBurst(second_day);
  // Three kinds once a day, the list of apps once a week.
  CHECK(Sum(first_day) >= 2 * kDevices);
  CHECK(Sum(second_day) >= 3 * kDevices);
  CHECK(Sum(second_day) <= 3 * kDevices * 11 / 10 + kDevices / 5);
}

}  // namespace
}  // namespace director::reconciler_inventory_load_test
