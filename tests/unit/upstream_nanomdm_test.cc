#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/upstream_fake_server.h"
#include "upstream/make_upstream.h"

namespace director::upstream_nanomdm_test {
namespace {

const std::string kUuid = "11111111-2222-3333-4444-555555555555";
const std::string kStored =
    R"({"no_push":true,"command_uuid":"11111111-2222-3333-4444-555555555555","request_type":"ProfileList"})";
const std::string kDuplicate =
    R"({"command_error":"command already exists: 11111111-2222-3333-4444-555555555555"})";

std::unique_ptr<Upstream> UpstreamAt(const std::string& url,
                                     UpstreamKind kind = UpstreamKind::kNanoMdm) {
  UpstreamSettings settings;
  settings.name = UpstreamName("main");
  settings.kind = kind;
  settings.endpoint.url = url;
  settings.endpoint.password = Secret("key");
  settings.enqueue_timeout = std::chrono::milliseconds(800);
  settings.push_timeout = std::chrono::milliseconds(800);
  auto upstream = MakeUpstream(settings);
  REQUIRE(upstream.has_value());
  return std::move(*upstream);
}

std::vector<EnrollmentId> Ids(const std::vector<std::string>& ids) {
  std::vector<EnrollmentId> result;
  for (const std::string& id : ids) result.emplace_back(id);
  return result;
}

EnqueueRequest RequestFor(const std::vector<std::string>& ids) {
  return {CommandUuid(kUuid), "ProfileList", "<?xml version=\"1.0\"?><plist/>", Ids(ids)};
}

std::vector<EnqueueTargetResult> EnqueueTo(const FakeServer& server,
                                           const std::vector<std::string>& ids) {
  auto results = UpstreamAt(server.Url())->Enqueue(RequestFor(ids));
  REQUIRE(results.size() == ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(results[i].enrollment_id.value() == ids[i]);
    CHECK(results[i].detail.size() <= 300);
    CHECK(results[i].detail.empty() == (results[i].outcome == EnqueueOutcome::kQueued));
  }
  return results;
}

struct Row {
  std::string what;
  FakeReply reply;
  EnqueueOutcome outcome;
  std::size_t request_count;
};

void CheckRows(const std::vector<Row>& rows, const std::vector<std::string>& ids) {
  for (const Row& row : rows) {
    INFO(row.what);
    FakeServer server(InTurn({row.reply}));
    for (const auto& result : EnqueueTo(server, ids)) {
      INFO(result.detail);
      CHECK(result.outcome == row.outcome);
    }
    CHECK(server.WaitForRequests(row.request_count).size() == row.request_count);
  }
}

std::string TopError(const std::string& text) {
  return "{\"command_error\":\"" + text + "\",\"command_uuid\":\"" + kUuid + "\"}";
}

TEST_CASE("NanoMDM enqueue sends one PUT with literal commas, nopush and the raw command") {
  FakeServer server(InTurn({Answer(200, kStored)}));
  const auto results = EnqueueTo(server, {"UDID-1", "UDID-1:USER-1", "UDID-2:ann@example.com"});
  for (const auto& result : results) CHECK(result.outcome == EnqueueOutcome::kQueued);
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].method == "PUT");
  CHECK(seen[0].target == "/v1/enqueue/UDID-1,UDID-1%3AUSER-1,UDID-2%3Aann%40example.com?nopush=1");
  CHECK(seen[0].body == "<?xml version=\"1.0\"?><plist/>");
  CHECK(seen[0].headers.at("authorization") == "Basic " + EncodeBase64("nanomdm:key"));
}

TEST_CASE("NanoHUB has its own path and user, but the version at the root") {
  FakeServer server([](const SeenRequest& request) {
    return request.target == "/version" ? Answer(200, R"({"version":"v0.2.0"})")
                                        : Answer(200, kStored);
  });
  const auto upstream = UpstreamAt(server.Url(), UpstreamKind::kNanoHub);
  CHECK(upstream->Enqueue(RequestFor({"A"})).at(0).outcome == EnqueueOutcome::kQueued);
  upstream->Push(Ids({"A"}));
  CHECK(upstream->Probe().value() == "v0.2.0");
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].target == "/api/v1/nanomdm/enqueue/A?nopush=1");
  CHECK(seen[0].headers.at("authorization") == "Basic " + EncodeBase64("nanohub:key"));
  CHECK(seen[1].target == "/api/v1/nanomdm/push/A");
}

TEST_CASE("NanoMDM enqueue: answers that decide at once") {
  const std::vector<Row> rows = {
      {"stored", Answer(200, kStored), EnqueueOutcome::kQueued, 1},
      {"500, push failed as a whole",
       Answer(500, R"({"push_error":"no cert","command_uuid":")" + kUuid + "\"}"),
       EnqueueOutcome::kQueued, 1},
      {"500, push failed for the id", Answer(500, R"({"status":{"A":{"push_error":"gone"}}})"),
       EnqueueOutcome::kQueued, 1},
      {"207, push failed (v0.7)", Answer(207, R"({"status":{"A":{"push_error":"gone"}}})"),
       EnqueueOutcome::kQueued, 1},
      {"empty status (v0.7)", Answer(200, R"({"status":{},"no_push":true})"),
       EnqueueOutcome::kQueued, 1},
      {"duplicate, key-value", Answer(500, kDuplicate), EnqueueOutcome::kQueued, 1},
      {"duplicate, PostgreSQL",
       Answer(500, TopError("pq: duplicate key value violates unique constraint")),
       EnqueueOutcome::kQueued, 1},
      {"duplicate, MySQL",
       Answer(500, TopError("Error 1062: Duplicate entry 'X' for key 'PRIMARY'")),
       EnqueueOutcome::kQueued, 1},
      {"parse error", Answer(500, TopError("decoding command: parse error: x; already exists")),
       EnqueueOutcome::kRejected, 1},
      {"invalid command", Answer(500, TopError("decoding command: invalid command")),
       EnqueueOutcome::kRejected, 1},
      {"400 text (v0.7)", Answer(400, "Bad Request", "text/plain"), EnqueueOutcome::kRejected, 1},
      {"foreign key", Answer(500, TopError("violates foreign key constraint")),
       EnqueueOutcome::kUnavailable, 1},
      {"key without text", Answer(500, R"({"command_error":{"a":1}})"),
       EnqueueOutcome::kUnavailable, 1},
      {"error of the id", Answer(500, R"({"status":{"A":{"command_error":"disk"}}})"),
       EnqueueOutcome::kUnavailable, 1},
      {"linking failed, named by the command",
       Answer(200, "{\"status\":{\"" + kUuid + "\":{\"command_error\":\"link\"}}}"),
       EnqueueOutcome::kUnknown, 1},
      {"401", Answer(401, "Unauthorized", "text/plain"), EnqueueOutcome::kRejected, 1},
      {"403", Answer(403, "", "text/plain"), EnqueueOutcome::kRejected, 1},
      {"404", Answer(404, "404 page not found", "text/plain"), EnqueueOutcome::kRejected, 1},
      {"301", Answer(301, "", "text/html"), EnqueueOutcome::kRejected, 1},
      {"429", Answer(429, "", "text/html"), EnqueueOutcome::kUnavailable, 1},
      {"413, nothing to halve", Answer(413, "", "text/html"), EnqueueOutcome::kRejected, 1},
  };
  CheckRows(rows, {"A"});
}

TEST_CASE("NanoMDM enqueue: answers that concern a group") {
  const std::vector<Row> rows = {
      {"431", Answer(431, "", "text/plain"), EnqueueOutcome::kUnavailable, 1},
      {"413", Answer(413, "", "text/html"), EnqueueOutcome::kUnavailable, 1},
      {"414", Answer(414, "", "text/html"), EnqueueOutcome::kUnavailable, 1},
      {"one bad id on SQL", Answer(500, TopError("violates foreign key constraint")),
       EnqueueOutcome::kUnavailable, 1},
      {"bad command", Answer(500, TopError("decoding command: invalid command")),
       EnqueueOutcome::kRejected, 1},
  };
  CheckRows(rows, {"A", "B"});
}

TEST_CASE("NanoMDM enqueue: no useful answer twice is kUnknown") {
  const std::vector<Row> rows = {
      {"closed", Drop(), EnqueueOutcome::kUnknown, 2},
      {"time-out", Silence(), EnqueueOutcome::kUnknown, 2},
      {"502 page", Answer(502, "<html>", "text/html"), EnqueueOutcome::kUnknown, 2},
      {"503 JSON of a proxy", Answer(503, R"({"command_error":"x"})"), EnqueueOutcome::kUnknown, 2},
      {"504", Answer(504, "", "text/html"), EnqueueOutcome::kUnknown, 2},
      {"500 page", Answer(500, "oops", "text/plain"), EnqueueOutcome::kUnknown, 2},
      {"500 JSON of somebody else", Answer(500, R"({"error":"x"})"), EnqueueOutcome::kUnknown, 2},
      {"500 without a reason", Answer(500, kStored), EnqueueOutcome::kUnknown, 2},
      {"200 page", Answer(200, "<html>", "text/html"), EnqueueOutcome::kUnknown, 2},
      {"200 of another command", Answer(200, R"({"command_uuid":"other"})"),
       EnqueueOutcome::kUnknown, 2},
      {"cut JSON", Answer(200, "{\"command_uuid\":"), EnqueueOutcome::kUnknown, 2},
  };
  CheckRows(rows, {"A"});
}

TEST_CASE("NanoMDM enqueue: a lost answer is settled by the same CommandUUID") {
  struct Case {
    std::string what;
    FakeReply second;
    EnqueueOutcome outcome;
  };
  const std::vector<Case> cases = {
      {"duplicate", Answer(500, kDuplicate), EnqueueOutcome::kQueued},
      {"stored now", Answer(200, kStored), EnqueueOutcome::kQueued},
      {"foreign key proves nothing", Answer(500, TopError("foreign key")),
       EnqueueOutcome::kUnknown},
      {"credentials prove nothing", Answer(401, "Unauthorized"), EnqueueOutcome::kUnknown},
      {"per-id error proves nothing", Answer(207, R"({"status":{"B":{"command_error":"disk"}}})"),
       EnqueueOutcome::kUnknown},
  };
  for (const FakeReply& first : {Drop(), Answer(502, "<html>", "text/html"), Silence()}) {
    for (const Case& item : cases) {
      INFO(item.what);
      FakeServer server(InTurn({first, item.second}));
      for (const auto& result : EnqueueTo(server, {"A", "B"}))
        CHECK(result.outcome == item.outcome);
      const auto seen = server.Requests();
      REQUIRE(seen.size() == 2);
      CHECK(seen[0].target == seen[1].target);
      CHECK(seen[0].body == seen[1].body);
    }
  }
}

TEST_CASE("NanoMDM enqueue: an error of one id leaves the others queued") {
  FakeServer server(InTurn(
      {Answer(207, R"({"status":{"B":{"command_error":"disk full"},"C":{"push_error":"x"}}})")}));
  const auto results = EnqueueTo(server, {"A", "B", "C"});
  CHECK(results[0].outcome == EnqueueOutcome::kQueued);
  CHECK(results[1].outcome == EnqueueOutcome::kUnavailable);
  CHECK(results[1].detail == "disk full");
  CHECK(results[2].outcome == EnqueueOutcome::kQueued);
}

TEST_CASE("NanoMDM enqueue: connection refused at the first try is kUnavailable") {
  const auto results = UpstreamAt(RefusingUrl())->Enqueue(RequestFor({"A", "B"}));
  REQUIRE(results.size() == 2);
  for (const auto& result : results) CHECK(result.outcome == EnqueueOutcome::kUnavailable);
}

TEST_CASE("NanoMDM enqueue: ids that would address others never leave") {
  FakeServer server(InTurn({Answer(200, kStored)}));
  const std::vector<std::string> ids = {"A",    "B,C", "",  "../pushcert",
                                        "x\ny", "..",  "A", std::string(256, 'x')};
  const auto results = EnqueueTo(server, ids);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CHECK(results[i].outcome ==
          (ids[i] == "A" ? EnqueueOutcome::kQueued : EnqueueOutcome::kRejected));
  }
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].target == "/v1/enqueue/A?nopush=1");
}

TEST_CASE("NanoMDM enqueue: an empty command would be a push and is not sent") {
  FakeServer server(InTurn({Answer(200, "{}")}));
  EnqueueRequest request = RequestFor({"A"});
  request.command.clear();
  CHECK(UpstreamAt(server.Url())->Enqueue(request).at(0).outcome == EnqueueOutcome::kRejected);
  CHECK(server.Requests().empty());
}

std::vector<std::string> ManyIds(std::size_t count, const std::string& suffix) {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(100 + i);
    ids.push_back("AAAAAAAA-0000-0000-0000-000000000" + number + suffix);
  }
  return ids;
}

TEST_CASE("NanoMDM takes 50 user channels in one path and refuses a path that is too long") {
  FakeServer server(InTurn({Answer(200, kStored)}));
  const auto upstream = UpstreamAt(server.Url());
  CHECK(upstream->limits().targets_max == 50);
  CHECK_FALSE(upstream->limits().pushes_on_enqueue);
  const auto users = ManyIds(50, ":BBBBBBBB-0000-0000-0000-000000000000");
  for (const auto& result : upstream->Enqueue(RequestFor(users))) {
    CHECK(result.outcome == EnqueueOutcome::kQueued);
  }
  CHECK(server.WaitForRequests(1).size() == 1);

  const auto long_ids = ManyIds(50, ":" + std::string(60, 'u'));
  for (const auto& result : upstream->Enqueue(RequestFor(long_ids))) {
    CHECK(result.outcome == EnqueueOutcome::kUnavailable);
    CHECK(result.detail.find("too long") != std::string::npos);
  }
  CHECK(server.WaitForRequests(1).size() == 1);
}

TEST_CASE("NanoMDM tells when the push certificate of a topic ends, where it can") {
  const auto ask = [](const FakeReply& reply) {
    FakeServer server(InTurn({reply}));
    auto end = UpstreamAt(server.Url())->ReadPushCertificateEnd("com.apple.mgmt.External.1");
    CHECK(server.Requests().at(0).target == "/v1/pushcert?topic=com.apple.mgmt.External.1");
    return end;
  };
  const auto end = ask(Answer(200, R"({"not_after":"2126-12-02T00:09:45Z","topic":"t"})"));
  REQUIRE(end);
  CHECK(FormatTime(*end) == "2126-12-02T00:09:45Z");
  CHECK(ask(Answer(500, R"({"error":"sql: no rows"})")).error().kind == ErrorKind::kUnavailable);
  CHECK(ask(Answer(405, "")).error().kind == ErrorKind::kUnavailable);
  for (const char* body : {"", "[]", "{}", R"({"not_after":1})", R"({"not_after":"soon"})"}) {
    CHECK(ask(Answer(200, body)).error().kind == ErrorKind::kCorrupt);
  }
  CHECK(UpstreamAt(RefusingUrl())->ReadPushCertificateEnd("t").error().kind ==
        ErrorKind::kUnavailable);
}

TEST_CASE("NanoMDM clamps the configured number of targets") {
  const auto [configured, expected] =
      GENERATE(std::make_pair(0, 1), std::make_pair(7, 7), std::make_pair(5000, 50));
  UpstreamSettings settings;
  settings.endpoint.url = "http://127.0.0.1:9000";
  settings.targets_max = static_cast<std::size_t>(configured);
  CHECK(MakeUpstream(settings).value()->limits().targets_max == static_cast<std::size_t>(expected));
}

TEST_CASE("NanoMDM errors are shown short, printable and without the command") {
  SECTION("an echoed command is replaced") {
    FakeServer server(
        InTurn({Answer(500, TopError("decoding command: parse error: <string>wifi-secret"))}));
    CHECK(EnqueueTo(server, {"A"})[0].detail == "the server cannot parse the command");
  }
  SECTION("long texts are cut and control characters replaced") {
    FakeServer server(InTurn({Answer(500, TopError("store\\u001b[31m" + std::string(999, 'x')))}));
    const std::string detail = EnqueueTo(server, {"A"})[0].detail;
    CHECK(detail.starts_with("store?[31m"));
    CHECK(detail.size() == 300);
  }
  SECTION("credentials are named") {
    FakeServer server(InTurn({Answer(401, "Unauthorized", "text/plain")}));
    CHECK(EnqueueTo(server, {"A"})[0].detail.find("credentials") != std::string::npos);
  }
  SECTION("a page is not shown") {
    FakeServer server(InTurn({Answer(404, "<html>secret", "text/html")}));
    CHECK(EnqueueTo(server, {"A"})[0].detail == "API not enabled or wrong URL (HTTP 404)");
  }
}

TEST_CASE("NanoMDM push reads a result for each id") {
  FakeServer server(InTurn({Answer(500, R"({"status":{
      "A":{"push_result":"apns-id"},
      "B":{"push_error":"push HTTP status: 410: APNs push error: Unregistered: timestamp 1","push_result":"x"},
      "C":{"push_error":"push data missing for id"},
      "D":{"push_error":"push HTTP status: 400: APNs push error: BadDeviceToken"}},
      "push_error":"no certificate for topic"})")}));
  const auto results = UpstreamAt(server.Url())->Push(Ids({"A", "B", "C", "D", "E", "F,G"}));
  REQUIRE(results.size() == 6);
  CHECK(results[0].outcome == PushOutcome::kSent);
  CHECK(results[1].outcome == PushOutcome::kUnregistered);
  CHECK(results[2].outcome == PushOutcome::kFailed);
  CHECK(results[2].detail == "push data missing for id");
  CHECK(results[3].outcome == PushOutcome::kUnregistered);
  CHECK(results[4].outcome == PushOutcome::kFailed);
  CHECK(results[4].detail == "no certificate for topic");
  CHECK(results[5].outcome == PushOutcome::kFailed);
  CHECK(results[5].enrollment_id.value() == "F,G");
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].method == "GET");
  CHECK(seen[0].target == "/v1/push/A,B,C,D,E");
}

TEST_CASE("NanoMDM push: an id without an entry is sent unless something failed") {
  FakeServer fine(InTurn({Answer(200, R"({"status":{"A":{"push_result":"x"}}})")}));
  CHECK(UpstreamAt(fine.Url())->Push(Ids({"A", "B"})).at(1).outcome == PushOutcome::kSent);
  FakeServer bad(InTurn({Answer(500, R"({"status":{"A":{"push_error":"x"}}})")}));
  CHECK(UpstreamAt(bad.Url())->Push(Ids({"A", "B"})).at(1).outcome == PushOutcome::kFailed);
}

TEST_CASE("NanoMDM push: anything but an answer is kFailed, once") {
  const FakeReply reply =
      GENERATE(Drop(), Silence(), Answer(401, "Unauthorized"), Answer(404, "x"),
               Answer(502, "<html>"), Answer(200, "<html>"), Answer(503, R"({"status":{}})"));
  FakeServer server(InTurn({reply}));
  const auto results = UpstreamAt(server.Url())->Push(Ids({"A", "B"}));
  REQUIRE(results.size() == 2);
  for (const auto& result : results) {
    CHECK(result.outcome == PushOutcome::kFailed);
    CHECK_FALSE(result.detail.empty());
  }
  CHECK(server.WaitForRequests(1).size() == 1);
}

TEST_CASE("NanoMDM push splits a long list and keeps its order") {
  FakeServer server([](const SeenRequest& request) {
    const bool has_last = request.target.find("000149") != std::string::npos;
    return has_last ? Answer(200, R"({"status":{"x":{}}})") : Answer(500, "oops");
  });
  const auto ids = ManyIds(50, ":" + std::string(60, 'u'));
  const auto results = UpstreamAt(server.Url())->Push(Ids(ids));
  REQUIRE(results.size() == 50);
  CHECK(results.front().outcome == PushOutcome::kFailed);
  CHECK(results.back().outcome == PushOutcome::kSent);
  for (std::size_t i = 0; i < ids.size(); ++i) CHECK(results[i].enrollment_id.value() == ids[i]);
  for (const auto& request : server.Requests()) CHECK(request.target.size() <= 4096);
}

TEST_CASE("NanoMDM with no targets contacts nobody") {
  FakeServer server(InTurn({Answer(200, kStored)}));
  const auto upstream = UpstreamAt(server.Url());
  CHECK(upstream->Enqueue(RequestFor({})).empty());
  CHECK(upstream->Push({}).empty());
  CHECK(server.Requests().empty());
}

}  // namespace
}  // namespace director::upstream_nanomdm_test
