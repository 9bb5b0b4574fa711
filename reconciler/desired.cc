#include "reconciler/desired.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace director {
namespace {

bool Agree(const DesiredAssignment& a, const DesiredAssignment& b) {
  return a.presence == b.presence && a.payload_uuid == b.payload_uuid;
}

std::string DescribeTarget(const DesiredAssignment& assignment) {
  switch (assignment.target_kind) {
    case TargetKind::kAll:
      return "all devices";
    case TargetKind::kDevice:
      return "device " + assignment.target;
  }
  return {};
}

DesiredItem ToItem(const DesiredAssignment& assignment) {
  DesiredItem item;
  item.payload_identifier = assignment.payload_identifier;
  item.presence = assignment.presence;
  item.payload_uuid = assignment.payload_uuid;
  item.adopt = assignment.adopt;
  item.known_payload_uuids = assignment.known_payload_uuids;
  item.assigned_by =
      fmt::format("assigned to {} by {}", DescribeTarget(assignment), assignment.source);
  return item;
}

/// The contradiction of `other` with what has won so far, as a sentence.
std::string DescribeConflict(const DesiredAssignment& winner, const DesiredAssignment& other) {
  return fmt::format(
      "Two assignments contradict each other: {} for {} by {}, {} for {} by {}. Nothing is done "
      "until one is withdrawn.",
      PresenceName(winner.presence), DescribeTarget(winner), winner.source,
      PresenceName(other.presence), DescribeTarget(other), other.source);
}

DesiredItem ResolveOne(std::vector<DesiredAssignment> candidates) {
  std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
    if (a.target_kind != b.target_kind) return a.target_kind == TargetKind::kDevice;
    return a.assignment_id < b.assignment_id;
  });
  const DesiredAssignment& winner = candidates.front();
  DesiredItem item = ToItem(winner);
  for (const DesiredAssignment& other : candidates) {
    if (other.target_kind != winner.target_kind) break;
    if (!Agree(winner, other)) item.conflict = DescribeConflict(winner, other);
    item.adopt = item.adopt || other.adopt;
  }
  return item;
}

}  // namespace

std::vector<DesiredItem> ResolveDesired(const std::vector<DesiredAssignment>& assignments) {
  std::map<PayloadIdentifier, std::vector<DesiredAssignment>> by_identifier;
  for (const DesiredAssignment& assignment : assignments) {
    by_identifier[assignment.payload_identifier].push_back(assignment);
  }
  std::vector<DesiredItem> items;
  items.reserve(by_identifier.size());
  for (auto& [identifier, candidates] : by_identifier) {
    items.push_back(ResolveOne(std::move(candidates)));
  }
  return items;
}

}  // namespace director
