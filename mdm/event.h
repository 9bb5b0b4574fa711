#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "mdm/inventory.h"
#include "mdm/mdm_identity.h"
#include "mdm/plist.h"

namespace director {

/// Kinds of enrollment. Names as NanoMDM's webhook spells them are in `ChannelTypeName`.
enum class ChannelType {
  kDevice,                ///< `Device`
  kUser,                  ///< `User`: user channel of a Mac
  kSharedIpad,            ///< `Shared iPad`: user channel there
  kUserEnrollmentDevice,  ///< `User Enrollment (Device)`
  kUserEnrollment,        ///< `User Enrollment`: its user channel
};

std::string_view ChannelTypeName(ChannelType type);
/// kInvalid for other words.
Result<ChannelType> ParseChannelType(std::string_view name);
/// True for the user channels.
bool IsUserChannel(ChannelType type);

/// The largest enrollment id that is accepted, as NanoMDM's SQL stores have it.
inline constexpr std::size_t kEnrollmentIdSizeMaxBytes = 255;

/// Who speaks. Derived from the property list alone, so it is the same for every upstream.
/// Source: NanoMDM's resolution of enrollment ids.
struct Channel {
  EnrollmentId enrollment_id;  ///< `device_id`, or `device_id:user`
  EnrollmentId device_id;      ///< the device channel's enrollment id (UDID or EnrollmentID)
  ChannelType type = ChannelType::kDevice;
  std::string udid;     ///< empty in User Enrollment
  std::string user_id;  ///< what follows the colon; empty on device channels
  friend bool operator==(const Channel&, const Channel&) = default;
};

/// Makes a channel from the identity keys of a check-in or result. kInvalid when UDID and
/// EnrollmentID are both missing or empty, of the wrong type, hold a colon, `/`, `\`, comma, quote,
/// control character or NUL, are `.` or `..`, or are too long. Ids travel in the paths of upstream
/// APIs, where a comma separates them.
Result<Channel> DecodeChannel(const PlistDict& message);

/// Start of an enrollment, or of an identity renewal. Absent facts are empty strings. `topic`: of
/// the pushes, as the enrollment profile says.
struct AuthenticateEvent {
  std::string serial_number;
  std::string os_version;
  std::string build_version;
  std::string product_name;
  std::string model;
  std::string device_name;
  std::string topic;
};

/// The enrollment can be pushed. Tokens are left out on purpose: they are the MDM server's.
struct TokenUpdateEvent {
  std::optional<bool> awaiting_configuration;  ///< absent is not false
  std::string user_short_name;
  std::string topic{};
};

struct CheckOutEvent {};

/// A poll with nothing to report.
struct IdleEvent {};

/// Another check-in (SetBootstrapToken, DeclarativeManagement, ...) or an unknown topic.
struct OtherEvent {
  std::string topic;
};

enum class CommandStatus { kAcknowledged, kError, kCommandFormatError, kNotNow };
std::string_view CommandStatusName(CommandStatus status);

/// One entry of ErrorChain. First entry = outermost. Missing keys are 0 or empty.
struct ErrorChainEntry {
  std::int64_t code = 0;
  std::string domain;
  std::string localized_description;
  std::string us_english_description;
  friend bool operator==(const ErrorChainEntry&, const ErrorChainEntry&) = default;
};

/// One profile as a device reports it. Settings are never part of it.
struct ReportedProfile {
  PayloadIdentifier payload_identifier;
  std::string payload_uuid;  ///< letter case as reported
  std::string display_name;
  bool has_mdm_payload = false;  ///< it is the enrollment profile
  bool is_declarative = false;   ///< Source says that declarative management owns it
  friend bool operator==(const ReportedProfile&, const ReportedProfile&) = default;
};

/// One app as a device reports it. Absent facts are empty.
struct ReportedApp {
  std::string identifier;     ///< bundle identifier
  std::string version;        ///< CFBundleVersion
  std::string short_version;  ///< CFBundleShortVersionString
  bool is_installing = false;
  friend bool operator==(const ReportedApp&, const ReportedApp&) = default;
};

/// Reads the apps out of the answer to InstalledApplicationList; those without an identifier, which
/// Macs report, are left out. Source: Apple device-management schema, application.installed.list.
std::vector<ReportedApp> ReadApps(const PlistArray& answer);

/// What a device says of one managed app. Words of Apple's that are not known here may come.
struct ReportedManagedApp {
  std::string identifier;  ///< bundle identifier
  std::string status;      ///< printable, at most kManagedAppStatusMaxBytes; never empty
  friend bool operator==(const ReportedManagedApp&, const ReportedManagedApp&) = default;
};
inline constexpr std::size_t kManagedAppStatusMaxBytes = 64;

/// Reads the statuses out of the answer to ManagedApplicationList; entries without one are left
/// out. Source: Apple device-management schema, application.managed.list.
std::vector<ReportedManagedApp> ReadManagedApps(const PlistDict& answer);

/// Answer to DeviceInformation. Absent facts are empty.
struct DeviceInformationReport {
  std::string serial_number;
  std::string os_version;
  std::string build_version;
  std::string product_name;
  std::string model_name;
  std::string device_name;
  std::optional<bool> is_supervised;
  std::optional<bool> awaiting_configuration;
};

/// More than an envelope around a few words can need.
inline constexpr std::size_t kEncryptedRecoveryKeyMaxBytes = 32 * 1024;

/// A device's answer to one command.
struct ResultEvent {
  CommandUuid command_uuid;
  CommandStatus status = CommandStatus::kAcknowledged;
  std::vector<ErrorChainEntry> error_chain;
  std::string rejection_reason;  ///< why an app is not installed, in Apple's word; may be empty
  /// The answer to VerifyRecoveryLock; absent is not false.
  std::optional<bool> password_verified;
  /// The answer to RotateFileVaultKey: a CMS EnvelopedData, at most
  /// `kEncryptedRecoveryKeyMaxBytes`; empty when there is none.
  std::string encrypted_recovery_key;
  /// Present when the answer carried the key, even with an empty array.
  std::optional<std::vector<ReportedProfile>> profile_list;
  /// What Director itself reads of the answer to DeviceInformation.
  std::optional<DeviceInformationReport> device_information;
  /// The whole answer to a question about the device, when it was acknowledged with one.
  std::optional<InventoryReport> inventory;
  /// Of a CertificateList: the certificate that its receiver takes for the device's identity. Empty
  /// when there is none, or nobody looked: reading certificates takes a library.
  std::optional<MdmIdentity> identity;
};

using EventBody = std::variant<AuthenticateEvent, TokenUpdateEvent, CheckOutEvent, IdleEvent,
                               ResultEvent, OtherEvent>;

/// Decodes a check-in message (a dictionary with MessageType) into its body. Unknown types become
/// OtherEvent. kInvalid when a key that Director reads has the wrong type. Source: Apple
/// device-management schema, mdm/checkin.
Result<EventBody> DecodeCheckin(const PlistDict& message);

/// Decodes a command result or Idle (a dictionary with Status). An unknown status is kInvalid, as
/// is a result other than Idle without CommandUUID. Booleans that come as integers are read (older
/// systems send them); an error code as a string too. In ProfileList an entry without
/// PayloadIdentifier is kInvalid as a whole: a list that cannot be read in full is no evidence.
Result<EventBody> DecodeResult(const PlistDict& message);

/// One thing that a device said, as it came through an upstream's webhook.
struct MdmEvent {
  UpstreamName upstream;
  std::string event_id;  ///< may be empty (NanoHUB)
  Timestamp created_at;  ///< the upstream's time
  Channel channel;
  EventBody body;
};

/// A short word for logs and the event list: `Authenticate`, `Idle`, `Acknowledged`, ...
std::string_view EventName(const EventBody& body);

}  // namespace director
