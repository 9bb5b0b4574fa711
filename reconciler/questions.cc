#include "reconciler/questions.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/random.h"
#include "mdm/item_definition.h"
#include "reconciler/backoff.h"
#include "reconciler/setup.h"

namespace director {
namespace {

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
  const bool has_room = delivery.RoomForChanges() > 0;
  const bool is_asleep = !delivery.awake();
  return HasProfileChanges(plan) || (delivery.proposal_waits && is_asleep) ||
         delivery.now >= ReportDueAt(delivery) ||
         std::any_of(items.begin(), items.end(), [&](const ItemWork& item) {
           const bool waits = item.wanted && has_room && (is_asleep || IsProfile(*item.wanted));
           const bool needs_list = item.needs_app_list || item.needs_certificate_list;
           return item.needs_report || (needs_list && is_asleep) || waits;
         });
}

PlannedCommand Question(std::string_view request_type, std::string reason) {
  PlannedCommand command;
  command.request_type = std::string(request_type);
  command.reason = std::move(reason);
  return command;
}

/// The first moment of `key` at or after `at`: one in each interval, always at the same place.
Timestamp NextMoment(Timestamp at, Duration interval, const std::string& key) {
  const auto place =
      static_cast<Duration::rep>(StableHash(key) % static_cast<std::uint64_t>(interval.count()));
  const Duration past = (at.time_since_epoch() - Duration(place)) % interval;
  const Duration since_moment = past < Duration::zero() ? past + interval : past;
  return since_moment == Duration::zero() ? at : at + interval - since_moment;
}

/// Questions about the device only ride along while it is awake; they wake nobody. Each device has
/// a moment of its own for all kinds, so that one session serves those with one interval and the
/// answers of a fleet that can be reached all day spread evenly, also when all were met in one
/// hour. A moment that comes within a fifth of the interval after an answer is left out.
bool IsInventoryOld(const Delivery& delivery, InventoryKind kind) {
  const Duration interval = delivery.settings.inventory_interval[kind];
  if (interval == Duration::zero()) return false;
  const std::optional<Timestamp>& answered_at = delivery.enrollment().inventory_at[kind];
  if (!answered_at || IsOfAnotherTime(*answered_at, delivery.now)) return true;
  return NextMoment(*answered_at + interval / 5, interval, delivery.key()) <= delivery.now;
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
/// are, questions stay few. `asked_at`: of the last one in this epoch that there is.
Timestamp AskAgainAt(const Delivery& delivery, const std::optional<Timestamp>& asked_at) {
  if (!asked_at || IsAhead(*asked_at, delivery.now)) return delivery.now;
  return *asked_at + delivery.settings.question_delay_min;
}

std::optional<Timestamp> AskedAt(const Delivery& delivery, const DeviceReport& report) {
  return report.epoch == delivery.enrollment().epoch ? report.asked_at : std::nullopt;
}

/// A list by which items are decided.
struct NeededList {
  InventoryKind kind;
  bool is_needed;
  std::optional<Timestamp> asked_at;  ///< last in this epoch
  std::string_view reason;
};

bool IsAnyNeeded(const std::vector<ItemWork>& items, bool ItemWork::*need) {
  return std::any_of(items.begin(), items.end(), [&](const ItemWork& item) { return item.*need; });
}

std::array<NeededList, 3> NeededLists(const Delivery& delivery,
                                      const std::vector<ItemWork>& items) {
  const auto& app_list = delivery.snapshot.app_list;
  const auto& managed_app_list = delivery.snapshot.managed_app_list;
  return {{{InventoryKind::kInstalledApplicationList, IsAnyNeeded(items, &ItemWork::needs_app_list),
            app_list ? AskedAt(delivery, *app_list) : std::nullopt,
            "The device's own list proves which apps it has."},
           {InventoryKind::kManagedApplicationList,
            IsAnyNeeded(items, &ItemWork::wants_managed_app_list),
            managed_app_list ? AskedAt(delivery, *managed_app_list) : std::nullopt,
            "The device says how the installs stand that it has begun."},
           {InventoryKind::kCertificateList, IsAnyNeeded(items, &ItemWork::needs_certificate_list),
            delivery.enrollment().identity_asked_at,
            "The device's own list proves which identity it has."}}};
}

/// Asks for a list that is needed, not too soon after the last one.
void AskNeeded(const Delivery& delivery, const NeededList& list, Plan& plan) {
  const Timestamp again_at = AskAgainAt(delivery, list.asked_at);
  if (again_at > delivery.now) {
    plan.due_at = std::min(plan.due_at, again_at);
    return;
  }
  const std::string_view name = InventoryKindName(list.kind);
  const Intent* outstanding = delivery.Find(name);
  if (outstanding == nullptr) {
    plan.commands.push_back(Question(name, std::string(list.reason)));
  } else if (!IsOpen(outstanding->state)) {
    plan.notes.push_back(DescribeHeldBack(*outstanding));
  }
}

void AskInventory(const Delivery& delivery, const std::vector<ItemWork>& items, Plan& plan) {
  if (IsUserChannel(delivery.enrollment().channel.type) || !delivery.awake()) return;
  const auto lists = NeededLists(delivery, items);
  for (const InventoryKind kind : kInventoryKinds) {
    const auto list = std::find_if(lists.begin(), lists.end(), [&](const NeededList& needed) {
      return needed.kind == kind && needed.is_needed;
    });
    if (list != lists.end()) {
      AskNeeded(delivery, *list, plan);
      continue;
    }
    const std::string_view name = InventoryKindName(kind);
    if (!IsInventoryOld(delivery, kind) || delivery.Find(name) != nullptr) continue;
    plan.commands.push_back(
        Question(name, "What the device says about itself is missing or too old."));
  }
}

}  // namespace

Timestamp ReportDueAt(const Delivery& delivery) {
  const auto& report = delivery.snapshot.profile_list;
  if (!report || report->epoch != delivery.enrollment().epoch) return delivery.now;
  const auto& wanted_at = delivery.enrollment().report_wanted_at;
  const Timestamp seen_at = SeenAt(*report);
  if (wanted_at && seen_at < *wanted_at) return delivery.now;
  return seen_at + Jittered(delivery.settings.profile_list_interval, delivery.key());
}

void AskQuestions(const Delivery& delivery, const std::vector<ItemWork>& items, Plan& plan) {
  AskInventory(delivery, items, plan);
  if (!WantsReport(delivery, items, plan)) return;
  const Intent* outstanding = delivery.FindReportQuestion();
  const auto& report = delivery.snapshot.profile_list;
  const Timestamp again_at =
      AskAgainAt(delivery, report ? AskedAt(delivery, *report) : std::nullopt);
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

}  // namespace director
