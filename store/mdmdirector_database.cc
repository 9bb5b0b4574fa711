#include "store/mdmdirector_database.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "store/mdmdirector_inventory.h"
#include "store/mdmdirector_source.h"

namespace director {
namespace {

struct NeededTable {
  std::string_view table;
  std::vector<std::string_view> columns;
};

const std::vector<NeededTable>& NeededTables() {
  static const std::vector<NeededTable> needed = {
      {"devices",
       {"ud_id", "serial_number", "device_name", "model_name", "product_name", "os_version",
        "build_version", "active", "token_update_recieved", "erase", "lock", "last_checked_in"}},
      {"device_profiles",
       {"payload_identifier", "device_ud_id", "payload_uuid", "hashed_payload_uuid",
        "mobileconfig_data", "mobileconfig_hash", "installed"}},
      {"shared_profiles",
       {"id", "payload_identifier", "payload_uuid", "hashed_payload_uuid", "mobileconfig_data",
        "mobileconfig_hash", "installed"}},
      {"profile_lists", {"device_ud_id", "payload_identifier", "payload_uuid"}},
  };
  return needed;
}

/// What `ListPending` needs beside the above.
const std::vector<NeededTable>& NeededForPending() {
  static const std::vector<NeededTable> needed = {
      {"devices", {"unlock_pin"}},
      {"commands", {"command_uuid", "status", "device_ud_id", "request_type"}},
      {"unlock_pins", {"id", "unlock_pin", "pin_set", "device_ud_id"}},
  };
  return needed;
}

constexpr const char* kFindMissing =
    "SELECT t || CASE WHEN to_regclass(quote_ident(t)) IS NULL THEN '' ELSE '.' || c END "
    "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS needed (t, c, place) "
    "WHERE NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(t)) "
    "AND attname = c AND NOT attisdropped) GROUP BY 1 ORDER BY min(place)";

/// What is counted for the plan. The first four are needed, the others may be missing.
constexpr std::pair<std::string_view, const char*> kCounts[] = {
    {"devices", "SELECT count(*) FROM devices"},
    {"device_profiles", "SELECT count(*) FROM device_profiles"},
    {"shared_profiles", "SELECT count(*) FROM shared_profiles"},
    {"profile_lists", "SELECT count(*) FROM profile_lists WHERE device_ud_id IS NOT NULL"},
    {"device_install_applications", "SELECT count(*) FROM device_install_applications"},
    {"shared_install_applications", "SELECT count(*) FROM shared_install_applications"},
    {"unlock_pins", "SELECT count(*) FROM unlock_pins"},
    {"security_infos", "SELECT count(*) FROM security_infos"},
    {"certificates", "SELECT count(*) FROM certificates WHERE device_ud_id IS NOT NULL"},
};
constexpr const char* kListShared =
    "SELECT id::text, '', left(COALESCE(payload_identifier, ''), 1000), "
    "left(COALESCE(payload_uuid, ''), 1000), left(COALESCE(hashed_payload_uuid, ''), 1000), "
    "installed, COALESCE(encode(sha256(mobileconfig_data), 'hex'), ''), "
    "COALESCE(left(encode(mobileconfig_hash, 'hex'), 1000), ''), "
    "COALESCE(octet_length(mobileconfig_data), 0) FROM shared_profiles "
    "ORDER BY payload_identifier COLLATE \"C\", id LIMIT $1::bigint";
/// Of a command that the MDM server refused MDMDirector keeps a row without a CommandUUID.
constexpr const char* kListPending =
    "WITH pending AS (SELECT ud_id, COALESCE(product_name, '') AS product_name, "
    "COALESCE(erase, false) AS is_erase, "
    "COALESCE(active, false) AND COALESCE(token_update_recieved, false) AS is_enrolled, "
    "COALESCE(unlock_pin, '') AS fixed_pin FROM devices "
    "WHERE COALESCE(erase, false) OR COALESCE(lock, false)), "
    "sent AS (SELECT device_ud_id, request_type, "
    "bool_or(COALESCE(status, '') IN ('', 'NotNow')) AS is_queued, "
    "bool_or(COALESCE(status, '') = 'Acknowledged') AS was_acknowledged FROM commands "
    "WHERE request_type IN ('EraseDevice', 'DeviceLock') AND command_uuid <> '' "
    "AND device_ud_id IN (SELECT ud_id FROM pending) GROUP BY device_ud_id, request_type), "
    "temporary AS (SELECT DISTINCT ON (device_ud_id) device_ud_id, unlock_pin FROM unlock_pins "
    "WHERE device_ud_id IN (SELECT ud_id FROM pending) "
    "ORDER BY device_ud_id, pin_set DESC NULLS LAST, id) "
    "SELECT left(p.ud_id, 1000), left(p.product_name, 1000), p.is_erase, p.is_enrolled, "
    "COALESCE(s.is_queued, false), "
    "COALESCE(s.was_acknowledged, false), "
    "left(COALESCE(NULLIF(p.fixed_pin, ''), t.unlock_pin, ''), 1000) FROM pending AS p "
    "LEFT JOIN sent AS s ON s.device_ud_id = p.ud_id "
    "AND s.request_type = CASE WHEN p.is_erase THEN 'EraseDevice' ELSE 'DeviceLock' END "
    "LEFT JOIN temporary AS t ON t.device_ud_id = p.ud_id "
    "ORDER BY p.ud_id COLLATE \"C\" LIMIT $1::bigint";
constexpr const char* kListSharedApps =
    "SELECT DISTINCT '', left(COALESCE(manifest_url, ''), 1000) AS url, '' "
    "FROM shared_install_applications ORDER BY 2 LIMIT $1::bigint";
constexpr const char* kListDeviceApps =
    "SELECT DISTINCT left(a.device_ud_id, 1000), left(COALESCE(a.manifest_url, ''), 1000), "
    "left(COALESCE(d.serial_number, ''), 1000) FROM device_install_applications AS a "
    "LEFT JOIN devices AS d ON d.ud_id = a.device_ud_id "
    "WHERE COALESCE(a.device_ud_id, '') <> '' ORDER BY 1, 2 LIMIT $1::bigint";
constexpr std::pair<std::string_view, const char*> kAppTables[] = {
    {"shared_install_applications", kListSharedApps},
    {"device_install_applications", kListDeviceApps},
};
constexpr const char* kSelectSharedDocument =
    "SELECT encode(mobileconfig_data, 'hex') FROM shared_profiles "
    "WHERE id::text = $1 AND mobileconfig_data IS NOT NULL";
constexpr const char* kSelectDeviceDocument =
    "SELECT encode(mobileconfig_data, 'hex') FROM device_profiles "
    "WHERE payload_identifier = $1 AND device_ud_id = $2 AND mobileconfig_data IS NOT NULL";

/// The three tables are read side by side, all in the same order: none of them has an index by
/// device but `devices`. Of a PIN not even its length leaves the server.
const CursorSql kDevices = {
    "DECLARE import_devices NO SCROLL CURSOR FOR "
    "SELECT left(ud_id, 1000), left(COALESCE(serial_number, ''), 1000), "
    "COALESCE(active, false) AND COALESCE(serial_number, '') <> '' AND count(*) FILTER "
    "(WHERE COALESCE(active, false)) OVER (PARTITION BY lower(serial_number)) > 1, "
    "left(COALESCE(device_name, ''), 1000), left(COALESCE(model_name, ''), 1000), "
    "left(COALESCE(product_name, ''), 1000), left(COALESCE(os_version, ''), 1000), "
    "left(COALESCE(build_version, ''), 1000), COALESCE(active, false), "
    "COALESCE(token_update_recieved, false), COALESCE(erase, false), COALESCE(lock, false), "
    "CASE WHEN isfinite(last_checked_in) AND last_checked_in > '1970-01-01T00:00:00Z' "
    "THEN (extract(epoch FROM last_checked_in) * 1000)::bigint END "
    "FROM devices ORDER BY ud_id COLLATE \"C\"",
    "FETCH FORWARD 500 FROM import_devices", "CLOSE import_devices"};
const CursorSql kDeviceProfiles = {
    "DECLARE import_profiles NO SCROLL CURSOR FOR "
    "SELECT '', left(device_ud_id, 1000), left(payload_identifier, 1000), "
    "left(COALESCE(payload_uuid, ''), 1000), left(COALESCE(hashed_payload_uuid, ''), 1000), "
    "installed, COALESCE(encode(sha256(mobileconfig_data), 'hex'), ''), "
    "COALESCE(left(encode(mobileconfig_hash, 'hex'), 1000), ''), "
    "COALESCE(octet_length(mobileconfig_data), 0) FROM device_profiles "
    "ORDER BY device_ud_id COLLATE \"C\", payload_identifier COLLATE \"C\"",
    "FETCH FORWARD 1000 FROM import_profiles", "CLOSE import_profiles"};
const CursorSql kProfileLists = {
    "DECLARE import_lists NO SCROLL CURSOR FOR "
    "SELECT left(device_ud_id, 1000), left(COALESCE(payload_identifier, ''), 1000), "
    "left(COALESCE(payload_uuid, ''), 1000) FROM profile_lists WHERE device_ud_id IS NOT NULL "
    "ORDER BY device_ud_id COLLATE \"C\"",
    "FETCH FORWARD 5000 FROM import_lists", "CLOSE import_lists"};

MdmDirectorDevice ReadDevice(Row& row) {
  MdmDirectorDevice device;
  device.is_in_devices = true;
  device.udid = row.Text();
  device.serial_number = row.Text();
  device.shares_serial_number = row.Flag();
  device.device_name = row.Text();
  device.model_name = row.Text();
  device.product_name = row.Text();
  device.os_version = row.Text();
  device.build_version = row.Text();
  device.is_active = row.Flag();
  device.has_token = row.Flag();
  device.wants_erase = row.Flag();
  device.wants_lock = row.Flag();
  device.last_checked_in = row.OptionalTime();
  return device;
}

MdmDirectorProfile ReadProfile(Row& row) {
  MdmDirectorProfile profile;
  profile.row_id = row.Text();
  profile.udid = row.Text();
  profile.payload_identifier = row.Text();
  profile.payload_uuid = row.Text();
  profile.hashed_payload_uuid = row.Text();
  profile.installed = row.OptionalFlag();
  profile.document_digest = row.Text();
  profile.stated_digest = row.Text();
  profile.size_bytes = row.Int();
  return profile;
}

MdmDirectorPending ReadPending(Row& row) {
  MdmDirectorPending pending;
  pending.udid = row.Text();
  pending.product_name = row.Text();
  pending.is_erase = row.Flag();
  pending.is_enrolled = row.Flag();
  pending.is_queued = row.Flag();
  pending.was_acknowledged = row.Flag();
  pending.pin = Secret(row.Text());
  return pending;
}

struct ListedProfile {
  std::string udid;
  ReportedProfile profile;
};

ListedProfile ReadListed(Row& row) {
  ListedProfile listed;
  listed.udid = row.Text();
  listed.profile.payload_identifier = row.TextAs<PayloadIdentifier>();
  listed.profile.payload_uuid = row.Text();
  return listed;
}

/// Puts together what the three tables say of each device.
class DeviceReading {
 public:
  explicit DeviceReading(SourceTransaction& db)
      : devices_(db, kDevices, ReadDevice),
        profiles_(db, kDeviceProfiles, ReadProfile),
        listed_(db, kProfileLists, ReadListed) {}

  Status Open() {
    Status done = devices_.Open();
    if (done) done = profiles_.Open();
    return done ? listed_.Open() : done;
  }
  Status Close() {
    Status done = devices_.Close();
    if (done) done = profiles_.Close();
    return done ? listed_.Close() : done;
  }

  /// Nothing after the last one.
  Result<std::optional<MdmDirectorDevice>> Next() {
    const Result<MdmDirectorDevice*> row = devices_.Peek();
    if (!row) return Fail(row.error());
    const Result<MdmDirectorProfile*> own = profiles_.Peek();
    if (!own) return Fail(own.error());
    if (*row == nullptr && *own == nullptr) return std::optional<MdmDirectorDevice>();
    std::optional<MdmDirectorDevice> device;
    if (*own == nullptr || (*row != nullptr && (*row)->udid <= (*own)->udid)) {
      device = devices_.Take();
    } else {
      device.emplace().udid = (*own)->udid;
    }
    if (Status read = TakeProfiles(*device); !read) return Fail(read.error());
    if (Status read = TakeReported(*device); !read) return Fail(read.error());
    return device;
  }

 private:
  Status TakeProfiles(MdmDirectorDevice& device) {
    while (true) {
      const Result<MdmDirectorProfile*> next = profiles_.Peek();
      if (!next) return Fail(next.error());
      if (*next == nullptr || (*next)->udid != device.udid) return {};
      device.profiles.push_back(profiles_.Take());
    }
  }

  /// Lists of devices that are nowhere else are passed over.
  Status TakeReported(MdmDirectorDevice& device) {
    while (true) {
      const Result<ListedProfile*> next = listed_.Peek();
      if (!next) return Fail(next.error());
      if (*next == nullptr || (*next)->udid > device.udid) return {};
      ListedProfile listed = listed_.Take();
      if (listed.udid == device.udid) device.reported.push_back(std::move(listed.profile));
    }
  }

  Cursor<MdmDirectorDevice> devices_;
  Cursor<MdmDirectorProfile> profiles_;
  Cursor<ListedProfile> listed_;
};

class PostgresMdmDirectorDatabase final : public MdmDirectorDatabase {
 public:
  /// Throws what libpqxx throws.
  explicit PostgresMdmDirectorDatabase(std::unique_ptr<pqxx::connection> connection)
      : db_(std::move(connection)) {}

  /// Names everything that is missing, in one message.
  Status Check(const std::vector<NeededTable>& tables) {
    PostgresBatch needed(2);
    for (const NeededTable& table : tables) {
      for (const std::string_view column : table.columns) needed.Bind(table.table).Bind(column);
    }
    Result<PostgresResult> missing = db_.Run(kFindMissing, needed.Arrays());
    if (!missing) return Fail(missing.error());
    std::string names;
    while (missing->Next()) names += (names.empty() ? "" : ", ") + missing->Text();
    if (names.empty()) return {};
    return Fail(ErrorKind::kInvalid, "this is no database of MDMDirector, it has no " + names);
  }

  Result<std::vector<MdmDirectorCount>> CountRows() override {
    std::vector<MdmDirectorCount> counts;
    for (const auto& [table, sql] : kCounts) {
      const Result<bool> exists = db_.HasTable(table);
      if (!exists) return Fail(exists.error());
      if (!*exists) continue;
      Result<PostgresResult> rows = db_.Run(sql);
      if (!rows) return Fail(rows.error());
      if (rows->Next()) counts.push_back({std::string(table), rows->Int()});
    }
    return counts;
  }

  Result<std::vector<MdmDirectorProfile>> ListSharedProfiles() override {
    const auto limit = static_cast<std::int64_t>(kSharedProfilesMax + 1);
    Result<PostgresResult> rows = db_.Run(kListShared, {ToPostgres(limit)});
    if (!rows) return Fail(rows.error());
    std::vector<MdmDirectorProfile> profiles;
    while (rows->Next()) profiles.push_back(ReadProfile(*rows));
    if (profiles.size() <= kSharedProfilesMax) return profiles;
    return Fail(ErrorKind::kInvalid,
                fmt::format("shared_profiles has more than {} rows", kSharedProfilesMax));
  }

  Result<std::vector<MdmDirectorPending>> ListPending() override {
    if (Status checked = Check(NeededForPending()); !checked) return Fail(checked.error());
    const auto limit = static_cast<std::int64_t>(kPendingMax + 1);
    Result<PostgresResult> rows = db_.Run(kListPending, {ToPostgres(limit)});
    if (!rows) return Fail(rows.error());
    std::vector<MdmDirectorPending> pending;
    while (rows->Next()) pending.push_back(ReadPending(*rows));
    if (pending.size() <= kPendingMax) return pending;
    return Fail(ErrorKind::kInvalid,
                fmt::format("more than {} devices have a lock or an erase pending", kPendingMax));
  }

  Status ForEachDevice(const std::function<Status(const MdmDirectorDevice&)>& visit) override {
    DeviceReading reading(db_);
    if (Status opened = reading.Open(); !opened) return opened;
    while (true) {
      const Result<std::optional<MdmDirectorDevice>> device = reading.Next();
      if (!device) return Fail(device.error());
      if (!*device) return reading.Close();
      if (Status visited = visit(**device); !visited) return visited;
    }
  }

  Status ForEachInventory(
      const std::function<Status(const MdmDirectorInventory&)>& visit) override {
    return ForEachMdmDirectorInventory(db_, visit);
  }

  Result<std::vector<MdmDirectorApp>> ListApps() override {
    std::vector<MdmDirectorApp> apps;
    const auto limit = static_cast<std::int64_t>(kAppsMax + 1);
    for (const auto& [table, sql] : kAppTables) {
      const Result<bool> exists = db_.HasTable(table);
      if (!exists) return Fail(exists.error());
      if (!*exists) continue;
      Result<PostgresResult> rows = db_.Run(sql, {ToPostgres(limit)});
      if (!rows) return Fail(rows.error());
      while (rows->Next()) {
        MdmDirectorApp& app = apps.emplace_back();
        app.udid = rows->Text();
        app.manifest_url = rows->Text();
        app.serial_number = rows->Text();
      }
    }
    if (apps.size() <= kAppsMax) return apps;
    return Fail(ErrorKind::kInvalid, fmt::format("there are more than {} apps", kAppsMax));
  }

  Result<std::string> LoadDocument(const MdmDirectorProfile& row) override {
    Result<PostgresResult> found =
        row.row_id.empty() ? db_.Run(kSelectDeviceDocument,
                                     {ToPostgres(row.payload_identifier), ToPostgres(row.udid)})
                           : db_.Run(kSelectSharedDocument, {ToPostgres(row.row_id)});
    if (!found) return Fail(found.error());
    if (!found->Next()) return Fail(ErrorKind::kNotFound, "the row has no document");
    return found->Bytes();
  }

 private:
  SourceTransaction db_;
};

}  // namespace

Result<std::unique_ptr<MdmDirectorDatabase>> OpenMdmDirectorDatabase(
    const PostgresSettings& settings) {
  Result<std::unique_ptr<pqxx::connection>> connection = Connect(settings);
  if (!connection) return Fail(OfMdmDirector(connection.error()));
  try {
    auto database = std::make_unique<PostgresMdmDirectorDatabase>(std::move(*connection));
    if (Status checked = database->Check(NeededTables()); !checked) return Fail(checked.error());
    return std::unique_ptr<MdmDirectorDatabase>(std::move(database));
  } catch (const std::exception& failure) {
    return Fail(OfMdmDirector(DescribePostgres(failure)));
  }
}

}  // namespace director
