#include "reconciler/profile_rule.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/random.h"
#include "base/text.h"
#include "mdm/command.h"
#include "mdm/os_build.h"

namespace director {
namespace {

bool IsProtected(const ReportedProfile& profile) {
  return profile.has_mdm_payload || profile.is_declarative;
}

/// What the report says about an identifier. Should it be there twice, the one that forbids most
/// counts.
const ReportedProfile* FindReported(const ProfileContext& context,
                                    const PayloadIdentifier& identifier) {
  const ReportedProfile* found = nullptr;
  for (const ReportedProfile* profile : context.reported.Find(identifier)) {
    if (found == nullptr || IsProtected(*profile)) found = profile;
  }
  return found;
}

const DeviceReport* ReportOf(const ProfileContext& context) {
  return context.snapshot.profile_list ? &*context.snapshot.profile_list : nullptr;
}

bool HasReport(const ProfileContext& context) {
  return context.snapshot.profile_list &&
         context.snapshot.profile_list->epoch == context.snapshot.enrollment.epoch;
}

void NeedReport(const ProfileContext& context, ItemWork& work, ItemState state,
                std::string reason) {
  work.needs_report = true;
  SetState(work.record, state, std::move(reason), context.now);
}

std::string DescribeInstall(const ProfileContext& context, const ItemWork& work,
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

bool IsReinstalled(const Settings& settings, const PayloadIdentifier& identifier) {
  const auto& named = settings.reinstall_named;
  return settings.reinstall_all || std::find(named.begin(), named.end(), identifier) != named.end();
}

/// Devices evaluate payloads only when a profile is installed. What a new OS would make of one that
/// is there already shows after it was installed again: once for each build, at its own time.
void ReinstallAfterUpdate(const ProfileContext& context, ItemWork& work) {
  ItemRecord& record = work.record;
  const Enrollment& enrollment = context.snapshot.enrollment;
  if (record.installed_build.empty()) record.installed_build = enrollment.build_version;
  if (!IsReinstalled(context.settings, record.payload_identifier) ||
      !HasBuildGrown(record.installed_build, enrollment.build_version)) {
    record.reinstall_at.reset();
    return;
  }
  if (!record.reinstall_at) {
    const std::string key =
        enrollment.channel.enrollment_id.value() + record.payload_identifier.value();
    const auto thousandth = static_cast<std::int64_t>(StableHash(key) % 1000);
    record.reinstall_at = context.now + context.settings.reinstall_spread * thousandth / 1000;
  }
  if (*record.reinstall_at > context.now) {
    record.due_at = record.reinstall_at;
    return;
  }
  if (IsHeld(context, work)) return;
  Want(context, work, request_type::kInstallProfile,
       fmt::format("{} runs build {} now and got it under {}: it is installed again.", context.noun,
                   enrollment.build_version, record.installed_build));
}

void DecidePresentByReport(const ProfileContext& context, ItemWork& work) {
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
    // What could not be sent has to wait, though the report shows the profile all the time.
    if (work.record.reinstall_at && IsHeld(context, work)) return;
    MarkVerified(context, context.snapshot.profile_list->reported_at, work);
    return ReinstallAfterUpdate(context, work);
  }
  if (work.record.acknowledged_at)
    CountMissingAfterAcknowledge(context, context.snapshot.profile_list->reported_at, work.record);
  if (IsHeld(context, work)) return;
  Want(context, work, request_type::kInstallProfile, DescribeInstall(context, work, reported));
}

void DecidePresent(const ProfileContext& context, ItemWork& work) {
  if (IsUsable(context, ReportOf(context), work.record))
    return DecidePresentByReport(context, work);
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
bool ShowsEnrollmentProfile(const ProfileContext& context) {
  const auto& profiles = context.snapshot.profile_list->profiles;
  return IsUserChannel(context.snapshot.enrollment.channel.type) ||
         std::any_of(profiles.begin(), profiles.end(),
                     [](const ReportedProfile& profile) { return profile.has_mdm_payload; });
}

/// Why one reported profile may not be removed; empty when it may.
std::string RemovalForbidden(const ProfileContext& context, const ReportedProfile& reported,
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
std::string AnyRemovalForbidden(const ProfileContext& context, const DesiredItem& desired) {
  for (const ReportedProfile* profile :
       context.reported.Find(desired.assignment->payload_identifier)) {
    if (std::string why = RemovalForbidden(context, *profile, desired); !why.empty()) return why;
  }
  return {};
}

void DecideAbsentByReport(const ProfileContext& context, ItemWork& work) {
  const ReportedProfile* reported =
      FindReported(context, work.desired.assignment->payload_identifier);
  const Timestamp reported_at = context.snapshot.profile_list->reported_at;
  if (reported == nullptr) {
    return MarkVerified(context, context.snapshot.profile_list->reported_at, work);
  }
  if (std::string why = AnyRemovalForbidden(context, work.desired); !why.empty()) {
    return Block(context, work, std::move(why));
  }
  if (work.record.acknowledged_at)
    CountMissingAfterAcknowledge(context, context.snapshot.profile_list->reported_at, work.record);
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

void DecideAbsent(const ProfileContext& context, ItemWork& work) {
  if (IsUsable(context, ReportOf(context), work.record)) return DecideAbsentByReport(context, work);
  if (work.record.acknowledged_at) {
    return NeedReport(context, work, ItemState::kAcknowledged,
                      fmt::format("{} acknowledged the removal at {}; its own report is awaited.",
                                  context.noun, FormatTime(*work.record.acknowledged_at)));
  }
  if (IsHeld(context, work)) return;
  NeedReport(context, work, ItemState::kPending,
             fmt::format("{} is asked what it has before anything is removed.", context.noun));
}

}  // namespace

void DecideProfile(const ProfileContext& context, ItemWork& work) {
  switch (work.desired.assignment->presence) {
    case Presence::kPresent:
      return DecidePresent(context, work);
    case Presence::kAbsent:
      return DecideAbsent(context, work);
  }
}

}  // namespace director
