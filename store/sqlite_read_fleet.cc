#include <algorithm>
#include <tuple>

#include "store/row_readers.h"
#include "store/sqlite_reader.h"
#include "store/sqlite_row.h"

namespace director::sqlite {
namespace {

constexpr const char* kNextFreeDueAt =
    "SELECT due_at FROM enrollments INDEXED BY enrollments_due "
    "WHERE lease_id NOT IN (SELECT lease_id FROM leases) ORDER BY due_at LIMIT 1";
constexpr const char* kNextLeaseEnd = "SELECT MIN(lease_until) FROM leases";
constexpr const char* kOldestFleetChange = "SELECT MIN(changed_at) FROM fleet_changes";

constexpr const char* kCountEnrollments =
    "SELECT status, COUNT(*) FROM enrollments GROUP BY status";
constexpr const char* kCountHalfEnrollments =
    "SELECT missing_step, COUNT(*) FROM enrollments INDEXED BY enrollments_missing "
    "WHERE missing_since <= ? GROUP BY missing_step";
/// Answered from the index items_state alone.
constexpr const char* kCountItems =
    "SELECT payload_identifier, state, presence, COUNT(*) FROM items INDEXED BY items_state "
    "GROUP BY payload_identifier, state, presence";
/// The condition is that of the index items_waiting, word for word.
constexpr const char* kSelectOldestWaiting =
    "SELECT enrollment_id, payload_identifier, state, state_since, reason "
    "FROM items INDEXED BY items_waiting "
    "WHERE state NOT IN ('verified', 'blocked') ORDER BY state_since, enrollment_id, "
    "payload_identifier LIMIT 1";
constexpr const char* kCountDue = "SELECT COUNT(*) FROM enrollments WHERE due_at <= ?";
constexpr const char* kCountDeadLetters = "SELECT COUNT(*) FROM dead_letters";

Status CountEnrollments(SqliteDb& db, FleetCounts& counts) {
  SqliteStatement statement = db.Use(kCountEnrollments);
  while (statement.Next()) {
    SqliteRow row(statement, "enrollments");
    const EnrollmentStatus status = row.TextBy(ParseEnrollmentStatus);
    if (Status read = row.Check("(counted)"); !read) return read;
    counts.enrollments[status] = row.Int();
  }
  return statement.Finish();
}

Status CountHalfEnrollments(SqliteDb& db, Timestamp now, FleetCounts& counts) {
  SqliteStatement statement = db.Use(kCountHalfEnrollments);
  statement.Bind(now - kEnrollmentStepMax);
  while (statement.Next()) {
    SqliteRow row(statement, "enrollments");
    const EnrollmentStep step = row.TextBy(ParseEnrollmentStep);
    if (Status read = row.Check("(counted)"); !read) return read;
    counts.half_enrollments[step] = row.Int();
  }
  return statement.Finish();
}

Status CountItems(SqliteDb& db, FleetCounts& counts) {
  SqliteStatement statement = db.Use(kCountItems);
  while (statement.Next()) {
    SqliteRow row(statement, "items");
    ItemCount count = ReadItemCount(row);
    if (Status read = row.Check(count.payload_identifier.value()); !read) return read;
    counts.items.push_back(std::move(count));
  }
  // The index sorts states as words; people want them in the order of progress.
  std::sort(counts.items.begin(), counts.items.end(), [](const ItemCount& a, const ItemCount& b) {
    return std::tie(a.payload_identifier, a.state, a.presence) <
           std::tie(b.payload_identifier, b.state, b.presence);
  });
  return statement.Finish();
}

Status FindOldestWaiting(SqliteDb& db, FleetCounts& counts) {
  SqliteStatement statement = db.Use(kSelectOldestWaiting);
  if (!statement.Next()) return statement.Finish();
  SqliteRow row(statement, "items");
  OldestWaiting oldest = ReadOldestWaiting(row);
  if (Status read = row.Check(oldest.enrollment_id.value()); !read) return read;
  counts.oldest_waiting = std::move(oldest);
  return {};
}

}  // namespace

Result<std::optional<Timestamp>> NextDueAt(SqliteDb& db) {
  std::optional<Timestamp> next;
  for (const char* sql : {kNextFreeDueAt, kNextLeaseEnd, kOldestFleetChange}) {
    SqliteStatement statement = db.Use(sql);
    if (statement.Next() && !statement.IsNull(0)) {
      const Timestamp at = FromUnixMs(statement.Int(0));
      next = next ? std::min(*next, at) : at;
    }
    if (Status done = statement.Finish(); !done) return Fail(done.error());
  }
  return next;
}

Result<FleetCounts> CountFleet(SqliteDb& db, Timestamp now) {
  FleetCounts counts;
  if (Status done = CountEnrollments(db, counts); !done) return Fail(done.error());
  if (Status done = CountHalfEnrollments(db, now, counts); !done) return Fail(done.error());
  if (Status done = CountItems(db, counts); !done) return Fail(done.error());
  if (Status done = FindOldestWaiting(db, counts); !done) return Fail(done.error());
  if (Status done = CountIdentities(db, now, counts); !done) return Fail(done.error());
  Result<std::vector<ProposalCount>> proposals = CountOpenProposals(db);
  if (!proposals) return Fail(proposals.error());
  counts.proposals = std::move(*proposals);
  SqliteStatement due = db.Use(kCountDue);
  due.Bind(now);
  if (!due.Next()) return Fail(due.Finish().error());
  counts.due = due.Int(0);
  SqliteStatement dead_letters = db.Use(kCountDeadLetters);
  if (!dead_letters.Next()) return Fail(dead_letters.Finish().error());
  counts.dead_letters = dead_letters.Int(0);
  return counts;
}

}  // namespace director::sqlite
