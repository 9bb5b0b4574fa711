// What MDMDirector last heard of its devices: taken over to be shown, until they answer Director.
#include <fmt/core.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "director/mdmdirector_import_parts.h"
#include "mdm/command.h"
#include "store/report_json.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;
using Names = std::vector<std::pair<const char*, const char*>>;

constexpr std::size_t kDevicesPerBatch = 100;

/// Columns of `devices` and the keys of Apple's DeviceInformation that they hold. What Director
/// knows of each device itself (names, versions, serial number) is not among them.
const Names& DeviceKeys() {
  static const Names names = {
      {"model", "Model"},
      {"device_capacity", "DeviceCapacity"},
      {"available_device_capacity", "AvailableDeviceCapacity"},
      {"battery_level", "BatteryLevel"},
      {"cellular_technology", "CellularTechnology"},
      {"imei", "IMEI"},
      {"me_id", "MEID"},
      {"modem_firmware_version", "ModemFirmwareVersion"},
      {"is_supervised", "IsSupervised"},
      {"is_device_locator_service_enabled", "IsDeviceLocatorServiceEnabled"},
      {"is_activation_lock_enabled", "IsActivationLockEnabled"},
      {"is_do_not_disturb_in_effect", "IsDoNotDisturbInEffect"},
      {"device_id", "DeviceID"},
      {"eas_device_identifier", "EASDeviceIdentifier"},
      {"is_cloud_backup_enabled", "IsCloudBackupEnabled"},
      {"local_host_name", "LocalHostName"},
      {"host_name", "HostName"},
      {"system_integrity_protection_enabled", "SystemIntegrityProtectionEnabled"},
      {"app_analytics_enabled", "AppAnalyticsEnabled"},
      {"is_mdm_lost_mode_enabled", "IsMDMLostModeEnabled"},
      {"maximum_resident_users", "MaximumResidentUsers"},
      {"bluetooth_mac", "BluetoothMAC"},
      {"carrier_settings_version", "CarrierSettingsVersion"},
      {"current_carrier_network", "CurrentCarrierNetwork"},
      {"current_mcc", "CurrentMCC"},
      {"current_mnc", "CurrentMNC"},
      {"data_roaming_enabled", "DataRoamingEnabled"},
      {"diagnostic_submission_enabled", "DiagnosticSubmissionEnabled"},
      {"icc_id", "ICCID"},
      {"is_multi_user", "IsMultiUser"},
      {"is_network_tethered", "IsNetworkTethered"},
      {"is_roaming", "IsRoaming"},
      {"personal_hotspot_enabled", "PersonalHotspotEnabled"},
      {"phone_number", "PhoneNumber"},
      {"sim_carrier_network", "SIMCarrierNetwork"},
      {"simmcc", "SIMMCC"},
      {"simmnc", "SIMMNC"},
      {"subscriber_carrier_network", "SubscriberCarrierNetwork"},
      {"subscriber_mcc", "SubscriberMCC"},
      {"subscriber_mnc", "SubscriberMNC"},
      {"supplemental_build_version", "SupplementalBuildVersion"},
      {"supplemental_os_version_extra", "SupplementalOSVersionExtra"},
      {"voice_roaming_enabled", "VoiceRoamingEnabled"},
      {"wi_fi_mac", "WiFiMAC"},
      {"ethernet_mac", "EthernetMAC"},
  };
  return names;
}

const Names& UpdateKeys() {
  static const Names names = {
      {"catalog_url", "CatalogURL"},
      {"is_default_catalog", "IsDefaultCatalog"},
      {"previous_scan_result", "PreviousScanResult"},
      {"perform_periodic_check", "PerformPeriodicCheck"},
      {"automatic_check_enabled", "AutomaticCheckEnabled"},
      {"background_download_enabled", "BackgroundDownloadEnabled"},
      {"automatic_app_installation_enabled", "AutomaticAppInstallationEnabled"},
      {"automatic_os_installation_enabled", "AutomaticOSInstallationEnabled"},
      {"automatic_security_updates_enabled", "AutomaticSecurityUpdatesEnabled"},
  };
  return names;
}

const Names& SecurityKeys() {
  static const Names names = {
      {"authenticated_root_volume_enabled", "AuthenticatedRootVolumeEnabled"},
      {"bootstrap_token_allowed_for_authentication", "BootstrapTokenAllowedForAuthentication"},
      {"bootstrap_token_required_for_kernel_extension_approval",
       "BootstrapTokenRequiredForKernelExtensionApproval"},
      {"bootstrap_token_required_for_software_update", "BootstrapTokenRequiredForSoftwareUpdate"},
      {"hardware_encryption_caps", "HardwareEncryptionCaps"},
      {"passcode_present", "PasscodePresent"},
      {"passcode_compliant", "PasscodeCompliant"},
      {"passcode_compliant_with_profiles", "PasscodeCompliantWithProfiles"},
      {"passcode_lock_grace_period", "PasscodeLockGracePeriod"},
      {"passcode_lock_grace_period_enforced", "PasscodeLockGracePeriodEnforced"},
      {"fde_enabled", "FDE_Enabled"},
      {"fde_has_personal_recovery_key", "FDE_HasPersonalRecoveryKey"},
      {"fde_has_institutional_recovery_key", "FDE_HasInstitutionalRecoveryKey"},
      {"system_integrity_protection_enabled", "SystemIntegrityProtectionEnabled"},
      {"remote_desktop_enabled", "RemoteDesktopEnabled"},
  };
  return names;
}

/// Tables of parts of SecurityInfo: where they stand in it, and their columns.
struct SecurityPart {
  const char* table;
  Json::json_pointer place;
  Names names;
};
const std::vector<SecurityPart>& SecurityParts() {
  static const std::vector<SecurityPart> parts = {
      {"firewall_settings",
       Json::json_pointer("/FirewallSettings"),
       {{"block_all_incoming", "BlockAllIncoming"},
        {"firewall_enabled", "FirewallEnabled"},
        {"stealth_mode", "StealthMode"}}},
      {"firmware_password_statuses",
       Json::json_pointer("/FirmwarePasswordStatus"),
       {{"password_exists", "PasswordExists"},
        {"change_pending", "ChangePending"},
        {"allow_oroms", "AllowOroms"}}},
      {"management_statuses",
       Json::json_pointer("/ManagementStatus"),
       {{"enrolled_via_dep", "EnrolledViaDEP"},
        {"user_approved_enrollment", "UserApprovedEnrollment"},
        {"is_user_enrollment", "IsUserEnrollment"},
        {"is_activation_lock_manageable", "IsActivationLockManageable"}}},
      {"secure_boots",
       Json::json_pointer("/SecureBoot"),
       {{"external_boot_level", "ExternalBootLevel"}, {"secure_boot_level", "SecureBootLevel"}}},
      {"secure_boot_reduced_securities",
       Json::json_pointer("/SecureBoot/ReducedSecurity"),
       {{"allows_any_apple_signed_os", "AllowsAnyAppleSignedOS"},
        {"allows_mdm", "AllowsMDM"},
        {"allows_user_kext_approval", "AllowsUserKextApproval"}}},
  };
  return parts;
}

/// Puts the columns that `row` has into `answer` under Apple's names.
void AddRenamed(const Json& row, const Names& names, Json& answer) {
  for (const auto& [column, key] : names) {
    const auto found = row.find(column);
    if (found != row.end() && !found->is_null()) answer[key] = *found;
  }
}

std::string TextOf(const Json& row, const char* column) {
  const auto found = row.find(column);
  return found != row.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The rows of one device, in the form of its answers.
struct Heard {
  Json device_information = Json::object();
  Json security_info = Json::object();
  Json certificates = Json::array();
  std::vector<ReportedProfile> profiles;

  void Take(const std::string& table, const Json& row) {
    if (table == "devices") AddRenamed(row, DeviceKeys(), device_information);
    if (table == "os_update_settings") {
      AddRenamed(row, UpdateKeys(), device_information["OSUpdateSettings"]);
    }
    if (table == "security_infos") AddRenamed(row, SecurityKeys(), security_info);
    for (const SecurityPart& part : SecurityParts()) {
      if (table == part.table) AddRenamed(row, part.names, security_info[part.place]);
    }
    if (table == "certificates") {
      if (std::string data = TextOf(row, "data"); !data.empty()) {
        certificates.push_back({{"Data", std::move(data)}});
      }
    }
    if (table == "profile_lists") {
      ReportedProfile& profile = profiles.emplace_back();
      profile.payload_identifier = PayloadIdentifier(TextOf(row, "payload_identifier"));
      profile.payload_uuid = TextOf(row, "payload_uuid");
      profile.display_name = TextOf(row, "payload_display_name");
    }
  }
};

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// An answer without a time cannot be told from none; one without content says nothing.
void AddAnswers(const MdmDirectorInventory& inventory, ImportedAnswers& answers) {
  Heard heard;
  for (const MdmDirectorInventory::TableRow& row : inventory.rows) {
    const Json columns = Json::parse(row.columns, nullptr, /*allow_exceptions=*/false);
    if (columns.is_object()) heard.Take(row.table, columns);
  }
  const EnrollmentId id(inventory.udid);
  const auto add = [&](std::string_view request_type, const std::optional<Timestamp>& at,
                       bool is_empty, std::string answer) {
    if (at && !is_empty) answers[{id, std::string(request_type)}] = {0, *at, std::move(answer)};
  };
  add(request_type::kProfileList, inventory.profile_list_at, heard.profiles.empty(),
      EncodeReportedProfiles(heard.profiles));
  add(request_type::kDeviceInformation, inventory.device_information_at,
      heard.device_information.empty(), Dump(heard.device_information));
  add(request_type::kSecurityInfo, inventory.security_info_at, heard.security_info.empty(),
      Dump(heard.security_info));
  add(request_type::kCertificateList, inventory.certificate_list_at, heard.certificates.empty(),
      Dump(heard.certificates));
}

/// Devices that an import makes known while it goes on are known to a plan already.
struct Batch {
  std::vector<EnrollmentId> ids;
  ImportedAnswers answers;
  std::map<EnrollmentId, bool> will_be_known;
};

class InventoryPass {
 public:
  InventoryPass(const ImportPlaces& places, ImportMode mode) : places_(places), mode_(mode) {}

  Status Run() {
    Status done = places_.source.ForEachInventory([&](const MdmDirectorInventory& inventory) {
      batch_.ids.emplace_back(inventory.udid);
      batch_.will_be_known[batch_.ids.back()] = mode_ == ImportMode::kPlan && inventory.is_enrolled;
      AddAnswers(inventory, batch_.answers);
      return batch_.ids.size() < kDevicesPerBatch ? Status() : Flush();
    });
    return done ? Flush() : done;
  }

  std::map<std::string, std::int64_t> counts;  ///< by request type

 private:
  Status Flush() {
    const Batch batch = std::exchange(batch_, {});
    if (batch.answers.empty()) return {};
    ImportedAnswers news;
    const Status done =
        mode_ == ImportMode::kPlan
            ? places_.store.Read([&](StoreReader& reader) { return Look(reader, batch, news); })
            : places_.store.Write([&](StoreWriter& writer) -> Status {
                Status looked = Look(writer, batch, news);
                return looked ? writer.SaveImported(news) : looked;
              });
    if (!done) return done;
    for (const auto& [key, record] : news) ++counts[key.second];
    return {};
  }

  /// What is newer than what an import has brought before, of devices that Director knows.
  static Status Look(StoreReader& reader, const Batch& batch, ImportedAnswers& news) {
    const auto known = reader.LoadEnrollments(batch.ids);
    if (!known) return Fail(known.error());
    std::map<EnrollmentId, const Enrollment*> devices;
    for (const Enrollment& one : *known) devices[one.channel.enrollment_id] = &one;
    const auto imported = reader.LoadImported(batch.ids);
    if (!imported) return Fail(imported.error());
    news.clear();
    for (const auto& [key, record] : batch.answers) {
      const auto device = devices.find(key.first);
      const bool is_known = device != devices.end();
      if (!is_known && !batch.will_be_known.at(key.first)) continue;
      // What it said before it enrolled anew is of another time.
      const bool is_of_earlier = is_known && device->second->epoch > 1 &&
                                 record.reported_at < device->second->epoch_began_at;
      if (is_of_earlier) continue;
      const auto before = imported->find(key);
      if (before != imported->end() && before->second.reported_at >= record.reported_at) continue;
      InventoryRecord& one = news[key] = record;
      if (is_known) one.epoch = device->second->epoch;
    }
    return {};
  }

  const ImportPlaces& places_;
  const ImportMode mode_;
  Batch batch_;
};

}  // namespace

Status TakeInventories(const ImportPlaces& places, ImportMode mode, ImportOutcome& outcome) {
  InventoryPass pass(places, mode);
  if (Status done = pass.Run(); !done) return done;
  for (const auto& [request_type, count] : pass.counts) {
    outcome.changes += count;
    places.lines.Say(fmt::format("  last answers, to be shown: {} of {} ({})", request_type,
                                 Plural(count, "device"),
                                 mode == ImportMode::kPlan ? "to do" : "done"));
  }
  return {};
}

}  // namespace director::mdmdirector
