#pragma once

#include <vector>

#include "reconciler/item_work.h"

namespace director {

/// Turns what the items want into commands, as far as the device may be sent anything now:
/// state-changing commands only while it is awake and up to the batch bound, one outstanding
/// question of each kind, ProfileList last, pushes with back-off. Fills `plan.commands`,
/// `plan.push`, `plan.notes`, `plan.wants_wake`, `plan.due_at` and tells in each waiting record
/// what it waits for. `staying` are the intents that are still open or held back. Requires an
/// enrolled enrollment. Pure.
void Deliver(const Snapshot& snapshot, const Settings& settings, Timestamp now,
             const std::vector<Intent>& staying, std::vector<ItemWork>& items, Plan& plan);

/// When an enrollment that sent Authenticate should have sent its TokenUpdate.
Timestamp TokenUpdateOverdueAt(const Enrollment& enrollment, const Settings& settings);

/// The reason and state of every item when the enrollment takes no commands at all (checked out,
/// quarantined, not enrolled yet).
void BlockAll(const Snapshot& snapshot, const Settings& settings, Timestamp now,
              std::vector<ItemWork>& items, Plan& plan);

}  // namespace director
