// The paths of MDMDirector over real HTTP: sessions of its clients, and each fault that is mended.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "base/text.h"
#include "mdm/command.h"
#include "mdm/mdmdirector_document.h"
#include "simulator/mdm_server.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"
#include "tests/support/director_world.h"
#include "tests/support/golden_session.h"
#include "tests/support/mdmdirector_client.h"
#include "tests/support/mdmdirector_service.h"

namespace director::director_mdmdirector_test {
namespace {

using Json = nlohmann::ordered_json;
using director_test::ApiAnswer;
using director_test::CompatibleConfig;
using director_test::MakeMobileconfig;
using director_test::Service;
using Fixture = director_test::CompatibleService;

const std::string kWifi = "com.example.wifi";

void CheckHas(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
}

std::string StatusOf(const ApiAnswer& answer) {
  INFO(answer.status << " " << answer.body);
  REQUIRE(answer.json.is_array());
  return answer.json[0]["profile_metadata"][0]["status"].get<std::string>();
}

void Replay(Fixture& world, const std::string& name) {
  director_test::ReplaySession(
      name, world.udid(), world.mac.facts().serial_number,
      [&](const std::string& method, const std::string& path, const std::string& body) {
        const ApiAnswer answer = world.Send(method, path, body);
        return std::pair(answer.status, answer.body);
      });
}

TEST_CASE("the Puppet module's session is answered as by MDMDirector") {
  Fixture world;
  Replay(world, "puppet.json");
}

TEST_CASE("the Go client's session is answered as by MDMDirector") {
  Fixture world;
  Replay(world, "go_client.json");
}

TEST_CASE("the scripts for apps, and the NanoMDM lab, are answered as by MDMDirector") {
  Fixture world;
  const char* session = GENERATE("app_scripts.json", "nanomdmsandbox.json");
  Replay(world, session);
}

TEST_CASE("the scripts' session is answered as by MDMDirector") {
  const SystemClock clock;
  MdmServerSettings settings;
  settings.api_key = Secret("key");
  auto server = MdmServer::Start(settings, clock);
  REQUIRE(server);
  Config config = CompatibleConfig();
  config.upstreams[0].url = (*server)->url();
  Fixture world(config);
  for (const DeviceMessage& message : {world.mac.MakeAuthenticate(), world.mac.MakeTokenUpdate()}) {
    REQUIRE((*server)->HandleDevice({std::string(kCheckinContentType), message.body, {}}).status ==
            200);
  }
  Replay(world, "scripts.json");
}

TEST_CASE("answers are written as Go writes them") {
  Fixture world;
  world.PostProfile({{"udids", {"*"}}}, MakeMobileconfig("com.example.<&>\u2028"));
  const ApiAnswer answer = world.Send("GET", "/profile");
  CHECK(answer.content_type == "text/plain; charset=utf-8");
  CHECK(answer.body.starts_with("[\n    {\n        \"ID\": \""));
  CHECK(answer.body.ends_with("\n    }\n]"));
  CheckHas(answer.body, R"("com.example.\u003c\u0026\u003e\u2028")");
  const ApiAnswer refused = world.service.Send("GET", "/profile", "", "", {{"Authorization", "x"}});
  CHECK(refused.status == 401);
  CHECK(refused.body == "Unauthorised.\n");
}

TEST_CASE("only the user mdmdirector with its password gets in") {
  Fixture world;
  const auto status = [&](const std::string& authorization) {
    return world.service.Send("GET", "/device", "", "", {{"Authorization", authorization}}).status;
  };
  CHECK(status("Basic " + EncodeBase64("mdmdirector:word")) == 200);
  CHECK(status("basic " + EncodeBase64("mdmdirector:word")) == 200);
  CHECK(status("Basic " + EncodeBase64("mdmdirector:wrong")) == 401);
  CHECK(status("Basic " + EncodeBase64("director:word")) == 401);
  CHECK(status(std::string("Bearer ") + director_test::kToken) == 401);
  CHECK(status("Basic ???") == 401);
}

TEST_CASE("without its password none of MDMDirector's paths are there") {
  Service service;
  CHECK(service.Send("GET", "/profile").status == 404);
  CHECK(service.Send("GET", "/health").status == 404);
}

TEST_CASE("a device's profile keeps the PayloadUUID that MDMDirector gave it") {
  Fixture world;
  const std::string mobileconfig = MakeMobileconfig(kWifi);
  const ApiAnswer answer = world.PostProfile(world.ToMac(), mobileconfig);
  const auto document = ForOneDevice(mobileconfig);
  REQUIRE(document);
  CHECK(answer.json[0]["profile_metadata"][0]["hashed_payload_uuid"] == document->payload_uuid);
  const ApiAnswer sent =
      world.service.Send("GET", "/api/v1/profiles/" + document->payload_uuid + "/mobileconfig");
  CHECK(sent.body == document->mobileconfig);
}

TEST_CASE("a device's own profile stands above the one for all") {
  Fixture world;
  world.PostProfile({{"udids", {"*"}}}, MakeMobileconfig(kWifi, "All"));
  CHECK(StatusOf(world.PostProfile(world.ToMac(), MakeMobileconfig(kWifi, "Own"))) == "saved");
  CHECK(world.Assignments().size() == 2);
  const auto own = ForOneDevice(MakeMobileconfig(kWifi, "Own"));
  const auto wanted = [&](const VirtualDevice& device) {
    Snapshot snapshot =
        director_test::SnapshotOf(world.service.store(), EnrollmentId(device.facts().udid));
    const auto narrow = std::find_if(
        snapshot.assignments.begin(), snapshot.assignments.end(),
        [](const auto& assignment) { return assignment.target_kind == TargetKind::kDevice; });
    return narrow == snapshot.assignments.end() ? "" : narrow->payload_uuid.value();
  };
  CHECK(wanted(world.mac) == ToUpperAscii(own->payload_uuid));
  CHECK(wanted(world.other).empty());
}

TEST_CASE("what MDMDirector installed is not installed again") {
  const bool for_all = GENERATE(false, true);
  director_test::World world;
  const std::string mobileconfig = MakeMobileconfig(kWifi);
  const auto document = for_all ? ForAllDevices(mobileconfig) : ForOneDevice(mobileconfig);
  REQUIRE(document);
  const std::string before =
      EncodeCommand(InstallProfileCommand{document->mobileconfig}, CommandUuid("BEFORE"));
  REQUIRE(world.devices[0].Execute(before, world.clock.Now()));
  REQUIRE(world.devices[0].FindProfile(PayloadIdentifier(kWifi)) != nullptr);
  world.SessionOfEach();
  world.Run(std::chrono::minutes(10));

  director_test::MdmDirectorClient client(*world.store, world.upstreams, world.clock);
  const Json body{{"udids", {for_all ? "*" : world.id(0).value()}},
                  {"profiles", {EncodeBase64(mobileconfig)}}};
  REQUIRE(client.Send("POST", "/profile", body.dump()).status == 200);
  world.Run(std::chrono::hours(48));

  const Snapshot snapshot = director_test::SnapshotOf(*world.store, world.id(0));
  REQUIRE(snapshot.items.size() == 1);
  CHECK(snapshot.items[0].state == ItemState::kVerified);
  CHECK(snapshot.items[0].payload_uuid.value() == ToUpperAscii(document->payload_uuid));
  const auto happenings = director_test::ReadFrom(*world.store, [](StoreReader& reader) {
    return reader.ListHappenings({}, {"", 1000});
  });
  for (const Happening& happening : happenings) CHECK(happening.kind != "command");
}

// What MDMDirector does wrong, and Director does not.

TEST_CASE("fault: an unknown UDID answered 500 after half of the work") {
  Fixture world;
  const ApiAnswer answer =
      world.PostProfile({{"udids", {world.udid(), "NOPE"}}}, MakeMobileconfig(kWifi));
  CHECK(answer.status == 404);
  CheckHas(answer.body, "NOPE");
  CHECK(world.Assignments().empty());
  CHECK(world.Send("GET", "/device/NOPE").status == 404);
  CHECK(world.Send("GET", "/profile/NOPE").status == 404);
}

TEST_CASE("fault: a device without profiles was shown those of all others") {
  Fixture world;
  world.PostProfile(world.ToMac(), MakeMobileconfig(kWifi));
  const ApiAnswer answer = world.Send("GET", "/profile/" + world.other.facts().udid);
  CHECK(answer.status == 200);
  CHECK(answer.body == "[]");
}

TEST_CASE("fault: one broken profile of several left the others stored") {
  Fixture world;
  const Json body{{"udids", {world.udid()}},
                  {"profiles", {EncodeBase64(MakeMobileconfig(kWifi)), EncodeBase64("<plist>")}}};
  const ApiAnswer answer = world.Send("POST", "/profile", body);
  CHECK(answer.status == 400);
  CHECK(answer.body.starts_with("profiles[1]"));
  CHECK(world.Assignments().empty());
  CHECK(world.service.Get("/profiles").json["profiles"].empty());
}

TEST_CASE("fault: deletions with bad JSON or without identifier were answered 200") {
  Fixture world;
  world.PostProfile(world.ToMac(), MakeMobileconfig(kWifi));
  CHECK(world.Send("DELETE", "/profile", std::string("{")).status == 400);
  for (const Json& entry : {Json{{"payload_identifier", ""}}, Json{{"payload_identifier", nullptr}},
                            Json::object(), Json(kWifi)}) {
    const Json body{{"udids", {world.udid()}}, {"profiles", {entry}}};
    const ApiAnswer answer = world.Send("DELETE", "/profile", body);
    INFO(body.dump() << " " << answer.body);
    CHECK(answer.status == 400);
  }
  REQUIRE(world.Assignments().size() == 1);
  CHECK(world.Assignments()[0].presence == Presence::kPresent);
}

TEST_CASE("fault: push_now was ignored when a shared profile was deleted") {
  Fixture world;
  world.PostProfile({{"udids", {"*"}}}, MakeMobileconfig(kWifi));
  const Json body{
      {"udids", {"*"}}, {"profiles", {{{"Payload_Identifier", kWifi}}}}, {"push_now", true}};
  CHECK(world.Send("DELETE", "/profile", body).body.empty());
  REQUIRE(world.Assignments().size() == 1);
  CHECK(world.Assignments()[0].presence == Presence::kAbsent);
  CHECK(world.Assignments()[0].adopt);
}

TEST_CASE("no target is not all devices, and uuids is no key") {
  Fixture world;
  const std::string mobileconfig = MakeMobileconfig(kWifi);
  for (const Json& target :
       {Json::object(), Json{{"udids", Json::array()}}, Json{{"udids", nullptr}},
        Json{{"udids", Json::array()}, {"serial_numbers", {world.mac.facts().serial_number}}},
        Json{{"serial_numbers", {"UNKNOWN"}}}}) {
    const ApiAnswer answer = world.PostProfile(target, mobileconfig);
    INFO(target.dump());
    CHECK(answer.status == 200);
    CHECK(answer.body == "null");
  }
  const ApiAnswer mistaken = world.PostProfile({{"uuids", {world.udid()}}}, mobileconfig);
  CHECK(mistaken.status == 400);
  CheckHas(mistaken.body, "udids");
  const Json nobody{{"profiles", {{{"payload_identifier", kWifi}}}}, {"metadata", true}};
  CHECK(world.Send("DELETE", "/profile", nobody).body == "null");
  CHECK(world.Assignments().empty());
}

TEST_CASE("what nobody shared is not withdrawn from all") {
  Fixture world;
  const Json body{{"udids", {"*"}}, {"profiles", {{{"payload_identifier", kWifi}}}}};
  CHECK(world.Send("DELETE", "/profile", body).status == 200);
  CHECK(world.Assignments().empty());
}

TEST_CASE("a wildcard behind a UDID is a UDID that nobody has") {
  Fixture world;
  CHECK(world.PostProfile({{"udids", {world.udid(), "*"}}}, MakeMobileconfig(kWifi)).status == 404);
  CHECK(world.Assignments().empty());
}

TEST_CASE("enrollment profiles and what no device would take are refused") {
  Fixture world;
  PlistDict profile = director_test::MakeProfileDict(kWifi);
  profile.Erase("PayloadType");
  const ApiAnswer answer = world.PostProfile(world.ToMac(), EncodePlistXml(profile));
  CHECK(answer.status == 400);
  CHECK(answer.body.starts_with("profiles[0].PayloadType"));
  PlistDict enrollment = director_test::MakeProfileDict(kWifi);
  PlistDict mdm;
  mdm.Set("PayloadType", std::string(kMdmPayloadType));
  PlistArray content;
  content.push_back(mdm);
  enrollment.Set("PayloadContent", content);
  CHECK(world.PostProfile(world.ToMac(), EncodePlistXml(enrollment)).status == 400);
  const std::string mobileconfig = MakeMobileconfig(kWifi);
  const Json twice{{"udids", {world.udid()}},
                   {"profiles", {EncodeBase64(mobileconfig), EncodeBase64(mobileconfig)}}};
  CHECK(world.Send("POST", "/profile", twice).status == 400);
}

TEST_CASE("another owner's assignment is not taken over") {
  Fixture world;
  Service& service = world.service;
  service.Upload(MakeMobileconfig(kWifi, "CI"));
  REQUIRE(service
              .Post("/assignments",
                    {{"payload_identifier", kWifi}, {"devices", {world.mac.facts().serial_number}}})
              .status == 200);
  const ApiAnswer answer = world.PostProfile(world.ToMac(), MakeMobileconfig(kWifi, "Puppet"));
  CHECK(answer.status == 409);
  CheckHas(answer.body, "source api");
  CHECK(world.Assignments().size() == 1);
}

TEST_CASE(
    "ours under another name of the device gives way, and a repeated request writes nothing") {
  Fixture world;
  REQUIRE(world.service
              .Post("/profiles?source=mdmdirector",
                    {{"profiles", {{{"mobileconfig", EncodeBase64(MakeMobileconfig(kWifi))}}}}})
              .status == 201);
  REQUIRE(world.service
              .Post("/assignments", {{"payload_identifier", kWifi},
                                     {"devices", {world.mac.facts().serial_number}},
                                     {"source", "mdmdirector"}})
              .status == 200);
  CHECK(StatusOf(world.PostProfile(world.ToMac(), MakeMobileconfig(kWifi))) == "saved");
  REQUIRE(world.Assignments().size() == 1);
  CHECK(world.Assignments()[0].target == world.udid());
  const Timestamp assigned_at = world.Assignments()[0].assigned_at;
  CHECK(StatusOf(world.PostProfile(world.ToMac(), MakeMobileconfig(kWifi))) == "unchanged");
  CHECK(world.Assignments()[0].assigned_at == assigned_at);
}

TEST_CASE("a repeated request costs one read, whether it names a device or everybody") {
  director_test::FaultyStore store(director_test::OpenStore());
  const SystemClock clock;
  for (std::size_t i = 0; i < 3; ++i) {
    director_test::Enroll(store, director_test::MakeMac(i), clock.Now());
  }
  Upstreams upstreams;
  director_test::MdmDirectorClient client(store, upstreams, clock);
  const std::string name = GENERATE(std::string("*"), director_test::MakeMac(1).facts().udid);
  const std::string body = Json{
      {"udids", {name}},
      {"profiles", {EncodeBase64(MakeMobileconfig(kWifi))}},
      {"push_now", true},
      {"metadata", true}}.dump();
  REQUIRE(client.Send("POST", "/profile", body).status == 200);
  const int reads = store.reads();
  const int writes = store.writes();
  REQUIRE(client.Send("POST", "/profile", body).status == 200);
  CHECK(store.reads() - reads == 1);
  CHECK(store.writes() == writes);
}

TEST_CASE("a device that is named twice is changed once and answered twice") {
  Fixture world;
  REQUIRE(world.service
              .Post("/assignments", {{"payload_identifier", kWifi},
                                     {"devices", {world.mac.facts().serial_number}},
                                     {"presence", "absent"},
                                     {"source", "mdmdirector"}})
              .status == 200);
  const std::string mobileconfig = MakeMobileconfig(kWifi);
  const ApiAnswer answer =
      world.PostProfile({{"udids", {world.udid(), ToLowerAscii(world.udid())}}}, mobileconfig);
  CHECK(StatusOf(answer) == "saved");
  CHECK(answer.json.size() == 2);
  CHECK(world.Assignments().size() == 1);
}

TEST_CASE("two spellings of a key are refused") {
  Fixture world;
  const Json body{{"udids", {world.udid()}}, {"UDIDs", {"*"}}};
  const ApiAnswer answer = world.Send("POST", "/profile", body);
  CHECK(answer.status == 400);
  CheckHas(answer.body, "udids: stands twice");
}

TEST_CASE("a removal also takes what somebody else installed, whoever asked for it before") {
  Fixture world;
  REQUIRE(world.service
              .Post("/assignments", {{"payload_identifier", kWifi},
                                     {"devices", {world.udid()}},
                                     {"presence", "absent"},
                                     {"source", "mdmdirector"}})
              .status == 200);
  const Json body{{"udids", {world.udid()}},
                  {"profiles", {{{"payload_identifier", kWifi}}}},
                  {"metadata", true}};
  CHECK(StatusOf(world.Send("DELETE", "/profile", body)) == "deleted");
  CHECK(world.Assignments()[0].adopt);
  CHECK(StatusOf(world.Send("DELETE", "/profile", body)) == "unchanged");
}

TEST_CASE("HEAD is refused, for some of what GET does here is more than reading") {
  Fixture world;
  CHECK(world.Send("HEAD", "/device/push/" + world.udid()).status == 405);
}

TEST_CASE("keys may have any letter case and bodies any type") {
  Fixture world;
  const Json body{{"UDIDs", {world.udid()}},
                  {"Profiles", {EncodeBase64(MakeMobileconfig(kWifi, std::string(20'000, 'x')))}},
                  {"MetaData", true}};
  const ApiAnswer answer =
      world.Send("POST", "/profile", body.dump(), "application/x-www-form-urlencoded");
  CHECK(StatusOf(answer) == "saved");
}

}  // namespace
}  // namespace director::director_mdmdirector_test
