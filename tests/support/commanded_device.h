#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mdm/command.h"
#include "mdm/event.h"
#include "mdm/plist.h"
#include "signing/device_identity.h"
#include "simulator/device.h"
#include "tests/support/catch.h"

namespace director::device_test {

using std::chrono::hours;
using std::chrono::minutes;

inline const Timestamp kStart = FromUnixMs(1'795'000'000'000);
inline const PayloadIdentifier kWifi("com.example.wifi");

inline PlistDict MakeProfile(const std::string& identifier, const std::string& uuid) {
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

inline const std::string kUuid1 = "11111111-0000-4000-8000-000000000001";
inline const std::string kUuid2 = "11111111-0000-4000-8000-000000000002";

inline std::string Install(const std::string& payload) {
  return EncodeCommand(InstallProfileCommand{payload}, CommandUuid("INSTALL"));
}
inline std::string InstallWifi(const std::string& uuid = kUuid1) {
  return Install(EncodePlistXml(MakeProfile(kWifi.value(), uuid)));
}
inline std::string Remove(const std::string& identifier) {
  return EncodeCommand(RemoveProfileCommand{PayloadIdentifier(identifier)}, CommandUuid("REMOVE"));
}
inline std::string List() { return EncodeCommand(ProfileListCommand(), CommandUuid("LIST")); }
inline std::string Raw(const std::string& request_type) {
  PlistDict command;
  command.Set("RequestType", request_type);
  PlistDict root;
  root.Set("CommandUUID", "RAW");
  root.Set("Command", std::move(command));
  return EncodePlistXml(std::move(root));
}

inline VirtualDevice Make(DeviceKind kind, DeviceBehaviour behaviour = {}) {
  return VirtualDevice(MakeDeviceFacts(kind, 5, 0), std::move(behaviour), 5);
}

inline PlistDict Dict(const std::string& body) {
  Result<PlistValue> plist = DecodePlist(body);
  REQUIRE(plist);
  REQUIRE(plist->AsDict() != nullptr);
  return *plist->AsDict();
}

inline ResultEvent Run(VirtualDevice& device, const std::string& command, Timestamp now = kStart) {
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

inline std::vector<ReportedProfile> ListProfiles(VirtualDevice& device, Timestamp now = kStart) {
  const ResultEvent result = Run(device, List(), now);
  REQUIRE(result.profile_list);
  return *result.profile_list;
}

inline std::string Word(const DeviceMessage& message) {
  const PlistDict dict = Dict(message.body);
  const PlistValue* type = dict.Find("MessageType");
  return *(type != nullptr ? type : dict.Find("Status"))->AsString();
}

inline void EnrollAndRest(VirtualDevice& device, Timestamp now = kStart) {
  auto message = device.BeginSession(now);
  while (message) message = device.HandleReply({200, ""}, now);
  REQUIRE(device.state() == EnrollmentState::kEnrolled);
}

}  // namespace director::device_test
