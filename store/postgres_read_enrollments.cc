#include <fmt/core.h>

#include "store/page.h"
#include "store/postgres_reader.h"
#include "store/row_readers.h"

namespace director::postgres {
namespace {

constexpr const char* kSelectEnrollments =
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
    "FROM enrollments JOIN schedule USING (enrollment_id) "
    "WHERE enrollment_id = ANY ($1::text[])";

constexpr const char* kFindQuiet =
    "SELECT enrollment_id FROM schedule JOIN enrollments USING (enrollment_id) "
    "WHERE enrollment_id = ANY ($1::text[]) AND last_seen_at > $2::bigint "
    "AND last_seen_at <= $3::bigint AND push_count = 0 AND NOT wants_wake "
    "AND NOT push_unregistered AND status = 'enrolled' AND missing_step <> 'token_update'";

/// The channels of every device that answers to the name; a device's names are its user channels'
/// names too.
constexpr const char* kFindEnrollments =
    "WITH named (device_id) AS ("
    " SELECT device_id FROM enrollments WHERE lower(device_id) = lower($1::text COLLATE \"C\")"
    " UNION SELECT device_id FROM enrollments WHERE lower(udid) = lower($1::text COLLATE \"C\")"
    " UNION SELECT device_id FROM enrollments"
    " WHERE lower(serial_number) = lower($1::text COLLATE \"C\")), "
    "found (enrollment_id) AS ("
    " SELECT enrollment_id FROM enrollments"
    " WHERE lower(enrollment_id) = lower($1::text COLLATE \"C\")"
    " UNION SELECT e.enrollment_id FROM named JOIN enrollments AS e"
    " ON lower(e.device_id) = lower(named.device_id)) "
    "SELECT enrollment_id FROM enrollments WHERE enrollment_id IN (SELECT enrollment_id FROM "
    "found) ORDER BY user_id <> '', enrollment_id";

constexpr const char* kListEnrollments =
    "SELECT e.enrollment_id, s.due_at FROM enrollments AS e JOIN schedule AS s USING "
    "(enrollment_id) "
    "WHERE e.enrollment_id > $1 "
    "AND ($2 = '' OR e.status = $2) "
    "AND ($3 = '' OR lower(e.serial_number) = lower($3::text COLLATE \"C\")) "
    "AND ($4 = '' OR lower(e.udid) = lower($4::text COLLATE \"C\")) "
    "AND ($5 = '' OR EXISTS (SELECT 1 FROM items AS i WHERE i.enrollment_id = e.enrollment_id"
    " AND i.payload_identifier = $5 AND ($6 = '' OR i.state = $6))) "
    "AND ($5 <> '' OR $6 = '' OR EXISTS (SELECT 1 FROM items AS i"
    " WHERE i.enrollment_id = e.enrollment_id AND i.state = $6)) "
    "AND ($8::bigint IS NULL OR e.missing_since <= $8) "
    "ORDER BY e.enrollment_id LIMIT $7::bigint";

constexpr const char* kCountItemStates =
    "SELECT enrollment_id, state, COUNT(*) FROM items WHERE enrollment_id = ANY ($1::text[]) "
    "GROUP BY enrollment_id, state";

Status AddFacts(PostgresTransaction& db, const std::vector<EnrollmentId>& ids,
                std::map<EnrollmentId, EnrollmentRow>& rows) {
  Result<std::vector<Enrollment>> enrollments = LoadEnrollments(db, ids);
  if (!enrollments) return Fail(enrollments.error());
  for (Enrollment& enrollment : *enrollments) {
    EnrollmentRow& row = rows.at(enrollment.channel.enrollment_id);
    row.enrollment = std::move(enrollment);
  }
  return {};
}

Status AddCounts(PostgresTransaction& db, const std::vector<EnrollmentId>& ids,
                 std::map<EnrollmentId, EnrollmentRow>& rows) {
  Result<PostgresResult> counts = db.Run(kCountItemStates, {ArrayToPostgres(ids)}, "items");
  if (!counts) return Fail(counts.error());
  while (counts->Next()) {
    PostgresResult& row = *counts;
    const auto id = row.TextAs<EnrollmentId>();
    const ItemState state = row.TextBy(ParseItemState);
    if (Status read = row.Check(id.value()); !read) return read;
    rows.at(id).item_counts[state] = row.Int();
  }
  return {};
}

}  // namespace

Result<std::vector<Enrollment>> LoadEnrollments(PostgresTransaction& db,
                                                const std::vector<EnrollmentId>& ids) {
  Result<PostgresResult> found = db.Run(kSelectEnrollments, {ArrayToPostgres(ids)}, "enrollments");
  if (!found) return Fail(found.error());
  std::vector<Enrollment> enrollments;
  while (found->Next()) {
    PostgresResult& row = *found;
    enrollments.push_back(ReadEnrollment(row));
    const EnrollmentId& id = enrollments.back().channel.enrollment_id;
    if (Status read = row.Check(id.value()); !read) return Fail(read.error());
  }
  return enrollments;
}

Result<std::vector<EnrollmentId>> FindQuiet(PostgresTransaction& db,
                                            const std::vector<EnrollmentId>& ids, Timestamp since,
                                            Timestamp until) {
  Result<PostgresResult> found =
      db.Run(kFindQuiet, {ArrayToPostgres(ids), ToPostgres(since), ToPostgres(until)}, "schedule");
  if (!found) return Fail(found.error());
  std::vector<EnrollmentId> quiet;
  while (found->Next()) quiet.push_back(found->TextAs<EnrollmentId>());
  return quiet;
}

Result<std::vector<EnrollmentId>> FindEnrollments(PostgresTransaction& db,
                                                  const std::string& name) {
  std::vector<EnrollmentId> ids;
  // Facts that are not known are empty: nobody is called that.
  if (name.empty()) return ids;
  Result<PostgresResult> found = db.Run(kFindEnrollments, {ToPostgres(name)}, "enrollments");
  if (!found) return Fail(found.error());
  while (found->Next()) ids.push_back(found->TextAs<EnrollmentId>());
  return ids;
}

Result<std::vector<EnrollmentRow>> ListEnrollments(PostgresTransaction& db,
                                                   const EnrollmentFilter& filter,
                                                   const PageRequest& page) {
  if (Status fits = CheckLimit(page); !fits) return Fail(fits.error());
  Result<PostgresResult> found = db.Run(
      kListEnrollments,
      {ToPostgres(page.after),
       ToPostgres(filter.status ? EnrollmentStatusName(*filter.status) : std::string_view()),
       ToPostgres(filter.serial_number), ToPostgres(filter.udid),
       ToPostgres(filter.payload_identifier),
       ToPostgres(filter.item_state ? ItemStateName(*filter.item_state) : std::string_view()),
       ToPostgres(static_cast<std::int64_t>(page.limit)), ToPostgres(filter.missing_since)},
      "enrollments");
  if (!found) return Fail(found.error());
  std::vector<EnrollmentId> ids;
  std::map<EnrollmentId, EnrollmentRow> rows;
  while (found->Next()) {
    PostgresResult& row = *found;
    ids.push_back(row.TextAs<EnrollmentId>());
    rows[ids.back()].due_at = row.Time();
  }
  if (Status done = AddFacts(db, ids, rows); !done) return Fail(done.error());
  if (Status done = AddCounts(db, ids, rows); !done) return Fail(done.error());
  std::vector<EnrollmentRow> listed;
  for (auto& [id, row] : rows) listed.push_back(std::move(row));
  return listed;
}

}  // namespace director::postgres
