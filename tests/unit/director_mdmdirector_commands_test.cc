// The journal as MDMDirector's table of commands.
#include <fmt/core.h>

#include <chrono>
#include <string>
#include <vector>

#include "director/ingest.h"
#include "mdm/command.h"
#include "tests/support/catch.h"
#include "tests/support/director_service.h"
#include "tests/support/director_world.h"
#include "tests/support/mdmdirector_client.h"

namespace director::director_mdmdirector_commands_test {
namespace {

using director_test::At;
using director_test::Enroll;
using director_test::MakeMac;
using director_test::MdmDirectorClient;
using director_test::OpenStore;
using director_test::World;
using director_test::WriteTo;
using std::chrono::hours;
using Json = nlohmann::ordered_json;

const std::string kWifi = "com.example.wifi";

/// A store with one Mac and whatever commands a test journals.
struct Journal {
  Journal() { Enroll(*store, mac, At(0)); }

  void Add(const std::string& uuid, IntentState state, const std::string& error = "") {
    Intent intent;
    intent.command_uuid = CommandUuid(uuid);
    intent.request_type = "InstallProfile";
    intent.payload_identifier = PayloadIdentifier(kWifi);
    intent.epoch = 1;
    intent.state = state;
    intent.journaled_at = At(10);
    intent.error = error;
    intents.emplace_back(mac.enrollment_id(), intent);
  }
  void Save() {
    WriteTo(*store, [&](StoreWriter& writer) { return writer.SaveIntents(intents); });
  }
  std::string Uuids(const std::string& path) {
    std::string uuids;
    for (const auto& command : client.GetList(path)) {
      uuids += command["CommandUUID"].get<std::string>() + " ";
    }
    return uuids;
  }

  std::unique_ptr<Store> store = OpenStore();
  VirtualDevice mac = MakeMac(1);
  ManualClock clock{At(100)};
  Upstreams upstreams;
  std::vector<std::pair<EnrollmentId, Intent>> intents;
  MdmDirectorClient client{*store, upstreams, clock};
};

TEST_CASE("a command has MDMDirector's keys in its order") {
  Journal journal;
  journal.Add("C1", IntentState::kFailed, "No room.");
  journal.intents[0].second.answered_at = At(20);
  Intent question;
  question.command_uuid = CommandUuid("C2");
  question.request_type = "ProfileList";
  question.state = IntentState::kSent;
  question.journaled_at = At(11);
  journal.intents.emplace_back(journal.mac.enrollment_id(), question);
  journal.Save();
  const std::string udid = journal.mac.facts().udid;
  const Json expected = Json::array({{{"UpdatedAt", FormatTime(At(20))},
                                      {"CommandUUID", "C1"},
                                      {"Status", "Error"},
                                      {"udid", udid},
                                      {"request_type", "InstallProfile"},
                                      {"identifier", kWifi},
                                      {"ErrorString", "No room."},
                                      {"AttemptCount", 0}},
                                     {{"UpdatedAt", FormatTime(At(11))},
                                      {"CommandUUID", "C2"},
                                      {"Status", ""},
                                      {"udid", udid},
                                      {"request_type", "ProfileList"},
                                      {"ErrorString", ""},
                                      {"AttemptCount", 0}}});
  CHECK(journal.client.GetList("/command").dump() == expected.dump());
}

TEST_CASE("the status is the device's last answer") {
  Journal journal;
  const std::vector<std::pair<IntentState, std::string>> rows = {
      {IntentState::kJournaled, ""},
      {IntentState::kSent, ""},
      {IntentState::kUnknown, ""},
      {IntentState::kNotNow, "NotNow"},
      {IntentState::kAcknowledged, "Acknowledged"},
      {IntentState::kFailed, "Error"},
      {IntentState::kNotSent, ""},
      {IntentState::kRefused, "Error"},
      {IntentState::kLost, ""},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool has_failed =
        rows[i].first == IntentState::kFailed || rows[i].first == IntentState::kRefused;
    journal.Add("C" + std::to_string(i), rows[i].first, has_failed ? "No." : "");
  }
  journal.Save();
  const Json commands = journal.client.GetList("/command");
  REQUIRE(commands.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) CHECK(commands[i]["Status"] == rows[i].second);
  CHECK(journal.Uuids("/command/pending") == "C0 C1 C2 C3 ");
  CHECK(journal.Uuids("/command/error") == "C5 C7 ");
}

TEST_CASE("fault: pending and failed commands were all commands when there were none") {
  Journal journal;
  CHECK(journal.client.GetList("/command").dump() == "[]");
  journal.Add("C1", IntentState::kAcknowledged);
  journal.Save();
  CHECK(journal.Uuids("/command") == "C1 ");
  CHECK(journal.client.GetList("/command/pending").dump() == "[]");
  CHECK(journal.client.GetList("/command/error").dump() == "[]");
}

TEST_CASE("fault: GET /command/pending/delete changed what was stored") {
  Journal journal;
  journal.Add("C1", IntentState::kSent);
  journal.Save();
  const HttpServerResponse refused = journal.client.Send("GET", "/command/pending/delete");
  CHECK(refused.status == 410);
  CHECK(refused.body.find("clear_queue") != std::string::npos);
  CHECK(journal.Uuids("/command/pending") == "C1 ");
}

TEST_CASE("fault: lists of commands were built in memory as a whole") {
  const int count = GENERATE(499, 500, 501, 1500);
  Journal journal;
  for (int i = 0; i < count; ++i) journal.Add(fmt::format("C{:04}", i), IntentState::kSent);
  journal.Save();
  const Json commands = journal.client.GetList("/command/pending");
  REQUIRE(commands.size() == static_cast<std::size_t>(count));
  CHECK(commands.back()["CommandUUID"] == fmt::format("C{:04}", count - 1));
  CHECK(journal.client.parts == count / 500 + 1);
}

TEST_CASE("what devices answer is what the list shows") {
  World world(2);
  world.SessionOfEach();
  world.Run(hours(1));
  world.Assign(kWifi);
  world.Run(hours(1));
  REQUIRE(world.IsVerified(0, kWifi));
  MdmDirectorClient client(*world.store, world.upstreams, world.clock);
  int installed = 0;
  for (const auto& command : client.GetList("/command")) {
    const bool is_install = command["request_type"] == "InstallProfile";
    if (is_install && command["Status"] == "Acknowledged") ++installed;
  }
  CHECK(installed == 2);
  CHECK(client.GetList("/command/error").empty());
}

TEST_CASE("a command that the device calls malformed is told from other errors") {
  Journal journal;
  journal.Add("C1", IntentState::kSent);
  journal.Save();
  const std::string raw = "<plist><dict><key>UDID</key><string>" + journal.mac.facts().udid +
                          "</string><key>Status</key><string>CommandFormatError</string>"
                          "<key>CommandUUID</key><string>C1</string></dict></plist>";
  const Json body = {{"topic", "mdm.Connect"},
                     {"created_at", FormatTime(At(20))},
                     {"acknowledge_event",
                      {{"udid", journal.mac.facts().udid},
                       {"status", "CommandFormatError"},
                       {"command_uuid", "C1"},
                       {"raw_payload", EncodeBase64(raw)}}}};
  REQUIRE(RecordIncoming(*journal.store,
                         {DecodeIncoming(body.dump(), UpstreamName("nanomdm"), At(20))}));
  const Json failed = journal.client.GetList("/command/error");
  REQUIRE(failed.size() == 1);
  CHECK(failed[0]["Status"] == "CommandFormatError");
}

}  // namespace
}  // namespace director::director_mdmdirector_commands_test
