#include <chrono>
#include <optional>
#include <string>

#include "director/http_server.h"
#include "director/metrics.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"

namespace director::director_metrics_test {
namespace {

using director_test::ApiAnswer;
using director_test::Service;

TEST_CASE("the metrics page counts the fleet and needs no token and names no device") {
  Service service;
  const VirtualDevice mac = director_test::MakeMac(1);
  director_test::Enroll(service.store(), mac, service.clock().Now());
  service.with_token = false;
  const ApiAnswer page = service.Send("GET", "/metrics");
  REQUIRE(page.status == 200);
  CHECK(page.content_type.starts_with("text/plain; version=0.0.4"));
  INFO(page.body);
  for (const char* line :
       {"director_enrollments{status=\"enrolled\"} 1", "director_items{state=\"verified\"} 0",
        "director_dead_letters 0", "director_webhooks_total{outcome=\"accepted\"} 0",
        "director_mdm_server_reachable{upstream=\"nanomdm\"}",
        "director_paced_enrollments{limit=\"mdm\",upstream=\"nanomdm\"} 0",
        "director_build_info{version=", "# TYPE director_commands_total counter"}) {
    INFO(line);
    CHECK(page.body.find(line) != std::string::npos);
  }
  CHECK(page.body.find(mac.facts().udid) == std::string::npos);
  CHECK(page.body.find(mac.facts().serial_number) == std::string::npos);
}

TEST_CASE("alive is not ready: readiness names the MDM server that does not answer") {
  Service service;
  service.with_token = false;
  CHECK(service.Send("GET", "/healthz").status == 200);
  const ApiAnswer ready = service.Send("GET", "/readyz");
  CHECK(ready.status == 503);
  CHECK(ready.Names("upstream nanomdm"));
}

TEST_CASE("fleet counts are read at most once in ten seconds") {
  director_test::FaultyStore store(director_test::OpenStore());
  Upstreams upstreams;
  Payloads payloads(store, nullptr);
  const ManualClock clock(director_test::At(0));
  SystemRandom random;
  const Secrets secrets;
  const Executor executor(store, upstreams, payloads, secrets, clock, random);
  const Ingest ingest(store, [] {});
  const WebhookCounts webhooks;
  director_test::TempFolder folder;
  const auto password = SecretSource::FromFile(folder.Write("password", "secret"));
  REQUIRE(password.Get());
  Metrics metrics({store, upstreams, executor, payloads, ingest, webhooks, nullptr, password});
  const Result<std::string> page = metrics.Render(director_test::At(0));
  REQUIRE(page);
  CHECK(page->find("director_database_password_changed_at_seconds ") != std::string::npos);
  store.SetDown();
  CHECK(metrics.Render(director_test::At(9)));
  CHECK_FALSE(metrics.Render(director_test::At(10)));
  store.SetUp();
  CHECK(metrics.Render(director_test::At(11)));
}

/// An MDM server that tells of one topic when its push certificate ends.
std::unique_ptr<HttpServer> StartMdmServer(const std::string& topic, const std::string& not_after) {
  HttpServerSettings settings;
  settings.host = "127.0.0.1";
  const auto answer = [=](const HttpServerRequest& request) -> HttpServerResponse {
    if (request.query.at("topic") != topic) return {500, "text/plain", "none stored", {}};
    return {200, "application/json", R"({"not_after": ")" + not_after + "\"}", {}};
  };
  auto server = StartHttpServer(settings, {{"GET", "/v1/pushcert", 0, answer}});
  REQUIRE(server);
  return std::move(*server);
}

void SaveDevice(Store& store, const std::string& name, std::optional<Timestamp> identity_end) {
  Enrollment device;
  device.channel.enrollment_id = EnrollmentId(name);
  device.channel.device_id = device.channel.enrollment_id;
  device.upstream = UpstreamName("nanomdm");
  device.status = EnrollmentStatus::kEnrolled;
  device.topic = "com.apple.mgmt.External.1";
  if (identity_end) device.identity = MdmIdentity{"CN=CA", Timestamp(), *identity_end};
  director_test::WriteTo(store,
                         [&](StoreWriter& writer) { return writer.SaveEnrollments({device}); });
}

TEST_CASE("metrics and status tell when identities and the push certificate end") {
  const director_test::TempFolder folder;
  const Timestamp now = SystemClock().Now();
  const std::string database = folder.Path("director.db");
  {
    const auto store = director_test::OpenStore(database);
    SaveDevice(*store, "A", now - kDay);
    SaveDevice(*store, "B", now + 3 * kDay);
    SaveDevice(*store, "C", now + 4 * kDay);
    SaveDevice(*store, "D", std::nullopt);
  }
  const auto mdm = StartMdmServer("com.apple.mgmt.External.1", "2126-12-02T00:09:45Z");
  Config config = director_test::MakeTestConfig("http://127.0.0.1:" + std::to_string(mdm->port()));
  config.database = database;
  Service service(config);
  const auto told = [&] {
    return service.Get("/status").json["mdm_servers"][0]["push_certificate_expires_at"];
  };
  // It is asked in the background, from the start on.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (told().is_null() && std::chrono::steady_clock::now() < end) continue;
  CHECK(told() == "2126-12-02T00:09:45Z");
  const nlohmann::json identities = service.Get("/status").json["identities"];
  CHECK(identities ==
        nlohmann::json(
            {{"expired", 1}, {"7d", 2}, {"30d", 0}, {"90d", 0}, {"later", 0}, {"unknown", 1}}));
  const std::string page = service.Send("GET", "/metrics").body;
  INFO(page);
  for (const char* line :
       {"director_push_certificate_expires_at_seconds{upstream=\"nanomdm\"} 4951843785\n",
        "director_identities{ends=\"expired\"} 1\n", "director_identities{ends=\"7d\"} 2\n",
        "director_identities{ends=\"30d\"} 0\n", "director_identities{ends=\"unknown\"} 1\n",
        "director_renewals_refused_total 0\n"}) {
    INFO(line);
    CHECK(page.find(line) != std::string::npos);
  }
}

TEST_CASE("a server that does not tell when its push certificate ends has no such metric") {
  Service service;
  CHECK(service.Get("/status").json["mdm_servers"][0]["push_certificate_expires_at"].is_null());
  CHECK(service.Send("GET", "/metrics").body.find("director_push_certificate_expires") ==
        std::string::npos);
}

}  // namespace
}  // namespace director::director_metrics_test
