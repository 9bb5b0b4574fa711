// Identities of devices: when they end, the last renewal, what enrollment profiles must keep.
#include "tests/contract/store_fixture.h"

namespace director::store_test {
namespace {

const UpstreamName kServer("nanomdm");

std::optional<EnrollmentProfilePin> PinOf(TestStore& store, const UpstreamName& upstream) {
  return store.Get<std::optional<EnrollmentProfilePin>>(
      [&](StoreReader& reader) { return reader.LoadPin(upstream); });
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
  const auto save = [&](const std::string& content, int at) {
    store.Write([&](StoreWriter& writer) {
      return writer.SavePin({kServer, content, At(at), false});
    });
  };
  const auto prove = [&](int began_at) {
    store.Write([&](StoreWriter& writer) { return writer.ProvePin(kServer, At(began_at)); });
  };
  CHECK_FALSE(PinOf(store, kServer));
  prove(1);
  save("one", 10);
  save("one", 20);
  CHECK(PinOf(store, kServer) == EnrollmentProfilePin{kServer, "one", At(10), false});
  save("two", 30);
  prove(29);
  CHECK(PinOf(store, kServer) == EnrollmentProfilePin{kServer, "two", At(30), false});
  prove(30);
  save("three", 40);
  CHECK(PinOf(store, kServer) == EnrollmentProfilePin{kServer, "two", At(30), true});
  CHECK_FALSE(PinOf(store, UpstreamName("other")));
  store.Write([](StoreWriter& writer) { return writer.DeletePin(kServer); });
  CHECK_FALSE(PinOf(store, kServer));
  const Status gone =
      store.store().Write([](StoreWriter& writer) { return writer.DeletePin(kServer); });
  REQUIRE_FALSE(gone);
  CHECK(gone.error().kind == ErrorKind::kNotFound);
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
