#include "store/postgres_writer.h"

namespace director {
namespace {

constexpr const char* kInsertChange =
    "INSERT INTO fleet_changes (channel, changed_at) VALUES ($1, $2::bigint)";
/// The oldest of each channel goes first; a channel that another director is at is passed over.
constexpr const char* kTakeOldestChange =
    "SELECT fleet_change_id, channel, changed_at, spread_to FROM fleet_changes AS f "
    "WHERE NOT EXISTS (SELECT 1 FROM fleet_changes AS o "
    "WHERE o.channel = f.channel AND o.fleet_change_id < f.fleet_change_id) "
    "ORDER BY fleet_change_id LIMIT 1 FOR UPDATE SKIP LOCKED";
/// One that begins reaches everybody for the newer ones, too.
constexpr const char* kDeleteNewerChanges =
    "DELETE FROM fleet_changes WHERE channel = $1 AND fleet_change_id > $2::bigint";
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

Status PostgresWriter::SpreadFleetChange() {
  Result<PostgresResult> change = db().Run(kTakeOldestChange, {}, "fleet_changes");
  if (!change) return Fail(change.error());
  if (!change->Next()) return {};
  const PostgresValue number = ToPostgres(change->Int());
  const AssignmentChannel channel = change->TextBy(ParseAssignmentChannel);
  const Timestamp changed_at = change->Time();
  const std::string spread_to = change->Text();
  if (Status read = change->Check("(oldest)"); !read) return read;
  if (spread_to.empty()) {
    Status done = Write(kDeleteNewerChanges, {ToPostgres(AssignmentChannelName(channel)), number});
    if (!done) return done;
  }
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
