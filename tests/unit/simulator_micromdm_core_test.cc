#include "tests/support/micromdm_world.h"

namespace director::simulator_micromdm_core_test {
namespace {

using namespace micromdm_test;

TEST_CASE("MicroMDM: both queues deliver in order while each command is answered") {
  World world(GENERATE(MicroMdmFaults(), InMemory()));
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1", "C2", "C3"});
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "Acknowledged", "C1") == "C2");
  CHECK(world.Next(kUdid, "Error", "C2") == "C3");
  CHECK(world.Next(kUdid, "CommandFormatError", "C3").empty());
  CHECK(world.Next(kUdid, "Idle").empty());
}

TEST_CASE("MicroMDM: builtin: a poll without an answer gives the next command, round and round") {
  World world;
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1", "C2", "C3"});
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.View(kUdid) == Uuids{"C2", "C3", "C1"});
  CHECK(world.Next(kUdid, "Idle") == "C2");
  CHECK(world.Next(kUdid, "Idle") == "C3");
  CHECK(world.Next(kUdid, "Idle") == "C1");
  // What comes now waits behind those that were handed out.
  world.Enqueue(kUdid, {"C4"});
  CHECK(world.Next(kUdid, "Idle") == "C2");
  CHECK(world.Queue(kUdid) == Uuids{"C3", "C1", "C4", "C2"});
}

TEST_CASE("MicroMDM: inmem: a poll without an answer gives the same command") {
  World world(InMemory());
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1", "C2"});
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.View(kUdid) == Uuids{"C1", "C2"});
}

TEST_CASE("MicroMDM: builtin: NotNow hides a command until nothing fresh is left") {
  World world;
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1", "C2", "C3"});
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "NotNow", "C1") == "C2");
  CHECK(world.View(kUdid) == Uuids{"C3", "C2"});
  CHECK(world.Next(kUdid, "NotNow", "C2") == "C3");
  CHECK(world.Next(kUdid, "NotNow", "C3").empty());
  CHECK(world.View(kUdid).empty());
  CHECK(world.Queue(kUdid) == Uuids{"C1", "C2", "C3"});

  SECTION("then one at a time, which the view shows again") {
    CHECK(world.Next(kUdid, "Idle") == "C1");
    CHECK(world.View(kUdid) == Uuids{"C1"});
    CHECK(world.Next(kUdid, "Idle") == "C1");
    CHECK(world.Next(kUdid, "Acknowledged", "C1") == "C2");
    CHECK(world.Next(kUdid, "NotNow", "C2").empty());
    CHECK(world.Queue(kUdid) == Uuids{"C3", "C2"});
  }
  SECTION("a fresh one comes first") {
    world.Enqueue(kUdid, {"C4"});
    CHECK(world.Next(kUdid, "Idle") == "C4");
    CHECK(world.Next(kUdid, "Acknowledged", "C4") == "C1");
  }
  SECTION("a final status does not find it there") {
    CHECK(world.Next(kUdid, "Acknowledged", "C2") == "C1");
    CHECK(world.Queue(kUdid) == Uuids{"C1", "C2", "C3"});
  }
}

TEST_CASE("MicroMDM: inmem: NotNow stays in its place, seen by the view") {
  World world(InMemory());
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1", "C2"});
  CHECK(world.Next(kUdid, "NotNow", "C1") == "C2");
  CHECK(world.View(kUdid) == Uuids{"C1", "C2"});
  CHECK(world.Next(kUdid, "NotNow", "C2").empty());
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "Acknowledged", "C2") == "C1");
}

TEST_CASE("MicroMDM: the same CommandUUID is taken twice and delivered twice") {
  World world(GENERATE(MicroMdmFaults(), InMemory()));
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1", "C1"});
  CHECK(world.View(kUdid) == Uuids{"C1", "C1"});
  CHECK(world.Next(kUdid, "Idle") == "C1");
  CHECK(world.Next(kUdid, "Acknowledged", "C1") == "C1");
  CHECK(world.Queue(kUdid) == Uuids{"C1"});
  CHECK(world.Next(kUdid, "Acknowledged", "C1").empty());
  CHECK(world.Queue(kUdid).empty());
}

TEST_CASE("MicroMDM: a result for a command that is not queued changes nothing") {
  World world(GENERATE(MicroMdmFaults(), InMemory()));
  world.Enroll(kUdid);
  world.Enqueue(kUdid, {"C1"});
  CHECK(world.Next(kUdid, "Acknowledged", "FOREIGN") == "C1");
  CHECK(world.Next(kUdid, "NotNow", "FOREIGN") == "C1");
  CHECK(world.Queue(kUdid) == Uuids{"C1"});
}

TEST_CASE("MicroMDM: an unknown status: builtin refuses it once there is a record, inmem never") {
  World world;
  world.Enroll(kUdid);
  CHECK(world.Next(kUdid, "Nonsense").empty());
  world.Enqueue(kUdid, {"C1"});
  CHECK(world.Connect(Identity(kUdid), "Nonsense", "").status == 500);
  CHECK(world.Connect(Identity(kUdid), "", "").status == 500);
  CHECK(world.events.back()["acknowledge_event"]["status"] == "");
  // Also after the queue is empty again.
  world.Next(kUdid, "Acknowledged", "C1");
  CHECK(world.Connect(Identity(kUdid), "Nonsense", "").status == 500);

  World in_memory(InMemory());
  in_memory.Enqueue(kUdid, {"C1"});
  CHECK(in_memory.Next(kUdid, "Nonsense", "C1") == "C1");
}

TEST_CASE(
    "MicroMDM: Authenticate empties the queue of its own id only; check-out empties nothing") {
  World world(GENERATE(MicroMdmFaults(), InMemory()));
  world.Enqueue(kUdid, {"BEFORE"});
  world.Enroll(kUdid);
  CHECK(world.Queue(kUdid).empty());
  world.Enroll(kUser);
  world.Enqueue(kUdid, {"C1", "C2"});
  world.Enqueue(kUserId, {"U1"});
  CHECK(world.Next(kUdid, "NotNow", "C1") == "C2");

  CHECK(world.Checkin(kUdid, "CheckOut").status == 200);
  CHECK_FALSE(world.core.FindEnrollment(EnrollmentId(kUdid))->is_enabled);
  CHECK_FALSE(world.Next(kUdid, "Idle").empty());
  CHECK(world.Queue(kUdid).size() == 2);

  world.Checkin(kUdid, "Authenticate");
  CHECK(world.Queue(kUdid).empty());
  CHECK(world.Queue(kUser) == Uuids{"U1"});
  // Between Authenticate and TokenUpdate: kept and delivered.
  world.Enqueue(kUdid, {"C3"});
  world.Checkin(kUdid, "TokenUpdate");
  CHECK(world.Next(kUdid, "Idle") == "C3");
}

TEST_CASE("MicroMDM: enrollments as seen from outside") {
  World world;
  CHECK_FALSE(world.core.FindEnrollment(EnrollmentId(kUdid)));
  world.Checkin(kUdid, "Authenticate");
  CHECK_FALSE(world.core.FindEnrollment(EnrollmentId(kUdid))->is_enabled);
  world.Checkin(kUdid, "TokenUpdate");
  world.Checkin(kUdid, "TokenUpdate");
  auto look = world.core.FindEnrollment(EnrollmentId(kUdid));
  CHECK(look->is_enabled);
  CHECK(look->token_update_tally == 2);
  world.Checkin(kUdid, "Authenticate");
  look = world.core.FindEnrollment(EnrollmentId(kUdid));
  CHECK_FALSE(look->is_enabled);
  CHECK(look->token_update_tally == 0);
  // A user channel's check-out signs its device off too.
  world.Enroll(kUdid);
  world.Enroll(kUser);
  CHECK(world.core.FindEnrollment(EnrollmentId(kUser))->is_enabled);
  world.Checkin(kUser, "CheckOut");
  CHECK_FALSE(world.core.FindEnrollment(EnrollmentId(kUser))->is_enabled);
  CHECK_FALSE(world.core.FindEnrollment(EnrollmentId(kUdid))->is_enabled);
  CHECK(world.core.enrollment_count() == 2);
  // Without its Authenticate a device never counts as enrolled.
  world.Checkin("OTHER", "TokenUpdate");
  CHECK_FALSE(world.core.FindEnrollment(EnrollmentId("OTHER"))->is_enabled);
}

TEST_CASE("MicroMDM: queues are named by user id or enrollment id") {
  World world;
  SECTION("user channel: the bare user id") {
    world.Enroll(kUdid);
    world.Enroll(kUser);
    world.Enqueue(kUserId, {"U1"});
    CHECK(world.pushed == Uuids{kUser});
    CHECK(world.Queue(kUser) == Uuids{"U1"});
    CHECK(world.Next(kUdid, "Idle").empty());
    CHECK(world.Next(kUser, "Idle") == "U1");
  }
  SECTION("User Enrollment: the enrollment id, also for its user channel") {
    PlistDict device;
    device.Set("EnrollmentID", "EID1");
    PlistDict user = device;
    user.Set("EnrollmentUserID", "EU1");
    REQUIRE(world.Checkin(device, "Authenticate").status == 200);
    REQUIRE(world.Checkin(device, "TokenUpdate").status == 200);
    REQUIRE(world.Checkin(user, "TokenUpdate").status == 200);
    world.Enqueue("EID1", {"C1"});
    CHECK(world.Queue("EID1") == Uuids{"C1"});
    CHECK(world.Queue("EID1:EU1") == Uuids{"C1"});
    CHECK(world.Next(user, "Idle") == "C1");
    const json event = world.events.back()["acknowledge_event"];
    CHECK(event["enrollment_id"] == "EID1");
    CHECK_FALSE(event.contains("udid"));
  }
}

TEST_CASE("MicroMDM: device requests: statuses") {
  World world;
  SECTION("an id that never enrolled may poll") {
    CHECK(world.Next(kUdid, "Idle").empty());
    world.Enqueue(kUdid, {"C1"});
    CHECK(world.Next(kUdid, "Idle") == "C1");
    CHECK(world.events.size() == 2);
  }
  SECTION("refused, and no event goes out") {
    CHECK(world.Checkin(kUdid, "UserAuthenticate").status == 410);
    CHECK(world.Checkin(kUdid, "GetToken").status == 500);
    CHECK(world.Checkin(kUdid, "DeclarativeManagement").status == 500);
    CHECK(world.Checkin(kUdid, "Nonsense").status == 500);
    CHECK(world.Checkin(kUdid, "GetBootstrapToken").status == 500);
    CHECK(world.Checkin(PlistDict(), "Authenticate").status == 500);
    CHECK(world.Send(kCheckinContentType, "junk").status == 500);
    CHECK(world.Send(kConnectContentType, "junk").status == 500);
    const std::string huge(kCoreBodyMaxBytes + 1, 'x');
    CHECK(world.Send(kConnectContentType, huge).status == 413);
    CHECK(world.events.empty());
  }
  SECTION("a bootstrap token survives a new enrollment") {
    const auto token = [&] {
      const auto plist = DecodePlist(world.Checkin(kUdid, "GetBootstrapToken").body);
      REQUIRE(plist);
      return plist->AsDict()->Find("BootstrapToken")->AsData()->bytes;
    };
    world.Enroll(kUdid);
    CHECK(token().empty());
    PlistDict dict = Identity(kUdid);
    dict.Set("BootstrapToken", PlistData{"secret"});
    CHECK(world.Checkin(dict, "SetBootstrapToken").status == 200);
    world.Enroll(kUdid);
    CHECK(token() == "secret");
    CHECK(world.events.back()["topic"] == "mdm.GetBootstrapToken");
  }
}

TEST_CASE("MicroMDM: commands: statuses and bodies") {
  World world;
  world.Enroll(kUdid);
  const std::string path = "/v1/commands/" + kUdid;

  SECTION("taken") {
    const CoreAnswer answer = world.Api(GENERATE("POST", "PUT"), path, ListCommand("C1"));
    CHECK(answer.status == 201);
    CHECK(json::parse(answer.body) == json({{"payload",
                                             {{"udid", kUdid},
                                              {"command_uuid", "C1"},
                                              {"command", {{"request_type", "ProfileList"}}},
                                              {"payload", EncodeBase64(ListCommand("C1"))}}}}));
    CHECK(world.pushed == Uuids{kUdid});
  }
  SECTION("viewed and cleared") {
    CHECK(json::parse(world.Api("GET", path).body) == json::object());
    world.Enqueue(kUdid, {"C1", "C2"});
    const json view = json::parse(world.Api("GET", path).body);
    CHECK(view["commands"][0] ==
          json({{"uuid", "C1"}, {"payload", EncodeBase64(ListCommand("C1"))}}));
    world.Next(kUdid, "NotNow", "C1");
    const CoreAnswer cleared = world.Api("DELETE", path);
    CHECK(cleared.status == 200);
    CHECK(json::parse(cleared.body) == json::object());
    CHECK(world.Queue(kUdid).empty());
    CHECK(world.Api("DELETE", "/v1/commands/UNKNOWN").status == 200);
    CHECK_FALSE(world.core.FindEnrollment(EnrollmentId("UNKNOWN")));
  }
  SECTION("no command") {
    const auto refused = [&](const std::string& body) {
      const CoreAnswer answer = world.Api("POST", path, body);
      CHECK(answer.status == 500);
      CHECK(world.Queue(kUdid).empty());
      return ErrorOf(answer);
    };
    CHECK(refused("hello").rfind("parse payload as plist: ", 0) == 0);
    CHECK(refused("").rfind("parse payload as plist: ", 0) == 0);
    CHECK(refused("bplist00").rfind("parse payload as plist: ", 0) == 0);
    CHECK(refused(EncodePlistXml(PlistDict())) == "request is malformed");
    CHECK(world.Api("POST", path, std::string(kCoreBodyMaxBytes + 1, 'x')).status == 413);
  }
  SECTION("unknown id: accepted, not pushed") {
    world.Enqueue("UNKNOWN", {"C1"});
    CHECK(world.Queue("UNKNOWN") == Uuids{"C1"});
    CHECK(world.pushed.empty());
  }
  SECTION("one id a path; a comma belongs to it") {
    world.Enqueue("A,B", {"C1"});
    CHECK(world.View("A%2CB") == Uuids{"C1"});
    CHECK(world.View("A").empty());
  }
  SECTION("the router") {
    CHECK(world.Api("PATCH", path).status == 405);
    CHECK(world.Api("GET", "/v1/push/" + kUdid).status == 404);
    CHECK(world.Api("POST", "/push/" + kUdid).status == 404);
    CHECK(world.Api("DELETE", "/v1/push/" + kUdid).status == 404);
    CHECK(world.Api("POST", "/v1/commands", "{}").status == 404);
    CHECK(world.Api("POST", "/v1/commands/", ListCommand("C1")).status == 404);
    CHECK(world.Api("GET", "/v1/commands/A%2FB").status == 404);
    CHECK(world.Api("GET", "/v1/commands/A%2").status == 400);
    CHECK(json::parse(world.Api("GET", "/version").body)["version"].is_string());
  }
}

TEST_CASE("MicroMDM: the queue of one id is bounded") {
  World world;
  for (std::size_t i = 0; i < kCoreQueueMax; ++i) world.Enqueue(kUdid, {std::to_string(i)});
  CHECK(ErrorOf(world.Api("POST", "/v1/commands/" + kUdid, ListCommand("LAST"))) ==
        "queue is full");
}

TEST_CASE("MicroMDM: push: statuses and bodies") {
  World world;
  world.Checkin(kUdid, "Authenticate");
  const std::string path = "/v1/push/" + kUdid;
  const CoreAnswer unknown = world.Api("POST", path);
  CHECK(unknown.status == 500);
  CHECK(ErrorOf(unknown).find("not found") != std::string::npos);

  world.Checkin(kUdid, "TokenUpdate");
  const CoreAnswer sent = world.Api("POST", path);
  CHECK(sent.status == 200);
  CHECK(json::parse(sent.body)["status"] == "success");
  CHECK(json::parse(sent.body).contains("push_notification_id"));
  CHECK(world.Api("GET", "/push/" + kUdid).status == 200);
  CHECK(world.pushed == Uuids{kUdid, kUdid});
  CHECK(world.core.counters().pushes == 2);

  SECTION("a dead token, until the next TokenUpdate") {
    world.core.MarkUnregistered(EnrollmentId(kUdid));
    const CoreAnswer dead = world.Api("POST", path);
    CHECK(dead.status == 500);
    CHECK(ErrorOf(dead).find("token is inactive") != std::string::npos);
    world.Enqueue(kUdid, {"C1"});
    CHECK(world.pushed.size() == 2);
    world.Checkin(kUdid, "TokenUpdate");
    CHECK(world.Api("POST", path).status == 200);
  }
  SECTION("no push certificate: no answer, commands are taken all the same") {
    MicroMdmFaults faults;
    faults.push = CorePush::kNoCertificate;
    world.core.SetFaults(faults);
    CHECK(world.Api("POST", path).status == 0);
    CHECK(world.Api("POST", "/v1/push/UNKNOWN").status == 500);
    world.Enqueue(kUdid, {"C1"});
    CHECK(world.Queue(kUdid) == Uuids{"C1"});
    CHECK(world.pushed.size() == 2);
  }
}

TEST_CASE("MicroMDM: webhook bodies have its shape") {
  World world;
  world.params = {{"foo", "bar"}};
  world.Checkin(kUdid, "Authenticate");
  const json authenticate = world.events.back();
  CHECK(authenticate["topic"] == "mdm.Authenticate");
  const std::string event_id = authenticate["event_id"];
  CHECK(event_id.size() == 36);
  CHECK(event_id == ToLowerAscii(event_id));
  CHECK(ParseTime(authenticate["created_at"].get<std::string>()).value() == world.now);
  const json& checkin = authenticate["checkin_event"];
  CHECK(checkin["udid"] == kUdid);
  CHECK(checkin["url_params"] == json({{"foo", "bar"}}));
  CHECK_FALSE(checkin.contains("enrollment_id"));
  CHECK_FALSE(checkin.contains("ids"));
  CHECK_FALSE(authenticate.contains("acknowledge_event"));
  const auto raw = DecodeBase64(checkin["raw_payload"].get<std::string>());
  REQUIRE(raw);
  CHECK(DecodePlist(*raw)->AsDict()->Find("MessageType")->AsString()->compare("Authenticate") == 0);

  world.params.clear();
  world.Checkin(kUdid, "TokenUpdate");
  CHECK(world.events.back()["checkin_event"]["url_params"].is_null());
  world.Checkin(kUser, "TokenUpdate");
  // The user is in the payload only.
  CHECK(world.events.back()["checkin_event"]["udid"] == kUdid);
  CHECK(world.events.back().dump().find(kUserId) == std::string::npos);

  world.Next(kUdid, "Idle");
  const json idle = world.events.back();
  CHECK(idle["topic"] == "mdm.Connect");
  CHECK(idle["acknowledge_event"]["status"] == "Idle");
  CHECK_FALSE(idle["acknowledge_event"].contains("command_uuid"));
  CHECK_FALSE(idle["acknowledge_event"].contains("url_params"));
  CHECK_FALSE(idle.contains("checkin_event"));
  world.Next(kUdid, "NotNow", "C1");
  CHECK(world.events.back()["acknowledge_event"]["command_uuid"] == "C1");
  CHECK(world.events.back()["event_id"] != idle["event_id"]);
}

}  // namespace
}  // namespace director::simulator_micromdm_core_test
