#pragma once

#include "reconciler/delivery_context.h"

namespace director {

/// When the next push to a device with commands in its queue is due.
Timestamp NextPushAt(const Delivery& delivery, const Plan& plan);

/// Plans a push, and when the one after it is looked at; the push is also planned when the MDM
/// server will send it by itself. Pushes back off while the device stays
/// silent, wait after NotNow, and are left out while the device fetches what waits for it. Pure.
void DecidePush(const Delivery& delivery, Plan& plan);

}  // namespace director
