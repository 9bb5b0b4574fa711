#include "store/report_json.h"
#include "store/sqlite_row.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

constexpr const char* kInsertRevision =
    "INSERT INTO revisions (payload_uuid, payload_identifier, display_name, payload_scope, "
    "payload_types, certificate_authority, original_payload_uuid, source, created_at, size_bytes, "
    "request_type, app_version, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (payload_uuid) DO NOTHING";

constexpr const char* kUpsertAssignment =
    "INSERT INTO assignments (payload_identifier, channel, target_kind, target, presence, "
    "payload_uuid, adopt, source, assigned_at, during_setup, at_enrollment_only) "
    "VALUES (?, ?, ?, ?, ?, NULLIF(?, ''), ?, ?, ?, ?, ?) "
    "ON CONFLICT (payload_identifier, channel, target_kind, target COLLATE NOCASE) DO UPDATE SET "
    "target = excluded.target, presence = excluded.presence, payload_uuid = excluded.payload_uuid, "
    "adopt = excluded.adopt, source = excluded.source, assigned_at = excluded.assigned_at, "
    "during_setup = excluded.during_setup, at_enrollment_only = excluded.at_enrollment_only "
    "RETURNING assignment_id";
constexpr const char* kDeleteAssignment =
    "DELETE FROM assignments WHERE assignment_id = ? RETURNING channel, target";

constexpr const char* kUnparkItem =
    "UPDATE items SET parked = 0, parked_build = '', attempts = 0, next_attempt_at = NULL, "
    "acknowledged_at = NULL "
    "WHERE enrollment_id = ? AND payload_identifier = ?";

}  // namespace

Result<bool> SqliteWriter::SaveRevision(const Revision& revision) {
  Status done = db().Use(kInsertRevision)
                    .Bind(revision.payload_uuid)
                    .Bind(revision.payload_identifier)
                    .Bind(revision.display_name)
                    .Bind(revision.payload_scope)
                    .Bind(EncodeStrings(revision.payload_types))
                    .Bind(revision.certificate_authority)
                    .Bind(revision.original_payload_uuid)
                    .Bind(revision.source)
                    .Bind(revision.created_at)
                    .Bind(revision.size_bytes)
                    .Bind(revision.request_type)
                    .Bind(revision.app_version)
                    .BindBlob(revision.content)
                    .Run();
  if (!done) return Fail(done.error());
  return db().changes() > 0;
}

Result<std::int64_t> SqliteWriter::SaveAssignment(const Assignment& assignment, Timestamp now) {
  std::int64_t assignment_id = 0;
  {
    SqliteStatement upsert = db().Use(kUpsertAssignment);
    upsert.Bind(assignment.payload_identifier)
        .Bind(AssignmentChannelName(assignment.channel))
        .Bind(TargetKindName(assignment.target_kind))
        .Bind(assignment.target)
        .Bind(PresenceName(assignment.presence))
        .Bind(assignment.payload_uuid)
        .BindFlag(assignment.adopt)
        .Bind(assignment.source)
        .Bind(assignment.assigned_at)
        .BindFlag(assignment.during_setup)
        .BindFlag(assignment.at_enrollment_only);
    while (upsert.Next()) assignment_id = upsert.Int(0);
    if (Status done = upsert.Finish(); !done) return Fail(done.error());
  }
  Status done = MarkConcernedDue(assignment.channel, assignment.target, now);
  if (!done) return Fail(done.error());
  return assignment_id;
}

Status SqliteWriter::DeleteAssignment(std::int64_t assignment_id, Timestamp now) {
  std::optional<AssignmentChannel> channel;
  std::string target;
  {
    SqliteStatement deleted = db().Use(kDeleteAssignment);
    deleted.Bind(assignment_id);
    while (deleted.Next()) {
      SqliteRow row(deleted, "assignments");
      channel = row.TextBy(ParseAssignmentChannel);
      target = row.Text();
      if (Status read = row.Check(std::to_string(assignment_id)); !read) return read;
    }
    if (Status done = deleted.Finish(); !done) return done;
  }
  if (!channel) return Fail(ErrorKind::kNotFound, "no such assignment");
  return MarkConcernedDue(*channel, target, now);
}

/// An empty `target` is everybody on the channel. Marks too many rather than too few: a decision
/// that was not needed decides nothing.
Status SqliteWriter::MarkConcernedDue(AssignmentChannel channel, const std::string& target,
                                      Timestamp now) {
  if (!target.empty()) {
    const Result<std::vector<EnrollmentId>> named = FindEnrollments(target);
    if (!named) return Fail(named.error());
    std::map<EnrollmentId, Timestamp> due_at;
    for (const EnrollmentId& id : *named) due_at.emplace(id, now);
    return MarkDue(due_at);
  }
  return AddFleetChange(channel, now);
}

Status SqliteWriter::RetryItem(const EnrollmentId& id, const PayloadIdentifier& identifier,
                               Timestamp now) {
  if (Status done = db().Use(kUnparkItem).Bind(id).Bind(identifier).Run(); !done) return done;
  if (db().changes() == 0) return Fail(ErrorKind::kNotFound, "no such item on this enrollment");
  return MarkDue({{id, now}});
}

}  // namespace director
