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

Result<Snapshot> StoreReader::LoadSnapshot(const EnrollmentId& id) {
  Result<std::vector<Snapshot>> snapshots = LoadSnapshots({id});
  if (!snapshots) return Fail(snapshots.error());
  if (snapshots->empty()) return Fail(ErrorKind::kNotFound, "no such enrollment");
  return std::move(snapshots->front());
}

}  // namespace director
