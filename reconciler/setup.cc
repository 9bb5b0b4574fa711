#include "reconciler/setup.h"

#include <fmt/core.h>

#include <algorithm>

namespace director {
namespace {

bool IsUnderWay(const ItemWork& item) {
  switch (item.record.state) {
    case ItemState::kPending:
    case ItemState::kInFlight:
    case ItemState::kNotNow:
      return true;
    case ItemState::kAcknowledged:
    case ItemState::kVerified:
    case ItemState::kBackingOff:
    case ItemState::kParked:
    case ItemState::kBlocked:
      return false;
  }
  return false;
}

}  // namespace

Setup DecideSetup(const Enrollment& enrollment, const Settings& settings, Timestamp now,
                  const std::vector<ItemWork>& items) {
  Setup setup;
  const auto& since = enrollment.awaiting_since;
  if (!since || !settings.device_configured || IsUserChannel(enrollment.channel.type)) return setup;
  setup.is_held = true;
  setup.until = *since + settings.setup_time_max;
  const auto waiting = std::count_if(items.begin(), items.end(), IsUnderWay);
  // A time that our clock has not reached was written before it was set back.
  const bool is_late = now >= setup.until || IsAhead(*since, now);
  setup.is_ready = waiting == 0 || is_late;
  const std::string held = fmt::format("Held in Setup Assistant since {}", FormatTime(*since));
  if (waiting == 0) {
    setup.explanation = fmt::format("{}; everything is answered and it can go on.", held);
  } else if (is_late) {
    setup.explanation = fmt::format("{}; it goes on without {} of its profiles.", held, waiting);
  } else {
    setup.explanation = fmt::format("{}; it waits for {} of its profiles, until {} at the latest.",
                                    held, waiting, FormatTime(setup.until));
  }
  return setup;
}

bool IsInSetup(const Enrollment& enrollment, Timestamp now) {
  return enrollment.awaiting_since && now < *enrollment.awaiting_since + kDay &&
         !IsAhead(*enrollment.awaiting_since, now);
}

}  // namespace director
