#pragma once

#include "base/result.h"
#include "director/propose.h"
#include "director/secrets.h"
#include "store/store.h"

namespace director {

inline constexpr std::size_t kRecoveryPasswordMaxBytes = 128;

/// kInvalid names the field of a SetRecoveryLock, VerifyRecoveryLock or RotateFileVaultKey that no
/// Mac can be sent, or that only they have when `request` is of another kind.
Status CheckRecoveryLock(const ProposalRequest& request);

/// What a SetRecoveryLock or VerifyRecoveryLock has to bring: given, made, or found among the
/// device's proposals. Sets `verifies` of `proposal`.
///
/// kRejected when the device has no recovery lock (it is no Mac, not one with Apple silicon, older
/// than macOS 11.5, or in User Enrollment), or there is no key to seal with. kConflict when it is
/// not known which password is in force, or there is none to verify. kNotFound
/// when `request.verifies` is no proposal of this device with a recovery lock password.
Result<SealedSecrets> SealRecoveryLock(StoreReader& reader, const Secrets& secrets,
                                       const Enrollment& enrollment, const ProposalRequest& request,
                                       Proposal& proposal);

}  // namespace director
