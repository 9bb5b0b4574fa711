// The queue of a device by MDMDirector's paths: what a client sees, and that the loop mends what it
// takes away. Virtual Macs in virtual time.
#include <chrono>
#include <string>

#include "base/text.h"
#include "mdm/command.h"
#include "reconciler/cleared_queue.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"
#include "tests/support/golden_session.h"
#include "tests/support/mdmdirector_client.h"
#include "tests/support/willing_upstream.h"

namespace director::director_mdmdirector_queue_test {
namespace {

using director_test::CheckSays;
using director_test::MdmDirectorClient;
using director_test::SnapshotOf;
using director_test::World;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Json = nlohmann::ordered_json;

const std::string kWifi = "com.example.wifi";

/// Macs that enrolled, are as desired, and sleep; then something new is wanted.
struct Fleet {
  explicit Fleet(std::size_t macs = 1) : world(macs), client(Client()) {
    world.SessionOfEach();
    world.Run(hours(1));
    world.Assign(kWifi);
    world.Settle();
  }

  MdmDirectorClient Client() { return {*world.store, world.upstreams, world.clock}; }
  HttpServerResponse Clear(const Json& body) {
    return client.Send("POST", "/device/command/clear_queue", body.dump());
  }
  HttpServerResponse ClearFirst() { return Clear({{"udids", {world.id(0).value()}}}); }
  std::size_t QueueSize(std::size_t index) const {
    const auto found = world.core.FindEnrollment(world.id(index));
    return found ? found->queue.size() : 0;
  }
  std::size_t Installs() const { return world.Enqueued("InstallProfile").size(); }

  World world;
  MdmDirectorClient client;
};

TEST_CASE("the queue scripts' session is answered as by MDMDirector") {
  World world;
  world.SessionOfEach();
  const std::string udid = world.id(0).value();
  const std::string command =
      "<plist version=\"1.0\"><dict><key>CommandUUID</key><string>C1</string><key>Command</key>"
      "<dict><key>RequestType</key><string>DeviceLock</string></dict></dict></plist>\n";
  MdmDirectorClient client(*world.store, world.upstreams, world.clock);
  REQUIRE(world.core.Enqueue({udid, "1", command}).status == 200);
  director_test::ReplaySession(
      "queue_scripts.json", udid, world.devices[0].facts().serial_number,
      [&](const std::string& method, const std::string& path, const std::string& body) {
        const HttpServerResponse response = client.Send(method, path, body);
        return std::pair(response.status, response.body);
      });
  CHECK(world.core.FindEnrollment(world.id(0))->queue.empty());
}

TEST_CASE("a queue is shown in MicroMDM's shape, whatever the MDM server") {
  Fleet fleet;
  const auto shown =
      fleet.client.Send("GET", "/device/" + ToLowerAscii(fleet.world.id(0).value()) + "/commands");
  REQUIRE(shown.status == 200);
  CHECK(shown.content_type == "application/json");
  const Json body = Json::parse(shown.body);
  REQUIRE(body["commands"].size() == 1);
  const auto asked = fleet.world.Enqueued("ProfileList").back();
  CHECK(DecodeBase64(body["commands"][0]["payload"].get<std::string>()) == asked.body);
  CHECK(body["commands"][0]["uuid"] == DecodeCommand(asked.body)->command_uuid.value());
  fleet.ClearFirst();
  const auto empty = fleet.client.Send("GET", "/device/" + fleet.world.id(0).value() + "/commands");
  CHECK(empty.body == R"({"commands":[]})");
}

TEST_CASE("a queue that cannot be shown says why") {
  Fleet fleet;
  CheckSays(fleet.client.Send("GET", "/device/NOBODY/commands"), 404, "no device has this UDID");
  const std::string path = "/device/" + fleet.world.id(0).value() + "/commands";
  CoreFaults older;
  older.queue_api = CoreQueueApi::kAbsent;
  fleet.world.core.SetFaults(older);
  CheckSays(fleet.client.Send("GET", path), 501, "no API for its queues");
  fleet.world.wire->fault = director_test::CoreWire::Fault::kDown;
  CheckSays(fleet.client.Send("GET", path), 503, "connection refused");
}

TEST_CASE("fault: clear_queue stopped after the first device") {
  Fleet fleet(3);
  for (std::size_t i = 0; i < 3; ++i) REQUIRE(fleet.QueueSize(i) == 1);
  const std::string serial = fleet.world.devices[1].facts().serial_number;
  const auto cleared =
      fleet.Clear({{"udids", {fleet.world.id(0).value(), fleet.world.id(2).value()}},
                   {"serial_numbers", {serial, serial}}});
  CHECK(cleared.status == 200);
  CHECK(cleared.body.empty());
  for (std::size_t i = 0; i < 3; ++i) CHECK(fleet.QueueSize(i) == 0);
}

TEST_CASE("fault: clear_queue went on with an empty device when one was unknown") {
  Fleet fleet(2);
  const std::string known = fleet.world.id(0).value();
  CheckSays(fleet.Clear({{"udids", {known, "NOBODY"}}}), 404, "no device has the UDID NOBODY");
  CheckSays(fleet.Clear({{"udids", {known}}, {"serial_numbers", {"NONE"}}}), 404,
            "no device has the serial number NONE");
  CheckSays(fleet.Clear({{"udids", {"*"}}}), 404, "no device has the UDID *");
  CHECK(fleet.QueueSize(0) == 1);
}

TEST_CASE("clear_queue: what is no request is refused, and no device is no work") {
  Fleet fleet;
  CHECK(fleet.client.Send("POST", "/device/command/clear_queue", "no JSON").status == 400);
  CHECK(fleet.Clear({{"udids", "not a list"}}).status == 400);
  Json many = Json::object();
  many["udids"] = std::vector<std::string>(10'001, "X");
  CheckSays(fleet.Clear(many), 400, "more than 10000 devices");
  CHECK(fleet.Clear(Json::object()).status == 200);
  CHECK(fleet.QueueSize(0) == 1);
}

TEST_CASE("fault: a command that does not exist was answered 200") {
  Fleet fleet;
  CheckSays(fleet.client.Send("POST", "/device/command/clear_que", "{}"), 404, "clear_queue");
}

TEST_CASE("after a clear the one question for a sleeping device waits there again") {
  Fleet fleet;
  REQUIRE(fleet.ClearFirst().status == 200);
  CHECK(fleet.QueueSize(0) == 0);
  fleet.world.Run(minutes(2));
  CHECK(fleet.QueueSize(0) == 0);  // the Mac was pushed, answered, and has what is wanted
  CHECK(fleet.world.IsVerified(0, kWifi));
  CHECK(fleet.Installs() == 1);
}

TEST_CASE("however often a queue is cleared, few questions are asked") {
  Fleet fleet;
  fleet.world.core.MarkUnregistered(fleet.world.id(0));  // it sleeps through all of it
  fleet.world.Settle();
  const std::size_t before = fleet.world.Enqueued("ProfileList").size();
  for (int i = 0; i < 100; ++i) {
    REQUIRE(fleet.ClearFirst().status == 200);
    fleet.world.Run(seconds(3));
    CHECK(fleet.QueueSize(0) <= 1);
  }
  CHECK(fleet.world.Enqueued("ProfileList").size() - before <= 6);  // five minutes
  fleet.world.Run(minutes(2));
  CHECK(fleet.QueueSize(0) == 1);
}

TEST_CASE("a change that was cleared before the device got it goes again") {
  Fleet fleet;
  fleet.world.Session(0);  // answers the question: the profile is missing
  fleet.world.Settle();
  REQUIRE(fleet.Installs() == 1);
  REQUIRE(fleet.ClearFirst().status == 200);
  CHECK(fleet.QueueSize(0) == 0);
  fleet.world.Run(minutes(30));
  CHECK(fleet.world.IsVerified(0, kWifi));
  CHECK(fleet.Installs() == 2);
}

TEST_CASE("a change that the device had got before the clear is not sent twice") {
  // NanoMDM's key-value stores lose what was queued since when such an answer comes.
  const auto foreign_result = GENERATE(ForeignResult::kIgnored, ForeignResult::kLosesQueue);
  Fleet fleet;
  World& world = fleet.world;
  CoreFaults faults;
  faults.foreign_result = foreign_result;
  world.core.SetFaults(faults);
  world.Session(0);
  world.Settle();
  VirtualDevice& device = world.devices[0];
  const auto exchange = [&](const DeviceMessage& message) {
    world.clock.Advance(std::chrono::milliseconds(50));
    const CoreAnswer answer = world.core.HandleDevice(
        {std::string(kConnectContentType), message.body, {}}, world.clock.Now());
    return device.HandleReply({answer.status, answer.body}, world.clock.Now());
  };
  std::optional<DeviceMessage> message = exchange(*device.BeginSession(world.clock.Now()));
  REQUIRE(message);
  REQUIRE(world.HasProfile(0, kWifi));  // it is installing; its answer is on the way
  REQUIRE(fleet.ClearFirst().status == 200);
  world.Settle();
  while (message) message = exchange(*message);
  world.Run(hours(2));
  CHECK(world.IsVerified(0, kWifi));
  CHECK(fleet.Installs() == 1);
}

TEST_CASE("a change that the device put off is sent again after a clear, once") {
  World world(0);
  NotNowPhase busy;
  busy.from = world.clock.Now() + hours(1);
  busy.until = world.clock.Now() + hours(5);
  busy.scope = NotNowScope::kChanges;
  DeviceBehaviour behaviour;
  behaviour.not_now.push_back(busy);
  world.AddMac(0, behaviour);
  world.SessionOfEach();
  world.Run(hours(1));
  world.Assign(kWifi);
  world.Run(hours(3));
  REQUIRE(world.Item(0, kWifi).state == ItemState::kNotNow);
  const std::size_t before = world.Enqueued("InstallProfile").size();
  MdmDirectorClient client(*world.store, world.upstreams, world.clock);
  const Json body = {{"udids", {world.id(0).value()}}};
  REQUIRE(client.Send("POST", "/device/command/clear_queue", body.dump()).status == 200);
  world.Run(hours(12));
  CHECK(world.IsVerified(0, kWifi));
  CHECK(world.Enqueued("InstallProfile").size() == before + 1);
}

TEST_CASE("a clear that the server refuses leaves the journal as it was") {
  Fleet fleet(2);
  const Snapshot before = SnapshotOf(*fleet.world.store, fleet.world.id(0));
  CoreFaults older;
  older.queue_api = CoreQueueApi::kAbsent;
  fleet.world.core.SetFaults(older);
  CheckSays(fleet.ClearFirst(), 501, "0 of 1 queues are cleared");
  fleet.world.wire->fault = director_test::CoreWire::Fault::kDown;
  CheckSays(fleet.ClearFirst(), 503, "connection refused");
  CHECK(SnapshotOf(*fleet.world.store, fleet.world.id(0)) == before);
}

TEST_CASE("a clear whose answer is lost may have happened: nothing of it is relied on") {
  Fleet fleet;
  fleet.world.Session(0);
  fleet.world.Settle();
  Upstreams upstreams;
  auto server = std::make_unique<test::WillingUpstream>();
  server->clearing = Fail(ErrorKind::kUnknownOutcome, "timed out");
  upstreams.Add(std::move(server));
  MdmDirectorClient client(*fleet.world.store, upstreams, fleet.world.clock);
  const Json body = {{"udids", {fleet.world.id(0).value()}}};
  CheckSays(client.Send("POST", "/device/command/clear_queue", body.dump()), 503, "timed out");
  for (const Intent& intent : SnapshotOf(*fleet.world.store, fleet.world.id(0)).intents) {
    CHECK(intent.state == IntentState::kUnknown);
  }
  fleet.world.Run(minutes(30));
  CHECK(fleet.world.IsVerified(0, kWifi));
  CHECK(fleet.Installs() == 1);
}

TEST_CASE("what is open when a queue is cleared") {
  const Timestamp now = FromUnixMs(1'800'000'000'000);
  Intent change;
  change.payload_identifier = PayloadIdentifier(kWifi);
  const auto after = [&](Intent intent, IntentState state, QueueClearing clearing) {
    intent.state = state;
    return AfterClearing(intent, clearing, now).state;
  };
  for (const auto clearing : {QueueClearing::kCleared, QueueClearing::kPerhaps}) {
    for (const auto open : {IntentState::kSent, IntentState::kUnknown, IntentState::kNotNow}) {
      CHECK(after(change, open, clearing) == IntentState::kUnknown);
      const bool is_surely_gone = clearing == QueueClearing::kCleared;
      CHECK(after(Intent(), open, clearing) ==
            (is_surely_gone ? IntentState::kNotSent : IntentState::kUnknown));
    }
    CHECK(after(change, IntentState::kJournaled, clearing) == IntentState::kJournaled);
    CHECK(after(Intent(), IntentState::kJournaled, clearing) == IntentState::kJournaled);
  }
}

}  // namespace
}  // namespace director::director_mdmdirector_queue_test
