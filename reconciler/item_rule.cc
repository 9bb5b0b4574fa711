#include "reconciler/item_rule.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "mdm/command.h"
#include "reconciler/backoff.h"
#include "reconciler/identifier_index.h"

namespace director {
namespace {

struct Context {
  const Snapshot& snapshot;
  const Settings& settings;
  Timestamp now;
  std::string noun;
  IdentifierIndex<ReportedProfile> reported;  ///< of the last ProfileList, if there is one
};

bool IsProtected(const ReportedProfile& profile) {
  return profile.has_mdm_payload || profile.is_declarative;
}

/// What the report says about an identifier. Should it be there twice, the one that forbids most
/// counts.
const ReportedProfile* FindReported(const Context& context, const PayloadIdentifier& identifier) {
  const ReportedProfile* found = nullptr;
  for (const ReportedProfile* profile : context.reported.Find(identifier)) {
    if (found == nullptr || IsProtected(*profile)) found = profile;
  }
  return found;
}

bool HasReport(const Context& context) {
  return context.snapshot.profile_list &&
         context.snapshot.profile_list->epoch == context.snapshot.enrollment.epoch;
}

/// A report proves something about an item only when it is newer than the last answer to a command
/// for that item.
bool IsUsable(const Context& context, const ItemRecord& record) {
  return HasReport(context) &&
         (!record.settled_at || context.snapshot.profile_list->reported_at > *record.settled_at);
}

void NeedReport(const Context& context, ItemWork& work, ItemState state, std::string reason) {
  work.needs_report = true;
  SetState(work.record, state, std::move(reason), context.now);
}

/// A record that is verified already stays as it is, so that an unchanged report costs no write.
void MarkVerified(const Context& context, ItemWork& work) {
  ItemRecord& record = work.record;
  if (record.state == ItemState::kVerified) return;
  record.verified_at = context.snapshot.profile_list->reported_at;
  record.attempts = 0;
  record.parked = false;
  record.parked_build.clear();
  record.next_attempt_at.reset();
  record.last_error.clear();
  record.last_error_at.reset();
  const std::string at = FormatTime(*record.verified_at);
  SetState(record, ItemState::kVerified,
           record.presence == Presence::kPresent
               ? fmt::format("{} reported it at {}.", context.noun, at)
               : fmt::format("{} reported at {} that it does not have it.", context.noun, at),
           context.now);
}

void Block(const Context& context, ItemWork& work, std::string reason) {
  SetState(work.record, ItemState::kBlocked, std::move(reason), context.now);
}

/// A command that was acknowledged and then not reported did not do its job: that counts as a
/// failure of unknown cause. Drift, the loss of what had been reported before, does not.
void CountMissingAfterAcknowledge(const Context& context, ItemRecord& record) {
  const bool never_shown = !record.verified_at || *record.verified_at < *record.acknowledged_at;
  record.acknowledged_at.reset();
  if (!never_shown) {
    record.attempts = 0;
    return;
  }
  ++record.attempts;
  record.last_error =
      fmt::format("{} acknowledged the command, but its report of {} says otherwise.", context.noun,
                  FormatTime(context.snapshot.profile_list->reported_at));
  record.last_error_at = context.snapshot.profile_list->reported_at;
  if (record.attempts >= context.settings.unknown_attempts_max) {
    record.parked = true;
    record.parked_build = context.snapshot.enrollment.build_version;
    return;
  }
  record.next_attempt_at =
      context.now + Jittered(RetryDelay(ErrorClass::kUnknown, record.attempts, context.settings),
                             context.snapshot.enrollment.channel.enrollment_id.value());
}

/// True when the item may not be sent just now, with the state set that says why.
bool IsHeld(const Context& context, ItemWork& work) {
  ItemRecord& record = work.record;
  if (record.parked) {
    SetState(record, ItemState::kParked,
             fmt::format("Parked after {} failed attempt{}: {} It is tried again with a new "
                         "revision, a new OS build, a new enrollment, or when an operator asks.",
                         record.attempts, record.attempts == 1 ? "" : "s", record.last_error),
             context.now);
    return true;
  }
  if (record.next_attempt_at && *record.next_attempt_at > context.now) {
    SetState(record, ItemState::kBackingOff,
             fmt::format("{} at {}: {} Next attempt at {}.",
                         record.attempts == 0 ? "It could not be sent"
                                              : fmt::format("Attempt {} failed", record.attempts),
                         FormatTime(record.last_error_at.value_or(context.now)), record.last_error,
                         FormatTime(*record.next_attempt_at)),
             context.now, record.next_attempt_at);
    return true;
  }
  if (context.now >= record.sends_since + kDay) {
    record.sends_since = context.now;
    record.sends = 0;
  }
  if (record.sends >= context.settings.sends_per_day_max) {
    const Timestamp until = record.sends_since + kDay;
    SetState(record, ItemState::kBackingOff,
             fmt::format("Sent {} times since {}, the most in one day; next attempt at {}.",
                         record.sends, FormatTime(record.sends_since), FormatTime(until)),
             context.now, until);
    return true;
  }
  return false;
}

void Want(const Context& context, ItemWork& work, std::string_view request_type,
          std::string reason) {
  SetState(work.record, ItemState::kPending, reason, context.now);
  PlannedCommand command;
  command.request_type = std::string(request_type);
  command.payload_identifier = work.desired.assignment->payload_identifier;
  command.payload_uuid = work.desired.assignment->payload_uuid;
  command.certificate_authority = work.desired.assignment->certificate_authority;
  command.reason = std::move(reason);
  work.wanted = std::move(command);
}

void DescribeOpen(const Context& context, ItemWork& work) {
  const Intent& intent = *work.open;
  ItemRecord& record = work.record;
  if (intent.state == IntentState::kNotNow) {
    SetState(record, ItemState::kNotNow,
             fmt::format("{} said NotNow to {} {} time{}, last at {}; the command waits in the "
                         "MDM's queue until it can be done.",
                         context.noun, intent.request_type, intent.not_now_count,
                         intent.not_now_count == 1 ? "" : "s",
                         FormatTime(intent.not_now_at.value_or(intent.journaled_at))),
             context.now);
    return;
  }
  const bool superseded = intent.request_type == request_type::kInstallProfile &&
                          intent.payload_uuid != record.payload_uuid;
  SetState(
      record, ItemState::kInFlight,
      fmt::format("{} {} at {}{}; the answer is awaited{}.", intent.request_type,
                  intent.state == IntentState::kUnknown ? "may have been queued" : "was sent",
                  FormatTime(intent.journaled_at), superseded ? " for an earlier revision" : "",
                  superseded ? " before the new one goes" : ""),
      context.now);
}

std::string DescribeInstall(const Context& context, const ItemWork& work,
                            const ReportedProfile* reported) {
  const std::string at = FormatTime(context.snapshot.profile_list->reported_at);
  if (reported != nullptr) {
    return fmt::format("{} reported another revision ({}) at {}; the desired one is installed.",
                       context.noun, reported->payload_uuid, at);
  }
  if (work.record.verified_at) {
    return fmt::format(
        "{} has had the profile since {} and did not report it at {}: it is installed again.",
        context.noun, FormatTime(*work.record.verified_at), at);
  }
  return fmt::format("{} did not report the profile at {}: it is installed.", context.noun, at);
}

void DecidePresentByReport(const Context& context, ItemWork& work) {
  const ReportedProfile* reported =
      FindReported(context, work.desired.assignment->payload_identifier);
  if (reported != nullptr && (reported->has_mdm_payload || reported->is_declarative)) {
    return Block(context, work,
                 reported->has_mdm_payload
                     ? "This identifier is the enrollment profile's; it is never installed over."
                     : "Declarative management owns the profile on this device; commands cannot "
                       "replace it.");
  }
  if (reported != nullptr && EqualsIgnoreCaseAscii(reported->payload_uuid,
                                                   work.desired.assignment->payload_uuid.value())) {
    return MarkVerified(context, work);
  }
  if (work.record.acknowledged_at) CountMissingAfterAcknowledge(context, work.record);
  if (IsHeld(context, work)) return;
  Want(context, work, request_type::kInstallProfile, DescribeInstall(context, work, reported));
}

void DecidePresent(const Context& context, ItemWork& work) {
  if (IsUsable(context, work.record)) return DecidePresentByReport(context, work);
  if (work.record.acknowledged_at) {
    return NeedReport(context, work, ItemState::kAcknowledged,
                      fmt::format("{} acknowledged it at {}; its own report is awaited.",
                                  context.noun, FormatTime(*work.record.acknowledged_at)));
  }
  if (IsHeld(context, work)) return;
  if (!HasReport(context) && !work.record.settled_at && !context.snapshot.enrollment.ask_first) {
    return Want(
        context, work, request_type::kInstallProfile,
        fmt::format("{} has just enrolled: everything is installed at once.", context.noun));
  }
  NeedReport(context, work, ItemState::kPending,
             fmt::format("{} is asked what it has before anything is sent.", context.noun));
}

bool WasSentByUs(const ReportedProfile& reported, const DesiredItem& desired) {
  return std::any_of(desired.assignment->known_payload_uuids.begin(),
                     desired.assignment->known_payload_uuids.end(), [&](const PayloadUuid& known) {
                       return EqualsIgnoreCaseAscii(known.value(), reported.payload_uuid);
                     });
}

/// True when the report tells which profile is the enrollment profile. An encrypted one hides its
/// payloads. On user channels it is never listed.
bool ShowsEnrollmentProfile(const Context& context) {
  const auto& profiles = context.snapshot.profile_list->profiles;
  return IsUserChannel(context.snapshot.enrollment.channel.type) ||
         std::any_of(profiles.begin(), profiles.end(),
                     [](const ReportedProfile& profile) { return profile.has_mdm_payload; });
}

/// Why one reported profile may not be removed; empty when it may.
std::string RemovalForbidden(const Context& context, const ReportedProfile& reported,
                             const DesiredItem& desired) {
  if (reported.has_mdm_payload) return "This is the enrollment profile; it is never removed.";
  if (reported.is_declarative) {
    return "Declarative management owns the profile on this device; commands cannot remove it.";
  }
  if (WasSentByUs(reported, desired)) return {};
  if (!desired.adopt) {
    return fmt::format(
        "The device has this profile with PayloadUUID {}, which Director never sent. It is removed "
        "only when the assignment says adopt.",
        reported.payload_uuid);
  }
  if (!ShowsEnrollmentProfile(context)) {
    return "The device's report does not tell which profile is the enrollment profile; nothing "
           "that "
           "Director did not send is removed.";
  }
  return {};
}

/// Why nothing under the identifier may be removed; empty when it may. Should it be there twice,
/// both must be ours.
std::string AnyRemovalForbidden(const Context& context, const DesiredItem& desired) {
  for (const ReportedProfile* profile :
       context.reported.Find(desired.assignment->payload_identifier)) {
    if (std::string why = RemovalForbidden(context, *profile, desired); !why.empty()) return why;
  }
  return {};
}

void DecideAbsentByReport(const Context& context, ItemWork& work) {
  const ReportedProfile* reported =
      FindReported(context, work.desired.assignment->payload_identifier);
  const Timestamp reported_at = context.snapshot.profile_list->reported_at;
  if (reported == nullptr) {
    return MarkVerified(context, work);
  }
  if (std::string why = AnyRemovalForbidden(context, work.desired); !why.empty()) {
    return Block(context, work, std::move(why));
  }
  if (work.record.acknowledged_at) CountMissingAfterAcknowledge(context, work.record);
  if (IsHeld(context, work)) return;
  const ProfileListReport& report = *context.snapshot.profile_list;
  if (IsOfAnotherTime(report, context.now) ||
      context.now > SeenAt(report) + context.settings.removal_evidence_age_max) {
    return NeedReport(context, work, ItemState::kPending,
                      fmt::format("{} is asked again before the removal: its last report is of {}.",
                                  context.noun, FormatTime(reported_at)));
  }
  Want(context, work, request_type::kRemoveProfile,
       fmt::format("{} reported the profile at {}; it is removed because it is {} as absent.",
                   context.noun, FormatTime(reported_at),
                   DescribeAssignment(*work.desired.assignment)));
}

void DecideAbsent(const Context& context, ItemWork& work) {
  if (IsUsable(context, work.record)) return DecideAbsentByReport(context, work);
  if (work.record.acknowledged_at) {
    return NeedReport(context, work, ItemState::kAcknowledged,
                      fmt::format("{} acknowledged the removal at {}; its own report is awaited.",
                                  context.noun, FormatTime(*work.record.acknowledged_at)));
  }
  if (IsHeld(context, work)) return;
  NeedReport(context, work, ItemState::kPending,
             fmt::format("{} is asked what it has before anything is removed.", context.noun));
}

void DecideOne(const Context& context, ItemWork& work) {
  if (!work.desired.conflict.empty()) return Block(context, work, work.desired.conflict);
  if (work.open != nullptr) return DescribeOpen(context, work);
  switch (work.desired.assignment->presence) {
    case Presence::kPresent:
      return DecidePresent(context, work);
    case Presence::kAbsent:
      return DecideAbsent(context, work);
  }
}

}  // namespace

void DecideItems(const Snapshot& snapshot, const Settings& settings, Timestamp now,
                 std::vector<ItemWork>& items) {
  const std::vector<ReportedProfile> none;
  const auto& reported = snapshot.profile_list ? snapshot.profile_list->profiles : none;
  const Context context{snapshot, settings, now, DeviceNoun(snapshot.enrollment),
                        IdentifierIndex(reported)};
  for (ItemWork& work : items) DecideOne(context, work);
}

}  // namespace director
