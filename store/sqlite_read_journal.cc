#include "store/intent_columns.h"
#include "store/row_readers.h"
#include "store/sqlite_reader.h"
#include "store/sqlite_row.h"

namespace director::sqlite {
namespace {

// CROSS JOIN keeps the order of the tables: a page costs as much as it is long.
constexpr const char* kListIntents =
    "SELECT " INTENT_COLUMNS
    ", i.closed_at, i.closed_reason, i.enrollment_id, e.udid "
    "FROM intents AS i CROSS JOIN enrollments AS e USING (enrollment_id) "
    "WHERE (i.enrollment_id, i.command_uuid) > (?1, ?2) "
    "ORDER BY i.enrollment_id, i.command_uuid LIMIT ?3";
constexpr const char* kListOpenIntents =
    "SELECT " INTENT_COLUMNS
    ", i.closed_at, i.closed_reason, i.enrollment_id, e.udid "
    "FROM intents AS i INDEXED BY intents_open CROSS JOIN enrollments AS e USING (enrollment_id) "
    "WHERE i.closed_at IS NULL AND i.state IN ('journaled', 'sent', 'unknown', 'not_now') "
    "AND (i.enrollment_id, i.command_uuid) > (?1, ?2) "
    "ORDER BY i.enrollment_id, i.command_uuid LIMIT ?3";
/// By the index of those with words about an error.
constexpr const char* kListFailedIntents =
    "SELECT " INTENT_COLUMNS
    ", i.closed_at, i.closed_reason, i.enrollment_id, e.udid "
    "FROM intents AS i INDEXED BY intents_failed CROSS JOIN enrollments AS e USING (enrollment_id) "
    "WHERE i.error <> '' AND i.state IN ('failed', 'refused') "
    "AND (i.enrollment_id, i.command_uuid) > (?1, ?2) "
    "ORDER BY i.enrollment_id, i.command_uuid LIMIT ?3";

constexpr const char* kSelectDispatching =
    "SELECT e.due_at > ?2, "
    "COUNT(*) FILTER (WHERE i.state = 'journaled' AND l.lease_id IS NOT NULL), "
    "COUNT(*) FILTER (WHERE i.state NOT IN ('journaled', 'unknown', 'not_sent', 'refused') "
    "OR (i.state = 'journaled' AND l.lease_id IS NULL)), "
    "COUNT(*) FILTER (WHERE i.state IN ('unknown', 'not_sent', 'refused') "
    "AND i.payload_identifier <> '') "
    "FROM enrollments AS e LEFT JOIN intents AS i "
    "ON i.enrollment_id = e.enrollment_id AND i.journaled_at >= ?2 "
    "LEFT JOIN leases AS l ON l.lease_id = i.lease_id "
    "WHERE e.enrollment_id = ?1 GROUP BY e.enrollment_id";

const char* ListStatement(IntentFilter filter) {
  switch (filter) {
    case IntentFilter::kAll:
      return kListIntents;
    case IntentFilter::kOpen:
      return kListOpenIntents;
    case IntentFilter::kFailed:
      return kListFailedIntents;
  }
  return kListIntents;
}

}  // namespace

Result<std::vector<IntentRow>> ListIntents(SqliteDb& db, IntentFilter filter,
                                           const IntentKey& after, std::size_t limit) {
  SqliteStatement statement = db.Use(ListStatement(filter));
  statement.Bind(after.first).Bind(after.second).Bind(limit);
  std::vector<IntentRow> rows;
  while (statement.Next()) {
    SqliteRow row(statement, "intents");
    rows.push_back(ReadIntentRow(row));
    const std::string key =
        rows.back().enrollment_id.value() + " " + rows.back().intent.command_uuid.value();
    if (Status read = row.Check(key); !read) return Fail(read.error());
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return rows;
}

Result<std::map<EnrollmentId, Dispatching>> LoadDispatching(SqliteDb& db,
                                                            const std::vector<EnrollmentId>& ids,
                                                            Timestamp since) {
  std::map<EnrollmentId, Dispatching> found;
  for (const EnrollmentId& id : ids) {
    SqliteStatement statement = db.Use(kSelectDispatching);
    statement.Bind(id).Bind(since);
    if (statement.Next()) {
      SqliteRow row(statement, "intents");
      found[id] = {row.Flag(), row.Int(), row.Int(), row.Int()};
    }
    if (Status done = statement.Finish(); !done) return Fail(done.error());
  }
  return found;
}

}  // namespace director::sqlite
