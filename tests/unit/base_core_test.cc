#include <set>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include "tests/support/catch.h"

namespace director::base_core_test {
namespace {

TEST_CASE("seeded numbers are the same for ever") {
  SeededRandom random(0);
  CHECK(random.Next() == 0xE220A8397B1DCDAFULL);
  CHECK(random.Next() == 0x6E789E6AA1B965F4ULL);
  SeededRandom same(42);
  SeededRandom again(42);
  for (int i = 0; i < 100; ++i) {
    const double fraction = same.Fraction();
    CHECK(fraction == again.Fraction());
    CHECK(fraction >= 0);
    CHECK(fraction < 1);
    CHECK(same.Below(7) == again.Below(7));
  }
}

TEST_CASE("UUIDs are upper case, of version 4, and differ") {
  SystemRandom random;
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const std::string uuid = MakeUuid(random);
    REQUIRE(uuid.size() == 36);
    for (std::size_t at = 0; at < uuid.size(); ++at) {
      const bool is_dash = at == 8 || at == 13 || at == 18 || at == 23;
      CHECK((is_dash ? std::string("-") : std::string("0123456789ABCDEF")).find(uuid[at]) !=
            std::string::npos);
    }
    CHECK(uuid[14] == '4');
    CHECK(std::string("89AB").find(uuid[19]) != std::string::npos);
    seen.insert(uuid);
  }
  CHECK(seen.size() == 200);
}

TEST_CASE("the stable hash is the same on every machine and spreads short texts") {
  CHECK(StableHash("UD1") == 0xEEEC7D71823923F8ULL);
  std::set<std::uint64_t> buckets;
  for (int i = 0; i < 1000; ++i) buckets.insert(StableHash(std::to_string(i)) % 100);
  CHECK(buckets.size() == 100);
}

TEST_CASE("SHA-256") {
  CHECK(Sha256Hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(Sha256Hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(Sha256("abc")[0] == 0xBA);
}

TEST_CASE("secrets are compared whole") {
  CHECK(ConstantTimeEquals("", ""));
  CHECK(ConstantTimeEquals("key", "key"));
  CHECK_FALSE(ConstantTimeEquals("key", "kez"));
  CHECK_FALSE(ConstantTimeEquals("key", "keys"));
  CHECK(Secret("key").Reveal() == "key");
  CHECK(Secret().empty());
}

TEST_CASE("errors name their kind for the log") {
  CHECK(ErrorForLog(MakeError(ErrorKind::kUnknownOutcome, "no answer")) ==
        "unknown_outcome: no answer");
  CHECK(ErrorForLog({ErrorKind::kRejected, "refused", "field", "HTTP 400"}) ==
        "rejected: refused (HTTP 400)");
  CHECK(InvalidField("name", "empty").field == "name");
}

TEST_CASE("a broken invariant throws in production") {
  SetInvariantMode(InvariantMode::kThrow);
  CHECK_THROWS_AS(INVARIANT(1 == 2), InvariantViolation);
  CHECK_NOTHROW(INVARIANT(1 == 1));
  SetInvariantMode(InvariantMode::kAbort);
}

TEST_CASE("a manual clock moves by hand") {
  ManualClock clock(FromUnixMs(5));
  clock.Advance(std::chrono::seconds(1));
  CHECK(clock.Now() == FromUnixMs(1005));
  clock.Set(FromUnixMs(7));
  CHECK(clock.Now() == FromUnixMs(7));
}

std::string Line(LogFormat format, std::initializer_list<LogField> fields) {
  return RenderLogLine(format, "T", LogLevel::kWarning, "it happened", fields);
}

TEST_CASE("log lines in logfmt quote what has to be quoted") {
  CHECK(Line(LogFormat::kLogfmt, {}) == R"(time=T level=warning message="it happened")");
  CHECK(Line(LogFormat::kLogfmt, {{"count", std::int64_t{-3}}, {"name", "a.b"}}) ==
        R"(time=T level=warning message="it happened" count=-3 name=a.b)");
  CHECK(Line(LogFormat::kLogfmt, {{"a", ""}, {"b", "x y"}, {"c", "x=y"}, {"d", R"(say "hi"\)"}}) ==
        R"(time=T level=warning message="it happened" a="" b="x y" c="x=y" d="say \"hi\"\\")");
}

TEST_CASE("log lines in JSON are one object") {
  CHECK(
      Line(LogFormat::kJson, {{"count", std::int64_t{3}}, {"name", R"(say "hi"\)"}}) ==
      R"({"time":"T","level":"warning","message":"it happened","count":"3","name":"say \"hi\"\\"})");
}

TEST_CASE("no value breaks a log line, and none is long") {
  for (const LogFormat format : {LogFormat::kLogfmt, LogFormat::kJson}) {
    const std::string line =
        Line(format, {{"error", "a\nlevel=error\x1B[0m\xFF\x7F" + std::string(5000, 'x')}});
    CHECK(line.find('\n') == std::string::npos);
    CHECK(line.find('\x1B') == std::string::npos);
    CHECK(line.find("a?level=error?[0m??x") != std::string::npos);
    CHECK(line.size() < 700);
  }
}

}  // namespace
}  // namespace director::base_core_test
