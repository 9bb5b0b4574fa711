#pragma once

#include <string>

#include "base/text.h"
#include "tests/support/mdmdirector_rows.h"
#include "tests/support/postgres_database.h"

namespace director::director_test {

/// MDMDirector's tables as its own migration makes them, as far as an import could look at them.
/// Source: its models of main, March 2026; gorm's names.
inline constexpr char kMdmDirectorTables[] = R"sql(
CREATE TABLE devices (
  ud_id text PRIMARY KEY, device_name text, build_version text, model_name text, model text,
  os_version text, product_name text, serial_number text, device_capacity numeric,
  available_device_capacity numeric, battery_level numeric, cellular_technology bigint, imei text,
  me_id text, modem_firmware_version text, is_supervised boolean, awaiting_configuration boolean
  DEFAULT false, push_token text, active boolean, updated_at timestamptz, authenticate_recieved
  boolean DEFAULT false, token_update_recieved boolean DEFAULT false, initial_tasks_run boolean
  DEFAULT false, erase boolean DEFAULT false, lock boolean DEFAULT false, unlock_pin text,
  last_info_requested timestamptz, next_push timestamptz, last_checked_in timestamptz,
  last_certificate_list timestamptz, last_profile_list timestamptz, last_device_info timestamptz,
  last_security_info timestamptz);
CREATE TABLE device_profiles (
  payload_uuid text, payload_identifier text, hashed_payload_uuid text, mobileconfig_data bytea,
  mobileconfig_hash bytea, device_ud_id text, installed boolean DEFAULT true,
  PRIMARY KEY (payload_identifier, device_ud_id));
CREATE TABLE shared_profiles (
  id uuid PRIMARY KEY, payload_uuid text, hashed_payload_uuid text, payload_identifier text,
  mobileconfig_data bytea, mobileconfig_hash bytea, installed boolean DEFAULT true);
CREATE TABLE profile_lists (
  id uuid PRIMARY KEY, device_ud_id text, has_removal_passcode boolean, is_encrypted boolean,
  is_managed boolean, payload_description text, payload_display_name text, payload_identifier text,
  payload_organization text, payload_removal_disallowed boolean, payload_uuid text NOT NULL,
  payload_version bigint, full_payload boolean);
CREATE TABLE commands (
  command_uuid text PRIMARY KEY, updated_at timestamptz, status text, device_ud_id text,
  request_type text, payload text, queries text[], identifier text, manifest_url text,
  error_string text, attempt_count bigint);
CREATE TABLE certificates (
  id uuid PRIMARY KEY, common_name text, subject text, not_after timestamptz,
  not_before timestamptz, data bytea, issuer text, device_ud_id text);
CREATE TABLE security_infos (
  device_ud_id text PRIMARY KEY, fde_enabled boolean, fde_personal_recovery_key_cms bytea);
CREATE TABLE firewall_settings (
  device_ud_id text PRIMARY KEY, block_all_incoming boolean, firewall_enabled boolean,
  stealth_mode boolean);
CREATE TABLE management_statuses (
  device_ud_id text PRIMARY KEY, enrolled_via_dep boolean, user_approved_enrollment boolean,
  is_user_enrollment boolean, is_activation_lock_manageable boolean);
CREATE TABLE device_install_applications (
  id uuid PRIMARY KEY, manifest_url text, device_ud_id text);
CREATE TABLE shared_install_applications (id uuid PRIMARY KEY, manifest_url text);
CREATE TABLE unlock_pins (
  id uuid PRIMARY KEY, unlock_pin text, pin_set timestamptz, device_ud_id text);
)sql";

inline constexpr const char* kMdmDirectorTableNames[] = {
    "devices",           "device_profiles",
    "shared_profiles",   "profile_lists",
    "commands",          "certificates",
    "security_infos",    "device_install_applications",
    "unlock_pins",       "shared_install_applications",
    "firewall_settings", "management_statuses"};

/// A real database of MDMDirector. Rows gather until `Send`.
class MdmDirectorTables {
 public:
  MdmDirectorTables() { database.Execute(kMdmDirectorTables); }

  void AddDevice(const std::string& udid, const std::string& serial_number) {
    sql_ +=
        "INSERT INTO devices (ud_id, serial_number, device_name, build_version, active, "
        "authenticate_recieved, token_update_recieved, initial_tasks_run, last_checked_in) "
        "VALUES (" +
        Quoted(udid) + ", " + Quoted(serial_number) +
        ", 'Mac', '24A335', true, true, true, true, '2026-01-02T03:04:05.006Z');\n";
  }
  void Add(const SourceRow& source) {
    const MdmDirectorProfile& row = source.row;
    const std::string values = Quoted(row.payload_identifier) + ", " + Quoted(row.payload_uuid) +
                               ", " + Quoted(row.hashed_payload_uuid) + ", " +
                               (source.document ? Bytes(*source.document) : "NULL") + ", " +
                               (source.document ? "'\\x" + row.stated_digest + "'" : "NULL") +
                               (*row.installed ? ", true" : ", false");
    constexpr char kColumns[] =
        ", payload_identifier, payload_uuid, hashed_payload_uuid, mobileconfig_data, "
        "mobileconfig_hash, installed) VALUES (";
    sql_ += row.row_id.empty()
                ? "INSERT INTO device_profiles (device_ud_id" + (kColumns + Quoted(row.udid))
                : "INSERT INTO shared_profiles (id" + (kColumns + Quoted(row.row_id));
    sql_ += ", " + values + ");\n";
  }
  void AddReported(const std::string& udid, const std::string& identifier,
                   const std::string& payload_uuid) {
    sql_ +=
        "INSERT INTO profile_lists (id, device_ud_id, payload_identifier, payload_uuid) VALUES "
        "(" +
        Quoted(NameUuid(udid + " reported " + identifier)) + ", " + Quoted(udid) + ", " +
        Quoted(identifier) + ", " + Quoted(payload_uuid) + ");\n";
  }
  void Send() { database.Execute(std::exchange(sql_, {})); }

  std::unique_ptr<MdmDirectorDatabase> Open() const { return Open(database.settings()); }
  static std::unique_ptr<MdmDirectorDatabase> Open(const PostgresSettings& settings) {
    auto opened = OpenMdmDirectorDatabase(settings);
    INFO((opened ? std::string() : ErrorForLog(opened.error())));
    REQUIRE(opened);
    return std::move(*opened);
  }

  /// Changes with every byte of every row, and with every row that is written though it stays the
  /// same.
  std::string Digest() const {
    std::string all;
    for (const char* table : kMdmDirectorTableNames) {
      all += database.Execute(
          "SELECT md5(string_agg(t::text || t.xmin || t.ctid, ',' ORDER BY "
          "t.ctid)) FROM " +
          std::string(table) + " AS t");
    }
    return all;
  }

  static std::string Quoted(const std::string& text) {
    std::string quoted = "'";
    for (const char c : text) quoted += c == '\'' ? "''" : std::string(1, c);
    return quoted + "'";
  }

  test::PostgresDatabase database;

 private:
  static std::string Bytes(const std::string& bytes) {
    return "decode('" + EncodeBase64(bytes) + "', 'base64')";
  }

  std::string sql_;
};

}  // namespace director::director_test
