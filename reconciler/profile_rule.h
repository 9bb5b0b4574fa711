#pragma once

#include "reconciler/identifier_index.h"
#include "reconciler/rule_context.h"

namespace director {

/// What the rules of profiles know besides.
struct ProfileContext : RuleContext {
  IdentifierIndex<ReportedProfile> reported;  ///< of the last ProfileList, if there is one
};

/// Decides what a profile wants by the device's ProfileList, its history and the safety rules. The
/// enrollment profile and what declarative management owns are left alone; only what is ours, or
/// adopted, is removed. Pure.
void DecideProfile(const ProfileContext& context, ItemWork& work);

}  // namespace director
