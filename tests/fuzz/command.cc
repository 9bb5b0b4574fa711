#include "mdm/command.h"

#include <string>

#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// Commands as an MDM server hands them to a device; the simulator reads them.
namespace director::fuzz_command {
namespace {

/// The same command, encoded by hand.
std::string Encode(const ReceivedCommand& command) {
  PlistDict message;
  message.Set("CommandUUID", PlistValue(command.command_uuid.value()));
  message.Set("Command", PlistValue(command.body));
  return EncodePlistXml(PlistValue(std::move(message)));
}

/// What Director would send under this name, a device understands.
void CheckEncoders(const ReceivedCommand& command, std::string_view input) {
  for (const Command& ours :
       {Command(InstallProfileCommand{std::string(input)}),
        Command(RemoveProfileCommand{PayloadIdentifier(command.request_type)}),
        Command(ProfileListCommand()),
        Command(DeviceInformationCommand{{command.request_type, "SerialNumber"}})}) {
    const Result<ReceivedCommand> sent = DecodeCommand(EncodeCommand(ours, command.command_uuid));
    INVARIANT(sent.has_value());
    INVARIANT(sent->command_uuid == command.command_uuid);
    INVARIANT(sent->request_type == RequestType(ours));
  }
}

}  // namespace

FUZZ_TARGET(command) {
  const Result<ReceivedCommand> command = DecodeCommand(input);
  if (!command) return fuzz::CheckRefusal(command.error());
  INVARIANT(!command->command_uuid.empty());
  INVARIANT(!command->request_type.empty());
  const Result<ReceivedCommand> again = DecodeCommand(Encode(*command));
  INVARIANT(again.has_value());
  INVARIANT(again->command_uuid == command->command_uuid);
  INVARIANT(again->request_type == command->request_type);
  INVARIANT(CanonicalPlistBytes(again->body) == CanonicalPlistBytes(command->body));
  CheckEncoders(*command, input);
}

}  // namespace director::fuzz_command
