// What is known of each enrollment, and the texts that people read.
#include "tests/simulation/checker.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace director::simulation {
namespace {

constexpr std::size_t kReportsKept = 8;
constexpr std::size_t kLogLineMaxBytes = 8192;

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

std::optional<Enrollment> Checker::LoadEnrollment(const EnrollmentId& id) {
  std::optional<Enrollment> loaded;
  const Status read = database_.Read([&](StoreReader& reader) -> Status {
    auto enrollments = reader.LoadEnrollments({id});
    if (!enrollments) return Fail(enrollments.error());
    if (!enrollments->empty()) loaded = std::move(enrollments->front());
    return {};
  });
  if (!read) Report("I8", "the enrollment cannot be read: " + read.error().message, id);
  return loaded;
}

std::optional<IntentState> Checker::JournaledState(const EnrollmentId& id,
                                                   const CommandUuid& command_uuid) {
  std::optional<IntentState> state;
  const Status read = database_.Read([&](StoreReader& reader) -> Status {
    const auto intents = reader.LoadIntents({{id, command_uuid}});
    if (!intents) return Fail(intents.error());
    if (!intents->empty()) state = intents->front().second.state;
    return {};
  });
  if (!read) Report("I8", "the journal cannot be read: " + read.error().message, id);
  return state;
}

/// False when the command had been given up before its answer came: then that changes nothing.
bool Checker::IsRecordedAsFailed(const MdmEvent& event, const ResultEvent& result) {
  return JournaledState(event.channel.enrollment_id, result.command_uuid) == IntentState::kFailed;
}

void Checker::WatchRecorded(const MdmEvent& event, Timestamp said_at) {
  Known& known = At(event.channel.enrollment_id);
  if (std::holds_alternative<CheckOutEvent>(event.body)) {
    known.checked_out_at = std::max(known.checked_out_at, said_at);
    known.check_out_recorded_at = kernel_.Now();
    known.check_out_skew = process_->skew();
    return;
  }
  known.last_word_at = std::max(known.last_word_at, said_at);
  const bool is_renewal = IsOfRenewal(event, said_at, known);
  WatchIdentity(event, said_at, known);
  if (is_renewal) {
    known.build = std::get<AuthenticateEvent>(event.body).build_version;
    return;
  }
  if (std::holds_alternative<AuthenticateEvent>(event.body) && said_at > known.authenticated_at) {
    known.authenticated_at = said_at;
    known.authenticate_recorded_at = kernel_.Now();
  }
  if (said_at >= known.authenticated_at) {
    WatchSetup(event, said_at, known);
    WatchBuilds(event, said_at, known);
  }
  const auto* token = std::get_if<TokenUpdateEvent>(&event.body);
  if (token != nullptr && token->awaiting_configuration.value_or(false)) {
    known.setup_recorded_at = kernel_.Now();
  }
  const auto* result = std::get_if<ResultEvent>(&event.body);
  if (result == nullptr) return;
  if (!result->encrypted_recovery_key.empty()) keys_recorded_.insert(result->command_uuid);
  for (auto& [item, install] : known.installs) {
    const bool is_refused =
        install.command_uuid == result->command_uuid && result->status == CommandStatus::kError;
    if (result->device_information) install.failed_at.reset();  // perhaps a new OS: tried at once
    if (!is_refused || install.failed_at || !IsRecordedAsFailed(event, *result)) continue;
    install.failed_at = said_at;
    install.skew = process_->skew();
  }
  WatchManagedRefusal(event, *result, known);
  const bool lists_apps = result->inventory &&
                          result->inventory->kind == InventoryKind::kInstalledApplicationList &&
                          result->inventory->answer.AsArray() != nullptr;
  if (lists_apps) {
    known.app_lists.push_back(
        {kernel_.Now(), said_at, ReadApps(*result->inventory->answer.AsArray())});
    if (known.app_lists.size() > kReportsKept) known.app_lists.pop_front();
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
  if (const auto& list = snapshot->app_list) {
    text += fmt::format("  listed its apps {}, asked {}\n", FormatTime(list->reported_at),
                        list->asked_at ? FormatTime(*list->asked_at) : "by somebody else");
  }
  if (const auto& list = snapshot->managed_app_list) {
    text += fmt::format("  listed its managed apps {}, asked {}\n", FormatTime(list->reported_at),
                        list->asked_at ? FormatTime(*list->asked_at) : "by somebody else");
  }
  for (const ItemRecord& item : snapshot->items) {
    text += fmt::format("  {} {}: {}: {}\n", item.payload_identifier.value(),
                        PresenceName(item.presence), ItemStateName(item.state), item.reason);
  }
  if (const auto& proposal = snapshot->proposal) {
    text += fmt::format("  {} proposed at {}, epoch {}: {}: {}\n", ProposalKindName(proposal->kind),
                        FormatTime(proposal->created_at), proposal->epoch,
                        ProposalStateName(proposal->state), proposal->explanation);
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
  for (const InstalledApp& app : known.device->apps().all()) {
    text += fmt::format("  on the device: {} {}{}\n", app.identifier, app.version,
                        app.ready_at ? ", being installed" : "");
  }
  return text;
}

}  // namespace director::simulation
