#include <string>

#include "mdm/profile.h"
#include "tests/support/catch.h"

namespace director::mdm_profile_test {
namespace {

constexpr std::string_view kWifi = R"(<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadIdentifier</key><string>com.example.wifi</string>
  <key>PayloadUUID</key><string>11111111-2222-3333-4444-555555555555</string>
  <key>PayloadDisplayName</key><string>Büro &amp; Gäste 😀</string>
  <key>PayloadScope</key><string>System</string>
  <key>RemovalDate</key><date>2030-01-02T03:04:05Z</date>
  <key>DurationUntilRemoval</key><real>86400.1</real>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadType</key><string>com.apple.wifi.managed</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>com.example.wifi.1</string>
      <key>PayloadUUID</key><string>aaaaaaaa-0000-0000-0000-000000000001</string>
      <key>SSID_STR</key><string></string>
      <key>Big</key><integer>18446744073709551615</integer>
      <key>Small</key><integer>-9223372036854775808</integer>
      <key>Blob</key><data>AAEC/w==</data>
    </dict>
  </array>
</dict>
</plist>
)";

PlistDict DecodeDict(std::string_view bytes) {
  auto value = DecodePlist(bytes);
  REQUIRE(value);
  REQUIRE(value->AsDict() != nullptr);
  return *value->AsDict();
}

PlistDict MakePayload(const std::string& name) {
  PlistDict payload;
  payload.Set("PayloadType", "com.apple.dock");
  payload.Set("PayloadVersion", PlistInteger{false, 1});
  payload.Set("PayloadIdentifier", PlistValue("com.example." + name));
  payload.Set("PayloadUUID", PlistValue("uuid-" + name));
  return payload;
}

PlistDict MakeRoot(PlistArray payloads) {
  PlistDict root;
  root.Set("PayloadType", "Configuration");
  root.Set("PayloadVersion", PlistInteger{false, 1});
  root.Set("PayloadIdentifier", "com.example.p");
  root.Set("PayloadDisplayName", "P");
  root.Set("PayloadContent", PlistValue(std::move(payloads)));
  return root;
}

Result<Profile> Parse(const PlistDict& root) { return ParseProfile(EncodePlistXml(root)); }

/// The field that the refusal names; "accepted" when there was none.
std::string RefusedField(const PlistDict& root) {
  const auto profile = Parse(root);
  if (profile) return "accepted";
  CHECK(profile.error().kind == ErrorKind::kInvalid);
  CHECK_FALSE(profile.error().message.empty());
  return profile.error().field;
}

std::string RefusedWith(const std::string& key, PlistValue value) {
  PlistDict root = MakeRoot({MakePayload("a")});
  root.Set(key, std::move(value));
  return RefusedField(root);
}

TEST_CASE("a profile is read and keeps all but its top-level PayloadUUID") {
  const auto profile = ParseProfile(kWifi);
  REQUIRE(profile);
  CHECK(profile->payload_identifier.value() == "com.example.wifi");
  CHECK(profile->original_payload_uuid == "11111111-2222-3333-4444-555555555555");
  CHECK(profile->display_name == "Büro & Gäste 😀");
  CHECK(profile->payload_scope == "System");
  CHECK_FALSE(profile->is_encrypted);
  CHECK_FALSE(profile->has_mdm_payload);
  REQUIRE(profile->payloads.size() == 1);
  CHECK(profile->payloads[0].payload_type == "com.apple.wifi.managed");
  CHECK(profile->payloads[0].payload_identifier == "com.example.wifi.1");
  CHECK(profile->payloads[0].payload_uuid == "aaaaaaaa-0000-0000-0000-000000000001");

  PlistDict expected = DecodeDict(kWifi);
  expected.Set("PayloadUUID", PlistValue(profile->payload_uuid.value()));
  CHECK(DecodeDict(profile->mobileconfig) == expected);
  CHECK(profile->mobileconfig.starts_with("<?xml"));
}

TEST_CASE("the content UUID of the sample is frozen") {
  // Never edit this value: fleets know their revisions by it.
  const auto profile = ParseProfile(kWifi);
  REQUIRE(profile);
  CHECK(profile->payload_uuid.value() == "A84B0A65-D023-8757-8643-695789AA87C4");
}

TEST_CASE("the content UUID depends on the content alone") {
  const auto profile = ParseProfile(kWifi);
  REQUIRE(profile);
  const std::string uuid = profile->payload_uuid.value();
  REQUIRE(uuid.size() == 36);
  CHECK(uuid[14] == '8');
  CHECK(std::string("89AB").find(uuid[19]) != std::string::npos);
  CHECK(uuid.find_first_not_of("0123456789ABCDEF-") == std::string::npos);

  const auto again = ParseProfile(profile->mobileconfig);
  REQUIRE(again);
  CHECK(again->payload_uuid == profile->payload_uuid);
  CHECK(again->mobileconfig == profile->mobileconfig);
  CHECK(again->original_payload_uuid == uuid);

  const auto binary = ParseProfile(EncodePlistBinary(PlistValue(DecodeDict(kWifi))));
  REQUIRE(binary);
  CHECK(binary->payload_uuid == profile->payload_uuid);

  PlistDict without = DecodeDict(kWifi);
  without.Erase("PayloadUUID");
  CHECK(Parse(without)->payload_uuid == profile->payload_uuid);

  PlistDict inner = DecodeDict(kWifi);
  inner.Set("PayloadContent", PlistValue(PlistArray{MakePayload("a")}));
  const auto first = Parse(inner)->payload_uuid;
  PlistDict payload = MakePayload("a");
  payload.Set("PayloadUUID", "another");
  inner.Set("PayloadContent", PlistValue(PlistArray{payload}));
  CHECK(Parse(inner)->payload_uuid != first);
}

TEST_CASE("encrypted profiles and the enrollment profile are recognised") {
  PlistDict root = MakeRoot({});
  root.Erase("PayloadContent");
  root.Set("IsEncrypted", true);
  CHECK(RefusedField(root) == "PayloadContent");
  root.Set("EncryptedPayloadContent", PlistData{"\x30"});
  const auto encrypted = Parse(root);
  REQUIRE(encrypted);
  CHECK(encrypted->is_encrypted);
  CHECK(encrypted->payloads.empty());

  PlistDict mdm = MakePayload("mdm");
  mdm.Set("PayloadType", "com.apple.mdm");
  const auto enrollment = Parse(MakeRoot({MakePayload("a"), mdm}));
  REQUIRE(enrollment);
  CHECK(enrollment->has_mdm_payload);
}

TEST_CASE("bad profiles are refused with the field") {
  CHECK(RefusedField(MakeRoot({MakePayload("a")})) == "accepted");
  CHECK_FALSE(ParseProfile("<array/>"));
  CHECK_FALSE(ParseProfile("hello"));
  CHECK(RefusedField(PlistDict{}) == "PayloadType");
  CHECK(RefusedWith("PayloadType", "com.apple.dock") == "PayloadType");
  CHECK(RefusedWith("PayloadType", true) == "PayloadType");
  CHECK(RefusedWith("PayloadIdentifier", "") == "PayloadIdentifier");
  CHECK(RefusedWith("PayloadIdentifier", PlistInteger{false, 1}) == "PayloadIdentifier");
  CHECK(RefusedWith("PayloadIdentifier", PlistValue(std::string(256, 'a'))) == "PayloadIdentifier");
  CHECK(RefusedWith("PayloadIdentifier", PlistValue(std::string(255, 'a'))) == "accepted");
  CHECK(RefusedWith("PayloadIdentifier", "a\nb") == "PayloadIdentifier");
  CHECK(RefusedWith("PayloadIdentifier", "a\x7F") == "PayloadIdentifier");
  // The C1 controls, such as a terminal's CSI: an assignment could not name it either.
  CHECK(RefusedWith("PayloadIdentifier", "a\u009Bb") == "PayloadIdentifier");
  CHECK(RefusedWith("PayloadVersion", "1") == "PayloadVersion");
  CHECK(RefusedWith("PayloadVersion", 1.0) == "PayloadVersion");
  CHECK(RefusedWith("PayloadScope", "system") == "PayloadScope");
  CHECK(RefusedWith("PayloadUUID", true) == "PayloadUUID");
  CHECK(RefusedWith("PayloadDisplayName", PlistArray{}) == "PayloadDisplayName");
  CHECK(RefusedWith("EncryptedPayloadContent", "x") == "EncryptedPayloadContent");
  CHECK(RefusedWith("PayloadContent", PlistDict{}) == "PayloadContent");
  CHECK(RefusedWith("PayloadContent", PlistArray{"x"}) == "PayloadContent[0]");
  CHECK(RefusedWith("PayloadContent", PlistArray{PlistDict{}}) == "PayloadContent[0].PayloadType");
  PlistDict root = MakeRoot({});
  root.Erase("PayloadIdentifier");
  CHECK(RefusedField(root) == "PayloadIdentifier");
  root = MakeRoot({});
  root.Erase("PayloadContent");
  CHECK(RefusedField(root) == "PayloadContent");
}

TEST_CASE("payloads must differ in UUID and identifier") {
  PlistDict other = MakePayload("b");
  CHECK(RefusedField(MakeRoot({MakePayload("a"), other})) == "accepted");
  other.Set("PayloadUUID", "UUID-A");
  CHECK(RefusedField(MakeRoot({MakePayload("a"), other})) == "PayloadContent[1].PayloadUUID");
  other = MakePayload("b");
  other.Set("PayloadIdentifier", "com.example.a");
  CHECK(RefusedField(MakeRoot({MakePayload("a"), other})) == "PayloadContent[1].PayloadIdentifier");
  other.Set("PayloadIdentifier", true);
  CHECK(RefusedField(MakeRoot({MakePayload("a"), other})) == "PayloadContent[1].PayloadIdentifier");
}

TEST_CASE("profiles beyond the size limit are refused in every form") {
  PlistDict payload = MakePayload("a");
  payload.Set("Blob", PlistData{std::string(5'000'000, 'x')});
  const PlistDict small = MakeRoot({payload});
  CHECK(RefusedField(small) == "accepted");
  payload.Set("Blob", PlistData{std::string(7'000'000, 'x')});
  const PlistDict large = MakeRoot({payload});
  CHECK_FALSE(Parse(large));
  const std::string binary = EncodePlistBinary(PlistValue(large));
  REQUIRE(binary.size() < kProfileSizeMaxBytes);
  CHECK_FALSE(ParseProfile(binary));
}

TEST_CASE("lint names what devices dislike") {
  const auto fields = [](const PlistDict& root) {
    std::string list;
    const auto profile = Parse(root);
    REQUIRE(profile);
    for (const auto& warning : LintProfile(*profile)) list += warning.field + ";";
    return list;
  };
  PlistDict root = MakeRoot({MakePayload("a")});
  CHECK(fields(root).empty());
  root.Erase("PayloadVersion");
  root.Erase("PayloadDisplayName");
  root.Set("PayloadScope", "User");
  PlistDict bare;
  bare.Set("PayloadType", "com.apple.dock");
  bare.Set("Blob", PlistData{std::string(1'000'000, 'x')});
  root.Set("PayloadContent", PlistArray{bare, bare});
  CHECK(fields(root) ==
        "PayloadVersion;PayloadDisplayName;PayloadScope;;PayloadContent[0].PayloadUUID;"
        "PayloadContent[0].PayloadIdentifier;PayloadContent[1].PayloadUUID;"
        "PayloadContent[1].PayloadIdentifier;");
}

TEST_CASE("whom a profile makes the device ask for a certificate is known by host and port") {
  const auto authority = [](PlistArray payloads) {
    const auto profile = ParseProfile(EncodePlistXml(PlistValue(MakeRoot(std::move(payloads)))));
    REQUIRE(profile);
    return profile->certificate_authority;
  };
  const auto payload = [](const char* type, const char* key, PlistValue value) {
    PlistDict dict = MakePayload(type);
    dict.Set("PayloadType", PlistValue(std::string(type)));
    dict.Set(key, std::move(value));
    return PlistValue(std::move(dict));
  };
  const auto scep = [&](const char* url) {
    PlistDict content;
    content.Set("URL", PlistValue(std::string(url)));
    return payload("com.apple.security.scep", "PayloadContent", PlistValue(std::move(content)));
  };
  const auto acme = [&](const char* url) {
    return payload("com.apple.security.acme", "DirectoryURL", PlistValue(std::string(url)));
  };
  const PlistValue dock{MakePayload("dock")};
  CHECK(authority({dock}).empty());
  CHECK(authority({dock, scep("https://user@CA.example.com:8443/scep?x=@y")}) ==
        "ca.example.com:8443");
  CHECK(authority({acme("https://acme.example.com")}) == "acme.example.com");
  CHECK(authority({payload("com.apple.ADCertificate.managed", "CertServer",
                           PlistValue("PKI.corp.example"))}) == "pki.corp.example");
  CHECK(authority({dock, acme("https://first/directory"), scep("http://second/")}) == "first");
  // Not as Apple wants it: the device says so, not Director.
  CHECK(authority({payload("com.apple.security.scep", "PayloadContent", PlistValue("text"))}) ==
        "");
  CHECK(authority({payload("com.apple.security.acme", "DirectoryURL", PlistValue(true))}) == "");
}

}  // namespace
}  // namespace director::mdm_profile_test
