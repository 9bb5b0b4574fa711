#include "store/postgres_writer.h"
#include "store/report_json.h"

namespace director {
namespace {

/// The twin of kShareDesired.
constexpr const char* kLockDesired = "SELECT pg_advisory_xact_lock(482834802278)";

constexpr const char* kInsertRevision =
    "INSERT INTO revisions (payload_uuid, payload_identifier, display_name, payload_scope, "
    "payload_types, certificate_authority, original_payload_uuid, source, created_at, size_bytes, "
    "request_type, app_version, content) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::bigint, $10::bigint, $11, $12, $13::bytea) "
    "ON CONFLICT (payload_uuid) DO NOTHING";

constexpr const char* kUpsertAssignment =
    "INSERT INTO assignments (payload_identifier, channel, target_kind, target, presence, "
    "payload_uuid, adopt, source, assigned_at, during_setup, at_enrollment_only) "
    "VALUES ($1, $2, $3, $4, $5, NULLIF($6, ''), $7::boolean, $8, $9::bigint, $10::boolean, "
    "$11::boolean) "
    "ON CONFLICT (payload_identifier, channel, target_kind, lower(target)) DO UPDATE SET "
    "target = excluded.target, presence = excluded.presence, payload_uuid = excluded.payload_uuid, "
    "adopt = excluded.adopt, source = excluded.source, assigned_at = excluded.assigned_at, "
    "during_setup = excluded.during_setup, at_enrollment_only = excluded.at_enrollment_only "
    "RETURNING assignment_id";
constexpr const char* kDeleteAssignment =
    "DELETE FROM assignments WHERE assignment_id = $1::bigint RETURNING channel, target";

constexpr const char* kUnparkItem =
    "UPDATE items SET parked = false, parked_build = '', attempts = 0, next_attempt_at = NULL, "
    "acknowledged_at = NULL "
    "WHERE enrollment_id = $1 AND payload_identifier = $2";

}  // namespace

Status PostgresWriter::LockDesired() {
  if (has_desired_lock_) return {};
  has_desired_lock_ = true;
  return Write(kLockDesired);
}

Result<std::vector<Assignment>> PostgresWriter::ListAssignments(const AssignmentFilter& filter) {
  if (Status locked = LockDesired(); !locked) return Fail(locked.error());
  return postgres::ListAssignments(db(), filter);
}

Result<bool> PostgresWriter::SaveRevision(const Revision& revision) {
  const Result<PostgresResult> done = db().Run(
      kInsertRevision,
      {ToPostgres(revision.payload_uuid), ToPostgres(revision.payload_identifier),
       ToPostgres(revision.display_name), ToPostgres(revision.payload_scope),
       ToPostgres(EncodeStrings(revision.payload_types)),
       ToPostgres(revision.certificate_authority), ToPostgres(revision.original_payload_uuid),
       ToPostgres(revision.source), ToPostgres(revision.created_at),
       ToPostgres(revision.size_bytes), ToPostgres(revision.request_type),
       ToPostgres(revision.app_version), BytesToPostgres(revision.content)},
      "revisions");
  if (!done) return Fail(done.error());
  return done->affected_rows() > 0;
}

Result<std::int64_t> PostgresWriter::SaveAssignment(const Assignment& assignment, Timestamp now) {
  if (Status locked = LockDesired(); !locked) return Fail(locked.error());
  Result<PostgresResult> saved =
      db().Run(kUpsertAssignment,
               {ToPostgres(assignment.payload_identifier),
                ToPostgres(AssignmentChannelName(assignment.channel)),
                ToPostgres(TargetKindName(assignment.target_kind)), ToPostgres(assignment.target),
                ToPostgres(PresenceName(assignment.presence)), ToPostgres(assignment.payload_uuid),
                ToPostgres(assignment.adopt), ToPostgres(assignment.source),
                ToPostgres(assignment.assigned_at), ToPostgres(assignment.during_setup),
                ToPostgres(assignment.at_enrollment_only)},
               "assignments");
  if (!saved) return Fail(saved.error());
  const std::int64_t assignment_id = saved->Next() ? saved->Int() : 0;
  Status done = MarkConcernedDue(assignment.channel, assignment.target, now);
  if (!done) return Fail(done.error());
  return assignment_id;
}

Status PostgresWriter::DeleteAssignment(std::int64_t assignment_id, Timestamp now) {
  if (Status locked = LockDesired(); !locked) return locked;
  Result<PostgresResult> deleted =
      db().Run(kDeleteAssignment, {ToPostgres(assignment_id)}, "assignments");
  if (!deleted) return Fail(deleted.error());
  if (!deleted->Next()) return Fail(ErrorKind::kNotFound, "no such assignment");
  const AssignmentChannel channel = deleted->TextBy(ParseAssignmentChannel);
  const std::string target = deleted->Text();
  if (Status read = deleted->Check(std::to_string(assignment_id)); !read) return read;
  return MarkConcernedDue(channel, target, now);
}

/// An empty `target` is everybody on the channel. Marks too many rather than too few: a decision
/// that was not needed decides nothing.
Status PostgresWriter::MarkConcernedDue(AssignmentChannel channel, const std::string& target,
                                        Timestamp now) {
  if (target.empty()) {
    concerned_channels_.emplace(channel, now);
    return {};
  }
  const Result<std::vector<EnrollmentId>> named = FindEnrollments(target);
  if (!named) return Fail(named.error());
  for (const EnrollmentId& id : *named) concerned_.emplace(id, now);
  return {};
}

Status PostgresWriter::Finish() {
  for (const auto& [channel, now] : concerned_channels_) {
    if (Status done = AddFleetChange(channel, now); !done) return done;
  }
  return concerned_.empty() ? Status() : MarkDue(concerned_);
}

Status PostgresWriter::RetryItem(const EnrollmentId& id, const PayloadIdentifier& identifier,
                                 Timestamp now) {
  if (Status done = Lock({id}); !done) return done;
  const Result<PostgresResult> done =
      db().Run(kUnparkItem, {ToPostgres(id), ToPostgres(identifier)}, "items");
  if (!done) return Fail(done.error());
  if (done->affected_rows() == 0) {
    return Fail(ErrorKind::kNotFound, "no such item on this enrollment");
  }
  return MarkDue({{id, now}});
}

}  // namespace director
