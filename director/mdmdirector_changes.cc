#include "director/mdmdirector_changes.h"

#include <fmt/core.h>

#include <map>
#include <set>
#include <utility>

#include "base/text.h"
#include "director/assignment_rules.h"
#include "director/mdmdirector_support.h"

namespace director::mdmdirector {
namespace {

/// Devices times items of one request.
constexpr std::size_t kAssignmentsMax = 10'000;

bool IsWildcard(const std::vector<std::string>& names) {
  return !names.empty() && names.front() == "*";
}

/// What is wanted at enrollment only is wanted already by who wants it always.
bool IsAsEarly(const Assignment& row, const Assignment& wanted) {
  return wanted.at_enrollment_only || !row.at_enrollment_only;
}

/// Nothing when `rows` say it already. kConflict when one that says otherwise is another owner's.
Result<std::optional<Change>> ChangeOf(const WantedItem& item, const Assignment& wanted,
                                       const std::vector<Assignment>& rows) {
  Change change{&item, wanted, {}};
  bool is_said = false;
  for (const Assignment& row : rows) {
    const bool same_key = EqualsIgnoreCaseAscii(row.target, wanted.target);
    const bool agrees = Agree(row, wanted) && (!same_key || row.adopt == wanted.adopt) &&
                        IsAsEarly(row, wanted);
    if (same_key && agrees) is_said = true;
    if (agrees) continue;
    if (row.source != kSource) return Fail(OwnedByOther(row));
    if (!same_key) change.replaced.push_back(row.assignment_id);
  }
  if (is_said && change.replaced.empty()) return std::optional<Change>();
  return std::optional<Change>(std::move(change));
}

Assignment Complete(Assignment assignment, const std::string& target, Timestamp now) {
  assignment.target_kind = target.empty() ? TargetKind::kAll : TargetKind::kDevice;
  assignment.target = target;
  assignment.source = kSource;
  assignment.assigned_at = now;
  return assignment;
}

/// The devices that a request names, in its order. A serial number that nobody has is passed over.
Result<std::vector<Enrollment>> FindTargets(StoreReader& reader, const Targets& targets) {
  std::vector<Enrollment> devices;
  for (const std::string& udid : targets.udids) {
    const auto found = FindByUdid(reader, udid);
    if (!found) return Fail(found.error());
    if (*found) devices.push_back(**found);
    if (!*found && targets.udids_must_be_known) {
      return Fail(ErrorKind::kNotFound, fmt::format("no device has the UDID {}", udid));
    }
  }
  for (const std::string& serial : targets.serial_numbers) {
    const auto found = FindBySerial(reader, serial);
    if (!found) return Fail(found.error());
    if (*found) devices.push_back(**found);
  }
  return devices;
}

Status DecideForDevices(StoreReader& reader, const Targets& targets,
                        const std::vector<WantedItem>& items, Timestamp now,
                        Decision& decision) {
  auto devices = FindTargets(reader, targets);
  if (!devices) return Fail(devices.error());
  decision.devices = std::move(*devices);
  for (const Enrollment& device : decision.devices) {
    std::vector<Outcome>& outcomes = decision.outcomes.emplace_back();
    for (const WantedItem& item : items) {
      const auto rows = RowsOf(reader, item.assignment.payload_identifier, device);
      if (!rows) return Fail(rows.error());
      auto change = ChangeOf(item, Complete(item.assignment, UdidOf(device), now), *rows);
      if (!change) return Fail(change.error());
      outcomes.push_back({&item, change->has_value()});
      if (*change) decision.changes.push_back(std::move(**change));
    }
  }
  return {};
}

/// The same for all devices, present and future. What nobody shared is not withdrawn.
Status DecideForAll(StoreReader& reader, const std::vector<WantedItem>& items, Timestamp now,
                    Decision& decision) {
  for (const WantedItem& item : items) {
    const Assignment wanted = Complete(item.assignment, "", now);
    auto rows = reader.ListAssignments(
        {.payload_identifier = wanted.payload_identifier, .target_kind = TargetKind::kAll});
    if (!rows) return Fail(rows.error());
    std::erase_if(*rows, [](const auto& row) { return row.channel != AssignmentChannel::kDevice; });
    if (rows->empty() && wanted.presence == Presence::kAbsent) continue;
    auto change = ChangeOf(item, wanted, *rows);
    if (!change) return Fail(change.error());
    if (*change) decision.changes.push_back(std::move(**change));
  }
  return {};
}

}  // namespace

Targets ReadTargets(JsonBody& body, Method method) {
  body.LowerCaseKeys();
  Targets targets;
  const bool is_post = method == Method::kPost;
  targets.udids_must_be_known = is_post;
  const bool has_udids = body.Has("udids") && !body.json()["udids"].is_null();
  targets.udids = body.OptionalStrings("udids");
  targets.serial_numbers = body.OptionalStrings("serial_numbers");
  if (body.Has("uuids")) body.Problem("uuids", "is unknown; devices are named by udids");
  if (is_post && has_udids) targets.serial_numbers.clear();
  targets.all_devices = IsWildcard(targets.udids) || IsWildcard(targets.serial_numbers);
  if (!is_post && !targets.serial_numbers.empty()) targets.udids.clear();
  if (targets.udids.size() + targets.serial_numbers.size() > kDevicesPerRequestMax) {
    body.Problem("udids", fmt::format("names more than {} devices", kDevicesPerRequestMax));
  }
  return targets;
}

void CheckSize(JsonBody& body, const std::string& field, std::size_t items,
               const Targets& targets) {
  if (items * (targets.udids.size() + targets.serial_numbers.size()) > kAssignmentsMax) {
    body.Problem(field, fmt::format("times devices is more than {}", kAssignmentsMax));
  }
}

/// The assignments of an item for a device under each of its names; the first is what MDMDirector
/// calls it.
Result<std::vector<Assignment>> RowsOf(StoreReader& reader, const PayloadIdentifier& identifier,
                                       const Enrollment& enrollment) {
  std::vector<Assignment> rows;
  std::set<std::string> seen;
  for (const std::string& name :
       {UdidOf(enrollment), enrollment.channel.enrollment_id.value(), enrollment.serial_number}) {
    if (name.empty() || !seen.insert(ToLowerAscii(name)).second) continue;
    const auto found = reader.ListAssignments({.payload_identifier = identifier, .target = name});
    if (!found) return Fail(found.error());
    for (const Assignment& row : *found) {
      if (row.channel == AssignmentChannel::kDevice) rows.push_back(row);
    }
  }
  return rows;
}

Result<Decision> Decide(StoreReader& reader, const Targets& targets,
                        const std::vector<WantedItem>& items, Timestamp now) {
  Decision decision;
  const Status done = targets.all_devices
                          ? DecideForAll(reader, items, now, decision)
                          : DecideForDevices(reader, targets, items, now, decision);
  if (!done) return Fail(done.error());
  return decision;
}

Status Apply(StoreWriter& writer, const std::vector<Change>& changes, Timestamp now) {
  std::map<const WantedItem*, std::map<std::string, const Assignment*>> applied;
  for (const Change& change : changes) {
    auto& targets = applied[change.item];
    if (!targets.emplace(change.assignment.target, &change.assignment).second) continue;
    if (targets.size() == 1 && change.item->revision) {
      const Result<bool> saved = writer.SaveRevision(*change.item->revision);
      if (!saved) return Fail(saved.error());
    }
    if (targets.size() == 1) {
      Assignment for_anybody = change.assignment;
      for_anybody.target.clear();
      if (Status apart = CheckAccountNames(writer, for_anybody); !apart) return apart;
    }
    for (const std::int64_t id : change.replaced) {
      if (Status deleted = writer.DeleteAssignment(id, now); !deleted) return deleted;
    }
    const Result<std::int64_t> id = writer.SaveAssignment(change.assignment, now);
    if (!id) return Fail(id.error());
  }
  std::vector<Happening> happenings;
  for (const auto& [item, assigned] : applied) {
    const Assignment& one = *assigned.begin()->second;
    happenings.push_back({0, now, {}, "desired", DescribeAssignment(one, assigned.size())});
  }
  return writer.AddHappenings(happenings);
}

}  // namespace director::mdmdirector
