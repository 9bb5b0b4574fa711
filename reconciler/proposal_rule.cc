#include "reconciler/proposal_rule.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "reconciler/backoff.h"
#include "reconciler/file_vault_key.h"
#include "reconciler/item_work.h"

namespace director {
namespace {

/// Between two commands of a proposal that repeats.
constexpr Duration kRepeatPause = std::chrono::minutes(15);

/// Ends one that waits and was taken back while its command was on its way.
void WaitUnlessCancelled(Proposal& proposal, Timestamp now) {
  if (!proposal.cancelled_at)
    return SetState(proposal, ProposalState::kWaiting, proposal.last_error, now);
  SetState(
      proposal, ProposalState::kCancelled,
      fmt::format("Cancelled at {}. {}", FormatTime(*proposal.cancelled_at), proposal.last_error),
      now);
}

/// An erase is never repeated: the device that speaks may be another one by then.
bool GoesOn(const Proposal& proposal) {
  return proposal.repeats && !proposal.cancelled_at && proposal.kind == ProposalKind::kDeviceLock;
}

/// When it was carried out last, for one that ends; empty when it never was.
std::string DescribeLast(const Proposal& proposal) {
  if (!proposal.acknowledged_at) return {};
  return fmt::format(" It was acknowledged last at {}.", FormatTime(*proposal.acknowledged_at));
}

/// The command that was sent last has done nothing. One that repeats may have acted before.
void NothingDone(Proposal& proposal) {
  proposal.effect = proposal.acknowledged_at ? ProposalEffect::kCarriedOut : ProposalEffect::kNone;
}

bool IsForGood(ErrorClass error_class, const Proposal& proposal, const Settings& settings) {
  switch (error_class) {
    case ErrorClass::kPermanent:
    case ErrorClass::kUser:
      return true;
    case ErrorClass::kUnknown:
      // No source tells how Macs refuse a wrong password here: it is not tried again.
      return proposal.kind == ProposalKind::kRotateFileVaultKey ||
             proposal.attempts >= settings.unknown_attempts_max;
    case ErrorClass::kTransient:
    case ErrorClass::kServer:
    case ErrorClass::kDone:
      return false;
  }
  return true;
}

void TakeFailure(const Intent& intent, const Settings& settings, Timestamp now,
                 Proposal& proposal) {
  NothingDone(proposal);
  ++proposal.attempts;
  proposal.last_error = fmt::format("{} failed at {}: {}", intent.request_type,
                                    FormatTime(intent.answered_at.value_or(now)), intent.error);
  if (IsForGood(intent.error_class, proposal, settings)) {
    return SetState(proposal, ProposalState::kFailed, proposal.last_error, now);
  }
  proposal.next_attempt_at =
      now + Jittered(RetryDelay(intent.error_class, proposal.attempts, settings),
                     proposal.enrollment_id.value());
  WaitUnlessCancelled(proposal, now);
}

void TakeDenial(const Intent& intent, Timestamp now, Proposal& proposal) {
  proposal.effect = ProposalEffect::kDenied;
  proposal.last_error.clear();
  SetState(proposal, ProposalState::kDone,
           fmt::format("The device said at {} that this is not its recovery lock password.",
                       FormatTime(intent.answered_at.value_or(now))),
           now);
}

void TakeAcknowledgement(const Intent& intent, Timestamp now, Proposal& proposal) {
  proposal.effect = ProposalEffect::kCarriedOut;
  proposal.acknowledged_at = std::max(intent.answered_at.value_or(now), intent.journaled_at);
  proposal.attempts = 0;
  proposal.last_error.clear();
  proposal.next_attempt_at = now + kRepeatPause;
  SetState(proposal, GoesOn(proposal) ? ProposalState::kWaiting : ProposalState::kDone,
           proposal.kind == ProposalKind::kVerifyRecoveryLock
               ? fmt::format("The device said at {} that this is its recovery lock password.",
                             FormatTime(*proposal.acknowledged_at))
               : fmt::format("The device acknowledged {} at {}.", intent.request_type,
                             FormatTime(*proposal.acknowledged_at)),
           now);
}

/// Ends it when its time is over.
bool Expire(Timestamp now, Proposal& proposal) {
  if (now < proposal.expires_at) return false;
  SetState(proposal, ProposalState::kExpired,
           fmt::format("Its time was over at {}.{}{}{}", FormatTime(proposal.expires_at),
                       proposal.last_error.empty() ? "" : " ", proposal.last_error,
                       DescribeLast(proposal)),
           now);
  return true;
}

/// True while one that repeats has nothing to do: the device has been silent since it acknowledged.
bool IsAtRest(const Proposal& proposal, const Enrollment& enrollment) {
  return proposal.acknowledged_at &&
         enrollment.last_seen_at <= *proposal.acknowledged_at + kLateEventAfter;
}

void DescribeUnderWay(const std::vector<Intent>& staying, const Enrollment& enrollment,
                      Timestamp now, Proposal& proposal) {
  const auto intent = std::find_if(staying.begin(), staying.end(),
                                   [&](const Intent& i) { return IsOf(i, proposal); });
  if (intent == staying.end()) {
    return SetState(proposal, ProposalState::kFailed,
                    "Its command is not in the journal any more; nothing is known about it.", now);
  }
  if (intent->state == IntentState::kNotNow) {
    proposal.explanation = fmt::format(
        "{} said NotNow, last at {}; the command waits in the MDM server's queue.",
        DeviceNoun(enrollment), FormatTime(intent->not_now_at.value_or(intent->journaled_at)));
  } else {
    proposal.explanation =
        fmt::format("{} {} at {}; the answer is awaited.", intent->request_type,
                    intent->state == IntentState::kUnknown ? "may have been queued" : "was sent",
                    FormatTime(intent->journaled_at));
  }
}

/// Waits until `at`, which passes by itself.
void WaitUntil(Timestamp at, std::string explanation, Plan& plan) {
  plan.due_at = std::min(plan.due_at, at);
  plan.proposal->explanation = std::move(explanation);
}

}  // namespace

void DropProposal(const Enrollment& enrollment, Timestamp now, Plan& plan) {
  if (!plan.proposal || !IsOpen(plan.proposal->state)) return;
  Proposal& proposal = *plan.proposal;
  const bool has_left = enrollment.status == EnrollmentStatus::kCheckedOut;
  const auto& renewal = enrollment.renewal;
  const bool authenticated_since =
      renewal && renewal->authenticated_at && proposal.created_at <= *renewal->authenticated_at;
  if (proposal.epoch == enrollment.epoch && !has_left && !authenticated_since) return;
  SetState(proposal, ProposalState::kDropped,
           fmt::format("The device {}{}; nothing more is sent.{}",
                       has_left              ? "checked out of management"
                       : authenticated_since ? "authenticated anew"
                                             : "enrolled again",
                       proposal.state == ProposalState::kSent
                           ? " before the command that was sent was answered"
                           : "",
                       DescribeLast(proposal)),
           now);
}

bool IsOf(const Intent& intent, const Proposal& proposal) {
  return intent.request_type == ProposalKindName(proposal.kind) && intent.epoch == proposal.epoch;
}

void TakeProposalAnswer(const Intent& intent, const Settings& settings, Timestamp now,
                        Proposal& proposal) {
  if (intent.state == IntentState::kNotSent) {
    NothingDone(proposal);
    proposal.last_error = fmt::format("{} could not be sent at {}: {}", intent.request_type,
                                      FormatTime(intent.answered_at.value_or(now)), intent.error);
    proposal.next_attempt_at = now + settings.retry_delay_min;
    return WaitUnlessCancelled(proposal, now);
  }
  if (intent.state == IntentState::kDenied) return TakeDenial(intent, now, proposal);
  if (intent.state == IntentState::kLost) return GiveUpProposalAnswer(intent, now, proposal);
  const bool is_done =
      intent.state == IntentState::kAcknowledged || intent.error_class == ErrorClass::kDone;
  // With a new key it would not be awaited any more.
  const bool lacks_key = is_done && proposal.kind == ProposalKind::kRotateFileVaultKey;
  if (lacks_key) return TakeAnswerWithoutKey(intent.answered_at.value_or(now), now, proposal);
  if (is_done) return TakeAcknowledgement(intent, now, proposal);
  TakeFailure(intent, settings, now, proposal);
}

void GiveUpProposalAnswer(const Intent& intent, Timestamp now, Proposal& proposal) {
  proposal.last_error =
      fmt::format("{} of {} got no answer; whether the device has carried it out is not known.",
                  intent.request_type, FormatTime(intent.journaled_at));
  proposal.next_attempt_at = now + kRepeatPause;
  const bool goes_on = GoesOn(proposal);
  std::string explanation = proposal.last_error;
  if (!goes_on) explanation += " It is not sent again by itself.";
  if (proposal.kind == ProposalKind::kSetRecoveryLock) {
    explanation += " VerifyRecoveryLock tells which password is in force.";
  }
  if (proposal.kind == ProposalKind::kRotateFileVaultKey) {
    explanation += " A late answer still brings the new key. ";
    explanation += kRotateAgain;
  }
  SetState(proposal, goes_on ? ProposalState::kWaiting : ProposalState::kFailed,
           std::move(explanation), now);
}

void TakeBack(const std::string& source, Timestamp now, Proposal& proposal) {
  proposal.cancelled_at = now;
  if (proposal.state != ProposalState::kWaiting) return;
  SetState(proposal, ProposalState::kCancelled,
           fmt::format("Cancelled by {} at {}.{}", source, FormatTime(now), DescribeLast(proposal)),
           now);
}

void PutOffEscrow(const Settings& settings, Timestamp now, Proposal& proposal) {
  proposal.last_error = "The escrow server has just failed to take another secret.";
  proposal.next_attempt_at = now + settings.retry_delay_min;
}

void TakeEscrowAnswer(const Status& deposited, const Settings& settings, Timestamp now,
                      Proposal& proposal) {
  if (deposited) {
    proposal.escrowed_at = now;
    proposal.attempts = 0;
    proposal.last_error.clear();
    proposal.next_attempt_at.reset();
    return;
  }
  ++proposal.attempts;
  proposal.last_error =
      fmt::format("Its secret could not be escrowed: {}.", deposited.error().message);
  proposal.next_attempt_at =
      now + Jittered(RetryDelay(ErrorClass::kTransient, proposal.attempts, settings),
                     proposal.enrollment_id.value());
}

bool DecideProposal(const Snapshot& snapshot, const std::vector<Intent>& staying, Timestamp now,
                    Plan& plan) {
  if (!plan.proposal || !IsOpen(plan.proposal->state)) return false;
  Proposal& proposal = *plan.proposal;
  const Enrollment& enrollment = snapshot.enrollment;
  if (proposal.state == ProposalState::kSent) {
    DescribeUnderWay(staying, enrollment, now, proposal);
    if (proposal.state == ProposalState::kSent) {
      plan.due_at = std::min(plan.due_at, proposal.expires_at);
    }
    return false;
  }
  if (Expire(now, proposal)) return false;
  plan.due_at = std::min(plan.due_at, proposal.expires_at);
  if (IsAtRest(proposal, enrollment)) {
    plan.wants_wake = true;
    proposal.explanation =
        fmt::format("Acknowledged at {}; it is sent again when the device speaks, until {}.",
                    FormatTime(*proposal.acknowledged_at), FormatTime(proposal.expires_at));
    return false;
  }
  if (proposal.next_attempt_at && *proposal.next_attempt_at > now) {
    WaitUntil(*proposal.next_attempt_at,
              fmt::format(
                  "{} Next attempt at {}.",
                  proposal.last_error.empty() ? "It was acknowledged before." : proposal.last_error,
                  FormatTime(*proposal.next_attempt_at)),
              plan);
    return false;
  }
  if (!proposal.escrowed_at) {
    plan.escrow = true;
    proposal.explanation = "Its secret is taken to the escrow server before anything is sent.";
    return false;
  }
  if (proposal.not_before > now) {
    WaitUntil(proposal.not_before,
              fmt::format("It can be cancelled until {}; then it is sent.",
                          FormatTime(proposal.not_before)),
              plan);
    return false;
  }
  plan.wants_wake = true;
  proposal.explanation = fmt::format(
      "{} was last heard from at {}. It is sent as soon as that is awake, until {} at the latest.",
      DeviceNoun(enrollment), FormatTime(enrollment.last_seen_at), FormatTime(proposal.expires_at));
  return true;
}

PlannedCommand SendProposal(Proposal& proposal, Timestamp now) {
  PlannedCommand command;
  command.request_type = std::string(ProposalKindName(proposal.kind));
  command.reason = fmt::format("Proposed by {}: {}", proposal.source, proposal.reason);
  command.proposal_id = proposal.proposal_id;
  proposal.effect = ProposalEffect::kUnknown;
  SetState(proposal, ProposalState::kSent,
           fmt::format("{} was sent at {}; the answer is awaited.", command.request_type,
                       FormatTime(now)),
           now);
  return command;
}

void HoldProposal(const std::string& why, Timestamp now, Plan& plan) {
  if (!plan.proposal || !IsOpen(plan.proposal->state)) return;
  Proposal& proposal = *plan.proposal;
  if (proposal.state == ProposalState::kWaiting && Expire(now, proposal)) return;
  if (proposal.expires_at > now) plan.due_at = std::min(plan.due_at, proposal.expires_at);
  proposal.explanation = why;
}

}  // namespace director
