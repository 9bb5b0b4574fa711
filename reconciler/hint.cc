#include "reconciler/hint.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "reconciler/desired.h"

namespace director {
namespace {

/// For each identifier the PayloadUUIDs under it: a tool may see one for each user.
using SeenUuids = std::map<PayloadIdentifier, std::set<std::string>>;

template <typename Profiles>
SeenUuids UuidsOf(const Profiles& profiles) {
  SeenUuids uuids;
  for (const auto& profile : profiles) {
    uuids[profile.payload_identifier].insert(ToUpperAscii(profile.payload_uuid));
  }
  return uuids;
}

/// The first assigned item about which the tool and the report disagree; empty when there is none.
/// What is not assigned is nobody's business.
std::string FirstDifference(const Snapshot& snapshot, const std::vector<SeenProfile>& profiles) {
  const SeenUuids seen = UuidsOf(profiles);
  const SeenUuids reported = UuidsOf(snapshot.profile_list->profiles);
  const auto under = [](const SeenUuids& uuids, const PayloadIdentifier& identifier) {
    const auto found = uuids.find(identifier);
    return found == uuids.end() ? std::set<std::string>() : found->second;
  };
  for (const DesiredItem& item :
       ResolveDesired(snapshot.assignments, snapshot.enrollment.epoch_began_at)) {
    const PayloadIdentifier& identifier = item.assignment->payload_identifier;
    if (under(seen, identifier) != under(reported, identifier)) return identifier.value();
  }
  return {};
}

/// Decides whether the device is asked; returns why, or why not.
std::string DecideReport(const Snapshot& snapshot, const Hint& hint, const Settings& settings,
                         Timestamp now, HintEffect& effect) {
  if (!hint.profiles) return "No profiles were named.";
  const auto& report = snapshot.profile_list;
  if (!report || report->epoch != snapshot.enrollment.epoch) {
    return "The device has not reported its profiles yet and is asked for them anyway.";
  }
  const std::string difference = FirstDifference(snapshot, *hint.profiles);
  if (difference.empty()) return "What was seen is what the device reported.";
  const std::string seen = fmt::format("{} was seen otherwise than reported at {}: ", difference,
                                       FormatTime(report->reported_at));
  const auto& wanted_at = snapshot.enrollment.report_wanted_at;
  if (wanted_at && SeenAt(*report) < *wanted_at) {
    return seen + "a newer report is awaited already.";
  }
  if (SeenAt(*report) + settings.push_delay_min > now) {
    return seen + "that is too recent to ask again.";
  }
  effect.enrollment.report_wanted_at = now;
  effect.wants_report = true;
  return seen + "the device is asked again.";
}

bool AnythingWaits(const Snapshot& snapshot) {
  return snapshot.enrollment.wants_wake ||
         std::any_of(snapshot.intents.begin(), snapshot.intents.end(),
                     [](const Intent& intent) { return IsOpen(intent.state); });
}

}  // namespace

HintEffect TakeHint(const Snapshot& snapshot, const Hint& hint, const Settings& settings,
                    Timestamp now) {
  HintEffect effect;
  effect.enrollment = snapshot.enrollment;
  if (snapshot.enrollment.status != EnrollmentStatus::kEnrolled) {
    effect.reason = "The enrollment takes no commands.";
    return effect;
  }
  effect.reason = DecideReport(snapshot, hint, settings, now, effect);
  if (!effect.wants_report && !AnythingWaits(snapshot)) {
    effect.reason += " Nothing waits for the device.";
  } else if (snapshot.enrollment.push_count > 1) {
    effect.enrollment.push_count = 1;
    effect.pushes_sooner = true;
    effect.reason += " Its next push is brought forward.";
  }
  return effect;
}

}  // namespace director
