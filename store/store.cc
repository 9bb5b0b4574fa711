#include "store/store.h"

namespace director {

std::string_view AssignmentChannelName(AssignmentChannel channel) {
  switch (channel) {
    case AssignmentChannel::kDevice:
      return "device";
    case AssignmentChannel::kUser:
      return "user";
  }
  return {};
}

Result<AssignmentChannel> ParseAssignmentChannel(std::string_view name) {
  for (const AssignmentChannel channel : {AssignmentChannel::kDevice, AssignmentChannel::kUser}) {
    if (AssignmentChannelName(channel) == name) return channel;
  }
  return Fail(ErrorKind::kInvalid, "must be one of: device, user");
}

std::string_view IdentityEndName(IdentityEnd end) {
  switch (end) {
    case IdentityEnd::kExpired:
      return "expired";
    case IdentityEnd::kIn7Days:
      return "7d";
    case IdentityEnd::kIn30Days:
      return "30d";
    case IdentityEnd::kIn90Days:
      return "90d";
    case IdentityEnd::kLater:
      return "later";
    case IdentityEnd::kUnknown:
      return "unknown";
  }
  return {};
}

Result<IdentityEnd> ParseIdentityEnd(std::string_view name) {
  for (const IdentityEnd end : kIdentityEnds) {
    if (IdentityEndName(end) == name) return end;
  }
  return Fail(ErrorKind::kInvalid, "must be one of: expired, 7d, 30d, 90d, later, unknown");
}

Status CheckCommands(const PlanCommit& commit) {
  if (commit.commands.size() != commit.plan.commands.size()) {
    return Fail(InvalidField("commands", "each planned command needs one CommandUUID"));
  }
  if (commit.commands.empty() || commit.lease_id != 0) return {};
  return Fail(InvalidField("lease_id", "commands are sent under a lease"));
}

std::set<std::int64_t> LeasesOf(const std::vector<PlanCommit>& commits) {
  std::set<std::int64_t> lease_ids;
  for (const PlanCommit& commit : commits) {
    if (commit.lease_id != 0) lease_ids.insert(commit.lease_id);
  }
  return lease_ids;
}

Result<Snapshot> StoreReader::LoadSnapshot(const EnrollmentId& id) {
  Result<std::vector<Snapshot>> snapshots = LoadSnapshots({id});
  if (!snapshots) return Fail(snapshots.error());
  if (snapshots->empty()) return Fail(ErrorKind::kNotFound, "no such enrollment");
  return std::move(snapshots->front());
}

}  // namespace director
