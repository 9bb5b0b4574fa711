#include "tests/simulation/ledger.h"

#include <algorithm>

namespace director::simulation {

void Ledger::Propose(const PayloadIdentifier& item, AssignmentChannel channel,
                     const std::string& target, std::optional<Wanted> wanted) {
  items_.insert(item);
  proposals_.insert_or_assign({item, channel, target}, std::move(wanted));
}

void Ledger::Set(const PayloadIdentifier& item, AssignmentChannel channel,
                 const std::string& target, std::optional<Wanted> wanted, Timestamp at) {
  proposals_.erase({item, channel, target});
  histories_[{item, channel, target}].push_back({at, std::move(wanted)});
}

void Ledger::AddRevision(const PayloadIdentifier& item, const std::string& payload_uuid) {
  revisions_[item].insert(payload_uuid);
}

void Ledger::AddDefinition(const ItemDefinition& definition) {
  const std::string payload_uuid = NameDefinition(definition).value();
  AddRevision(definition.item, payload_uuid);
  definitions_.insert_or_assign(payload_uuid, definition);
}

const ItemDefinition* Ledger::FindDefinition(const ReceivedCommand& command) const {
  PlistDict arguments = command.body;
  arguments.Erase("RequestType");
  for (const auto& [payload_uuid, definition] : definitions_) {
    const bool is_it =
        definition.request_type == command.request_type && definition.arguments == arguments;
    if (is_it) return &definition;
  }
  return nullptr;
}

std::string Ledger::VersionOf(const std::string& payload_uuid) const {
  const auto found = definitions_.find(payload_uuid);
  return found == definitions_.end() ? std::string() : found->second.version;
}

Timestamp Ledger::AssignedToAllSince(const PayloadIdentifier& item) const {
  const auto found = histories_.find({item, AssignmentChannel::kDevice, {}});
  Timestamp since = Timestamp::min();
  if (found == histories_.end()) return since;
  for (auto change = found->second.rbegin(); change != found->second.rend(); ++change) {
    if (!change->wanted || change->wanted->presence == Presence::kAbsent) break;
    since = change->at;
  }
  return since;
}

bool Ledger::IsRevision(const PayloadIdentifier& item, const std::string& payload_uuid) const {
  const auto found = revisions_.find(item);
  return found != revisions_.end() && found->second.contains(payload_uuid);
}

std::optional<Wanted> Ledger::EntryAt(const Key& key, Timestamp at, Reading reading) const {
  if (reading == Reading::kWithProposals) {
    const auto proposal = proposals_.find(key);
    if (proposal != proposals_.end()) return proposal->second;
  }
  const auto found = histories_.find(key);
  if (found == histories_.end()) return std::nullopt;
  std::optional<Wanted> wanted;
  for (const Change& change : found->second) {
    if (change.at <= at) wanted = change.wanted;
  }
  return wanted;
}

std::optional<Wanted> Ledger::At(const DeviceFacts& device, const PayloadIdentifier& item,
                                 Timestamp at, Reading reading) const {
  const AssignmentChannel channel =
      device.user_id.empty() ? AssignmentChannel::kDevice : AssignmentChannel::kUser;
  const std::string everyone;
  for (const std::string* target : {&device.udid, &device.serial_number, &everyone}) {
    if (auto wanted = EntryAt({item, channel, *target}, at, reading)) return wanted;
  }
  return std::nullopt;
}

std::optional<Wanted> Ledger::WantedNow(const DeviceFacts& device,
                                        const PayloadIdentifier& item) const {
  return At(device, item, Timestamp::max(), Reading::kAnswered);
}

std::vector<std::optional<Wanted>> Ledger::PossibleSince(const DeviceFacts& device,
                                                         const PayloadIdentifier& item,
                                                         Timestamp since) const {
  auto all = WantedSince(device, item, since);
  DeviceFacts unknown = device;
  unknown.serial_number = "unknown";
  const auto without = WantedSince(unknown, item, since);
  all.insert(all.end(), without.begin(), without.end());
  return all;
}

std::vector<std::optional<Wanted>> Ledger::WantedSince(const DeviceFacts& device,
                                                       const PayloadIdentifier& item,
                                                       Timestamp since) const {
  std::vector<Timestamp> moments = {since};
  for (const auto& [key, history] : histories_) {
    if (key.item != item) continue;
    for (const Change& change : history) {
      if (change.at > since) moments.push_back(change.at);
    }
  }
  std::vector<std::optional<Wanted>> all;
  for (const Timestamp moment : moments) {
    for (const Reading reading : {Reading::kAnswered, Reading::kWithProposals}) {
      auto wanted = At(device, item, moment, reading);
      if (std::find(all.begin(), all.end(), wanted) == all.end()) all.push_back(std::move(wanted));
    }
  }
  return all;
}

}  // namespace director::simulation
