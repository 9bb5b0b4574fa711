#include "reconciler/rule_context.h"

#include <fmt/core.h>

#include <utility>

#include "mdm/command.h"
#include "reconciler/backoff.h"

namespace director {

bool IsUsable(const RuleContext& context, const DeviceReport* report, const ItemRecord& record) {
  return report != nullptr && report->epoch == context.snapshot.enrollment.epoch &&
         (!record.settled_at || report->reported_at > *record.settled_at);
}

void MarkVerified(const RuleContext& context, Timestamp reported_at, ItemWork& work) {
  ItemRecord& record = work.record;
  record.due_at.reset();
  if (record.state == ItemState::kVerified) return;
  record.verified_at = reported_at;
  record.attempts = 0;
  record.parked = false;
  record.parked_build.clear();
  record.next_attempt_at.reset();
  record.last_error.clear();
  record.last_error_at.reset();
  const std::string at = FormatTime(*record.verified_at);
  SetState(record, ItemState::kVerified,
           record.presence == Presence::kPresent
               ? fmt::format("{} reported it at {}.", context.noun, at)
               : fmt::format("{} reported at {} that it does not have it.", context.noun, at),
           context.now);
}

bool MayBeMac(const RuleContext& context) {
  const Enrollment& enrollment = context.snapshot.enrollment;
  return enrollment.product_name.empty() || IsMac(enrollment);
}

void Block(const RuleContext& context, ItemWork& work, std::string reason) {
  SetState(work.record, ItemState::kBlocked, std::move(reason), context.now);
}

void CountMissingAfterAcknowledge(const RuleContext& context, Timestamp reported_at,
                                  ItemRecord& record) {
  const bool never_shown = !record.verified_at || *record.verified_at < *record.acknowledged_at;
  record.acknowledged_at.reset();
  if (!never_shown) {
    record.attempts = 0;
    return;
  }
  record.last_error =
      fmt::format("{} acknowledged the command, but its report of {} says otherwise.", context.noun,
                  FormatTime(reported_at));
  record.last_error_at = reported_at;
  CountFailedAttempt(record, ErrorClass::kUnknown, context.snapshot.enrollment, context.settings,
                     context.now);
}

bool IsHeld(const RuleContext& context, ItemWork& work) {
  ItemRecord& record = work.record;
  if (record.parked) {
    SetState(record, ItemState::kParked,
             fmt::format("Parked after {} failed attempt{}: {} It is tried again with a new "
                         "revision, a new OS build, a new enrollment, or when an operator asks.",
                         record.attempts, record.attempts == 1 ? "" : "s", record.last_error),
             context.now);
    return true;
  }
  if (record.next_attempt_at && *record.next_attempt_at > context.now) {
    SetState(record, ItemState::kBackingOff,
             fmt::format("{} at {}: {} Next attempt at {}.",
                         record.attempts == 0 ? "It could not be sent"
                                              : fmt::format("Attempt {} failed", record.attempts),
                         FormatTime(record.last_error_at.value_or(context.now)), record.last_error,
                         FormatTime(*record.next_attempt_at)),
             context.now, record.next_attempt_at);
    return true;
  }
  if (context.now >= record.sends_since + kDay) {
    record.sends_since = context.now;
    record.sends = 0;
  }
  if (record.sends >= context.settings.sends_per_day_max) {
    const Timestamp until = record.sends_since + kDay;
    SetState(record, ItemState::kBackingOff,
             fmt::format("Sent {} times since {}, the most in one day; next attempt at {}.",
                         record.sends, FormatTime(record.sends_since), FormatTime(until)),
             context.now, until);
    return true;
  }
  return false;
}

void Want(const RuleContext& context, ItemWork& work, std::string_view request_type,
          std::string reason) {
  SetState(work.record, ItemState::kPending, reason, context.now);
  PlannedCommand command;
  command.request_type = std::string(request_type);
  command.payload_identifier = work.desired.assignment->payload_identifier;
  command.payload_uuid = work.desired.assignment->payload_uuid;
  command.certificate_authority = work.desired.assignment->certificate_authority;
  command.during_setup = work.desired.assignment->during_setup;
  command.reason = std::move(reason);
  work.wanted = std::move(command);
}

void DescribeOpen(const RuleContext& context, ItemWork& work) {
  const Intent& intent = *work.open;
  ItemRecord& record = work.record;
  if (intent.state == IntentState::kNotNow) {
    SetState(record, ItemState::kNotNow,
             fmt::format("{} said NotNow to {} {} time{}, last at {}; the command waits in the "
                         "MDM's queue until it can be done.",
                         context.noun, intent.request_type, intent.not_now_count,
                         intent.not_now_count == 1 ? "" : "s",
                         FormatTime(intent.not_now_at.value_or(intent.journaled_at))),
             context.now);
    return;
  }
  const bool superseded =
      !intent.payload_uuid.empty() && intent.payload_uuid != record.payload_uuid;
  SetState(
      record, ItemState::kInFlight,
      fmt::format("{} {} at {}{}; the answer is awaited{}.", intent.request_type,
                  intent.state == IntentState::kUnknown ? "may have been queued" : "was sent",
                  FormatTime(intent.journaled_at), superseded ? " for an earlier revision" : "",
                  superseded ? " before the new one goes" : ""),
      context.now);
}

}  // namespace director
