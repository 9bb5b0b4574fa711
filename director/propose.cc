#include "director/propose.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "director/file_vault_key.h"
#include "director/recovery_lock.h"
#include "reconciler/item_work.h"
#include "reconciler/proposal_rule.h"
#include "signing/seal.h"

namespace director {
namespace {

constexpr Duration kBudgetPeriod = std::chrono::hours(1);

bool IsPin(const std::string& text) {
  return text.size() == kPinDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Status CheckTakesCommands(const Enrollment& enrollment) {
  if (IsUserChannel(enrollment.channel.type)) {
    return Fail(InvalidField("device", "is a user channel; propose it for the device"));
  }
  switch (enrollment.status) {
    case EnrollmentStatus::kCheckedOut:
      return Fail(ErrorKind::kConflict, "the device has checked out of management");
    case EnrollmentStatus::kQuarantined:
      return Fail(ErrorKind::kConflict,
                  "the device is quarantined: " + enrollment.quarantine_reason);
    case EnrollmentStatus::kAuthenticated:
    case EnrollmentStatus::kEnrolled:
      return {};
  }
  return {};
}

Status CheckBudget(StoreReader& reader, const ProposalLimits& limits, Timestamp now) {
  const Result<std::int64_t> spent = reader.CountProposalsSince(now - kBudgetPeriod);
  if (!spent) return Fail(spent.error());
  if (*spent < limits.per_hour_max) return {};
  return Fail(ErrorKind::kRejected,
              fmt::format("{} commands were proposed in the last hour, and proposals_per_hour_max "
                          "allows {}",
                          *spent, limits.per_hour_max));
}

/// The PIN sealed; empty when the device takes none.
Result<std::string> SealPin(const Secrets& secrets, const Enrollment& enrollment,
                            const ProposalRequest& request) {
  if (!NeedsPin(request.kind, enrollment)) {
    if (request.pin.empty()) return std::string();
    return Fail(InvalidField("pin", "only a Mac's lock and erase take a PIN"));
  }
  if (!secrets.can_seal()) {
    return Fail(ErrorKind::kRejected,
                "a Mac needs a PIN, and PINs are only kept sealed: set data_key_file");
  }
  Result<Secret> pin = request.pin.empty() ? MakePin() : Result<Secret>(request.pin);
  if (!pin) return Fail(pin.error());
  return secrets.Seal(*pin, enrollment.channel.enrollment_id);
}

Result<SealedSecrets> SealSecrets(StoreReader& reader, const Secrets& secrets,
                                  const Enrollment& enrollment, const ProposalRequest& request,
                                  Proposal& proposal) {
  if (IsAboutRecoveryLock(request.kind)) {
    return SealRecoveryLock(reader, secrets, enrollment, request, proposal);
  }
  if (request.kind == ProposalKind::kRotateFileVaultKey) {
    return SealFileVaultKey(reader, secrets, enrollment, request);
  }
  Result<std::string> pin = SealPin(secrets, enrollment, request);
  if (!pin) return Fail(pin.error());
  SealedSecrets sealed;
  sealed.secret = std::move(*pin);
  return sealed;
}

Proposal MakeProposal(const Enrollment& enrollment, const ProposalRequest& request,
                      const ProposalLimits& limits, Timestamp now) {
  Proposal proposal;
  proposal.enrollment_id = enrollment.channel.enrollment_id;
  proposal.kind = request.kind;
  proposal.reason = request.reason;
  proposal.source = request.source;
  proposal.repeats = request.repeats;
  proposal.message = request.message;
  proposal.phone_number = request.phone_number;
  proposal.epoch = enrollment.epoch;
  proposal.created_at = now;
  proposal.not_before = request.kind == ProposalKind::kEraseDevice ? now + limits.erase_delay : now;
  proposal.expires_at = now + limits.time_max;
  proposal.explanation = "It has just been proposed.";
  proposal.state_since = now;
  return proposal;
}

Result<Enrollment> LoadOne(StoreReader& reader, const EnrollmentId& id) {
  auto found = reader.LoadEnrollments({id});
  if (!found) return Fail(found.error());
  if (found->empty()) return Fail(ErrorKind::kNotFound, "no such enrollment");
  return std::move(found->front());
}

}  // namespace

Status CheckProposalText(const std::string& field, const std::string& text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return Fail(InvalidField(field, fmt::format("is longer than {} bytes", bytes_max)));
  }
  if (Printable(text, text.size()) == text) return {};
  return Fail(InvalidField(field, "holds control characters"));
}

bool MayBeMac(const Enrollment& enrollment) {
  return IsMac(enrollment) || DeviceNoun(enrollment) == "The device";
}

bool NeedsPin(ProposalKind kind, const Enrollment& enrollment) {
  return TakesPin(kind) && MayBeMac(enrollment);
}

Status PrepareProposal(const Secrets& secrets, Timestamp now, ProposalRequest& request) {
  if (request.kind != ProposalKind::kRotateFileVaultKey || !secrets.can_seal()) return {};
  Result<Secret> identity = secrets.MakeReplyIdentity(now);
  if (!identity) return Fail(identity.error());
  request.reply_identity = std::move(*identity);
  return {};
}

Status CheckProposal(const ProposalRequest& request) {
  if (request.reason.empty()) return Fail(InvalidField("reason", "must say why"));
  if (!request.pin.empty() && !IsPin(request.pin.Reveal())) {
    return Fail(InvalidField("pin", "must be six digits"));
  }
  const bool has_text = !request.message.empty() || !request.phone_number.empty();
  if (has_text && request.kind != ProposalKind::kDeviceLock) {
    return Fail(InvalidField("message", "is only shown by a device that is locked"));
  }
  if (Status fits = CheckRecoveryLock(request); !fits) return fits;
  if (Status fits = CheckProposalText("reason", request.reason, kProposalTextMaxBytes); !fits)
    return fits;
  if (Status fits = CheckProposalText("source", request.source, kProposalTextMaxBytes); !fits)
    return fits;
  if (Status fits = CheckProposalText("message", request.message, kProposalTextMaxBytes); !fits)
    return fits;
  return CheckProposalText("phone_number", request.phone_number, kProposalTextMaxBytes);
}

Result<Proposal> Propose(StoreWriter& writer, const Secrets& secrets, const ProposalLimits& limits,
                         const EnrollmentId& id, const ProposalRequest& request, Timestamp now) {
  const Result<Enrollment> enrollment = LoadOne(writer, id);
  if (!enrollment) return Fail(enrollment.error());
  if (Status takes = CheckTakesCommands(*enrollment); !takes) return Fail(takes.error());
  if (Status within = CheckBudget(writer, limits, now); !within) return Fail(within.error());
  Proposal proposal = MakeProposal(*enrollment, request, limits, now);
  const auto sealed = SealSecrets(writer, secrets, *enrollment, request, proposal);
  if (!sealed) return Fail(sealed.error());
  proposal.has_secret = !sealed->secret.empty();
  // What is only tried changes nothing.
  const bool is_new_secret =
      proposal.has_secret && request.kind != ProposalKind::kVerifyRecoveryLock;
  if (!is_new_secret || !secrets.has_escrow()) proposal.escrowed_at = now;
  const Result<std::int64_t> proposal_id = writer.AddProposal(proposal, *sealed);
  if (!proposal_id) return Fail(proposal_id.error());
  proposal.proposal_id = *proposal_id;
  const Status told =
      writer.AddHappenings({{0, now, id, "operator",
                             fmt::format("{} proposed {}: {}", proposal.source,
                                         ProposalKindName(proposal.kind), proposal.reason)}});
  if (!told) return Fail(told.error());
  return proposal;
}

Result<Proposal> CancelProposal(StoreWriter& writer, std::int64_t proposal_id,
                                const std::string& source, Timestamp now) {
  Result<Proposal> proposal = writer.LoadProposal(proposal_id);
  if (!proposal) return Fail(proposal.error());
  const EnrollmentId id = proposal->enrollment_id;
  // Nobody sends it between the look and the change.
  if (const auto held = writer.LoadEnrollments({id}); !held) return Fail(held.error());
  proposal = writer.LoadProposal(proposal_id);
  if (!proposal) return Fail(proposal.error());
  if (!IsOpen(proposal->state)) {
    return Fail(ErrorKind::kConflict,
                fmt::format("it is {} already", ProposalStateName(proposal->state)));
  }
  if (proposal->state == ProposalState::kSent && !proposal->repeats) {
    return Fail(ErrorKind::kConflict,
                "it is on its way and cannot be taken back. " + proposal->explanation);
  }
  TakeBack(source, now, *proposal);
  if (Status saved = writer.SaveProposal(*proposal); !saved) return Fail(saved.error());
  if (Status due = writer.MarkDue({{id, now}}); !due) return Fail(due.error());
  const Status told = writer.AddHappenings(
      {{0, now, id, "operator",
        fmt::format("{} cancelled {}", source, ProposalKindName(proposal->kind))}});
  if (!told) return Fail(told.error());
  return proposal;
}

}  // namespace director
