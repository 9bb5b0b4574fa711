#pragma once

#include <cstdint>
#include <string>

#include "director/executor.h"
#include "director/ingest.h"
#include "director/payloads.h"
#include "director/secret_source.h"
#include "director/upstreams.h"
#include "director/webhook_routes.h"
#include "store/store.h"

namespace director {

/// Where the numbers come from; all outlive the call.
struct MetricsSources {
  Store& store;
  Upstreams& upstreams;
  const Executor& executor;
  const Payloads& payloads;
  const Ingest& ingest;
  const WebhookCounts& webhooks;
  SigningIdentity* signing;  ///< null: profiles go unsigned
  const SecretSource& database_password;
};

/// Renders all metrics in Prometheus' text format. Reads the fleet's counts from the store at most
/// once every ten seconds of `now`. No device names in labels.
class Metrics {
 public:
  explicit Metrics(MetricsSources sources) : sources_(sources) {}
  Result<std::string> Render(Timestamp now);

 private:
  Result<FleetCounts> Counts(Timestamp now);

  MetricsSources sources_;
  std::mutex mutex_;
  std::optional<FleetCounts> counts_;
  Timestamp counted_at_;
};

}  // namespace director
