#include "reconciler/file_vault_key.h"

#include <fmt/core.h>

#include <algorithm>

#include "reconciler/backoff.h"

namespace director {
namespace {

bool IsAnswered(const Proposal& proposal) {
  return proposal.kind == ProposalKind::kRotateFileVaultKey &&
         proposal.effect == ProposalEffect::kCarriedOut;
}

bool MayHaveActed(const Proposal& proposal) {
  return proposal.kind == ProposalKind::kRotateFileVaultKey && !IsOpen(proposal.state) &&
         proposal.effect == ProposalEffect::kUnknown;
}

/// The one whose answer was given last: what is late may be newer than what came after it.
const Proposal* LastAnswered(const std::vector<Proposal>& proposals) {
  const Proposal* last = nullptr;
  for (const Proposal& proposal : proposals) {
    if (!IsAnswered(proposal)) continue;
    if (last == nullptr || proposal.acknowledged_at > last->acknowledged_at) last = &proposal;
  }
  return last;
}

}  // namespace

FileVaultKey FindFileVaultKey(const std::vector<Proposal>& newest_first) {
  const Proposal* last = LastAnswered(newest_first);
  const std::int64_t last_id = last == nullptr ? 0 : last->proposal_id;
  const auto doubt = std::find_if(newest_first.begin(), newest_first.end(), MayHaveActed);
  if (doubt != newest_first.end() && doubt->proposal_id > last_id) {
    return {FileVaultKeyState::kInDoubt, doubt->proposal_id};
  }
  if (last == nullptr) return {};
  if (last->has_secret) return {FileVaultKeyState::kKnown, last_id};
  const bool is_being_kept = last->state == ProposalState::kAnswered;
  return {is_being_kept ? FileVaultKeyState::kBeingKept : FileVaultKeyState::kInDoubt, last_id};
}

void TakeNewKey(Timestamp answered_at, Timestamp now, Proposal& proposal) {
  proposal.effect = ProposalEffect::kCarriedOut;
  proposal.acknowledged_at = answered_at;
  proposal.escrowed_at.reset();
  proposal.attempts = 0;
  proposal.last_error.clear();
  proposal.next_attempt_at.reset();
  SetState(proposal, ProposalState::kAnswered,
           fmt::format("The Mac answered at {} with its new recovery key, which is to be opened, "
                       "sealed and escrowed.",
                       FormatTime(answered_at)),
           now);
}

void TakeAnswerWithoutKey(Timestamp answered_at, Timestamp now, Proposal& proposal) {
  proposal.effect = ProposalEffect::kCarriedOut;
  proposal.acknowledged_at = answered_at;
  proposal.last_error =
      fmt::format("The Mac acknowledged RotateFileVaultKey at {} and brought no new key.",
                  FormatTime(answered_at));
  SetState(proposal, ProposalState::kFailed,
           fmt::format("{} {}", proposal.last_error, kRotateAgain), now);
}

void TakeKeptKey(Timestamp now, Proposal& proposal) {
  proposal.escrowed_at = now;
  proposal.attempts = 0;
  proposal.last_error.clear();
  proposal.next_attempt_at.reset();
  SetState(proposal, ProposalState::kDone,
           fmt::format("The Mac answered at {} with its new recovery key, which is kept.",
                       FormatTime(proposal.acknowledged_at.value_or(now))),
           now);
}

void TakeKeyTrouble(const std::string& why, const Settings& settings, Timestamp now,
                    Proposal& proposal) {
  ++proposal.attempts;
  proposal.last_error = fmt::format("Its new key could not be {}: {}.",
                                    proposal.has_secret ? "escrowed" : "opened", why);
  proposal.next_attempt_at =
      now + Jittered(RetryDelay(ErrorClass::kTransient, proposal.attempts, settings),
                     proposal.enrollment_id.value());
  SetState(proposal, ProposalState::kAnswered,
           fmt::format("{} The Mac has it since {}; it is kept {}. Next attempt at {}.",
                       proposal.last_error, FormatTime(proposal.acknowledged_at.value_or(now)),
                       proposal.has_secret ? "sealed" : "as it came",
                       FormatTime(*proposal.next_attempt_at)),
           now);
}

void TakeUselessAnswer(const std::string& why, Timestamp now, Proposal& proposal) {
  proposal.last_error = fmt::format("The Mac's answer gives no recovery key: {}.", why);
  proposal.next_attempt_at.reset();
  SetState(proposal, ProposalState::kFailed,
           fmt::format("{} The answer is kept as it came. {}", proposal.last_error, kRotateAgain),
           now);
}

void DecideNewKeys(const Snapshot& snapshot, Timestamp now, Plan& plan) {
  for (const Proposal& proposal : snapshot.answered) {
    plan.notes.push_back(
        fmt::format("Proposal {}: {}", proposal.proposal_id, proposal.explanation));
    if (proposal.next_attempt_at && *proposal.next_attempt_at > now) {
      plan.due_at = std::min(plan.due_at, *proposal.next_attempt_at);
    } else {
      plan.new_keys.push_back(proposal);
    }
  }
}

}  // namespace director
