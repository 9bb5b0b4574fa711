#include "reconciler/history.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "reconciler/backoff.h"
#include "reconciler/identifier_index.h"
#include "reconciler/proposal_rule.h"

namespace director {
namespace {

ItemRecord NewRecord(const DesiredItem& desired, std::int64_t epoch, Timestamp now) {
  ItemRecord record;
  record.payload_identifier = desired.assignment->payload_identifier;
  record.presence = desired.assignment->presence;
  record.payload_uuid = desired.assignment->payload_uuid;
  record.epoch = epoch;
  record.state_since = now;
  record.sends_since = now;
  return record;
}

bool SameTarget(const ItemRecord& record, const DesiredItem& desired, std::int64_t epoch) {
  return record.presence == desired.assignment->presence &&
         record.payload_uuid == desired.assignment->payload_uuid && record.epoch == epoch;
}

/// What is for enrollment only was brought in this one: another revision changes nothing.
bool WasThere(const ItemRecord& record, const DesiredItem& desired, std::int64_t epoch) {
  return desired.assignment->at_enrollment_only && record.epoch == epoch &&
         record.presence == Presence::kPresent && (record.verified_at || record.acknowledged_at);
}

/// The record for a new target keeps what is about the item as such: how often it was sent today,
/// and which reports are too old to prove anything.
ItemRecord Retarget(const ItemRecord& old, const DesiredItem& desired, std::int64_t epoch,
                    Timestamp now) {
  ItemRecord record = NewRecord(desired, epoch, now);
  record.sends_since = old.sends_since;
  record.sends = old.sends;
  if (old.epoch == epoch) record.settled_at = old.settled_at;
  return record;
}

void Unpark(ItemRecord& record) {
  record.parked = false;
  record.parked_build.clear();
  record.attempts = 0;
  record.next_attempt_at.reset();
}

ItemRecord RecordFor(const DesiredItem& desired, const IdentifierIndex<ItemRecord>& records,
                     const Snapshot& snapshot, Timestamp now) {
  const std::int64_t epoch = snapshot.enrollment.epoch;
  const auto known = records.Find(desired.assignment->payload_identifier);
  if (known.empty()) return NewRecord(desired, epoch, now);
  const ItemRecord& old = *known.front();
  const bool stays = SameTarget(old, desired, epoch) || WasThere(old, desired, epoch);
  if (!stays) return Retarget(old, desired, epoch, now);
  ItemRecord record = old;
  record.payload_uuid = desired.assignment->payload_uuid;
  const std::string& build = snapshot.enrollment.build_version;
  if (record.parked && !build.empty() && build != record.parked_build) Unpark(record);
  return record;
}

/// The report that shows items of this kind, when it is of the current epoch.
const DeviceReport* CurrentReport(const Snapshot& snapshot, const PayloadIdentifier& item) {
  const DeviceReport* report = FindReport(snapshot, item);
  return report != nullptr && report->epoch == snapshot.enrollment.epoch ? report : nullptr;
}

/// A clock was set back since the last answer: the next report is newer, and none that is here
/// already, except that one of the earlier clock is first to be replaced.
void SetBack(const Snapshot& snapshot, Timestamp now, ItemRecord& record) {
  if (!record.settled_at || !IsOfAnotherTime(*record.settled_at, now)) return;
  const DeviceReport* report = CurrentReport(snapshot, record.payload_identifier);
  if (report != nullptr && IsOfAnotherTime(*report, now)) return;
  record.settled_at = report == nullptr ? now : std::max(now, report->reported_at);
  if (record.acknowledged_at) {
    record.acknowledged_at = std::min(*record.acknowledged_at, *record.settled_at);
  }
}

bool IsQuestion(const Intent& intent) { return intent.payload_identifier.empty(); }

/// Only what brings a revision to a device names one; the identity of a device has none.
bool IsRemoval(const Intent& intent) {
  return intent.payload_uuid.empty() && KindOf(intent.payload_identifier) != ItemKind::kIdentity;
}

/// True when the command was about what the item should be now, not about an earlier target.
bool IsAboutTarget(const Intent& intent, const ItemRecord& record) {
  if (IsRemoval(intent)) return record.presence == Presence::kAbsent;
  return record.presence == Presence::kPresent && intent.payload_uuid == record.payload_uuid;
}

/// From when a pause after the answer counts. The answer's time is the MDM server's, whose clock
/// may be hours behind ours; but nothing is answered before it was journaled.
Timestamp PauseBegins(const Intent& intent) {
  return std::max(intent.answered_at.value_or(intent.journaled_at), intent.journaled_at);
}

/// The words of a server or device as a sentence: some have no full stop, some are missing.
std::string AsSentence(const std::string& text) {
  if (text.empty()) return "No reason was given.";
  return text.back() == '.' || text.back() == '!' ? text : text + ".";
}

/// What could not be sent is tried again soon; an enrollment profile that is not to be had, or is
/// refused by us, will hardly be another one in a minute.
Duration PauseBeforeSending(const ItemRecord& record, const Enrollment& enrollment,
                            const Settings& settings, Timestamp now) {
  const bool is_identity = KindOf(record.payload_identifier) == ItemKind::kIdentity;
  return is_identity ? RenewalRetryDelay(1, enrollment, settings, now) : settings.retry_delay_min;
}

void DigestFinal(const Intent& intent, const Snapshot& snapshot, const Settings& settings,
                 Timestamp now, ItemRecord& record) {
  const Timestamp at = intent.answered_at.value_or(now);
  if (intent.state == IntentState::kNotSent) {
    record.next_attempt_at = at + PauseBeforeSending(record, snapshot.enrollment, settings, now);
    record.sends = std::max(record.sends - 1, 0);
    record.last_error = AsSentence(intent.error);
    record.last_error_at = at;
    return;
  }
  record.settled_at = std::max(at, record.settled_at.value_or(at));
  if (!IsAboutTarget(intent, record)) return;
  const bool done =
      intent.state == IntentState::kAcknowledged || intent.error_class == ErrorClass::kDone;
  // One attempt for each build: whatever the device made of it, it has looked at the payloads.
  if (done || intent.state == IntentState::kFailed) {
    record.installed_build = snapshot.enrollment.build_version;
    record.reinstall_at.reset();
  }
  if (done) {
    record.acknowledged_at = at;
    record.last_error.clear();
    record.last_error_at.reset();
    return;
  }
  record.last_error = AsSentence(intent.error);
  record.last_error_at = at;
  CountFailedAttempt(record, intent.error_class, snapshot.enrollment, settings, now);
}

/// True when the device has been heard from so long after the command that an answer cannot come
/// any more: the MDM lost it, or its webhook. The poll itself proves nothing yet: it may be the one
/// that fetches what waited for a sleeping device.
bool IsLost(const Intent& intent, const Enrollment& enrollment, const Settings& settings,
            Timestamp now) {
  if (intent.epoch != enrollment.epoch) return true;
  return enrollment.last_seen_at >= OverdueAt(intent, settings) &&
         now >= enrollment.last_seen_at + settings.answer_time_max;
}

/// True when a report that was asked for after a command of unknown outcome has come: the command
/// would have been answered before.
bool IsDisproved(const Intent& intent, const std::optional<ProfileListReport>& report) {
  return intent.state == IntentState::kUnknown && report.has_value() &&
         report->epoch == intent.epoch && report->asked_at.has_value() &&
         *report->asked_at > intent.journaled_at;
}

/// True when a ProfileList that was asked for after the command shows what it was to do. Apps are
/// no matter of a moment: their rule looks at their list by itself.
bool IsShown(const Intent& intent, const std::optional<ProfileListReport>& report) {
  if (KindOf(intent.payload_identifier) != ItemKind::kProfile) return false;
  if (!report || report->epoch != intent.epoch) return false;
  if (!report->asked_at || *report->asked_at < intent.journaled_at) return false;
  const auto shown = std::find_if(report->profiles.begin(), report->profiles.end(),
                                  [&](const ReportedProfile& profile) {
                                    return profile.payload_identifier == intent.payload_identifier;
                                  });
  if (IsRemoval(intent)) return shown == report->profiles.end();
  return shown != report->profiles.end() &&
         EqualsIgnoreCaseAscii(shown->payload_uuid, intent.payload_uuid.value());
}

/// True when an acknowledged question has left what it asked for.
bool BroughtAnswer(const Intent& intent, const Snapshot& snapshot) {
  const Timestamp at = intent.answered_at.value_or(intent.journaled_at);
  if (intent.request_type == request_type::kDeviceConfigured) {
    return !snapshot.enrollment.awaiting_since;
  }
  if (const auto kind = ParseInventoryKind(intent.request_type)) {
    const auto& known_at = snapshot.enrollment.inventory_at[*kind];
    return known_at && *known_at >= at;
  }
  return snapshot.profile_list && snapshot.profile_list->reported_at >= at;
}

/// A question that failed, or was answered with nothing, is not asked again at once: its intent
/// stays as the memory of that.
bool IsHeldBack(const Intent& intent, const Snapshot& snapshot, const Settings& settings,
                Timestamp now) {
  if (!IsQuestion(intent) || now >= HeldBackUntil(intent, settings)) return false;
  return intent.state != IntentState::kAcknowledged || !BroughtAnswer(intent, snapshot);
}

/// After a command without an answer what the device has reported so far proves nothing; its next
/// report does. By the report's own clock: ours may be hours ahead of the MDM server's.
void DistrustReport(const Snapshot& snapshot, ItemRecord& record) {
  const DeviceReport* report = CurrentReport(snapshot, record.payload_identifier);
  if (report == nullptr) return;
  record.settled_at =
      std::max(report->reported_at, record.settled_at.value_or(report->reported_at));
}

/// The device refused the command of a renewal, or never got it: an Authenticate that it says from
/// then on does not belong to it.
void EndRenewal(const Intent& intent, Timestamp now, ItemWork& work) {
  if (intent.state == IntentState::kAcknowledged || !work.renewal) return;
  work.renewal->ended_at = intent.answered_at.value_or(now);
}

/// True when a list of certificates that was asked for after the command of a renewal shows the new
/// identity.
bool IsRenewalShown(const Intent& intent, const Enrollment& enrollment, const ItemWork& work) {
  return work.renewal && enrollment.identity && enrollment.identity_asked_at &&
         *enrollment.identity_asked_at >= intent.journaled_at &&
         enrollment.identity->not_after > work.renewal->replaces_until;
}

ClosedIntent Lost(const Intent& intent) {
  return {intent.command_uuid, IntentState::kLost,
          fmt::format("{} got no answer; it is taken as lost.", intent.request_type)};
}

/// A command that got no answer is no failed attempt. What it did shows by itself; the next profile
/// or app goes at once, the next enrollment profile later.
void PutOffLost(const Intent& intent, const Enrollment& enrollment, const Settings& settings,
                Timestamp now, ItemRecord& record) {
  if (KindOf(record.payload_identifier) != ItemKind::kIdentity) return;
  record.next_attempt_at = now + RenewalRetryDelay(1, enrollment, settings, now);
  record.last_error = Lost(intent).reason;
  record.last_error_at = now;
}

enum class Fate { kStays, kGone };

/// A command of a proposal, or what is left of one that has ended.
Fate DigestProposed(const Intent& intent, const Snapshot& snapshot, const Settings& settings,
                    Timestamp now, Plan& plan) {
  const bool is_awaited =
      plan.proposal && plan.proposal->state == ProposalState::kSent && IsOf(intent, *plan.proposal);
  const bool is_late = is_awaited && now >= plan.proposal->expires_at;
  const bool is_lost =
      IsOpen(intent.state) && (is_late || IsLost(intent, snapshot.enrollment, settings, now));
  if (IsOpen(intent.state) && !is_lost) return Fate::kStays;
  if (is_awaited) {
    if (is_lost) {
      GiveUpProposalAnswer(intent, now, *plan.proposal);
    } else {
      TakeProposalAnswer(intent, settings, now, *plan.proposal);
    }
  }
  plan.closed.push_back(is_lost ? Lost(intent)
                                : ClosedIntent{intent.command_uuid, intent.state, {}});
  return Fate::kGone;
}

Fate DigestOne(const Intent& intent, const Snapshot& snapshot, const Settings& settings,
               Timestamp now, ItemWork* work, Plan& plan) {
  if (IsProposed(intent.request_type)) {
    return DigestProposed(intent, snapshot, settings, now, plan);
  }
  if (!IsOpen(intent.state)) {
    if (intent.epoch == snapshot.enrollment.epoch && IsHeldBack(intent, snapshot, settings, now)) {
      return Fate::kStays;
    }
    if (work != nullptr && intent.epoch == snapshot.enrollment.epoch) {
      DigestFinal(intent, snapshot, settings, now, work->record);
      EndRenewal(intent, now, *work);
    }
    plan.closed.push_back({intent.command_uuid, intent.state, {}});
    return Fate::kGone;
  }
  // What is installed again was there before: no report shows that it was done.
  const bool is_reinstall = work != nullptr && work->record.reinstall_at;
  const bool is_shown = IsShown(intent, snapshot.profile_list) ||
                        (work != nullptr && IsRenewalShown(intent, snapshot.enrollment, *work));
  if (!IsQuestion(intent) && !is_reinstall && is_shown) {
    if (work != nullptr && intent.epoch == snapshot.enrollment.epoch) {
      work->record.installed_build = snapshot.enrollment.build_version;
    }
    plan.closed.push_back({intent.command_uuid, IntentState::kAcknowledged,
                           "The device's own report shows it; the answer itself never came."});
    return Fate::kGone;
  }
  if (IsLost(intent, snapshot.enrollment, settings, now) ||
      IsDisproved(intent, snapshot.profile_list)) {
    if (work != nullptr && intent.epoch == snapshot.enrollment.epoch) {
      DistrustReport(snapshot, work->record);
      PutOffLost(intent, snapshot.enrollment, settings, now, work->record);
    }
    plan.closed.push_back(Lost(intent));
    return Fate::kGone;
  }
  return Fate::kStays;
}

/// At its place in the order of identifiers.
void AddIdentity(std::vector<DesiredItem>& desired) {
  static const DesiredAssignment assignment = [] {
    DesiredAssignment identity;
    identity.payload_identifier = IdentityItem();
    identity.certificate_authority = IdentityItem().value();
    identity.source = "director";
    identity.request_type = request_type::kInstallProfile;
    return identity;
  }();
  const auto place = std::find_if(desired.begin(), desired.end(), [](const DesiredItem& item) {
    return IdentityItem() < item.assignment->payload_identifier;
  });
  DesiredItem item;
  item.assignment = &assignment;
  desired.insert(place, item);
}

}  // namespace

Timestamp OverdueAt(const Intent& intent, const Settings& settings) {
  if (intent.state != IntentState::kNotNow) return intent.journaled_at + settings.lost_after;
  // Nothing is put off before it was journaled: an MDM server's clock that is hours behind ours
  // does not make a fresh NotNow an old one.
  const Timestamp put_off_at =
      std::max(intent.not_now_at.value_or(Timestamp()), intent.journaled_at);
  return put_off_at + settings.not_now_lost_after;
}

Timestamp HeldBackUntil(const Intent& intent, const Settings& settings) {
  if (intent.state == IntentState::kNotSent) return PauseBegins(intent) + settings.retry_delay_min;
  Duration pause = settings.server_retry_delay_min;
  // A device that refuses a question about itself, for want of a right perhaps, refuses the next
  // one, too.
  if (const auto kind = ParseInventoryKind(intent.request_type)) {
    pause = std::max(pause, settings.inventory_interval[*kind] / 4);
    // Nothing depends on it.
    if (*kind == InventoryKind::kManagedApplicationList) pause = std::max(pause, kDay);
    // Apps are proved by it.
    if (*kind == InventoryKind::kInstalledApplicationList) {
      pause = std::min(pause, settings.app_install_time_max);
    }
  }
  return PauseBegins(intent) + pause;
}

std::vector<ItemWork> StartItems(const Snapshot& snapshot, const Settings& settings,
                                 Timestamp now) {
  const IdentifierIndex records(snapshot.items);
  std::vector<DesiredItem> desired =
      ResolveDesired(snapshot.assignments, snapshot.enrollment.epoch_began_at);
  const bool has_identity =
      !settings.renewal.issuers.empty() && !IsUserChannel(snapshot.enrollment.channel.type);
  if (has_identity) AddIdentity(desired);
  std::vector<ItemWork> items(desired.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].record = RecordFor(desired[i], records, snapshot, now);
    SetBack(snapshot, now, items[i].record);
    items[i].desired = std::move(desired[i]);
    if (items[i].record.payload_identifier == IdentityItem()) {
      items[i].renewal = snapshot.enrollment.renewal;
    }
  }
  return items;
}

std::vector<Intent> DigestIntents(const Snapshot& snapshot, const Settings& settings, Timestamp now,
                                  std::vector<ItemWork>& items, Plan& plan) {
  std::vector<Intent> staying;
  for (const Intent& intent : snapshot.intents) {
    const auto work = std::find_if(items.begin(), items.end(), [&](const ItemWork& item) {
      return item.desired.assignment->payload_identifier == intent.payload_identifier;
    });
    ItemWork* found = work == items.end() ? nullptr : &*work;
    if (DigestOne(intent, snapshot, settings, now, found, plan) == Fate::kStays) {
      staying.push_back(intent);
      if (found != nullptr) found->open = &intent;
    }
  }
  return staying;
}

}  // namespace director
