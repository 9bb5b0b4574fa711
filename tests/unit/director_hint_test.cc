// POST /devices/{device}/seen: what other tools say about devices, and what comes of it. Virtual
// Macs in virtual time.
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "director/api.h"
#include "tests/support/catch.h"
#include "tests/support/director_service.h"
#include "tests/support/director_world.h"

namespace director::director_hint_test {
namespace {

using director_test::SnapshotOf;
using director_test::WriteTo;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Json = nlohmann::json;

const std::string kWifi = "com.example.wifi";

Config HintConfig() {
  Config config;
  config.api_token = SecretSource::FromValue(Secret("token"));
  return config;
}

/// A Mac that is as desired, and a tool that sees it.
struct Seen {
  Seen() {
    payload_uuid = world.Assign(kWifi).value();
    world.SessionOfEach();
    world.Run(hours(1));
    REQUIRE(world.IsVerified(0, kWifi));
    for (const HttpRoute& route : api.Routes()) {
      if (route.pattern == "/api/v1/devices/{device}/seen") see = route;
    }
    REQUIRE(see.method == "POST");
  }

  HttpServerResponse Send(const std::string& body, const std::string& device = "") {
    HttpServerRequest request;
    request.headers["authorization"] = "Bearer token";
    request.path_values["device"] = device.empty() ? world.id(0).value() : device;
    request.body = body;
    return see.handler(request);
  }
  Json See(const std::string& body = "") {
    const HttpServerResponse response = Send(body);
    INFO(response.body);
    REQUIRE(response.status == 202);
    return Json::parse(response.body);
  }
  Json SeeProfile(const std::string& uuid) {
    return See(
        Json{{"profiles", {{{"payload_identifier", kWifi}, {"payload_uuid", uuid}}}}}.dump());
  }
  Snapshot Stored() { return SnapshotOf(*world.store, world.id(0)); }
  std::size_t Questions() const { return world.Enqueued("ProfileList").size(); }
  std::size_t Pushes() const { return world.wire->pushed.size(); }
  std::size_t QueueSize() const { return world.core.FindEnrollment(world.id(0))->queue.size(); }
  /// Time passes, and the Mac sleeps through it.
  void Sleep(Duration duration, Duration step = seconds(30)) {
    const Timestamp end = world.clock.Now() + duration;
    while (world.clock.Now() < end) {
      world.clock.Advance(step);
      world.Settle();
    }
  }

  director_test::World world;
  const Config config = HintConfig();
  Api api{
      {*world.store, world.upstreams, *world.executor, world.secrets, world.clock, config, [] {}}};
  HttpRoute see;
  std::string payload_uuid;
};

TEST_CASE("a device that is seen as it reported itself is left alone") {
  Seen seen;
  const Snapshot before = seen.Stored();
  const std::size_t questions = seen.Questions();
  for (const Json& answer : {seen.See(), seen.See("{}"), seen.SeeProfile(seen.payload_uuid),
                             seen.SeeProfile(ToLowerAscii(seen.payload_uuid))}) {
    INFO(answer.dump());
    CHECK(answer["due_at"].is_null());
    CHECK(answer["report_wanted"] == false);
    CHECK(answer["push_sooner"] == false);
  }
  CHECK(seen.Stored() == before);
  seen.world.Run(minutes(5));
  CHECK(seen.Questions() == questions);
}

TEST_CASE("a profile that is seen to be gone is back within minutes") {
  Seen seen;
  REQUIRE(seen.world.devices[0].Execute(
      EncodeCommand(RemoveProfileCommand{PayloadIdentifier(kWifi)}, CommandUuid("BY-HAND")),
      seen.world.clock.Now()));
  REQUIRE_FALSE(seen.world.HasProfile(0, kWifi));
  const Json answer = seen.See(R"({"profiles": []})");
  CHECK(answer["report_wanted"] == true);
  CHECK(answer["due_at"].is_string());
  CHECK(answer["reason"].get<std::string>().find(kWifi) != std::string::npos);
  seen.world.Run(minutes(5));
  CHECK(seen.world.HasProfile(0, kWifi));
  CHECK(seen.world.IsVerified(0, kWifi));
}

TEST_CASE("what is seen is never evidence, and no word of the device") {
  Seen seen;
  const Snapshot before = seen.Stored();
  CHECK(seen.SeeProfile("ANOTHER")["report_wanted"] == true);
  Snapshot after = seen.Stored();
  CHECK(after.enrollment.last_seen_at == before.enrollment.last_seen_at);
  after.enrollment.report_wanted_at = before.enrollment.report_wanted_at;
  after.enrollment.push_count = before.enrollment.push_count;
  CHECK(after == before);
  const std::size_t installs = seen.world.Enqueued("InstallProfile").size();
  seen.world.Run(hours(1));
  CHECK(seen.world.Enqueued("InstallProfile").size() == installs);
}

TEST_CASE("profiles that are not assigned are nobody's business") {
  Seen seen;
  const Json both = {{"profiles",
                      {{{"payload_identifier", kWifi}, {"payload_uuid", seen.payload_uuid}},
                       {{"payload_identifier", "com.example.other"}, {"payload_uuid", "X"}}}}};
  CHECK(seen.See(both.dump())["report_wanted"] == false);
}

TEST_CASE("a device that was just asked is not asked again") {
  Seen seen;
  CHECK(seen.SeeProfile("ANOTHER")["report_wanted"] == true);
  const Json again = seen.SeeProfile("ANOTHER");
  CHECK(again["report_wanted"] == false);
  CHECK(again["reason"].get<std::string>().find("awaited already") != std::string::npos);
  seen.world.Run(minutes(2));
  const Json recent = seen.SeeProfile("ANOTHER");
  CHECK(recent["report_wanted"] == false);
  CHECK(recent["reason"].get<std::string>().find("too recent") != std::string::npos);
}

TEST_CASE("a thousand hints at once are one question and at most one push") {
  Seen seen;
  const std::size_t questions = seen.Questions();
  const std::size_t pushes = seen.Pushes();
  for (int i = 0; i < 1000; ++i) {
    seen.SeeProfile("ANOTHER");
    seen.world.Settle();
  }
  CHECK(seen.Questions() == questions + 1);
  CHECK(seen.Pushes() <= pushes + 1);
  CHECK(seen.QueueSize() == 1);
}

TEST_CASE("a thousand hints in a day about a Mac that sleeps: one question, bounded pushes") {
  Seen seen;
  const std::size_t questions = seen.Questions();
  const std::size_t pushes = seen.Pushes();
  const Timestamp end = seen.world.clock.Now() + hours(24);
  for (int i = 0; i < 1000; ++i) {
    seen.SeeProfile("ANOTHER");
    seen.Sleep(seconds(86));
    REQUIRE(seen.QueueSize() == 1);
  }
  REQUIRE(seen.world.clock.Now() >= end);
  CHECK(seen.Questions() == questions + 1);
  // push_delay_min is ten minutes, less a fifth at most.
  CHECK(seen.Pushes() - pushes <= 24 * 60 / 8 + 1);
  seen.world.Session(0);
  seen.world.Run(minutes(5));
  CHECK(seen.QueueSize() == 0);
}

TEST_CASE("a tool that always sees otherwise causes a question in ten minutes at most") {
  Seen seen;
  const std::size_t questions = seen.Questions();
  for (int i = 0; i < 1000; ++i) {
    seen.SeeProfile("ANOTHER");
    seen.world.Run(seconds(86));
  }
  CHECK(seen.Questions() - questions <= 24 * 60 / 10 + 10);
  CHECK(seen.world.Enqueued("InstallProfile").size() == 1);
}

TEST_CASE("a hint brings the push of a sleeping device forward, and none for nothing") {
  Seen seen;
  seen.world.Assign("com.example.vpn");
  seen.Sleep(hours(3));  // pushes have backed off to hours
  const int backed_off = seen.Stored().enrollment.push_count;
  REQUIRE(backed_off > 1);
  const std::size_t pushes = seen.Pushes();
  const Json answer = seen.See();
  CHECK(answer["push_sooner"] == true);
  CHECK(answer["report_wanted"] == false);
  seen.world.Settle();
  CHECK(seen.Pushes() == pushes + 1);
  CHECK(seen.See()["push_sooner"] == true);
  seen.world.Settle();
  CHECK(seen.Pushes() == pushes + 1);  // not before ten minutes have passed
  seen.world.Session(0);
  seen.world.Run(minutes(5));
  CHECK(seen.world.IsVerified(0, "com.example.vpn"));
  CHECK(seen.See()["push_sooner"] == false);
}

TEST_CASE("a device that is not managed is not asked") {
  Seen seen;
  WriteTo(*seen.world.store, [&](StoreWriter& writer) -> Status {
    auto found = writer.LoadEnrollments({seen.world.id(0)});
    if (!found) return Fail(found.error());
    found->front().status = EnrollmentStatus::kCheckedOut;
    return writer.SaveEnrollments(*found);
  });
  const Json answer = seen.SeeProfile("ANOTHER");
  CHECK(answer["due_at"].is_null());
  CHECK(answer["reason"] == "The enrollment takes no commands.");
}

TEST_CASE("hints that say nothing sensible are refused as a whole") {
  Seen seen;
  for (const std::string& body :
       {std::string("no JSON"), std::string("[]"), std::string(R"({"profile": []})"),
        std::string(R"({"profiles": {}})"), std::string(R"({"profiles": ["a"]})"),
        std::string(R"({"profiles": [{"payload_identifier": "a"}]})"),
        std::string(R"({"profiles": [{"payload_identifier": "", "payload_uuid": "b"}]})"),
        std::string(R"({"profiles": [{"payload_identifier": "a", "payload_uuid": "b", "c": 1}]})"),
        Json{{"profiles",
              Json::array_t(1'001, Json{{"payload_identifier", "a"}, {"payload_uuid", "b"}})}}
            .dump()}) {
    INFO(body.substr(0, 80));
    CHECK(seen.Send(body).status == 400);
  }
  CHECK(seen.Send(R"({"profiles": null})").status == 202);
  CHECK(seen.Send("", "NOBODY").status == 404);
}

TEST_CASE("a serial number of two devices is no name for a hint") {
  director_test::Service service;
  const VirtualDevice mac = director_test::MakeMac(1);
  director_test::Enroll(service.store(), mac, service.clock().Now());
  WriteTo(service.store(), [&](StoreWriter& writer) -> Status {
    auto found = writer.LoadEnrollments({mac.enrollment_id()});
    if (!found) return Fail(found.error());
    Enrollment twin = found->front();
    twin.channel.enrollment_id = EnrollmentId("TWIN");
    twin.channel.device_id = EnrollmentId("TWIN");
    twin.channel.udid = "TWIN";
    return writer.SaveEnrollments({twin});
  });
  CHECK(service.Post("/devices/" + mac.facts().serial_number + "/seen").status == 409);
  CHECK(service.Post("/devices/TWIN/seen").status == 202);
  CHECK(service.PostText("/devices/TWIN/seen", "").status == 202);
  CHECK(service.PostText("/devices/TWIN/seen", std::string(1024 * 1024 + 1, ' ')).status == 413);
}

}  // namespace
}  // namespace director::director_hint_test
