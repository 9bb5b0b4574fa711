// Scenarios that every service beside an MDM server has to get right; docs/testing.md says which
// test is whose.
#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mdm/command.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"

namespace director::director_checklist_test {
namespace {

using director_test::World;
using std::chrono::hours;
using std::chrono::minutes;

const std::string kWifi = "com.example.wifi";
const std::string kVpn = "com.example.vpn";

/// Ends the process, and starts another one on an empty database.
void WipeDatabase(World& world) {
  world.runner.reset();
  world.executor.reset();
  world.payloads.reset();
  world.store = director_test::OpenStore();
  world.Restart();
}

/// State and reason of each item.
std::map<std::string, std::string> StatesOf(World& world) {
  std::map<std::string, std::string> states;
  for (const ItemRecord& item : director_test::SnapshotOf(*world.store, world.id(0)).items) {
    states[item.payload_identifier.value()] =
        std::string(ItemStateName(item.state)) + ": " + item.reason;
  }
  return states;
}

TEST_CASE("every word of a device heard ten times more, last to first, changes nothing") {
  World world;
  world.Assign(kWifi);
  world.Assign(kVpn);
  world.Session(0);
  world.Run(minutes(5));
  REQUIRE(world.IsVerified(0, kWifi));
  const auto states = StatesOf(world);
  std::vector<std::string> said = world.webhooks;
  std::reverse(said.begin(), said.end());
  for (int i = 0; i < 10; ++i) {
    for (const std::string& body : said) {
      REQUIRE(RecordIncoming(*world.store,
                             {DecodeIncoming(body, director_test::kServer, world.clock.Now())}));
    }
    world.Settle();
  }
  CHECK(StatesOf(world) == states);
  CHECK(world.CountEnqueued("InstallProfile") == 2);
  CHECK(director_test::SnapshotOf(*world.store, world.id(0)).enrollment.epoch == 1);
}

TEST_CASE("ten days of NotNow cost no second command and no attempt") {
  World world(0);
  world.Assign(kWifi);
  DeviceBehaviour behaviour;
  behaviour.not_now.push_back({director_test::At(0), director_test::At(0) + hours(240), 1.0,
                               GENERATE(NotNowScope::kEverything, NotNowScope::kChanges)});
  world.AddMac(0, behaviour);
  world.Session(0);
  world.Run(hours(239));
  const ItemRecord waiting = world.Item(0, kWifi);
  CHECK(waiting.state == ItemState::kNotNow);
  CHECK(waiting.attempts == 0);
  CHECK(world.CountEnqueued("InstallProfile") == 1);
  world.Run(hours(30));
  CHECK(world.IsVerified(0, kWifi));
  CHECK(world.CountEnqueued("InstallProfile") == 1);
}

TEST_CASE("an error of any shape leaves a sentence, in the device's words when it has some") {
  struct Shape {
    std::vector<ErrorChainEntry> chain;
    std::string words;
    ItemState state;
  };
  const std::string kChinese = "无法安装描述文件";
  const std::vector<ErrorChainEntry> wrapped = {
      {4001, "MCInstallationErrorDomain", "Profile Installation Failed", ""},
      {22005, "MCSCEPErrorDomain", "The SCEP server is away.", ""},
      {-4711, "NobodyKnowsThisDomain", "Something.", ""}};
  const Shape shape = GENERATE_COPY(
      Shape{{}, "no description", ItemState::kBackingOff},
      Shape{wrapped, "The SCEP server is away.", ItemState::kBackingOff},
      Shape{{{4711, "NobodyKnowsThisDomain", kChinese, ""}}, kChinese, ItemState::kBackingOff},
      Shape{{{-319, "ConfigProfilePluginDomain", "Not allowed.", ""}},
            "Not allowed.",
            ItemState::kBackingOff},
      // A payload for the other channel.
      Shape{
          {{4023, "MCInstallationErrorDomain", "Not here.", ""}}, "Not here.", ItemState::kParked});
  World world(0);
  world.Assign(kWifi);
  DeviceBehaviour behaviour;
  behaviour.install_failures.push_back({PayloadIdentifier(kWifi), std::nullopt, shape.chain});
  world.AddMac(0, behaviour);
  world.Session(0);
  world.Run(Duration(10'000));
  const ItemRecord item = world.Item(0, kWifi);
  CHECK(item.state == shape.state);
  CHECK(item.attempts == 1);
  CHECK_THAT(item.reason, Catch::Contains(shape.words));
}

TEST_CASE("a Mac that enrolls anew before it fetched its commands gets each of them once") {
  World world;
  world.Assign(kWifi);
  world.Session(0);
  world.Run(minutes(5));
  REQUIRE(world.IsVerified(0, kWifi));
  world.Assign(kVpn);
  world.Settle();  // a question waits in the queue
  const auto kind = GENERATE(ReenrollmentKind::kKept, ReenrollmentKind::kWiped);
  world.devices[0].Reenroll(kind, world.clock.Now());
  world.Session(0);
  world.Run(minutes(30));
  CHECK(world.IsVerified(0, kWifi));
  CHECK(world.IsVerified(0, kVpn));
  const std::size_t wifi_again = kind == ReenrollmentKind::kWiped ? 1 : 0;
  CHECK(world.CountEnqueued("InstallProfile") == 2 + wifi_again);
}

TEST_CASE("a Mac that restarts in Setup Assistant is let go all the same") {
  DeviceBehaviour behaviour;
  behaviour.awaits_configuration = true;
  World world(0);
  world.Assign(kWifi);
  world.AddMac(0, behaviour);
  world.Session(0);
  world.Settle();
  REQUIRE(world.devices[0].BeginSession(world.clock.Now()));
  CHECK_FALSE(world.devices[0].HandleReply({0, ""}, world.clock.Now()));
  CHECK(world.devices[0].awaits_configuration());
  world.Run(minutes(30));
  CHECK_FALSE(world.devices[0].awaits_configuration());
  CHECK(world.HasProfile(0, kWifi));
}

TEST_CASE("a director whose database was wiped removes nothing and installs nothing twice") {
  World world;
  world.Assign(kWifi);
  world.Session(0);
  world.Run(minutes(5));
  REQUIRE(world.IsVerified(0, kWifi));
  WipeDatabase(world);
  world.Session(0);
  world.Run(hours(48));
  CHECK(world.HasProfile(0, kWifi));
  CHECK(world.CountEnqueued("RemoveProfile") == 0);
  world.Assign(kWifi);
  world.Run(minutes(30));
  CHECK(world.IsVerified(0, kWifi));
  CHECK(world.CountEnqueued("InstallProfile") == 1);
}

TEST_CASE("a profile for users waits for a login and holds nothing else up") {
  World world;
  world.Assign(kWifi);
  world.Assign(kVpn, "Example", "", AssignmentChannel::kUser);
  world.Session(0);
  world.Run(hours(48));
  CHECK(world.IsVerified(0, kWifi));
  CHECK_FALSE(world.HasProfile(0, kVpn));
  CHECK(StatesOf(world).size() == 1);
  world.devices.emplace_back(MakeUserFacts(world.devices[0].facts(), 7), DeviceBehaviour(), 7);
  world.Session(1);
  world.Run(minutes(30));
  CHECK(world.IsVerified(1, kVpn));
  CHECK_FALSE(world.HasProfile(0, kVpn));
}

}  // namespace
}  // namespace director::director_checklist_test
