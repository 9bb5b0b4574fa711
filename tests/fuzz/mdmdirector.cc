#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "director/mdmdirector_api.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/requests.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

// Requests to MDMDirector's paths, one in each part of an input. All go to one store, in order.
namespace director::fuzz_mdmdirector {
namespace {

constexpr std::size_t kRequestsMax = 8;

/// The whole body of an answer, one that comes in parts too.
std::string BodyOf(const HttpServerResponse& response) {
  if (!response.more) return response.body;
  std::string body;
  while (true) {
    const Result<std::string> part = response.more();
    INVARIANT(part.has_value());
    if (part->empty()) return body;
    body += *part;
  }
}

void CheckResponse(const HttpServerResponse& response) {
  static const std::set<int> kStatuses = {200, 400, 404, 409, 410, 422, 501};
  INVARIANT(kStatuses.contains(response.status));
  const std::string body = BodyOf(response);
  INVARIANT(IsValidUtf8(body));
  if (response.status == 200) {
    INVARIANT(body.empty() || nlohmann::json::accept(body));
  } else {
    INVARIANT(body.find('\n') == body.size() - 1);
  }
}

void Send(const std::vector<HttpRoute>& routes, std::string_view part) {
  static const std::string kCredentials = "Basic " + EncodeBase64("mdmdirector:word");
  const auto response = fuzz::SendTo(routes, kCredentials, part);
  if (response) CheckResponse(*response);
}

}  // namespace

FUZZ_TARGET(mdmdirector) {
  fuzz::World world;
  fuzz::Enroll(world);
  const SecretSource password = SecretSource::FromValue(Secret("word"));
  const ProposalLimits limits;
  mdmdirector::Api api(
      {world.store(), world.upstreams(), world.secrets(), world.clock(), password, limits, [] {}});
  const std::vector<HttpRoute> routes = api.Routes();
  const std::vector<std::string_view> parts = fuzz::SplitParts(input);
  for (std::size_t i = 0; i < std::min(parts.size(), kRequestsMax); ++i) {
    Send(routes, parts[i]);
    world.clock().Advance(std::chrono::seconds(1));
  }
  for (const char* path : {"/device", "/device/UD1", "/device/UD1/commands", "/profile",
                           "/profile/UD1", "/command", "/command/pending", "/command/error"}) {
    Send(routes, std::string("GET ") + path);
  }
}

}  // namespace director::fuzz_mdmdirector
