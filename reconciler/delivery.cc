#include "reconciler/delivery.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/random.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "reconciler/delivery_context.h"
#include "reconciler/history.h"
#include "reconciler/proposal_rule.h"
#include "reconciler/push_rule.h"
#include "reconciler/questions.h"

namespace director {
namespace {

constexpr Duration kAbsenceSpreadMax = std::chrono::hours(1);

/// What is wanted in the order in which it is sent: accounts, what Setup Assistant waits for, the
/// others; each by identifier.
std::vector<ItemWork*> WantedInOrder(std::vector<ItemWork>& items) {
  std::vector<ItemWork*> wanted;
  for (ItemWork& item : items) {
    if (item.wanted) wanted.push_back(&item);
  }
  std::stable_sort(wanted.begin(), wanted.end(), [](const ItemWork* a, const ItemWork* b) {
    return ChangeRank(*a->wanted) < ChangeRank(*b->wanted);
  });
  return wanted;
}

/// What only a Mac in Setup Assistant takes does not follow the command that ends it.
bool IsTooLateForSetup(const Delivery& delivery, const PlannedCommand& command) {
  return command.request_type == request_type::kAccountConfiguration &&
         delivery.Find(request_type::kDeviceConfigured) != nullptr;
}

std::string DescribeBound(const PlannedCommand& command) {
  if (command.payload_identifier == IdentityItem()) {
    return "Identities are renewed as often as renewals_per_hour_max allows";
  }
  return fmt::format("{} is asked for as many certificates as certificates_per_minute allows",
                     command.certificate_authority);
}

/// What the device says from now on is about this attempt.
void BeginRenewal(const Delivery& delivery, ItemWork& item) {
  item.record.acknowledged_at.reset();
  item.renewal = IdentityRenewal{delivery.now, delivery.enrollment().identity->not_after, {}, {}};
}

/// Sends what is wanted up to the bound; the others keep waiting and say so.
void SendChanges(const Delivery& delivery, std::vector<ItemWork>& items, Plan& plan) {
  int room = delivery.RoomForChanges();
  for (ItemWork* wanted : WantedInOrder(items)) {
    ItemWork& item = *wanted;
    if (const std::optional<Timestamp> turn = delivery.CertificateTurn(*item.wanted)) {
      SetState(item.record, ItemState::kPending,
               fmt::format("{} {}; this one's turn comes at {}.", item.record.reason,
                           DescribeBound(*item.wanted), FormatTime(*turn)),
               delivery.now);
      plan.due_at = std::min(plan.due_at, *turn);
      item.wanted.reset();
      continue;
    }
    if (IsTooLateForSetup(delivery, *item.wanted)) {
      SetState(item.record, ItemState::kPending,
               item.record.reason + " DeviceConfigured has gone out before; its answer is awaited.",
               delivery.now);
      continue;
    }
    if (room-- <= 0) {
      SetState(item.record, ItemState::kPending,
               item.record.reason + " It waits until the commands under way are answered.",
               delivery.now);
      continue;
    }
    if (item.wanted->payload_identifier == IdentityItem()) BeginRenewal(delivery, item);
    SetState(item.record, ItemState::kInFlight, item.wanted->reason, delivery.now);
    ++item.record.sends;
    plan.commands.push_back(*item.wanted);
  }
}

std::string DescribeSleep(const Delivery& delivery, const Plan& plan) {
  const Enrollment& enrollment = delivery.enrollment();
  const Intent* question = delivery.FindReportQuestion();
  std::string waits = "It is asked again later;";
  if (question == nullptr ? !plan.commands.empty() : IsOpen(question->state)) {
    const Timestamp since = question == nullptr ? delivery.now : question->journaled_at;
    waits = fmt::format("One question has been waiting for it since {};", FormatTime(since));
  }
  std::string next = plan.push
                         ? "It is pushed now."
                         : fmt::format("Next push at {}.", FormatTime(NextPushAt(delivery, plan)));
  if (enrollment.push_unregistered) next = "It cannot be pushed until it polls.";
  return fmt::format("{} was last heard from at {}. {} changes go when it polls. {}", delivery.noun,
                     FormatTime(enrollment.last_seen_at), waits, next);
}

/// Tells in each record that waits for the device what it waits for.
void ExplainSleep(const Delivery& delivery, std::vector<ItemWork>& items, Plan& plan) {
  const std::string sleep = DescribeSleep(delivery, plan);
  for (ItemWork& item : items) {
    if (!WaitsForDevice(item)) continue;
    SetState(item.record, item.record.state, item.record.reason + " " + sleep, delivery.now);
  }
}

/// While the MDM server is away, timers look at an enrollment the less often the longer that lasts,
/// each at its own time: neither the absence nor the return is a wave. What the device itself says
/// is looked at when it comes.
Timestamp NextTryAt(const Delivery& delivery) {
  const Snapshot& snapshot = delivery.snapshot;
  const Duration away_for = delivery.now - snapshot.upstream_away_since.value_or(delivery.now);
  const Duration spread = std::clamp(away_for, Duration::zero(), kAbsenceSpreadMax);
  const auto thousandth = static_cast<std::int64_t>(StableHash(delivery.key()) % 1000);
  return *snapshot.upstream_retry_at + spread * thousandth / 1000;
}

/// Sends nothing before `until`, and tells why in every record that waits for it.
void HoldBack(const Delivery& delivery, const std::string& why, Timestamp until,
              std::vector<ItemWork>& items, Plan& plan) {
  plan.notes.push_back(why);
  plan.due_at = std::min(plan.due_at, until);
  if (delivery.proposal_waits) HoldProposal(why, delivery.now, plan);
  for (ItemWork& item : items) {
    if (!WaitsForDevice(item)) continue;
    SetState(item.record, item.record.state, item.record.reason + " " + why, delivery.now);
  }
}

void HoldBackWhileDown(const Delivery& delivery, std::vector<ItemWork>& items, Plan& plan) {
  const Timestamp retry_at = NextTryAt(delivery);
  HoldBack(delivery,
           fmt::format("The MDM server cannot be reached ({}); it is tried again at {}.",
                       delivery.snapshot.upstream_problem, FormatTime(retry_at)),
           retry_at, items, plan);
}

void HoldBackForTurn(const Delivery& delivery, std::vector<ItemWork>& items, Plan& plan) {
  const Timestamp turn_at = *delivery.snapshot.turn_at;
  HoldBack(delivery,
           fmt::format("The MDM server is sent as much as mdm_commands_per_second and "
                       "mdm_pushes_per_second allow; the turn of this enrollment comes at {}.",
                       FormatTime(turn_at)),
           turn_at, items, plan);
}

/// When a command has to be looked at again. A silent device answers after its next poll, which
/// fetches the command: a change is looked at then, a question only if the next push finds it open.
void ScheduleIntent(const Delivery& delivery, const Intent& intent, Plan& plan) {
  if (!IsOpen(intent.state)) {
    plan.due_at = std::min(plan.due_at, HeldBackUntil(intent, delivery.settings));
    return;
  }
  const Timestamp overdue_at = OverdueAt(intent, delivery.settings);
  const Timestamp last_seen_at = delivery.enrollment().last_seen_at;
  if (intent.state != IntentState::kNotNow && delivery.silent_since(intent.journaled_at)) {
    const bool is_question = intent.payload_identifier.empty() && !IsProposed(intent.request_type);
    plan.wants_wake = plan.wants_wake || !is_question;
  } else if (overdue_at > delivery.now) {
    plan.due_at = std::min(plan.due_at, overdue_at);
  } else if (last_seen_at >= overdue_at) {
    plan.due_at = std::min(plan.due_at, last_seen_at + delivery.settings.answer_time_max);
  } else {
    plan.wants_wake = true;
  }
}

/// The moment of the next look, from everything that passes by itself.
void Schedule(const Delivery& delivery, const std::vector<ItemWork>& items, Plan& plan) {
  const Timestamp report_due_at = ReportDueAt(delivery);
  if (report_due_at > delivery.now) plan.due_at = std::min(plan.due_at, report_due_at);
  for (const ItemWork& item : items) {
    if (item.record.due_at) plan.due_at = std::min(plan.due_at, *item.record.due_at);
    plan.wants_wake = plan.wants_wake || WaitsForDevice(item);
  }
  if (!plan.commands.empty() && !delivery.silent_since(delivery.now)) {
    plan.due_at = std::min(plan.due_at, delivery.now + delivery.settings.lost_after);
  }
  for (const Intent& intent : delivery.staying) ScheduleIntent(delivery, intent, plan);
}

}  // namespace

void Deliver(const Snapshot& snapshot, const Settings& settings, Timestamp now,
             const std::vector<Intent>& staying, std::vector<ItemWork>& items, Plan& plan) {
  plan.due_at = now + kDay;
  const bool proposal_waits = DecideProposal(snapshot, staying, now, plan);
  const Delivery delivery{snapshot,      settings, now, staying, DeviceNoun(snapshot.enrollment),
                          proposal_waits};
  if (snapshot.enrollment.status == EnrollmentStatus::kAuthenticated) {
    plan.notes.push_back("TokenUpdate never came; the device is asked all the same.");
  }
  if (delivery.upstream_down()) {
    HoldBackWhileDown(delivery, items, plan);
  } else if (delivery.waits_for_turn()) {
    HoldBackForTurn(delivery, items, plan);
  } else {
    if (delivery.awake() && proposal_waits) {
      plan.commands.push_back(SendProposal(*plan.proposal, now));
    }
    if (delivery.awake()) SendChanges(delivery, items, plan);
    AskQuestions(delivery, items, plan);
    LetGo(delivery, items, plan);
    DecidePush(delivery, plan);
    if (!delivery.awake()) ExplainSleep(delivery, items, plan);
  }
  Schedule(delivery, items, plan);
}

Timestamp TokenUpdateOverdueAt(const Enrollment& enrollment, const Settings& settings) {
  return enrollment.last_seen_at + std::max(settings.token_update_wait, settings.awake_window);
}

void BlockAll(const Snapshot& snapshot, const Settings& settings, Timestamp now,
              std::vector<ItemWork>& items, Plan& plan) {
  const Enrollment& enrollment = snapshot.enrollment;
  std::string why;
  switch (enrollment.status) {
    case EnrollmentStatus::kAuthenticated:
      why = "The enrollment has begun and is not finished: its TokenUpdate is awaited.";
      break;
    case EnrollmentStatus::kCheckedOut:
      why = "The device has checked out of management; it is sent nothing until it enrolls again.";
      break;
    case EnrollmentStatus::kQuarantined:
      why = "Quarantined: " + enrollment.quarantine_reason;
      break;
    case EnrollmentStatus::kEnrolled:
      why = "The enrollment takes commands.";
      break;
  }
  plan.due_at = now + kDay;
  if (enrollment.status == EnrollmentStatus::kAuthenticated) {
    plan.due_at = TokenUpdateOverdueAt(enrollment, settings);
  }
  plan.notes.push_back(why);
  HoldProposal(why, now, plan);
  for (ItemWork& item : items) {
    SetState(item.record, ItemState::kBlocked, why, now);
  }
}

}  // namespace director
