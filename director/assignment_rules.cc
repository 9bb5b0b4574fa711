#include "director/assignment_rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <vector>

#include "base/text.h"
#include "mdm/account_configuration.h"
#include "mdm/event.h"

namespace director {

bool Agree(const Assignment& a, const Assignment& b) {
  return a.presence == b.presence && a.payload_uuid == b.payload_uuid;
}

namespace {

/// Types of the payloads that name accounts, see `AccountNamesOfProfile`.
constexpr std::array<std::string_view, 2> kAccountPayloads = {"com.apple.MCX",
                                                              "com.apple.loginwindow"};

bool NamesAccounts(const Revision& revision) {
  return std::any_of(kAccountPayloads.begin(), kAccountPayloads.end(), [&](std::string_view type) {
    const auto& types = revision.payload_types;
    return std::find(types.begin(), types.end(), type) != types.end();
  });
}

/// The accounts that a revision names; most name none.
Result<std::vector<std::string>> AccountNames(StoreReader& reader, const PayloadUuid& uuid) {
  const Result<Revision> revision = reader.LoadRevision(uuid);
  if (!revision) return Fail(revision.error());
  if (KindOf(revision->payload_identifier) == ItemKind::kAccounts) {
    const Result<ItemDefinition> definition = DecodeDefinition(revision->content);
    if (!definition) return Fail(definition.error());
    return AccountNamesOf(*definition);
  }
  if (!NamesAccounts(*revision)) return std::vector<std::string>();
  return AccountNamesOfProfile(revision->content);
}

/// Identifiers of the profiles that name accounts in any of their revisions.
Result<std::set<PayloadIdentifier>> ProfilesWithAccounts(StoreReader& reader) {
  std::set<PayloadIdentifier> identifiers;
  PageRequest page{"", 1000};
  while (true) {
    const auto revisions = reader.ListRevisions({{}, ItemKind::kProfile}, page);
    if (!revisions) return Fail(revisions.error());
    for (const Revision& revision : *revisions) {
      if (NamesAccounts(revision)) identifiers.insert(revision.payload_identifier);
    }
    if (revisions->size() < page.limit) return identifiers;
    page.after = revisions->back().payload_uuid.value();
  }
}

/// Who is aimed at; assignments for one target or for all may meet on a device.
class TargetSet {
 public:
  explicit TargetSet(const std::vector<Assignment>& assignments) {
    for (const Assignment& assignment : assignments) Add(assignment.target);
  }
  bool MayMeet(const std::string& target) const {
    return for_all_ || target.empty() || targets_.contains(ToLowerAscii(target));
  }

 private:
  void Add(const std::string& target) {
    for_all_ = for_all_ || target.empty();
    targets_.insert(ToLowerAscii(target));
  }

  bool for_all_ = false;
  std::set<std::string> targets_;
};

/// A name that stands in both; empty when there is none.
std::string SharedName(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  for (const std::string& name : a) {
    const bool is_shared = std::any_of(b.begin(), b.end(), [&](const std::string& other) {
      return EqualsIgnoreCaseAscii(name, other);
    });
    if (is_shared) return name;
  }
  return {};
}

}  // namespace

Status CheckAccountNames(StoreReader& reader, const std::vector<Assignment>& wanted) {
  const Assignment& one = wanted.front();
  const ItemKind kind = KindOf(one.payload_identifier);
  if (one.presence == Presence::kAbsent || kind == ItemKind::kApp) return {};
  const auto names = AccountNames(reader, one.payload_uuid);
  if (!names) return Fail(names.error());
  if (names->empty()) return {};
  std::set<PayloadIdentifier> others = {AccountsItem()};
  if (kind == ItemKind::kAccounts) {
    auto profiles = ProfilesWithAccounts(reader);
    if (!profiles) return Fail(profiles.error());
    others = std::move(*profiles);
  }
  const TargetSet targets(wanted);
  std::map<PayloadUuid, std::string> shared;  // by revision, each looked at once
  for (const PayloadIdentifier& identifier : others) {
    const auto assignments = reader.ListAssignments({.payload_identifier = identifier});
    if (!assignments) return Fail(assignments.error());
    for (const Assignment& other : *assignments) {
      if (other.presence == Presence::kAbsent || !targets.MayMeet(other.target)) continue;
      if (!shared.contains(other.payload_uuid)) {
        const auto taken = AccountNames(reader, other.payload_uuid);
        if (!taken) return Fail(taken.error());
        shared[other.payload_uuid] = SharedName(*names, *taken);
      }
      const std::string& name = shared[other.payload_uuid];
      if (name.empty()) continue;
      return Fail(
          ErrorKind::kConflict,
          fmt::format("{} and {}, assigned by {}, both name the account {}; a Mac that gets "
                      "both is left half enrolled",
                      one.payload_identifier.value(), identifier.value(), other.source,
                      Printable(name, 64)));
    }
  }
  return {};
}

Error OwnedByOther(const Assignment& row) {
  return MakeError(ErrorKind::kConflict,
                   fmt::format("{} is assigned to {} by source {}; only that source can change it",
                               row.payload_identifier.value(),
                               row.target.empty() ? "all" : row.target, row.source));
}

std::string DescribeAssignment(const Assignment& assignment, std::size_t targets) {
  return fmt::format(
      "{} assigned as {} to {} by {}{}", assignment.payload_identifier.value(),
      PresenceName(assignment.presence),
      assignment.target_kind == TargetKind::kAll
          ? "all devices"
          : fmt::format("{} device{}", targets, targets == 1 ? "" : "s"),
      assignment.source,
      assignment.payload_uuid.empty() ? "" : ", revision " + assignment.payload_uuid.value());
}

bool CanNameDevice(std::string_view text) {
  return !text.empty() && text.size() <= kEnrollmentIdSizeMaxBytes && IsValidUtf8(text) &&
         text.find('\0') == std::string_view::npos;
}

}  // namespace director
