#include <string>
#include <vector>

#include "director/cli.h"
#include "director/config.h"
#include "director/mdmdirector_flags.h"
#include "tests/support/catch.h"

namespace director::director_mdmdirector_flags_test {
namespace {

using mdmdirector::Invocation;
using mdmdirector::Translate;

/// What the Docker images of MDMDirector say.
const std::vector<std::string> kNeeded = {"-micromdmurl=https://mdm.example.com",
                                          "-micromdmapikey=key",
                                          "-password=word",
                                          "-db-host=db.example.com",
                                          "-db-name=mdm director",
                                          "-db-username=direc@tor",
                                          "-db-password=secret"};

std::vector<std::string> Serve(std::vector<std::string> flags) {
  flags.insert(flags.begin(), {"director", "serve"});
  return flags;
}

std::vector<std::string> With(std::vector<std::string> more) {
  std::vector<std::string> all = kNeeded;
  all.insert(all.end(), more.begin(), more.end());
  return Serve(all);
}

Config ConfigOf(const std::vector<std::string>& arguments,
                const std::vector<std::string>& environment = {}) {
  const Result<Invocation> translated = Translate({arguments, environment, {}});
  INFO((translated ? std::string() : translated.error().message));
  REQUIRE(translated);
  CHECK(translated->arguments == Serve({}));
  const Result<RawOptions> options = ConfigFromEnvironment(translated->environment);
  REQUIRE(options);
  const Result<Config> config = MakeConfig({}, *options, {});
  INFO((config ? std::string() : config.error().message));
  REQUIRE(config);
  return *config;
}

std::string ProblemsOf(const std::vector<std::string>& arguments) {
  const Result<Invocation> translated = Translate({arguments, {}, {}});
  return translated ? std::string() : translated.error().message;
}

TEST_CASE("MDMDirector's flags become Director's settings") {
  const Config config = ConfigOf(With(
      {"-port", "8123", "-loglevel=error", "--log-format=json", "-info-request-interval", "30"}));
  REQUIRE(config.upstreams.size() == 1);
  const UpstreamConfig& server = config.upstreams[0];
  CHECK(server.kind == UpstreamKind::kMicroMdm);
  CHECK(server.url == "https://mdm.example.com");
  CHECK(server.api_key.Get()->Reveal() == "key");
  CHECK(server.webhook.unauthenticated);
  CHECK(config.listen_host == "0.0.0.0");
  CHECK(config.listen_port == 8123);
  CHECK(config.database ==
        "postgresql://direc%40tor@db.example.com:5432/mdm%20director?sslmode=disable");
  CHECK(config.database_password.Get()->Reveal() == "secret");
  CHECK(config.mdmdirector_password.Get()->Reveal() == "word");
  CHECK(config.api_user == "mdmdirector");
  CHECK(config.log_level == LogLevel::kError);
  CHECK(config.log_format == LogFormat::kJson);
  CHECK(config.settings.profile_list_interval == std::chrono::minutes(30));
  for (const InventoryKind kind : {InventoryKind::kDeviceInformation, InventoryKind::kSecurityInfo,
                                   InventoryKind::kCertificateList}) {
    CHECK(config.settings.inventory_interval[kind] == std::chrono::minutes(30));
  }
}

TEST_CASE("an import takes MDMDirector's flags and environment as a start does") {
  std::vector<std::string> arguments = kNeeded;
  arguments.insert(arguments.begin(), {"director", "import", "mdmdirector", "--from", "there"});
  const Result<Invocation> translated = Translate({arguments, {}, {}});
  REQUIRE(translated);
  CHECK(translated->arguments ==
        std::vector<std::string>{"director", "import", "mdmdirector", "--from", "there"});
  const Result<RawOptions> options = ConfigFromEnvironment(translated->environment);
  REQUIRE(options);
  CHECK(MakeConfig({}, *options, {}));
}

TEST_CASE("MDMDirector's environment counts, its flags count more, and Director's settings most") {
  const std::vector<std::string> environment = {"MICRO_URL=https://mdm.example.com",
                                                "MICRO_API_KEY=key",
                                                "DIRECTOR_PASSWORD=word",
                                                "DB_HOST=db",
                                                "DB_NAME=mdm",
                                                "DB_USERNAME=user",
                                                "DB_PASSWORD=secret",
                                                "DIRECTOR_PORT=9001",
                                                "LOG_LEVEL=debug",
                                                "INFO_REQUEST_INTERVAL=often",
                                                "DIRECTOR_WEBHOOK_HMAC_KEY=hmac",
                                                "DIRECTOR_WORKERS=7",
                                                "PATH=/bin"};
  const Config config = ConfigOf(Serve({"-port=9002"}), environment);
  CHECK(config.listen_port == 9002);
  CHECK(config.log_level == LogLevel::kDebug);
  CHECK(config.workers == 7);
  CHECK_FALSE(config.upstreams[0].webhook.unauthenticated);
  CHECK(config.settings.profile_list_interval == Settings().profile_list_interval);
  CHECK(ConfigOf(Serve({}), environment).listen_port == 9001);
}

TEST_CASE("the database may be behind a socket or an IPv6 address") {
  CHECK(ConfigOf(With({"-db-host=/run/postgresql"})).database ==
        "postgresql://direc%40tor@%2Frun%2Fpostgresql:5432/mdm%20director?sslmode=disable");
  CHECK(ConfigOf(With({"-db-host=::1"})).database ==
        "postgresql://direc%40tor@[::1]:5432/mdm%20director?sslmode=disable");
}

TEST_CASE("signing is translated when it is switched on") {
  const std::vector<std::string> pem = {"-cert=/c.pem", "-signing-private-key=/k.pem",
                                        "-key-password=pw"};
  CHECK_FALSE(ConfigOf(With(pem)).signs());
  std::vector<std::string> on = pem;
  on.push_back("-sign");
  const Config signs = ConfigOf(With(on));
  CHECK(signs.signing_certificate_file == "/c.pem");
  CHECK(signs.signing_key_file == "/k.pem");
  CHECK(ConfigOf(With({"-sign=true", "-cert=/i.p12"})).signing_pkcs12_file == "/i.p12");
  CHECK_FALSE(ConfigOf(With({"-sign=false", "-cert=/i.p12"})).signs());
}

TEST_CASE("the escrow server is the same") {
  const Config config = ConfigOf(With({"-escrowurl=https://crypt.example.com/checkin"}));
  REQUIRE(config.escrow_url.Get());
  CHECK(config.escrow_url.Get()->Reveal() == "https://crypt.example.com/checkin");
  CHECK_FALSE(ConfigOf(With({})).escrow_url.is_set());
}

TEST_CASE("-push-new-build installs profiles again when the OS build has grown") {
  CHECK(ConfigOf(With({"-push-new-build"})).settings.reinstall_all);
  CHECK_FALSE(ConfigOf(With({})).settings.reinstall_all);
}

TEST_CASE("what has no meaning or is not built is accepted and said once, without values") {
  const Result<Invocation> translated =
      Translate({With({"-redis-host=redis", "-redis-password", "hidden", "-once-in=5",
                       "-use-ddm-packages", "-prometheus"}),
                 {},
                 {}});
  REQUIRE(translated);
  REQUIRE(translated->notes.size() == 3);
  CHECK(translated->notes[1] ==
        "these have no meaning here: -redis-host, -redis-password, -once-in, -prometheus");
  CHECK(translated->notes[2] == "what these ask for is not built yet: -use-ddm-packages");
}

/// What an image of the NanoMDM branch says.
std::vector<std::string> NanoWith(std::vector<std::string> more) {
  std::vector<std::string> all = {"-mdm-server-type=nanomdm",
                                  "-nanomdm-url=https://nano.example.com",
                                  "-nanomdm-api-key",
                                  "nano key",
                                  "-password=word",
                                  "-db-host=db",
                                  "-db-name=mdm",
                                  "-db-username=user",
                                  "-db-password=secret"};
  all.insert(all.end(), more.begin(), more.end());
  return Serve(all);
}

TEST_CASE("the NanoMDM branch's flags become Director's settings") {
  const Config config = ConfigOf(NanoWith({}));
  REQUIRE(config.upstreams.size() == 1);
  CHECK(config.upstreams[0].kind == UpstreamKind::kNanoMdm);
  CHECK(config.upstreams[0].url == "https://nano.example.com");
  CHECK(config.upstreams[0].api_key.Get()->Reveal() == "nano key");
  // Of MicroMDM, which is named for the way back, nothing is taken.
  CHECK(ConfigOf(NanoWith({"-micromdmurl=https://micro.example.com"})).upstreams[0].url ==
        "https://nano.example.com");
  CHECK(ConfigOf(With({"-nanomdm-url=https://nano.example.com", "-mdm-server-type=micromdm"}))
            .upstreams[0]
            .url == "https://mdm.example.com");
}

TEST_CASE("a device is cleared on enrollment only when it was asked for") {
  CHECK_FALSE(ConfigOf(With({})).clear_device_on_enroll);
  CHECK(ConfigOf(With({"-clear-device-on-enroll"})).clear_device_on_enroll);
  CHECK_FALSE(ConfigOf(With({"-clear-device-on-enroll=false"})).clear_device_on_enroll);
  CHECK(ConfigOf(With({}), {"CLEAR_DEVICE_ON_ENROLL=yes"}).clear_device_on_enroll);
}

TEST_CASE("profiles can be downloaded only where MDMDirector handed out their addresses") {
  CHECK_FALSE(ConfigOf(With({})).profile_download);
  CHECK_FALSE(ConfigOf(NanoWith({})).profile_download);
  CHECK_FALSE(ConfigOf(NanoWith({"-use-ddm=false"})).profile_download);
  CHECK_FALSE(ConfigOf(With({"-use-ddm"})).profile_download);
  CHECK(ConfigOf(NanoWith({"-use-ddm"})).profile_download);
  const std::vector<std::string> with_url =
      NanoWith({"-nanomdm-profile-url=https://mdm.example.com"});
  CHECK(ConfigOf(with_url).profile_download);
  CHECK_FALSE(ConfigOf(with_url, {"DIRECTOR_PROFILE_DOWNLOAD=false"}).profile_download);
}

TEST_CASE("the NanoMDM branch's environment counts as its flags do") {
  const Config config = ConfigOf(
      Serve({}), {"MDM_SERVER_TYPE=nanomdm", "NANOMDM_URL=https://nano.example.com",
                  "NANOMDM_API_KEY=key", "DIRECTOR_PASSWORD=word", "DB_HOST=db", "DB_NAME=mdm",
                  "DB_USERNAME=user", "DB_PASSWORD=secret", "USE_DDM=true"});
  CHECK(config.upstreams[0].kind == UpstreamKind::kNanoMdm);
  CHECK(config.upstreams[0].url == "https://nano.example.com");
  CHECK(config.profile_download);
}

TEST_CASE("what of the NanoMDM branch has no meaning or is not built is said once") {
  const Result<Invocation> translated = Translate(
      {NanoWith({"-redis-tls", "-use-ddm", "-kmfddm-url=https://ddm.example.com", "-kmfddm-api-key",
                 "hidden", "-control-plane-interval=120", "-push-spread", "10m",
                 "-install-profile-retries=3", "-enrollment-profile-signed"}),
       {},
       {}});
  INFO((translated ? std::string() : translated.error().message));
  REQUIRE(translated);
  REQUIRE(translated->notes.size() == 3);
  CHECK(translated->notes[1] ==
        "these have no meaning here: -redis-tls, -control-plane-interval, "
        "-install-profile-retries, -push-spread, -enrollment-profile-signed");
  CHECK(translated->notes[2] ==
        "what these ask for is not built yet: -use-ddm, -kmfddm-url, -kmfddm-api-key");
}

TEST_CASE("an enrollment profile for renewals comes from a file or from a webhook") {
  const Config file = ConfigOf(With({"-enrollment-profile=/etc/enroll.mobileconfig"}));
  CHECK(file.enrollment_profile_file == "/etc/enroll.mobileconfig");
  const RenewalSettings& renewal = file.settings.renewal;
  CHECK(renewal.has_profiles);
  CHECK(renewal.issuers == std::vector<std::string>{"OU=MICROMDM SCEP CA,O=MicroMDM,C=US"});
  CHECK(renewal.renew_before == 180 * kDay);
  const Config webhook = ConfigOf(
      With({"-enable-reenroll-via-webhook", "-enroll-webhook-url=https://enroll.example.com/x",
            "-enroll-webhook-token=hidden", "-scep-cert-issuer=CN=S", "-acme-cert-issuer=CN=A",
            "-scep-cert-min-validity=30", "-acme-cert-min-validity=90"}));
  CHECK(webhook.enrollment_profile_file.empty());
  CHECK(webhook.enrollment_profile_url.Get()->Reveal() == "https://enroll.example.com/x");
  CHECK(webhook.enrollment_profile_token.Get()->Reveal() == "hidden");
  CHECK(webhook.settings.renewal.issuers == std::vector<std::string>{"CN=S", "CN=A"});
  CHECK(webhook.settings.renewal.renew_before == 90 * kDay);
  CHECK_FALSE(ConfigOf(With({})).settings.renewal.has_profiles);
  CHECK(ProblemsOf(With({"-enable-reenroll-via-webhook"})).find("-enroll-webhook-url: is needed") !=
        std::string::npos);
}

TEST_CASE("only the server that is chosen has to be named, and it must be one that there is") {
  CHECK(ProblemsOf(Serve({"-nanomdm-url=https://nano"})).find("-micromdmurl: is needed") !=
        std::string::npos);
  const std::string problems = ProblemsOf(Serve({"-mdm-server-type=nanomdm"}));
  CHECK(problems.find("-nanomdm-url: is needed") != std::string::npos);
  CHECK(problems.find("-nanomdm-api-key: is needed") != std::string::npos);
  CHECK(problems.find("micromdm") == std::string::npos);
  CHECK(ProblemsOf(With({"-mdm-server-type=jamf"})) ==
        "-mdm-server-type: must be micromdm or nanomdm");
}

TEST_CASE("what cannot be translated is named, all at once") {
  CHECK(ProblemsOf(Serve({"-micromdmurl=https://mdm"})).find("-db-host: is needed") !=
        std::string::npos);
  const std::string problems = ProblemsOf(With({"-port=x", "-sign=perhaps", "-db-port"}));
  CHECK(problems.find("-port: must be a number") != std::string::npos);
  CHECK(problems.find("-sign: must be true or false") != std::string::npos);
  CHECK(problems.find("-db-port: needs a value") != std::string::npos);
  CHECK(RunCommandLine(Serve({"-micromdmurl=https://mdm"}), {}) == 1);
}

TEST_CASE("without any of them nothing is translated") {
  const std::vector<std::string> environment = {"LOG_LEVEL=debug", "DB_HOST=db", "SIGN=true"};
  for (const std::vector<std::string>& arguments :
       {Serve({"--log-format=json"}), {"director", "status", "-port=1"}, {"director"}}) {
    const Result<Invocation> translated = Translate({arguments, environment, {}});
    REQUIRE(translated);
    CHECK(translated->arguments == arguments);
    CHECK(translated->environment == environment);
    CHECK(translated->notes.empty());
  }
}

}  // namespace
}  // namespace director::director_mdmdirector_flags_test
