#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/text.h"
#include "director/http_server.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/world.h"

/// Requests out of an input: `METHOD /path?query` on the first line, the Content-Type on the
/// second, then the body.
namespace director::fuzz {

inline std::string Enrolled(std::string_view message_type, std::string_view extra) {
  return "<plist><dict><key>MessageType</key><string>" + std::string(message_type) +
         "</string><key>UDID</key><string>UD1</string>" + std::string(extra) + "</dict></plist>";
}

/// One device that enrolled a moment ago.
inline void Enroll(World& world) {
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

inline void ReadQuery(std::string_view query, HttpServerRequest& request) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    request.query.emplace(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
    query.remove_prefix(std::min(end + 1, query.size()));
  }
}

/// The answer of the route that fits; nothing when none does.
inline std::optional<HttpServerResponse> SendTo(const std::vector<HttpRoute>& routes,
                                                const std::string& authorization,
                                                std::string_view part) {
  std::string_view target = TakeLine(part);
  HttpServerRequest request;
  request.method = std::string(TakeWord(target));
  request.headers["authorization"] = authorization;
  request.headers["content-type"] = std::string(TakeLine(part));
  request.body = std::string(part);
  const std::size_t end = std::min(target.find('?'), target.size());
  ReadQuery(target.substr(std::min(end + 1, target.size())), request);
  for (const HttpRoute& route : routes) {
    if (route.method != request.method) continue;
    auto values = MatchPath(route.pattern, target.substr(0, end));
    if (!values || request.body.size() > route.body_size_max_bytes) continue;
    request.path_values = std::move(*values);
    return route.handler(request);
  }
  return std::nullopt;
}

}  // namespace director::fuzz
