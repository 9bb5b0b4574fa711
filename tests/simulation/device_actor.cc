#include "tests/simulation/device_actor.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <initializer_list>
#include <iterator>
#include <string>
#include <utility>

#include "mdm/command.h"
#include "tests/simulation/catalogue.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

/// How a profile can fail to install: real chains, one of each class.
InstallFailure RandomFailure(const Scenario& scenario, RandomSource& random) {
  InstallFailure failure;
  failure.payload_identifier =
      PayloadIdentifier(fmt::format("com.example.item{}", random.Below(scenario.items)));
  if (random.Below(3) != 0) failure.times = static_cast<int>(1 + random.Below(4));
  switch (random.Below(4)) {
    case 0:
      failure.error_chain = InstallFailedChain("MCSCEPErrorDomain", 22005, "No SCEP server.");
      break;
    case 1:
      failure.error_chain = InstallFailedChain("MCProfileErrorDomain", 1000, "Malformed.");
      break;
    case 2:
      failure.error_chain = InstallFailedChain("ConfigProfilePluginDomain", -319, "Not allowed.");
      break;
    default:
      failure.error_chain = InstallFailedChain("NobodyKnowsThisDomain", 4711, "Something.");
      break;
  }
  return failure;
}

/// How an app can fail to come: chains of three classes, one that says that it is there already,
/// and silence.
AppFailure RandomAppFailure(const Scenario& scenario, RandomSource& random) {
  AppFailure failure;
  if (scenario.apps > 0) {
    const auto app = static_cast<CatalogueApp>(random.Below(scenario.apps));
    failure.identifier = std::string(BundleIdentifierOf(CatalogueItem(app)));
  }
  if (random.Below(3) != 0) failure.times = static_cast<int>(1 + random.Below(3));
  switch (random.Below(5)) {
    case 0:
      failure.error_chain = OneErrorChain("MCMDMErrorDomain", 12024, "No manifest.");
      break;
    case 1:
      failure.error_chain = OneErrorChain("MCMDMErrorDomain", 12031, "Not allowed.");
      break;
    case 2:
      failure.error_chain = OneErrorChain("MCMDMErrorDomain", 12025, "Installed already.");
      break;
    case 3:
      failure.error_chain = OneErrorChain("NobodyKnowsThisDomain", 4711, "Something.");
      break;
    default:
      break;
  }
  return failure;
}

/// Builds that go up, down, sideways, and cannot be ordered.
std::string OddBuild(RandomSource& random) {
  switch (random.Below(3)) {
    case 0:
      return fmt::format("25A{}", 100 + random.Below(100));
    case 1:
      return fmt::format("25A{}{}", 5000 + random.Below(10), random.Below(2) == 0 ? "a" : "b");
    default:
      return fmt::format("25B{}", 100 + random.Below(100));
  }
}

/// Times at `per_day` on average until the faults end, in order.
std::vector<Timestamp> Moments(const Scenario& scenario, double per_day, Timestamp begin,
                               RandomSource& random) {
  std::vector<Timestamp> moments;
  if (per_day <= 0) return moments;
  const auto mean_ms = static_cast<double>(kDay.count()) / per_day;
  Timestamp at = begin;
  while (true) {
    at += Duration(1 + static_cast<std::int64_t>(2 * mean_ms * random.Fraction()));
    if (at >= begin + scenario.faults_for) return moments;
    moments.push_back(at);
  }
}

WakeSchedule RandomSchedule(RandomSource& random) {
  WakeSchedule schedule;
  schedule.awake_for = minutes(10 + random.Below(9 * 60));
  schedule.asleep_for = minutes(30 + random.Below(20 * 60));
  schedule.offset = minutes(random.Below(24 * 60));
  return schedule;
}

}  // namespace

DeviceBehaviour MakeBehaviour(const Scenario& scenario, Timestamp begin, RandomSource& random) {
  const Faults& faults = scenario.faults;
  DeviceBehaviour behaviour;
  if (random.Fraction() < scenario.sleepers) behaviour.wake = RandomSchedule(random);
  for (const Timestamp at : Moments(scenario, faults.not_now, begin, random)) {
    behaviour.not_now.push_back(
        {at, at + minutes(1 + random.Below(600)), 0.5 + random.Below(2) / 2.0,
         random.Below(2) == 0 ? NotNowScope::kEverything : NotNowScope::kChanges});
  }
  for (const Timestamp at : Moments(scenario, faults.user_deletes, begin, random)) {
    behaviour.deletions.push_back({PayloadIdentifier(), at, Duration::zero()});
  }
  int build = 100;
  for (const Timestamp at : Moments(scenario, faults.os_update, begin, random)) {
    behaviour.os_updates.push_back({at, "26.1", fmt::format("25B{}", ++build)});
  }
  for (const Timestamp at : Moments(scenario, faults.renewal, begin, random)) {
    behaviour.reenrollments.push_back({at, ReenrollmentKind::kKept});
  }
  for (const Timestamp at : Moments(scenario, faults.wipe, begin, random)) {
    behaviour.reenrollments.push_back({at, ReenrollmentKind::kWiped});
  }
  std::sort(behaviour.reenrollments.begin(), behaviour.reenrollments.end(),
            [](const Reenrollment& a, const Reenrollment& b) { return a.at < b.at; });
  if (random.Fraction() < faults.install_fails) {
    behaviour.install_failures.push_back(RandomFailure(scenario, random));
  }
  if (random.Fraction() < faults.goes_dark)
    behaviour.dark_after = PayloadIdentifier("com.example.item0");
  behaviour.install_delay = Duration(random.Below(5000));
  behaviour.awaits_configuration = random.Fraction() < 0.3;
  return behaviour;
}

void AddAppBehaviour(const Scenario& scenario, Timestamp begin, RandomSource& random,
                     DeviceBehaviour& behaviour) {
  const Faults& faults = scenario.faults;
  // A third of the installs is over at once, as far as anybody can tell.
  if (random.Below(3) != 0) behaviour.app_install_delay = Duration(random.Below(30 * 60'000));
  if (random.Fraction() < faults.app_is_slow) {
    behaviour.app_install_delay += scenario.settings.app_install_time_max;
  }
  behaviour.lists_coming_apps = random.Below(2) == 0;
  if (random.Fraction() < faults.app_fails) {
    behaviour.app_failures.push_back(RandomAppFailure(scenario, random));
  }
  for (const Timestamp at : Moments(scenario, faults.app_deleted, begin, random)) {
    behaviour.app_events.push_back({at, AppEventKind::kDeleted, {}});
  }
  for (const Timestamp at : Moments(scenario, faults.app_updated, begin, random)) {
    behaviour.app_events.push_back({at, AppEventKind::kUpdated, {}});
  }
  std::sort(behaviour.app_events.begin(), behaviour.app_events.end(),
            [](const AppEvent& a, const AppEvent& b) { return a.at < b.at; });
  if (random.Fraction() < faults.odd_builds) {
    for (OsUpdate& update : behaviour.os_updates) update.build_version = OddBuild(random);
  }
}

void AddManagedApps(RandomSource& random, DeviceBehaviour& behaviour) {
  if (random.Below(2) == 0) behaviour.app_prompt_delay = Duration(random.Below(60 * 60'000));
  behaviour.knows_managed_apps = random.Below(4) != 0;
  for (AppFailure& failure : behaviour.app_failures) {
    // The last one is Apple's, some day.
    static constexpr std::array kStatuses = {"",          "UserRejected",      "UpdateRejected",
                                             "Failed",    "PromptingForLogin", "NeedsRedemption",
                                             "Prompting", "SomethingNew"};
    failure.managed_status = kStatuses[random.Below(kStatuses.size())];
  }
}

void AddIdentity(const Scenario& scenario, Timestamp begin, RandomSource& random,
                 DeviceBehaviour& behaviour) {
  if (scenario.identity_lifetime == Duration::zero()) return;
  behaviour.identity_lifetime = scenario.identity_lifetime;
  const auto spread_min =
      std::chrono::duration_cast<minutes>(scenario.identities_end_within).count();
  behaviour.identity_ends_at = begin + scenario.identities_end_after +
                               minutes(random.Below(static_cast<std::uint64_t>(spread_min)));
}

DeviceActor::DeviceActor(Kernel& kernel, MdmStandIn& server, const Faults& faults,
                         RandomSource& random, VirtualDevice device, OnContact on_contact)
    : kernel_(kernel),
      server_(server),
      faults_(faults),
      random_(random),
      device_(std::move(device)),
      on_contact_(std::move(on_contact)) {}

void DeviceActor::Start(Timestamp enrolls_at) {
  kernel_.At(enrolls_at, [this] { Wake(); });
  for (const Reenrollment& reenrollment : device_.behaviour().reenrollments) {
    kernel_.At(std::max(reenrollment.at, enrolls_at), [this] { Wake(); });
  }
  PlanOwnPoll();
}

/// A device comes by itself now and then: after a restart, after a change of network.
void DeviceActor::PlanOwnPoll() {
  kernel_.After(hours(12 + random_.Below(48)), [this] {
    Wake();
    PlanOwnPoll();
  });
}

void DeviceActor::Push() { Wake(); }

void DeviceActor::Wake() {
  if (in_session_) {
    again_ = true;
    return;
  }
  if (wake_planned_) return;  // Apple keeps one push, however many were sent
  const auto awake_at = device_.NextAwakeTime(kernel_.Now());
  if (!awake_at) return;
  wake_planned_ = true;
  kernel_.At(*awake_at + Duration(100 + random_.Below(4000)), [this] {
    wake_planned_ = false;
    Begin();
  });
}

void DeviceActor::Begin() {
  if (in_session_) return;
  auto message = device_.BeginSession(kernel_.Now());
  if (!message) {
    Wake();
    return;
  }
  in_session_ = true;
  Send(std::move(*message));
}

void DeviceActor::Send(DeviceMessage message) {
  const Duration delay = message.delay + Duration(10 + random_.Below(200));
  kernel_.After(delay, [this, message = std::move(message)] {
    const double fate = random_.Fraction();
    const bool lost_before = fate < faults_.device_request_lost / 2;
    const bool lost_after = !lost_before && fate < faults_.device_request_lost;
    DeviceReply reply;
    if (!lost_before) {
      DeviceRequest request;
      request.content_type = std::string(
          message.kind == MessageKind::kCheckin ? kCheckinContentType : kConnectContentType);
      request.body = message.body;
      CoreAnswer answer = server_.HandleDevice(request, kernel_.Now());
      on_contact_(device_.enrollment_id());
      if (!lost_after) reply = {answer.status, std::move(answer.body)};
    }
    kernel_.After(Duration(5 + random_.Below(100)),
                  [this, reply = std::move(reply)] { Reply(reply); });
  });
}

void DeviceActor::Reply(const DeviceReply& reply) {
  auto next = device_.HandleReply(reply, kernel_.Now());
  const std::string last = device_.log().empty() ? std::string() : device_.log().back().text;
  kernel_.Trace(
      fmt::format("{} http {} | {}", device_.enrollment_id().value(), reply.status, last));
  if (next) {
    Send(std::move(*next));
    return;
  }
  EndSession();
}

void DeviceActor::EndSession() {
  in_session_ = false;
  if (std::exchange(again_, false)) Wake();
  // A device whose check-in failed tries again; so does one that could not hand over its answer.
  const bool half_enrolled = device_.state() == EnrollmentState::kNotEnrolled ||
                             device_.state() == EnrollmentState::kAuthenticated;
  if (half_enrolled) kernel_.After(minutes(1 + random_.Below(10)), [this] { Wake(); });
  // A Mac that was locked comes by itself once somebody has typed the PIN.
  if (device_.is_locked()) Wake();
  if (const auto at = device_.self_poll_at()) kernel_.At(*at, [this] { Wake(); });
}

void DeviceActor::RefreshToken() {
  if (device_.state() != EnrollmentState::kEnrolled || device_.is_dark()) return;
  const DeviceMessage message = device_.MakeTokenUpdate();
  kernel_.Trace("new push token of " + device_.enrollment_id().value());
  server_.HandleDevice({std::string(kCheckinContentType), message.body, {}}, kernel_.Now());
  on_contact_(device_.enrollment_id());
}

void DeviceActor::CheckOut(Duration away_for) {
  if (device_.state() != EnrollmentState::kEnrolled || in_session_) return;
  if (!device_.facts().user_id.empty()) return;  // its Mac decides
  const PayloadIdentifier enrollment = device_.profiles().front().payload_identifier;
  const std::string command =
      EncodeCommand(RemoveProfileCommand{enrollment}, CommandUuid("BY-HAND"));
  // The person at the device does by hand what the command would do; the next session says
  // CheckOut.
  const Result<CommandAnswer> done = device_.Execute(command, kernel_.Now());
  if (!done || done->status != "Acknowledged") return;
  kernel_.Trace(fmt::format("{} leaves management", device_.enrollment_id().value()));
  is_leaving_ = true;
  leaving_epoch_ = device_.epoch();
  Begin();
  kernel_.After(away_for, [this] { ComeBack(); });
}

void DeviceActor::ComeBack() {
  const bool enrolled_again = device_.epoch() != leaving_epoch_;
  if (device_.state() != EnrollmentState::kGone && !enrolled_again) {  // not said good-bye yet
    kernel_.After(hours(1), [this] { ComeBack(); });
    return;
  }
  is_leaving_ = false;
  if (enrolled_again) return;
  device_.Reenroll(ReenrollmentKind::kWiped, kernel_.Now());
  Wake();
}

}  // namespace director::simulation
