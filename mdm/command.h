#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "mdm/inventory.h"
#include "mdm/plist.h"

namespace director {

/// Installs or replaces a profile. `payload` is the whole file: XML property list or CMS-signed
/// DER.
struct InstallProfileCommand {
  std::string payload;
};

/// Removes the profile with this top-level PayloadIdentifier.
struct RemoveProfileCommand {
  PayloadIdentifier payload_identifier;
};

/// Asks for all profiles of the channel. ManagedOnly is left out on purpose: a copy installed by
/// hand must be visible.
struct ProfileListCommand {};

/// Asks for the named facts.
struct DeviceInformationCommand {
  std::vector<std::string> queries;
};

struct SecurityInfoCommand {};

/// Lets a device go that is held in Setup Assistant.
struct DeviceConfiguredCommand {};

/// Asks for all certificates. ManagedOnly is left out as with ProfileList.
struct CertificateListCommand {};

/// Asks for all apps, with every key.
struct InstalledApplicationListCommand {};

/// Asks for the status of all managed apps.
struct ManagedApplicationListCommand {};

/// Locks the device. A Mac restarts and asks for the PIN, six characters, which only Macs take.
/// Empty strings are left out.
struct DeviceLockCommand {
  Secret pin;
  std::string message;
  std::string phone_number;
};

/// Erases the device. A Mac without Apple silicon or a T2 chip then asks for the PIN, six
/// characters; an empty one is left out.
struct EraseDeviceCommand {
  Secret pin;
};

struct RestartDeviceCommand {};

struct ShutDownDeviceCommand {};

/// Sets the recovery lock password of a Mac with Apple silicon (macOS 11.5), or clears it with an
/// empty `new_password`. `current_password` is needed where one is set; an empty one is left out.
struct SetRecoveryLockCommand {
  Secret current_password;
  Secret new_password;
};

/// Makes a Mac replace the personal recovery key of FileVault. It answers with the new one in a CMS
/// EnvelopedData for `reply_certificate`. Institutional keys are not for APFS volumes and left out.
/// Source: Apple device-management schema, rotate.file.vault.key.
struct RotateFileVaultKeyCommand {
  Secret password;  ///< unlocks the volume now: a FileVault user's, or the personal recovery key
  std::string reply_certificate;  ///< DER
};

/// Asks such a Mac whether this is its recovery lock password.
struct VerifyRecoveryLockCommand {
  Secret password;
};

/// Installs an app from the App Store or from a manifest's URL. `arguments`: the keys of the
/// command but RequestType.
struct InstallApplicationCommand {
  PlistDict arguments;
};

/// Installs a package on a Mac by the manifest in it.
struct InstallEnterpriseApplicationCommand {
  PlistDict arguments;
};

/// Removes a managed app.
struct RemoveApplicationCommand {
  std::string identifier;  ///< bundle identifier
};

/// Makes the accounts of a Mac in Setup Assistant.
struct AccountConfigurationCommand {
  PlistDict arguments;
};

/// Every command that Director can send.
using Command = std::variant<
    InstallProfileCommand, RemoveProfileCommand, ProfileListCommand, DeviceInformationCommand,
    SecurityInfoCommand, CertificateListCommand, ManagedApplicationListCommand,
    InstalledApplicationListCommand, DeviceConfiguredCommand, DeviceLockCommand, EraseDeviceCommand,
    RestartDeviceCommand, ShutDownDeviceCommand, SetRecoveryLockCommand, VerifyRecoveryLockCommand,
    RotateFileVaultKeyCommand, InstallApplicationCommand, InstallEnterpriseApplicationCommand,
    RemoveApplicationCommand, AccountConfigurationCommand>;

/// The wire names, in one table.
namespace request_type {
inline constexpr std::string_view kInstallProfile = "InstallProfile";
inline constexpr std::string_view kRemoveProfile = "RemoveProfile";
inline constexpr std::string_view kProfileList = "ProfileList";
inline constexpr std::string_view kDeviceInformation = "DeviceInformation";
inline constexpr std::string_view kDeviceConfigured = "DeviceConfigured";
inline constexpr std::string_view kSecurityInfo = "SecurityInfo";
inline constexpr std::string_view kCertificateList = "CertificateList";
inline constexpr std::string_view kManagedApplicationList = "ManagedApplicationList";
inline constexpr std::string_view kInstalledApplicationList = "InstalledApplicationList";
inline constexpr std::string_view kDeviceLock = "DeviceLock";
inline constexpr std::string_view kEraseDevice = "EraseDevice";
inline constexpr std::string_view kRestartDevice = "RestartDevice";
inline constexpr std::string_view kShutDownDevice = "ShutDownDevice";
inline constexpr std::string_view kRotateFileVaultKey = "RotateFileVaultKey";
inline constexpr std::string_view kSetRecoveryLock = "SetRecoveryLock";
inline constexpr std::string_view kVerifyRecoveryLock = "VerifyRecoveryLock";
inline constexpr std::string_view kInstallApplication = "InstallApplication";
inline constexpr std::string_view kInstallEnterpriseApplication = "InstallEnterpriseApplication";
inline constexpr std::string_view kRemoveApplication = "RemoveApplication";
inline constexpr std::string_view kAccountConfiguration = "AccountConfiguration";
}  // namespace request_type

/// The queries that Director asks in DeviceInformation: all that Apple's schema knows but PushToken
/// (tokens are the MDM server's), DevicePropertiesAttestation (devices limit its rate) and
/// EACSPreflight (it makes the device check itself). Devices leave out what they do not support.
const std::vector<std::string>& DeviceInformationQueries();

/// The command that asks for this kind.
Command InventoryCommand(InventoryKind kind);

std::string_view RequestType(const Command& command);

/// Encodes the command as the XML property list that a device receives. Begins with `<?xml`, as SQL
/// stores of NanoMDM and MicroMDM demand. Source: Apple device-management schema, mdm/commands.
std::string EncodeCommand(const Command& command, const CommandUuid& command_uuid);

/// A command as a device sees it.
struct ReceivedCommand {
  CommandUuid command_uuid;
  std::string request_type;
  PlistDict body;  ///< the Command dictionary
};

/// Decodes what an MDM server hands to a device; for the simulator and the stand-in. kInvalid when
/// CommandUUID, Command or RequestType is missing or empty.
Result<ReceivedCommand> DecodeCommand(std::string_view bytes);

}  // namespace director
