#pragma once

#include "reconciler/item_work.h"

namespace director {

/// Decides what each item wants: compares it with the device's own report, its history and the
/// safety rules. Sets each record's state and reason, and `wanted` or `needs_report`. Whether the
/// device can be sent anything now is not its business (see delivery.h). Pure.
void DecideItems(const Snapshot& snapshot, const Settings& settings, Timestamp now,
                 std::vector<ItemWork>& items);

}  // namespace director
