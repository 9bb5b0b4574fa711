#include "director/config.h"

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "base/text.h"
#include "director/config_sources.h"
#include "director/secrets.h"
#include "mdm/profile.h"
#include "reconciler/observe.h"
#include "signing/seal.h"
#include "store/postgres_store.h"
#include "upstream/enrollment_profile.h"

namespace director {
namespace {

using Scope = OptionSpec::Scope;

/// Collects problems and hands out typed values of one layer stack.
class Reader {
 public:
  explicit Reader(std::vector<const RawOptions*> layers, std::string prefix = "")
      : layers_(std::move(layers)), prefix_(std::move(prefix)) {}

  std::optional<std::string> Find(const std::string& key) const {
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
      if (const auto found = (*layer)->find(key); found != (*layer)->end()) return found->second;
    }
    return std::nullopt;
  }

  std::string Text(const std::string& key) const {
    if (std::optional<std::string> value = Find(key)) return *value;
    const OptionSpec* option = FindOption(key);
    return option == nullptr ? std::string() : std::string(option->default_value);
  }

  Duration Time(const std::string& key) {
    const Result<Duration> value = ParseDuration(Text(key));
    if (!value) Problem(key, value.error().message);
    if (value && *value <= Duration::zero()) Problem(key, "must be more than zero");
    return value ? *value : Duration::zero();
  }

  /// Zero for `never`.
  Duration Interval(const std::string& key) {
    return Text(key) == "never" ? Duration::zero() : Time(key);
  }

  int Number(const std::string& key, int least, int most) {
    const std::string text = Text(key);
    int value = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc() || end != text.data() + text.size() || value < least || value > most) {
      Problem(key, fmt::format("must be a number from {} to {}", least, most));
    }
    return value;
  }

  bool Flag(const std::string& key) {
    const std::string text = Text(key);
    if (text != "true" && text != "false") Problem(key, "must be true or false");
    return text == "true";
  }

  /// A secret in place or from its `_file` twin. A file must be readable now.
  SecretSource SecretOf(const std::string& key) {
    const std::optional<std::string> value = Find(key);
    const std::optional<std::string> file = Find(key + std::string(kFileSuffix));
    if (value && file) Problem(key, "is given both in place and as a file");
    if (value && !value->empty()) return SecretSource::FromValue(Secret(*value));
    if (!file) return {};
    SecretSource source = SecretSource::FromFile(*file);
    if (const Result<Secret> secret = source.Get(); !secret) {
      Problem(key + std::string(kFileSuffix), secret.error().message);
    }
    return source;
  }

  void Problem(const std::string& key, const std::string& message) {
    problems_.push_back(fmt::format("{}{}: {}", prefix_, key, message));
  }
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  std::vector<const RawOptions*> layers_;
  std::string prefix_;
  std::vector<std::string> problems_;
};

void ReadListen(Reader& reader, Config& config) {
  const std::string listen = reader.Text("listen");
  const std::size_t colon = listen.rfind(':');
  const std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
  const auto [end, ec] =
      std::from_chars(port.data(), port.data() + port.size(), config.listen_port);
  if (colon == 0 || port.empty() || ec != std::errc() || end != port.data() + port.size() ||
      config.listen_port < 0 || config.listen_port > 65535) {
    reader.Problem("listen", "must be HOST:PORT, such as 127.0.0.1:7080");
    return;
  }
  config.listen_host = listen.substr(0, colon);
  config.tls_certificate_file = reader.Text("tls_certificate_file");
  config.tls_key_file = reader.Text("tls_key_file");
  if (config.tls_certificate_file.empty() != config.tls_key_file.empty()) {
    reader.Problem("tls_certificate_file", "needs tls_key_file beside it, and the other way round");
  }
}

constexpr Duration kClaimLeaseMin = std::chrono::seconds(5);
/// More than the waiting for a lock, which is no lost connection.
constexpr Duration kTransactionMaxMin = std::chrono::seconds(15);

void ReadDatabase(Reader& reader, Config& config) {
  config.database = reader.Text("database");
  config.database_password = reader.SecretOf("database_password");
  config.transaction_max = reader.Time("transaction_max");
  if (config.transaction_max < kTransactionMaxMin)
    reader.Problem("transaction_max", "must be 15s or more");
  if (config.database.empty()) reader.Problem("database", "is empty");
  if (!IsPostgresUrl(config.database)) {
    // A file of that name would be a new, empty database.
    for (const std::string_view mistaken : {"://", "host=", "dbname=", "password="}) {
      if (config.database.find(mistaken) == std::string::npos) continue;
      return reader.Problem("database", "is neither a path nor a postgresql:// URL");
    }
    return;
  }
  if (Status usable = CheckPostgresUrl(config.database); !usable) {
    reader.Problem("database", usable.error().message + "; see database_password");
  }
}

void ReadAccess(Reader& reader, Config& config) {
  config.api_token = reader.SecretOf("api_token");
  config.api_user = reader.Text("api_user");
  config.api_password = reader.SecretOf("api_password");
  config.mdmdirector_password = reader.SecretOf("mdmdirector_password");
  config.profile_download = reader.Flag("profile_download");
  config.clear_device_on_enroll = reader.Flag("clear_device_on_enroll");
  config.strict_compat = reader.Flag("strict_compat");
  if (!config.api_token.is_set() && !config.api_password.is_set()) {
    reader.Problem("api_token", "set api_token (or api_token_file), or api_password for Basic");
  }
}

void ReadSigning(Reader& reader, Config& config) {
  config.signing_pkcs12_file = reader.Text("signing_pkcs12_file");
  config.signing_certificate_file = reader.Text("signing_certificate_file");
  config.signing_key_file = reader.Text("signing_key_file");
  config.signing_password = reader.SecretOf("signing_password");
  if (!config.signing_pkcs12_file.empty() && !config.signing_certificate_file.empty()) {
    reader.Problem("signing_pkcs12_file", "is given beside signing_certificate_file; use one");
  }
  if (!config.signing_certificate_file.empty() && config.signing_key_file.empty()) {
    reader.Problem("signing_key_file", "is needed with signing_certificate_file");
  }
}

constexpr int kProposalsPerHourMax = 100'000;

void ReadProposals(Reader& reader, Config& config) {
  config.data_key = reader.SecretOf("data_key");
  if (config.data_key.is_set()) {
    const Result<Secret> text = config.data_key.Get();
    const auto keys = text ? SealingKeys::Parse(*text) : Fail(text.error());
    if (!keys) reader.Problem("data_key", keys.error().message);
  }
  config.escrow_url = reader.SecretOf("escrow_url");
  config.escrow_ca_file = reader.Text("escrow_ca_file");
  if (const Result<Secrets> secrets = MakeSecrets(config); !secrets) {
    reader.Problem("escrow_url", secrets.error().message);
  }
  config.proposals.erase_delay = reader.Time("erase_delay");
  config.proposals.time_max = reader.Time("proposal_time_max");
  if (config.proposals.erase_delay >= config.proposals.time_max) {
    reader.Problem("erase_delay", "must be less than proposal_time_max");
  }
  config.proposals.per_hour_max = reader.Number("proposals_per_hour_max", 0, kProposalsPerHourMax);
}

constexpr int kRenewalsPerHourMax = 100'000;
constexpr std::size_t kIssuersMax = 16;

/// Names hold commas.
void ReadIssuers(Reader& reader, RenewalSettings& renewal) {
  std::istringstream in(reader.Text("identity_issuers"));
  for (std::string issuer; std::getline(in, issuer, ';');) {
    const std::size_t begin = issuer.find_first_not_of(' ');
    if (begin == std::string::npos) continue;
    renewal.issuers.push_back(issuer.substr(begin, issuer.find_last_not_of(' ') + 1 - begin));
  }
  if (renewal.issuers.size() > kIssuersMax) {
    reader.Problem("identity_issuers", fmt::format("names more than {}", kIssuersMax));
  }
}

/// The webhook itself is not asked.
void CheckEnrollmentWebhook(Reader& reader, const Config& config) {
  const Result<Secret> url = config.enrollment_profile_url.Get();
  const Result<Secret> token = config.enrollment_profile_token.Get();
  if (!url || !token) return;  // told already
  const auto usable =
      MakeEnrollmentProfileSource({url->Reveal(), *token, config.enrollment_profile_ca_file});
  if (!usable) reader.Problem("enrollment_profile_url", usable.error().message);
}

void ReadRenewal(Reader& reader, Config& config) {
  RenewalSettings& renewal = config.settings.renewal;
  ReadIssuers(reader, renewal);
  renewal.renew_before = reader.Time("identity_renew_before");
  config.renewals_per_hour_max = reader.Number("renewals_per_hour_max", 0, kRenewalsPerHourMax);
  config.enrollment_profile_file = reader.Text("enrollment_profile_file");
  config.enrollment_profile_url = reader.SecretOf("enrollment_profile_url");
  config.enrollment_profile_token = reader.SecretOf("enrollment_profile_token");
  config.enrollment_profile_ca_file = reader.Text("enrollment_profile_ca_file");
  const bool has_file = !config.enrollment_profile_file.empty();
  const bool has_url = config.enrollment_profile_url.is_set();
  renewal.has_profiles = has_file || has_url;
  if (has_file && has_url) {
    reader.Problem("enrollment_profile_url", "is given beside enrollment_profile_file; use one");
  }
  if (has_url) CheckEnrollmentWebhook(reader, config);
  if (renewal.has_profiles && renewal.issuers.empty()) {
    reader.Problem("identity_issuers", "is needed to tell which certificate is to be renewed");
  }
  const auto interval = config.settings.inventory_interval[InventoryKind::kCertificateList];
  if (!renewal.issuers.empty() && interval == Duration::zero()) {
    reader.Problem("certificate_list_interval", "must not be never with identity_issuers");
  }
}

void ReadLog(Reader& reader, Config& config) {
  const std::string level = reader.Text("log_level");
  if (level == "debug")
    config.log_level = LogLevel::kDebug;
  else if (level == "info")
    config.log_level = LogLevel::kInfo;
  else if (level == "warning")
    config.log_level = LogLevel::kWarning;
  else if (level == "error")
    config.log_level = LogLevel::kError;
  else
    reader.Problem("log_level", "must be debug, info, warning or error");
  const std::string format = reader.Text("log_format");
  if (format != "logfmt" && format != "json")
    reader.Problem("log_format", "must be logfmt or json");
  config.log_format = format == "json" ? LogFormat::kJson : LogFormat::kLogfmt;
}

/// The parts between commas, without the spaces around them.
std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    const std::size_t first = std::min(part.find_first_not_of(" \t"), part.size());
    const std::size_t end = part.find_last_not_of(" \t") + 1;
    parts.push_back(first < end ? part.substr(first, end - first) : "");
  }
  return parts;
}

/// `none`, `all`, or PayloadIdentifiers with commas between them.
void ReadReinstall(Reader& reader, Settings& settings) {
  settings.reinstall_spread = reader.Time("reinstall_spread");
  const std::string text = reader.Text("reinstall_after_update");
  settings.reinstall_all = text == "all";
  if (text == "all" || text == "none") return;
  for (const std::string& part : SplitList(text)) {
    if (part == "all" || part == "none") {
      reader.Problem("reinstall_after_update", part + " stands alone, not in a list");
    } else if (Status usable = CheckPayloadIdentifier(part); !usable) {
      reader.Problem("reinstall_after_update", usable.error().message);
    }
    settings.reinstall_named.emplace_back(part);
  }
}

void ReadSettings(Reader& reader, Settings& settings) {
  settings.claim_lease = reader.Time("claim_lease");
  if (settings.claim_lease < kClaimLeaseMin) reader.Problem("claim_lease", "must be 5s or more");
  settings.awake_window = reader.Time("awake_window");
  settings.token_update_wait = reader.Time("token_update_wait");
  settings.profile_list_interval = reader.Time("profile_list_interval");
  settings.inventory_interval[InventoryKind::kDeviceInformation] =
      reader.Interval("device_information_interval");
  settings.inventory_interval[InventoryKind::kSecurityInfo] =
      reader.Interval("security_info_interval");
  settings.inventory_interval[InventoryKind::kCertificateList] =
      reader.Interval("certificate_list_interval");
  settings.inventory_interval[InventoryKind::kInstalledApplicationList] =
      reader.Interval("installed_application_list_interval");
  settings.question_delay_min = reader.Time("question_delay_min");
  settings.answer_time_max = reader.Time("answer_time_max");
  settings.device_configured = reader.Flag("device_configured");
  settings.setup_time_max = reader.Time("setup_time_max");
  settings.removal_evidence_age_max = reader.Time("removal_evidence_age_max");
  settings.commands_per_session_max = reader.Number("commands_per_session_max", 1, 200);
  settings.retry_delay_min = reader.Time("retry_delay_min");
  settings.retry_delay_max = reader.Time("retry_delay_max");
  settings.server_retry_delay_min = reader.Time("server_retry_delay_min");
  settings.unknown_attempts_max = reader.Number("unknown_attempts_max", 1, 10);
  settings.sends_per_day_max = reader.Number("sends_per_day_max", 1, 1000);
  settings.app_install_time_max = reader.Time("app_install_time_max");
  settings.app_retry_delay = reader.Time("app_retry_delay");
  settings.app_attempts_max = reader.Number("app_attempts_max", 1, 10);
  ReadReinstall(reader, settings);
  settings.push_delay_min = reader.Time("push_delay_min");
  settings.push_delay_max = reader.Time("push_delay_max");
  settings.not_now_push_delay_min = reader.Time("not_now_push_delay_min");
  settings.lost_after = reader.Time("lost_after");
  settings.not_now_lost_after = reader.Time("not_now_lost_after");
  if (settings.answer_time_max >= kPollWriteInterval) {
    reader.Problem("answer_time_max",
                   "must be less than 1m, the step in which polls are written down");
  }
  if (settings.retry_delay_max < settings.retry_delay_min) {
    reader.Problem("retry_delay_max", "is less than retry_delay_min");
  }
  if (settings.push_delay_max < settings.push_delay_min) {
    reader.Problem("push_delay_max", "is less than push_delay_min");
  }
}

void ReadWebhookAuth(Reader& reader, WebhookAuth& auth) {
  auth.hmac_key = reader.SecretOf("webhook_hmac_key");
  auth.basic_user = reader.Text("webhook_user");
  auth.basic_password = reader.SecretOf("webhook_password");
  auth.secret_path = reader.SecretOf("webhook_secret_path");
  auth.unauthenticated = reader.Flag("webhook_unauthenticated");
  const bool any =
      auth.hmac_key.is_set() || auth.basic_password.is_set() || auth.secret_path.is_set();
  if (!any && !auth.unauthenticated) {
    reader.Problem(
        "webhook_hmac_key",
        "webhooks need webhook_hmac_key, webhook_password or webhook_secret_path; to run "
        "without, say webhook_unauthenticated: true");
  }
  if (any && auth.unauthenticated) {
    reader.Problem("webhook_unauthenticated", "is true beside a webhook secret; use one of them");
  }
}

bool IsUpstreamName(const std::string& name) {
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

constexpr int kPerSecondMax = 100'000;
constexpr int kCertificatesPerMinuteMax = 1'000'000;

UpstreamConfig ReadUpstream(Reader& reader) {
  UpstreamConfig upstream;
  const Result<UpstreamKind> kind = ParseUpstreamKind(reader.Text("mdm_kind"));
  if (!kind) reader.Problem("mdm_kind", kind.error().message);
  upstream.kind = kind ? *kind : UpstreamKind::kNanoMdm;
  std::string name = reader.Text("mdm_name");
  if (name.empty()) name = std::string(UpstreamKindName(upstream.kind));
  if (!IsUpstreamName(name)) {
    reader.Problem("mdm_name", "must be 1 to 32 of a-z, 0-9, - and _");
  }
  upstream.name = UpstreamName(name);
  upstream.url = reader.Text("mdm_url");
  if (upstream.url.empty()) reader.Problem("mdm_url", "is needed: where the MDM server's API is");
  upstream.api_key = reader.SecretOf("mdm_api_key");
  if (!upstream.api_key.is_set()) reader.Problem("mdm_api_key", "is needed (or mdm_api_key_file)");
  upstream.ca_file = reader.Text("mdm_ca_file");
  upstream.rates.commands_per_second = reader.Number("mdm_commands_per_second", 0, kPerSecondMax);
  upstream.rates.pushes_per_second = reader.Number("mdm_pushes_per_second", 0, kPerSecondMax);
  ReadWebhookAuth(reader, upstream.webhook);
  return upstream;
}

void Append(std::vector<std::string>& all, const Reader& reader) {
  all.insert(all.end(), reader.problems().begin(), reader.problems().end());
}

bool NamesAnUpstream(const RawOptions& options) {
  return std::any_of(options.begin(), options.end(), [](const auto& option) {
    const OptionSpec* spec = FindOption(option.first);
    return spec != nullptr && spec->scope == Scope::kUpstream;
  });
}

/// The server of the flat settings first (when any of them is set, or no list is), then the list's.
void ReadUpstreams(const RawConfig& file, const RawOptions& environment, const RawOptions& flags,
                   Config& config, std::vector<std::string>& problems) {
  const bool flat = NamesAnUpstream(file.options) || NamesAnUpstream(environment) ||
                    NamesAnUpstream(flags) || file.upstreams.empty();
  if (flat) {
    Reader reader({&file.options, &environment, &flags});
    config.upstreams.push_back(ReadUpstream(reader));
    Append(problems, reader);
  }
  for (std::size_t i = 0; i < file.upstreams.size(); ++i) {
    Reader reader({&file.upstreams[i]}, fmt::format("upstreams[{}].", i));
    config.upstreams.push_back(ReadUpstream(reader));
    Append(problems, reader);
  }
  std::set<UpstreamName> names;
  for (const UpstreamConfig& upstream : config.upstreams) {
    if (!names.insert(upstream.name).second) {
      problems.push_back(
          fmt::format("mdm_name: {} names two MDM servers", Printable(upstream.name.value(), 64)));
    }
  }
}

/// The value as YAML that reads back as it is: plain where that is possible, else in quotes.
std::string YamlScalar(const std::string& value) {
  YAML::Emitter emitter;
  emitter << value;
  return emitter.c_str();
}

void DescribeOption(const OptionSpec& option, const Reader& reader, std::string_view indent,
                    std::string& text) {
  const std::string key(option.key);
  const std::string file_key = key + std::string(kFileSuffix);
  if (option.is_secret && reader.Find(file_key)) {
    text += fmt::format("{}{}: {}\n", indent, file_key, YamlScalar(*reader.Find(file_key)));
  } else if (option.is_secret) {
    text += fmt::format("{}{}: {}\n", indent, key, reader.Text(key).empty() ? "\"\"" : "(set)");
  } else {
    text += fmt::format("{}{}: {}\n", indent, key, YamlScalar(reader.Text(key)));
  }
}

}  // namespace

Result<Config> MakeConfig(const RawConfig& file, const RawOptions& environment,
                          const RawOptions& flags) {
  Config config;
  Reader reader({&file.options, &environment, &flags});
  ReadListen(reader, config);
  ReadDatabase(reader, config);
  ReadAccess(reader, config);
  ReadSigning(reader, config);
  ReadProposals(reader, config);
  config.workers = reader.Number("workers", 1, 64);
  config.http_threads = reader.Number("http_threads", 2, 512);
  config.certificates_per_minute =
      reader.Number("certificates_per_minute", 0, kCertificatesPerMinuteMax);
  ReadLog(reader, config);
  ReadSettings(reader, config.settings);
  ReadRenewal(reader, config);
  std::vector<std::string> problems = reader.problems();
  ReadUpstreams(file, environment, flags, config, problems);
  if (!problems.empty()) return Fail(ErrorKind::kInvalid, JoinLines(problems));
  return config;
}

std::string DescribeConfig(const RawConfig& file, const RawOptions& environment,
                           const RawOptions& flags) {
  std::string text;
  const Reader reader({&file.options, &environment, &flags});
  for (const OptionSpec& option : ConfigOptions()) DescribeOption(option, reader, "", text);
  if (!file.upstreams.empty()) text += "upstreams:\n";
  for (const RawOptions& upstream : file.upstreams) {
    const Reader entry({&upstream});
    std::string body;
    for (const OptionSpec& option : ConfigOptions()) {
      if (option.scope == Scope::kUpstream) DescribeOption(option, entry, "    ", body);
    }
    text += "  - " + body.substr(4);
  }
  return text;
}

}  // namespace director
