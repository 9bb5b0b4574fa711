#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "mdm/event.h"
#include "store/postgres_store.h"

namespace director {

// The tables of MDMDirector, to move over from. Source of every fact about them: MDMDirector's
// models of main (March 2026), whose columns are gorm's names of their fields (`ud_id`).

/// A row of device_profiles or shared_profiles without its document.
struct MdmDirectorProfile {
  std::string row_id;  ///< of shared_profiles; empty in device_profiles
  std::string udid;    ///< of device_profiles; empty in shared_profiles
  std::string payload_identifier;
  std::string payload_uuid;         ///< before MDMDirector rewrote the document for the last time
  std::string hashed_payload_uuid;  ///< the one that devices have; empty in a tombstone
  /// False: it is to be removed wherever it is found (a tombstone).
  std::optional<bool> installed;
  std::string document_digest;  ///< SHA-256 of the document in hexadecimal; empty without one
  std::string stated_digest;    ///< what the row says of its own; empty when it says nothing
  std::int64_t size_bytes = 0;  ///< of the document
  friend bool operator==(const MdmDirectorProfile&, const MdmDirectorProfile&) = default;
};

/// One device with all that is about it alone. NULL is empty, false or unknown.
struct MdmDirectorDevice {
  std::string udid;
  /// False for one that only rows of device_profiles name.
  bool is_in_devices = false;
  std::string serial_number;
  bool shares_serial_number = false;  ///< with another active device
  std::string device_name;
  std::string model_name;
  std::string product_name;
  std::string os_version;
  std::string build_version;
  bool is_active = false;
  bool has_token = false;  ///< its TokenUpdate came: it can be pushed
  bool wants_erase = false;
  bool wants_lock = false;
  /// Empty for never: MDMDirector writes the year 1.
  std::optional<Timestamp> last_checked_in;
  std::vector<MdmDirectorProfile> profiles;  ///< by identifier
  /// The last ProfileList. MDMDirector does not keep what tells the enrollment profile.
  std::vector<ReportedProfile> reported;
};

/// A lock or an erase that MDMDirector has set for a device and not taken back.
struct MdmDirectorPending {
  std::string udid;
  std::string product_name;
  bool is_erase = false;  ///< stands above a lock
  /// The device is active and its TokenUpdate came: it can be pushed.
  bool is_enrolled = false;
  /// MDMDirector has sent this command, and the device's last answer to one of them was none or
  /// NotNow: it waits in the MDM server's queue.
  bool is_queued = false;
  bool was_acknowledged = false;  ///< some time, perhaps before the flag was set
  /// The fixed PIN, else the newest temporary one; empty when there is none any more.
  Secret pin;
};

/// What MDMDirector last heard of one device, as rows of its tables.
struct MdmDirectorInventory {
  std::string udid;
  /// The device is active and its TokenUpdate came.
  bool is_enrolled = false;
  // When the last answers came; empty for never.
  std::optional<Timestamp> profile_list_at;
  std::optional<Timestamp> device_information_at;
  std::optional<Timestamp> security_info_at;
  std::optional<Timestamp> certificate_list_at;
  struct TableRow {
    std::string table;
    std::string columns;  ///< JSON object by column name, without PINs, keys and push tokens
  };
  std::vector<TableRow> rows;  ///< in the order of their tables
};

/// A row of device_install_applications or shared_install_applications.
struct MdmDirectorApp {
  std::string udid;  ///< empty for all devices
  std::string manifest_url;
  std::string serial_number;  ///< of the device, as far as `devices` knows it
};

struct MdmDirectorCount {
  std::string table;
  std::int64_t rows = 0;
};

/// MDMDirector's database at one moment. Nothing in it is ever written. Not thread-safe.
///
/// Errors everywhere: kUnavailable (out of reach, a right is missing, a statement took too long).
/// After an error every call fails.
class MdmDirectorDatabase {
 public:
  virtual ~MdmDirectorDatabase() = default;

  /// Rows of each table that holds something worth knowing about; those that are not there are left
  /// out.
  virtual Result<std::vector<MdmDirectorCount>> CountRows() = 0;
  /// By identifier, which may stand several times, then by id. kInvalid for more than
  /// `kSharedProfilesMax`.
  virtual Result<std::vector<MdmDirectorProfile>> ListSharedProfiles() = 0;
  /// Visits every device in the order of the bytes of its UDID; holds one page of each table. Ends
  /// with the error of `visit`, and must not be called from it.
  virtual Status ForEachDevice(const std::function<Status(const MdmDirectorDevice&)>& visit) = 0;
  /// The same for what it last heard of them, one device in `devices` after the other. A device
  /// with more than `kInventoryRowsMax` rows has none; a row above 64 KiB is left out.
  virtual Status ForEachInventory(
      const std::function<Status(const MdmDirectorInventory&)>& visit) = 0;
  /// By UDID. Reads PINs, which nothing else does. kInvalid for more than `kPendingMax`, and when
  /// the tables of commands or PINs are missing.
  virtual Result<std::vector<MdmDirectorPending>> ListPending() = 0;
  /// Shared ones first, each URL once for each device. Tables that are missing have none. kInvalid
  /// for more than `kAppsMax`.
  virtual Result<std::vector<MdmDirectorApp>> ListApps() = 0;
  /// The document of a row, which may be called while devices are visited. kNotFound when there is
  /// none.
  virtual Result<std::string> LoadDocument(const MdmDirectorProfile& row) = 0;
};

inline constexpr std::size_t kSharedProfilesMax = 10'000;
inline constexpr std::size_t kPendingMax = 10'000;
inline constexpr std::size_t kAppsMax = 100'000;
inline constexpr std::size_t kInventoryRowsMax = 2'000;

/// Connects and begins one transaction that only reads and sees no later change; it lasts as long
/// as the object. `settings.url` may hold a password; `connections_max` and `transaction_max` have
/// no meaning. Needs PostgreSQL 11 or newer.
///
/// kInvalid: the URL cannot be read, or tables or columns of MDMDirector are missing, which the
/// message names. kUnavailable: the server cannot be reached or refuses.
Result<std::unique_ptr<MdmDirectorDatabase>> OpenMdmDirectorDatabase(
    const PostgresSettings& settings);

}  // namespace director
