// Which recovery key of FileVault is in force, from the history of a device's proposals, and what
// becomes of an answer with a new one.
#include <chrono>
#include <string>

#include "reconciler/file_vault_key.h"
#include "tests/support/catch.h"
#include "tests/support/plan_world.h"

namespace director::reconciler_file_vault_key_test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr Timestamp kNow{hours(24 * 20'000)};

Proposal Rotation(std::int64_t id, ProposalState state, ProposalEffect effect) {
  Proposal proposal;
  proposal.proposal_id = id;
  proposal.kind = ProposalKind::kRotateFileVaultKey;
  proposal.state = state;
  proposal.effect = effect;
  return proposal;
}

/// Its answer came at minute `answered`.
Proposal Kept(std::int64_t id, int answered) {
  Proposal proposal = Rotation(id, ProposalState::kDone, ProposalEffect::kCarriedOut);
  proposal.acknowledged_at = kNow + minutes(answered);
  proposal.has_secret = true;
  return proposal;
}

Proposal Lost(std::int64_t id) {
  return Rotation(id, ProposalState::kFailed, ProposalEffect::kUnknown);
}

Proposal Refused(std::int64_t id) {
  return Rotation(id, ProposalState::kFailed, ProposalEffect::kNone);
}

using State = FileVaultKeyState;

TEST_CASE("the recovery key in force is that of the answer that was given last") {
  const auto find = FindFileVaultKey;
  CHECK(find({}) == FileVaultKey{State::kNotKnown, 0});
  CHECK(find({Refused(1)}) == FileVaultKey{State::kNotKnown, 0});
  CHECK(find({Kept(1, 1)}) == FileVaultKey{State::kKnown, 1});
  CHECK(find({Refused(3), Kept(2, 2), Kept(1, 1)}) == FileVaultKey{State::kKnown, 2});
  // One that was taken as lost and was carried out after all, after the next one.
  CHECK(find({Kept(2, 2), Kept(1, 3)}) == FileVaultKey{State::kKnown, 1});
  Proposal lock = Lost(4);
  lock.kind = ProposalKind::kSetRecoveryLock;
  CHECK(find({lock, Kept(1, 1)}) == FileVaultKey{State::kKnown, 1});
}

TEST_CASE("after a rotation without an answer no recovery key is known until a newer one is") {
  const auto find = FindFileVaultKey;
  CHECK(find({Lost(2), Kept(1, 1)}) == FileVaultKey{State::kInDoubt, 2});
  CHECK(find({Refused(3), Lost(2), Kept(1, 1)}) == FileVaultKey{State::kInDoubt, 2});
  CHECK(find({Kept(3, 2), Lost(2), Kept(1, 1)}) == FileVaultKey{State::kKnown, 3});
  // One that is still open says nothing yet.
  const Proposal open = Rotation(2, ProposalState::kSent, ProposalEffect::kUnknown);
  CHECK(find({open, Kept(1, 1)}) == FileVaultKey{State::kKnown, 1});
}

TEST_CASE("an answer that is not opened yet, or never will be, is no recovery key") {
  Proposal answered = Rotation(2, ProposalState::kSent, ProposalEffect::kUnknown);
  TakeNewKey(kNow + minutes(9), kNow + minutes(10), answered);
  CHECK(answered.state == ProposalState::kAnswered);
  CHECK(answered.effect == ProposalEffect::kCarriedOut);
  CHECK(FindFileVaultKey({answered, Kept(1, 1)}) == FileVaultKey{State::kBeingKept, 2});
  Proposal useless = answered;
  TakeUselessAnswer("it is no envelope", kNow + minutes(11), useless);
  CHECK(useless.state == ProposalState::kFailed);
  CHECK(FindFileVaultKey({useless, Kept(1, 1)}) == FileVaultKey{State::kInDoubt, 2});
  answered.has_secret = true;
  CHECK(FindFileVaultKey({answered, Kept(1, 1)}) == FileVaultKey{State::kKnown, 2});
}

TEST_CASE("a new key that cannot be kept is tried again and says why, for ever") {
  Proposal proposal = Lost(1);
  proposal.enrollment_id = EnrollmentId("A");
  TakeNewKey(kNow, kNow, proposal);
  const Settings settings;
  Timestamp now = kNow;
  for (int i = 1; i <= 40; ++i) {
    TakeKeyTrouble("it is down", settings, now, proposal);
    CHECK(proposal.state == ProposalState::kAnswered);
    CHECK(proposal.attempts == i);
    REQUIRE(proposal.next_attempt_at);
    CHECK(*proposal.next_attempt_at > now);
    CHECK(*proposal.next_attempt_at <= now + 2 * settings.retry_delay_max);
    CHECK(proposal.explanation.find("it is down") != std::string::npos);
    now = *proposal.next_attempt_at;
  }
  TakeKeptKey(now, proposal);
  CHECK(proposal.state == ProposalState::kDone);
  CHECK(proposal.escrowed_at == now);
  CHECK_FALSE(proposal.next_attempt_at);
  CHECK(proposal.last_error.empty());
}

TEST_CASE("an answered proposal is looked at when its time comes, whatever the enrollment does") {
  const char* world = GENERATE("report -1m", "enrollment checked_out", "enrollment quarantined");
  Snapshot snapshot = test::ReadWorld(world, kNow);
  Proposal proposal = Lost(1);
  TakeNewKey(kNow, kNow, proposal);
  snapshot.answered = {proposal};
  const Plan now = Reconcile(snapshot, {}, kNow);
  CHECK(now.new_keys.size() == 1);
  CHECK(now.keeps_secrets());
  snapshot.answered[0].next_attempt_at = kNow + minutes(3);
  const Plan later = Reconcile(snapshot, {}, kNow);
  CHECK(later.new_keys.empty());
  CHECK_FALSE(later.keeps_secrets());
  CHECK(later.due_at <= kNow + minutes(3));
}

}  // namespace
}  // namespace director::reconciler_file_vault_key_test
