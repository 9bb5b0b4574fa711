#include <string>

#include "simulator/device.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// What an MDM server sends to a simulated device: each part of an input is one command.
namespace director::fuzz_virtual_device {
namespace {

constexpr std::size_t kCommandsMax = 16;

Timestamp Now() { return FromUnixMs(1'795'000'000'000); }

void CheckAnswer(const CommandAnswer& answer) {
  const Result<PlistValue> value = DecodePlist(answer.body);
  INVARIANT(value.has_value());
  const PlistDict* message = value->AsDict();
  INVARIANT(message != nullptr);
  INVARIANT(DecodeResult(*message).has_value());
  INVARIANT(DecodeChannel(*message).has_value());
}

}  // namespace

FUZZ_TARGET(virtual_device) {
  for (const DeviceKind kind : {DeviceKind::kMac, DeviceKind::kIphone}) {
    VirtualDevice device(MakeDeviceFacts(kind, 7, 1), {}, 1);
    const std::vector<std::string_view> parts = fuzz::SplitParts(input);
    for (std::size_t i = 0; i < std::min(parts.size(), kCommandsMax); ++i) {
      const Result<CommandAnswer> answer = device.Execute(parts[i], Now());
      if (answer) {
        CheckAnswer(*answer);
      } else {
        fuzz::CheckRefusal(answer.error());
      }
    }
    INVARIANT(device.profiles().size() <= kDeviceProfilesMax);
    INVARIANT(device.log().size() <= kDeviceLogMax);
  }
}

}  // namespace director::fuzz_virtual_device
