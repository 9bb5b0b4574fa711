#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace director {

using Duration = std::chrono::milliseconds;
/// UTC, millisecond resolution.
using Timestamp = std::chrono::time_point<std::chrono::system_clock, Duration>;

inline constexpr Duration kDay = std::chrono::hours(24);

/// Milliseconds since 1970-01-01T00:00:00Z, the form in the database.
std::int64_t ToUnixMs(Timestamp at);
Timestamp FromUnixMs(std::int64_t unix_ms);

/// Renders RFC 3339 in UTC with seconds, such as `2026-11-22T01:02:03Z`; for people and JSON.
std::string FormatTime(Timestamp at);

/// Parses RFC 3339 with any offset and 0 to 9 fractional digits (cut to milliseconds).
/// kInvalid for anything else, impossible dates included, and for times that lie before the year
/// 0000 or after 9999 in UTC.
Result<Timestamp> ParseTime(std::string_view text);

/// Renders a duration for people in at most two units: `850 ms`, `45 s`, `3 min`, `2 h 5 min`, `9
/// days`.
std::string FormatDuration(Duration duration);

/// Parses `500ms`, `30s`, `5m`, `6h`, `7d`. kInvalid for anything else and for values over ten
/// years.
Result<Duration> ParseDuration(std::string_view text);

}  // namespace director
