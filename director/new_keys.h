#pragma once

#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "director/executor.h"
#include "reconciler/state.h"
#include "store/store.h"

namespace director {

/// Keeps what Macs answered RotateFileVaultKey with: opens the new recovery key, seals it, takes it
/// to the escrow server. Each step is recorded before the next, so that the key can be shown while
/// the escrow server is away, and whatever fails is tried again. Used within a lease of the
/// enrollment.
class NewKeys {
 public:
  NewKeys(Store& store, Executor& executor, const Clock& clock, const Settings& settings)
      : store_(store), executor_(executor), clock_(clock), settings_(settings) {}

  enum class EscrowServer { kMayAnswer, kFails };

  /// One that is answered. `server`: kFails, when it has just failed at another secret; then it is
  /// not asked. Returns whether it answers. Errors: those of the store.
  Result<EscrowServer> Keep(const Proposal& proposal, EscrowServer server);

 private:
  Result<Proposal> Seal(const Proposal& proposal);
  Status OpenAndSeal(StoreWriter& writer, Timestamp now, Proposal& proposal);
  Status Record(const Proposal& proposal, const std::optional<Status>& deposited);

  Store& store_;
  Executor& executor_;
  const Clock& clock_;
  const Settings& settings_;
};

}  // namespace director
