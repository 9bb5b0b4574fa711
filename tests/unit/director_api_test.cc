// Assignments, devices, events and access of /api/v1 over real HTTP.
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "director/api.h"
#include "director/payloads.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"
#include "tests/support/wait_for.h"
#include "tests/unit/upstream_fake_server.h"
#include "upstream/http_client.h"

namespace director::director_api_test {
namespace {

using Json = nlohmann::json;
using director_test::ApiAnswer;
using director_test::Enroll;
using director_test::MakeMac;
using director_test::MakeMobileconfig;
using director_test::Service;

const std::string kWifi = "com.example.wifi";

Json Everybody(const std::string& identifier = kWifi) {
  return {{"payload_identifier", identifier}, {"target", "all"}};
}

Json Device(const std::string& device, const std::string& identifier = kWifi) {
  return {{"payload_identifier", identifier}, {"devices", {device}}};
}

std::size_t Assigned(Service& service) {
  return service.Get("/assignments").json["assignments"].size();
}

/// A service that knows one Mac and one profile.
struct Fixture {
  Fixture() {
    Enroll(service.store(), mac, service.clock().Now());
    uuid = service.Upload(MakeMobileconfig(kWifi));
  }
  const std::string& udid() const { return mac.facts().udid; }
  const std::string& serial() const { return mac.facts().serial_number; }

  Service service;
  VirtualDevice mac = MakeMac(1);
  std::string uuid;
};

TEST_CASE("every route demands the token") {
  Service service;
  const Config config = director_test::MakeTestConfig();
  Upstreams upstreams;
  Payloads payloads(service.store(), nullptr);
  SystemRandom random;
  const Secrets secrets;
  Executor executor(service.store(), upstreams, payloads, secrets, service.clock(), random);
  Api api(Api::Dependencies{service.store(), upstreams, executor, secrets, service.clock(), config,
                            [] {}});
  std::size_t routes = 0;
  for (const HttpRoute& route : api.Routes()) {
    std::string path = route.pattern;
    for (std::size_t at = path.find('{'); at != std::string::npos; at = path.find('{')) {
      path.replace(at, path.find('}') - at + 1, "x");
    }
    for (const std::string& credentials :
         {std::string(), std::string("Bearer wrong"), std::string("Bearer "), std::string("Bearer"),
          std::string("the-api-token"), "Basic " + EncodeBase64("director:the-api-token")}) {
      const ApiAnswer refused = service.Send(route.method, path, "{}", "application/json",
                                             {{"Authorization", credentials}});
      INFO(route.method << " " << path << " " << credentials);
      CHECK(refused.status == 401);
      CHECK(refused.content_type == "application/problem+json");
    }
    ++routes;
  }
  CHECK(routes >= 17);
}

TEST_CASE("Basic credentials work when they are configured") {
  Config config = director_test::MakeTestConfig();
  config.api_user = "puppet";
  config.api_password = SecretSource::FromValue(Secret("word"));
  Service service(config);
  const auto status = [&](const std::string& pair) {
    return service
        .Send("GET", "/api/v1/status", "", "", {{"Authorization", "Basic " + EncodeBase64(pair)}})
        .status;
  };
  CHECK(status("puppet:word") == 200);
  CHECK(status("puppet:wrong") == 401);
  CHECK(status("other:word") == 401);
}

TEST_CASE("an assignment names the newest revision unless one is named") {
  Fixture world;
  Service& service = world.service;
  const ApiAnswer stored = service.Post("/assignments", Everybody());
  INFO(stored.body);
  REQUIRE(stored.status == 200);
  CHECK(stored.json["assignments"][0]["payload_uuid"] == world.uuid);
  CHECK(stored.json["assignments"][0]["target"].is_null());
  Json one = Device(world.serial());
  one["payload_uuid"] = ToLowerAscii(world.uuid);
  CHECK(service.Post("/assignments", one).status == 200);
  CHECK(Assigned(service) == 2);
  CHECK(service.Get("/assignments?payload_identifier=none").json["assignments"].empty());
  const auto id = stored.json["assignments"][0]["assignment_id"].dump();
  CHECK(service.Delete("/assignments/" + id + "?source=else").status == 409);
  CHECK(service.Delete("/assignments/" + id).status == 204);
  CHECK(service.Delete("/assignments/" + id).status == 404);
  CHECK(service.Delete("/assignments/x").status == 400);
  CHECK(service.Delete("/assignments/99999999999999999999").status == 400);
  CHECK(Assigned(service) == 1);
}

TEST_CASE("bad assignments are refused by key and nothing is stored") {
  Fixture world;
  std::vector<std::pair<Json, std::string>> bad;
  const auto with = [&](const std::string& key, const Json& value, const std::string& field) {
    Json body = Everybody();
    body[key] = value;
    bad.emplace_back(body, field);
  };
  for (const Json& wrong : {Json(1), Json(true), Json(""), Json::array(), Json::object()}) {
    for (const char* key :
         {"payload_identifier", "presence", "channel", "payload_uuid", "source", "target"}) {
      with(key, wrong, key);
    }
  }
  for (const Json& wrong : {Json(1), Json("true"), Json::array()}) with("adopt", wrong, "adopt");
  for (const Json& wrong : {Json(1), Json("x"), Json::object(), Json({1}), Json({""})}) {
    Json body = Device("x");
    body["devices"] = wrong;
    bad.emplace_back(body, "devices");
  }
  with("presence", "maybe", "presence");
  with("channel", "cable", "channel");
  with("payload_uuid", "no-such-revision", "payload_uuid");
  with("payload_identifier", "com.example.never-uploaded", "payload_identifier");
  with("payload_identifier", std::string(10'000, 'x'), "payload_identifier");
  with("payload_identifier", std::string("a\0b", 3), "payload_identifier");
  with("source", std::string(65, 's'), "source");
  with("source", "two\nlines", "source");
  with("unknown", 1, "unknown");
  with("adopt", true, "adopt");
  with("target", "some", "target");
  with("devices", {"x"}, "target");
  bad.emplace_back(Json{{"payload_identifier", kWifi}}, "target");
  bad.emplace_back(Json{{"payload_identifier", kWifi}, {"devices", Json::array()}}, "devices");
  bad.emplace_back(Json{{"target", "all"}}, "payload_identifier");
  for (const std::string& name :
       {std::string("a/b"), std::string("a\"b"), std::string("a'b"), std::string("a b"),
        std::string("a\0b", 3), std::string(10'000, 'x'), std::string("a\\b")}) {
    bad.emplace_back(Device(name), "devices");
  }
  bad.emplace_back(Json{{"payload_identifier", kWifi}, {"devices", {"A", "a"}}}, "devices");
  Json absent = Everybody();
  absent["presence"] = "absent";
  absent["payload_uuid"] = world.uuid;
  bad.emplace_back(absent, "payload_uuid");
  for (const auto& [body, field] : bad) {
    const ApiAnswer refused = world.service.Post("/assignments", body);
    INFO(body.dump().substr(0, 300) << " -> " << refused.body);
    CHECK(refused.status == 400);
    CHECK(refused.Names(field));
  }
  CHECK(Assigned(world.service) == 0);
}

TEST_CASE("a body that is no JSON object is refused") {
  Service service;
  const std::string deep = std::string(400'000, '[');
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("1"),
        std::string("{\"a\":1,}"), std::string("\xff\xfe"), deep,
        std::string(R"({"target":"all","target":"all","payload_identifier":"x"})"),
        std::string(R"({"target":"all","payload_identifier":"\ud800"})")}) {
    const ApiAnswer refused = service.PostText("/assignments", body);
    INFO(body.substr(0, 80));
    CHECK(refused.status == 400);
  }
  CHECK(service.PostText("/assignments", R"({"a":1,"a":2})").Names("a"));
  CHECK(service.PostText("/profiles", "{\"profiles\":" + std::string(1'000'000, '[')).status ==
        400);
  CHECK(service.PostText("/assignments", std::string(2'000'000, ' ')).status == 413);
}

TEST_CASE("absent may adopt, and sources do not change each other's assignments") {
  Fixture world;
  Json absent = Everybody("com.example.foreign");
  absent["presence"] = "absent";
  absent["adopt"] = true;
  const ApiAnswer stored = world.service.Post("/assignments", absent);
  INFO(stored.body);
  REQUIRE(stored.status == 200);
  CHECK(stored.json["assignments"][0]["adopt"] == true);
  absent["source"] = "another";
  const ApiAnswer refused = world.service.Post("/assignments", absent);
  CHECK(refused.status == 409);
  CHECK(refused.body.find("api") != std::string::npos);
}

TEST_CASE("UDID and serial number of one device must not contradict each other") {
  Fixture world;
  Service& service = world.service;
  REQUIRE(service.Post("/assignments", Device(world.udid())).status == 200);
  CHECK(service.Post("/assignments", Device(world.serial())).status == 200);
  Json absent = Device(world.serial());
  absent["presence"] = "absent";
  CHECK(service.Post("/assignments", absent).status == 409);
  absent["devices"] = {"ANOTHER"};
  CHECK(service.Post("/assignments", absent).status == 200);
  CHECK(Assigned(service) == 3);
}

TEST_CASE("a device answers to UDID and serial number; the explanation says why") {
  Fixture world;
  Service& service = world.service;
  REQUIRE(service.Post("/assignments", Everybody()).status == 200);
  for (const std::string& name : {world.udid(), world.serial(), ToLowerAscii(world.udid())}) {
    const ApiAnswer device = service.Get("/devices/" + name);
    REQUIRE(device.status == 200);
    CHECK(device.json["serial_number"] == world.serial());
    CHECK(device.json["items"].size() == 1);
    const ApiAnswer item = service.Get("/devices/" + name + "/items/" + kWifi);
    REQUIRE(item.status == 200);
    CHECK_FALSE(item.json["reason"].get<std::string>().empty());
    CHECK(item.json["due_at"].is_string());
  }
  CHECK(service.Get("/devices/" + world.udid() + "/items/com.example.none").status == 404);
}

TEST_CASE("unknown and impossible devices are 404 or 400 on every route, never an accident") {
  Fixture world;
  for (const char* name : {"unknown", "a%2Fb", "%22", "%27%20OR%201=1", "%00", "%FF", "%0A"}) {
    for (const auto& [method, rest] :
         std::vector<std::pair<std::string, std::string>>{{"GET", ""},
                                                          {"GET", "/items/x"},
                                                          {"POST", "/items/x/retry"},
                                                          {"POST", "/push"},
                                                          {"POST", "/reconcile"},
                                                          {"POST", "/release"}}) {
      const ApiAnswer refused = world.service.Send(
          method, fmt::format("/api/v1/devices/{}{}", name, rest), method == "POST" ? "{}" : "");
      INFO(method << " " << name << rest << " -> " << refused.body);
      CHECK((refused.status == 404 || refused.status == 400));
      CHECK(refused.content_type == "application/problem+json");
    }
    CHECK(world.service.Get(fmt::format("/events?device={}", name)).status >= 400);
  }
  CHECK(world.service.Get("/devices/" + std::string(5'000, 'x')).status == 400);
  CHECK(world.service.Get("/devices/" + std::string(10'000, 'x')).status >= 400);
  CHECK(world.service.Get("/status").status == 200);
}

TEST_CASE("pages of a list of devices hold each device once") {
  Service service;
  for (std::size_t i = 0; i < 250; ++i) {
    Enroll(service.store(), MakeMac(i), service.clock().Now());
  }
  std::set<std::string> seen;
  std::string path = "/devices?limit=40";
  for (int pages = 0; pages < 10; ++pages) {
    const ApiAnswer page = service.Get(path);
    REQUIRE(page.status == 200);
    for (const Json& device : page.json["devices"]) {
      CHECK(seen.insert(device["enrollment_id"].get<std::string>()).second);
    }
    if (page.json["next"].is_null()) break;
    path = "/devices?limit=40&after=" + EncodePathSegment(page.json["next"].get<std::string>());
  }
  CHECK(seen.size() == 250);
  for (const char* query : {"limit=0", "limit=1001", "limit=x", "limit=-1", "status=none",
                            "item_state=none", "colour=red"}) {
    CHECK(service.Get(std::string("/devices?") + query).status == 400);
  }
  CHECK(service.Get("/devices?serial_number=" + MakeMac(3).facts().serial_number)
            .json["devices"]
            .size() == 1);
  CHECK(service.Get("/devices?status=quarantined").json["devices"].empty());
  CHECK(service.Get("/events?after=x").status == 400);
}

TEST_CASE(
    "reconcile asks for a fresh report, and a device that is not quarantined stays as it is") {
  Fixture world;
  const EnrollmentId id = world.mac.enrollment_id();
  CHECK(world.service.Post("/devices/" + world.serial() + "/reconcile").status == 202);
  CHECK(director_test::SnapshotOf(world.service.store(), id).enrollment.report_wanted_at);
  CHECK(world.service.Post("/devices/" + world.serial() + "/release").status == 409);
  // Nobody listens at the MDM server's address.
  CHECK(world.service.Post("/devices/" + world.serial() + "/push").status == 502);
}

TEST_CASE("a new API key of the MDM server needs no restart") {
  director_test::TempFolder folder;
  FakeServer mdm([](const SeenRequest&) { return Answer(200, "{}"); });
  Config config = director_test::MakeTestConfig(mdm.Url());
  config.upstreams.front().api_key = SecretSource::FromFile(folder.Write("key", "one\n"));
  Service service(config);
  const VirtualDevice mac = MakeMac(1);
  Enroll(service.store(), mac, service.clock().Now());
  const auto key_at_push = [&] {
    service.Post("/devices/" + mac.facts().serial_number + "/push");
    return mdm.Requests().back().headers.at("authorization");
  };
  CHECK(key_at_push() == "Basic " + EncodeBase64("nanomdm:one"));
  folder.Write("key", "two\n");
  // What the loop has on its way may still have the old one.
  CHECK(test::WaitFor([&] { return key_at_push() == "Basic " + EncodeBase64("nanomdm:two"); }));
}

TEST_CASE("a quarantined device is released into a new epoch") {
  Fixture world;
  const EnrollmentId id = world.mac.enrollment_id();
  Enrollment enrollment = director_test::SnapshotOf(world.service.store(), id).enrollment;
  enrollment.status = EnrollmentStatus::kQuarantined;
  enrollment.quarantine_reason = "another serial number";
  director_test::WriteTo(world.service.store(),
                         [&](StoreWriter& writer) { return writer.SaveEnrollments({enrollment}); });
  CHECK(world.service.Get("/devices?status=quarantined").json["devices"].size() == 1);
  CHECK(world.service.Post("/devices/" + world.udid() + "/release").status == 204);
  const ApiAnswer device = world.service.Get("/devices/" + world.udid());
  CHECK(device.json["status"] == "enrolled");
  CHECK(device.json["quarantine_reason"] == "");
  CHECK(device.json["epoch"] == enrollment.epoch + 1);
}

TEST_CASE("a parked item is tried again on request, and the events tell of it") {
  Fixture world;
  Service& service = world.service;
  REQUIRE(service.Post("/assignments", Everybody()).status == 200);
  const std::string item = "/devices/" + world.serial() + "/items/" + kWifi;
  REQUIRE(test::WaitFor([&] {
    return !director_test::SnapshotOf(service.store(), world.mac.enrollment_id()).items.empty();
  }));
  CHECK(service.Post(item + "/retry").status == 204);
  CHECK(service.Post("/devices/" + world.serial() + "/items/none/retry").status == 404);
  const ApiAnswer events = service.Get("/events?device=" + world.serial());
  const std::string text = events.json["events"].dump();
  CHECK(text.find("is tried again on request") != std::string::npos);
  CHECK(service.Get("/events?limit=1").json["events"].size() == 1);
}

}  // namespace
}  // namespace director::director_api_test
