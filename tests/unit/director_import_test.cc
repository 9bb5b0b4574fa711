// What rows of MDMDirector's database become, without a server: tests/contract has the real one.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/text.h"
#include "director/cli.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_import.h"
#include "director/mdmdirector_rows.h"
#include "mdm/plist.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_world.h"
#include "tests/support/mdmdirector_rows.h"

namespace director::director_import_test {
namespace {

using director_test::At;
using director_test::ImportRun;
using director_test::MakeMobileconfig;
using director_test::OwnRow;
using director_test::SetDocument;
using director_test::SharedRow;
using director_test::SourceRow;
using director_test::Tombstone;
using mdmdirector::ImportMode;
using mdmdirector::OnDifference;

const std::string kUdid = "00000000-0000-4000-8000-00000000000A";
const std::string kOther = "00000000-0000-4000-8000-00000000000B";
const std::string kWifi = "com.example.wifi";
const std::string kDock = "com.example.dock";

/// An empty Director and a database to take over.
struct Fixture {
  ImportRun Run(ImportMode mode = ImportMode::kImport,
                OnDifference on_difference = OnDifference::kKeep) {
    return director_test::RunImport(source, *store, clock, mode, on_difference);
  }
  std::vector<Assignment> Assignments() {
    return director_test::ReadFrom(*store,
                                   [](StoreReader& reader) { return reader.ListAssignments({}); });
  }
  Revision LoadRevision(const PayloadUuid& payload_uuid) {
    return director_test::ReadFrom(
        *store, [&](StoreReader& reader) { return reader.LoadRevision(payload_uuid); });
  }
  void Save(const Assignment& assignment) {
    director_test::WriteTo(*store, [&](StoreWriter& writer) -> Status {
      const auto id = writer.SaveAssignment(assignment, clock.Now());
      if (!id) return Fail(id.error());
      return {};
    });
  }

  director_test::FakeMdmDirectorDatabase source;
  std::unique_ptr<Store> store = director_test::OpenStore();
  ManualClock clock{At(0)};
};

Assignment AbsentBySomebody(const std::string& identifier, const std::string& target) {
  Assignment assignment;
  assignment.payload_identifier = PayloadIdentifier(identifier);
  assignment.presence = Presence::kAbsent;
  assignment.target_kind = target.empty() ? TargetKind::kAll : TargetKind::kDevice;
  assignment.target = target;
  assignment.source = "somebody";
  return assignment;
}

TEST_CASE("a row for all becomes the revision that its devices have, for all") {
  Fixture world;
  const SourceRow row = SharedRow(1, kWifi);
  world.source.Add(row);
  const ImportRun run = world.Run();
  CHECK(run.outcome.changes == 2);
  CHECK(run.outcome.problems == 0);
  REQUIRE(world.Assignments().size() == 1);
  const Assignment assignment = world.Assignments()[0];
  CHECK(assignment.target_kind == TargetKind::kAll);
  CHECK(assignment.presence == Presence::kPresent);
  CHECK(assignment.source == "mdmdirector");
  CHECK(assignment.payload_uuid.value() == ToUpperAscii(row.row.hashed_payload_uuid));
  const Revision revision = world.LoadRevision(assignment.payload_uuid);
  CHECK(revision.mobileconfig == *row.document);
  CHECK(revision.original_payload_uuid == row.row.payload_uuid);
  CHECK(revision.payload_types == std::vector<std::string>{"com.apple.screensaver"});
}

TEST_CASE("rows of single devices become assignments of their UDIDs, removals too") {
  Fixture world;
  world.source.AddDevice(kUdid, "C02A");
  world.source.Add(OwnRow(kUdid, kWifi));
  world.source.Add(Tombstone(kUdid, kDock));
  world.source.Add(OwnRow("not in devices", kWifi));
  world.Run();
  const std::vector<Assignment> assignments = world.Assignments();
  REQUIRE(assignments.size() == 3);
  for (const Assignment& assignment : assignments) {
    const bool is_removal = assignment.payload_identifier.value() == kDock;
    CHECK(assignment.target_kind == TargetKind::kDevice);
    CHECK(assignment.presence == (is_removal ? Presence::kAbsent : Presence::kPresent));
    CHECK(assignment.adopt == is_removal);
    CHECK(assignment.payload_uuid.empty() == is_removal);
  }
}

TEST_CASE("what is to be removed from all is removed though its document is gone") {
  const bool with_document = GENERATE(true, false);
  Fixture world;
  SourceRow row = SharedRow(1, kWifi);
  row.row.installed = false;
  if (!with_document) row.row.document_digest.clear();
  world.source.Add(row);
  CHECK(world.Run().outcome.problems == 0);
  REQUIRE(world.Assignments().size() == 1);
  CHECK(world.Assignments()[0].presence == Presence::kAbsent);
  CHECK(world.Assignments()[0].adopt);
  const auto revisions = director_test::ReadFrom(*world.store, [](StoreReader& reader) {
    return reader.ListRevisions({}, {"", 10});
  });
  CHECK(revisions.size() == (with_document ? 1 : 0));
}

TEST_CASE("an active device is known before it speaks, asked first and not taken for awake") {
  Fixture world;
  const Timestamp heard_at = GENERATE(At(-86'400), At(-1), At(1'000'000));
  world.source.AddDevice(kUdid, "C02A").last_checked_in = heard_at;
  CHECK(world.Run().outcome.changes == 1);
  const Snapshot snapshot = director_test::SnapshotOf(*world.store, EnrollmentId(kUdid));
  const Enrollment& enrollment = snapshot.enrollment;
  CHECK(enrollment.status == EnrollmentStatus::kEnrolled);
  CHECK(enrollment.ask_first);
  CHECK(enrollment.upstream.value() == "nanomdm");
  CHECK(enrollment.serial_number == "C02A");
  CHECK(enrollment.last_seen_at <= At(0) - Settings().awake_window);
  CHECK(enrollment.last_seen_at == std::min(heard_at, At(0) - Settings().awake_window));
  CHECK_FALSE(enrollment.is_supervised);
  CHECK_FALSE(snapshot.profile_list);
  const Plan plan = Reconcile(snapshot, Settings(), world.clock.Now());
  REQUIRE(plan.commands.size() == 1);
  CHECK(plan.commands[0].request_type == "ProfileList");
  CHECK(plan.push);
}

TEST_CASE("devices that are not active or not through with enrolling are left out, and named") {
  Fixture world;
  world.source.AddDevice(kUdid).is_active = false;
  world.source.AddDevice(kOther).has_token = false;
  world.source.Add(OwnRow(kUdid, kWifi));
  const ImportRun run = world.Run();
  CHECK(director_test::ListAll(*world.store).empty());
  CHECK(world.Assignments().size() == 1);
  CHECK(
      run.Says("1 device not active: left out; their own profiles are for them when they enroll "
               "again: " +
               kUdid));
  CHECK(run.Says(kOther));
  CHECK(run.outcome.problems == 0);
}

TEST_CASE("a serial number that two devices claim is left open") {
  Fixture world;
  for (const std::string& udid : {kUdid, kOther}) {
    world.source.AddDevice(udid, "C02A").shares_serial_number = true;
  }
  CHECK(world.Run().Says("2 devices with the serial number of another"));
  for (const EnrollmentRow& row : director_test::ListAll(*world.store)) {
    CHECK(row.enrollment.serial_number.empty());
  }
}

TEST_CASE("a UDID that no MDM server can send to is a problem with all that hangs on it") {
  Fixture world;
  const std::string udid = GENERATE("", "a,b", "UDID:USER", "a/b", "tab\there");
  world.source.AddDevice(udid);
  world.source.Add(OwnRow(udid, kWifi));
  const ImportRun run = world.Run();
  CHECK(run.outcome.problems == 1);
  CHECK(run.outcome.changes == 0);
  REQUIRE(run.Lines("problem: device").size() == 1);
  CHECK(run.Says("with 1 profile"));
}

/// Rows that do not hold, each with a part of the reason.
std::vector<std::pair<SourceRow, std::string>> BrokenRows() {
  std::vector<std::pair<SourceRow, std::string>> rows;
  const auto add = [&](const std::string& why, const auto& damage) {
    SourceRow row = OwnRow(kUdid, kWifi);
    damage(row);
    rows.emplace_back(std::move(row), why);
  };
  const auto rewrite = [](SourceRow& row, const std::string& from, const std::string& to) {
    std::string document = *row.document;
    document.replace(document.find(from), from.size(), to);
    SetDocument(row, document);
    row.row.stated_digest.clear();
  };
  add("its document has the PayloadIdentifier com.example.lan",
      [&](SourceRow& row) { rewrite(row, ">" + kWifi + "<", ">com.example.lan<"); });
  add("the PayloadUUID of its document is not its hashed_payload_uuid",
      [](SourceRow& row) { row.row.hashed_payload_uuid[0] ^= 1; });
  add("is no UUID", [](SourceRow& row) { row.row.hashed_payload_uuid.clear(); });
  add("mobileconfig_hash is that of other bytes",
      [](SourceRow& row) { row.row.stated_digest = Sha256Hex("other"); });
  add("it has no document", [](SourceRow& row) { row.row.document_digest.clear(); });
  add("larger than 8 MiB", [](SourceRow& row) { row.row.size_bytes = 8 * 1024 * 1024 + 1; });
  add("installed is NULL", [](SourceRow& row) { row.row.installed.reset(); });
  add("PayloadIdentifier is missing or empty",
      [](SourceRow& row) { row.row.payload_identifier.clear(); });
  add("control characters", [](SourceRow& row) { row.row.payload_identifier += '\n'; });
  add("longer than 255 bytes", [](SourceRow& row) { row.row.payload_identifier.append(300, 'a'); });
  add("its document is signed", [](SourceRow& row) { SetDocument(row, "\x30\x80signed"); });
  add("its document cannot be used", [](SourceRow& row) { SetDocument(row, "not a plist"); });
  add("enrollment profiles are never installed",
      [&](SourceRow& row) { rewrite(row, "com.apple.screensaver", "com.apple.mdm"); });
  return rows;
}

TEST_CASE("a row that does not hold is named with the reason and left out") {
  for (const auto& [row, why] : BrokenRows()) {
    INFO(why);
    Fixture world;
    world.source.AddDevice(kUdid);
    world.source.Add(row);
    world.source.Add(OwnRow(kUdid, kDock));
    const ImportRun plan = world.Run(ImportMode::kPlan);
    const ImportRun run = world.Run();
    CHECK(plan.outcome.problems == 1);
    CHECK(run.outcome.problems == 1);
    const std::vector<std::string> problems = run.Lines("problem: ");
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].find(why) != std::string::npos);
    CHECK(problems[0].find("for device " + kUdid) != std::string::npos);
    REQUIRE(world.Assignments().size() == 1);
    CHECK(world.Assignments()[0].payload_identifier.value() == kDock);
  }
}

TEST_CASE("what is for all stays out where it would take the place of a broken row") {
  Fixture world;
  world.source.AddDevice(kUdid);
  SourceRow broken = OwnRow(kUdid, kWifi);
  broken.row.hashed_payload_uuid.clear();
  world.source.Add(broken);
  world.source.Add(SharedRow(1, kWifi));
  world.source.Add(SharedRow(2, kDock));
  const ImportRun run = world.Run();
  CHECK(run.outcome.problems == 2);
  CHECK(run.Says(kWifi + " for all devices: left out"));
  REQUIRE(world.Assignments().size() == 1);
  CHECK(world.Assignments()[0].payload_identifier.value() == kDock);
}

TEST_CASE("several rows for all with one identifier count only when they agree") {
  const bool alike = GENERATE(true, false);
  Fixture world;
  world.source.Add(SharedRow(1, kWifi));
  world.source.Add(SharedRow(2, kWifi, alike ? "Shared" : "Another"));
  world.source.Add(SharedRow(3, "com.example.zulu"));
  const ImportRun run = world.Run();
  CHECK(world.Assignments().size() == (alike ? 2 : 1));
  CHECK(run.outcome.problems == (alike ? 0 : 1));
  if (!alike) CHECK(run.Says("stands 2 times and not the same"));
}

TEST_CASE("two contents under one PayloadUUID are not both right") {
  Fixture world;
  world.source.AddDevice(kUdid);
  const SourceRow right = OwnRow(kUdid, kWifi);
  SourceRow wrong = OwnRow(kOther, kWifi, "Changed by hand");
  std::string document = *wrong.document;
  document.replace(document.find(wrong.row.hashed_payload_uuid), 36, right.row.hashed_payload_uuid);
  SetDocument(wrong, document);
  wrong.row.hashed_payload_uuid = right.row.hashed_payload_uuid;
  wrong.row.stated_digest = wrong.row.document_digest;
  world.source.Add(right);
  world.source.Add(wrong);
  CHECK(world.Run().Says("another row has other bytes under its PayloadUUID"));
  CHECK(world.LoadRevision(world.Assignments().at(0).payload_uuid).mobileconfig == *right.document);
  // On its own it is held against what Director has by then.
  world.source.devices.erase(kUdid);
  CHECK(world.Run().Says("Director has other bytes under its PayloadUUID"));
}

TEST_CASE("two devices whose UDIDs differ in letter case only do not overwrite each other") {
  const bool alike = GENERATE(true, false);
  const auto on_difference = alike ? OnDifference::kKeep : OnDifference::kReplace;
  Fixture world;
  const SourceRow row = OwnRow(kUdid, kWifi);
  const SourceRow twin = OwnRow(ToLowerAscii(kUdid), kWifi, alike ? "Own" : "Another");
  world.source.Add(row);
  world.source.Add(twin);
  const ImportRun run = world.Run(ImportMode::kImport, on_difference);
  REQUIRE(world.Assignments().size() == 1);
  CHECK(world.Assignments()[0].payload_uuid.value() == ToUpperAscii(row.row.hashed_payload_uuid));
  CHECK(run.outcome.problems == (alike ? 0 : 1));
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

/// A request to MDMDirector's paths.
HttpServerResponse SendTo(Fixture& world, const std::string& method, const std::string& path,
                          const std::string& body = {}) {
  Upstreams upstreams(0);
  const SecretSource password = SecretSource::FromValue(Secret("word"));
  mdmdirector::Api api({*world.store, upstreams, world.clock, password, [] {}});
  HttpServerRequest request;
  request.method = method;
  request.headers["authorization"] = "Basic " + EncodeBase64("mdmdirector:word");
  request.body = body;
  for (const HttpRoute& route : api.Routes()) {
    if (route.method == method && route.pattern == path) return route.handler(request);
  }
  FAIL("no such path");
  return {};
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
  world.source.counts = {{"shared_install_applications", 2}, {"unlock_pins", 1}, {"devices", 2}};
  const ImportRun run = world.Run();
  CHECK(run.Lines("not imported: ").size() == 4);
  CHECK(run.Says("not imported: device " + kUdid + ": erase is pending in MDMDirector"));
  CHECK(run.Says("not imported: device " + kOther + ": lock is pending in MDMDirector"));
  CHECK(run.Says("2 rows of shared_install_applications: apps"));
  CHECK(run.Says("1 row of unlock_pins: PINs"));
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

TEST_CASE("every fact of a device fits into Director's database") {
  Fixture world;
  MdmDirectorDevice& device = world.source.AddDevice(kUdid, "bad\nserial");
  device.device_name = "\xff\x01 " + std::string(5000, 'x');
  CHECK(world.Run().outcome.changes == 1);
  const Enrollment enrollment = director_test::ListAll(*world.store).at(0).enrollment;
  CHECK(enrollment.serial_number.empty());
  CHECK(enrollment.device_name.starts_with("?? xxx"));
  CHECK(enrollment.device_name.size() <= 255);
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
