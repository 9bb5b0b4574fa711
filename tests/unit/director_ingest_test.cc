// What comes in by webhook is on disk or refused, and no single event takes others with it.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "director/ingest.h"
#include "reconciler/observe.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_world.h"
#include "tests/support/wait_for.h"

namespace director::director_ingest_test {
namespace {

using director_test::At;
using director_test::DeadLettersOf;
using director_test::FaultyStore;
using director_test::kServer;
using director_test::ListAll;
using director_test::OpenStore;
using director_test::SnapshotOf;
using director_test::World;
using namespace std::chrono_literals;

MdmEvent MakeEvent(const std::string& id, EventBody body, std::int64_t second = 0) {
  MdmEvent event;
  event.upstream = kServer;
  event.created_at = At(second);
  event.channel.enrollment_id = EnrollmentId(id);
  event.channel.device_id = EnrollmentId(id);
  event.channel.udid = id;
  event.body = std::move(body);
  return event;
}

Incoming Enrolled(const std::string& id, std::int64_t second = 0) {
  return {At(second), MakeEvent(id, TokenUpdateEvent{}, second)};
}

Incoming Authenticated(const std::string& id, std::int64_t second) {
  AuthenticateEvent event;
  event.serial_number = "C02" + id;
  return {At(second), MakeEvent(id, std::move(event), second)};
}

/// An event that no store takes: it belongs to no device.
Incoming Refused(const std::string& id) {
  MdmEvent event = MakeEvent(id, TokenUpdateEvent{});
  event.channel.device_id = EnrollmentId();
  return {At(0), event};
}

Incoming Answer(const std::string& id, const CommandUuid& command_uuid, CommandStatus status,
                std::int64_t second) {
  ResultEvent result;
  result.command_uuid = command_uuid;
  result.status = status;
  return {At(second), MakeEvent(id, result, second)};
}

TEST_CASE("an event that the store refuses becomes a dead letter and the others are recorded") {
  const auto store = OpenStore();
  REQUIRE(RecordIncoming(*store, {Enrolled("A"), Refused("BAD"), Enrolled("B")}));
  CHECK(ListAll(*store).size() == 2);
  const std::vector<DeadLetter> letters = DeadLettersOf(*store);
  REQUIRE(letters.size() == 1);
  CHECK(letters[0].reason.find("BAD") != std::string::npos);
  CHECK(letters[0].reason.find("TokenUpdate") != std::string::npos);
  CHECK(letters[0].upstream == kServer);
}

TEST_CASE("what cannot be decoded is kept with its reason and a bounded part of its body") {
  const auto store = OpenStore();
  const std::string huge(3 * kDeadLetterBodyMaxBytes, '{');
  for (const std::string& body : {std::string("no json"), std::string(), std::string("{}"), huge}) {
    REQUIRE(RecordIncoming(*store, {DecodeIncoming(body, kServer, At(0))}));
  }
  const std::vector<DeadLetter> letters = DeadLettersOf(*store);
  REQUIRE(letters.size() == 4);
  CHECK(letters[0].body.size() == kDeadLetterBodyMaxBytes);
  CHECK(letters[0].size_bytes == static_cast<std::int64_t>(huge.size()));
  CHECK(letters[3].body == "no json");
  for (const DeadLetter& letter : letters) CHECK_FALSE(letter.reason.empty());
}

TEST_CASE("a device of a server that must not be written to meanwhile is decided for later") {
  const auto store = OpenStore();
  REQUIRE(RecordIncoming(*store, {Enrolled("A")}));
  director_test::WriteTo(
      *store, [](StoreWriter& writer) { return writer.SetAside({EnrollmentId("A")}, At(3600)); });
  const auto due_at = [&] { return ListAll(*store).at(0).due_at; };
  const Incoming enrolled = Enrolled("A", 60);
  SECTION("it") {
    REQUIRE(RecordIncoming(*store, {enrolled}, {.settle_times = {{kServer, 500ms}}}));
    CHECK(due_at() == At(60) + 500ms);
    INFO("what it says next puts nothing off");
    REQUIRE(RecordIncoming(*store, {Enrolled("A", 61)}, {.settle_times = {{kServer, 500ms}}}));
    CHECK(due_at() == At(60) + 500ms);
  }
  SECTION("another server's") {
    const UpstreamName other("other");
    REQUIRE(RecordIncoming(*store, {enrolled}, {.settle_times = {{other, 500ms}}}));
    CHECK(due_at() == At(60));
  }
}

TEST_CASE("nothing is recorded and nothing is given up while the store is out of reach") {
  FaultyStore store(OpenStore());
  store.SetDown();
  const Status failed = RecordIncoming(store, {Enrolled("A"), Enrolled("B")});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::kUnavailable);
  store.SetUp();
  CHECK(ListAll(store).empty());
  CHECK(DeadLettersOf(store).empty());
}

TEST_CASE("many threads share commits and every accepted event is on disk") {
  FaultyStore store(OpenStore());
  std::atomic<int> notified{0};
  std::atomic<int> refused{0};
  constexpr int kThreads = 16;
  constexpr int kEach = 40;
  {
    Ingest ingest(store, [&] { ++notified; });
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kEach; ++i) {
          const std::string id = "D" + std::to_string(thread) + "-" + std::to_string(i);
          if (!ingest.Accept(Enrolled(id))) ++refused;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(ingest.QueueDepth() == 0);
  }
  CHECK(refused == 0);
  CHECK(ListAll(store).size() == kThreads * kEach);
  CHECK(notified > 0);
  CHECK(store.writes() < kThreads * kEach);
}

TEST_CASE("a failing store is told to every sender that waits") {
  FaultyStore store(OpenStore());
  Ingest ingest(store, [] {});
  store.SetDown();
  const Status failed = ingest.Accept(Enrolled("A"));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::kUnavailable);
  store.SetUp();
  CHECK(ingest.Accept(Enrolled("A")));
  CHECK(ListAll(store).size() == 1);
}

/// A store whose writes wait until they may go on: before they begin, or for their commit.
class HeldStore final : public Store {
 public:
  enum class Where { kBegin, kCommit };
  HeldStore(std::shared_future<void> may_go, Where where)
      : may_go_(std::move(may_go)), where_(where) {}
  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    if (where_ == Where::kBegin) may_go_.wait();
    const Status done = inner_->Write(body);
    ++decided_;
    may_go_.wait();
    return done;
  }
  Status Read(const std::function<Status(StoreReader&)>& body) override {
    return inner_->Read(body);
  }
  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override {
    return inner_->ReadOnce(body);
  }
  /// Writes that have only their commit left, or have even that behind them.
  int decided() const { return decided_; }

 private:
  std::unique_ptr<Store> inner_ = OpenStore();
  std::shared_future<void> may_go_;
  Where where_;
  std::atomic<int> decided_ = 0;
};

TEST_CASE("a poll that changes nothing writes nothing, one that tells something is recorded") {
  const auto store = OpenStore();
  REQUIRE(RecordIncoming(*store, {Enrolled("A"), Enrolled("B")}));
  const auto poll = [](const std::string& id, std::int64_t second) -> Incoming {
    return {At(second), MakeEvent(id, IdleEvent{}, second)};
  };
  const auto left = [&](std::vector<Incoming> batch) {
    const auto news = WithoutIdlePolls(*store, std::move(batch));
    REQUIRE(news);
    return news->size();
  };
  CHECK(left({poll("A", 1), poll("B", 2), poll("A", 3)}) == 0);
  CHECK(left({poll("A", 1), Enrolled("B", 2)}) == 1);
  CHECK(left({Enrolled("B", 2), poll("B", 3)}) == 2);
  CHECK(left({poll("A", 600)}) == 1);  // not heard from for long
  CHECK(left({poll("NEW", 1), poll("B", 2)}) == 1);
  Enrollment woken = SnapshotOf(*store, EnrollmentId("B")).enrollment;
  woken.wants_wake = true;
  director_test::WriteTo(*store,
                         [&](StoreWriter& writer) { return writer.SaveEnrollments({woken}); });
  CHECK(left({poll("A", 1), poll("B", 2)}) == 1);
  FaultyStore down(OpenStore());
  down.SetDown();
  const auto failed = WithoutIdlePolls(down, {poll("A", 1)});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::kUnavailable);
}

/// A store that refuses a value that it is asked for.
class RefusingStore final : public Store {
 public:
  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    return inner_->Write(body);
  }
  Status Read(const std::function<Status(StoreReader&)>&) override {
    return Fail(ErrorKind::kInvalid, "it has a zero byte");
  }
  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override { return Read(body); }

 private:
  std::unique_ptr<Store> inner_ = OpenStore();
};

TEST_CASE("a poll whose id the store refuses keeps nobody else's from being recorded") {
  RefusingStore store;
  const std::vector<Incoming> polls{{At(0), MakeEvent("A", IdleEvent{})},
                                    {At(0), MakeEvent("B", IdleEvent{})}};
  const auto left = WithoutIdlePolls(store, polls);
  REQUIRE(left);
  CHECK(left->size() == 2);
}

TEST_CASE("a poll is left out when it is no news, and only then") {
  Enrollment enrollment;
  enrollment.channel.enrollment_id = EnrollmentId("A");
  enrollment.channel.device_id = EnrollmentId("A");
  enrollment.upstream = kServer;
  enrollment.status = GENERATE(EnrollmentStatus::kAuthenticated, EnrollmentStatus::kEnrolled);
  enrollment.missing_step =
      GENERATE(EnrollmentStep::kNone, EnrollmentStep::kTokenUpdate, EnrollmentStep::kFirstAnswer);
  if (enrollment.missing_step != EnrollmentStep::kNone) enrollment.missing_since = At(0);
  enrollment.push_count = GENERATE(0, 1);
  enrollment.wants_wake = GENERATE(false, true);
  enrollment.push_unregistered = GENERATE(false, true);
  enrollment.last_seen_at = At(1'000) + GENERATE(-kSeenWriteInterval, 1ms - kSeenWriteInterval, 0ms,
                                                 kLateEventAfter, kLateEventAfter + 1ms);
  const auto store = OpenStore();
  director_test::WriteTo(*store,
                         [&](StoreWriter& writer) { return writer.SaveEnrollments({enrollment}); });
  const Incoming poll{At(1'000), MakeEvent("A", IdleEvent{}, 1'000)};
  const auto news = WithoutIdlePolls(*store, {poll});
  REQUIRE(news);
  const Observation seen =
      Observe(enrollment, {}, std::get<MdmEvent>(poll.content), poll.received_at);
  CHECK(news->empty() == (!seen.enrollment_changed && !seen.due));
}

TEST_CASE("the queue is bounded: one more sender is told to come again") {
  std::promise<void> go;
  HeldStore store(go.get_future().share(), HeldStore::Where::kBegin);
  std::atomic<std::size_t> accepted{0};
  std::atomic<std::size_t> refused{0};
  {
    Ingest ingest(store, [] {});
    std::vector<std::thread> senders;
    // Each thread may have one batch out of the queue and in the store's hands.
    const std::size_t count = Ingest::kQueueMax + Ingest::kThreads * Ingest::kBatchMax + 50;
    for (std::size_t i = 0; i < count; ++i) {
      senders.emplace_back([&, i] {
        const Status done = ingest.Accept(Enrolled("D" + std::to_string(i)));
        ++(done ? accepted : refused);
      });
    }
    CHECK(test::WaitFor([&] { return refused >= 50; }));
    CHECK(ingest.QueueDepth() == Ingest::kQueueMax);
    go.set_value();
    for (std::thread& sender : senders) sender.join();
    CHECK(accepted + refused == count);
  }
  CHECK(director_test::ReadFrom(store, [](StoreReader& reader) {
          return reader.CountFleet(At(0));
        }).enrollments[EnrollmentStatus::kEnrolled] == static_cast<std::int64_t>(accepted));
}

TEST_CASE("the next batch is made while the one before has only its commit left") {
  std::promise<void> go;
  HeldStore store(go.get_future().share(), HeldStore::Where::kCommit);
  Ingest ingest(store, [] {});
  std::future<Status> first =
      std::async(std::launch::async, [&] { return ingest.Accept(Enrolled("A")); });
  REQUIRE(test::WaitFor([&] { return store.decided() == 1; }));
  std::future<Status> second =
      std::async(std::launch::async, [&] { return ingest.Accept(Enrolled("B")); });
  CHECK(test::WaitFor([&] { return store.decided() == 2; }));
  go.set_value();
  CHECK(first.get());
  CHECK(second.get());
}

TEST_CASE("the answer to an unknown command harms nothing") {
  const auto store = OpenStore();
  REQUIRE(RecordIncoming(*store, {Enrolled("A")}));
  REQUIRE(RecordIncoming(
      *store, {Answer("A", CommandUuid("of-somebody-else"), CommandStatus::kAcknowledged, 1)}));
  CHECK(DeadLettersOf(*store).empty());
  CHECK(SnapshotOf(*store, EnrollmentId("A")).intents.empty());
}

TEST_CASE("an answer counts only for the enrollment that was asked") {
  World world(2);
  world.Assign("com.example.wifi");
  world.Session(0);
  world.Settle();
  const Snapshot before = SnapshotOf(*world.store, world.id(0));
  REQUIRE_FALSE(before.intents.empty());
  const CommandUuid uuid = before.intents.front().command_uuid;
  REQUIRE(RecordIncoming(*world.store, {Answer("OTHER", uuid, CommandStatus::kAcknowledged, 60)}));
  CHECK(SnapshotOf(*world.store, world.id(0)).intents.front().state == IntentState::kSent);
  REQUIRE(RecordIncoming(*world.store,
                         {Answer(world.id(0).value(), uuid, CommandStatus::kAcknowledged, 60)}));
  CHECK(SnapshotOf(*world.store, world.id(0)).intents.front().state == IntentState::kAcknowledged);
}

TEST_CASE("doubled events, in one batch or one by one, lead to the same state") {
  const std::vector<Incoming> story = {Enrolled("A", 0), Enrolled("A", 0), Enrolled("A", 1)};
  const auto together = OpenStore();
  REQUIRE(RecordIncoming(*together, story));
  const auto alone = OpenStore();
  for (const Incoming& incoming : story) REQUIRE(RecordIncoming(*alone, {incoming}));
  const auto once = OpenStore();
  REQUIRE(RecordIncoming(*once, {Enrolled("A", 0)}));
  REQUIRE(RecordIncoming(*once, {Enrolled("A", 1)}));
  const Enrollment expected = SnapshotOf(*once, EnrollmentId("A")).enrollment;
  CHECK(SnapshotOf(*together, EnrollmentId("A")).enrollment == expected);
  CHECK(SnapshotOf(*alone, EnrollmentId("A")).enrollment == expected);
}

TEST_CASE("with every webhook doubled the fleet converges to the same state") {
  World world(3);
  CoreFaults faults;
  faults.duplicate_webhook = 1;
  world.core.SetFaults(faults);
  world.Assign("com.example.wifi");
  world.SessionOfEach();
  world.Run(std::chrono::minutes(5));
  for (std::size_t i = 0; i < 3; ++i) CHECK(world.IsVerified(i, "com.example.wifi"));
  CHECK(world.Enqueued("InstallProfile").size() == 1);
}

/// A device with assignments, of which some are for it alone.
struct OwnedWorld {
  OwnedWorld() {
    Record(Enrolled("A"));
    Record(Enrolled("B"));
    Record(Authenticated("A", 1));
    Record(Enrolled("A", 2));
    int number = 0;
    for (const char* target : {"A", "a", "C02A", "B", ""}) {
      Assignment assignment;
      assignment.payload_identifier = PayloadIdentifier("com." + std::to_string(++number));
      assignment.presence = Presence::kAbsent;
      assignment.target = target;
      assignment.target_kind = *target == '\0' ? TargetKind::kAll : TargetKind::kDevice;
      assignment.channel = number == 2 ? AssignmentChannel::kUser : AssignmentChannel::kDevice;
      assignment.source = "test";
      director_test::WriteTo(*store, [&](StoreWriter& writer) -> Status {
        const auto saved = writer.SaveAssignment(assignment, At(2));
        if (!saved) return Fail(saved.error());
        return {};
      });
    }
  }

  void Record(const Incoming& incoming) {
    REQUIRE(RecordIncoming(*store, {incoming}, {.clear_device_on_enroll = is_set}));
  }
  /// Numbers of the assignments that are left.
  std::string Left() {
    std::string left;
    for (const Assignment& row : director_test::ReadFrom(
             *store, [](StoreReader& reader) { return reader.ListAssignments({}); })) {
      left += row.payload_identifier.value().substr(4);
    }
    return left;
  }

  bool is_set = true;
  std::unique_ptr<Store> store = OpenStore();
};

TEST_CASE("clear_device_on_enroll: a device that enrolls again loses what is for it alone") {
  OwnedWorld world;
  CHECK(world.Left() == "12345");
  SECTION("Authenticate") { world.Record(Authenticated("A", 60)); }
  SECTION("a word long after a CheckOut") {
    world.Record({At(60), MakeEvent("A", CheckOutEvent{}, 60)});
    CHECK(world.Left() == "12345");
    world.Record({At(600), MakeEvent("A", IdleEvent{}, 600)});
  }
  CHECK(world.Left() == "45");
  const auto happenings = director_test::ReadFrom(*world.store, [](StoreReader& reader) {
    return reader.ListHappenings({}, {"", 100});
  });
  CHECK(std::any_of(happenings.begin(), happenings.end(), [](const Happening& happening) {
    return happening.enrollment_id.value() == "A" && happening.kind == "desired" &&
           happening.text.find(
               "3 assignments for this device alone withdrawn "
               "(com.1, com.2, com.3)") != std::string::npos;
  }));
}

TEST_CASE("clear_device_on_enroll: nothing else takes anything away") {
  OwnedWorld world;
  SECTION("when it is off") {
    world.is_set = false;
    world.Record(Authenticated("A", 60));
  }
  SECTION("a TokenUpdate, a poll, a CheckOut") {
    world.Record(Enrolled("A", 60));
    world.Record({At(70), MakeEvent("A", IdleEvent{}, 70)});
    world.Record({At(80), MakeEvent("A", CheckOutEvent{}, 80)});
  }
  SECTION("the same Authenticate again") { world.Record(Authenticated("A", 1)); }
  SECTION("another device") {
    world.Record(Authenticated("C", 60));
    world.Record(Authenticated("C", 300));
  }
  SECTION("a user of the device") {
    MdmEvent event = MakeEvent("A:U", TokenUpdateEvent{}, 60);
    event.channel.device_id = EnrollmentId("A");
    event.channel.type = ChannelType::kUser;
    world.Record({At(60), event});
    event.body = CheckOutEvent{};
    event.created_at = At(70);
    world.Record({At(70), event});
    event.body = TokenUpdateEvent{};
    event.created_at = At(80);
    world.Record({At(80), event});
  }
  CHECK(world.Left() == "12345");
}

}  // namespace
}  // namespace director::director_ingest_test
