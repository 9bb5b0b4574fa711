#include "base/clock.h"
#include "simulator/core_wire.h"
#include "simulator/device.h"
#include "simulator/mdm_core.h"
#include "tests/support/micromdm_world.h"

namespace director::simulator_stand_in_test {
namespace {

using namespace micromdm_test;

TEST_CASE("a virtual device runs a session against either stand-in") {
  MdmCore nano({}, {}, 1);
  MicroMdmCore micro({}, {}, 1);
  MdmStandIn* stand_in = &nano;
  std::string path = "/v1/enqueue/";
  SECTION("NanoMDM") {}
  SECTION("MicroMDM") {
    stand_in = &micro;
    path = "/v1/commands/";
  }
  ManualClock clock(FromUnixMs(1'795'000'000'000));
  VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 7, 0), {}, 1);
  const auto transport = MakeCoreTransport(*stand_in, clock);
  const auto run_session = [&] {
    auto message = device.BeginSession(clock.Now());
    while (message) {
      message = device.HandleReply(transport->Send(device.facts(), *message), clock.Now());
    }
  };
  run_session();
  CHECK(device.state() == EnrollmentState::kEnrolled);
  path += device.enrollment_id().value();
  for (const char* const uuid : {"C1", "C2"}) {
    REQUIRE(stand_in->HandleApi({"PUT", path, ListCommand(uuid)}, clock.Now()).status < 300);
  }
  CHECK(stand_in->FindEnrollment(device.enrollment_id())->queue.size() == 2);
  run_session();
  CHECK(stand_in->FindEnrollment(device.enrollment_id())->queue.empty());
  CHECK(stand_in->counters().commands == 2);
  CHECK(stand_in->counters().pushes == 2);
}

TEST_CASE("the wire carries a client's requests; no answer is an unknown outcome") {
  MicroMdmFaults faults;
  faults.push = CorePush::kNoCertificate;
  World world(faults);
  world.Enroll(kUdid);
  const ManualClock clock(world.now);
  const auto http = MakeCoreWire(world.core, clock);
  HttpRequest request;
  request.method = "POST";
  request.path = "/v1/commands/" + kUdid;
  request.body = ListCommand("C1");
  const auto answer = http->Send(request);
  REQUIRE(answer);
  CHECK(answer->status == 201);
  CHECK(answer->content_type.rfind("application/json", 0) == 0);
  CHECK(world.View(kUdid) == Uuids{"C1"});
  request.path = "/v1/push/" + kUdid;
  const auto push = http->Send(request);
  REQUIRE_FALSE(push);
  CHECK(push.error().kind == ErrorKind::kUnknownOutcome);
}

}  // namespace
}  // namespace director::simulator_stand_in_test
