#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "director/pace.h"
#include "tests/support/catch.h"

namespace director::director_pace_test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const Timestamp kBegin = FromUnixMs(1'800'000'000'000);
EnrollmentId Id(int number) { return EnrollmentId("ID-" + std::to_string(number)); }

/// Books and, when the turn has come, sends.
std::optional<Timestamp> Send(Pace& pace, const EnrollmentId& id, std::size_t count,
                              Timestamp now) {
  const std::optional<Timestamp> turn = pace.Book(id, count, now);
  if (!turn) pace.Use(id);
  return turn;
}

TEST_CASE("without a bound nobody waits and nothing is remembered") {
  Pace pace;
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(pace.Book(Id(i), 20, kBegin));
  CHECK(pace.Waiting(kBegin) == 0);
}

TEST_CASE("what comes too early gets its turn in order, and goes then") {
  Pace pace(2);
  const std::optional<Timestamp> now;
  CHECK(Send(pace, Id(0), 2, kBegin) == now);  // the second before was quiet
  CHECK(Send(pace, Id(1), 4, kBegin) == now);
  CHECK(Send(pace, Id(2), 2, kBegin) == kBegin + seconds(2));
  CHECK(Send(pace, Id(3), 1, kBegin) == kBegin + seconds(3));
  CHECK(pace.Waiting(kBegin) == 2);
  // Asking again changes nothing, and nobody overtakes.
  CHECK(Send(pace, Id(2), 2, kBegin + seconds(1)) == kBegin + seconds(2));
  CHECK(pace.TurnOf(Id(2), kBegin + seconds(1)) == kBegin + seconds(2));
  CHECK(Send(pace, Id(4), 1, kBegin + seconds(2)) == kBegin + milliseconds(3500));
  CHECK(pace.TurnOf(Id(2), kBegin + seconds(2)) == now);
  CHECK(Send(pace, Id(2), 2, kBegin + seconds(2)) == now);
  CHECK(Send(pace, Id(3), 1, kBegin + seconds(3)) == now);
  CHECK(pace.Waiting(kBegin + seconds(3)) == 1);
}

TEST_CASE("a turn that has come stays until it is used, however often it is asked for") {
  Pace pace(1);
  CHECK_FALSE(pace.Book(Id(1), 1, kBegin));
  CHECK_FALSE(pace.Book(Id(1), 1, kBegin));
  CHECK_FALSE(pace.Book(Id(1), 1, kBegin + seconds(5)));
  pace.Use(Id(1));
  CHECK_FALSE(pace.Book(Id(1), 7, kBegin + seconds(5)));
  CHECK(pace.Book(Id(2), 1, kBegin + seconds(5)) == kBegin + seconds(11));
  pace.Use(Id(1));
  CHECK(pace.Book(Id(1), 1, kBegin + seconds(5)) == kBegin + seconds(12));
}

TEST_CASE("a thousand at once are spread over the time that the pace allows") {
  Pace pace(10);
  std::vector<Timestamp> turns;
  for (int i = 0; i < 1000; ++i) turns.push_back(Send(pace, Id(i), 1, kBegin).value_or(kBegin));
  for (const Duration since : {seconds(0), seconds(10), seconds(50)}) {
    const auto begin = std::lower_bound(turns.begin(), turns.end(), kBegin + since);
    const auto end = std::lower_bound(begin, turns.end(), kBegin + since + seconds(10));
    CHECK(end - begin <= 10 * 10 + 10);
    CHECK(end - begin >= 10 * 10);
  }
  CHECK(turns.back() <= kBegin + seconds(100));
}

TEST_CASE("what must not wait goes, and the others wait for it") {
  Pace pace(1);
  pace.BookAtOnce(Id(1), 1, kBegin);
  pace.BookAtOnce(Id(2), 5, kBegin);
  pace.BookAtOnce(Id(2), 5, kBegin);
  CHECK_FALSE(pace.TurnOf(Id(2), kBegin));
  CHECK(pace.Book(Id(3), 1, kBegin) == kBegin + seconds(5));
  pace.BookAtOnce(Id(3), 1, kBegin);
  CHECK_FALSE(pace.Book(Id(3), 1, kBegin));
  CHECK(pace.Waiting(kBegin) == 0);
}

TEST_CASE("a turn that is not used is forgotten after a while") {
  Pace pace(1);
  pace.BookAtOnce(Id(0), 10, kBegin);
  REQUIRE(pace.Book(Id(1), 3, kBegin) == kBegin + seconds(9));
  pace.BookAtOnce(Id(2), 60, kBegin + hours(1));
  CHECK(pace.Book(Id(1), 3, kBegin + hours(1)) > kBegin + hours(1));
}

TEST_CASE("far turns are not kept, so that no queue grows without bound") {
  Pace pace(1);
  for (int i = 0; i < 10'000; ++i) {
    const auto turn = pace.Book(Id(i), 1, kBegin);
    CHECK(turn.value_or(kBegin) <= kBegin + minutes(20));
  }
  CHECK(pace.Waiting(kBegin) < 700);
}

TEST_CASE("a clock that is set back makes nobody wait for the time that it repeats") {
  Pace pace(1);
  pace.BookAtOnce(Id(0), 60, kBegin);
  REQUIRE(pace.Book(Id(1), 1, kBegin));
  CHECK_FALSE(pace.Book(Id(1), 1, kBegin - hours(3)));
}

}  // namespace
}  // namespace director::director_pace_test
