#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "mdm/event.h"
#include "mdm/plist.h"
#include "simulator/device_facts.h"

namespace director {

/// What of a com.apple.mdm payload a device compares when its enrollment profile is replaced.
struct ManagementKeys {
  std::string topic;
  std::string server_url;
  std::string check_in_url;
  std::int64_t access_rights = 0;
  friend bool operator==(const ManagementKeys&, const ManagementKeys&) = default;
};

/// A profile as a device keeps it: metadata for ProfileList, no settings.
struct InstalledProfile {
  PayloadIdentifier payload_identifier;
  std::string payload_uuid;
  std::string display_name;
  std::string description;
  std::string organization;
  bool removal_disallowed = false;
  bool is_encrypted = false;
  bool has_mdm_payload = false;
  ManagementKeys management;        ///< of the MDM payload, if there is one
  std::vector<PlistDict> payloads;  ///< metadata of PayloadContent
  Timestamp installed_at;
};

/// Reads the Payload of InstallProfile as a device does: CMS-signed or plain, XML or binary.
/// Returns the profile (without `installed_at`) or the ErrorChain with which the device refuses it.
/// Macs tolerate a missing PayloadVersion. Source: Apple's archived MDM Protocol Reference (error
/// codes 1000 to 1008); field reports on macOS. Pure.
std::variant<InstalledProfile, std::vector<ErrorChainEntry>> ReadInstallPayload(
    std::string_view payload, DeviceKind kind);

/// Why a device does not take one enrollment profile in place of another: it changes where the
/// device is managed, or asks for more rights. Source: Apple's schema of com.apple.mdm; the codes
/// are those of field reports. Pure.
std::optional<std::vector<ErrorChainEntry>> RefuseReplacement(const ManagementKeys& installed,
                                                              const ManagementKeys& replacement);

/// The enrollment profile of a device channel: com.apple.mdm and an identity.
InstalledProfile MakeEnrollmentProfile(const DeviceFacts& facts);
/// The same for every device, as an MDM server hands it out, with these keys.
std::string MakeEnrollmentMobileconfig(const ManagementKeys& management);
/// Those of every virtual device.
ManagementKeys SimulatorManagement();

/// One element of the ProfileList answer. Source: Apple device-management schema, profile.list;
/// Macs always send SignerCertificates (here always empty: certificates are not kept), iPhones send
/// IsManaged instead.
PlistDict EncodeProfileListEntry(const InstalledProfile& profile, DeviceKind kind);

}  // namespace director
