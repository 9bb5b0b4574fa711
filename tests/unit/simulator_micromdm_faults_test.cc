#include "tests/support/micromdm_world.h"

namespace director::simulator_micromdm_faults_test {
namespace {

using namespace micromdm_test;

TEST_CASE("MicroMDM: webhooks can be lost and doubled") {
  MicroMdmFaults faults;
  faults.drop_webhook = 1;
  World world(faults);
  world.Enroll(kUdid);
  CHECK(world.events.empty());
  CHECK(world.core.counters().events_dropped == 2);
  faults.drop_webhook = 0;
  faults.duplicate_webhook = 1;
  world.core.SetFaults(faults);
  world.Next(kUdid, "Idle");
  REQUIRE(world.events.size() == 2);
  CHECK(world.events[0] == world.events[1]);
  CHECK(world.core.counters().events == 2);
}

TEST_CASE("MicroMDM: an enqueue that races a poll can be overwritten on builtin only") {
  MicroMdmFaults faults = GENERATE(MicroMdmFaults(), InMemory());
  faults.lose_raced_enqueue = 1;
  World world(faults);
  world.Enroll(kUdid);
  // Nothing was changed by a device so far.
  world.Enqueue(kUdid, {"C1"});
  CHECK(world.View(kUdid) == Uuids{"C1"});
  world.Next(kUdid, "Acknowledged", "C1");
  world.pushed.clear();
  world.now += faults.race_window;
  world.Enqueue(kUdid, {"C2"});
  CHECK(world.pushed == Uuids{kUdid});
  const bool is_lost = faults.queue == MicroQueue::kBuiltin;
  CHECK(world.Queue(kUdid).size() == (is_lost ? 0U : 1U));
  CHECK(world.core.counters().commands_lost == (is_lost ? 1U : 0U));
  world.now += Duration(1);
  world.Enqueue(kUdid, {"C3"});
  CHECK(world.Queue(kUdid).back() == "C3");
  CHECK(world.core.counters().commands == 3);
}

TEST_CASE("MicroMDM: an Idle that brings nothing changes no queue, so it races nothing") {
  MicroMdmFaults faults;
  faults.lose_raced_enqueue = 1;
  World world(faults);
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1"});
  world.Next(kUdid, "Acknowledged", "C1");
  world.now += std::chrono::hours(1);
  CHECK(world.Next(kUdid, "Idle").empty());
  world.Enqueue(kUdid, {"C2"});
  CHECK(world.Queue(kUdid) == Uuids{"C2"});
}

TEST_CASE("MicroMDM: the chance of a lost enqueue comes from the seed") {
  MicroMdmFaults faults;
  faults.lose_raced_enqueue = 0.5;
  const auto survivors = [&](std::uint64_t seed) {
    MicroMdmCore core(faults, {}, seed);
    const Timestamp now = FromUnixMs(0);
    Uuids kept;
    for (int i = 0; i < 32; ++i) {
      const std::string uuid = "C" + std::to_string(i);
      const std::string path = "/v1/commands/" + kUdid;
      core.HandleApi({"POST", path, ListCommand(uuid)}, now);
      PlistDict idle = Identity(kUdid);
      idle.Set("Status", "Idle");
      core.HandleDevice({std::string(kConnectContentType), EncodePlistXml(idle), {}}, now);
    }
    const auto found = core.FindEnrollment(EnrollmentId(kUdid));
    REQUIRE(found);
    for (const CommandUuid& uuid : found->queue) {
      kept.push_back(uuid.value());
    }
    return kept;
  };
  const Uuids kept = survivors(1);
  CHECK(kept.size() > 4);
  CHECK(kept.size() < 28);
  CHECK(survivors(1) == kept);
  CHECK(survivors(2) != kept);
}

TEST_CASE("MicroMDM: a command can take a while from its 201 into the queue") {
  MicroMdmFaults faults = GENERATE(MicroMdmFaults(), InMemory());
  faults.store_delay = std::chrono::milliseconds(50);
  World world(faults);
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1"});
  CHECK(world.View(kUdid).empty());
  CHECK(world.Next(kUdid, "Idle").empty());
  CHECK(world.Queue(kUdid) == Uuids{"C1"});
  SECTION("an Authenticate meanwhile does not see it") {
    world.Enroll(kUdid);
    world.now += faults.store_delay;
    CHECK(world.Next(kUdid, "Idle") == "C1");
  }
  SECTION("an Authenticate afterwards does") {
    world.now += faults.store_delay;
    CHECK(world.View(kUdid) == Uuids{"C1"});
    world.Enroll(kUdid);
    CHECK(world.Queue(kUdid).empty());
  }
}

TEST_CASE("MicroMDM: a queue can vanish by itself") {
  World world;
  world.Enroll(kUdid);
  world.Enroll(kUser);
  world.Enqueue(kUserId, {"C1", "C2"});
  world.Next(kUser, "NotNow", "C1");
  world.core.LoseQueue(EnrollmentId(kUser));
  CHECK(world.Next(kUser, "Idle").empty());
  CHECK(world.Queue(kUser).empty());
  CHECK(world.core.counters().commands_lost == 2);
  world.core.LoseQueue(EnrollmentId("UNKNOWN"));
  world.core.MarkUnregistered(EnrollmentId("UNKNOWN"));
}

}  // namespace
}  // namespace director::simulator_micromdm_faults_test
