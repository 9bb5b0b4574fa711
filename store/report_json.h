#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mdm/event.h"

namespace director {

/// Encodes reported profiles as compact JSON in the given order. Equal lists give equal bytes, so
/// digests of it can be compared; bytes that are not UTF-8 become U+FFFD.
std::string EncodeReportedProfiles(const std::vector<ReportedProfile>& profiles);

/// Reads what `EncodeReportedProfiles` wrote. kCorrupt for anything else.
Result<std::vector<ReportedProfile>> DecodeReportedProfiles(std::string_view json);

/// Encodes strings as a JSON array, and back; kCorrupt for anything else.
std::string EncodeStrings(const std::vector<std::string>& strings);
Result<std::vector<std::string>> DecodeStrings(std::string_view json);

}  // namespace director
