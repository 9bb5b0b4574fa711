// Installs that wait for a person, from the device's own words to what an operator is shown.
#include <chrono>
#include <string>

#include "mdm/app.h"
#include "mdm/command.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"

namespace director::director_managed_app_test {
namespace {

using director_test::World;
using std::chrono::hours;
using std::chrono::minutes;

const std::string kApp = "com.example.agent";
const std::string kItem = "app:com.example.agent";

/// A Mac that is to have an app which it manages, and that has just acknowledged the install.
void Begin(World& world, const DeviceBehaviour& behaviour) {
  AppSpec spec;
  spec.identifier = kApp;
  spec.version = "2.0";
  spec.manifest_url = "https://repo.example/com.example.agent-2.0.plist";
  spec.install_as_managed = true;
  const Result<ItemDefinition> definition = DefineApp(spec);
  REQUIRE(definition);
  world.AssignDefinition(*definition);
  world.AddMac(0, behaviour);
  world.Session(0);
  world.Run(minutes(1));
  REQUIRE(world.Item(0, kItem).state == ItemState::kAcknowledged);
  REQUIRE(world.CountEnqueued(request_type::kManagedApplicationList) == 0);
}

bool Says(const std::string& text, std::string_view word) {
  return text.find(word) != std::string::npos;
}

TEST_CASE("an app that its user is asked about says so, and is there when the user agrees") {
  World world(0);
  DeviceBehaviour behaviour;
  behaviour.app_prompt_delay = minutes(20);
  Begin(world, behaviour);
  world.Run(minutes(9));
  CHECK(world.Item(0, kItem).state == ItemState::kAcknowledged);
  CHECK(Says(world.Item(0, kItem).reason, "Prompting, its user is asked whether to install it."));
  world.Run(minutes(40));
  CHECK(world.IsVerified(0, kItem));
  CHECK(world.Item(0, kItem).attempts == 0);
  const std::size_t asked = world.CountEnqueued(request_type::kManagedApplicationList);
  CHECK(asked >= 2);
  CHECK(asked <= 6);
  world.Run(hours(24 * 8));
  CHECK(world.CountEnqueued(request_type::kManagedApplicationList) == asked);
}

TEST_CASE(
    "an app that its user refuses is a failed attempt at once, and offered again a day later") {
  World world(0);
  DeviceBehaviour behaviour;
  behaviour.app_failures.push_back({kApp, 1, {}, "UserRejected"});
  Begin(world, behaviour);
  world.Run(minutes(5));
  const ItemRecord refused = world.Item(0, kItem);
  CHECK(refused.state == ItemState::kBackingOff);
  CHECK(refused.attempts == 1);
  CHECK(Says(refused.reason, "UserRejected, its user refused to install it."));
  CHECK(world.CountEnqueued(request_type::kInstallApplication) == 1);
  world.Run(hours(36));
  CHECK(world.CountEnqueued(request_type::kInstallApplication) == 2);
  CHECK(world.IsVerified(0, kItem));
}

TEST_CASE("a Mac that does not know the question is asked once, and proves the app all the same") {
  World world(0);
  DeviceBehaviour behaviour;
  behaviour.knows_managed_apps = false;
  behaviour.app_install_delay = minutes(20);
  Begin(world, behaviour);
  world.Run(minutes(50));
  CHECK(world.IsVerified(0, kItem));
  CHECK(world.CountEnqueued(request_type::kManagedApplicationList) == 1);
}

}  // namespace
}  // namespace director::director_managed_app_test
