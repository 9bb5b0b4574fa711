#include "mdm/enrollment_profile.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "mdm/plist.h"
#include "mdm/profile.h"

namespace director {
namespace {

constexpr std::array<std::string_view, 3> kIdentityPayloadTypes = {
    "com.apple.security.scep", "com.apple.security.acme", "com.apple.security.pkcs12"};
constexpr std::string_view kPerUserConnections = "com.apple.mdm.per-user-connections";

/// What of the com.apple.mdm payload has to be the same text, by its key.
constexpr std::pair<std::string_view, std::string EnrollmentProfile::*> kKeptTexts[] = {
    {"Topic", &EnrollmentProfile::topic},
    {"ServerURL", &EnrollmentProfile::server_url},
    {"CheckInURL", &EnrollmentProfile::check_in_url},
    {"AssignedManagedAppleID", &EnrollmentProfile::assigned_managed_apple_id},
    {"EnrollmentMode", &EnrollmentProfile::enrollment_mode},
    {"RequiredAppIDForMDM", &EnrollmentProfile::required_app_id_for_mdm},
};

/// Reads the keys of the com.apple.mdm payload; the first problem stays.
class MdmPayloadReader {
 public:
  explicit MdmPayloadReader(const PlistDict& payload) : payload_(payload) {}

  std::string Text(std::string_view key) {
    const PlistValue* value = payload_.Find(key);
    if (value == nullptr) return {};
    if (const std::string* text = value->AsString()) return *text;
    Refuse(key, "must be a string");
    return {};
  }

  void Need(std::string_view key, const std::string& text) {
    if (text.empty()) Refuse(key, "is missing or empty");
  }

  std::optional<std::int64_t> Bits(std::string_view key) {
    const PlistValue* value = payload_.Find(key);
    if (value == nullptr) return std::nullopt;
    const PlistInteger* number = value->AsInteger();
    const std::int64_t bits = number == nullptr ? -1 : number->ToSigned(-1);
    if (bits < 0) Refuse(key, "must be a number of bits");
    return bits;
  }

  bool HasCapability(std::string_view wanted) {
    const PlistValue* value = payload_.Find("ServerCapabilities");
    if (value == nullptr) return false;
    const PlistArray* capabilities = value->AsArray();
    if (capabilities == nullptr) {
      Refuse("ServerCapabilities", "must be an array");
      return false;
    }
    return std::any_of(capabilities->begin(), capabilities->end(), [&](const PlistValue& one) {
      const std::string* text = one.AsString();
      return text != nullptr && *text == wanted;
    });
  }

  const std::optional<Error>& problem() const { return problem_; }

 private:
  void Refuse(std::string_view key, std::string_view what) {
    if (!problem_) problem_ = InvalidField(std::string(key), fmt::format("{} {}", key, what));
  }

  const PlistDict& payload_;
  std::optional<Error> problem_;
};

/// The one com.apple.mdm payload; `ParseProfile` has found that the profile is made of payloads.
Result<const PlistDict*> FindMdmPayload(const PlistDict& root) {
  const PlistDict* found = nullptr;
  int count = 0;
  for (const PlistValue& value : *root.Find("PayloadContent")->AsArray()) {
    if (TextAt(*value.AsDict(), "PayloadType") != kMdmPayloadType) continue;
    found = value.AsDict();
    ++count;
  }
  if (count == 1) return found;
  return Fail(InvalidField("PayloadContent",
                           fmt::format("an enrollment profile has one {} payload; this has {}",
                                       kMdmPayloadType, count)));
}

Result<IdentityPayload> FindIdentity(const Profile& profile, const std::string& uuid) {
  constexpr const char* kField = "IdentityCertificateUUID";
  const auto found = std::find_if(profile.payloads.begin(), profile.payloads.end(),
                                  [&](const ProfilePayload& payload) {
                                    return EqualsIgnoreCaseAscii(payload.payload_uuid, uuid);
                                  });
  if (found == profile.payloads.end()) {
    return Fail(InvalidField(kField, "IdentityCertificateUUID names none of the payloads"));
  }
  const std::string& type = found->payload_type;
  if (std::find(kIdentityPayloadTypes.begin(), kIdentityPayloadTypes.end(), type) ==
      kIdentityPayloadTypes.end()) {
    return Fail(InvalidField(kField, "IdentityCertificateUUID names a payload without identity"));
  }
  return IdentityPayload{type, found->payload_identifier};
}

}  // namespace

Result<EnrollmentProfile> ReadEnrollmentProfile(std::string_view mobileconfig) {
  const Result<Profile> profile = ParseProfile(mobileconfig);
  if (!profile) return Fail(profile.error());
  if (profile->is_encrypted) {
    return Fail(InvalidField("EncryptedPayloadContent", "an encrypted profile cannot be read"));
  }
  const Result<PlistValue> document = DecodePlist(mobileconfig);
  if (!document) return Fail(document.error());
  const Result<const PlistDict*> mdm = FindMdmPayload(*document->AsDict());
  if (!mdm) return Fail(mdm.error());
  MdmPayloadReader reader(**mdm);
  EnrollmentProfile read;
  read.payload_identifier = profile->payload_identifier;
  for (const auto& [key, text] : kKeptTexts) read.*text = reader.Text(key);
  reader.Need("Topic", read.topic);
  reader.Need("ServerURL", read.server_url);
  read.access_rights = reader.Bits("AccessRights");
  read.has_per_user_connections = reader.HasCapability(kPerUserConnections);
  const std::string identity_uuid = reader.Text("IdentityCertificateUUID");
  reader.Need("IdentityCertificateUUID", identity_uuid);
  if (reader.problem()) return Fail(*reader.problem());
  Result<IdentityPayload> identity = FindIdentity(*profile, identity_uuid);
  if (!identity) return Fail(identity.error());
  read.identity = std::move(*identity);
  return read;
}

std::string WhyNotRenew(const EnrollmentProfile& installed, const EnrollmentProfile& renewed) {
  if (installed.payload_identifier != renewed.payload_identifier) {
    return "It has another PayloadIdentifier: it would be a second enrollment profile, which "
           "devices "
           "refuse.";
  }
  for (const auto& [key, text] : kKeptTexts) {
    if (installed.*text != renewed.*text) {
      return fmt::format("It has another {}, which devices refuse.", key);
    }
  }
  if (installed.has_per_user_connections != renewed.has_per_user_connections) {
    return fmt::format("It {} {} among its ServerCapabilities, which devices refuse.",
                       renewed.has_per_user_connections ? "has" : "no longer has",
                       kPerUserConnections);
  }
  if (installed.access_rights == renewed.access_rights) return {};
  const std::int64_t before = installed.access_rights.value_or(0);
  const std::int64_t after = renewed.access_rights.value_or(0);
  if ((after & ~before) != 0) return "It asks for more AccessRights, which devices refuse.";
  return "It has fewer AccessRights, which could not be had back without a new enrollment.";
}

}  // namespace director
