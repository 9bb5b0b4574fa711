#include <string>

#include "tests/support/catch.h"
#include "tests/unit/upstream_fake_server.h"
#include "upstream/make_upstream.h"

namespace director::upstream_make_upstream_test {
namespace {

Result<std::string> ProbeAt(const std::string& url, UpstreamKind kind) {
  UpstreamSettings settings;
  settings.kind = kind;
  settings.endpoint.url = url;
  auto upstream = MakeUpstream(settings);
  REQUIRE(upstream.has_value());
  return (*upstream)->Probe();
}

TEST_CASE("Upstream kinds have names, and only these") {
  for (const std::string name : {"nanomdm", "micromdm", "nanohub"}) {
    CHECK(UpstreamKindName(ParseUpstreamKind(name).value()) == name);
  }
  for (const std::string name : {"", "NanoMDM", "nanomdm ", "other"}) {
    REQUIRE_FALSE(ParseUpstreamKind(name).has_value());
    CHECK(ParseUpstreamKind(name).error().kind == ErrorKind::kInvalid);
  }
}

TEST_CASE("MakeUpstream refuses an unusable endpoint") {
  UpstreamSettings settings;
  settings.endpoint.url = "mdm.example.com";
  REQUIRE_FALSE(MakeUpstream(settings).has_value());
  CHECK(MakeUpstream(settings).error().kind == ErrorKind::kInvalid);
}

TEST_CASE("Probe tells the version, or unknown when the server speaks HTTP only") {
  const auto kind =
      GENERATE(UpstreamKind::kNanoMdm, UpstreamKind::kMicroMdm, UpstreamKind::kNanoHub);
  const auto [reply, version] =
      GENERATE(std::make_pair(Answer(200, R"({"version":"v0.9.0"})"), std::string("v0.9.0")),
               std::make_pair(Answer(200, R"({"version":"unknown"})"), std::string("unknown")),
               std::make_pair(Answer(200, R"({"version":7})"), std::string("unknown")),
               std::make_pair(Answer(200, "[]"), std::string("unknown")),
               std::make_pair(Answer(404, "404 page not found"), std::string("unknown")));
  FakeServer server(InTurn({reply}));
  CHECK(ProbeAt(server.Url(), kind).value() == version);
  CHECK(server.Requests().at(0).target == "/version");
}

TEST_CASE("Probe says kUnavailable when the server is not there") {
  CHECK(ProbeAt(RefusingUrl(), UpstreamKind::kNanoMdm).error().kind == ErrorKind::kUnavailable);
  FakeServer down(InTurn({Answer(502, "<html>")}));
  CHECK(ProbeAt(down.Url(), UpstreamKind::kNanoMdm).error().kind == ErrorKind::kUnavailable);
  FakeServer dropping(InTurn({Drop()}));
  CHECK(ProbeAt(dropping.Url(), UpstreamKind::kMicroMdm).error().kind == ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace director::upstream_make_upstream_test
