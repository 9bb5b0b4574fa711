// What devices say about themselves, from the question to the store, with virtual Macs.
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "director/ingest.h"
#include "mdm/command.h"
#include "store/report_json.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_world.h"

namespace director::director_inventory_test {
namespace {

using director_test::World;
using std::chrono::hours;
using std::chrono::minutes;
using Json = nlohmann::json;

const std::vector<InventoryKind> kAll(kInventoryKinds.begin(), kInventoryKinds.end());
/// All but the list of managed apps, which is asked for while an app is under way.
const std::size_t kAskedByRhythm = kInventoryKinds.size() - 1;

Inventory InventoryOf(World& world, std::size_t device) {
  return director_test::ReadFrom(*world.store, [&](StoreReader& reader) {
    return reader.LoadInventory({world.id(device)}, kAll);
  });
}

std::size_t Questions(const World& world) {
  std::size_t count = 0;
  for (const InventoryKind kind : kInventoryKinds) {
    count += world.CountEnqueued(InventoryKindName(kind));
  }
  return count;
}

TEST_CASE("a device that speaks is asked everything once, and its answers are kept") {
  World world(3);
  world.SessionOfEach();
  world.Run(minutes(10));
  for (std::size_t device = 0; device < 3; ++device) {
    const Inventory inventory = InventoryOf(world, device);
    REQUIRE(inventory.size() == kAskedByRhythm);
    const Snapshot snapshot = director_test::SnapshotOf(*world.store, world.id(device));
    for (const auto& [key, record] : inventory) {
      CHECK(snapshot.enrollment.inventory_at[key.second] == record.reported_at);
      CHECK(record.epoch == snapshot.enrollment.epoch);
    }
    const Json facts =
        Json::parse(inventory.at({world.id(device), InventoryKind::kDeviceInformation}).answer);
    CHECK(facts["SerialNumber"] == world.devices[device].facts().serial_number);
    CHECK(snapshot.intents.empty());
  }
  CHECK(Questions(world) == 3 * kAskedByRhythm);
}

TEST_CASE("each question has its own rhythm and rides along with the ProfileList") {
  World world(2);
  world.SessionOfEach();
  world.Run(hours(24 * 4));
  for (const InventoryKind kind : kInventoryKinds) {
    INFO(InventoryKindName(kind));
    const std::size_t asked = world.CountEnqueued(InventoryKindName(kind));
    if (kind == InventoryKind::kManagedApplicationList) {
      CHECK(asked == 0);
      continue;
    }
    const bool is_weekly = kind == InventoryKind::kInstalledApplicationList;
    CHECK(asked >= (is_weekly ? 2 : 2 * 3));
    CHECK(asked <= (is_weekly ? 2 : 2 * 6));
  }
  // One push for a ProfileList, one for the questions that follow while the device is awake.
  CHECK(world.wire->pushed.size() <= world.CountEnqueued(request_type::kProfileList) + 2 * 6);
}

TEST_CASE("answers are kept with every key, as JSON") {
  PlistDict inner;
  inner.Set("FirewallEnabled", true);
  PlistDict answer;
  answer.Set("Settings", std::move(inner));
  answer.Set("Key", PlistData{std::string("\0\1\xff", 3)});
  answer.Set("When", PlistDate{0});
  answer.Set("Late", PlistDate{4102444800});
  answer.Set("Level", 0.5);
  answer.Set("Count", PlistInteger::FromSigned(-3));
  answer.Set("Large", PlistInteger{false, 18446744073709551615ULL});
  answer.Set("Bad", "a\xff");
  answer.Set("List", PlistArray{PlistValue("x"), PlistValue(false)});
  CHECK(EncodeAnswer(answer) ==
        "{\"Bad\":\"a\xEF\xBF\xBD\",\"Count\":-3,\"Key\":\"AAH/\",\"Large\":18446744073709551615,"
        "\"Late\":\"2100-01-01T00:00:00Z\",\"Level\":0.5,\"List\":[\"x\",false],"
        "\"Settings\":{\"FirewallEnabled\":true},\"When\":\"1970-01-01T00:00:00Z\"}");
}

TEST_CASE("an inventory of several megabytes is kept whole") {
  World world(1);
  world.SessionOfEach();
  world.Run(minutes(10));
  PlistArray apps;
  for (int app = 0; app < 20'000; ++app) {
    PlistDict entry;
    entry.Set("Identifier", "com.example.app" + std::to_string(app));
    entry.Set("Name", std::string(150, 'x'));
    apps.emplace_back(std::move(entry));
  }
  ResultEvent result;
  result.command_uuid = CommandUuid("LARGE");
  result.inventory = InventoryReport{InventoryKind::kInstalledApplicationList, std::move(apps)};
  MdmEvent event;
  event.upstream = UpstreamName("mdm");
  event.created_at = world.clock.Now();
  event.channel = director_test::SnapshotOf(*world.store, world.id(0)).enrollment.channel;
  event.body = std::move(result);
  REQUIRE(RecordIncoming(*world.store, {Incoming{world.clock.Now(), std::move(event)}}));
  const Inventory kept = InventoryOf(world, 0);
  const std::string& answer =
      kept.at({world.id(0), InventoryKind::kInstalledApplicationList}).answer;
  CHECK(answer.size() > 3'000'000);
  CHECK(Json::parse(answer).size() == 20'000);
}

}  // namespace
}  // namespace director::director_inventory_test
