#include <map>

#include "store/postgres_writer.h"
#include "store/row_writers.h"

namespace director {
namespace {

/// What another transaction holds just now is passed over.
constexpr const char* kClaimExpired =
    "SELECT enrollment_id FROM schedule WHERE lease_until <= $1::bigint "
    "ORDER BY lease_until, enrollment_id LIMIT $2::bigint FOR UPDATE SKIP LOCKED";
constexpr const char* kClaimDue =
    "SELECT enrollment_id FROM schedule WHERE due_at <= $1::bigint AND lease_until IS NULL "
    "ORDER BY due_at, enrollment_id LIMIT $2::bigint FOR UPDATE SKIP LOCKED";
constexpr const char* kDoubtIntents =
    "UPDATE intents SET state = 'unknown' WHERE enrollment_id = ANY ($1::text[]) "
    "AND closed_at IS NULL AND state = 'journaled'";

constexpr const char* kSetAside =
    "UPDATE schedule SET due_at = $2::bigint, lease_until = NULL "
    "WHERE enrollment_id = ANY ($1::text[])";
/// Enrollments of one step have one lease: no plan must look for them by that.
constexpr const char* kEndLeases =
    "UPDATE schedule SET lease_until = NULL WHERE enrollment_id = ANY ($1::text[]) "
    "AND lease_until IS NOT DISTINCT FROM $2::bigint";

constexpr const char* kInsertItems =
    "INSERT INTO items (enrollment_id, payload_identifier, presence, payload_uuid, epoch, state, "
    "reason, state_since, due_at, attempts, next_attempt_at, acknowledged_at, settled_at, "
    "verified_at, parked, parked_build, last_error, last_error_at, sends_since, sends, "
    "installed_build, reinstall_at) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], "
    "$6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::integer[], $11::bigint[], "
    "$12::bigint[], $13::bigint[], $14::bigint[], $15::boolean[], $16::text[], $17::text[], "
    "$18::bigint[], $19::bigint[], $20::integer[], $21::text[], $22::bigint[])";
constexpr const char* kUpdateItems =
    "UPDATE items AS i SET presence = n.presence, payload_uuid = n.payload_uuid, epoch = n.epoch, "
    "state = n.state, reason = n.reason, state_since = n.state_since, due_at = n.due_at, "
    "attempts = n.attempts, next_attempt_at = n.next_attempt_at, "
    "acknowledged_at = n.acknowledged_at, settled_at = n.settled_at, "
    "verified_at = n.verified_at, parked = n.parked, parked_build = n.parked_build, "
    "last_error = n.last_error, last_error_at = n.last_error_at, sends_since = n.sends_since, "
    "sends = n.sends, installed_build = n.installed_build, reinstall_at = n.reinstall_at "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], "
    "$6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::integer[], $11::bigint[], "
    "$12::bigint[], $13::bigint[], $14::bigint[], $15::boolean[], $16::text[], $17::text[], "
    "$18::bigint[], $19::bigint[], $20::integer[], $21::text[], $22::bigint[]) "
    "AS n (enrollment_id, payload_identifier, presence, payload_uuid, epoch, state, reason, "
    "state_since, due_at, attempts, next_attempt_at, acknowledged_at, settled_at, verified_at, "
    "parked, parked_build, last_error, last_error_at, sends_since, sends, installed_build, "
    "reinstall_at) WHERE i.enrollment_id = n.enrollment_id "
    "AND i.payload_identifier = n.payload_identifier";
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

constexpr const char* kStoreSchedule =
    "UPDATE schedule AS s SET due_at = n.due_at, lease_until = n.lease_until, "
    "wants_wake = n.wants_wake, push_count = s.push_count + n.push::integer, "
    "pushed_at = CASE WHEN n.push THEN $6::bigint ELSE s.pushed_at END "
    "FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::boolean[], $5::boolean[]) "
    "AS n (enrollment_id, due_at, lease_until, wants_wake, push) "
    "WHERE s.enrollment_id = n.enrollment_id";

constexpr const char* kMarkUnregistered =
    "UPDATE enrollments SET push_unregistered = true WHERE enrollment_id = ANY ($1::text[])";

/// What a dead worker had in hand, commands or a secret on its way to the escrow server.
constexpr const char* kMarkLeasedDue =
    "UPDATE schedule SET due_at = LEAST(due_at, $1::bigint) WHERE lease_until IS NOT NULL";
constexpr const char* kEndAllLeases =
    "UPDATE schedule SET lease_until = NULL WHERE lease_until IS NOT NULL";
constexpr const char* kMarkJournaledDue =
    "UPDATE schedule SET due_at = LEAST(due_at, $1::bigint) "
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
/// The conditions are those of the index proposals_ended, word for word.
constexpr const char* kPruneProposals =
    "DELETE FROM proposals WHERE proposal_id IN (SELECT proposal_id FROM proposals "
    "WHERE state NOT IN ('waiting', 'sent') "
    "AND kind NOT IN ('RotateFileVaultKey', 'SetRecoveryLock', 'VerifyRecoveryLock') "
    "AND state_since < $1::bigint "
    "ORDER BY state_since, proposal_id LIMIT $2::bigint)";
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

}  // namespace

Status PostgresWriter::ClaimInto(std::vector<EnrollmentId>& claims, const char* sql, Timestamp now,
                                 std::size_t limit) {
  Result<PostgresResult> found = db().Run(sql, {ToPostgres(now), Limit(limit)}, "schedule");
  if (!found) return Fail(found.error());
  while (found->Next()) {
    auto id = found->TextAs<EnrollmentId>();
    locked_.insert(id);
    claims.push_back(std::move(id));
  }
  return {};
}

Result<std::vector<EnrollmentId>> PostgresWriter::ClaimDue(Timestamp now, std::size_t limit) {
  std::vector<EnrollmentId> claims;
  Status done = SpreadFleetChange();
  if (done) done = ClaimInto(claims, kClaimExpired, now, limit);
  if (done && !claims.empty()) done = Write(kDoubtIntents, {ArrayToPostgres(claims)});
  if (done) done = ClaimInto(claims, kClaimDue, now, limit - claims.size());
  if (!done) return Fail(done.error());
  claimed_ += claims.size();
  return claims;
}

Status PostgresWriter::CommitPlans(const std::vector<PlanCommit>& commits, Timestamp lease_until,
                                   Timestamp now) {
  std::vector<EnrollmentId> ids;
  for (const PlanCommit& commit : commits) {
    ids.push_back(commit.enrollment_id);
    if (commit.commands.size() == commit.plan.commands.size()) continue;
    return Fail(InvalidField("commands", "each planned command needs one CommandUUID"));
  }
  Status done = LockKnown(ids);
  if (done) done = StoreItems(commits);
  if (done) done = StoreProposals(commits);
  if (done) done = StoreRenewals(commits);
  if (done) done = CloseIntents(commits, now);
  if (done) done = JournalIntents(commits, now);
  if (done) done = StoreSchedule(commits, lease_until, now);
  return done;
}

Status PostgresWriter::StoreItems(const std::vector<PlanCommit>& commits) {
  PostgresBatch created(22);
  PostgresBatch changed(22);
  PostgresBatch deleted(2);
  for (const PlanCommit& commit : commits) {
    const EnrollmentId& id = commit.enrollment_id;
    std::map<PayloadIdentifier, const ItemRecord*> gone;
    for (const ItemRecord& item : commit.items_before) gone.emplace(item.payload_identifier, &item);
    for (const ItemRecord& item : commit.plan.items) {
      const auto before = gone.extract(item.payload_identifier);
      if (!before) {
        BindItem(created, id, item);
      } else if (*before.mapped() != item) {
        BindItem(changed, id, item);
      }
    }
    for (const auto& [identifier, item] : gone) deleted.Bind(id).Bind(identifier);
  }
  if (Status done = Write(kInsertItems, created); !done) return done;
  if (Status done = Write(kUpdateItems, changed); !done) return done;
  return Write(kDeleteItems, deleted);
}

Status PostgresWriter::CloseIntents(const std::vector<PlanCommit>& commits, Timestamp now) {
  PostgresBatch batch(5);
  for (const PlanCommit& commit : commits) {
    for (const ClosedIntent& closed : commit.plan.closed) {
      batch.Bind(commit.enrollment_id)
          .Bind(closed.command_uuid)
          .Bind(IntentStateName(closed.state))
          .Bind(now)
          .Bind(closed.reason);
    }
  }
  return Write(kCloseIntents, batch);
}

Status PostgresWriter::JournalIntents(const std::vector<PlanCommit>& commits, Timestamp now) {
  PostgresBatch batch(7);
  for (const PlanCommit& commit : commits) {
    for (const JournaledCommand& journaled : commit.commands) {
      BindJournaled(batch, commit, journaled, now);
    }
  }
  return Write(kJournalIntents, batch);
}

Status PostgresWriter::StoreSchedule(const std::vector<PlanCommit>& commits, Timestamp lease_until,
                                     Timestamp now) {
  PostgresBatch batch(5);
  for (const PlanCommit& commit : commits) {
    const bool is_leased = !commit.commands.empty() || commit.plan.keeps_secrets();
    batch.Bind(commit.enrollment_id)
        .Bind(commit.plan.due_at)
        .Bind(is_leased ? std::optional(lease_until) : std::nullopt)
        .Bind(commit.plan.wants_wake)
        .Bind(commit.plan.push);
  }
  if (batch.empty()) return {};
  std::vector<PostgresValue> values = batch.Arrays();
  values.push_back(ToPostgres(now));
  return Write(kStoreSchedule, values);
}

Status PostgresWriter::SetAside(const std::vector<EnrollmentId>& ids, Timestamp due_at) {
  if (ids.empty()) return {};
  if (Status done = Lock(ids); !done) return done;
  return Write(kSetAside, {ArrayToPostgres(ids), ToPostgres(due_at)});
}

Status PostgresWriter::EndLeases(const std::vector<EnrollmentId>& ids, Timestamp lease_until) {
  if (Status done = Lock(ids); !done) return done;
  return Write(kEndLeases, {ArrayToPostgres(ids), ToPostgres(lease_until)});
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
  for (const EnrollmentId& id : ids) loaded_.erase(id);
  if (Status done = Lock(ids); !done) return done;
  return Write(kMarkUnregistered, {ArrayToPostgres(ids)});
}

Status PostgresWriter::RecoverJournaled(Timestamp now) {
  if (Status done = Write(kMarkLeasedDue, {ToPostgres(now)}); !done) return done;
  if (Status done = Write(kEndAllLeases); !done) return done;
  if (Status done = Write(kMarkJournaledDue, {ToPostgres(now)}); !done) return done;
  return Write(kDoubtJournaled);
}

Status PostgresWriter::Prune(Timestamp now, Duration keep, std::size_t limit) {
  Result<PostgresResult> alone = db().Run(kTryPrune, {}, {});
  if (!alone) return Fail(alone.error());
  if (alone->Next() && !alone->Flag()) return {};
  if (Status done = Write(kPruneIntents, {ToPostgres(now - keep), Limit(limit)}); !done)
    return done;
  Status done = Write(kPruneProposals, {ToPostgres(now - kKeepProposals), Limit(limit)});
  if (!done) return done;
  done = Write(kPruneHappenings, {ToPostgres(kHappeningsMax), Limit(limit)});
  if (!done) return done;
  return Write(kPruneDeadLetters, {ToPostgres(kDeadLettersMax), Limit(limit)});
}

Status PostgresWriter::CheckWritable() { return Write(kWriteSomething); }

}  // namespace director
