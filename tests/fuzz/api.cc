#include "director/api.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

// Requests to the API. Each part of an input is one request: `METHOD /path?query` on the first
// line, the Content-Type on the second, then the body. All go to one store, in order.
namespace director::fuzz_api {
namespace {

constexpr std::size_t kRequestsMax = 8;

std::string Enrolled(std::string_view message_type, std::string_view extra) {
  return "<plist><dict><key>MessageType</key><string>" + std::string(message_type) +
         "</string><key>UDID</key><string>UD1</string>" + std::string(extra) + "</dict></plist>";
}

/// One device that enrolled a moment ago.
void Enroll(fuzz::World& world) {
  const Timestamp now = world.clock().Now();
  std::vector<Incoming> batch;
  for (const std::string type : {"Authenticate", "TokenUpdate"}) {
    const std::string raw = Enrolled(type, "<key>SerialNumber</key><string>SERIAL1</string>");
    const std::string body = R"({"topic":"mdm.)" + type +
                             R"(","checkin_event":{"udid":"UD1","raw_payload":")" +
                             EncodeBase64(raw) + R"("}})";
    batch.push_back(DecodeIncoming(body, UpstreamName("nanomdm"), now));
    INVARIANT(std::holds_alternative<MdmEvent>(batch.back().content));
  }
  INVARIANT(RecordIncoming(world.store(), batch).has_value());
}

void ReadQuery(std::string_view query, HttpServerRequest& request) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    request.query.emplace(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
}

void CheckResponse(const HttpServerResponse& response) {
  static const std::set<int> kStatuses = {200, 201, 202, 204, 400, 404, 409, 415, 422};
  INVARIANT(kStatuses.contains(response.status));
  if (response.status >= 400) INVARIANT(response.content_type == "application/problem+json");
  if (response.content_type.find("json") != std::string::npos) {
    INVARIANT(nlohmann::json::accept(response.body));
    INVARIANT(IsValidUtf8(response.body));
  } else if (!response.body.empty()) {
    INVARIANT(response.content_type == "application/x-apple-aspen-config");
    INVARIANT(DecodePlist(response.body).has_value());
  }
}

void Send(const std::vector<HttpRoute>& routes, std::string_view part) {
  std::string_view target = fuzz::TakeLine(part);
  HttpServerRequest request;
  request.method = std::string(fuzz::TakeWord(target));
  request.headers["authorization"] = "Bearer token";
  request.headers["content-type"] = std::string(fuzz::TakeLine(part));
  request.body = std::string(part);
  const std::size_t end = std::min(target.find('?'), target.size());
  ReadQuery(target.substr(std::min(end + 1, target.size())), request);
  for (const HttpRoute& route : routes) {
    if (route.method != request.method) continue;
    auto values = MatchPath(route.pattern, target.substr(0, end));
    if (!values || request.body.size() > route.body_size_max_bytes) continue;
    request.path_values = std::move(*values);
    return CheckResponse(route.handler(request));
  }
}

/// Whatever was asked for, the fleet can still be decided about and shown.
void CheckStillServes(const std::vector<HttpRoute>& routes) {
  for (const char* path : {"/status", "/devices/UD1", "/profiles", "/assignments", "/events"}) {
    Send(routes, std::string("GET /api/v1") + path);
  }
}

}  // namespace

FUZZ_TARGET(api) {
  fuzz::World world;
  Enroll(world);
  Api api(world.ApiDependencies());
  const std::vector<HttpRoute> routes = api.Routes();
  const std::vector<std::string_view> parts = fuzz::SplitParts(input);
  for (std::size_t i = 0; i < std::min(parts.size(), kRequestsMax); ++i) {
    Send(routes, parts[i]);
    world.clock().Advance(std::chrono::seconds(1));
  }
  CheckStillServes(routes);
}

}  // namespace director::fuzz_api
