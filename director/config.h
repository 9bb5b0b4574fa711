#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "director/secret_source.h"
#include "director/upstreams.h"
#include "reconciler/state.h"
#include "signing/signer.h"
#include "upstream/make_upstream.h"

namespace director {

/// How webhooks of one upstream prove who they are. At least one way, or `unauthenticated`.
struct WebhookAuth {
  SecretSource hmac_key;   ///< NanoMDM and NanoHUB: X-Hmac-Signature
  std::string basic_user;  ///< any server: user info in its webhook URL
  SecretSource basic_password;
  SecretSource secret_path;  ///< any server: last path segment, `/webhook/NAME/SECRET`
  bool unauthenticated = false;
};

/// One MDM server as configured.
struct UpstreamConfig {
  UpstreamName name;
  UpstreamKind kind = UpstreamKind::kNanoMdm;
  std::string url;
  SecretSource api_key;
  std::string ca_file;
  UpstreamRates rates;
  WebhookAuth webhook;
};

/// What a person may propose.
struct ProposalLimits {
  Duration erase_delay = std::chrono::minutes(5);  ///< before an EraseDevice is sent
  Duration time_max = std::chrono::hours(24 * 7);  ///< how long one waits for its device
  int per_hour_max = 20;                           ///< of all devices together
};

/// Everything that `director serve` can be told.
struct Config {
  std::string listen_host;
  int listen_port = 0;
  std::string tls_certificate_file;
  std::string tls_key_file;
  std::string database;  ///< path of a SQLite file, or a URL of PostgreSQL
  SecretSource database_password;
  Duration transaction_max = std::chrono::seconds(30);  ///< PostgreSQL only

  SecretSource api_token;
  std::string api_user;
  SecretSource api_password;
  SecretSource mdmdirector_password;  ///< when set, the paths of MDMDirector answer
  /// Whether profiles are handed out to who says by a header which device it is.
  bool profile_download = false;
  bool clear_device_on_enroll = false;  ///< see `RecordOptions`
  bool strict_compat = false;  ///< those with `push_now` answer when the commands have left

  /// Where enrollment profiles come from with which identities are renewed: one of them, or none.
  std::string enrollment_profile_file;
  SecretSource enrollment_profile_url;
  SecretSource enrollment_profile_token;
  std::string enrollment_profile_ca_file;
  int renewals_per_hour_max = 0;  ///< those that end soon apart; zero: without a bound

  std::vector<UpstreamConfig> upstreams;
  int certificates_per_minute = 0;  ///< of each certificate authority; zero: without a bound

  SecretSource data_key;    ///< seals secrets in the database; see `SealingKeys::Parse`
  SecretSource escrow_url;  ///< where secrets are taken before they are sent; not set: nowhere else
  std::string escrow_ca_file;
  ProposalLimits proposals;

  std::string signing_pkcs12_file;
  std::string signing_certificate_file;
  std::string signing_key_file;
  SecretSource signing_password;
  bool signs() const { return !signing_pkcs12_file.empty() || !signing_certificate_file.empty(); }

  int workers = 4;
  int http_threads = 32;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kLogfmt;
  Settings settings;
};

/// One setting: the same name in YAML (`snake_case`), environment (`DIRECTOR_` + upper case) and
/// flags (`--kebab-case`).
struct OptionSpec {
  enum class Scope { kServer, kUpstream };
  std::string_view key;
  std::string_view default_value;
  std::string_view help;
  Scope scope = Scope::kServer;
  bool is_secret = false;  ///< has a twin with `_file` that names a file to read it from
};

/// Every setting, in the order of the documentation. `kUpstream` ones may also stand in each entry
/// of `upstreams:` in the YAML file.
const std::vector<OptionSpec>& ConfigOptions();

/// Values as written, by key.
using RawOptions = std::map<std::string, std::string>;

/// What was written where. Later sources win: file, environment, flags.
struct RawConfig {
  RawOptions options;
  std::vector<RawOptions> upstreams;  ///< entries of `upstreams:`
};

/// Reads a YAML file. Unknown keys, keys that stand twice and values that are no scalars are
/// errors; all of them are named in one message.
Result<RawConfig> LoadConfigFile(const std::string& path);

/// Takes `DIRECTOR_*` out of an environment (`NAME=value` strings). An unknown DIRECTOR_ name is an
/// error.
Result<RawOptions> ConfigFromEnvironment(const std::vector<std::string>& environment);

/// Checks and types everything; all problems at once, one a line, in the error's message.
Result<Config> MakeConfig(const RawConfig& file, const RawOptions& environment,
                          const RawOptions& flags);

/// Renders the effective settings as YAML with secrets replaced by `(set)`; for `--check-config`.
std::string DescribeConfig(const RawConfig& file, const RawOptions& environment,
                           const RawOptions& flags);

}  // namespace director
