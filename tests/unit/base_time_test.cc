#include "base/time.h"
#include "tests/support/catch.h"

namespace director::base_time_test {
namespace {

std::int64_t Ms(const std::string& text) {
  const Result<Timestamp> at = ParseTime(text);
  REQUIRE(at);
  return ToUnixMs(*at);
}

TEST_CASE("RFC 3339 is parsed with any offset and fraction") {
  CHECK(Ms("1970-01-01T00:00:00Z") == 0);
  CHECK(Ms("2026-11-22T00:08:42.844666864Z") == 1795306122844);
  CHECK(Ms("2026-11-22T00:08:42.8Z") == 1795306122800);
  CHECK(Ms("2026-11-22T01:08:42+01:00") == Ms("2026-11-22T00:08:42Z"));
  CHECK(Ms("2026-11-21T20:08:42-04:00") == Ms("2026-11-22T00:08:42Z"));
  CHECK(Ms("2026-11-22t00:08:42z") == Ms("2026-11-22T00:08:42Z"));
  CHECK(Ms("2024-02-29T00:00:00Z") > 0);
  CHECK(Ms("2016-12-31T23:59:60Z") == Ms("2017-01-01T00:00:00Z"));
  CHECK(Ms("1969-12-31T23:59:59.999Z") == -1);
}

TEST_CASE("what is parsed has a form in UTC, and that form is parsed to the same") {
  CHECK_FALSE(ParseTime("0000-01-01T00:00:00+00:01"));
  CHECK_FALSE(ParseTime("9999-12-31T23:59:59-00:01"));
  CHECK_FALSE(ParseTime("9999-12-31T23:59:60Z"));
  for (const std::string text : {"0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}) {
    INFO(text);
    const Result<Timestamp> at = ParseTime(text);
    REQUIRE(at);
    CHECK(FormatTime(*at) == text);
  }
}

TEST_CASE("anything else is no time") {
  for (const std::string text : {"",
                                 "now",
                                 "2026-11-22",
                                 "2026-11-22T00:08Z",
                                 "2026-11-22T00:08:42",
                                 "2026-11-22 00:08:42Z",
                                 "2026-13-22T00:08:42Z",
                                 "2026-02-29T00:00:00Z",
                                 "2026-00-10T00:00:00Z",
                                 "2026-11-00T00:00:00Z",
                                 "2026-11-22T24:00:00Z",
                                 "2026-11-22T00:60:00Z",
                                 "2026-11-22T00:00:61Z",
                                 "2026-11-22T00:08:42.Z",
                                 "2026-11-22T00:08:42.0123456789Z",
                                 "2026-11-22T00:08:42Z ",
                                 " 2026-11-22T00:08:42Z",
                                 "2026-11-22T00:08:42+1:00",
                                 "2026-11-22T00:08:42+24:00",
                                 "2026-11-22T00:08:42+01:60",
                                 "-026-11-22T00:08:42Z",
                                 "2026-11-22T00:08:42+0100",
                                 "2O26-11-22T00:08:42Z"}) {
    INFO(text);
    const Result<Timestamp> at = ParseTime(text);
    REQUIRE_FALSE(at);
    CHECK(at.error().kind == ErrorKind::kInvalid);
  }
}

TEST_CASE("times are rendered in UTC with seconds") {
  CHECK(FormatTime(FromUnixMs(0)) == "1970-01-01T00:00:00Z");
  CHECK(FormatTime(FromUnixMs(1795306122844)) == "2026-11-22T00:08:42Z");
  CHECK(FormatTime(FromUnixMs(-1)) == "1969-12-31T23:59:59Z");
}

TEST_CASE("times far from today survive") {
  for (const std::string text :
       {"0001-01-01T00:00:00Z", "1600-02-29T12:00:00Z", "9999-12-31T23:59:59Z"}) {
    const Result<Timestamp> at = ParseTime(text);
    REQUIRE(at);
    CHECK(FormatTime(*at) == text);
  }
}

TEST_CASE("durations for people") {
  using namespace std::chrono;
  CHECK(FormatDuration(milliseconds(-5)) == "0 ms");
  CHECK(FormatDuration(milliseconds(850)) == "850 ms");
  CHECK(FormatDuration(seconds(45)) == "45 s");
  CHECK(FormatDuration(seconds(119)) == "119 s");
  CHECK(FormatDuration(minutes(3)) == "3 min");
  CHECK(FormatDuration(hours(2)) == "2 h");
  CHECK(FormatDuration(minutes(125)) == "2 h 5 min");
  CHECK(FormatDuration(hours(24 * 9 + 5)) == "9 days");
}

TEST_CASE("durations are parsed with one unit") {
  using namespace std::chrono;
  CHECK(*ParseDuration("500ms") == milliseconds(500));
  CHECK(*ParseDuration("30s") == seconds(30));
  CHECK(*ParseDuration("5m") == minutes(5));
  CHECK(*ParseDuration("6h") == hours(6));
  CHECK(*ParseDuration("7d") == hours(168));
  CHECK(*ParseDuration("0s") == seconds(0));
  CHECK(ParseDuration("3653d"));
  for (const std::string text : {"", "5", "m", "-5m", "+5m", " 5m", "5 m", "5m ", "1h30m", "1.5h",
                                 "5M", "3654d", "99999999999999999999s", "9223372036854775807d"}) {
    INFO(text);
    const Result<Duration> duration = ParseDuration(text);
    REQUIRE_FALSE(duration);
    CHECK(duration.error().kind == ErrorKind::kInvalid);
  }
}

}  // namespace
}  // namespace director::base_time_test
