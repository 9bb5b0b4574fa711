#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace director {

/// What a person can propose for a device: commands that no desired state asks for and that cannot
/// be taken back.
enum class ProposalKind {
  kDeviceLock,
  kEraseDevice,
  kRestartDevice,
  kRotateFileVaultKey,  ///< the only one whose secret the device makes and answers with
  kSetRecoveryLock,
  kShutDownDevice,
  kVerifyRecoveryLock,  ///< changes nothing: it tells which password is in force
};
inline constexpr std::array kProposalKinds = {
    ProposalKind::kDeviceLock,        ProposalKind::kEraseDevice,
    ProposalKind::kRestartDevice,     ProposalKind::kRotateFileVaultKey,
    ProposalKind::kSetRecoveryLock,   ProposalKind::kShutDownDevice,
    ProposalKind::kVerifyRecoveryLock};

/// The RequestType of its command; everywhere its name.
std::string_view ProposalKindName(ProposalKind kind);
/// kInvalid for other words.
Result<ProposalKind> ParseProposalKind(std::string_view name);
/// True for the request types above; cheaper than parsing where most are others.
bool IsProposed(std::string_view request_type);
/// Apple, device.lock and device.erase: a Mac needs a PIN of six characters for these two.
bool TakesPin(ProposalKind kind);
/// The two about the recovery lock of a Mac with Apple silicon.
bool IsAboutRecoveryLock(ProposalKind kind);

/// Where a proposal stands.
enum class ProposalState {
  kWaiting,  ///< not sent: its secret is not escrowed, its time has not come, or the device sleeps
  kSent,     ///< its command is on its way and cannot be taken back
  /// RotateFileVaultKey: the device answered with its new key, which is still to be opened, sealed
  /// and escrowed. It holds up no other proposal.
  kAnswered,
  kDone,       ///< final: the device acknowledged it; a secret that it answered with is kept
  kFailed,     ///< final: refused, or sent and never answered
  kCancelled,  ///< final: by a person, before it was sent
  kExpired,    ///< final: its time was over before the device was awake
  kDropped,    ///< final: the enrollment that it was proposed for has ended
};
inline constexpr std::array kProposalStates = {ProposalState::kWaiting,  ProposalState::kSent,
                                               ProposalState::kAnswered, ProposalState::kDone,
                                               ProposalState::kFailed,   ProposalState::kCancelled,
                                               ProposalState::kExpired,  ProposalState::kDropped};
std::string_view ProposalStateName(ProposalState state);
Result<ProposalState> ParseProposalState(std::string_view name);
/// True while something may still be sent or answered. A device has one open proposal at most.
bool IsOpen(ProposalState state);

/// What is known about what the command has done.
enum class ProposalEffect {
  kNone,        ///< nothing: it never reached the device, or the device refused it
  kUnknown,     ///< it was sent, and no answer has come: it may have been carried out
  kCarriedOut,  ///< the device acknowledged it; VerifyRecoveryLock: the password is in force
  kDenied,      ///< VerifyRecoveryLock: the device says that the password is not in force
};
inline constexpr std::array kProposalEffects = {ProposalEffect::kNone, ProposalEffect::kUnknown,
                                                ProposalEffect::kCarriedOut,
                                                ProposalEffect::kDenied};
std::string_view ProposalEffectName(ProposalEffect effect);
Result<ProposalEffect> ParseProposalEffect(std::string_view name);

/// A command that a person wants for one device, and what became of it.
struct Proposal {
  std::int64_t proposal_id = 0;
  EnrollmentId enrollment_id;
  ProposalKind kind = ProposalKind::kDeviceLock;
  std::string reason;  ///< why, in the words of who proposed it
  std::string source;  ///< who proposed it
  /// DeviceLock: sent again whenever the device speaks after it, as MDMDirector's flag is.
  bool repeats = false;
  std::string message;       ///< DeviceLock: shown by the locked device; may be empty
  std::string phone_number;  ///< DeviceLock: the same
  /// VerifyRecoveryLock: the proposal that brought the password which is tried, never one that only
  /// tried it; 0: this one brought it.
  std::int64_t verifies = 0;
  /// That the device is to have, or has made itself, and that is kept sealed.
  bool has_secret = false;
  std::int64_t epoch = 0;  ///< of the enrollment when it was proposed; it does not outlive it
  Timestamp created_at;
  Timestamp not_before;  ///< nothing is sent until then
  Timestamp expires_at;

  ProposalState state = ProposalState::kWaiting;
  std::string explanation;  ///< a sentence for an administrator
  Timestamp state_since;
  ProposalEffect effect = ProposalEffect::kNone;
  CommandUuid command_uuid;  ///< of the command that was sent last; empty before
  /// When its secret was safe: nothing is sent before. Set from the start when there is none, or no
  /// escrow server beside our own sealed store. RotateFileVaultKey: when the new key was safe.
  std::optional<Timestamp> escrowed_at;
  int attempts = 0;        ///< failures in a row, at the escrow server or at the device
  std::string last_error;  ///< words of the last failure; empty when the last attempt went well
  std::optional<Timestamp> next_attempt_at;
  std::optional<Timestamp> acknowledged_at;  ///< last
  /// Taken back while its command was on its way: it is not sent once more.
  std::optional<Timestamp> cancelled_at;
  friend bool operator==(const Proposal&, const Proposal&) = default;
};

/// True when one of them is open.
bool HasOpen(const std::vector<Proposal>& proposals);

/// Pure; `state_since` stays when the state does.
void SetState(Proposal& proposal, ProposalState state, std::string explanation, Timestamp now);

}  // namespace director
