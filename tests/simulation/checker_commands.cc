// What Director sends, held against what it may.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "mdm/command.h"
#include "mdm/profile.h"
#include "reconciler/observe.h"
#include "tests/simulation/checker.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// Below the shortest back-off, jitter and the slack of a late webhook included.
constexpr Duration kBackOffMin = seconds(20);
constexpr std::size_t kQuestionsPerDayMax = 150;
constexpr std::size_t kIdleQuestionsPerMinuteMax = 4;
constexpr std::size_t kPushesPerDayMax = 250;

bool IsChange(const EnqueueRequest& request) {
  for (const std::string_view change :
       {request_type::kInstallProfile, request_type::kRemoveProfile,
        request_type::kInstallApplication, request_type::kInstallEnterpriseApplication,
        request_type::kRemoveApplication, request_type::kAccountConfiguration}) {
    if (request.request_type == change) return true;
  }
  return false;
}

bool IsForItem(const Intent& intent, const PayloadIdentifier& item) {
  return intent.payload_identifier == item && IsOpen(intent.state);
}

}  // namespace

const Checker::Change& Checker::ChangeOf(const EnqueueRequest& request) {
  if (request.command == last_change_.command) return last_change_;
  last_change_ = {request.command, {}, {}};
  const Result<ReceivedCommand> command = DecodeCommand(request.command);
  if (!command) return last_change_;
  if (request.request_type == request_type::kRemoveProfile) {
    last_change_.item = PayloadIdentifier(TextAt(command->body, "Identifier"));
    return last_change_;
  }
  if (request.request_type == request_type::kRemoveApplication) {
    last_change_.item = AppItem(TextAt(command->body, "Identifier"));
    return last_change_;
  }
  if (request.request_type != request_type::kInstallProfile) {
    if (const ItemDefinition* definition = ledger_.FindDefinition(*command)) {
      last_change_.item = definition->item;
      last_change_.payload_uuid = NameDefinition(*definition).value();
    }
    return last_change_;
  }
  const PlistValue* payload = command->body.Find("Payload");
  if (payload == nullptr || payload->AsData() == nullptr) return last_change_;
  if (Result<Profile> profile = ParseProfile(payload->AsData()->bytes)) {
    last_change_.item = profile->payload_identifier;
    last_change_.payload_uuid = profile->payload_uuid.value();
    // Under whatever name: one renewal at a time.
    if (profile->has_mdm_payload) last_change_.item = IdentityItem();
    last_change_.profile = std::move(*profile);
  }
  return last_change_;
}

void Checker::WatchEnqueue(const EnqueueRequest& request, Timestamp step_began_at) {
  kernel_.Trace(fmt::format("enqueue {} {} for {}", request.request_type,
                            request.command_uuid.value(), request.targets.size()));
  for (const EnrollmentId& id : request.targets) CheckTarget(request, id, step_began_at);
}

void Checker::CheckTarget(const EnqueueRequest& request, const EnrollmentId& id,
                          Timestamp step_began_at) {
  CheckJournaled(request, id);
  const Known& known = At(id);
  // To a clock that is behind the server's, or was when the CheckOut came, whose time it cut to its
  // own, a word from before the CheckOut that comes late is new.
  const bool can_tell =
      process_->skew() >= Duration::zero() && known.check_out_skew >= Duration::zero();
  const bool left = can_tell && known.checked_out_at > known.last_word_at &&
                    known.check_out_recorded_at < step_began_at;
  if (left) Report("checked out", request.request_type + " for a device that has left", id);
  if (IsChange(request)) CheckChange(request, id, step_began_at);
  if (IsProposed(request.request_type)) CheckProposed(request, id, step_began_at);
  if (request.request_type == request_type::kDeviceConfigured) {
    CheckLetGo(request, id, step_began_at);
  }
}

void Checker::WatchEscrow(const std::string& serial_number, const std::string& secret) {
  escrowed_[serial_number].insert(secret);
}

/// A rotation without a password or a certificate for the answer could only go wrong.
void Checker::CheckUnlocking(const ReceivedCommand& command, const EnrollmentId& id) {
  if (command.request_type != request_type::kRotateFileVaultKey) return;
  const PlistValue* unlock = command.body.Find("FileVaultUnlock");
  const bool unlocks = unlock != nullptr && unlock->AsDict() != nullptr &&
                       !TextAt(*unlock->AsDict(), "Password").empty();
  if (!unlocks || command.body.Find("ReplyEncryptionCertificate") == nullptr) {
    Report("proposals", "RotateFileVaultKey without a password or a certificate", id);
  }
}

/// At most one command for each proposal of an owner, in the epoch for which it was made, with a
/// secret that is in escrow.
void Checker::CheckProposed(const EnqueueRequest& request, const EnrollmentId& id,
                            Timestamp step_began_at) {
  CheckAwake(id, step_began_at);
  Known& known = At(id);
  const auto book = ledger_.proposed().find(id);
  std::size_t made = 0;
  bool in_this_epoch = false;
  if (book != ledger_.proposed().end()) {
    for (const OwnersProposal& proposal : book->second) {
      if (ProposalKindName(proposal.kind) != request.request_type || proposal.is_cancelled)
        continue;
      ++made;
      in_this_epoch = in_this_epoch || proposal.asked_at >= known.authenticate_recorded_at;
    }
  }
  std::set<CommandUuid> sent = known.proposed[request.request_type];
  sent.insert(request.command_uuid);
  if (sent.size() > made) {
    Report("proposals",
           fmt::format("{} goes out {} times, proposed and not cancelled were {}",
                       request.request_type, sent.size(), made),
           id);
  }
  if (!in_this_epoch && known.authenticate_recorded_at < step_began_at) {
    Report("proposals", request.request_type + " was proposed for an enrollment that is over", id);
  }
  const Result<ReceivedCommand> command = DecodeCommand(request.command);
  if (!command) return Report("I8", "a command cannot be read", id);
  if (known.device == nullptr || known.device->facts().kind != DeviceKind::kMac) return;
  const std::set<std::string>& escrowed = escrowed_[known.device->facts().serial_number];
  const auto kind = ParseProposalKind(request.request_type);
  const bool takes_pin = kind && TakesPin(*kind);
  if (takes_pin && !escrowed.contains(TextAt(command->body, "PIN"))) {
    Report("proposals", request.request_type + " with a PIN that is not in escrow", id);
  }
  CheckUnlocking(*command, id);
  for (const char* key : {"NewPassword", "CurrentPassword", "Password"}) {
    const std::string password = TextAt(command->body, key);
    if (password.empty() || escrowed.contains(password)) continue;
    Report("proposals", fmt::format("{} with a {} not in escrow", request.request_type, key), id);
  }
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
  const Change& change = ChangeOf(request);
  const PayloadIdentifier& item = change.item;
  if (item.empty()) return Report("I8", "a command cannot be read", id);
  // What the device refuses is tried again by rule.
  const VirtualDevice* device = At(id).device;
  const bool is_refused =
      device != nullptr &&
      (device->behaviour().FindInstallFailure(item) != nullptr || MayPark(*device, item, {}) ||
       (change.profile && IsReinstalled(id, *change.profile)));
  const bool is_renewal = item == IdentityItem();
  if (is_quiet_ && !is_refused && !is_renewal && !twins_.contains(id)) {
    Report("I9", request.request_type + " although nothing was to be done", id);
  }
  CheckAwake(id, step_began_at);
  CheckOneInFlight(request, id, item);
  if (request.request_type == request_type::kRemoveProfile) {
    CheckRemove(item, id, step_began_at);
  } else if (request.request_type == request_type::kRemoveApplication) {
    CheckRemoveApp(item, id, step_began_at);
  } else if (change.profile) {
    CheckInstall(request.command_uuid, *change.profile, id, step_began_at);
  } else {
    CheckDefined(request.command_uuid, change, id, step_began_at);
  }
  At(id).tried_at[item] = kernel_.Now();
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

/// True when every report that was recorded in this epoch shows what is installed again, and did so
/// when the step began: what comes while it sends is not known to it.
bool Checker::IsBaseless(const EnrollmentId& id, const Profile& profile, Timestamp step_began_at) {
  const Known& known = At(id);
  if (twins_.contains(id)) return false;
  // To a clock that was set back, what comes now is from before the enrollment.
  if (process_->skew() < Duration::zero()) return false;
  bool was_known = false;
  for (const ReportSeen& report : known.reports) {
    if (report.recorded_at < known.authenticate_recorded_at) continue;
    if (report.recorded_at < known.setup_recorded_at) continue;
    // What comes so late that the device has enrolled anew since says nothing about it.
    if (report.reported_at < known.authenticated_at) continue;
    // A device that left and is back in Setup Assistant was wiped in between.
    const bool is_before_wipe =
        report.recorded_at < known.check_out_recorded_at && known.device->awaits_configuration();
    if (is_before_wipe) continue;
    const bool is_shown = std::any_of(
        report.profiles.begin(), report.profiles.end(), [&](const ReportedProfile& reported) {
          return reported.payload_identifier == profile.payload_identifier &&
                 EqualsIgnoreCaseAscii(reported.payload_uuid, profile.payload_uuid.value());
        });
    if (!is_shown) return false;
    was_known = was_known || report.recorded_at <= step_began_at;
  }
  return was_known;
}

/// What the device refused just now is not sent again at once, as long as the clock stands.
void Checker::CheckBackOff(const CommandUuid& command_uuid, const PayloadIdentifier& item,
                           const std::string& payload_uuid, const EnrollmentId& id) {
  Known& known = At(id);
  InstallSeen& last = known.installs[item];
  const bool is_same = last.payload_uuid == payload_uuid;
  const Duration pause = KindOf(item) == ItemKind::kApp ? scenario_.settings.app_retry_delay / 2
                                                        : Duration(kBackOffMin);
  const Timestamp began_at = std::max(
      {known.authenticate_recorded_at, known.setup_recorded_at, known.check_out_recorded_at});
  if (is_same && last.failed_at && began_at < *last.failed_at && last.skew == process_->skew() &&
      kernel_.Now() < *last.failed_at + pause) {
    Report("back-off",
           fmt::format("{} again {} after the device refused it", item.value(),
                       FormatDuration(kernel_.Now() - *last.failed_at)),
           id);
  }
  last = {command_uuid, payload_uuid, {}, {}};
}

void Checker::CheckInstall(const CommandUuid& command_uuid, const Profile& profile,
                           const EnrollmentId& id, Timestamp step_began_at) {
  const Known& known = At(id);
  if (known.device == nullptr) return;
  if (profile.has_mdm_payload) return CheckRenewal(profile, id, step_began_at);
  if (IsBaseless(id, profile, step_began_at)) {
    if (!IsReinstalled(id, profile)) {
      Report(
          "I9",
          profile.payload_identifier.value() + " is installed, every report shows that it is there",
          id);
    }
    ++reinstalls_sent_;
  }
  CheckBackOff(command_uuid, profile.payload_identifier, profile.payload_uuid.value(), id);
  const auto all =
      ledger_.PossibleSince(known.device->facts(), profile.payload_identifier, step_began_at);
  const bool is_wanted = std::any_of(all.begin(), all.end(), [&](const auto& wanted) {
    return wanted && wanted->presence == Presence::kPresent &&
           wanted->payload_uuid == profile.payload_uuid.value();
  });
  if (!is_wanted) {
    Report("desired",
           fmt::format("{} {} is installed, nobody wants it", profile.payload_identifier.value(),
                       profile.payload_uuid.value()),
           id);
  }
}

/// True when a report may prove what is removed: it is fresh and of this epoch.
bool Checker::IsFreshEvidence(const Known& known, Timestamp recorded_at, Timestamp reported_at,
                              Timestamp step_began_at) const {
  Duration age_max = scenario_.settings.removal_evidence_age_max + minutes(1);
  // To a clock that is behind the server's, what comes late by less than that is fresh.
  if (process_->skew() < Duration::zero()) age_max -= process_->skew();
  // Hours that a clock was set back are hours that it did not count.
  if (process_->set_back_at() + hours(7) > kernel_.Now()) age_max += hours(6);
  if (recorded_at > kernel_.Now() || reported_at + age_max < step_began_at) return false;
  const bool other_epoch = process_->skew() >= Duration::zero() &&
                           known.authenticate_recorded_at < step_began_at &&
                           reported_at < known.authenticated_at;
  return !other_epoch;
}

bool Checker::WasReported(const Known& known, const PayloadIdentifier& item, bool adopt,
                          Timestamp step_began_at) const {
  return std::any_of(known.reports.begin(), known.reports.end(), [&](const ReportSeen& report) {
    if (!IsFreshEvidence(known, report.recorded_at, report.reported_at, step_began_at))
      return false;
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
  for (const auto& wanted : ledger_.PossibleSince(known.device->facts(), item, step_began_at)) {
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
  const bool is_change = IsChange(request);
  const PayloadIdentifier item = is_change ? ChangeOf(request).item : PayloadIdentifier();
  for (const EnqueueTargetResult& result : results) {
    const bool may_be_there =
        result.outcome == EnqueueOutcome::kQueued || result.outcome == EnqueueOutcome::kUnknown;
    if (!may_be_there) continue;
    Known& known = At(result.enrollment_id);
    if (IsProposed(request.request_type)) {
      known.proposed[request.request_type].insert(request.command_uuid);
      continue;
    }
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
    CheckIdleQuestions(request, result.enrollment_id);
    CheckManagedQuestion(request, result.enrollment_id);
  }
}

/// A list is asked for once, not over and over while nothing changes.
void Checker::CheckIdleQuestions(const EnqueueRequest& request, const EnrollmentId& id) {
  auto& all = At(id).idle_questions;
  if (IsChange(request)) all.clear();
  const bool is_list = request.request_type == request_type::kProfileList ||
                       request.request_type == request_type::kInstalledApplicationList ||
                       request.request_type == request_type::kManagedApplicationList;
  if (!is_list) return;
  std::deque<Timestamp>& questions = all[request.request_type];
  questions.push_back(kernel_.Now());
  Forget(questions, kernel_.Now() - minutes(1));
  if (questions.size() > kIdleQuestionsPerMinuteMax) {
    Report("bounded sends",
           fmt::format("{} {} in a minute", questions.size(), request.request_type), id);
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

}  // namespace director::simulation
