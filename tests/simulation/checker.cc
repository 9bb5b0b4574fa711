#include "tests/simulation/checker.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "mdm/command.h"
#include "mdm/profile.h"
#include "reconciler/observe.h"
#include "tests/simulation/owner.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// Requests of one step go out one after the other, each with its time-outs.
constexpr Duration kStepSlack = minutes(10);
/// Below the shortest back-off, jitter and the slack of a late webhook included.
constexpr Duration kBackOffMin = seconds(20);
constexpr std::size_t kReportsKept = 8;
constexpr std::size_t kQuestionsPerDayMax = 150;
constexpr std::size_t kPushesPerDayMax = 250;
constexpr std::size_t kLogLineMaxBytes = 8192;
constexpr std::size_t kProblemsMax = 100;

bool IsChange(const EnqueueRequest& request) {
  return request.request_type == request_type::kInstallProfile ||
         request.request_type == request_type::kRemoveProfile;
}

/// The item of a command that changes something; empty when it cannot be read.
PayloadIdentifier ItemOf(const ReceivedCommand& command) {
  if (command.request_type == request_type::kRemoveProfile) {
    const PlistValue* identifier = command.body.Find("Identifier");
    return PayloadIdentifier(identifier && identifier->AsString() ? *identifier->AsString() : "");
  }
  const PlistValue* payload = command.body.Find("Payload");
  if (payload == nullptr || payload->AsData() == nullptr) return {};
  const Result<Profile> profile = ParseProfile(payload->AsData()->bytes);
  return profile ? profile->payload_identifier : PayloadIdentifier();
}

bool IsForItem(const Intent& intent, const PayloadIdentifier& item) {
  return intent.payload_identifier == item && IsOpen(intent.state);
}

const InstallFailure* FailureOf(const VirtualDevice& device, const PayloadIdentifier& item) {
  for (const InstallFailure& failure : device.behaviour().install_failures) {
    if (failure.payload_identifier.empty() || failure.payload_identifier == item) return &failure;
  }
  return nullptr;
}

}  // namespace

Checker::Checker(Kernel& kernel, Store& database, MdmStandIn& server, const Ledger& ledger,
                 const Scenario& scenario)
    : kernel_(kernel), database_(database), server_(server), ledger_(ledger), scenario_(scenario) {}

void Checker::AddDevice(const VirtualDevice& device) {
  At(device.enrollment_id()).device = &device;
}

void Checker::Report(std::string rule, std::string text, const EnrollmentId& id) {
  if (violation_) return;
  violation_ = Violation{std::move(rule), std::move(text), id};
  kernel_.Stop();
}

void Checker::Forget(std::deque<Timestamp>& times, Timestamp before) {
  while (!times.empty() && times.front() < before) times.pop_front();
}

std::optional<Snapshot> Checker::Load(const EnrollmentId& id) {
  std::optional<Snapshot> loaded;
  const Status read = database_.Read([&](StoreReader& reader) -> Status {
    auto snapshot = reader.LoadSnapshot(id);
    if (!snapshot) return Fail(snapshot.error());
    loaded = std::move(*snapshot);
    return {};
  });
  if (!read && read.error().kind != ErrorKind::kNotFound) {
    Report("I8", "the database cannot be read: " + read.error().message, id);
  }
  return loaded;
}

// --- commands -----------------------------------------------------------------------------------

void Checker::WatchEnqueue(const EnqueueRequest& request, Timestamp step_began_at) {
  kernel_.Trace(fmt::format("enqueue {} {} for {}", request.request_type,
                            request.command_uuid.value(), request.targets.size()));
  for (const EnrollmentId& id : request.targets) CheckTarget(request, id, step_began_at);
}

void Checker::CheckTarget(const EnqueueRequest& request, const EnrollmentId& id,
                          Timestamp step_began_at) {
  CheckJournaled(request, id);
  const Known& known = At(id);
  // To a clock that is behind the server's, a word from before the CheckOut that comes late is new.
  const bool can_tell = process_->skew() >= Duration::zero();
  const bool left = can_tell && known.checked_out_at > known.last_word_at &&
                    known.check_out_recorded_at < step_began_at;
  if (left) Report("checked out", request.request_type + " for a device that has left", id);
  if (IsChange(request)) CheckChange(request, id, step_began_at);
}

void Checker::CheckJournaled(const EnqueueRequest& request, const EnrollmentId& id) {
  const Status read = database_.Read([&](StoreReader& reader) -> Status {
    const auto intents = reader.LoadIntents({{id, request.command_uuid}});
    if (!intents) return Fail(intents.error());
    const bool is_there =
        intents->size() == 1 && intents->front().second.request_type == request.request_type;
    if (!is_there) Report("journal", request.request_type + " goes out without an intent", id);
    return {};
  });
  if (!read) Report("I8", "the journal cannot be read: " + read.error().message, id);
}

void Checker::CheckChange(const EnqueueRequest& request, const EnrollmentId& id,
                          Timestamp step_began_at) {
  const Result<ReceivedCommand> command = DecodeCommand(request.command);
  const PayloadIdentifier item = command ? ItemOf(*command) : PayloadIdentifier();
  if (item.empty()) return Report("I8", "a command cannot be read", id);
  // What the device refuses is tried again by rule.
  const VirtualDevice* device = At(id).device;
  const bool is_refused = device != nullptr && FailureOf(*device, item) != nullptr;
  if (is_quiet_ && !is_refused && !twins_.contains(id)) {
    Report("I9", request.request_type + " although nothing was to be done", id);
  }
  CheckAwake(id, step_began_at);
  CheckOneInFlight(request, id, item);
  if (request.request_type == request_type::kRemoveProfile) {
    CheckRemove(item, id, step_began_at);
  } else {
    CheckInstall(request.command_uuid, command->body.Find("Payload")->AsData()->bytes, id,
                 step_began_at);
  }
}

void Checker::CheckAwake(const EnrollmentId& id, Timestamp step_began_at) {
  // A webhook that comes hours late looks fresh to a clock that is hours behind the server's.
  if (process_->skew() < Duration::zero()) return;
  // When a clock that was set back passes its old time again, what was heard then looks fresh.
  if (process_->set_back_at() + hours(7) > kernel_.Now()) return;
  const Timestamp contact_at = At(id).contact_at;
  if (contact_at + scenario_.settings.awake_window + kLateEventAfter + seconds(5) >= step_began_at)
    return;
  Report(
      "I4",
      fmt::format("a change for a device that was last in contact at {}", FormatTime(contact_at)),
      id);
}

void Checker::CheckOneInFlight(const EnqueueRequest& request, const EnrollmentId& id,
                               const PayloadIdentifier& item) {
  const std::optional<Snapshot> snapshot = Load(id);
  if (!snapshot) return;
  for (const Intent& intent : snapshot->intents) {
    if (intent.command_uuid == request.command_uuid || !IsForItem(intent, item)) continue;
    Report("I4",
           fmt::format("{} while {} for {} is under way", request.request_type, intent.request_type,
                       item.value()),
           id);
  }
}

/// Director may not know a serial number yet: then what was said about it does not count.
std::vector<std::optional<Wanted>> Possible(const Ledger& ledger, DeviceFacts facts,
                                            const PayloadIdentifier& item, Timestamp since) {
  auto all = ledger.WantedSince(facts, item, since);
  facts.serial_number = "unknown";
  const auto without = ledger.WantedSince(facts, item, since);
  all.insert(all.end(), without.begin(), without.end());
  return all;
}

/// True when every report that was recorded in this epoch shows what is installed again.
bool Checker::IsBaseless(const EnrollmentId& id, const Profile& profile) {
  const Known& known = At(id);
  if (twins_.contains(id)) return false;
  // To a clock that was set back, what comes now is from before the enrollment.
  if (process_->skew() < Duration::zero()) return false;
  bool is_shown = false;
  for (const ReportSeen& report : known.reports) {
    if (report.recorded_at < known.authenticate_recorded_at) continue;
    is_shown = std::any_of(
        report.profiles.begin(), report.profiles.end(), [&](const ReportedProfile& reported) {
          return reported.payload_identifier == profile.payload_identifier &&
                 EqualsIgnoreCaseAscii(reported.payload_uuid, profile.payload_uuid.value());
        });
    if (!is_shown) return false;
  }
  return is_shown;
}

/// What the device refused just now is not sent again at once, as long as the clock stands.
void Checker::CheckBackOff(const CommandUuid& command_uuid, const Profile& profile,
                           const EnrollmentId& id) {
  Known& known = At(id);
  InstallSeen& last = known.installs[profile.payload_identifier];
  const bool is_same = last.payload_uuid == profile.payload_uuid.value();
  if (is_same && last.failed_at && known.authenticate_recorded_at < *last.failed_at &&
      last.skew == process_->skew() && kernel_.Now() < *last.failed_at + kBackOffMin) {
    Report(
        "back-off",
        fmt::format("{} again {} after the device refused it", profile.payload_identifier.value(),
                    FormatDuration(kernel_.Now() - *last.failed_at)),
        id);
  }
  last = {command_uuid, profile.payload_uuid.value(), {}, {}};
}

void Checker::CheckInstall(const CommandUuid& command_uuid, std::string_view payload,
                           const EnrollmentId& id, Timestamp step_began_at) {
  const Known& known = At(id);
  const Result<Profile> profile = ParseProfile(payload);
  if (!profile || known.device == nullptr) return;
  if (profile->has_mdm_payload) Report("I3", "an enrollment profile is installed", id);
  if (IsBaseless(id, *profile)) {
    Report(
        "I9",
        profile->payload_identifier.value() + " is installed, every report shows that it is there",
        id);
  }
  CheckBackOff(command_uuid, *profile, id);
  const auto all =
      Possible(ledger_, known.device->facts(), profile->payload_identifier, step_began_at);
  const bool is_wanted = std::any_of(all.begin(), all.end(), [&](const auto& wanted) {
    return wanted && wanted->presence == Presence::kPresent &&
           wanted->payload_uuid == profile->payload_uuid.value();
  });
  if (!is_wanted) {
    Report("desired",
           fmt::format("{} {} is installed, nobody wants it", profile->payload_identifier.value(),
                       profile->payload_uuid.value()),
           id);
  }
}

bool Checker::WasReported(const Known& known, const PayloadIdentifier& item, bool adopt,
                          Timestamp step_began_at) const {
  Duration age_max = scenario_.settings.removal_evidence_age_max + minutes(1);
  // To a clock that is behind the server's, what comes late by less than that is fresh.
  if (process_->skew() < Duration::zero()) age_max -= process_->skew();
  // Hours that a clock was set back are hours that it did not count.
  if (process_->set_back_at() + hours(7) > kernel_.Now()) age_max += hours(6);
  return std::any_of(known.reports.begin(), known.reports.end(), [&](const ReportSeen& report) {
    if (report.recorded_at > kernel_.Now() || report.reported_at + age_max < step_began_at)
      return false;
    const bool other_epoch = process_->skew() >= Duration::zero() &&
                             known.authenticate_recorded_at < step_began_at &&
                             report.reported_at < known.authenticated_at;
    if (other_epoch) return false;
    return std::any_of(report.profiles.begin(), report.profiles.end(), [&](const auto& profile) {
      return profile.payload_identifier == item && !profile.has_mdm_payload &&
             (adopt || ledger_.IsRevision(item, ToUpperAscii(profile.payload_uuid)));
    });
  });
}

void Checker::CheckRemove(const PayloadIdentifier& item, const EnrollmentId& id,
                          Timestamp step_began_at) {
  const Known& known = At(id);
  if (known.device == nullptr) return;
  bool is_asked_for = false;
  bool adopt = false;
  for (const auto& wanted : Possible(ledger_, known.device->facts(), item, step_began_at)) {
    if (!wanted || wanted->presence != Presence::kAbsent) continue;
    is_asked_for = true;
    adopt = adopt || wanted->adopt;
  }
  if (!is_asked_for) Report("I1", item.value() + " is removed, nobody asked for that", id);
  if (!WasReported(known, item, adopt, step_began_at)) {
    Report("I1",
           fmt::format("{} is removed without a fresh report that shows it as ours", item.value()),
           id);
  }
  const InstalledProfile* installed = known.device->FindProfile(item);
  if (installed != nullptr && installed->has_mdm_payload) {
    Report("I3", "the enrollment profile is removed", id);
  }
}

void Checker::WatchEnqueued(const EnqueueRequest& request,
                            const std::vector<EnqueueTargetResult>& results) {
  const Timestamp day_ago = kernel_.Now() - hours(24);
  const Result<ReceivedCommand> command = DecodeCommand(request.command);
  const bool is_change = IsChange(request);
  const PayloadIdentifier item = command && is_change ? ItemOf(*command) : PayloadIdentifier();
  for (const EnqueueTargetResult& result : results) {
    const bool may_be_there =
        result.outcome == EnqueueOutcome::kQueued || result.outcome == EnqueueOutcome::kUnknown;
    if (!may_be_there) continue;
    Known& known = At(result.enrollment_id);
    std::deque<Timestamp>& times = is_change ? known.sends[item] : known.questions;
    times.push_back(kernel_.Now());
    Forget(times, day_ago);
    const auto per_day = static_cast<std::size_t>(scenario_.settings.sends_per_day_max);
    const std::size_t most = is_change ? 3 * per_day + 6 : kQuestionsPerDayMax;
    if (times.size() > most) {
      Report("bounded sends",
             fmt::format("{} {} {} in a day", times.size(), request.request_type, item.value()),
             result.enrollment_id);
    }
    ++(is_change ? changes_sent_ : questions_sent_);
  }
}

void Checker::WatchPush(const EnrollmentId& id) {
  std::deque<Timestamp>& pushes = At(id).pushes;
  pushes.push_back(kernel_.Now());
  Forget(pushes, kernel_.Now() - hours(24));
  if (pushes.size() > kPushesPerDayMax) {
    Report("bounded pushes", fmt::format("{} pushes in a day", pushes.size()), id);
  }
}

// --- what comes in ------------------------------------------------------------------------------

/// False when the command had been given up before its answer came: then that changes nothing.
bool Checker::IsRecordedAsFailed(const MdmEvent& event, const ResultEvent& result) {
  bool is_failed = false;
  const Status read = database_.Read([&](StoreReader& reader) -> Status {
    const auto intents = reader.LoadIntents({{event.channel.enrollment_id, result.command_uuid}});
    if (!intents) return Fail(intents.error());
    is_failed = !intents->empty() && intents->front().second.state == IntentState::kFailed;
    return {};
  });
  if (!read) Report("I8", "the journal cannot be read: " + read.error().message);
  return is_failed;
}

void Checker::WatchRecorded(const MdmEvent& event, Timestamp said_at) {
  Known& known = At(event.channel.enrollment_id);
  if (std::holds_alternative<CheckOutEvent>(event.body)) {
    known.checked_out_at = std::max(known.checked_out_at, said_at);
    known.check_out_recorded_at = kernel_.Now();
    return;
  }
  known.last_word_at = std::max(known.last_word_at, said_at);
  if (std::holds_alternative<AuthenticateEvent>(event.body) && said_at > known.authenticated_at) {
    known.authenticated_at = said_at;
    known.authenticate_recorded_at = kernel_.Now();
  }
  const auto* result = std::get_if<ResultEvent>(&event.body);
  if (result == nullptr) return;
  for (auto& [item, install] : known.installs) {
    const bool is_refused =
        install.command_uuid == result->command_uuid && result->status == CommandStatus::kError;
    if (result->device_information) install.failed_at.reset();  // perhaps a new OS: tried at once
    if (!is_refused || install.failed_at || !IsRecordedAsFailed(event, *result)) continue;
    install.failed_at = said_at;
    install.skew = process_->skew();
  }
  if (!result->profile_list) return;
  known.reports.push_back({kernel_.Now(), said_at, *result->profile_list});
  if (known.reports.size() > kReportsKept) known.reports.pop_front();
}

void Checker::WatchLog(std::string_view line) {
  for (const std::string_view forbidden : {"SECRET-", "<?xml", "<plist", "PD94bWw"}) {
    if (line.find(forbidden) != std::string_view::npos) {
      Report("secrets", fmt::format("a log line holds {}: {}", forbidden, line));
    }
  }
  if (line.size() > kLogLineMaxBytes) Report("secrets", "a log line without bound");
  if (line.find("breaks an invariant") != std::string_view::npos ||
      line.find("INVARIANT") != std::string_view::npos) {
    Report("I8", std::string(line));
  }
}

// --- the fleet as a whole -----------------------------------------------------------------------

void Checker::CheckFleet() {
  std::vector<EnrollmentRow> rows;
  PageRequest page{"", 1000};
  bool more = true;
  while (more) {
    const Status read = database_.Read([&](StoreReader& reader) -> Status {
      auto found = reader.ListEnrollments({}, page);
      if (!found) return Fail(found.error());
      more = found->size() == page.limit;
      rows.insert(rows.end(), found->begin(), found->end());
      return {};
    });
    if (!read) return Report("I8", "the fleet cannot be listed: " + read.error().message);
    if (!rows.empty()) page.after = rows.back().enrollment.channel.enrollment_id.value();
  }
  for (const EnrollmentRow& row : rows) CheckEnrollment(row);
}

void Checker::CheckEnrollment(const EnrollmentRow& row) {
  const EnrollmentId& id = row.enrollment.channel.enrollment_id;
  if (process_->is_alive() && row.due_at > process_->Now() + hours(36)) {
    Report("I2", "not looked at for longer than a day and a half", id);
  }
  if (const auto queue = server_.FindEnrollment(id)) {
    const std::size_t most = 3 * scenario_.items + 8;
    if (queue->queue.size() > most) {
      Report("queue", fmt::format("{} commands wait for one device", queue->queue.size()), id);
    }
  }
  const Known& known = At(id);
  const bool undecided = row.due_at <= process_->Now() + seconds(1);
  if (known.device == nullptr || undecided || ledger_.HasProposals()) return;
  const std::optional<Snapshot> snapshot = Load(id);
  if (!snapshot) return;
  for (const PayloadIdentifier& item : ledger_.items()) {
    const auto record =
        std::find_if(snapshot->items.begin(), snapshot->items.end(),
                     [&](const ItemRecord& r) { return r.payload_identifier == item; });
    const bool has_record = record != snapshot->items.end();
    const auto all = Possible(ledger_, known.device->facts(), item, kernel_.Now() - minutes(15));
    const bool must = std::all_of(all.begin(), all.end(), [](const auto& w) { return !!w; });
    const bool may = std::any_of(all.begin(), all.end(), [](const auto& w) { return !!w; });
    if (must && !has_record) Report("I2", item.value() + " is wanted and has no state", id);
    if (!may && has_record) Report("I2", item.value() + " has a state, nobody wants it", id);
    if (has_record && record->reason.empty()) Report("I2", item.value() + " has no reason", id);
  }
}

/// A user channel cannot enroll while its Mac is dark.
bool Checker::IsDark(const VirtualDevice& device) const {
  if (device.is_dark()) return true;
  if (device.facts().user_id.empty() || device.state() == EnrollmentState::kEnrolled) return false;
  const auto mac = known_.find(EnrollmentId(device.facts().udid));
  return mac != known_.end() && mac->second.device != nullptr && mac->second.device->is_dark();
}

std::vector<std::string> Checker::Unconverged() {
  std::vector<std::string> problems;
  for (const auto& [id, known] : known_) {
    if (problems.size() >= kProblemsMax) break;
    if (known.device == nullptr || twins_.contains(id)) continue;
    const VirtualDevice& device = *known.device;
    if (IsDark(device)) continue;
    if (device.state() == EnrollmentState::kGone) {
      problems.push_back(id.value() + " has left management and is to come back");
      continue;
    }
    const std::optional<Snapshot> snapshot = Load(device.enrollment_id());
    for (const PayloadIdentifier& item : ledger_.items()) {
      const std::string why = WhyUnconverged(device, item, snapshot);
      if (!why.empty()) problems.push_back(fmt::format("{} {}: {}", id.value(), item.value(), why));
    }
  }
  if (ledger_.HasProposals()) problems.emplace_back("an owner waits for an answer");
  return problems;
}

std::string Checker::WhyUnconverged(const VirtualDevice& device, const PayloadIdentifier& item,
                                    const std::optional<Snapshot>& snapshot) const {
  const std::optional<Wanted> wanted = ledger_.WantedNow(device.facts(), item);
  if (!wanted) return {};
  if (device.state() != EnrollmentState::kEnrolled) return "the device is not enrolled";
  if (!snapshot) return "Director does not know the device";
  const auto record =
      std::find_if(snapshot->items.begin(), snapshot->items.end(),
                   [&](const ItemRecord& r) { return r.payload_identifier == item; });
  if (record == snapshot->items.end()) return "Director does not know that it is wanted";
  const InstalledProfile* installed = device.FindProfile(item);
  const std::string state = fmt::format("{}: {}", ItemStateName(record->state), record->reason);
  if (wanted->presence == Presence::kAbsent) {
    if (installed != nullptr && installed->has_mdm_payload)
      return record->state == ItemState::kBlocked ? "" : state;
    if (installed == nullptr) return record->state == ItemState::kVerified ? "" : state;
    const bool is_ours = ledger_.IsRevision(item, ToUpperAscii(installed->payload_uuid));
    if (is_ours || wanted->adopt) return "is still there; " + state;
    return record->state == ItemState::kBlocked ? "" : state;
  }
  // What the device refuses for good cannot converge; it must be said.
  const InstallFailure* failure = FailureOf(device, item);
  const bool is_deleted_again_and_again = !device.behaviour().deletions.empty();
  if (record->state == ItemState::kParked && (failure != nullptr || is_deleted_again_and_again))
    return {};
  if (failure != nullptr && !failure->times && record->state != ItemState::kVerified) return {};
  const bool is_there =
      installed != nullptr && EqualsIgnoreCaseAscii(installed->payload_uuid, wanted->payload_uuid);
  if (is_there && record->state == ItemState::kVerified) return {};
  return (is_there ? "is there; " : "is not there; ") + state;
}

void Checker::CheckTexts() {
  const Status read = database_.Read([&](StoreReader& reader) -> Status {
    const auto happenings = reader.ListHappenings({}, {"", 1000});
    if (!happenings) return Fail(happenings.error());
    for (const Happening& happening : *happenings) WatchLog(happening.text);
    return {};
  });
  if (!read) Report("I8", "events cannot be read: " + read.error().message);
}

std::string Checker::Explain(const EnrollmentId& id) {
  const std::optional<Snapshot> snapshot = Load(id);
  if (!snapshot) return "Director does not know " + id.value();
  const Enrollment& enrollment = snapshot->enrollment;
  std::string text = fmt::format("{}: {}, epoch {}, last seen {}\n", id.value(),
                                 EnrollmentStatusName(enrollment.status), enrollment.epoch,
                                 FormatTime(enrollment.last_seen_at));
  if (const auto& report = snapshot->profile_list) {
    text += fmt::format("  reported {}, asked {}\n", FormatTime(report->reported_at),
                        report->asked_at ? FormatTime(*report->asked_at) : "by somebody else");
  }
  for (const ItemRecord& item : snapshot->items) {
    text += fmt::format("  {} {}: {}: {}\n", item.payload_identifier.value(),
                        PresenceName(item.presence), ItemStateName(item.state), item.reason);
  }
  for (const Intent& intent : snapshot->intents) {
    text += fmt::format("  {} {} {}: {}, journaled {}\n", intent.request_type,
                        intent.payload_identifier.value(), intent.command_uuid.value(),
                        IntentStateName(intent.state), FormatTime(intent.journaled_at));
  }
  const Known& known = At(id);
  if (known.device == nullptr) return text;
  for (const InstalledProfile& profile : known.device->profiles()) {
    text += fmt::format("  on the device: {} {}\n", profile.payload_identifier.value(),
                        profile.payload_uuid);
  }
  return text;
}

}  // namespace director::simulation
