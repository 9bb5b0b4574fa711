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

}  // namespace
}  // namespace director::director_clear_device_test
