#include <algorithm>
#include <iterator>
#include <map>

#include "mdm/command.h"
#include "reconciler/desired.h"
#include "store/intent_columns.h"
#include "store/postgres_reader.h"
#include "store/report_head.h"
#include "store/report_json.h"
#include "store/row_readers.h"

namespace director::postgres {
namespace {

using Assignments = std::vector<DesiredAssignment>;
using Snapshots = std::map<EnrollmentId, Snapshot>;

constexpr const char* kSelectReports =
    "SELECT r.enrollment_id, r.epoch, r.reported_at, r.asked_at, b.body "
    "FROM reports AS r JOIN report_bodies AS b USING (enrollment_id, kind) "
    "WHERE r.enrollment_id = ANY ($1::text[]) AND r.kind = $2";

constexpr const char* kSelectItems =
    "SELECT enrollment_id, payload_identifier, presence, payload_uuid, epoch, state, reason, "
    "state_since, due_at, attempts, next_attempt_at, acknowledged_at, settled_at, verified_at, "
    "parked, parked_build, last_error, last_error_at, sends_since, sends, "
    "installed_build, reinstall_at "
    "FROM items WHERE enrollment_id = ANY ($1::text[]) ORDER BY enrollment_id, payload_identifier";

constexpr const char* kSelectIntents = "SELECT i.enrollment_id, " INTENT_COLUMNS
                                       " FROM intents AS i JOIN unnest($1::text[], $2::text[]) AS "
                                       "wanted (enrollment_id, command_uuid) "
                                       "USING (enrollment_id, command_uuid)";
/// Those that no plan has digested: by the index of open ones, so that history costs nothing.
constexpr const char* kSelectLiveIntents =
    "SELECT i.enrollment_id, " INTENT_COLUMNS
    " FROM intents AS i WHERE enrollment_id = ANY ($1::text[]) AND closed_at IS NULL "
    "ORDER BY enrollment_id, journaled_at, command_uuid";

/// What the device channels of user channels are called.
constexpr const char* kSelectDeviceNames =
    "SELECT enrollment_id, udid, serial_number FROM enrollments "
    "WHERE enrollment_id = ANY ($1::text[])";

/// The columns of one assignment and the PayloadUUIDs by which a removal knows what is ours.
constexpr const char* kSelectShared =
    "SELECT a.channel, a.assignment_id, a.payload_identifier, a.presence, "
    "COALESCE(a.payload_uuid, ''), COALESCE(own.certificate_authority, ''), a.target_kind, "
    "a.target, a.adopt, a.source, a.assigned_at, a.during_setup, a.at_enrollment_only, "
    "COALESCE(own.request_type, ''), COALESCE(own.app_version, ''), "
    "CASE WHEN a.presence = 'absent' THEN COALESCE("
    "(SELECT json_agg(r.payload_uuid ORDER BY r.payload_uuid)::text FROM revisions AS r "
    "WHERE r.payload_identifier = a.payload_identifier), '[]') ELSE '[]' END "
    "FROM assignments AS a LEFT JOIN revisions AS own USING (payload_uuid) "
    "WHERE a.target_kind = 'all' ORDER BY a.assignment_id";
constexpr const char* kSelectNamed =
    "SELECT n.enrollment_id, a.assignment_id, a.payload_identifier, a.presence, "
    "COALESCE(a.payload_uuid, ''), COALESCE(own.certificate_authority, ''), a.target_kind, "
    "a.target, a.adopt, a.source, a.assigned_at, a.during_setup, a.at_enrollment_only, "
    "COALESCE(own.request_type, ''), COALESCE(own.app_version, ''), "
    "CASE WHEN a.presence = 'absent' THEN COALESCE("
    "(SELECT json_agg(r.payload_uuid ORDER BY r.payload_uuid)::text FROM revisions AS r "
    "WHERE r.payload_identifier = a.payload_identifier), '[]') ELSE '[]' END "
    "FROM (SELECT DISTINCT enrollment_id, channel, lower(name COLLATE \"C\") AS name "
    "FROM unnest($1::text[], $2::text[], $3::text[]) AS given (enrollment_id, channel, name)) AS n "
    "JOIN assignments AS a ON a.target_kind = 'device' AND a.channel = n.channel "
    "AND lower(a.target) = n.name "
    "LEFT JOIN revisions AS own USING (payload_uuid) ORDER BY n.enrollment_id, a.assignment_id";

DesiredAssignment ReadKnowing(PostgresResult& row) {
  DesiredAssignment assignment = ReadDesiredAssignment(row);
  for (const std::string& uuid : row.TextBy(DecodeStrings)) {
    assignment.known_payload_uuids.emplace_back(uuid);
  }
  return assignment;
}

/// What each device channel that a user channel belongs to is called: UDID and serial number.
Result<std::map<EnrollmentId, std::vector<std::string>>> DeviceNames(PostgresTransaction& db,
                                                                     const Snapshots& snapshots) {
  std::vector<EnrollmentId> devices;
  for (const auto& [id, snapshot] : snapshots) {
    const Channel& channel = snapshot.enrollment.channel;
    if (IsUserChannel(channel.type)) devices.push_back(channel.device_id);
  }
  std::map<EnrollmentId, std::vector<std::string>> names;
  if (devices.empty()) return names;
  Result<PostgresResult> found =
      db.Run(kSelectDeviceNames, {ArrayToPostgres(devices)}, "enrollments");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    std::vector<std::string>& device = names[found->TextAs<EnrollmentId>()];
    device.push_back(found->Text());
    device.push_back(found->Text());
  }
  return names;
}

AssignmentChannel AssignmentChannelOf(const Enrollment& enrollment) {
  return IsUserChannel(enrollment.channel.type) ? AssignmentChannel::kUser
                                                : AssignmentChannel::kDevice;
}

/// Every name by which an assignment can aim at one of the enrollments.
Result<PostgresBatch> NamesOf(PostgresTransaction& db, const Snapshots& snapshots) {
  const auto devices = DeviceNames(db, snapshots);
  if (!devices) return Fail(devices.error());
  PostgresBatch batch(3);
  for (const auto& [id, snapshot] : snapshots) {
    const Enrollment& enrollment = snapshot.enrollment;
    const Channel& channel = enrollment.channel;
    std::vector<std::string> names = {id.value(), channel.device_id.value(), channel.udid,
                                      enrollment.serial_number};
    if (const auto device = devices->find(channel.device_id); device != devices->end()) {
      names.insert(names.end(), device->second.begin(), device->second.end());
    }
    for (const std::string& name : names) {
      // Names that are not known are empty, and no assignment aims at an empty name.
      if (name.empty()) continue;
      batch.Bind(id).Bind(AssignmentChannelName(AssignmentChannelOf(enrollment))).Bind(name);
    }
  }
  return batch;
}

Status AddShared(PostgresTransaction& db, Snapshots& snapshots) {
  Result<PostgresResult> found = db.Run(kSelectShared, {}, "assignments");
  if (!found) return Fail(found.error());
  std::map<AssignmentChannel, Assignments> shared;
  while (found->Next()) {
    const AssignmentChannel channel = found->TextBy(ParseAssignmentChannel);
    shared[channel].push_back(ReadKnowing(*found));
    const Status read = found->Check(std::to_string(shared[channel].back().assignment_id));
    if (!read) return read;
  }
  for (auto& [id, snapshot] : snapshots) {
    snapshot.assignments = shared[AssignmentChannelOf(snapshot.enrollment)];
  }
  return {};
}

Status AddNamed(PostgresTransaction& db, Snapshots& snapshots) {
  const Result<PostgresBatch> names = NamesOf(db, snapshots);
  if (!names) return Fail(names.error());
  Result<PostgresResult> found = db.Run(kSelectNamed, names->Arrays(), "assignments");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    Assignments& assignments = snapshots.at(found->TextAs<EnrollmentId>()).assignments;
    DesiredAssignment assignment = ReadKnowing(*found);
    const Status read = found->Check(std::to_string(assignment.assignment_id));
    if (!read) return read;
    const auto place = std::upper_bound(
        assignments.begin(), assignments.end(), assignment,
        [](const auto& a, const auto& b) { return a.assignment_id < b.assignment_id; });
    assignments.insert(place, std::move(assignment));
  }
  return {};
}

/// Fills `report` of each snapshot that has one of this kind.
template <typename T>
Status AddReports(PostgresTransaction& db, const PostgresValue& ids, std::string_view kind,
                  T (*read_row)(Row&), std::optional<T> Snapshot::*report, Snapshots& snapshots) {
  Result<PostgresResult> found = db.Run(kSelectReports, {ids, ToPostgres(kind)}, "reports");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    const auto id = found->TextAs<EnrollmentId>();
    snapshots.at(id).*report = read_row(*found);
    if (Status read = found->Check(id.value()); !read) return read;
  }
  return {};
}

/// Lists of apps are read for those alone that are assigned one.
Status AddAppLists(PostgresTransaction& db, Snapshots& snapshots) {
  std::vector<EnrollmentId> ids;
  for (const auto& [id, snapshot] : snapshots) {
    if (NamesApp(snapshot.assignments)) ids.push_back(id);
  }
  if (ids.empty()) return {};
  const PostgresValue array = ArrayToPostgres(ids);
  Status done = AddReports(db, array, kAppListKind, ReadAppList, &Snapshot::app_list, snapshots);
  if (!done) return done;
  return AddReports(db, array, kManagedAppListKind, ReadManagedAppList, &Snapshot::managed_app_list,
                    snapshots);
}

Status AddItems(PostgresTransaction& db, const PostgresValue& ids, Snapshots& snapshots) {
  Result<PostgresResult> found = db.Run(kSelectItems, {ids}, "items");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    const auto id = found->TextAs<EnrollmentId>();
    ItemRecord item = ReadItem(*found);
    const Status read = found->Check(id.value() + " " + item.payload_identifier.value());
    if (!read) return read;
    snapshots.at(id).items.push_back(std::move(item));
  }
  return {};
}

Result<std::vector<std::pair<EnrollmentId, Intent>>> ReadIntents(Result<PostgresResult> found) {
  if (!found) return Fail(found.error());
  std::vector<std::pair<EnrollmentId, Intent>> intents;
  while (found->Next()) {
    auto id = found->TextAs<EnrollmentId>();
    Intent intent = ReadIntent(*found);
    const Status read = found->Check(id.value() + " " + intent.command_uuid.value());
    if (!read) return Fail(read.error());
    intents.emplace_back(std::move(id), std::move(intent));
  }
  return intents;
}

Status AddIntents(PostgresTransaction& db, const PostgresValue& ids, Snapshots& snapshots) {
  auto intents = ReadIntents(db.Run(kSelectLiveIntents, {ids}, "intents"));
  if (!intents) return Fail(intents.error());
  for (auto& [id, intent] : *intents) snapshots.at(id).intents.push_back(std::move(intent));
  return {};
}

}  // namespace

Result<std::vector<std::pair<EnrollmentId, Intent>>> LoadIntents(
    PostgresTransaction& db, const std::vector<std::pair<EnrollmentId, CommandUuid>>& keys) {
  if (keys.empty()) return std::vector<std::pair<EnrollmentId, Intent>>();
  PostgresBatch batch(2);
  for (const auto& [enrollment_id, command_uuid] : keys)
    batch.Bind(enrollment_id).Bind(command_uuid);
  return ReadIntents(db.Run(kSelectIntents, batch.Arrays(), "intents"));
}

Result<std::vector<Snapshot>> LoadSnapshots(PostgresTransaction& db,
                                            const std::vector<EnrollmentId>& ids) {
  Result<std::vector<Enrollment>> enrollments = LoadEnrollments(db, ids);
  if (!enrollments) return Fail(enrollments.error());
  Snapshots snapshots;
  std::vector<EnrollmentId> known;
  for (Enrollment& enrollment : *enrollments) {
    known.push_back(enrollment.channel.enrollment_id);
    snapshots[known.back()].enrollment = std::move(enrollment);
  }
  std::vector<Snapshot> loaded;
  if (known.empty()) return loaded;
  const PostgresValue array = ArrayToPostgres(known);
  if (Status done = AddShared(db, snapshots); !done) return Fail(done.error());
  if (Status done = AddNamed(db, snapshots); !done) return Fail(done.error());
  if (Status done = AddReports(db, array, request_type::kProfileList, ReadReport,
                               &Snapshot::profile_list, snapshots);
      !done) {
    return Fail(done.error());
  }
  if (Status done = AddAppLists(db, snapshots); !done) return Fail(done.error());
  if (Status done = AddItems(db, array, snapshots); !done) return Fail(done.error());
  if (Status done = AddIntents(db, array, snapshots); !done) return Fail(done.error());
  Result<std::vector<Proposal>> proposals = LoadUnfinishedProposals(db, known);
  if (!proposals) return Fail(proposals.error());
  for (Proposal& proposal : *proposals) {
    Snapshot& snapshot = snapshots.at(proposal.enrollment_id);
    AddUnfinished(std::move(proposal), snapshot);
  }
  for (auto& [id, snapshot] : snapshots) loaded.push_back(std::move(snapshot));
  return loaded;
}

}  // namespace director::postgres
