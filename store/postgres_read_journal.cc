#include "store/intent_columns.h"
#include "store/postgres_reader.h"
#include "store/row_readers.h"

namespace director::postgres {
namespace {

constexpr const char* kListIntents =
    "SELECT " INTENT_COLUMNS
    ", i.closed_at, i.closed_reason, i.enrollment_id, e.udid "
    "FROM intents AS i JOIN enrollments AS e USING (enrollment_id) "
    "WHERE (i.enrollment_id, i.command_uuid) > ($1, $2) "
    "ORDER BY i.enrollment_id, i.command_uuid LIMIT $3::bigint";
constexpr const char* kListOpenIntents =
    "SELECT " INTENT_COLUMNS
    ", i.closed_at, i.closed_reason, i.enrollment_id, e.udid "
    "FROM intents AS i JOIN enrollments AS e USING (enrollment_id) "
    "WHERE i.closed_at IS NULL AND i.state IN ('journaled', 'sent', 'unknown', 'not_now') "
    "AND i.enrollment_id >= $1 AND (i.enrollment_id, i.command_uuid) > ($1, $2) "
    "ORDER BY i.enrollment_id, i.command_uuid LIMIT $3::bigint";
/// By the index of those with words about an error.
constexpr const char* kListFailedIntents =
    "SELECT " INTENT_COLUMNS
    ", i.closed_at, i.closed_reason, i.enrollment_id, e.udid "
    "FROM intents AS i JOIN enrollments AS e USING (enrollment_id) "
    "WHERE i.error <> '' AND i.state IN ('failed', 'refused') "
    "AND (i.enrollment_id, i.command_uuid) > ($1, $2) "
    "ORDER BY i.enrollment_id, i.command_uuid LIMIT $3::bigint";

constexpr const char* kSelectDispatching =
    "SELECT s.enrollment_id, s.due_at > $2::bigint, "
    "count(*) FILTER (WHERE i.state = 'journaled' AND l.lease_id IS NOT NULL), "
    "count(*) FILTER (WHERE i.state NOT IN ('journaled', 'unknown', 'not_sent', 'refused') "
    "OR (i.state = 'journaled' AND l.lease_id IS NULL)), "
    "count(*) FILTER (WHERE i.state IN ('unknown', 'not_sent', 'refused') "
    "AND i.payload_identifier <> '') "
    "FROM schedule AS s LEFT JOIN intents AS i "
    "ON i.enrollment_id = s.enrollment_id AND i.journaled_at >= $2::bigint "
    "LEFT JOIN leases AS l ON l.lease_id = i.lease_id "
    "WHERE s.enrollment_id = ANY ($1::text[]) GROUP BY s.enrollment_id, s.due_at";

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

Result<std::vector<IntentRow>> ListIntents(PostgresTransaction& db, IntentFilter filter,
                                           const IntentKey& after, std::size_t limit) {
  Result<PostgresResult> found = db.Run(ListStatement(filter),
                                        {ToPostgres(after.first), ToPostgres(after.second),
                                         ToPostgres(static_cast<std::int64_t>(limit))},
                                        "intents");
  if (!found) return Fail(found.error());
  std::vector<IntentRow> rows;
  while (found->Next()) {
    rows.push_back(ReadIntentRow(*found));
    const std::string key =
        rows.back().enrollment_id.value() + " " + rows.back().intent.command_uuid.value();
    if (Status read = found->Check(key); !read) return Fail(read.error());
  }
  return rows;
}

Result<std::map<EnrollmentId, Dispatching>> LoadDispatching(PostgresTransaction& db,
                                                            const std::vector<EnrollmentId>& ids,
                                                            Timestamp since) {
  Result<PostgresResult> rows =
      db.Run(kSelectDispatching, {ArrayToPostgres(ids), ToPostgres(since)}, "intents");
  if (!rows) return Fail(rows.error());
  std::map<EnrollmentId, Dispatching> found;
  while (rows->Next()) {
    const auto id = rows->TextAs<EnrollmentId>();
    found[id] = {rows->Flag(), rows->Int(), rows->Int(), rows->Int()};
  }
  return found;
}

}  // namespace director::postgres
