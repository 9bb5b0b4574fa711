#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "mdm/command.h"
#include "mdm/plist.h"
#include "simulator/device_profile.h"
#include "simulator/fleet.h"
#include "simulator/mdm_server.h"
#include "simulator/transport.h"
#include "tests/support/catch.h"
#include "upstream/http_client.h"

namespace director::simulator_fleet_test {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);
const PayloadIdentifier kWifi("com.example.wifi");

std::string WifiCommand(const std::string& command_uuid) {
  PlistDict root;
  root.Set("PayloadType", "Configuration");
  root.Set("PayloadVersion", PlistInteger::FromSigned(1));
  root.Set("PayloadIdentifier", kWifi.value());
  root.Set("PayloadUUID", "11111111-0000-4000-8000-000000000001");
  root.Set("PayloadContent", PlistArray());
  return EncodeCommand(InstallProfileCommand{EncodePlistXml(root)}, CommandUuid(command_uuid));
}

bool HasWifi(const FleetDevice& device) {
  return std::count(device.profiles.begin(), device.profiles.end(), kWifi) == 1;
}

bool AllEnrolled(const std::vector<FleetDevice>& devices) {
  return std::all_of(devices.begin(), devices.end(), [](const FleetDevice& device) {
    return device.state == EnrollmentState::kEnrolled;
  });
}

bool AllHaveWifi(const std::vector<FleetDevice>& devices) {
  return std::all_of(devices.begin(), devices.end(), HasWifi);
}

std::string JoinIds(const std::vector<FleetDevice>& devices) {
  std::string ids;
  for (const FleetDevice& device : devices) {
    if (!ids.empty()) ids += ",";
    ids += device.enrollment_id.value();
  }
  return ids;
}

struct World {
  World() : server(Start()) {
    HttpTransportSettings http;
    http.endpoint.url = server->url();
    auto made = MakeHttpTransport(http);
    REQUIRE(made);
    transport = std::move(*made);
  }
  static std::unique_ptr<MdmServer> Start() {
    static const SystemClock clock;
    MdmServerSettings settings;
    settings.api_key = Secret("key");
    auto started = MdmServer::Start(settings, clock);
    REQUIRE(started);
    return std::move(*started);
  }
  Result<HttpResponse> Enqueue(const std::string& ids, const std::string& body) {
    HttpEndpoint endpoint;
    endpoint.url = server->url();
    endpoint.user = "nanomdm";
    endpoint.password = Secret("key");
    auto client = MakeHttpClient(endpoint);
    REQUIRE(client);
    HttpRequest request;
    request.method = "PUT";
    request.path = "/v1/enqueue/" + ids;
    request.body = body;
    return (*client)->Send(request);
  }

  SystemClock clock;
  std::unique_ptr<MdmServer> server;
  std::unique_ptr<DeviceTransport> transport;
};

TEST_CASE("a small fleet enrolls over HTTP and installs a profile when pushed") {
  World world;
  FleetSettings settings;
  settings.device_count = 6;
  settings.user_channel_share = 1;
  settings.poll_interval = std::chrono::hours(10);
  Fleet fleet(settings, *world.transport, world.clock);
  world.server->SetPushListener([&fleet](const EnrollmentId& id) { fleet.Wake(id); });
  fleet.Start();
  REQUIRE(fleet.WaitUntil(AllEnrolled, kPatience));
  const std::vector<FleetDevice> devices = fleet.Snapshot();
  CHECK(devices.size() > 6);
  CHECK_FALSE(AllHaveWifi(devices));

  const auto answer = world.Enqueue(JoinIds(devices), WifiCommand("C1"));
  REQUIRE(answer);
  CHECK(answer->status == 200);
  CHECK(fleet.WaitUntil(AllHaveWifi, kPatience));
  CHECK(fleet.counters().pushes == devices.size());
  CHECK(fleet.counters().unanswered == 0);
  for (const FleetDevice& device : devices) {
    CHECK(world.server->FindEnrollment(device.enrollment_id)->queue.empty());
  }
  world.server->SetPushListener({});
  fleet.Stop();
  fleet.Stop();
}

TEST_CASE("a sleeping device misses pushes and finds the command when it wakes") {
  World world;
  FleetSettings settings;
  settings.device_count = 1;
  settings.poll_interval = std::chrono::minutes(10);
  settings.awake_for = std::chrono::minutes(30);
  settings.asleep_for = std::chrono::hours(8);
  settings.time_scale = 20'000;
  const auto server_transport = MakeServerTransport(*world.server);
  Fleet fleet(settings, *server_transport, world.clock);
  fleet.Start();
  REQUIRE(fleet.WaitUntil(AllEnrolled, kPatience));
  const std::string id = JoinIds(fleet.Snapshot());
  CHECK(world.server->HandleApi({"PUT", "/v1/enqueue/" + id + "?nopush=1", WifiCommand("C1")})
            .status == 200);
  CHECK(fleet.WaitUntil(AllHaveWifi, kPatience));
}

TEST_CASE("a push to someone asleep or unknown does nothing") {
  World world;
  FleetSettings settings;
  settings.device_count = 1;
  settings.adjust = [](std::size_t, Timestamp start, DeviceBehaviour& behaviour) {
    behaviour.wake = {std::chrono::hours(1), std::chrono::hours(1),
                      start.time_since_epoch() + std::chrono::hours(1)};
  };
  Fleet fleet(settings, *world.transport, world.clock);
  fleet.Start();
  const std::vector<FleetDevice> devices = fleet.Snapshot();
  REQUIRE(devices.size() == 1);
  CHECK(devices[0].is_asleep);
  fleet.Wake(devices[0].enrollment_id);
  fleet.Wake(EnrollmentId("UNKNOWN"));
  CHECK(fleet.counters().pushes == 1);
  CHECK(fleet.counters().pushes_missed == 1);
}

TEST_CASE("an erased Mac enrolls again, and so does its user channel") {
  World world;
  FleetSettings settings;
  settings.device_count = 1;
  settings.iphone_share = 0;
  settings.user_channel_share = 1;
  settings.time_scale = 10'000;
  settings.adjust = [](std::size_t, Timestamp start, DeviceBehaviour& behaviour) {
    // Many, so that one comes after the user channel's first enrollment however slow the machine
    // is.
    for (int i = 1; i <= 50; ++i) {
      behaviour.reenrollments.push_back(
          {start + i * std::chrono::hours(1), ReenrollmentKind::kWiped});
    }
  };
  Fleet fleet(settings, *world.transport, world.clock);
  fleet.Start();
  CHECK(fleet.WaitUntil(
      [](const std::vector<FleetDevice>& devices) {
        return devices.size() == 2 && devices[0].epoch >= 2 && devices[1].epoch >= 2;
      },
      kPatience));
}

TEST_CASE("slow installs and a person who deletes a profile") {
  World world;
  FleetSettings settings;
  settings.device_count = 4;
  settings.time_scale = 1000;
  settings.install_delay = std::chrono::minutes(1);
  settings.poll_interval = std::chrono::hours(100);
  Fleet fleet(settings, *world.transport, world.clock);
  world.server->SetPushListener([&fleet](const EnrollmentId& id) { fleet.Wake(id); });
  fleet.Start();
  REQUIRE(fleet.WaitUntil(AllEnrolled, kPatience));
  const std::vector<FleetDevice> devices = fleet.Snapshot();
  REQUIRE(world.Enqueue(JoinIds(devices), WifiCommand("C1")));
  REQUIRE(fleet.WaitUntil(AllHaveWifi, kPatience));
  CHECK(fleet.DeleteProfile(devices[0].enrollment_id, kWifi));
  CHECK_FALSE(fleet.DeleteProfile(EnrollmentId("UNKNOWN"), kWifi));
  CHECK(fleet.WaitUntil(
      [](const std::vector<FleetDevice>& all) {
        return std::count_if(all.begin(), all.end(), HasWifi) == 3;
      },
      kPatience));
  world.server->SetPushListener({});
}

TEST_CASE("a fleet runs another OS from its next turn on, and says what it has done") {
  World world;
  FleetSettings settings;
  settings.device_count = 3;
  settings.poll_interval = std::chrono::milliseconds(20);
  settings.identity_lifetime = 365 * kDay;
  settings.identity_ends_in = 30 * kDay;
  Fleet fleet(settings, *world.transport, world.clock);
  fleet.Start();
  REQUIRE(fleet.WaitUntil(AllEnrolled, kPatience));
  const std::string ids = JoinIds(fleet.Snapshot());
  const std::string renewal = MakeEnrollmentMobileconfig(SimulatorManagement());
  REQUIRE(world.Enqueue(ids, WifiCommand("C1")));
  REQUIRE(world.Enqueue(ids, EncodeCommand(InstallProfileCommand{renewal}, CommandUuid("C2"))));
  fleet.UpdateOs("26.1", "25B78");
  CHECK(fleet.WaitUntil(
      [](const std::vector<FleetDevice>& devices) {
        return std::all_of(devices.begin(), devices.end(), [](const FleetDevice& device) {
          return device.facts.build_version == "25B78" && device.os_updates == 1 &&
                 device.installs == 2 && device.renewals == 1 && device.epoch == 1;
        });
      },
      kPatience));
}

TEST_CASE("failing shares: some refuse for ever, some at first") {
  World world;
  FleetSettings settings;
  settings.device_count = 3;
  settings.transient_failure_share = 1;
  settings.failing_profile = kWifi;
  Fleet fleet(settings, *world.transport, world.clock);
  world.server->SetPushListener([&fleet](const EnrollmentId& id) { fleet.Wake(id); });
  fleet.Start();
  REQUIRE(fleet.WaitUntil(AllEnrolled, kPatience));
  const std::string ids = JoinIds(fleet.Snapshot());
  for (const char* uuid : {"C1", "C2"})
    REQUIRE(world.Enqueue(ids + "?nopush=1", WifiCommand(uuid)));
  REQUIRE(world.Enqueue(ids, WifiCommand("C3")));
  CHECK(fleet.WaitUntil(AllHaveWifi, kPatience));
  world.server->SetPushListener({});
}

TEST_CASE("a fleet without a server counts silence and stops promptly") {
  World world;
  HttpTransportSettings http;
  http.endpoint.url = world.server->url();
  world.server->Stop();
  auto transport = MakeHttpTransport(http);
  REQUIRE(transport);
  FleetSettings settings;
  settings.device_count = 3;
  Fleet fleet(settings, **transport, world.clock);
  fleet.Start();
  CHECK(fleet.WaitUntil(
      [](const std::vector<FleetDevice>& devices) {
        return std::all_of(devices.begin(), devices.end(),
                           [](const FleetDevice& d) { return d.last_session_at.has_value(); });
      },
      kPatience));
  fleet.Stop();
  CHECK(fleet.counters().unanswered == 3);
  CHECK_FALSE(AllEnrolled(fleet.Snapshot()));
}

}  // namespace
}  // namespace director::simulator_fleet_test
