#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "director/config.h"

namespace director {

// The verbs behind the command line; each prints to standard output and returns an error for
// standard error.

/// Blocks SIGINT and SIGTERM in this thread and all that it starts, and ignores SIGPIPE; call
/// before any thread starts.
void BlockStopSignals();
/// Waits for SIGINT or SIGTERM.
void WaitForStopSignal();
/// Waits at most `timeout`; true when the signal came.
bool WaitForStopSignal(Duration timeout);

/// Where the API is and how to get in.
struct ClientOptions {
  std::string url = "http://127.0.0.1:7080";
  std::string token_file;
  Secret token;
  std::string ca_file;
};

enum class OutputFormat { kTable, kJson };

struct ServeOptions {
  std::string config_file;
  RawOptions flags;
  bool check_config = false;
};
/// The configuration from all its sources; printed, too, with `check_config`.
Result<Config> LoadConfig(const ServeOptions& options, const std::vector<std::string>& environment);
Status RunServe(const ServeOptions& options, const std::vector<std::string>& environment);

struct ImportOptions {
  ServeOptions config;  ///< of the Director that is to have it
  std::string from;
  std::string from_password_file;
  std::string upstream;
  bool plan = false;
  bool replace = false;
  bool with_pending = false;
};
/// Returns the exit code.
Result<int> RunImport(const ImportOptions& options, const std::vector<std::string>& environment);

struct AssignOptions {
  std::string payload_identifier;
  std::string payload_uuid;
  std::vector<std::string> devices;
  bool all = false;
  bool absent = false;
  bool adopt = false;
  bool during_setup = false;
  bool at_enrollment_only = false;
  std::string channel = "device";
  std::string source = "cli";
};

struct AppOptions {
  std::string identifier;
  std::string version;
  std::string manifest_file;
  std::string manifest_url;
  std::int64_t itunes_store_id = 0;  ///< 0: none
  bool app_store = false;
  std::optional<int> purchase_method;
  std::optional<int> management_flags;
  bool install_as_managed = false;
  bool take_management = false;
  std::string configuration_file;
  std::string source = "cli";
};

struct ProposeOptions {
  std::string device;
  std::string request_type;
  std::string reason;
  std::string source = "cli";
  std::string pin_file;
  std::string password_file;
  bool clears_password = false;
  std::int64_t verifies = 0;
  std::string message;
  std::string phone_number;
};

struct DeviceListOptions {
  std::string status;
  std::string item_state;
  std::string payload_identifier;
  bool half_enrolled = false;
};

Status PutProfiles(const ClientOptions& client, const std::vector<std::string>& files,
                   const std::string& source, OutputFormat format);
Status ListProfiles(const ClientOptions& client, OutputFormat format);
Status PutApp(const ClientOptions& client, const AppOptions& options, OutputFormat format);
Status ListApps(const ClientOptions& client, OutputFormat format);
Status PutAccounts(const ClientOptions& client, const std::string& file, const std::string& source,
                   OutputFormat format);
Status ListAccounts(const ClientOptions& client, OutputFormat format);
Status AssignItem(const ClientOptions& client, const AssignOptions& options, OutputFormat format);
Status UnassignItem(const ClientOptions& client, const AssignOptions& options);
Status ListAssignments(const ClientOptions& client, OutputFormat format);
Status ListDevices(const ClientOptions& client, const DeviceListOptions& options,
                   OutputFormat format);
Status ShowDevice(const ClientOptions& client, const std::string& device, OutputFormat format);
/// What the device said about itself; `kind` empty for all.
Status ShowInventory(const ClientOptions& client, const std::string& device,
                     const std::string& kind, OutputFormat format);
Status ExplainItem(const ClientOptions& client, const std::string& device,
                   const std::string& payload_identifier, OutputFormat format);
/// POSTs to `/devices/DEVICE/ACTION`: push, reconcile, release.
Status ActOnDevice(const ClientOptions& client, const std::string& device,
                   const std::string& action);
Status RetryItem(const ClientOptions& client, const std::string& device,
                 const std::string& payload_identifier);
Status ShowStatus(const ClientOptions& client, OutputFormat format);
/// Shows the status again every two seconds until Ctrl-C.
Status WatchStatus(const ClientOptions& client, OutputFormat format);
Status ShowEvents(const ClientOptions& client, const std::string& device, OutputFormat format);

Status ProposeCommand(const ClientOptions& client, const ProposeOptions& options,
                      OutputFormat format);
enum class ProposalsShown { kOpen, kAll };
/// `device` empty for those of every device.
Status ListProposals(const ClientOptions& client, const std::string& device, ProposalsShown shown,
                     OutputFormat format);
Status CancelProposal(const ClientOptions& client, const std::string& proposal_id,
                      const std::string& source);
Status ShowSecret(const ClientOptions& client, const std::string& proposal_id,
                  const std::string& source);

Status LintFiles(const std::vector<std::string>& files, OutputFormat format);

struct SignOptions {
  std::string file;
  std::string output;
  std::string pkcs12_file;
  std::string certificate_file;
  std::string key_file;
  std::string password_file;
};
Status SignFile(const SignOptions& options);

struct SimulateOptions {
  std::string mdm_url;
  std::string protocol = "nanomdm";
  std::string authority_file;           ///< PEM: certificate and key of the throw-away CA
  std::string make_authority;           ///< write a new one to this path and end
  std::string make_enrollment_profile;  ///< write that of the devices to this path and end
  std::size_t devices = 10;
  std::uint64_t seed = 1;
  std::string poll_interval = "30s";
  std::string awake_for = "1h";
  std::string asleep_for = "0s";
  double iphone_share = 0.3;
  double user_channel_share = 0;
  double not_now_share = 0;
  double setup_share = 0;
  double deleting_share = 0;
  std::string delete_every = "2h";
  std::string identity_lifetime = "0s";
  std::string identity_ends_in = "0s";
  std::string os_update_file;
  double time_scale = 1;
};
Status RunSimulate(const SimulateOptions& options);

}  // namespace director
