// Reading and clearing queues: every answer that a server or a proxy before it can give.
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/support/catch.h"
#include "tests/unit/upstream_fake_server.h"
#include "upstream/make_upstream.h"

namespace director::upstream_queue_test {
namespace {

const EnrollmentId kId("UDID-1");
const std::string kCommand =
    "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>CommandUUID</key><string>C1</string>"
    "<key>Command</key><dict><key>RequestType</key><string>ProfileList</string></dict></dict>"
    "</plist>";

std::unique_ptr<Upstream> UpstreamAt(const std::string& url, UpstreamKind kind) {
  UpstreamSettings settings;
  settings.name = UpstreamName("main");
  settings.kind = kind;
  settings.endpoint.url = url;
  settings.endpoint.password = Secret("key");
  settings.queue_timeout = std::chrono::milliseconds(500);
  auto upstream = MakeUpstream(settings);
  REQUIRE(upstream);
  return std::move(*upstream);
}

Result<std::vector<QueuedCommand>> Read(const std::string& url, UpstreamKind kind) {
  return UpstreamAt(url, kind)->ReadQueue(kId);
}

Status Clear(const std::string& url, UpstreamKind kind) {
  return UpstreamAt(url, kind)->ClearQueue(kId);
}

std::string NanoPage(const std::string& uuid, const std::string& more = "") {
  return R"({"commands":[{"command_uuid":")" + uuid +
         R"(","request_type":"DeviceLock","command":")" + EncodeBase64(kCommand) + "\"}]" + more +
         "}";
}

struct Row {
  std::string what;
  FakeReply reply;
  ErrorKind kind;
};

TEST_CASE("NanoMDM's queue: one GET for each page, with the request type that the server says") {
  FakeServer server(InTurn(
      {Answer(200, NanoPage("C1", R"(,"next_cursor":"a b/c")")), Answer(200, NanoPage("C2"))}));
  const auto queue = Read(server.Url(), UpstreamKind::kNanoMdm);
  REQUIRE(queue);
  REQUIRE(queue->size() == 2);
  CHECK((*queue)[0].command_uuid.value() == "C1");
  CHECK((*queue)[1].command_uuid.value() == "C2");
  CHECK((*queue)[0].request_type == "DeviceLock");
  CHECK((*queue)[0].command == kCommand);
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].method == "GET");
  CHECK(seen[0].target == "/v1/queue/UDID-1");
  CHECK(seen[1].target == "/v1/queue/UDID-1?cursor=a%20b%2Fc");
}

TEST_CASE("NanoHUB is asked at its own path") {
  FakeServer server(InTurn({Answer(404, "404 page not found", "text/plain")}));
  CHECK(Read(server.Url(), UpstreamKind::kNanoHub).error().kind == ErrorKind::kNotFound);
  CHECK(server.Requests()[0].target == "/api/v1/nanomdm/queue/UDID-1");
}

TEST_CASE("pages without an end are given up") {
  FakeServer server(
      [](const SeenRequest&) { return Answer(200, NanoPage("C", R"(,"next_cursor":"same")")); });
  const auto queue = Read(server.Url(), UpstreamKind::kNanoMdm);
  REQUIRE_FALSE(queue);
  CHECK(queue.error().kind == ErrorKind::kRejected);
  CHECK(server.Requests().size() == 10);
}

TEST_CASE("MicroMDM's queue: the command itself says its request type") {
  FakeServer server(
      InTurn({Answer(200, R"({"commands":[{"uuid":"C1","payload":")" + EncodeBase64(kCommand) +
                              R"("},{"uuid":"C2","payload":"bm8gcGxpc3Q="}]})"),
              Answer(200, "{}\n")}));
  const auto queue = Read(server.Url(), UpstreamKind::kMicroMdm);
  REQUIRE(queue);
  REQUIRE(queue->size() == 2);
  CHECK((*queue)[0].request_type == "ProfileList");
  CHECK((*queue)[1].request_type.empty());
  CHECK((*queue)[1].command == "no plist");
  const auto empty = Read(server.Url(), UpstreamKind::kMicroMdm);
  REQUIRE(empty);
  CHECK(empty->empty());
  CHECK(server.Requests()[0].target == "/v1/commands/UDID-1");
}

TEST_CASE("a queue that cannot be read: each answer has its kind") {
  const UpstreamKind kind = GENERATE(UpstreamKind::kNanoMdm, UpstreamKind::kMicroMdm);
  const std::vector<Row> rows = {
      {"no such path", Answer(404, "404 page not found", "text/plain"), ErrorKind::kNotFound},
      {"no such method", Answer(405, ""), ErrorKind::kNotFound},
      {"not built", Answer(501, ""), ErrorKind::kNotFound},
      {"credentials", Answer(401, ""), ErrorKind::kRejected},
      {"redirect", Answer(302, ""), ErrorKind::kRejected},
      {"too many requests", Answer(429, ""), ErrorKind::kUnavailable},
      {"broken server", Answer(500, R"({"error":"database is locked"})"), ErrorKind::kUnavailable},
      {"proxy", Answer(503, "<html>", "text/html"), ErrorKind::kUnavailable},
      {"dropped", Drop(), ErrorKind::kUnavailable},
      {"silent", Silence(), ErrorKind::kUnavailable},
      {"another success", Answer(204, ""), ErrorKind::kUnavailable},
      {"a page", Answer(200, "<html>", "text/html"), ErrorKind::kCorrupt},
      {"other JSON", Answer(200, R"({"message":"hello"})"), ErrorKind::kCorrupt},
      {"no list", Answer(200, R"({"commands":7})"), ErrorKind::kCorrupt},
      {"no object", Answer(200, R"({"commands":["C1"]})"), ErrorKind::kCorrupt},
      {"no uuid", Answer(200, R"({"commands":[{"payload":"YQ==","command":"YQ=="}]})"),
       ErrorKind::kCorrupt},
      {"no base64",
       Answer(200, R"({"commands":[{"uuid":"C","command_uuid":"C","payload":"%","command":"%"}]})"),
       ErrorKind::kCorrupt},
  };
  for (const Row& row : rows) {
    INFO(UpstreamKindName(kind) << ": " << row.what);
    FakeServer server(InTurn({row.reply}));
    const auto queue = Read(server.Url(), kind);
    REQUIRE_FALSE(queue);
    INFO(queue.error().message);
    CHECK(queue.error().kind == row.kind);
    CHECK(server.WaitForRequests(1).size() == 1);
  }
}

TEST_CASE("a queue is cleared by one DELETE without a body") {
  const UpstreamKind kind = GENERATE(UpstreamKind::kNanoMdm, UpstreamKind::kMicroMdm);
  for (const FakeReply& yes : {Answer(204, ""), Answer(200, "{}"), Answer(200, "")}) {
    FakeServer server(InTurn({yes}));
    CHECK(Clear(server.Url(), kind));
    const auto seen = server.Requests();
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].method == "DELETE");
    CHECK(seen[0].body.empty());
  }
}

TEST_CASE("a queue that is not cleared: each answer has its kind") {
  const UpstreamKind kind = GENERATE(UpstreamKind::kNanoMdm, UpstreamKind::kMicroMdm);
  const std::vector<Row> rows = {
      {"no such path", Answer(404, ""), ErrorKind::kNotFound},
      {"no such method", Answer(405, ""), ErrorKind::kNotFound},
      {"not built", Answer(501, ""), ErrorKind::kNotFound},
      {"credentials", Answer(401, ""), ErrorKind::kRejected},
      {"one id failed", Answer(207, R"({"status":{"UDID-1":"no such table"}})"),
       ErrorKind::kUnavailable},
      {"all failed", Answer(500, R"({"error":"locked","status":{"UDID-1":"locked"}})"),
       ErrorKind::kUnavailable},
      {"in other words", Answer(207, R"({"status":{"UDID-1":{"error":"locked"}}})"),
       ErrorKind::kUnavailable},
      {"error with 200", Answer(200, R"({"error":"locked"})"), ErrorKind::kUnavailable},
      {"207 about others", Answer(207, R"({"status":{"UDID-2":"no"}})"),
       ErrorKind::kUnknownOutcome},
      {"a page", Answer(200, "<html>", "text/html"), ErrorKind::kUnknownOutcome},
      {"proxy", Answer(502, "<html>", "text/html"), ErrorKind::kUnknownOutcome},
      {"dropped", Drop(), ErrorKind::kUnknownOutcome},
      {"silent", Silence(), ErrorKind::kUnknownOutcome},
  };
  for (const Row& row : rows) {
    INFO(UpstreamKindName(kind) << ": " << row.what);
    FakeServer server(InTurn({row.reply}));
    const Status cleared = Clear(server.Url(), kind);
    REQUIRE_FALSE(cleared);
    INFO(cleared.error().message);
    CHECK(cleared.error().kind == row.kind);
    CHECK(server.WaitForRequests(1).size() == 1);
  }
}

}  // namespace
}  // namespace director::upstream_queue_test
