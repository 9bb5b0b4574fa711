#pragma once

#include "base/result.h"
#include "base/secret.h"
#include "director/propose.h"
#include "director/secrets.h"
#include "store/store.h"

namespace director {

/// Longest recovery key or other text that a Mac may answer with.
inline constexpr std::size_t kRecoveryKeyMaxBytes = 128;

/// What a RotateFileVaultKey has to bring: what unlocks the volume now, given or known, and the key
/// pair for the answer.
///
/// kRejected when the device has no FileVault (it is no Mac) or may not be told (User Enrollment),
/// or there is no key to seal with. kConflict when no password was given and the recovery key that
/// is in force is not known. Requires `PrepareProposal`.
Result<SealedSecrets> SealFileVaultKey(StoreReader& reader, const Secrets& secrets,
                                       const Enrollment& enrollment,
                                       const ProposalRequest& request);

/// The recovery key that the device answered with. kRejected when it will never be had: the answer
/// does not open, or holds something else than a line of text; the message shows nothing of it.
/// Other kinds as `Secrets::Open`: it may work later.
Result<Secret> OpenNewKey(const Secrets& secrets, const SealedSecrets& sealed,
                          const EnrollmentId& id);

}  // namespace director
