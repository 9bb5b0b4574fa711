// The webhook receiver over real HTTP, and the whole loop: a stand-in, virtual Macs, the service.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "director/webhook_routes.h"
#include "signing/hmac.h"
#include "simulator/fleet.h"
#include "simulator/mdm_server.h"
#include "simulator/transport.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"
#include "tests/support/wait_for.h"

namespace director::director_webhook_test {
namespace {

using director_test::ApiAnswer;
using director_test::kHmacKey;
using director_test::MakeMac;
using director_test::MakeMobileconfig;
using director_test::MakeTestConfig;
using director_test::Service;
using test::kPatience;
const PayloadIdentifier kWifi("com.example.wifi");
const PayloadIdentifier kLock("com.example.lock");
using Headers = std::map<std::string, std::string>;

std::string Body() {
  const VirtualDevice mac = MakeMac(1);
  return director_test::WebhookBody(mac, mac.MakeAuthenticate(), "mdm.Authenticate",
                                    SystemClock().Now());
}

Headers Signed(const std::string& body, const std::string& key = kHmacKey) {
  return {{"X-Hmac-Signature", EncodeBase64(HmacSha256(Secret(key), body))}};
}

Headers Basic(const std::string& user_and_password) {
  return {{"Authorization", "Basic " + EncodeBase64(user_and_password)}};
}

ApiAnswer PostWebhook(Service& service, const std::string& path, const std::string& body,
                      const Headers& headers = {}) {
  service.with_token = false;
  const ApiAnswer answer = service.Send("POST", path, body, "application/json", headers);
  service.with_token = true;
  return answer;
}

/// One body, signed: the time of the event inside is read once.
ApiAnswer PostSigned(Service& service, const std::string& path) {
  const std::string body = Body();
  return PostWebhook(service, path, body, Signed(body));
}

std::size_t Known(Service& service) { return director_test::ListAll(service.store()).size(); }

TEST_CASE("a webhook with the right HMAC is recorded and answered 200 with an empty body") {
  Service service;
  for (const char* path : {"/webhook", "/webhook/nanomdm"}) {
    const ApiAnswer taken = PostSigned(service, path);
    CHECK(taken.status == 200);
    CHECK(taken.body.empty());
  }
  CHECK(Known(service) == 1);
}

TEST_CASE("a wrong, missing or malformed HMAC is refused and nothing is recorded") {
  Service service;
  const std::string body = Body();
  for (const Headers& headers :
       {Headers{}, Signed(body, "another key"), Signed(body + " "), Signed(body, ""),
        Headers{{"X-Hmac-Signature", ""}}, Headers{{"X-Hmac-Signature", "!!"}},
        Basic("director:the-hmac-key")}) {
    CHECK(PostWebhook(service, "/webhook/nanomdm", body, headers).status == 401);
  }
  CHECK(Known(service) == 0);
  CHECK(director_test::DeadLettersOf(service.store()).empty());
}

TEST_CASE("a webhook may prove itself by Basic credentials") {
  Config config = MakeTestConfig();
  WebhookAuth auth;
  auth.basic_user = "mdm";
  auth.basic_password = SecretSource::FromValue(Secret("pass:word"));
  config.upstreams[0].webhook = auth;
  Service service(config);
  for (const Headers& headers :
       {Headers{}, Basic("mdm:wrong"), Basic("other:pass:word"), Basic(""),
        Headers{{"Authorization", "Basic !!"}}, Headers{{"Authorization", "Bearer pass:word"}}}) {
    CHECK(PostWebhook(service, "/webhook/nanomdm", Body(), headers).status == 401);
  }
  CHECK(PostWebhook(service, "/webhook/nanomdm", Body(), Basic("mdm:pass:word")).status == 200);
}

TEST_CASE("a webhook may prove itself by a secret path") {
  Config config = MakeTestConfig();
  WebhookAuth auth;
  auth.secret_path = SecretSource::FromValue(Secret("open/sesame"));
  config.upstreams[0].webhook = auth;
  Service service(config);
  CHECK(PostWebhook(service, "/webhook/nanomdm", Body()).status == 401);
  CHECK(PostWebhook(service, "/webhook/nanomdm/wrong", Body()).status == 401);
  CHECK(PostWebhook(service, "/webhook", Body()).status == 401);
  CHECK(PostWebhook(service, "/webhook/nanomdm/open%2Fsesame", Body()).status == 200);
}

TEST_CASE("when several proofs are configured all are demanded") {
  Config config = MakeTestConfig();
  config.upstreams[0].webhook.secret_path = SecretSource::FromValue(Secret("path"));
  Service service(config);
  CHECK(PostWebhook(service, "/webhook/nanomdm/path", Body()).status == 401);
  CHECK(PostSigned(service, "/webhook/nanomdm").status == 401);
  CHECK(PostSigned(service, "/webhook/nanomdm/path").status == 200);
}

TEST_CASE("without any proof configured nobody gets in, unless that was said") {
  Config config = MakeTestConfig();
  config.upstreams[0].webhook = WebhookAuth();
  {
    Service service(config);
    CHECK(PostWebhook(service, "/webhook/nanomdm", Body()).status == 401);
    CHECK(Known(service) == 0);
  }
  config.upstreams[0].webhook.unauthenticated = true;
  Service service(config);
  CHECK(PostWebhook(service, "/webhook/nanomdm", Body()).status == 200);
  CHECK(Known(service) == 1);
}

TEST_CASE("unknown servers and other methods are refused") {
  Service service;
  CHECK(PostSigned(service, "/webhook/other").status == 404);
  CHECK(service.Send("GET", "/webhook/nanomdm").status == 405);
  CHECK(service.Send("PUT", "/webhook").status == 405);
}

TEST_CASE("a body that nobody can read is answered 200 and shown as a dead letter") {
  Service service;
  const std::string body = "not JSON";
  CHECK(PostWebhook(service, "/webhook/nanomdm", body, Signed(body)).status == 200);
  const ApiAnswer letters = service.Get("/dead-letters");
  REQUIRE(letters.json["dead_letters"].size() == 1);
  CHECK(letters.json["dead_letters"][0]["body_base64"] == EncodeBase64(body));
  CHECK(letters.json["dead_letters"][0]["upstream"] == "nanomdm");
  CHECK(service.Get("/status").json["dead_letters"] == 1);
}

TEST_CASE("when the store fails the sender is told to come again") {
  director_test::FaultyStore store(director_test::OpenStore());
  Ingest ingest(store, [] {});
  const Config config = MakeTestConfig();
  const SystemClock clock;
  WebhookCounts counts;
  const std::vector<HttpRoute> routes = WebhookRoutes(config, ingest, clock, counts);
  HttpServerRequest request;
  request.body = Body();
  request.headers["x-hmac-signature"] = Signed(request.body)["X-Hmac-Signature"];
  store.SetDown();
  CHECK(routes.front().handler(request).status == 503);
  store.SetUp();
  CHECK(routes.front().handler(request).status == 200);
  request.headers.clear();
  CHECK(routes.front().handler(request).status == 401);
  CHECK(counts.accepted == 1);
  CHECK(counts.unavailable == 1);
  CHECK(counts.unauthorized == 1);
}

/// Times short enough to watch.
Settings FastSettings() {
  Settings settings;
  settings.awake_window = std::chrono::seconds(30);
  settings.profile_list_interval = std::chrono::seconds(3);
  settings.question_delay_min = std::chrono::milliseconds(200);
  settings.answer_time_max = std::chrono::seconds(2);
  settings.retry_delay_min = std::chrono::seconds(1);
  settings.push_delay_min = std::chrono::seconds(1);
  settings.push_delay_max = std::chrono::seconds(2);
  settings.lost_after = std::chrono::seconds(10);
  return settings;
}

TEST_CASE("thirty Macs over HTTP get their profiles, and one that a user deletes comes back") {
  const SystemClock clock;
  const Result<int> port = FreePort();
  REQUIRE(port);
  MdmServerSettings server;
  server.api_key = Secret("key");
  server.webhook_url = fmt::format("http://127.0.0.1:{}/webhook/nanomdm", *port);
  server.webhook_hmac_key = Secret(kHmacKey);
  auto mdm = MdmServer::Start(server, clock);
  REQUIRE(mdm);
  Config config = MakeTestConfig((*mdm)->url());
  config.listen_port = *port;
  config.settings = FastSettings();
  director_test::TempFolder folder;
  config.database = folder.Path("director.db");
  config.signing_certificate_file =
      folder.Write("signer.pem", director_test::MakePem("Signer", clock.Now()));
  config.signing_key_file = config.signing_certificate_file;
  Service service(config);

  HttpTransportSettings http;
  http.endpoint.url = (*mdm)->url();
  auto transport = MakeHttpTransport(http);
  REQUIRE(transport);
  FleetSettings settings;
  settings.device_count = 30;
  settings.poll_interval = std::chrono::hours(1);
  Fleet fleet(settings, **transport, clock);
  (*mdm)->SetPushListener([&fleet](const EnrollmentId& id) { fleet.Wake(id); });
  fleet.Start();

  for (const PayloadIdentifier& identifier : {kWifi, kLock}) {
    service.Upload(MakeMobileconfig(identifier.value()));
    const ApiAnswer assigned = service.Post(
        "/assignments", {{"payload_identifier", identifier.value()}, {"target", "all"}});
    CHECK(assigned.status == 200);
  }
  const auto all_verified = [&] {
    return service.Get("/status").json["item_states"]["verified"] == 60;
  };
  CHECK(test::WaitFor(all_verified));
  CHECK(service.app().signatures() == 2);
  const auto all_have_both = [](const std::vector<FleetDevice>& devices) {
    return std::all_of(devices.begin(), devices.end(), [](const FleetDevice& device) {
      const auto& profiles = device.profiles;
      return std::count(profiles.begin(), profiles.end(), kWifi) == 1 &&
             std::count(profiles.begin(), profiles.end(), kLock) == 1;
    });
  };
  CHECK(fleet.WaitUntil(all_have_both, kPatience));

  const EnrollmentId victim = fleet.Snapshot().front().enrollment_id;
  REQUIRE(fleet.DeleteProfile(victim, kWifi));
  REQUIRE(fleet.WaitUntil([&](const auto& devices) { return !all_have_both(devices); }, kPatience));
  CHECK(fleet.WaitUntil(all_have_both, kPatience));
  CHECK(test::WaitFor(all_verified));
  (*mdm)->SetPushListener({});
  fleet.Stop();
}

}  // namespace
}  // namespace director::director_webhook_test
