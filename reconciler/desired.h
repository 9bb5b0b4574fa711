#pragma once

#include <string>
#include <vector>

#include "reconciler/state.h"

namespace director {

/// What one enrollment should have of one item.
struct DesiredItem {
  const DesiredAssignment* assignment = nullptr;  ///< the narrowest, which has won; never null
  bool adopt = false;                             ///< any of those that agree says so
  /// Not empty when two equally narrow assignments contradict each other: nothing is done, this
  /// sentence says why.
  std::string conflict;
};

/// "assigned to all devices by ci", for explanations.
std::string DescribeAssignment(const DesiredAssignment& assignment);

/// True when one of them is about an app: a decision then needs the list of apps.
bool NamesApp(const std::vector<DesiredAssignment>& assignments);

/// Resolves assignments to at most one item per PayloadIdentifier, sorted by it. Device beats all.
/// Assignments that are equally narrow and agree count once; those that disagree are a conflict.
/// What is wanted at enrollment only counts when it was assigned before `epoch_began_at`. The
/// items point to the assignments. Pure.
std::vector<DesiredItem> ResolveDesired(const std::vector<DesiredAssignment>& assignments,
                                        std::optional<Timestamp> epoch_began_at);

}  // namespace director
