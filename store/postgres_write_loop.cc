#include <algorithm>
#include <map>
#include <tuple>

#include "store/postgres_writer.h"
#include "store/row_writers.h"

namespace director {
namespace {

constexpr const char* kClaimExpired =
    "WITH expired AS (SELECT enrollment_id FROM schedule WHERE lease_until <= $1::bigint "
    "ORDER BY due_at, enrollment_id LIMIT $3::bigint FOR UPDATE SKIP LOCKED) "
    "UPDATE schedule AS s SET lease_until = $2::bigint "
    "FROM expired JOIN enrollments AS e USING (enrollment_id) "
    "WHERE s.enrollment_id = expired.enrollment_id "
    "RETURNING s.enrollment_id, e.upstream, s.version, s.due_at";
constexpr const char* kClaimDue =
    "WITH due AS (SELECT enrollment_id FROM schedule "
    "WHERE due_at <= $1::bigint AND lease_until IS NULL "
    "ORDER BY due_at, enrollment_id LIMIT $3::bigint FOR UPDATE SKIP LOCKED) "
    "UPDATE schedule AS s SET lease_until = $2::bigint "
    "FROM due JOIN enrollments AS e USING (enrollment_id) "
    "WHERE s.enrollment_id = due.enrollment_id "
    "RETURNING s.enrollment_id, e.upstream, s.version, s.due_at";
constexpr const char* kDoubtIntents =
    "UPDATE intents SET state = 'unknown' WHERE enrollment_id = ANY ($1::text[]) "
    "AND closed_at IS NULL AND state = 'journaled'";

constexpr const char* kLockClaims =
    "SELECT enrollment_id, version, lease_until FROM schedule "
    "WHERE enrollment_id = ANY ($1::text[]) ORDER BY enrollment_id FOR UPDATE";
constexpr const char* kMakeDue =
    "UPDATE schedule SET due_at = LEAST(due_at, $2::bigint) WHERE enrollment_id = ANY ($1::text[])";
/// Claims of one step have one lease: no plan must look for them by that.
constexpr const char* kEndClaims =
    "UPDATE schedule AS s SET lease_until = NULL "
    "FROM unnest($1::text[], $2::bigint[]) AS claimed (enrollment_id, lease_until) "
    "WHERE s.enrollment_id = claimed.enrollment_id "
    "AND s.lease_until IS NOT DISTINCT FROM claimed.lease_until";
/// A claim from before a change must not put off what the change made due.
constexpr const char* kReleaseClaim =
    "UPDATE schedule SET due_at = CASE WHEN version = $2::bigint THEN $3::bigint "
    "ELSE LEAST(due_at, $3::bigint) END, lease_until = NULL "
    "WHERE enrollment_id = $1 AND lease_until = $4::bigint";

constexpr const char* kUpsertItems =
    "INSERT INTO items (enrollment_id, payload_identifier, presence, payload_uuid, epoch, state, "
    "reason, state_since, due_at, attempts, next_attempt_at, acknowledged_at, settled_at, "
    "verified_at, parked, parked_build, last_error, last_error_at, sends_since, sends) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], "
    "$6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::integer[], $11::bigint[], "
    "$12::bigint[], $13::bigint[], $14::bigint[], $15::boolean[], $16::text[], $17::text[], "
    "$18::bigint[], $19::bigint[], $20::integer[]) "
    "ON CONFLICT (enrollment_id, payload_identifier) DO UPDATE SET presence = excluded.presence, "
    "payload_uuid = excluded.payload_uuid, epoch = excluded.epoch, state = excluded.state, "
    "reason = excluded.reason, state_since = excluded.state_since, due_at = excluded.due_at, "
    "attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, "
    "acknowledged_at = excluded.acknowledged_at, settled_at = excluded.settled_at, "
    "verified_at = excluded.verified_at, parked = excluded.parked, "
    "parked_build = excluded.parked_build, last_error = excluded.last_error, "
    "last_error_at = excluded.last_error_at, sends_since = excluded.sends_since, "
    "sends = excluded.sends";
constexpr const char* kDeleteItems =
    "DELETE FROM items USING unnest($1::text[], $2::text[]) "
    "AS gone (enrollment_id, payload_identifier) "
    "WHERE items.enrollment_id = gone.enrollment_id "
    "AND items.payload_identifier = gone.payload_identifier";

constexpr const char* kCloseIntents =
    "UPDATE intents AS i SET state = n.state, closed_at = n.closed_at, closed_reason = n.reason "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) "
    "AS n (enrollment_id, command_uuid, state, closed_at, reason) "
    "WHERE i.enrollment_id = n.enrollment_id AND i.command_uuid = n.command_uuid "
    "AND i.closed_at IS NULL";
constexpr const char* kJournalIntents =
    "INSERT INTO intents (enrollment_id, command_uuid, request_type, payload_identifier, "
    "payload_uuid, epoch, journaled_at, state, not_now_count, error_class, error) "
    "SELECT n.*, 'journaled', 0, 'unknown', '' "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], "
    "$7::bigint[]) AS n";
constexpr const char* kMoveIntents =
    "UPDATE intents SET command_uuid = $2 "
    "WHERE enrollment_id = ANY ($3::text[]) AND command_uuid = $1 AND state = 'journaled'";
constexpr const char* kRecordOutcomes =
    "UPDATE intents AS i SET state = n.state, answered_at = n.answered_at, error = n.error "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) "
    "AS n (enrollment_id, command_uuid, state, answered_at, error) "
    "WHERE i.enrollment_id = n.enrollment_id AND i.command_uuid = n.command_uuid "
    "AND i.state IN ('journaled', 'unknown')";

/// Only where something changes: most plans change no fact.
constexpr const char* kStoreFacts =
    "UPDATE enrollments AS e SET wants_wake = n.wants_wake, "
    "push_count = e.push_count + n.push::integer, "
    "pushed_at = CASE WHEN n.push THEN $4::bigint ELSE e.pushed_at END "
    "FROM unnest($1::text[], $2::boolean[], $3::boolean[]) AS n (enrollment_id, wants_wake, push) "
    "WHERE e.enrollment_id = n.enrollment_id AND (n.push OR e.wants_wake <> n.wants_wake)";
/// The version grows, so that a worker whose lease ran out cannot store a plan on top of this one.
constexpr const char* kStoreSchedule =
    "UPDATE schedule AS s SET due_at = n.due_at, version = s.version + 1, "
    "lease_until = CASE WHEN n.goes_on THEN s.lease_until END "
    "FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS n (enrollment_id, due_at, goes_on) "
    "WHERE s.enrollment_id = n.enrollment_id";

constexpr const char* kMarkUnregistered =
    "UPDATE enrollments SET push_unregistered = true WHERE enrollment_id = ANY ($1::text[])";

constexpr const char* kEndAllClaims =
    "UPDATE schedule SET lease_until = NULL WHERE lease_until IS NOT NULL";
constexpr const char* kMarkJournaledDue =
    "UPDATE schedule SET due_at = LEAST(due_at, $1::bigint), version = version + 1 "
    "WHERE enrollment_id IN "
    "(SELECT enrollment_id FROM intents WHERE closed_at IS NULL AND state = 'journaled')";
constexpr const char* kDoubtJournaled =
    "UPDATE intents SET state = 'unknown' WHERE closed_at IS NULL AND state = 'journaled'";

/// One director at a time; the number is ours alone ("prune").
constexpr const char* kTryPrune = "SELECT pg_try_advisory_xact_lock(482834802277)";
constexpr const char* kPruneIntents =
    "DELETE FROM intents WHERE (enrollment_id, command_uuid) IN "
    "(SELECT enrollment_id, command_uuid FROM intents WHERE closed_at < $1::bigint "
    "ORDER BY closed_at LIMIT $2::bigint)";
/// Numbers may have gaps: at most so many are kept.
constexpr const char* kPruneHappenings =
    "DELETE FROM happenings WHERE happening_id IN (SELECT happening_id FROM happenings "
    "WHERE happening_id <= (SELECT MAX(happening_id) FROM happenings) - $1::bigint "
    "ORDER BY happening_id LIMIT $2::bigint)";
constexpr const char* kPruneDeadLetters =
    "DELETE FROM dead_letters WHERE dead_letter_id IN (SELECT dead_letter_id FROM dead_letters "
    "WHERE dead_letter_id <= (SELECT MAX(dead_letter_id) FROM dead_letters) - $1::bigint "
    "ORDER BY dead_letter_id LIMIT $2::bigint)";

/// A new version of a row that stays what it was.
constexpr const char* kWriteSomething = "UPDATE schema_migrations SET name = name WHERE number = 1";

PostgresValue Limit(std::size_t limit) { return ToPostgres(static_cast<std::int64_t>(limit)); }

std::vector<EnrollmentId> IdsOf(const std::vector<PlanCommit>& commits) {
  std::vector<EnrollmentId> ids;
  for (const PlanCommit& commit : commits) ids.push_back(commit.claim.enrollment_id);
  return ids;
}

}  // namespace

Result<std::vector<Claim>> PostgresWriter::Claimable(const char* sql, Timestamp now,
                                                     Timestamp lease_until, std::size_t limit) {
  Result<PostgresResult> found =
      db().Run(sql, {ToPostgres(now), ToPostgres(lease_until), Limit(limit)}, "schedule");
  if (!found) return Fail(found.error());
  std::vector<std::pair<Timestamp, Claim>> by_due_time;
  while (found->Next()) {
    Claim claim;
    claim.enrollment_id = found->TextAs<EnrollmentId>();
    claim.upstream = found->TextAs<UpstreamName>();
    claim.version = found->Int();
    claim.lease_until = lease_until;
    locked_.insert(claim.enrollment_id);
    by_due_time.emplace_back(found->Time(), std::move(claim));
  }
  std::sort(by_due_time.begin(), by_due_time.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second.enrollment_id) < std::tie(b.first, b.second.enrollment_id);
  });
  std::vector<Claim> claims;
  for (auto& [due_at, claim] : by_due_time) claims.push_back(std::move(claim));
  return claims;
}

Result<std::vector<Claim>> PostgresWriter::ClaimDue(Timestamp now, Timestamp lease_until,
                                                    std::size_t limit) {
  Result<std::vector<Claim>> claims = Claimable(kClaimExpired, now, lease_until, limit);
  if (!claims) return claims;
  if (!claims->empty()) {
    std::vector<EnrollmentId> ids;
    for (const Claim& claim : *claims) ids.push_back(claim.enrollment_id);
    if (Status done = Write(kDoubtIntents, {ArrayToPostgres(ids)}); !done)
      return Fail(done.error());
  }
  Result<std::vector<Claim>> due = Claimable(kClaimDue, now, lease_until, limit - claims->size());
  if (!due) return due;
  claims->insert(claims->end(), due->begin(), due->end());
  return claims;
}

/// Locks all. Returns those whose claim is another worker's by now, or that something changed for.
Result<std::set<EnrollmentId>> PostgresWriter::LockClaims(const std::vector<PlanCommit>& commits) {
  const std::vector<EnrollmentId> ids = IdsOf(commits);
  std::map<EnrollmentId, std::pair<std::int64_t, std::optional<Timestamp>>> held;
  Result<PostgresResult> rows = db().Run(kLockClaims, {ArrayToPostgres(ids)}, "schedule");
  if (!rows) return Fail(rows.error());
  while (rows->Next()) {
    const auto id = rows->TextAs<EnrollmentId>();
    const std::int64_t version = rows->Int();
    held.emplace(id, std::pair(version, rows->OptionalTime()));
    locked_.insert(id);
  }
  std::set<EnrollmentId> outdated;
  for (const PlanCommit& commit : commits) {
    const Claim& claim = commit.claim;
    const auto found = held.find(claim.enrollment_id);
    const bool is_held = found != held.end() && found->second.first == claim.version &&
                         found->second.second == claim.lease_until;
    if (!is_held) outdated.insert(claim.enrollment_id);
  }
  return outdated;
}

Result<std::set<EnrollmentId>> PostgresWriter::CommitPlans(const std::vector<PlanCommit>& commits,
                                                           Timestamp now) {
  for (const PlanCommit& commit : commits) {
    if (commit.commands.size() == commit.plan.commands.size()) continue;
    return Fail(InvalidField("commands", "each planned command needs one CommandUUID"));
  }
  if (commits.empty()) return std::set<EnrollmentId>();
  Result<std::set<EnrollmentId>> outdated = LockClaims(commits);
  if (!outdated) return outdated;
  Commits valid;
  std::vector<Claim> over;
  for (const PlanCommit& commit : commits) {
    if (outdated->contains(commit.claim.enrollment_id)) {
      over.push_back(commit.claim);
    } else {
      valid.push_back(&commit);
    }
  }
  if (!over.empty()) {
    const std::vector<EnrollmentId> ids(outdated->begin(), outdated->end());
    Status done = Write(kMakeDue, {ArrayToPostgres(ids), ToPostgres(now)});
    if (done) done = EndClaims(over);
    if (!done) return Fail(done.error());
  }
  Status done = StoreItems(valid);
  if (done) done = CloseIntents(valid, now);
  if (done) done = JournalIntents(valid, now);
  if (done) done = StoreFacts(valid, now);
  if (done) done = StoreSchedule(valid);
  if (!done) return Fail(done.error());
  return outdated;
}

Status PostgresWriter::StoreItems(const Commits& commits) {
  PostgresBatch changed(20);
  PostgresBatch deleted(2);
  for (const PlanCommit* commit : commits) {
    const EnrollmentId& id = commit->claim.enrollment_id;
    std::map<PayloadIdentifier, const ItemRecord*> gone;
    for (const ItemRecord& item : commit->items_before)
      gone.emplace(item.payload_identifier, &item);
    for (const ItemRecord& item : commit->plan.items) {
      const auto before = gone.extract(item.payload_identifier);
      if (!before || *before.mapped() != item) BindItem(changed, id, item);
    }
    for (const auto& [identifier, item] : gone) deleted.Bind(id).Bind(identifier);
  }
  if (Status done = Write(kUpsertItems, changed); !done) return done;
  return Write(kDeleteItems, deleted);
}

Status PostgresWriter::CloseIntents(const Commits& commits, Timestamp now) {
  PostgresBatch batch(5);
  for (const PlanCommit* commit : commits) {
    for (const ClosedIntent& closed : commit->plan.closed) {
      batch.Bind(commit->claim.enrollment_id)
          .Bind(closed.command_uuid)
          .Bind(IntentStateName(closed.state))
          .Bind(now)
          .Bind(closed.reason);
    }
  }
  return Write(kCloseIntents, batch);
}

Status PostgresWriter::JournalIntents(const Commits& commits, Timestamp now) {
  PostgresBatch batch(7);
  for (const PlanCommit* commit : commits) {
    for (const JournaledCommand& journaled : commit->commands) {
      BindJournaled(batch, *commit, journaled, now);
    }
  }
  return Write(kJournalIntents, batch);
}

Status PostgresWriter::StoreFacts(const Commits& commits, Timestamp now) {
  PostgresBatch batch(3);
  for (const PlanCommit* commit : commits) {
    batch.Bind(commit->claim.enrollment_id).Bind(commit->plan.wants_wake).Bind(commit->plan.push);
  }
  if (batch.empty()) return {};
  std::vector<PostgresValue> values = batch.Arrays();
  values.push_back(ToPostgres(now));
  return Write(kStoreFacts, values);
}

Status PostgresWriter::StoreSchedule(const Commits& commits) {
  PostgresBatch batch(3);
  for (const PlanCommit* commit : commits) {
    batch.Bind(commit->claim.enrollment_id)
        .Bind(commit->plan.due_at)
        .Bind(!commit->commands.empty());
  }
  return Write(kStoreSchedule, batch);
}

Status PostgresWriter::EndClaims(const std::vector<Claim>& claims) {
  PostgresBatch batch(2);
  std::vector<EnrollmentId> ids;
  for (const Claim& claim : claims) {
    ids.push_back(claim.enrollment_id);
    batch.Bind(claim.enrollment_id).Bind(claim.lease_until);
  }
  if (Status done = Lock(ids); !done) return done;
  return Write(kEndClaims, batch);
}

Status PostgresWriter::ReleaseClaim(const Claim& claim, Timestamp due_at) {
  if (Status done = Lock({claim.enrollment_id}); !done) return done;
  return Write(kReleaseClaim, {ToPostgres(claim.enrollment_id), ToPostgres(claim.version),
                               ToPostgres(due_at), ToPostgres(claim.lease_until)});
}

Status PostgresWriter::MoveIntents(const CommandUuid& from, const CommandUuid& to,
                                   const std::vector<EnrollmentId>& ids) {
  if (Status done = Lock(ids); !done) return done;
  return Write(kMoveIntents, {ToPostgres(from), ToPostgres(to), ArrayToPostgres(ids)});
}

Status PostgresWriter::RecordDispatch(const std::vector<DispatchOutcome>& outcomes, Timestamp now) {
  PostgresBatch batch(5);
  std::vector<EnrollmentId> ids;
  std::map<EnrollmentId, Timestamp> due_at;
  for (const DispatchOutcome& outcome : outcomes) {
    ids.push_back(outcome.enrollment_id);
    BindOutcome(batch, outcome, now);
    if (outcome.state != IntentState::kSent) due_at.emplace(outcome.enrollment_id, now);
  }
  if (Status done = Lock(ids); !done) return done;
  if (Status done = Write(kRecordOutcomes, batch); !done) return done;
  return MarkDue(due_at);
}

Status PostgresWriter::MarkUnregistered(const std::vector<EnrollmentId>& ids) {
  if (Status done = Lock(ids); !done) return done;
  return Write(kMarkUnregistered, {ArrayToPostgres(ids)});
}

Status PostgresWriter::RecoverJournaled(Timestamp now) {
  if (Status done = Write(kEndAllClaims); !done) return done;
  if (Status done = Write(kMarkJournaledDue, {ToPostgres(now)}); !done) return done;
  return Write(kDoubtJournaled);
}

Status PostgresWriter::Prune(Timestamp now, Duration keep, std::size_t limit) {
  Result<PostgresResult> alone = db().Run(kTryPrune, {}, {});
  if (!alone) return Fail(alone.error());
  if (alone->Next() && !alone->Flag()) return {};
  if (Status done = Write(kPruneIntents, {ToPostgres(now - keep), Limit(limit)}); !done)
    return done;
  Status done = Write(kPruneHappenings, {ToPostgres(kHappeningsMax), Limit(limit)});
  if (!done) return done;
  return Write(kPruneDeadLetters, {ToPostgres(kDeadLettersMax), Limit(limit)});
}

Status PostgresWriter::CheckWritable() { return Write(kWriteSomething); }

}  // namespace director
