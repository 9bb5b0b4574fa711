// clear_device_on_enroll on PostgreSQL, where several transactions are at work at once.
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "director/ingest.h"
#include "store/postgres_store.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_world.h"
#include "tests/support/postgres_database.h"

namespace director::director_clear_device_test {
namespace {

using director_test::At;

constexpr int kDevices = 40;

std::string NameOf(int device) { return "DEVICE-" + std::to_string(100 + device); }

Incoming Authenticated(int device, std::int64_t second) {
  MdmEvent event;
  event.upstream = director_test::kServer;
  event.created_at = At(second);
  event.channel.enrollment_id = EnrollmentId(NameOf(device));
  event.channel.device_id = event.channel.enrollment_id;
  event.channel.udid = NameOf(device);
  event.body = AuthenticateEvent{};
  return {At(second), event};
}

std::vector<Incoming> AllAuthenticated(std::int64_t second) {
  std::vector<Incoming> batch;
  for (int i = 0; i < kDevices; ++i) batch.push_back(Authenticated(i, second));
  return batch;
}

Status Assign(Store& store, const std::string& target, int number) {
  Assignment assignment;
  assignment.payload_identifier = PayloadIdentifier("com.example." + std::to_string(number));
  assignment.presence = Presence::kAbsent;
  assignment.target_kind = target.empty() ? TargetKind::kAll : TargetKind::kDevice;
  assignment.target = target;
  assignment.source = "test";
  return store.Write([&](StoreWriter& writer) -> Status {
    if (Status locked = writer.LockDesired(); !locked) return locked;
    const auto saved = writer.SaveAssignment(assignment, At(2));
    return saved ? Status() : Fail(saved.error());
  });
}

TEST_CASE("devices that enroll again are cleared while others are assigned to, and nobody waits") {
  const test::PostgresDatabase database;
  auto opened = OpenPostgresStore(database.settings());
  REQUIRE(opened);
  const std::unique_ptr<Store> store = std::move(*opened);
  const RecordOptions clear{.clear_device_on_enroll = true};
  REQUIRE(RecordIncoming(*store, AllAuthenticated(1), clear));
  for (int i = 0; i < kDevices; ++i) REQUIRE(Assign(*store, NameOf(i), 1));
  std::vector<std::future<Status>> work;
  for (int i = 0; i < kDevices; ++i) {
    work.push_back(std::async(std::launch::async, [&, i] {
      return RecordIncoming(*store, {Authenticated(i, 600)}, clear);
    }));
    work.push_back(std::async(std::launch::async, [&, i] { return Assign(*store, "", 100 + i); }));
  }
  for (auto& one : work) {
    const Status done = one.get();
    INFO((done ? std::string() : ErrorForLog(done.error())));
    CHECK(done);
  }
  const auto left = director_test::ReadFrom(
      *store, [](StoreReader& reader) { return reader.ListAssignments({}); });
  CHECK(left.size() == kDevices);
  for (const Assignment& row : left) CHECK(row.target_kind == TargetKind::kAll);
}

Incoming Polled(const Channel& channel, std::int64_t second) {
  MdmEvent event;
  event.upstream = director_test::kServer;
  event.created_at = At(second);
  event.channel = channel;
  event.body = IdleEvent{};
  return {At(second), event};
}

Channel ChannelOf(int device, const std::string& user = "") {
  Channel channel;
  channel.device_id = EnrollmentId(NameOf(device));
  channel.udid = NameOf(device);
  channel.enrollment_id = channel.device_id;
  if (user.empty()) return channel;
  channel.type = ChannelType::kUser;
  channel.user_id = user;
  channel.enrollment_id = EnrollmentId(NameOf(device) + ":" + user);
  return channel;
}

TEST_CASE("who becomes due by a clearing is locked in the order of the ids, with all others") {
  // The user of the first device became locked after the second device: a transaction that came
  // from the other side ended as a deadlock.
  const test::PostgresDatabase database;
  auto opened = OpenPostgresStore(database.settings());
  REQUIRE(opened);
  const std::unique_ptr<Store> store = std::move(*opened);
  const RecordOptions clear{.clear_device_on_enroll = true};
  const auto lock = [](const Channel& channel) {
    return "SELECT enrollment_id FROM schedule WHERE enrollment_id = '" +
           channel.enrollment_id.value() + "' FOR UPDATE";
  };
  REQUIRE(RecordIncoming(
      *store, {Authenticated(0, 1), Polled(ChannelOf(0, "USER"), 1), Polled(ChannelOf(1), 1)}));
  REQUIRE(Assign(*store, NameOf(0), 1));
  std::future<Status> recording;
  database.Execute(lock(ChannelOf(0, "USER")), [&] {
    recording = std::async(std::launch::async, [&] {
      return RecordIncoming(*store, {Authenticated(0, 600), Polled(ChannelOf(1), 600)}, clear);
    });
    const auto waits = [&] {
      return database.Execute("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0";
    };
    bool is_waiting = waits();
    for (int i = 0; i < 1000 && !is_waiting; ++i) is_waiting = waits();
    CHECK(is_waiting);
    CHECK_NOTHROW(database.Execute(lock(ChannelOf(1)) + " NOWAIT"));
  });
  CHECK(recording.get());
}

}  // namespace
}  // namespace director::director_clear_device_test
