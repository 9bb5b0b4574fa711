#include <fmt/core.h>

#include <atomic>
#include <thread>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/fleet.h"
#include "reconciler/plan.h"

namespace director::bench {
namespace {

constexpr std::size_t kItems = 60;
constexpr std::size_t kDecisionDevices = 100'000;
constexpr std::size_t kDecisionWorkers = 2;
constexpr double kDecisionsMaxSeconds = 2;

/// A device with 60 items that are all as desired: the usual case of a full pass.
Snapshot SettledSnapshot(Timestamp now) {
  Snapshot snapshot;
  snapshot.enrollment.channel.enrollment_id = EnrollmentId(UdidOf(1));
  snapshot.enrollment.channel.device_id = snapshot.enrollment.channel.enrollment_id;
  snapshot.enrollment.status = EnrollmentStatus::kEnrolled;
  snapshot.enrollment.last_seen_at = now - std::chrono::hours(1);
  for (const InventoryKind kind : kInventoryKinds) snapshot.enrollment.inventory_at[kind] = now;
  ProfileListReport report;
  report.epoch = 1;
  report.reported_at = now - std::chrono::hours(1);
  for (std::size_t i = 0; i < kItems; ++i) {
    const PayloadIdentifier identifier(fmt::format("com.example.profile{:03}", i));
    const std::string payload_uuid = fmt::format("BBBBBBBB-0000-8000-8000-{:012X}", i);
    DesiredAssignment assignment;
    assignment.assignment_id = static_cast<std::int64_t>(i);
    assignment.payload_identifier = identifier;
    assignment.payload_uuid = PayloadUuid(payload_uuid);
    assignment.source = "bench";
    snapshot.assignments.push_back(assignment);
    ReportedProfile profile;
    profile.payload_identifier = identifier;
    profile.payload_uuid = payload_uuid;
    report.profiles.push_back(profile);
  }
  snapshot.profile_list = report;
  snapshot.items = Reconcile(snapshot, Settings(), now).items;
  return snapshot;
}

/// A whole fleet on two threads, as two workers do it; nothing is read or written.
Result<double> SecondsForFleet(const Snapshot& snapshot, Timestamp now) {
  std::atomic<std::size_t> commands{0};
  const Stopwatch watch;
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < kDecisionWorkers; ++i) {
    workers.emplace_back([&] {
      const Settings settings;
      for (std::size_t device = 0; device < kDecisionDevices / kDecisionWorkers; ++device)
        commands += Reconcile(snapshot, settings, now).commands.size();
    });
  }
  for (std::thread& worker : workers) worker.join();
  if (commands != 0) return Fail(ErrorKind::kCorrupt, "a settled device was sent commands");
  return watch.seconds();
}

}  // namespace

Status DecisionBench(const Options& options, const Report& report) {
  const Timestamp now = SystemClock().Now();
  const Snapshot snapshot = SettledSnapshot(now);
  const Settings settings;
  std::size_t commands = 0;
  const double decisions = Rate(options.seconds, [&] {
    commands += Reconcile(snapshot, settings, now).commands.size();
    return true;
  });
  if (commands != 0) return Fail(ErrorKind::kCorrupt, "a settled device was sent commands");
  std::size_t copied = 0;
  const double copies = Rate(options.seconds, [&] {
    const Snapshot copy = snapshot;
    copied += copy.items.size();
    return copied > 0;
  });
  report({"decisions, 60 items, nothing to do", decisions, "decisions/s", copies,
          "copies of the snapshot/s", decisions / copies, 0.4, false});
  const Result<double> seconds = SecondsForFleet(snapshot, now);
  if (!seconds) return Fail(seconds.error());
  report({fmt::format("decisions alone, {} devices, 2 threads", kDecisionDevices), *seconds, "s",
          kDecisionsMaxSeconds, "limit", *seconds / kDecisionsMaxSeconds, 1, true});
  return {};
}

}  // namespace director::bench
