// Macs in Setup Assistant, from the first TokenUpdate until they are let go.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "mdm/command.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"

namespace director::director_setup_test {
namespace {

using director_test::World;
using std::chrono::hours;
using std::chrono::minutes;

const std::string kWifi = "com.example.wifi";
const std::string kVpn = "com.example.vpn";

DeviceBehaviour Unboxed() {
  DeviceBehaviour behaviour;
  behaviour.awaits_configuration = true;
  return behaviour;
}

/// The request types of what was sent, first to last.
std::vector<std::string> Sent(const World& world) {
  std::vector<std::string> sent;
  for (const auto& call : world.wire->enqueued) {
    const Result<ReceivedCommand> command = DecodeCommand(call.body);
    REQUIRE(command);
    sent.push_back(command->request_type);
  }
  return sent;
}

TEST_CASE("a Mac has its profiles when it leaves Setup Assistant") {
  World world(0);
  world.Assign(kWifi);
  world.Assign(kVpn);
  world.AddMac(0, Unboxed());
  world.Session(0);
  REQUIRE(world.devices[0].awaits_configuration());
  world.Run(minutes(1));
  CHECK_FALSE(world.devices[0].awaits_configuration());
  CHECK(world.HasProfile(0, kWifi));
  CHECK(world.HasProfile(0, kVpn));
  CHECK(Sent(world).back() == "DeviceConfigured");
  CHECK(world.CountEnqueued("DeviceConfigured") == 1);
  world.Run(hours(48));
  CHECK(world.CountEnqueued("DeviceConfigured") == 1);
}

TEST_CASE("a profile that always fails does not keep a Mac in Setup Assistant") {
  World world(0);
  world.Assign(kWifi);
  DeviceBehaviour behaviour = Unboxed();
  ErrorChainEntry entry;
  entry.domain = "MCInstallationErrorDomain";
  entry.code = 4001;
  behaviour.install_failures.push_back({PayloadIdentifier(kWifi), std::nullopt, {entry}});
  world.AddMac(0, behaviour);
  world.Session(0);
  world.Run(minutes(1));
  CHECK_FALSE(world.devices[0].awaits_configuration());
}

TEST_CASE("a Mac whose words got lost is let go all the same") {
  World world(0);
  world.AddMac(0, Unboxed());
  world.drop_webhooks = true;
  world.Session(0);  // Authenticate and TokenUpdate: nobody heard them
  world.drop_webhooks = false;
  REQUIRE(world.devices[0].awaits_configuration());
  world.Session(0);
  world.Run(minutes(5));
  CHECK_FALSE(world.devices[0].awaits_configuration());
}

TEST_CASE("a director that dies in between lets the Mac go after its restart") {
  World world(0);
  world.Assign(kWifi);
  world.AddMac(0, Unboxed());
  world.Session(0);
  world.wire->fault = director_test::CoreWire::Fault::kDown;
  world.Settle();
  world.Restart();
  world.wire->fault = director_test::CoreWire::Fault::kNone;
  world.Run(hours(2));
  CHECK_FALSE(world.devices[0].awaits_configuration());
  CHECK(world.HasProfile(0, kWifi));
}

TEST_CASE("a Mac that says it is done is not let go again and again") {
  World world(0);
  world.AddMac(0, Unboxed());
  world.Session(0);
  // Somebody else lets it go first: ours is refused, and the Mac is asked.
  REQUIRE(world.devices[0].Execute(EncodeCommand(DeviceConfiguredCommand{}, CommandUuid("OTHER")),
                                   world.clock.Now()));
  world.Run(hours(24));
  CHECK(world.CountEnqueued("DeviceConfigured") == 1);
  CHECK_FALSE(director_test::SnapshotOf(*world.store, world.id(0)).enrollment.awaiting_since);
}

}  // namespace
}  // namespace director::director_setup_test
