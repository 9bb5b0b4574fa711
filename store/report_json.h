#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mdm/event.h"
#include "mdm/plist.h"
#include "reconciler/state.h"

namespace director {

/// Encodes reported profiles as compact JSON in the given order. Equal lists give equal bytes, so
/// digests of it can be compared; bytes that are not UTF-8 become U+FFFD.
std::string EncodeReportedProfiles(const std::vector<ReportedProfile>& profiles);

/// Reads what `EncodeReportedProfiles` wrote. kCorrupt for anything else.
Result<std::vector<ReportedProfile>> DecodeReportedProfiles(std::string_view json);

/// The same for reported apps.
std::string EncodeReportedApps(const std::vector<ReportedApp>& apps);
Result<std::vector<ReportedApp>> DecodeReportedApps(std::string_view json);
/// The same for the statuses of managed apps.
std::string EncodeReportedManagedApps(const std::vector<ReportedManagedApp>& apps);
Result<std::vector<ReportedManagedApp>> DecodeReportedManagedApps(std::string_view json);

/// The body that is kept of a report.
inline std::string EncodeBody(const ProfileListReport& report) {
  return EncodeReportedProfiles(report.profiles);
}
inline std::string EncodeBody(const AppListReport& report) {
  return EncodeReportedApps(report.apps);
}
inline std::string EncodeBody(const ManagedAppListReport& report) {
  return EncodeReportedManagedApps(report.apps);
}

/// Encodes a device's answer as compact JSON, every key as it came, in the order of the alphabet:
/// data as base64, dates as text in UTC, what is not UTF-8 as U+FFFD, reals that are no numbers as
/// null.
std::string EncodeAnswer(const PlistValue& answer);

/// Encodes strings as a JSON array, and back; kCorrupt for anything else.
std::string EncodeStrings(const std::vector<std::string>& strings);
Result<std::vector<std::string>> DecodeStrings(std::string_view json);

}  // namespace director
