#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mdm/command.h"
#include "mdm/event.h"
#include "mdm/plist.h"
#include "signing/device_identity.h"
#include "simulator/device.h"
#include "tests/support/catch.h"

namespace director::simulator_device_test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

const Timestamp kStart = FromUnixMs(1'795'000'000'000);
const PayloadIdentifier kWifi("com.example.wifi");

PlistDict MakeProfile(const std::string& identifier, const std::string& uuid) {
  PlistDict payload;
  payload.Set("PayloadType", "com.apple.wifi.managed");
  payload.Set("PayloadVersion", PlistInteger::FromSigned(1));
  payload.Set("PayloadIdentifier", identifier + ".inner");
  payload.Set("PayloadUUID", "22222222-0000-4000-8000-000000000001");
  PlistDict root;
  root.Set("PayloadType", "Configuration");
  root.Set("PayloadVersion", PlistInteger::FromSigned(1));
  root.Set("PayloadIdentifier", identifier);
  root.Set("PayloadUUID", uuid);
  root.Set("PayloadDisplayName", "Wi-Fi");
  root.Set("PayloadContent", PlistArray{payload});
  return root;
}

const std::string kUuid1 = "11111111-0000-4000-8000-000000000001";
const std::string kUuid2 = "11111111-0000-4000-8000-000000000002";

std::string Install(const std::string& payload) {
  return EncodeCommand(InstallProfileCommand{payload}, CommandUuid("INSTALL"));
}
std::string InstallWifi(const std::string& uuid = kUuid1) {
  return Install(EncodePlistXml(MakeProfile(kWifi.value(), uuid)));
}
std::string Remove(const std::string& identifier) {
  return EncodeCommand(RemoveProfileCommand{PayloadIdentifier(identifier)}, CommandUuid("REMOVE"));
}
std::string List() { return EncodeCommand(ProfileListCommand(), CommandUuid("LIST")); }
std::string Raw(const std::string& request_type) {
  PlistDict command;
  command.Set("RequestType", request_type);
  PlistDict root;
  root.Set("CommandUUID", "RAW");
  root.Set("Command", std::move(command));
  return EncodePlistXml(std::move(root));
}

VirtualDevice Make(DeviceKind kind, DeviceBehaviour behaviour = {}) {
  return VirtualDevice(MakeDeviceFacts(kind, 5, 0), std::move(behaviour), 5);
}

PlistDict Dict(const std::string& body) {
  Result<PlistValue> plist = DecodePlist(body);
  REQUIRE(plist);
  REQUIRE(plist->AsDict() != nullptr);
  return *plist->AsDict();
}

ResultEvent Run(VirtualDevice& device, const std::string& command, Timestamp now = kStart) {
  const Result<CommandAnswer> answer = device.Execute(command, now);
  REQUIRE(answer);
  const Result<EventBody> event = DecodeResult(Dict(answer->body));
  REQUIRE(event);
  REQUIRE(std::holds_alternative<ResultEvent>(*event));
  CHECK(std::get<ResultEvent>(*event).status == (answer->status == "NotNow" ? CommandStatus::kNotNow
                                                 : answer->status == "Error" ? CommandStatus::kError
                                                 : answer->status == "Acknowledged"
                                                     ? CommandStatus::kAcknowledged
                                                     : CommandStatus::kCommandFormatError));
  return std::get<ResultEvent>(*event);
}

std::vector<ReportedProfile> ListProfiles(VirtualDevice& device, Timestamp now = kStart) {
  const ResultEvent result = Run(device, List(), now);
  REQUIRE(result.profile_list);
  return *result.profile_list;
}

std::string Word(const DeviceMessage& message) {
  const PlistDict dict = Dict(message.body);
  const PlistValue* type = dict.Find("MessageType");
  return *(type != nullptr ? type : dict.Find("Status"))->AsString();
}

void EnrollAndRest(VirtualDevice& device, Timestamp now = kStart) {
  auto message = device.BeginSession(now);
  while (message) message = device.HandleReply({200, ""}, now);
  REQUIRE(device.state() == EnrollmentState::kEnrolled);
}

TEST_CASE("devices of a fleet are distinct and repeatable") {
  std::set<std::string> udids;
  std::set<std::string> serials;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const DeviceKind kind = i % 2 == 0 ? DeviceKind::kMac : DeviceKind::kIphone;
    const DeviceFacts facts = MakeDeviceFacts(kind, 1, i);
    CHECK(facts == MakeDeviceFacts(kind, 1, i));
    udids.insert(facts.udid);
    serials.insert(facts.serial_number);
  }
  CHECK(udids.size() == 500);
  CHECK(serials.size() == 500);
  CHECK(MakeDeviceFacts(DeviceKind::kMac, 1, 0).udid.size() == 36);
  const std::string iphone = MakeDeviceFacts(DeviceKind::kIphone, 1, 0).udid;
  CHECK(iphone.size() == 25);
  CHECK(iphone[8] == '-');
  const DeviceFacts mac = MakeDeviceFacts(DeviceKind::kMac, 1, 0);
  const DeviceFacts user = MakeUserFacts(mac, 1);
  CHECK(EnrollmentIdOf(user).value() == mac.udid + ":" + user.user_id);
}

TEST_CASE("check-ins are what the decoder for real devices reads") {
  VirtualDevice device = Make(DeviceKind::kMac);
  const auto authenticate = DecodeCheckin(Dict(device.MakeAuthenticate().body));
  REQUIRE(authenticate);
  const auto* facts = std::get_if<AuthenticateEvent>(&*authenticate);
  REQUIRE(facts != nullptr);
  CHECK(facts->serial_number == device.facts().serial_number);
  CHECK(facts->build_version == device.facts().build_version);
  const auto channel = DecodeChannel(Dict(device.MakeIdle().body));
  REQUIRE(channel);
  CHECK(channel->enrollment_id == device.enrollment_id());

  const PlistDict token = Dict(device.MakeTokenUpdate().body);
  CHECK(token.Find("Token")->AsData()->bytes.size() == 32);
  CHECK(token.Find("AwaitingConfiguration") == nullptr);
  VirtualDevice user(MakeUserFacts(device.facts(), 5), {}, 5);
  const PlistDict user_token = Dict(user.MakeTokenUpdate().body);
  CHECK_FALSE(*user_token.Find("Token") == *token.Find("Token"));
  const auto user_channel = DecodeChannel(user_token);
  REQUIRE(user_channel);
  CHECK(user_channel->type == ChannelType::kUser);
  CHECK(user_channel->enrollment_id == user.enrollment_id());
  CHECK(Word(device.MakeCheckOut()) == "CheckOut");
}

TEST_CASE("a session enrolls, polls, answers commands and ends") {
  VirtualDevice device = Make(DeviceKind::kMac);
  auto message = device.BeginSession(kStart);
  REQUIRE(message);
  CHECK(Word(*message) == "Authenticate");
  CHECK(message->kind == MessageKind::kCheckin);
  message = device.HandleReply({200, ""}, kStart);
  REQUIRE(message);
  CHECK(Word(*message) == "TokenUpdate");
  message = device.HandleReply({200, ""}, kStart);
  REQUIRE(message);
  CHECK(Word(*message) == "Idle");
  CHECK(message->kind == MessageKind::kConnect);
  message = device.HandleReply({200, InstallWifi()}, kStart);
  REQUIRE(message);
  CHECK(Word(*message) == "Acknowledged");
  CHECK_FALSE(device.HandleReply({200, ""}, kStart));
  CHECK(device.FindProfile(kWifi) != nullptr);
  CHECK_FALSE(device.HandleReply({200, ""}, kStart));
}

TEST_CASE("a user channel begins with TokenUpdate and has no enrollment profile") {
  VirtualDevice user(MakeUserFacts(MakeDeviceFacts(DeviceKind::kMac, 5, 0), 5), {}, 5);
  const auto message = user.BeginSession(kStart);
  REQUIRE(message);
  CHECK(Word(*message) == "TokenUpdate");
  CHECK(ListProfiles(user).empty());
}

TEST_CASE("an answer that was not delivered is sent again first") {
  VirtualDevice device = Make(DeviceKind::kMac);
  EnrollAndRest(device);
  device.BeginSession(kStart);
  const auto answer = device.HandleReply({200, InstallWifi()}, kStart);
  REQUIRE(answer);
  const DeviceReply lost = GENERATE(DeviceReply{0, ""}, DeviceReply{500, "oops"});
  CHECK_FALSE(device.HandleReply(lost, kStart));
  const auto again = device.BeginSession(kStart);
  REQUIRE(again);
  CHECK(again->body == answer->body);
  CHECK_FALSE(device.HandleReply({200, ""}, kStart));
  CHECK(Word(*device.BeginSession(kStart)) == "Idle");
}

TEST_CASE("401 un-enrolls") {
  VirtualDevice device = Make(DeviceKind::kMac);
  EnrollAndRest(device);
  device.BeginSession(kStart);
  CHECK_FALSE(device.HandleReply({401, ""}, kStart));
  CHECK(device.state() == EnrollmentState::kGone);
  CHECK_FALSE(device.BeginSession(kStart));
  CHECK_FALSE(device.NextAwakeTime(kStart));
}

TEST_CASE("a server that never stops does not hold a device") {
  VirtualDevice device = Make(DeviceKind::kMac);
  EnrollAndRest(device);
  auto message = device.BeginSession(kStart);
  int count = 0;
  while (message) {
    REQUIRE(++count <= kSessionMessagesMax);
    message = device.HandleReply({200, List()}, kStart);
  }
  CHECK(count == kSessionMessagesMax);
}

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
  PlistDict payload;
  payload.Set("PayloadType", "com.apple.mdm");
  payload.Set("PayloadVersion", PlistInteger::FromSigned(1));
  payload.Set("PayloadIdentifier", "mdm");
  payload.Set("PayloadUUID", kUuid2);
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

TEST_CASE("queries") {
  VirtualDevice device = Make(DeviceKind::kMac);
  const ResultEvent info =
      Run(device,
          EncodeCommand(DeviceInformationCommand{DeviceInformationQueries()}, CommandUuid("INFO")));
  CHECK(info.command_uuid.value() == "INFO");
  REQUIRE(info.device_information);
  CHECK(info.device_information->serial_number == device.facts().serial_number);
  CHECK(info.device_information->build_version == device.facts().build_version);
  CHECK(info.device_information->is_supervised == true);
  const PlistDict few =
      Dict(device
               .Execute(EncodeCommand(DeviceInformationCommand{{"OSVersion", "Unheard"}},
                                      CommandUuid("FEW")),
                        kStart)
               ->body);
  CHECK(few.Find("QueryResponses")->AsDict()->entries().size() == 1);

  CHECK(Dict(device.Execute(Raw("SecurityInfo"), kStart)->body).Find("SecurityInfo") != nullptr);
  const ResultEvent unknown = Run(device, Raw("DanceTango"));
  REQUIRE(unknown.error_chain.size() == 1);
  CHECK(unknown.error_chain[0].code == 12021);
  CHECK(Run(device, Raw("InstallProfile")).status == CommandStatus::kCommandFormatError);
  CHECK(Run(device, Raw("DeviceInformation")).status == CommandStatus::kCommandFormatError);
  const auto unreadable = device.Execute("junk", kStart);
  REQUIRE_FALSE(unreadable);
  CHECK(unreadable.error().kind == ErrorKind::kInvalid);
}

TEST_CASE("awaiting configuration until DeviceConfigured") {
  DeviceBehaviour behaviour;
  behaviour.awaits_configuration = true;
  VirtualDevice device = Make(DeviceKind::kMac, behaviour);
  const auto token = DecodeCheckin(Dict(device.MakeTokenUpdate().body));
  REQUIRE(token);
  CHECK(std::get<TokenUpdateEvent>(*token).awaiting_configuration == true);
  CHECK(Run(device, Raw("DeviceConfigured")).status == CommandStatus::kAcknowledged);
  CHECK(Dict(device.MakeTokenUpdate().body).Find("AwaitingConfiguration") == nullptr);
  CHECK(Run(device, Raw("DeviceConfigured")).status == CommandStatus::kError);
}

TEST_CASE("NotNow phases") {
  NotNowPhase phase;
  phase.until = kStart + minutes(10);
  DeviceBehaviour behaviour;
  SECTION("everything, then a poll by itself") {
    behaviour.not_now = {phase};
    VirtualDevice device = Make(DeviceKind::kMac, behaviour);
    EnrollAndRest(device);
    device.BeginSession(kStart);
    const auto answer = device.HandleReply({200, List()}, kStart);
    CHECK(Word(*answer) == "NotNow");
    CHECK_FALSE(device.HandleReply({200, ""}, kStart));
    CHECK(device.self_poll_at() == phase.until);
    CHECK(Run(device, List(), phase.until).status == CommandStatus::kAcknowledged);
  }
  SECTION("changes only") {
    phase.scope = NotNowScope::kChanges;
    behaviour.not_now = {phase};
    VirtualDevice device = Make(DeviceKind::kIphone, behaviour);
    CHECK(Run(device, List()).status == CommandStatus::kAcknowledged);
    CHECK(Run(device, InstallWifi()).status == CommandStatus::kNotNow);
    CHECK(device.FindProfile(kWifi) == nullptr);
  }
  SECTION("a chance is a chance, the same for the same seed") {
    phase.probability = 0.5;
    behaviour.not_now = {phase};
    VirtualDevice one = Make(DeviceKind::kMac, behaviour);
    VirtualDevice two = Make(DeviceKind::kMac, behaviour);
    int not_now = 0;
    for (int i = 0; i < 200; ++i) {
      const auto status = one.Execute(List(), kStart)->status;
      CHECK(status == two.Execute(List(), kStart)->status);
      not_now += status == "NotNow" ? 1 : 0;
    }
    CHECK(not_now > 50);
    CHECK(not_now < 150);
  }
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

TEST_CASE("wake schedule") {
  DeviceBehaviour behaviour;
  behaviour.wake = {hours(1), hours(3), kStart.time_since_epoch()};
  VirtualDevice device = Make(DeviceKind::kMac, behaviour);
  CHECK(device.IsAwake(kStart));
  CHECK(device.IsAwake(kStart + minutes(59)));
  CHECK_FALSE(device.IsAwake(kStart + hours(1)));
  CHECK_FALSE(device.BeginSession(kStart + hours(2)));
  CHECK(device.NextAwakeTime(kStart + hours(2)) == kStart + hours(4));
  CHECK(device.IsAwake(kStart + hours(4)));
  CHECK_FALSE(device.IsAwake(kStart - minutes(1)));
  CHECK(device.NextAwakeTime(kStart - minutes(1)) == kStart);
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

TEST_CASE("the OS grows and devices enroll again") {
  DeviceBehaviour behaviour;
  behaviour.os_updates = {{kStart + hours(1), "15.2", "24C101"}};
  behaviour.reenrollments = {{kStart + hours(2), ReenrollmentKind::kKept},
                             {kStart + hours(3), ReenrollmentKind::kWiped}};
  VirtualDevice device = Make(DeviceKind::kMac, behaviour);
  EnrollAndRest(device);
  Run(device, InstallWifi());
  const std::string token = device.MakeTokenUpdate().body;
  EnrollAndRest(device, kStart + hours(1));
  CHECK(device.facts().build_version == "24C101");
  CHECK(device.epoch() == 1);
  CHECK(Word(*device.BeginSession(kStart + hours(2))) == "Authenticate");
  CHECK(device.epoch() == 2);
  CHECK(device.MakeTokenUpdate().body != token);
  CHECK(device.FindProfile(kWifi) != nullptr);
  EnrollAndRest(device, kStart + hours(3));
  CHECK(device.epoch() == 3);
  CHECK(device.FindProfile(kWifi) == nullptr);
  CHECK(ListProfiles(device).size() == 1);
  CHECK_FALSE(device.NextOwnEventAt());
}

TEST_CASE("the log is small and printable") {
  VirtualDevice device = Make(DeviceKind::kMac);
  for (int i = 0; i < 100; ++i) Run(device, Remove("evil\nname"));
  REQUIRE(device.log().size() == kDeviceLogMax);
  CHECK(device.log().back().at == kStart);
  CHECK(std::none_of(device.log().begin(), device.log().end(), [](const DeviceLogEntry& entry) {
    return entry.text.empty() || entry.text.find('\n') != std::string::npos;
  }));
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
}  // namespace director::simulator_device_test
