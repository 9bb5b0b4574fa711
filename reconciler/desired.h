#pragma once

#include <string>
#include <vector>

#include "reconciler/state.h"

namespace director {

/// What one enrollment should have of one item, after the narrowest assignment has won.
struct DesiredItem {
  PayloadIdentifier payload_identifier;
  Presence presence = Presence::kPresent;
  PayloadUuid payload_uuid;
  bool adopt = false;
  std::vector<PayloadUuid> known_payload_uuids;
  std::string assigned_by;  ///< "assigned to all devices by ci" for explanations
  /// Not empty when two equally narrow assignments contradict each other: nothing is done, this
  /// sentence says why.
  std::string conflict;
};

/// Resolves assignments to at most one item per PayloadIdentifier, sorted by it. Device beats all.
/// Assignments that are equally narrow and agree count once; those that disagree are a conflict.
/// Pure.
std::vector<DesiredItem> ResolveDesired(const std::vector<DesiredAssignment>& assignments);

}  // namespace director
