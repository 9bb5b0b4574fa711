// Apps and accounts on virtual devices.
#include "mdm/account_configuration.h"
#include "mdm/app.h"
#include "mdm/error_class.h"
#include "tests/support/app_parts.h"
#include "tests/support/commanded_device.h"

namespace director::simulator_device_apps_test {
namespace {

using namespace device_test;

const std::string kAgent = "com.example.agent";

std::string Define(const AppSpec& spec) {
  const Result<ItemDefinition> definition = DefineApp(spec);
  REQUIRE(definition);
  return EncodeCommand(ToCommand(*definition), CommandUuid("APP"));
}

std::string InstallAgent(const std::string& version = "1.2") {
  AppSpec spec;
  spec.manifest = test::AgentManifest(kAgent, version);
  spec.install_as_managed = true;
  return Define(spec);
}

std::string InstallFromStore(const std::string& identifier) {
  AppSpec spec;
  spec.identifier = identifier;
  spec.is_app_store = true;
  return Define(spec);
}

std::string RemoveApp(const std::string& identifier) {
  return EncodeCommand(RemoveApplicationCommand{identifier}, CommandUuid("REMOVE"));
}

/// The device's list, without what came with the system.
std::vector<ReportedApp> ListApps(VirtualDevice& device, Timestamp now = kStart,
                                  const std::string& question = EncodeCommand(
                                      InstalledApplicationListCommand{}, CommandUuid("APPS"))) {
  const ResultEvent result = Run(device, question, now);
  REQUIRE(result.inventory);
  REQUIRE(result.inventory->answer.AsArray() != nullptr);
  std::vector<ReportedApp> apps = ReadApps(*result.inventory->answer.AsArray());
  std::erase_if(apps, [](const ReportedApp& app) { return app.identifier == "com.apple.Safari"; });
  return apps;
}

ErrorClass ClassOf(const ResultEvent& result, std::string_view request_type) {
  CHECK(result.status == CommandStatus::kError);
  return ClassifyErrorChain(result.error_chain, request_type).error_class;
}

TEST_CASE("a Mac installs a package by its manifest and lists it") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  CHECK(ListApps(mac).empty());
  CHECK(Run(mac, InstallAgent()).status == CommandStatus::kAcknowledged);
  CHECK(ListApps(mac) == std::vector<ReportedApp>{{kAgent, "1.2", "1.2", false}});
  Run(mac, InstallAgent("1.3"));
  CHECK(ListApps(mac) == std::vector<ReportedApp>{{kAgent, "1.3", "1.3", false}});
}

TEST_CASE("an iPhone knows no packages, and installs from the App Store") {
  VirtualDevice iphone = Make(DeviceKind::kIphone);
  CHECK(ClassOf(Run(iphone, InstallAgent()), request_type::kInstallEnterpriseApplication) ==
        ErrorClass::kPermanent);
  CHECK(Run(iphone, InstallFromStore(kAgent)).status == CommandStatus::kAcknowledged);
  CHECK(ListApps(iphone) == std::vector<ReportedApp>{{kAgent, "1.0", "1.0", false}});
}

TEST_CASE("a manifest's URL says what the manifest would") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  AppSpec spec;
  spec.manifest_url = "https://repo.example/com.example.agent-2.1.plist";
  Run(mac, Define(spec));
  CHECK(ListApps(mac) == std::vector<ReportedApp>{{kAgent, "2.1", "2.1", false}});
  CHECK(Run(mac, Raw("InstallApplication")).status == CommandStatus::kCommandFormatError);
}

TEST_CASE("an install takes its time, and is listed meanwhile or not") {
  DeviceBehaviour behaviour;
  behaviour.app_install_delay = minutes(5);
  behaviour.lists_coming_apps = GENERATE(true, false);
  VirtualDevice mac = Make(DeviceKind::kMac, behaviour);
  Run(mac, InstallAgent());
  const auto coming = ListApps(mac, kStart + minutes(4));
  if (behaviour.lists_coming_apps) {
    CHECK(coming == std::vector<ReportedApp>{{kAgent, "", "", true}});
  } else {
    CHECK(coming.empty());
  }
  CHECK(ListApps(mac, kStart + minutes(5)) ==
        std::vector<ReportedApp>{{kAgent, "1.2", "1.2", false}});
}

TEST_CASE("installs fail as planned: refused, or acknowledged and never there") {
  DeviceBehaviour behaviour;
  behaviour.app_failures.push_back(
      {kAgent, 2, OneErrorChain("MCMDMErrorDomain", 12024, "The manifest cannot be validated.")});
  behaviour.app_failures.push_back({"", std::nullopt, {}});
  VirtualDevice mac = Make(DeviceKind::kMac, behaviour);
  for (int i = 0; i < 2; ++i) {
    CHECK(ClassOf(Run(mac, InstallAgent()), request_type::kInstallEnterpriseApplication) ==
          ErrorClass::kTransient);
  }
  CHECK(Run(mac, InstallAgent()).status == CommandStatus::kAcknowledged);
  CHECK(ListApps(mac).size() == 1);
  CHECK(Run(mac, InstallFromStore("com.example.other")).status == CommandStatus::kAcknowledged);
  CHECK(ListApps(mac).size() == 1);
}

/// What the device says of each app that it manages.
std::map<std::string, std::string> Statuses(VirtualDevice& device, Timestamp now = kStart) {
  const ResultEvent result =
      Run(device, EncodeCommand(ManagedApplicationListCommand{}, CommandUuid("MANAGED")), now);
  REQUIRE(result.inventory);
  REQUIRE(result.inventory->answer.AsDict() != nullptr);
  std::map<std::string, std::string> statuses;
  for (const ReportedManagedApp& app : ReadManagedApps(*result.inventory->answer.AsDict())) {
    statuses[app.identifier] = app.status;
  }
  return statuses;
}

using StatusMap = std::map<std::string, std::string>;

TEST_CASE("the list of managed apps tells how an install goes on") {
  DeviceBehaviour behaviour;
  behaviour.app_prompt_delay = minutes(10);
  behaviour.app_install_delay = minutes(5);
  VirtualDevice iphone = Make(DeviceKind::kIphone, behaviour);
  CHECK(Statuses(iphone).empty());
  Run(iphone, InstallFromStore(kAgent));
  CHECK(Statuses(iphone, kStart + minutes(9)) == StatusMap{{kAgent, "Prompting"}});
  CHECK(Statuses(iphone, kStart + minutes(14)) == StatusMap{{kAgent, "Installing"}});
  CHECK(Statuses(iphone, kStart + minutes(15)) == StatusMap{{kAgent, "Managed"}});
  Run(iphone, InstallFromStore(kAgent), kStart + minutes(20));
  CHECK(Statuses(iphone, kStart + minutes(29)) == StatusMap{{kAgent, "PromptingForUpdate"}});
  CHECK(Statuses(iphone, kStart + minutes(34)) == StatusMap{{kAgent, "Updating"}});
}

TEST_CASE("a user refuses an app, which is said once; one who is never asked again is waited for") {
  DeviceBehaviour behaviour;
  behaviour.app_prompt_delay = minutes(10);
  behaviour.app_failures.push_back({kAgent, 1, {}, "UserRejected"});
  behaviour.app_failures.push_back({"com.example.other", std::nullopt, {}, "PromptingForLogin"});
  VirtualDevice iphone = Make(DeviceKind::kIphone, behaviour);
  Run(iphone, InstallFromStore(kAgent));
  CHECK(Statuses(iphone, kStart + minutes(9)) == StatusMap{{kAgent, "Prompting"}});
  CHECK(Statuses(iphone, kStart + minutes(10)) == StatusMap{{kAgent, "UserRejected"}});
  CHECK(Statuses(iphone, kStart + minutes(11)).empty());
  Run(iphone, InstallFromStore(kAgent), kStart + minutes(20));
  CHECK(Statuses(iphone, kStart + minutes(30)) == StatusMap{{kAgent, "Managed"}});
  Run(iphone, InstallFromStore("com.example.other"), kStart + minutes(30));
  for (const int minute : {40, 500}) {
    CHECK(Statuses(iphone, kStart + minutes(minute))["com.example.other"] == "PromptingForLogin");
  }
}

TEST_CASE("what a Mac was not told to manage is not in its list of managed apps") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  Run(mac, InstallAgent());
  Run(mac, InstallFromStore("com.example.unmanaged"));
  CHECK(Statuses(mac) == StatusMap{{kAgent, "Managed"}});
  DeviceBehaviour old;
  old.knows_managed_apps = false;
  VirtualDevice old_mac = Make(DeviceKind::kMac, old);
  CHECK(Run(old_mac, EncodeCommand(ManagedApplicationListCommand{}, CommandUuid("M"))).status ==
        CommandStatus::kError);
}

TEST_CASE("a device removes what it manages, and nothing else") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  Run(mac, InstallAgent());
  Run(mac, InstallFromStore("com.example.unmanaged"));
  CHECK(Run(mac, RemoveApp(kAgent)).status == CommandStatus::kAcknowledged);
  for (const std::string& other : {kAgent, std::string("com.example.unmanaged")}) {
    CHECK(ClassOf(Run(mac, RemoveApp(other)), request_type::kRemoveApplication) ==
          ErrorClass::kPermanent);
  }
  CHECK(ListApps(mac).size() == 1);
}

TEST_CASE("a question that names apps is answered for those only") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  Run(mac, InstallAgent());
  Run(mac, InstallFromStore("com.example.other"));
  PlistDict command;
  command.Set("RequestType", "InstalledApplicationList");
  command.Set("Identifiers", PlistArray{PlistValue("com.example.other")});
  PlistDict root;
  root.Set("CommandUUID", "SOME");
  root.Set("Command", std::move(command));
  const auto apps = ListApps(mac, kStart, EncodePlistXml(std::move(root)));
  REQUIRE(apps.size() == 1);
  CHECK(apps[0].identifier == "com.example.other");
}

TEST_CASE("users delete apps, and apps update themselves") {
  DeviceBehaviour behaviour;
  behaviour.app_events.push_back({kStart + minutes(1), AppEventKind::kUpdated, kAgent});
  behaviour.app_events.push_back({kStart + minutes(2), AppEventKind::kDeleted, ""});
  VirtualDevice mac = Make(DeviceKind::kMac, behaviour);
  Run(mac, InstallAgent());
  CHECK(mac.NextOwnEventAt() == kStart + minutes(1));
  mac.Advance(kStart + minutes(1));
  const auto updated = ListApps(mac);
  REQUIRE(updated.size() == 1);
  const bool is_newer = CompareVersions(updated[0].short_version, "1.2") > 0;
  CHECK(is_newer);
  mac.Advance(kStart + minutes(2));
  CHECK(ListApps(mac).empty());
  CHECK(Statuses(mac) == StatusMap{{kAgent, "ManagedButUninstalled"}});
}

TEST_CASE("accounts are configured in Setup Assistant only, and on Macs only") {
  PlistDict administrator;
  administrator.Set("shortName", "admin");
  administrator.Set("passwordHash", PlistData{"hash"});
  PlistDict arguments;
  arguments.Set("AutoSetupAdminAccounts", PlistArray{std::move(administrator)});
  const auto command =
      EncodeCommand(AccountConfigurationCommand{std::move(arguments)}, CommandUuid("ACCOUNTS"));
  DeviceBehaviour unboxed;
  unboxed.awaits_configuration = true;
  VirtualDevice mac = Make(DeviceKind::kMac, unboxed);
  CHECK(Run(mac, command).status == CommandStatus::kAcknowledged);
  CHECK(mac.accounts() == std::vector<std::string>{"admin"});
  Run(mac, EncodeCommand(DeviceConfiguredCommand{}, CommandUuid("GO")));
  CHECK(Run(mac, command).status == CommandStatus::kError);
  VirtualDevice iphone = Make(DeviceKind::kIphone, unboxed);
  CHECK(Run(iphone, command).status == CommandStatus::kError);
}

TEST_CASE("wiping forgets apps and accounts, enrolling again keeps them") {
  VirtualDevice mac = Make(DeviceKind::kMac);
  Run(mac, InstallAgent());
  mac.Reenroll(ReenrollmentKind::kKept, kStart);
  CHECK(ListApps(mac).size() == 1);
  mac.Reenroll(ReenrollmentKind::kWiped, kStart);
  CHECK(ListApps(mac).empty());
  CHECK(mac.accounts().empty());
}

}  // namespace
}  // namespace director::simulator_device_apps_test
