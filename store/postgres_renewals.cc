#include "store/postgres_writer.h"
#include "store/row_readers.h"
#include "store/row_writers.h"

namespace director {
namespace {

constexpr const char* kCountIdentities =
    "SELECT CASE WHEN identity_not_after IS NULL THEN 'unknown' "
    "WHEN identity_not_after <= $1::bigint THEN 'expired' "
    "WHEN identity_not_after <= $2::bigint THEN '7d' "
    "WHEN identity_not_after <= $3::bigint THEN '30d' "
    "WHEN identity_not_after <= $4::bigint THEN '90d' ELSE 'later' END AS ends, COUNT(*) "
    "FROM enrollments WHERE user_id = '' AND status = 'enrolled' GROUP BY ends";

constexpr const char* kSelectTopic =
    "SELECT topic FROM enrollments WHERE upstream = $1 AND topic <> '' LIMIT 1";

constexpr const char* kSelectPin =
    "SELECT upstream, payload_identifier, content, pinned_at, is_proven "
    "FROM enrollment_profile_pins WHERE upstream = $1 AND payload_identifier = $2";
constexpr const char* kInsertPin =
    "INSERT INTO enrollment_profile_pins AS p "
    "(upstream, payload_identifier, content, pinned_at, is_proven) "
    "VALUES ($1, $2, $3, $4::bigint, false) ON CONFLICT (upstream, payload_identifier) DO UPDATE "
    "SET content = excluded.content, pinned_at = excluded.pinned_at "
    "WHERE NOT p.is_proven AND p.content <> excluded.content";
constexpr const char* kProvePin =
    "UPDATE enrollment_profile_pins SET is_proven = true "
    "WHERE upstream = $1 AND payload_identifier = $2 AND pinned_at <= $3::bigint "
    "AND NOT is_proven";
constexpr const char* kDeletePins =
    "DELETE FROM enrollment_profile_pins "
    "WHERE upstream = $1 AND ($2 = '' OR payload_identifier = $2) RETURNING upstream";

constexpr const char* kUpdateRenewals =
    "UPDATE enrollments AS e SET renewal_began_at = n.began_at, "
    "renewal_replaces_until = n.replaces_until, renewal_authenticated_at = n.authenticated_at, "
    "renewal_ended_at = n.ended_at "
    "FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) "
    "AS n (enrollment_id, began_at, replaces_until, authenticated_at, ended_at) "
    "WHERE e.enrollment_id = n.enrollment_id";

}  // namespace

Status postgres::CountIdentities(PostgresTransaction& db, Timestamp now, FleetCounts& counts) {
  Result<PostgresResult> found = db.Run(kCountIdentities,
                                        {ToPostgres(now), ToPostgres(now + 7 * kDay),
                                         ToPostgres(now + 30 * kDay), ToPostgres(now + 90 * kDay)},
                                        "enrollments");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    const IdentityEnd end = found->TextBy(ParseIdentityEnd);
    if (Status read = found->Check("(counted)"); !read) return read;
    counts.identities[end] = found->Int();
  }
  return {};
}

Result<std::string> postgres::FindTopic(PostgresTransaction& db, const UpstreamName& upstream) {
  Result<PostgresResult> found = db.Run(kSelectTopic, {ToPostgres(upstream)}, "enrollments");
  if (!found) return Fail(found.error());
  return found->Next() ? found->Text() : std::string();
}

Result<std::optional<EnrollmentProfilePin>> postgres::LoadPin(
    PostgresTransaction& db, const UpstreamName& upstream,
    const PayloadIdentifier& payload_identifier) {
  Result<PostgresResult> found =
      db.Run(kSelectPin, {ToPostgres(upstream), ToPostgres(payload_identifier)},
             "enrollment_profile_pins");
  if (!found) return Fail(found.error());
  if (!found->Next()) return std::optional<EnrollmentProfilePin>();
  std::optional<EnrollmentProfilePin> pin = ReadPin(*found);
  if (Status read = found->Check(upstream.value()); !read) return Fail(read.error());
  return pin;
}

Status PostgresWriter::SavePin(const EnrollmentProfilePin& pin) {
  return Write(kInsertPin, {ToPostgres(pin.upstream), ToPostgres(pin.payload_identifier),
                            ToPostgres(pin.content), ToPostgres(pin.pinned_at)});
}

Status PostgresWriter::ProvePin(const UpstreamName& upstream,
                                const PayloadIdentifier& payload_identifier, Timestamp began_at) {
  return Write(kProvePin,
               {ToPostgres(upstream), ToPostgres(payload_identifier), ToPostgres(began_at)});
}

Status PostgresWriter::DeletePins(const UpstreamName& upstream,
                                  const PayloadIdentifier& payload_identifier) {
  Result<PostgresResult> deleted =
      db().Run(kDeletePins, {ToPostgres(upstream), ToPostgres(payload_identifier)}, {});
  if (!deleted) return Fail(deleted.error());
  if (deleted->Next()) return {};
  return Fail(ErrorKind::kNotFound, "nothing is pinned");
}

Status PostgresWriter::StoreRenewals(const std::vector<PlanCommit>& commits) {
  PostgresBatch batch(5);
  for (const PlanCommit& commit : commits) {
    if (!commit.plan.renewal) continue;
    batch.Bind(commit.enrollment_id);
    BindRenewal(batch, commit.plan.renewal);
    loaded_.erase(commit.enrollment_id);
  }
  return Write(kUpdateRenewals, batch);
}

}  // namespace director
