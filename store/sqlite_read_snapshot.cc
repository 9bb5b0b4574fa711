#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "base/text.h"
#include "reconciler/desired.h"
#include "store/intent_columns.h"
#include "store/report_head.h"
#include "store/row_readers.h"
#include "store/sqlite_reader.h"
#include "store/sqlite_row.h"

namespace director::sqlite {
namespace {

using Assignments = std::vector<DesiredAssignment>;

constexpr std::string_view kProfileListKind = "ProfileList";

constexpr const char* kSelectReport =
    "SELECT r.epoch, r.reported_at, r.asked_at, b.body "
    "FROM reports AS r JOIN report_bodies AS b USING (enrollment_id, kind) "
    "WHERE r.enrollment_id = ? AND r.kind = ?";

constexpr const char* kSelectItems =
    "SELECT payload_identifier, presence, payload_uuid, epoch, state, reason, state_since, due_at, "
    "attempts, next_attempt_at, acknowledged_at, settled_at, verified_at, parked, parked_build, "
    "last_error, last_error_at, sends_since, sends, "
    "installed_build, reinstall_at "
    "FROM items WHERE enrollment_id = ? ORDER BY payload_identifier";

constexpr const char* kSelectIntent =
    "SELECT " INTENT_COLUMNS " FROM intents AS i WHERE enrollment_id = ? AND command_uuid = ?";
/// By the index of open ones, so that the history of an enrollment costs nothing. Not sorted: for
/// the few rows a sorter of SQLite costs more than reading them.
constexpr const char* kSelectLiveIntents =
    "SELECT " INTENT_COLUMNS
    " FROM intents AS i INDEXED BY intents_open WHERE enrollment_id = ? AND closed_at IS NULL";

constexpr const char* kSelectDeviceNames =
    "SELECT udid, serial_number FROM enrollments WHERE enrollment_id = ?";

constexpr const char* kSelectShared =
    "SELECT a.assignment_id, a.payload_identifier, a.presence, COALESCE(a.payload_uuid, ''), "
    "COALESCE(r.certificate_authority, ''), a.target_kind, a.target, a.adopt, a.source, "
    "a.assigned_at, a.during_setup, a.at_enrollment_only, COALESCE(r.request_type, ''), "
    "COALESCE(r.app_version, '') "
    "FROM assignments AS a LEFT JOIN revisions AS r USING (payload_uuid) "
    "WHERE a.channel = ? AND a.target_kind = 'all'";
constexpr const char* kSelectNamed =
    "SELECT a.assignment_id, a.payload_identifier, a.presence, COALESCE(a.payload_uuid, ''), "
    "COALESCE(r.certificate_authority, ''), a.target_kind, a.target, a.adopt, a.source, "
    "a.assigned_at, a.during_setup, a.at_enrollment_only, COALESCE(r.request_type, ''), "
    "COALESCE(r.app_version, '') "
    "FROM assignments AS a LEFT JOIN revisions AS r USING (payload_uuid) "
    "WHERE a.channel = ? AND a.target_kind = 'device' AND a.target COLLATE NOCASE = ?";

constexpr const char* kSelectKnownUuids =
    "SELECT payload_uuid FROM revisions WHERE payload_identifier = ? ORDER BY payload_uuid";

template <typename T>
Status LoadReport(SqliteDb& db, const EnrollmentId& id, std::string_view kind, T (*read_row)(Row&),
                  std::optional<T>& report) {
  SqliteStatement statement = db.Use(kSelectReport);
  statement.Bind(id).Bind(kind);
  if (!statement.Next()) return statement.Finish();
  SqliteRow row(statement, "reports");
  report = read_row(row);
  return row.Check(id.value());
}

/// What the device channel of `enrollment` is called: UDID and serial number.
Result<std::pair<std::string, std::string>> DeviceNames(SqliteDb& db,
                                                        const Enrollment& enrollment) {
  std::pair<std::string, std::string> names;
  if (!IsUserChannel(enrollment.channel.type)) return names;
  SqliteStatement statement = db.Use(kSelectDeviceNames);
  statement.Bind(enrollment.channel.device_id);
  if (statement.Next()) {
    names = {std::string(statement.Text(0)), std::string(statement.Text(1))};
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return names;
}

Status AddKnownUuids(SqliteDb& db, DesiredAssignment& assignment) {
  SqliteStatement statement = db.Use(kSelectKnownUuids);
  statement.Bind(assignment.payload_identifier);
  while (statement.Next()) {
    assignment.known_payload_uuids.emplace_back(std::string(statement.Text(0)));
  }
  return statement.Finish();
}

Result<Assignments> ReadAssignments(SqliteDb& db, SqliteStatement& statement) {
  Assignments assignments;
  while (statement.Next()) {
    SqliteRow row(statement, "assignments");
    DesiredAssignment assignment = ReadDesiredAssignment(row);
    const std::string key = std::to_string(assignment.assignment_id);
    if (Status read = row.Check(key); !read) return Fail(read.error());
    if (assignment.presence == Presence::kAbsent) {
      if (Status done = AddKnownUuids(db, assignment); !done) return Fail(done.error());
    }
    assignments.push_back(std::move(assignment));
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return assignments;
}

/// The assignments of several enrollments; those for all are read once.
class DesiredReader {
 public:
  explicit DesiredReader(SqliteDb& db) : db_(db) {}

  Result<Assignments> Load(const Enrollment& enrollment) {
    const auto channel = IsUserChannel(enrollment.channel.type) ? AssignmentChannel::kUser
                                                                : AssignmentChannel::kDevice;
    if (Status done = LoadShared(channel); !done) return Fail(done.error());
    const auto device = DeviceNames(db_, enrollment);
    if (!device) return Fail(device.error());
    std::set<std::string> names;
    for (const std::string& name :
         {enrollment.channel.enrollment_id.value(), enrollment.channel.device_id.value(),
          enrollment.channel.udid, enrollment.serial_number, device->first, device->second}) {
      if (!name.empty()) names.insert(ToLowerAscii(name));
    }
    Assignments all = shared_.at(channel);
    for (const std::string& name : names) {
      SqliteStatement statement = db_.Use(kSelectNamed);
      statement.Bind(AssignmentChannelName(channel)).Bind(name);
      Result<Assignments> named = ReadAssignments(db_, statement);
      if (!named) return named;
      std::move(named->begin(), named->end(), std::back_inserter(all));
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.assignment_id < b.assignment_id; });
    return all;
  }

 private:
  Status LoadShared(AssignmentChannel channel) {
    if (shared_.contains(channel)) return {};
    SqliteStatement statement = db_.Use(kSelectShared);
    statement.Bind(AssignmentChannelName(channel));
    Result<Assignments> shared = ReadAssignments(db_, statement);
    if (!shared) return Fail(shared.error());
    shared_.emplace(channel, std::move(*shared));
    return {};
  }

  SqliteDb& db_;
  std::map<AssignmentChannel, Assignments> shared_;
};

}  // namespace

Result<std::vector<std::pair<EnrollmentId, Intent>>> LoadIntents(
    SqliteDb& db, const std::vector<std::pair<EnrollmentId, CommandUuid>>& keys) {
  std::vector<std::pair<EnrollmentId, Intent>> intents;
  for (const auto& [enrollment_id, command_uuid] : keys) {
    SqliteStatement statement = db.Use(kSelectIntent);
    statement.Bind(enrollment_id).Bind(command_uuid);
    if (statement.Next()) {
      SqliteRow row(statement, "intents");
      intents.emplace_back(enrollment_id, ReadIntent(row));
      const std::string key = enrollment_id.value() + " " + command_uuid.value();
      if (Status read = row.Check(key); !read) return Fail(read.error());
    }
    if (Status done = statement.Finish(); !done) return Fail(done.error());
  }
  return intents;
}

Result<std::vector<Intent>> LoadLiveIntents(SqliteDb& db, const EnrollmentId& id) {
  SqliteStatement statement = db.Use(kSelectLiveIntents);
  statement.Bind(id);
  std::vector<Intent> intents;
  while (statement.Next()) {
    SqliteRow row(statement, "intents");
    intents.push_back(ReadIntent(row));
    const std::string key = id.value() + " " + intents.back().command_uuid.value();
    if (Status read = row.Check(key); !read) return Fail(read.error());
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  std::sort(intents.begin(), intents.end(), [](const Intent& a, const Intent& b) {
    return std::tie(a.journaled_at, a.command_uuid) < std::tie(b.journaled_at, b.command_uuid);
  });
  return intents;
}

Result<std::vector<ItemRecord>> LoadItems(SqliteDb& db, const EnrollmentId& id) {
  SqliteStatement statement = db.Use(kSelectItems);
  statement.Bind(id);
  std::vector<ItemRecord> items;
  while (statement.Next()) {
    SqliteRow row(statement, "items");
    items.push_back(ReadItem(row));
    const std::string key = id.value() + " " + items.back().payload_identifier.value();
    if (Status read = row.Check(key); !read) return Fail(read.error());
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return items;
}

Result<std::vector<Snapshot>> LoadSnapshots(SqliteDb& db, const std::vector<EnrollmentId>& ids) {
  std::vector<Snapshot> snapshots;
  DesiredReader desired(db);
  for (const EnrollmentId& id : ids) {
    Result<std::optional<Enrollment>> enrollment = LoadEnrollment(db, id);
    if (!enrollment) return Fail(enrollment.error());
    if (!*enrollment) continue;
    auto assignments = desired.Load(**enrollment);
    if (!assignments) return Fail(assignments.error());
    auto items = LoadItems(db, id);
    if (!items) return Fail(items.error());
    auto intents = LoadLiveIntents(db, id);
    if (!intents) return Fail(intents.error());
    auto proposals = LoadUnfinishedProposals(db, id);
    if (!proposals) return Fail(proposals.error());
    Snapshot& snapshot = snapshots.emplace_back();
    snapshot.enrollment = std::move(**enrollment);
    snapshot.assignments = std::move(*assignments);
    Status read = LoadReport(db, id, kProfileListKind, ReadReport, snapshot.profile_list);
    if (read && NamesApp(snapshot.assignments)) {
      read = LoadReport(db, id, kAppListKind, ReadAppList, snapshot.app_list);
      if (!read) return Fail(read.error());
      read = LoadReport(db, id, kManagedAppListKind, ReadManagedAppList, snapshot.managed_app_list);
    }
    if (!read) return Fail(read.error());
    snapshot.items = std::move(*items);
    snapshot.intents = std::move(*intents);
    for (Proposal& proposal : *proposals) AddUnfinished(std::move(proposal), snapshot);
  }
  return snapshots;
}

}  // namespace director::sqlite
