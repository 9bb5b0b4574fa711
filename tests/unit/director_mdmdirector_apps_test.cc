// `/installapplication`: apps by the URL of their manifest.
#include <string>

#include "mdm/item_definition.h"
#include "tests/support/mdmdirector_service.h"

namespace director::director_mdmdirector_apps_test {
namespace {

using director_test::ApiAnswer;
using Json = nlohmann::ordered_json;

const std::string kUrl = "https://repo.example/agent.plist";

Json Urls(bool bootstrap_only = false) {
  return Json::array({{{"url", kUrl}, {"bootstrap_only", bootstrap_only}}});
}

struct Fixture : director_test::CompatibleService {
  ApiAnswer Post(Json target, const Json& urls) {
    target["manifest_urls"] = urls;
    return Send("POST", "/installapplication", target);
  }
  ApiAnswer PostShared(const Json& urls) { return Post({{"udids", {"*"}}}, urls); }
};

TEST_CASE("every shared URL of a request is stored and listed, not only the first") {
  Fixture world;
  const Json two = Json::array({{{"url", kUrl}}, {{"url", "https://repo.example/b.plist"}}});
  const ApiAnswer posted = world.PostShared(two);
  CHECK(posted.status == 200);
  CHECK(posted.body.empty());
  const ApiAnswer listed = world.Send("GET", "/installapplication");
  REQUIRE(listed.json.size() == 2);
  CHECK(listed.json[0]["ManifestURL"] == kUrl);
  CHECK(listed.json[0]["ID"].get<std::string>().size() == 36);
  CHECK(world.Send("GET", "/profile").json.empty());
}

TEST_CASE("an app of one device is stored and sent") {
  Fixture world;
  REQUIRE(world.Post(world.ToMac(), Urls()).status == 200);
  const auto assignments = world.Assignments();
  REQUIRE(assignments.size() == 1);
  CHECK(assignments[0].payload_identifier == PayloadIdentifier("app:" + kUrl));
  CHECK(assignments[0].target == world.udid());
  CHECK_FALSE(assignments[0].at_enrollment_only);
  CHECK(world.Send("GET", "/installapplication").json.empty());
  CHECK(world.Send("GET", "/profile/" + world.udid()).json.empty());
}

TEST_CASE("bootstrap_only waits for the next enrollment, and takes nothing back") {
  Fixture world;
  REQUIRE(world.PostShared(Urls(true)).status == 200);
  CHECK(world.Assignments()[0].at_enrollment_only);
  REQUIRE(world.PostShared(Urls(false)).status == 200);
  CHECK_FALSE(world.Assignments()[0].at_enrollment_only);
  REQUIRE(world.PostShared(Urls(true)).status == 200);
  CHECK_FALSE(world.Assignments()[0].at_enrollment_only);
  CHECK(world.Assignments().size() == 1);
}

TEST_CASE("a shared app is withdrawn by its URL") {
  Fixture world;
  REQUIRE(world.PostShared(Urls()).status == 200);
  const Json body{{"udids", {"*"}}, {"manifest_urls", Urls()}};
  CHECK(world.Send("DELETE", "/installapplication", body).status == 204);
  CHECK(world.Assignments().empty());
  CHECK(world.Send("DELETE", "/installapplication", body).status == 404);
}

TEST_CASE("what names nobody or no app changes nothing and says why") {
  Fixture world;
  CHECK(world.Post({{"udids", {"nobody"}}}, Urls()).status == 404);
  CHECK(world.Post({{"uuids", {world.udid()}}}, Urls()).status == 400);
  for (const Json& urls : {Json::array({{{"url", "http://repo.example/a.plist"}}}),
                           Json::array({{{"bootstrap_only", true}}}), Json::array({"a"}),
                           Json("https://repo.example/a.plist")}) {
    const ApiAnswer refused = world.PostShared(urls);
    CHECK(refused.status == 400);
    CHECK(refused.body.find("manifest_urls") != std::string::npos);
  }
  CHECK(world.Post(Json::object(), Urls()).status == 200);
  CHECK(world.Assignments().empty());
}

TEST_CASE("removing a profile never removes an app") {
  Fixture world;
  Json body = world.ToMac();
  body["profiles"] = {{{"payload_identifier", "app:com.ex.agent"}}};
  CHECK(world.Send("DELETE", "/profile", body).status == 400);
  CHECK(world.Assignments().empty());
}

}  // namespace
}  // namespace director::director_mdmdirector_apps_test
