#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reconciler/state.h"

namespace director {

/// A profile that another tool saw on a device.
struct SeenProfile {
  PayloadIdentifier payload_identifier;
  std::string payload_uuid;  ///< letter case aside
};

/// Another tool (Puppet, osquery, Munki) saw the device.
struct Hint {
  /// Every profile it saw; absent when it did not look for profiles.
  std::optional<std::vector<SeenProfile>> profiles;
};

/// What a hint changes.
struct HintEffect {
  Enrollment enrollment;       ///< as it is now
  bool wants_report = false;   ///< because of this hint the device is asked what it has
  bool pushes_sooner = false;  ///< because of this hint the back-off of pushes begins anew
  std::string reason;          ///< a sentence for who sent it, also when nothing changed

  /// Whether `enrollment` has to be written and is due.
  bool IsChange() const { return wants_report || pushes_sooner; }
};

/// Applies a hint. It is no word of the device: what was reported, when it was heard from and what
/// it answered stay as they are, and it never plans anything but a question and a push.
///
/// Where the profiles seen and those last reported disagree about an assigned item, a newer
/// ProfileList is wanted, unless one is wanted already or the last one is younger than
/// `push_delay_min`. When that, or a command, or anything else waits for the device, it is on the
/// network now: its next push comes at the latest `push_delay_min` after the last one, however far
/// pushes had backed off. So hints of any number cause at most one question and one push in that
/// time. Pure; cannot fail.
HintEffect TakeHint(const Snapshot& snapshot, const Hint& hint, const Settings& settings,
                    Timestamp now);

}  // namespace director
