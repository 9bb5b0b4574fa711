// What the Upstream port promises of the queues of devices.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/contract/upstream_fixture.h"

namespace director::upstream_queue_test {
namespace {

using namespace upstream_test;

std::vector<CommandUuid> UuidsIn(const std::vector<QueuedCommand>& queue) {
  std::vector<CommandUuid> uuids;
  for (const QueuedCommand& queued : queue) uuids.push_back(queued.command_uuid);
  return uuids;
}

/// What waits for the device; nothing when the server has no API for that, as real ones may.
std::optional<std::vector<QueuedCommand>> QueueOf(const EnrolledDevice& enrolled) {
  auto queue = enrolled.upstream->ReadQueue(enrolled.device.id());
  const bool is_absent = !queue && queue.error().kind == ErrorKind::kNotFound;
  if (is_absent && !enrolled.subject.stand_in && !enrolled.subject.core) return std::nullopt;
  INFO((queue ? std::string() : ErrorForLog(queue.error())));
  REQUIRE(queue);
  return std::move(*queue);
}

TEST_CASE("a queue is shown as it is, byte by byte and in order") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const auto empty = QueueOf(enrolled);
      if (!empty) continue;
      CHECK(empty->empty());
      const std::vector<EnqueueRequest> asked = {enrolled.Ask(), enrolled.Ask(), enrolled.Ask()};
      const auto queue = *QueueOf(enrolled);
      REQUIRE(queue.size() == asked.size());
      for (std::size_t i = 0; i < asked.size(); ++i) {
        CHECK(queue[i].command_uuid == asked[i].command_uuid);
        CHECK(queue[i].request_type == request_type::kProfileList);
        CHECK(queue[i].command == asked[i].command);
      }
    }
  }
}

TEST_CASE("a cleared queue gives its device nothing, and takes commands again") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      EnrolledDevice other(subject);
      enrolled.Ask();
      enrolled.Ask();
      const EnqueueRequest kept = other.Ask();
      const Status cleared = enrolled.upstream->ClearQueue(enrolled.device.id());
      const bool is_absent = !cleared && cleared.error().kind == ErrorKind::kNotFound;
      if (is_absent && !subject.stand_in && !subject.core) continue;
      REQUIRE(cleared);
      CHECK(QueueOf(enrolled)->empty());
      CHECK(UuidsIn(*QueueOf(other)) == std::vector{kept.command_uuid});
      enrolled.device.RunSession();
      CHECK(enrolled.device.received_count() == 0);
      REQUIRE(enrolled.upstream->ClearQueue(enrolled.device.id()));
      CHECK(enrolled.device.Receives(enrolled.Ask().command_uuid));
    }
  }
}

TEST_CASE("the queue of an id that never enrolled is empty, and a bad id has none") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      const auto upstream = ClientFor(subject);
      const auto queue = upstream->ReadQueue(FreshDevice().enrollment_id());
      if (queue || queue.error().kind != ErrorKind::kNotFound) {
        REQUIRE(queue);
        CHECK(queue->empty());
        CHECK(upstream->ClearQueue(FreshDevice().enrollment_id()));
      }
      for (const char* const bad : {"", "a/b", "..", "a\nb"}) {
        const auto none = upstream->ReadQueue(EnrollmentId(bad));
        REQUIRE_FALSE(none);
        CHECK(none.error().kind == ErrorKind::kInvalid);
        CHECK(upstream->ClearQueue(EnrollmentId(bad)).error().kind == ErrorKind::kInvalid);
      }
    }
  }
}

TEST_CASE("without the key nobody sees or clears a queue") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const EnqueueRequest waiting = enrolled.Ask();
      const ErrorKind refusal = QueueOf(enrolled) ? ErrorKind::kRejected : ErrorKind::kNotFound;
      const auto stranger = ClientFor(subject, kWrongKey);
      const auto queue = stranger->ReadQueue(enrolled.device.id());
      REQUIRE_FALSE(queue);
      CHECK(queue.error().kind == refusal);
      const Status cleared = stranger->ClearQueue(enrolled.device.id());
      REQUIRE_FALSE(cleared);
      CHECK(cleared.error().kind == refusal);
      CHECK(enrolled.device.Receives(waiting.command_uuid));
    }
  }
}

TEST_CASE("a queue of several pages is read to its end") {
  const Subject subject = StandIn("stand-in", CoreStore::kKeyValue, EnqueueOutcome::kQueued);
  EnrolledDevice enrolled(subject);
  std::vector<CommandUuid> asked;
  for (std::size_t i = 0; i < 2 * kCoreQueuePageMax + 1; ++i) {
    asked.push_back(enrolled.Ask().command_uuid);
  }
  CHECK(UuidsIn(*QueueOf(enrolled)) == asked);
}

TEST_CASE("a server that has no API for queues is told from one that fails") {
  const Subject subject = StandIn("stand-in", CoreStore::kKeyValue, EnqueueOutcome::kQueued);
  CoreFaults older;
  older.queue_api = CoreQueueApi::kAbsent;
  subject.stand_in->SetFaults(older);
  const auto upstream = ClientFor(subject);
  const auto queue = upstream->ReadQueue(EnrollmentId("UDID"));
  REQUIRE_FALSE(queue);
  CHECK(queue.error().kind == ErrorKind::kNotFound);
  CHECK(queue.error().message.find("no API for its queues") != std::string::npos);
  CHECK(upstream->ClearQueue(EnrollmentId("UDID")).error().kind == ErrorKind::kNotFound);
  Subject gone = subject;
  gone.url = "http://127.0.0.1:1";
  CHECK(ClientFor(gone)->ReadQueue(EnrollmentId("UDID")).error().kind == ErrorKind::kUnavailable);
  CHECK(ClientFor(gone)->ClearQueue(EnrollmentId("UDID")).error().kind == ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace director::upstream_queue_test
