#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "director/api.h"
#include "director/executor.h"
#include "director/ingest.h"
#include "director/payloads.h"
#include "director/upstreams.h"
#include "store/sqlite_store.h"
#include "tests/support/willing_upstream.h"

namespace director::fuzz {

/// A service without threads and sockets on a store in memory. Small enough to be made for every
/// input, so that an input alone repeats what it found.
class World {
 public:
  World() {
    auto opened = OpenSqliteStore(":memory:");
    INVARIANT(opened.has_value());
    store_ = std::move(*opened);
    config_.api_token = SecretSource::FromValue(Secret("token"));
    upstreams_.Add(std::make_unique<test::WillingUpstream>());
    payloads_.emplace(*store_, nullptr);
    executor_.emplace(*store_, upstreams_, *payloads_, secrets_, clock_, random_);
  }

  Store& store() { return *store_; }
  Upstreams& upstreams() { return upstreams_; }
  const Secrets& secrets() const { return secrets_; }
  Executor& executor() { return *executor_; }
  ManualClock& clock() { return clock_; }
  RandomSource& random() { return random_; }
  const Config& config() const { return config_; }
  Api::Dependencies ApiDependencies() {
    return {*store_, upstreams_, *executor_, secrets_, clock_, config_, [] {}};
  }

 private:
  ManualClock clock_{FromUnixMs(1'795'000'000'000)};
  SeededRandom random_{7};
  std::unique_ptr<Store> store_;
  Upstreams upstreams_;
  Config config_;
  std::optional<Payloads> payloads_;
  /// 32 times the letter k.
  const Secrets secrets_{
      SecretSource::FromValue(Secret("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")), nullptr};
  std::optional<Executor> executor_;
};

}  // namespace director::fuzz
