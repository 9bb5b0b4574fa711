#include "tests/support/commanded_device.h"

namespace director::simulator_device_profiles_test {
namespace {

using namespace device_test;

TEST_CASE("installing replaces by identifier and shows in ProfileList") {
  const DeviceKind kind = GENERATE(DeviceKind::kMac, DeviceKind::kIphone);
  VirtualDevice device = Make(kind);
  std::vector<ReportedProfile> profiles = ListProfiles(device);
  REQUIRE(profiles.size() == 1);
  CHECK(profiles[0].has_mdm_payload);
  CHECK(Run(device, InstallWifi(kUuid1)).status == CommandStatus::kAcknowledged);
  CHECK(Run(device, InstallWifi(kUuid2)).status == CommandStatus::kAcknowledged);
  profiles = ListProfiles(device);
  REQUIRE(profiles.size() == 2);
  CHECK(profiles[1].payload_identifier == kWifi);
  CHECK(profiles[1].payload_uuid == kUuid2);
  CHECK(profiles[1].display_name == "Wi-Fi");
  CHECK_FALSE(profiles[1].has_mdm_payload);

  const PlistDict raw = Dict(device.Execute(List(), kStart)->body);
  const PlistDict* entry = raw.Find("ProfileList")->AsArray()->back().AsDict();
  REQUIRE(entry->Find("PayloadContent") != nullptr);
  CHECK(entry->Find("PayloadContent")->AsArray()->size() == 1);
  CHECK((entry->Find("SignerCertificates") != nullptr) == (kind == DeviceKind::kMac));
  CHECK((entry->Find("IsManaged") != nullptr) == (kind == DeviceKind::kIphone));
}

TEST_CASE("broken profiles are refused with wrapper and cause") {
  VirtualDevice device = Make(DeviceKind::kIphone);
  PlistDict profile = MakeProfile(kWifi.value(), kUuid1);
  std::string bytes;
  std::int64_t code = 0;
  SECTION("rubbish") {
    bytes = "rubbish";
    code = 1000;
  }
  SECTION("broken signature container") {
    bytes = "\x30\x82\x01";
    code = 1004;
  }
  SECTION("not a configuration") {
    profile.Set("PayloadType", "Other");
    code = 1000;
  }
  SECTION("identifier missing") {
    profile.Erase("PayloadIdentifier");
    code = 1002;
  }
  SECTION("UUID of the wrong type") {
    profile.Set("PayloadUUID", true);
    code = 1003;
  }
  SECTION("version missing") {
    profile.Erase("PayloadVersion");
    code = 1002;
  }
  SECTION("content missing") {
    profile.Erase("PayloadContent");
    code = 1002;
  }
  SECTION("content of the wrong type") {
    profile.Set("PayloadContent", "text");
    code = 1003;
  }
  SECTION("one payload twice") {
    PlistArray content = *profile.Find("PayloadContent")->AsArray();
    content.push_back(content[0]);
    profile.Set("PayloadContent", content);
    code = 1007;
  }
  if (bytes.empty()) bytes = EncodePlistXml(profile);
  const ResultEvent result = Run(device, Install(bytes));
  CHECK(result.status == CommandStatus::kError);
  REQUIRE(result.error_chain.size() == 2);
  CHECK(result.error_chain[0].domain == "MCInstallationErrorDomain");
  CHECK(result.error_chain[0].code == 4001);
  CHECK(result.error_chain[1].domain == "MCProfileErrorDomain");
  CHECK(result.error_chain[1].code == code);
  CHECK(ListProfiles(device).size() == 1);
}

TEST_CASE("Macs forgive a missing PayloadVersion") {
  VirtualDevice device = Make(DeviceKind::kMac);
  PlistDict profile = MakeProfile(kWifi.value(), kUuid1);
  profile.Erase("PayloadVersion");
  CHECK(Run(device, Install(EncodePlistXml(profile))).status == CommandStatus::kAcknowledged);
}

TEST_CASE("a second MDM profile is refused, the enrollment profile can be renewed") {
  VirtualDevice device = Make(DeviceKind::kMac);
  const ManagementKeys management = SimulatorManagement();
  PlistDict payload;
  payload.Set("PayloadType", "com.apple.mdm");
  payload.Set("PayloadVersion", PlistInteger::FromSigned(1));
  payload.Set("PayloadIdentifier", "mdm");
  payload.Set("PayloadUUID", kUuid2);
  payload.Set("Topic", management.topic);
  payload.Set("ServerURL", management.server_url);
  payload.Set("AccessRights", PlistInteger::FromSigned(management.access_rights));
  PlistDict profile = MakeProfile("com.example.other", kUuid1);
  profile.Set("PayloadContent", PlistArray{payload});
  const ResultEvent second = Run(device, Install(EncodePlistXml(profile)));
  REQUIRE(second.error_chain.size() == 2);
  CHECK(second.error_chain[1].code == 12001);
  const std::string enrollment = device.profiles().front().payload_identifier.value();
  profile.Set("PayloadIdentifier", enrollment);
  CHECK(Run(device, Install(EncodePlistXml(profile))).status == CommandStatus::kAcknowledged);
  CHECK(device.profiles().front().payload_uuid == kUuid1);
  const ResultEvent without = Run(device, Install(EncodePlistXml(MakeProfile(enrollment, kUuid2))));
  CHECK(without.error_chain.back().code == 4015);
}

TEST_CASE("a renewal that changes where the device is managed is refused") {
  VirtualDevice device = Make(DeviceKind::kMac);
  const auto refused = [&](const ManagementKeys& management) {
    const ResultEvent answer = Run(device, Install(MakeEnrollmentMobileconfig(management)));
    return answer.error_chain.empty() ? 0 : answer.error_chain.back().code;
  };
  ManagementKeys other = SimulatorManagement();
  other.topic = "com.apple.mgmt.External.other";
  CHECK(refused(other) == 12009);
  other = SimulatorManagement();
  other.server_url += "?token=1";
  CHECK(refused(other) == 12009);
  other = SimulatorManagement();
  other.check_in_url = "https://mdm.example.com/checkin";
  CHECK(refused(other) == 12009);
  other = SimulatorManagement();
  other.access_rights = 16383;
  CHECK(refused(other) == 4015);
  other.access_rights = 1;
  CHECK(refused(other) == 0);
}

TEST_CASE("removing: found, not found, no identifier") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  VirtualDevice iphone = Make(DeviceKind::kIphone);
  Run(mac, InstallWifi());
  CHECK(Run(mac, Remove(kWifi.value())).status == CommandStatus::kAcknowledged);
  CHECK(mac.FindProfile(kWifi) == nullptr);
  const ResultEvent gone = Run(mac, Remove(kWifi.value()));
  REQUIRE(gone.error_chain.size() == 1);
  CHECK(gone.error_chain[0].domain == "MDMClientError");
  CHECK(gone.error_chain[0].code == 89);
  const ResultEvent other = Run(iphone, Remove(kWifi.value()));
  REQUIRE(other.error_chain.size() == 1);
  CHECK(other.error_chain[0].domain == "MCMDMErrorDomain");
  CHECK(other.error_chain[0].code == 12075);
  CHECK(Run(mac, Raw("RemoveProfile")).error_chain.at(0).code == 97);
  CHECK(Run(iphone, Raw("RemoveProfile")).status == CommandStatus::kCommandFormatError);
}

TEST_CASE("removing the enrollment profile ends management with CheckOut") {
  VirtualDevice device = Make(DeviceKind::kMac);
  EnrollAndRest(device);
  device.BeginSession(kStart);
  const std::string enrollment = device.profiles().front().payload_identifier.value();
  auto message = device.HandleReply({200, Remove(enrollment)}, kStart);
  REQUIRE(message);
  CHECK(Word(*message) == "Acknowledged");
  message = device.HandleReply({200, List()}, kStart);
  REQUIRE(message);
  CHECK(Word(*message) == "CheckOut");
  CHECK_FALSE(device.HandleReply({200, ""}, kStart));
  CHECK(device.state() == EnrollmentState::kGone);
  CHECK(device.profiles().empty());
}

TEST_CASE("planned failures: for ever, or the first times") {
  DeviceBehaviour behaviour;
  InstallFailure failure;
  failure.error_chain = InstallFailedChain("MCSCEPErrorDomain", 22005, "no network");
  SECTION("for ever, this profile only") {
    failure.payload_identifier = kWifi;
    behaviour.install_failures = {failure};
    VirtualDevice device = Make(DeviceKind::kMac, behaviour);
    for (int i = 0; i < 5; ++i) {
      const ResultEvent result = Run(device, InstallWifi());
      CHECK(result.error_chain == failure.error_chain);
    }
    const std::string other = EncodePlistXml(MakeProfile("com.example.other", kUuid1));
    CHECK(Run(device, Install(other)).status == CommandStatus::kAcknowledged);
  }
  SECTION("twice per identifier") {
    failure.times = 2;
    behaviour.install_failures = {failure};
    VirtualDevice device = Make(DeviceKind::kMac, behaviour);
    CHECK(Run(device, InstallWifi()).status == CommandStatus::kError);
    CHECK(Run(device, InstallWifi()).status == CommandStatus::kError);
    CHECK(Run(device, InstallWifi()).status == CommandStatus::kAcknowledged);
  }
}

TEST_CASE("slow installs say how long the answer takes") {
  DeviceBehaviour behaviour;
  behaviour.install_delay = minutes(3);
  VirtualDevice device = Make(DeviceKind::kMac, behaviour);
  CHECK(device.Execute(InstallWifi(), kStart)->delay == minutes(3));
  CHECK(device.Execute(List(), kStart)->delay == Duration::zero());
}

TEST_CASE("a profile can cut a device off") {
  DeviceBehaviour behaviour;
  behaviour.dark_after = kWifi;
  VirtualDevice device = Make(DeviceKind::kMac, behaviour);
  EnrollAndRest(device);
  device.BeginSession(kStart);
  CHECK_FALSE(device.HandleReply({200, InstallWifi()}, kStart));
  CHECK(device.is_dark());
  CHECK_FALSE(device.BeginSession(kStart + hours(100)));
  CHECK_FALSE(device.NextAwakeTime(kStart));
  device.Reenroll(ReenrollmentKind::kWiped, kStart + hours(101));
  CHECK(device.BeginSession(kStart + hours(101)));
}

TEST_CASE("a user deletes profiles, never the enrollment profile") {
  DeviceBehaviour behaviour;
  behaviour.deletions = {{PayloadIdentifier(), kStart + hours(1), hours(1)}};
  VirtualDevice device = Make(DeviceKind::kMac, behaviour);
  Run(device, InstallWifi());
  CHECK(device.NextOwnEventAt() == kStart + hours(1));
  device.Advance(kStart + minutes(59));
  CHECK(device.FindProfile(kWifi) != nullptr);
  device.Advance(kStart + minutes(150));
  CHECK(device.FindProfile(kWifi) == nullptr);
  CHECK(device.NextOwnEventAt() == kStart + hours(3));
  device.Advance(kStart + hours(10));
  CHECK(device.profiles().size() == 1);
  CHECK_FALSE(device.DeleteProfile(device.profiles()[0].payload_identifier, kStart + hours(10)));
  CHECK_FALSE(device.DeleteProfile(kWifi, kStart + hours(10)));
}

TEST_CASE("the number of profiles is bounded") {
  VirtualDevice device = Make(DeviceKind::kMac);
  for (std::size_t i = 1; i < kDeviceProfilesMax; ++i) {
    const std::string name = "com.example.p" + std::to_string(i);
    REQUIRE(device.Execute(Install(EncodePlistXml(MakeProfile(name, kUuid1))), kStart)->status ==
            "Acknowledged");
  }
  CHECK(Run(device, InstallWifi()).error_chain.back().code == 4016);
}

}  // namespace
}  // namespace director::simulator_device_profiles_test
