#include "store/mdmdirector_inventory.h"

#include <fmt/core.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace director {
namespace {

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
  MdmDirectorInventory device;  ///< without rows
  MdmDirectorInventory::TableRow row;
};

AnswerRow ReadAnswerRow(Row& row) {
  AnswerRow answer;
  answer.device.udid = row.Text();
  answer.row.table = row.Text();
  answer.device.is_enrolled = row.Flag();
  answer.device.profile_list_at = row.OptionalTime();
  answer.device.device_information_at = row.OptionalTime();
  answer.device.security_info_at = row.OptionalTime();
  answer.device.certificate_list_at = row.OptionalTime();
  answer.row.columns = row.Text();
  return answer;
}

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
      const bool is_other =
          *next == nullptr || (inventory && (*next)->device.udid != inventory->udid);
      if (inventory && is_other) break;
      if (*next == nullptr) return inventory;
      AnswerRow row = rows_.Take();
      if (row.row.table.empty()) {
        inventory = std::move(row.device);
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

}  // namespace

Status ForEachMdmDirectorInventory(
    SourceTransaction& db, const std::function<Status(const MdmDirectorInventory&)>& visit) {
  std::vector<std::pair<std::string_view, std::string_view>> tables;
  for (const auto& one : kAnswerTables) {
    const Result<bool> exists = db.HasTable(one.first);
    if (!exists) return Fail(exists.error());
    if (*exists) tables.push_back(one);
  }
  const CursorSql sql = InventorySql(tables);
  InventoryReading reading(db, sql);
  if (Status opened = reading.Open(); !opened) return opened;
  while (true) {
    const Result<std::optional<MdmDirectorInventory>> inventory = reading.Next();
    if (!inventory) return Fail(inventory.error());
    if (!*inventory) return reading.Close();
    if (Status visited = visit(**inventory); !visited) return visited;
  }
}

}  // namespace director
