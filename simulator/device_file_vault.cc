// FileVault on a simulated Mac.
#include <string>
#include <utility>

#include "base/text.h"
#include "signing/reply_identity.h"
#include "simulator/device.h"

namespace director {
namespace {

/// No source tells which errors Macs answer with here: these are nobody's.
constexpr char kErrorDomain[] = "com.example.simulator.filevault";
constexpr int kFileVaultIsOff = 1;
constexpr int kWrongPassword = 2;

std::string DataAt(const PlistDict& dict, std::string_view key) {
  const PlistValue* value = dict.Find(key);
  const PlistData* data = value == nullptr ? nullptr : value->AsData();
  return data == nullptr ? std::string() : data->bytes;
}

}  // namespace

/// A Mac that is new or was erased has its first key, whatever it had before.
void VirtualDevice::StartFileVault() {
  const bool is_on = behaviour_.file_vault && facts_.kind == DeviceKind::kMac && !IsUserChannel();
  recovery_key_ = is_on ? FirstRecoveryKey(facts_) : std::string();
  recovery_key_command_ = CommandUuid();
}

/// Apple, rotate.file.vault.key: what unlocks the volume is the password of a FileVault user or the
/// recovery key. Only personal keys are simulated.
VirtualDevice::Outcome VirtualDevice::RunRotateFileVaultKey(const ReceivedCommand& command,
                                                            Timestamp now) {
  const PlistValue* value = command.body.Find("FileVaultUnlock");
  const PlistDict* unlock = value == nullptr ? nullptr : value->AsDict();
  const std::string certificate = DataAt(command.body, "ReplyEncryptionCertificate");
  const bool is_whole =
      unlock != nullptr && !certificate.empty() && TextAt(command.body, "KeyType") == "personal";
  if (!is_whole) return FormatError();
  if (recovery_key_.empty()) {
    return Failed(OneErrorChain(kErrorDomain, kFileVaultIsOff, "FileVault is not on."));
  }
  const std::string password = TextAt(*unlock, "Password");
  if (password != recovery_key_ && password != FileVaultPassword(facts_)) {
    return Failed(OneErrorChain(kErrorDomain, kWrongPassword, "The password is wrong."));
  }
  std::string key = MakeRecoveryKey(key_random_);
  Result<std::string> envelope = EncryptReply(certificate, key);
  if (!envelope) return FormatError();
  recovery_key_ = std::move(key);
  recovery_key_command_ = command.command_uuid;
  Note(now, "has a new recovery key");
  PlistDict rotated;
  rotated.Set("EncryptedNewRecoveryKey", PlistData{std::move(*envelope)});
  Outcome outcome;
  outcome.extra.Set("RotateResult", std::move(rotated));
  return outcome;
}

}  // namespace director
