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
  /// VerifyRecoveryLock: to be tried; empty: that of a proposal. RotateFileVaultKey: unlocks the
  /// volume now; empty: the recovery key that Director knows.
  Secret password;
  std::int64_t verifies = 0;  ///< VerifyRecoveryLock: that of this proposal; 0: the newest
  std::string message;
  std::string phone_number;
  bool repeats = false;
  Secret reply_identity;  ///< RotateFileVaultKey: set by `PrepareProposal`
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

/// Makes what takes long, before a transaction begins: the key pair for the answer to
/// RotateFileVaultKey. kUnavailable when it cannot be made.
Status PrepareProposal(const Secrets& secrets, Timestamp now, ProposalRequest& request);

/// Adds the proposal with its secret sealed. Call `PrepareProposal` before, and
/// `StoreWriter::LockDesired` first in the same transaction. kConflict when the device has an open
/// proposal, or is in no state to be sent anything; kRejected beyond `per_hour_max` or without a
/// key for the PIN; kInvalid for a user channel, or a PIN for a device that takes none. See also
/// `SealRecoveryLock` and `SealFileVaultKey`.
Result<Proposal> Propose(StoreWriter& writer, const Secrets& secrets, const ProposalLimits& limits,
                         const EnrollmentId& id, const ProposalRequest& request, Timestamp now);

/// Ends a proposal that has not been sent; one that is on its way and repeats will not be sent
/// again. kConflict when it is on its way otherwise, or has ended; kNotFound.
Result<Proposal> CancelProposal(StoreWriter& writer, std::int64_t proposal_id,
                                const std::string& source, Timestamp now);

}  // namespace director
