#include "tests/contract/store_fixture.h"

namespace director::store_loop_test {
namespace {

using namespace store_test;

std::vector<std::string> IdsOf(const std::vector<EnrollmentId>& claims) {
  std::vector<std::string> ids;
  for (const EnrollmentId& id : claims) ids.push_back(id.value());
  return ids;
}

using Ids = std::vector<std::string>;

EnrollmentId ClaimOne(TestStore& store, Timestamp now) {
  const auto claims = store.ClaimDue(now);
  REQUIRE(claims.size() == 1);
  return claims[0];
}

PlannedCommand Install() {
  return {"InstallProfile", PayloadIdentifier("com.example.wifi"), PayloadUuid("UUID-1"), "wanted"};
}

/// Enrollment A with one journaled command CMD-1; returns the end of its lease.
Timestamp JournalLeased(TestStore& store) {
  store.Save(MakeDevice("A"));
  PlanCommit commit = MakeCommit(ClaimOne(store, At(0)), At(500));
  AddCommand(commit, Install(), "CMD-1");
  store.CommitPlan(commit, At(1));
  return LeaseFrom(At(1));
}

void JournalOne(TestStore& store) {
  JournalLeased(store);
  CHECK(store.EndLease(LeaseOf("CMD-1")));
}

void Dispatch(TestStore& store, IntentState state, const std::string& error, Timestamp now) {
  store.Write([&](StoreWriter& writer) {
    return writer.RecordDispatch({{EnrollmentId("A"), CommandUuid("CMD-1"), state, error}}, now);
  });
}

}  // namespace

TEST_CASE("due enrollments are claimed oldest first, up to the limit, once") {
  TestStore store(FOR_EVERY_STORE());
  int age = 0;
  for (const char* id : {"C", "A", "B", "LATER"}) {
    Enrollment enrollment = MakeDevice(id);
    enrollment.last_seen_at = std::string(id) == "LATER" ? At(100) : At(age++);
    store.Save(enrollment);
  }
  const auto first = store.ClaimDue(At(10), 2);
  CHECK(IdsOf(first) == Ids{"C", "A"});
  for (const EnrollmentId& id : first) store.CommitPlan(MakeCommit(id, At(900)), At(10));
  CHECK(IdsOf(store.ClaimDue(At(10))) == Ids{"B"});
  store.CommitPlan(MakeCommit(ClaimOne(store, At(10)), At(900)), At(10));
  CHECK(store.ClaimDue(At(10)).empty());
}

TEST_CASE("what was claimed and not decided for stays due") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  CHECK(store.ClaimDue(At(1)).size() == 1);
  CHECK(store.ClaimDue(At(1)).size() == 1);
  CHECK(store.NextDueAt() == At(0));
}

TEST_CASE(
    "what a dead worker held is due when its lease ends, its journaled commands are in doubt") {
  TestStore store(FOR_EVERY_STORE());
  const Timestamp lease_end = JournalLeased(store);
  const Timestamp soon = lease_end - std::chrono::seconds(1);
  const Timestamp later = lease_end + std::chrono::seconds(60);
  store.Save(MakeDevice("B"));
  CHECK(store.NextDueAt() == At(0));
  PlanCommit other = MakeCommit(ClaimOne(store, At(2)), later);
  AddCommand(other, Install(), "OTHER");
  store.CommitPlan(other, At(3));
  CHECK(store.NextDueAt() == lease_end);
  CHECK(store.ClaimDue(soon).empty());
  const auto taken = store.ClaimDue(lease_end);
  REQUIRE(IdsOf(taken) == Ids{"A"});
  store.Write([&](StoreWriter& writer) -> Status {
    const auto claims = writer.ClaimDue(lease_end, 100);
    if (!claims) return Fail(claims.error());
    return writer.CommitPlans({MakeCommit(claims->at(0), later)}, LeaseFrom(lease_end), lease_end);
  });
  CHECK(store.LoadIntent("A", "CMD-1").state == IntentState::kUnknown);
  CHECK(store.LoadIntent("B", "OTHER").state == IntentState::kJournaled);
  CHECK_FALSE(store.EndLease(LeaseOf("CMD-1")));  // it was not dead
  Dispatch(store, IntentState::kSent, "", lease_end);
  CHECK(store.LoadIntent("A", "CMD-1").state == IntentState::kSent);
  CHECK(store.EndLease(LeaseOf("OTHER")));
  CHECK(store.NextDueAt() == later);
}

TEST_CASE("what a lease journaled is sent when it ends, but for what is known to be otherwise") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  PlanCommit commit = MakeCommit(ClaimOne(store, At(0)), At(500));
  for (const char* uuid : {"CMD-1", "REFUSED", "ANSWERED"}) AddCommand(commit, Install(), uuid);
  store.CommitPlan(commit, At(1));
  Intent answered = store.LoadIntent("A", "ANSWERED");
  CHECK(answered.state == IntentState::kJournaled);
  answered.state = IntentState::kAcknowledged;
  store.Save("A", answered);
  store.Write([](StoreWriter& writer) -> Status {
    const Result<bool> is_in_time = writer.EndLease(LeaseOf("CMD-1"));
    if (!is_in_time) return Fail(is_in_time.error());
    CHECK(*is_in_time);
    return writer.RecordDispatch(
        {{EnrollmentId("A"), CommandUuid("REFUSED"), IntentState::kRefused, "no"}}, At(2));
  });
  CHECK(store.LoadIntent("A", "CMD-1").state == IntentState::kSent);
  CHECK(store.LoadIntent("A", "REFUSED").state == IntentState::kRefused);
  CHECK(store.LoadIntent("A", "ANSWERED").state == IntentState::kAcknowledged);
  std::map<std::string, IntentState> in_snapshot;
  for (const Intent& intent : store.LoadSnapshot("A").intents)
    in_snapshot[intent.command_uuid.value()] = intent.state;
  CHECK(in_snapshot ==
        std::map<std::string, IntentState>{{"CMD-1", IntentState::kSent},
                                           {"REFUSED", IntentState::kRefused},
                                           {"ANSWERED", IntentState::kAcknowledged}});
  const auto listed = store.Get<std::vector<IntentRow>>(
      [](StoreReader& reader) { return reader.ListIntents(IntentFilter::kOpen, {}, 10); });
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].intent.state == IntentState::kSent);
  CHECK_FALSE(store.EndLease(LeaseOf("CMD-1")));
}

TEST_CASE("the next due time respects leases") {
  TestStore store(FOR_EVERY_STORE());
  CHECK_FALSE(store.NextDueAt());
  store.Save(MakeDevice("A"));
  CHECK(store.NextDueAt() == At(0));
  CHECK(JournalLeased(store) == At(61));
  CHECK(store.NextDueAt() == At(61));
  Enrollment other = MakeDevice("B");
  other.last_seen_at = At(30);
  store.Save(other);
  CHECK(store.NextDueAt() == At(30));
}

TEST_CASE("marking due only ever brings the time forward") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.MarkDue("A", At(50));
  CHECK(store.Row("A").due_at == At(0));
  store.MarkDue("A", At(-50));
  CHECK(store.Row("A").due_at == At(-50));
}

TEST_CASE("what an event changes and that a decision is due are saved together") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"A", "B"}) store.Save(MakeDevice(id));
  Enrollment heard = MakeDevice("A");
  heard.last_seen_at = At(9);
  const Enrollment fresh = MakeDevice("C");
  const auto save = [&](Timestamp due_at) {
    store.Write([&](StoreWriter& writer) -> Status {
      const auto loaded = writer.LoadEnrollments({EnrollmentId("A")});
      if (!loaded) return Fail(loaded.error());
      return writer.SaveEnrollments(
          {heard, fresh},
          {{EnrollmentId("A"), due_at}, {EnrollmentId("B"), due_at}, {EnrollmentId("C"), due_at}});
    });
  };
  save(At(50));
  CHECK(store.Row("A").enrollment.last_seen_at == At(9));
  for (const char* id : {"A", "B", "C"}) CHECK(store.Row(id).due_at == At(0));
  save(At(-50));
  for (const char* id : {"A", "B", "C"}) CHECK(store.Row(id).due_at == At(-50));
}

TEST_CASE("a plan is stored as a whole") {
  TestStore store(FOR_EVERY_STORE());
  Enrollment device = MakeDevice("A");
  device.push_count = 2;
  store.Save(device);
  Intent answered = MakeIntent("OLD");
  answered.state = IntentState::kAcknowledged;
  store.Save("A", answered);
  PlanCommit commit = MakeCommit(ClaimOne(store, At(0)), At(500));
  ItemRecord item = MakeItem("com.example.wifi", ItemState::kInFlight);
  item.presence = Presence::kAbsent;
  item.due_at = At(501);
  item.attempts = 2;
  item.next_attempt_at = At(502);
  item.acknowledged_at = At(503);
  item.settled_at = At(504);
  item.verified_at = At(505);
  item.parked = true;
  item.parked_build = "21B80";
  item.last_error = "no";
  item.last_error_at = At(506);
  item.sends = 3;
  commit.plan.items = {item, MakeItem("com.example.vpn")};
  commit.plan.closed = {{CommandUuid("OLD"), IntentState::kAcknowledged, ""}};
  commit.plan.push = true;
  commit.plan.wants_wake = true;
  commit.epoch = 4;
  AddCommand(commit, Install(), "NEW");
  AddCommand(commit, {"ProfileList", {}, {}, "ask"}, "ASK");
  store.CommitPlan(commit, At(3));

  const Snapshot snapshot = store.LoadSnapshot("A");
  CHECK(snapshot.enrollment.push_count == 3);
  CHECK(snapshot.enrollment.pushed_at == At(3));
  CHECK(snapshot.enrollment.wants_wake);
  CHECK(store.Row("A").due_at == At(500));
  REQUIRE(snapshot.items.size() == 2);
  CHECK(snapshot.items[0] == commit.plan.items[1]);
  CHECK(snapshot.items[1] == item);
  REQUIRE(snapshot.intents.size() == 2);
  CHECK(store.LoadIntent("A", "OLD").state == IntentState::kAcknowledged);
  const Intent intent = store.LoadIntent("A", "NEW");
  CHECK(intent.state == IntentState::kJournaled);
  CHECK(intent.request_type == "InstallProfile");
  CHECK(intent.payload_identifier.value() == "com.example.wifi");
  CHECK(intent.payload_uuid.value() == "UUID-1");
  CHECK(intent.epoch == 4);
  CHECK(intent.journaled_at == At(3));
  CHECK_FALSE(intent.answered_at);
  CHECK(store.LoadIntent("A", "ASK").payload_identifier.empty());
}

TEST_CASE("the next plan changes, keeps and drops items, and leaves pushes alone") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  PlanCommit commit = MakeCommit(ClaimOne(store, At(0)), At(10));
  commit.plan.items = {MakeItem("a"), MakeItem("b"), MakeItem("c")};
  commit.plan.push = true;
  store.CommitPlan(commit, At(1));

  PlanCommit next = MakeCommit(ClaimOne(store, At(10)), At(20));
  next.items_before = store.LoadSnapshot("A").items;
  next.plan.items = {MakeItem("b"), MakeItem("c", ItemState::kVerified), MakeItem("d")};
  store.CommitPlan(next, At(11));
  const Snapshot snapshot = store.LoadSnapshot("A");
  CHECK(snapshot.items == next.plan.items);
  CHECK(snapshot.enrollment.push_count == 1);
  CHECK(snapshot.enrollment.pushed_at == At(1));
}

TEST_CASE("an enrollment that is sent commands is left alone until its lease ends") {
  TestStore store(FOR_EVERY_STORE());
  JournalLeased(store);
  store.MarkDue("A", At(2));
  CHECK(store.ClaimDue(At(3)).empty());
  CHECK(store.EndLease(LeaseOf("CMD-1")));
  CHECK(store.ClaimDue(At(3)).size() == 1);
}

TEST_CASE("a plan that sends nothing leaves no lease") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.CommitPlan(MakeCommit(ClaimOne(store, At(0)), At(500)), At(1));
  store.MarkDue("A", At(2));
  CHECK(store.ClaimDue(At(3)).size() == 1);
}

TEST_CASE("a worker whose lease ran out cannot end the lease of the next one") {
  TestStore store(FOR_EVERY_STORE());
  const Timestamp slow = JournalLeased(store);
  PlanCommit commit = MakeCommit(ClaimOne(store, slow), At(900));
  AddCommand(commit, Install(), "CMD-2");
  store.CommitPlan(commit, slow);
  store.MarkDue("A", At(2));
  CHECK_FALSE(store.EndLease(LeaseOf("CMD-1")));
  CHECK(store.ClaimDue(slow).empty());
  CHECK(store.EndLease(LeaseOf("CMD-2")));
  CHECK(store.ClaimDue(slow).size() == 1);
}

TEST_CASE("without news, an enrollment with a stored plan is due when the plan says") {
  TestStore store(FOR_EVERY_STORE());
  JournalOne(store);
  CHECK(store.ClaimDue(At(499)).empty());
  CHECK(store.ClaimDue(At(500)).size() == 1);
}

TEST_CASE("everything that makes a decision stale makes the enrollment due") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Write([](StoreWriter& writer) -> Status {
    const auto saved = writer.SaveRevision(MakeRevision("UUID-1", "com.example.wifi"));
    if (!saved) return Fail(saved.error());
    return {};
  });
  PlanCommit commit = MakeCommit(ClaimOne(store, At(0)), At(500));
  commit.plan.items = {MakeItem("com.example.wifi")};
  AddCommand(commit, Install(), "CMD-1");
  store.CommitPlan(commit, At(1));
  SECTION("a new assignment") {
    store.Write([](StoreWriter& writer) -> Status {
      const auto saved = writer.SaveAssignment(MakeAssignment("com.example.wifi", "UUID-1"), At(6));
      if (!saved) return Fail(saved.error());
      return {};
    });
  }
  SECTION("a retry") {
    store.Write([](StoreWriter& writer) {
      return writer.RetryItem(EnrollmentId("A"), PayloadIdentifier("com.example.wifi"), At(6));
    });
  }
  SECTION("a command that did not get through") {
    Dispatch(store, IntentState::kNotSent, "down", At(6));
  }
  SECTION("a start of the process") {
    store.Write([](StoreWriter& writer) { return writer.RecoverJournaled(At(6)); });
  }
  store.EndLease(LeaseOf("CMD-1"));
  CHECK(store.ClaimDue(At(7)).size() == 1);
}

TEST_CASE("a plan needs a lease and one CommandUUID for each command, never one that is in use") {
  TestStore store(FOR_EVERY_STORE());
  JournalOne(store);
  PlanCommit commit = MakeCommit(ClaimOne(store, At(500)), At(900));
  SECTION("none") { commit.plan.commands.push_back(Install()); }
  SECTION("a used one") { AddCommand(commit, Install(), "CMD-1"); }
  SECTION("an empty one") { AddCommand(commit, Install(), ""); }
  SECTION("no lease") {
    AddCommand(commit, Install(), "CMD-2");
    commit.lease_id = 0;
  }
  commit.plan.items = {MakeItem("com.example.wifi")};
  const Status done = store.store().Write([&](StoreWriter& writer) {
    return writer.CommitPlans({commit}, LeaseFrom(At(501)), At(501));
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kInvalid);
  CHECK(store.LoadSnapshot("A").items.empty());
}

TEST_CASE("what is set aside is due again when asked, also when a dead worker held it") {
  TestStore store(FOR_EVERY_STORE());
  Timestamp now = At(10);
  SECTION("due") { store.Save(MakeDevice("A")); }
  SECTION("held by a dead worker") { now = JournalLeased(store); }
  const Timestamp later = now + std::chrono::hours(1);
  store.Write([&](StoreWriter& writer) -> Status {
    const auto claims = writer.ClaimDue(now, 100);
    if (!claims) return Fail(claims.error());
    CHECK(IdsOf(*claims) == Ids{"A"});
    return writer.SetAside({EnrollmentId("A")}, later);
  });
  CHECK(store.Row("A").due_at == later);
  CHECK(store.NextDueAt() == later);
  CHECK(store.ClaimDue(later).size() == 1);
}

TEST_CASE("intents move to another CommandUUID only while they are journaled") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  store.Save(MakeDevice("C"));
  for (const EnrollmentId& id : store.ClaimDue(At(0))) {
    PlanCommit commit = MakeCommit(id, At(500));
    AddCommand(commit, Install(), "BATCH");
    commit.lease_id = LeaseOf(id.value());
    store.CommitPlan(commit, At(1));
  }
  Intent sent = MakeIntent("BATCH");
  sent.state = IntentState::kSent;
  store.Save("B", sent);
  store.Write([](StoreWriter& writer) {
    return writer.MoveIntents(CommandUuid("BATCH"), CommandUuid("HALF"),
                              {EnrollmentId("A"), EnrollmentId("B")});
  });
  CHECK(store.LoadIntent("A", "HALF").state == IntentState::kJournaled);
  CHECK(store.LoadIntent("B", "BATCH").state == IntentState::kSent);
  CHECK(store.LoadIntent("C", "BATCH").state == IntentState::kJournaled);
  CHECK(store.LoadSnapshot("A").intents.size() == 1);
}

TEST_CASE("the outcome of a dispatch is recorded") {
  TestStore store(FOR_EVERY_STORE());
  JournalOne(store);
  SECTION("sent: nothing is due") {
    Dispatch(store, IntentState::kSent, "", At(2));
    const Intent intent = store.LoadIntent("A", "CMD-1");
    CHECK(intent.state == IntentState::kSent);
    CHECK_FALSE(intent.answered_at);
    CHECK(store.Row("A").due_at == At(500));
  }
  SECTION("unknown: still open, due") {
    Dispatch(store, IntentState::kUnknown, "timed out", At(2));
    const Intent intent = store.LoadIntent("A", "CMD-1");
    CHECK(intent.state == IntentState::kUnknown);
    CHECK(intent.error == "timed out");
    CHECK_FALSE(intent.answered_at);
    CHECK(store.Row("A").due_at == At(2));
    Dispatch(store, IntentState::kSent, "", At(3));
    CHECK(store.LoadIntent("A", "CMD-1").state == IntentState::kSent);
  }
  SECTION("refused: final, with its time and words, due") {
    Dispatch(store, IntentState::kRefused, "bad topic", At(2));
    const Intent intent = store.LoadIntent("A", "CMD-1");
    CHECK(intent.state == IntentState::kRefused);
    CHECK(intent.error == "bad topic");
    CHECK(intent.answered_at == At(2));
    CHECK(store.Row("A").due_at == At(2));
  }
  SECTION("an answer of the device that came first stays") {
    Intent answered = store.LoadIntent("A", "CMD-1");
    answered.state = IntentState::kAcknowledged;
    answered.answered_at = At(2);
    store.Save("A", answered);
    Dispatch(store, IntentState::kNotSent, "reset", At(3));
    CHECK(store.LoadIntent("A", "CMD-1").state == IntentState::kAcknowledged);
    CHECK(store.LoadIntent("A", "CMD-1").error.empty());
  }
}

TEST_CASE("a dead push token is remembered") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  store.Write([](StoreWriter& writer) { return writer.MarkUnregistered({EnrollmentId("A")}); });
  CHECK(store.Row("A").enrollment.push_unregistered);
  CHECK_FALSE(store.Row("B").enrollment.push_unregistered);
}

TEST_CASE("after a start, the commands of who held a lease are in doubt, its enrollments due") {
  TestStore store(FOR_EVERY_STORE());
  JournalLeased(store);
  Intent sent = MakeIntent("SENT");
  sent.state = IntentState::kSent;
  store.Save("A", sent);
  store.Save(MakeDevice("DUE"));
  PlanCommit leased = MakeCommit(ClaimOne(store, At(5)), At(6));
  AddCommand(leased, {"ProfileList", {}, {}, "ask"}, "ASK");
  store.CommitPlan(leased, At(5));
  store.Save(MakeDevice("OVER"));
  PlanCommit over = MakeCommit(ClaimOne(store, At(5)), At(900));
  AddCommand(over, Install(), "CMD-2");
  store.CommitPlan(over, At(5));
  CHECK(store.EndLease(LeaseOf("CMD-2")));
  store.Write([](StoreWriter& writer) { return writer.RecoverJournaled(At(7)); });
  CHECK(store.LoadIntent("A", "CMD-1").state == IntentState::kUnknown);
  CHECK(store.LoadIntent("A", "SENT").state == IntentState::kSent);
  CHECK(store.LoadIntent("OVER", "CMD-2").state == IntentState::kSent);
  CHECK(store.Row("A").due_at == At(7));
  CHECK(store.Row("OVER").due_at == At(900));
  CHECK(IdsOf(store.ClaimDue(At(7))) == Ids{"DUE", "A"});
}

TEST_CASE("pruning takes old closed intents and nothing that is still needed") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  for (const char* uuid : {"C1", "C2", "C3", "OPEN"}) store.Save("A", MakeIntent(uuid));
  PlanCommit commit = MakeCommit(ClaimOne(store, At(0)), At(500));
  commit.plan.closed = {{CommandUuid("C1"), IntentState::kLost, "gone"},
                        {CommandUuid("C2"), IntentState::kLost, "gone"},
                        {CommandUuid("C3"), IntentState::kLost, "gone"}};
  store.CommitPlan(commit, At(10));
  const auto prune = [&](Timestamp now, std::size_t limit) {
    store.Write(
        [&](StoreWriter& writer) { return writer.Prune(now, std::chrono::seconds(100), limit); });
    return store
        .Get<std::vector<std::pair<EnrollmentId, Intent>>>([](StoreReader& reader) {
          const EnrollmentId id("A");
          return reader.LoadIntents({{id, CommandUuid("C1")},
                                     {id, CommandUuid("C2")},
                                     {id, CommandUuid("C3")},
                                     {id, CommandUuid("OPEN")}});
        })
        .size();
  };
  CHECK(prune(At(110), 10) == 4);
  CHECK(prune(At(111), 2) == 2);
  CHECK(prune(At(111), 2) == 1);
  CHECK(store.LoadSnapshot("A").intents.size() == 1);
}

TEST_CASE("pruning keeps the newest dead letters within their bound") {
  TestStore store(FOR_EVERY_STORE());
  store.Write([](StoreWriter& writer) {
    std::vector<DeadLetter> letters(static_cast<std::size_t>(kDeadLettersMax) + 5);
    for (std::size_t i = 0; i < letters.size(); ++i) letters[i].reason = std::to_string(i);
    return writer.AddDeadLetters(letters);
  });
  const auto prune_and_count = [&](std::size_t limit) {
    store.Write(
        [&](StoreWriter& writer) { return writer.Prune(At(0), std::chrono::seconds(1), limit); });
    return store.Get<FleetCounts>([](StoreReader& reader) { return reader.CountFleet(At(0)); })
        .dead_letters;
  };
  CHECK(prune_and_count(2) == kDeadLettersMax + 3);
  CHECK(prune_and_count(100) == kDeadLettersMax);
  CHECK(prune_and_count(100) == kDeadLettersMax);
  const auto newest = store.Get<std::vector<DeadLetter>>([](StoreReader& reader) {
    return reader.ListDeadLetters({"", 1});
  });
  CHECK(newest.at(0).reason == std::to_string(kDeadLettersMax + 4));
}

}  // namespace director::store_loop_test
