#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "director/logged_store.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"

namespace director {
namespace {

using director_test::FaultyStore;
using namespace std::chrono_literals;

Status ReadNothing(StoreReader& reader) {
  const auto found = reader.FindQuiet({}, Timestamp{}, Timestamp{});
  return found ? Status() : Fail(found.error());
}

TEST_CASE("the served store hands each call to the database as it came") {
  const ManualClock clock(Timestamp{});
  auto made = std::make_unique<FaultyStore>(director_test::OpenStore());
  const FaultyStore& inner = *made;
  LoggedStore store(std::move(made), clock);
  REQUIRE(store.Write([](StoreWriter&) { return Status(); }));
  REQUIRE(store.Read(ReadNothing));
  REQUIRE(store.ReadOnce(ReadNothing));
  CHECK(inner.writes() == 1);
  CHECK(inner.reads() == 1);
  CHECK(inner.single_reads() == 1);
}

TEST_CASE("a database that is out of reach is told of once a minute, whatever is asked of it") {
  ManualClock clock(Timestamp{});
  auto made = std::make_unique<FaultyStore>(director_test::OpenStore());
  FaultyStore& inner = *made;
  LoggedStore store(std::move(made), clock);
  std::vector<std::string> lines;
  SetLogSink([&](std::string_view line) { lines.emplace_back(line); });
  const auto ask = [&] {
    return std::vector<bool>{store.Write([](StoreWriter&) { return Status(); }).has_value(),
                             store.Read(ReadNothing).has_value(),
                             store.ReadOnce(ReadNothing).has_value()};
  };
  CHECK(ask() == std::vector<bool>{true, true, true});
  CHECK(lines.empty());
  inner.SetDown();
  CHECK(ask() == std::vector<bool>{false, false, false});
  CHECK(lines.size() == 1);
  clock.Advance(1min);
  CHECK_FALSE(store.ReadOnce(ReadNothing));
  CHECK(lines.size() == 2);
  // What the caller asked for and cannot have is no matter of the database.
  inner.SetUp();
  clock.Advance(1min);
  CHECK_FALSE(store.Read([](StoreReader&) { return Fail(ErrorKind::kNotFound, "no such"); }));
  SetLogSink({});
  CHECK(lines.size() == 2);
}

}  // namespace
}  // namespace director
