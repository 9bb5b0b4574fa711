#include "reconciler/identity_rule.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/random.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"

namespace director {
namespace {

/// After the device's word, before its certificates are asked for again; the pause doubles from
/// then on.
constexpr Duration kLookMin = std::chrono::minutes(2);

/// What ends within so much time does not wait behind what ends later.
constexpr Duration kUrgentMax = 7 * kDay;

Duration RenewalWindow(const MdmIdentity& identity, const Settings& settings) {
  const Duration life = std::max(identity.not_after - identity.not_before, Duration::zero());
  return std::min(settings.renewal.renew_before, life / 2);
}

const Enrollment& EnrollmentOf(const RuleContext& context) { return context.snapshot.enrollment; }

Timestamp ListedAt(const RuleContext& context) {
  const Enrollment& enrollment = EnrollmentOf(context);
  return enrollment.inventory_at[InventoryKind::kCertificateList].value_or(
      *enrollment.identity_asked_at);
}

void NeedList(const RuleContext& context, ItemWork& work, ItemState state, std::string reason) {
  work.needs_certificate_list = true;
  SetState(work.record, state, std::move(reason), context.now);
}

bool IsListFresh(const RuleContext& context) {
  const Timestamp asked_at = *EnrollmentOf(context).identity_asked_at;
  return !IsAhead(asked_at, context.now) &&
         context.now <= asked_at + context.settings.removal_evidence_age_max;
}

bool IsProven(const Enrollment& enrollment, const std::optional<IdentityRenewal>& renewal) {
  return renewal && !renewal->ended_at && enrollment.identity->not_after > renewal->replaces_until;
}

/// True when the device has said that it carried out the last attempt, of which nothing is proven.
bool IsCarriedOut(const ItemWork& work) {
  return work.renewal && !work.renewal->ended_at &&
         (work.record.acknowledged_at || work.renewal->authenticated_at);
}

/// Since when the proof has been awaited, by our clock. When that was set back, the wait begins
/// anew.
Timestamp BegunAt(const RuleContext& context, ItemRecord& record) {
  const bool is_new = record.state != ItemState::kAcknowledged;
  if (is_new || IsAhead(record.state_since, context.now)) record.state_since = context.now;
  return record.state_since;
}

void FailUnproven(const RuleContext& context, ItemWork& work) {
  const Timestamp listed_at = ListedAt(context);
  ItemRecord& record = work.record;
  record.last_error = fmt::format(
      "{} took its enrollment profile, but its list of certificates of {} shows no identity that "
      "ends later than {}.",
      context.noun, FormatTime(listed_at), FormatTime(work.renewal->replaces_until));
  record.last_error_at = listed_at;
  record.acknowledged_at.reset();
  work.renewal->ended_at = listed_at;
  CountFailedAttempt(record, ErrorClass::kUnknown, EnrollmentOf(context), context.settings,
                     context.now);
}

/// True while the new identity may still show; the state says so. Else the attempt has failed.
bool AwaitsProof(const RuleContext& context, ItemWork& work) {
  const Timestamp begun_at = BegunAt(context, work.record);
  const Timestamp ends_at = begun_at + context.settings.renewal.proof_time_max;
  const Timestamp asked_at = *EnrollmentOf(context).identity_asked_at;
  if (asked_at >= ends_at && !IsAhead(asked_at, context.now)) {
    FailUnproven(context, work);
    return false;
  }
  const Duration looked_after = std::max(asked_at - begun_at, Duration::zero());
  const bool never_looked = asked_at < begun_at;
  const Timestamp look_at =
      never_looked ? begun_at : std::min(begun_at + std::max(kLookMin, 2 * looked_after), ends_at);
  std::string reason = fmt::format(
      "{} took its enrollment profile; a list of its certificates must show the new identity.",
      context.noun);
  if (context.now >= look_at) {
    NeedList(context, work, ItemState::kAcknowledged, std::move(reason));
  } else {
    SetState(work.record, ItemState::kAcknowledged, std::move(reason), context.now, look_at);
  }
  return true;
}

std::string DescribeEnd(const MdmIdentity& identity) {
  return fmt::format("Its identity of {} ends at {}", identity.issuer,
                     FormatTime(identity.not_after));
}

/// With an ended identity no device connects: one that has spoken since shows that our clock is
/// ahead, or that nobody looks at the end.
bool HasEnded(const RuleContext& context) {
  const Enrollment& enrollment = EnrollmentOf(context);
  const Timestamp end = enrollment.identity->not_after;
  return end <= context.now && enrollment.last_seen_at < end;
}

void MarkGood(const RuleContext& context, ItemWork& work, Timestamp due_at) {
  ItemRecord& record = work.record;
  if (record.state != ItemState::kVerified) record.verified_at = ListedAt(context);
  record.attempts = 0;
  record.parked = false;
  record.parked_build.clear();
  record.next_attempt_at.reset();
  record.last_error.clear();
  record.last_error_at.reset();
  SetState(record, ItemState::kVerified,
           fmt::format("{}; that is renewed from {} on.",
                       DescribeEnd(*EnrollmentOf(context).identity), FormatTime(due_at)),
           context.now, due_at);
}

/// Why it is not renewed though its time has come; empty when it may be.
std::string WhyNotNow(const RuleContext& context) {
  const Enrollment& enrollment = EnrollmentOf(context);
  if (!context.settings.renewal.has_profiles) {
    return "no enrollment profile to renew it with is configured";
  }
  if (enrollment.awaiting_since) return "it is not renewed in Setup Assistant";
  if (enrollment.status != EnrollmentStatus::kEnrolled) return "its TokenUpdate is awaited";
  const auto& list = context.snapshot.profile_list;
  if (!list || list->epoch != enrollment.epoch) return {};
  if (FindEnrollmentProfile(context.snapshot) != nullptr) return {};
  return "the device's report does not tell which profile is its enrollment profile";
}

/// One that a person proposed goes first: an Authenticate would drop it. It ends after
/// `proposal_time_max` at the latest.
bool WaitsForProposal(const Snapshot& snapshot) {
  return snapshot.proposal && IsOpen(snapshot.proposal->state);
}

/// A report of this enrollment, and none that something has happened since.
bool HasReport(const RuleContext& context) {
  const Enrollment& enrollment = EnrollmentOf(context);
  const auto& list = context.snapshot.profile_list;
  if (!list || list->epoch != enrollment.epoch) return false;
  return !enrollment.report_wanted_at || SeenAt(*list) >= *enrollment.report_wanted_at;
}

/// The last week, or the last third of the time in which it is renewed.
bool IsUrgent(const RuleContext& context) {
  const MdmIdentity& identity = *EnrollmentOf(context).identity;
  const Duration left = identity.not_after - context.now;
  return left < std::min(kUrgentMax, RenewalWindow(identity, context.settings) / 3);
}

void Renew(const RuleContext& context, ItemWork& work) {
  const Enrollment& enrollment = EnrollmentOf(context);
  const std::string end = DescribeEnd(*enrollment.identity);
  if (const std::string why = WhyNotNow(context); !why.empty()) {
    return Block(context, work, fmt::format("{}, and {}.", end, why));
  }
  if (IsHeld(context, work)) return;
  if (WaitsForProposal(context.snapshot)) {
    return SetState(work.record, ItemState::kPending,
                    end + "; a command that was proposed goes first.", context.now);
  }
  if (!HasReport(context)) {
    work.needs_report = true;
    return SetState(work.record, ItemState::kPending,
                    end + "; the device is asked for its enrollment profile first.", context.now);
  }
  if (!IsListFresh(context)) {
    return NeedList(context, work, ItemState::kPending,
                    end + "; its certificates are asked for again before that is renewed.");
  }
  Want(context, work, request_type::kInstallProfile,
       end + ": its enrollment profile is sent for a new one.");
  if (IsUrgent(context)) work.wanted->certificate_authority = kUrgentRenewals;
}

}  // namespace

Timestamp RenewalDueAt(const Enrollment& enrollment, const Settings& settings) {
  const Duration window = RenewalWindow(*enrollment.identity, settings);
  const std::string key = enrollment.channel.enrollment_id.value() + IdentityItem().value();
  const auto thousandth = static_cast<std::int64_t>(StableHash(key) % 1000);
  return enrollment.identity->not_after - window + window / 3 * thousandth / 1000;
}

void DecideIdentity(const RuleContext& context, ItemWork& work) {
  const Enrollment& enrollment = EnrollmentOf(context);
  if (!enrollment.identity_asked_at) {
    return Block(context, work,
                 fmt::format("When its identity ends is not known: {} has not answered "
                             "CertificateList in this enrollment yet.",
                             context.noun));
  }
  if (!enrollment.identity) {
    return Block(context, work,
                 fmt::format("When its identity ends is not known, and it is not renewed: at {} {} "
                             "listed no identity of a configured issuer.",
                             FormatTime(ListedAt(context)), context.noun));
  }
  if (IsProven(enrollment, work.renewal)) {
    work.renewal->ended_at = ListedAt(context);
    work.record.acknowledged_at.reset();
  } else if (IsCarriedOut(work) && AwaitsProof(context, work)) {
    return;
  }
  if (HasEnded(context)) {
    return Block(
        context, work,
        fmt::format("Its identity of {} ended at {}. It cannot be renewed any more: the "
                    "device has to be enrolled again.",
                    enrollment.identity->issuer, FormatTime(enrollment.identity->not_after)));
  }
  const Timestamp due_at = RenewalDueAt(enrollment, context.settings);
  if (context.now < due_at) return MarkGood(context, work, due_at);
  Renew(context, work);
}

}  // namespace director
