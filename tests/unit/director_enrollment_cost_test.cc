// What the enrollment of a Mac costs in sessions and pushes, the session in which it enrolls
// included.
#include <fmt/core.h>

#include <chrono>
#include <cstddef>
#include <string>

#include "mdm/app.h"
#include "tests/support/app_parts.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"

namespace director::director_enrollment_cost_test {
namespace {

using director_test::World;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kProfiles = 30;
constexpr int kApps = 5;

std::string ProfileNumber(int i) { return fmt::format("com.example.profile{:02}", i); }
std::string AppNumber(int i) { return fmt::format("com.example.app{}", i); }

void AssignAll(World& world) {
  for (int i = 0; i < kProfiles; ++i) world.Assign(ProfileNumber(i));
  for (int i = 0; i < kApps; ++i) {
    AppSpec spec;
    spec.identifier = AppNumber(i);
    spec.version = "1.0";
    spec.manifest = test::AgentManifest(spec.identifier, spec.version);
    const Result<ItemDefinition> app = DefineApp(spec);
    REQUIRE(app);
    world.AssignDefinition(*app);
  }
}

/// Each app takes a minute to install.
DeviceBehaviour Behaviour() {
  DeviceBehaviour behaviour;
  behaviour.app_install_delay = seconds(60);
  return behaviour;
}

std::size_t Sessions(const World& world) { return static_cast<std::size_t>(world.sessions); }

bool HasEveryProfile(World& world) {
  for (int i = 0; i < kProfiles; ++i) {
    if (!world.IsVerified(0, ProfileNumber(i))) return false;
  }
  return true;
}

TEST_CASE(
    "30 profiles and 5 apps cost three sessions with one push each, and one to prove the apps") {
  World world(0);
  world.decides_meanwhile = GENERATE(false, true);
  AssignAll(world);
  world.AddMac(0, Behaviour());
  world.Session(0);
  world.Run(minutes(1));
  CHECK(HasEveryProfile(world));
  CHECK(world.devices[0].apps().all().size() == kApps);
  CHECK(Sessions(world) <= 3);
  CHECK(world.wire->pushed.size() <= Sessions(world));
  world.Run(minutes(60));
  for (int i = 0; i < kApps; ++i) CHECK(world.IsVerified(0, "app:" + AppNumber(i)));
  CHECK(Sessions(world) <= 4);
  CHECK(world.wire->pushed.size() <= Sessions(world));
}

TEST_CASE("in Setup Assistant the way out takes no session of its own while Director keeps up") {
  World world(0);
  world.decides_meanwhile = GENERATE(false, true);
  AssignAll(world);
  DeviceBehaviour behaviour = Behaviour();
  behaviour.awaits_configuration = true;
  world.AddMac(0, behaviour);
  world.Session(0);
  world.Run(minutes(1));
  CHECK(HasEveryProfile(world));
  CHECK_FALSE(world.devices[0].awaits_configuration());
  CHECK(Sessions(world) <= (world.decides_meanwhile ? 3 : 4));
  CHECK(world.wire->pushed.size() <= Sessions(world));
}

}  // namespace
}  // namespace director::director_enrollment_cost_test
