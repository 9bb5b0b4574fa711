// The loop from a due enrollment to a verified item: real store, NanoMDM client and decision, a
// stand-in server, virtual Macs, virtual time.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/log.h"
#include "director/runner.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_world.h"

namespace director::director_runner_test {
namespace {

using director_test::At;
using director_test::CoreWire;
using director_test::kServer;
using director_test::SnapshotOf;
using director_test::World;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const std::string kWifi = "com.example.wifi";
const std::string kLock = "com.example.lock";

/// How often each CommandUUID was sent to each enrollment.
int MostRepeated(const std::vector<EnqueueCall>& calls) {
  std::map<std::string, int> seen;
  int most = 0;
  for (const EnqueueCall& call : calls) {
    const Result<ReceivedCommand> command = DecodeCommand(call.body);
    REQUIRE(command);
    most = std::max(most, ++seen[command->command_uuid.value() + " " + call.ids]);
  }
  return most;
}

TEST_CASE("an enrolled Mac gets what is assigned, and only its own report verifies it") {
  World world;
  world.Assign(kWifi);
  world.Session(0);
  world.Settle();
  CHECK(world.Item(0, kWifi).state == ItemState::kInFlight);
  CHECK_FALSE(world.HasProfile(0, kWifi));
  world.Run(minutes(1));
  CHECK(world.HasProfile(0, kWifi));
  CHECK(world.IsVerified(0, kWifi));
  CHECK(world.Enqueued("InstallProfile").size() == 1);
}

TEST_CASE("a verified Mac is left alone but for its periodic questions") {
  World world;
  world.Assign(kWifi);
  world.Session(0);
  world.Run(minutes(10));
  REQUIRE(world.IsVerified(0, kWifi));
  world.Run(hours(48));
  CHECK(world.Enqueued("InstallProfile").size() == 1);
  CHECK(world.Enqueued("RemoveProfile").empty());
  CHECK(world.Enqueued("ProfileList").size() < 15);
  CHECK(world.IsVerified(0, kWifi));
}

TEST_CASE("a profile that a user deletes comes back after the next report") {
  World world;
  world.Assign(kWifi);
  world.Session(0);
  world.Run(minutes(1));
  REQUIRE(world.devices[0].DeleteProfile(PayloadIdentifier(kWifi), world.clock.Now()));
  world.Run(hours(24));
  CHECK(world.HasProfile(0, kWifi));
  CHECK(world.IsVerified(0, kWifi));
  CHECK(world.Enqueued("InstallProfile").size() == 2);
}

TEST_CASE("one enqueue request serves up to fifty Macs with one CommandUUID") {
  World world(120);
  world.Assign(kWifi);
  world.SessionOfEach();
  world.Settle();
  const std::vector<EnqueueCall> installs = world.Enqueued("InstallProfile");
  REQUIRE(installs.size() == 3);
  std::size_t ids = 0;
  for (const EnqueueCall& call : installs) {
    const auto count =
        static_cast<std::size_t>(std::count(call.ids.begin(), call.ids.end(), ',')) + 1;
    CHECK(count <= 50);
    CHECK(call.nopush == "1");
    ids += count;
  }
  CHECK(ids == 120);
  world.Run(minutes(1));
  for (std::size_t i = 0; i < 120; ++i) CHECK(world.IsVerified(i, kWifi));
}

TEST_CASE("changes come in the order of their identifiers and ProfileList comes last") {
  World world;
  for (const char* identifier : {"com.example.c", "com.example.a", "com.example.b"}) {
    world.Assign(identifier);
  }
  world.Session(0);
  world.Settle();
  const auto enrollment = world.core.FindEnrollment(world.id(0));
  REQUIRE(enrollment);
  std::vector<std::string> order;
  for (const EnqueueCall& call : world.wire->enqueued) {
    const Result<ReceivedCommand> command = DecodeCommand(call.body);
    REQUIRE(command);
    const auto& queue = enrollment->queue;
    CHECK(std::find(queue.begin(), queue.end(), command->command_uuid) != queue.end());
    order.push_back(command->request_type);
  }
  CHECK(order == std::vector<std::string>{"InstallProfile", "InstallProfile", "InstallProfile",
                                          "CertificateList", "DeviceInformation",
                                          "InstalledApplicationList", "SecurityInfo",
                                          "ProfileList"});
  CHECK(world.wire->enqueued[0].body != world.wire->enqueued[1].body);
  CHECK(world.wire->pushed.size() == 1);
  world.Run(minutes(1));
  for (const char* identifier : {"com.example.a", "com.example.b", "com.example.c"}) {
    CHECK(world.IsVerified(0, identifier));
  }
}

TEST_CASE("each enrollment is pushed once for all of its commands") {
  World world(60);
  world.Assign(kWifi);
  world.Assign(kLock);
  world.SessionOfEach();
  world.Settle();
  std::map<std::string, int> pushes;
  for (const std::string& ids : world.wire->pushed) {
    std::size_t from = 0;
    for (std::size_t comma = 0; comma != std::string::npos; from = comma + 1) {
      comma = ids.find(',', from);
      ++pushes[ids.substr(from, comma - from)];
    }
  }
  REQUIRE(pushes.size() == 60);
  for (const auto& [id, count] : pushes) CHECK(count == 1);
}

TEST_CASE("one id that the server does not know holds nobody else up") {
  World world(20);
  world.Assign(kWifi);
  world.SessionOfEach();
  // Director believes in this one; a SQL store of NanoMDM refuses every batch that names it.
  Enrollment ghost = SnapshotOf(*world.store, world.id(0)).enrollment;
  ghost.channel.enrollment_id = EnrollmentId("4A000000-0000-4000-8000-00000000GONE");
  ghost.channel.device_id = ghost.channel.enrollment_id;
  ghost.channel.udid = ghost.channel.enrollment_id.value();
  ghost.serial_number = "GONE";
  director_test::WriteTo(*world.store,
                         [&](StoreWriter& writer) { return writer.SaveEnrollments({ghost}); });
  CoreFaults faults;
  faults.store = CoreStore::kSql;
  world.core.SetFaults(faults);
  world.Run(minutes(1));
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(world.HasProfile(i, kWifi));
    CHECK(world.IsVerified(i, kWifi));
  }
  CHECK(MostRepeated(world.wire->enqueued) == 1);
  // The ghost itself is tried again, but not without end.
  const std::size_t requests = world.wire->enqueued.size();
  world.Run(hours(2));
  CHECK(world.wire->enqueued.size() < requests + 200);
  const Snapshot snapshot = SnapshotOf(*world.store, ghost.channel.enrollment_id);
  REQUIRE(snapshot.items.size() == 1);
  CHECK(snapshot.items[0].state != ItemState::kVerified);
  CHECK_FALSE(snapshot.items[0].reason.empty());
}

TEST_CASE("while the server is down nothing is lost, the explanation says so, and it converges") {
  World world(5);
  world.SessionOfEach();
  world.Run(minutes(1));
  world.Assign(kWifi);
  world.wire->fault = CoreWire::Fault::kDown;
  world.SessionOfEach();
  world.Run(minutes(30));
  const ItemRecord waiting = world.Item(0, kWifi);
  CHECK(waiting.state != ItemState::kVerified);
  INFO(waiting.reason);
  CHECK(waiting.reason.find("server") != std::string::npos);
  Upstreams::Member* server = world.upstreams.Find(kServer);
  REQUIRE(server != nullptr);
  CHECK_FALSE(server->health.problem().empty());
  world.wire->fault = CoreWire::Fault::kNone;
  world.Run(hours(2));
  for (std::size_t i = 0; i < 5; ++i) CHECK(world.IsVerified(i, kWifi));
  CHECK(server->health.problem().empty());
  CHECK_FALSE(server->health.retry_at(world.clock.Now()));
}

TEST_CASE("the server is left alone longer and longer while it is down, at most five minutes") {
  UpstreamHealth health;
  CHECK_FALSE(health.retry_at(At(0)));
  Timestamp now = At(0);
  Duration last = Duration::zero();
  for (int failures = 0; failures < 20; ++failures) {
    health.RecordFailure(now, "connection refused");
    const std::optional<Timestamp> retry_at = health.retry_at(now);
    REQUIRE(retry_at);
    CHECK(*retry_at - now >= last);
    last = *retry_at - now;
    health.RecordFailure(now, "another request that was under way");
    CHECK(health.retry_at(now) == retry_at);
    now = *retry_at;
    CHECK_FALSE(health.retry_at(now));
  }
  CHECK(last == minutes(5));
  health.RecordSuccess();
  health.RecordFailure(now, "again");
  CHECK(health.retry_at(now) == now + seconds(1));
}

TEST_CASE("a lost answer is looked into, not blindly repeated") {
  World world(3);
  world.Assign(kWifi);
  world.SessionOfEach();
  world.wire->fault = CoreWire::Fault::kLoseAnswers;
  world.Settle();
  world.wire->fault = CoreWire::Fault::kNone;
  const Snapshot unsure = SnapshotOf(*world.store, world.id(0));
  REQUIRE_FALSE(unsure.intents.empty());
  CHECK(std::any_of(unsure.intents.begin(), unsure.intents.end(),
                    [](const Intent& intent) { return intent.state == IntentState::kUnknown; }));
  world.SessionOfEach();
  world.Run(hours(1));
  for (std::size_t i = 0; i < 3; ++i) CHECK(world.IsVerified(i, kWifi));
  // The client repeats one request with the same CommandUUID to look; the device ran it once.
  std::set<std::string> uuids;
  for (const EnqueueCall& call : world.Enqueued("InstallProfile")) {
    uuids.insert(DecodeCommand(call.body)->command_uuid.value());
  }
  CHECK(uuids.size() == 1);
}

/// What a worker does before it sends.
std::vector<CommandBatch> JournalDue(World& world) {
  const Timestamp now = world.clock.Now();
  std::vector<CommandBatch> batches;
  director_test::WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
    const auto claims = writer.ClaimDue(now, 100);
    if (!claims) return Fail(claims.error());
    std::vector<PlanCommit> commits;
    for (const EnrollmentId& id : *claims) {
      const auto snapshot = writer.LoadSnapshot(id);
      if (!snapshot) return Fail(snapshot.error());
      commits.push_back({id,
                         snapshot->enrollment.upstream,
                         snapshot->items,
                         snapshot->proposal,
                         Reconcile(*snapshot, world.settings, now),
                         1,
                         {},
                         {},
                         7});
    }
    batches = world.executor->MakeBatches(commits);
    return writer.CommitPlans(commits, now + minutes(10), now);
  });
  return batches;
}

TEST_CASE("a crash between journal and sending loses nothing and repeats nothing blindly") {
  World world(3);
  world.Assign(kWifi);
  world.SessionOfEach();
  const auto batches = JournalDue(world);
  REQUIRE_FALSE(batches.empty());
  CHECK(batches.front().targets.size() == 3);
  world.Restart();
  CHECK(world.wire->enqueued.empty());
  world.Settle();
  CHECK(world.Enqueued("InstallProfile").empty());
  world.SessionOfEach();
  world.Run(hours(24));
  for (std::size_t i = 0; i < 3; ++i) CHECK(world.IsVerified(i, kWifi));
  CHECK(world.Enqueued("InstallProfile").size() <= 3);
}

TEST_CASE("a crash after sending and before the outcome is recorded installs nothing twice") {
  World world;
  world.Assign(kWifi);
  world.Session(0);
  world.executor->Send(JournalDue(world));
  REQUIRE(world.Enqueued("InstallProfile").size() == 1);
  world.Restart();
  world.Run(hours(1));
  CHECK(world.IsVerified(0, kWifi));
  CHECK(world.Enqueued("InstallProfile").size() == 1);
}

TEST_CASE("webhooks that are lost delay and do not break") {
  World world(2);
  world.Assign(kWifi);
  world.SessionOfEach();
  world.Settle();
  world.drop_webhooks = true;
  world.WakePushed();  // they install and answer; nobody hears it
  world.drop_webhooks = false;
  CHECK(world.HasProfile(0, kWifi));
  world.Run(hours(48));
  for (std::size_t i = 0; i < 2; ++i) CHECK(world.IsVerified(i, kWifi));
}

TEST_CASE("an enrollment of a server that is not configured says so and gets nothing") {
  World world;
  world.Assign(kWifi);
  world.Session(0);
  Enrollment enrollment = SnapshotOf(*world.store, world.id(0)).enrollment;
  enrollment.upstream = UpstreamName("elsewhere");
  director_test::WriteTo(*world.store,
                         [&](StoreWriter& writer) { return writer.SaveEnrollments({enrollment}); });
  world.Run(hours(3));
  CHECK(world.wire->enqueued.empty());
  CHECK(world.Item(0, kWifi).reason.find("elsewhere") != std::string::npos);
}

/// Enrolls every Mac, lets the fleet settle, and gives it something to do.
void RollOut(World& world) {
  world.Assign(kWifi);
  world.SessionOfEach();
  world.Run(minutes(30));
  for (std::size_t i = 0; i < world.devices.size(); ++i) REQUIRE(world.IsVerified(i, kWifi));
  world.SessionOfEach();  // all awake
}

TEST_CASE("a roll-out goes no faster than mdm_commands_per_second, and reaches all") {
  World world(60, director_test::OpenStore(), {.commands_per_second = 2, .pushes_per_second = 0});
  RollOut(world);
  const std::size_t before = world.Enqueued("InstallProfile").size();
  world.Assign(kLock);
  world.Settle();
  // One second's worth and the last one that fits: each is an InstallProfile and a ProfileList.
  CHECK(world.Enqueued("InstallProfile").size() - before <= 1);
  const ItemRecord waiting = world.Item(59, kLock);
  CHECK(waiting.state == ItemState::kPending);
  CHECK(waiting.reason.find("mdm_commands_per_second") != std::string::npos);
  world.Run(seconds(20));
  std::size_t reached = 0;
  for (std::size_t i = 0; i < 60; ++i) reached += world.HasProfile(i, kLock) ? 1 : 0;
  CHECK(reached >= 15);
  CHECK(reached <= 25);
  world.Run(minutes(20));
  for (std::size_t i = 0; i < 60; ++i) CHECK(world.IsVerified(i, kLock));
  CHECK(MostRepeated(world.wire->enqueued) == 1);
}

TEST_CASE("a queue longer than a device stays awake reaches sleeping devices all the same") {
  World world(150, director_test::OpenStore(),
              {.commands_per_second = 0.2, .pushes_per_second = 0});
  world.SessionOfEach();
  world.Run(hours(1));
  REQUIRE(world.clock.Now() > At(0) + hours(1));
  world.Assign(kWifi);
  world.Run(hours(2));
  std::size_t reached = 0;
  for (std::size_t i = 0; i < 150; ++i) reached += world.IsVerified(i, kWifi) ? 1 : 0;
  CHECK(reached == 150);
  // For each: a question, the change, the question after it; none is woken in vain.
  CHECK(world.CountEnqueued("InstallProfile") == 150);
  CHECK(world.wire->pushed.size() < 3 * 150 * 2);
}

TEST_CASE("pushes go no faster than mdm_pushes_per_second") {
  World world(60, director_test::OpenStore(), {.commands_per_second = 0, .pushes_per_second = 2});
  RollOut(world);
  world.clock.Advance(hours(1));  // all asleep
  world.Settle();
  world.wire->pushed.clear();
  world.Assign(kLock);
  world.Settle();
  CHECK(world.wire->pushed.size() <= 2);
  world.Run(minutes(20));
  for (std::size_t i = 0; i < 60; ++i) CHECK(world.IsVerified(i, kLock));
}

TEST_CASE("a Mac in Setup Assistant does not wait for a roll-out") {
  World world(61, director_test::OpenStore(), {.commands_per_second = 1, .pushes_per_second = 1});
  RollOut(world);
  world.Assign(kLock);
  world.Settle();
  director_test::WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
    auto enrollments = writer.LoadEnrollments({world.id(60)});
    if (!enrollments) return Fail(enrollments.error());
    enrollments->front().awaiting_configuration = true;
    enrollments->front().awaiting_since = world.clock.Now();
    enrollments->front().pushed_at.reset();
    if (Status saved = writer.SaveEnrollments(*enrollments); !saved) return saved;
    return writer.MarkDue({{world.id(60), world.clock.Now()}});
  });
  REQUIRE_FALSE(world.HasProfile(60, kLock));
  world.Run(seconds(2));
  CHECK(world.HasProfile(60, kLock));
  CHECK_FALSE(world.HasProfile(59, kLock));
}

TEST_CASE("a certificate authority is asked no faster than certificates_per_minute") {
  World world(40, director_test::OpenStore(), {}, 60);
  RollOut(world);
  world.Assign(kLock);
  world.Assign("com.example.scep", "Example", "ca.example.com");
  const Timestamp begin = world.clock.Now();
  world.Run(seconds(10));
  std::size_t certificates = 0;
  for (std::size_t i = 0; i < 40; ++i) {
    CHECK(world.HasProfile(i, kLock));
    certificates += world.HasProfile(i, "com.example.scep") ? 1 : 0;
  }
  CHECK(certificates <= static_cast<std::size_t>((world.clock.Now() - begin) / seconds(1)) + 2);
  world.Run(minutes(10));
  for (std::size_t i = 0; i < 40; ++i) CHECK(world.IsVerified(i, "com.example.scep"));
}

}  // namespace
}  // namespace director::director_runner_test
