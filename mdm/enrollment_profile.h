#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace director {

/// The payload that gives a device the identity with which it speaks to the MDM server.
struct IdentityPayload {
  std::string payload_type;  ///< `com.apple.security.scep`, `.acme` or `.pkcs12`
  std::string payload_identifier;
  friend bool operator==(const IdentityPayload&, const IdentityPayload&) = default;
};

/// What of an enrollment profile decides whether another may take its place. Keys that are missing
/// are empty.
struct EnrollmentProfile {
  PayloadIdentifier payload_identifier;
  // Of the com.apple.mdm payload.
  std::string topic;
  std::string server_url;
  std::string check_in_url;
  std::optional<std::int64_t> access_rights;
  std::string assigned_managed_apple_id;
  std::string enrollment_mode;
  std::string required_app_id_for_mdm;
  bool has_per_user_connections = false;  ///< in ServerCapabilities
  IdentityPayload identity;               ///< the one that IdentityCertificateUUID names
  friend bool operator==(const EnrollmentProfile&, const EnrollmentProfile&) = default;
};

/// Reads an enrollment profile whose signature, if any, was removed before.
///
/// kInvalid, with `field` naming the key: whatever `ParseProfile` refuses; encrypted; no or several
/// com.apple.mdm payloads; Topic, ServerURL or IdentityCertificateUUID missing or empty; a key of
/// another type; an identity that is not among the payloads, or whose payload is of another type
/// than the three above. Pure.
/// Source: Apple's schema of com.apple.mdm.
Result<EnrollmentProfile> ReadEnrollmentProfile(std::string_view mobileconfig);

/// Says in a sentence why `renewed` may not be installed over `installed`; empty when it may. No
/// value is shown: URLs may hold a device's token.
///
/// Stricter than devices are in one point: they let AccessRights lose bits, which cannot be had
/// back without a new enrollment; here they must stay as they are. The identity may come from
/// another payload and of another kind. Pure. Source: Apple's schema of com.apple.mdm, whose keys
/// say that a change makes the update fail; archived Profile Management text (same top-level
/// PayloadIdentifier).
std::string WhyNotRenew(const EnrollmentProfile& installed, const EnrollmentProfile& renewed);

}  // namespace director
