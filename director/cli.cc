#include "director/cli.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>

#include "base/log.h"
#include "base/text.h"
#include "director/cli_parts.h"
#include "director/demo.h"
#include "director/mdmdirector_flags.h"
#include "director/version.h"

namespace director {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

/// The command line: every verb fills its own options and leaves what is to be run.
class CommandLine {
 public:
  explicit CommandLine(const std::vector<std::string>& environment) : environment_(environment) {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", kVersion);
    ReadClientEnvironment();
    AddServe();
    AddDevices();
    AddProfiles();
    AddApps();
    AddAccounts();
    AddProposals();
    AddStatus();
    AddFiles();
    AddImport();
    AddSimulate();
    AddDemo();
  }

  int Run(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());
    arguments.pop_back();  // the program's name; CLI11 takes the rest backwards
    try {
      app_.parse(std::move(arguments));
    } catch (const CLI::CallForHelp& help) {
      return app_.exit(help);
    } catch (const CLI::CallForVersion& version) {
      return app_.exit(version);
    } catch (const CLI::ParseError& error) {
      app_.exit(error);
      return kExitUsage;
    }
    const Status done = run_();
    if (done) return exit_code_;
    std::fputs(fmt::format("director: {}\n", done.error().message).c_str(), stderr);
    return kExitFailed;
  }

 private:
  std::string Environment(const std::string& name) const {
    for (const std::string& variable : environment_) {
      if (variable.starts_with(name + "=")) return variable.substr(name.size() + 1);
    }
    return {};
  }

  void ReadClientEnvironment() {
    if (const std::string url = Environment("DIRECTOR_URL"); !url.empty()) client_.url = url;
    client_.token = Secret(Environment("DIRECTOR_TOKEN"));
    client_.token_file = Environment("DIRECTOR_TOKEN_FILE");
  }

  CLI::App* AddVerb(CLI::App& parent, const std::string& name, const std::string& help,
                    std::function<Status()> run) {
    CLI::App* verb = parent.add_subcommand(name, help);
    verb->callback([this, run = std::move(run)] { run_ = run; });
    return verb;
  }

  /// A verb that talks to a running Director.
  CLI::App* AddClientVerb(CLI::App& parent, const std::string& name, const std::string& help,
                          std::function<Status()> run) {
    CLI::App* verb = AddVerb(parent, name, help, std::move(run));
    verb->add_option("--url", client_.url, "Director's address (DIRECTOR_URL)");
    verb->add_option("--token-file", client_.token_file,
                     "File with the API token (DIRECTOR_TOKEN_FILE; or DIRECTOR_TOKEN)");
    verb->add_option("--ca-file", client_.ca_file, "PEM certificate authority for https");
    return verb;
  }

  void AddJson(CLI::App* verb) {
    verb->add_flag_callback(
        "--json", [this] { format_ = OutputFormat::kJson; }, "JSON for programs");
  }

  void AddServe() {
    CLI::App* verb = AddVerb(app_, "serve", "Run the service",
                             [this] { return RunServe(serve_, environment_); });
    AddConfig(verb, serve_);
    verb->add_flag("--check-config", serve_.check_config,
                   "Check the configuration, print it without secrets, and end");
  }

  void AddConfig(CLI::App* verb, ServeOptions& into) {
    into.config_file = Environment("DIRECTOR_CONFIG");
    verb->add_option("--config", into.config_file, "YAML file (DIRECTOR_CONFIG)");
    for (const OptionSpec& option : ConfigOptions()) {
      AddSetting(verb, into, std::string(option.key), option);
      if (option.is_secret) AddSetting(verb, into, std::string(option.key) + "_file", option);
    }
  }

  static void AddSetting(CLI::App* verb, ServeOptions& into, const std::string& key,
                         const OptionSpec& option) {
    std::string flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    std::string help(option.help);
    if (!option.default_value.empty()) help += fmt::format(" [{}]", option.default_value);
    verb->add_option_function<std::string>(
        flag, [&into, key](const std::string& value) { into.flags[key] = value; }, help);
  }

  void AddDevices() {
    CLI::App* list = AddClientVerb(app_, "devices", "List devices, or show one", [this] {
      return device_.empty() ? ListDevices(client_, device_list_, format_)
                             : ShowDevice(client_, device_, format_);
    });
    list->add_option("device", device_, "UDID, serial number or enrollment id");
    list->add_option("--status", device_list_.status,
                     "authenticated, enrolled, checked_out, quarantined");
    list->add_option("--item-state", device_list_.item_state,
                     "Only those with an item in this state");
    list->add_flag("--half-enrolled", device_list_.half_enrolled,
                   "Only those whose enrollment has stood still for more than an hour");
    list->add_option("--item", device_list_.payload_identifier, "... of this PayloadIdentifier");
    AddJson(list);
    for (const auto& [action, help] : std::map<std::string, std::string>{
             {"push", "Push a device now"},
             {"reconcile", "Ask a device for a fresh report and decide again"},
             {"release", "Release a device from quarantine"}}) {
      CLI::App* verb = AddClientVerb(app_, action, help, [this, name = action] {
        return ActOnDevice(client_, device_, name);
      });
      verb->add_option("device", device_, "UDID, serial number or enrollment id")->required();
    }
    CLI::App* retry = AddClientVerb(app_, "retry", "Try a parked or failed item again", [this] {
      return RetryItem(client_, device_, assign_.payload_identifier);
    });
    retry->add_option("device", device_)->required();
    retry->add_option("identifier", assign_.payload_identifier, "PayloadIdentifier")->required();
    CLI::App* inventory =
        AddClientVerb(app_, "inventory", "Show what a device said about itself",
                      [this] { return ShowInventory(client_, device_, inventory_kind_, format_); });
    inventory->add_option("device", device_, "UDID, serial number or enrollment id")->required();
    inventory->add_option("kind", inventory_kind_,
                          "DeviceInformation, SecurityInfo, CertificateList, "
                          "InstalledApplicationList or ManagedApplicationList: show its answer");
    AddJson(inventory);
    CLI::App* explain = AddClientVerb(
        app_, "explain", "Say why a device has an item or not",
        [this] { return ExplainItem(client_, device_, assign_.payload_identifier, format_); });
    explain->add_option("device", device_, "UDID, serial number or enrollment id")->required();
    explain->add_option("identifier", assign_.payload_identifier, "PayloadIdentifier")->required();
    AddJson(explain);
  }

  void AddProfiles() {
    CLI::App* profiles = app_.add_subcommand("profiles", "Upload and assign profiles");
    profiles->require_subcommand(1);
    CLI::App* put = AddClientVerb(*profiles, "put", "Upload mobileconfig files", [this] {
      return PutProfiles(client_, files_, assign_.source, format_);
    });
    put->add_option("files", files_, "mobileconfig: XML, binary or signed")->required();
    put->add_option("--source", assign_.source, "Who owns it [cli]");
    AddJson(put);
    AddJson(AddClientVerb(*profiles, "list", "List revisions",
                          [this] { return ListProfiles(client_, format_); }));
    AddJson(AddClientVerb(*profiles, "assignments", "List assignments",
                          [this] { return ListAssignments(client_, format_); }));
    AddAssigning(*profiles);
  }

  void AddApps() {
    CLI::App* apps = app_.add_subcommand("apps", "Define and assign apps");
    apps->require_subcommand(1);
    CLI::App* put = AddClientVerb(*apps, "put", "Define an app",
                                  [this] { return PutApp(client_, app_options_, format_); });
    AppOptions& options = app_options_;
    put->add_option("--identifier", options.identifier, "Bundle identifier");
    put->add_option("--app-version", options.version, "What the device must report, or newer");
    put->add_option("--manifest", options.manifest_file, "Manifest file of a package (Macs)");
    put->add_option("--manifest-url", options.manifest_url, "https URL of a manifest");
    put->add_option("--itunes-store-id", options.itunes_store_id, "Number in the App Store");
    put->add_flag("--app-store", options.app_store, "From the App Store by --identifier");
    put->add_option("--purchase-method", options.purchase_method, "1: licensed, 0: redeemed");
    put->add_option("--management-flags", options.management_flags, "1, 4 or 5");
    put->add_flag("--install-as-managed", options.install_as_managed, "Macs: as a managed app");
    put->add_flag("--take-management", options.take_management, "Also where it is unmanaged");
    put->add_option("--configuration", options.configuration_file, "Property list for the app");
    put->add_option("--source", options.source, "Who owns it [cli]");
    AddJson(put);
    AddJson(AddClientVerb(*apps, "list", "List definitions",
                          [this] { return ListApps(client_, format_); }));
    AddAssigning(*apps);
  }

  void AddAccounts() {
    CLI::App* accounts =
        app_.add_subcommand("accounts", "Define and assign the accounts of Setup Assistant");
    accounts->require_subcommand(1);
    CLI::App* put = AddClientVerb(*accounts, "put", "Define the accounts", [this] {
      return PutAccounts(client_, accounts_file_, assign_.source, format_);
    });
    put->add_option("file", accounts_file_, "Property list with the keys of AccountConfiguration")
        ->required();
    put->add_option("--source", assign_.source, "Who owns it [cli]");
    AddJson(put);
    AddJson(AddClientVerb(*accounts, "list", "List definitions",
                          [this] { return ListAccounts(client_, format_); }));
    AddAssigning(*accounts);
  }

  /// The same for items of every kind.
  void AddAssigning(CLI::App& parent) {
    CLI::App* assign = AddClientVerb(parent, "assign", "Assign an item to all or to named devices",
                                     [this] { return AssignItem(client_, assign_, format_); });
    AddTarget(assign);
    assign->add_option("--revision", assign_.payload_uuid, "PayloadUUID; default: the newest");
    assign->add_flag("--absent", assign_.absent, "The item shall not be there");
    assign->add_flag("--adopt", assign_.adopt,
                     "With --absent: also when Director did not install it");
    assign->add_flag("--during-setup", assign_.during_setup,
                     "Hold devices in Setup Assistant for it");
    assign->add_flag("--at-enrollment-only", assign_.at_enrollment_only,
                     "Apps: only to devices that enroll from now on");
    AddJson(assign);
    CLI::App* unassign =
        AddClientVerb(parent, "unassign", "Withdraw an assignment; what is installed stays",
                      [this] { return UnassignItem(client_, assign_); });
    AddTarget(unassign);
  }

  void AddTarget(CLI::App* verb) {
    verb->add_option("item", assign_.payload_identifier,
                     "PayloadIdentifier, app:IDENTIFIER or setup:AccountConfiguration")
        ->required();
    verb->add_flag("--all", assign_.all, "All devices");
    verb->add_option("--device", assign_.devices, "UDID or serial number; may be repeated");
    verb->add_option("--channel", assign_.channel, "device or user [device]");
    verb->add_option("--source", assign_.source, "Who owns the assignment [cli]");
  }

  void AddProposals() {
    CLI::App* propose =
        AddClientVerb(app_, "propose", "Propose a command that cannot be taken back",
                      [this] { return ProposeCommand(client_, propose_, format_); });
    propose->add_option("device", propose_.device, "UDID, serial number or enrollment id")
        ->required();
    propose
        ->add_option("command", propose_.request_type,
                     "DeviceLock, EraseDevice, RestartDevice, ShutDownDevice, SetRecoveryLock, "
                     "VerifyRecoveryLock or RotateFileVaultKey")
        ->required();
    propose->add_option("--reason", propose_.reason, "Why")->required();
    propose->add_option("--source", propose_.source, "Who proposes it [cli]");
    propose->add_option("--pin-file", propose_.pin_file,
                        "File with the six digits; default: they are made");
    propose->add_option("--password-file", propose_.password_file,
                        "SetRecoveryLock: file with the new password; default: it is made. "
                        "VerifyRecoveryLock: with the one to try; default: the newest known. "
                        "RotateFileVaultKey: with what unlocks the volume now, the password of a "
                        "FileVault user or the recovery key; default: the known recovery key");
    propose->add_flag("--clear", propose_.clears_password,
                      "SetRecoveryLock: no password from now on");
    propose->add_option("--verifies", propose_.verifies,
                        "VerifyRecoveryLock: try the password of this proposal");
    propose->add_option("--message", propose_.message, "DeviceLock: shown on the screen");
    propose->add_option("--phone-number", propose_.phone_number, "DeviceLock: shown on the screen");
    AddJson(propose);
    CLI::App* list = AddClientVerb(app_, "proposals", "List the proposals that are open", [this] {
      return ListProposals(client_, device_, proposals_shown_, format_);
    });
    list->add_option("device", device_, "Only of this device");
    list->add_flag_callback(
        "--all", [this] { proposals_shown_ = ProposalsShown::kAll; }, "Also those that have ended");
    AddJson(list);
    AddProposalVerb("cancel", "Cancel a proposal that has not been sent",
                    [this] { return CancelProposal(client_, proposal_id_, propose_.source); });
    AddProposalVerb("secret", "Show the secret of a proposal, which is written down",
                    [this] { return ShowSecret(client_, proposal_id_, propose_.source); });
  }

  void AddProposalVerb(const std::string& name, const std::string& help,
                       std::function<Status()> run) {
    CLI::App* verb = AddClientVerb(app_, name, help, std::move(run));
    verb->add_option("id", proposal_id_, "As `director proposals` lists it")->required();
    verb->add_option("--source", propose_.source, "Who asks [cli]");
  }

  void AddStatus() {
    CLI::App* status = AddClientVerb(app_, "status", "Counts of the fleet", [this] {
      return watch_ ? WatchStatus(client_, format_) : ShowStatus(client_, format_);
    });
    status->add_flag("--watch", watch_, "Show it again every two seconds");
    AddJson(status);
    CLI::App* events = AddClientVerb(app_, "events", "Recent events",
                                     [this] { return ShowEvents(client_, device_, format_); });
    events->add_option("device", device_, "Only of this device");
    AddJson(events);
  }

  void AddFiles() {
    CLI::App* lint = AddVerb(app_, "lint", "Check mobileconfig files",
                             [this] { return LintFiles(files_, format_); });
    lint->add_option("files", files_)->required();
    AddJson(lint);
    CLI::App* sign =
        AddVerb(app_, "sign", "Sign a mobileconfig", [this] { return SignFile(sign_); });
    sign->add_option("file", sign_.file)->required();
    sign->add_option("--output", sign_.output, "Where to write; default: standard output");
    sign->add_option("--pkcs12-file", sign_.pkcs12_file);
    sign->add_option("--certificate-file", sign_.certificate_file, "PEM, leaf first");
    sign->add_option("--key-file", sign_.key_file, "PEM");
    sign->add_option("--password-file", sign_.password_file, "File with the password");
  }

  void AddImport() {
    CLI::App* import = app_.add_subcommand("import", "Take over from another program");
    import->require_subcommand(1);
    CLI::App* verb =
        AddVerb(*import, "mdmdirector",
                "Take devices and profiles over from MDMDirector's database, which is only read",
                [this]() -> Status {
                  const Result<int> code = RunImport(import_, environment_);
                  if (!code) return Fail(code.error());
                  exit_code_ = *code;
                  return {};
                });
    verb->add_option("--from", import_.from, "postgresql://USER@HOST/NAME")->required();
    verb->add_option("--from-password-file", import_.from_password_file,
                     "File with its password (or PGPASSWORD)");
    verb->add_option("--upstream", import_.upstream,
                     "Name of the MDM server of the devices, when there are several");
    verb->add_flag("--plan", import_.plan,
                   "Only say what would be done: exit code 0 nothing, 2 something, 1 problems");
    verb->add_flag("--replace", import_.replace,
                   "Also change what came from MDMDirector before and differs by now");
    verb->add_flag("--with-pending", import_.with_pending,
                   "Also propose the locks and erases that MDMDirector has set and not sent");
    AddConfig(verb, import_.config);
  }

  void AddSimulate() {
    CLI::App* verb = AddVerb(app_, "simulate", "Run virtual devices against an MDM server",
                             [this] { return RunSimulate(simulate_); });
    verb->add_option("--mdm-url", simulate_.mdm_url, "Base URL of the MDM server");
    verb->add_option("--protocol", simulate_.protocol, "nanomdm or micromdm [nanomdm]");
    verb->add_option("--authority", simulate_.authority_file,
                     "PEM with certificate and key of the CA that issues device certificates");
    verb->add_option("--make-authority", simulate_.make_authority,
                     "Write a throw-away CA (certificate and key) to this file and end");
    verb->add_option("--make-enrollment-profile", simulate_.make_enrollment_profile,
                     "Write the enrollment profile that the devices take to this file and end");
    verb->add_option("--devices", simulate_.devices, "Number of devices [10]");
    verb->add_option("--seed", simulate_.seed, "Seed of their behaviour [1]");
    verb->add_option("--poll-interval", simulate_.poll_interval, "Between polls while awake [30s]");
    verb->add_option("--awake-for", simulate_.awake_for, "[1h]");
    verb->add_option("--asleep-for", simulate_.asleep_for, "0s: never [0s]");
    verb->add_option("--iphone-share", simulate_.iphone_share, "0 to 1 [0.3]");
    verb->add_option("--user-channel-share", simulate_.user_channel_share,
                     "Of the Macs, 0 to 1 [0]");
    verb->add_option("--not-now-share", simulate_.not_now_share,
                     "Say NotNow for a while, 0 to 1 [0]");
    verb->add_option("--setup-share", simulate_.setup_share,
                     "Begin in Setup Assistant and wait there for DeviceConfigured, 0 to 1 [0]");
    verb->add_option("--deleting-share", simulate_.deleting_share,
                     "Users who delete profiles, 0 to 1 [0]");
    verb->add_option("--delete-every", simulate_.delete_every, "[2h]");
    verb->add_option("--identity-lifetime", simulate_.identity_lifetime,
                     "Of the identities that devices list, in whole days; 0s: none [0s]");
    verb->add_option("--identity-ends-in", simulate_.identity_ends_in,
                     "When the first ones end; 0s: after a lifetime [0s]");
    verb->add_option("--os-update-file", simulate_.os_update_file,
                     "Whenever this file changes, all devices run the OS in it: VERSION BUILD");
    verb->add_option("--time-scale", simulate_.time_scale, "Simulated seconds per second [1]");
  }

  void AddDemo() {
    CLI::App* verb = AddVerb(app_, "demo", "Show the main job with a simulated fleet",
                             [this] { return RunDemo(demo_); });
    verb->add_option("--devices", demo_.devices, "Number of Macs [200]");
    verb->add_option("--examples", demo_.examples, "Folder with mobileconfig files [examples]");
    verb->add_option("--database", demo_.database, "SQLite file; default: a scratch file");
    verb->add_option("--seed", demo_.seed, "[1]");
    verb->add_option("--timeout", demo_.timeout, "[3m]");
    verb->add_flag("--once", demo_.once, "End when the fleet has converged");
  }

  CLI::App app_{"Director keeps an Apple fleet in the state that its owners wrote down.",
                "director"};
  const std::vector<std::string>& environment_;
  std::function<Status()> run_;
  ClientOptions client_;
  OutputFormat format_ = OutputFormat::kTable;
  ServeOptions serve_;
  ImportOptions import_;
  AssignOptions assign_;
  AppOptions app_options_;
  std::string accounts_file_;
  DeviceListOptions device_list_;
  ProposeOptions propose_;
  std::string proposal_id_;
  ProposalsShown proposals_shown_ = ProposalsShown::kOpen;
  SignOptions sign_;
  SimulateOptions simulate_;
  DemoOptions demo_;
  std::vector<std::string> files_;
  std::string device_;
  std::string inventory_kind_;
  bool watch_ = false;
  int exit_code_ = 0;  ///< of a verb that did its work
};

}  // namespace

int RunCommandLine(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment) {
  Result<mdmdirector::Invocation> invocation = mdmdirector::Translate({arguments, environment, {}});
  if (!invocation) {
    fmt::print(stderr, "director: MDMDirector's settings cannot be used:\n{}\n",
               invocation.error().message);
    return kExitFailed;
  }
  for (const std::string& note : invocation->notes) fmt::print(stderr, "director: {}\n", note);
  return CommandLine(invocation->environment).Run(invocation->arguments);
}

}  // namespace director
