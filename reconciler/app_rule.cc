#include "reconciler/app_rule.h"

#include <fmt/core.h>

#include <algorithm>

#include "mdm/app.h"
#include "mdm/command.h"
#include "reconciler/managed_app.h"

namespace director {
namespace {

/// After an answer, before the list of apps is asked for; the pause doubles from then on.
constexpr Duration kLookMin = std::chrono::minutes(2);

const AppListReport* ReportOf(const RuleContext& context) {
  return context.snapshot.app_list ? &*context.snapshot.app_list : nullptr;
}

bool HasAnyReport(const RuleContext& context) {
  const std::int64_t epoch = context.snapshot.enrollment.epoch;
  const auto& profile_list = context.snapshot.profile_list;
  return (profile_list && profile_list->epoch == epoch) ||
         (ReportOf(context) != nullptr && ReportOf(context)->epoch == epoch);
}

void NeedAppList(const RuleContext& context, ItemWork& work, ItemState state, std::string reason) {
  work.needs_app_list = true;
  SetState(work.record, state, std::move(reason), context.now);
}

/// The short version is compared. CFBundleVersion is often a large number of builds: it counts when
/// it is just what the owner wrote.
bool IsNewEnough(const ReportedApp& app, const std::string& version) {
  if (version.empty() || app.version == version) return true;
  const std::string& shown = app.short_version.empty() ? app.version : app.short_version;
  return CompareVersions(shown, version) >= 0;
}

/// The newest copy that the report shows as installed; null when there is none.
const ReportedApp* FindApp(const AppListReport& report, std::string_view identifier) {
  const ReportedApp* newest = nullptr;
  for (const ReportedApp& app : report.apps) {
    if (app.identifier != identifier || app.is_installing) continue;
    if (newest == nullptr || CompareVersions(newest->short_version, app.short_version) < 0) {
      newest = &app;
    }
  }
  return newest;
}

/// True when a copy is on its way that nobody of us may have asked for.
bool IsInstalling(const AppListReport& report, std::string_view identifier) {
  return std::any_of(report.apps.begin(), report.apps.end(), [&](const ReportedApp& app) {
    return app.identifier == identifier && app.is_installing;
  });
}

/// True when the list is too old to change anything by it, or a copy is on its way: the device is
/// asked again, and the state says so.
bool NeedsNewerList(const RuleContext& context, ItemWork& work) {
  const AppListReport& report = *ReportOf(context);
  const std::string at = FormatTime(report.reported_at);
  const bool is_installing =
      IsInstalling(report, BundleIdentifierOf(work.record.payload_identifier));
  if (is_installing && context.now < SeenAt(report) + kLookMin) {
    SetState(work.record, ItemState::kPending,
             fmt::format("{} reported at {} that it is installing the app.", context.noun, at),
             context.now, SeenAt(report) + kLookMin);
    return true;
  }
  const bool is_old = IsOfAnotherTime(report, context.now) ||
                      context.now > SeenAt(report) + context.settings.removal_evidence_age_max;
  if (!is_installing && !is_old) return false;
  NeedAppList(context, work, ItemState::kPending,
              fmt::format("{} is asked again before anything is sent: its last list of apps is of "
                          "{}.",
                          context.noun, at));
  return true;
}

/// Since when the device has been at it, by our clock. When that was set back, or the device has
/// acknowledged another command since, the wait begins anew.
Timestamp BegunAt(const RuleContext& context, ItemRecord& record) {
  const bool is_new =
      record.state != ItemState::kAcknowledged || record.state_since < *record.acknowledged_at;
  if (is_new || IsAhead(record.state_since, context.now)) record.state_since = context.now;
  return record.state_since;
}

/// When a list was last asked for since the device began; nothing before it was.
std::optional<Timestamp> AskedSince(const RuleContext& context, const DeviceReport* report,
                                    Timestamp begun_at) {
  const bool counts = report != nullptr && report->epoch == context.snapshot.enrollment.epoch &&
                      report->asked_at && *report->asked_at >= begun_at;
  return counts ? report->asked_at : std::nullopt;
}

/// True when no report has shown what the last command did.
bool IsUnproven(const ItemRecord& record) {
  return record.acknowledged_at &&
         (!record.verified_at || *record.verified_at < *record.acknowledged_at);
}

/// When to ask for a list again: at twice the time each, the last time at the end.
Timestamp LookAt(Timestamp begun_at, Timestamp ends_at, const std::optional<Timestamp>& asked_at) {
  const Duration looked_after = asked_at ? *asked_at - begun_at : Duration::zero();
  return std::min(begun_at + std::max(kLookMin, 2 * looked_after), ends_at);
}

const ManagedAppListReport* ManagedReportOf(const RuleContext& context) {
  const auto& report = context.snapshot.managed_app_list;
  return report ? &*report : nullptr;
}

/// What the device has said of the install since it acknowledged it; null when it has said nothing.
const ReportedManagedApp* FindStatus(const RuleContext& context, const ItemRecord& record) {
  const ManagedAppListReport* report = ManagedReportOf(context);
  if (record.presence == Presence::kAbsent || !IsUsable(context, report, record)) return nullptr;
  if (IsOfAnotherTime(*report, context.now)) return nullptr;
  return FindManagedApp(*report, BundleIdentifierOf(record.payload_identifier));
}

/// Apple's status of the install, as a sentence; empty when there is none.
std::string DescribeStatus(const RuleContext& context, const ReportedManagedApp* app) {
  if (app == nullptr) return {};
  return fmt::format("{} reported at {}: {}.", context.noun,
                     FormatTime(ManagedReportOf(context)->reported_at),
                     DescribeManagedAppStatus(app->status));
}

/// Counts the attempt as failed when the device says so, before its time is over; true then.
bool CountIfEnded(const RuleContext& context, ItemRecord& record) {
  const ReportedManagedApp* app = FindStatus(context, record);
  if (app == nullptr || StageOf(app->status) != ManagedAppStage::kEnded) return false;
  record.acknowledged_at.reset();
  record.last_error = DescribeStatus(context, app);
  record.last_error_at = ManagedReportOf(context)->reported_at;
  CountFailedAttempt(record, ErrorClass::kUnknown, context.snapshot.enrollment, context.settings,
                     context.now);
  return true;
}

/// True while the device may still be at it; the state says so.
bool IsAtWork(const RuleContext& context, ItemWork& work) {
  if (CountIfEnded(context, work.record)) return false;
  const Timestamp begun_at = BegunAt(context, work.record);
  const Timestamp ends_at = begun_at + context.settings.app_install_time_max;
  const std::optional<Timestamp> asked_at = AskedSince(context, ReportOf(context), begun_at);
  if (asked_at && *asked_at >= ends_at) return false;
  const Timestamp look_at = LookAt(begun_at, ends_at, asked_at);
  std::string reason =
      fmt::format("{} acknowledged it at {} and may be at it until {}.", context.noun,
                  FormatTime(*work.record.acknowledged_at), FormatTime(ends_at));
  const std::string status = DescribeStatus(context, FindStatus(context, work.record));
  if (!status.empty()) reason += " " + status;
  if (context.now < look_at) {
    SetState(work.record, ItemState::kAcknowledged, std::move(reason), context.now, look_at);
    return true;
  }
  NeedAppList(context, work, ItemState::kAcknowledged,
              reason + " It is asked for its list of apps.");
  const auto managed_asked_at = AskedSince(context, ManagedReportOf(context), begun_at);
  work.wants_managed_app_list = work.record.presence == Presence::kPresent &&
                                MayListManagedApps(context.snapshot.enrollment) &&
                                context.now >= LookAt(begun_at, ends_at, managed_asked_at);
  return true;
}

/// Nothing can show it: what the device said is all that there will be.
void DecideUnshown(const RuleContext& context, ItemWork& work) {
  if (work.record.acknowledged_at) {
    return SetState(work.record, ItemState::kAcknowledged,
                    fmt::format("{} acknowledged it at {}. Without a bundle identifier no list of "
                                "apps can show it.",
                                context.noun, FormatTime(*work.record.acknowledged_at)),
                    context.now);
  }
  if (IsHeld(context, work)) return;
  Want(context, work, work.desired.assignment->request_type,
       fmt::format("{} is told to install it once in this enrollment.", context.noun));
}

/// The last status of the install says more than that the app is not there.
void CountMissing(const RuleContext& context, Timestamp reported_at, ItemRecord& record) {
  const std::string status = DescribeStatus(context, FindStatus(context, record));
  const bool was_unproven = IsUnproven(record);
  CountMissingAfterAcknowledge(context, reported_at, record);
  if (was_unproven && !status.empty()) record.last_error += " " + status;
}

std::string DescribeInstall(const RuleContext& context, const ReportedApp* app,
                            const std::string& version) {
  const std::string at = FormatTime(ReportOf(context)->reported_at);
  if (app == nullptr) {
    return fmt::format("{} did not report the app at {}: it is installed.", context.noun, at);
  }
  return fmt::format("{} reported version {} at {}; {} is installed.", context.noun,
                     app->short_version.empty() ? app->version : app->short_version, at, version);
}

void DecidePresentByReport(const RuleContext& context, ItemWork& work) {
  const DesiredAssignment& assignment = *work.desired.assignment;
  const Timestamp reported_at = ReportOf(context)->reported_at;
  const ReportedApp* app =
      FindApp(*ReportOf(context), BundleIdentifierOf(assignment.payload_identifier));
  if (app != nullptr && IsNewEnough(*app, assignment.app_version)) {
    return MarkVerified(context, reported_at, work);
  }
  if (IsUnproven(work.record) && IsAtWork(context, work)) return;
  if (work.record.acknowledged_at) CountMissing(context, reported_at, work.record);
  if (IsHeld(context, work) || NeedsNewerList(context, work)) return;
  Want(context, work, assignment.request_type,
       DescribeInstall(context, app, assignment.app_version));
}

void DecidePresent(const RuleContext& context, ItemWork& work) {
  const DesiredAssignment& assignment = *work.desired.assignment;
  if (BundleIdentifierOf(assignment.payload_identifier).empty()) {
    return DecideUnshown(context, work);
  }
  if (assignment.at_enrollment_only && work.record.verified_at) {
    return MarkVerified(context, *work.record.verified_at, work);
  }
  if (IsUsable(context, ReportOf(context), work.record)) {
    return DecidePresentByReport(context, work);
  }
  if (IsUnproven(work.record) && IsAtWork(context, work)) return;
  if (IsHeld(context, work)) return;
  if (!HasAnyReport(context) && !work.record.settled_at && !context.snapshot.enrollment.ask_first) {
    return Want(
        context, work, assignment.request_type,
        fmt::format("{} has just enrolled: everything is installed at once.", context.noun));
  }
  NeedAppList(context, work, ItemState::kPending,
              fmt::format("{} is asked which apps it has before anything is sent.", context.noun));
}

void DecideAbsentByReport(const RuleContext& context, ItemWork& work) {
  const AppListReport& report = *ReportOf(context);
  const DesiredAssignment& assignment = *work.desired.assignment;
  const std::string_view identifier = BundleIdentifierOf(assignment.payload_identifier);
  if (FindApp(report, identifier) == nullptr && !IsInstalling(report, identifier)) {
    return MarkVerified(context, report.reported_at, work);
  }
  if (IsUnproven(work.record) && IsAtWork(context, work)) return;
  if (work.record.acknowledged_at) {
    CountMissingAfterAcknowledge(context, report.reported_at, work.record);
  }
  if (IsHeld(context, work) || NeedsNewerList(context, work)) return;
  Want(context, work, request_type::kRemoveApplication,
       fmt::format("{} reported the app at {}; it is removed because it is {} as absent.",
                   context.noun, FormatTime(report.reported_at), DescribeAssignment(assignment)));
}

void DecideAbsent(const RuleContext& context, ItemWork& work) {
  if (IsUsable(context, ReportOf(context), work.record)) {
    return DecideAbsentByReport(context, work);
  }
  if (IsUnproven(work.record) && IsAtWork(context, work)) return;
  if (IsHeld(context, work)) return;
  NeedAppList(
      context, work, ItemState::kPending,
      fmt::format("{} is asked which apps it has before anything is removed.", context.noun));
}

}  // namespace

void DecideApp(const RuleContext& context, ItemWork& work) {
  const bool for_macs =
      work.desired.assignment->request_type == request_type::kInstallEnterpriseApplication;
  if (for_macs && !MayBeMac(context)) {
    return Block(context, work, "Only Macs install packages by their manifest.");
  }
  switch (work.desired.assignment->presence) {
    case Presence::kPresent:
      return DecidePresent(context, work);
    case Presence::kAbsent:
      return DecideAbsent(context, work);
  }
}

}  // namespace director
