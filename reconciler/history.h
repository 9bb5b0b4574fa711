#pragma once

#include <vector>

#include "reconciler/item_work.h"

namespace director {

/// Starts the work on every desired item: carries its record over, or begins a new one when the
/// target or the epoch changed, and unparks what a newer OS build gives another chance. The
/// identity of a device is an item where issuers are configured, assigned by nobody. Pure.
std::vector<ItemWork> StartItems(const Snapshot& snapshot, const Settings& settings, Timestamp now);

/// Takes the outcomes of commands into the records: acknowledged, failed (with back-off or
/// parking), refused, not sent, and gives up on commands whose answer cannot come any more. Appends
/// to `plan.closed`, points `ItemWork::open` at what is still open, and returns the intents that
/// stay (open ones, and failed questions that are held back for a while).
std::vector<Intent> DigestIntents(const Snapshot& snapshot, const Settings& settings, Timestamp now,
                                  std::vector<ItemWork>& items, Plan& plan);

/// When a command without an answer is overdue: lost, once the device has been heard from at or
/// after this and then fell silent.
Timestamp OverdueAt(const Intent& intent, const Settings& settings);

/// Until when a question that has its final answer is not asked again: it failed, or its answer
/// brought nothing. Pure.
Timestamp HeldBackUntil(const Intent& intent, const Settings& settings);

}  // namespace director
