#include "base/time.h"

#include <fmt/core.h>

#include <charconv>

namespace director {
namespace {

constexpr Duration kDurationMax = std::chrono::hours(24 * 3653);

/// Reads exactly `width` decimal digits at `pos` and moves past them; -1 when they are not there.
int ReadDigits(std::string_view text, std::size_t& pos, std::size_t width) {
  if (pos + width > text.size()) return -1;
  int value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const char c = text[pos + i];
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  pos += width;
  return value;
}

bool Accept(std::string_view text, std::size_t& pos, char wanted) {
  if (pos >= text.size() || text[pos] != wanted) return false;
  ++pos;
  return true;
}

/// Reads `.digits` (1 to 9 of them) as milliseconds; 0 when there is no fraction; -1 when it is
/// malformed.
int ReadFraction(std::string_view text, std::size_t& pos) {
  if (!Accept(text, pos, '.')) return 0;
  int milliseconds = 0;
  int digits = 0;
  for (; pos < text.size() && text[pos] >= '0' && text[pos] <= '9'; ++pos, ++digits) {
    if (digits < 3) milliseconds = milliseconds * 10 + (text[pos] - '0');
  }
  if (digits == 0 || digits > 9) return -1;
  for (int i = digits; i < 3; ++i) milliseconds *= 10;
  return milliseconds;
}

tl::unexpected<Error> NotATime() {
  return Fail(ErrorKind::kInvalid, "not an RFC 3339 time such as 2026-11-22T01:02:03Z");
}

}  // namespace

std::int64_t ToUnixMs(Timestamp at) { return at.time_since_epoch().count(); }

Timestamp FromUnixMs(std::int64_t unix_ms) { return Timestamp(Duration(unix_ms)); }

std::string FormatTime(Timestamp at) {
  // Not by way of system_clock's own time points: nanoseconds reach from 1677 to 2262 only.
  using namespace std::chrono;
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{floor<seconds>(at - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

Result<Timestamp> ParseTime(std::string_view text) {
  using namespace std::chrono;
  std::size_t pos = 0;
  const int y = ReadDigits(text, pos, 4);
  if (y < 0 || !Accept(text, pos, '-')) return NotATime();
  const int mo = ReadDigits(text, pos, 2);
  if (mo < 0 || !Accept(text, pos, '-')) return NotATime();
  const int d = ReadDigits(text, pos, 2);
  if (d < 0 || (!Accept(text, pos, 'T') && !Accept(text, pos, 't'))) return NotATime();
  const int h = ReadDigits(text, pos, 2);
  if (h < 0 || h > 23 || !Accept(text, pos, ':')) return NotATime();
  const int mi = ReadDigits(text, pos, 2);
  if (mi < 0 || mi > 59 || !Accept(text, pos, ':')) return NotATime();
  const int s = ReadDigits(text, pos, 2);
  if (s < 0 || s > 60) return NotATime();
  const int ms = ReadFraction(text, pos);
  if (ms < 0) return NotATime();
  minutes offset{0};
  if (!Accept(text, pos, 'Z') && !Accept(text, pos, 'z')) {
    const bool negative = Accept(text, pos, '-');
    if (!negative && !Accept(text, pos, '+')) return NotATime();
    const int oh = ReadDigits(text, pos, 2);
    if (oh < 0 || oh > 23 || !Accept(text, pos, ':')) return NotATime();
    const int om = ReadDigits(text, pos, 2);
    if (om < 0 || om > 59) return NotATime();
    offset = hours(oh) + minutes(om);
    if (negative) offset = -offset;
  }
  const year_month_day date{year(y), month(static_cast<unsigned>(mo)),
                            day(static_cast<unsigned>(d))};
  if (pos != text.size() || !date.ok()) return NotATime();
  const Timestamp at(sys_days(date) + hours(h) + minutes(mi) + seconds(s) + milliseconds(ms) -
                     offset);
  // In UTC it may be a year earlier or later, which has no RFC 3339 form.
  if (at < sys_days(year(0) / 1 / 1) || at >= sys_days(year(10'000) / 1 / 1)) return NotATime();
  return at;
}

std::string FormatDuration(Duration duration) {
  using namespace std::chrono;
  if (duration < Duration::zero()) duration = Duration::zero();
  const auto ms = duration.count();
  if (ms < 1000) return fmt::format("{} ms", ms);
  const auto s = ms / 1000;
  if (s < 120) return fmt::format("{} s", s);
  const auto min = s / 60;
  if (min < 120) return fmt::format("{} min", min);
  const auto h = min / 60;
  if (h < 48)
    return min % 60 == 0 ? fmt::format("{} h", h) : fmt::format("{} h {} min", h, min % 60);
  return fmt::format("{} days", h / 24);
}

Result<Duration> ParseDuration(std::string_view text) {
  const auto bad = [] {
    return Fail(ErrorKind::kInvalid, "not a duration such as 500ms, 30s, 5m, 6h or 7d");
  };
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc() || number < 0) return bad();
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  std::int64_t factor = 0;
  if (unit == "ms") factor = 1;
  if (unit == "s") factor = 1000;
  if (unit == "m") factor = 60 * 1000;
  if (unit == "h") factor = 60 * 60 * 1000;
  if (unit == "d") factor = 24 * 60 * 60 * 1000;
  if (factor == 0 || number > kDurationMax.count() / factor) return bad();
  return Duration(number * factor);
}

}  // namespace director
