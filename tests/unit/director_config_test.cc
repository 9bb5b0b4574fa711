#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "director/config.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"

namespace director::director_config_test {
namespace {

using director_test::TempFolder;

/// The least that `serve` needs.
RawOptions Enough() {
  return {{"api_token", "token"},
          {"mdm_url", "http://mdm:9000"},
          {"mdm_api_key", "key"},
          {"webhook_hmac_key", "hmac"}};
}

Result<Config> Make(const RawOptions& options) { return MakeConfig({options, {}}, {}, {}); }

/// The message of a configuration that must be refused.
std::string ProblemOf(const RawOptions& options) {
  const Result<Config> config = Make(options);
  REQUIRE_FALSE(config);
  CHECK(config.error().kind == ErrorKind::kInvalid);
  return config.error().message;
}

bool Mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("keys of options are unique, and so are the twins of secrets") {
  std::set<std::string> keys;
  for (const OptionSpec& option : ConfigOptions()) {
    CHECK(keys.insert(std::string(option.key)).second);
    CHECK_FALSE(option.help.empty());
    if (option.is_secret) {
      CHECK(option.default_value.empty());
      CHECK(keys.insert(std::string(option.key) + "_file").second);
    }
  }
}

TEST_CASE("every default is a value that the program takes") {
  RawOptions all;
  for (const OptionSpec& option : ConfigOptions()) {
    if (!option.default_value.empty()) {
      all[std::string(option.key)] = std::string(option.default_value);
    }
  }
  const Result<Config> bare = Make(Enough());
  for (const auto& [key, value] : Enough()) all[key] = value;
  const Result<Config> spelt = Make(all);
  REQUIRE(bare);
  REQUIRE(spelt);
  CHECK(bare->listen_port == 7080);
  CHECK(bare->workers == spelt->workers);
  CHECK(bare->settings.profile_list_interval == spelt->settings.profile_list_interval);
  CHECK(bare->settings.inventory_interval == Settings().inventory_interval);
  CHECK(bare->upstreams.size() == 1);
  CHECK(bare->upstreams[0].name.value() == "nanomdm");
}

TEST_CASE("a question about devices can be switched off, the ProfileList cannot") {
  RawOptions flags = Enough();
  flags["installed_application_list_interval"] = "never";
  flags["security_info_interval"] = "2h";
  const Result<Config> config = Make(flags);
  REQUIRE(config);
  const auto& intervals = config->settings.inventory_interval;
  CHECK(intervals[InventoryKind::kInstalledApplicationList] == Duration::zero());
  CHECK(intervals[InventoryKind::kSecurityInfo] == std::chrono::hours(2));
  flags["profile_list_interval"] = "never";
  CHECK_FALSE(Make(flags));
}

TEST_CASE("flags win over the environment and the environment over the file") {
  const RawConfig file{{{"workers", "1"}, {"http_threads", "10"}, {"log_level", "error"}}, {}};
  const RawOptions environment{{"http_threads", "20"}, {"log_level", "warning"}};
  RawOptions flags = Enough();
  flags["log_level"] = "debug";
  const Result<Config> config = MakeConfig(file, environment, flags);
  REQUIRE(config);
  CHECK(config->workers == 1);
  CHECK(config->http_threads == 20);
  CHECK(config->log_level == LogLevel::kDebug);
}

TEST_CASE("all problems are told at once") {
  RawOptions options = Enough();
  options["listen"] = "nowhere";
  options["workers"] = "many";
  options["awake_window"] = "soon";
  options["log_format"] = "xml";
  options["mdm_kind"] = "jamf";
  options.erase("api_token");
  const std::string problem = ProblemOf(options);
  INFO(problem);
  for (const char* key :
       {"listen", "workers", "awake_window", "log_format", "mdm_kind", "api_token"}) {
    CHECK(Mentions(problem, std::string(key) + ": "));
  }
}

TEST_CASE("values of the wrong type or out of range are refused by name") {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"listen", "127.0.0.1"},
      {"listen", "127.0.0.1:"},
      {"listen", ":80"},
      {"listen", "127.0.0.1:70000"},
      {"listen", "127.0.0.1:-1"},
      {"listen", "127.0.0.1:80x"},
      {"workers", "0"},
      {"workers", "65"},
      {"workers", "2.5"},
      {"workers", ""},
      {"http_threads", "1"},
      {"http_threads", "99999999999999999999"},
      {"awake_window", "0s"},
      {"awake_window", "-1m"},
      {"awake_window", "5"},
      {"commands_per_session_max", "0"},
      {"log_level", "INFO"},
      {"database", ""},
      {"database", "postgresql://u:pass@host/name"},
      {"database", "postgresql://host/name?sslpassword=x"},
      {"database", "mysql://host/name"},
      {"database", "host=h dbname=d"},
      {"claim_lease", "4s"},
      {"transaction_max", "14s"},
      {"database", "postgresql://host/name?no_such_keyword=1"},
      {"certificates_per_minute", "-1"},
      {"mdm_commands_per_second", "0.5"},
      {"mdm_pushes_per_second", "many"},
      {"reinstall_after_update", "com.example.a,all"},
      {"reinstall_after_update", "none, com.example.a"},
      {"reinstall_after_update", "com.example.a,,com.example.b"},
      {"reinstall_after_update", "com.example.a, "},
      {"mdm_name", "No Name"},
      {"mdm_name", "a/b"},
      {"mdm_url", ""},
      {"webhook_unauthenticated", "1"}};
  for (const auto& [key, value] : bad) {
    RawOptions options = Enough();
    options[key] = value;
    INFO(key << "=" << value);
    CHECK(Mentions(ProblemOf(options), key));
  }
}

TEST_CASE("profiles to install again after an update are all, none, or a list") {
  const auto settings_of = [](const char* text) {
    RawOptions options = Enough();
    options["reinstall_after_update"] = text;
    const Result<Config> config = Make(options);
    REQUIRE(config);
    return config->settings;
  };
  CHECK(settings_of("all").reinstall_all);
  CHECK_FALSE(settings_of("none").reinstall_all);
  CHECK(settings_of("none").reinstall_named.empty());
  const Settings named = settings_of(" com.example.wifi,\tcom.example.vpn ");
  CHECK_FALSE(named.reinstall_all);
  REQUIRE(named.reinstall_named.size() == 2);
  CHECK(named.reinstall_named[0].value() == "com.example.wifi");
  CHECK(named.reinstall_named[1].value() == "com.example.vpn");
}

TEST_CASE("settings that contradict each other are refused") {
  RawOptions options = Enough();
  options["retry_delay_min"] = "7h";
  CHECK(Mentions(ProblemOf(options), "retry_delay_max"));
  options = Enough();
  options["tls_key_file"] = "key.pem";
  CHECK(Mentions(ProblemOf(options), "tls_certificate_file"));
  options = Enough();
  options["signing_certificate_file"] = "a.pem";
  CHECK(Mentions(ProblemOf(options), "signing_key_file"));
  options["signing_pkcs12_file"] = "a.p12";
  options["signing_key_file"] = "k.pem";
  CHECK(Mentions(ProblemOf(options), "signing_pkcs12_file"));
}

TEST_CASE("identities are renewed where an enrollment profile and an issuer are configured") {
  RawOptions options = Enough();
  CHECK(Make(options)->settings.renewal.issuers.empty());
  options["identity_issuers"] = "CN=A ; OU=MDM,O=Example,C=US;";
  const Result<Config> told = Make(options);
  REQUIRE(told);
  CHECK(told->settings.renewal.issuers ==
        std::vector<std::string>{"CN=A", "OU=MDM,O=Example,C=US"});
  CHECK_FALSE(told->settings.renewal.has_profiles);
  options["enrollment_profile_file"] = "/etc/director/enroll.mobileconfig";
  CHECK(Make(options)->settings.renewal.has_profiles);
  options["certificate_list_interval"] = "never";
  CHECK(Mentions(ProblemOf(options), "certificate_list_interval"));
  options.erase("certificate_list_interval");
  options["enrollment_profile_url"] = "https://enroll.example.com";
  CHECK(Mentions(ProblemOf(options), "use one"));
  options.erase("enrollment_profile_file");
  CHECK(Mentions(ProblemOf(options), "token"));
  options["enrollment_profile_token"] = "hidden";
  CHECK(Make(options)->enrollment_profile_url.is_set());
  options.erase("identity_issuers");
  CHECK(Mentions(ProblemOf(options), "identity_issuers"));
}

TEST_CASE("a secret may stand in a file, but not in both places") {
  TempFolder folder;
  RawOptions options = Enough();
  options["api_token_file"] = folder.Write("token", "from-file\n");
  CHECK(Mentions(ProblemOf(options), "api_token: is given both"));
  options.erase("api_token");
  const Result<Config> config = Make(options);
  REQUIRE(config);
  CHECK(config->api_token.Get()->Reveal() == "from-file");
  options["api_token_file"] = folder.Path("none");
  CHECK(Mentions(ProblemOf(options), "api_token_file"));
  options["api_token_file"] = folder.Write("empty", "");
  CHECK(Mentions(ProblemOf(options), "api_token_file"));
}

TEST_CASE("webhooks must be authenticated unless it is said that they are not") {
  RawOptions options = Enough();
  options.erase("webhook_hmac_key");
  CHECK(Mentions(ProblemOf(options), "webhook_unauthenticated: true"));
  options["webhook_unauthenticated"] = "true";
  REQUIRE(Make(options));
  CHECK(Make(options)->upstreams[0].webhook.unauthenticated);
  options["webhook_password"] = "x";
  CHECK(Mentions(ProblemOf(options), "webhook_unauthenticated"));
  options.erase("webhook_unauthenticated");
  CHECK(Make(options));
}

TEST_CASE("the file may list several MDM servers") {
  TempFolder folder;
  const std::string path = folder.Write("director.yaml",
                                        "api_token: token\n"
                                        "workers: 5\n"
                                        "upstreams:\n"
                                        "  - mdm_name: one\n"
                                        "    mdm_url: http://one\n"
                                        "    mdm_api_key: key-one\n"
                                        "    mdm_commands_per_second: 20\n"
                                        "    webhook_hmac_key: hmac-one\n"
                                        "  - mdm_kind: micromdm\n"
                                        "    mdm_url: http://two\n"
                                        "    mdm_api_key: key-two\n"
                                        "    webhook_password: pass-two\n");
  const Result<RawConfig> file = LoadConfigFile(path);
  REQUIRE(file);
  const Result<Config> config = MakeConfig(*file, {}, {});
  INFO((config ? std::string() : config.error().message));
  REQUIRE(config);
  REQUIRE(config->upstreams.size() == 2);
  CHECK(config->upstreams[0].name.value() == "one");
  CHECK(config->upstreams[1].name.value() == "micromdm");
  CHECK(config->upstreams[0].rates.commands_per_second == 20);
  CHECK(config->upstreams[1].rates.commands_per_second == 0);
  CHECK(config->certificates_per_minute == 300);
  CHECK(config->upstreams[1].kind == UpstreamKind::kMicroMdm);
  CHECK(config->workers == 5);

  const Result<Config> three = MakeConfig(
      *file, {{"mdm_url", "http://zero"}, {"mdm_api_key", "k"}, {"webhook_hmac_key", "h"}}, {});
  REQUIRE(three);
  CHECK(three->upstreams.size() == 3);
  CHECK(three->upstreams[0].name.value() == "nanomdm");

  RawConfig twins = *file;
  twins.upstreams[1]["mdm_name"] = "one";
  CHECK_FALSE(MakeConfig(twins, {}, {}));
  twins.upstreams[1].erase("mdm_url");
  const Result<Config> refused = MakeConfig(twins, {}, {});
  REQUIRE_FALSE(refused);
  CHECK(Mentions(refused.error().message, "upstreams[1].mdm_url"));
}

TEST_CASE("a file with keys that are unknown, doubled or no plain values is refused as a whole") {
  TempFolder folder;
  const std::string path = folder.Write("director.yaml",
                                        "workrs: 4\n"
                                        "workers: 1\n"
                                        "workers: 2\n"
                                        "listen: [a, b]\n"
                                        "upstreams:\n"
                                        "  - mdm_url: http://one\n"
                                        "    listen: x\n"
                                        "  - text\n");
  const Result<RawConfig> refused = LoadConfigFile(path);
  REQUIRE_FALSE(refused);
  const std::string& problem = refused.error().message;
  INFO(problem);
  CHECK(Mentions(problem, "workrs: unknown key"));
  CHECK(Mentions(problem, "workers: stands twice"));
  CHECK(Mentions(problem, "listen: must be a plain value"));
  CHECK(Mentions(problem, "upstreams[0].listen: unknown key"));
  CHECK(Mentions(problem, "upstreams[1]"));
  for (const char* bad : {"- a\n- b\n", "a: [1\n", "text", "upstreams: text\n"}) {
    CHECK_FALSE(LoadConfigFile(folder.Write("bad.yaml", bad)));
  }
  CHECK_FALSE(LoadConfigFile(folder.Path("none.yaml")));
  CHECK(LoadConfigFile(folder.Write("empty.yaml", "")));
  CHECK(LoadConfigFile(folder.Write("comment.yaml", "# nothing\n")));
}

TEST_CASE("two lists of MDM servers in one file are refused") {
  TempFolder folder;
  CHECK_FALSE(LoadConfigFile(folder.Write("twice.yaml",
                                          "upstreams:\n  - mdm_url: http://one\n"
                                          "upstreams:\n  - mdm_url: http://two\n")));
}

TEST_CASE("the environment is read by its prefix, and a misspelt name is an error") {
  const Result<RawOptions> options = ConfigFromEnvironment(
      {"PATH=/bin", "DIRECTOR_WORKERS=3", "DIRECTOR_API_TOKEN=a=b", "DIRECTOR_CONFIG=x.yaml",
       "DIRECTOR_URL=http://x", "DIRECTOR_TOKEN=t", "DIRECTOR_TOKEN_FILE=f", "DIRECTOR_NOTHING"});
  REQUIRE(options);
  CHECK(*options == RawOptions{{"workers", "3"}, {"api_token", "a=b"}});
  const Result<RawOptions> refused =
      ConfigFromEnvironment({"DIRECTOR_WORKRS=3", "DIRECTOR_LISTN=x"});
  REQUIRE_FALSE(refused);
  CHECK(Mentions(refused.error().message, "DIRECTOR_WORKRS"));
  CHECK(Mentions(refused.error().message, "DIRECTOR_LISTN"));
}

TEST_CASE("no secret is ever printed, wherever it was given") {
  RawConfig file;
  RawOptions environment;
  RawOptions flags;
  RawOptions* layers[] = {&file.options, &environment, &flags};
  RawOptions upstream;
  int next = 0;
  for (const OptionSpec& option : ConfigOptions()) {
    if (!option.is_secret) continue;
    (*layers[next++ % 3])[std::string(option.key)] = "s3cr3t-" + std::string(option.key);
    if (option.scope == OptionSpec::Scope::kUpstream) {
      upstream[std::string(option.key)] = "s3cr3t-too-" + std::string(option.key);
    }
  }
  file.upstreams.push_back(upstream);
  const std::string text = DescribeConfig(file, environment, flags);
  CHECK_FALSE(Mentions(text, "s3cr3t"));
  CHECK(Mentions(text, "api_token: (set)"));
  CHECK(Mentions(text, "listen: 127.0.0.1:7080"));
  const Result<Config> config = MakeConfig(file, environment, flags);
  REQUIRE_FALSE(config);
  CHECK_FALSE(Mentions(config.error().message, "s3cr3t"));
}

TEST_CASE("problems are printable lines of bounded length, whatever the names are") {
  const Result<RawOptions> environment =
      ConfigFromEnvironment({"DIRECTOR_\x1B[31m" + std::string(2000, 'X') + "=1"});
  REQUIRE_FALSE(environment);
  CHECK(Mentions(environment.error().message, "unknown setting"));
  CHECK(Printable(environment.error().message, 100) == environment.error().message);

  TempFolder folder;
  const std::string path = folder.Write("odd.yaml", "listen: \"\\\x01\"\n");
  const Result<RawConfig> odd = LoadConfigFile(path);
  REQUIRE_FALSE(odd);
  CHECK(Mentions(odd.error().message, path));
  CHECK(Printable(odd.error().message, 1000) == odd.error().message);

  RawConfig file{Enough(), {Enough()}};
  file.options["mdm_name"] = "\x1B[31m" + std::string(2000, 'X');
  file.upstreams[0].erase("api_token");
  file.upstreams[0]["mdm_name"] = file.options["mdm_name"];
  const Result<Config> config = MakeConfig(file, {}, {});
  REQUIRE_FALSE(config);
  CHECK(Mentions(config.error().message, "names two MDM servers"));
  CHECK(config.error().message.find('\x1B') == std::string::npos);
  CHECK(config.error().message.size() < 1000);
}

TEST_CASE("what is described can be read again, whatever stands in the values") {
  TempFolder folder;
  RawConfig file{Enough(), {{{"mdm_name", "second"}, {"mdm_ca_file", "~"}}}};
  file.options["database"] = "a # b: c";
  file.options["api_user"] = "two\nlines \"quoted\"";
  file.options["webhook_user"] = "null";
  file.options["tls_key_file"] = " - key";
  const std::string text = DescribeConfig(file, {}, {});
  INFO(text);
  const Result<RawConfig> again = LoadConfigFile(folder.Write("described.yaml", text));
  REQUIRE(again);
  for (const char* key : {"database", "api_user", "webhook_user", "tls_key_file"}) {
    CHECK(again->options.at(key) == file.options.at(key));
  }
  REQUIRE(again->upstreams.size() == 1);
  CHECK(again->upstreams[0].at("mdm_ca_file") == "~");
}

}  // namespace
}  // namespace director::director_config_test
