#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reconciler/plan.h"
#include "reconciler/state.h"

namespace director {

/// For explanations: what mends a key that nobody has.
inline constexpr std::string_view kRotateAgain =
    "Nobody may have the recovery key of the Mac: rotate it again with the password of a "
    "FileVault user.";

/// What is known of the personal recovery key that is in force.
enum class FileVaultKeyState {
  kNotKnown,   ///< Director has not changed it
  kKnown,      ///< the secret of `proposal_id`
  kBeingKept,  ///< the answer with it has come; it is not opened yet
  kInDoubt,    ///< `proposal_id` may have changed it, and no key of it is known
};

struct FileVaultKey {
  FileVaultKeyState state = FileVaultKeyState::kNotKnown;
  std::int64_t proposal_id = 0;  ///< 0 for kNotKnown
  friend bool operator==(const FileVaultKey&, const FileVaultKey&) = default;
};

/// By the device's proposals, newest first; those of other kinds and open ones do not matter. The
/// key of the answer that was given last is in force, unless a newer proposal may have been carried
/// out. What was known in an earlier epoch is used, too: a Mac that was erased refuses it, which
/// changes nothing. Pure.
FileVaultKey FindFileVaultKey(const std::vector<Proposal>& newest_first);

/// The device has answered with its new key, encrypted, whatever the proposal has come to: that is
/// stored and now to be opened and kept. Pure.
void TakeNewKey(Timestamp answered_at, Timestamp now, Proposal& proposal);

/// The device has acknowledged RotateFileVaultKey and brought no new key. Pure.
void TakeAnswerWithoutKey(Timestamp answered_at, Timestamp now, Proposal& proposal);

/// The new key is sealed and, where there is an escrow server, in escrow. Pure.
void TakeKeptKey(Timestamp now, Proposal& proposal);

/// The new key could not be opened, sealed or escrowed just now, for the reason `why`: it is tried
/// again, for ever. Pure.
void TakeKeyTrouble(const std::string& why, const Settings& settings, Timestamp now,
                    Proposal& proposal);

/// The answer will never give a key, for the reason `why`. Pure.
void TakeUselessAnswer(const std::string& why, Timestamp now, Proposal& proposal);

/// Puts the answered proposals whose time has come into `plan.new_keys`, and brings `plan.due_at`
/// forward to the others'. Neither sleep nor the end of the enrollment holds them up. Pure.
void DecideNewKeys(const Snapshot& snapshot, Timestamp now, Plan& plan);

}  // namespace director
