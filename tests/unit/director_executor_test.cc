// Batches, outcomes and the rule of one writer per enrollment, with a server that can be told how
// to answer.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "director/executor.h"
#include "director/runner.h"
#include "director/turns.h"
#include "store/sqlite_store.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_world.h"
#include "tests/support/raw_db.h"
#include "tests/support/temp_folder.h"
#include "tests/support/wait_for.h"

namespace director::director_executor_test {
namespace {

using director_test::At;
using director_test::kServer;
using director_test::OpenStore;
using director_test::SnapshotOf;
using director_test::WriteTo;

/// A complete MDM server in memory: it keeps what it is given and notices two calls that name one
/// enrollment at the same time.
class FakeUpstream final : public Upstream {
 public:
  const UpstreamName& name() const override { return kServer; }
  UpstreamLimits limits() const override {
    return {targets_max_, pushes_on_enqueue_, settle_time_};
  }

  std::vector<EnqueueTargetResult> Enqueue(const EnqueueRequest& request) override {
    std::vector<EnqueueTargetResult> results;
    std::unique_lock lock(mutex_);
    for (const EnrollmentId& id : request.targets) {
      if (!under_way_.insert(id).second) ++overlaps_;
    }
    ++requests_;
    ++requests_under_way_;
    requests_under_way_max_ = std::max(requests_under_way_max_, requests_under_way_);
    company_.notify_all();
    // Stays until another request is here too, as long as that can be expected.
    const auto has_company = [&] { return requests_under_way_ > 1; };
    company_.wait_for(lock, company_wait_max_, [&] { return has_company() || is_let_go_; });
    if (has_company()) ++meetings_;
    --requests_under_way_;
    const bool refuse = std::any_of(request.targets.begin(), request.targets.end(),
                                    [&](const auto& id) { return refused_.contains(id); });
    for (const EnrollmentId& id : request.targets) {
      under_way_.erase(id);
      const EnqueueOutcome outcome = refuse ? EnqueueOutcome::kUnavailable : answer_;
      results.push_back(
          {id, outcome, outcome == EnqueueOutcome::kQueued ? "" : "the server's words"});
      if (outcome == EnqueueOutcome::kQueued) queues_[id].push_back(request.request_type);
      called_.push_back(id);
    }
    return results;
  }
  std::vector<PushTargetResult> Push(const std::vector<EnrollmentId>& targets) override {
    std::vector<PushTargetResult> results;
    const std::lock_guard lock(mutex_);
    for (const EnrollmentId& id : targets) {
      ++pushes_;
      results.push_back(
          {id, dead_.contains(id) ? PushOutcome::kUnregistered : PushOutcome::kSent, ""});
    }
    return results;
  }
  Result<std::vector<QueuedCommand>> ReadQueue(const EnrollmentId&) override {
    return std::vector<QueuedCommand>();
  }
  Status ClearQueue(const EnrollmentId&) override { return {}; }
  Result<std::string> Probe() override {
    if (!is_there_) return Fail(ErrorKind::kUnavailable, "connection refused");
    return std::string("1.0");
  }

  /// Returns when a request begins; after a second in any case, which leaves a slow build the time
  /// to decide before everything changes again.
  void AwaitRequest() {
    std::unique_lock lock(mutex_);
    const int before = requests_;
    company_.wait_for(lock, std::chrono::seconds(1), [&] { return requests_ > before; });
  }

  /// From now on no request waits for another one.
  void LetGo() {
    {
      const std::lock_guard lock(mutex_);
      is_let_go_ = true;
    }
    company_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable company_;
  bool is_let_go_ = false;
  std::chrono::milliseconds company_wait_max_{0};
  int requests_ = 0;
  int requests_under_way_ = 0;
  int requests_under_way_max_ = 0;
  int meetings_ = 0;
  int pushes_ = 0;
  std::size_t targets_max_ = 50;
  bool pushes_on_enqueue_ = false;
  Duration settle_time_ = Duration::zero();
  bool is_there_ = true;
  EnqueueOutcome answer_ = EnqueueOutcome::kQueued;
  std::set<EnrollmentId> refused_;
  std::set<EnrollmentId> dead_;
  std::set<EnrollmentId> under_way_;
  int overlaps_ = 0;
  std::map<EnrollmentId, std::vector<std::string>> queues_;
  std::vector<EnrollmentId> called_;  ///< in the order of the requests
};

Enrollment MakeEnrollment(const std::string& id, Timestamp now) {
  Enrollment enrollment;
  enrollment.channel.enrollment_id = EnrollmentId(id);
  enrollment.channel.device_id = EnrollmentId(id);
  enrollment.channel.udid = id;
  enrollment.upstream = kServer;
  enrollment.status = EnrollmentStatus::kEnrolled;
  enrollment.first_seen_at = now;
  enrollment.last_seen_at = now;
  return enrollment;
}

struct Fixture {
  explicit Fixture(std::unique_ptr<Store> opened = OpenStore()) : store(std::move(opened)) {
    auto owned = std::make_unique<FakeUpstream>();
    server = owned.get();
    upstreams.Add(std::move(owned));
  }
  void AddDevices(int count) {
    std::vector<Enrollment> devices;
    for (int i = 0; i < count; ++i) {
      devices.push_back(MakeEnrollment("D" + std::to_string(i), clock.Now()));
    }
    WriteTo(*store, [&](StoreWriter& writer) { return writer.SaveEnrollments(devices); });
  }
  void Settle() {
    for (int steps = 0;; ++steps) {
      REQUIRE(steps < 1000);
      const Result<std::size_t> claimed = runner.Step();
      REQUIRE(claimed);
      if (*claimed == 0) return;
    }
  }

  ManualClock clock{At(0)};
  SystemRandom random;
  const std::unique_ptr<Store> store;
  Upstreams upstreams;
  FakeUpstream* server = nullptr;
  Payloads payloads{*store, nullptr};
  const Secrets secrets;
  Executor executor{*store, upstreams, payloads, secrets, clock, random};
  Runner runner{*store, upstreams, executor, clock, random, Settings()};
};

PlanCommit MakeCommit(const std::string& id, std::vector<PlannedCommand> commands) {
  PlanCommit commit;
  commit.enrollment_id = EnrollmentId(id);
  commit.upstream = kServer;
  commit.plan.commands = std::move(commands);
  return commit;
}

PlannedCommand Install(const std::string& identifier, const std::string& uuid) {
  return {"InstallProfile", PayloadIdentifier(identifier), PayloadUuid(uuid), "wanted"};
}
const PlannedCommand kList{"ProfileList", {}, {}, "asked"};

TEST_CASE("the same command shares one CommandUUID, different revisions never do") {
  Fixture world;
  std::vector<PlanCommit> commits;
  for (int i = 0; i < 60; ++i) {
    commits.push_back(
        MakeCommit("D" + std::to_string(i), {Install("a", i % 2 == 0 ? "U1" : "U2"), kList}));
  }
  const std::vector<CommandBatch> batches = world.executor.MakeBatches(commits);
  std::set<CommandUuid> uuids;
  bool lists_began = false;
  for (const CommandBatch& batch : batches) {
    CHECK(uuids.insert(batch.command_uuid).second);
    CHECK(batch.targets.size() <= 50);
    lists_began = lists_began || batch.command == kList;
    CHECK((batch.command == kList) == lists_began);
  }
  CHECK(batches.size() == 4);  // 30 + 30 installs, 50 + 10 lists
  for (const PlanCommit& commit : commits) {
    REQUIRE(commit.commands.size() == 2);
    for (const JournaledCommand& command : commit.commands)
      CHECK(uuids.contains(command.command_uuid));
  }
}

TEST_CASE("four workers never have two requests under way that name one enrollment") {
  constexpr int kDevices = 4 * Runner::kClaimMax;  // work for each of the four
  Fixture world;
  world.AddDevices(kDevices);
  // Longer than another worker takes to decide: the store lets one decide at a time.
  world.server->company_wait_max_ = std::chrono::milliseconds(300);
  world.runner.Start(4);
  std::atomic<bool> stop{false};
  std::thread restless([&] {
    for (int round = 0; !stop; ++round) {
      world.clock.Advance(std::chrono::seconds(1));
      std::map<EnrollmentId, Timestamp> due_at;
      for (int i = round % 3; i < kDevices; i += 3) {
        due_at.emplace("D" + std::to_string(i), world.clock.Now());
      }
      const Status done =
          world.store->Write([&](StoreWriter& writer) { return writer.MarkDue(due_at); });
      if (!done) stop = true;
      world.runner.Notify();
      world.server->AwaitRequest();
    }
  });
  const auto served = [&] {
    const std::lock_guard lock(world.server->mutex_);
    return world.server->queues_.size() == kDevices && world.server->meetings_ > 0;
  };
  CHECK(test::WaitFor(served));
  CHECK_FALSE(stop);
  stop = true;
  restless.join();
  world.runner.Stop();
  CHECK(world.server->overlaps_ == 0);
}

/// A store that counts how often it was read; an idle worker reads when it has to look again.
class CountedStore final : public Store {
 public:
  explicit CountedStore(Store& inner) : inner_(inner) {}
  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    return inner_.Write(body);
  }
  Status Read(const std::function<Status(StoreReader&)>& body) override {
    ++reads;
    return inner_.Read(body);
  }
  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override {
    return inner_.ReadOnce(body);
  }
  std::atomic<int> reads{0};

 private:
  Store& inner_;
};

TEST_CASE("one notice brings two workers to the MDM server when there is work for two") {
  Fixture world;
  CountedStore store(*world.store);
  Runner runner(store, world.upstreams, world.executor, world.clock, world.random, Settings(),
                std::chrono::hours(1));
  runner.Start(2);
  REQUIRE(test::WaitFor([&] { return store.reads == 2; }));  // both are idle
  world.server->company_wait_max_ = std::chrono::minutes(1);
  world.AddDevices(2 * Runner::kClaimMax);
  runner.Notify();
  const auto have_met = [&] {
    const std::lock_guard lock(world.server->mutex_);
    return world.server->meetings_ > 0;
  };
  CHECK(test::WaitFor(have_met));
  world.server->LetGo();
  runner.Stop();
  CHECK(world.server->overlaps_ == 0);
  CHECK(world.server->requests_under_way_max_ == 2);  // one for each worker
}

TEST_CASE("a worker that was slower than its lease still tells what it sent") {
  Fixture world;
  world.AddDevices(1);
  world.server->company_wait_max_ = std::chrono::minutes(1);
  std::atomic<bool> has_succeeded = false;
  std::thread slow([&] { has_succeeded = world.runner.Step().has_value(); });
  const auto is_sending = [&] {
    const std::lock_guard lock(world.server->mutex_);
    return world.server->requests_under_way_ == 1;
  };
  CHECK(test::WaitFor(is_sending));
  const auto state = [&] {
    return SnapshotOf(*world.store, EnrollmentId("D0")).intents.at(0).state;
  };
  CHECK(state() == IntentState::kJournaled);
  world.clock.Advance(Settings().claim_lease);
  WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
    const auto claims = writer.ClaimDue(world.clock.Now(), 1);
    if (!claims) return Fail(claims.error());
    CHECK(claims->size() == 1);
    return {};
  });
  CHECK(state() == IntentState::kUnknown);
  world.server->LetGo();
  slow.join();
  CHECK(has_succeeded);
  CHECK(state() == IntentState::kSent);
}

TEST_CASE("a server that takes one device in a request gets all commands of one after the other") {
  Fixture world;
  world.server->targets_max_ = 1;
  world.AddDevices(20);
  world.Settle();
  CHECK(world.server->called_.size() > 2 * 20);
  const auto unique = std::unique(world.server->called_.begin(), world.server->called_.end());
  CHECK(unique - world.server->called_.begin() == 20);
}

TEST_CASE("a server that takes one device in a request gets what a person approved first") {
  Fixture world;
  world.server->targets_max_ = 1;
  PlannedCommand lock{"DeviceLock", {}, {}, "approved"};
  lock.proposal_id = 7;
  std::vector<PlanCommit> commits{
      MakeCommit("A", {kList}), MakeCommit("B", {Install("com.example.wifi", "W"), kList}),
      MakeCommit("C", {lock, Install("com.example.wifi", "W"), kList}), MakeCommit("D", {kList})};
  std::string order;
  for (const CommandBatch& batch : world.executor.MakeBatches(commits)) {
    order += batch.targets.at(0).value() + ":" + batch.command.request_type + " ";
  }
  CHECK(order ==
        "C:DeviceLock C:InstallProfile C:ProfileList A:ProfileList B:InstallProfile B:ProfileList "
        "D:ProfileList ");
}

TEST_CASE("a device that has just spoken is left alone for a moment, whatever makes it due") {
  Fixture world;
  world.server->settle_time_ = std::chrono::milliseconds(500);
  world.AddDevices(2);
  const auto speaks = [&](const std::string& id) {
    WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
      auto devices = writer.LoadEnrollments({EnrollmentId(id)});
      if (!devices) return Fail(devices.error());
      devices->front().last_seen_at = world.clock.Now();
      if (Status saved = writer.SaveEnrollments(*devices); !saved) return saved;
      return writer.MarkDue({{EnrollmentId(id), world.clock.Now()}});
    });
  };
  const auto is_asked = [&](const std::string& id) {
    return world.server->queues_.contains(EnrollmentId(id));
  };
  world.Settle();
  world.clock.Advance(std::chrono::milliseconds(400));
  speaks("D0");
  world.Settle();
  CHECK(world.server->queues_.empty());
  world.clock.Advance(std::chrono::milliseconds(100));
  world.Settle();
  CHECK_FALSE(is_asked("D0"));
  CHECK(is_asked("D1"));
  world.clock.Advance(std::chrono::milliseconds(399));
  world.Settle();
  CHECK_FALSE(is_asked("D0"));
  world.clock.Advance(std::chrono::milliseconds(1));
  world.Settle();
  CHECK(is_asked("D0"));
}

TEST_CASE("a device that another director's clock puts into the future waits for a moment only") {
  Fixture world;
  world.server->settle_time_ = std::chrono::milliseconds(500);
  const auto [ahead, waits] =
      GENERATE(std::pair(300, true), std::pair(500, false), std::pair(3'600'000, false));
  Enrollment device = MakeEnrollment("D0", world.clock.Now());
  WriteTo(*world.store, [&](StoreWriter& writer) { return writer.SaveEnrollments({device}); });
  device.last_seen_at = world.clock.Now() + std::chrono::milliseconds(ahead);
  WriteTo(*world.store, [&](StoreWriter& writer) { return writer.SaveEnrollments({device}); });
  world.Settle();
  CHECK(world.server->queues_.empty() == waits);
  world.clock.Advance(std::chrono::milliseconds(800));
  world.Settle();
  CHECK_FALSE(world.server->queues_.empty());
}

TEST_CASE("a request refused as a whole is halved until only the bad one is left") {
  Fixture world;
  world.AddDevices(40);
  world.server->refused_ = {EnrollmentId("D7")};
  world.Settle();
  for (int i = 0; i < 40; ++i) {
    const EnrollmentId id("D" + std::to_string(i));
    INFO(id.value());
    CHECK(world.server->queues_.contains(id) == (i != 7));
    for (const Intent& intent : SnapshotOf(*world.store, id).intents) {
      CHECK((intent.state == IntentState::kSent) == (i != 7));
    }
  }
  CHECK(world.executor.counters().commands_queued > 0);
  CHECK(world.executor.counters().commands_failed > 0);
  CHECK_FALSE(world.upstreams.Find(kServer)->health.retry_at(world.clock.Now()));
}

TEST_CASE(
    "an answer that nobody got leaves the command open, and the server is left alone when it is "
    "gone") {
  Fixture world;
  world.AddDevices(3);
  world.server->answer_ = EnqueueOutcome::kUnknown;
  world.server->is_there_ = false;
  const Result<std::size_t> claimed = world.runner.Step();
  REQUIRE(claimed);
  CHECK(*claimed == 3);
  std::set<IntentState> states;
  for (const Intent& intent : SnapshotOf(*world.store, EnrollmentId("D0")).intents) {
    states.insert(intent.state);
  }
  CHECK(states.contains(IntentState::kUnknown));
  CHECK(world.upstreams.Find(kServer)->health.retry_at(world.clock.Now()));
}

TEST_CASE("while the server is away it is probed, and nothing more is journaled or sent") {
  Fixture world;
  world.AddDevices(300);
  world.server->answer_ = EnqueueOutcome::kUnavailable;
  world.server->is_there_ = false;
  world.Settle();
  const int requests = world.server->requests_;
  CHECK(requests < 10);
  for (int minute = 0; minute < 300; ++minute) {
    world.clock.Advance(std::chrono::minutes(1));
    world.Settle();
  }
  CHECK(world.server->requests_ == requests);
  // Only those that were in hand when the first request failed: for each its ProfileList and every
  // question but the one about managed apps.
  CHECK(world.executor.counters().commands_failed == kInventoryKinds.size() * Runner::kClaimMax);

  world.server->answer_ = EnqueueOutcome::kQueued;
  world.server->is_there_ = true;
  for (int minute = 0; minute < 65; ++minute) {
    world.clock.Advance(std::chrono::minutes(1));
    world.Settle();
  }
  CHECK(world.server->queues_.size() == 300);
}

TEST_CASE("a server that is back is noticed although no device is due") {
  Fixture world;
  UpstreamHealth& health = world.upstreams.Find(kServer)->health;
  health.RecordFailure(world.clock.Now(), "connection refused");
  world.clock.Advance(std::chrono::seconds(5));
  const Result<std::size_t> claimed = world.runner.Step();
  REQUIRE(claimed);
  CHECK(*claimed == 0);
  CHECK(health.answers());
}

TEST_CASE("a server that pushes with each command is not asked to push as well") {
  Fixture world;
  world.AddDevices(3);
  const auto decides_with_pushes = [&] {
    return WithServers(SnapshotOf(*world.store, EnrollmentId("D0")), world.upstreams, Settings(),
                       world.clock.Now())
        .upstream_pushes;
  };
  SECTION("it pushes by itself") {
    world.server->pushes_on_enqueue_ = true;
    CHECK(decides_with_pushes());
    world.Settle();
    CHECK(world.server->queues_.size() == 3);
    CHECK(world.server->pushes_ == 0);
    world.clock.Advance(std::chrono::minutes(15));  // still silent: now a push alone
    world.Settle();
    CHECK(world.server->pushes_ == 3);
  }
  SECTION("it does not") {
    CHECK_FALSE(decides_with_pushes());
    world.Settle();
    CHECK(world.server->pushes_ == 3);
  }
  SECTION("the command did not get through") {
    world.server->pushes_on_enqueue_ = true;
    world.server->refused_ = {EnrollmentId("D1")};
    world.Settle();
    CHECK(world.server->pushes_ == 1);
  }
}

TEST_CASE("a dead push token is remembered and the others are pushed") {
  Fixture world;
  world.AddDevices(3);
  world.server->dead_ = {EnrollmentId("D1")};
  world.Settle();
  CHECK(SnapshotOf(*world.store, EnrollmentId("D1")).enrollment.push_unregistered);
  CHECK_FALSE(SnapshotOf(*world.store, EnrollmentId("D0")).enrollment.push_unregistered);
  CHECK(world.executor.counters().pushes_sent == 2);
  CHECK(world.executor.counters().pushes_failed == 1);
}

/// A real store that is out of reach when told so.
class ShakyStore final : public Store {
 public:
  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    if (is_away) return Fail(ErrorKind::kUnavailable, "away");
    return inner_->Write(body);
  }
  Status Read(const std::function<Status(StoreReader&)>& body) override {
    return inner_->Read(body);
  }
  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override {
    return inner_->ReadOnce(body);
  }
  bool is_away = false;

 private:
  std::unique_ptr<Store> inner_ = OpenStore();
};

TEST_CASE("a database that is away for a moment sets nobody aside") {
  Fixture world;
  ShakyStore store;
  WriteTo(store, [&](StoreWriter& writer) {
    return writer.SaveEnrollments({MakeEnrollment("D0", world.clock.Now())});
  });
  Payloads payloads(store, nullptr);
  Executor executor(store, world.upstreams, payloads, world.secrets, world.clock, world.random);
  Runner runner(store, world.upstreams, executor, world.clock, world.random, Settings());
  store.is_away = true;
  const Result<std::size_t> failed = runner.Step();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::kUnavailable);
  store.is_away = false;
  REQUIRE(runner.Step());
  CHECK(world.server->queues_.size() == 1);
}

std::unique_ptr<Store> OpenFile(const std::string& path) {
  auto opened = OpenSqliteStore(path);
  REQUIRE(opened);
  return std::move(*opened);
}

struct InFolder {
  test::TempFolder folder;
  const std::string path = folder.Path("director.db");
};

/// On a file, so that a connection beside the store can break what is in it.
struct FileFixture : InFolder, Fixture {
  FileFixture() : Fixture(OpenFile(path)) {}

  /// `id` is looked at again in an hour, and gets its commands then, once `cure` has mended it.
  void CheckSetAsideUntilCured(const std::string& id, const char* cure) {
    CHECK_FALSE(server->queues_.contains(EnrollmentId(id)));
    const std::string in_an_hour = std::to_string(ToUnixMs(clock.Now() + std::chrono::hours(1)));
    CHECK(raw.Value("SELECT due_at FROM enrollments WHERE enrollment_id = '" + id + "'") ==
          in_an_hour);
    raw.Execute(cure);
    clock.Advance(std::chrono::hours(1));
    REQUIRE(runner.Step());
    CHECK(server->queues_.contains(EnrollmentId(id)));
  }

  test::RawDb raw{path};
};

TEST_CASE("an enrollment that cannot be read is set aside for an hour and the others go on") {
  FileFixture world;
  world.AddDevices(5);
  world.raw.Execute("PRAGMA ignore_check_constraints = ON");
  world.raw.Execute("UPDATE enrollments SET status = 'dreaming' WHERE enrollment_id = 'D0'");
  const Result<std::size_t> claimed = world.runner.Step();
  REQUIRE(claimed);
  CHECK(*claimed == 5);
  CHECK(world.server->queues_.size() == 4);
  world.CheckSetAsideUntilCured(
      "D0", "UPDATE enrollments SET status = 'enrolled' WHERE enrollment_id = 'D0'");
}

TEST_CASE("an enrollment whose plan the store refuses is set aside and the others go on") {
  FileFixture world;
  world.AddDevices(5);
  world.raw.Execute(
      "CREATE TRIGGER bad BEFORE INSERT ON intents WHEN NEW.enrollment_id = 'D2' "
      "BEGIN SELECT RAISE(ABORT, 'refused'); END");
  for (int steps = 0; steps < 6; ++steps) REQUIRE(world.runner.Step());
  CHECK(world.server->queues_.size() == 4);
  world.CheckSetAsideUntilCured("D2", "DROP TRIGGER bad");
}

TEST_CASE("a command that the MDM server refuses is closed with the server's words") {
  Fixture world;
  world.AddDevices(1);
  world.server->answer_ = EnqueueOutcome::kRejected;
  REQUIRE(world.runner.Step());
  const Snapshot snapshot = SnapshotOf(*world.store, EnrollmentId("D0"));
  REQUIRE_FALSE(snapshot.intents.empty());
  for (const Intent& intent : snapshot.intents) {
    CHECK(intent.state == IntentState::kRefused);
    CHECK(intent.error == "the server's words");
  }
  CHECK(world.server->queues_.empty());
}

TEST_CASE("a command whose profile is gone is not sent, and the others are") {
  Fixture world;
  std::vector<PlanCommit> commits;
  commits.push_back(MakeCommit("D0", {Install("wifi", "NO-SUCH-REVISION"), kList}));
  const std::vector<DispatchOutcome> outcomes =
      world.executor.Send(world.executor.MakeBatches(commits));
  REQUIRE(outcomes.size() == 2);
  CHECK(outcomes[0].state == IntentState::kNotSent);
  CHECK_FALSE(outcomes[0].error.empty());
  CHECK(outcomes[1].state == IntentState::kSent);
  CHECK(world.server->queues_[EnrollmentId("D0")] == std::vector<std::string>{"ProfileList"});
}

TEST_CASE("a half that cannot be journaled anew is sent to nobody, by neither name") {
  ShakyStore store;
  Fixture world;
  Executor executor(store, world.upstreams, world.payloads, world.secrets, world.clock,
                    world.random);
  std::vector<PlanCommit> commits;
  commits.push_back(MakeCommit("D0", {kList}));
  commits.push_back(MakeCommit("D1", {kList}));
  const std::vector<CommandBatch> batches = executor.MakeBatches(commits);
  world.server->refused_ = {EnrollmentId("D1")};
  store.is_away = true;
  std::map<EnrollmentId, std::set<CommandUuid>> names;
  for (const DispatchOutcome& outcome : executor.Send(batches)) {
    CHECK(outcome.state == IntentState::kNotSent);
    names[outcome.enrollment_id].insert(outcome.command_uuid);
  }
  CHECK(names.size() == 2);
  for (const auto& [id, uuids] : names) {
    CHECK(uuids.size() == 2);
    CHECK(uuids.contains(batches.at(0).command_uuid));
  }
  CHECK(world.server->queues_.empty());
}

}  // namespace
}  // namespace director::director_executor_test
