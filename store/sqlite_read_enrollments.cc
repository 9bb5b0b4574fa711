#include "store/page.h"
#include "store/row_readers.h"
#include "store/sqlite_reader.h"
#include "store/sqlite_row.h"

namespace director::sqlite {
namespace {

constexpr std::string_view kTable = "enrollments";

constexpr const char* kSelectEnrollment =
    "SELECT enrollment_id, device_id, channel_type, udid, user_id, upstream, status, "
    "quarantine_reason, epoch, ask_first, awaiting_configuration, awaiting_since, serial_number, "
    "os_version, "
    "build_version, product_name, model_name, device_name, user_short_name, is_supervised, "
    "first_seen_at, last_seen_at, authenticated_at, enrolled_at, device_information_at, "
    "security_info_at, certificate_list_at, installed_application_list_at, "
    "managed_application_list_at, epoch_began_at, "
    "push_count, pushed_at, push_unregistered, wants_wake, report_wanted_at, missing_step, "
    "missing_since, topic, identity_issuer, identity_not_before, identity_not_after, "
    "identity_asked_at, renewal_began_at, renewal_replaces_until, renewal_authenticated_at, "
    "renewal_ended_at "
    "FROM enrollments WHERE enrollment_id = ?";

constexpr const char* kIsQuiet =
    "SELECT 1 FROM enrollments WHERE enrollment_id = ?1 AND last_seen_at > ?2 "
    "AND last_seen_at <= ?3 AND push_count = 0 AND NOT wants_wake AND NOT push_unregistered "
    "AND status = 'enrolled' AND missing_step <> 'token_update'";

/// The channels of every device that answers to the name; a device's names are its user channels'
/// names too.
constexpr const char* kFindEnrollments =
    "WITH named (device_id) AS ("
    " SELECT device_id FROM enrollments WHERE device_id = ?1 COLLATE NOCASE"
    " UNION SELECT device_id FROM enrollments WHERE udid = ?1 COLLATE NOCASE"
    " UNION SELECT device_id FROM enrollments WHERE serial_number = ?1 COLLATE NOCASE), "
    "found (enrollment_id) AS ("
    " SELECT enrollment_id FROM enrollments WHERE enrollment_id = ?1 COLLATE NOCASE"
    " UNION SELECT e.enrollment_id FROM named JOIN enrollments AS e"
    " ON e.device_id = named.device_id COLLATE NOCASE) "
    "SELECT enrollment_id FROM enrollments WHERE enrollment_id IN (SELECT enrollment_id FROM "
    "found) "
    "ORDER BY user_id <> '', enrollment_id";

constexpr const char* kListEnrollments =
    "SELECT e.enrollment_id, e.due_at FROM enrollments AS e "
    "WHERE e.enrollment_id > ?1 "
    "AND (?2 = '' OR e.status = ?2) "
    "AND (?3 = '' OR e.serial_number = ?3 COLLATE NOCASE) "
    "AND (?4 = '' OR e.udid = ?4 COLLATE NOCASE) "
    "AND (?5 = '' OR EXISTS (SELECT 1 FROM items AS i WHERE i.enrollment_id = e.enrollment_id"
    " AND i.payload_identifier = ?5 AND (?6 = '' OR i.state = ?6))) "
    "AND (?5 <> '' OR ?6 = '' OR EXISTS (SELECT 1 FROM items AS i"
    " WHERE i.enrollment_id = e.enrollment_id AND i.state = ?6)) "
    "AND (?8 IS NULL OR e.missing_since <= ?8) "
    "ORDER BY e.enrollment_id LIMIT ?7";

constexpr const char* kCountItemStates =
    "SELECT state, COUNT(*) FROM items WHERE enrollment_id = ? GROUP BY state";

Status AddDetails(SqliteDb& db, EnrollmentRow& listed) {
  const EnrollmentId id = listed.enrollment.channel.enrollment_id;
  Result<std::optional<Enrollment>> enrollment = LoadEnrollment(db, id);
  if (!enrollment) return Fail(enrollment.error());
  if (*enrollment) listed.enrollment = std::move(**enrollment);
  SqliteStatement counts = db.Use(kCountItemStates);
  counts.Bind(id);
  while (counts.Next()) {
    SqliteRow row(counts, "items");
    const ItemState state = row.TextBy(ParseItemState);
    if (Status read = row.Check(id.value()); !read) return read;
    listed.item_counts[state] = row.Int();
  }
  return counts.Finish();
}

}  // namespace

Result<std::optional<Enrollment>> LoadEnrollment(SqliteDb& db, const EnrollmentId& id) {
  SqliteStatement statement = db.Use(kSelectEnrollment);
  statement.Bind(id);
  if (!statement.Next()) {
    if (Status done = statement.Finish(); !done) return Fail(done.error());
    return std::optional<Enrollment>();
  }
  SqliteRow row(statement, kTable);
  std::optional<Enrollment> enrollment = ReadEnrollment(row);
  if (Status read = row.Check(id.value()); !read) return Fail(read.error());
  return enrollment;
}

Result<std::vector<Enrollment>> LoadEnrollments(SqliteDb& db,
                                                const std::vector<EnrollmentId>& ids) {
  std::vector<Enrollment> enrollments;
  enrollments.reserve(ids.size());
  for (const EnrollmentId& id : ids) {
    Result<std::optional<Enrollment>> enrollment = LoadEnrollment(db, id);
    if (!enrollment) return Fail(enrollment.error());
    if (*enrollment) enrollments.push_back(std::move(**enrollment));
  }
  return enrollments;
}

Result<std::vector<EnrollmentId>> FindQuiet(SqliteDb& db, const std::vector<EnrollmentId>& ids,
                                            Timestamp since, Timestamp until) {
  std::vector<EnrollmentId> quiet;
  for (const EnrollmentId& id : ids) {
    SqliteStatement statement = db.Use(kIsQuiet);
    statement.Bind(id).Bind(since).Bind(until);
    if (statement.Next()) quiet.push_back(id);
    if (Status done = statement.Finish(); !done) return Fail(done.error());
  }
  return quiet;
}

Result<std::vector<EnrollmentId>> FindEnrollments(SqliteDb& db, const std::string& name) {
  std::vector<EnrollmentId> ids;
  // Facts that are not known are empty: nobody is called that.
  if (name.empty()) return ids;
  SqliteStatement statement = db.Use(kFindEnrollments);
  statement.Bind(name);
  while (statement.Next()) ids.emplace_back(std::string(statement.Text(0)));
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return ids;
}

Result<std::vector<EnrollmentRow>> ListEnrollments(SqliteDb& db, const EnrollmentFilter& filter,
                                                   const PageRequest& page) {
  if (Status fits = CheckLimit(page); !fits) return Fail(fits.error());
  SqliteStatement statement = db.Use(kListEnrollments);
  statement.Bind(page.after)
      .Bind(filter.status ? EnrollmentStatusName(*filter.status) : std::string_view())
      .Bind(filter.serial_number)
      .Bind(filter.udid)
      .Bind(filter.payload_identifier)
      .Bind(filter.item_state ? ItemStateName(*filter.item_state) : std::string_view())
      .Bind(page.limit)
      .Bind(filter.missing_since);
  std::vector<EnrollmentRow> rows;
  while (statement.Next()) {
    SqliteRow row(statement, kTable);
    EnrollmentRow listed;
    listed.enrollment.channel.enrollment_id = row.TextAs<EnrollmentId>();
    listed.due_at = row.Time();
    if (Status done = AddDetails(db, listed); !done) return Fail(done.error());
    rows.push_back(std::move(listed));
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return rows;
}

}  // namespace director::sqlite
