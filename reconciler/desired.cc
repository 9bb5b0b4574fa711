#include "reconciler/desired.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "mdm/item_definition.h"

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

/// The contradiction of `other` with what has won so far, as a sentence.
std::string DescribeConflict(const DesiredAssignment& winner, const DesiredAssignment& other) {
  return fmt::format(
      "Two assignments contradict each other: {} for {} by {}, {} for {} by {}. Nothing is done "
      "until one is withdrawn.",
      PresenceName(winner.presence), DescribeTarget(winner), winner.source,
      PresenceName(other.presence), DescribeTarget(other), other.source);
}

/// `candidates` are the assignments of one item.
DesiredItem ResolveOne(std::span<const DesiredAssignment* const> candidates) {
  const DesiredAssignment& winner =
      **std::min_element(candidates.begin(), candidates.end(), [](const auto* a, const auto* b) {
        if (a->target_kind != b->target_kind) return a->target_kind == TargetKind::kDevice;
        return a->assignment_id < b->assignment_id;
      });
  DesiredItem item;
  item.assignment = &winner;
  for (const DesiredAssignment* other : candidates) {
    if (other->target_kind != winner.target_kind) continue;
    if (!Agree(winner, *other)) item.conflict = DescribeConflict(winner, *other);
    item.adopt = item.adopt || other->adopt;
  }
  return item;
}

}  // namespace

std::string DescribeAssignment(const DesiredAssignment& assignment) {
  return fmt::format("assigned to {} by {}", DescribeTarget(assignment), assignment.source);
}

bool NamesApp(const std::vector<DesiredAssignment>& assignments) {
  return std::any_of(assignments.begin(), assignments.end(), [](const auto& assignment) {
    return KindOf(assignment.payload_identifier) == ItemKind::kApp;
  });
}

std::vector<DesiredItem> ResolveDesired(const std::vector<DesiredAssignment>& assignments,
                                        std::optional<Timestamp> epoch_began_at) {
  std::vector<const DesiredAssignment*> sorted;
  sorted.reserve(assignments.size());
  for (const DesiredAssignment& assignment : assignments) {
    const bool comes_late = assignment.at_enrollment_only &&
                            (!epoch_began_at || assignment.assigned_at > *epoch_began_at);
    if (!comes_late) sorted.push_back(&assignment);
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    if (a->payload_identifier != b->payload_identifier)
      return a->payload_identifier < b->payload_identifier;
    return a->assignment_id < b->assignment_id;
  });
  std::vector<DesiredItem> items;
  items.reserve(sorted.size());
  for (auto first = sorted.begin(); first != sorted.end();) {
    const auto last = std::find_if(first, sorted.end(), [&](const auto* other) {
      return other->payload_identifier != (*first)->payload_identifier;
    });
    items.push_back(ResolveOne({first, last}));
    first = last;
  }
  return items;
}

}  // namespace director
