#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reconciler/state.h"

namespace director {

/// How often the poll of an idle device is written down.
inline constexpr Duration kSeenWriteInterval = std::chrono::minutes(5);
/// Polls that come faster than this do not move `last_seen_at`, so that it tells when an answer was
/// due.
inline constexpr Duration kPollWriteInterval = std::chrono::minutes(1);

/// What one event changes.
struct Observation {
  Enrollment enrollment;
  std::optional<Intent> intent;  ///< the answered intent as it is now, when it changed
  std::optional<ProfileListReport>
      report;  ///< a ProfileList to keep, if it is not older than the kept one
  std::optional<InventoryReport> inventory;  ///< an answer to keep in place of the one before
  std::optional<AppListReport> app_list;     ///< of the same answer, when we asked for it
  std::optional<ManagedAppListReport> managed_app_list;  ///< the same
  bool enrollment_changed = false;                       ///< `enrollment` has to be written
  bool begins_epoch = false;                             ///< a known enrollment began anew
  bool queue_lost = false;              ///< the MDM dropped its queue: every open intent is lost
  bool due = false;                     ///< something changed that a decision rests on
  std::vector<std::string> happenings;  ///< sentences for the event list; most events have none
};

/// Applies one event of a device to what is known about its enrollment. `known` is empty for an id
/// never seen; `intent` is the journaled one that a result names, if there is one.
///
/// Any event may be lost or come twice, late or out of order: nothing that was said before the last
/// Authenticate or CheckOut counts, older facts and reports do not replace newer ones, a second
/// answer to a command changes nothing, and any word from an unknown or half-enrolled id proves
/// that it is enrolled; so does one that comes more than a minute after a CheckOut. An Authenticate
/// begins an epoch unless a renewal of the device's identity is under way, and even then when it
/// comes from Setup Assistant. One with another serial number quarantines; a quarantined enrollment
/// gives no reports. Pure; cannot fail.
Observation Observe(const std::optional<Enrollment>& known, const std::optional<Intent>& intent,
                    const MdmEvent& event, Timestamp received_at);

}  // namespace director
