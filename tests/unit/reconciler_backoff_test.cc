#include <set>
#include <string>

#include "reconciler/backoff.h"
#include "tests/support/catch.h"

namespace director::reconciler_backoff_test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

const Settings kSettings;

TEST_CASE("transient errors wait twice as long each time, up to the bound") {
  CHECK(RetryDelay(ErrorClass::kTransient, 1, kSettings) == minutes(1));
  CHECK(RetryDelay(ErrorClass::kTransient, 2, kSettings) == minutes(2));
  CHECK(RetryDelay(ErrorClass::kTransient, 9, kSettings) == minutes(256));
  CHECK(RetryDelay(ErrorClass::kTransient, 10, kSettings) == hours(6));
  CHECK(RetryDelay(ErrorClass::kTransient, 2'000'000'000, kSettings) == hours(6));
}

TEST_CASE("errors of the server wait four times as long each time, up to a day") {
  CHECK(RetryDelay(ErrorClass::kServer, 1, kSettings) == minutes(15));
  CHECK(RetryDelay(ErrorClass::kServer, 2, kSettings) == hours(1));
  CHECK(RetryDelay(ErrorClass::kServer, 5, kSettings) == hours(24));
}

TEST_CASE("unknown errors wait a minute, an hour, a day") {
  CHECK(RetryDelay(ErrorClass::kUnknown, 1, kSettings) == minutes(1));
  CHECK(RetryDelay(ErrorClass::kUnknown, 2, kSettings) == hours(1));
  CHECK(RetryDelay(ErrorClass::kUnknown, 3, kSettings) == hours(24));
}

TEST_CASE("pushes wait six times as long each time, up to a day") {
  CHECK(PushDelay(1, kSettings) == minutes(10));
  CHECK(PushDelay(2, kSettings) == hours(1));
  CHECK(PushDelay(3, kSettings) == hours(6));
  CHECK(PushDelay(4, kSettings) == hours(24));
  CHECK(NotNowPushDelay(1, kSettings) == minutes(15));
  CHECK(NotNowPushDelay(2, kSettings) == hours(1));
  CHECK(NotNowPushDelay(3, kSettings) == hours(4));
  CHECK(NotNowPushDelay(1000, kSettings) == hours(24));
}

TEST_CASE("jitter stays within a fifth, is stable for a key and differs between keys") {
  std::set<Duration> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "UDID-" + std::to_string(i);
    const Duration delay = Jittered(hours(1), key);
    CHECK(delay >= minutes(48));
    CHECK(delay <= minutes(72));
    CHECK(delay == Jittered(hours(1), key));
    seen.insert(delay);
  }
  CHECK(seen.size() > 300);
}

}  // namespace
}  // namespace director::reconciler_backoff_test
