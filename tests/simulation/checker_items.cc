// Apps, accounts, Setup Assistant, and profiles that are installed again after an OS update.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "mdm/app.h"
#include "mdm/command.h"
#include "mdm/os_build.h"
#include "tests/simulation/checker.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

bool ShowsApp(const std::vector<ReportedApp>& apps, std::string_view identifier,
              const std::string& version) {
  return std::any_of(apps.begin(), apps.end(), [&](const ReportedApp& app) {
    return app.identifier == identifier && !app.is_installing &&
           CompareVersions(app.short_version, version) >= 0;
  });
}

std::string StateOf(const ItemRecord& record) {
  return fmt::format("{}: {}", ItemStateName(record.state), record.reason);
}

}  // namespace

// --- what is recorded ---------------------------------------------------------------------------

void Checker::WatchSetup(const MdmEvent& event, Timestamp said_at, Known& known) {
  std::optional<bool> awaits;
  if (std::holds_alternative<AuthenticateEvent>(event.body)) {
    const bool is_overtaken = known.token_said_at >= said_at;
    if (known.held_since && !is_overtaken) known.held_since = kernel_.Now();
    known.facts_said_at = Timestamp::min();
  } else if (const auto* token = std::get_if<TokenUpdateEvent>(&event.body)) {
    awaits = token->awaiting_configuration;
    known.token_said_at = std::max(known.token_said_at, said_at);
  } else if (const auto* result = std::get_if<ResultEvent>(&event.body)) {
    if (result->device_information && said_at >= known.facts_said_at) {
      known.facts_said_at = said_at;
      awaits = result->device_information->awaiting_configuration;
    }
    const bool lets_go = known.let_go_command == result->command_uuid &&
                         result->status == CommandStatus::kAcknowledged;
    if (lets_go) awaits = false;
  }
  if (!awaits) return;
  if (!*awaits) {
    known.held_since.reset();
  } else if (!known.held_since) {
    known.held_since = kernel_.Now();
  }
}

void Checker::WatchBuilds(const MdmEvent& event, Timestamp said_at, Known& known) {
  if (const auto* authenticate = std::get_if<AuthenticateEvent>(&event.body)) {
    known.builds.clear();
    known.build = known.first_build = authenticate->build_version;
    known.is_mac_known = true;
  }
  const auto* result = std::get_if<ResultEvent>(&event.body);
  if (result == nullptr) return;
  const bool has_news = result->device_information && said_at >= known.facts_said_at;
  if (has_news && !result->device_information->build_version.empty()) {
    known.build = result->device_information->build_version;
    if (known.first_build.empty()) known.first_build = known.build;
    known.is_mac_known = true;
  }
  const bool is_final = result->status != CommandStatus::kNotNow;
  if (scenario_.settings.reinstall_named.empty() || !is_final) return;
  // What comes after the news of another build was perhaps done under the one before.
  if (said_at < known.facts_said_at) return;
  for (const auto& [item, install] : known.installs) {
    if (install.command_uuid != result->command_uuid) continue;
    const auto state = JournaledState(event.channel.enrollment_id, install.command_uuid);
    const bool counts = state == IntentState::kAcknowledged || state == IntentState::kFailed;
    if (counts) known.builds[item] = {install.payload_uuid, known.build};
  }
}

/// True when the rule for OS updates allows to install again what is there: once for each build
/// that is surely newer than the one under which the device last answered for it.
bool Checker::IsReinstalled(const EnrollmentId& id, const Profile& profile) const {
  const Settings& settings = scenario_.settings;
  const PayloadIdentifier& item = profile.payload_identifier;
  const bool is_meant = settings.reinstall_all ||
                        std::find(settings.reinstall_named.begin(), settings.reinstall_named.end(),
                                  item) != settings.reinstall_named.end();
  const Known& known = known_.at(id);
  if (!is_meant) return false;
  const auto seen = known.builds.find(item);
  const bool has_answered = seen != known.builds.end() &&
                            seen->second.payload_uuid == profile.payload_uuid.value() &&
                            !seen->second.build.empty();
  return HasBuildGrown(has_answered ? seen->second.build : known.first_build, known.build);
}

// --- what is sent -------------------------------------------------------------------------------

void Checker::CheckDefined(const CommandUuid& command_uuid, const Change& change,
                           const EnrollmentId& id, Timestamp step_began_at) {
  const Known& known = At(id);
  if (known.device == nullptr) return;
  CheckBackOff(command_uuid, change.item, change.payload_uuid, id);
  const auto all = ledger_.PossibleSince(known.device->facts(), change.item, step_began_at);
  const bool is_wanted = std::any_of(all.begin(), all.end(), [&](const auto& wanted) {
    return wanted && wanted->presence == Presence::kPresent &&
           wanted->payload_uuid == change.payload_uuid;
  });
  if (!is_wanted) Report("desired", change.item.value() + " is sent, nobody wants it", id);
  switch (KindOf(change.item)) {
    case ItemKind::kApp:
      return CheckAppNeeded(change, id, step_began_at);
    case ItemKind::kAccounts:
      return CheckAccounts(id, step_began_at);
    case ItemKind::kProfile:
    case ItemKind::kIdentity:
      break;
  }
}

/// I9: what every list of this epoch shows is not installed again.
void Checker::CheckAppNeeded(const Change& change, const EnrollmentId& id,
                             Timestamp step_began_at) {
  const Known& known = At(id);
  const std::string_view identifier = BundleIdentifierOf(change.item);
  if (identifier.empty() || twins_.contains(id) || process_->skew() < Duration::zero()) return;
  bool was_known = false;
  for (const AppListSeen& list : known.app_lists) {
    const bool is_of_epoch = list.recorded_at >= known.authenticate_recorded_at &&
                             list.recorded_at >= known.setup_recorded_at &&
                             list.recorded_at >= known.check_out_recorded_at;
    if (!is_of_epoch) continue;
    if (!ShowsApp(list.apps, identifier, ledger_.VersionOf(change.payload_uuid))) return;
    was_known = was_known || list.recorded_at <= step_began_at;
  }
  if (was_known) {
    Report("I9", change.item.value() + " is installed, every list shows that it is there", id);
  }
}

/// I1: an app is removed when an owner named it, and a fresh list of this epoch shows it.
void Checker::CheckRemoveApp(const PayloadIdentifier& item, const EnrollmentId& id,
                             Timestamp step_began_at) {
  const Known& known = At(id);
  if (known.device == nullptr) return;
  const auto all = ledger_.PossibleSince(known.device->facts(), item, step_began_at);
  const bool is_asked_for = std::any_of(all.begin(), all.end(), [](const auto& wanted) {
    return wanted && wanted->presence == Presence::kAbsent;
  });
  if (!is_asked_for) Report("I1", item.value() + " is removed, nobody asked for that", id);
  const bool is_shown =
      std::any_of(known.app_lists.begin(), known.app_lists.end(), [&](const AppListSeen& list) {
        return IsFreshEvidence(known, list.recorded_at, list.reported_at, step_began_at) &&
               ShowsApp(list.apps, BundleIdentifierOf(item), "");
      });
  if (!is_shown) Report("I1", item.value() + " is removed without a fresh list that shows it", id);
}

/// The list of managed apps is asked for while a device is at an app, and not again for a day when
/// the device has refused it.
void Checker::CheckManagedQuestion(const EnqueueRequest& request, const EnrollmentId& id) {
  if (request.request_type != request_type::kManagedApplicationList) return;
  Known& known = At(id);
  known.managed_question = request.command_uuid;
  const std::optional<Snapshot> snapshot = Load(id);
  if (!snapshot || twins_.contains(id)) return;
  const bool is_under_way =
      std::any_of(snapshot->items.begin(), snapshot->items.end(), [](const ItemRecord& item) {
        return KindOf(item.payload_identifier) == ItemKind::kApp &&
               item.presence == Presence::kPresent && item.state == ItemState::kAcknowledged;
      });
  if (!is_under_way) {
    Report("bounded sends", "the list of managed apps is asked for, no app is under way", id);
  }
  const auto& refused = known.managed_refused;
  const bool is_remembered =
      refused && refused->epoch == snapshot->enrollment.epoch && refused->skew == process_->skew();
  if (is_remembered && kernel_.Now() < refused->at + hours(23)) {
    Report("bounded sends", "the list of managed apps is asked for again, it was refused", id);
  }
}

void Checker::WatchManagedRefusal(const MdmEvent& event, const ResultEvent& result, Known& known) {
  if (known.managed_question.empty() || known.managed_question != result.command_uuid) return;
  if (result.status != CommandStatus::kError || !IsRecordedAsFailed(event, result)) return;
  const std::optional<Snapshot> snapshot = Load(event.channel.enrollment_id);
  if (snapshot) {
    known.managed_refused = {kernel_.Now(), snapshot->enrollment.epoch, process_->skew()};
  }
}

/// Accounts go to Macs in Setup Assistant only, and not after these were told to go on.
void Checker::CheckAccounts(const EnrollmentId& id, Timestamp step_began_at) {
  const Known& known = At(id);
  if (twins_.contains(id) || process_->skew() < Duration::zero()) return;
  if (known.is_mac_known && known.device->facts().kind != DeviceKind::kMac) {
    Report("setup", "accounts for a device that is no Mac", id);
  }
  if (!known.held_since) {
    return Report("setup", "accounts for a Mac that is not held in Setup Assistant", id);
  }
  if (known.let_go_sent_at < *known.held_since || known.let_go_sent_at >= step_began_at) return;
  const auto let_go = JournaledState(id, known.let_go_command);
  if (let_go && IsOpen(*let_go)) Report("setup", "accounts after DeviceConfigured", id);
}

/// True when the device has to wait for the item in Setup Assistant, and nothing excuses it.
bool Checker::HoldsInSetup(const EnrollmentId& id, const PayloadIdentifier& item,
                           Timestamp step_began_at) const {
  const Known& known = known_.at(id);
  const DeviceFacts& facts = known.device->facts();
  const bool is_accounts = KindOf(item) == ItemKind::kAccounts;
  if (is_accounts && facts.kind != DeviceKind::kMac) return false;
  const Timestamp since = std::min(*known.held_since, step_began_at - minutes(1));
  const auto all = ledger_.PossibleSince(facts, item, since);
  return std::all_of(all.begin(), all.end(), [&](const auto& wanted) {
    return wanted && wanted->presence == Presence::kPresent && !wanted->at_enrollment_only &&
           (wanted->during_setup || is_accounts);
  });
}

namespace {

/// True for packages, which go to Macs alone.
bool IsForMacs(const Snapshot& snapshot, const PayloadIdentifier& item) {
  return std::any_of(snapshot.assignments.begin(), snapshot.assignments.end(),
                     [&](const DesiredAssignment& assignment) {
                       return assignment.payload_identifier == item &&
                              assignment.request_type ==
                                  request_type::kInstallEnterpriseApplication;
                     });
}

}  // namespace

/// A device is let go when what is marked was tried and answered, or after setup_time_max.
void Checker::CheckLetGo(const EnqueueRequest& request, const EnrollmentId& id,
                         Timestamp step_began_at) {
  Known& known = At(id);
  known.let_go_sent_at = kernel_.Now();
  known.let_go_command = request.command_uuid;
  const bool can_tell = known.device != nullptr && !twins_.contains(id) &&
                        scenario_.faults.clock_jump == 0 && process_->skew() >= Duration::zero();
  if (!can_tell || !known.held_since || *known.held_since > step_began_at) return;
  if (step_began_at + seconds(1) >= *known.held_since + scenario_.settings.setup_time_max) return;
  const std::optional<Snapshot> snapshot = Load(id);
  for (const PayloadIdentifier& item : ledger_.items()) {
    if (!snapshot || !HoldsInSetup(id, item, step_began_at)) continue;
    const bool is_mac = known.device->facts().kind == DeviceKind::kMac;
    if (!is_mac && IsForMacs(*snapshot, item)) continue;
    const bool is_open =
        std::any_of(snapshot->intents.begin(), snapshot->intents.end(), [&](const Intent& intent) {
          return intent.payload_identifier == item && IsOpen(intent.state);
        });
    if (is_open) Report("setup", item.value() + " is marked and has no answer yet", id);
    const auto tried = known.tried_at.find(item);
    const bool was_tried =
        tried != known.tried_at.end() && tried->second >= known.authenticate_recorded_at;
    const bool was_shown =
        KindOf(item) != ItemKind::kAccounts && (!known.reports.empty() || !known.app_lists.empty());
    const bool is_used_up =
        std::any_of(snapshot->items.begin(), snapshot->items.end(), [&](const ItemRecord& record) {
          return record.payload_identifier == item &&
                 record.sends >= scenario_.settings.sends_per_day_max;
        });
    if (!was_tried && !was_shown && !is_used_up)
      Report("setup", item.value() + " is marked and was not sent", id);
  }
}

// --- what is there in the end -------------------------------------------------------------------

/// True when the device or its user gives a reason for the app not to come, or not to go.
bool Checker::MayPark(const VirtualDevice& device, const PayloadIdentifier& item,
                      const Wanted& wanted) const {
  if (KindOf(item) != ItemKind::kApp) return false;
  const std::string identifier(BundleIdentifierOf(item));
  const DeviceBehaviour& behaviour = device.behaviour();
  const InstalledApp* app = device.apps().Find(identifier);
  const bool is_unmanaged = app != nullptr && !app->is_managed;
  if (wanted.presence == Presence::kAbsent) return is_unmanaged || !behaviour.app_events.empty();
  return behaviour.FindAppFailure(identifier) != nullptr || !behaviour.app_events.empty() ||
         device.facts().kind != DeviceKind::kMac ||
         behaviour.app_prompt_delay + behaviour.app_install_delay >=
             scenario_.settings.app_install_time_max;
}

std::string Checker::WhyAppUnconverged(const VirtualDevice& device, const PayloadIdentifier& item,
                                       const Wanted& wanted, const Snapshot& snapshot,
                                       const ItemRecord* record) const {
  const bool clocks_agree =
      scenario_.faults.clock_jump == 0 && scenario_.clock_ahead == Duration::zero();
  const Timestamp began_at = snapshot.enrollment.epoch_began_at.value_or(Timestamp());
  if (wanted.at_enrollment_only) {
    const Timestamp assigned_at = ledger_.AssignedToAllSince(item);
    if (record == nullptr && (!clocks_agree || began_at < assigned_at + minutes(1))) return {};
    if (record != nullptr && clocks_agree && began_at < assigned_at - minutes(6)) {
      return "it is for devices that enroll later; " + StateOf(*record);
    }
  }
  if (record == nullptr) return "Director does not know that it is wanted";
  const bool is_mac = device.facts().kind == DeviceKind::kMac;
  if (!is_mac && wanted.presence == Presence::kPresent && IsForMacs(snapshot, item)) {
    return record->state == ItemState::kBlocked ? "" : StateOf(*record);
  }
  const std::string identifier(BundleIdentifierOf(item));
  if (record->state == ItemState::kParked && MayPark(device, item, wanted)) {
    const bool is_told = record->parked_build == device.facts().build_version;
    return is_told ? "" : "is tried again when Director learns of the OS build";
  }
  const AppFailure* failure = device.behaviour().FindAppFailure(identifier);
  const bool fails = failure != nullptr && !failure->times;
  if (identifier.empty()) return record->state == ItemState::kAcknowledged ? "" : StateOf(*record);
  const InstalledApp* app = device.apps().Find(identifier);
  const bool is_there = app != nullptr && !app->ready_at;
  if (record->state != ItemState::kVerified) {
    return fails && wanted.presence == Presence::kPresent ? "" : StateOf(*record);
  }
  // To a clock that is ahead of the server's, a device that answers what has long waited for it
  // does not look awake, and it is not asked for its list.
  const bool goes_unnoticed = process_->skew() > kLateEventAfter;
  if (wanted.presence == Presence::kAbsent) {
    return app != nullptr && !goes_unnoticed ? "is there or on its way; " + StateOf(*record) : "";
  }
  if (wanted.at_enrollment_only) return {};  // it was there once
  const std::string version = ledger_.VersionOf(wanted.payload_uuid);
  if (goes_unnoticed && !device.behaviour().app_events.empty()) return {};
  const bool is_new_enough = is_there && CompareVersions(app->version, version) >= 0;
  return is_new_enough ? "" : fmt::format("{} is not there; {}", version, StateOf(*record));
}

/// A profile that is there may have to be installed again.
std::string Checker::WhyReinstallUnconverged(const VirtualDevice& device, const ItemRecord& record,
                                             const Snapshot& snapshot) const {
  if (record.reinstall_at) return "is to be installed again";
  const bool has_policy = !scenario_.settings.reinstall_named.empty();
  const bool is_told = snapshot.enrollment.build_version == device.facts().build_version;
  const bool goes_unnoticed = process_->skew() > kLateEventAfter;
  return !has_policy || is_told || goes_unnoticed || !device.facts().user_id.empty()
             ? ""
             : "Director does not know the OS build";
}

}  // namespace director::simulation
