#include "director/mdmdirector_flags.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "director/config_sources.h"
#include "upstream/http_client.h"

namespace director::mdmdirector {
namespace {

enum class Kind { kText, kNumber, kFlag };

/// What has a meaning here is translated, what does not is accepted and said.
enum class Use { kTranslated, kMeaningless, kNotBuilt };

struct Flag {
  std::string_view name;
  std::string_view variable;  ///< empty: none
  Kind kind = Kind::kText;
  Use use = Use::kTranslated;
};

constexpr Flag kFlags[] = {
    {"debug", "DEBUG", Kind::kFlag},
    {"port", "DIRECTOR_PORT", Kind::kNumber},
    {"mdm-server-type", "MDM_SERVER_TYPE"},
    {"nanomdm-url", "NANOMDM_URL"},
    {"nanomdm-api-key", "NANOMDM_API_KEY"},
    {"micromdmurl", "MICRO_URL"},
    {"micromdmapikey", "MICRO_API_KEY"},
    {"sign", "SIGN", Kind::kFlag},
    {"key-password", "SIGNING_PASSWORD"},
    {"signing-private-key", "SIGNING_KEY"},
    {"cert", "SIGNING_CERT"},
    {"password", "DIRECTOR_PASSWORD"},
    {"db-username", "DB_USERNAME"},
    {"db-password", "DB_PASSWORD"},
    {"db-name", "DB_NAME"},
    {"db-host", "DB_HOST"},
    {"db-port", "DB_PORT", Kind::kNumber},
    {"db-sslmode", ""},
    {"loglevel", "LOG_LEVEL"},
    {"log-format", "LOG_FORMAT"},
    {"info-request-interval", "INFO_REQUEST_INTERVAL", Kind::kNumber},
    {"db-max-idle-connections", "", Kind::kNumber, Use::kMeaningless},
    {"db-max-connections", "", Kind::kNumber, Use::kMeaningless},
    {"redis-host", "REDIS_HOST", Kind::kText, Use::kMeaningless},
    {"redis-port", "REDIS_PORT", Kind::kText, Use::kMeaningless},
    {"redis-password", "REDIS_PASSWORD", Kind::kText, Use::kMeaningless},
    {"once-in", "ONCE_IN", Kind::kNumber, Use::kMeaningless},
    {"prometheus", "PROMETHEUS", Kind::kFlag, Use::kMeaningless},
    {"redis-tls", "REDIS_TLS", Kind::kFlag, Use::kMeaningless},
    {"db-conn-max-idle-time", "DB_CONN_MAX_IDLE_TIME", Kind::kText, Use::kMeaningless},
    {"db-conn-max-lifetime", "DB_CONN_MAX_LIFETIME", Kind::kText, Use::kMeaningless},
    {"control-plane-interval", "CONTROL_PLANE_INTERVAL", Kind::kText, Use::kMeaningless},
    {"stale-command-threshold", "STALE_COMMAND_THRESHOLD", Kind::kText, Use::kMeaningless},
    {"install-profile-retries", "INSTALL_PROFILE_RETRIES", Kind::kText, Use::kMeaningless},
    {"install-profile-total-retries", "INSTALL_PROFILE_TOTAL_RETRIES", Kind::kText,
     Use::kMeaningless},
    {"push-spread", "PUSH_SPREAD", Kind::kText, Use::kMeaningless},
    {"push-rate-limit", "PUSH_RATE_LIMIT", Kind::kText, Use::kMeaningless},
    {"push-new-build", "PUSH_NEW_BUILD", Kind::kFlag},
    {"escrowurl", "ESCROW_URL"},
    {"clear-device-on-enroll", "CLEAR_DEVICE_ON_ENROLL", Kind::kFlag},
    {"scep-cert-issuer", "SCEP_CERT_ISSUER"},
    {"scep-cert-min-validity", "SCEP_CERT_MIN_VALIDITY", Kind::kNumber},
    {"enrollment-profile", "ENROLLMENT_PROFILE"},
    {"enrollment-profile-signed", "ENROLMENT_PROFILE_SIGNED", Kind::kFlag, Use::kMeaningless},
    {"acme-cert-issuer", "ACME_CERT_ISSUER"},
    {"acme-cert-min-validity", "ACME_CERT_MIN_VALIDITY", Kind::kNumber},
    {"enable-reenroll-via-webhook", "ENABLE_REENROLL_VIA_WEBHOOK", Kind::kFlag},
    {"enroll-webhook-url", "ENROLL_WEBHOOK_URL"},
    {"enroll-webhook-token", "ENROLL_WEBHOOK_TOKEN"},
    {"use-ddm", "USE_DDM", Kind::kFlag, Use::kNotBuilt},
    {"use-ddm-packages", "USE_DDM_PACKAGES", Kind::kFlag, Use::kNotBuilt},
    {"kmfddm-url", "KMFDDM_URL", Kind::kText, Use::kNotBuilt},
    {"kmfddm-api-key", "KMFDDM_API_KEY", Kind::kText, Use::kNotBuilt},
    {"nanomdm-profile-url", "NANOMDM_PROFILE_URL", Kind::kText, Use::kNotBuilt},
    {"ddm-declaration-prefix", "DDM_DECLARATION_PREFIX", Kind::kText, Use::kNotBuilt},
    {"ddm-set-prefix", "DDM_SET_PREFIX", Kind::kText, Use::kNotBuilt},
    {"activate-ddm-fleet", "ACTIVATE_DDM_FLEET", Kind::kFlag, Use::kNotBuilt},
    {"dual-write-micromdm", "DUAL_WRITE_MICROMDM", Kind::kFlag, Use::kNotBuilt},
};

/// `-name`, `--name`, `-name=value`: which flag, and the value if it stands there.
struct Parsed {
  const Flag* flag = nullptr;
  std::optional<std::string> value;
};

Parsed Parse(std::string_view argument) {
  if (!argument.starts_with('-')) return {};
  argument.remove_prefix(argument.starts_with("--") ? 2 : 1);
  const std::size_t equals = std::min(argument.find('='), argument.size());
  const auto* const flag = std::find_if(std::begin(kFlags), std::end(kFlags), [&](const Flag& one) {
    return one.name == argument.substr(0, equals);
  });
  if (flag == std::end(kFlags)) return {};
  Parsed parsed{flag, {}};
  if (equals < argument.size()) parsed.value = std::string(argument.substr(equals + 1));
  return parsed;
}

std::optional<bool> ParseFlag(const std::string& text) {
  const std::string lower = ToLowerAscii(text);
  if (lower == "true" || lower == "yes" || lower == "t" || lower == "1") return true;
  if (lower == "false" || lower == "no" || lower == "f" || lower == "0") return false;
  return std::nullopt;
}

bool Fits(Kind kind, const std::string& text) {
  if (kind == Kind::kFlag) return ParseFlag(text).has_value();
  if (kind == Kind::kText) return true;
  int number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  return ec == std::errc() && end == text.data() + text.size();
}

std::string ValueOf(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string& variable : environment) {
    if (variable.size() > name.size() && variable.starts_with(name) &&
        variable[name.size()] == '=') {
      return variable.substr(name.size() + 1);
    }
  }
  return {};
}

bool IsNeeded(const Invocation& invocation) {
  const std::vector<std::string>& arguments = invocation.arguments;
  if (arguments.size() < 2 || (arguments[1] != "serve" && arguments[1] != "import")) return false;
  for (const std::string_view variable : {"MICRO_URL", "NANOMDM_URL"}) {
    if (!ValueOf(invocation.environment, variable).empty()) return true;
  }
  return std::any_of(arguments.begin() + 2, arguments.end(), [](const std::string& argument) {
    // A flag that both programs know does not tell which one is meant.
    const Flag* flag = Parse(argument).flag;
    return flag != nullptr && (flag->name != "log-format" || !argument.starts_with("--"));
  });
}

/// One start of MDMDirector, on its way to become one of Director.
class Translation {
 public:
  explicit Translation(Invocation invocation) : invocation_(std::move(invocation)) {}

  Result<Invocation> Run() {
    TakeEnvironment();
    TakeArguments();
    SetServer();
    const std::string password = Required("password");
    Set("DIRECTOR_MDMDIRECTOR_PASSWORD", password);
    Set("DIRECTOR_API_USER", "mdmdirector");
    Set("DIRECTOR_API_PASSWORD", password);
    Set("DIRECTOR_LISTEN", "0.0.0.0:" + ValueOr("port", "8000"));
    SetDatabase();
    SetSigning();
    SetLog();
    SetReinstall();
    SetRenewal();
    SetWebhooks();
    Set("DIRECTOR_ESCROW_URL", ValueOr("escrowurl", ""));
    if (IsOn("clear-device-on-enroll")) Set("DIRECTOR_CLEAR_DEVICE_ON_ENROLL", "true");
    if (const std::string minutes = ValueOr("info-request-interval", ""); !minutes.empty()) {
      for (const char* question :
           {"PROFILE_LIST", "DEVICE_INFORMATION", "SECURITY_INFO", "CERTIFICATE_LIST"}) {
        Set(fmt::format("DIRECTOR_{}_INTERVAL", question), minutes + "m");
      }
    }
    NoteRest();
    if (!problems_.empty()) return Fail(ErrorKind::kInvalid, JoinLines(problems_));
    return std::move(invocation_);
  }

 private:
  /// MDMDirector passes over numbers and flags that it cannot read there.
  void TakeEnvironment() {
    std::vector<std::string> rest;
    for (std::string& variable : invocation_.environment) {
      const std::size_t equals = std::min(variable.find('='), variable.size());
      const auto* const flag =
          std::find_if(std::begin(kFlags), std::end(kFlags), [&](const Flag& one) {
            return !one.variable.empty() && one.variable == variable.substr(0, equals);
          });
      if (flag == std::end(kFlags)) {
        rest.push_back(std::move(variable));
      } else if (equals < variable.size() && Fits(flag->kind, variable.substr(equals + 1))) {
        values_[flag->name] = variable.substr(equals + 1);
      }
    }
    invocation_.environment = std::move(rest);
  }

  void TakeArguments() {
    std::vector<std::string> rest;
    const std::vector<std::string> arguments = std::move(invocation_.arguments);
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      Parsed parsed = Parse(arguments[i]);
      if (parsed.flag == nullptr) {
        rest.push_back(arguments[i]);
        continue;
      }
      const Flag& flag = *parsed.flag;
      if (!parsed.value && flag.kind == Kind::kFlag) parsed.value = "true";
      if (!parsed.value && i + 1 < arguments.size()) parsed.value = arguments[++i];
      if (!parsed.value) {
        problems_.push_back(fmt::format("-{}: needs a value", flag.name));
      } else if (!Fits(flag.kind, *parsed.value)) {
        problems_.push_back(fmt::format("-{}: must be {}", flag.name,
                                        flag.kind == Kind::kFlag ? "true or false" : "a number"));
      } else {
        values_[flag.name] = std::move(*parsed.value);
      }
    }
    invocation_.arguments = std::move(rest);
  }

  std::string ValueOr(std::string_view flag, std::string_view fallback) const {
    const auto found = values_.find(flag);
    return std::string(found == values_.end() || found->second.empty() ? fallback : found->second);
  }

  std::string Required(std::string_view flag) {
    std::string value = ValueOr(flag, "");
    if (value.empty()) problems_.push_back(fmt::format("-{}: is needed", flag));
    return value;
  }

  /// Director's own setting, when somebody has made it, stays.
  void Set(std::string_view variable, const std::string& value) {
    const std::string prefix = std::string(variable) + "=";
    const std::string file_prefix = std::string(variable) + "_FILE=";
    const auto& environment = invocation_.environment;
    const bool is_there =
        std::any_of(environment.begin(), environment.end(), [&](const std::string& one) {
          return one.starts_with(prefix) || one.starts_with(file_prefix);
        });
    if (!is_there && !value.empty()) invocation_.environment.push_back(prefix + value);
  }

  /// Of the server that is not chosen nothing is needed.
  void SetServer() {
    const std::string kind = ToLowerAscii(ValueOr("mdm-server-type", "micromdm"));
    const bool is_nano = kind == "nanomdm";
    if (!is_nano && kind != "micromdm") {
      problems_.push_back("-mdm-server-type: must be micromdm or nanomdm");
      return;
    }
    Set("DIRECTOR_MDM_KIND", kind);
    Set("DIRECTOR_MDM_URL", Required(is_nano ? "nanomdm-url" : "micromdmurl"));
    Set("DIRECTOR_MDM_API_KEY", Required(is_nano ? "nanomdm-api-key" : "micromdmapikey"));
    // Declarations are what devices have the addresses of profiles from.
    const bool hands_out = IsOn("use-ddm") || !ValueOr("nanomdm-profile-url", "").empty();
    if (is_nano && hands_out) Set("DIRECTOR_PROFILE_DOWNLOAD", "true");
  }

  void SetDatabase() {
    const std::string user = Required("db-username");
    const std::string host = Required("db-host");
    const std::string name = Required("db-name");
    // A folder of sockets, an IPv6 address, or a name.
    const bool is_address = host.find(':') != std::string::npos;
    Set("DIRECTOR_DATABASE",
        fmt::format("postgresql://{}@{}:{}/{}?sslmode={}", EncodePathSegment(user),
                    is_address ? "[" + host + "]" : EncodePathSegment(host),
                    ValueOr("db-port", "5432"), EncodePathSegment(name),
                    EncodePathSegment(ValueOr("db-sslmode", "disable"))));
    Set("DIRECTOR_DATABASE_PASSWORD", Required("db-password"));
  }

  void SetSigning() {
    if (!IsOn("sign")) return;
    const std::string certificate = Required("cert");
    const bool is_pkcs12 = certificate.ends_with(".p12");
    if (!is_pkcs12) Set("DIRECTOR_SIGNING_KEY_FILE", Required("signing-private-key"));
    Set(is_pkcs12 ? "DIRECTOR_SIGNING_PKCS12_FILE" : "DIRECTOR_SIGNING_CERTIFICATE_FILE",
        certificate);
    Set("DIRECTOR_SIGNING_PASSWORD", ValueOr("key-password", ""));
  }

  void SetLog() {
    const std::string level = ValueOr("loglevel", "warn");
    Set("DIRECTOR_LOG_LEVEL", IsOn("debug") ? "debug" : level == "warn" ? "warning" : level);
    Set("DIRECTOR_LOG_FORMAT", ValueOr("log-format", "") == "json" ? "json" : "logfmt");
  }

  /// MDMDirector installs profiles again when the OS build has grown, or means to.
  void SetReinstall() {
    if (IsOn("push-new-build")) Set("DIRECTOR_REINSTALL_AFTER_UPDATE", "all");
  }

  /// MDMDirector compares both issuers; of the two times the longer one loses no identity.
  void SetRenewal() {
    const bool uses_webhook = IsOn("enable-reenroll-via-webhook");
    const std::string file = ValueOr("enrollment-profile", "");
    if (uses_webhook) {
      Set("DIRECTOR_ENROLLMENT_PROFILE_URL", Required("enroll-webhook-url"));
      Set("DIRECTOR_ENROLLMENT_PROFILE_TOKEN", Required("enroll-webhook-token"));
    } else {
      Set("DIRECTOR_ENROLLMENT_PROFILE_FILE", file);
    }
    const std::string acme = ValueOr("acme-cert-issuer", "");
    const bool tells_issuer = values_.contains("scep-cert-issuer") || !acme.empty();
    if (!uses_webhook && file.empty() && !tells_issuer) return;
    const std::string scep = ValueOr("scep-cert-issuer", "OU=MICROMDM SCEP CA,O=MicroMDM,C=US");
    Set("DIRECTOR_IDENTITY_ISSUERS", acme.empty() ? scep : scep + ";" + acme);
    int days = DaysOr("scep-cert-min-validity");
    if (!acme.empty()) days = std::max(days, DaysOr("acme-cert-min-validity"));
    Set("DIRECTOR_IDENTITY_RENEW_BEFORE", fmt::format("{}d", std::max(days, 1)));
  }

  /// MDMDirector's default is 180 for both.
  int DaysOr(std::string_view flag) const {
    const std::string text = ValueOr(flag, "180");
    int days = 180;
    std::from_chars(text.data(), text.data() + text.size(), days);
    return days;
  }

  void SetWebhooks() {
    const bool is_authenticated = std::any_of(
        invocation_.environment.begin(), invocation_.environment.end(),
        [](const std::string& variable) { return variable.starts_with("DIRECTOR_WEBHOOK_"); });
    if (!is_authenticated) Set("DIRECTOR_WEBHOOK_UNAUTHENTICATED", "true");
  }

  bool IsOn(std::string_view flag) const {
    return ParseFlag(ValueOr(flag, "false")).value_or(false);
  }

  void NoteRest() {
    std::string meaningless;
    std::string not_built;
    for (const Flag& flag : kFlags) {
      if (!values_.contains(flag.name) || flag.use == Use::kTranslated) continue;
      std::string& list = flag.use == Use::kMeaningless ? meaningless : not_built;
      list += fmt::format("{}-{}", list.empty() ? "" : ", ", flag.name);
    }
    invocation_.notes.push_back("started with MDMDirector's settings");
    if (!meaningless.empty()) {
      invocation_.notes.push_back("these have no meaning here: " + meaningless);
    }
    if (!not_built.empty()) {
      invocation_.notes.push_back("what these ask for is not built yet: " + not_built);
    }
  }

  Invocation invocation_;
  std::map<std::string_view, std::string> values_;
  std::vector<std::string> problems_;
};

}  // namespace

Result<Invocation> Translate(Invocation invocation) {
  if (!IsNeeded(invocation)) return invocation;
  return Translation(std::move(invocation)).Run();
}

}  // namespace director::mdmdirector
