#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/text.h"
#include "mdm/command.h"
#include "mdm/plist.h"
#include "simulator/device.h"
#include "simulator/mdm_core.h"
#include "tests/support/catch.h"

namespace director::simulator_core_test {
namespace {

using nlohmann::json;

const std::string kUdid = "AAAAAAAA-0000-0000-0000-000000000001";
const std::string kUser = kUdid + ":11111111-2222-3333-4444-555555555555";

std::string Command(const std::string& uuid) {
  return EncodeCommand(ProfileListCommand(), CommandUuid(uuid));
}

PlistDict Identity(const std::string& enrollment_id) {
  PlistDict dict;
  const std::size_t colon = enrollment_id.find(':');
  dict.Set("UDID", enrollment_id.substr(0, colon));
  if (colon == std::string::npos) return dict;
  dict.Set("UserID", enrollment_id.substr(colon + 1));
  dict.Set("UserShortName", "anna");
  return dict;
}

/// A core with a hand that speaks for devices and a list of what it said to the webhook.
struct World {
  explicit World(CoreFaults faults = {}) : core(faults, MakeSinks(), 7) {}

  CoreSinks MakeSinks() {
    CoreSinks sinks;
    sinks.webhook = [this](const std::string& body) { events.push_back(json::parse(body)); };
    sinks.push = [this](const EnrollmentId& id) { pushed.push_back(id.value()); };
    return sinks;
  }

  CoreAnswer Checkin(const std::string& id, const std::string& type) {
    PlistDict dict = Identity(id);
    dict.Set("MessageType", type);
    dict.Set("Topic", "com.apple.mgmt.External.test");
    return Send(std::string(kCheckinContentType), dict);
  }
  void Enroll(const std::string& id) {
    if (id.find(':') == std::string::npos) REQUIRE(Checkin(id, "Authenticate").status == 200);
    REQUIRE(Checkin(id, "TokenUpdate").status == 200);
  }
  CoreAnswer Connect(const std::string& id, const std::string& status,
                     const std::string& command_uuid = "") {
    PlistDict dict = Identity(id);
    dict.Set("Status", status);
    if (!command_uuid.empty()) dict.Set("CommandUUID", command_uuid);
    return Send(std::string(kConnectContentType), dict);
  }
  /// The CommandUUID that comes back; empty for an empty 200.
  std::string Next(const std::string& id, const std::string& status,
                   const std::string& command_uuid = "") {
    const CoreAnswer answer = Connect(id, status, command_uuid);
    REQUIRE(answer.status == 200);
    if (answer.body.empty()) return "";
    const auto command = DecodeCommand(answer.body);
    REQUIRE(command);
    return command->command_uuid.value();
  }
  CoreAnswer Send(const std::string& content_type, const PlistDict& dict) {
    return core.HandleDevice({content_type, EncodePlistXml(dict), params}, now);
  }
  CoreAnswer Enqueue(const std::string& ids, const std::string& uuid, const std::string& nopush) {
    return core.Enqueue({ids, nopush, Command(uuid)});
  }
  std::size_t QueueSize(const std::string& id) const {
    const auto found = core.FindEnrollment(EnrollmentId(id));
    return found ? found->queue.size() : 0;
  }

  std::vector<json> events;
  std::vector<std::string> pushed;
  std::map<std::string, std::string> params;
  Timestamp now = FromUnixMs(1'795'000'000'123);
  MdmCore core;
};

TEST_CASE("the smoke sequence of a device against NanoMDM") {
  World world;
  CHECK(world.Checkin(kUdid, "Authenticate").status == 200);
  CHECK(world.events.back()["topic"] == "mdm.Authenticate");
  CHECK(world.Checkin(kUdid, "TokenUpdate").status == 200);
  CHECK(world.events.back()["topic"] == "mdm.TokenUpdate");
  CHECK(world.events.back()["checkin_event"]["token_update_tally"] == 1);
  CHECK(world.Enqueue(kUdid, "C1", "1").status == 200);
  CHECK(world.Enqueue(kUdid, "C2", "1").status == 200);
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "NotNow", "C1") == "C2");
  CHECK(world.Next(kUdid, "Acknowledged", "C2") == "C1");
  CHECK(world.Next(kUdid, "Acknowledged", "C1").empty());
  CHECK(world.Checkin(kUdid, "CheckOut").status == 200);
  CHECK(world.events.back()["topic"] == "mdm.CheckOut");
  CHECK(world.Next(kUdid, "Idle").empty());
}

TEST_CASE("commands are delivered in order and again until they have a final status") {
  World world;
  world.Enroll(kUdid);
  for (const char* uuid : {"C1", "C2", "C3"}) world.Enqueue(kUdid, uuid, "1");
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "NotNow", "C1") == "C2");
  CHECK(world.Next(kUdid, "NotNow", "C2") == "C3");
  CHECK(world.Next(kUdid, "NotNow", "C3").empty());
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "Error", "C1") == "C2");
  CHECK(world.Next(kUdid, "CommandFormatError", "C2") == "C3");
  CHECK(world.Next(kUdid, "Acknowledged", "C3").empty());
}

TEST_CASE("Authenticate clears the queue; check-out does not and is still served") {
  World world;
  world.Enroll(kUdid);
  world.Enqueue(kUdid, "C1", "1");
  world.Checkin(kUdid, "CheckOut");
  CHECK_FALSE(world.core.FindEnrollment(EnrollmentId(kUdid))->is_enabled);
  CHECK(world.Next(kUdid, "Idle") == "C1");
  world.Checkin(kUdid, "Authenticate");
  CHECK(world.QueueSize(kUdid) == 0);
  world.Enqueue(kUdid, "C2", "1");
  CHECK(world.Checkin(kUdid, "TokenUpdate").status == 200);
  CHECK(world.events.back()["checkin_event"]["token_update_tally"] == 1);
  CHECK(world.Next(kUdid, "Idle") == "C2");
}

TEST_CASE("a device's Authenticate reaches user channels on SQL stores only") {
  CoreFaults faults;
  std::size_t expected = 1;
  SECTION("key-value") {}
  SECTION("SQL") {
    faults.store = CoreStore::kSql;
    expected = 0;
  }
  World world(faults);
  world.Enroll(kUdid);
  world.Enroll(kUser);
  world.Enqueue(kUser, "C1", "1");
  world.Checkin(kUdid, "Authenticate");
  CHECK(world.QueueSize(kUser) == expected);
}

TEST_CASE("enqueue: status codes and keys") {
  World world;
  world.Enroll(kUdid);
  const auto parsed = [](const CoreAnswer& answer) { return json::parse(answer.body); };

  SECTION("stored without a push") {
    const CoreAnswer answer = world.Enqueue(kUdid, "C1", "1");
    CHECK(answer.status == 200);
    CHECK(parsed(answer) ==
          json({{"no_push", true}, {"command_uuid", "C1"}, {"request_type", "ProfileList"}}));
    CHECK(world.pushed.empty());
  }
  SECTION("any text in nopush counts, also 0") {
    world.Enqueue(kUdid, "C1", "0");
    CHECK(world.pushed.empty());
  }
  SECTION("stored and pushed") {
    const CoreAnswer answer = world.Enqueue(kUdid, "C1", "");
    CHECK(answer.status == 200);
    CHECK(parsed(answer)["status"][kUdid].contains("push_result"));
    CHECK_FALSE(parsed(answer).contains("no_push"));
    CHECK(world.pushed == std::vector<std::string>{kUdid});
  }
  SECTION("no push certificate: stored all the same") {
    CoreFaults faults;
    faults.push = CorePush::kNoCertificate;
    world.core.SetFaults(faults);
    const CoreAnswer answer = world.Enqueue(kUdid, "C1", "");
    CHECK(answer.status == 500);
    CHECK(parsed(answer).contains("push_error"));
    CHECK_FALSE(parsed(answer).contains("command_error"));
    CHECK(world.QueueSize(kUdid) == 1);
  }
  SECTION("unknown id with a push: stored, 500 with its own error") {
    const CoreAnswer answer = world.Enqueue("UNKNOWN", "C1", "");
    CHECK(answer.status == 500);
    CHECK(parsed(answer)["status"]["UNKNOWN"]["push_error"] == "push data missing for id");
    CHECK(world.QueueSize("UNKNOWN") == 1);
  }
  SECTION("some fail: 207") {
    const CoreAnswer answer = world.Enqueue(kUdid + ",UNKNOWN", "C1", "");
    CHECK(answer.status == 207);
    CHECK(world.QueueSize(kUdid) == 1);
  }
  SECTION("same CommandUUID again") {
    world.Enqueue(kUdid, "C1", "1");
    const CoreAnswer again = world.Enqueue(kUdid, "C1", "");
    CHECK(again.status == 500);
    CHECK(parsed(again)["command_error"] == "command already exists: C1");
    CHECK(parsed(again)["command_uuid"] == "C1");
    CHECK(world.QueueSize(kUdid) == 1);
    CHECK(world.pushed.empty());
    world.Next(kUdid, "Acknowledged", "C1");
    CHECK(world.Enqueue(kUdid, "C1", "1").status == 500);
  }
  SECTION("no property list: the body comes back in the error") {
    const CoreAnswer answer = world.core.Enqueue({kUdid, "1", "hello"});
    CHECK(answer.status == 500);
    const std::string error = parsed(answer)["command_error"];
    CHECK(error.rfind("decoding command: parse error:", 0) == 0);
    CHECK(error.find("hello") != std::string::npos);
    CHECK_FALSE(parsed(answer).contains("command_uuid"));
  }
  SECTION("a property list without CommandUUID") {
    const CoreAnswer answer = world.core.Enqueue({kUdid, "1", EncodePlistXml(PlistDict())});
    CHECK(answer.status == 500);
    CHECK(parsed(answer)["command_error"] == "decoding command: invalid command");
  }
  SECTION("empty body") {
    const CoreAnswer nothing = world.core.Enqueue({kUdid, "1", ""});
    CHECK(nothing.status == 500);
    CHECK(parsed(nothing)["command_error"] == "must enqueue or push");
    const CoreAnswer push = world.core.Enqueue({kUdid, "", ""});
    CHECK(push.status == 200);
    CHECK(world.pushed == std::vector<std::string>{kUdid});
    CHECK(world.QueueSize(kUdid) == 0);
  }
  SECTION("no id") {
    const CoreAnswer answer = world.Enqueue("", "C1", "1");
    CHECK(answer.status == 500);
    CHECK(parsed(answer)["command_error"] == "getting enrollment ids: empty path");
  }
  SECTION("one id twice: the command never leaves") {
    world.Enqueue(kUdid + "," + kUdid, "C1", "1");
    CHECK(world.Next(kUdid, "Idle") == "C1");
    CHECK(world.Next(kUdid, "Acknowledged", "C1") == "C1");
  }
  SECTION("too large") {
    CHECK(world.core.Enqueue({kUdid, "1", std::string(kCoreBodyMaxBytes + 1, 'x')}).status == 413);
  }
}

TEST_CASE("SQL stores refuse a whole batch for one bad id") {
  CoreFaults faults;
  faults.store = CoreStore::kSql;
  World world(faults);
  world.Enroll(kUdid);
  const auto refused = [&](const std::string& ids) {
    const CoreAnswer answer = world.Enqueue(ids, "C1", "");
    CHECK(answer.status == 500);
    CHECK(json::parse(answer.body).contains("command_error"));
    CHECK_FALSE(json::parse(answer.body).contains("status"));
    CHECK(world.QueueSize(kUdid) == 0);
    CHECK(world.pushed.empty());
  };
  SECTION("unknown") { refused(kUdid + ",UNKNOWN"); }
  SECTION("authenticated, no TokenUpdate yet") {
    world.Checkin("NEW", "Authenticate");
    refused("NEW");
  }
  SECTION("too long") { refused(kUdid + "," + std::string(256, 'x')); }
  SECTION("twice") { refused(kUdid + "," + kUdid); }
}

TEST_CASE("push: keys and statuses") {
  World world;
  world.Enroll(kUdid);
  CHECK(world.core.Push(kUdid).status == 200);
  CHECK(world.core.Push("UNKNOWN").status == 500);
  CHECK(world.core.Push("UNKNOWN," + kUdid).status == 207);
  CHECK(world.core.Push("").status == 500);
  world.core.MarkUnregistered(EnrollmentId(kUdid));
  const CoreAnswer dead = world.core.Push(kUdid);
  CHECK(dead.status == 500);
  const std::string error = json::parse(dead.body)["status"][kUdid]["push_error"];
  CHECK(error.find("Unregistered") != std::string::npos);
  world.Checkin(kUdid, "TokenUpdate");
  CHECK(world.core.Push(kUdid).status == 200);
  CHECK(json::parse(world.core.Version().body).contains("version"));
}

TEST_CASE("device requests: statuses") {
  World world;
  CHECK(world.Checkin(kUdid, "TokenUpdate").status == 500);
  CHECK(world.Connect(kUdid, "Idle").status == 500);
  CHECK(world.events.empty());
  world.Enroll(kUdid);
  world.events.clear();

  SECTION("refused before an event") {
    CHECK(world.Checkin(kUdid, "Nonsense").status == 400);
    CHECK(world.Connect(kUdid, "").status == 400);
    CHECK(
        world.core.HandleDevice({std::string(kConnectContentType), "junk", {}}, world.now).status ==
        400);
    CHECK(
        world.core.HandleDevice({std::string(kCheckinContentType), "junk", {}}, world.now).status ==
        400);
    CHECK(world.Checkin(kUser, "Authenticate").status == 400);
    CHECK(world.events.empty());
  }
  SECTION("refused, yet the event goes out") {
    CHECK(world.Checkin(kUdid, "UserAuthenticate").status == 410);
    CHECK(world.Checkin(kUdid, "GetToken").status == 500);
    CHECK(world.Checkin(kUdid, "DeclarativeManagement").status == 500);
    CHECK(world.Connect(kUdid, "Acknowledged").status == 500);
    CHECK(world.events.size() == 4);
  }
  SECTION("bootstrap token") {
    CHECK(world.Checkin(kUdid, "GetBootstrapToken").body.empty());
    PlistDict dict = Identity(kUdid);
    dict.Set("MessageType", "SetBootstrapToken");
    dict.Set("BootstrapToken", PlistData{"secret"});
    CHECK(world.Send(std::string(kCheckinContentType), dict).status == 200);
    const auto plist = DecodePlist(world.Checkin(kUdid, "GetBootstrapToken").body);
    REQUIRE(plist);
    REQUIRE(plist->AsDict() != nullptr);
    CHECK(plist->AsDict()->Find("BootstrapToken")->AsData()->bytes == "secret");
  }
}

TEST_CASE("a result for a command that is not queued") {
  CoreFaults faults;
  World world;
  world.Enroll(kUdid);
  world.Enqueue(kUdid, "C1", "1");
  SECTION("is ignored") { CHECK(world.Next(kUdid, "Acknowledged", "FOREIGN") == "C1"); }
  SECTION("loses the queue") {
    faults.foreign_result = ForeignResult::kLosesQueue;
    world.core.SetFaults(faults);
    CHECK(world.Next(kUdid, "Acknowledged", "FOREIGN").empty());
    CHECK(world.QueueSize(kUdid) == 0);
  }
  SECTION("is a 500 on SQL stores") {
    faults.store = CoreStore::kSql;
    world.core.SetFaults(faults);
    CHECK(world.Connect(kUdid, "Acknowledged", "FOREIGN").status == 500);
  }
  SECTION("a queue can vanish by itself") {
    world.core.LoseQueue(EnrollmentId(kUdid));
    CHECK(world.Next(kUdid, "Idle").empty());
  }
}

TEST_CASE("webhook bodies have NanoMDM's shape") {
  World world;
  world.params = {{"foo", "bar"}, {"x", ""}};
  world.Enroll(kUdid);
  const json authenticate = world.events.front();
  CHECK(authenticate["topic"] == "mdm.Authenticate");
  CHECK(authenticate["event_id"].get<std::string>().size() == 16);
  CHECK(ParseTime(authenticate["created_at"].get<std::string>()).value() == world.now);
  const json& checkin = authenticate["checkin_event"];
  CHECK(checkin["ids"] == json({{"id", kUdid}, {"type", "Device"}}));
  CHECK(checkin["udid"] == kUdid);
  CHECK(checkin["url_params"] == json({{"foo", "bar"}, {"x", ""}}));
  CHECK_FALSE(checkin.contains("token_update_tally"));
  const auto raw = DecodeBase64(checkin["raw_payload"].get<std::string>());
  REQUIRE(raw);
  CHECK(DecodePlist(*raw)->AsDict()->Find("MessageType")->AsString()->compare("Authenticate") == 0);

  world.params.clear();
  world.Enroll(kUser);
  const json user = world.events.back()["checkin_event"];
  CHECK(user["ids"] == json({{"id", kUser}, {"parent_id", kUdid}, {"type", "User"}}));
  CHECK_FALSE(user.contains("url_params"));

  world.Connect(kUdid, "Idle");
  const json idle = world.events.back();
  CHECK(idle["topic"] == "mdm.Connect");
  CHECK(idle["acknowledge_event"]["status"] == "Idle");
  CHECK_FALSE(idle["acknowledge_event"].contains("command_uuid"));
  CHECK_FALSE(idle.contains("checkin_event"));
  world.Enqueue(kUdid, "C1", "1");
  world.Connect(kUdid, "NotNow", "C1");
  CHECK(world.events.back()["acknowledge_event"]["command_uuid"] == "C1");
  CHECK(world.events.back()["event_id"] != idle["event_id"]);
}

TEST_CASE("webhooks can be lost and doubled") {
  CoreFaults faults;
  faults.drop_webhook = 1;
  World world(faults);
  world.Enroll(kUdid);
  CHECK(world.events.empty());
  CHECK(world.core.counters().events_dropped == 2);
  faults.drop_webhook = 0;
  faults.duplicate_webhook = 1;
  world.core.SetFaults(faults);
  world.Connect(kUdid, "Idle");
  REQUIRE(world.events.size() == 2);
  CHECK(world.events[0] == world.events[1]);
}

TEST_CASE("API requests go by their path") {
  World world;
  world.Enroll(kUdid);
  world.Enroll(kUser);
  const auto api = [&](const std::string& path, const std::string& body = "") {
    return world.core.HandleApi({"PUT", path, body}, world.now);
  };
  SECTION("enqueue; ids are decoded, and an encoded comma separates too") {
    const std::string encoded = kUdid + "%2C" + kUdid + "%3a" + kUser.substr(kUdid.size() + 1);
    CHECK(api("/v1/enqueue/" + encoded + "?nopush=1", Command("C1")).status == 200);
    CHECK(world.QueueSize(kUdid) == 1);
    CHECK(world.QueueSize(kUser) == 1);
    CHECK(world.pushed.empty());
  }
  SECTION("no, an empty, a repeated and an unreadable nopush") {
    CHECK(api("/v1/enqueue/" + kUdid, Command("C1")).status == 200);
    CHECK(api("/v1/enqueue/" + kUdid + "?nopush=", Command("C2")).status == 200);
    CHECK(api("/v1/enqueue/" + kUdid + "?nopush=&nopush=1", Command("C3")).status == 200);
    CHECK(api("/v1/enqueue/" + kUdid + "?a=b&nopush=%zz", Command("C4")).status == 200);
    CHECK(world.pushed.size() == 4);
    CHECK(api("/v1/enqueue/" + kUdid + "?a=b&nopush=+", Command("C5")).status == 200);
    CHECK(world.pushed.size() == 4);
  }
  SECTION("push and version") {
    CHECK(api("/v1/push/" + kUdid).status == 200);
    CHECK(world.pushed == std::vector<std::string>{kUdid});
    CHECK(api("/version").body == world.core.Version().body);
  }
  SECTION("neither") {
    CHECK(api("/v1/enqueue").status == 404);
    CHECK(api("/v1/other/x").status == 404);
    for (const char* const broken : {"%", "%4", "%4g", "%g4"}) {
      CHECK(api(std::string("/v1/push/") + broken).status == 400);
    }
  }
}

TEST_CASE("queues are shown in pages and cleared, where the server can") {
  World world;
  world.Enroll(kUdid);
  for (std::size_t i = 0; i <= kCoreQueuePageMax; ++i) {
    world.Enqueue(kUdid, "C" + std::to_string(i), "1");
  }
  const auto api = [&](const std::string& method, const std::string& path) {
    return world.core.HandleApi({method, path, ""}, world.now);
  };
  const auto view = [&](const std::string& path) {
    const CoreAnswer answer = api("GET", path);
    CHECK(answer.status == 200);
    return nlohmann::json::parse(answer.body);
  };
  const auto first = view("/v1/queue/" + kUdid);
  REQUIRE(first["commands"].size() == kCoreQueuePageMax);
  CHECK(first["commands"][0]["command_uuid"] == "C0");
  CHECK(first["commands"][0]["request_type"] == "ProfileList");
  CHECK(first["commands"][0]["command"] == EncodeBase64(Command("C0")));
  const auto rest =
      view("/v1/queue/" + kUdid + "?cursor=" + first["next_cursor"].get<std::string>());
  CHECK(rest["commands"].size() == 1);
  CHECK_FALSE(rest.contains("next_cursor"));
  CHECK(view("/v1/queue/UNKNOWN")["commands"].empty());
  CHECK(view("/v1/queue/" + kUdid + "?cursor=999")["commands"].empty());
  CHECK(api("PUT", "/v1/queue/" + kUdid).status == 405);
  CHECK(api("DELETE", "/v1/queue/" + kUdid + ",UNKNOWN").status == 204);
  CHECK(world.QueueSize(kUdid) == 0);
  CoreFaults older;
  older.queue_api = CoreQueueApi::kAbsent;
  world.core.SetFaults(older);
  CHECK(api("GET", "/v1/queue/" + kUdid).status == 404);
  CHECK(api("DELETE", "/v1/queue/" + kUdid).status == 404);
}

TEST_CASE("the queue of one enrollment is bounded") {
  World world;
  world.Enroll(kUdid);
  for (std::size_t i = 0; i < kCoreQueueMax; ++i) {
    REQUIRE(world.Enqueue(kUdid, "C" + std::to_string(i), "1").status == 200);
  }
  const CoreAnswer answer = world.Enqueue(kUdid, "LAST", "1");
  CHECK(answer.status == 500);
  CHECK(json::parse(answer.body)["status"][kUdid].contains("command_error"));
}

}  // namespace
}  // namespace director::simulator_core_test
