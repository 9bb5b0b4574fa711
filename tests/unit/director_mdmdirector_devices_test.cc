// Devices as MDMDirector's clients see them, over real HTTP.
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/text.h"
#include "signing/device_identity.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"
#include "tests/support/mdmdirector_service.h"
#include "tests/support/pem.h"

namespace director::director_mdmdirector_devices_test {
namespace {

using director_test::ApiAnswer;
using director_test::Enroll;
using director_test::MakeMac;
using director_test::MakeMobileconfig;
using Fixture = director_test::CompatibleService;

const std::string kWifi = "com.example.wifi";

TEST_CASE("devices are listed with all keys, in parts when they are many") {
  Fixture world;
  for (std::size_t i = 3; i < 600; ++i) {
    Enroll(world.service.store(), MakeMac(i), world.service.clock().Now());
  }
  const ApiAnswer answer = world.Send("GET", "/device?info=limited");
  CHECK(answer.status == 200);
  REQUIRE(answer.json.is_array());
  std::set<std::string> udids;
  for (const auto& device : answer.json) udids.insert(device["UDID"].get<std::string>());
  CHECK(udids.size() == 599);
  CHECK(answer.json.size() == 599);
  CHECK(answer.body.starts_with("[\n    {\n        \"DeviceName\": "));
  CHECK(answer.body.ends_with("\n    }\n]"));
  const ApiAnswer full = world.Send("GET", "/device");
  CHECK(full.json.size() == 599);
}

TEST_CASE("a device is found by UDID and by serial number") {
  Fixture world;
  world.PostProfile(world.ToMac(), MakeMobileconfig(kWifi));
  const ApiAnswer by_udid = world.Send("GET", "/device/" + ToLowerAscii(world.udid()));
  REQUIRE(by_udid.status == 200);
  CHECK(by_udid.json["UDID"] == world.udid());
  CHECK(by_udid.json["SerialNumber"] == world.mac.facts().serial_number);
  CHECK(by_udid.json["Active"] == true);
  CHECK(by_udid.json["Profiles"].size() == 1);
  CHECK(by_udid.json["SecurityInfo"]["FDEEnabled"] == false);
  CHECK_FALSE(by_udid.json.contains("ProfileList"));
  const ApiAnswer by_serial =
      world.Send("GET", "/device/serial/" + world.mac.facts().serial_number);
  CHECK(by_serial.body == by_udid.body);
  CHECK(world.Send("GET", "/device/serial/NOPE").status == 404);
}

/// What a Mac said about itself, as it is stored.
void Say(Fixture& world, const std::map<InventoryKind, std::string>& answers) {
  const Timestamp now = world.service.clock().Now();
  const Status saved = world.service.store().Write([&](StoreWriter& writer) -> Status {
    const EnrollmentId id(world.udid());
    auto enrollments = writer.LoadEnrollments({id});
    if (!enrollments) return Fail(enrollments.error());
    Inventory inventory;
    for (const auto& [kind, answer] : answers) {
      enrollments->front().inventory_at[kind] = now;
      inventory[{id, kind}] = {1, now, answer};
    }
    if (Status done = writer.SaveEnrollments(*enrollments); !done) return done;
    return writer.SaveInventory(inventory);
  });
  REQUIRE(saved);
}

TEST_CASE("fault: SecurityInfo was never stored, and true never became false again") {
  Fixture world;
  Say(world, {{InventoryKind::kSecurityInfo, R"({
        "FDE_Enabled": true, "FDE_HasPersonalRecoveryKey": true,
        "FDE_PersonalRecoveryKeyCMS": "AAEC", "PasscodeLockGracePeriod": 300,
        "BootstrapTokenAllowedForAuthentication": "allowed",
        "FirewallSettings": {"FirewallEnabled": true, "Applications": []},
        "SecureBoot": {"SecureBootLevel": "full", "ReducedSecurity": {"AllowsMDM": true}},
        "ManagementStatus": {"EnrolledViaDEP": "odd", "UserApprovedEnrollment": true}})"}});
  const auto security = world.Send("GET", "/device/" + world.udid()).json["SecurityInfo"];
  CHECK(security["FDEEnabled"] == true);
  CHECK(security["FDEHasPersonalRecoveryKey"] == true);
  CHECK(security["FDEHasInstitutionalRecoveryKey"] == false);
  CHECK(security["FDEPersonalRecoveryKeyCMS"] == "AAEC");
  CHECK(security["PasscodeLockGracePeriod"] == 300);
  CHECK(security["BootstrapTokenAllowedForAuthentication"] == "allowed");
  CHECK(security["FirewallSettings"]["FirewallEnabled"] == true);
  CHECK(security["FirewallSettings"]["DeviceUDID"] == world.udid());
  CHECK_FALSE(security["FirewallSettings"].contains("Applications"));
  CHECK(security["SecureBoot"]["SecureBootLevel"] == "full");
  CHECK(security["SecureBoot"]["SecureBootReducedSecurity"]["AllowsMDM"] == true);
  CHECK(security["ManagementStatus"]["EnrolledViaDEP"] == false);
  CHECK(security["ManagementStatus"]["UserApprovedEnrollment"] == true);
  const std::string other = world.other.facts().udid;
  CHECK(security.size() == world.Send("GET", "/device/" + other).json["SecurityInfo"].size());

  Say(world, {{InventoryKind::kSecurityInfo, R"({"FDE_Enabled": false})"}});
  const ApiAnswer later = world.Send("GET", "/device?info=limited");
  REQUIRE(later.json.size() == 2);
  for (const auto& device : later.json) {
    CHECK(device["SecurityInfo"]["FDEEnabled"] == false);
    CHECK(device["SecurityInfo"]["FirewallSettings"]["FirewallEnabled"] == false);
  }
}

TEST_CASE("fault: one key of another type lost the whole answer of an iPad") {
  Fixture world;
  Say(world, {{InventoryKind::kDeviceInformation, R"({
        "DataRoamingEnabled": true, "IMEI": "35 6", "BatteryLevel": 0.5, "IsRoaming": "odd",
        "DeviceName": "said long ago", "HostName": "mac.example.com"})"}});
  const auto device = world.Send("GET", "/device/" + world.udid()).json;
  CHECK(device["DataRoamingEnabled"] == "true");
  CHECK(device["IMEI"] == "35 6");
  CHECK(device["BatteryLevel"] == 0.5);
  CHECK(device["IsRoaming"] == false);
  CHECK(device["HostName"] == "mac.example.com");
  CHECK(device["DeviceName"] == world.mac.facts().device_name);
  CHECK(device["LastDeviceInfo"] != "0001-01-01T00:00:00Z");
  CHECK(device["LastSecurityInfo"] == "0001-01-01T00:00:00Z");
}

TEST_CASE("fault: OSUpdateSettings were never stored") {
  Fixture world;
  Say(world, {{InventoryKind::kDeviceInformation,
               R"({"OSUpdateSettings": {"AutomaticCheckEnabled": true, "CatalogURL": "u",
                   "PreviousScanDate": "2026-01-02T03:04:05Z", "PreviousScanResult": 2}})"}});
  const auto settings = world.Send("GET", "/device/" + world.udid()).json["OSUpdateSettings"];
  CHECK(settings["AutomaticCheckEnabled"] == true);
  CHECK(settings["CatalogURL"] == "u");
  CHECK(settings["PreviousScanDate"] == "2026-01-02T03:04:05Z");
  CHECK(settings["PreviousScanResult"] == 2);
  CHECK(settings["DeviceUDID"] == world.udid());
}

TEST_CASE("fault: a certificate that cannot be read ended the request, and names were mixed up") {
  Fixture world;
  const Timestamp now = world.service.clock().Now();
  const PemIdentity authority = MakeAuthority("SCEP CA", now, 365).value();
  const PemIdentity identity = IssueIdentity(authority, "device", now, 30).value();
  const std::string data = EncodeBase64(test::DerOf(identity.certificate_pem));
  Say(world, {{InventoryKind::kCertificateList,
               R"([{"CommonName": "broken", "Data": "AAEC"}, {"CommonName": "none"},
                   {"CommonName": "device", "IsIdentity": true, "Data": ")" +
                   data + R"("}])"}});
  const auto device = world.Send("GET", "/device/" + world.udid()).json;
  REQUIRE(device["Certificates"].size() == 1);
  const auto& certificate = device["Certificates"][0];
  CHECK(certificate["CommonName"] == "device");
  CHECK(certificate["Subject"] == "CN=device");
  CHECK(certificate["Issuer"] == "CN=SCEP CA");
  CHECK(certificate["Data"] == data);
  CHECK(certificate["DeviceUDID"] == world.udid());
  CHECK(certificate["ID"].get<std::string>().size() == 36);
  CHECK_FALSE(
      world.Send("GET", "/device/" + world.udid() + "?info=limited").json.contains("Certificates"));
}

TEST_CASE("what a device said before its last enrollment is not shown as its own") {
  Fixture world;
  Say(world, {{InventoryKind::kSecurityInfo, R"({"FDE_Enabled": true})"}});
  Enroll(world.service.store(), world.mac, world.service.clock().Now() + std::chrono::hours(1));
  const auto device = world.Send("GET", "/device/" + world.udid()).json;
  CHECK(device["SecurityInfo"]["FDEEnabled"] == false);
  CHECK(device["LastSecurityInfo"] == "0001-01-01T00:00:00Z");
}

}  // namespace
}  // namespace director::director_mdmdirector_devices_test
