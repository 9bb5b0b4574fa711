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
using std::chrono::seconds;

const Timestamp kBegin = FromUnixMs(1'800'000'000'000);
EnrollmentId Id(int number) { return EnrollmentId("ID-" + std::to_string(number)); }

/// Books and, when the turn has come, sends.
std::optional<Timestamp> Send(Pace& pace, const EnrollmentId& id, PaceCost cost, Timestamp now) {
  const std::optional<Timestamp> turn = pace.Book(id, cost, now);
  if (!turn) pace.Use(id);
  return turn;
}

TEST_CASE("a pace is kept to the microsecond; none costs nothing") {
  CHECK(CostOf(3, 2) == milliseconds(1500));
  CHECK(CostOf(1, 600) == PaceCost(1666));
  CHECK(CostOf(1, 100'000) == PaceCost(10));
  CHECK(CostOf(1000, 0) == PaceCost::zero());
  CHECK(CostOf(0, 5) == PaceCost::zero());
}

TEST_CASE("what costs nothing waits for nobody and is not remembered") {
  Pace pace;
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(pace.Book(Id(i), PaceCost::zero(), kBegin));
  CHECK(pace.Waiting(kBegin) == 0);
}

TEST_CASE("what comes too early gets its turn in order, and goes then") {
  Pace pace;
  const std::optional<Timestamp> now;
  CHECK(Send(pace, Id(0), seconds(1), kBegin) == now);  // the second before was quiet
  CHECK(Send(pace, Id(1), seconds(2), kBegin) == now);
  CHECK(Send(pace, Id(2), seconds(1), kBegin) == kBegin + seconds(2));
  CHECK(Send(pace, Id(3), milliseconds(500), kBegin) == kBegin + seconds(3));
  CHECK(pace.Waiting(kBegin) == 2);
  // Asking again changes nothing, and nobody overtakes.
  CHECK(Send(pace, Id(2), seconds(1), kBegin + seconds(1)) == kBegin + seconds(2));
  CHECK(pace.TurnOf(Id(2), kBegin + seconds(1)) == kBegin + seconds(2));
  CHECK(Send(pace, Id(4), seconds(1), kBegin + seconds(2)) == kBegin + milliseconds(3500));
  CHECK(pace.TurnOf(Id(2), kBegin + seconds(2)) == now);
  CHECK(Send(pace, Id(2), seconds(1), kBegin + seconds(2)) == now);
  CHECK(Send(pace, Id(3), milliseconds(500), kBegin + seconds(3)) == now);
  CHECK(pace.Waiting(kBegin + seconds(3)) == 1);
}

TEST_CASE("a turn that has come stays until it is used, and what was too little is added") {
  Pace pace;
  CHECK_FALSE(pace.Book(Id(1), seconds(1), kBegin));
  CHECK_FALSE(pace.Book(Id(1), seconds(1), kBegin));
  CHECK_FALSE(pace.Book(Id(1), seconds(7), kBegin));
  CHECK(pace.Book(Id(2), seconds(1), kBegin) == kBegin + seconds(6));
  pace.Use(Id(1));
  CHECK(pace.Book(Id(1), seconds(1), kBegin) == kBegin + seconds(7));
}

TEST_CASE("a thousand at once are spread over the time that the pace allows") {
  Pace pace;
  std::vector<Timestamp> turns;
  for (int i = 0; i < 6000; ++i) {
    turns.push_back(Send(pace, Id(i), CostOf(1, 600), kBegin).value_or(kBegin));
  }
  for (const int second : {0, 3, 8}) {
    const auto begin = std::lower_bound(turns.begin(), turns.end(), kBegin + seconds(second));
    const auto end = std::lower_bound(begin, turns.end(), kBegin + seconds(second + 1));
    CHECK(end - begin <= (second == 0 ? 1202 : 602));
    CHECK(end - begin >= 590);
  }
  CHECK(turns.back() <= kBegin + seconds(10));
  CHECK(pace.Waiting(kBegin) > 5000);
}

TEST_CASE("what must not wait goes, and the others wait for it") {
  Pace pace;
  pace.BookAtOnce(Id(1), seconds(1), kBegin);
  pace.BookAtOnce(Id(2), seconds(5), kBegin);
  pace.BookAtOnce(Id(2), seconds(5), kBegin);
  CHECK_FALSE(pace.TurnOf(Id(2), kBegin));
  CHECK(pace.Book(Id(3), seconds(1), kBegin) == kBegin + seconds(5));
  pace.BookAtOnce(Id(3), seconds(1), kBegin);
  CHECK_FALSE(pace.Book(Id(3), seconds(1), kBegin));
  CHECK(pace.Waiting(kBegin) == 0);
}

TEST_CASE("a turn that is not used is forgotten after a while") {
  Pace pace;
  pace.BookAtOnce(Id(0), seconds(10), kBegin);
  REQUIRE(pace.Book(Id(1), seconds(3), kBegin) == kBegin + seconds(9));
  pace.BookAtOnce(Id(2), seconds(60), kBegin + hours(2));
  CHECK(pace.Book(Id(1), seconds(3), kBegin + hours(2)) > kBegin + hours(2));
}

TEST_CASE("two threads whose times are moments apart keep all turns") {
  Pace pace;
  for (int i = 0; i < 100; ++i) pace.Book(Id(i), seconds(1), kBegin + seconds(5));
  const std::size_t waiting = pace.Waiting(kBegin + seconds(5));
  CHECK(pace.Book(Id(100), seconds(1), kBegin) > kBegin + seconds(90));
  CHECK(pace.Waiting(kBegin) == waiting + 1);
}

TEST_CASE("a clock that is set back makes nobody wait for the time that it repeats") {
  Pace pace;
  pace.BookAtOnce(Id(0), seconds(60), kBegin);
  REQUIRE(pace.Book(Id(1), seconds(1), kBegin));
  CHECK_FALSE(pace.TurnOf(Id(1), kBegin - hours(3)));
  CHECK_FALSE(pace.Book(Id(1), seconds(1), kBegin - hours(3)));
}

}  // namespace
}  // namespace director::director_pace_test
