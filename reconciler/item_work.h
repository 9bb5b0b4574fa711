#pragma once

#include <optional>
#include <string>

#include "reconciler/desired.h"
#include "reconciler/plan.h"
#include "reconciler/state.h"

namespace director {

/// One desired item on its way through the rules of one `Reconcile`.
struct ItemWork {
  DesiredItem desired;
  ItemRecord record;             ///< starts as the stored one, leaves as the new one
  const Intent* open = nullptr;  ///< the item's command without a final answer
  std::optional<PlannedCommand>
      wanted;                   ///< what the rules want to send, if the device may be sent anything
  bool needs_report = false;    ///< no decision without a newer ProfileList
  bool needs_app_list = false;  ///< no decision without a newer list of apps
  bool wants_managed_app_list = false;  ///< beside that: how the app's install stands
  bool needs_certificate_list = false;  ///< no decision without a newer list of certificates
  /// The item of the identity: the last attempt to renew it. Starts and leaves as the record does.
  std::optional<IdentityRenewal> renewal;
};

/// True while something is to be sent or asked for the item.
bool WaitsForDevice(const ItemWork& item);

/// Sets state, reason and due time; `state_since` moves only when the state changes.
void SetState(ItemRecord& record, ItemState state, std::string reason, Timestamp now,
              std::optional<Timestamp> due_at = std::nullopt);

/// Counts a failed attempt: parks what lasts, or has used its tries, and puts off the next one of
/// what may pass. Apps are tried every `app_retry_delay`, `app_attempts_max` times, identities as
/// `RenewalSettings` say.
void CountFailedAttempt(ItemRecord& record, ErrorClass error_class, const Enrollment& enrollment,
                        const Settings& settings, Timestamp now);

/// False also for what has not said what it is.
bool IsMac(const Enrollment& enrollment);

/// "The Mac", "The iPhone", ... or "The device", for the start of a sentence.
std::string DeviceNoun(const Enrollment& enrollment);

}  // namespace director
