#include "reconciler/setup.h"

#include <fmt/core.h>

#include <algorithm>

#include "mdm/item_definition.h"

namespace director {
namespace {

bool IsAccounts(const ItemWork& item) {
  return KindOf(item.record.payload_identifier) == ItemKind::kAccounts;
}

/// What failed on the device does not hold it, what could not be sent does, and so do accounts:
/// they can be made here only.
bool IsUnderWay(const ItemWork& item) {
  switch (item.record.state) {
    case ItemState::kPending:
    case ItemState::kInFlight:
    case ItemState::kNotNow:
      return true;
    case ItemState::kBackingOff:
      return (item.record.attempts == 0 && item.record.next_attempt_at) || IsAccounts(item);
    case ItemState::kAcknowledged:
    case ItemState::kVerified:
    case ItemState::kParked:
    case ItemState::kBlocked:
      return false;
  }
  return false;
}

/// Accounts count like what is marked.
bool IsMarked(const ItemWork& item) {
  return item.desired.assignment->during_setup || IsAccounts(item);
}

/// Items that hold the device: those that are marked or, when none is, all.
std::int64_t CountWaiting(const std::vector<ItemWork>& items) {
  const bool any_marked = std::any_of(items.begin(), items.end(), [](const ItemWork& item) {
    return item.desired.assignment->during_setup;
  });
  return std::count_if(items.begin(), items.end(), [&](const ItemWork& item) {
    const bool is_identity = KindOf(item.record.payload_identifier) == ItemKind::kIdentity;
    return !is_identity && IsUnderWay(item) && (!any_marked || IsMarked(item));
  });
}

}  // namespace

Setup DecideSetup(const Enrollment& enrollment, const Settings& settings, Timestamp now,
                  const std::vector<ItemWork>& items) {
  Setup setup;
  const auto& since = enrollment.awaiting_since;
  if (!since || !settings.device_configured || IsUserChannel(enrollment.channel.type)) return setup;
  setup.is_held = true;
  setup.until = *since + settings.setup_time_max;
  const auto waiting = CountWaiting(items);
  // A time that our clock has not reached was written before it was set back.
  const bool is_late = now >= setup.until || IsAhead(*since, now);
  setup.is_ready = waiting == 0 || is_late;
  const std::string held = fmt::format("Held in Setup Assistant since {}", FormatTime(*since));
  if (waiting == 0) {
    setup.explanation = fmt::format("{}; everything is answered and it can go on.", held);
  } else if (is_late) {
    setup.explanation = fmt::format("{}; it goes on without {} of its items.", held, waiting);
  } else {
    setup.explanation = fmt::format("{}; it waits for {} of its items, until {} at the latest.",
                                    held, waiting, FormatTime(setup.until));
  }
  return setup;
}

bool IsInSetup(const Enrollment& enrollment, Timestamp now) {
  return enrollment.awaiting_since && now < *enrollment.awaiting_since + kDay &&
         !IsAhead(*enrollment.awaiting_since, now);
}

}  // namespace director
