// Every small world instead of samples: three profiles, each wanted, reported and on record in
// every way, on a device in every condition.
#include <fmt/core.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "mdm/command.h"
#include "reconciler/plan.h"
#include "tests/support/catch.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_exhaustive_test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");
constexpr std::array<const char*, 3> kIdentifiers = {"a", "b", "c"};
constexpr std::array<const char*, 2> kRevisions = {"A", "B"};

/// What the owner wants of a profile: nothing, one of two revisions, or its absence.
enum class Want { kNothing, kA, kB, kAbsent };
/// What the device reported of it.
enum class Has { kNothing, kA, kB, kForeign };

/// One profile's part of a world. `state` is empty when there is no record yet.
struct Case {
  Want want;
  Has has;
  std::optional<ItemState> state;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const Want want : {Want::kNothing, Want::kA, Want::kB, Want::kAbsent}) {
    for (const Has has : {Has::kNothing, Has::kA, Has::kB, Has::kForeign}) {
      cases.push_back({want, has, std::nullopt});
      // A record belongs to something that is wanted, or was until now.
      for (const ItemState state : AllItemStates()) cases.push_back({want, has, state});
    }
  }
  return cases;
}

std::string Revision(Has has) {
  if (has == Has::kForeign) return "X";
  return kRevisions[has == Has::kA ? 0 : 1];
}

Settings ManyAtATime() {
  Settings settings;
  settings.commands_per_session_max = 100;
  return settings;
}
const Settings kSettings = ManyAtATime();

/// What the device is like: `kFresh` has just enrolled, erased; `kNoReport` is not known to be.
enum class Condition {
  kAwake,
  kFresh,
  kAsleep,
  kNoReport,
  kOldReport,
  kEnrolling,
  kGone,
  kQuarantined
};
constexpr std::array kConditions = {
    Condition::kFresh,     Condition::kAwake,     Condition::kAsleep, Condition::kNoReport,
    Condition::kOldReport, Condition::kEnrolling, Condition::kGone,   Condition::kQuarantined};

Snapshot MakeWorld(Condition condition) {
  Snapshot world;
  Enrollment& enrollment = world.enrollment;
  enrollment.channel.enrollment_id = EnrollmentId("UD1");
  enrollment.channel.device_id = EnrollmentId("UD1");
  enrollment.status = EnrollmentStatus::kEnrolled;
  enrollment.epoch = 1;
  enrollment.build_version = "25A1";
  enrollment.last_seen_at = kNow - (condition == Condition::kAsleep ? hours(2) : hours(0));
  for (const InventoryKind kind : kInventoryKinds) enrollment.inventory_at[kind] = kNow - hours(1);
  if (condition == Condition::kEnrolling) enrollment.status = EnrollmentStatus::kAuthenticated;
  if (condition == Condition::kGone) enrollment.status = EnrollmentStatus::kCheckedOut;
  if (condition == Condition::kQuarantined) {
    enrollment.status = EnrollmentStatus::kQuarantined;
    enrollment.quarantine_reason = "two devices.";
  }
  enrollment.ask_first = condition == Condition::kNoReport;
  if (condition == Condition::kNoReport || condition == Condition::kFresh) return world;
  ProfileListReport report;
  report.epoch = 1;
  report.reported_at =
      kNow - (condition == Condition::kOldReport ? hours(9) : hours(0)) - minutes(1);
  report.asked_at = report.reported_at - minutes(1);
  world.profile_list = std::move(report);
  return world;
}

DesiredAssignment Assign(const PayloadIdentifier& identifier, Want want) {
  DesiredAssignment assignment;
  assignment.payload_identifier = identifier;
  assignment.source = "ci";
  if (want == Want::kAbsent) {
    assignment.presence = Presence::kAbsent;
    for (const char* revision : kRevisions) assignment.known_payload_uuids.emplace_back(revision);
  } else {
    assignment.payload_uuid = PayloadUuid(kRevisions[want == Want::kA ? 0 : 1]);
  }
  return assignment;
}

void AddIntent(Snapshot& world, const ItemRecord& record, IntentState state) {
  Intent intent;
  intent.command_uuid = CommandUuid("c-" + record.payload_identifier.value());
  const bool installs = record.presence == Presence::kPresent;
  intent.request_type =
      std::string(installs ? request_type::kInstallProfile : request_type::kRemoveProfile);
  intent.payload_identifier = record.payload_identifier;
  intent.payload_uuid = record.payload_uuid;
  intent.epoch = 1;
  intent.state = state;
  intent.journaled_at = kNow - minutes(2);
  if (state == IntentState::kNotNow) {
    intent.not_now_count = 1;
    intent.not_now_at = kNow - minutes(2);
  }
  world.intents.push_back(std::move(intent));
}

/// The record as a plan of before would have left it, with the command that its state implies.
void AddRecord(Snapshot& world, const PayloadIdentifier& identifier, Want want, ItemState state) {
  ItemRecord record;
  record.payload_identifier = identifier;
  if (want == Want::kAbsent) record.presence = Presence::kAbsent;
  // Revision A was wanted before; where B is wanted now, the record is about another target.
  if (want != Want::kAbsent) record.payload_uuid = PayloadUuid("A");
  record.epoch = 1;
  record.state = state;
  record.reason = "As it was.";
  record.state_since = kNow - hours(1);
  record.sends_since = kNow - hours(1);
  switch (state) {
    case ItemState::kInFlight:
      AddIntent(world, record, IntentState::kSent);
      break;
    case ItemState::kNotNow:
      AddIntent(world, record, IntentState::kNotNow);
      break;
    case ItemState::kAcknowledged:
      record.acknowledged_at = record.settled_at = kNow - minutes(3);
      break;
    case ItemState::kVerified:
      record.verified_at = kNow - hours(1);
      break;
    case ItemState::kBackingOff:
      record.attempts = 1;
      record.last_error = "No.";
      record.next_attempt_at = kNow + minutes(1);
      break;
    case ItemState::kParked:
      record.attempts = 3;
      record.last_error = "No.";
      record.parked = true;
      record.parked_build = "25A1";
      break;
    case ItemState::kPending:
    case ItemState::kBlocked:
      break;
  }
  world.items.push_back(std::move(record));
}

void AddProfile(Snapshot& world, const char* name, const Case& part) {
  const PayloadIdentifier identifier(name);
  if (part.want != Want::kNothing) world.assignments.push_back(Assign(identifier, part.want));
  if (part.has != Has::kNothing && world.profile_list) {
    ReportedProfile profile;
    profile.payload_identifier = identifier;
    profile.payload_uuid = Revision(part.has);
    world.profile_list->profiles.push_back(std::move(profile));
  }
  if (part.state) AddRecord(world, identifier, part.want, *part.state);
}

/// What a plan says about one profile: its commands and its record.
std::string About(const Plan& plan, const char* name) {
  std::string text;
  for (const PlannedCommand& command : plan.commands) {
    if (command.payload_identifier.value() == name) text += test::DescribeCommand(command) + "; ";
  }
  for (const ItemRecord& item : plan.items) {
    if (item.payload_identifier.value() != name) continue;
    text += fmt::format("{} {} attempts {} parked {}", ItemStateName(item.state), item.reason,
                        item.attempts, item.parked);
  }
  return text;
}

/// What must hold for one profile, whatever the code thinks.
std::string Broken(const Plan& plan, const char* name, const Case& part, Condition condition) {
  for (const PlannedCommand& command : plan.commands) {
    if (command.payload_identifier.value() != name) continue;
    if (condition != Condition::kAwake && condition != Condition::kOldReport &&
        condition != Condition::kFresh)
      return "a change without a device that is awake, enrolled and known";
    if (command.request_type == request_type::kInstallProfile) {
      const bool is_wanted =
          (part.want == Want::kA || part.want == Want::kB) &&
          command.payload_uuid.value() == kRevisions[part.want == Want::kA ? 0 : 1];
      if (!is_wanted) return "an install that nobody wants";
      if (condition == Condition::kAwake && part.has != Has::kNothing &&
          Revision(part.has) == command.payload_uuid.value())
        return "an install of what is there";
    } else {
      if (part.want != Want::kAbsent) return "a removal that nobody asked for";
      if (part.has != Has::kA && part.has != Has::kB) return "a removal of what is not ours";
      if (condition != Condition::kAwake) return "a removal without a fresh report";
    }
  }
  const bool has_record = !About(plan, name).empty();
  if (has_record != (part.want != Want::kNothing))
    return "a record without a wish, or none for one";
  return {};
}

/// What is said about each case alone, by place; every promise is checked on the way.
using Alone = std::array<std::vector<std::string>, kIdentifiers.size()>;

Alone DecideAlone(const std::vector<Case>& cases, Condition condition) {
  Alone alone;
  for (std::size_t place = 0; place < kIdentifiers.size(); ++place) {
    for (const Case& part : cases) {
      Snapshot world = MakeWorld(condition);
      AddProfile(world, kIdentifiers[place], part);
      const Plan plan = test::DecideChecked(world, kNow, kSettings);
      INFO(test::DescribePlanInFull(plan));
      REQUIRE(Broken(plan, kIdentifiers[place], part, condition) == "");
      alone[place].push_back(About(plan, kIdentifiers[place]));
    }
  }
  return alone;
}

/// Decides about `parts` together: nothing about a profile may depend on the others.
void CheckTogether(const std::vector<Case>& cases, Condition condition, const Alone& alone,
                   const std::vector<std::size_t>& parts) {
  Snapshot world = MakeWorld(condition);
  for (std::size_t place = 0; place < parts.size(); ++place) {
    AddProfile(world, kIdentifiers[place], cases[parts[place]]);
  }
  const Plan plan = Reconcile(world, kSettings, kNow);
  for (std::size_t place = 0; place < parts.size(); ++place) {
    const std::string about = About(plan, kIdentifiers[place]);
    if (about == alone[place][parts[place]]) continue;
    INFO(test::DescribePlanInFull(plan));
    REQUIRE(about == alone[place][parts[place]]);
  }
}

TEST_CASE("every world of up to three profiles: each is decided by itself and safely") {
  const std::vector<Case> cases = AllCases();
  CHECK(cases.size() == 144);
  for (const Condition condition : kConditions) {
    const Alone alone = DecideAlone(cases, condition);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      for (std::size_t j = i; j < cases.size(); ++j) {
        CheckTogether(cases, condition, alone, {i, j});
        // Only an awake device is sent changes: there, three at a time.
        if (condition != Condition::kAwake || DIRECTOR_SLOW_BUILD) continue;
        for (std::size_t k = j; k < cases.size(); ++k) {
          CheckTogether(cases, condition, alone, {i, j, k});
        }
      }
    }
  }
}

}  // namespace
}  // namespace director::reconciler_exhaustive_test
