#include <string>

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

}  // namespace
}  // namespace director::director_metrics_test
