#include <fmt/core.h>

#include <algorithm>

#include "tests/contract/store_fixture.h"

namespace director::store_desired_test {
namespace {

using namespace store_test;

bool SaveRevision(TestStore& store, const Revision& revision) {
  bool is_new = false;
  store.Write([&](StoreWriter& writer) -> Status {
    const Result<bool> saved = writer.SaveRevision(revision);
    if (!saved) return Fail(saved.error());
    is_new = *saved;
    return {};
  });
  return is_new;
}

Result<std::int64_t> TryAssign(TestStore& store, const Assignment& assignment, Timestamp now) {
  Result<std::int64_t> id = 0;
  const Status done = store.store().Write([&](StoreWriter& writer) -> Status {
    id = writer.SaveAssignment(assignment, now);
    if (!id) return Fail(id.error());
    return {};
  });
  if (!done) return Fail(done.error());
  return id;
}

std::int64_t Assign(TestStore& store, const Assignment& assignment, Timestamp now = At(0)) {
  const Result<std::int64_t> id = TryAssign(store, assignment, now);
  REQUIRE(id);
  return *id;
}

std::vector<Assignment> ListAll(TestStore& store, const std::string& identifier = {}) {
  return store.Get<std::vector<Assignment>>([&](StoreReader& reader) {
    return reader.ListAssignments({.payload_identifier = PayloadIdentifier(identifier)});
  });
}

std::vector<std::string> ListUuids(TestStore& store, const std::string& identifier,
                                   const PageRequest& page) {
  const auto revisions = store.Get<std::vector<Revision>>([&](StoreReader& reader) {
    return reader.ListRevisions({PayloadIdentifier(identifier), {}}, page);
  });
  std::vector<std::string> uuids;
  for (const Revision& revision : revisions) {
    CHECK(revision.content.empty());
    uuids.push_back(revision.payload_uuid.value());
  }
  return uuids;
}

/// Decides for everybody, so that only what happens afterwards makes somebody due.
void SettleAll(TestStore& store) {
  for (const EnrollmentId& id : store.ClaimDue(At(1000))) {
    store.CommitPlan(MakeCommit(id, At(9000)), At(1000));
  }
}

std::vector<std::string> DueBy(TestStore& store, Timestamp now) {
  std::vector<std::string> ids;
  for (const EnrollmentId& id : store.ClaimDue(now)) ids.push_back(id.value());
  return ids;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a revision comes back as it was saved, and stays as it was saved first") {
  TestStore store(FOR_EVERY_STORE());
  Revision revision = MakeRevision("UUID-1", "com.example.wifi");
  revision.payload_scope = "System";
  revision.payload_types = {"com.apple.wifi.managed", "ünïcode"};
  revision.content = std::string("<plist>\0\xff</plist>", 17);
  revision.size_bytes = 17;
  CHECK(SaveRevision(store, revision));
  Revision again = revision;
  again.source = "somebody else";
  CHECK_FALSE(SaveRevision(store, again));

  const auto loaded = store.Get<Revision>(
      [](StoreReader& reader) { return reader.LoadRevision(PayloadUuid("UUID-1")); });
  CHECK(loaded.payload_identifier == revision.payload_identifier);
  CHECK(loaded.display_name == "A profile");
  CHECK(loaded.payload_scope == "System");
  CHECK(loaded.payload_types == revision.payload_types);
  CHECK(loaded.certificate_authority == revision.certificate_authority);
  CHECK(loaded.original_payload_uuid == revision.original_payload_uuid);
  CHECK(loaded.source == "ci");
  CHECK(loaded.created_at == At(0));
  CHECK(loaded.size_bytes == 17);
  CHECK(loaded.content == revision.content);
}

TEST_CASE("a revision that is not there is not found") {
  TestStore store(FOR_EVERY_STORE());
  const Status done = store.store().Read([](StoreReader& reader) -> Status {
    const auto revision = reader.LoadRevision(PayloadUuid("UUID-1"));
    if (!revision) return Fail(revision.error());
    return {};
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kNotFound);
}

TEST_CASE("revisions are listed by identifier, newest first, in pages") {
  TestStore store(FOR_EVERY_STORE());
  const auto save = [&](const char* uuid, const char* identifier, int second) {
    Revision revision = MakeRevision(uuid, identifier);
    revision.created_at = At(second);
    SaveRevision(store, revision);
  };
  save("B-OLD", "b", 1);
  save("B-NEW", "b", 2);
  save("A-ONE", "a", 1);
  save("B-TWIN", "b", 2);
  CHECK(ListUuids(store, "", {"", 10}) == Names{"A-ONE", "B-NEW", "B-TWIN", "B-OLD"});
  CHECK(ListUuids(store, "", {"", 2}) == Names{"A-ONE", "B-NEW"});
  CHECK(ListUuids(store, "", {"B-NEW", 2}) == Names{"B-TWIN", "B-OLD"});
  CHECK(ListUuids(store, "b", {"", 10}) == Names{"B-NEW", "B-TWIN", "B-OLD"});
  CHECK(ListUuids(store, "b", {"B-OLD", 10}).empty());
}

TEST_CASE("an assignment comes back as it was saved and is replaced by its key") {
  TestStore store(FOR_EVERY_STORE());
  SaveRevision(store, MakeRevision("UUID-1", "com.example.wifi"));
  SaveRevision(store, MakeRevision("UUID-2", "com.example.wifi"));
  const std::int64_t id = Assign(store, MakeAssignment("com.example.wifi", "UUID-1", "Serial"));
  Assignment absent = MakeAssignment("com.example.wifi", "", "SERIAL");
  absent.adopt = true;
  absent.source = "puppet";
  absent.assigned_at = At(5);
  CHECK(Assign(store, absent) == id);
  const std::int64_t for_all = Assign(store, MakeAssignment("com.example.wifi", "UUID-2"));
  CHECK(for_all != id);

  const auto all = ListAll(store);
  REQUIRE(all.size() == 2);
  CHECK(all[0].assignment_id == id);
  CHECK(all[0].target == "SERIAL");
  CHECK(all[0].target_kind == TargetKind::kDevice);
  CHECK(all[0].presence == Presence::kAbsent);
  CHECK(all[0].payload_uuid.empty());
  CHECK(all[0].adopt);
  CHECK(all[0].source == "puppet");
  CHECK(all[0].assigned_at == At(5));
  CHECK(all[1].payload_uuid.value() == "UUID-2");
  CHECK(all[1].channel == AssignmentChannel::kDevice);
  CHECK(ListAll(store, "com.example.wifi").size() == 2);
  CHECK(ListAll(store, "com.example.vpn").empty());
}

TEST_CASE("assignments are listed by item, kind of target and target") {
  TestStore store(FOR_EVERY_STORE());
  SaveRevision(store, MakeRevision("UUID-1", "com.example.wifi"));
  SaveRevision(store, MakeRevision("UUID-2", "com.example.vpn"));
  Assign(store, MakeAssignment("com.example.wifi", "UUID-1", ""));
  Assign(store, MakeAssignment("com.example.wifi", "UUID-1", "C02A"));
  Assign(store, MakeAssignment("com.example.wifi", "UUID-1", "C02B"));
  Assign(store, MakeAssignment("com.example.vpn", "UUID-2", "C02A"));
  const auto listed = [&](const AssignmentFilter& filter) {
    std::string text;
    for (const Assignment& one : store.Get<std::vector<Assignment>>(
             [&](StoreReader& reader) { return reader.ListAssignments(filter); })) {
      text += one.payload_identifier.value().substr(12) + ":" + one.target + " ";
    }
    return text;
  };
  CHECK(listed({}) == "wifi: wifi:C02A wifi:C02B vpn:C02A ");
  CHECK(listed({.target_kind = TargetKind::kAll}) == "wifi: ");
  CHECK(listed({.target = "c02a"}) == "wifi:C02A vpn:C02A ");
  CHECK(listed({.payload_identifier = PayloadIdentifier("com.example.wifi"), .target = "C02A"}) ==
        "wifi:C02A ");
  CHECK(listed({.target_kind = TargetKind::kAll, .target = "C02A"}).empty());
}

TEST_CASE("an assignment that cannot be is refused") {
  TestStore store(FOR_EVERY_STORE());
  SaveRevision(store, MakeRevision("UUID-1", "com.example.wifi"));
  Assignment assignment = MakeAssignment("com.example.wifi", "UUID-1", "SERIAL");
  SECTION("without identifier") { assignment.payload_identifier = {}; }
  SECTION("of an unknown revision") { assignment.payload_uuid = PayloadUuid("UUID-9"); }
  SECTION("present without revision") { assignment.payload_uuid = {}; }
  SECTION("absent with a revision") { assignment.presence = Presence::kAbsent; }
  SECTION("for a device without a name") { assignment.target.clear(); }
  SECTION("for all with a name") { assignment.target_kind = TargetKind::kAll; }
  const Result<std::int64_t> id = TryAssign(store, assignment, At(0));
  REQUIRE_FALSE(id);
  CHECK(id.error().kind == ErrorKind::kInvalid);
  CHECK(ListAll(store).empty());
}

TEST_CASE("a snapshot holds the assignments that match the enrollment") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("Udid-1"));
  store.Save(MakeUser("Udid-1", "AA"));
  store.Save(MakeDevice("Udid-2"));
  SaveRevision(store, MakeRevision("UUID-1", "com.example.wifi"));
  const auto assign = [&](const char* identifier, AssignmentChannel channel, const char* target) {
    Assignment assignment = MakeAssignment(identifier, "UUID-1", target);
    assignment.channel = channel;
    Assign(store, assignment);
  };
  constexpr AssignmentChannel kDevice = AssignmentChannel::kDevice;
  constexpr AssignmentChannel kUser = AssignmentChannel::kUser;
  assign("all", kDevice, "");
  assign("by-udid", kDevice, "UDID-1");
  assign("by-serial", kDevice, "snudid-1");
  assign("other", kDevice, "Udid-2");
  assign("nobody", kDevice, "Udid-9");
  assign("user-all", kUser, "");
  assign("user-by-udid", kUser, "UDID-1");
  assign("user-by-serial", kUser, "SNUDID-1");
  assign("user-by-id", kUser, "udid-1:aa");
  assign("user-other", kUser, "udid-1:bb");
  const auto matching = [&](const std::string& id) {
    Names identifiers;
    for (const auto& assignment : store.LoadSnapshot(id).assignments) {
      identifiers.push_back(assignment.payload_identifier.value());
    }
    return identifiers;
  };
  CHECK(matching("Udid-1") == Names{"all", "by-udid", "by-serial"});
  CHECK(matching("Udid-2") == Names{"all", "other"});
  CHECK(matching("Udid-1:AA") == Names{"user-all", "user-by-udid", "user-by-serial", "user-by-id"});

  const DesiredAssignment desired = store.LoadSnapshot("Udid-1").assignments.at(1);
  CHECK(desired.target == "UDID-1");
  CHECK(desired.target_kind == TargetKind::kDevice);
  CHECK(desired.presence == Presence::kPresent);
  CHECK(desired.payload_uuid.value() == "UUID-1");
  CHECK(desired.certificate_authority == "ca.example.com");
  CHECK(desired.source == "ci");
  CHECK(desired.assigned_at == At(0));
  CHECK(desired.known_payload_uuids.empty());
}

TEST_CASE("what shall be absent brings every revision that was ours") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  SaveRevision(store, MakeRevision("UUID-2", "com.example.wifi"));
  SaveRevision(store, MakeRevision("UUID-1", "com.example.wifi"));
  SaveRevision(store, MakeRevision("UUID-3", "com.example.vpn"));
  Assignment absent = MakeAssignment("com.example.wifi", "");
  absent.adopt = true;
  Assign(store, absent);
  const auto assignments = store.LoadSnapshot("A").assignments;
  REQUIRE(assignments.size() == 1);
  CHECK(assignments[0].presence == Presence::kAbsent);
  CHECK(assignments[0].adopt);
  CHECK(assignments[0].payload_uuid.empty());
  CHECK(assignments[0].certificate_authority.empty());
  CHECK(assignments[0].known_payload_uuids ==
        std::vector<PayloadUuid>{PayloadUuid("UUID-1"), PayloadUuid("UUID-2")});
}

TEST_CASE("an assignment makes due those whom it concerns, when it comes and when it goes") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeUser("A", "AA"));
  store.Save(MakeDevice("B"));
  SaveRevision(store, MakeRevision("UUID-1", "com.example.wifi"));
  SettleAll(store);
  REQUIRE(DueBy(store, At(8000)).empty());
  Assignment assignment = MakeAssignment("com.example.wifi", "UUID-1");
  Names expected;
  SECTION("all devices") { expected = {"A", "B"}; }
  SECTION("all users") {
    assignment.channel = AssignmentChannel::kUser;
    expected = {"A:AA"};
  }
  SECTION("one device by serial number") {
    assignment.target_kind = TargetKind::kDevice;
    assignment.target = "snb";
    expected = {"B"};
  }
  SECTION("the users of one device by its serial number") {
    assignment.channel = AssignmentChannel::kUser;
    assignment.target_kind = TargetKind::kDevice;
    assignment.target = "sna";
    expected = {"A:AA"};
  }
  const auto covers = [&](const Names& due) {
    for (const std::string& id : expected) {
      INFO(id);
      CHECK(std::find(due.begin(), due.end(), id) != due.end());
    }
  };
  const std::int64_t assigned = Assign(store, assignment, At(3000));
  covers(DueBy(store, At(3000)));
  SettleAll(store);
  for (const EnrollmentId& id : store.ClaimDue(At(3000))) {
    store.CommitPlan(MakeCommit(id, At(9000)), At(3000));
  }
  REQUIRE(DueBy(store, At(3600)).empty());
  store.Write([&](StoreWriter& writer) { return writer.DeleteAssignment(assigned, At(4000)); });
  covers(DueBy(store, At(4000)));
  CHECK(ListAll(store).empty());
}

TEST_CASE(
    "a change for everybody reaches a large fleet by and by, and the next one all of it again") {
  TestStore store(FOR_EVERY_STORE());
  constexpr std::size_t kMore = 250;
  constexpr std::size_t kAll = kSpreadMax + kMore;
  std::vector<Enrollment> devices;
  for (std::size_t i = 0; i < kAll; ++i) devices.push_back(MakeDevice(fmt::format("D{:04}", i)));
  store.Save(MakeUser("D0000", "501"));
  store.Write([&](StoreWriter& writer) { return writer.SaveEnrollments(devices); });
  const auto settle = [&](Timestamp now) {
    const auto claims = store.ClaimDue(now, 2 * kAll);
    for (const EnrollmentId& id : claims) store.CommitPlan(MakeCommit(id, At(9000)), now);
    return claims.size();
  };
  REQUIRE(settle(At(1)) == kAll + 1);

  const std::int64_t assigned = Assign(store, MakeAssignment("com.example.wifi", ""), At(10));
  CHECK(store.NextDueAt() == At(10));
  CHECK(settle(At(20)) == kSpreadMax);
  CHECK(store.NextDueAt() == At(10));
  store.Write([&](StoreWriter& writer) { return writer.DeleteAssignment(assigned, At(15)); });
  CHECK(settle(At(20)) == kMore);  // whoever goes on changing things holds up nobody
  CHECK(store.NextDueAt() == At(15));
  CHECK(settle(At(20)) == kSpreadMax);
  CHECK(settle(At(20)) == kMore);
  CHECK(settle(At(20)) == 0);
  CHECK(store.NextDueAt() == At(9000));
}

TEST_CASE("a claim that takes over from a dead worker leaves a change for everybody to the next") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"A", "B"}) store.Save(MakeDevice(id));
  REQUIRE(store.ClaimDue(At(1), 1) == std::vector<EnrollmentId>{EnrollmentId("A")});
  PlanCommit sending = MakeCommit(EnrollmentId("A"), At(9000));
  AddCommand(sending, {"ProfileList", {}, {}, "ask"}, "ASK");
  store.CommitPlan(sending, At(1));
  for (const EnrollmentId& id : store.ClaimDue(At(1))) {
    store.CommitPlan(MakeCommit(id, At(9000)), At(1));
  }
  Assign(store, MakeAssignment("com.example.wifi", ""), At(2));
  const Timestamp lease_end = LeaseFrom(At(1));
  CHECK(store.ClaimDue(lease_end) == std::vector<EnrollmentId>{EnrollmentId("A")});
  CHECK(store.NextDueAt() == At(2));
  CHECK(store.ClaimDue(lease_end).size() == 2);
}

TEST_CASE("what changes for everybody on one channel leaves the other channel alone") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("D"));
  store.Save(MakeUser("D", "501"));
  SettleAll(store);
  Assignment for_users = MakeAssignment("com.example.dock", "");
  for_users.channel = AssignmentChannel::kUser;
  Assign(store, for_users, At(2000));
  Assign(store, MakeAssignment("com.example.wifi", ""), At(3000));
  CHECK(DueBy(store, At(2000)) == Names{"D:501"});
  CHECK(DueBy(store, At(3000)) == Names{"D:501", "D"});
}

TEST_CASE("an assignment that is not there cannot be deleted") {
  TestStore store(FOR_EVERY_STORE());
  const Status done =
      store.store().Write([](StoreWriter& writer) { return writer.DeleteAssignment(1, At(0)); });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kNotFound);
}

TEST_CASE("the number of a deleted assignment is never given again") {
  TestStore store(FOR_EVERY_STORE());
  const std::int64_t first = Assign(store, MakeAssignment("com.example.wifi", ""));
  store.Write([&](StoreWriter& writer) { return writer.DeleteAssignment(first, At(0)); });
  CHECK(Assign(store, MakeAssignment("com.example.vpn", "")) != first);
}

TEST_CASE("a retry forgets attempts, back-off and parking, and nothing else") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  const auto claims = store.ClaimDue(At(0));
  PlanCommit commit = MakeCommit(claims.at(0), At(9000));
  ItemRecord item = MakeItem("com.example.wifi", ItemState::kParked);
  item.parked = true;
  item.parked_build = "21B80";
  item.attempts = 3;
  item.next_attempt_at = At(8000);
  item.last_error = "Apple's words";
  item.sends = 2;
  commit.plan.items = {item};
  store.CommitPlan(commit, At(1));
  store.Write([](StoreWriter& writer) {
    return writer.RetryItem(EnrollmentId("A"), PayloadIdentifier("com.example.wifi"), At(5));
  });
  ItemRecord expected = item;
  expected.parked = false;
  expected.parked_build.clear();
  expected.attempts = 0;
  expected.next_attempt_at.reset();
  CHECK(store.LoadSnapshot("A").items == std::vector<ItemRecord>{expected});
  CHECK(store.Row("A").due_at == At(5));

  const Status missing = store.store().Write([](StoreWriter& writer) {
    return writer.RetryItem(EnrollmentId("A"), PayloadIdentifier("com.example.vpn"), At(5));
  });
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::kNotFound);
}

}  // namespace director::store_desired_test
