// Apps and accounts in the stores: definitions, assignments and lists of apps.
#include "tests/contract/store_fixture.h"

namespace director::store_apps_test {
namespace {

using namespace store_test;

const char* const kAgent = "app:com.example.agent";

Revision AgentRevision(const std::string& uuid) {
  Revision revision = MakeRevision(uuid, kAgent);
  revision.request_type = "InstallEnterpriseApplication";
  revision.app_version = "1.2";
  revision.content = "the definition";
  return revision;
}

void AssignAgent(TestStore& store) {
  store.Write([](StoreWriter& writer) -> Status {
    if (const auto saved = writer.SaveRevision(AgentRevision("UUID-A")); !saved) {
      return Fail(saved.error());
    }
    Assignment assignment = MakeAssignment(kAgent, "UUID-A");
    assignment.during_setup = true;
    assignment.at_enrollment_only = true;
    const auto assigned = writer.SaveAssignment(assignment, At(0));
    return assigned ? Status() : Fail(assigned.error());
  });
}

AppListReport MakeAppList(Timestamp reported_at, const std::string& version) {
  AppListReport report;
  report.epoch = 1;
  report.reported_at = reported_at;
  report.asked_at = reported_at - std::chrono::seconds(1);
  report.apps = {{"com.example.agent", "120", version, false}, {"com.example.x", "", "", true}};
  return report;
}

void SaveAppList(TestStore& store, const std::string& id, const AppListReport& report) {
  store.Write([&](StoreWriter& writer) {
    return writer.SaveAppLists({{EnrollmentId(id), report}}, At(100));
  });
}

std::vector<std::string> Uuids(TestStore& store, const RevisionFilter& filter) {
  std::vector<std::string> uuids;
  for (const Revision& revision : store.Get<std::vector<Revision>>(
           [&](StoreReader& reader) { return reader.ListRevisions(filter, {}); })) {
    uuids.push_back(revision.payload_uuid.value());
  }
  return uuids;
}

TEST_CASE("the definition of an app comes back, and is listed among apps only") {
  TestStore store(FOR_EVERY_STORE());
  AssignAgent(store);
  store.Write([](StoreWriter& writer) -> Status {
    Revision accounts = MakeRevision("UUID-S", "setup:AccountConfiguration");
    accounts.request_type = "AccountConfiguration";
    for (const Revision& revision : {accounts, MakeRevision("UUID-P", "com.example.wifi")}) {
      if (const auto saved = writer.SaveRevision(revision); !saved) return Fail(saved.error());
    }
    return {};
  });
  CHECK(store.Get<Revision>([](StoreReader& reader) {
    return reader.LoadRevision(PayloadUuid("UUID-A"));
  }) == AgentRevision("UUID-A"));
  CHECK(Uuids(store, {{}, ItemKind::kApp}) == std::vector<std::string>{"UUID-A"});
  CHECK(Uuids(store, {{}, ItemKind::kProfile}) == std::vector<std::string>{"UUID-P"});
  CHECK(Uuids(store, {{}, ItemKind::kAccounts}) == std::vector<std::string>{"UUID-S"});
  CHECK(Uuids(store, {PayloadIdentifier(kAgent), {}}) == std::vector<std::string>{"UUID-A"});
  CHECK(Uuids(store, {}).size() == 3);
}

TEST_CASE("a snapshot knows how an app is brought to its device, and what its last list said") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  const AppListReport list = MakeAppList(At(5), "1.2");
  SaveAppList(store, "A", list);
  CHECK_FALSE(store.LoadSnapshot("A").app_list);
  AssignAgent(store);
  const Snapshot snapshot = store.LoadSnapshot("A");
  CHECK(snapshot.app_list == list);
  REQUIRE(snapshot.assignments.size() == 1);
  const DesiredAssignment& assignment = snapshot.assignments.front();
  CHECK(assignment.during_setup);
  CHECK(assignment.at_enrollment_only);
  CHECK(assignment.request_type == "InstallEnterpriseApplication");
  CHECK(assignment.app_version == "1.2");
  CHECK_FALSE(store.LoadSnapshot("B").app_list);
}

ManagedAppListReport MakeManagedAppList(Timestamp reported_at, const std::string& status) {
  ManagedAppListReport report;
  report.epoch = 1;
  report.reported_at = reported_at;
  report.asked_at = reported_at - std::chrono::seconds(1);
  report.apps = {{"com.example.agent", status}, {"com.example.x", "Managed"}};
  return report;
}

TEST_CASE("what devices said of their managed apps comes with the snapshot, the newest of it") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  const auto save = [&](const ManagedAppListReport& report) {
    store.Write([&](StoreWriter& writer) {
      return writer.SaveManagedAppLists({{EnrollmentId("A"), report}}, At(100));
    });
  };
  const ManagedAppListReport newer = MakeManagedAppList(At(9), "UserRejected");
  save(newer);
  save(MakeManagedAppList(At(5), "Prompting"));
  CHECK_FALSE(store.LoadSnapshot("A").managed_app_list);
  AssignAgent(store);
  CHECK(store.LoadSnapshot("A").managed_app_list == newer);
  CHECK_FALSE(store.LoadSnapshot("A").app_list);
  CHECK_FALSE(store.LoadSnapshot("B").managed_app_list);
}

TEST_CASE("an older list of apps does not replace a newer one") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  AssignAgent(store);
  const AppListReport newer = MakeAppList(At(9), "1.3");
  SaveAppList(store, "A", newer);
  SaveAppList(store, "A", MakeAppList(At(5), "1.2"));
  CHECK(store.LoadSnapshot("A").app_list == newer);
}

}  // namespace
}  // namespace director::store_apps_test
