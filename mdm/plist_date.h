#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mdm/plist.h"

namespace director {

/// The range of `PlistDate`, both ends included.
inline constexpr std::int64_t kPlistDateMinUnixSeconds = -62'135'596'800;  // 0001-01-01T00:00:00Z
inline constexpr std::int64_t kPlistDateMaxUnixSeconds = 253'402'300'799;  // 9999-12-31T23:59:59Z

/// Renders `YYYY-MM-DDTHH:MM:SSZ`. Requires: the date is within its range.
std::string FormatPlistDate(const PlistDate& date);

/// Parses exactly what `FormatPlistDate` writes, but the year may have one to four digits (libplist
/// does not pad it). Nothing when the text has another form or names a time that does not exist.
std::optional<PlistDate> ParsePlistDate(std::string_view text);

}  // namespace director
