#include "reconciler/proposal.h"

#include <algorithm>
#include <utility>

#include "mdm/command.h"
#include "reconciler/name_table.h"

namespace director {
namespace {

constexpr NameTable<ProposalKind, kProposalKinds.size()> kProposalKindNames{{
    {ProposalKind::kDeviceLock, request_type::kDeviceLock},
    {ProposalKind::kEraseDevice, request_type::kEraseDevice},
    {ProposalKind::kRestartDevice, request_type::kRestartDevice},
    {ProposalKind::kRotateFileVaultKey, request_type::kRotateFileVaultKey},
    {ProposalKind::kSetRecoveryLock, request_type::kSetRecoveryLock},
    {ProposalKind::kShutDownDevice, request_type::kShutDownDevice},
    {ProposalKind::kVerifyRecoveryLock, request_type::kVerifyRecoveryLock},
}};

constexpr NameTable<ProposalState, kProposalStates.size()> kProposalStateNames{{
    {ProposalState::kWaiting, "waiting"},
    {ProposalState::kSent, "sent"},
    {ProposalState::kAnswered, "answered"},
    {ProposalState::kDone, "done"},
    {ProposalState::kFailed, "failed"},
    {ProposalState::kCancelled, "cancelled"},
    {ProposalState::kExpired, "expired"},
    {ProposalState::kDropped, "dropped"},
}};

constexpr NameTable<ProposalEffect, kProposalEffects.size()> kProposalEffectNames{{
    {ProposalEffect::kNone, "none"},
    {ProposalEffect::kUnknown, "unknown"},
    {ProposalEffect::kCarriedOut, "carried_out"},
    {ProposalEffect::kDenied, "denied"},
}};

}  // namespace

std::string_view ProposalKindName(ProposalKind kind) { return NameOf(kProposalKindNames, kind); }
Result<ProposalKind> ParseProposalKind(std::string_view name) {
  return ValueOf(kProposalKindNames, name);
}

bool IsProposed(std::string_view request_type) {
  return std::any_of(kProposalKindNames.begin(), kProposalKindNames.end(),
                     [&](const auto& entry) { return entry.second == request_type; });
}

bool TakesPin(ProposalKind kind) {
  return kind == ProposalKind::kDeviceLock || kind == ProposalKind::kEraseDevice;
}

bool IsAboutRecoveryLock(ProposalKind kind) {
  return kind == ProposalKind::kSetRecoveryLock || kind == ProposalKind::kVerifyRecoveryLock;
}

std::string_view ProposalEffectName(ProposalEffect effect) {
  return NameOf(kProposalEffectNames, effect);
}
Result<ProposalEffect> ParseProposalEffect(std::string_view name) {
  return ValueOf(kProposalEffectNames, name);
}

std::string_view ProposalStateName(ProposalState state) {
  return NameOf(kProposalStateNames, state);
}
Result<ProposalState> ParseProposalState(std::string_view name) {
  return ValueOf(kProposalStateNames, name);
}

bool IsOpen(ProposalState state) {
  return state == ProposalState::kWaiting || state == ProposalState::kSent;
}

bool HasOpen(const std::vector<Proposal>& proposals) {
  return std::any_of(proposals.begin(), proposals.end(),
                     [](const Proposal& proposal) { return IsOpen(proposal.state); });
}

void SetState(Proposal& proposal, ProposalState state, std::string explanation, Timestamp now) {
  if (proposal.state != state) proposal.state_since = now;
  proposal.state = state;
  proposal.explanation = std::move(explanation);
}

}  // namespace director
