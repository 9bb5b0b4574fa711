#include "store/mdmdirector_database.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "store/postgres_connect.h"

namespace director {
namespace {

/// Between two pages Director's own database is written: that may take its time.
constexpr const char* kBeginReading =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '10s'; "
    "SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Whose words they are: Director has a database of its own.
Error OfMdmDirector(Error error) {
  error.message = "MDMDirector's database: " + error.message;
  return error;
}

/// The one transaction, with errors that name the database.
class SourceTransaction {
 public:
  /// Throws what libpqxx throws.
  explicit SourceTransaction(std::unique_ptr<pqxx::connection> connection)
      : connection_(std::move(connection), false), session_(connection_.connection()) {
    session_.exec(kBeginReading);
  }

  Result<PostgresResult> Run(const char* sql, const std::vector<PostgresValue>& values = {}) {
    Result<PostgresResult> rows = db_.Run(sql, values, {});
    if (!rows) return Fail(OfMdmDirector(rows.error()));
    return rows;
  }

 private:
  PostgresConnection connection_;
  pqxx::nontransaction session_;
  PostgresTransaction db_{connection_, session_};
};

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
constexpr const char* kTableExists = "SELECT to_regclass(quote_ident($1)) IS NOT NULL";

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
struct CursorSql {
  std::string declare;
  const char* fetch;
  const char* close;
};
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

/// Tables that hold answers of devices, by `device_ud_id`, with their columns as JSON. Whole rows,
/// so that an older MDMDirector may lack columns, or tables.
constexpr std::pair<std::string_view, std::string_view> kAnswerTables[] = {
    {"profile_lists", "to_jsonb(t)"},
    {"certificates",
     "jsonb_build_object('data', translate(encode(t.data, 'base64'), chr(10), ''))"},
    {"security_infos", "to_jsonb(t) - 'fde_personal_recovery_key_cms'"},
    {"firewall_settings", "to_jsonb(t)"},
    {"firmware_password_statuses", "to_jsonb(t)"},
    {"management_statuses", "to_jsonb(t)"},
    {"secure_boots", "to_jsonb(t)"},
    {"secure_boot_reduced_securities", "to_jsonb(t)"},
    {"os_update_settings", "to_jsonb(t)"},
};

/// Milliseconds of a column of `devices`; NULL for never, and when there is no such column.
std::string MillisecondsOf(std::string_view column) {
  return fmt::format(
      "(SELECT CASE WHEN isfinite(at) AND at > '1970-01-01T00:00:00Z' "
      "THEN (extract(epoch FROM at) * 1000)::bigint END "
      "FROM (SELECT (to_jsonb(d) ->> '{}')::timestamptz AS at) AS one)",
      column);
}

/// The device first, then its rows in `tables`.
CursorSql InventorySql(const std::vector<std::pair<std::string_view, std::string_view>>& tables) {
  std::string rows = fmt::format(
      "SELECT ud_id AS id, '' AS name, COALESCE(active, false) AND "
      "COALESCE(token_update_recieved, false) AS is_enrolled, {} AS a, {} AS b, {} AS c, {} AS d, "
      "to_jsonb(d) - 'unlock_pin' - 'push_token' AS columns FROM devices AS d",
      MillisecondsOf("last_profile_list"), MillisecondsOf("last_device_info"),
      MillisecondsOf("last_security_info"), MillisecondsOf("last_certificate_list"));
  for (const auto& [table, columns] : tables) {
    rows += fmt::format(
        " UNION ALL SELECT t.device_ud_id, '{}', false, NULL, NULL, NULL, NULL, {} FROM {} AS t "
        "WHERE t.device_ud_id IS NOT NULL",
        table, columns, table);
  }
  return {fmt::format("DECLARE import_inventory NO SCROLL CURSOR FOR "
                      "SELECT left(id, 1000), name, is_enrolled, a, b, c, d, "
                      "CASE WHEN octet_length(columns::text) <= 65536 THEN columns::text ELSE '' "
                      "END FROM ({}) AS answers ORDER BY id COLLATE \"C\", name COLLATE \"C\"",
                      rows),
          "FETCH FORWARD 500 FROM import_inventory", "CLOSE import_inventory"};
}

/// One row of the cursor; that of `devices` has an empty table.
struct AnswerRow {
  std::string udid;
  bool is_enrolled = false;
  std::optional<Timestamp> profile_list_at;
  std::optional<Timestamp> device_information_at;
  std::optional<Timestamp> security_info_at;
  std::optional<Timestamp> certificate_list_at;
  MdmDirectorInventory::TableRow row;
};

AnswerRow ReadAnswerRow(Row& row) {
  AnswerRow answer;
  answer.udid = row.Text();
  answer.row.table = row.Text();
  answer.is_enrolled = row.Flag();
  answer.profile_list_at = row.OptionalTime();
  answer.device_information_at = row.OptionalTime();
  answer.security_info_at = row.OptionalTime();
  answer.certificate_list_at = row.OptionalTime();
  answer.row.columns = row.Text();
  return answer;
}

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

/// The rows of one cursor, a page at a time.
template <typename T>
class Cursor {
 public:
  Cursor(SourceTransaction& db, const CursorSql& sql, T (*read)(Row&))
      : db_(db), sql_(sql), read_(read) {}

  Status Open() { return Run(sql_.declare.c_str()); }
  Status Close() { return Run(sql_.close); }

  /// The row that comes next; null at the end.
  Result<T*> Peek() {
    if (next_ < page_.size()) return &page_[next_];
    page_.clear();
    next_ = 0;
    Result<PostgresResult> rows = db_.Run(sql_.fetch);
    if (!rows) return Fail(rows.error());
    while (rows->Next()) page_.push_back(read_(*rows));
    return page_.empty() ? nullptr : page_.data();
  }
  T Take() { return std::move(page_[next_++]); }

 private:
  Status Run(const char* sql) {
    const Result<PostgresResult> done = db_.Run(sql);
    if (!done) return Fail(done.error());
    return {};
  }

  SourceTransaction& db_;
  const CursorSql& sql_;
  T (*const read_)(Row&);
  std::vector<T> page_;
  std::size_t next_ = 0;
};

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

/// Puts together what the tables of answers say of each device.
class InventoryReading {
 public:
  InventoryReading(SourceTransaction& db, const CursorSql& sql) : rows_(db, sql, ReadAnswerRow) {}

  Status Open() { return rows_.Open(); }
  Status Close() { return rows_.Close(); }

  /// Nothing after the last one.
  Result<std::optional<MdmDirectorInventory>> Next() {
    std::optional<MdmDirectorInventory> inventory;
    while (true) {
      const Result<AnswerRow*> next = rows_.Peek();
      if (!next) return Fail(next.error());
      const bool is_other = *next == nullptr || (inventory && (*next)->udid != inventory->udid);
      if (inventory && is_other) break;
      if (*next == nullptr) return inventory;
      AnswerRow row = rows_.Take();
      if (row.row.table.empty()) {
        inventory = {row.udid,
                     row.is_enrolled,
                     row.profile_list_at,
                     row.device_information_at,
                     row.security_info_at,
                     row.certificate_list_at,
                     {}};
        row.row.table = "devices";
      }
      // Rows of devices that are nowhere else are passed over.
      if (!inventory || row.row.columns.empty()) continue;
      if (inventory->rows.size() <= kInventoryRowsMax)
        inventory->rows.push_back(std::move(row.row));
    }
    if (inventory->rows.size() > kInventoryRowsMax) inventory->rows.clear();
    return inventory;
  }

 private:
  Cursor<AnswerRow> rows_;
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
      Result<PostgresResult> exists = db_.Run(kTableExists, {ToPostgres(table)});
      if (!exists) return Fail(exists.error());
      if (!exists->Next() || !exists->Flag()) continue;
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
    std::vector<std::pair<std::string_view, std::string_view>> tables;
    for (const auto& one : kAnswerTables) {
      Result<PostgresResult> exists = db_.Run(kTableExists, {ToPostgres(one.first)});
      if (!exists) return Fail(exists.error());
      if (exists->Next() && exists->Flag()) tables.push_back(one);
    }
    const CursorSql sql = InventorySql(tables);
    InventoryReading reading(db_, sql);
    if (Status opened = reading.Open(); !opened) return opened;
    while (true) {
      const Result<std::optional<MdmDirectorInventory>> inventory = reading.Next();
      if (!inventory) return Fail(inventory.error());
      if (!*inventory) return reading.Close();
      if (Status visited = visit(**inventory); !visited) return visited;
    }
  }

  Result<std::vector<MdmDirectorApp>> ListApps() override {
    std::vector<MdmDirectorApp> apps;
    const auto limit = static_cast<std::int64_t>(kAppsMax + 1);
    for (const auto& [table, sql] : kAppTables) {
      Result<PostgresResult> exists = db_.Run(kTableExists, {ToPostgres(table)});
      if (!exists) return Fail(exists.error());
      if (!exists->Next() || !exists->Flag()) continue;
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
