// A database of MDMDirector as an import takes it over, again and beside what is there, without a
// server: tests/contract has the real one.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/text.h"
#include "director/cli.h"
#include "director/mdmdirector_import.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/mdmdirector_client.h"
#include "tests/support/mdmdirector_rows.h"

namespace director::director_import_test {
namespace {

using director_test::ImportRun;
using director_test::MakeMobileconfig;
using director_test::OwnRow;
using director_test::SharedRow;
using director_test::SourceRow;
using director_test::Tombstone;
using mdmdirector::ImportMode;
using mdmdirector::OnDifference;
using Fixture = director_test::ImportWorld;

const std::string kUdid = "00000000-0000-4000-8000-00000000000A";
const std::string kOther = "00000000-0000-4000-8000-00000000000B";
const std::string kWifi = "com.example.wifi";
const std::string kDock = "com.example.dock";

Assignment AbsentBySomebody(const std::string& identifier, const std::string& target) {
  Assignment assignment;
  assignment.payload_identifier = PayloadIdentifier(identifier);
  assignment.presence = Presence::kAbsent;
  assignment.target_kind = target.empty() ? TargetKind::kAll : TargetKind::kDevice;
  assignment.target = target;
  assignment.source = "somebody";
  return assignment;
}

TEST_CASE("a plan stores nothing and says the same as the import that follows") {
  Fixture world;
  world.source.AddDevice(kUdid);
  world.source.Add(OwnRow(kUdid, kWifi));
  world.source.Add(SharedRow(1, kDock));
  const ImportRun plan = world.Run(ImportMode::kPlan);
  CHECK(plan.outcome.changes == 5);
  CHECK(world.Assignments().empty());
  CHECK(director_test::ListAll(*world.store).empty());
  const ImportRun run = world.Run();
  CHECK(run.outcome.changes == 5);
  CHECK(run.Says("to do: 2 revisions, 2 assignments, 1 device"));
  CHECK(run.Says("done: 2 revisions, 2 assignments, 1 device"));
  CHECK(std::equal(plan.lines.begin(), plan.lines.end(), run.lines.begin()));
}

TEST_CASE("a second import changes nothing and says so") {
  Fixture world;
  world.source.AddDevice(kUdid);
  world.source.Add(OwnRow(kUdid, kWifi));
  world.source.Add(Tombstone(kUdid, kDock));
  world.source.Add(SharedRow(1, kDock));
  world.Run();
  const auto before = world.Assignments();
  world.clock.Advance(std::chrono::hours(1));
  CHECK(world.Run(ImportMode::kPlan).outcome.changes == 0);
  const ImportRun again = world.Run();
  CHECK(again.outcome.changes == 0);
  CHECK(again.outcome.problems == 0);
  CHECK(again.Says("done: nothing; 4 assignments and devices are there already"));
  CHECK(world.Assignments() == before);
}

TEST_CASE("an import that was cut off goes on where it ended") {
  Fixture world;
  for (int i = 0; i < 250; ++i) {
    const std::string udid = "DEVICE-" + std::to_string(1000 + i);
    world.source.AddDevice(udid);
    world.source.Add(OwnRow(udid, kWifi));
  }
  world.source.Add(SharedRow(1, kDock));
  world.source.visits_left = 250 + 150;
  mdmdirector::ImportSettings settings;
  settings.mode = ImportMode::kImport;
  settings.upstream = UpstreamName("nanomdm");
  const auto cut =
      mdmdirector::Import(world.source, *world.store, world.clock, settings, [](const auto&) {});
  REQUIRE_FALSE(cut);
  CHECK(cut.error().kind == ErrorKind::kUnavailable);
  const std::size_t stored = world.Assignments().size();
  CHECK(stored > 0);
  CHECK(stored < 250);
  const ImportRun rest = world.Run();
  CHECK(rest.outcome.problems == 0);
  CHECK(world.Assignments().size() == 251);
  CHECK(director_test::ListAll(*world.store).size() == 250);
  CHECK(world.Run().outcome.changes == 0);
}

TEST_CASE("a content that many devices have is read once to judge it and once to store it") {
  Fixture world;
  for (int i = 0; i < 50; ++i) {
    world.source.Add(OwnRow("DEVICE-" + std::to_string(i), kWifi));
  }
  world.Run();
  CHECK(world.source.loads == 2);
  world.Run();
  CHECK(world.source.loads == 3);
}

TEST_CASE("what another source assigned stays, whatever is asked for") {
  const int which = GENERATE(0, 1, 2);
  const std::string name = std::vector<std::string>{kUdid, ToLowerAscii(kUdid), "C02A"}[which];
  Fixture world;
  world.source.AddDevice(kUdid, "C02A");
  world.source.Add(OwnRow(kUdid, kWifi));
  world.source.Add(SharedRow(1, kDock));
  world.Save(AbsentBySomebody(kWifi, name));
  world.Save(AbsentBySomebody(kDock, ""));
  const ImportRun run = world.Run(ImportMode::kImport, OnDifference::kReplace);
  CHECK(run.outcome.problems == 2);
  CHECK(run.Says("problem: " + kWifi + " for device " + kUdid));
  CHECK(run.Says("from source somebody; that stays"));
  CHECK(world.Assignments().size() == 2);
  for (const Assignment& assignment : world.Assignments()) CHECK(assignment.source == "somebody");
}

TEST_CASE("what came from MDMDirector and differs by now is a problem, or replaced when asked") {
  Fixture world;
  world.source.AddDevice(kUdid);
  world.source.Add(OwnRow(kUdid, kWifi, "Old"));
  world.Run();
  world.source.devices.at(kUdid).profiles.clear();
  const SourceRow newer = OwnRow(kUdid, kWifi, "New");
  world.source.Add(newer);
  const auto before = world.Assignments();
  const ImportRun kept = world.Run();
  CHECK(kept.outcome.problems == 1);
  CHECK(kept.outcome.changes == 0);
  CHECK(world.Assignments() == before);
  const ImportRun replaced = world.Run(ImportMode::kImport, OnDifference::kReplace);
  CHECK(replaced.outcome.problems == 0);
  CHECK(replaced.Says("1 assignment of them in place of another"));
  CHECK(world.Assignments().at(0).payload_uuid.value() ==
        ToUpperAscii(newer.row.hashed_payload_uuid));
}

TEST_CASE("what stands under a name that only Director knows is found") {
  Fixture world;
  world.source.AddDevice(kUdid, "C02A");
  world.Run();
  world.source.devices.at(kUdid).serial_number.clear();
  world.source.Add(OwnRow(kUdid, kWifi));
  world.Save(AbsentBySomebody(kWifi, "C02A"));
  const ImportRun run = world.Run();
  CHECK(run.outcome.problems == 1);
  CHECK(run.Says("Director has absent for device C02A from source somebody; that stays"));
}

/// A request to MDMDirector's paths.
HttpServerResponse SendTo(Fixture& world, const std::string& method, const std::string& path,
                          const std::string& body = {}) {
  Upstreams upstreams(0);
  director_test::MdmDirectorClient client(*world.store, upstreams, world.clock);
  return client.Send(method, path, body);
}

TEST_CASE("a client that hands a profile in again after the import changes nothing") {
  const bool for_all = GENERATE(false, true);
  Fixture world;
  world.source.AddDevice(kUdid);
  world.source.Add(for_all ? SharedRow(1, kWifi, "Same") : OwnRow(kUdid, kWifi, "Same"));
  world.Run();
  const auto before = world.Assignments();
  world.clock.Advance(std::chrono::hours(1));
  nlohmann::json body;
  body["udids"] = {for_all ? std::string("*") : kUdid};
  body["profiles"] = {EncodeBase64(MakeMobileconfig(kWifi, "Same"))};
  body["metadata"] = true;
  const HttpServerResponse answer = SendTo(world, "POST", "/profile", body.dump());
  REQUIRE(answer.status == 200);
  if (!for_all) CHECK(answer.body.find("\"status\": \"unchanged\"") != std::string::npos);
  CHECK(world.Assignments() == before);
}

TEST_CASE("clients see the columns that MDMDirector showed them") {
  Fixture world;
  const SourceRow row = SharedRow(1, kWifi);
  world.source.Add(row);
  world.Run();
  const HttpServerResponse answer = SendTo(world, "GET", "/profile");
  const auto shown = nlohmann::json::parse(answer.body).at(0);
  CHECK(shown["PayloadUUID"] == row.row.payload_uuid);
  CHECK(shown["HashedPayloadUUID"] == row.row.hashed_payload_uuid);
  CHECK(shown["MobileconfigData"] == EncodeBase64(*row.document));
  const auto hash = DecodeBase64(shown["MobileconfigHash"].get<std::string>());
  REQUIRE(hash);
  std::string hexadecimal;
  for (const char c : *hash) hexadecimal += fmt::format("{:02x}", static_cast<unsigned char>(c));
  CHECK(hexadecimal == row.row.stated_digest);
}

TEST_CASE("a device that Director knows stays as it is") {
  Fixture world;
  world.source.AddDevice(kUdid, "C02A");
  world.Run();
  const auto before = director_test::ListAll(*world.store);
  world.source.devices.at(kUdid).device_name = "renamed";
  world.source.devices.at(kUdid).serial_number = "C02B";
  world.clock.Advance(std::chrono::hours(1));
  const ImportRun run = world.Run();
  CHECK(run.outcome.problems == 1);
  CHECK(run.Says("has serial number C02B, Director C02A; that stays"));
  CHECK(director_test::ListAll(*world.store) == before);
}

TEST_CASE("what Director has no place for is named, and never a PIN") {
  Fixture world;
  world.source.AddDevice(kUdid).wants_erase = true;
  world.source.AddDevice(kOther).wants_lock = true;
  world.source.counts = {{"unlock_pins", 1}, {"devices", 2}};
  const ImportRun run = world.Run();
  CHECK(run.Lines("not imported: ").size() == 3);
  CHECK(run.Says("not imported: device " + kUdid + ": erase is pending in MDMDirector"));
  CHECK(run.Says("not imported: device " + kOther + ": lock is pending in MDMDirector"));
  CHECK(run.Says("1 row of unlock_pins: PINs"));
}

TEST_CASE("apps are taken over for the enrollments to come, once") {
  Fixture world;
  world.source.AddDevice(kUdid);
  const std::string url = "https://repo.example/agent.plist";
  world.source.apps = {{"", url, ""}, {kUdid, url, ""}, {"", "ftp://repo.example/b.plist", ""}};
  const ImportRun run = world.Run();
  CHECK(run.outcome.problems == 1);
  CHECK(run.Says("the app ftp://repo.example/b.plist for all devices is left out"));
  CHECK(run.Says("app:" + url + ": present for all devices, at enrollment"));
  CHECK(run.Says("app:" + url + ": present for 1 device, at enrollment"));
  CHECK(run.Says("to do: 1 revision, 2 assignments, 1 device"));
  CHECK(run.Says("done: 1 revision, 2 assignments, 1 device"));
  const auto assignments = director_test::ListAll(*world.store);
  CHECK(world.Run().outcome.changes == 0);
  CHECK(director_test::ListAll(*world.store) == assignments);
  CHECK(world.Assignments().size() == 2);
  for (const Assignment& row : world.Assignments()) CHECK(row.at_enrollment_only);
  REQUIRE(world.store->Read([&](StoreReader& reader) -> Status {
    const Snapshot known = reader.LoadSnapshot(EnrollmentId(kUdid)).value();
    CHECK(Reconcile(known, {}, world.clock.Now()).items.empty());
    return {};
  }));
}

TEST_CASE("an app that is there already under any name of the device stays as it is") {
  const std::string name = GENERATE(as<std::string>{}, kUdid, "C02A", "c02a");
  const bool is_known_by_serial_there = GENERATE(true, false);
  Fixture world;
  const std::string url = "https://repo.example/agent.plist";
  world.source.AddDevice(kUdid, "C02A");
  world.Run();
  world.source.apps = {{kUdid, url, is_known_by_serial_there ? "C02A" : ""}};
  nlohmann::json body = {{"manifest_urls", {{{"url", url}}}}};
  body[name == kUdid ? "udids" : "serial_numbers"] = {name};
  REQUIRE(SendTo(world, "POST", "/installapplication", body.dump()).status == 200);
  Assignment row = world.Assignments().at(0);
  row.target = name;
  world.Save(row);
  const auto before = world.Assignments();
  CHECK(world.Run().outcome.changes == 0);
  CHECK(world.Run().outcome.problems == 0);
  CHECK(world.Assignments() == before);
}

TEST_CASE("an app of which Director says something else is a problem") {
  const std::string name = GENERATE(as<std::string>{}, kUdid, "c02a", "");
  Fixture world;
  const std::string url = "https://repo.example/agent.plist";
  world.source.AddDevice(kUdid, "C02A");
  world.source.apps = {{name.empty() ? "" : kUdid, url, "C02A"}};
  world.Save(AbsentBySomebody("app:" + url, name));
  for (const ImportMode mode : {ImportMode::kPlan, ImportMode::kImport}) {
    const ImportRun run = world.Run(mode);
    CHECK(run.outcome.problems == 1);
    CHECK(run.Says("problem: app:" + url + " for " +
                   (name.empty() ? "all devices" : "device " + kUdid)));
    CHECK(run.Says("Director has absent"));
  }
  CHECK(world.Assignments().size() == 1);
}

MdmDirectorInventory Heard(const std::string& udid, std::int64_t second = -3600) {
  MdmDirectorInventory inventory;
  inventory.udid = udid;
  inventory.is_enrolled = true;
  inventory.profile_list_at = director_test::At(second);
  inventory.device_information_at = director_test::At(second + 1);
  inventory.security_info_at = director_test::At(second + 2);
  inventory.rows = {
      {"devices", R"({"model": "MX2H3LL/A", "battery_level": 0.5, "is_supervised": true,
                      "wi_fi_mac": "aa:bb", "imei": null, "unknown_column": 1})"},
      {"firewall_settings", R"({"firewall_enabled": true})"},
      {"os_update_settings", R"({"automatic_check_enabled": true})"},
      {"profile_lists", R"({"payload_identifier": "com.example.wifi", "payload_uuid": "U-1",
                            "payload_display_name": "Wi-Fi"})"},
      {"secure_boot_reduced_securities", R"({"allows_mdm": true})"},
      {"security_infos", R"({"fde_enabled": true, "passcode_lock_grace_period": 7})"},
      {"security_infos", "no JSON"}};
  return inventory;
}

nlohmann::json Shown(Fixture& world, const std::string& udid) {
  const HttpServerResponse answer = SendTo(world, "GET", "/device/" + udid);
  REQUIRE(answer.status == 200);
  return nlohmann::json::parse(answer.body);
}

TEST_CASE("what MDMDirector last heard is shown with its age, and is no evidence") {
  Fixture world;
  world.source.AddDevice(kUdid, "C02A");
  world.source.inventories = {Heard(kUdid), Heard("NOBODY")};
  world.source.inventories[1].is_enrolled = false;
  const ImportRun plan = world.Run(ImportMode::kPlan);
  CHECK(plan.outcome.changes == 4);
  CHECK(plan.Says("last answers, to be shown: SecurityInfo of 1 device (to do)"));
  const ImportRun run = world.Run();
  CHECK(run.outcome.changes == 4);
  CHECK(run.Says("last answers, to be shown: ProfileList of 1 device (done)"));
  const nlohmann::json device = Shown(world, kUdid);
  CHECK(device["Model"] == "MX2H3LL/A");
  CHECK(device["BatteryLevel"] == 0.5);
  CHECK(device["WiFiMAC"] == "aa:bb");
  CHECK(device["IsSupervised"] == true);
  CHECK(device["IMEI"].get<std::string>().empty());
  CHECK(device["OSUpdateSettings"]["AutomaticCheckEnabled"] == true);
  CHECK(device["SecurityInfo"]["FDEEnabled"] == true);
  CHECK(device["SecurityInfo"]["PasscodeLockGracePeriod"] == 7);
  CHECK(device["SecurityInfo"]["FirewallSettings"]["FirewallEnabled"] == true);
  CHECK(device["SecurityInfo"]["SecureBoot"]["SecureBootReducedSecurity"]["AllowsMDM"] == true);
  CHECK(device["ProfileList"].at(0)["PayloadDisplayName"] == "Wi-Fi");
  CHECK(device["LastProfileList"] == FormatTime(director_test::At(-3600)));
  CHECK(device["LastDeviceInfo"] == FormatTime(director_test::At(-3599)));
  CHECK(device["LastSecurityInfo"] == FormatTime(director_test::At(-3598)));
  CHECK(device["LastCertificateList"] == "0001-01-01T00:00:00Z");
  const HttpServerResponse list = SendTo(world, "GET", "/device");
  const Result<std::string> part = list.more();
  REQUIRE(part);
  CHECK(nlohmann::json::parse(*part).at(0)["ProfileList"].size() == 1);
  // The decision does not know of it: the device is asked everything, and sent nothing.
  const Snapshot known = director_test::SnapshotOf(*world.store, EnrollmentId(kUdid));
  CHECK_FALSE(known.profile_list);
  for (const InventoryKind kind : kInventoryKinds) CHECK_FALSE(known.enrollment.inventory_at[kind]);
  CHECK_FALSE(known.enrollment.is_supervised);
}

TEST_CASE("a second import brings only what is newer, and never over the device's own answer") {
  Fixture world;
  world.source.AddDevice(kUdid, "C02A");
  world.source.inventories = {Heard(kUdid)};
  world.Run();
  CHECK(world.Run(ImportMode::kPlan).outcome.changes == 0);
  CHECK(world.Run().outcome.changes == 0);
  world.source.inventories = {Heard(kUdid, -7200)};
  CHECK(world.Run().outcome.changes == 0);
  director_test::WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
    auto found = writer.LoadEnrollments({EnrollmentId(kUdid)});
    REQUIRE(found);
    found->front().inventory_at[InventoryKind::kDeviceInformation] = director_test::At(-10);
    if (Status saved = writer.SaveEnrollments(*found); !saved) return saved;
    return writer.SaveInventory({{{EnrollmentId(kUdid), InventoryKind::kDeviceInformation},
                                  {0, director_test::At(-10), R"({"Model": "OWN"})"}}});
  });
  world.source.inventories = {Heard(kUdid, -5)};
  CHECK(world.Run().outcome.changes == 3);
  const nlohmann::json device = Shown(world, kUdid);
  CHECK(device["Model"] == "OWN");
  CHECK(device["WiFiMAC"].get<std::string>().empty());
  CHECK(device["LastDeviceInfo"] == FormatTime(director_test::At(-10)));
  CHECK(device["LastSecurityInfo"] == FormatTime(director_test::At(-3)));
}

TEST_CASE("what was imported is not shown of a device that has enrolled again") {
  Fixture world;
  world.source.AddDevice(kUdid, "C02A");
  world.source.inventories = {Heard(kUdid)};
  world.Run();
  director_test::WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
    auto found = writer.LoadEnrollments({EnrollmentId(kUdid)});
    REQUIRE(found);
    ++found->front().epoch;
    return writer.SaveEnrollments(*found);
  });
  const nlohmann::json device = Shown(world, kUdid);
  CHECK(device["Model"].get<std::string>().empty());
  CHECK_FALSE(device.contains("ProfileList"));
  CHECK(device["LastDeviceInfo"] == "0001-01-01T00:00:00Z");
}

TEST_CASE("the check asks the decision about every last ProfileList") {
  Fixture world;
  const SourceRow wifi = OwnRow(kUdid, kWifi);
  const SourceRow dock = SharedRow(1, kDock);
  const auto reported = [](const SourceRow& row) {
    ReportedProfile profile;
    profile.payload_identifier = PayloadIdentifier(row.row.payload_identifier);
    profile.payload_uuid = row.row.hashed_payload_uuid;
    return profile;
  };
  world.source.AddDevice(kUdid).reported = {reported(wifi), reported(dock)};
  world.source.AddDevice(kOther).reported = {reported(wifi)};
  world.source.AddDevice("UNREPORTED");
  world.source.Add(wifi);
  world.source.Add(Tombstone(kOther, kWifi));
  world.source.Add(dock);
  const ImportRun run = world.Run();
  CHECK(run.outcome.matching == 1);
  CHECK(run.outcome.disturbed == 0);
  CHECK(run.outcome.differing == 1);
  CHECK(run.Says("would be sent: InstallProfile com.example.dock to 1 device"));
  CHECK(run.Says("would be sent: RemoveProfile com.example.wifi to 1 device"));
  CHECK(run.Says(kOther + ": InstallProfile com.example.dock, RemoveProfile com.example.wifi"));
  CHECK(run.Says("1 device without a ProfileList there"));
  // Nothing of it is taken for something that Director heard.
  CHECK_FALSE(director_test::SnapshotOf(*world.store, EnrollmentId(kUdid)).profile_list);
}

TEST_CASE("the check finds what would be sent to a device that has everything") {
  Fixture world;
  const SourceRow dock = SharedRow(1, kDock);
  ReportedProfile profile;
  profile.payload_identifier = PayloadIdentifier(kDock);
  profile.payload_uuid = dock.row.hashed_payload_uuid;
  world.source.AddDevice(kUdid).reported = {profile};
  world.source.Add(dock);
  Assignment absent = AbsentBySomebody(kDock, kUdid);
  absent.adopt = true;
  world.Save(absent);
  const ImportRun run = world.Run();
  CHECK(run.outcome.matching == 1);
  CHECK(run.outcome.disturbed == 1);
  CHECK(run.Says("problem: of these 1 would be sent something all the same: " + kUdid));
}

TEST_CASE("import needs a source, a configuration and one MDM server") {
  const auto run = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"director", "import"});
    return RunCommandLine(arguments, {});
  };
  const std::vector<std::string> config = {"--api-token",   "t", "--mdm-url",          "http://mdm",
                                           "--mdm-api-key", "k", "--webhook-hmac-key", "h"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), config.begin(), config.end());
    return run(arguments);
  };
  CHECK(run({}) == 2);
  CHECK(with({"mdmdirector"}) == 2);
  CHECK(run({"mdmdirector", "--from", "postgresql://127.0.0.1:1/x"}) == 1);
  CHECK(with({"mdmdirector", "--from", "mysql://127.0.0.1/x"}) == 1);
  CHECK(with({"mdmdirector", "--from", "postgresql://127.0.0.1:1/x"}) == 1);
  CHECK(with({"mdmdirector", "--from", "postgresql://127.0.0.1:1/x", "--upstream", "other"}) == 1);
  CHECK(with({"mdmdirector", "--from", "postgresql://127.0.0.1:1/x", "--from-password-file",
              "/nowhere"}) == 1);
}

}  // namespace
}  // namespace director::director_import_test
