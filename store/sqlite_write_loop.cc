#include <map>

#include "store/row_writers.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

constexpr const char* kHasExpired = "SELECT 1 FROM leases WHERE lease_until <= ? LIMIT 1";
/// No index is kept for what a crash leaves.
constexpr const char* kDoubtIntents =
    "UPDATE intents SET state = 'unknown' WHERE closed_at IS NULL AND state = 'journaled' "
    "AND lease_id IN (SELECT lease_id FROM leases WHERE lease_until <= ?)";
constexpr const char* kMakeHeldDue =
    "UPDATE enrollments SET due_at = MIN(due_at, ?2) "
    "WHERE lease_id IN (SELECT lease_id FROM leases WHERE lease_until <= ?1)";
constexpr const char* kDropLeases = "DELETE FROM leases WHERE lease_until <= ?";
constexpr const char* kSelectDue =
    "SELECT enrollment_id FROM enrollments INDEXED BY enrollments_due "
    "WHERE due_at <= ? AND lease_id NOT IN (SELECT lease_id FROM leases) "
    "ORDER BY due_at, enrollment_id LIMIT ?";

constexpr const char* kStorePlan =
    "UPDATE enrollments SET due_at = ?2, wants_wake = ?3, push_count = push_count + ?4, "
    "pushed_at = COALESCE(?5, pushed_at), lease_id = ?6 WHERE enrollment_id = ?1";
constexpr const char* kSetAside = "UPDATE enrollments SET due_at = ?2 WHERE enrollment_id = ?1";
constexpr const char* kInsertLease = "INSERT INTO leases (lease_id, lease_until) VALUES (?, ?)";
constexpr const char* kEndLease = "DELETE FROM leases WHERE lease_id = ?";

constexpr const char* kUpsertItem =
    "INSERT INTO items (enrollment_id, payload_identifier, presence, payload_uuid, epoch, state, "
    "reason, state_since, due_at, attempts, next_attempt_at, acknowledged_at, settled_at, "
    "verified_at, parked, parked_build, last_error, last_error_at, sends_since, sends, "
    "installed_build, reinstall_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (enrollment_id, payload_identifier) DO UPDATE SET presence = excluded.presence, "
    "payload_uuid = excluded.payload_uuid, epoch = excluded.epoch, state = excluded.state, "
    "reason = excluded.reason, state_since = excluded.state_since, due_at = excluded.due_at, "
    "attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, "
    "acknowledged_at = excluded.acknowledged_at, settled_at = excluded.settled_at, "
    "verified_at = excluded.verified_at, parked = excluded.parked, "
    "parked_build = excluded.parked_build, last_error = excluded.last_error, "
    "last_error_at = excluded.last_error_at, sends_since = excluded.sends_since, "
    "sends = excluded.sends, installed_build = excluded.installed_build, "
    "reinstall_at = excluded.reinstall_at";
constexpr const char* kDeleteItem =
    "DELETE FROM items WHERE enrollment_id = ? AND payload_identifier = ?";

constexpr const char* kCloseIntent =
    "UPDATE intents SET state = ?3, closed_at = ?4, closed_reason = ?5 "
    "WHERE enrollment_id = ?1 AND command_uuid = ?2 AND closed_at IS NULL";
constexpr const char* kJournalIntent =
    "INSERT INTO intents (enrollment_id, command_uuid, request_type, payload_identifier, "
    "payload_uuid, epoch, journaled_at, lease_id, state, not_now_count, error_class, error) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'journaled', 0, 'unknown', '')";
constexpr const char* kMoveIntent =
    "UPDATE intents SET command_uuid = ?3 "
    "WHERE enrollment_id = ?1 AND command_uuid = ?2 AND state = 'journaled'";
constexpr const char* kRecordOutcome =
    "UPDATE intents SET state = ?3, answered_at = ?4, error = ?5 "
    "WHERE enrollment_id = ?1 AND command_uuid = ?2 AND state IN ('journaled', 'unknown')";

constexpr const char* kMarkUnregistered =
    "UPDATE enrollments SET push_unregistered = 1 WHERE enrollment_id = ?";

constexpr const char* kPruneIntents =
    "DELETE FROM intents WHERE (enrollment_id, command_uuid) IN "
    "(SELECT enrollment_id, command_uuid FROM intents INDEXED BY intents_closed "
    "WHERE closed_at < ?1 ORDER BY closed_at LIMIT ?2)";
/// The conditions are those of the index proposals_ended, word for word.
constexpr const char* kPruneProposals =
    "DELETE FROM proposals WHERE proposal_id IN "
    "(SELECT proposal_id FROM proposals INDEXED BY proposals_ended "
    "WHERE state NOT IN ('waiting', 'sent') "
    "AND kind NOT IN ('RotateFileVaultKey', 'SetRecoveryLock', 'VerifyRecoveryLock') "
    "AND state_since < ?1 "
    "ORDER BY state_since, proposal_id LIMIT ?2)";
/// Numbers have no gaps: rows go from the old end only.
constexpr const char* kPruneHappenings =
    "DELETE FROM happenings WHERE happening_id IN (SELECT happening_id FROM happenings "
    "WHERE happening_id <= (SELECT MAX(happening_id) FROM happenings) - ?1 "
    "ORDER BY happening_id LIMIT ?2)";
constexpr const char* kPruneDeadLetters =
    "DELETE FROM dead_letters WHERE dead_letter_id IN (SELECT dead_letter_id FROM dead_letters "
    "WHERE dead_letter_id <= (SELECT MAX(dead_letter_id) FROM dead_letters) - ?1 "
    "ORDER BY dead_letter_id LIMIT ?2)";

/// Always written, whereas SQLite leaves out an UPDATE that sets what is there. Nothing reads it.
constexpr const char* kWriteSomething = "PRAGMA user_version = 0";

}  // namespace

Result<bool> SqliteWriter::TakeOverExpired(Timestamp expired_at, Timestamp due_at) {
  SqliteStatement expired = db().Use(kHasExpired);
  const bool has_expired = expired.Bind(expired_at).Next();
  Status done = expired.Finish();
  if (!done) return Fail(done.error());
  if (!has_expired) return false;
  done = db().Use(kDoubtIntents).Bind(expired_at).Run();
  if (done) done = db().Use(kMakeHeldDue).Bind(expired_at).Bind(due_at).Run();
  if (done) done = db().Use(kDropLeases).Bind(expired_at).Run();
  if (!done) return Fail(done.error());
  return true;
}

Result<std::vector<EnrollmentId>> SqliteWriter::ClaimDue(Timestamp now, std::size_t limit) {
  const Result<bool> has_expired = TakeOverExpired(now, now);
  if (!has_expired) return Fail(has_expired.error());
  const Status spread = *has_expired ? Status() : SpreadFleetChange();
  if (!spread) return Fail(spread.error());
  std::vector<EnrollmentId> claims;
  SqliteStatement due = db().Use(kSelectDue);
  due.Bind(now).Bind(limit);
  while (due.Next()) claims.emplace_back(std::string(due.Text(0)));
  if (Status done = due.Finish(); !done) return Fail(done.error());
  return claims;
}

Status SqliteWriter::CommitPlans(const std::vector<PlanCommit>& commits, Timestamp lease_until,
                                 Timestamp now) {
  for (const PlanCommit& commit : commits) {
    if (Status done = CommitPlan(commit, now); !done) return done;
  }
  for (const std::int64_t lease_id : LeasesOf(commits)) {
    Status done = db().Use(kInsertLease).Bind(lease_id).Bind(lease_until).Run();
    if (!done) return done;
  }
  return {};
}

Status SqliteWriter::CommitPlan(const PlanCommit& commit, Timestamp now) {
  if (Status valid = CheckCommands(commit); !valid) return valid;
  if (Status done = StoreItems(commit); !done) return done;
  if (Status done = StoreProposal(commit); !done) return done;
  if (Status done = StoreRenewal(commit); !done) return done;
  if (Status done = CloseIntents(commit, now); !done) return done;
  if (Status done = JournalIntents(commit, now); !done) return done;
  const Plan& plan = commit.plan;
  return db()
      .Use(kStorePlan)
      .Bind(commit.enrollment_id)
      .Bind(plan.due_at)
      .BindFlag(plan.wants_wake)
      .BindFlag(plan.push)
      .Bind(plan.push ? std::optional(now) : std::nullopt)
      .Bind(commit.lease_id)
      .Run();
}

Status SqliteWriter::StoreItems(const PlanCommit& commit) {
  const EnrollmentId& id = commit.enrollment_id;
  std::map<PayloadIdentifier, const ItemRecord*> gone;
  for (const ItemRecord& item : commit.items_before) gone.emplace(item.payload_identifier, &item);
  for (const ItemRecord& item : commit.plan.items) {
    const auto before = gone.extract(item.payload_identifier);
    if (before && *before.mapped() == item) continue;
    SqliteStatement upsert = db().Use(kUpsertItem);
    BindItem(upsert, id, item);
    if (Status done = upsert.Run(); !done) return done;
  }
  for (const auto& [identifier, item] : gone) {
    if (Status done = db().Use(kDeleteItem).Bind(id).Bind(identifier).Run(); !done) return done;
  }
  return {};
}

Status SqliteWriter::CloseIntents(const PlanCommit& commit, Timestamp now) {
  for (const ClosedIntent& closed : commit.plan.closed) {
    Status done = db().Use(kCloseIntent)
                      .Bind(commit.enrollment_id)
                      .Bind(closed.command_uuid)
                      .Bind(IntentStateName(closed.state))
                      .Bind(now)
                      .Bind(closed.reason)
                      .Run();
    if (!done) return done;
  }
  return {};
}

Status SqliteWriter::JournalIntents(const PlanCommit& commit, Timestamp now) {
  for (const JournaledCommand& journaled : commit.commands) {
    SqliteStatement insert = db().Use(kJournalIntent);
    BindJournaled(insert, commit, journaled, now);
    if (Status done = insert.Run(); !done) return done;
  }
  return {};
}

Status SqliteWriter::SetAside(const std::vector<EnrollmentId>& ids, Timestamp due_at) {
  for (const EnrollmentId& id : ids) {
    if (Status done = db().Use(kSetAside).Bind(id).Bind(due_at).Run(); !done) return done;
  }
  return {};
}

Result<bool> SqliteWriter::EndLease(std::int64_t lease_id) {
  if (Status done = db().Use(kEndLease).Bind(lease_id).Run(); !done) return Fail(done.error());
  return db().changes() > 0;
}

Status SqliteWriter::MoveIntents(const CommandUuid& from, const CommandUuid& to,
                                 const std::vector<EnrollmentId>& ids) {
  for (const EnrollmentId& id : ids) {
    if (Status done = db().Use(kMoveIntent).Bind(id).Bind(from).Bind(to).Run(); !done) return done;
  }
  return {};
}

Status SqliteWriter::RecordDispatch(const std::vector<DispatchOutcome>& outcomes, Timestamp now) {
  for (const DispatchOutcome& outcome : outcomes) {
    SqliteStatement update = db().Use(kRecordOutcome);
    BindOutcome(update, outcome, now);
    if (Status done = update.Run(); !done) return done;
    if (outcome.state == IntentState::kSent) continue;
    if (Status due = MarkDue({{outcome.enrollment_id, now}}); !due) return due;
  }
  return {};
}

Status SqliteWriter::MarkUnregistered(const std::vector<EnrollmentId>& ids) {
  for (const EnrollmentId& id : ids) {
    if (Status done = db().Use(kMarkUnregistered).Bind(id).Run(); !done) return done;
  }
  return {};
}

Status SqliteWriter::RecoverJournaled(Timestamp now) {
  const Result<bool> has_expired = TakeOverExpired(Timestamp::max(), now);
  return has_expired ? Status() : Fail(has_expired.error());
}

Status SqliteWriter::Prune(Timestamp now, Duration keep, std::size_t limit) {
  if (Status done = db().Use(kPruneIntents).Bind(now - keep).Bind(limit).Run(); !done) return done;
  Status done = db().Use(kPruneProposals).Bind(now - kKeepProposals).Bind(limit).Run();
  if (!done) return done;
  done = db().Use(kPruneHappenings).Bind(kHappeningsMax).Bind(limit).Run();
  if (!done) return done;
  return db().Use(kPruneDeadLetters).Bind(kDeadLettersMax).Bind(limit).Run();
}

Status SqliteWriter::CheckWritable() { return db().Use(kWriteSomething).Run(); }

}  // namespace director
