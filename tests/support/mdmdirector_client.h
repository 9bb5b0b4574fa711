#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/text.h"
#include "director/mdmdirector_api.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"

namespace director::director_test {

/// Calls routes as a client of MDMDirector does, without sockets.
class MdmDirectorClient {
 public:
  using Json = nlohmann::ordered_json;

  /// With `departures` strictly compatible, with `downloads` profiles can be downloaded.
  MdmDirectorClient(Store& store, Upstreams& upstreams, const Clock& clock,
                    Departures* departures = nullptr, Payloads* downloads = nullptr)
      : api_({store, upstreams, secrets_, clock, password_, limits, [] {}, departures, downloads}),
        routes_(api_.Routes()) {}

  HttpServerResponse Send(const std::string& method, const std::string& path,
                          const std::string& body = "") {
    HttpServerRequest request;
    request.method = method;
    request.path = path;
    request.headers["authorization"] = "Basic " + EncodeBase64("mdmdirector:word");
    request.body = body;
    for (const HttpRoute& route : routes_) {
      auto values = MatchPath(route.pattern, path);
      if (!values || route.method != method) continue;
      request.path_values = std::move(*values);
      return route.handler(request);
    }
    FAIL("no route for " << method << " " << path);
    return {};
  }

  /// The whole of a list, however many parts it comes in.
  Json GetList(const std::string& path) {
    HttpServerResponse response = Send("GET", path);
    INFO(path << ": " << response.status << " " << response.body);
    REQUIRE(response.status == 200);
    while (response.more) {
      const Result<std::string> part = response.more();
      REQUIRE(part);
      if (part->empty()) break;
      response.body += *part;
      ++parts;
    }
    return Json::parse(response.body);
  }

  int parts = 0;  ///< that lists came in so far
  ProposalLimits limits;

 private:
  const Secrets secrets_{TestDataKey(), nullptr};
  const SecretSource password_ = SecretSource::FromValue(Secret("word"));
  mdmdirector::Api api_;
  const std::vector<HttpRoute> routes_;
};

/// The status, and a part of the one line of text.
inline void CheckSays(const HttpServerResponse& response, int status, const std::string& part) {
  INFO(response.status << " " << response.body);
  CHECK(response.status == status);
  CHECK(response.body.find(part) != std::string::npos);
}

}  // namespace director::director_test
