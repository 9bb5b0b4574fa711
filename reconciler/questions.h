#pragma once

#include <vector>

#include "reconciler/delivery_context.h"
#include "reconciler/item_work.h"

namespace director {

/// When a ProfileList is due by itself; now when the last one does not count.
Timestamp ReportDueAt(const Delivery& delivery);

/// Plans what the device is asked: about itself and for its apps only while it is awake, for its
/// profiles whenever something waits for the answer. One outstanding question of each kind. Pure.
void AskQuestions(const Delivery& delivery, const std::vector<ItemWork>& items, Plan& plan);

/// Plans DeviceConfigured for a device that is held in Setup Assistant and can go on. Pure.
void LetGo(const Delivery& delivery, const std::vector<ItemWork>& items, Plan& plan);

}  // namespace director
