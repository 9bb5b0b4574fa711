#include "reconciler/backoff.h"

#include <algorithm>

#include "base/invariant.h"
#include "base/random.h"

namespace director {
namespace {

constexpr Duration kRenewalRetryMin = std::chrono::minutes(10);
constexpr int kUnknownSecondFactor = 60;

/// first * factor^(steps), never above `most`, without overflow.
Duration Grow(Duration first, int factor, int steps, Duration most) {
  Duration delay = first;
  for (int i = 0; i < steps && delay < most; ++i) delay *= factor;
  return std::min(delay, most);
}

}  // namespace

Duration Jittered(Duration delay, std::string_view key) {
  const auto thousandth = static_cast<std::int64_t>(StableHash(key) % 401) - 200;
  return delay + Duration(delay.count() * thousandth / 1000);
}

Duration RetryDelay(ErrorClass error_class, int attempts, const Settings& settings) {
  INVARIANT(attempts >= 1);
  switch (error_class) {
    case ErrorClass::kServer:
      return Grow(settings.server_retry_delay_min, 4, attempts - 1, kDay);
    case ErrorClass::kUnknown:
      return attempts >= 3
                 ? kDay
                 : Grow(settings.retry_delay_min, kUnknownSecondFactor, attempts - 1, kDay);
    case ErrorClass::kTransient:
    case ErrorClass::kPermanent:
    case ErrorClass::kUser:
    case ErrorClass::kDone:
      return Grow(settings.retry_delay_min, 2, attempts - 1, settings.retry_delay_max);
  }
  return settings.retry_delay_max;
}

Duration RenewalRetryDelay(int attempts, const Enrollment& enrollment, const Settings& settings,
                           Timestamp now) {
  INVARIANT(attempts >= 1);
  const Duration delay = Grow(settings.renewal.retry_delay, 4, attempts - 1, kDay);
  if (!enrollment.identity) return delay;
  const Duration left = std::max(enrollment.identity->not_after - now, Duration::zero());
  return std::min(delay, std::max(left / 4, kRenewalRetryMin));
}

Duration PushDelay(int push_count, const Settings& settings) {
  INVARIANT(push_count >= 1);
  return Grow(settings.push_delay_min, 6, push_count - 1, settings.push_delay_max);
}

Duration NotNowPushDelay(int not_now_count, const Settings& settings) {
  INVARIANT(not_now_count >= 1);
  return Grow(settings.not_now_push_delay_min, 4, not_now_count - 1, settings.push_delay_max);
}

}  // namespace director
