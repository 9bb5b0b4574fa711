#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "director/config.h"
#include "store/store.h"

namespace director {

struct ExecutorCounters;

/// The whole service: store, webhook receiver, loop, API, put together from a configuration.
class App {
 public:
  /// Opens the database, loads the signing identity, binds and starts everything. Each failure is
  /// one clear line.
  static Result<std::unique_ptr<App>> Start(const Config& config, const Clock& clock);
  /// The same on a store that is open already.
  static Result<std::unique_ptr<App>> Start(const Config& config, const Clock& clock,
                                            std::unique_ptr<Store> store);

  /// Stops in order: no new requests, what is in hand is finished, the loop ends, the store closes.
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  int port() const;
  /// `http://host:port` or `https://...`.
  std::string url() const;
  /// For the demo's page.
  Store& store();
  std::uint64_t signatures() const;
  const ExecutorCounters& executor_counters() const;

 private:
  struct Parts;
  explicit App(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace director
