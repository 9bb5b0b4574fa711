#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "director/config.h"
#include "director/secrets.h"
#include "store/store.h"

namespace director {

// What every way to propose a command has in common.

inline constexpr std::size_t kProposalTextMaxBytes = 500;

/// What somebody asks for.
struct ProposalRequest {
  ProposalKind kind = ProposalKind::kDeviceLock;
  std::string reason;
  std::string source;
  Secret pin;  ///< six digits; empty: one is made where the device needs one
  std::optional<Secret> new_password;  ///< SetRecoveryLock: empty clears; absent: one is made
  Secret password;            ///< VerifyRecoveryLock: to be tried; empty: that of a proposal
  std::int64_t verifies = 0;  ///< the same: of this proposal; 0: the newest that may be in force
  std::string message;
  std::string phone_number;
  bool repeats = false;
};

/// A device that has not said what it is may be a Mac.
bool MayBeMac(const Enrollment& enrollment);

/// True when this command needs a PIN for this device: Macs do, and what has not said what it is
/// may be one.
bool NeedsPin(ProposalKind kind, const Enrollment& enrollment);

/// kInvalid unless `text` fits into a property list and into a line of the events.
Status CheckProposalText(const std::string& field, const std::string& text, std::size_t bytes_max);

/// kInvalid names the field of `request` that no device can be sent.
Status CheckProposal(const ProposalRequest& request);

/// Adds the proposal with its secret sealed. Call `StoreWriter::LockDesired` first in the same
/// transaction. kConflict when the device has an open proposal, or is in no state to be sent
/// anything; kRejected beyond `per_hour_max` or without a key for the PIN; kInvalid for a user
/// channel, or a PIN for a device that takes none. See also `SealRecoveryLock`.
Result<Proposal> Propose(StoreWriter& writer, const Secrets& secrets, const ProposalLimits& limits,
                         const EnrollmentId& id, const ProposalRequest& request, Timestamp now);

/// Ends a proposal that has not been sent; one that is on its way and repeats will not be sent
/// again. kConflict when it is on its way otherwise, or has ended; kNotFound.
Result<Proposal> CancelProposal(StoreWriter& writer, std::int64_t proposal_id,
                                const std::string& source, Timestamp now);

}  // namespace director
