#include "reconciler/recovery_lock.h"

#include <algorithm>
#include <set>

namespace director {
namespace {

/// The proposal that brought the password. To verify one that was verified before is to verify it.
std::int64_t RootOf(const Proposal& proposal) {
  return proposal.verifies != 0 ? proposal.verifies : proposal.proposal_id;
}

}  // namespace

bool SettlesRecoveryLock(const Proposal& proposal) {
  return IsAboutRecoveryLock(proposal.kind) && proposal.effect == ProposalEffect::kCarriedOut;
}

std::vector<RecoveryLockCandidate> RecoveryLockCandidates(const std::vector<Proposal>& newest_first,
                                                          std::int64_t epoch) {
  std::vector<RecoveryLockCandidate> candidates;
  const auto add = [&](const RecoveryLockCandidate& candidate) {
    // Two ways to have no password are one.
    const bool is_known = std::any_of(candidates.begin(), candidates.end(), [&](const auto& other) {
      return !other.has_secret && !candidate.has_secret;
    });
    if (!is_known) candidates.push_back(candidate);
  };
  std::set<std::int64_t> denied;
  bool is_settled = false;
  for (const Proposal& proposal : newest_first) {
    if (!IsAboutRecoveryLock(proposal.kind)) continue;
    if (proposal.effect == ProposalEffect::kDenied) denied.insert(proposal.verifies);
    const bool is_in_doubt = proposal.kind == ProposalKind::kSetRecoveryLock &&
                             proposal.effect == ProposalEffect::kUnknown;
    const bool settles = SettlesRecoveryLock(proposal);
    if (!is_in_doubt && !settles) continue;
    const bool is_denied = denied.contains(RootOf(proposal));
    if (!is_denied) add({proposal.proposal_id, proposal.has_secret});
    is_settled = settles && !is_denied && proposal.epoch == epoch;
    if (settles) break;
  }
  if (!is_settled) add({});
  return candidates;
}

}  // namespace director
