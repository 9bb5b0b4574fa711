#include <optional>

#include "store/sqlite_row.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

constexpr const char* kInsertChange =
    "INSERT INTO fleet_changes (channel, changed_at) VALUES (?, ?)";
constexpr const char* kSelectOldestChange =
    "SELECT fleet_change_id, channel, changed_at, spread_to FROM fleet_changes "
    "ORDER BY fleet_change_id LIMIT 1";
/// One that begins reaches everybody for the newer ones, too.
constexpr const char* kDeleteNewerChanges =
    "DELETE FROM fleet_changes WHERE channel = ? AND fleet_change_id > ?";
constexpr const char* kDeleteChange = "DELETE FROM fleet_changes WHERE fleet_change_id = ?";
constexpr const char* kMoveChangeOn =
    "UPDATE fleet_changes SET spread_to = ?2 WHERE fleet_change_id = ?1";
constexpr const char* kSelectLastOfNext =
    "SELECT enrollment_id FROM enrollments WHERE enrollment_id > ?1 "
    "AND (channel_type IN ('User', 'Shared iPad', 'User Enrollment')) = ?2 "
    "ORDER BY enrollment_id LIMIT 1 OFFSET ?3";
/// Those that are due already are not written again.
constexpr const char* kMarkDueUpTo =
    "UPDATE enrollments SET due_at = ?1 WHERE due_at > ?1 "
    "AND enrollment_id > ?3 AND (?4 IS NULL OR enrollment_id <= ?4) "
    "AND (channel_type IN ('User', 'Shared iPad', 'User Enrollment')) = ?2";

}  // namespace

Status SqliteWriter::AddFleetChange(AssignmentChannel channel, Timestamp now) {
  return db().Use(kInsertChange).Bind(AssignmentChannelName(channel)).Bind(now).Run();
}

Status SqliteWriter::SpreadFleetChange() {
  std::int64_t number = 0;
  std::optional<AssignmentChannel> channel;
  Timestamp changed_at;
  std::string spread_to;
  {
    SqliteStatement oldest = db().Use(kSelectOldestChange);
    while (oldest.Next()) {
      SqliteRow row(oldest, "fleet_changes");
      number = row.Int();
      channel = row.TextBy(ParseAssignmentChannel);
      changed_at = row.Time();
      spread_to = row.Text();
      if (Status read = row.Check("(oldest)"); !read) return read;
    }
    if (Status done = oldest.Finish(); !done) return done;
  }
  if (!channel) return {};
  Status done;
  if (spread_to.empty()) {
    done = db().Use(kDeleteNewerChanges).Bind(AssignmentChannelName(*channel)).Bind(number).Run();
    if (!done) return done;
  }
  const bool is_user = *channel == AssignmentChannel::kUser;
  std::optional<std::string> last;
  {
    SqliteStatement found = db().Use(kSelectLastOfNext);
    found.Bind(spread_to).BindFlag(is_user).Bind(kSpreadMax - 1);
    while (found.Next()) last = std::string(found.Text(0));
    if (done = found.Finish(); !done) return done;
  }
  SqliteStatement mark = db().Use(kMarkDueUpTo);
  mark.Bind(changed_at).BindFlag(is_user).Bind(spread_to);
  done = (last ? mark.Bind(*last) : mark.BindNull()).Run();
  if (!done) return done;
  if (!last) return db().Use(kDeleteChange).Bind(number).Run();
  return db().Use(kMoveChangeOn).Bind(number).Bind(*last).Run();
}

}  // namespace director
