#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reconciler/state.h"

namespace director {

/// A command to journal and send, in the order of `Plan::commands`.
struct PlannedCommand {
  std::string request_type;
  PayloadIdentifier payload_identifier;  ///< empty for questions
  PayloadUuid payload_uuid;              ///< of what is installed; empty for removals
  std::string reason;                    ///< a sentence for an administrator
  /// Whom the profile makes the device ask, if anybody. Renewals of identities: their item, for
  /// they have a pace of their own.
  std::string certificate_authority{};
  std::int64_t proposal_id = 0;  ///< of a proposal's command; else 0
  bool during_setup = false;     ///< it goes before other changes
  friend bool operator==(const PlannedCommand&, const PlannedCommand&) = default;
};

/// The order of changes: accounts first, then what Setup Assistant waits for, then the others, and
/// last what makes the MDM server drop the queue of the device: the renewal of its identity.
int ChangeRank(const PlannedCommand& command);

/// An intent that needs no more attention, and what became of it.
struct ClosedIntent {
  CommandUuid command_uuid;
  IntentState state = IntentState::kLost;
  std::string reason;
};

/// What to do now, why, why not more, and when to look again.
struct Plan {
  std::vector<PlannedCommand>
      commands;  ///< a proposal's first, then state-changing ones, ProfileList last
  /// True when the device should be pushed (after the commands, if there are any), or its MDM
  /// server pushes it with them.
  bool push = false;
  std::vector<ItemRecord>
      items;  ///< one for each desired item, by identifier; others cease to exist
  std::vector<ClosedIntent> closed;          ///< intents that are done with
  std::optional<Proposal> proposal;          ///< the snapshot's, as it stands now
  std::optional<IdentityRenewal> renewal{};  ///< the enrollment's, when it has changed
  bool escrow = false;                       ///< the secret of `proposal` is to be escrowed
  std::vector<Proposal> new_keys;  ///< answered ones whose key is to be opened and escrowed now
  std::vector<std::string> notes;  ///< sentences about the enrollment as a whole
  Timestamp due_at;                ///< when to decide again, if nothing happens before
  bool wants_wake = false;         ///< a poll of the device must make it due

  /// True when the enrollment stays leased after its commands are sent.
  bool keeps_secrets() const { return escrow || !new_keys.empty(); }
};

/// Decides for one enrollment. The only place where Director decides anything about a device.
///
/// Pure: same input, same output; no clock, randomness, I/O. Cannot fail. Once its commands are
/// journaled as intents and `items` and `closed` are stored, the same moment plans no command.
///
/// Promises, whatever the input: no removal without a fresh report that shows the profile, none of
/// the enrollment profile or of a profile that is not ours or adopted; at most one state-changing
/// command open per item; none to a device that has not been heard from within `awake_window`;
/// nothing to an enrollment that is not enrolled; no proposal's command without its secret in
/// escrow, before its time, after its expiry or epoch, or a second time while the first may still
/// act; every desired item has a state, a reason and a due time.
Plan Reconcile(const Snapshot& snapshot, const Settings& settings, Timestamp now);

}  // namespace director
