// strict_compat: who says push_now is answered when the commands have left. First on one thread in
// virtual time, where the loop runs only while a request waits; then as a service.
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <string>

#include "base/text.h"
#include "director/departures.h"
#include "simulator/mdm_server.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"
#include "tests/support/mdmdirector_client.h"
#include "tests/support/mdmdirector_service.h"
#include "tests/support/wait_for.h"
#include "tests/unit/upstream_fake_server.h"

namespace director::director_mdmdirector_strict_test {
namespace {

using director_test::CoreWire;
using director_test::MakeMobileconfig;
using director_test::MdmDirectorClient;
using director_test::World;
using director_test::WriteTo;
using Json = nlohmann::ordered_json;

const std::string kWifi = "com.example.wifi";

/// Macs that have just enrolled and are awake.
struct StrictFleet {
  explicit StrictFleet(std::size_t macs = 1, Departures::Limits limits = {}) : world(macs) {
    world.SessionOfEach();
    world.Settle();
    world.Run(std::chrono::seconds(1));
    departures = std::make_unique<Departures>(*world.store, world.upstreams, limits,
                                              [this](Duration) { Wait(); });
    client = std::make_unique<MdmDirectorClient>(*world.store, world.upstreams, world.clock,
                                                 departures.get());
  }

  void Wait() {
    ++waits;
    if (loop_runs) world.Settle();
    if (after_wait) after_wait();
  }
  Json Udids() const {
    Json udids = Json::array();
    for (std::size_t i = 0; i < world.devices.size(); ++i) udids.push_back(world.id(i).value());
    return udids;
  }
  HttpServerResponse Post(const Json& more = {{"push_now", true}}) {
    Json body{{"udids", Udids()},
              {"profiles", {EncodeBase64(MakeMobileconfig(kWifi))}},
              {"metadata", true}};
    body.update(more);
    return client->Send("POST", "/profile", body.dump());
  }
  /// Until the devices show it.
  void Install() {
    REQUIRE(Post().status == 200);
    for (int sessions = 0; !world.IsVerified(0, kWifi); ++sessions) {
      REQUIRE(sessions < 10);
      world.Run(std::chrono::minutes(1));
      world.SessionOfEach();
      world.Settle();
    }
    waits = 0;
  }
  HttpServerResponse Delete() {
    const Json body{{"udids", Udids()},
                    {"profiles", {{{"payload_identifier", kWifi}}}},
                    {"push_now", true},
                    {"metadata", true}};
    return client->Send("DELETE", "/profile", body.dump());
  }
  static Json MetadataOf(const HttpServerResponse& response) {
    INFO(response.status << " " << response.body);
    CHECK(response.status == 200);
    return Json::parse(response.body);
  }
  static std::string StatusOf(const HttpServerResponse& response, std::size_t index = 0) {
    return MetadataOf(response)[index]["profile_metadata"][0]["status"].get<std::string>();
  }

  World world;
  std::unique_ptr<Departures> departures;
  std::unique_ptr<MdmDirectorClient> client;
  bool loop_runs = true;
  std::function<void()> after_wait;
  int waits = 0;
};

TEST_CASE("strict: push_now is answered when the commands have left, and only then") {
  StrictFleet fleet(2);
  CHECK(fleet.StatusOf(fleet.Post()) == "pushed");
  CHECK(fleet.waits == 1);
  CHECK(fleet.world.CountEnqueued("InstallProfile") == 2);
  CHECK(fleet.StatusOf(fleet.Post()) == "unchanged");
  CHECK(fleet.StatusOf(fleet.Post({{"push_now", false}})) == "unchanged");
  CHECK(fleet.waits == 1);
}

TEST_CASE("strict: without push_now, and for all devices, nobody waits") {
  StrictFleet fleet;
  CHECK(fleet.StatusOf(fleet.Post({{"push_now", false}})) == "saved");
  CHECK(fleet.Post({{"udids", {"*"}}, {"push_now", true}}).body == "null");
  CHECK(fleet.waits == 0);
}

TEST_CASE("strict: of a sleeping device only the question is waited for") {
  StrictFleet fleet;
  fleet.world.Run(std::chrono::hours(1));
  const std::size_t asked = fleet.world.CountEnqueued("ProfileList");
  CHECK(fleet.StatusOf(fleet.Post()) == "pushed");
  CHECK(fleet.waits == 1);
  CHECK(fleet.world.CountEnqueued("ProfileList") == asked + 1);
  CHECK(fleet.world.CountEnqueued("InstallProfile") == 0);
}

TEST_CASE("strict: an MDM server that is away is not told by POST, as in MDMDirector") {
  StrictFleet fleet;
  fleet.world.wire->fault = CoreWire::Fault::kDown;
  CHECK(fleet.StatusOf(fleet.Post()) == "pushed");
  CHECK(fleet.waits == 1);
}

TEST_CASE("strict: DELETE is answered when the RemoveProfile has left") {
  StrictFleet fleet;
  fleet.Install();
  CHECK(fleet.StatusOf(fleet.Delete()) == "deleted");
  CHECK(fleet.waits == 1);
  CHECK(fleet.world.CountEnqueued("RemoveProfile") == 1);
  CHECK(fleet.StatusOf(fleet.Delete()) == "unchanged");
}

TEST_CASE("strict: an MDM server that is away makes DELETE 500 with metadata null") {
  StrictFleet fleet;
  fleet.Install();
  fleet.world.wire->fault = CoreWire::Fault::kDown;
  const HttpServerResponse first = fleet.Delete();
  CHECK(first.status == 500);
  CHECK(first.body ==
        "Internal Server Error\n[\n    {\n        \"profile_metadata\": null\n    }\n]");
  CHECK(first.headers.at("X-Content-Type-Options") == "nosniff");
  // What is wanted is stored, and delivered when the server is back.
  CHECK(fleet.StatusOf(fleet.Delete()) == "unchanged");
}

TEST_CASE("strict: an answer that was lost is no proof, and DELETE says 500") {
  StrictFleet fleet;
  fleet.Install();
  fleet.world.wire->fault = CoreWire::Fault::kLoseAnswers;
  CHECK(fleet.Delete().status == 500);
}

TEST_CASE("strict: what has left is deleted, though the MDM server goes away at once") {
  StrictFleet fleet;
  fleet.Install();
  fleet.after_wait = [&] {
    fleet.world.upstreams.Find(director_test::kServer)
        ->health.RecordFailure(fleet.world.clock.Now(), "gone");
  };
  CHECK(fleet.StatusOf(fleet.Delete()) == "deleted");
  CHECK(fleet.world.CountEnqueued("RemoveProfile") == 1);
}

TEST_CASE("strict: a question that the MDM server refuses is no removal that failed") {
  StrictFleet fleet;
  fleet.Install();
  fleet.world.Run(std::chrono::hours(1));
  fleet.world.wire->fault = CoreWire::Fault::kRefuse;
  CHECK(fleet.StatusOf(fleet.Delete()) == "deleted");
  CHECK(fleet.waits == 1);
  StrictFleet awake;
  awake.Install();
  awake.world.wire->fault = CoreWire::Fault::kRefuse;
  CHECK(awake.Delete().status == 500);
}

TEST_CASE("strict: a question that finds the MDM server away is a removal that failed") {
  StrictFleet fleet;
  fleet.Install();
  fleet.world.Run(std::chrono::hours(1));
  fleet.world.wire->fault = CoreWire::Fault::kDown;
  CHECK(fleet.Delete().status == 500);
}

TEST_CASE("strict: more devices than one look takes are all waited for") {
  StrictFleet fleet(201);
  const HttpServerResponse response = fleet.Post();
  const Json devices = fleet.MetadataOf(response);
  REQUIRE(devices.size() == 201);
  CHECK(fleet.waits == 1);
  CHECK(fleet.world.CountEnqueued("InstallProfile") == 201);
  CHECK(fleet.MetadataOf(fleet.Delete()).size() == 201);
}

TEST_CASE("strict: only the devices whose commands have not left are told nothing about") {
  StrictFleet fleet(2);
  WriteTo(*fleet.world.store, [&](StoreWriter& writer) -> Status {
    auto found = writer.LoadEnrollments({fleet.world.id(1)});
    REQUIRE(found);
    found->front().upstream = UpstreamName("gone");
    return writer.SaveEnrollments(*found);
  });
  const HttpServerResponse response = fleet.Delete();
  CHECK(response.status == 500);
  const std::string head = "Internal Server Error\n";
  REQUIRE(response.body.starts_with(head));
  const Json devices = Json::parse(response.body.substr(head.size()));
  CHECK(devices[0]["profile_metadata"][0]["status"] == "deleted");
  CHECK(devices[1]["profile_metadata"].is_null());
}

TEST_CASE("strict: the wait ends when its time is up") {
  StrictFleet fleet(1, {.waiting_max = 1, .time_max = std::chrono::milliseconds(20)});
  fleet.loop_runs = false;
  CHECK(fleet.StatusOf(fleet.Post()) == "pushed");
  CHECK(fleet.Delete().status == 500);
  CHECK(fleet.waits > 1);
}

TEST_CASE("strict: one request more than may wait is answered at once") {
  StrictFleet fleet(1, {.waiting_max = 0});
  CHECK(fleet.StatusOf(fleet.Post()) == "pushed");
  CHECK(fleet.StatusOf(fleet.Delete()) == "deleted");
  CHECK(fleet.waits == 0);
}

TEST_CASE("strict: lock and erase wait, too, and say nothing of a failure") {
  StrictFleet fleet;
  const Json body{{"udids", fleet.Udids()}, {"value", true}, {"push_now", true}};
  CHECK(fleet.client->Send("POST", "/device/command/device_lock", body.dump()).status == 200);
  CHECK(fleet.waits == 1);
  CHECK(fleet.world.CountEnqueued("DeviceLock") == 1);
  fleet.world.wire->fault = CoreWire::Fault::kDown;
  Json later = body;
  later["push_now"] = false;
  CHECK(fleet.client->Send("POST", "/device/command/device_lock", later.dump()).status == 200);
  CHECK(fleet.waits == 1);
  CHECK(fleet.client->Send("POST", "/device/command/device_lock", body.dump()).status == 200);
}

TEST_CASE("strict_compat makes the service wait for the MDM server, and nothing else does") {
  const bool strict = GENERATE(true, false);
  std::promise<void> arrived;
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::atomic<bool> has_arrived = false;
  std::atomic<bool> has_answered = false;
  const FakeServer server([&](const SeenRequest& request) {
    const bool is_install = request.body.find("InstallProfile") != std::string::npos;
    if (is_install && !has_arrived.exchange(true)) arrived.set_value();
    if (is_install) released.wait_for(test::kPatience);
    has_answered = has_answered || is_install;
    return Answer(200, "{}");
  });
  Config config = director_test::CompatibleConfig();
  config.upstreams[0].url = server.Url();
  config.strict_compat = strict;
  director_test::CompatibleService service(config);
  auto answer = std::async(std::launch::async, [&] {
    Json body = service.ToMac();
    body["push_now"] = true;
    const auto response = service.PostProfile(body, MakeMobileconfig(kWifi));
    return std::pair(response.status, has_answered.load());
  });
  if (!strict) CHECK(answer.get() == std::pair(200, false));
  REQUIRE(arrived.get_future().wait_for(test::kPatience) == std::future_status::ready);
  release.set_value();
  if (strict) CHECK(answer.get() == std::pair(200, true));
}

}  // namespace
}  // namespace director::director_mdmdirector_strict_test
