#include "mdm/command.h"

#include <utility>

namespace director {
namespace {

/// Fills the Command dictionary of each request type.
struct BodyEncoder {
  PlistDict& body;

  void operator()(const InstallProfileCommand& command) const {
    body.Set("Payload", PlistValue(PlistData{command.payload}));
  }
  void operator()(const RemoveProfileCommand& command) const {
    body.Set("Identifier", PlistValue(command.payload_identifier.value()));
  }
  void operator()(const ProfileListCommand&) const {}
  void operator()(const DeviceInformationCommand& command) const {
    PlistArray queries;
    for (const auto& query : command.queries) queries.emplace_back(query);
    body.Set("Queries", PlistValue(std::move(queries)));
  }
  void operator()(const SecurityInfoCommand&) const {}
  void operator()(const DeviceConfiguredCommand&) const {}
  void operator()(const CertificateListCommand&) const {}
  void operator()(const ManagedApplicationListCommand&) const {}
  void operator()(const InstalledApplicationListCommand&) const {}
  void operator()(const DeviceLockCommand& command) const {
    SetText("PIN", command.pin.Reveal());
    SetText("Message", command.message);
    SetText("PhoneNumber", command.phone_number);
  }
  void operator()(const EraseDeviceCommand& command) const { SetText("PIN", command.pin.Reveal()); }
  void operator()(const RestartDeviceCommand&) const {}
  void operator()(const ShutDownDeviceCommand&) const {}
  void operator()(const SetRecoveryLockCommand& command) const {
    SetText("CurrentPassword", command.current_password.Reveal());
    body.Set("NewPassword", PlistValue(command.new_password.Reveal()));
  }
  void operator()(const VerifyRecoveryLockCommand& command) const {
    body.Set("Password", PlistValue(command.password.Reveal()));
  }
  void operator()(const RotateFileVaultKeyCommand& command) const {
    PlistDict unlock;
    unlock.Set("Password", PlistValue(command.password.Reveal()));
    body.Set("KeyType", PlistValue(std::string("personal")));
    body.Set("FileVaultUnlock", PlistValue(std::move(unlock)));
    body.Set("ReplyEncryptionCertificate", PlistValue(PlistData{command.reply_certificate}));
  }
  void operator()(const InstallApplicationCommand& command) const { SetAll(command.arguments); }
  void operator()(const InstallEnterpriseApplicationCommand& command) const {
    SetAll(command.arguments);
  }
  void operator()(const RemoveApplicationCommand& command) const {
    body.Set("Identifier", PlistValue(command.identifier));
  }
  void operator()(const AccountConfigurationCommand& command) const { SetAll(command.arguments); }

 private:
  void SetAll(const PlistDict& arguments) const {
    for (const auto& [key, value] : arguments.entries()) body.Set(key, value);
  }
  void SetText(std::string key, const std::string& text) const {
    if (!text.empty()) body.Set(std::move(key), PlistValue(text));
  }
};

struct TypeNamer {
  std::string_view operator()(const InstallProfileCommand&) const {
    return request_type::kInstallProfile;
  }
  std::string_view operator()(const RemoveProfileCommand&) const {
    return request_type::kRemoveProfile;
  }
  std::string_view operator()(const ProfileListCommand&) const {
    return request_type::kProfileList;
  }
  std::string_view operator()(const DeviceInformationCommand&) const {
    return request_type::kDeviceInformation;
  }
  std::string_view operator()(const DeviceConfiguredCommand&) const {
    return request_type::kDeviceConfigured;
  }
  std::string_view operator()(const SecurityInfoCommand&) const {
    return request_type::kSecurityInfo;
  }
  std::string_view operator()(const CertificateListCommand&) const {
    return request_type::kCertificateList;
  }
  std::string_view operator()(const ManagedApplicationListCommand&) const {
    return request_type::kManagedApplicationList;
  }
  std::string_view operator()(const InstalledApplicationListCommand&) const {
    return request_type::kInstalledApplicationList;
  }
  std::string_view operator()(const DeviceLockCommand&) const { return request_type::kDeviceLock; }
  std::string_view operator()(const EraseDeviceCommand&) const {
    return request_type::kEraseDevice;
  }
  std::string_view operator()(const RestartDeviceCommand&) const {
    return request_type::kRestartDevice;
  }
  std::string_view operator()(const ShutDownDeviceCommand&) const {
    return request_type::kShutDownDevice;
  }
  std::string_view operator()(const SetRecoveryLockCommand&) const {
    return request_type::kSetRecoveryLock;
  }
  std::string_view operator()(const VerifyRecoveryLockCommand&) const {
    return request_type::kVerifyRecoveryLock;
  }
  std::string_view operator()(const RotateFileVaultKeyCommand&) const {
    return request_type::kRotateFileVaultKey;
  }
  std::string_view operator()(const InstallApplicationCommand&) const {
    return request_type::kInstallApplication;
  }
  std::string_view operator()(const InstallEnterpriseApplicationCommand&) const {
    return request_type::kInstallEnterpriseApplication;
  }
  std::string_view operator()(const RemoveApplicationCommand&) const {
    return request_type::kRemoveApplication;
  }
  std::string_view operator()(const AccountConfigurationCommand&) const {
    return request_type::kAccountConfiguration;
  }
};

Result<std::string> RequiredString(const PlistDict& dict, std::string_view key) {
  std::string text = TextAt(dict, key);
  if (!text.empty()) return text;
  const std::string field(key);
  return Fail(InvalidField(field, field + " must be a string that is not empty"));
}

}  // namespace

const std::vector<std::string>& DeviceInformationQueries() {
  static const std::vector<std::string> queries = {"AccessibilitySettings",
                                                   "ActiveManagedUsers",
                                                   "AppAnalyticsEnabled",
                                                   "AutoSetupAdminAccounts",
                                                   "AvailableDeviceCapacity",
                                                   "AwaitingConfiguration",
                                                   "BatteryLevel",
                                                   "BluetoothMAC",
                                                   "BuildVersion",
                                                   "CarrierSettingsVersion",
                                                   "CellularTechnology",
                                                   "CurrentCarrierNetwork",
                                                   "CurrentMCC",
                                                   "CurrentMNC",
                                                   "DataRoamingEnabled",
                                                   "DeviceCapacity",
                                                   "DeviceID",
                                                   "DeviceName",
                                                   "DiagnosticSubmissionEnabled",
                                                   "EASDeviceIdentifier",
                                                   "EstimatedResidentUsers",
                                                   "EthernetMAC",
                                                   "HasBattery",
                                                   "HostName",
                                                   "ICCID",
                                                   "IMEI",
                                                   "IsActivationLockEnabled",
                                                   "IsActivationLockSupported",
                                                   "IsAppleSilicon",
                                                   "IsCloudBackupEnabled",
                                                   "IsDeviceLocatorServiceEnabled",
                                                   "IsDoNotDisturbInEffect",
                                                   "IsMDMLostModeEnabled",
                                                   "IsMultiUser",
                                                   "IsNetworkTethered",
                                                   "IsRoaming",
                                                   "IsSupervised",
                                                   "iTunesStoreAccountHash",
                                                   "iTunesStoreAccountIsActive",
                                                   "LastCloudBackupDate",
                                                   "LocalHostName",
                                                   "ManagedAppleIDDefaultDomains",
                                                   "MaximumResidentUsers",
                                                   "MDMOptions",
                                                   "MEID",
                                                   "Model",
                                                   "ModelName",
                                                   "ModelNumber",
                                                   "ModemFirmwareVersion",
                                                   "OnlineAuthenticationGracePeriod",
                                                   "OrganizationInfo",
                                                   "OSUpdateSettings",
                                                   "OSVersion",
                                                   "PersonalHotspotEnabled",
                                                   "PhoneNumber",
                                                   "PINRequiredForDeviceLock",
                                                   "PINRequiredForEraseDevice",
                                                   "ProductName",
                                                   "ProvisioningUDID",
                                                   "QuotaSize",
                                                   "ResidentUsers",
                                                   "SerialNumber",
                                                   "ServiceSubscriptions",
                                                   "SIMCarrierNetwork",
                                                   "SkipLanguageAndLocaleSetupForNewUsers",
                                                   "SoftwareUpdateDeviceID",
                                                   "SoftwareUpdateSettings",
                                                   "SubscriberCarrierNetwork",
                                                   "SubscriberMCC",
                                                   "SubscriberMNC",
                                                   "SupplementalBuildVersion",
                                                   "SupplementalOSVersionExtra",
                                                   "SupportsiOSAppInstalls",
                                                   "SupportsLOMDevice",
                                                   "SystemIntegrityProtectionEnabled",
                                                   "TemporarySessionOnly",
                                                   "TemporarySessionTimeout",
                                                   "TimeZone",
                                                   "UDID",
                                                   "UserSessionTimeout",
                                                   "VoiceRoamingEnabled",
                                                   "WiFiMAC"};
  return queries;
}

Command InventoryCommand(InventoryKind kind) {
  switch (kind) {
    case InventoryKind::kDeviceInformation:
      return DeviceInformationCommand{DeviceInformationQueries()};
    case InventoryKind::kSecurityInfo:
      return SecurityInfoCommand{};
    case InventoryKind::kCertificateList:
      return CertificateListCommand{};
    case InventoryKind::kManagedApplicationList:
      return ManagedApplicationListCommand{};
    case InventoryKind::kInstalledApplicationList:
      break;
  }
  return InstalledApplicationListCommand{};
}

std::string_view RequestType(const Command& command) { return std::visit(TypeNamer{}, command); }

std::string EncodeCommand(const Command& command, const CommandUuid& command_uuid) {
  PlistDict body;
  body.Set("RequestType", PlistValue(std::string(RequestType(command))));
  std::visit(BodyEncoder{body}, command);
  PlistDict message;
  message.Set("CommandUUID", PlistValue(command_uuid.value()));
  message.Set("Command", PlistValue(std::move(body)));
  return EncodePlistXml(PlistValue(std::move(message)));
}

Result<ReceivedCommand> DecodeCommand(std::string_view bytes) {
  const auto value = DecodePlist(bytes);
  if (!value) return Fail(value.error());
  const PlistDict* message = value->AsDict();
  if (message == nullptr) return Fail(ErrorKind::kInvalid, "the command is not a dictionary");
  auto command_uuid = RequiredString(*message, "CommandUUID");
  if (!command_uuid) return Fail(command_uuid.error());
  const PlistValue* command = message->Find("Command");
  const PlistDict* body = command == nullptr ? nullptr : command->AsDict();
  if (body == nullptr) return Fail(InvalidField("Command", "Command must be a dictionary"));
  auto type = RequiredString(*body, "RequestType");
  if (!type) return Fail(type.error());
  return ReceivedCommand{CommandUuid(std::move(*command_uuid)), std::move(*type), *body};
}

}  // namespace director
