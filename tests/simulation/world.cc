#include "tests/simulation/world.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "mdm/command.h"
#include "simulator/mdm_core.h"
#include "simulator/micromdm_core.h"
#include "store/sqlite_store.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

/// Within this virtual time of calm every reachable device is as desired: a device that slept
/// through its last push is pushed again after at most a day and a fifth, sleeps at most 21 hours,
/// may have used up the sends of a day, and may need that twice.
constexpr Duration kConvergenceMax = hours(24 * 5);
constexpr Duration kLook = hours(1);
/// What was on its way when the calm began arrives within this time.
constexpr Duration kWebhookLateMax = hours(4);
constexpr Duration kQuietFor = hours(24);

const Timestamp kBegin = FromUnixMs(1'800'000'000'000);

}  // namespace

World::World(const Scenario& scenario)
    : scenario_(scenario),
      random_(scenario.seed ^ StableHash("world")),
      begin_(kBegin),
      kernel_(kBegin),
      device_faults_(scenario.faults) {
  auto opened = OpenSqliteStore(":memory:");
  if (opened) database_ = std::move(*opened);
  server_ = MakeServer();
  checker_ = std::make_unique<Checker>(kernel_, *database_, *server_, ledger_, scenario_);
  director_ =
      std::make_unique<DirectorProcess>(kernel_, *database_, *server_, scenario_, *checker_);
  checker_->SetProcess(*director_);
  SetLogSink([this](std::string_view line) { checker_->WatchLog(line); });
  AddDevices();
  owner_ = std::make_unique<Owner>(kernel_, *director_, ledger_, scenario_, nameable_,
                                   [this](std::string text) { checker_->Report("API", text); });
}

World::~World() { SetLogSink({}); }

std::unique_ptr<MdmStandIn> World::MakeServer() {
  CoreSinks sinks{[this](const std::string& body) { Deliver(body); },
                  [this](const EnrollmentId& id) { Push(id); }};
  const bool loses = random_.Below(2) == 0;
  switch (scenario_.server) {
    case ServerKind::kNanoMdmKeyValue:
    case ServerKind::kNanoMdmSql: {
      CoreFaults faults;
      const bool is_sql = scenario_.server == ServerKind::kNanoMdmSql;
      faults.store = is_sql ? CoreStore::kSql : CoreStore::kKeyValue;
      if (!is_sql && loses) faults.foreign_result = ForeignResult::kLosesQueue;
      return std::make_unique<MdmCore>(faults, std::move(sinks), random_.Next());
    }
    case ServerKind::kMicroMdmBuiltin:
    case ServerKind::kMicroMdmInMemory:
      break;
  }
  MicroMdmFaults faults;
  const bool is_builtin = scenario_.server == ServerKind::kMicroMdmBuiltin;
  faults.queue = is_builtin ? MicroQueue::kBuiltin : MicroQueue::kInMemory;
  if (is_builtin && loses) faults.lose_raced_enqueue = 0.2;
  return std::make_unique<MicroMdmCore>(faults, std::move(sinks), random_.Next());
}

// --- devices ------------------------------------------------------------------------------------

void World::AddDevices() {
  for (std::size_t i = 0; i < scenario_.devices; ++i) {
    const DeviceKind kind = random_.Below(5) == 0 ? DeviceKind::kIphone : DeviceKind::kMac;
    const DeviceFacts facts = MakeDeviceFacts(kind, scenario_.seed, i);
    DeviceBehaviour behaviour = MakeBehaviour(scenario_, begin_, random_);
    SeededRandom apart(scenario_.seed ^ StableHash("apps of " + facts.udid));
    AddAppBehaviour(scenario_, begin_, apart, behaviour);
    AddIdentity(scenario_, begin_, apart, behaviour);
    SeededRandom managed(scenario_.seed ^ StableHash("managed apps of " + facts.udid));
    AddManagedApps(managed, behaviour);
    behaviour.file_vault = apart.Below(5) != 0;
    const bool has_twin = random_.Fraction() < scenario_.faults.twin;
    if (!has_twin) nameable_.push_back(facts);
    AddDevice(facts, behaviour);
    if (has_twin) AddTwin(facts);
    if (kind != DeviceKind::kMac || has_twin) continue;
    if (random_.Fraction() >= scenario_.user_channels) continue;
    DeviceBehaviour as_the_mac = behaviour;
    as_the_mac.reenrollments.clear();
    as_the_mac.dark_after = {};
    AddDevice(MakeUserFacts(facts, scenario_.seed), as_the_mac);
  }
  if (nameable_.empty()) nameable_.push_back(MakeDeviceFacts(DeviceKind::kMac, scenario_.seed, 0));
}

void World::AddDevice(DeviceFacts facts, DeviceBehaviour behaviour) {
  auto actor = std::make_unique<DeviceActor>(
      kernel_, *server_, device_faults_, random_,
      VirtualDevice(std::move(facts), std::move(behaviour), random_.Next()),
      [this](const EnrollmentId& id) { checker_->WatchContact(id); });
  if (random_.Fraction() < scenario_.faults.foreign_profile) InstallForeignProfile(actor->device());
  checker_->AddDevice(actor->device());
  by_id_.emplace(actor->device().enrollment_id(), actor.get());
  devices_.push_back(std::move(actor));
}

/// Another Mac whose logic board says the same UDID.
void World::AddTwin(const DeviceFacts& facts) {
  DeviceFacts twin = facts;
  twin.serial_number = "TWIN" + facts.serial_number.substr(4);
  checker_->AddTwin(EnrollmentIdOf(facts));
  AddDevice(twin, MakeBehaviour(scenario_, begin_, random_));
}

/// Somebody else's profile under an identifier that owners use too.
void World::InstallForeignProfile(VirtualDevice& device) {
  const PayloadIdentifier item(fmt::format("com.example.item{}", random_.Below(scenario_.items)));
  InstallProfileCommand command;
  command.payload = MakeProfile(item, -1);
  static_cast<void>(device.Execute(EncodeCommand(command, CommandUuid("BY-HAND")), begin_));
}

DeviceActor& World::AnyDevice() { return *devices_[random_.Below(devices_.size())]; }

void World::Push(const EnrollmentId& id) {
  if (random_.Fraction() < device_faults_.push_lost) {
    kernel_.Trace("push lost for " + id.value());
    return;
  }
  kernel_.Trace("push for " + id.value());
  const auto [first, last] = by_id_.equal_range(id);
  for (auto it = first; it != last; ++it) {
    kernel_.After(milliseconds(50 + random_.Below(2000)), [actor = it->second] { actor->Push(); });
  }
}

// --- webhooks -----------------------------------------------------------------------------------

void World::Deliver(const std::string& body) {
  const Faults& faults = device_faults_;
  if (random_.Fraction() < faults.webhook_garbage) DeliverGarbage(body);
  if (random_.Fraction() < faults.webhook_lost) {
    kernel_.Trace("webhook lost");
    return;
  }
  const int copies = random_.Fraction() < faults.webhook_doubled ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Duration delay = milliseconds(2 + random_.Below(40));
    if (random_.Fraction() < faults.webhook_late)
      delay = Duration(random_.Below(kWebhookLateMax.count()));
    kernel_.After(delay, [this, body] { director_->Receive(body); });
  }
}

void World::DeliverGarbage(const std::string& body) {
  std::string garbage = body;
  switch (random_.Below(4)) {
    case 0:
      garbage.resize(garbage.size() / 2);
      break;
    case 1:
      garbage = R"({"topic":"mdm.Connect","acknowledge_event":{"udid":7,"raw_payload":"!!"}})";
      break;
    case 2:
      // Not any byte: one letter of a serial number is another device, and no checksum tells.
      garbage[random_.Below(garbage.size())] = static_cast<char>(1 + random_.Below(8));
      break;
    default:
      garbage = std::string(random_.Below(5000), '[');
      break;
  }
  kernel_.After(milliseconds(5), [this, garbage] { director_->Receive(garbage); });
}

// --- faults that come now and then --------------------------------------------------------------

void World::PlanEach(double per_day, std::function<void()> action) {
  if (per_day <= 0) return;
  const auto mean_ms = static_cast<double>(kDay.count()) / per_day;
  Timestamp at = begin_;
  while (true) {
    at += Duration(1 + static_cast<std::int64_t>(2 * mean_ms * random_.Fraction()));
    if (at >= begin_ + scenario_.faults_for) return;
    kernel_.At(at, action);
  }
}

void World::PlanFaults() {
  const Faults& faults = scenario_.faults;
  const auto fleet = static_cast<double>(devices_.size());
  PlanEach(faults.queue_lost * fleet, [this] {
    const EnrollmentId id = AnyDevice().device().enrollment_id();
    kernel_.Trace("the server loses the queue of " + id.value());
    server_->LoseQueue(id);
  });
  PlanEach(faults.token_dead * fleet, [this] {
    DeviceActor& actor = AnyDevice();
    const EnrollmentId id = actor.device().enrollment_id();
    kernel_.Trace("dead push token of " + id.value());
    server_->MarkUnregistered(id);
    kernel_.After(minutes(1 + random_.Below(36 * 60)), [&actor] { actor.RefreshToken(); });
  });
  PlanEach(faults.check_out * fleet,
           [this] { AnyDevice().CheckOut(minutes(1 + random_.Below(24 * 60))); });
  PlanEach(faults.server_down, [this] {
    kernel_.Trace("the MDM server goes down");
    director_->SetServerDown(true);
    kernel_.After(minutes(1 + random_.Below(8 * 60)), [this] {
      kernel_.Trace("the MDM server is back");
      director_->SetServerDown(false);
    });
  });
  PlanEach(faults.clock_jump, [this] {
    const auto most = static_cast<std::int64_t>(Duration(hours(6)).count());
    director_->JumpClock(
        Duration(static_cast<std::int64_t>(random_.Below(2 * 6 * 3'600'000)) - most));
  });
}

void World::PlanChecks() {
  kernel_.After(scenario_.devices > 50 ? hours(24) : hours(6), [this] {
    checker_->CheckFleet();
    PlanChecks();
  });
}

// --- the three phases ---------------------------------------------------------------------------

Outcome World::Run() {
  director_->Start();
  if (scenario_.clock_ahead != Duration::zero()) director_->JumpClock(scenario_.clock_ahead);
  for (const auto& actor : devices_) {
    const Duration span = std::min<Duration>(scenario_.faults_for / 4, hours(24));
    actor->Start(begin_ + Duration(random_.Below(static_cast<std::uint64_t>(span.count()))));
  }
  owner_->Start(begin_ + scenario_.faults_for);
  PlanFaults();
  PlanChecks();
  RunFaults();
  RunCalm();
  RunQuiet();

  Outcome outcome;
  outcome.trace_hash = kernel_.trace_hash();
  outcome.trace_lines = kernel_.trace_lines();
  outcome.virtual_time = kernel_.Now() - begin_;
  outcome.convergence = convergence_;
  outcome.changes_sent = checker_->changes_sent();
  outcome.questions_sent = checker_->questions_sent();
  outcome.deaths = director_->deaths();
  outcome.tally = CountAll();
  outcome.violation = checker_->violation();
  if (outcome.violation) outcome.report = DescribeViolation();
  return outcome;
}

void World::RunFaults() { kernel_.RunUntil(begin_ + scenario_.faults_for); }

void World::RunCalm() {
  if (checker_->violation()) return;
  kernel_.Trace("calm begins");
  const Timestamp calm_began_at = kernel_.Now();
  device_faults_ = Faults();
  for (const auto& actor : devices_) {
    actor->device().Advance(kernel_.Now());
    actor->Push();
  }
  director_->Calm();
  std::string problem;
  while (kernel_.Now() < calm_began_at + kConvergenceMax && !checker_->violation()) {
    kernel_.RunFor(kLook);
    if (kernel_.Now() < calm_began_at + kWebhookLateMax) continue;
    problem = Unconverged();
    if (problem.empty()) {
      convergence_ = kernel_.Now() - calm_began_at;
      return;
    }
  }
  if (checker_->violation()) return;
  checker_->Report(
      "convergence",
      fmt::format("not as desired after {} of calm: {}", FormatDuration(kConvergenceMax), problem),
      EnrollmentId(problem.substr(0, problem.find(' '))));
}

std::string World::Unconverged() {
  for (const auto& actor : devices_) {
    if (!actor->is_leaving() || actor->device().is_dark()) continue;
    return actor->device().enrollment_id().value() + " is leaving management";
  }
  return checker_->Unconverged();
}

void World::RunQuiet() {
  if (checker_->violation()) return;
  kernel_.Trace("quiet begins");
  checker_->QuietBegins();
  kernel_.RunFor(kQuietFor);
  if (checker_->violation()) return;
  checker_->CheckFleet();
  checker_->CheckTexts();
  checker_->CheckRecoveryLocks();
  checker_->CheckRecoveryKeys();
  const std::string problem = checker_->Unconverged();
  if (!problem.empty()) checker_->Report("convergence", "lost again: " + problem);
  const std::string missing = CountAll().MissingOfFullDay();
  if (scenario_.is_full_day && !missing.empty()) checker_->Report("full day", "no " + missing);
}

Tally World::CountAll() const {
  Tally tally;
  for (const auto& actor : devices_) tally.Add(actor->device());
  tally.reinstalls = checker_->reinstalls_sent();
  return tally;
}

std::string World::DescribeViolation() {
  const Violation& violation = *checker_->violation();
  std::string text = "last events:\n";
  for (const std::string& line : kernel_.RecentTrace()) text += "  " + line + "\n";
  if (!violation.enrollment_id.empty()) {
    text += "explanation:\n" + checker_->Explain(violation.enrollment_id);
  }
  return text + fmt::format("VIOLATION {} {}: {}\n", violation.rule,
                            violation.enrollment_id.value(), violation.text);
}

}  // namespace director::simulation
