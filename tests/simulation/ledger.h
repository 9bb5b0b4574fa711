#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "reconciler/state.h"
#include "simulator/device_facts.h"
#include "store/store.h"

namespace director::simulation {

/// What an owner wants for an item.
struct Wanted {
  Presence presence = Presence::kPresent;
  std::string payload_uuid;
  bool adopt = false;
  bool during_setup = false;
  bool at_enrollment_only = false;
  friend bool operator==(const Wanted&, const Wanted&) = default;
};

/// A command that an owner proposed for a device.
struct OwnersProposal {
  ProposalKind kind = ProposalKind::kDeviceLock;
  Timestamp asked_at;
  std::int64_t proposal_id = 0;  ///< 0 while it is not known whether Director has it
  bool is_cancelled = false;     ///< Director has said so
};

/// The owners' own book of what they asked for, kept apart from Director's database, with the times
/// of changes. Resolves targets by its own rules: a named device beats all.
class Ledger {
 public:
  /// Asked for, not yet answered: from now on it may be so. `target` empty: all devices of the
  /// channel. `wanted` empty: the assignment is withdrawn.
  void Propose(const PayloadIdentifier& item, AssignmentChannel channel, const std::string& target,
               std::optional<Wanted> wanted);
  /// Answered: from now on it is so.
  void Set(const PayloadIdentifier& item, AssignmentChannel channel, const std::string& target,
           std::optional<Wanted> wanted, Timestamp at);
  void AddRevision(const PayloadIdentifier& item, const std::string& payload_uuid);
  /// The same for an app or accounts.
  void AddDefinition(const ItemDefinition& definition);
  /// What an owner defined with exactly this command; null when nobody did.
  const ItemDefinition* FindDefinition(const ReceivedCommand& command) const;
  /// The version that a revision asks for; may be empty.
  std::string VersionOf(const std::string& payload_uuid) const;

  /// Everything that may have been wanted of this enrollment for this item at some time from
  /// `since` until now. Director may not know a serial number yet: then what was said about it does
  /// not count. An empty optional stands for "nothing".
  std::vector<std::optional<Wanted>> PossibleSince(const DeviceFacts& device,
                                                   const PayloadIdentifier& item,
                                                   Timestamp since) const;
  /// Since when the item has been assigned to all devices without a break, whatever the revision;
  /// min() when it is not.
  Timestamp AssignedToAllSince(const PayloadIdentifier& item) const;
  std::optional<Wanted> WantedNow(const DeviceFacts& device, const PayloadIdentifier& item) const;
  /// Every item that was ever assigned.
  const std::set<PayloadIdentifier>& items() const { return items_; }
  bool IsRevision(const PayloadIdentifier& item, const std::string& payload_uuid) const;
  /// What was proposed for each device, oldest first.
  std::map<EnrollmentId, std::vector<OwnersProposal>>& proposed() { return proposed_; }
  const std::map<EnrollmentId, std::vector<OwnersProposal>>& proposed() const { return proposed_; }

  /// True while an owner has not been answered.
  bool HasProposals() const { return !proposals_.empty(); }

 private:
  struct Key {
    PayloadIdentifier item;
    AssignmentChannel channel = AssignmentChannel::kDevice;
    std::string target;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Change {
    Timestamp at;
    std::optional<Wanted> wanted;
  };
  using History = std::vector<Change>;

  enum class Reading { kAnswered, kWithProposals };
  std::optional<Wanted> EntryAt(const Key& key, Timestamp at, Reading reading) const;
  std::optional<Wanted> At(const DeviceFacts& device, const PayloadIdentifier& item, Timestamp at,
                           Reading reading) const;

  std::vector<std::optional<Wanted>> WantedSince(const DeviceFacts& device,
                                                 const PayloadIdentifier& item,
                                                 Timestamp since) const;

  std::map<Key, History> histories_;
  std::map<Key, std::optional<Wanted>> proposals_;
  std::map<PayloadIdentifier, std::set<std::string>> revisions_;
  std::map<std::string, ItemDefinition> definitions_;  ///< by PayloadUUID
  std::set<PayloadIdentifier> items_;
  std::map<EnrollmentId, std::vector<OwnersProposal>> proposed_;
};

}  // namespace director::simulation
