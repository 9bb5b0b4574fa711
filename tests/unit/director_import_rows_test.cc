// What rows of MDMDirector's database become, and which are left out.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/text.h"
#include "director/mdmdirector_import.h"
#include "reconciler/plan.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/mdmdirector_rows.h"

namespace director::director_import_rows_test {
namespace {

using director_test::At;
using director_test::ImportRun;
using director_test::OwnRow;
using director_test::SetDocument;
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
  CHECK(revision.content == *row.document);
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
  CHECK(world.LoadRevision(world.Assignments().at(0).payload_uuid).content == *right.document);
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

}  // namespace
}  // namespace director::director_import_rows_test
