#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/time.h"
#include "mdm/profile.h"
#include "store/store.h"

namespace director::bench {

inline constexpr std::size_t kProfiles = 20;  ///< that each device has, unless a bench says more
inline constexpr std::size_t kMobileconfigSizeBytes = 4'096;
inline constexpr char kUpstream[] = "nanomdm";

std::string UdidOf(std::size_t device);
PayloadIdentifier IdentifierOf(std::size_t profile);
PayloadUuid PayloadUuidOf(std::size_t profile);

/// Enrolled Macs, 0 to `devices` - 1.
Status SeedEnrollments(Store& store, std::size_t devices, Timestamp now);
/// Revisions of `kMobileconfigSizeBytes`.
Status SeedRevisions(Store& store, std::size_t profiles, Timestamp now);
/// The same, each assigned to all devices.
Status SeedAssignments(Store& store, std::size_t profiles, Timestamp now);
/// A ProfileList of each device that shows every profile.
Status SeedReports(Store& store, std::size_t devices, std::size_t profiles, Timestamp now);
/// A sent command for each of `command_uuids`, the first for the first device, and around again.
Status SeedIntents(Store& store, std::size_t devices, const std::vector<std::string>& command_uuids,
                   std::string_view request_type, Timestamp now);

/// Enrollments whose due time has come; 0 also when the store cannot be read.
std::int64_t CountDue(Store& store, Timestamp now);

/// CommandUUIDs for them, of which the first is `kind`-0.
std::vector<std::string> MakeUuids(const char* kind, std::size_t count);

/// Webhook bodies as NanoMDM sends them.
std::string AcknowledgedBody(std::size_t device, const std::string& command_uuid);
std::string IdleBody(std::size_t device);
/// Some thirty facts, of which the free room on its disk follows `round`.
std::string DeviceInformationBody(std::size_t device, const std::string& command_uuid,
                                  std::size_t round);
/// `first_payload_uuid` stands in place of the first profile's own.
std::string ProfileListBody(std::size_t device, const std::string& command_uuid,
                            const PayloadUuid& first_payload_uuid);

}  // namespace director::bench
