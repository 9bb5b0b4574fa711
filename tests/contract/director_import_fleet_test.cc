// What devices notice of an import from MDMDirector: nothing.
#include <chrono>
#include <string>
#include <vector>

#include "mdm/command.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"
#include "tests/support/mdmdirector_rows.h"
#include "tests/support/mdmdirector_tables.h"
#include "tests/support/postgres_stores.h"

namespace director::director_import_fleet_contract_test {
namespace {

using director_test::At;
using director_test::ImportRun;
using director_test::MdmDirectorTables;
using director_test::OwnRow;
using director_test::RunImport;
using director_test::SharedRow;
using director_test::SourceRow;
using director_test::Tombstone;
using director_test::World;
using test::PostgresDatabase;

const std::string kWifi = "com.example.wifi";

/// A fleet that MDMDirector keeps: three profiles for all, of which some devices have their own, or
/// have to be without; and one that only single devices have.
class Fleet {
 public:
  explicit Fleet(std::size_t size) {
    for (int i = 0; i < 3; ++i)
      shared_.push_back(SharedRow(i, "com.example.all" + std::to_string(i)));
    for (const SourceRow& row : shared_) tables.Add(row);
    SourceRow gone = SharedRow(9, "com.example.gone");
    gone.row.installed = false;
    tables.Add(gone);
    for (std::size_t i = 0; i < size; ++i) AddDevice(i);
    tables.Send();
  }

  /// The documents that device `index` has by now.
  const std::vector<std::string>& DocumentsOf(std::size_t index) const {
    return documents_.at(index);
  }

  MdmDirectorTables tables;

 private:
  void AddDevice(std::size_t index) {
    const DeviceFacts facts = MakeDeviceFacts(DeviceKind::kMac, 7, index);
    tables.AddDevice(facts.udid, facts.serial_number);
    std::vector<SourceRow> wanted(shared_.begin() + (index % 3 == 0 ? 1 : 0), shared_.end());
    if (index % 3 == 0) {
      const bool has_own = index % 2 == 0;
      const SourceRow row = has_own ? OwnRow(facts.udid, "com.example.all0", "Special")
                                    : Tombstone(facts.udid, "com.example.all0");
      tables.Add(row);
      if (has_own) wanted.push_back(row);
    }
    wanted.push_back(OwnRow(facts.udid, kWifi, "Site " + std::to_string(index % 40)));
    tables.Add(wanted.back());
    std::vector<std::string>& documents = documents_.emplace_back();
    for (const SourceRow& row : wanted) {
      documents.push_back(*row.document);
      tables.AddReported(facts.udid, row.row.payload_identifier, row.row.hashed_payload_uuid);
    }
    const InstalledProfile enrollment = MakeEnrollmentProfile(facts);
    tables.AddReported(facts.udid, enrollment.payload_identifier.value(), enrollment.payload_uuid);
    tables.AddReported(facts.udid, "com.example.by.hand", "12345678-0000-4000-8000-000000000000");
  }

  std::vector<SourceRow> shared_;
  std::vector<std::vector<std::string>> documents_;
};

/// Puts on each Mac what MDMDirector installed, and lets it enroll before Director listens.
void Converge(World& world, const Fleet& fleet) {
  world.drop_webhooks = true;
  world.SessionOfEach();
  world.drop_webhooks = false;
  for (std::size_t i = 0; i < world.devices.size(); ++i) {
    std::vector<std::string> documents = fleet.DocumentsOf(i);
    documents.push_back(director_test::MakeMobileconfig("com.example.by.hand"));
    for (const std::string& document : documents) {
      const std::string command = EncodeCommand(InstallProfileCommand{document},
                                                CommandUuid("BEFORE-" + std::to_string(i)));
      REQUIRE(world.devices[i].Execute(command, world.clock.Now()));
    }
  }
}

TEST_CASE("a fleet that MDMDirector kept is sent no change after the import, and looked after") {
  const bool on_postgres = GENERATE(false, true);
  const Fleet fleet(50);
  const PostgresDatabase database;
  World world(50, on_postgres ? store_test::Open(database) : director_test::OpenStore());
  Converge(world, fleet);
  const ImportRun run = RunImport(*fleet.tables.Open(), *world.store, world.clock);
  CHECK(run.outcome.matching == 50);
  CHECK(run.outcome.disturbed == 0);
  CHECK(run.outcome.problems == 0);
  CHECK(run.Says("50 devices with everything as wanted; they are sent nothing"));
  // Nobody pushes them by hand: Director knows them and asks.
  world.Run(std::chrono::hours(8));
  for (std::size_t i = 0; i < world.devices.size(); ++i) {
    CHECK(world.IsVerified(i, kWifi));
    CHECK(world.IsVerified(i, "com.example.all0"));
    CHECK(world.IsVerified(i, "com.example.gone"));
    CHECK(world.HasProfile(i, "com.example.by.hand"));
  }
  CHECK(world.Enqueued("ProfileList").size() >= 1);
  CHECK(world.Enqueued("InstallProfile").empty());
  CHECK(world.Enqueued("RemoveProfile").empty());
  // What a user deletes comes back: the import took responsibility over.
  REQUIRE(world.devices[7].DeleteProfile(PayloadIdentifier(kWifi), world.clock.Now()));
  world.Run(std::chrono::hours(24));
  CHECK(world.Enqueued("InstallProfile").size() == 1);
  CHECK(world.IsVerified(7, kWifi));
}

TEST_CASE("a renewal after the import is no new device") {
  const Fleet fleet(1);
  World world(1);
  Converge(world, fleet);
  RunImport(*fleet.tables.Open(), *world.store, world.clock);
  world.devices[0].Reenroll(ReenrollmentKind::kKept, world.clock.Now());
  world.Session(0);
  world.Run(std::chrono::hours(8));
  CHECK(world.Enqueued("InstallProfile").empty());
  CHECK(world.IsVerified(0, kWifi));
}

TEST_CASE("5,000 devices are taken over and not one is sent a change") {
  constexpr std::size_t kDevices = DIRECTOR_SLOW_BUILD ? 500 : 5000;
  const Fleet fleet(kDevices);
  const PostgresDatabase database;
  const auto store = store_test::Open(database);
  ManualClock clock(At(0));
  const auto begun = std::chrono::steady_clock::now();
  const ImportRun run = RunImport(*fleet.tables.Open(), *store, clock);
  const auto took = std::chrono::steady_clock::now() - begun;
  WARN(kDevices << " devices imported in "
                << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms");
  CHECK(run.outcome.matching == kDevices);
  CHECK(run.outcome.disturbed == 0);
  CHECK(run.outcome.differing == 0);
  CHECK(run.outcome.problems == 0);
}

TEST_CASE("a fleet of 5,000 converged Macs gets no InstallProfile in its first hours") {
  constexpr std::size_t kDevices = DIRECTOR_SLOW_BUILD ? 300 : 5000;
  const Fleet fleet(kDevices);
  auto store = OpenSqliteStore(":memory:");
  REQUIRE(store);
  World world(kDevices, std::move(*store));
  Converge(world, fleet);
  RunImport(*fleet.tables.Open(), *world.store, world.clock);
  world.Run(std::chrono::hours(1));
  CHECK(world.Enqueued("InstallProfile").empty());
  CHECK(world.Enqueued("RemoveProfile").empty());
  const FleetCounts counts = director_test::ReadFrom(
      *world.store, [&](StoreReader& reader) { return reader.CountFleet(world.clock.Now()); });
  std::int64_t verified = 0;
  for (const ItemCount& item : counts.items) {
    CHECK(item.state == ItemState::kVerified);
    verified += item.count;
  }
  CHECK(verified == static_cast<std::int64_t>(5 * kDevices));
}

}  // namespace
}  // namespace director::director_import_fleet_contract_test
