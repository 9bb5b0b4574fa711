#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/upstream_fake_server.h"
#include "upstream/make_upstream.h"

namespace director::upstream_micromdm_test {
namespace {

const std::string kUuid = "11111111-2222-3333-4444-555555555555";
const std::string kAccepted =
    R"({"payload":{"udid":"A","command_uuid":"11111111-2222-3333-4444-555555555555","command":{"request_type":"ProfileList"}}})";
const std::string kQueueWithIt =
    R"({"commands":[{"uuid":"other","payload":""},{"uuid":"11111111-2222-3333-4444-555555555555","payload":""}]})";

std::unique_ptr<Upstream> UpstreamAt(const std::string& url) {
  UpstreamSettings settings;
  settings.name = UpstreamName("micro");
  settings.kind = UpstreamKind::kMicroMdm;
  settings.endpoint.url = url;
  settings.endpoint.password = Secret("key");
  settings.enqueue_timeout = std::chrono::milliseconds(800);
  settings.push_timeout = std::chrono::milliseconds(800);
  auto upstream = MakeUpstream(settings);
  REQUIRE(upstream.has_value());
  return std::move(*upstream);
}

EnqueueTargetResult EnqueueTo(const std::string& url, const std::string& id) {
  const auto results = UpstreamAt(url)->Enqueue(
      {CommandUuid(kUuid), "ProfileList", "<?xml version=\"1.0\"?><plist/>", {EnrollmentId(id)}});
  REQUIRE(results.size() == 1);
  CHECK(results[0].enrollment_id.value() == id);
  CHECK(results[0].detail.size() <= 300);
  return results[0];
}

PushTargetResult PushTo(const std::string& url, const std::string& id) {
  const auto results = UpstreamAt(url)->Push({EnrollmentId(id)});
  REQUIRE(results.size() == 1);
  CHECK(results[0].enrollment_id.value() == id);
  return results[0];
}

TEST_CASE("MicroMDM enqueue posts the raw command to one id") {
  FakeServer server(InTurn({Answer(201, kAccepted)}));
  const auto result = EnqueueTo(server.Url(), "UDID-1");
  CHECK(result.outcome == EnqueueOutcome::kQueued);
  CHECK(result.detail.empty());
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].method == "POST");
  CHECK(seen[0].target == "/v1/commands/UDID-1");
  CHECK(seen[0].body == "<?xml version=\"1.0\"?><plist/>");
  CHECK(seen[0].headers.at("authorization") == "Basic " + EncodeBase64("micromdm:key"));
  CHECK(UpstreamAt(server.Url())->limits().targets_max == 1);
  CHECK(UpstreamAt(server.Url())->limits().pushes_on_enqueue);
  CHECK(UpstreamAt(server.Url())->name().value() == "micro");
}

TEST_CASE("MicroMDM names the user channel by the UserID alone") {
  FakeServer server(InTurn({Answer(200, kAccepted), Answer(200, R"({"status":"success"})")}));
  CHECK(EnqueueTo(server.Url(), "UDID-1:USER-1").outcome == EnqueueOutcome::kQueued);
  CHECK(PushTo(server.Url(), "UDID-1:USER-1").outcome == PushOutcome::kSent);
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].target == "/v1/commands/USER-1");
  CHECK(seen[1].method == "POST");
  CHECK(seen[1].target == "/v1/push/USER-1");
}

TEST_CASE("MicroMDM has no queue for Shared iPad users and malformed ids") {
  FakeServer server(InTurn({Answer(201, kAccepted)}));
  const std::string id = GENERATE("UDID:FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
                                  "UDID:ann@example.com", "UDID:", "UDID:..", "", "a/b", "a\nb");
  CHECK(EnqueueTo(server.Url(), id).outcome == EnqueueOutcome::kRejected);
  CHECK(PushTo(server.Url(), id).outcome == PushOutcome::kFailed);
  CHECK(server.Requests().empty());
}

TEST_CASE("MicroMDM enqueue: answers that decide at once") {
  struct Row {
    std::string what;
    FakeReply reply;
    EnqueueOutcome outcome;
  };
  const std::vector<Row> rows = {
      {"malformed", Answer(500, R"({"error":"request is malformed"})"), EnqueueOutcome::kRejected},
      {"not a plist", Answer(500, R"({"error":"parse payload as plist: <secret>"})"),
       EnqueueOutcome::kRejected},
      {"other error", Answer(500, R"({"error":"bus closed"})"), EnqueueOutcome::kUnavailable},
      {"401", Answer(401, R"({"error":"Unauthorized"})"), EnqueueOutcome::kRejected},
      {"403", Answer(403, ""), EnqueueOutcome::kRejected},
      {"404", Answer(404, ""), EnqueueOutcome::kRejected},
      {"405", Answer(405, ""), EnqueueOutcome::kRejected},
      {"413", Answer(413, ""), EnqueueOutcome::kRejected},
      {"429", Answer(429, ""), EnqueueOutcome::kUnavailable},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    FakeServer server(InTurn({row.reply}));
    const auto result = EnqueueTo(server.Url(), "A");
    CHECK(result.outcome == row.outcome);
    CHECK_FALSE(result.detail.empty());
    CHECK(result.detail.find("secret") == std::string::npos);
    CHECK(server.WaitForRequests(1).size() == 1);
  }
}

TEST_CASE("MicroMDM enqueue: connection refused is kUnavailable") {
  CHECK(EnqueueTo(RefusingUrl(), "A").outcome == EnqueueOutcome::kUnavailable);
}

TEST_CASE("MicroMDM enqueue: a lost answer is looked up in the queue and never repeated") {
  const FakeReply lost =
      GENERATE(Drop(), Silence(), Answer(502, "<html>"), Answer(503, R"({"error":"x"})"),
               Answer(500, "oops"), Answer(201, "<html>"), Answer(201, "{}"),
               Answer(201, R"({"payload":{"command_uuid":"other"}})"));
  struct Case {
    std::string what;
    FakeReply view;
    EnqueueOutcome outcome;
  };
  const std::vector<Case> cases = {
      {"listed", Answer(200, kQueueWithIt), EnqueueOutcome::kQueued},
      {"empty", Answer(200, "{}"), EnqueueOutcome::kUnknown},
      {"others", Answer(200, R"({"commands":[{"uuid":"other"},7]})"), EnqueueOutcome::kUnknown},
      {"no view", Answer(404, "404 page not found"), EnqueueOutcome::kUnknown},
      {"lost again", Drop(), EnqueueOutcome::kUnknown},
  };
  for (const Case& item : cases) {
    INFO(item.what);
    FakeServer server(InTurn({lost, item.view}));
    CHECK(EnqueueTo(server.Url(), "UDID:USER").outcome == item.outcome);
    const auto seen = server.Requests();
    REQUIRE(seen.size() == 2);
    CHECK(seen[0].method == "POST");
    CHECK(seen[1].method == "GET");
    CHECK(seen[1].target == "/v1/commands/USER");
  }
}

TEST_CASE("MicroMDM push") {
  struct Row {
    std::string what;
    FakeReply reply;
    PushOutcome outcome;
  };
  const std::vector<Row> rows = {
      {"sent", Answer(200, R"({"status":"success","push_notification_id":"x"})"),
       PushOutcome::kSent},
      {"unknown id", Answer(500, R"({"error":"retrieving PushInfo by UDID: not found: A"})"),
       PushOutcome::kFailed},
      {"dead token", Answer(500, R"({"error":"Unregistered"})"), PushOutcome::kUnregistered},
      {"bad token", Answer(500, R"({"error":"BadDeviceToken"})"), PushOutcome::kUnregistered},
      {"malformed token", Answer(500, R"({"error":"invalid push token"})"),
       PushOutcome::kUnregistered},
      {"page", Answer(200, "<html>"), PushOutcome::kFailed},
      {"401", Answer(401, R"({"error":"Unauthorized"})"), PushOutcome::kFailed},
      {"502", Answer(502, ""), PushOutcome::kFailed},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    FakeServer server(InTurn({row.reply}));
    const auto result = PushTo(server.Url(), "A");
    CHECK(result.outcome == row.outcome);
    CHECK(result.detail.empty() == (row.outcome == PushOutcome::kSent));
  }
}

TEST_CASE("MicroMDM push without a push certificate is a closed connection") {
  FakeServer server(InTurn({Drop()}));
  const auto result = PushTo(server.Url(), "A");
  CHECK(result.outcome == PushOutcome::kFailed);
  CHECK(result.detail.find("no push certificate") != std::string::npos);
  CHECK(PushTo(RefusingUrl(), "A").detail.find("certificate") == std::string::npos);
}

}  // namespace
}  // namespace director::upstream_micromdm_test
