#include <algorithm>
#include <tuple>

#include "store/postgres_reader.h"
#include "store/row_readers.h"

namespace director::postgres {
namespace {

constexpr const char* kNextDueAt =
    "SELECT LEAST((SELECT due_at FROM schedule AS s "
    "WHERE (SELECT l.lease_id FROM leases AS l WHERE l.lease_id = s.lease_id) IS NULL "
    "ORDER BY due_at, enrollment_id LIMIT 1), "
    "(SELECT MIN(lease_until) FROM leases), "
    "(SELECT MIN(changed_at) FROM fleet_changes))";

constexpr const char* kCountEnrollments =
    "SELECT status, COUNT(*) FROM enrollments GROUP BY status";
constexpr const char* kCountHalfEnrollments =
    "SELECT missing_step, COUNT(*) FROM enrollments WHERE missing_since <= $1::bigint "
    "GROUP BY missing_step";
constexpr const char* kCountItems =
    "SELECT payload_identifier, state, presence, COUNT(*) FROM items "
    "GROUP BY payload_identifier, state, presence";
/// The condition is that of the index items_waiting, word for word.
constexpr const char* kSelectOldestWaiting =
    "SELECT enrollment_id, payload_identifier, state, state_since, reason FROM items "
    "WHERE state NOT IN ('verified', 'blocked') "
    "ORDER BY state_since, enrollment_id, payload_identifier LIMIT 1";
constexpr const char* kCountOthers =
    "SELECT (SELECT COUNT(*) FROM schedule WHERE due_at <= $1::bigint), "
    "(SELECT COUNT(*) FROM dead_letters)";

Status CountEnrollments(PostgresTransaction& db, FleetCounts& counts) {
  Result<PostgresResult> found = db.Run(kCountEnrollments, {}, "enrollments");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    PostgresResult& row = *found;
    const EnrollmentStatus status = row.TextBy(ParseEnrollmentStatus);
    if (Status read = row.Check("(counted)"); !read) return read;
    counts.enrollments[status] = row.Int();
  }
  return {};
}

Status CountHalfEnrollments(PostgresTransaction& db, Timestamp now, FleetCounts& counts) {
  Result<PostgresResult> found =
      db.Run(kCountHalfEnrollments, {ToPostgres(now - kEnrollmentStepMax)}, "enrollments");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    PostgresResult& row = *found;
    const EnrollmentStep step = row.TextBy(ParseEnrollmentStep);
    if (Status read = row.Check("(counted)"); !read) return read;
    counts.half_enrollments[step] = row.Int();
  }
  return {};
}

Status CountItems(PostgresTransaction& db, FleetCounts& counts) {
  Result<PostgresResult> found = db.Run(kCountItems, {}, "items");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    PostgresResult& row = *found;
    counts.items.push_back(ReadItemCount(row));
    const Status read = row.Check(counts.items.back().payload_identifier.value());
    if (!read) return read;
  }
  // People want states in the order of progress.
  std::sort(counts.items.begin(), counts.items.end(), [](const ItemCount& a, const ItemCount& b) {
    return std::tie(a.payload_identifier, a.state, a.presence) <
           std::tie(b.payload_identifier, b.state, b.presence);
  });
  return {};
}

Status FindOldestWaiting(PostgresTransaction& db, FleetCounts& counts) {
  Result<PostgresResult> found = db.Run(kSelectOldestWaiting, {}, "items");
  if (!found) return Fail(found.error());
  if (!found->Next()) return {};
  OldestWaiting oldest = ReadOldestWaiting(*found);
  if (Status read = found->Check(oldest.enrollment_id.value()); !read) return read;
  counts.oldest_waiting = std::move(oldest);
  return {};
}

}  // namespace

Result<std::optional<Timestamp>> NextDueAt(PostgresTransaction& db) {
  Result<PostgresResult> found = db.Run(kNextDueAt, {}, "schedule");
  if (!found) return Fail(found.error());
  return found->Next() ? found->OptionalTime() : std::nullopt;
}

Result<FleetCounts> CountFleet(PostgresTransaction& db, Timestamp now) {
  FleetCounts counts;
  if (Status done = CountEnrollments(db, counts); !done) return Fail(done.error());
  if (Status done = CountHalfEnrollments(db, now, counts); !done) return Fail(done.error());
  if (Status done = CountItems(db, counts); !done) return Fail(done.error());
  if (Status done = FindOldestWaiting(db, counts); !done) return Fail(done.error());
  if (Status done = CountIdentities(db, now, counts); !done) return Fail(done.error());
  Result<std::vector<ProposalCount>> proposals = CountOpenProposals(db);
  if (!proposals) return Fail(proposals.error());
  counts.proposals = std::move(*proposals);
  Result<PostgresResult> others = db.Run(kCountOthers, {ToPostgres(now)}, "schedule");
  if (!others) return Fail(others.error());
  while (others->Next()) {
    counts.due = others->Int();
    counts.dead_letters = others->Int();
  }
  return counts;
}

}  // namespace director::postgres
