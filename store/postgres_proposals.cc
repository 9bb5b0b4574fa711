#include <string>

#include "store/page.h"
#include "store/postgres_writer.h"
#include "store/row_readers.h"
#include "store/row_writers.h"

namespace director {
namespace {

constexpr const char* kSelectProposal =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals WHERE proposal_id = $1::bigint";
constexpr const char* kSelectByCommand =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals WHERE enrollment_id = $1 AND command_uuid = $2";
/// By the index of unfinished ones, so that the history of an enrollment costs nothing.
constexpr const char* kSelectUnfinished =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals WHERE enrollment_id = ANY ($1::text[]) AND state IN ('waiting', 'sent', "
    "'answered') "
    "ORDER BY proposal_id";
constexpr const char* kSelectSealedSecrets =
    "SELECT sealed_secret, sealed_current_secret, sealed_reply_identity, encrypted_key "
    "FROM proposals WHERE proposal_id = $1::bigint";
constexpr const char* kUpdateSealedSecrets =
    "UPDATE proposals SET sealed_secret = $2, sealed_current_secret = $3, "
    "sealed_reply_identity = $4, encrypted_key = $5 WHERE proposal_id = $1::bigint";

constexpr const char* kListProposals =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals "
    "WHERE proposal_id < $1::bigint ORDER BY proposal_id DESC LIMIT $2::bigint";
constexpr const char* kListProposalsOfOne =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals "
    "WHERE enrollment_id = $3 AND proposal_id < $1::bigint "
    "ORDER BY proposal_id DESC LIMIT $2::bigint";
constexpr const char* kListOpenProposals =
    "SELECT proposal_id, enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret <> '', epoch, created_at, not_before, expires_at, state, explanation, "
    "state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, "
    "effect, verifies, command_uuid "
    "FROM proposals "
    "WHERE state IN ('waiting', 'sent', 'answered') AND ($3 = '' OR enrollment_id = $3) "
    "AND proposal_id < $1::bigint ORDER BY proposal_id DESC LIMIT $2::bigint";

constexpr const char* kCountProposalsSince =
    "SELECT COUNT(*) FROM proposals WHERE created_at > $1::bigint";
/// The words sort as kinds and, backwards, states do.
constexpr const char* kCountOpenProposals =
    "SELECT kind, state, COUNT(*) FROM proposals "
    "WHERE state IN ('waiting', 'sent', 'answered') GROUP BY kind, state ORDER BY kind, state DESC";

constexpr const char* kInsertProposal =
    "INSERT INTO proposals (enrollment_id, kind, reason, source, message, phone_number, "
    "sealed_secret, epoch, created_at, not_before, expires_at, state, explanation, state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, effect, "
    "command_uuid, repeats, verifies, sealed_current_secret, sealed_reply_identity, encrypted_key) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], "
    "$6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], "
    "$12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::integer[], $17::text[], "
    "$18::bigint[], $19::bigint[], $20::bigint[], $21::text[], $22::text[], $23::boolean[], "
    "$24::bigint[], $25::text[], $26::text[], $27::text[]) RETURNING proposal_id";
constexpr const char* kUpdateProposals =
    "UPDATE proposals AS p SET state = n.state, explanation = n.explanation, "
    "state_since = n.state_since, escrowed_at = n.escrowed_at, attempts = n.attempts, "
    "last_error = n.last_error, next_attempt_at = n.next_attempt_at, "
    "acknowledged_at = n.acknowledged_at, cancelled_at = n.cancelled_at, effect = n.effect, "
    "command_uuid = n.command_uuid "
    "FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::integer[], "
    "$7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[]) AS n "
    "(proposal_id, state, "
    "explanation, state_since, "
    "escrowed_at, attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, "
    "effect, command_uuid) "
    "WHERE p.proposal_id = n.proposal_id";

Result<std::vector<Proposal>> ReadProposals(Result<PostgresResult> found) {
  if (!found) return Fail(found.error());
  std::vector<Proposal> proposals;
  while (found->Next()) {
    proposals.push_back(ReadProposal(*found));
    const Status read = found->Check(std::to_string(proposals.back().proposal_id));
    if (!read) return Fail(read.error());
  }
  return proposals;
}

void BindUpdate(PostgresBatch& batch, const Proposal& proposal) {
  batch.Bind(proposal.proposal_id);
  BindStanding(batch, proposal);
}

}  // namespace

Result<Proposal> postgres::LoadProposal(PostgresTransaction& db, std::int64_t proposal_id) {
  auto found = ReadProposals(db.Run(kSelectProposal, {ToPostgres(proposal_id)}, "proposals"));
  if (!found) return Fail(found.error());
  if (found->empty()) return Fail(ErrorKind::kNotFound, "no such proposal");
  return std::move(found->front());
}

Result<SealedSecrets> postgres::LoadSealedSecrets(PostgresTransaction& db,
                                                  std::int64_t proposal_id) {
  Result<PostgresResult> found =
      db.Run(kSelectSealedSecrets, {ToPostgres(proposal_id)}, "proposals");
  if (!found) return Fail(found.error());
  if (!found->Next()) return Fail(ErrorKind::kNotFound, "no such proposal");
  SealedSecrets sealed;
  sealed.secret = found->Text();
  sealed.current = found->Text();
  sealed.reply_identity = found->Text();
  sealed.encrypted_key = found->Text();
  return sealed;
}

Result<Proposal> postgres::FindProposal(PostgresTransaction& db, const EnrollmentId& id,
                                        const CommandUuid& command_uuid) {
  auto found = ReadProposals(
      db.Run(kSelectByCommand, {ToPostgres(id), ToPostgres(command_uuid)}, "proposals"));
  if (!found) return Fail(found.error());
  if (found->empty()) return Fail(ErrorKind::kNotFound, "no proposal has sent this command");
  return std::move(found->front());
}

Result<std::vector<Proposal>> postgres::LoadUnfinishedProposals(
    PostgresTransaction& db, const std::vector<EnrollmentId>& ids) {
  return ReadProposals(db.Run(kSelectUnfinished, {ArrayToPostgres(ids)}, "proposals"));
}

Result<std::vector<Proposal>> postgres::ListProposals(PostgresTransaction& db,
                                                      const ProposalFilter& filter,
                                                      const PageRequest& page) {
  const Result<std::int64_t> before = NumberBefore(page);
  if (!before) return Fail(before.error());
  const bool is_of_one = !filter.enrollment_id.empty();
  std::vector<PostgresValue> values = {ToPostgres(*before),
                                       ToPostgres(static_cast<std::int64_t>(page.limit))};
  if (filter.only_open || is_of_one) values.push_back(ToPostgres(filter.enrollment_id));
  return ReadProposals(db.Run(filter.only_open ? kListOpenProposals
                              : is_of_one      ? kListProposalsOfOne
                                               : kListProposals,
                              values, "proposals"));
}

Result<std::int64_t> postgres::CountProposalsSince(PostgresTransaction& db, Timestamp since) {
  Result<PostgresResult> found = db.Run(kCountProposalsSince, {ToPostgres(since)}, "proposals");
  if (!found) return Fail(found.error());
  return found->Next() ? found->Int() : 0;
}

Result<std::vector<ProposalCount>> postgres::CountOpenProposals(PostgresTransaction& db) {
  Result<PostgresResult> found = db.Run(kCountOpenProposals, {}, "proposals");
  if (!found) return Fail(found.error());
  std::vector<ProposalCount> counts;
  while (found->Next()) {
    counts.push_back(ReadProposalCount(*found));
    if (Status read = found->Check("(counted)"); !read) return Fail(read.error());
  }
  return counts;
}

/// The lock of the enrollment makes two that propose at the same time come one after the other.
Result<std::int64_t> PostgresWriter::AddProposal(const Proposal& proposal,
                                                 const SealedSecrets& sealed) {
  const EnrollmentId& id = proposal.enrollment_id;
  if (Status done = Lock({id}); !done) return Fail(done.error());
  const auto unfinished = postgres::LoadUnfinishedProposals(db(), {id});
  if (!unfinished) return Fail(unfinished.error());
  if (HasOpen(*unfinished)) {
    return Fail(ErrorKind::kConflict, "the device has an open proposal already");
  }
  PostgresBatch row(27);
  BindProposal(row, proposal, sealed);
  Result<PostgresResult> added = db().Run(kInsertProposal, row.Arrays(), "proposals");
  if (!added) return Fail(added.error());
  const std::int64_t proposal_id = added->Next() ? added->Int() : 0;
  if (Status due = MarkDue({{id, proposal.created_at}}); !due) return Fail(due.error());
  return proposal_id;
}

Status PostgresWriter::SaveProposal(const Proposal& proposal) {
  if (Status done = Lock({proposal.enrollment_id}); !done) return done;
  PostgresBatch row(12);
  BindUpdate(row, proposal);
  return Write(kUpdateProposals, row);
}

Status PostgresWriter::SaveSealedSecrets(std::int64_t proposal_id, const SealedSecrets& sealed) {
  return Write(kUpdateSealedSecrets,
               {ToPostgres(proposal_id), ToPostgres(sealed.secret), ToPostgres(sealed.current),
                ToPostgres(sealed.reply_identity), ToPostgres(sealed.encrypted_key)});
}

Status PostgresWriter::StoreProposals(const std::vector<PlanCommit>& commits) {
  PostgresBatch batch(12);
  for (const PlanCommit& commit : commits) {
    const std::optional<Proposal>& proposal = commit.plan.proposal;
    if (proposal && proposal != commit.proposal_before) BindUpdate(batch, *proposal);
  }
  return Write(kUpdateProposals, batch);
}

}  // namespace director
