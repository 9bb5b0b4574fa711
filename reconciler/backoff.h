#pragma once

#include <string_view>

#include "reconciler/state.h"

namespace director {

/// Spreads `delay` by up to a fifth either way, the same for the same `key` on every machine.
Duration Jittered(Duration delay, std::string_view key);

/// Returns how long to wait after the `attempts`-th failure of a class that is retried (transient,
/// server, unknown), without jitter.
///
/// Transient doubles from `retry_delay_min` to `retry_delay_max`; server quadruples from
/// `server_retry_delay_min` to a day; unknown goes `retry_delay_min`, 60 times that, a day.
/// Requires: attempts >= 1.
Duration RetryDelay(ErrorClass error_class, int attempts, const Settings& settings);

/// Returns how long to wait after the `attempts`-th failure to renew an identity, without jitter:
/// `renewal.retry_delay`, four times longer each time, up to a day; a quarter of what is left of
/// the identity at most, but no less than ten minutes. Requires: attempts >= 1.
Duration RenewalRetryDelay(int attempts, const Enrollment& enrollment, const Settings& settings,
                           Timestamp now);

/// Returns how long to wait after a push to a device that stays silent, without jitter: six times
/// longer each time, from `push_delay_min` to `push_delay_max`. Requires: push_count >= 1.
Duration PushDelay(int push_count, const Settings& settings);

/// Returns how long to wait with a push after the `not_now_count`-th NotNow in a row, without
/// jitter: four times longer each time, from `not_now_push_delay_min` to `push_delay_max`.
/// Requires: not_now_count >= 1. Source: Apple, handling NotNow status responses (the device may
/// poll by itself; the server may push at any time).
Duration NotNowPushDelay(int not_now_count, const Settings& settings);

}  // namespace director
