#include "reconciler/delivery.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/random.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "reconciler/backoff.h"
#include "reconciler/history.h"
#include "reconciler/proposal_rule.h"
#include "reconciler/setup.h"

namespace director {
namespace {

constexpr int kUnknownQuestionsMax = 2;
constexpr Duration kAbsenceSpreadMax = std::chrono::hours(1);

/// What delivery has to know about one enrollment at one moment.
struct Delivery {
  const Snapshot& snapshot;
  const Settings& settings;
  Timestamp now;
  const std::vector<Intent>& staying;
  std::string noun;
  bool proposal_waits;  ///< for the device to be awake, and for nothing else

  const Enrollment& enrollment() const { return snapshot.enrollment; }
  const std::string& key() const { return snapshot.enrollment.channel.enrollment_id.value(); }
  bool upstream_down() const {
    return snapshot.upstream_retry_at && *snapshot.upstream_retry_at > now;
  }
  bool waits_for_turn() const { return snapshot.turn_at && *snapshot.turn_at > now; }
  /// When the command may go; empty when it need not wait for others that ask the same authority.
  std::optional<Timestamp> CertificateTurn(const PlannedCommand& command) const {
    const auto turn = snapshot.certificate_turns.find(command.certificate_authority);
    if (turn == snapshot.certificate_turns.end() || turn->second <= now) return std::nullopt;
    return turn->second;
  }
  bool awake() const {
    const Timestamp seen_at = enrollment().last_seen_at;
    return seen_at + settings.awake_window > now && !IsAhead(seen_at, now);
  }
  bool silent_since(Timestamp at) const { return !awake() && enrollment().last_seen_at < at; }

  const Intent* Find(std::string_view request_type) const {
    const auto found = std::find_if(staying.begin(), staying.end(), [&](const Intent& intent) {
      return intent.request_type == request_type;
    });
    return found == staying.end() ? nullptr : &*found;
  }
  /// The ProfileList that is waited for. One that was perhaps never queued is not relied on: asking
  /// once more is harmless, and after a crash nobody waits until it counts as lost.
  const Intent* FindReportQuestion() const {
    const Intent* unknown = nullptr;
    int unknown_count = 0;
    for (const Intent& intent : staying) {
      if (intent.request_type != request_type::kProfileList) continue;
      if (intent.state != IntentState::kUnknown) return &intent;
      unknown = &intent;
      ++unknown_count;
    }
    return unknown_count >= kUnknownQuestionsMax ? unknown : nullptr;
  }
  /// False while as many changes are under way as may be; the next ones wait for their answers.
  bool HasRoom() const { return OpenChanges() < settings.commands_per_session_max; }
  int OpenChanges() const {
    return static_cast<int>(std::count_if(staying.begin(), staying.end(), [](const Intent& intent) {
      return IsOpen(intent.state) && !intent.payload_identifier.empty();
    }));
  }
  bool AnyOpen() const {
    return std::any_of(staying.begin(), staying.end(),
                       [](const Intent& intent) { return IsOpen(intent.state); });
  }
};

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

/// Sends what is wanted up to the bound; the others keep waiting and say so.
void SendChanges(const Delivery& delivery, std::vector<ItemWork>& items, Plan& plan) {
  int room = delivery.settings.commands_per_session_max - delivery.OpenChanges();
  for (ItemWork* wanted : WantedInOrder(items)) {
    ItemWork& item = *wanted;
    if (const std::optional<Timestamp> turn = delivery.CertificateTurn(*item.wanted)) {
      SetState(
          item.record, ItemState::kPending,
          fmt::format("{} {} is asked for as many certificates as certificates_per_minute "
                      "allows; this one's turn comes at {}.",
                      item.record.reason, item.wanted->certificate_authority, FormatTime(*turn)),
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
    SetState(item.record, ItemState::kInFlight, item.wanted->reason, delivery.now);
    ++item.record.sends;
    plan.commands.push_back(*item.wanted);
  }
}

/// How long to wait after the `count`-th push to a silent device. One in Setup Assistant is pushed
/// at an even pace.
Duration PauseAfterPush(const Delivery& delivery, int count) {
  const bool is_even = IsInSetup(delivery.enrollment(), delivery.now);
  return Jittered(PushDelay(is_even ? 1 : count, delivery.settings), delivery.key());
}

Timestamp ReportDueAt(const Delivery& delivery) {
  const auto& report = delivery.snapshot.profile_list;
  if (!report || report->epoch != delivery.enrollment().epoch) return delivery.now;
  const auto& wanted_at = delivery.enrollment().report_wanted_at;
  const Timestamp seen_at = SeenAt(*report);
  if (wanted_at && seen_at < *wanted_at) return delivery.now;
  return seen_at + Jittered(delivery.settings.profile_list_interval, delivery.key());
}

bool IsProfile(const PlannedCommand& command) {
  return !command.payload_identifier.empty() &&
         KindOf(command.payload_identifier) == ItemKind::kProfile;
}

/// True when a ProfileList will show what is sent.
bool HasProfileChanges(const Plan& plan) {
  return std::any_of(plan.commands.begin(), plan.commands.end(), IsProfile);
}

/// A report proves what was changed, and a question wakes a device that something else waits for.
bool WantsReport(const Delivery& delivery, const std::vector<ItemWork>& items, const Plan& plan) {
  const bool has_room = delivery.HasRoom();
  const bool is_asleep = !delivery.awake();
  return HasProfileChanges(plan) || (delivery.proposal_waits && is_asleep) ||
         delivery.now >= ReportDueAt(delivery) ||
         std::any_of(items.begin(), items.end(), [&](const ItemWork& item) {
           const bool waits = item.wanted && has_room && (is_asleep || IsProfile(*item.wanted));
           return item.needs_report || (item.needs_app_list && is_asleep) || waits;
         });
}

PlannedCommand Question(std::string_view request_type, std::string reason) {
  PlannedCommand command;
  command.request_type = std::string(request_type);
  command.reason = std::move(reason);
  return command;
}

/// Questions about the device only ride along while it is awake; they wake nobody. Each kind has a
/// rhythm of its own on each device, so that a fleet's answers spread.
bool IsInventoryOld(const Delivery& delivery, InventoryKind kind) {
  const Duration interval = delivery.settings.inventory_interval[kind];
  if (interval == Duration::zero()) return false;
  const std::string_view name = InventoryKindName(kind);
  const std::optional<Timestamp>& answered_at = delivery.enrollment().inventory_at[kind];
  if (!answered_at || IsOfAnotherTime(*answered_at, delivery.now)) return true;
  const Duration spread = Jittered(interval, delivery.key() + std::string(name));
  return *answered_at + spread <= delivery.now;
}

std::string DescribeHeldBack(const Intent& question) {
  const std::string at = FormatTime(question.answered_at.value_or(question.journaled_at));
  if (question.state == IntentState::kAcknowledged) {
    return fmt::format("{} was answered at {} without a list. It is asked again later.",
                       question.request_type, at);
  }
  return fmt::format("{} failed at {}: {} It is asked again later.", question.request_type, at,
                     question.error);
}

/// Until when a list that follows no change is not asked for again: whatever the clocks and answers
/// are, questions stay few. `report`: the last one that there is.
Timestamp AskAgainAt(const Delivery& delivery, const DeviceReport* report) {
  const bool ours =
      report != nullptr && report->asked_at && report->epoch == delivery.enrollment().epoch;
  if (!ours || IsAhead(*report->asked_at, delivery.now)) return delivery.now;
  return *report->asked_at + delivery.settings.question_delay_min;
}

void AskInventory(const Delivery& delivery, const std::vector<ItemWork>& items, Plan& plan) {
  if (IsUserChannel(delivery.enrollment().channel.type) || !delivery.awake()) return;
  const bool needs_app_list = std::any_of(items.begin(), items.end(),
                                          [](const ItemWork& item) { return item.needs_app_list; });
  const auto& app_list = delivery.snapshot.app_list;
  const Timestamp apps_at = AskAgainAt(delivery, app_list ? &*app_list : nullptr);
  for (const InventoryKind kind : kInventoryKinds) {
    const std::string_view name = InventoryKindName(kind);
    const bool is_needed = needs_app_list && kind == InventoryKind::kInstalledApplicationList;
    if (!is_needed && !IsInventoryOld(delivery, kind)) continue;
    if (is_needed && apps_at > delivery.now) {
      plan.due_at = std::min(plan.due_at, apps_at);
      continue;
    }
    const Intent* outstanding = delivery.Find(name);
    if (outstanding == nullptr) {
      plan.commands.push_back(
          Question(name, is_needed ? "The device's own list proves which apps it has."
                                   : "What the device says about itself is missing or too old."));
    } else if (is_needed && !IsOpen(outstanding->state)) {
      plan.notes.push_back(DescribeHeldBack(*outstanding));
    }
  }
}

/// DeviceConfigured harms no device that does not await it, so that it may wait for a sleeping one.
void LetGo(const Delivery& delivery, const std::vector<ItemWork>& items, Plan& plan) {
  const Setup setup = DecideSetup(delivery.enrollment(), delivery.settings, delivery.now, items);
  if (!setup.is_held) return;
  plan.notes.push_back(setup.explanation);
  if (!setup.is_ready) {
    plan.due_at = std::min(plan.due_at, setup.until);
  } else if (delivery.Find(request_type::kDeviceConfigured) == nullptr) {
    plan.commands.push_back(Question(request_type::kDeviceConfigured, setup.explanation));
  }
}

void AskQuestions(const Delivery& delivery, const std::vector<ItemWork>& items, Plan& plan) {
  AskInventory(delivery, items, plan);
  if (!WantsReport(delivery, items, plan)) return;
  const Intent* outstanding = delivery.FindReportQuestion();
  const auto& report = delivery.snapshot.profile_list;
  const Timestamp again_at = AskAgainAt(delivery, report ? &*report : nullptr);
  if (outstanding == nullptr && !HasProfileChanges(plan) && again_at > delivery.now) {
    plan.due_at = std::min(plan.due_at, again_at);
    return;
  }
  if (outstanding == nullptr) {
    plan.commands.push_back(Question(request_type::kProfileList,
                                     delivery.awake()
                                         ? "The device's own report proves what it has."
                                         : "One harmless question waits for a sleeping device."));
    return;
  }
  if (!IsOpen(outstanding->state)) plan.notes.push_back(DescribeHeldBack(*outstanding));
}

/// True when the device was pushed and has spoken since: it fetches what waits for it.
bool HasSpokenSincePush(const Delivery& delivery) {
  const Enrollment& enrollment = delivery.enrollment();
  return enrollment.pushed_at && *enrollment.pushed_at < enrollment.last_seen_at &&
         !IsAhead(enrollment.last_seen_at, delivery.now);
}

/// True while the device is in a session with more to fetch: what is sent now comes along, without
/// a push of its own.
bool IsInSession(const Delivery& delivery) {
  const bool speaks =
      delivery.now < delivery.enrollment().last_seen_at + delivery.settings.answer_time_max;
  return speaks && HasSpokenSincePush(delivery) &&
         std::any_of(delivery.staying.begin(), delivery.staying.end(), [&](const Intent& intent) {
           return intent.state == IntentState::kSent && intent.epoch == delivery.enrollment().epoch;
         });
}

/// When the next push to a device with commands in its queue is due.
Timestamp NextPushAt(const Delivery& delivery, const Plan& plan) {
  const Enrollment& enrollment = delivery.enrollment();
  Timestamp at = enrollment.pushed_at ? *enrollment.pushed_at : delivery.now;
  if (enrollment.pushed_at && enrollment.push_count > 0) {
    at += PauseAfterPush(delivery, enrollment.push_count);
  } else if (enrollment.pushed_at) {
    at += Jittered(delivery.settings.push_delay_min, delivery.key());
  }
  const bool only_not_now =
      plan.commands.empty() &&
      std::none_of(delivery.staying.begin(), delivery.staying.end(), [](const Intent& intent) {
        return IsOpen(intent.state) && intent.state != IntentState::kNotNow;
      });
  const bool spoke = HasSpokenSincePush(delivery);
  if (spoke && plan.commands.empty()) {
    at = std::max(at, enrollment.last_seen_at + delivery.settings.answer_time_max);
  }
  // What comes along without a push of its own may not be fetched after all.
  if (!plan.commands.empty() && IsInSession(delivery)) {
    at = std::min(at, delivery.now + delivery.settings.answer_time_max);
  }
  for (const Intent& intent : delivery.staying) {
    const bool was_pushed_for = !spoke || intent.journaled_at <= *enrollment.pushed_at;
    if (was_pushed_for || intent.state != IntentState::kSent) continue;
    at = std::min(at, std::max(intent.journaled_at, enrollment.last_seen_at) +
                          delivery.settings.answer_time_max);
  }
  if (!only_not_now) return at;
  for (const Intent& intent : delivery.staying) {
    if (intent.state != IntentState::kNotNow || !intent.not_now_at) continue;
    at = std::max(
        at, *intent.not_now_at +
                Jittered(NotNowPushDelay(std::max(intent.not_now_count, 1), delivery.settings),
                         delivery.key()));
  }
  return at;
}

void DecidePush(const Delivery& delivery, Plan& plan) {
  if (plan.commands.empty() && !delivery.AnyOpen()) return;
  if (delivery.enrollment().push_unregistered) {
    plan.notes.push_back(
        "Apple says that the push token is dead; pushes stop until the next TokenUpdate.");
    return;
  }
  const Timestamp next_push_at = NextPushAt(delivery, plan);
  // A device that reacted to the last push is pushed at once; one that stays silent is not hurried
  // by new work.
  const bool reacts = delivery.awake() || delivery.enrollment().push_count == 0;
  const bool comes_along = IsInSession(delivery);
  plan.push = (reacts && !comes_along && !plan.commands.empty()) || next_push_at <= delivery.now;
  const Timestamp after_this_one =
      delivery.now + PauseAfterPush(delivery, delivery.enrollment().push_count + 1);
  plan.due_at = std::min(plan.due_at, plan.push ? after_this_one : next_push_at);
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
  if (enrollment.push_unregistered) next = "It cannot be pushed until its next TokenUpdate.";
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
