#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "store/store.h"

namespace director {

/// The store that `director serve` uses: says in the log that the database cannot be used, at most
/// once a minute while it is so. On a full disk every webhook fails.
class LoggedStore final : public Store {
 public:
  LoggedStore(std::unique_ptr<Store> inner, const Clock& clock)
      : inner_(std::move(inner)), clock_(clock) {}

  Status Write(const std::function<Status(StoreWriter&)>& body) override;
  Status Read(const std::function<Status(StoreReader&)>& body) override;
  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override;

 private:
  Status Told(Status done);

  const std::unique_ptr<Store> inner_;
  const Clock& clock_;
  std::mutex mutex_;
  std::optional<Timestamp> told_at_;
};

}  // namespace director
