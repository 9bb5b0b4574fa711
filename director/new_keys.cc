#include "director/new_keys.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/log_keys.h"
#include "director/file_vault_key.h"
#include "reconciler/file_vault_key.h"
#include "reconciler/proposal_rule.h"

namespace director {
namespace {

/// The newest of a device: a key that has waited for more of them is deposited once too often.
constexpr std::size_t kProposalsLookedAt = 200;

/// The proposal as it stands, held until the end of the transaction.
Result<Proposal> Hold(StoreWriter& writer, const Proposal& proposal) {
  if (const auto held = writer.LoadEnrollments({proposal.enrollment_id}); !held) {
    return Fail(held.error());
  }
  return writer.LoadProposal(proposal.proposal_id);
}

/// True when the Mac has answered with a newer key since, whichever answer came first: the last one
/// at the escrow server must be the one in force.
Result<bool> IsVoid(StoreReader& reader, const Proposal& proposal) {
  const auto found =
      reader.ListProposals({.enrollment_id = proposal.enrollment_id}, {"", kProposalsLookedAt});
  if (!found) return Fail(found.error());
  return std::any_of(found->begin(), found->end(), [&](const Proposal& other) {
    return other.kind == proposal.kind && other.effect == ProposalEffect::kCarriedOut &&
           other.has_secret && other.acknowledged_at > proposal.acknowledged_at;
  });
}

/// With an event when it has come to its end.
Status Save(StoreWriter& writer, const Proposal& proposal, Timestamp now) {
  if (Status saved = writer.SaveProposal(proposal); !saved) return saved;
  if (proposal.state == ProposalState::kAnswered) return {};
  return writer.AddHappenings(
      {{0, now, proposal.enrollment_id, "command",
        fmt::format("{} proposed by {} is {}: {}", ProposalKindName(proposal.kind), proposal.source,
                    ProposalStateName(proposal.state), proposal.explanation)}});
}

}  // namespace

Result<NewKeys::EscrowServer> NewKeys::Keep(const Proposal& proposal, EscrowServer server) {
  const Result<Proposal> sealed = Seal(proposal);
  if (!sealed) return Fail(sealed.error());
  if (sealed->state != ProposalState::kAnswered || !sealed->has_secret) return server;
  std::optional<Status> deposited;
  if (server == EscrowServer::kMayAnswer) deposited = executor_.Escrow(*sealed);
  if (Status recorded = Record(*sealed, deposited); !recorded) return Fail(recorded.error());
  const bool fails = deposited && !*deposited && deposited->error().kind == ErrorKind::kUnavailable;
  return fails ? EscrowServer::kFails : server;
}

/// The key is in the store, sealed, when it comes back with a secret.
Result<Proposal> NewKeys::Seal(const Proposal& proposal) {
  Proposal current;
  const Status done = store_.Write([&](StoreWriter& writer) -> Status {
    const Timestamp now = clock_.Now();
    Result<Proposal> held = Hold(writer, proposal);
    if (!held) return Fail(held.error());
    current = std::move(*held);
    if (current.state != ProposalState::kAnswered) return {};
    if (!current.has_secret) {
      if (Status opened = OpenAndSeal(writer, now, current); !opened) return opened;
    }
    if (!current.has_secret) return Save(writer, current, now);
    const Result<bool> is_void = IsVoid(writer, current);
    if (!is_void) return Fail(is_void.error());
    if (*is_void || !executor_.secrets().has_escrow()) TakeKeptKey(now, current);
    return Save(writer, current, now);
  });
  if (!done) return Fail(done.error());
  return current;
}

Status NewKeys::OpenAndSeal(StoreWriter& writer, Timestamp now, Proposal& proposal) {
  Result<SealedSecrets> sealed = writer.LoadSealedSecrets(proposal.proposal_id);
  if (!sealed) return Fail(sealed.error());
  const EnrollmentId& id = proposal.enrollment_id;
  const Result<Secret> key = OpenNewKey(executor_.secrets(), *sealed, id);
  Result<std::string> text =
      key ? executor_.secrets().Seal(*key, id) : Result<std::string>(Fail(key.error()));
  if (text) {
    sealed->secret = std::move(*text);
    sealed->current.clear();  // perhaps a user's password: it has served
    proposal.has_secret = true;
    return writer.SaveSealedSecrets(proposal.proposal_id, *sealed);
  }
  Log(LogLevel::kError, "new recovery key could not be opened",
      {{log_key::kEnrollmentId, id.value()}, {log_key::kError, ErrorForLog(text.error())}});
  if (text.error().kind == ErrorKind::kRejected) {
    TakeUselessAnswer(text.error().message, now, proposal);
  } else {
    TakeKeyTrouble(text.error().message, settings_, now, proposal);
  }
  return {};
}

/// `deposited` is empty when it was not tried.
Status NewKeys::Record(const Proposal& proposal, const std::optional<Status>& deposited) {
  return store_.Write([&](StoreWriter& writer) -> Status {
    const Timestamp now = clock_.Now();
    Result<Proposal> current = Hold(writer, proposal);
    if (!current) return Fail(current.error());
    if (current->state != ProposalState::kAnswered) return {};
    if (!deposited) {
      TakeKeyTrouble("the escrow server has just failed to take another secret", settings_, now,
                     *current);
    } else if (*deposited) {
      TakeKeptKey(now, *current);
    } else {
      TakeKeyTrouble(deposited->error().message, settings_, now, *current);
    }
    return Save(writer, *current, now);
  });
}

}  // namespace director
