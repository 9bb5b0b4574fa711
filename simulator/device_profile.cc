#include "simulator/device_profile.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <utility>

#include "base/random.h"
#include "base/text.h"
#include "mdm/profile.h"
#include "signing/cms.h"
#include "simulator/device_behaviour.h"

namespace director {
namespace {

using Chain = std::vector<ErrorChainEntry>;

constexpr int kCodeMalformed = 1000;
constexpr int kCodeFieldMissing = 1002;
constexpr int kCodeFieldType = 1003;
constexpr int kCodeSignature = 1004;
constexpr int kCodeUuidTwice = 1007;
constexpr int kCodeIdentifierTwice = 1008;

Chain ProfileError(int code, std::string text) {
  return InstallFailedChain("MCProfileErrorDomain", code, std::move(text));
}

Chain MissingField(std::string_view key) {
  return ProfileError(kCodeFieldMissing,
                      fmt::format("The profile is missing the required field “{}”.", key));
}

Chain WrongType(std::string_view key) {
  return ProfileError(kCodeFieldType, fmt::format("The field “{}” has the wrong type.", key));
}

bool OptionalFlag(const PlistDict& dict, std::string_view key) {
  const PlistValue* value = dict.Find(key);
  const bool* flag = value == nullptr ? nullptr : value->AsBool();
  return flag != nullptr && *flag;
}

std::optional<Chain> CheckRequiredText(const PlistDict& dict, std::string_view key) {
  const PlistValue* value = dict.Find(key);
  if (value == nullptr) return MissingField(key);
  const std::string* text = value->AsString();
  if (text == nullptr) return WrongType(key);
  if (text->empty()) return MissingField(key);
  return std::nullopt;
}

std::optional<Chain> CheckVersion(const PlistDict& dict, DeviceKind kind) {
  const PlistValue* value = dict.Find("PayloadVersion");
  if (value == nullptr) {
    if (kind == DeviceKind::kMac) return std::nullopt;
    return MissingField("PayloadVersion");
  }
  if (value->AsInteger() == nullptr) return WrongType("PayloadVersion");
  return std::nullopt;
}

std::optional<Chain> CheckHeader(const PlistDict& dict, DeviceKind kind) {
  for (const std::string_view key : {"PayloadType", "PayloadIdentifier", "PayloadUUID"}) {
    if (auto chain = CheckRequiredText(dict, key)) return chain;
  }
  return CheckVersion(dict, kind);
}

PlistDict PayloadMetadata(const PlistDict& payload) {
  PlistDict metadata;
  for (const std::string_view key :
       {"PayloadType", "PayloadVersion", "PayloadIdentifier", "PayloadUUID", "PayloadDisplayName",
        "PayloadDescription", "PayloadOrganization"}) {
    if (const PlistValue* value = payload.Find(key)) metadata.Set(std::string(key), *value);
  }
  return metadata;
}

ManagementKeys ReadManagement(const PlistDict& payload) {
  ManagementKeys keys;
  keys.topic = TextAt(payload, "Topic");
  keys.server_url = TextAt(payload, "ServerURL");
  keys.check_in_url = TextAt(payload, "CheckInURL");
  const PlistValue* rights = payload.Find("AccessRights");
  const PlistInteger* number = rights == nullptr ? nullptr : rights->AsInteger();
  if (number != nullptr) keys.access_rights = number->ToSigned(0);
  return keys;
}

std::optional<Chain> AddPayloads(const PlistArray& content, DeviceKind kind,
                                 InstalledProfile& profile) {
  std::set<std::string> uuids;
  std::set<std::string> identifiers;
  for (const PlistValue& element : content) {
    const PlistDict* payload = element.AsDict();
    if (payload == nullptr) return WrongType("PayloadContent");
    if (auto chain = CheckHeader(*payload, kind)) return chain;
    if (!uuids.insert(ToUpperAscii(TextAt(*payload, "PayloadUUID"))).second) {
      return ProfileError(kCodeUuidTwice, "The profile contains duplicate PayloadUUIDs.");
    }
    if (!identifiers.insert(TextAt(*payload, "PayloadIdentifier")).second) {
      return ProfileError(kCodeIdentifierTwice, "The profile contains duplicate identifiers.");
    }
    if (TextAt(*payload, "PayloadType") == kMdmPayloadType) {
      profile.has_mdm_payload = true;
      profile.management = ReadManagement(*payload);
    }
    profile.payloads.push_back(PayloadMetadata(*payload));
  }
  return std::nullopt;
}

std::optional<Chain> ReadContent(const PlistDict& root, DeviceKind kind,
                                 InstalledProfile& profile) {
  if (profile.is_encrypted) {
    const PlistValue* data = root.Find("EncryptedPayloadContent");
    if (data == nullptr) return MissingField("EncryptedPayloadContent");
    return data->AsData() == nullptr ? std::optional(WrongType("EncryptedPayloadContent"))
                                     : std::nullopt;
  }
  const PlistValue* content = root.Find("PayloadContent");
  if (content == nullptr) return MissingField("PayloadContent");
  const PlistArray* payloads = content->AsArray();
  if (payloads == nullptr) return WrongType("PayloadContent");
  return AddPayloads(*payloads, kind, profile);
}

InstalledProfile ReadHeader(const PlistDict& root) {
  InstalledProfile profile;
  profile.payload_identifier = PayloadIdentifier(TextAt(root, "PayloadIdentifier"));
  profile.payload_uuid = TextAt(root, "PayloadUUID");
  profile.display_name = TextAt(root, "PayloadDisplayName");
  profile.description = TextAt(root, "PayloadDescription");
  profile.organization = TextAt(root, "PayloadOrganization");
  profile.removal_disallowed = OptionalFlag(root, "PayloadRemovalDisallowed");
  profile.is_encrypted = OptionalFlag(root, "IsEncrypted");
  return profile;
}

constexpr std::string_view kEnrollmentIdentifier = "com.example.simulator.enrollment";
constexpr std::int64_t kAllRights = 8191;

PlistDict MakeMetadata(std::string_view type, const std::string& identifier, RandomSource& random) {
  PlistDict metadata;
  metadata.Set("PayloadType", std::string(type));
  metadata.Set("PayloadVersion", PlistInteger::FromSigned(1));
  metadata.Set("PayloadIdentifier", identifier);
  metadata.Set("PayloadUUID", MakeUuid(random));
  return metadata;
}

}  // namespace

std::variant<InstalledProfile, std::vector<ErrorChainEntry>> ReadInstallPayload(
    std::string_view payload, DeviceKind kind) {
  std::string content(payload);
  if (LooksLikeCms(payload)) {
    Result<std::string> unwrapped = UnwrapSignedData(payload);
    if (!unwrapped) return ProfileError(kCodeSignature, "The profile's signature is invalid.");
    content = std::move(*unwrapped);
  }
  const Result<PlistValue> plist = DecodePlist(content);
  const PlistDict* root = plist ? plist->AsDict() : nullptr;
  if (root == nullptr) return ProfileError(kCodeMalformed, "The profile is malformed.");
  if (auto chain = CheckHeader(*root, kind)) return std::move(*chain);
  if (TextAt(*root, "PayloadType") != "Configuration") {
    return ProfileError(kCodeMalformed, "The profile is not a configuration profile.");
  }
  InstalledProfile profile = ReadHeader(*root);
  if (auto chain = ReadContent(*root, kind, profile)) return std::move(*chain);
  return profile;
}

InstalledProfile MakeEnrollmentProfile(const DeviceFacts& facts) {
  SeededRandom random(StableHash("enrollment profile " + facts.udid));
  InstalledProfile profile;
  const std::string identifier(kEnrollmentIdentifier);
  profile.payload_identifier = PayloadIdentifier(identifier);
  profile.payload_uuid = MakeUuid(random);
  profile.display_name = "Enrollment of the simulator";
  profile.organization = "Simulator";
  profile.removal_disallowed = true;
  profile.has_mdm_payload = true;
  profile.management = SimulatorManagement();
  profile.payloads.push_back(
      MakeMetadata("com.apple.security.scep", identifier + ".identity", random));
  profile.payloads.push_back(MakeMetadata(kMdmPayloadType, identifier + ".mdm", random));
  return profile;
}

ManagementKeys SimulatorManagement() {
  return {"com.apple.mgmt.External.11111111-2222-3333-4444-555555555555",
          "https://mdm.example.com/mdm", "", kAllRights};
}

std::optional<std::vector<ErrorChainEntry>> RefuseReplacement(const ManagementKeys& installed,
                                                              const ManagementKeys& replacement) {
  if (installed.topic != replacement.topic) {
    return InstallFailedChain("MCMDMErrorDomain", 12009,
                              "Update to MDM profile contains different topic.");
  }
  if (installed.server_url != replacement.server_url ||
      installed.check_in_url != replacement.check_in_url) {
    return InstallFailedChain("MCMDMErrorDomain", 12009,
                              "Update to MDM profile contains different server URL.");
  }
  if ((replacement.access_rights & ~installed.access_rights) != 0) {
    return InstallFailedChain("MCInstallationErrorDomain", 4015,
                              "Update to MDM profile asks for more rights.");
  }
  return std::nullopt;
}

std::string MakeEnrollmentMobileconfig(const ManagementKeys& management) {
  SeededRandom random(StableHash("enrollment mobileconfig"));
  const std::string identifier(kEnrollmentIdentifier);
  PlistDict identity = MakeMetadata("com.apple.security.scep", identifier + ".identity", random);
  PlistDict mdm = MakeMetadata(kMdmPayloadType, identifier + ".mdm", random);
  mdm.Set("IdentityCertificateUUID", TextAt(identity, "PayloadUUID"));
  mdm.Set("Topic", management.topic);
  mdm.Set("ServerURL", management.server_url);
  if (!management.check_in_url.empty()) mdm.Set("CheckInURL", management.check_in_url);
  mdm.Set("AccessRights", PlistInteger::FromSigned(management.access_rights));
  PlistDict root = MakeMetadata("Configuration", identifier, random);
  root.Set("PayloadContent", PlistArray{std::move(identity), std::move(mdm)});
  return EncodePlistXml(PlistValue(std::move(root)));
}

PlistDict EncodeProfileListEntry(const InstalledProfile& profile, DeviceKind kind) {
  PlistDict entry;
  entry.Set("PayloadIdentifier", profile.payload_identifier.value());
  entry.Set("PayloadUUID", profile.payload_uuid);
  entry.Set("PayloadVersion", PlistInteger::FromSigned(1));
  if (!profile.display_name.empty()) entry.Set("PayloadDisplayName", profile.display_name);
  if (!profile.description.empty()) entry.Set("PayloadDescription", profile.description);
  if (!profile.organization.empty()) entry.Set("PayloadOrganization", profile.organization);
  entry.Set("PayloadRemovalDisallowed", profile.removal_disallowed);
  entry.Set("HasRemovalPasscode", false);
  entry.Set("IsEncrypted", profile.is_encrypted);
  switch (kind) {
    case DeviceKind::kMac:
      entry.Set("SignerCertificates", PlistArray());
      break;
    case DeviceKind::kIphone:
      entry.Set("IsManaged", true);
      break;
  }
  // Devices show no content of an encrypted profile.
  if (profile.is_encrypted) return entry;
  PlistArray payloads;
  for (const PlistDict& payload : profile.payloads) payloads.emplace_back(payload);
  entry.Set("PayloadContent", std::move(payloads));
  return entry;
}

}  // namespace director
