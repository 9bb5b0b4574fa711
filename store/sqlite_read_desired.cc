#include "store/page.h"
#include "store/row_readers.h"
#include "store/sqlite_reader.h"
#include "store/sqlite_row.h"

namespace director::sqlite {
namespace {

constexpr const char* kSelectRevision =
    "SELECT payload_uuid, payload_identifier, display_name, payload_scope, payload_types, "
    "certificate_authority, original_payload_uuid, source, created_at, size_bytes, "
    "request_type, app_version, content "
    "FROM revisions WHERE payload_uuid = ?";
/// The page's last row is looked up to go on behind it in the order of three columns.
constexpr const char* kListRevisions =
    "SELECT r.payload_uuid, r.payload_identifier, r.display_name, r.payload_scope, "
    "r.payload_types, r.certificate_authority, r.original_payload_uuid, r.source, r.created_at, "
    "r.size_bytes, r.request_type, r.app_version FROM revisions AS r LEFT JOIN revisions AS last "
    "ON last.payload_uuid = ?2 "
    "WHERE (?1 = '' OR r.payload_identifier = ?1) AND (?4 = '' OR ?4 = CASE r.request_type "
    "WHEN 'InstallProfile' THEN 'profile' WHEN 'AccountConfiguration' THEN 'accounts' "
    "ELSE 'app' END) AND (?2 = '' "
    "OR r.payload_identifier > last.payload_identifier "
    "OR (r.payload_identifier = last.payload_identifier AND (r.created_at < last.created_at "
    "OR (r.created_at = last.created_at AND r.payload_uuid > last.payload_uuid)))) "
    "ORDER BY r.payload_identifier, r.created_at DESC, r.payload_uuid LIMIT ?3";

constexpr const char* kListAssignments =
    "SELECT assignment_id, payload_identifier, channel, target_kind, target, presence, "
    "COALESCE(payload_uuid, ''), adopt, source, assigned_at, during_setup, at_enrollment_only "
    "FROM assignments "
    "WHERE (?1 = '' OR payload_identifier = ?1) AND (?2 = '' OR target_kind = ?2) "
    "ORDER BY assignment_id";
/// Both channels are named so that the index of targets serves.
constexpr const char* kListAssignmentsOfTarget =
    "SELECT assignment_id, payload_identifier, channel, target_kind, target, presence, "
    "COALESCE(payload_uuid, ''), adopt, source, assigned_at, during_setup, at_enrollment_only "
    "FROM assignments "
    "WHERE channel IN ('device', 'user') AND target_kind = 'device' "
    "AND target COLLATE NOCASE = ?3 "
    "AND (?1 = '' OR payload_identifier = ?1) AND (?2 = '' OR target_kind = ?2) "
    "ORDER BY assignment_id";

constexpr const char* kListHappenings =
    "SELECT happening_id, at, enrollment_id, kind, text FROM happenings "
    "WHERE happening_id < ?1 ORDER BY happening_id DESC LIMIT ?2";
constexpr const char* kListHappeningsOfOne =
    "SELECT happening_id, at, enrollment_id, kind, text FROM happenings "
    "WHERE enrollment_id = ?1 AND enrollment_id <> '' AND happening_id < ?2 "
    "ORDER BY happening_id DESC LIMIT ?3";
constexpr const char* kListDeadLetters =
    "SELECT dead_letter_id, received_at, upstream, reason, body, size_bytes FROM dead_letters "
    "WHERE dead_letter_id < ?1 ORDER BY dead_letter_id DESC LIMIT ?2";

std::string_view KindText(const std::optional<TargetKind>& kind) {
  return kind ? TargetKindName(*kind) : std::string_view();
}

std::string_view KindText(const std::optional<ItemKind>& kind) {
  return kind ? ItemKindName(*kind) : std::string_view();
}

}  // namespace

Result<Revision> LoadRevision(SqliteDb& db, const PayloadUuid& payload_uuid) {
  SqliteStatement statement = db.Use(kSelectRevision);
  statement.Bind(payload_uuid);
  if (!statement.Next()) {
    if (Status done = statement.Finish(); !done) return Fail(done.error());
    return Fail(ErrorKind::kNotFound, "no such revision");
  }
  SqliteRow row(statement, "revisions");
  Revision revision = ReadRevision(row);
  revision.content = row.Bytes();
  if (Status read = row.Check(payload_uuid.value()); !read) return Fail(read.error());
  return revision;
}

Result<std::vector<Revision>> ListRevisions(SqliteDb& db, const RevisionFilter& filter,
                                            const PageRequest& page) {
  if (Status fits = CheckLimit(page); !fits) return Fail(fits.error());
  SqliteStatement statement = db.Use(kListRevisions);
  statement.Bind(filter.payload_identifier)
      .Bind(page.after)
      .Bind(page.limit)
      .Bind(KindText(filter.kind));
  std::vector<Revision> revisions;
  while (statement.Next()) {
    SqliteRow row(statement, "revisions");
    revisions.push_back(ReadRevision(row));
    const Status read = row.Check(revisions.back().payload_uuid.value());
    if (!read) return Fail(read.error());
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return revisions;
}

Result<std::vector<Assignment>> ListAssignments(SqliteDb& db, const AssignmentFilter& filter) {
  SqliteStatement statement =
      db.Use(filter.target.empty() ? kListAssignments : kListAssignmentsOfTarget);
  statement.Bind(filter.payload_identifier).Bind(KindText(filter.target_kind));
  if (!filter.target.empty()) statement.Bind(filter.target);
  std::vector<Assignment> assignments;
  while (statement.Next()) {
    SqliteRow row(statement, "assignments");
    assignments.push_back(ReadAssignment(row));
    const Status read = row.Check(std::to_string(assignments.back().assignment_id));
    if (!read) return Fail(read.error());
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return assignments;
}

Result<std::vector<Happening>> ListHappenings(SqliteDb& db, const EnrollmentId& enrollment_id,
                                              const PageRequest& page) {
  const Result<std::int64_t> before = NumberBefore(page);
  if (!before) return Fail(before.error());
  SqliteStatement statement =
      db.Use(enrollment_id.empty() ? kListHappenings : kListHappeningsOfOne);
  if (!enrollment_id.empty()) statement.Bind(enrollment_id);
  statement.Bind(*before).Bind(page.limit);
  std::vector<Happening> happenings;
  while (statement.Next()) {
    SqliteRow row(statement, "happenings");
    happenings.push_back(ReadHappening(row));
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return happenings;
}

Result<std::vector<DeadLetter>> ListDeadLetters(SqliteDb& db, const PageRequest& page) {
  const Result<std::int64_t> before = NumberBefore(page);
  if (!before) return Fail(before.error());
  SqliteStatement statement = db.Use(kListDeadLetters);
  statement.Bind(*before).Bind(page.limit);
  std::vector<DeadLetter> letters;
  while (statement.Next()) {
    SqliteRow row(statement, "dead_letters");
    letters.push_back(ReadDeadLetter(row));
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return letters;
}

}  // namespace director::sqlite
