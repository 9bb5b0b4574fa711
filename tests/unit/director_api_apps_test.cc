// Apps and accounts through the API: defined, assigned, shown.
#include <string>

#include "base/text.h"
#include "mdm/item_definition.h"
#include "tests/support/app_parts.h"
#include "tests/support/director_service.h"

namespace director::director_api_apps_test {
namespace {

using Json = nlohmann::json;
using director_test::ApiAnswer;
using director_test::Service;

Json PackageByManifest(const std::string& identifier, const std::string& version) {
  return {{"identifier", identifier},
          {"version", version},
          {"manifest", EncodeBase64(test::AgentManifest("com.ex.pkg", version))}};
}

ApiAnswer PutApp(Service& service, const Json& app) {
  return service.Post("/apps", {{"apps", Json::array({app})}, {"source", "ci"}});
}

ApiAnswer Assign(Service& service, const std::string& item, const Json& more = Json::object()) {
  Json body{{"payload_identifier", item}, {"target", "all"}, {"source", "ci"}};
  body.update(more);
  return service.Post("/assignments", body);
}

std::string Accounts(const std::string& administrator) {
  PlistDict account;
  account.Set("shortName", administrator);
  PlistDict accounts;
  accounts.Set("AutoSetupAdminAccounts", PlistArray{std::move(account)});
  return EncodeBase64(EncodePlistXml(std::move(accounts)));
}

std::string LoginProfile(const std::string& user) {
  PlistDict payload;
  payload.Set("PayloadType", "com.apple.loginwindow");
  payload.Set("PayloadIdentifier", "com.ex.kiosk.login");
  payload.Set("PayloadUUID", "11111111-2222-3333-4444-555555555555");
  payload.Set("AutologinUsername", user);
  PlistDict profile;
  profile.Set("PayloadType", "Configuration");
  profile.Set("PayloadIdentifier", "com.ex.kiosk");
  profile.Set("PayloadContent", PlistArray{std::move(payload)});
  return EncodePlistXml(std::move(profile));
}

TEST_CASE("an app is defined once, listed, and apart from the profiles") {
  Service service;
  const ApiAnswer stored = PutApp(service, PackageByManifest("com.ex.agent", "1.2"));
  REQUIRE(stored.status == 201);
  const Json& app = stored.json["apps"][0];
  CHECK(app["payload_identifier"] == "app:com.ex.agent");
  CHECK(app["request_type"] == "InstallEnterpriseApplication");
  CHECK(app["version"] == "1.2");
  CHECK(app["is_new"] == true);
  CHECK(PutApp(service, PackageByManifest("com.ex.agent", "1.2")).status == 200);
  CHECK(service.Get("/apps").json["apps"].size() == 1);
  CHECK(service.Get("/profiles").json["profiles"].empty());
  CHECK(service.Get("/profiles/" + app["payload_uuid"].get<std::string>()).status == 404);
}

TEST_CASE("of several apps all problems are told at once and nothing is stored") {
  Service service;
  const Json apps = Json::array({PackageByManifest("com.ex.agent", "1"),
                                 {{"manifest_url", "http://repo.ex/a.plist"}},
                                 {{"itunes_store_id", "7"}, {"colour", "red"}},
                                 "an app"});
  const ApiAnswer refused = service.Post("/apps", {{"apps", apps}});
  CHECK(refused.status == 400);
  CHECK(refused.Names("apps[1].manifest_url"));
  CHECK(refused.Names("apps[2].itunes_store_id"));
  CHECK(refused.Names("apps[2].colour"));
  CHECK(refused.Names("apps[3]"));
  CHECK(service.Get("/apps").json["apps"].empty());
  CHECK(service.Post("/apps", {{"apps", Json::array()}}).Names("apps"));
}

TEST_CASE("an app is assigned like a profile, with what has a meaning for apps") {
  Service service;
  PutApp(service, PackageByManifest("com.ex.agent", "1.2"));
  const ApiAnswer assigned =
      Assign(service, "app:com.ex.agent", {{"during_setup", true}, {"at_enrollment_only", true}});
  REQUIRE(assigned.status == 200);
  const Json& assignment = assigned.json["assignments"][0];
  CHECK(assignment["during_setup"] == true);
  CHECK(assignment["at_enrollment_only"] == true);
  CHECK(Assign(service, "app:com.ex.unknown").Names("payload_identifier"));
  CHECK(Assign(service, "app:com.ex.agent", {{"channel", "user"}}).Names("channel"));
  CHECK(Assign(service, "app:com.ex.agent", {{"presence", "absent"}, {"adopt", true}})
            .Names("adopt"));
  CHECK(Assign(service, "app:com.ex.agent", {{"presence", "absent"}, {"during_setup", true}})
            .Names("during_setup"));
  CHECK(Assign(service, "com.ex.wifi", {{"at_enrollment_only", true}}).Names("at_enrollment_only"));
  CHECK(Assign(service, "app:https://repo.ex/a.plist", {{"presence", "absent"}}).Names("presence"));
  CHECK(Assign(service, "setup:AccountConfiguration", {{"presence", "absent"}}).Names("presence"));
  CHECK(Assign(service, "app:com.ex.agent", {{"presence", "absent"}}).status == 200);
}

TEST_CASE("saying the same again does not move the time of an assignment") {
  Service service;
  PutApp(service, PackageByManifest("com.ex.agent", "1.2"));
  const Json enrolling{{"at_enrollment_only", true}};
  REQUIRE(Assign(service, "app:com.ex.agent", enrolling).status == 200);
  const Timestamp long_ago = *ParseTime("2026-01-01T00:00:00Z");
  const Status moved = service.store().Write([&](StoreWriter& writer) -> Status {
    auto assignments = writer.ListAssignments({});
    if (!assignments) return Fail(assignments.error());
    assignments->front().assigned_at = long_ago;
    const auto saved = writer.SaveAssignment(assignments->front(), long_ago);
    return saved ? Status() : Fail(saved.error());
  });
  REQUIRE(moved);
  const Json again = Assign(service, "app:com.ex.agent", enrolling).json["assignments"][0];
  CHECK(again["assigned_at"] == "2026-01-01T00:00:00Z");
  const Json always = Assign(service, "app:com.ex.agent").json["assignments"][0];
  CHECK(always["assigned_at"] != "2026-01-01T00:00:00Z");
}

TEST_CASE("accounts and a profile that name one account are not assigned together") {
  Service service;
  const auto put = [&](const std::string& administrator) {
    return service.Post("/accounts", {{"account_configuration", Accounts(administrator)}});
  };
  REQUIRE(put("kiosk").status == 201);
  service.Upload(LoginProfile("Kiosk"));
  const std::string accounts = "setup:AccountConfiguration";
  REQUIRE(Assign(service, accounts).status == 200);
  const ApiAnswer refused = Assign(service, "com.ex.kiosk");
  CHECK(refused.status == 409);
  CHECK(refused.json["title"].get<std::string>().find("kiosk") != std::string::npos);
  REQUIRE(put("itadmin").status == 201);
  REQUIRE(Assign(service, accounts).status == 200);
  REQUIRE(Assign(service, "com.ex.kiosk").status == 200);
  REQUIRE(put("kiosk").status == 200);
  const std::string clashing = put("kiosk").json["accounts"][0]["payload_uuid"].get<std::string>();
  CHECK(Assign(service, accounts, {{"payload_uuid", clashing}}).status == 409);
}

TEST_CASE("accounts that Apple does not know are refused by their key") {
  Service service;
  PlistDict odd;
  odd.Set("Shell", "/bin/zsh");
  const ApiAnswer refused = service.Post(
      "/accounts", {{"account_configuration", EncodeBase64(EncodePlistXml(std::move(odd)))}});
  CHECK(refused.status == 400);
  CHECK(refused.Names("account_configuration.Shell"));
  CHECK(service.Post("/accounts", {{"account_configuration", "?"}}).Names("account_configuration"));
  CHECK(service.Post("/accounts", Json::object()).Names("account_configuration"));
  CHECK(service.Get("/accounts").json["accounts"].empty());
}

}  // namespace
}  // namespace director::director_api_apps_test
