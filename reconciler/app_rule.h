#pragma once

#include "reconciler/rule_context.h"

namespace director {

/// Decides what an app wants by the device's list of apps. Acknowledged only means that the device
/// has begun: the list is asked for again, less and less often, until it shows the app or
/// `app_install_time_max` is over, which counts as a failed attempt. The list of managed apps is
/// asked for beside it: it proves nothing, for it tells no version, but it says what an install
/// waits for, and ends the attempt when nothing can come of it any more. An app without a bundle
/// identifier cannot be shown by any list: it is sent once in each enrollment. One that is wanted
/// at enrollment only is left alone once it was there. Pure.
void DecideApp(const RuleContext& context, ItemWork& work);

}  // namespace director
