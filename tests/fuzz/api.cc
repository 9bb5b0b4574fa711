#include "director/api.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/fuzz/properties.h"
#include "tests/fuzz/requests.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

// Requests to the API, one in each part of an input. All go to one store, in order.
namespace director::fuzz_api {
namespace {

constexpr std::size_t kRequestsMax = 8;

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
  const auto response = fuzz::SendTo(routes, "Bearer token", part);
  if (response) CheckResponse(*response);
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
  fuzz::Enroll(world);
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
