#pragma once

#include <cstdint>
#include <vector>

#include "reconciler/proposal.h"

namespace director {

/// A recovery lock password that may be in force.
struct RecoveryLockCandidate {
  std::int64_t proposal_id = 0;  ///< whose secret it is; 0: none that Director knows of
  bool has_secret = false;       ///< false also when that proposal cleared the password
  friend bool operator==(const RecoveryLockCandidate&, const RecoveryLockCandidate&) = default;
};

/// The candidates for one device, newest first; never empty. Exactly one: it is the one in force,
/// as far as Director can know. `newest_first`: the device's proposals, those of other kinds do not
/// matter; it may end at the first one for which `SettlesRecoveryLock`. `epoch`: the enrollment's.
///
/// A SetRecoveryLock without an answer leaves its password and the one before. What was known in an
/// earlier epoch may still be in force (the identity was renewed) or not (the Mac was erased).
/// VerifyRecoveryLock proves a candidate or takes it away. Pure.
std::vector<RecoveryLockCandidate> RecoveryLockCandidates(const std::vector<Proposal>& newest_first,
                                                          std::int64_t epoch);

/// True when older proposals than this one do not matter any more. Pure.
bool SettlesRecoveryLock(const Proposal& proposal);

}  // namespace director
