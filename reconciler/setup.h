#pragma once

#include <string>
#include <vector>

#include "reconciler/item_work.h"
#include "reconciler/state.h"

namespace director {

/// What becomes of a device that is held in Setup Assistant.
struct Setup {
  bool is_held = false;     ///< the device awaits DeviceConfigured
  bool is_ready = false;    ///< it can be let go
  Timestamp until;          ///< when it is let go at the latest
  std::string explanation;  ///< a sentence for an administrator; empty when it is not held
};

/// Decides whether a device that awaits configuration can go on: when no item that is marked
/// `during_setup` is under way or waits to be sent any more (no item at all, when none is marked),
/// and after `setup_time_max` whatever is missing. What failed does not hold it; it is tried again
/// afterwards. Pure.
///
/// Source: Apple, await_device_configured in Automated Device Enrollment: the device waits without
/// limit, so that every path has to end in DeviceConfigured.
Setup DecideSetup(const Enrollment& enrollment, const Settings& settings, Timestamp now,
                  const std::vector<ItemWork>& items);

/// True while somebody may be sitting before a device in Setup Assistant: for a day.
bool IsInSetup(const Enrollment& enrollment, Timestamp now);

}  // namespace director
