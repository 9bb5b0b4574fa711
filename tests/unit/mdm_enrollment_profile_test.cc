#include <functional>
#include <string>

#include "mdm/enrollment_profile.h"
#include "mdm/machine_info.h"
#include "mdm/plist.h"
#include "tests/support/catch.h"

namespace director::mdm_enrollment_profile_test {
namespace {

const std::string kIdentityUuid = "AAAAAAAA-0000-4000-8000-00000000000A";

/// An enrollment profile in its parts, to be bent.
struct Parts {
  Parts() {
    mdm.Set("PayloadType", "com.apple.mdm");
    mdm.Set("PayloadIdentifier", "com.example.mdm.mdm");
    mdm.Set("PayloadUUID", "BBBBBBBB-0000-4000-8000-00000000000B");
    mdm.Set("Topic", "com.apple.mgmt.External.example");
    mdm.Set("ServerURL", "https://mdm.example.com/mdm?token=abc");
    mdm.Set("CheckInURL", "https://mdm.example.com/checkin");
    mdm.Set("AccessRights", PlistInteger::FromSigned(8191));
    mdm.Set("IdentityCertificateUUID", "aaaaaaaa-0000-4000-8000-00000000000a");
    mdm.Set("ServerCapabilities", PlistArray{"com.apple.mdm.per-user-connections"});
    identity.Set("PayloadType", "com.apple.security.scep");
    identity.Set("PayloadIdentifier", "com.example.mdm.scep");
    identity.Set("PayloadUUID", kIdentityUuid);
    root.Set("PayloadType", "Configuration");
    root.Set("PayloadIdentifier", "com.example.mdm");
    root.Set("PayloadUUID", "CCCCCCCC-0000-4000-8000-00000000000C");
    root.Set("PayloadVersion", PlistInteger::FromSigned(1));
  }

  std::string Write(const PlistArray& more = {}) {
    PlistArray content = {identity, mdm};
    content.insert(content.end(), more.begin(), more.end());
    root.Set("PayloadContent", content);
    return EncodePlistXml(root);
  }
  EnrollmentProfile Read() {
    const auto read = ReadEnrollmentProfile(Write());
    INFO((read ? std::string() : ErrorForLog(read.error())));
    REQUIRE(read);
    return *read;
  }

  PlistDict mdm;
  PlistDict identity;
  PlistDict root;
};

void CheckRefused(const std::string& mobileconfig, const std::string& field) {
  const auto read = ReadEnrollmentProfile(mobileconfig);
  REQUIRE_FALSE(read);
  CHECK(read.error().kind == ErrorKind::kInvalid);
  CHECK(read.error().field == field);
}

/// Why a profile that is bent like this may not take the place of the one that it was made from.
std::string WhyNot(const std::function<void(Parts&)>& bend) {
  Parts parts;
  const EnrollmentProfile installed = parts.Read();
  bend(parts);
  return WhyNotRenew(installed, parts.Read());
}

TEST_CASE("what must stay is read out of an enrollment profile") {
  Parts parts;
  const EnrollmentProfile read = parts.Read();
  CHECK(read.payload_identifier.value() == "com.example.mdm");
  CHECK(read.topic == "com.apple.mgmt.External.example");
  CHECK(read.server_url == "https://mdm.example.com/mdm?token=abc");
  CHECK(read.check_in_url == "https://mdm.example.com/checkin");
  CHECK(read.access_rights == 8191);
  CHECK(read.has_per_user_connections);
  CHECK(read.identity == IdentityPayload{"com.apple.security.scep", "com.example.mdm.scep"});
  CHECK(*ReadEnrollmentProfile(EncodePlistBinary(*DecodePlist(parts.Write()))) == read);
}

TEST_CASE("keys that an enrollment profile may lack are empty") {
  Parts parts;
  for (const char* key : {"CheckInURL", "AccessRights", "ServerCapabilities"}) parts.mdm.Erase(key);
  parts.identity.Set("PayloadType", "com.apple.security.acme");
  const EnrollmentProfile read = parts.Read();
  CHECK(read.check_in_url.empty());
  CHECK_FALSE(read.access_rights);
  CHECK_FALSE(read.has_per_user_connections);
  CHECK(read.identity.payload_type == "com.apple.security.acme");
}

TEST_CASE("what is no enrollment profile is refused, with the key that says so") {
  Parts parts;
  SECTION("no MDM payload") {
    parts.mdm.Set("PayloadType", "com.apple.screensaver");
    CheckRefused(parts.Write(), "PayloadContent");
  }
  SECTION("two MDM payloads") {
    PlistDict second = parts.mdm;
    second.Set("PayloadIdentifier", "com.example.mdm.second");
    second.Set("PayloadUUID", "DDDDDDDD-0000-4000-8000-00000000000D");
    CheckRefused(parts.Write({second}), "PayloadContent");
  }
  SECTION("encrypted") {
    parts.root.Set("EncryptedPayloadContent", PlistData{"x"});
    CheckRefused(parts.Write(), "EncryptedPayloadContent");
  }
  SECTION("a needed key is missing, empty or no text") {
    const std::string key = GENERATE("Topic", "ServerURL", "IdentityCertificateUUID");
    const int how = GENERATE(0, 1, 2);
    if (how == 0) parts.mdm.Erase(key);
    if (how == 1) parts.mdm.Set(key, "");
    if (how == 2) parts.mdm.Set(key, true);
    CheckRefused(parts.Write(), key);
  }
  SECTION("other types") {
    parts.mdm.Set("ServerCapabilities", "com.apple.mdm.per-user-connections");
    CheckRefused(parts.Write(), "ServerCapabilities");
    parts.mdm.Erase("ServerCapabilities");
    parts.mdm.Set("AccessRights", "8191");
    CheckRefused(parts.Write(), "AccessRights");
    parts.mdm.Set("AccessRights", PlistInteger::FromSigned(-1));
    CheckRefused(parts.Write(), "AccessRights");
  }
  SECTION("the identity is nowhere, or none") {
    parts.identity.Set("PayloadUUID", "EEEEEEEE-0000-4000-8000-00000000000E");
    CheckRefused(parts.Write(), "IdentityCertificateUUID");
    parts.identity.Set("PayloadUUID", kIdentityUuid);
    parts.identity.Set("PayloadType", "com.apple.security.root");
    CheckRefused(parts.Write(), "IdentityCertificateUUID");
  }
  SECTION("no profile at all") {
    CheckRefused("<plist><array/></plist>", "");
    CHECK_FALSE(ReadEnrollmentProfile("\x30\x82"));
    CHECK_FALSE(ReadEnrollmentProfile(""));
  }
}

TEST_CASE("a renewal may change the identity and everything else that devices let change") {
  CHECK(WhyNot([](Parts&) {}).empty());
  CHECK(WhyNot([](Parts& parts) {
          parts.identity.Set("PayloadType", "com.apple.security.acme");
          parts.identity.Set("PayloadIdentifier", "com.example.mdm.acme");
          parts.root.Set("PayloadUUID", "FFFFFFFF-0000-4000-8000-00000000000F");
          parts.root.Set("PayloadDisplayName", "New");
          parts.mdm.Set("SignMessage", true);
        }).empty());
}

TEST_CASE("a renewal that devices would refuse is refused before, without showing a value") {
  const std::string key = GENERATE("Topic", "ServerURL", "CheckInURL", "AssignedManagedAppleID",
                                   "EnrollmentMode", "RequiredAppIDForMDM");
  const std::string why =
      WhyNot([&](Parts& parts) { parts.mdm.Set(key, "https://other/?token=x"); });
  CHECK(why == "It has another " + key + ", which devices refuse.");
  CHECK_FALSE(WhyNot([](Parts& parts) { parts.mdm.Erase("CheckInURL"); }).empty());
  CHECK(WhyNot([](Parts& parts) {
          parts.root.Set("PayloadIdentifier", "COM.example.mdm");
        }).find("another PayloadIdentifier") != std::string::npos);
  CHECK(WhyNot([](Parts& parts) {
          parts.mdm.Set("ServerCapabilities", PlistArray{"com.apple.mdm.token"});
        }).find("no longer has com.apple.mdm.per-user-connections") != std::string::npos);
}

TEST_CASE("AccessRights may neither grow nor shrink") {
  const auto with = [](std::int64_t rights) {
    return WhyNot(
        [=](Parts& parts) { parts.mdm.Set("AccessRights", PlistInteger::FromSigned(rights)); });
  };
  CHECK(with(8191).empty());
  CHECK(with(8191 + 8192) == "It asks for more AccessRights, which devices refuse.");
  CHECK(with(8192) == "It asks for more AccessRights, which devices refuse.");
  CHECK(with(4095).find("fewer AccessRights") != std::string::npos);
  CHECK(WhyNot([](Parts& parts) { parts.mdm.Erase("AccessRights"); }).find("fewer") !=
        std::string::npos);
}

TEST_CASE("what a device says of itself is written with the keys of MachineInfo") {
  MachineInfo info;
  info.udid = "00000000-0000-4000-8000-00000000000A";
  info.serial_number = "C02A";
  info.product_name = "Mac15,6";
  info.os_version = "15.1";
  info.build_version = "24B83";
  const auto decoded = DecodePlist(EncodeMachineInfo(info));
  REQUIRE(decoded);
  PlistDict expected;
  expected.Set("UDID", info.udid);
  expected.Set("SERIAL", "C02A");
  expected.Set("PRODUCT", "Mac15,6");
  expected.Set("OS_VERSION", "15.1");
  expected.Set("VERSION", "24B83");
  CHECK(*decoded == PlistValue(expected));
}

}  // namespace
}  // namespace director::mdm_enrollment_profile_test
