// Which recovery lock passwords may be in force, from the history of a device's proposals.
#include <vector>

#include "reconciler/recovery_lock.h"
#include "tests/support/catch.h"

namespace director::reconciler_recovery_lock_test {
namespace {

constexpr std::int64_t kEpoch = 2;

Proposal Set(std::int64_t id, ProposalEffect effect, std::int64_t epoch = kEpoch) {
  Proposal proposal;
  proposal.proposal_id = id;
  proposal.kind = ProposalKind::kSetRecoveryLock;
  proposal.has_secret = true;
  proposal.effect = effect;
  proposal.epoch = epoch;
  return proposal;
}

Proposal Clear(std::int64_t id, ProposalEffect effect) {
  Proposal proposal = Set(id, effect);
  proposal.has_secret = false;
  return proposal;
}

Proposal Verify(std::int64_t id, std::int64_t verifies, ProposalEffect effect) {
  Proposal proposal = Set(id, effect);
  proposal.kind = ProposalKind::kVerifyRecoveryLock;
  proposal.verifies = verifies;
  return proposal;
}

/// Newest first; 0 is none, and what was cleared has a minus.
std::vector<std::int64_t> Candidates(const std::vector<Proposal>& newest_first) {
  std::vector<std::int64_t> ids;
  for (const auto& candidate : RecoveryLockCandidates(newest_first, kEpoch)) {
    ids.push_back(candidate.has_secret ? candidate.proposal_id : -candidate.proposal_id);
  }
  return ids;
}

using Ids = std::vector<std::int64_t>;
constexpr auto kNone = ProposalEffect::kNone;
constexpr auto kUnknown = ProposalEffect::kUnknown;
constexpr auto kCarriedOut = ProposalEffect::kCarriedOut;
constexpr auto kDenied = ProposalEffect::kDenied;

TEST_CASE("the last password that was acknowledged is in force") {
  CHECK(Candidates({}) == Ids{0});
  CHECK(Candidates({Set(1, kCarriedOut)}) == Ids{1});
  CHECK(Candidates({Set(2, kCarriedOut), Set(1, kCarriedOut)}) == Ids{2});
  CHECK(Candidates({Set(2, kNone), Set(1, kCarriedOut)}) == Ids{1});
  CHECK(Candidates({Clear(2, kCarriedOut), Set(1, kCarriedOut)}) == Ids{-2});
  Proposal lock = Set(2, kCarriedOut);
  lock.kind = ProposalKind::kDeviceLock;
  CHECK(Candidates({lock, Set(1, kCarriedOut)}) == Ids{1});
}

TEST_CASE("without an answer the new password and the one before stay, until one is proven") {
  const std::vector<Proposal> lost = {Set(2, kUnknown), Set(1, kCarriedOut)};
  CHECK(Candidates(lost) == Ids{2, 1});
  CHECK(Candidates({Set(2, kUnknown)}) == Ids{2, 0});
  CHECK(Candidates({Set(3, kUnknown), Set(2, kUnknown), Set(1, kCarriedOut)}) == Ids{3, 2, 1});
  CHECK(Candidates({Verify(3, 2, kUnknown), lost[0], lost[1]}) == Ids{2, 1});
  CHECK(Candidates({Verify(3, 2, kCarriedOut), lost[0], lost[1]}) == Ids{3});
  CHECK(Candidates({Verify(3, 2, kDenied), lost[0], lost[1]}) == Ids{1});
  CHECK(Candidates({Verify(3, 1, kCarriedOut), lost[0], lost[1]}) == Ids{3});
  CHECK(Candidates({Verify(3, 1, kDenied), lost[0], lost[1]}) == Ids{2, 0});
  CHECK(Candidates({Verify(3, 0, kDenied), lost[0], lost[1]}) == Ids{2, 1});
}

TEST_CASE("a password that may have been cleared is kept beside none") {
  CHECK(Candidates({Clear(2, kUnknown), Set(1, kCarriedOut)}) == Ids{-2, 1});
  CHECK(Candidates({Verify(3, 1, kDenied), Clear(2, kUnknown), Set(1, kCarriedOut)}) == Ids{-2});
  CHECK(Candidates({Clear(1, kUnknown)}) == Ids{-1});
}

TEST_CASE("what somebody else has changed is not known any more") {
  CHECK(Candidates({Verify(2, 1, kDenied), Set(1, kCarriedOut)}) == Ids{0});
  CHECK(Candidates({Verify(3, 1, kDenied), Verify(2, 1, kCarriedOut), Set(1, kUnknown)}) == Ids{0});
  CHECK(Candidates({Verify(3, 1, kDenied), Verify(2, 1, kCarriedOut), Set(1, kCarriedOut)}) ==
        Ids{0});
  CHECK(Candidates({Verify(3, 1, kDenied), Verify(2, 1, kUnknown), Set(1, kCarriedOut)}) == Ids{0});
}

TEST_CASE("the password of an earlier epoch is in doubt until it is verified") {
  CHECK(Candidates({Set(1, kCarriedOut, 1)}) == Ids{1, 0});
  CHECK(Candidates({Set(2, kUnknown, 1), Set(1, kCarriedOut, 1)}) == Ids{2, 1, 0});
  CHECK(Candidates({Verify(2, 1, kCarriedOut), Set(1, kCarriedOut, 1)}) == Ids{2});
  CHECK(Candidates({Verify(2, 1, kDenied), Set(1, kCarriedOut, 1)}) == Ids{0});
}

}  // namespace
}  // namespace director::reconciler_recovery_lock_test
