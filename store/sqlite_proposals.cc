#include <string>

#include "store/page.h"
#include "store/row_readers.h"
#include "store/row_writers.h"
#include "store/sqlite_row.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

constexpr const char* kSelectProposal =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals WHERE proposal_id = ?";
constexpr const char* kSelectByCommand =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals WHERE enrollment_id = ? AND command_uuid = ?";
/// By the index of unfinished ones, here and below, so that the history of an enrollment costs
/// nothing.
constexpr const char* kSelectUnfinished =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals INDEXED BY proposals_unfinished "
    "WHERE enrollment_id = ? AND state IN ('waiting', 'sent', 'answered') ORDER BY proposal_id";
constexpr const char* kSelectSealedSecrets =
    "SELECT sealed_secret, sealed_current_secret, sealed_reply_identity, encrypted_key "
    "FROM proposals WHERE proposal_id = ?";
constexpr const char* kUpdateSealedSecrets =
    "UPDATE proposals SET sealed_secret = ?2, sealed_current_secret = ?3, "
    "sealed_reply_identity = ?4, encrypted_key = ?5 WHERE proposal_id = ?1";

constexpr const char* kListProposals =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals "
    "WHERE proposal_id < ?1 ORDER BY proposal_id DESC LIMIT ?2";
constexpr const char* kListProposalsOfOne =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals "
    "WHERE enrollment_id = ?3 AND proposal_id < ?1 ORDER BY proposal_id DESC LIMIT ?2";
constexpr const char* kListOpenProposals =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals INDEXED BY proposals_unfinished "
    "WHERE state IN ('waiting', 'sent', 'answered') AND (?3 = '' OR enrollment_id = ?3) AND "
    "proposal_id < ?1 "
    "ORDER BY proposal_id DESC LIMIT ?2";

constexpr const char* kCountProposalsSince = "SELECT COUNT(*) FROM proposals WHERE created_at > ?";
/// The words sort as kinds and, backwards, states do.
constexpr const char* kCountOpenProposals =
    "SELECT kind, state, COUNT(*) FROM proposals INDEXED BY proposals_unfinished "
    "WHERE state IN ('waiting', 'sent', 'answered') GROUP BY kind, state ORDER BY kind, state DESC";

constexpr const char* kInsertProposal =
    "INSERT INTO proposals (enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret, epoch, created_at, not_before, expires_at, state, explanation, state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, effect, "
    "command_uuid, repeats, verifies, sealed_current_secret, sealed_reply_identity, encrypted_key) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "RETURNING proposal_id";
constexpr const char* kUpdateProposal =
    "UPDATE proposals SET state = ?2, explanation = ?3, state_since = ?4, escrowed_at = ?5, "
    "attempts = ?6, last_error = ?7, next_attempt_at = ?8, acknowledged_at = ?9, cancelled_at = "
    "?10, effect = ?11, command_uuid = ?12 "
    "WHERE proposal_id = ?1";

/// All rows of a statement that is bound.
Result<std::vector<Proposal>> ReadProposals(SqliteStatement& statement) {
  std::vector<Proposal> proposals;
  while (statement.Next()) {
    SqliteRow row(statement, "proposals");
    proposals.push_back(ReadProposal(row));
    const Status read = row.Check(std::to_string(proposals.back().proposal_id));
    if (!read) return Fail(read.error());
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return proposals;
}

}  // namespace

Result<Proposal> sqlite::LoadProposal(SqliteDb& db, std::int64_t proposal_id) {
  SqliteStatement statement = db.Use(kSelectProposal);
  statement.Bind(proposal_id);
  Result<std::vector<Proposal>> found = ReadProposals(statement);
  if (!found) return Fail(found.error());
  if (found->empty()) return Fail(ErrorKind::kNotFound, "no such proposal");
  return std::move(found->front());
}

Result<SealedSecrets> sqlite::LoadSealedSecrets(SqliteDb& db, std::int64_t proposal_id) {
  SqliteStatement statement = db.Use(kSelectSealedSecrets);
  statement.Bind(proposal_id);
  if (statement.Next()) {
    return SealedSecrets{std::string(statement.Text(0)), std::string(statement.Text(1)),
                         std::string(statement.Text(2)), std::string(statement.Text(3))};
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return Fail(ErrorKind::kNotFound, "no such proposal");
}

Result<Proposal> sqlite::FindProposal(SqliteDb& db, const EnrollmentId& id,
                                      const CommandUuid& command_uuid) {
  SqliteStatement statement = db.Use(kSelectByCommand);
  statement.Bind(id).Bind(command_uuid);
  Result<std::vector<Proposal>> found = ReadProposals(statement);
  if (!found) return Fail(found.error());
  if (found->empty()) return Fail(ErrorKind::kNotFound, "no proposal has sent this command");
  return std::move(found->front());
}

Result<std::vector<Proposal>> sqlite::LoadUnfinishedProposals(SqliteDb& db,
                                                              const EnrollmentId& id) {
  SqliteStatement statement = db.Use(kSelectUnfinished);
  statement.Bind(id);
  return ReadProposals(statement);
}

Result<std::vector<Proposal>> sqlite::ListProposals(SqliteDb& db, const ProposalFilter& filter,
                                                    const PageRequest& page) {
  const Result<std::int64_t> before = NumberBefore(page);
  if (!before) return Fail(before.error());
  const bool is_of_one = !filter.enrollment_id.empty();
  SqliteStatement statement = db.Use(filter.only_open ? kListOpenProposals
                                     : is_of_one      ? kListProposalsOfOne
                                                      : kListProposals);
  statement.Bind(*before).Bind(page.limit);
  if (filter.only_open || is_of_one) statement.Bind(filter.enrollment_id);
  return ReadProposals(statement);
}

Result<std::int64_t> sqlite::CountProposalsSince(SqliteDb& db, Timestamp since) {
  SqliteStatement statement = db.Use(kCountProposalsSince);
  statement.Bind(since);
  if (!statement.Next()) return Fail(statement.Finish().error());
  return statement.Int(0);
}

Result<std::vector<ProposalCount>> sqlite::CountOpenProposals(SqliteDb& db) {
  SqliteStatement statement = db.Use(kCountOpenProposals);
  std::vector<ProposalCount> counts;
  while (statement.Next()) {
    SqliteRow row(statement, "proposals");
    counts.push_back(ReadProposalCount(row));
    if (Status read = row.Check("(counted)"); !read) return Fail(read.error());
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return counts;
}

Result<std::int64_t> SqliteWriter::AddProposal(const Proposal& proposal,
                                               const SealedSecrets& sealed) {
  const EnrollmentId& id = proposal.enrollment_id;
  const auto unfinished = sqlite::LoadUnfinishedProposals(db(), id);
  if (!unfinished) return Fail(unfinished.error());
  if (HasOpen(*unfinished)) {
    return Fail(ErrorKind::kConflict, "the device has an open proposal already");
  }
  std::int64_t proposal_id = 0;
  {
    SqliteStatement insert = db().Use(kInsertProposal);
    BindProposal(insert, proposal, sealed);
    while (insert.Next()) proposal_id = insert.Int(0);
    if (Status done = insert.Finish(); !done) return Fail(done.error());
  }
  if (Status due = MarkDue({{id, proposal.created_at}}); !due) return Fail(due.error());
  return proposal_id;
}

Status SqliteWriter::SaveProposal(const Proposal& proposal) {
  SqliteStatement update = db().Use(kUpdateProposal);
  update.Bind(proposal.proposal_id);
  BindStanding(update, proposal);
  return update.Run();
}

Status SqliteWriter::SaveSealedSecrets(std::int64_t proposal_id, const SealedSecrets& sealed) {
  return db()
      .Use(kUpdateSealedSecrets)
      .Bind(proposal_id)
      .Bind(sealed.secret)
      .Bind(sealed.current)
      .Bind(sealed.reply_identity)
      .Bind(sealed.encrypted_key)
      .Run();
}

Status SqliteWriter::StoreProposal(const PlanCommit& commit) {
  const std::optional<Proposal>& proposal = commit.plan.proposal;
  if (!proposal || proposal == commit.proposal_before) return {};
  return SaveProposal(*proposal);
}

}  // namespace director
