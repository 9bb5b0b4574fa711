// What a device does with each command.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/text.h"
#include "simulator/device.h"

namespace director {
namespace {

bool IsChange(std::string_view request_type) {
  return request_type == request_type::kInstallProfile ||
         request_type == request_type::kRemoveProfile ||
         request_type == request_type::kInstallApplication ||
         request_type == request_type::kInstallEnterpriseApplication ||
         request_type == request_type::kRemoveApplication;
}

PlistArray EncodeErrorChain(const std::vector<ErrorChainEntry>& chain) {
  PlistArray array;
  for (const ErrorChainEntry& entry : chain) {
    PlistDict dict;
    dict.Set("ErrorCode", PlistInteger::FromSigned(entry.code));
    dict.Set("ErrorDomain", entry.domain);
    dict.Set("LocalizedDescription", entry.localized_description);
    if (!entry.us_english_description.empty()) {
      dict.Set("USEnglishDescription", entry.us_english_description);
    }
    array.emplace_back(std::move(dict));
  }
  return array;
}

}  // namespace

VirtualDevice::Outcome VirtualDevice::Failed(std::vector<ErrorChainEntry> error_chain) {
  Outcome outcome;
  outcome.status = CommandStatus::kError;
  outcome.error_chain = std::move(error_chain);
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::FormatError() {
  Outcome outcome;
  outcome.status = CommandStatus::kCommandFormatError;
  return outcome;
}

const NotNowPhase* VirtualDevice::ActiveNotNow(std::string_view request_type, Timestamp now) {
  for (const NotNowPhase& phase : behaviour_.not_now) {
    if (now < phase.from || now >= phase.until) continue;
    if (phase.scope == NotNowScope::kChanges && !IsChange(request_type)) continue;
    if (random_.Fraction() < phase.probability) return &phase;
  }
  return nullptr;
}

Result<CommandAnswer> VirtualDevice::Execute(std::string_view command, Timestamp now) {
  Result<ReceivedCommand> received = DecodeCommand(command);
  if (!received) return Fail(received.error());
  const NotNowPhase* phase = ActiveNotNow(received->request_type, now);
  Outcome outcome;
  if (phase != nullptr) {
    outcome.status = CommandStatus::kNotNow;
    not_now_until_ = phase->until == Timestamp::max() ? std::nullopt : std::optional(phase->until);
  } else {
    outcome = Run(*received, now);
  }
  last_was_not_now_ = outcome.status == CommandStatus::kNotNow;
  if (outcome.status == CommandStatus::kAcknowledged) ++carried_out_[received->request_type];
  CommandAnswer answer;
  answer.status = CommandStatusName(outcome.status);
  Note(now, fmt::format("{}: {}", received->request_type, answer.status));
  if (is_dark_) return answer;
  if (received->request_type == request_type::kInstallProfile && phase == nullptr) {
    answer.delay = behaviour_.install_delay;
  }
  answer.body = EncodeResult(*received, outcome);
  return answer;
}

std::string VirtualDevice::EncodeResult(const ReceivedCommand& command,
                                        const Outcome& outcome) const {
  PlistDict dict = IdentityKeys();
  dict.Set("CommandUUID", command.command_uuid.value());
  dict.Set("Status", std::string(CommandStatusName(outcome.status)));
  if (!outcome.error_chain.empty()) dict.Set("ErrorChain", EncodeErrorChain(outcome.error_chain));
  for (const auto& [key, value] : outcome.extra.entries()) dict.Set(key, value);
  return EncodePlistXml(std::move(dict));
}

VirtualDevice::Outcome VirtualDevice::Run(const ReceivedCommand& command, Timestamp now) {
  const std::string& type = command.request_type;
  if (type == request_type::kInstallProfile) return RunInstallProfile(command.body, now);
  if (type == request_type::kRemoveProfile) return RunRemoveProfile(command.body, now);
  if (type == request_type::kProfileList) return RunProfileList();
  if (type == request_type::kDeviceInformation) return RunDeviceInformation(command.body);
  if (type == request_type::kSecurityInfo) return RunSecurityInfo();
  if (type == request_type::kCertificateList) return RunCertificateList();
  if (type == request_type::kInstalledApplicationList) {
    return RunInstalledApplicationList(command.body, now);
  }
  if (type == request_type::kManagedApplicationList) {
    return RunManagedApplicationList(command.body, now);
  }
  if (type == request_type::kDeviceConfigured) return RunDeviceConfigured();
  if (type == request_type::kDeviceLock) return RunDeviceLock(command.body, now);
  if (type == request_type::kEraseDevice) return RunEraseDevice(command.body);
  if (type == request_type::kRemoveApplication) return RunRemoveApplication(command.body, now);
  const bool is_mac = facts_.kind == DeviceKind::kMac;
  const bool installs_app = type == request_type::kInstallApplication ||
                            (is_mac && type == request_type::kInstallEnterpriseApplication);
  if (installs_app) return RunInstallApp(command, now);
  if (is_mac && type == request_type::kAccountConfiguration) {
    return RunAccountConfiguration(command.body, now);
  }
  if (is_mac && type == request_type::kSetRecoveryLock) return RunSetRecoveryLock(command.body);
  if (is_mac && type == request_type::kVerifyRecoveryLock) {
    return RunVerifyRecoveryLock(command.body);
  }
  if (is_mac && type == request_type::kRotateFileVaultKey) {
    return RunRotateFileVaultKey(command, now);
  }
  const bool just_restarts =
      type == request_type::kRestartDevice || type == request_type::kShutDownDevice;
  if (just_restarts) return {};
  return Failed(OneErrorChain("MCMDMErrorDomain", 12021,
                              fmt::format("“{}” is not a valid request type.", type)));
}

VirtualDevice::Outcome VirtualDevice::RunInstallProfile(const PlistDict& body, Timestamp now) {
  const PlistValue* payload = body.Find("Payload");
  const PlistData* data = payload == nullptr ? nullptr : payload->AsData();
  if (data == nullptr) return FormatError();
  auto read = ReadInstallPayload(data->bytes, facts_.kind);
  if (auto* chain = std::get_if<std::vector<ErrorChainEntry>>(&read)) return Failed(*chain);
  InstalledProfile profile = std::move(*std::get_if<InstalledProfile>(&read));
  const PayloadIdentifier identifier = profile.payload_identifier;
  const bool is_enrollment = profile.has_mdm_payload;
  if (auto chain = RefuseMdmPayload(profile)) return Failed(std::move(*chain));
  if (auto chain = PlannedFailure(identifier)) return Failed(std::move(*chain));
  if (!Put(std::move(profile), now)) {
    return Failed(InstallFailedChain("MCInstallationErrorDomain", 4016, "Internal error."));
  }
  if (is_enrollment) RenewIdentity(now);
  if (identifier == behaviour_.dark_after) {
    is_dark_ = true;
    Note(now, "lost its network");
  }
  return {};
}

bool VirtualDevice::Put(InstalledProfile profile, Timestamp now) {
  profile.installed_at = now;
  const std::string name = profile.payload_identifier.value();
  const auto place =
      std::find_if(profiles_.begin(), profiles_.end(), [&](const InstalledProfile& p) {
        return p.payload_identifier == profile.payload_identifier;
      });
  if (place != profiles_.end()) {
    *place = std::move(profile);
    Note(now, "replaced profile " + name);
    return true;
  }
  if (profiles_.size() >= kDeviceProfilesMax) return false;
  profiles_.push_back(std::move(profile));
  Note(now, "installed profile " + name);
  return true;
}

std::optional<std::vector<ErrorChainEntry>> VirtualDevice::RefuseMdmPayload(
    const InstalledProfile& profile) const {
  const InstalledProfile* old = FindProfile(profile.payload_identifier);
  const bool replaces_enrollment = old != nullptr && old->has_mdm_payload;
  if (profile.has_mdm_payload && !replaces_enrollment) {
    return InstallFailedChain("MCMDMErrorDomain", 12001, "A device can have one MDM profile only.");
  }
  if (!profile.has_mdm_payload && replaces_enrollment) {
    return InstallFailedChain("MCInstallationErrorDomain", 4015,
                              "The replacement profile holds no MDM payload.");
  }
  if (replaces_enrollment) return RefuseReplacement(old->management, profile.management);
  return std::nullopt;
}

std::optional<std::vector<ErrorChainEntry>> VirtualDevice::PlannedFailure(
    const PayloadIdentifier& identifier) {
  const InstallFailure* failure = behaviour_.FindInstallFailure(identifier);
  if (failure == nullptr) return std::nullopt;
  if (!failure->times) return failure->error_chain;
  // Identifiers come from outside: a full table fails no more profiles instead of growing.
  if (install_tries_.size() >= kDeviceProfilesMax && !install_tries_.contains(identifier))
    return std::nullopt;
  if (install_tries_[identifier]++ < *failure->times) return failure->error_chain;
  return std::nullopt;
}

VirtualDevice::Outcome VirtualDevice::RunRemoveProfile(const PlistDict& body, Timestamp now) {
  const PlistValue* value = body.Find("Identifier");
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  const bool is_mac = facts_.kind == DeviceKind::kMac;
  if (text == nullptr || text->empty()) {
    if (!is_mac) return FormatError();
    return Failed(OneErrorChain("MDMClientError", 97, "RemoveProfile needs an Identifier."));
  }
  const PayloadIdentifier identifier(*text);
  const InstalledProfile* profile = FindProfile(identifier);
  if (profile == nullptr) {
    const std::string message = fmt::format("The profile “{}” is not installed.", *text);
    return Failed(is_mac ? OneErrorChain("MDMClientError", 89, message)
                         : OneErrorChain("MCMDMErrorDomain", 12075, message));
  }
  if (profile->has_mdm_payload) {
    Note(now, "was told to remove its enrollment profile");
    leaves_ = true;
    return {};
  }
  std::erase_if(profiles_,
                [&](const InstalledProfile& p) { return p.payload_identifier == identifier; });
  Note(now, "removed profile " + *text);
  return {};
}

VirtualDevice::Outcome VirtualDevice::RunProfileList() const {
  PlistArray list;
  for (const InstalledProfile& profile : profiles_) {
    list.emplace_back(EncodeProfileListEntry(profile, facts_.kind));
  }
  Outcome outcome;
  outcome.extra.Set("ProfileList", std::move(list));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunDeviceInformation(const PlistDict& body) const {
  const PlistValue* value = body.Find("Queries");
  const PlistArray* queries = value == nullptr ? nullptr : value->AsArray();
  if (queries == nullptr) return FormatError();
  PlistDict known;
  known.Set("UDID", facts_.udid);
  known.Set("SerialNumber", facts_.serial_number);
  known.Set("OSVersion", facts_.os_version);
  known.Set("BuildVersion", facts_.build_version);
  known.Set("ProductName", facts_.product_name);
  known.Set("ModelName", facts_.model_name);
  known.Set("DeviceName", facts_.device_name);
  known.Set("IsSupervised", true);
  known.Set("AwaitingConfiguration", awaiting_configuration_);
  if (facts_.kind == DeviceKind::kMac) known.Set("IsAppleSilicon", true);
  PlistDict responses;
  for (const PlistValue& query : *queries) {
    const std::string* key = query.AsString();
    const PlistValue* answer = key == nullptr ? nullptr : known.Find(*key);
    // Devices leave out what they do not know and still acknowledge.
    if (answer != nullptr) responses.Set(*key, *answer);
  }
  Outcome outcome;
  outcome.extra.Set("QueryResponses", std::move(responses));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunSecurityInfo() const {
  PlistDict management;
  management.Set("IsUserEnrollment", false);
  PlistDict info;
  switch (facts_.kind) {
    case DeviceKind::kMac:
      management.Set("EnrolledViaDEP", behaviour_.awaits_configuration);
      management.Set("UserApprovedEnrollment", true);
      info.Set("FDE_Enabled", behaviour_.file_vault);
      info.Set("FDE_HasPersonalRecoveryKey", behaviour_.file_vault);
      info.Set("SystemIntegrityProtectionEnabled", true);
      info.Set("IsRecoveryLockEnabled", !recovery_lock_password_.empty());
      break;
    case DeviceKind::kIphone:
      info.Set("HardwareEncryptionCaps", PlistInteger::FromSigned(3));
      info.Set("PasscodePresent", true);
      info.Set("PasscodeCompliant", true);
      break;
  }
  info.Set("ManagementStatus", std::move(management));
  Outcome outcome;
  outcome.extra.Set("SecurityInfo", std::move(info));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunCertificateList() const {
  PlistArray list;
  if (!facts_.identity_certificate.empty()) {
    PlistDict identity;
    identity.Set("CommonName", facts_.udid);
    identity.Set("IsIdentity", true);
    identity.Set("Data", PlistData{facts_.identity_certificate});
    list.emplace_back(std::move(identity));
  }
  identity_.List(list);
  Outcome outcome;
  outcome.extra.Set("CertificateList", std::move(list));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunDeviceConfigured() {
  if (!awaiting_configuration_) {
    return Failed(
        OneErrorChain("MCMDMErrorDomain", 12021, "The device does not await configuration."));
  }
  awaiting_configuration_ = false;
  return {};
}

/// Apple, device.lock and device.erase: the PIN of a Mac has six characters.
bool VirtualDevice::HasGoodPin(const PlistDict& body) const {
  return facts_.kind != DeviceKind::kMac || TextAt(body, "PIN").size() == 6;
}

VirtualDevice::Outcome VirtualDevice::RunDeviceLock(const PlistDict& body, Timestamp now) {
  if (!HasGoodPin(body)) return FormatError();
  Outcome outcome;
  outcome.extra.Set("MessageResult", "Success");
  // An iPhone shows its lock screen and goes on.
  if (facts_.kind == DeviceKind::kMac) unlocks_at_ = now + behaviour_.unlocked_after;
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunEraseDevice(const PlistDict& body) {
  if (!HasGoodPin(body)) return FormatError();
  is_erased_ = true;
  return {};
}

/// Apple, passcode.recovery.set: the current password is needed where one is set; an empty new one
/// clears it.
VirtualDevice::Outcome VirtualDevice::RunSetRecoveryLock(const PlistDict& body) {
  const PlistValue* value = body.Find("NewPassword");
  const std::string* password = value == nullptr ? nullptr : value->AsString();
  if (password == nullptr) return FormatError();
  const bool is_open =
      recovery_lock_password_.empty() || TextAt(body, "CurrentPassword") == recovery_lock_password_;
  if (!is_open) {
    return Failed(OneErrorChain("MDMClientError", 70,
                                "The current recovery lock password is missing or wrong."));
  }
  recovery_lock_password_ = *password;
  return {};
}

VirtualDevice::Outcome VirtualDevice::RunVerifyRecoveryLock(const PlistDict& body) const {
  const PlistValue* value = body.Find("Password");
  const std::string* password = value == nullptr ? nullptr : value->AsString();
  if (password == nullptr) return FormatError();
  Outcome outcome;
  outcome.extra.Set("PasswordVerified", *password == recovery_lock_password_);
  return outcome;
}

}  // namespace director
