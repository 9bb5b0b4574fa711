// Devices as MDMDirector shows them. Director knows less about them: what it does not know has
// MDMDirector's zero value, for its clients expect every key.
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/digest.h"
#include "base/text.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_support.h"
#include "mdm/command.h"
#include "store/report_json.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kDevicesPerPart = 100;
constexpr std::size_t kProposalsPerPage = 1000;
/// What `info=limited` and the whole device show of the inventory.
constexpr std::array kLimitedKinds = {InventoryKind::kDeviceInformation,
                                      InventoryKind::kSecurityInfo};
constexpr std::array kWholeKinds = {InventoryKind::kDeviceInformation, InventoryKind::kSecurityInfo,
                                    InventoryKind::kCertificateList};
constexpr char kNever[] = "0001-01-01T00:00:00Z";

/// Every key of a device in MDMDirector's order, with its zero value. `Profiles`, `Certificates`
/// and `ProfileList` are left out when they are empty.
constexpr char kNoDevice[] = R"({
  "DeviceName": "", "BuildVersion": "", "ModelName": "", "Model": "", "OSVersion": "",
  "ProductName": "", "SerialNumber": "", "DeviceCapacity": 0, "AvailableDeviceCapacity": 0,
  "BatteryLevel": 0, "CellularTechnology": 0, "IMEI": "", "MEID": "", "ModemFirmwareVersion": "",
  "IsSupervised": false, "IsDeviceLocatorServiceEnabled": false, "IsActivationLockEnabled": false,
  "IsDoNotDisturbInEffect": false, "DeviceID": "", "EASDeviceIdentifier": "",
  "IsCloudBackupEnabled": false,
  "OSUpdateSettings": {"DeviceUDID": "", "CatalogURL": "", "IsDefaultCatalog": false,
    "PreviousScanDate": "0001-01-01T00:00:00Z", "PreviousScanResult": 0,
    "PerformPeriodicCheck": false, "AutomaticCheckEnabled": false,
    "BackgroundDownloadEnabled": false, "AutomaticAppInstallationEnabled": false,
    "AutomaticOSInstallationEnabled": false, "AutomaticSecurityUpdatesEnabled": false},
  "LocalHostName": "", "HostName": "", "SystemIntegrityProtectionEnabled": false,
  "AppAnalyticsEnabled": false, "IsMDMLostModeEnabled": false, "AwaitingConfiguration": false,
  "MaximumResidentUsers": 0, "BluetoothMAC": "", "CarrierSettingsVersion": "",
  "CurrentCarrierNetwork": "", "CurrentMCC": "", "CurrentMNC": "", "DataRoamingEnabled": "",
  "DiagnosticSubmissionEnabled": false, "ICCID": "", "IsMultiUser": false,
  "IsNetworkTethered": false, "IsRoaming": false, "LastCloudBackupDate": "0001-01-01T00:00:00Z",
  "PersonalHotspotEnabled": false, "PhoneNumber": "", "PushToken": "", "SIMCarrierNetwork": "",
  "SIMMCC": "", "SIMMNC": "", "SubscriberCarrierNetwork": "", "SubscriberMCC": "",
  "SubscriberMNC": "", "SupplementalBuildVersion": "", "SupplementalOSVersionExtra": "",
  "VoiceRoamingEnabled": false, "WiFiMAC": "", "EthernetMAC": "", "UDID": "", "Active": false,
  "Profiles": [], "Certificates": [],
  "SecurityInfo": {"AuthenticatedRootVolumeEnabled": false,
    "BootstrapTokenAllowedForAuthentication": "",
    "BootstrapTokenRequiredForKernelExtensionApproval": false,
    "BootstrapTokenRequiredForSoftwareUpdate": false, "HardwareEncryptionCaps": 0,
    "PasscodePresent": false, "PasscodeCompliant": false, "PasscodeCompliantWithProfiles": false,
    "PasscodeLockGracePeriod": 0, "PasscodeLockGracePeriodEnforced": 0, "FDEEnabled": false,
    "FDEHasPersonalRecoveryKey": false, "FDEHasInstitutionalRecoveryKey": false,
    "FDEPersonalRecoveryKeyCMS": null, "FDEPersonalRecoveryKeyDeviceKey": "",
    "FirewallSettings": {"BlockAllIncoming": false, "FirewallEnabled": false,
      "StealthMode": false, "DeviceUDID": ""},
    "SystemIntegrityProtectionEnabled": false,
    "FirmwarePasswordStatus": {"PasswordExists": false, "ChangePending": false,
      "AllowOroms": false, "DeviceUDID": ""},
    "ManagementStatus": {"EnrolledViaDEP": false, "UserApprovedEnrollment": false,
      "IsUserEnrollment": false, "IsActivationLockManageable": false, "DeviceUDID": ""},
    "RemoteDesktopEnabled": false,
    "SecureBoot": {"ExternalBootLevel": "", "SecureBootLevel": "",
      "SecureBootReducedSecurity": {"AllowsAnyAppleSignedOS": false, "AllowsMDM": false,
        "AllowsUserKextApproval": false, "DeviceUDID": ""}, "DeviceUDID": ""},
    "DeviceUDID": ""},
  "ProfileList": [],
  "UpdatedAt": "0001-01-01T00:00:00Z", "AuthenticateRecieved": false, "TokenUpdateRecieved": false,
  "InitialTasksRun": false, "Erase": false, "Lock": false, "UnlockPin": "",
  "TempUnlockPin": {"ID": "00000000-0000-0000-0000-000000000000", "UnlockPin": "",
    "PinSet": "0001-01-01T00:00:00Z", "DeviceUDID": ""},
  "LastInfoRequested": "0001-01-01T00:00:00Z", "NextPush": "0001-01-01T00:00:00Z",
  "LastCheckedIn": "0001-01-01T00:00:00Z", "LastCertificateList": "0001-01-01T00:00:00Z",
  "LastProfileList": "0001-01-01T00:00:00Z", "LastDeviceInfo": "0001-01-01T00:00:00Z",
  "LastSecurityInfo": "0001-01-01T00:00:00Z"})";

std::string TimeText(const std::optional<Timestamp>& at) { return at ? FormatTime(*at) : kNever; }

Json ProfileListJson(const std::vector<ReportedProfile>& profiles, const std::string& udid) {
  Json list = Json::array();
  for (const ReportedProfile& profile : profiles) {
    const std::string& identifier = profile.payload_identifier.value();
    list.push_back({{"ID", ToLowerAscii(NameUuid("reported " + udid + " " + identifier))},
                    {"DeviceUDID", udid},
                    {"HasRemovalPasscode", false},
                    {"IsEncrypted", false},
                    {"IsManaged", true},
                    {"PayloadContent", nullptr},
                    {"PayloadDescription", ""},
                    {"PayloadDisplayName", profile.display_name},
                    {"PayloadIdentifier", identifier},
                    {"PayloadOrganization", ""},
                    {"PayloadRemovalDisallowed", false},
                    {"PayloadUUID", profile.payload_uuid},
                    {"PayloadVersion", 1},
                    {"FullPayload", false},
                    {"SignerCertificates", nullptr}});
  }
  return list;
}

/// What devices said to Director, and what MDMDirector last heard of them.
struct Answers {
  Inventory inventory;
  ImportedAnswers imported;

  /// Null when the import brought none, or one of an earlier epoch.
  const InventoryRecord* FindImported(const Enrollment& enrollment,
                                      std::string_view request_type) const {
    const auto found = imported.find({enrollment.channel.enrollment_id, std::string(request_type)});
    const bool counts = found != imported.end() && found->second.epoch == enrollment.epoch;
    return counts ? &found->second : nullptr;
  }
  /// Answers of an earlier epoch are about a device that may have been wiped since: they have no
  /// time in this one. What was imported stands in until the device answers.
  const InventoryRecord* Find(const Enrollment& enrollment, InventoryKind kind) const {
    const auto found = inventory.find({enrollment.channel.enrollment_id, kind});
    if (found != inventory.end() && enrollment.inventory_at[kind]) return &found->second;
    return FindImported(enrollment, InventoryKindName(kind));
  }
};

struct ShownKind {
  InventoryKind kind;
  void (*add)(Json& device, const std::string& udid, const InventoryRecord& record);
  const char* time_key;
};
constexpr ShownKind kShownKinds[] = {
    {InventoryKind::kDeviceInformation, AddDeviceInformation, "LastDeviceInfo"},
    {InventoryKind::kSecurityInfo, AddSecurityInfo, "LastSecurityInfo"},
    {InventoryKind::kCertificateList, AddCertificates, "LastCertificateList"},
};

void AddInventory(Json& device, const Enrollment& enrollment, const Answers& answers) {
  for (const ShownKind& shown : kShownKinds) {
    const std::optional<Timestamp>& answered_at = enrollment.inventory_at[shown.kind];
    const InventoryRecord* record = answers.Find(enrollment, shown.kind);
    device[shown.time_key] =
        TimeText(answered_at || record == nullptr ? answered_at : record->reported_at);
    if (record != nullptr) shown.add(device, UdidOf(enrollment), *record);
  }
}

Json DeviceJson(const Enrollment& enrollment, const Answers& answers) {
  static const Json kTemplate = Json::parse(kNoDevice);
  Json device = kTemplate;
  AddInventory(device, enrollment, answers);
  // What Director itself knows is newer or surer than the answers.
  device["DeviceName"] = enrollment.device_name;
  device["BuildVersion"] = enrollment.build_version;
  device["ModelName"] = enrollment.model_name;
  device["OSVersion"] = enrollment.os_version;
  device["ProductName"] = enrollment.product_name;
  device["SerialNumber"] = enrollment.serial_number;
  if (enrollment.is_supervised) device["IsSupervised"] = *enrollment.is_supervised;
  device["AwaitingConfiguration"] = enrollment.awaiting_configuration.value_or(false);
  device["UDID"] = UdidOf(enrollment);
  const bool is_enrolled = enrollment.status == EnrollmentStatus::kEnrolled;
  device["Active"] = is_enrolled;
  device["UpdatedAt"] = FormatTime(enrollment.last_seen_at);
  device["AuthenticateRecieved"] = enrollment.authenticated_at.has_value() || is_enrolled;
  device["TokenUpdateRecieved"] = is_enrolled;
  device["InitialTasksRun"] = is_enrolled;
  device["LastCheckedIn"] = FormatTime(enrollment.last_seen_at);
  return device;
}

/// The flags as people see them: set while a proposal for it is open.
void AddFlags(Json& device, const std::vector<Proposal>& open, const EnrollmentId& id) {
  for (const Proposal& proposal : open) {
    if (proposal.enrollment_id != id || !IsOpen(proposal.state)) continue;
    device["Erase"] = proposal.kind == ProposalKind::kEraseDevice;
    device["Lock"] = proposal.kind == ProposalKind::kDeviceLock;
  }
}

/// The open ones, of one device or, with an empty id, of all.
Result<std::vector<Proposal>> LoadOpenProposals(StoreReader& reader, const EnrollmentId& id = {}) {
  std::vector<Proposal> open;
  PageRequest page{"", kProposalsPerPage};
  while (true) {
    auto found = reader.ListProposals({.enrollment_id = id, .only_open = true}, page);
    if (!found) return Fail(found.error());
    open.insert(open.end(), found->begin(), found->end());
    if (found->size() < page.limit) return open;
    page.after = std::to_string(found->back().proposal_id);
  }
}

void AddReport(Json& device, const Enrollment& enrollment,
               const std::optional<ProfileListReport>& report, const Answers& answers) {
  if (report) {
    device["ProfileList"] = ProfileListJson(report->profiles, UdidOf(enrollment));
    device["LastProfileList"] = FormatTime(report->reported_at);
    return;
  }
  const InventoryRecord* imported = answers.FindImported(enrollment, request_type::kProfileList);
  if (imported == nullptr) return;
  const auto profiles = DecodeReportedProfiles(imported->answer);
  if (!profiles) return;  // it was only to be shown
  device["ProfileList"] = ProfileListJson(*profiles, UdidOf(enrollment));
  device["LastProfileList"] = FormatTime(imported->reported_at);
}

void LeaveOutEmpty(Json& device) {
  for (const char* key : {"Profiles", "Certificates", "ProfileList"}) {
    if (device[key].empty()) device.erase(key);
  }
}

bool IsLimited(const HttpServerRequest& request) {
  const auto info = request.query.find("info");
  return info != request.query.end() && info->second == "limited";
}

Result<Answers> LoadShown(StoreReader& reader, const std::vector<EnrollmentId>& ids,
                          bool is_limited) {
  std::vector<InventoryKind> kinds(kWholeKinds.begin(), kWholeKinds.end());
  if (is_limited) kinds.assign(kLimitedKinds.begin(), kLimitedKinds.end());
  auto inventory = reader.LoadInventory(ids, kinds);
  if (!inventory) return Fail(inventory.error());
  auto imported = reader.LoadImported(ids);
  if (!imported) return Fail(imported.error());
  if (is_limited) {
    std::erase_if(*imported, [](const auto& one) {
      return one.first.second == request_type::kCertificateList;
    });
  }
  return Answers{std::move(*inventory), std::move(*imported)};
}

/// The list as it is sent, a page of devices in each part.
class DeviceList {
 public:
  DeviceList(Store& store, bool is_limited) : store_(store), is_limited_(is_limited) {}

  Result<std::string> Next() {
    std::string part;
    while (part.empty() && !place_.is_done) {
      Place next;
      const Status read = store_.Read([&](StoreReader& reader) -> Status {
        next = place_;
        part.clear();
        return ReadPage(reader, next, part);
      });
      if (!read) return Fail(read.error());
      place_ = next;
    }
    return part;
  }

 private:
  struct Place {
    std::string after;
    bool is_first = true;
    bool is_done = false;
  };

  Status ReadPage(StoreReader& reader, Place& place, std::string& part) const {
    const auto rows = reader.ListEnrollments({}, {place.after, kDevicesPerPart});
    if (!rows) return Fail(rows.error());
    auto said = LoadSaid(reader, *rows);
    if (!said) return Fail(said.error());
    for (const EnrollmentRow& row : *rows) {
      if (IsUserChannel(row.enrollment.channel.type)) continue;
      const EnrollmentId& id = row.enrollment.channel.enrollment_id;
      Json device = DeviceJson(row.enrollment, said->answers);
      AddFlags(device, said->open, id);
      if (!is_limited_) AddReport(device, row.enrollment, said->reports[id], said->answers);
      LeaveOutEmpty(device);
      part += (place.is_first ? "[\n    " : ",\n    ") + Indented(Render(device));
      place.is_first = false;
    }
    place.is_done = rows->size() < kDevicesPerPart;
    if (!rows->empty()) place.after = rows->back().enrollment.channel.enrollment_id.value();
    if (place.is_done) part += place.is_first ? "[]" : "\n]";
    return {};
  }

  /// What the devices of a page said.
  struct Said {
    std::map<EnrollmentId, std::optional<ProfileListReport>> reports;
    Answers answers;
    std::vector<Proposal> open;
  };

  Result<Said> LoadSaid(StoreReader& reader, const std::vector<EnrollmentRow>& rows) const {
    Said said;
    std::vector<EnrollmentId> ids;
    for (const EnrollmentRow& row : rows) ids.push_back(row.enrollment.channel.enrollment_id);
    auto answers = LoadShown(reader, ids, is_limited_);
    if (!answers) return Fail(answers.error());
    said.answers = std::move(*answers);
    auto open = LoadOpenProposals(reader);
    if (!open) return Fail(open.error());
    said.open = std::move(*open);
    if (is_limited_) return said;
    auto snapshots = reader.LoadSnapshots(ids);
    if (!snapshots) return Fail(snapshots.error());
    for (Snapshot& snapshot : *snapshots) {
      said.reports[snapshot.enrollment.channel.enrollment_id] = std::move(snapshot.profile_list);
    }
    return said;
  }

  Store& store_;
  const bool is_limited_;
  Place place_;
};

HttpServerResponse NoSuchDevice() {
  return Problem(MakeError(ErrorKind::kNotFound, "no such device"));
}

HttpServerResponse OneDevice(Store& store, bool is_limited, const auto& find) {
  std::optional<Json> device;
  const Status done = store.Read([&](StoreReader& reader) -> Status {
    device.reset();
    const Result<std::optional<Enrollment>> found = find(reader);
    if (!found) return Fail(found.error());
    if (!*found) return {};
    const auto answers = LoadShown(reader, {(*found)->channel.enrollment_id}, is_limited);
    if (!answers) return Fail(answers.error());
    device = DeviceJson(**found, *answers);
    const auto open = LoadOpenProposals(reader, (*found)->channel.enrollment_id);
    if (!open) return Fail(open.error());
    AddFlags(*device, *open, (*found)->channel.enrollment_id);
    if (!is_limited) {
      Result<Json> profiles = DeviceProfilesJson(reader, **found);
      if (!profiles) return Fail(profiles.error());
      (*device)["Profiles"] = std::move(*profiles);
      const Result<Snapshot> snapshot = reader.LoadSnapshot((*found)->channel.enrollment_id);
      if (!snapshot) return Fail(snapshot.error());
      AddReport(*device, **found, snapshot->profile_list, *answers);
    }
    LeaveOutEmpty(*device);
    return {};
  });
  if (!done) return Problem(done.error());
  if (!device) return NoSuchDevice();
  return Answer(*device);
}

}  // namespace

HttpServerResponse Api::ListDevices(const HttpServerRequest& request) {
  return AnswerInParts([list = std::make_shared<DeviceList>(deps_.store, IsLimited(request))] {
    return list->Next();
  });
}

HttpServerResponse Api::GetDevice(const HttpServerRequest& request) {
  return OneDevice(deps_.store, IsLimited(request), [&](StoreReader& reader) {
    return FindByUdid(reader, request.path_values.at("udid"));
  });
}

HttpServerResponse Api::GetDeviceBySerial(const HttpServerRequest& request) {
  return OneDevice(deps_.store, IsLimited(request), [&](StoreReader& reader) {
    return FindBySerial(reader, request.path_values.at("serial"));
  });
}

HttpServerResponse Api::PushDevice(const HttpServerRequest& request) {
  std::optional<Enrollment> device;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    auto found = FindByUdid(reader, request.path_values.at("udid"));
    if (!found) return Fail(found.error());
    device = std::move(*found);
    return {};
  });
  if (!done) return Problem(done.error());
  if (!device) return NoSuchDevice();
  Upstreams::Member* server = deps_.upstreams.Find(device->upstream);
  if (server == nullptr) {
    return Problem(MakeError(ErrorKind::kUnavailable, "its MDM server is not configured"));
  }
  const PushTargetResult result = server->upstream->Push({device->channel.enrollment_id}).front();
  if (result.outcome == PushOutcome::kSent) return {200, kText, R"({"status":"push_sent"})", {}};
  return Problem(MakeError(ErrorKind::kUnavailable, "the push failed: " + result.detail));
}

}  // namespace director::mdmdirector
