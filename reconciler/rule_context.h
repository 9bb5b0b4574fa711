#pragma once

#include <string>
#include <string_view>

#include "reconciler/item_work.h"
#include "reconciler/state.h"

namespace director {

/// What the rules of all kinds of items know, and the steps that they share.
struct RuleContext {
  const Snapshot& snapshot;
  const Settings& settings;
  Timestamp now;
  std::string noun;  ///< "The Mac"
};

/// A report proves something about an item only when it is of this epoch and newer than the last
/// answer to a command for that item.
bool IsUsable(const RuleContext& context, const DeviceReport* report, const ItemRecord& record);

/// The report shows the item as desired. A record that is verified already stays as it is, so that
/// an unchanged report costs no write.
void MarkVerified(const RuleContext& context, Timestamp reported_at, ItemWork& work);

/// False for what is known to be no Mac.
bool MayBeMac(const RuleContext& context);

/// Nothing is done, and the reason says why.
void Block(const RuleContext& context, ItemWork& work, std::string reason);

/// A command that was acknowledged and then not reported did not do its job: that counts as a
/// failure of unknown cause. Drift, the loss of what had been reported before, does not.
void CountMissingAfterAcknowledge(const RuleContext& context, Timestamp reported_at,
                                  ItemRecord& record);

/// True when the item may not be sent just now, with the state set that says why: it is parked,
/// backs off, or was sent as often as it may be in a day.
bool IsHeld(const RuleContext& context, ItemWork& work);

/// Sends this command as soon as the device can be sent it.
void Want(const RuleContext& context, ItemWork& work, std::string_view request_type,
          std::string reason);

/// Says how the item's command without a final answer stands.
void DescribeOpen(const RuleContext& context, ItemWork& work);

}  // namespace director
