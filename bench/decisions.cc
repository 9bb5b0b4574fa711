#include <fmt/core.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/fleet.h"
#include "reconciler/plan.h"

namespace director::bench {
namespace {

constexpr std::size_t kItems = 60;

/// A device with 60 items that are all as desired: the usual case of a full pass.
Snapshot SettledSnapshot(Timestamp now) {
  Snapshot snapshot;
  snapshot.enrollment.channel.enrollment_id = EnrollmentId(UdidOf(1));
  snapshot.enrollment.channel.device_id = snapshot.enrollment.channel.enrollment_id;
  snapshot.enrollment.status = EnrollmentStatus::kEnrolled;
  snapshot.enrollment.last_seen_at = now - std::chrono::hours(1);
  snapshot.enrollment.device_information_at = now;
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
          "copies of the snapshot/s", decisions / copies, 0.1, false});
  return {};
}

}  // namespace director::bench
