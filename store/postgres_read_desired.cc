#include "store/page.h"
#include "store/postgres_reader.h"
#include "store/row_readers.h"

namespace director::postgres {
namespace {

constexpr const char* kSelectRevision =
    "SELECT payload_uuid, payload_identifier, display_name, payload_scope, payload_types, "
    "certificate_authority, original_payload_uuid, source, created_at, size_bytes, "
    "request_type, app_version, encode(content, 'hex') FROM revisions WHERE payload_uuid = $1";
/// The page's last row is looked up to go on behind it in the order of three columns.
constexpr const char* kListRevisions =
    "SELECT r.payload_uuid, r.payload_identifier, r.display_name, r.payload_scope, "
    "r.payload_types, r.certificate_authority, r.original_payload_uuid, r.source, r.created_at, "
    "r.size_bytes, r.request_type, r.app_version FROM revisions AS r LEFT JOIN revisions AS last "
    "ON last.payload_uuid = $2 "
    "WHERE ($1 = '' OR r.payload_identifier = $1) AND ($4 = '' OR $4 = CASE r.request_type "
    "WHEN 'InstallProfile' THEN 'profile' WHEN 'AccountConfiguration' THEN 'accounts' "
    "ELSE 'app' END) AND ($2 = '' "
    "OR r.payload_identifier > last.payload_identifier "
    "OR (r.payload_identifier = last.payload_identifier AND (r.created_at < last.created_at "
    "OR (r.created_at = last.created_at AND r.payload_uuid > last.payload_uuid)))) "
    "ORDER BY r.payload_identifier, r.created_at DESC, r.payload_uuid LIMIT $3::bigint";

constexpr const char* kListAssignments =
    "SELECT assignment_id, payload_identifier, channel, target_kind, target, presence, "
    "COALESCE(payload_uuid, ''), adopt, source, assigned_at, during_setup, at_enrollment_only "
    "FROM assignments "
    "WHERE ($1 = '' OR payload_identifier = $1) AND ($2 = '' OR target_kind = $2) "
    "ORDER BY assignment_id";
/// Both channels are named so that the index of targets serves.
constexpr const char* kListAssignmentsOfTarget =
    "SELECT assignment_id, payload_identifier, channel, target_kind, target, presence, "
    "COALESCE(payload_uuid, ''), adopt, source, assigned_at, during_setup, at_enrollment_only "
    "FROM assignments "
    "WHERE channel IN ('device', 'user') AND target_kind = 'device' AND lower(target) = lower($3) "
    "AND ($1 = '' OR payload_identifier = $1) AND ($2 = '' OR target_kind = $2) "
    "ORDER BY assignment_id";

constexpr const char* kListHappenings =
    "SELECT happening_id, at, enrollment_id, kind, text FROM happenings "
    "WHERE happening_id < $1::bigint ORDER BY happening_id DESC LIMIT $2::bigint";
constexpr const char* kListHappeningsOfOne =
    "SELECT happening_id, at, enrollment_id, kind, text FROM happenings "
    "WHERE enrollment_id = $3 AND enrollment_id <> '' AND happening_id < $1::bigint "
    "ORDER BY happening_id DESC LIMIT $2::bigint";
constexpr const char* kListDeadLetters =
    "SELECT dead_letter_id, received_at, upstream, reason, encode(body, 'hex'), size_bytes "
    "FROM dead_letters WHERE dead_letter_id < $1::bigint ORDER BY dead_letter_id DESC LIMIT "
    "$2::bigint";

PostgresValue Limit(const PageRequest& page) {
  return ToPostgres(static_cast<std::int64_t>(page.limit));
}

std::string_view KindText(const std::optional<TargetKind>& kind) {
  return kind ? TargetKindName(*kind) : std::string_view();
}

std::string_view KindText(const std::optional<ItemKind>& kind) {
  return kind ? ItemKindName(*kind) : std::string_view();
}

}  // namespace

Result<Revision> LoadRevision(PostgresTransaction& db, const PayloadUuid& payload_uuid) {
  Result<PostgresResult> found = db.Run(kSelectRevision, {ToPostgres(payload_uuid)}, "revisions");
  if (!found) return Fail(found.error());
  if (!found->Next()) return Fail(ErrorKind::kNotFound, "no such revision");
  Revision revision = ReadRevision(*found);
  revision.content = found->Bytes();
  if (Status read = found->Check(payload_uuid.value()); !read) return Fail(read.error());
  return revision;
}

Result<std::vector<Revision>> ListRevisions(PostgresTransaction& db, const RevisionFilter& filter,
                                            const PageRequest& page) {
  if (Status fits = CheckLimit(page); !fits) return Fail(fits.error());
  Result<PostgresResult> found =
      db.Run(kListRevisions,
             {ToPostgres(filter.payload_identifier), ToPostgres(page.after), Limit(page),
              ToPostgres(KindText(filter.kind))},
             "revisions");
  if (!found) return Fail(found.error());
  std::vector<Revision> revisions;
  while (found->Next()) {
    PostgresResult& row = *found;
    revisions.push_back(ReadRevision(row));
    const Status read = row.Check(revisions.back().payload_uuid.value());
    if (!read) return Fail(read.error());
  }
  return revisions;
}

Result<std::vector<Assignment>> ListAssignments(PostgresTransaction& db,
                                                const AssignmentFilter& filter) {
  std::vector<PostgresValue> values = {ToPostgres(filter.payload_identifier),
                                       ToPostgres(KindText(filter.target_kind))};
  if (!filter.target.empty()) values.push_back(ToPostgres(filter.target));
  Result<PostgresResult> found = db.Run(
      filter.target.empty() ? kListAssignments : kListAssignmentsOfTarget, values, "assignments");
  if (!found) return Fail(found.error());
  std::vector<Assignment> assignments;
  while (found->Next()) {
    PostgresResult& row = *found;
    assignments.push_back(ReadAssignment(row));
    const Status read = row.Check(std::to_string(assignments.back().assignment_id));
    if (!read) return Fail(read.error());
  }
  return assignments;
}

Result<std::vector<Happening>> ListHappenings(PostgresTransaction& db,
                                              const EnrollmentId& enrollment_id,
                                              const PageRequest& page) {
  const Result<std::int64_t> before = NumberBefore(page);
  if (!before) return Fail(before.error());
  std::vector<PostgresValue> values = {ToPostgres(*before), Limit(page)};
  if (!enrollment_id.empty()) values.push_back(ToPostgres(enrollment_id));
  Result<PostgresResult> found =
      db.Run(enrollment_id.empty() ? kListHappenings : kListHappeningsOfOne, values, "happenings");
  if (!found) return Fail(found.error());
  std::vector<Happening> happenings;
  while (found->Next()) {
    PostgresResult& row = *found;
    happenings.push_back(ReadHappening(row));
  }
  return happenings;
}

Result<std::vector<DeadLetter>> ListDeadLetters(PostgresTransaction& db, const PageRequest& page) {
  const Result<std::int64_t> before = NumberBefore(page);
  if (!before) return Fail(before.error());
  Result<PostgresResult> found =
      db.Run(kListDeadLetters, {ToPostgres(*before), Limit(page)}, "dead_letters");
  if (!found) return Fail(found.error());
  std::vector<DeadLetter> letters;
  while (found->Next()) {
    PostgresResult& row = *found;
    letters.push_back(ReadDeadLetter(row));
  }
  return letters;
}

}  // namespace director::postgres
