#include "store/postgres_writer.h"

namespace director {
namespace {

constexpr const char* kInsertChange =
    "INSERT INTO fleet_changes (channel, changed_at) VALUES ($1, $2::bigint)";
/// One that another director is at is passed over.
constexpr const char* kTakeNewestChange =
    "SELECT fleet_change_id, channel, changed_at, spread_to FROM fleet_changes "
    "ORDER BY fleet_change_id DESC LIMIT 1 FOR UPDATE SKIP LOCKED";
/// A newer change reaches everybody whom the older ones have still to reach.
constexpr const char* kDeleteOlderChanges =
    "DELETE FROM fleet_changes WHERE channel = $1 AND fleet_change_id < $2::bigint";
constexpr const char* kDeleteChange =
    "DELETE FROM fleet_changes WHERE fleet_change_id = $1::bigint";
constexpr const char* kMoveChangeOn =
    "UPDATE fleet_changes SET spread_to = $2 WHERE fleet_change_id = $1::bigint";
/// Every row is locked, for whoever decides about it now may not have seen the change: its due time
/// counts as it is then. Those that are due even so are not written again.
constexpr const char* kMarkNextDue =
    "WITH concerned AS (SELECT s.enrollment_id, s.due_at FROM schedule AS s "
    "JOIN enrollments AS e USING (enrollment_id) "
    "WHERE s.enrollment_id > $3 "
    "AND (e.channel_type IN ('User', 'Shared iPad', 'User Enrollment')) = $2::boolean "
    "ORDER BY s.enrollment_id LIMIT $4::bigint FOR UPDATE OF s), "
    "marked AS (UPDATE schedule AS s SET due_at = $1::bigint FROM concerned "
    "WHERE s.enrollment_id = concerned.enrollment_id AND concerned.due_at > $1::bigint) "
    "SELECT COUNT(*), MAX(enrollment_id) FROM concerned";

}  // namespace

Status PostgresWriter::AddFleetChange(AssignmentChannel channel, Timestamp now) {
  return Write(kInsertChange, {ToPostgres(AssignmentChannelName(channel)), ToPostgres(now)});
}

/// Takes its locks before any enrollment's: who waits for an older change here holds nobody up.
Status PostgresWriter::SpreadFleetChange() {
  Result<PostgresResult> change = db().Run(kTakeNewestChange, {}, "fleet_changes");
  if (!change) return Fail(change.error());
  if (!change->Next()) return {};
  const PostgresValue number = ToPostgres(change->Int());
  const AssignmentChannel channel = change->TextBy(ParseAssignmentChannel);
  const Timestamp changed_at = change->Time();
  const std::string spread_to = change->Text();
  if (Status read = change->Check("(newest)"); !read) return read;
  Status done = Write(kDeleteOlderChanges, {ToPostgres(AssignmentChannelName(channel)), number});
  if (!done) return done;
  Result<PostgresResult> marked =
      db().Run(kMarkNextDue,
               {ToPostgres(changed_at), ToPostgres(channel == AssignmentChannel::kUser),
                ToPostgres(spread_to), ToPostgres(kSpreadMax)},
               "schedule");
  if (!marked) return Fail(marked.error());
  const bool is_over = !marked->Next() || marked->Int() < kSpreadMax;
  if (is_over) return Write(kDeleteChange, {number});
  return Write(kMoveChangeOn, {number, ToPostgres(marked->Text())});
}

}  // namespace director
