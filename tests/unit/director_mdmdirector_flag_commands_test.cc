// Lock and erase by MDMDirector's path: what a client sees, and what the Mac gets. Virtual Macs in
// virtual time.
#include <chrono>
#include <string>
#include <utility>

#include "mdm/command.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"
#include "tests/support/golden_session.h"
#include "tests/support/mdmdirector_client.h"

namespace director::director_mdmdirector_flag_commands_test {
namespace {

using director_test::CheckSays;
using director_test::MdmDirectorClient;
using director_test::ReadFrom;
using director_test::World;
using director_test::WriteTo;
using std::chrono::hours;
using std::chrono::minutes;
using Json = nlohmann::ordered_json;

/// Macs that enrolled and went quiet.
struct Fleet {
  explicit Fleet(std::size_t macs = 1)
      : world(macs), client(*world.store, world.upstreams, world.clock) {
    world.SessionOfEach();
    world.Run(hours(1));
  }

  HttpServerResponse Set(const std::string& flag, bool value, const Json& more = Json::object(),
                         std::size_t index = 0) {
    Json body{{"udids", {world.id(index).value()}}, {"value", value}, {"push_now", true}};
    body.update(more);
    HttpServerResponse response = client.Send("POST", "/device/command/" + flag, body.dump());
    world.Settle();
    return response;
  }
  Json Device(std::size_t index = 0) {
    return Json::parse(client.Send("GET", "/device/" + world.id(index).value()).body);
  }
  std::vector<Proposal> Open() {
    return ReadFrom(*world.store, [](StoreReader& reader) {
      return reader.ListProposals({.only_open = true}, {"", 100});
    });
  }

  World world;
  MdmDirectorClient client;
};

TEST_CASE("the lock and erase scripts' session is answered as by MDMDirector") {
  Fleet fleet;
  director_test::ReplaySession(
      "lock_scripts.json", fleet.world.id(0).value(), fleet.world.devices[0].facts().serial_number,
      [&](const std::string& method, const std::string& path, const std::string& body) {
        const HttpServerResponse response = fleet.client.Send(method, path, body);
        return std::pair(response.status, response.body);
      });
  CHECK(fleet.Open().empty());
}

TEST_CASE("a flag is a proposal that repeats, and is shown in the device") {
  Fleet fleet;
  CHECK(fleet.Device()["Lock"] == false);
  REQUIRE(fleet.Set("device_lock", true, {{"pin", "123456"}}).status == 200);
  REQUIRE(fleet.Open().size() == 1);
  CHECK(fleet.Open().front().repeats);
  CHECK(fleet.Open().front().source == "mdmdirector");
  CHECK(fleet.Device()["Lock"] == true);
  CHECK(fleet.Device()["Erase"] == false);
  const Json list = fleet.client.GetList("/device");
  CHECK(list[0]["Lock"] == true);
  fleet.world.Run(minutes(10));
  const auto sent = fleet.world.Enqueued("DeviceLock");
  REQUIRE(sent.size() == 1);
  CHECK(TextAt(DecodeCommand(sent.front().body)->body, "PIN") == "123456");
  CHECK(fleet.world.devices[0].is_locked());
}

TEST_CASE("fault: PINs were shown in clear to every client") {
  Fleet fleet;
  const Json made{{"udids", {fleet.world.id(0).value()}}, {"value", true}, {"pin", "493817"}};
  REQUIRE(fleet.client.Send("POST", "/device/command/device_lock", made.dump()).status == 200);
  fleet.world.Settle();      // asks and pushes
  fleet.world.WakePushed();  // awake: the lock goes into its queue
  fleet.world.Settle();
  REQUIRE(fleet.world.CountEnqueued("DeviceLock") == 1);
  const auto queue = fleet.client.Send("GET", "/device/" + fleet.world.id(0).value() + "/commands");
  const Json commands = Json::parse(queue.body)["commands"];
  REQUIRE_FALSE(commands.empty());
  std::string shown = fleet.Device().dump();
  for (const Json& command : commands) {
    shown += *DecodeBase64(command["payload"].get<std::string>());
  }
  CHECK(shown.find("DeviceLock") != std::string::npos);
  CHECK(shown.find("493817") == std::string::npos);
  CHECK(fleet.Device()["UnlockPin"] == "");
}

TEST_CASE("setting a flag again changes nothing, and value false takes it back") {
  Fleet fleet;
  REQUIRE(fleet.Set("erase_device", true).status == 200);
  const std::int64_t id = fleet.Open().front().proposal_id;
  REQUIRE(fleet.Set("erase_device", true).status == 200);
  REQUIRE(fleet.Open().size() == 1);
  CHECK(fleet.Open().front().proposal_id == id);
  REQUIRE(fleet.Set("device_lock", false).status == 200);
  CHECK(fleet.Open().size() == 1);
  REQUIRE(fleet.Set("erase_device", false).status == 200);
  CHECK(fleet.Open().empty());
  CHECK(fleet.Device()["Erase"] == false);
  fleet.world.Run(hours(48));
  CHECK(fleet.world.CountEnqueued("EraseDevice") == 0);
}

TEST_CASE("setting a flag again with another PIN says that the first one stays") {
  Fleet fleet;
  fleet.world.wire->fault = director_test::CoreWire::Fault::kDown;
  REQUIRE(fleet.Set("device_lock", true, {{"pin", "123456"}}).status == 200);
  CHECK(fleet.Set("device_lock", true, {{"pin", "123456"}}).status == 200);
  CHECK(fleet.Set("device_lock", true).status == 200);
  CheckSays(fleet.Set("device_lock", true, {{"pin", "654321"}}), 409, "another PIN");
  CHECK(fleet.Set("device_lock", false, {{"pin", "12"}}).status == 200);
  CHECK(fleet.Open().empty());
}

TEST_CASE("a flag that is taken back and set again while its command is on its way stays set") {
  Fleet fleet;
  REQUIRE(fleet.Set("device_lock", true).status == 200);
  fleet.world.WakePushed();
  fleet.world.Settle();
  REQUIRE(fleet.Open().front().state == ProposalState::kSent);
  CHECK(fleet.Set("device_lock", false).status == 200);
  CHECK(fleet.Set("device_lock", false).status == 200);
  CHECK(fleet.Open().front().cancelled_at);
  CHECK(fleet.Set("device_lock", true).status == 200);
  CHECK_FALSE(fleet.Open().front().cancelled_at);
}

TEST_CASE("an erase takes the place of a lock that waits") {
  Fleet fleet;
  fleet.world.wire->fault = director_test::CoreWire::Fault::kDown;
  REQUIRE(fleet.Set("device_lock", true).status == 200);
  REQUIRE(fleet.Set("erase_device", true).status == 200);
  REQUIRE(fleet.Open().size() == 1);
  CHECK(fleet.Open().front().kind == ProposalKind::kEraseDevice);
  CheckSays(fleet.Set("device_lock", true), 409, "an open proposal");
}

TEST_CASE("a lock takes the place of a restart that waits, not of one that is on its way") {
  Fleet fleet;
  const auto restart = [&] {
    WriteTo(*fleet.world.store, [&](StoreWriter& writer) -> Status {
      if (Status locked = writer.LockDesired(); !locked) return locked;
      ProposalRequest request;
      request.kind = ProposalKind::kRestartDevice;
      request.reason = "Stuck";
      const auto proposed = Propose(writer, fleet.world.secrets, ProposalLimits(),
                                    fleet.world.id(0), request, fleet.world.clock.Now());
      return proposed ? Status() : Fail(proposed.error());
    });
  };
  restart();
  REQUIRE(fleet.Set("device_lock", true).status == 200);
  REQUIRE(fleet.Open().size() == 1);
  CHECK(fleet.Open().front().kind == ProposalKind::kDeviceLock);
  REQUIRE(fleet.Set("device_lock", false).status == 200);
  restart();
  fleet.world.WakePushed();
  fleet.world.Settle();
  REQUIRE(fleet.Open().front().state == ProposalState::kSent);
  CheckSays(fleet.Set("device_lock", true), 409, "an open proposal");
}

TEST_CASE("fault: an erased Mac was erased again when it came back") {
  Fleet fleet;
  REQUIRE(fleet.Set("erase_device", true).status == 200);
  fleet.world.Run(minutes(30));
  REQUIRE(fleet.world.devices[0].epoch() == 2);
  fleet.world.Session(0);
  fleet.world.Run(hours(24));
  CHECK(fleet.Device()["Erase"] == false);
  CHECK(fleet.world.CountEnqueued("EraseDevice") == 1);
}

TEST_CASE("fault: an unknown device was answered with an empty one, and the others went on") {
  Fleet fleet(2);
  const Json both{{"udids", {fleet.world.id(0).value(), "NOBODY"}}};
  CheckSays(fleet.Set("device_lock", true, both), 404, "no device has the UDID NOBODY");
  CHECK(fleet.Open().empty());
}

TEST_CASE("a request that is wrong locks nobody") {
  Fleet fleet;
  CheckSays(fleet.Set("device_lock", true, {{"pin", "12"}}), 400, "six digits");
  CheckSays(fleet.Set("device_lock", true, {{"value", "yes"}}), 400, "true or false");
  CheckSays(fleet.client.Send("POST", "/device/command/device_lock",
                              R"({"uuids": ["X"], "value": true})"),
            400, "udids");
  CHECK(fleet.client.Send("POST", "/device/command/device_lock", "{}").status == 200);
  CHECK(fleet.Set("device_lock", true, {{"pin", ""}, {"udids", Json::array()}}).status == 200);
  CHECK(fleet.Open().empty());
}

TEST_CASE("more devices than the budget allows: none is locked") {
  Fleet fleet(3);
  fleet.client.limits.per_hour_max = 2;
  const Json all{
      {"udids", {fleet.world.id(0).value(), fleet.world.id(1).value(), fleet.world.id(2).value()}}};
  CheckSays(fleet.Set("device_lock", true, all), 422, "proposals_per_hour_max allows 2");
  CHECK(fleet.Open().empty());
}

}  // namespace
}  // namespace director::director_mdmdirector_flag_commands_test
