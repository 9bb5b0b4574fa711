#include <rapidcheck.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "reconciler/observe.h"
#include "reconciler/plan.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_plan_test {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");
const std::vector<std::string> kIdentifiers = {"a", "b", "c"};
const std::vector<std::string> kRevisions = {"A", "B"};
/// Items of every kind: what is assigned, recorded and sent.
const std::vector<std::string> kItems = {
    "a", "b", "c", "app:x", "app:y", "app:https://ex/z", "setup:AccountConfiguration"};

/// What the API lets be absent: an app that no list can show and accounts cannot be.
bool CanBeAbsent(const PayloadIdentifier& item) {
  return KindOf(item) == ItemKind::kProfile || !BundleIdentifierOf(item).empty();
}

/// A moment around now: near ones as likely as far ones.
rc::Gen<Timestamp> AnyTime() {
  return rc::gen::map(
      rc::gen::element<std::int64_t>(0, 1, 5, 29, 30, 60, 119, 120, 300, 599, 600, 900, 901, 3600,
                                     5 * 3600, 7 * 3600, 86400, 90000),
      [](std::int64_t before) { return kNow - seconds(before); });
}

Enrollment AnyEnrollment() {
  Enrollment e;
  e.channel.enrollment_id = EnrollmentId("UD1");
  e.channel.device_id = EnrollmentId("UD1");
  e.channel.type = *rc::gen::element(ChannelType::kDevice, ChannelType::kUser);
  e.status = *rc::gen::weightedElement<EnrollmentStatus>({{12, EnrollmentStatus::kEnrolled},
                                                          {2, EnrollmentStatus::kAuthenticated},
                                                          {1, EnrollmentStatus::kCheckedOut},
                                                          {1, EnrollmentStatus::kQuarantined}});
  e.quarantine_reason = "two devices.";
  e.epoch = *rc::gen::inRange(1, 3);
  e.ask_first = *rc::gen::arbitrary<bool>();
  e.build_version = *rc::gen::element<std::string>("", "22A1", "22B1");
  e.epoch_began_at = *AnyTime();
  e.last_seen_at = *AnyTime();
  if (*rc::gen::arbitrary<bool>()) e.awaiting_since = *AnyTime();
  for (const InventoryKind kind : kInventoryKinds) {
    if (*rc::gen::arbitrary<bool>()) e.inventory_at[kind] = *AnyTime();
  }
  if (*rc::gen::inRange(0, 4) == 0) e.report_wanted_at = *AnyTime();
  e.push_count = *rc::gen::inRange(0, 5);
  if (*rc::gen::arbitrary<bool>()) e.pushed_at = *AnyTime();
  e.push_unregistered = *rc::gen::inRange(0, 6) == 0;
  return e;
}

DesiredAssignment AnyAssignment(std::int64_t number, const std::vector<std::string>& items) {
  DesiredAssignment a;
  a.assignment_id = number;
  a.payload_identifier = PayloadIdentifier(*rc::gen::elementOf(items));
  a.presence = *rc::gen::element(Presence::kPresent, Presence::kAbsent);
  if (!CanBeAbsent(a.payload_identifier)) a.presence = Presence::kPresent;
  a.during_setup = *rc::gen::arbitrary<bool>();
  a.assigned_at = *AnyTime();
  a.target_kind = *rc::gen::element(TargetKind::kAll, TargetKind::kDevice);
  a.source = "ci";
  if (a.presence == Presence::kPresent) {
    a.payload_uuid = PayloadUuid(*rc::gen::elementOf(kRevisions));
    a.request_type = test::InstallRequestType(a.payload_identifier);
    if (KindOf(a.payload_identifier) == ItemKind::kApp) {
      a.at_enrollment_only = *rc::gen::inRange(0, 4) == 0;
      a.app_version = *rc::gen::element<std::string>("", "2");
    }
  } else {
    a.adopt = *rc::gen::arbitrary<bool>();
    for (const std::string& uuid : kRevisions) {
      if (*rc::gen::arbitrary<bool>()) a.known_payload_uuids.emplace_back(uuid);
    }
  }
  return a;
}

ProfileListReport AnyReport() {
  ProfileListReport report;
  report.epoch = *rc::gen::inRange(1, 3);
  report.reported_at = *AnyTime();
  if (*rc::gen::arbitrary<bool>()) report.asked_at = *AnyTime();
  const int count = *rc::gen::inRange(0, 5);
  for (int i = 0; i < count; ++i) {
    ReportedProfile profile;
    profile.payload_identifier = PayloadIdentifier(*rc::gen::elementOf(kIdentifiers));
    profile.payload_uuid = *rc::gen::element<std::string>("A", "a", "B", "X");
    profile.has_mdm_payload = *rc::gen::inRange(0, 8) == 0;
    profile.is_declarative = *rc::gen::inRange(0, 8) == 0;
    report.profiles.push_back(std::move(profile));
  }
  return report;
}

AppListReport AnyAppList() {
  AppListReport report;
  report.epoch = *rc::gen::inRange(1, 3);
  report.reported_at = *AnyTime();
  report.asked_at = *AnyTime();
  const int count = *rc::gen::inRange(0, 4);
  for (int i = 0; i < count; ++i) {
    report.apps.push_back({*rc::gen::element<std::string>("x", "y", "z"),
                           *rc::gen::element<std::string>("", "1", "20"),
                           *rc::gen::element<std::string>("", "1", "2", "10"),
                           *rc::gen::inRange(0, 4) == 0});
  }
  return report;
}

ManagedAppListReport AnyManagedAppList() {
  ManagedAppListReport report;
  report.epoch = *rc::gen::inRange(1, 3);
  report.reported_at = *AnyTime();
  report.asked_at = *AnyTime();
  for (const std::string identifier : {"x", "y", "z"}) {
    const auto status = *rc::gen::element<std::string>("", "Prompting", "UserRejected", "Failed",
                                                       "Managed", "SomethingNew");
    if (!status.empty()) report.apps.push_back({identifier, status});
  }
  return report;
}

ErrorClass AnyErrorClass() {
  return *rc::gen::element(ErrorClass::kTransient, ErrorClass::kPermanent, ErrorClass::kUser,
                           ErrorClass::kServer, ErrorClass::kDone, ErrorClass::kUnknown);
}

Intent AnyIntent(int number) {
  Intent intent;
  intent.command_uuid = CommandUuid(fmt::format("c{}", number));
  intent.request_type = std::string(*rc::gen::element(
      request_type::kInstallProfile, request_type::kRemoveProfile, request_type::kProfileList,
      request_type::kDeviceInformation, request_type::kSecurityInfo,
      request_type::kDeviceConfigured, request_type::kInstalledApplicationList,
      request_type::kManagedApplicationList));
  const bool removes = intent.request_type == request_type::kRemoveProfile;
  if (removes || intent.request_type == request_type::kInstallProfile) {
    intent.payload_identifier = PayloadIdentifier(*rc::gen::elementOf(kItems));
  }
  if (intent.request_type == request_type::kInstallProfile) {
    intent.payload_uuid = PayloadUuid(*rc::gen::elementOf(kRevisions));
    intent.request_type = test::InstallRequestType(intent.payload_identifier);
  } else if (removes && KindOf(intent.payload_identifier) == ItemKind::kApp) {
    intent.request_type = request_type::kRemoveApplication;
  }
  intent.epoch = *rc::gen::inRange(1, 3);
  intent.state = *rc::gen::element(
      IntentState::kJournaled, IntentState::kSent, IntentState::kUnknown, IntentState::kNotNow,
      IntentState::kAcknowledged, IntentState::kFailed, IntentState::kDenied, IntentState::kNotSent,
      IntentState::kRefused, IntentState::kLost);
  intent.journaled_at = *AnyTime();
  if (*rc::gen::arbitrary<bool>()) intent.answered_at = *AnyTime();
  intent.not_now_count = *rc::gen::inRange(0, 6);
  if (*rc::gen::arbitrary<bool>()) intent.not_now_at = *AnyTime();
  intent.error_class = AnyErrorClass();
  intent.error = *rc::gen::element<std::string>("", "No", "No.");
  return intent;
}

/// A record as a plan would have left it: a verified one waits for nothing.
ItemRecord AnyRecord(const std::string& identifier) {
  ItemRecord item;
  item.payload_identifier = PayloadIdentifier(identifier);
  item.presence = *rc::gen::element(Presence::kPresent, Presence::kAbsent);
  if (item.presence == Presence::kPresent)
    item.payload_uuid = PayloadUuid(*rc::gen::elementOf(kRevisions));
  item.epoch = *rc::gen::inRange(1, 3);
  item.state = *rc::gen::elementOf(AllItemStates());
  item.reason = "As it was.";
  item.state_since = kNow - hours(1);
  item.sends = *rc::gen::element(0, 1, 11, 12, 13);
  item.sends_since = *AnyTime();
  if (*rc::gen::arbitrary<bool>()) item.acknowledged_at = *AnyTime();
  if (*rc::gen::arbitrary<bool>()) item.settled_at = *AnyTime();
  item.installed_build = *rc::gen::element<std::string>("", "22A1", "22B1");
  if (*rc::gen::arbitrary<bool>()) item.reinstall_at = kNow + seconds(*rc::gen::element(-60, 3600));
  item.due_at = item.reinstall_at;
  if (item.state == ItemState::kVerified) {
    item.verified_at = kNow - hours(1);
    return item;
  }
  item.attempts = *rc::gen::inRange(0, 5);
  if (*rc::gen::arbitrary<bool>())
    item.next_attempt_at = kNow + seconds(*rc::gen::element(-60, 0, 1, 3600));
  item.parked = *rc::gen::inRange(0, 4) == 0;
  item.parked_build = *rc::gen::element<std::string>("", "22A1");
  item.last_error = "No.";
  if (*rc::gen::arbitrary<bool>()) item.verified_at = *AnyTime();
  return item;
}

Snapshot AnyWorld() {
  Snapshot snapshot;
  snapshot.enrollment = AnyEnrollment();
  const int assignments = *rc::gen::inRange(0, 5);
  for (int i = 0; i < assignments; ++i) {
    snapshot.assignments.push_back(AnyAssignment(i + 1, kItems));
  }
  if (*rc::gen::inRange(0, 4) > 0) snapshot.profile_list = AnyReport();
  if (*rc::gen::inRange(0, 4) > 0) snapshot.app_list = AnyAppList();
  if (*rc::gen::inRange(0, 4) > 0) snapshot.managed_app_list = AnyManagedAppList();
  const int intents = *rc::gen::inRange(0, 5);
  for (int i = 0; i < intents; ++i) snapshot.intents.push_back(AnyIntent(i + 1));
  for (const std::string& identifier : kItems) {
    if (*rc::gen::arbitrary<bool>()) snapshot.items.push_back(AnyRecord(identifier));
  }
  snapshot.upstream_pushes = *rc::gen::arbitrary<bool>();
  if (*rc::gen::inRange(0, 6) == 0) {
    snapshot.upstream_retry_at = kNow + seconds(*rc::gen::element(-1, 0, 1, 300));
    snapshot.upstream_away_since = kNow - seconds(*rc::gen::element(-60, 0, 30, 86400));
    snapshot.upstream_problem = "connection refused";
  }
  return snapshot;
}

/// Runs `body` on many worlds; a failure shows the seed and fails the test.
template <typename Body>
void ForAll(const std::string& what, Body body) {
  CHECK(rc::check(what, std::move(body)));
}

TEST_CASE("every plan keeps every promise, in every world") {
  ForAll("promises", [] {
    const Snapshot world = AnyWorld();
    Settings settings;
    settings.commands_per_session_max = *rc::gen::inRange(1, 4);
    settings.reinstall_all = *rc::gen::arbitrary<bool>();
    const Plan plan = Reconcile(world, settings, kNow);
    const std::string broken = test::Joined(test::PlanChecker(world, settings, kNow, plan).Check());
    if (!broken.empty()) RC_LOG() << broken << test::DescribePlanInFull(plan);
    RC_ASSERT(broken.empty());
  });
}

TEST_CASE("nothing is removed from unknown or missing input") {
  ForAll("no removal", [] {
    Snapshot world = AnyWorld();
    switch (*rc::gen::inRange(0, 3)) {
      case 0:
        world.profile_list.reset();
        world.app_list.reset();
        break;
      case 1:
        if (world.profile_list) world.profile_list->profiles.clear();
        if (world.app_list) world.app_list->apps.clear();
        break;
      default:
        world.assignments.clear();
        break;
    }
    for (const PlannedCommand& command : Reconcile(world, {}, kNow).commands) {
      RC_ASSERT(command.request_type != request_type::kRemoveProfile);
      RC_ASSERT(command.request_type != request_type::kRemoveApplication);
    }
  });
}

/// A device that does what it is told, sleeps, and says NotNow now and then, with an MDM server
/// that keeps a queue.
class ModelDevice {
 public:
  ModelDevice(std::map<std::string, std::string> profiles, SeededRandom& random)
      : profiles_(std::move(profiles)), random_(random) {
    world_.enrollment.channel.enrollment_id = EnrollmentId("UD1");
    world_.enrollment.channel.device_id = EnrollmentId("UD1");
    world_.enrollment.status = EnrollmentStatus::kEnrolled;
    world_.enrollment.last_seen_at = kNow - hours(1);
    settings_.inventory_interval = {};
    world_.enrollment.ask_first = true;
  }

  Snapshot& world() { return world_; }
  const std::map<std::string, std::string>& profiles() const { return profiles_; }

  /// One decision, verified and stored.
  Plan Decide(Timestamp now) {
    const Plan plan = Reconcile(world_, settings_, now);
    const std::string broken =
        test::Joined(test::PlanChecker(world_, settings_, now, plan).Check());
    if (!broken.empty()) RC_LOG() << broken << test::DescribePlanInFull(plan);
    RC_ASSERT(broken.empty());
    world_ = test::CommitPlan(world_, plan, now);
    for (Intent& intent : world_.intents) {
      if (intent.state == IntentState::kJournaled) intent.state = IntentState::kSent;
    }
    return plan;
  }

  /// The device polls: everything open is offered to it in order, each answer a second later.
  Timestamp Poll(Timestamp now) {
    Say(IdleEvent{}, {}, now);
    std::vector<Intent> offered;
    for (const Intent& intent : world_.intents) {
      if (IsOpen(intent.state)) offered.push_back(intent);
    }
    for (const Intent& intent : offered) {
      now += seconds(1);
      Say(Do(intent), intent, now);
    }
    return now;
  }

 private:
  ResultEvent Do(const Intent& intent) {
    ResultEvent result;
    result.command_uuid = intent.command_uuid;
    if (random_.Below(5) == 0) {
      result.status = CommandStatus::kNotNow;
      return result;
    }
    const std::string& identifier = intent.payload_identifier.value();
    if (intent.request_type == request_type::kInstallProfile) {
      profiles_[identifier] = intent.payload_uuid.value();
    }
    if (intent.request_type == request_type::kRemoveProfile) profiles_.erase(identifier);
    if (intent.request_type == request_type::kProfileList) {
      result.profile_list.emplace();
      ReportedProfile enrollment;
      enrollment.payload_identifier = PayloadIdentifier("enrollment-profile");
      enrollment.has_mdm_payload = true;
      result.profile_list->push_back(enrollment);
      for (const auto& [name, uuid] : profiles_) {
        ReportedProfile profile;
        profile.payload_identifier = PayloadIdentifier(name);
        profile.payload_uuid = uuid;
        result.profile_list->push_back(profile);
      }
    }
    return result;
  }

  /// The event on its way through Observe into the stored state; one in eight is lost.
  void Say(EventBody body, const std::optional<Intent>& intent, Timestamp now) {
    if (random_.Below(8) == 0) return;
    MdmEvent event;
    event.created_at = now;
    event.channel = world_.enrollment.channel;
    event.body = std::move(body);
    Observation seen = Observe(world_.enrollment, intent, event, now);
    if (seen.enrollment_changed) world_.enrollment = seen.enrollment;
    if (seen.report) world_.profile_list = std::move(*seen.report);
    if (!seen.intent) return;
    for (Intent& kept : world_.intents) {
      if (kept.command_uuid == seen.intent->command_uuid) kept = *seen.intent;
    }
  }

  Settings settings_;
  std::map<std::string, std::string> profiles_;
  SeededRandom& random_;
  Snapshot world_;
};

bool HasConverged(const Plan& plan) {
  return std::all_of(plan.items.begin(), plan.items.end(),
                     [](const ItemRecord& item) { return item.state == ItemState::kVerified; });
}

TEST_CASE(
    "an honest device that sleeps, loses events and says NotNow converges and is left alone") {
  ForAll("convergence", [] {
    std::map<std::string, std::string> there = {{"stranger", "S"}};
    for (const std::string& identifier : kIdentifiers) {
      if (*rc::gen::arbitrary<bool>())
        there[identifier] = *rc::gen::element<std::string>("A", "B", "X");
    }
    // Not RapidCheck's own choices: it would shrink towards a device whose every word is lost.
    SeededRandom random(*rc::gen::noShrink(rc::gen::arbitrary<std::uint64_t>()));
    ModelDevice device(there, random);
    for (const std::string& identifier : kIdentifiers) {
      DesiredAssignment a = AnyAssignment(
          static_cast<std::int64_t>(device.world().assignments.size()) + 1, kIdentifiers);
      a.payload_identifier = PayloadIdentifier(identifier);
      a.adopt = a.presence == Presence::kAbsent;
      device.world().assignments.push_back(a);
    }
    const std::vector<DesiredAssignment> wanted = device.world().assignments;

    Timestamp now = kNow;
    Plan plan = device.Decide(now);
    int rounds = 0;
    while (!HasConverged(plan)) {
      RC_ASSERT(++rounds < 200);
      // Sometimes it polls when it is pushed or by itself, else time passes until the decision is
      // due.
      if (plan.push || random.Below(3) == 0) {
        now = device.Poll(now + seconds(random.Below(60) + 1));
      } else {
        now = std::max(now + seconds(1), plan.due_at);
      }
      plan = device.Decide(now);
    }

    RC_ASSERT(device.profiles().at("stranger") == "S");
    for (const DesiredAssignment& a : wanted) {
      const auto found = device.profiles().find(a.payload_identifier.value());
      RC_ASSERT((found == device.profiles().end()) == (a.presence == Presence::kAbsent));
      if (found != device.profiles().end()) RC_ASSERT(found->second == a.payload_uuid.value());
    }
    for (int i = 0; i < 20; ++i) {
      for (const PlannedCommand& command : plan.commands) {
        RC_ASSERT(command.payload_identifier.empty());
      }
      now = std::max(now + seconds(1), plan.due_at);
      if (plan.push) now = device.Poll(now);
      plan = device.Decide(now);
      RC_ASSERT(HasConverged(plan));
    }
  });
}

}  // namespace
}  // namespace director::reconciler_plan_test
