#include "store/row_readers.h"
#include "store/row_writers.h"
#include "store/sqlite_row.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

/// Answered from the index enrollments_identity alone.
constexpr const char* kCountIdentities =
    "SELECT CASE WHEN identity_not_after IS NULL THEN 'unknown' "
    "WHEN identity_not_after <= ?1 THEN 'expired' WHEN identity_not_after <= ?2 THEN '7d' "
    "WHEN identity_not_after <= ?3 THEN '30d' WHEN identity_not_after <= ?4 THEN '90d' "
    "ELSE 'later' END AS ends, COUNT(*) FROM enrollments INDEXED BY enrollments_identity "
    "WHERE user_id = '' AND status = 'enrolled' GROUP BY ends";

constexpr const char* kSelectTopic =
    "SELECT topic FROM enrollments WHERE upstream = ? AND topic <> '' LIMIT 1";

constexpr const char* kSelectPin =
    "SELECT upstream, payload_identifier, content, pinned_at, is_proven "
    "FROM enrollment_profile_pins WHERE upstream = ? AND payload_identifier = ?";
constexpr const char* kInsertPin =
    "INSERT INTO enrollment_profile_pins "
    "(upstream, payload_identifier, content, pinned_at, is_proven) VALUES (?, ?, ?, ?, 0) "
    "ON CONFLICT (upstream, payload_identifier) DO UPDATE SET content = excluded.content, "
    "pinned_at = excluded.pinned_at WHERE is_proven = 0 AND content <> excluded.content";
constexpr const char* kProvePin =
    "UPDATE enrollment_profile_pins SET is_proven = 1 "
    "WHERE upstream = ? AND payload_identifier = ? AND pinned_at <= ? "
    "AND is_proven = 0";
constexpr const char* kDeletePins =
    "DELETE FROM enrollment_profile_pins "
    "WHERE upstream = ?1 AND (?2 = '' OR payload_identifier = ?2)";

constexpr const char* kUpdateRenewal =
    "UPDATE enrollments SET renewal_began_at = ?2, renewal_replaces_until = ?3, "
    "renewal_authenticated_at = ?4, renewal_ended_at = ?5 WHERE enrollment_id = ?1";

}  // namespace

Status sqlite::CountIdentities(SqliteDb& db, Timestamp now, FleetCounts& counts) {
  SqliteStatement statement = db.Use(kCountIdentities);
  statement.Bind(now).Bind(now + 7 * kDay).Bind(now + 30 * kDay).Bind(now + 90 * kDay);
  while (statement.Next()) {
    SqliteRow row(statement, "enrollments");
    const IdentityEnd end = row.TextBy(ParseIdentityEnd);
    if (Status read = row.Check("(counted)"); !read) return read;
    counts.identities[end] = row.Int();
  }
  return statement.Finish();
}

Result<std::string> sqlite::FindTopic(SqliteDb& db, const UpstreamName& upstream) {
  SqliteStatement statement = db.Use(kSelectTopic);
  statement.Bind(upstream);
  if (statement.Next()) return std::string(statement.Text(0));
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return std::string();
}

Result<std::optional<EnrollmentProfilePin>> sqlite::LoadPin(
    SqliteDb& db, const UpstreamName& upstream, const PayloadIdentifier& payload_identifier) {
  SqliteStatement statement = db.Use(kSelectPin);
  statement.Bind(upstream).Bind(payload_identifier);
  if (!statement.Next()) {
    if (Status done = statement.Finish(); !done) return Fail(done.error());
    return std::optional<EnrollmentProfilePin>();
  }
  SqliteRow row(statement, "enrollment_profile_pins");
  std::optional<EnrollmentProfilePin> pin = ReadPin(row);
  if (Status read = row.Check(upstream.value()); !read) return Fail(read.error());
  return pin;
}

Status SqliteWriter::SavePin(const EnrollmentProfilePin& pin) {
  return db()
      .Use(kInsertPin)
      .Bind(pin.upstream)
      .Bind(pin.payload_identifier)
      .Bind(pin.content)
      .Bind(pin.pinned_at)
      .Run();
}

Status SqliteWriter::ProvePin(const UpstreamName& upstream,
                              const PayloadIdentifier& payload_identifier, Timestamp began_at) {
  return db().Use(kProvePin).Bind(upstream).Bind(payload_identifier).Bind(began_at).Run();
}

Status SqliteWriter::DeletePins(const UpstreamName& upstream,
                                const PayloadIdentifier& payload_identifier) {
  Status done = db().Use(kDeletePins).Bind(upstream).Bind(payload_identifier).Run();
  if (!done || db().changes() > 0) return done;
  return Fail(ErrorKind::kNotFound, "nothing is pinned");
}

Status SqliteWriter::StoreRenewal(const PlanCommit& commit) {
  if (!commit.plan.renewal) return {};
  SqliteStatement update = db().Use(kUpdateRenewal);
  update.Bind(commit.enrollment_id);
  BindRenewal(update, commit.plan.renewal);
  return update.Run();
}

}  // namespace director
