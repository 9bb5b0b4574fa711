// Identities of devices: when they end, the last renewal, what enrollment profiles must keep.
#include "tests/contract/store_fixture.h"

namespace director::store_test {
namespace {

const UpstreamName kServer("nanomdm");

const PayloadIdentifier kProfile("com.example.enroll");

std::optional<EnrollmentProfilePin> PinOf(TestStore& store, const UpstreamName& upstream,
                                          const PayloadIdentifier& profile = kProfile) {
  return store.Get<std::optional<EnrollmentProfilePin>>(
      [&](StoreReader& reader) { return reader.LoadPin(upstream, profile); });
}

void SavePin(TestStore& store, const PayloadIdentifier& profile, const std::string& content,
             int at) {
  store.Write([&](StoreWriter& writer) {
    return writer.SavePin({kServer, profile, content, At(at), false});
  });
}

void ProvePin(TestStore& store, const PayloadIdentifier& profile, int began_at) {
  store.Write([&](StoreWriter& writer) { return writer.ProvePin(kServer, profile, At(began_at)); });
}

Status DeletePins(TestStore& store, const PayloadIdentifier& profile) {
  return store.store().Write(
      [&](StoreWriter& writer) { return writer.DeletePins(kServer, profile); });
}

TEST_CASE("a plan stores the renewal that it began or saw end, and leaves another alone") {
  TestStore store(FOR_EVERY_STORE());
  Enrollment device = MakeDevice("A");
  store.Save(device);
  PlanCommit commit = MakeCommit(EnrollmentId("A"), At(100));
  commit.plan.renewal = IdentityRenewal{At(1), At(2), {}, {}};
  store.CommitPlan(commit, At(1));
  CHECK(store.LoadSnapshot("A").enrollment.renewal == commit.plan.renewal);
  commit.plan.renewal->authenticated_at = At(3);
  commit.plan.renewal->ended_at = At(4);
  store.CommitPlan(commit, At(101));
  CHECK(store.LoadSnapshot("A").enrollment.renewal == commit.plan.renewal);
  const auto stored = commit.plan.renewal;
  commit.plan.renewal.reset();
  store.CommitPlan(commit, At(102));
  CHECK(store.LoadSnapshot("A").enrollment.renewal == stored);
}

TEST_CASE("identities are counted by when they end") {
  TestStore store(FOR_EVERY_STORE());
  const Timestamp now = At(0);
  const auto save = [&](const std::string& name, std::optional<Timestamp> end) {
    Enrollment device = MakeDevice(name);
    device.status = EnrollmentStatus::kEnrolled;
    if (end) device.identity = MdmIdentity{"CN=CA", FromUnixMs(0), *end};
    store.Save(device);
  };
  save("unknown", std::nullopt);
  save("old", FromUnixMs(0));
  save("now", now);
  save("week", now + 7 * kDay);
  save("month", now + 30 * kDay);
  save("quarter", now + 90 * kDay);
  save("year", now + 91 * kDay);
  save("2100", *ParseTime("2100-01-01T00:00:00Z"));
  Enrollment left = MakeDevice("left");
  left.status = EnrollmentStatus::kCheckedOut;
  store.Save(left);
  store.Save(MakeUser("year", "user"));
  const auto counts =
      store.Get<FleetCounts>([&](StoreReader& reader) { return reader.CountFleet(now); });
  const std::map<IdentityEnd, std::int64_t> expected = {
      {IdentityEnd::kExpired, 2},  {IdentityEnd::kIn7Days, 1}, {IdentityEnd::kIn30Days, 1},
      {IdentityEnd::kIn90Days, 1}, {IdentityEnd::kLater, 2},   {IdentityEnd::kUnknown, 1}};
  CHECK(counts.identities == expected);
}

TEST_CASE("a pin gives way until it is proven by a renewal that began with it") {
  TestStore store(FOR_EVERY_STORE());
  CHECK_FALSE(PinOf(store, kServer));
  ProvePin(store, kProfile, 1);
  SavePin(store, kProfile, "one", 10);
  SavePin(store, kProfile, "one", 20);
  CHECK(PinOf(store, kServer) == EnrollmentProfilePin{kServer, kProfile, "one", At(10), false});
  SavePin(store, kProfile, "two", 30);
  ProvePin(store, kProfile, 29);
  CHECK(PinOf(store, kServer) == EnrollmentProfilePin{kServer, kProfile, "two", At(30), false});
  ProvePin(store, kProfile, 30);
  SavePin(store, kProfile, "three", 40);
  CHECK(PinOf(store, kServer) == EnrollmentProfilePin{kServer, kProfile, "two", At(30), true});
  CHECK_FALSE(PinOf(store, UpstreamName("other")));
}

TEST_CASE("each enrollment profile of a server has a pin of its own") {
  TestStore store(FOR_EVERY_STORE());
  const PayloadIdentifier other("com.example.Enroll");  // letter case counts
  SavePin(store, kProfile, "one", 10);
  SavePin(store, other, "two", 10);
  ProvePin(store, other, 10);
  CHECK(PinOf(store, kServer) == EnrollmentProfilePin{kServer, kProfile, "one", At(10), false});
  CHECK(PinOf(store, kServer, other) == EnrollmentProfilePin{kServer, other, "two", At(10), true});
  REQUIRE(DeletePins(store, other));
  CHECK_FALSE(PinOf(store, kServer, other));
  CHECK(PinOf(store, kServer));
  SavePin(store, other, "three", 20);
  REQUIRE(DeletePins(store, {}));
  CHECK_FALSE(PinOf(store, kServer));
  CHECK_FALSE(PinOf(store, kServer, other));
  for (const PayloadIdentifier& gone : {kProfile, PayloadIdentifier()}) {
    const Status nothing = DeletePins(store, gone);
    REQUIRE_FALSE(nothing);
    CHECK(nothing.error().kind == ErrorKind::kNotFound);
  }
}

TEST_CASE("a server's topic is that of one of its devices") {
  TestStore store(FOR_EVERY_STORE());
  Enrollment device = MakeDevice("A");
  store.Save(device);
  const auto topic = [&](const UpstreamName& upstream) {
    return store.Get<std::string>([&](StoreReader& reader) { return reader.FindTopic(upstream); });
  };
  CHECK(topic(device.upstream) == "");
  device.topic = "com.apple.mgmt.External.1";
  store.Save(device);
  CHECK(topic(device.upstream) == "com.apple.mgmt.External.1");
  CHECK(topic(UpstreamName("other")) == "");
}

}  // namespace
}  // namespace director::store_test
