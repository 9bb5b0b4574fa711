#include <string>

#include "mdm/command.h"
#include "tests/support/catch.h"

namespace director::mdm_command_test {
namespace {

const CommandUuid kUuid("0001-uuid");

ReceivedCommand MustDecode(const Command& command) {
  const std::string xml = EncodeCommand(command, kUuid);
  CHECK(xml.starts_with("<?xml"));
  auto received = DecodeCommand(xml);
  REQUIRE(received);
  CHECK(received->command_uuid == kUuid);
  CHECK(received->request_type == RequestType(command));
  return *received;
}

TEST_CASE("commands reach the device as they were meant") {
  const std::string payload("<?xml\0\xFF binary", 15);
  const auto install = MustDecode(InstallProfileCommand{payload});
  CHECK(install.request_type == "InstallProfile");
  CHECK(install.body.Find("Payload")->AsData()->bytes == payload);
  CHECK(install.body.entries().size() == 2);

  const auto remove = MustDecode(RemoveProfileCommand{PayloadIdentifier("com.example.<a>&")});
  CHECK(remove.request_type == "RemoveProfile");
  CHECK(*remove.body.Find("Identifier")->AsString() == "com.example.<a>&");

  const auto list = MustDecode(ProfileListCommand{});
  CHECK(list.request_type == "ProfileList");
  CHECK(list.body.Find("ManagedOnly") == nullptr);
  CHECK(list.body.entries().size() == 1);

  const auto information = MustDecode(DeviceInformationCommand{{"OSVersion", "DeviceName"}});
  CHECK(information.request_type == "DeviceInformation");
  CHECK(*information.body.Find("Queries") == PlistValue(PlistArray{"OSVersion", "DeviceName"}));
}

TEST_CASE("a lock and an erase carry their PIN, and leave out what is empty") {
  const auto lock = MustDecode(DeviceLockCommand{Secret("123456"), "Call us", "0800 1234"});
  CHECK(TextAt(lock.body, "PIN") == "123456");
  CHECK(TextAt(lock.body, "Message") == "Call us");
  CHECK(TextAt(lock.body, "PhoneNumber") == "0800 1234");
  CHECK(TextAt(MustDecode(EraseDeviceCommand{Secret("123456")}).body, "PIN") == "123456");
  for (const Command& bare : {Command(DeviceLockCommand{}), Command(EraseDeviceCommand{}),
                              Command(RestartDeviceCommand{}), Command(ShutDownDeviceCommand{})}) {
    CHECK(MustDecode(bare).body.entries().size() == 1);
  }
}

TEST_CASE(
    "a recovery lock is set with or without the password before, and cleared by an empty one") {
  const auto set = MustDecode(SetRecoveryLockCommand{Secret("OLD"), Secret("NEW")});
  CHECK(TextAt(set.body, "CurrentPassword") == "OLD");
  CHECK(TextAt(set.body, "NewPassword") == "NEW");
  const auto clear = MustDecode(SetRecoveryLockCommand{});
  CHECK(clear.body.Find("CurrentPassword") == nullptr);
  REQUIRE(clear.body.Find("NewPassword") != nullptr);
  CHECK(*clear.body.Find("NewPassword") == PlistValue(""));
  CHECK(TextAt(MustDecode(VerifyRecoveryLockCommand{Secret("NEW")}).body, "Password") == "NEW");
}

TEST_CASE(
    "a FileVault key is rotated with what unlocks the volume and a certificate for the answer") {
  const auto rotate = MustDecode(RotateFileVaultKeyCommand{Secret("OLD"), "DER"});
  CHECK(rotate.request_type == "RotateFileVaultKey");
  CHECK(TextAt(rotate.body, "KeyType") == "personal");
  REQUIRE(rotate.body.Find("FileVaultUnlock") != nullptr);
  CHECK(TextAt(*rotate.body.Find("FileVaultUnlock")->AsDict(), "Password") == "OLD");
  CHECK(rotate.body.Find("ReplyEncryptionCertificate")->AsData()->bytes == "DER");
  CHECK(rotate.body.entries().size() == 4);
}

TEST_CASE("commands that no device could answer are refused") {
  const auto field = [](const std::string& body) {
    const auto received = DecodeCommand("<dict>" + body + "</dict>");
    if (received) return std::string("accepted");
    CHECK(received.error().kind == ErrorKind::kInvalid);
    return received.error().field;
  };
  const std::string uuid = "<key>CommandUUID</key><string>u</string>";
  const std::string command =
      "<key>Command</key><dict><key>RequestType</key><string>X</string></dict>";
  CHECK(field(uuid + command) == "accepted");
  CHECK(field(command) == "CommandUUID");
  CHECK(field("<key>CommandUUID</key><string/>" + command) == "CommandUUID");
  CHECK(field("<key>CommandUUID</key><true/>" + command) == "CommandUUID");
  CHECK(field(uuid) == "Command");
  CHECK(field(uuid + "<key>Command</key><array/>") == "Command");
  CHECK(field(uuid + "<key>Command</key><dict/>") == "RequestType");
  CHECK(field(uuid + "<key>Command</key><dict><key>RequestType</key><string/></dict>") ==
        "RequestType");
  CHECK_FALSE(DecodeCommand("<array/>"));
  CHECK_FALSE(DecodeCommand(""));
}

}  // namespace
}  // namespace director::mdm_command_test
