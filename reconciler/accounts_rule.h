#pragma once

#include "reconciler/rule_context.h"

namespace director {

/// Decides about the accounts that Setup Assistant makes: they can be configured only while the Mac
/// is held there, and no report shows them. Pure. Source: Apple device-management schema,
/// account.configuration.
void DecideAccounts(const RuleContext& context, ItemWork& work);

}  // namespace director
