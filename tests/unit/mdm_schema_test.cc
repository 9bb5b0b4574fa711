// Checks every command that we send against Apple's own schema
// (github.com/apple/device-management). The folder with its `mdm` directory is named by the
// environment variable APPLE_SCHEMA_DIR.
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "mdm/account_configuration.h"
#include "mdm/app.h"
#include "mdm/command.h"
#include "tests/support/app_parts.h"
#include "tests/support/catch.h"

namespace director::mdm_schema_test {
namespace {

struct SchemaCase {
  std::string file;
  Command command;
};

AppSpec StoreApp() {
  AppSpec spec;
  spec.identifier = "com.example.notes";
  spec.itunes_store_id = 361309726;
  spec.purchase_method = 1;
  spec.management_flags = 5;
  spec.configuration = EncodePlistXml(PlistDict());
  return spec;
}

AppSpec PackageByUrl() {
  AppSpec spec;
  spec.manifest_url = "https://repo.example/agent.plist";
  spec.install_as_managed = true;
  spec.take_management = true;
  return spec;
}

AppSpec PackageByManifest() {
  AppSpec spec;
  spec.manifest = test::AgentManifest("com.example.agent", "1.2");
  spec.management_flags = 1;
  spec.install_as_managed = true;
  return spec;
}

std::string AllAccountKeys() {
  PlistDict administrator;
  administrator.Set("shortName", "itadmin");
  administrator.Set("fullName", "IT");
  administrator.Set("passwordHash", PlistData{"hash"});
  administrator.Set("hidden", true);
  PlistDict accounts;
  accounts.Set("SkipPrimarySetupAccountCreation", false);
  accounts.Set("SetPrimarySetupAccountAsRegularUser", true);
  accounts.Set("PrimaryAccountFullName", "Ann Example");
  accounts.Set("PrimaryAccountUserName", "ann");
  accounts.Set("DontAutoPopulatePrimaryAccountInfo", false);
  accounts.Set("LockPrimaryAccountInfo", true);
  accounts.Set("AutoSetupAdminAccounts", PlistArray{std::move(administrator)});
  accounts.Set("ManagedLocalUserShortName", "itadmin");
  return EncodePlistXml(std::move(accounts));
}

std::vector<SchemaCase> AllCommands() {
  return {
      {"profile.install", InstallProfileCommand{"<?xml version=\"1.0\"?>"}},
      {"profile.remove", RemoveProfileCommand{PayloadIdentifier("com.example.a")}},
      {"profile.list", ProfileListCommand{}},
      {"information.device", InventoryCommand(InventoryKind::kDeviceInformation)},
      {"device.configured", DeviceConfiguredCommand{}},
      {"information.security", InventoryCommand(InventoryKind::kSecurityInfo)},
      {"certificate.list", InventoryCommand(InventoryKind::kCertificateList)},
      {"application.installed.list", InventoryCommand(InventoryKind::kInstalledApplicationList)},
      {"application.managed.list", InventoryCommand(InventoryKind::kManagedApplicationList)},
      {"device.lock", DeviceLockCommand{Secret("123456"), "Call us", "0800 1234"}},
      {"device.erase", EraseDeviceCommand{Secret("123456")}},
      {"device.restart", RestartDeviceCommand{}},
      {"device.shutdown", ShutDownDeviceCommand{}},
      {"passcode.recovery.set", SetRecoveryLockCommand{Secret("OLD"), Secret("NEW")}},
      {"passcode.recovery.verify", VerifyRecoveryLockCommand{Secret("NEW")}},
      {"rotate.file.vault.key", RotateFileVaultKeyCommand{Secret("OLD"), "DER"}},
      {"application.install", ToCommand(DefineApp(StoreApp()).value())},
      {"application.install", ToCommand(DefineApp(PackageByUrl()).value())},
      {"application.install.enterprise", ToCommand(DefineApp(PackageByManifest()).value())},
      {"application.remove", RemoveApplicationCommand{"com.example.agent"}},
      {"account.configuration", ToCommand(DefineAccounts(AllAccountKeys()).value())}};
}

/// The schema's word for the type of a value.
struct TypeName {
  std::string operator()(bool) const { return "<boolean>"; }
  std::string operator()(const PlistInteger&) const { return "<integer>"; }
  std::string operator()(double) const { return "<real>"; }
  std::string operator()(const std::string&) const { return "<string>"; }
  std::string operator()(const PlistData&) const { return "<data>"; }
  std::string operator()(const PlistDate&) const { return "<date>"; }
  std::string operator()(const PlistArray&) const { return "<array>"; }
  std::string operator()(const PlistDict&) const { return "<dictionary>"; }
};

YAML::Node FindKey(const YAML::Node& keys, const std::string& name) {
  for (const auto& key : keys) {
    if (key["key"].as<std::string>() == name) return key;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

/// The values that strings may have: an enumeration, or (for queries) the names of the subkeys.
std::set<std::string> AllowedValues(const YAML::Node& key) {
  std::set<std::string> allowed;
  for (const auto& value : key["rangelist"]) allowed.insert(value.as<std::string>());
  for (const auto& subkey : key["subkeys"]) allowed.insert(subkey["key"].as<std::string>());
  return allowed;
}

void CheckValue(const YAML::Node& key, const PlistValue& value) {
  INFO("key " << key["key"].as<std::string>());
  CHECK(std::visit(TypeName{}, value.variant()) == key["type"].as<std::string>());
  if (const std::string* text = value.AsString()) {
    const auto allowed = AllowedValues(key);
    INFO("value " << *text);
    CHECK((allowed.empty() || allowed.count(*text) == 1));
  }
  if (const PlistArray* array = value.AsArray()) {
    REQUIRE(key["subkeys"].size() == 1);
    for (const auto& item : *array) CheckValue(key["subkeys"][0], item);
  }
  const PlistDict* dict = value.AsDict();
  if (dict == nullptr || FindKey(key["subkeys"], "ANY").IsDefined()) return;
  for (const auto& [name, entry] : dict->entries()) {
    const YAML::Node subkey = FindKey(key["subkeys"], name);
    INFO("key " << name);
    REQUIRE(subkey.IsDefined());
    CheckValue(subkey, entry);
  }
}

void CheckCommand(const YAML::Node& schema, const ReceivedCommand& command) {
  CHECK(schema["payload"]["requesttype"].as<std::string>() == command.request_type);
  const YAML::Node keys = schema["payloadkeys"];
  for (const auto& [name, value] : command.body.entries()) {
    if (name == "RequestType") continue;
    INFO("key " << name);
    const YAML::Node key = FindKey(keys, name);
    REQUIRE(key.IsDefined());
    CheckValue(key, value);
  }
  for (const auto& key : keys) {
    const bool is_required = key["presence"] && key["presence"].as<std::string>() == "required";
    INFO("key " << key["key"].as<std::string>());
    if (is_required) CHECK(command.body.Find(key["key"].as<std::string>()) != nullptr);
  }
}

TEST_CASE("every command fits Apple's schema") {
  const char* folder = std::getenv("APPLE_SCHEMA_DIR");
  if (folder == nullptr) {
    WARN("skipped: APPLE_SCHEMA_DIR is not set, commands are not checked against Apple's schema");
    return;
  }
  std::set<std::size_t> alternatives;
  for (const auto& item : AllCommands()) alternatives.insert(item.command.index());
  CHECK(alternatives.size() == std::variant_size_v<Command>);
  for (const auto& item : AllCommands()) {
    const auto path = std::filesystem::path(folder) / "mdm" / "commands" / (item.file + ".yaml");
    INFO(path.string());
    REQUIRE(std::filesystem::is_regular_file(path));
    const auto received = DecodeCommand(EncodeCommand(item.command, CommandUuid("u")));
    REQUIRE(received);
    CheckCommand(YAML::LoadFile(path.string()), *received);
  }
}

}  // namespace
}  // namespace director::mdm_schema_test
