#include "mdm/profile.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/digest.h"
#include "base/text.h"
#include "mdm/item_definition.h"

namespace director {
namespace {

constexpr std::size_t kIdentifierSizeMaxBytes = 255;
constexpr std::size_t kHostMaxBytes = 255;
constexpr std::size_t kLargeProfileBytes = 1024 * 1024;

/// Reads an optional string; empty when it is missing. `field` names it in the error.
Result<std::string> OptionalString(const PlistDict& dict, std::string_view key,
                                   const std::string& field) {
  const PlistValue* value = dict.Find(key);
  if (value == nullptr) return std::string();
  const std::string* text = value->AsString();
  if (text == nullptr) return Fail(InvalidField(field, field + " must be a string"));
  return *text;
}

Status CheckPayloadType(const PlistDict& root) {
  if (TextAt(root, "PayloadType") == "Configuration") return {};
  return Fail(InvalidField("PayloadType", "PayloadType must be 'Configuration'"));
}

Status CheckPayloadVersion(const PlistDict& root) {
  const PlistValue* value = root.Find("PayloadVersion");
  if (value == nullptr || value->AsInteger() != nullptr) return {};
  return Fail(InvalidField("PayloadVersion", "PayloadVersion must be an integer"));
}

Result<PayloadIdentifier> ReadIdentifier(const PlistDict& root) {
  static const std::string field = "PayloadIdentifier";
  auto text = OptionalString(root, field, field);
  if (!text) return Fail(text.error());
  if (Status usable = CheckPayloadIdentifier(*text); !usable) return Fail(usable.error());
  PayloadIdentifier identifier(std::move(*text));
  if (KindOf(identifier) != ItemKind::kProfile) {
    return Fail(InvalidField(field, "begins with a word that names items of another kind"));
  }
  return identifier;
}

Result<std::string> ReadScope(const PlistDict& root) {
  auto scope = OptionalString(root, "PayloadScope", "PayloadScope");
  if (!scope || scope->empty() || *scope == "System" || *scope == "User") return scope;
  return Fail(InvalidField("PayloadScope", "PayloadScope must be System or User"));
}

/// `https://user@CA.example.com:8443/scep?x` -> `ca.example.com:8443`; a bare host stays.
std::string HostOf(std::string_view url) {
  if (const auto scheme = url.find("://"); scheme != std::string_view::npos) {
    url.remove_prefix(scheme + 3);
  }
  url = url.substr(0, url.find_first_of("/?#"));
  if (const auto user = url.rfind('@'); user != std::string_view::npos) url.remove_prefix(user + 1);
  return ToLowerAscii(Printable(url, kHostMaxBytes));
}

std::string CertificateAuthorityOf(std::string_view payload_type, const PlistDict& payload) {
  if (payload_type == "com.apple.security.acme") return HostOf(TextAt(payload, "DirectoryURL"));
  if (payload_type == "com.apple.ADCertificate.managed") {
    return HostOf(TextAt(payload, "CertServer"));
  }
  if (payload_type != "com.apple.security.scep") return {};
  const PlistValue* content = payload.Find("PayloadContent");
  const PlistDict* scep = content == nullptr ? nullptr : content->AsDict();
  return scep == nullptr ? std::string() : HostOf(TextAt(*scep, "URL"));
}

Result<ProfilePayload> ReadPayload(const PlistValue& value, std::size_t index) {
  const std::string place = fmt::format("PayloadContent[{}]", index);
  const PlistDict* dict = value.AsDict();
  if (dict == nullptr) return Fail(InvalidField(place, place + " must be a dictionary"));
  auto type = OptionalString(*dict, "PayloadType", place + ".PayloadType");
  if (!type) return Fail(type.error());
  if (type->empty()) {
    return Fail(InvalidField(place + ".PayloadType", place + " has no PayloadType"));
  }
  auto identifier = OptionalString(*dict, "PayloadIdentifier", place + ".PayloadIdentifier");
  if (!identifier) return Fail(identifier.error());
  auto uuid = OptionalString(*dict, "PayloadUUID", place + ".PayloadUUID");
  if (!uuid) return Fail(uuid.error());
  std::string authority = CertificateAuthorityOf(*type, *dict);
  return ProfilePayload{std::move(*type), std::move(*identifier), std::move(*uuid),
                        std::move(authority)};
}

/// Fails when two payloads have one UUID (letter case does not count) or one identifier (it does).
Status CheckUnique(const std::vector<ProfilePayload>& payloads) {
  std::set<std::string> uuids;
  std::set<std::string> identifiers;
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    const auto& payload = payloads[i];
    const std::string place = fmt::format("PayloadContent[{}]", i);
    if (!payload.payload_uuid.empty() && !uuids.insert(ToUpperAscii(payload.payload_uuid)).second) {
      return Fail(InvalidField(place + ".PayloadUUID", "two payloads have the same PayloadUUID"));
    }
    if (!payload.payload_identifier.empty() &&
        !identifiers.insert(payload.payload_identifier).second) {
      return Fail(InvalidField(place + ".PayloadIdentifier",
                               "two payloads have the same PayloadIdentifier"));
    }
  }
  return {};
}

Result<bool> ReadIsEncrypted(const PlistDict& root) {
  const PlistValue* content = root.Find("EncryptedPayloadContent");
  if (content != nullptr && content->AsData() == nullptr) {
    return Fail(InvalidField("EncryptedPayloadContent", "EncryptedPayloadContent must be data"));
  }
  return content != nullptr;
}

Result<std::vector<ProfilePayload>> ReadPayloads(const PlistDict& root, const Profile& profile) {
  std::vector<ProfilePayload> payloads;
  const PlistValue* content = root.Find("PayloadContent");
  if (content == nullptr) {
    if (profile.is_encrypted) return payloads;
    return Fail(InvalidField("PayloadContent", "PayloadContent is missing"));
  }
  const PlistArray* array = content->AsArray();
  if (array == nullptr) {
    return Fail(InvalidField("PayloadContent", "PayloadContent must be an array"));
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    auto payload = ReadPayload((*array)[i], i);
    if (!payload) return Fail(payload.error());
    payloads.push_back(std::move(*payload));
  }
  if (auto status = CheckUnique(payloads); !status) return Fail(status.error());
  return payloads;
}

/// Copies the result's value to `target`; on failure keeps the first error in `error`.
template <typename T>
void Take(Result<T> result, T& target, std::optional<Error>& error) {
  if (result) {
    target = std::move(*result);
  } else if (!error) {
    error = result.error();
  }
}

Result<Profile> ReadProfile(const PlistDict& root) {
  if (auto status = CheckPayloadType(root); !status) return Fail(status.error());
  if (auto status = CheckPayloadVersion(root); !status) return Fail(status.error());
  Profile profile;
  std::optional<Error> error;
  Take(ReadIdentifier(root), profile.payload_identifier, error);
  Take(OptionalString(root, "PayloadUUID", "PayloadUUID"), profile.original_payload_uuid, error);
  Take(OptionalString(root, "PayloadDisplayName", "PayloadDisplayName"), profile.display_name,
       error);
  Take(ReadScope(root), profile.payload_scope, error);
  Take(ReadIsEncrypted(root), profile.is_encrypted, error);
  Take(ReadPayloads(root, profile), profile.payloads, error);
  if (error) return Fail(*error);
  profile.has_mdm_payload =
      std::any_of(profile.payloads.begin(), profile.payloads.end(),
                  [](const auto& payload) { return payload.payload_type == kMdmPayloadType; });
  const auto asking =
      std::find_if(profile.payloads.begin(), profile.payloads.end(),
                   [](const auto& payload) { return !payload.certificate_authority.empty(); });
  if (asking != profile.payloads.end()) {
    profile.certificate_authority = asking->certificate_authority;
  }
  return profile;
}

tl::unexpected<Error> TooLarge() {
  return Fail(ErrorKind::kInvalid,
              fmt::format("the profile is larger than {} bytes", kProfileSizeMaxBytes));
}

void WarnAboutPayload(const ProfilePayload& payload, std::size_t index,
                      std::vector<ProfileWarning>& warnings) {
  const std::string place = fmt::format("PayloadContent[{}]", index);
  if (payload.payload_uuid.empty()) {
    warnings.push_back({place + ".PayloadUUID", "missing: iOS refuses the profile"});
  }
  if (payload.payload_identifier.empty()) {
    warnings.push_back({place + ".PayloadIdentifier", "missing: iOS refuses the profile"});
  }
}

}  // namespace

Status CheckPayloadIdentifier(std::string_view text) {
  const auto refuse = [](const char* why) {
    return Fail(InvalidField("PayloadIdentifier", std::string("PayloadIdentifier ") + why));
  };
  if (text.empty()) return refuse("is missing or empty");
  if (text.size() > kIdentifierSizeMaxBytes) return refuse("is longer than 255 bytes");
  if (Printable(text, text.size()) != text) return refuse("holds control characters");
  return {};
}

PayloadUuid ContentPayloadUuid(const PlistDict& root) {
  PlistDict content = root;
  content.Erase("PayloadUUID");
  return PayloadUuid(DigestUuid(Sha256(CanonicalPlistBytes(PlistValue(std::move(content)))), 8));
}

Result<Profile> ParseProfile(std::string_view bytes) {
  if (bytes.size() > kProfileSizeMaxBytes) return TooLarge();
  auto value = DecodePlist(bytes);
  if (!value) return Fail(value.error());
  PlistDict* root = value->AsDict();
  if (root == nullptr) return Fail(ErrorKind::kInvalid, "the profile is not a dictionary");
  auto profile = ReadProfile(*root);
  if (!profile) return profile;
  profile->payload_uuid = ContentPayloadUuid(*root);
  root->Set("PayloadUUID", PlistValue(profile->payload_uuid.value()));
  profile->mobileconfig = EncodePlistXml(*value);
  // A binary file may grow beyond the limit when it becomes XML.
  if (profile->mobileconfig.size() > kProfileSizeMaxBytes) return TooLarge();
  return profile;
}

std::vector<ProfileWarning> LintProfile(const Profile& profile) {
  std::vector<ProfileWarning> warnings;
  const auto value = DecodePlist(profile.mobileconfig);
  const PlistDict* root = value ? value->AsDict() : nullptr;
  if (root != nullptr && root->Find("PayloadVersion") == nullptr) {
    warnings.push_back({"PayloadVersion", "missing: iOS refuses the profile"});
  }
  if (profile.display_name.empty()) {
    warnings.push_back({"PayloadDisplayName", "missing: people see the identifier instead"});
  }
  if (profile.payload_scope == "User") {
    warnings.push_back({"PayloadScope", "User: works on the user channel of a Mac only"});
  }
  if (profile.mobileconfig.size() > kLargeProfileBytes) {
    warnings.push_back({"", "larger than 1 MiB: some MDM servers refuse it"});
  }
  for (std::size_t i = 0; i < profile.payloads.size(); ++i) {
    WarnAboutPayload(profile.payloads[i], i, warnings);
  }
  return warnings;
}

}  // namespace director
