#include <map>

#include "store/postgres_writer.h"
#include "store/row_writers.h"

namespace director {
namespace {

/// What another transaction holds just now is passed over. There are few: each worker has one, and
/// one for each device whose secret it keeps.
constexpr const char* kTakeExpired =
    "SELECT lease_id FROM leases WHERE lease_until <= $1::bigint "
    "ORDER BY lease_id FOR UPDATE SKIP LOCKED";
/// No index is kept for what a crash leaves.
constexpr const char* kSelectHeld =
    "SELECT enrollment_id FROM schedule WHERE lease_id = ANY ($1::bigint[])";
constexpr const char* kDoubtIntents =
    "UPDATE intents SET state = 'unknown' WHERE enrollment_id = ANY ($1::text[]) "
    "AND lease_id = ANY ($2::bigint[]) AND closed_at IS NULL AND state = 'journaled'";
constexpr const char* kMakeDue =
    "UPDATE schedule SET due_at = LEAST(due_at, $2::bigint) WHERE enrollment_id = ANY ($1::text[])";
constexpr const char* kDropLeases = "DELETE FROM leases WHERE lease_id = ANY ($1::bigint[])";

/// A subquery, so that the plan goes by due time and looks for the lease of each: a join would read
/// all that are due.
constexpr const char* kClaimDue =
    "SELECT enrollment_id, lease_id FROM schedule AS s WHERE due_at <= $1::bigint "
    "AND (SELECT l.lease_id FROM leases AS l WHERE l.lease_id = s.lease_id) IS NULL "
    "ORDER BY due_at, enrollment_id LIMIT $2::bigint FOR UPDATE OF s SKIP LOCKED";
constexpr const char* kSelectLeases =
    "SELECT lease_id FROM leases WHERE lease_id = ANY ($1::bigint[])";

constexpr const char* kSetAside =
    "UPDATE schedule SET due_at = $2::bigint WHERE enrollment_id = ANY ($1::text[])";
constexpr const char* kInsertLeases =
    "INSERT INTO leases (lease_id, lease_until) "
    "SELECT lease_id, $2::bigint FROM unnest($1::bigint[]) AS n (lease_id)";
constexpr const char* kEndLease =
    "DELETE FROM leases WHERE lease_id = $1::bigint RETURNING lease_id";

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
    "payload_uuid, epoch, journaled_at, lease_id, state, not_now_count, error_class, error) "
    "SELECT n.*, 'journaled', 0, 'unknown', '' "
    "FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], "
    "$7::bigint[], $8::bigint[]) AS n";
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
    "UPDATE schedule AS s SET due_at = n.due_at, lease_id = n.lease_id, "
    "wants_wake = n.wants_wake, push_count = s.push_count + n.push::integer, "
    "pushed_at = CASE WHEN n.push THEN $6::bigint ELSE s.pushed_at END "
    "FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::boolean[], $5::boolean[]) "
    "AS n (enrollment_id, due_at, lease_id, wants_wake, push) "
    "WHERE s.enrollment_id = n.enrollment_id";

constexpr const char* kMarkUnregistered =
    "UPDATE enrollments SET push_unregistered = true WHERE enrollment_id = ANY ($1::text[])";

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

Result<std::set<std::int64_t>> PostgresWriter::FindLeases(const char* sql, PostgresValue value) {
  Result<PostgresResult> found = db().Run(sql, {std::move(value)}, "leases");
  if (!found) return Fail(found.error());
  std::set<std::int64_t> lease_ids;
  while (found->Next()) lease_ids.insert(found->Int());
  return lease_ids;
}

Result<bool> PostgresWriter::TakeOverExpired(Timestamp expired_at, Timestamp due_at) {
  const auto expired = FindLeases(kTakeExpired, ToPostgres(expired_at));
  if (!expired) return Fail(expired.error());
  if (expired->empty()) return false;
  const PostgresValue lease_ids = ArrayToPostgres(*expired);
  Result<PostgresResult> held = db().Run(kSelectHeld, {lease_ids}, "schedule");
  if (!held) return Fail(held.error());
  std::vector<EnrollmentId> ids;
  while (held->Next()) ids.push_back(held->TextAs<EnrollmentId>());
  Status done = Lock(ids);
  if (done) done = Write(kDoubtIntents, {ArrayToPostgres(ids), lease_ids});
  if (done) done = Write(kMakeDue, {ArrayToPostgres(ids), ToPostgres(due_at)});
  if (done) done = Write(kDropLeases, {lease_ids});
  if (!done) return Fail(done.error());
  return true;
}

Result<std::vector<EnrollmentId>> PostgresWriter::ClaimDue(Timestamp now, std::size_t limit) {
  const Result<bool> has_expired = TakeOverExpired(now, now);
  if (!has_expired) return Fail(has_expired.error());
  // Both wait for rows: one after the other, in one transaction, they could wait for somebody who
  // waits for them.
  const Status spread = *has_expired ? Status() : SpreadFleetChange();
  if (!spread) return Fail(spread.error());
  Result<PostgresResult> due = db().Run(kClaimDue, {ToPostgres(now), Limit(limit)}, "schedule");
  if (!due) return Fail(due.error());
  std::vector<std::pair<EnrollmentId, std::int64_t>> found;
  std::set<std::int64_t> lease_ids;
  while (due->Next()) {
    auto id = due->TextAs<EnrollmentId>();
    locked_.insert(id);
    found.emplace_back(std::move(id), due->Int());
    if (found.back().second != 0) lease_ids.insert(found.back().second);
  }
  // A plan that was committed while this claim looked has left its row here, and its lease only to
  // the next statement.
  std::set<std::int64_t> held;
  if (!lease_ids.empty()) {
    auto leases = FindLeases(kSelectLeases, ArrayToPostgres(lease_ids));
    if (!leases) return Fail(leases.error());
    held = std::move(*leases);
  }
  std::vector<EnrollmentId> claims;
  for (auto& [id, lease_id] : found) {
    if (!held.contains(lease_id)) claims.push_back(std::move(id));
  }
  claimed_ += claims.size();
  return claims;
}

Status PostgresWriter::CommitPlans(const std::vector<PlanCommit>& commits, Timestamp lease_until,
                                   Timestamp now) {
  std::vector<EnrollmentId> ids;
  for (const PlanCommit& commit : commits) {
    ids.push_back(commit.enrollment_id);
    if (Status valid = CheckCommands(commit); !valid) return valid;
  }
  Status done = LockKnown(ids);
  if (done) done = StoreItems(commits);
  if (done) done = StoreProposals(commits);
  if (done) done = StoreRenewals(commits);
  if (done) done = CloseIntents(commits, now);
  if (done) done = AddLeases(commits, lease_until);
  if (done) done = JournalIntents(commits, now);
  if (done) done = StoreSchedule(commits, now);
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

Status PostgresWriter::AddLeases(const std::vector<PlanCommit>& commits, Timestamp lease_until) {
  const std::set<std::int64_t> lease_ids = LeasesOf(commits);
  if (lease_ids.empty()) return {};
  return Write(kInsertLeases, {ArrayToPostgres(lease_ids), ToPostgres(lease_until)});
}

Status PostgresWriter::JournalIntents(const std::vector<PlanCommit>& commits, Timestamp now) {
  PostgresBatch batch(8);
  for (const PlanCommit& commit : commits) {
    for (const JournaledCommand& journaled : commit.commands) {
      BindJournaled(batch, commit, journaled, now);
    }
  }
  return Write(kJournalIntents, batch);
}

Status PostgresWriter::StoreSchedule(const std::vector<PlanCommit>& commits, Timestamp now) {
  PostgresBatch batch(5);
  for (const PlanCommit& commit : commits) {
    batch.Bind(commit.enrollment_id)
        .Bind(commit.plan.due_at)
        .Bind(commit.lease_id)
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

Result<bool> PostgresWriter::EndLease(std::int64_t lease_id) {
  const auto ended = FindLeases(kEndLease, ToPostgres(lease_id));
  if (!ended) return Fail(ended.error());
  return !ended->empty();
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
  const Result<bool> has_expired = TakeOverExpired(Timestamp::max(), now);
  return has_expired ? Status() : Fail(has_expired.error());
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
