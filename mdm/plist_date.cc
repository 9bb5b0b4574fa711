#include "mdm/plist_date.h"

#include <fmt/core.h>

#include <chrono>

#include "base/invariant.h"

namespace director {
namespace {

/// Reads the decimal number that `text` consists of; nothing when there are other characters.
std::optional<unsigned> ParseDigits(std::string_view text) {
  unsigned number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return number;
}

/// True when `rest`, what follows the year, is `-MM-DDTHH:MM:SSZ` as far as its separators go.
bool HasSeparators(std::string_view rest) {
  static constexpr std::string_view kForm = "-##-##T##:##:##Z";
  if (rest.size() != kForm.size()) return false;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] != '#' && rest[i] != kForm[i]) return false;
  }
  return true;
}

}  // namespace

std::string FormatPlistDate(const PlistDate& date) {
  INVARIANT(date.unix_seconds >= kPlistDateMinUnixSeconds &&
            date.unix_seconds <= kPlistDateMaxUnixSeconds);
  const std::chrono::sys_seconds at{std::chrono::seconds(date.unix_seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day ymd{day};
  const std::chrono::hh_mm_ss time{at - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(ymd.year()),
                     static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

std::optional<PlistDate> ParsePlistDate(std::string_view text) {
  const std::size_t year_size = text.find('-');
  if (year_size == std::string_view::npos || year_size < 1 || year_size > 4) return std::nullopt;
  const std::string_view rest = text.substr(year_size);
  if (!HasSeparators(rest)) return std::nullopt;
  const auto year = ParseDigits(text.substr(0, year_size));
  const auto month = ParseDigits(rest.substr(1, 2));
  const auto day = ParseDigits(rest.substr(4, 2));
  const auto hour = ParseDigits(rest.substr(7, 2));
  const auto minute = ParseDigits(rest.substr(10, 2));
  const auto second = ParseDigits(rest.substr(13, 2));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day ymd{std::chrono::year(static_cast<int>(*year)),
                                        std::chrono::month(*month), std::chrono::day(*day)};
  if (*year == 0 || !ymd.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const std::chrono::sys_seconds at = std::chrono::sys_days(ymd) + std::chrono::hours(*hour) +
                                      std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  return PlistDate{at.time_since_epoch().count()};
}

}  // namespace director
