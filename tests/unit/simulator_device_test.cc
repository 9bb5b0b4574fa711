#include <set>
#include <string>

#include "signing/reply_identity.h"
#include "tests/support/commanded_device.h"
#include "tests/support/reply_identity.h"

namespace director::simulator_device_test {
namespace {

using namespace device_test;

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

TEST_CASE("a locked Mac is silent until somebody types the PIN; an iPhone goes on") {
  DeviceBehaviour behaviour;
  behaviour.unlocked_after = std::chrono::minutes(30);
  VirtualDevice mac(MakeDeviceFacts(DeviceKind::kMac, 1, 0), behaviour, 1);
  const auto lock = EncodeCommand(DeviceLockCommand{Secret("123456"), "", ""}, CommandUuid("C"));
  CHECK(mac.Execute(EncodeCommand(DeviceLockCommand{}, CommandUuid("C")), kStart)->status ==
        "CommandFormatError");
  CHECK_FALSE(mac.is_locked());
  REQUIRE(mac.Execute(lock, kStart)->status == "Acknowledged");
  CHECK(mac.is_locked());
  CHECK_FALSE(mac.BeginSession(kStart + std::chrono::minutes(29)));
  CHECK(mac.NextAwakeTime(kStart) == kStart + std::chrono::minutes(30));
  CHECK(mac.BeginSession(kStart + std::chrono::minutes(30)));
  VirtualDevice iphone = Make(DeviceKind::kIphone);
  REQUIRE(iphone.Execute(lock, kStart)->status == "Acknowledged");
  CHECK_FALSE(iphone.is_locked());
}

TEST_CASE("a Mac guards its recovery lock by the password before") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  const auto run = [](VirtualDevice& device, const Command& command) {
    return device.Execute(EncodeCommand(command, CommandUuid("C")), kStart).value();
  };
  const auto verifies = [&](const char* password) {
    const CommandAnswer answer = run(mac, VerifyRecoveryLockCommand{Secret(password)});
    CHECK(answer.status == "Acknowledged");
    return answer.body.find("<true/>") != std::string::npos;
  };
  CHECK(run(mac, SetRecoveryLockCommand{{}, Secret("ONE")}).status == "Acknowledged");
  CHECK(verifies("ONE"));
  CHECK_FALSE(verifies("TWO"));
  for (const char* wrong : {"", "TWO"}) {
    const auto refused = run(mac, SetRecoveryLockCommand{Secret(wrong), Secret("TWO")});
    CHECK(refused.status == "Error");
    CHECK(refused.body.find("MDMClientError") != std::string::npos);
    CHECK(mac.recovery_lock_password() == "ONE");
  }
  CHECK(run(mac, SetRecoveryLockCommand{Secret("ONE"), Secret("TWO")}).status == "Acknowledged");
  CHECK(run(mac, SetRecoveryLockCommand{Secret("TWO"), {}}).status == "Acknowledged");
  CHECK(mac.recovery_lock_password().empty());
  CHECK(run(mac, SetRecoveryLockCommand{{}, Secret("ONE")}).status == "Acknowledged");
  mac.Reenroll(ReenrollmentKind::kKept, kStart);
  CHECK(mac.recovery_lock_password() == "ONE");
  mac.Reenroll(ReenrollmentKind::kWiped, kStart);
  CHECK(mac.recovery_lock_password().empty());
  VirtualDevice iphone = Make(DeviceKind::kIphone);
  CHECK(run(iphone, SetRecoveryLockCommand{{}, Secret("ONE")}).status == "Error");
  CHECK(run(iphone, VerifyRecoveryLockCommand{Secret("ONE")}).status == "Error");
}

TEST_CASE("a Mac with FileVault rotates its recovery key for who can unlock it") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  const Secret identity = director_test::SomeReplyIdentity();
  const std::string certificate = ReplyCertificate(identity).value();
  const auto rotate = [&](VirtualDevice& device, const std::string& password,
                          const std::string& for_certificate) {
    return device
        .Execute(EncodeCommand(RotateFileVaultKeyCommand{Secret(password), for_certificate},
                               CommandUuid("C")),
                 kStart)
        .value();
  };
  const std::string first = mac.recovery_key();
  CHECK(first == FirstRecoveryKey(mac.facts()));
  CHECK(first.size() == 29);
  CHECK(rotate(mac, "wrong", certificate).status == "Error");
  CHECK(rotate(mac, first, "no certificate").status == "CommandFormatError");
  CHECK(mac.recovery_key() == first);
  std::set<std::string> keys = {first};
  for (const std::string& password : {FileVaultPassword(mac.facts()), std::string()}) {
    const CommandAnswer answer =
        rotate(mac, password.empty() ? mac.recovery_key() : password, certificate);
    CHECK(answer.status == "Acknowledged");
    const auto result = DecodeResult(Dict(answer.body));
    REQUIRE(result);
    const auto opened = OpenReply(identity, std::get<ResultEvent>(*result).encrypted_recovery_key);
    REQUIRE(opened);
    CHECK(opened->Reveal() == mac.recovery_key());
    CHECK(mac.recovery_key_command() == CommandUuid("C"));
    CHECK(keys.insert(mac.recovery_key()).second);
  }
  mac.Reenroll(ReenrollmentKind::kKept, kStart);
  CHECK(mac.recovery_key() != first);
  mac.Reenroll(ReenrollmentKind::kWiped, kStart);
  CHECK(mac.recovery_key() == first);
  DeviceBehaviour without;
  without.file_vault = false;
  VirtualDevice bare(MakeDeviceFacts(DeviceKind::kMac, 1, 0), without, 1);
  CHECK(bare.recovery_key().empty());
  CHECK(rotate(bare, first, certificate).status == "Error");
  VirtualDevice iphone = Make(DeviceKind::kIphone);
  CHECK(rotate(iphone, first, certificate).status == "Error");
}

TEST_CASE("an erased device answers once and enrolls anew, whether the answer arrives or not") {
  const int status = GENERATE(200, 0, 500);
  VirtualDevice mac = Make(DeviceKind::kMac);
  auto message = mac.BeginSession(kStart);
  const auto erase = EncodeCommand(EraseDeviceCommand{Secret("123456")}, CommandUuid("C"));
  while (message && Word(*message) != "Idle") message = mac.HandleReply({200, ""}, kStart);
  REQUIRE(message);
  REQUIRE(mac.HandleReply({200, erase}, kStart));
  CHECK_FALSE(mac.HandleReply({status, ""}, kStart));
  CHECK(mac.epoch() == 2);
  const auto anew = mac.BeginSession(kStart);
  REQUIRE(anew);
  CHECK(Word(*anew) == "Authenticate");
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

TEST_CASE("a renewed device signs with its new identity from its Authenticate on") {
  std::set<std::string> orders;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    DeviceBehaviour behaviour;
    behaviour.identity_lifetime = hours(24 * 365);
    VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 1, 0), behaviour, seed);
    EnrollAndRest(device);
    CHECK(device.BeginSession(kStart)->identity == 0);
    const std::string renewal = Install(MakeEnrollmentMobileconfig(SimulatorManagement()));
    auto message = device.HandleReply({200, renewal}, kStart);
    std::string order;
    while (message) {
      const std::string word = Word(*message);
      order += word + " ";
      const bool is_before = order == "Acknowledged ";
      CHECK(message->identity == (is_before ? 0 : 1));
      message = device.HandleReply({200, ""}, kStart);
    }
    CHECK(device.renewals() == 1);
    CHECK(device.epoch() == 1);
    CHECK(device.carried_out().at("InstallProfile") == 1);
    orders.insert(order);
  }
  CHECK(orders.size() == 2);
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

}  // namespace
}  // namespace director::simulator_device_test
