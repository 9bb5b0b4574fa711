#pragma once

#include "reconciler/item_work.h"

namespace director {

/// Decides what one item wants: compares it with the device's own report, its history and the
/// safety rules. Sets the record's state and reason, and `wanted` or `needs_report`. Whether the
/// device can be sent anything now is not its business (see delivery.h). Pure.
void DecideItem(const Snapshot& snapshot, const Settings& settings, Timestamp now, ItemWork& work);

}  // namespace director
