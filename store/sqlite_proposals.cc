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
    "effect, verifies "
    "FROM proposals WHERE proposal_id = ?";
/// By the index of open ones, here and below, so that the history of an enrollment costs nothing.
constexpr const char* kSelectOpenProposal =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies "
    "FROM proposals INDEXED BY proposals_open "
    "WHERE enrollment_id = ? AND state IN ('waiting', 'sent')";
constexpr const char* kSelectSealedSecrets =
    "SELECT sealed_secret, sealed_current_secret FROM proposals WHERE proposal_id = ?";

constexpr const char* kListProposals =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies "
    "FROM proposals "
    "WHERE proposal_id < ?1 ORDER BY proposal_id DESC LIMIT ?2";
constexpr const char* kListProposalsOfOne =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies "
    "FROM proposals "
    "WHERE enrollment_id = ?3 AND proposal_id < ?1 ORDER BY proposal_id DESC LIMIT ?2";
constexpr const char* kListOpenProposals =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies "
    "FROM proposals INDEXED BY proposals_open WHERE state IN ('waiting', 'sent') "
    "AND (?3 = '' OR enrollment_id = ?3) AND proposal_id < ?1 "
    "ORDER BY proposal_id DESC LIMIT ?2";

constexpr const char* kCountProposalsSince = "SELECT COUNT(*) FROM proposals WHERE created_at > ?";
/// The words sort as kinds and, backwards, states do.
constexpr const char* kCountOpenProposals =
    "SELECT kind, state, COUNT(*) FROM proposals INDEXED BY proposals_open "
    "WHERE state IN ('waiting', 'sent') GROUP BY kind, state ORDER BY kind, state DESC";

constexpr const char* kInsertProposal =
    "INSERT INTO proposals (enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret, epoch, created_at, not_before, expires_at, state, explanation, state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, effect, "
    "repeats, verifies, sealed_current_secret) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING "
    "proposal_id";
constexpr const char* kUpdateProposal =
    "UPDATE proposals SET state = ?2, explanation = ?3, state_since = ?4, escrowed_at = ?5, "
    "attempts = ?6, last_error = ?7, next_attempt_at = ?8, acknowledged_at = ?9, cancelled_at = "
    "?10, effect = ?11 "
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
    return SealedSecrets{std::string(statement.Text(0)), std::string(statement.Text(1))};
  }
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return Fail(ErrorKind::kNotFound, "no such proposal");
}

Result<std::optional<Proposal>> sqlite::LoadOpenProposal(SqliteDb& db, const EnrollmentId& id) {
  SqliteStatement statement = db.Use(kSelectOpenProposal);
  statement.Bind(id);
  Result<std::vector<Proposal>> found = ReadProposals(statement);
  if (!found) return Fail(found.error());
  if (found->empty()) return std::optional<Proposal>();
  return std::optional(std::move(found->front()));
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
  const Result<std::optional<Proposal>> open = sqlite::LoadOpenProposal(db(), id);
  if (!open) return Fail(open.error());
  if (*open) return Fail(ErrorKind::kConflict, "the device has an open proposal already");
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

Status SqliteWriter::StoreProposal(const PlanCommit& commit) {
  const std::optional<Proposal>& proposal = commit.plan.proposal;
  if (!proposal || proposal == commit.proposal_before) return {};
  return SaveProposal(*proposal);
}

}  // namespace director
