#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "mdm/plist.h"

namespace director {

inline constexpr std::string_view kMdmPayloadType = "com.apple.mdm";

/// Profiles above this size are refused; Apple documents no limit (reference: other servers stop at
/// 1 to 8 MiB).
inline constexpr std::size_t kProfileSizeMaxBytes = 8 * 1024 * 1024;

/// One payload of a profile's PayloadContent.
struct ProfilePayload {
  std::string payload_type;
  std::string payload_identifier;
  std::string payload_uuid;
  std::string certificate_authority;  ///< whom this payload makes the device ask
};

/// A configuration profile, read from a mobileconfig whose signature (if any) was removed before.
struct Profile {
  PayloadIdentifier payload_identifier;
  /// The content hash: PayloadUUID of the revision. Equal contents have equal ones, for ever.
  PayloadUuid payload_uuid;
  /// PayloadUUID as the file had it; may be empty.
  std::string original_payload_uuid;
  std::string display_name;
  std::string payload_scope;  ///< `System`, `User`, or empty when the file has none
  std::vector<ProfilePayload> payloads;
  bool is_encrypted = false;
  bool has_mdm_payload = false;
  /// Host and port, in lower case, of the first server that a payload makes the device ask for a
  /// certificate; empty when none does. Source: Apple's schema of com.apple.security.scep (URL),
  /// com.apple.security.acme (DirectoryURL) and com.apple.ADCertificate.managed (CertServer).
  std::string certificate_authority;
  /// XML property list with the top-level PayloadUUID replaced by `payload_uuid` and all else kept.
  std::string mobileconfig;
};

/// Parses a mobileconfig: XML or binary property list, not signed (see signing/cms.h for that).
///
/// kInvalid, with `field` naming the key: no dictionary, PayloadType other than `Configuration`,
/// PayloadIdentifier missing, empty, not a string, over 255 bytes, with control characters or the
/// name of an item of another kind (mdm/item_definition.h), PayloadVersion not an integer,
/// PayloadContent missing (unless encrypted) or not an array of dictionaries, a payload without
/// PayloadType, two payloads with one PayloadUUID or one PayloadIdentifier (Source: Apple error
/// codes 1007, 1008), above `kProfileSizeMaxBytes` (as given or as XML), PayloadScope other than
/// System or User, a text key that is no string, EncryptedPayloadContent (its presence makes the
/// profile encrypted) that is no data. A com.apple.mdm payload is reported by `has_mdm_payload`;
/// refusing it is the caller's decision.
Result<Profile> ParseProfile(std::string_view bytes);

/// kInvalid unless it names an item: 1 to 255 bytes without control characters.
Status CheckPayloadIdentifier(std::string_view text);

/// Returns the PayloadUUID that belongs to the content of `root`: an upper-case version 8 UUID (RFC
/// 9562) made of the first 128 bits of SHA-256 over the canonical bytes without the top-level
/// PayloadUUID.
PayloadUuid ContentPayloadUuid(const PlistDict& root);

/// What `director lint` says about a file that can be used but deserves a look.
struct ProfileWarning {
  std::string field;
  std::string message;
};

/// Checks what devices are known to dislike: missing PayloadVersion, payload UUIDs or identifiers
/// that are missing, scope `User`, size above 1 MiB, missing display name. Pure.
std::vector<ProfileWarning> LintProfile(const Profile& profile);

}  // namespace director
