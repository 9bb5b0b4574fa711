#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/contract/store_fixture.h"

namespace director::store_proposals_test {
namespace {

using namespace store_test;
using std::chrono::seconds;

Result<std::int64_t> TryPropose(TestStore& store, const Proposal& proposal,
                                const SealedSecrets& sealed = {}) {
  Result<std::int64_t> id = 0;
  const Status done = store.store().Write([&](StoreWriter& writer) -> Status {
    if (Status locked = writer.LockDesired(); !locked) return locked;
    id = writer.AddProposal(proposal, sealed);
    if (!id) return Fail(id.error());
    return {};
  });
  if (!done) return Fail(done.error());
  return id;
}

std::int64_t Propose(TestStore& store, const Proposal& proposal, const SealedSecrets& sealed = {}) {
  const Result<std::int64_t> id = TryPropose(store, proposal, sealed);
  INFO((id ? std::string() : ErrorForLog(id.error())));
  REQUIRE(id);
  return *id;
}

Proposal Load(TestStore& store, std::int64_t id) {
  return store.Get<Proposal>([&](StoreReader& reader) { return reader.LoadProposal(id); });
}

SealedSecrets LoadSecrets(TestStore& store, std::int64_t id) {
  return store.Get<SealedSecrets>(
      [&](StoreReader& reader) { return reader.LoadSealedSecrets(id); });
}

void Save(TestStore& store, const Proposal& proposal) {
  store.Write([&](StoreWriter& writer) -> Status {
    const auto known = writer.LoadEnrollments({proposal.enrollment_id});
    if (!known) return Fail(known.error());
    return writer.SaveProposal(proposal);
  });
}

void End(TestStore& store, std::int64_t id, ProposalState state, Timestamp at = At(1)) {
  Proposal proposal = Load(store, id);
  proposal.state = state;
  proposal.state_since = at;
  Save(store, proposal);
}

using Numbers = std::vector<std::int64_t>;

Numbers List(TestStore& store, const ProposalFilter& filter, const PageRequest& page = {}) {
  Numbers numbers;
  for (const Proposal& proposal : store.Get<std::vector<Proposal>>(
           [&](StoreReader& reader) { return reader.ListProposals(filter, page); })) {
    numbers.push_back(proposal.proposal_id);
  }
  return numbers;
}

EnrollmentId ClaimOne(TestStore& store, Timestamp now) {
  const auto claims = store.ClaimDue(now);
  REQUIRE(claims.size() == 1);
  return claims[0];
}

/// Every field has a value of its own.
Proposal MakeFull(const std::string& id) {
  Proposal proposal = MakeProposal(id);
  proposal.kind = ProposalKind::kEraseDevice;
  proposal.reason = "it's \"lost\" {NULL,\\}";
  proposal.repeats = true;
  proposal.message = "Bitte zurückgeben";
  proposal.phone_number = "+49 30 1";
  proposal.has_secret = true;
  proposal.epoch = 7;
  proposal.created_at = At(1);
  proposal.not_before = At(2);
  proposal.expires_at = At(3);
  proposal.state = ProposalState::kSent;
  proposal.explanation = "The answer is awaited.";
  proposal.state_since = At(4);
  proposal.escrowed_at = At(5);
  proposal.attempts = 2;
  proposal.last_error = "No.";
  proposal.next_attempt_at = At(6);
  proposal.acknowledged_at = At(7);
  proposal.cancelled_at = At(8);
  proposal.effect = ProposalEffect::kUnknown;
  proposal.verifies = 3;
  proposal.command_uuid = CommandUuid("C1");
  return proposal;
}

}  // namespace

TEST_CASE("a proposal comes back as it was added, with its sealed secrets") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  Proposal full = MakeFull("A");
  const SealedSecrets secrets{"sealed", "current", "identity", "encrypted"};
  full.proposal_id = Propose(store, full, secrets);
  CHECK(Load(store, full.proposal_id) == full);
  CHECK(LoadSecrets(store, full.proposal_id) == secrets);

  Proposal bare = MakeProposal("B");
  bare.proposal_id = Propose(store, bare);
  CHECK(Load(store, bare.proposal_id) == bare);
  CHECK(LoadSecrets(store, bare.proposal_id) == SealedSecrets{});
}

TEST_CASE("the sealed secret alone tells whether a proposal has one") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  Proposal proposal = MakeProposal("A");
  const bool has_secret = GENERATE(false, true);
  proposal.has_secret = !has_secret;
  const std::int64_t id = Propose(store, proposal, {has_secret ? "sealed" : "", "current"});
  CHECK(Load(store, id).has_secret == has_secret);
}

TEST_CASE("a proposal's sealed secrets are replaced, and tell whether it has one") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  const std::int64_t id = Propose(store, MakeProposal("A"), {"", "current", "identity", ""});
  CHECK_FALSE(Load(store, id).has_secret);
  const SealedSecrets kept{"sealed", "current", "identity", "it's {NULL,\\}"};
  store.Write([&](StoreWriter& writer) { return writer.SaveSealedSecrets(id, kept); });
  CHECK(LoadSecrets(store, id) == kept);
  CHECK(Load(store, id).has_secret);
}

TEST_CASE("a proposal is found by the command that was sent last, however it stands") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"A", "B"}) store.Save(MakeDevice(id));
  const auto find = [&](const char* id, const char* command_uuid) {
    std::int64_t found = 0;
    const Status read = store.store().Read([&](StoreReader& reader) -> Status {
      const auto proposal = reader.FindProposal(EnrollmentId(id), CommandUuid(command_uuid));
      if (!proposal) return Fail(proposal.error());
      found = proposal->proposal_id;
      return {};
    });
    CHECK((read || read.error().kind == ErrorKind::kNotFound));
    return found;
  };
  const std::int64_t id = Propose(store, MakeProposal("A"));
  CHECK(find("A", "C1") == 0);
  Proposal sent = Load(store, id);
  sent.command_uuid = CommandUuid("C1");
  Save(store, sent);
  for (const ProposalState state : kProposalStates) {
    End(store, id, state);
    CHECK(find("A", "C1") == id);
  }
  CHECK(find("A", "C2") == 0);
  CHECK(find("B", "C1") == 0);
}

TEST_CASE("what is answered is unfinished and holds up no other proposal") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"A", "B"}) store.Save(MakeDevice(id));
  const std::int64_t first = Propose(store, MakeProposal("A"));
  End(store, first, ProposalState::kAnswered);
  const std::int64_t second = Propose(store, MakeProposal("A"));
  End(store, second, ProposalState::kAnswered);
  const std::int64_t open = Propose(store, MakeProposal("A"));
  CHECK(List(store, {.only_open = true}) == Numbers{open, second, first});
  CHECK(List(store, {.enrollment_id = EnrollmentId("A"), .only_open = true}) ==
        Numbers{open, second, first});
  const auto snapshots = store.Get<std::vector<Snapshot>>([](StoreReader& reader) {
    return reader.LoadSnapshots({EnrollmentId("A"), EnrollmentId("B")});
  });
  REQUIRE(snapshots.size() == 2);
  const Snapshot& a = snapshots[snapshots[0].answered.empty() ? 1 : 0];
  REQUIRE(a.proposal);
  CHECK(a.proposal->proposal_id == open);
  REQUIRE(a.answered.size() == 2);
  CHECK(a.answered[0].proposal_id == first);
  CHECK(a.answered[1].proposal_id == second);
  const Snapshot& b = snapshots[snapshots[0].answered.empty() ? 0 : 1];
  CHECK_FALSE(b.proposal);
  CHECK(b.answered.empty());
}

TEST_CASE("a proposal that is not there is not found") {
  TestStore store(FOR_EVERY_STORE());
  const Status proposal = store.store().Read([](StoreReader& reader) -> Status {
    const auto loaded = reader.LoadProposal(1);
    if (!loaded) return Fail(loaded.error());
    return {};
  });
  REQUIRE_FALSE(proposal);
  CHECK(proposal.error().kind == ErrorKind::kNotFound);
  const Status pin = store.store().Read([](StoreReader& reader) -> Status {
    const auto loaded = reader.LoadSealedSecrets(1);
    if (!loaded) return Fail(loaded.error());
    return {};
  });
  REQUIRE_FALSE(pin);
  CHECK(pin.error().kind == ErrorKind::kNotFound);
}

TEST_CASE("proposals are listed newest first, in pages, all, open ones, or those of one device") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  const std::int64_t ended = Propose(store, MakeProposal("A"));
  End(store, ended, ProposalState::kCancelled);
  const std::int64_t sent = Propose(store, MakeProposal("B"));
  End(store, sent, ProposalState::kSent);
  const std::int64_t waiting = Propose(store, MakeProposal("A"));
  CHECK(List(store, {}) == Numbers{waiting, sent, ended});
  CHECK(List(store, {}, {"", 2}) == Numbers{waiting, sent});
  CHECK(List(store, {}, {std::to_string(sent), 2}) == Numbers{ended});
  CHECK(List(store, {.only_open = true}) == Numbers{waiting, sent});
  CHECK(List(store, {.only_open = true}, {std::to_string(waiting), 2}) == Numbers{sent});
  const EnrollmentId a("A");
  CHECK(List(store, {.enrollment_id = a}) == Numbers{waiting, ended});
  CHECK(List(store, {.enrollment_id = a}, {std::to_string(waiting), 2}) == Numbers{ended});
  CHECK(List(store, {.enrollment_id = a, .only_open = true}) == Numbers{waiting});
  CHECK(List(store, {.enrollment_id = EnrollmentId("nobody")}).empty());
}

TEST_CASE("a place in the list of proposals that is no number is refused") {
  TestStore store(FOR_EVERY_STORE());
  const Status done = store.store().Read([](StoreReader& reader) -> Status {
    const auto listed = reader.ListProposals({}, {"12x", 10});
    if (!listed) return Fail(listed.error());
    return {};
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kInvalid);
  CHECK(done.error().field == "after");
}

TEST_CASE("a device has one open proposal at most") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  const std::int64_t first = Propose(store, MakeProposal("A"));
  const auto state = GENERATE(ProposalState::kWaiting, ProposalState::kSent);
  End(store, first, state);
  const Result<std::int64_t> second = TryPropose(store, MakeProposal("A"));
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == ErrorKind::kConflict);
  CHECK(second.error().message == "the device has an open proposal already");
  Propose(store, MakeProposal("B"));
  for (const ProposalState final : kProposalStates) {
    if (IsOpen(final)) continue;
    End(store, List(store, {.enrollment_id = EnrollmentId("A")}).front(), final);
    Propose(store, MakeProposal("A"));
  }
}

TEST_CASE("one that has ended cannot be opened again beside an open one") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  const std::int64_t ended = Propose(store, MakeProposal("A"));
  End(store, ended, ProposalState::kFailed);
  Propose(store, MakeProposal("A"));
  Proposal reopened = Load(store, ended);
  reopened.state = ProposalState::kWaiting;
  const Status done =
      store.store().Write([&](StoreWriter& writer) { return writer.SaveProposal(reopened); });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kInvalid);
  CHECK(Load(store, ended).state == ProposalState::kFailed);
}

TEST_CASE("a proposal for an unknown enrollment is refused") {
  TestStore store(FOR_EVERY_STORE());
  const Result<std::int64_t> id = TryPropose(store, MakeProposal("nobody"));
  REQUIRE_FALSE(id);
  CHECK(id.error().kind == ErrorKind::kInvalid);
  CHECK(List(store, {}).empty());
}

TEST_CASE("a proposal makes its enrollment due and no other") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"A", "B"}) store.Save(MakeDevice(id));
  for (const EnrollmentId& id : store.ClaimDue(At(0))) {
    store.CommitPlan(MakeCommit(id, At(900)), At(0));
  }
  Propose(store, MakeProposal("A", At(10)));
  CHECK(store.Row("A").due_at == At(10));
  CHECK(store.Row("B").due_at == At(900));
}

TEST_CASE("the number of a pruned proposal is never given again") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  const std::int64_t first = Propose(store, MakeProposal("A"));
  End(store, first, ProposalState::kDone);
  store.Write(
      [](StoreWriter& writer) { return writer.Prune(At(2) + kKeepProposals, seconds(1), 10); });
  REQUIRE(List(store, {}).empty());
  CHECK(Propose(store, MakeProposal("A")) > first);
}

TEST_CASE("a snapshot holds the open proposal of its enrollment alone") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"A", "B", "C"}) store.Save(MakeDevice(id));
  End(store, Propose(store, MakeProposal("A")), ProposalState::kDone);
  End(store, Propose(store, MakeProposal("C")), ProposalState::kExpired);
  const std::int64_t of_a = Propose(store, MakeFull("A"), {"sealed", ""});
  const std::int64_t of_b = Propose(store, MakeProposal("B"));
  std::map<EnrollmentId, std::optional<Proposal>> proposals;
  for (Snapshot& snapshot : store.Get<std::vector<Snapshot>>([](StoreReader& reader) {
         return reader.LoadSnapshots({EnrollmentId("A"), EnrollmentId("B"), EnrollmentId("C")});
       })) {
    proposals[snapshot.enrollment.channel.enrollment_id] = std::move(snapshot.proposal);
  }
  CHECK(proposals[EnrollmentId("A")] == Load(store, of_a));
  CHECK(proposals[EnrollmentId("B")] == Load(store, of_b));
  CHECK_FALSE(proposals[EnrollmentId("C")]);
}

TEST_CASE("saving a proposal changes how it stands and nothing else") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  const std::int64_t id = Propose(store, MakeProposal("A"), {"sealed", ""});
  const Proposal other = Load(store, Propose(store, MakeProposal("B")));
  const Proposal before = Load(store, id);
  Proposal changed = MakeFull("A");
  changed.proposal_id = id;
  changed.has_secret = false;
  Save(store, changed);
  Proposal expected = before;
  expected.state = changed.state;
  expected.explanation = changed.explanation;
  expected.state_since = changed.state_since;
  expected.escrowed_at = changed.escrowed_at;
  expected.attempts = changed.attempts;
  expected.last_error = changed.last_error;
  expected.next_attempt_at = changed.next_attempt_at;
  expected.acknowledged_at = changed.acknowledged_at;
  expected.cancelled_at = changed.cancelled_at;
  expected.effect = changed.effect;
  expected.command_uuid = changed.command_uuid;
  CHECK(Load(store, id) == expected);
  CHECK(Load(store, other.proposal_id) == other);
  Save(store, before);
  CHECK(Load(store, id) == before);
}

TEST_CASE("the sealed secret stays when its proposal has ended") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  const std::int64_t id = Propose(store, MakeProposal("A"), {"sealed", ""});
  End(store, id, ProposalState::kDone);
  CHECK(LoadSecrets(store, id).secret == "sealed");
  CHECK(Load(store, id).has_secret);
}

TEST_CASE("a stored plan stores what became of its proposal") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  const std::int64_t id = Propose(store, MakeProposal("A"), {"sealed", ""});
  PlanCommit commit = MakeCommit(ClaimOne(store, At(0)), At(500));
  commit.proposal_before = Load(store, id);
  commit.plan.proposal = commit.proposal_before;
  SECTION("changed") {
    commit.plan.proposal->state = ProposalState::kSent;
    commit.plan.proposal->state_since = At(1);
    commit.plan.proposal->explanation = "sent";
    store.CommitPlan(commit, At(1));
    CHECK(Load(store, id) == *commit.plan.proposal);
  }
  SECTION("ended") {
    commit.plan.proposal->state = ProposalState::kExpired;
    store.CommitPlan(commit, At(1));
    CHECK(Load(store, id).state == ProposalState::kExpired);
    CHECK_FALSE(store.LoadSnapshot("A").proposal);
  }
  SECTION("unchanged: nothing is written") {
    commit.proposal_before->attempts = 9;
    commit.plan.proposal = commit.proposal_before;
    store.CommitPlan(commit, At(1));
    CHECK(Load(store, id).attempts == 0);
  }
  SECTION("none: it stays as it is") {
    const Proposal before = *commit.proposal_before;
    commit.plan.proposal.reset();
    store.CommitPlan(commit, At(1));
    CHECK(Load(store, id) == before);
  }
  CHECK(LoadSecrets(store, id).secret == "sealed");
}

/// Device A with a plan that escrows a secret, stored at `At(1)`.
void EscrowOne(TestStore& store, Timestamp due_at) {
  store.Save(MakeDevice("A"));
  const std::int64_t id = Propose(store, MakeProposal("A"), {"sealed", ""});
  PlanCommit commit = MakeCommit(ClaimOne(store, At(0)), due_at);
  commit.proposal_before = Load(store, id);
  commit.plan.proposal = commit.proposal_before;
  const bool is_escrowed_before = GENERATE(true, false);
  commit.plan.escrow = is_escrowed_before;
  if (!is_escrowed_before) commit.plan.new_keys = {*commit.proposal_before};
  commit.lease_id = 7;
  store.CommitPlan(commit, At(1));
  CHECK(store.ClaimDue(At(3)).empty());
}

TEST_CASE("an enrollment whose secret is escrowed is left alone until its lease ends") {
  TestStore store(FOR_EVERY_STORE());
  EscrowOne(store, At(2));
  CHECK(store.EndLease(7));
  CHECK(store.ClaimDue(At(3)).size() == 1);
}

TEST_CASE("a start of the process takes up a secret that was on its way to the escrow server") {
  TestStore store(FOR_EVERY_STORE());
  EscrowOne(store, At(900));
  store.Write([](StoreWriter& writer) { return writer.RecoverJournaled(At(3)); });
  CHECK(store.ClaimDue(At(3)).size() == 1);
}

TEST_CASE("pruning takes proposals that ended long ago, oldest first, and no open ones") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"A", "B"}) store.Save(MakeDevice(id));
  const auto end_at = [&](int second) {
    const std::int64_t id = Propose(store, MakeProposal("A"), {"sealed", ""});
    End(store, id, ProposalState::kDone, At(second));
    return id;
  };
  const std::int64_t newest = end_at(30);
  const std::int64_t oldest = end_at(10);
  const std::int64_t middle = end_at(20);
  const std::int64_t open = Propose(store, MakeProposal("B"));
  const auto prune = [&](int second, std::size_t limit) {
    store.Write([&](StoreWriter& writer) {
      return writer.Prune(At(second) + kKeepProposals, seconds(1), limit);
    });
    return List(store, {});
  };
  CHECK(prune(10, 10) == Numbers{open, middle, oldest, newest});
  CHECK(prune(31, 1) == Numbers{open, middle, newest});
  CHECK(prune(30, 10) == Numbers{open, newest});
  CHECK(prune(31, 10) == Numbers{open});
}

TEST_CASE("what tells a password or a recovery key is kept as long as its enrollment") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  Numbers kept;
  for (const ProposalKind kind : {ProposalKind::kSetRecoveryLock, ProposalKind::kVerifyRecoveryLock,
                                  ProposalKind::kRotateFileVaultKey}) {
    Proposal proposal = MakeProposal("A");
    proposal.kind = kind;
    kept.insert(kept.begin(), Propose(store, proposal, {"sealed", ""}));
    End(store, kept.front(), ProposalState::kDone);
  }
  End(store, Propose(store, MakeProposal("A")), ProposalState::kDone);
  store.Write(
      [](StoreWriter& writer) { return writer.Prune(At(2) + kKeepProposals, seconds(1), 10); });
  CHECK(List(store, {}) == kept);
}

TEST_CASE("proposals are counted since a time, whatever became of them") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"A", "B"}) store.Save(MakeDevice(id));
  End(store, Propose(store, MakeProposal("A", At(1))), ProposalState::kCancelled);
  Propose(store, MakeProposal("A", At(2)));
  Propose(store, MakeProposal("B", At(3)));
  const auto count = [&](Timestamp since) {
    return store.Get<std::int64_t>(
        [&](StoreReader& reader) { return reader.CountProposalsSince(since); });
  };
  CHECK(count(At(0)) == 3);
  CHECK(count(At(1)) == 2);
  CHECK(count(At(3)) == 0);
}

TEST_CASE("open proposals are counted by kind and state") {
  TestStore store(FOR_EVERY_STORE());
  const auto propose = [&](const std::string& id, ProposalKind kind, ProposalState state) {
    store.Save(MakeDevice(id));
    Proposal proposal = MakeProposal(id);
    proposal.kind = kind;
    proposal.state = state;
    Propose(store, proposal);
  };
  const auto count = [&] {
    return store.Get<FleetCounts>([](StoreReader& reader) { return reader.CountFleet(At(0)); })
        .proposals;
  };
  CHECK(count().empty());
  propose("A", ProposalKind::kRestartDevice, ProposalState::kWaiting);
  propose("B", ProposalKind::kDeviceLock, ProposalState::kSent);
  propose("C", ProposalKind::kDeviceLock, ProposalState::kWaiting);
  propose("D", ProposalKind::kDeviceLock, ProposalState::kWaiting);
  propose("E", ProposalKind::kEraseDevice, ProposalState::kDone);
  CHECK(count() ==
        std::vector<ProposalCount>{{ProposalKind::kDeviceLock, ProposalState::kWaiting, 2},
                                   {ProposalKind::kDeviceLock, ProposalState::kSent, 1},
                                   {ProposalKind::kRestartDevice, ProposalState::kWaiting, 1}});
}

}  // namespace director::store_proposals_test
