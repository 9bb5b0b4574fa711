// What the Upstream port promises of commands and pushes.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/contract/upstream_fixture.h"

namespace director::upstream_contract_test {
namespace {

using namespace upstream_test;

TEST_CASE("a server says its version, and nobody is no server") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      const Result<std::string> version = ClientFor(subject)->Probe();
      REQUIRE(version);
      CHECK_FALSE(version->empty());
      Subject gone = subject;
      gone.core = nullptr;
      gone.url = "http://127.0.0.1:1";
      const Result<std::string> nothing = ClientFor(gone)->Probe();
      REQUIRE_FALSE(nothing);
      CHECK(nothing.error().kind == ErrorKind::kUnavailable);
    }
  }
}

TEST_CASE("one enqueued command reaches its device once and nobody else") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      DeviceRun device(subject);
      DeviceRun other(subject);
      device.Enroll();
      other.Enroll();
      const EnqueueRequest request = AskForProfiles({device.id()});
      const auto results = ClientFor(subject)->Enqueue(request);
      REQUIRE(results.size() == 1);
      CHECK(results[0].enrollment_id == device.id());
      CHECK(results[0].outcome == EnqueueOutcome::kQueued);
      CHECK(results[0].detail.empty());
      REQUIRE(device.Receives(request.command_uuid));
      device.RunSession();
      CHECK(device.received_count() == 1);
      other.RunSession();
      CHECK(other.received_count() == 0);
    }
  }
}

TEST_CASE("several ids in one request all get the command, in as many as the server takes") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      const auto upstream = ClientFor(subject);
      const std::size_t count = std::min<std::size_t>(upstream->limits().targets_max, 3);
      std::vector<std::unique_ptr<DeviceRun>> devices;
      std::vector<EnrollmentId> ids;
      for (std::size_t i = 0; i < count; ++i) {
        devices.push_back(std::make_unique<DeviceRun>(subject));
        devices.back()->Enroll();
        ids.push_back(devices.back()->id());
      }
      const EnqueueRequest request = AskForProfiles(ids);
      const auto results = upstream->Enqueue(request);
      REQUIRE(results.size() == count);
      AwaitStored(subject, request);
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(results[i].enrollment_id == ids[i]);
        CHECK(results[i].outcome == EnqueueOutcome::kQueued);
        CHECK(devices[i]->Receives(request.command_uuid));
      }
    }
  }
}

TEST_CASE("commands for one device that are enqueued one after the other all arrive") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      std::vector<CommandUuid> uuids;
      for (int i = 0; i < 5; ++i) uuids.push_back(enrolled.Ask().command_uuid);
      for (const CommandUuid& uuid : uuids) CHECK(enrolled.device.Receives(uuid));
      CHECK(enrolled.device.received_count() == uuids.size());
    }
  }
}

TEST_CASE("the same CommandUUID again is queued already, not an error") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const EnqueueRequest request = enrolled.Ask();
      CHECK(IsQueued(*enrolled.upstream, request));
      CHECK(enrolled.device.Receives(request.command_uuid));
    }
  }
}

TEST_CASE("a wrong key is refused for good and queues nothing") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      DeviceRun& device = enrolled.device;
      const EnqueueRequest refused = AskForProfiles({device.id()});
      const auto stranger = ClientFor(subject, kWrongKey);
      const auto results = stranger->Enqueue(refused);
      REQUIRE(results.size() == 1);
      CHECK(results[0].outcome == EnqueueOutcome::kRejected);
      CHECK(results[0].detail.find("credentials") != std::string::npos);
      CHECK(results[0].detail.find(kWrongKey) == std::string::npos);
      const auto pushed = stranger->Push({device.id()});
      REQUIRE(pushed.size() == 1);
      CHECK(pushed[0].outcome == PushOutcome::kFailed);
      // The one behind it arrives and the refused one did not come first.
      CHECK(device.Receives(enrolled.Ask().command_uuid));
      CHECK(device.received_count() == 1);
    }
  }
}

TEST_CASE("an id that never enrolled") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      const EnrollmentId nobody = FreshDevice().enrollment_id();
      const auto results = ClientFor(subject)->Enqueue(AskForProfiles({nobody}));
      CHECK(Outcomes(results) == std::vector{subject.unknown_id});
    }
  }
}

TEST_CASE("what is no command is refused for good and not quoted") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      EnqueueRequest request = AskForProfiles({enrolled.device.id()});
      for (const char* const bad : {"<?xml version=\"1.0\"?><plist><dict><key>Private</key>",
                                    "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>"
                                    "<key>Private</key><string>x</string></dict></plist>"}) {
        request.command = bad;
        const auto results = enrolled.upstream->Enqueue(request);
        REQUIRE(results.size() == 1);
        CHECK(results[0].outcome == EnqueueOutcome::kRejected);
        CHECK_FALSE(results[0].detail.empty());
        CHECK(results[0].detail.find("Private") == std::string::npos);
      }
      enrolled.device.RunSession();
      CHECK(enrolled.device.received_count() == 0);
    }
  }
}

TEST_CASE("a push without a push certificate fails and takes no command with it") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const EnqueueRequest request = enrolled.Ask();
      const auto pushed = enrolled.upstream->Push({enrolled.device.id()});
      REQUIRE(pushed.size() == 1);
      CHECK(pushed[0].enrollment_id == enrolled.device.id());
      CHECK(pushed[0].outcome == PushOutcome::kFailed);
      CHECK_FALSE(pushed[0].detail.empty());
      CHECK(enrolled.device.Receives(request.command_uuid));
    }
  }
}

TEST_CASE("a dead push token is told from other failures") {
  // Real servers would have to ask Apple.
  const std::vector<Subject> subjects = {
      StandIn("stand-in", CoreStore::kKeyValue, EnqueueOutcome::kQueued, CorePush::kOk),
      MicroStandIn("stand-in for MicroMDM", MicroQueue::kBuiltin, CorePush::kOk)};
  for (const Subject& subject : subjects) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const EnrollmentId id = enrolled.device.id();
      const auto push = [&] {
        const auto pushed = enrolled.upstream->Push({id});
        REQUIRE(pushed.size() == 1);
        return pushed[0].outcome;
      };
      CHECK(push() == PushOutcome::kSent);
      if (subject.core) subject.core->MarkUnregistered(id);
      if (subject.stand_in) subject.stand_in->MarkUnregistered(id);
      CHECK(push() == PushOutcome::kUnregistered);
    }
  }
}

}  // namespace
}  // namespace director::upstream_contract_test
