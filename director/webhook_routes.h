#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "director/config.h"
#include "director/http_server.h"
#include "director/ingest.h"

namespace director {

/// Counters since the start; read by the metrics.
struct WebhookCounts {
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> unauthorized{0};
  std::atomic<std::uint64_t> unavailable{0};
};

/// `POST /webhook` (the first upstream), `/webhook/{upstream}` and `/webhook/{upstream}/{secret}`.
/// Answers 200 with an empty body after the event is on disk (NanoMDM takes exactly 200 for
/// success), 401 when the sender does not prove who it is, 404 for an unknown upstream, 503 when it
/// cannot be recorded now.
std::vector<HttpRoute> WebhookRoutes(const Config& config, Ingest& ingest, const Clock& clock,
                                     WebhookCounts& counts);

}  // namespace director
