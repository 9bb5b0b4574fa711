// The import from a real database of MDMDirector into every kind of store.
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "director/cli.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"
#include "tests/support/mdmdirector_rows.h"
#include "tests/support/mdmdirector_tables.h"
#include "tests/support/postgres_stores.h"

namespace director::director_import_contract_test {
namespace {

using director_test::At;
using director_test::ImportRun;
using director_test::MdmDirectorTables;
using director_test::OwnRow;
using director_test::RunImport;
using director_test::SharedRow;
using director_test::SourceRow;
using director_test::TempFolder;
using director_test::Tombstone;
using mdmdirector::ImportMode;
using test::PostgresDatabase;

const std::string kUdid = "00000000-0000-4000-8000-00000000000A";
const std::string kWifi = "com.example.wifi";
const std::string kDock = "com.example.dock";

/// What the reader makes of the tables.
std::vector<MdmDirectorDevice> DevicesOf(MdmDirectorDatabase& source) {
  std::vector<MdmDirectorDevice> devices;
  const Status done = source.ForEachDevice([&](const MdmDirectorDevice& device) -> Status {
    devices.push_back(device);
    return {};
  });
  INFO((done ? std::string() : ErrorForLog(done.error())));
  REQUIRE(done);
  return devices;
}

TEST_CASE("every row is read back as MDMDirector wrote it") {
  MdmDirectorTables tables;
  const SourceRow own = OwnRow(kUdid, kWifi, "it's");
  const SourceRow removal = Tombstone(kUdid, kDock);
  const SourceRow lonely = OwnRow("only here", kWifi);
  const SourceRow shared = SharedRow(1, kDock);
  tables.AddDevice(kUdid, "C02A");
  for (const SourceRow& row : {own, removal, lonely, shared}) tables.Add(row);
  tables.AddReported(kUdid, kWifi, "ABC");
  tables.AddReported("nowhere", kWifi, "ABC");
  tables.Send();
  const auto source = tables.Open();
  for (int pass = 0; pass < 2; ++pass) {
    const std::vector<MdmDirectorDevice> devices = DevicesOf(*source);
    REQUIRE(devices.size() == 2);
    const MdmDirectorDevice& device = devices[0];
    CHECK(device.udid == kUdid);
    CHECK(device.is_in_devices);
    CHECK(device.serial_number == "C02A");
    CHECK(device.build_version == "24A335");
    CHECK(device.is_active);
    CHECK(device.has_token);
    REQUIRE(device.last_checked_in);
    CHECK(ToUnixMs(*device.last_checked_in) == 1'767'323'045'006);
    CHECK(device.profiles == std::vector<MdmDirectorProfile>{removal.row, own.row});
    REQUIRE(device.reported.size() == 1);
    CHECK(device.reported[0].payload_uuid == "ABC");
    CHECK(devices[1].profiles == std::vector<MdmDirectorProfile>{lonely.row});
    CHECK_FALSE(devices[1].is_in_devices);
  }
  const auto listed = source->ListSharedProfiles();
  REQUIRE(listed);
  MdmDirectorProfile expected = shared.row;
  expected.row_id = ToLowerAscii(expected.row_id);
  CHECK(*listed == std::vector<MdmDirectorProfile>{expected});
  CHECK(*source->LoadDocument(own.row) == *own.document);
  CHECK(*source->LoadDocument(listed->front()) == *shared.document);
  CHECK(source->LoadDocument(removal.row).error().kind == ErrorKind::kNotFound);
}

TEST_CASE("columns may be NULL wherever the tables allow it, and times at the ends of time") {
  MdmDirectorTables tables;
  tables.database.Execute(
      "INSERT INTO devices (ud_id, erase, lock, token_update_recieved) "
      "VALUES ('A', NULL, NULL, NULL);"
      "INSERT INTO devices (ud_id, active, last_checked_in) VALUES "
      "('B', true, 'infinity'), ('C', true, '0001-01-01T00:00:00Z'), ('D', true, '-infinity'), "
      "('E', false, '1970-01-02T00:00:00Z');"
      "INSERT INTO device_profiles (payload_identifier, device_ud_id, installed) "
      "VALUES ('', 'A', NULL), ('x', 'A', true);"
      "INSERT INTO shared_profiles (id, installed) "
      "VALUES ('00000000-0000-0000-0000-000000000001', NULL);"
      "INSERT INTO profile_lists (id, device_ud_id, payload_uuid) VALUES "
      "('00000000-0000-0000-0000-000000000001', NULL, ''), "
      "('00000000-0000-0000-0000-000000000002', 'A', '')");
  const auto source = tables.Open();
  const std::vector<MdmDirectorDevice> devices = DevicesOf(*source);
  REQUIRE(devices.size() == 5);
  CHECK_FALSE(devices[0].is_active);
  CHECK_FALSE(devices[0].has_token);
  for (int i = 0; i < 4; ++i) CHECK_FALSE(devices[i].last_checked_in);
  CHECK(devices[4].last_checked_in == FromUnixMs(86'400'000));
  const auto store = director_test::OpenStore();
  const ManualClock clock(At(0));
  const ImportRun run = RunImport(*source, *store, clock);
  CHECK(run.outcome.problems == 3);
  CHECK(run.outcome.changes == 0);
}

TEST_CASE("serial numbers that two active devices claim are told") {
  MdmDirectorTables tables;
  tables.AddDevice("A", "C02A");
  tables.AddDevice("B", "c02a");
  tables.AddDevice("C", "C02C");
  tables.AddDevice("D", "C02C");
  tables.AddDevice("E", "");
  tables.AddDevice("F", "");
  tables.Send();
  tables.database.Execute("UPDATE devices SET active = false WHERE ud_id = 'D'");
  std::string shared;
  for (const MdmDirectorDevice& device : DevicesOf(*tables.Open())) {
    if (device.shares_serial_number) shared += device.udid;
  }
  CHECK(shared == "AB");
}

TEST_CASE("another database is not taken for MDMDirector's") {
  const PostgresDatabase empty;
  const auto nothing = OpenMdmDirectorDatabase(empty.settings());
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().kind == ErrorKind::kInvalid);
  CHECK(nothing.error().message ==
        "this is no database of MDMDirector, it has no devices, "
        "device_profiles, shared_profiles, profile_lists");
  MdmDirectorTables tables;
  tables.database.Execute(
      "ALTER TABLE devices DROP COLUMN token_update_recieved; DROP TABLE profile_lists");
  const auto partly = OpenMdmDirectorDatabase(tables.database.settings());
  REQUIRE_FALSE(partly);
  CHECK(partly.error().message.ends_with("it has no devices.token_update_recieved, profile_lists"));
}

TEST_CASE("tables that are only counted may be missing") {
  MdmDirectorTables tables;
  tables.database.Execute(
      "DROP TABLE unlock_pins; INSERT INTO shared_install_applications VALUES "
      "('00000000-0000-0000-0000-000000000001', 'https://example.com/app.plist')");
  const auto counts = tables.Open()->CountRows();
  REQUIRE(counts);
  std::int64_t apps = 0;
  for (const MdmDirectorCount& count : *counts) {
    CHECK(count.table != "unlock_pins");
    if (count.table == "shared_install_applications") apps = count.rows;
  }
  CHECK(apps == 1);
}

TEST_CASE("apps are read once each, shared ones first") {
  MdmDirectorTables tables;
  tables.database.Execute(
      "INSERT INTO devices (ud_id, serial_number) VALUES ('UDID-1', 'C02A'); "
      "INSERT INTO shared_install_applications VALUES "
      "('00000000-0000-0000-0000-000000000001', 'https://example.com/b.plist'), "
      "('00000000-0000-0000-0000-000000000002', 'https://example.com/a.plist'), "
      "('00000000-0000-0000-0000-000000000003', 'https://example.com/a.plist'); "
      "INSERT INTO device_install_applications VALUES "
      "('00000000-0000-0000-0000-000000000001', 'https://example.com/a.plist', 'UDID-1'), "
      "('00000000-0000-0000-0000-000000000002', 'https://example.com/a.plist', NULL)");
  const auto apps = tables.Open()->ListApps();
  REQUIRE(apps);
  REQUIRE(apps->size() == 3);
  CHECK((*apps)[0].manifest_url == "https://example.com/a.plist");
  CHECK((*apps)[0].udid.empty());
  CHECK((*apps)[1].manifest_url == "https://example.com/b.plist");
  CHECK((*apps)[2].udid == "UDID-1");
  CHECK((*apps)[2].serial_number == "C02A");
}

TEST_CASE("the last answers are read as rows, without PINs, keys and tokens") {
  MdmDirectorTables tables;
  for (const char* udid : {"A", "B"}) tables.AddDevice(udid, "");
  tables.Send();
  tables.AddReported("A", kWifi, "U-1");
  tables.AddReported("A", kDock, "U-2");
  tables.AddReported("NOBODY", kDock, "U-2");
  tables.Send();
  tables.database.Execute(
      "UPDATE devices SET imei = '356', unlock_pin = '123456', push_token = 'dG9rZW4=', "
      "last_device_info = '2026-01-02T03:04:05Z', last_profile_list = '0001-01-01T00:00:00Z' "
      "WHERE ud_id = 'A';"
      "UPDATE devices SET token_update_recieved = false WHERE ud_id = 'B';"
      "INSERT INTO security_infos VALUES ('A', true, 'secret');"
      "INSERT INTO firewall_settings VALUES ('A', false, true, NULL);"
      "INSERT INTO certificates (id, data, device_ud_id) VALUES "
      "('00000000-0000-0000-0000-000000000001', decode(repeat('00', 100), 'hex'), 'A'), "
      "('00000000-0000-0000-0000-000000000002', decode(repeat('00', 90000), 'hex'), 'A')");
  std::string seen;
  const auto source = tables.Open();
  const Status done = source->ForEachInventory([&](const MdmDirectorInventory& inventory) {
    seen += inventory.udid + (inventory.is_enrolled ? "" : " left");
    if (inventory.device_information_at) seen += " " + FormatTime(*inventory.device_information_at);
    if (inventory.profile_list_at) seen += " with a time";
    for (const auto& row : inventory.rows) seen += "\n  " + row.table + " " + row.columns;
    seen += "\n";
    return Status();
  });
  INFO((done ? std::string() : ErrorForLog(done.error())));
  REQUIRE(done);
  INFO(seen);
  CHECK(seen.find("A 2026-01-02T03:04:05Z\n  devices {") == 0);
  CHECK(seen.find("\"imei\": \"356\"") != std::string::npos);
  CHECK(seen.find("certificates {\"data\": \"AAAA") != std::string::npos);
  CHECK(seen.find("\"fde_enabled\": true") != std::string::npos);
  CHECK(seen.find("\"firewall_enabled\": true") != std::string::npos);
  CHECK(seen.find(kWifi) < seen.find("security_infos"));
  CHECK(seen.find("\nB left\n") != std::string::npos);
  for (const char* hidden : {"123456", "dG9rZW4", "736563726574", "NOBODY", "with a time", "\\n"}) {
    CHECK(seen.find(hidden) == std::string::npos);
  }
  CHECK(seen.size() < 10'000);
}

TEST_CASE("the last answers come into every kind of store, once") {
  MdmDirectorTables tables;
  tables.AddDevice(kUdid, "C02A");
  tables.AddReported(kUdid, kWifi, "U-1");
  tables.Send();
  tables.database.Execute(
      "UPDATE devices SET imei = '356', last_device_info = '2026-01-02T03:04:05Z', "
      "last_profile_list = '2026-01-02T03:04:06Z'");
  const bool is_postgres = GENERATE(true, false);
  const PostgresDatabase database;
  const auto store = is_postgres ? store_test::Open(database) : director_test::OpenStore();
  const ManualClock clock(At(0));
  CHECK(RunImport(*tables.Open(), *store, clock).outcome.changes == 3);
  CHECK(RunImport(*tables.Open(), *store, clock).outcome.changes == 0);
  tables.database.Execute("UPDATE devices SET last_device_info = '2026-01-03T03:04:05Z'");
  CHECK(RunImport(*tables.Open(), *store, clock).outcome.changes == 1);
  const auto imported = director_test::ReadFrom(
      *store, [](StoreReader& reader) { return reader.LoadImported({EnrollmentId(kUdid)}); });
  CHECK(imported.size() == 2);
}

TEST_CASE("a database that cannot be reached, and a URL that is none") {
  PostgresSettings away;
  away.url = "postgresql://somebody@127.0.0.1:1/mdmdirector";
  const auto unreachable = OpenMdmDirectorDatabase(away);
  REQUIRE_FALSE(unreachable);
  CHECK(unreachable.error().kind == ErrorKind::kUnavailable);
  CHECK(unreachable.error().message.starts_with("MDMDirector's database: "));
  away.url = "postgresql://somebody@[::1/x";
  CHECK(OpenMdmDirectorDatabase(away).error().kind == ErrorKind::kInvalid);
}

/// A device of each kind, so that every table has something.
void FillBriefly(MdmDirectorTables& tables) {
  tables.AddDevice(kUdid, "C02A");
  tables.Add(OwnRow(kUdid, kWifi));
  tables.Add(Tombstone(kUdid, "com.example.gone"));
  tables.Add(SharedRow(1, kDock));
  tables.AddReported(kUdid, kWifi, OwnRow(kUdid, kWifi).row.hashed_payload_uuid);
  tables.AddReported(kUdid, kDock, SharedRow(1, kDock).row.hashed_payload_uuid);
  tables.Send();
  tables.database.Execute(
      "UPDATE devices SET lock = true, unlock_pin = '123456'; INSERT INTO unlock_pins "
      "VALUES ('00000000-0000-0000-0000-000000000001', '654321', now(), '" +
      kUdid + "')");
}

TEST_CASE("nothing is written to MDMDirector's database, and no PIN is said") {
  MdmDirectorTables tables;
  FillBriefly(tables);
  const std::string before = tables.Digest();
  const auto store = director_test::OpenStore();
  const ManualClock clock(At(0));
  const ImportRun run = RunImport(*tables.Open(), *store, clock);
  CHECK(run.outcome.changes == 6);
  CHECK(run.outcome.matching == 1);
  CHECK(run.Says("not imported: device " + kUdid + ": lock is pending"));
  for (const std::string& line : run.lines) {
    CHECK(line.find("123456") == std::string::npos);
    CHECK(line.find("654321") == std::string::npos);
  }
  CHECK(tables.Digest() == before);
  tables.database.Execute("UPDATE devices SET device_name = device_name");
  CHECK(tables.Digest() != before);  // it would be noticed
}

TEST_CASE("what is pending is read with what was sent of it and with its PIN") {
  MdmDirectorTables tables;
  for (const char* udid : {"A", "B", "C", "D", "E", "F"}) tables.AddDevice(udid, "");
  tables.Send();
  tables.database.Execute(
      "UPDATE devices SET lock = true WHERE ud_id <> 'F';"
      "UPDATE devices SET erase = true, unlock_pin = '111111' WHERE ud_id = 'B';"
      "UPDATE devices SET active = false WHERE ud_id = 'C';"
      "INSERT INTO unlock_pins (id, unlock_pin, pin_set, device_ud_id) VALUES "
      "('00000000-0000-0000-0000-000000000001', '222222', '2026-01-01T00:00:00Z', 'A'), "
      "('00000000-0000-0000-0000-000000000002', '333333', '2026-01-02T00:00:00Z', 'A'), "
      "('00000000-0000-0000-0000-000000000003', '444444', NULL, 'A'), "
      "('00000000-0000-0000-0000-000000000004', '555555', now(), 'B');"
      "INSERT INTO commands (command_uuid, status, device_ud_id, request_type) VALUES "
      "('1', 'Acknowledged', 'A', 'DeviceLock'), ('2', '', 'A', 'EraseDevice'), "
      "('3', NULL, 'B', 'EraseDevice'), ('4', 'Error', 'C', 'DeviceLock'), "
      "('', '', 'C', 'DeviceLock'), ('5', 'NotNow', 'D', 'DeviceLock'), "
      "('6', '', 'E', 'InstallProfile')");
  const auto source = tables.Open();
  const auto pending = source->ListPending();
  INFO((pending ? std::string() : ErrorForLog(pending.error())));
  REQUIRE(pending);
  std::string seen;
  for (const MdmDirectorPending& one : *pending) {
    seen += one.udid + (one.is_erase ? " erase" : " lock") + (one.is_enrolled ? "" : " gone") +
            (one.is_queued ? " queued" : "") + (one.was_acknowledged ? " acknowledged" : "") + " " +
            one.pin.Reveal() + "\n";
  }
  CHECK(seen ==
        "A lock acknowledged 333333\n"
        "B erase queued 111111\n"
        "C lock gone \n"
        "D lock queued \n"
        "E lock \n");
}

TEST_CASE("without the tables that tell what was sent nothing is pending to be proposed") {
  MdmDirectorTables tables;
  tables.database.Execute("DROP TABLE unlock_pins; ALTER TABLE commands DROP COLUMN status");
  const auto source = tables.Open();
  const auto pending = source->ListPending();
  REQUIRE_FALSE(pending);
  CHECK(pending.error().kind == ErrorKind::kInvalid);
  CHECK(pending.error().message.find("commands.status, unlock_pins") != std::string::npos);
}

TEST_CASE("an account that may only read is enough, less is a clear error") {
  MdmDirectorTables tables;
  FillBriefly(tables);
  const std::string schema = tables.database.Execute("SELECT current_schema()");
  const std::string role = "reader_of_" + schema;
  tables.database.Execute("CREATE ROLE " + role + " LOGIN; GRANT USAGE ON SCHEMA " + schema +
                          " TO " + role + "; GRANT SELECT ON ALL TABLES IN SCHEMA " + schema +
                          " TO " + role);
  PostgresSettings settings = tables.database.settings();
  const std::size_t user = settings.url.find("director@");
  REQUIRE(user != std::string::npos);
  settings.url.replace(user, 8, role);
  const auto store = director_test::OpenStore();
  const ManualClock clock(At(0));
  CHECK(RunImport(*MdmDirectorTables::Open(settings), *store, clock).outcome.changes == 6);
  tables.database.Execute("REVOKE SELECT ON profile_lists FROM " + role);
  const auto source = MdmDirectorTables::Open(settings);
  mdmdirector::ImportSettings import;
  import.upstream = UpstreamName("nanomdm");
  const auto refused = mdmdirector::Import(*source, *store, clock, import, [](const auto&) {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("permission denied") != std::string::npos);
  tables.database.Execute("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

TEST_CASE("what changes meanwhile in MDMDirector does not mix into what is read") {
  MdmDirectorTables tables;
  FillBriefly(tables);
  const auto source = tables.Open();
  REQUIRE(DevicesOf(*source).size() == 1);
  tables.database.Execute("DELETE FROM device_profiles; DELETE FROM devices");
  const std::vector<MdmDirectorDevice> devices = DevicesOf(*source);
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].profiles.size() == 2);
}

TEST_CASE("Director's tables may stand beside MDMDirector's") {
  MdmDirectorTables tables;
  FillBriefly(tables);
  const std::string before = tables.Digest();
  const auto store = store_test::Open(tables.database);
  const ManualClock clock(At(0));
  CHECK(RunImport(*tables.Open(), *store, clock).outcome.changes == 6);
  CHECK(RunImport(*tables.Open(), *store, clock).outcome.changes == 0);
  CHECK(tables.Digest() == before);
}

TEST_CASE("two imports at once store what one stores") {
  MdmDirectorTables tables;
  for (int i = 0; i < 300; ++i) {
    const std::string udid = "DEVICE-" + std::to_string(i);
    tables.AddDevice(udid, "");
    tables.Add(OwnRow(udid, kWifi, "Content " + std::to_string(i % 7)));
  }
  tables.Send();
  const PostgresDatabase database;
  const auto store = store_test::Open(database);
  const ManualClock clock(At(0));
  std::vector<Result<mdmdirector::ImportOutcome>> outcomes(
      2, Fail(ErrorKind::kUnavailable, "MDMDirector's database could not be opened"));
  std::vector<std::thread> threads;
  for (auto& outcome : outcomes) {
    threads.emplace_back([&] {
      mdmdirector::ImportSettings settings;
      settings.mode = ImportMode::kImport;
      settings.upstream = UpstreamName("nanomdm");
      const auto source = OpenMdmDirectorDatabase(tables.database.settings());
      if (!source) return;
      outcome = mdmdirector::Import(**source, *store, clock, settings, [](const auto&) {});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& outcome : outcomes) {
    INFO((outcome ? std::string() : ErrorForLog(outcome.error())));
    REQUIRE(outcome);
    CHECK(outcome->problems == 0);
  }
  CHECK(director_test::ListAll(*store).size() == 300);
  const auto assignments = director_test::ReadFrom(
      *store, [](StoreReader& reader) { return reader.ListAssignments({}); });
  CHECK(assignments.size() == 300);
}

TEST_CASE("the command line plans, imports, repeats, and tells problems by its exit code") {
  MdmDirectorTables tables;
  FillBriefly(tables);
  const PostgresDatabase database;
  const TempFolder folder;
  const bool into_postgres = GENERATE(false, true);
  const std::string target = into_postgres ? database.url() : folder.Path("director.db");
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"director",
                                          "import",
                                          "mdmdirector",
                                          "--from",
                                          tables.database.url(),
                                          "--database",
                                          target,
                                          "--api-token",
                                          "t",
                                          "--mdm-url",
                                          "http://mdm",
                                          "--mdm-api-key",
                                          "k",
                                          "--webhook-hmac-key",
                                          "h"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunCommandLine(arguments, {});
  };
  const std::string password = folder.Write("password", "not asked for here\n");
  CHECK(run({"--plan"}) == 2);
  CHECK(run({"--plan", "--from-password-file", password}) == 2);
  CHECK(run({"--from-password-file", folder.Path("none")}) == 1);
  CHECK(run({}) == 0);
  CHECK(run({}) == 0);
  CHECK(run({"--plan"}) == 0);
  // A lock is pending; without data_key no PIN can be kept.
  const std::string key = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
  CHECK(run({"--plan", "--with-pending"}) == 1);
  CHECK(run({"--with-pending"}) == 1);
  CHECK(run({"--plan", "--with-pending", "--data-key", key}) == 2);
  CHECK(run({"--with-pending", "--data-key", key}) == 0);
  CHECK(run({"--plan", "--with-pending"}) == 0);
  tables.Add(SharedRow(2, kDock, "Another"));
  tables.Send();
  CHECK(run({"--plan"}) == 1);
  CHECK(run({}) == 1);
}

}  // namespace
}  // namespace director::director_import_contract_test
