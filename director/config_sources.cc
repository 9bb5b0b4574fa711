// The settings that there are, and where they are written: file and environment.
#include "director/config_sources.h"

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <optional>

#include "base/text.h"
#include "director/files.h"

namespace director {
namespace {

using Scope = OptionSpec::Scope;

constexpr std::size_t kConfigSizeMaxBytes = 1024 * 1024;
constexpr std::string_view kEnvironmentPrefix = "DIRECTOR_";
constexpr std::string_view kUpstreamsKey = "upstreams";

/// Reads one YAML mapping of scalars into `options`; `allowed` says which scope may stand there.
void ReadMapping(const YAML::Node& node, std::optional<Scope> allowed, const std::string& prefix,
                 RawOptions& options, std::vector<std::string>& problems) {
  int lists = 0;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      problems.push_back(prefix + "a key is not a plain word");
      continue;
    }
    const std::string key = entry.first.as<std::string>();
    if (!allowed && key == kUpstreamsKey) {
      if (++lists == 2) problems.push_back(key + ": stands twice");
      continue;
    }
    const OptionSpec* option = FindOption(key);
    if (option == nullptr || (allowed && option->scope != *allowed)) {
      problems.push_back(fmt::format("{}{}: unknown key", prefix, Printable(key, 64)));
    } else if (!entry.second.IsScalar()) {
      problems.push_back(fmt::format("{}{}: must be a plain value", prefix, key));
    } else if (!options.emplace(key, entry.second.as<std::string>()).second) {
      problems.push_back(fmt::format("{}{}: stands twice", prefix, key));
    }
  }
}

void ReadUpstreamList(const YAML::Node& root, RawConfig& config,
                      std::vector<std::string>& problems) {
  const YAML::Node list = root[std::string(kUpstreamsKey)];
  if (!list) return;
  if (!list.IsSequence()) {
    problems.push_back("upstreams: must be a list");
    return;
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string prefix = fmt::format("upstreams[{}].", i);
    if (!list[i].IsMap()) {
      problems.push_back(prefix + " must be a mapping");
      continue;
    }
    ReadMapping(list[i], Scope::kUpstream, prefix, config.upstreams.emplace_back(), problems);
  }
}

}  // namespace

const std::vector<OptionSpec>& ConfigOptions() {
  static const std::vector<OptionSpec> options = {
      {"listen", "127.0.0.1:7080", "Address of API and webhook receiver, HOST:PORT"},
      {"tls_certificate_file", "",
       "PEM certificate chain; with tls_key_file the server speaks TLS"},
      {"tls_key_file", "", "PEM key for tls_certificate_file"},
      {"database", "director.db", "Path of a SQLite file, or postgresql://USER@HOST/NAME"},
      {"database_password", "", "Password for PostgreSQL", Scope::kServer, true},
      {"api_token", "", "Bearer token for the API", Scope::kServer, true},
      {"api_user", "director", "User for HTTP Basic on the API"},
      {"api_password", "", "Password for HTTP Basic on the API", Scope::kServer, true},
      {"mdmdirector_password", "",
       "Password of user mdmdirector; when set, MDMDirector's paths answer", Scope::kServer, true},
      {"strict_compat", "false",
       "true: MDMDirector's paths with push_now answer when the commands have left"},
      {"profile_download", "false",
       "true: /profiledownload answers, for NanoMDM's authentication proxy only"},
      {"clear_device_on_enroll", "false",
       "true: a device that enrolls again loses what is assigned to it alone"},
      {"signing_pkcs12_file", "", "PKCS#12 with the identity that signs profiles"},
      {"signing_certificate_file", "", "PEM certificate (leaf first) that signs profiles"},
      {"signing_key_file", "", "PEM key for signing_certificate_file"},
      {"signing_password", "", "Password of the PKCS#12 or key file", Scope::kServer, true},
      {"data_key", "", "Keys that seal secrets in the database: base64 of 32 bytes, one a line",
       Scope::kServer, true},
      {"escrow_url", "", "Crypt-compatible server that gets each PIN, password and recovery key",
       Scope::kServer, true},
      {"escrow_ca_file", "", "PEM certificate authority for an https escrow_url"},
      {"erase_delay", "5m", "How long an EraseDevice can be cancelled before it is sent"},
      {"proposal_time_max", "7d", "How long a proposed command waits for its device"},
      {"proposals_per_hour_max", "20", "Commands that may be proposed in an hour; 0: none"},
      {"identity_issuers", "",
       "Issuers of the certificates with which devices speak to the MDM server, `;` between them"},
      {"identity_renew_before", "90d", "How long before its end an identity is renewed"},
      {"enrollment_profile_file", "", "Enrollment profile that is sent again to renew identities"},
      {"enrollment_profile_url", "", "Webhook that makes the enrollment profile of each device",
       Scope::kServer, true},
      {"enrollment_profile_token", "", "Bearer token for enrollment_profile_url", Scope::kServer,
       true},
      {"enrollment_profile_ca_file", "", "PEM certificate authority for enrollment_profile_url"},
      {"renewals_per_hour_max", "60",
       "Identities renewed in an hour, and as many that end soon; 0: no bound"},
      {"workers", "4",
       "Threads that decide and send; each has one request to an MDM server under way at most"},
      {"http_threads", "32", "Threads that answer HTTP"},
      {"log_level", "info", "debug, info, warning or error"},
      {"log_format", "logfmt", "logfmt or json"},
      {"transaction_max", "30s",
       "When a connection to PostgreSQL that answers nothing is given up"},
      {"claim_lease", "10m", "How long the work of a director that died is left alone"},
      {"awake_window", "2m", "How long after its last word a device counts as awake"},
      {"token_update_wait", "10m",
       "How long after Authenticate a device without TokenUpdate is asked anyway"},
      {"profile_list_interval", "6h", "How old a ProfileList may get before it is asked again"},
      {"device_information_interval", "24h", "How old DeviceInformation may get, or never"},
      {"security_info_interval", "24h", "How old SecurityInfo may get, or never"},
      {"certificate_list_interval", "24h", "How old CertificateList may get, or never"},
      {"installed_application_list_interval", "168h",
       "How old InstalledApplicationList may get, or never"},
      {"question_delay_min", "1m", "Least time between two ProfileList questions without a change"},
      {"answer_time_max", "30s", "How long a session may take to answer what is queued"},
      {"device_configured", "true",
       "Let devices go that are held in Setup Assistant (DeviceConfigured), or false"},
      {"setup_time_max", "15m", "How long a device in Setup Assistant waits for its items"},
      {"removal_evidence_age_max", "15m",
       "How fresh a report must be to remove by it, or to install an app"},
      {"commands_per_session_max", "20", "State-changing commands under way per enrollment"},
      {"certificates_per_minute", "300",
       "Profiles sent a minute that ask the same certificate authority; 0: no bound"},
      {"retry_delay_min", "1m", "First delay after an error that may pass"},
      {"retry_delay_max", "6h", "Longest delay after an error that may pass"},
      {"server_retry_delay_min", "15m", "First delay after an error on the server's side"},
      {"unknown_attempts_max", "3", "Tries at an error that is not known before it is parked"},
      {"sends_per_day_max", "12", "State-changing commands per item, enrollment and day"},
      {"app_install_time_max", "1h",
       "How long after its answer a device's list must show an app, or the attempt has failed"},
      {"app_retry_delay", "24h", "Time between two attempts at an app"},
      {"app_attempts_max", "3", "Failed attempts at an app before it is parked"},
      {"reinstall_after_update", "none",
       "Profiles installed again when the OS build has grown: none, all, or their identifiers"},
      {"reinstall_spread", "6h", "Over how long that is spread"},
      {"push_delay_min", "10m", "First delay before a silent device is pushed again"},
      {"push_delay_max", "24h", "Longest delay between pushes"},
      {"not_now_push_delay_min", "15m", "First delay before a push after NotNow"},
      {"lost_after", "10m",
       "A command without answer is lost when the device spoke this much later"},
      {"not_now_lost_after", "6h", "The same for a command that was answered NotNow"},
      {"mdm_name", "", "Name of the MDM server in paths and logs; default: its kind",
       Scope::kUpstream},
      {"mdm_kind", "nanomdm", "nanomdm, micromdm or nanohub", Scope::kUpstream},
      {"mdm_url", "", "Base URL of the MDM server's API", Scope::kUpstream},
      {"mdm_api_key", "", "API key of the MDM server", Scope::kUpstream, true},
      {"mdm_ca_file", "", "PEM certificate authority for an https mdm_url", Scope::kUpstream},
      {"mdm_commands_per_second", "0", "Commands queued a second; 0: no bound", Scope::kUpstream},
      {"mdm_pushes_per_second", "0", "Pushes asked for a second; 0: no bound", Scope::kUpstream},
      {"webhook_hmac_key", "", "HMAC key of the MDM server's webhook", Scope::kUpstream, true},
      {"webhook_user", "director", "User in the webhook URL, with webhook_password",
       Scope::kUpstream},
      {"webhook_password", "", "Password in the webhook URL", Scope::kUpstream, true},
      {"webhook_secret_path", "", "Last path segment of the webhook URL", Scope::kUpstream, true},
      {"webhook_unauthenticated", "false", "true: accept webhooks from anybody who can connect",
       Scope::kUpstream},
  };
  return options;
}

const OptionSpec* FindOption(std::string_view key) {
  for (const OptionSpec& option : ConfigOptions()) {
    if (option.key == key) return &option;
    if (option.is_secret && key == std::string(option.key) + std::string(kFileSuffix))
      return &option;
  }
  return nullptr;
}

std::string JoinLines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

Result<RawConfig> LoadConfigFile(const std::string& path) {
  const Result<std::string> text = ReadSmallFile(path, kConfigSizeMaxBytes);
  if (!text) return Fail(text.error());
  RawConfig config;
  std::vector<std::string> problems;
  try {
    const YAML::Node root = YAML::Load(*text);
    if (root.IsNull()) return config;
    if (!root.IsMap()) return Fail(ErrorKind::kInvalid, path + ": must be a mapping of settings");
    ReadMapping(root, std::nullopt, "", config.options, problems);
    ReadUpstreamList(root, config, problems);
  } catch (const YAML::Exception& error) {
    // The library quotes what it could not read.
    return Fail(ErrorKind::kInvalid, fmt::format("{}: {}", path, Printable(error.what(), 256)));
  }
  if (!problems.empty()) return Fail(ErrorKind::kInvalid, path + ":\n" + JoinLines(problems));
  return config;
}

Result<RawOptions> ConfigFromEnvironment(const std::vector<std::string>& environment) {
  RawOptions options;
  std::vector<std::string> problems;
  for (const std::string& variable : environment) {
    const std::size_t equals = variable.find('=');
    if (!variable.starts_with(kEnvironmentPrefix) || equals == std::string::npos) continue;
    const std::string name = variable.substr(0, equals);
    const std::string key = ToLowerAscii(name.substr(kEnvironmentPrefix.size()));
    if (key == "config" || key == "url" || key == "token" || key == "token_file") continue;
    if (FindOption(key) == nullptr) {
      problems.push_back(Printable(name, 64) + ": unknown setting");
    } else {
      options[key] = variable.substr(equals + 1);
    }
  }
  if (!problems.empty()) return Fail(ErrorKind::kInvalid, JoinLines(problems));
  return options;
}

}  // namespace director
