// Macs out of the box: from the first Authenticate until a person can use them.
#include <fmt/core.h>

#include <algorithm>

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/served.h"
#include "director/app.h"
#include "director/http_server.h"
#include "mdm/app.h"
#include "mdm/command.h"
#include "simulator/fleet.h"

namespace director::bench {
namespace {

constexpr std::size_t kUnboxedDevices = 200;
constexpr std::size_t kUnboxedProfiles = 30;
constexpr std::size_t kUnboxedApps = 5;
constexpr std::size_t kTargetsMax = 50;
constexpr std::size_t kDeviceThreads = 8;
constexpr double kUnboxMaxSeconds = 300;
/// For one profile; Macs take longer.
constexpr Duration kInstallTime = std::chrono::milliseconds(100);
/// The floor has neither a database nor webhooks.
constexpr double kRatioMax = 3;

std::string MakeMobileconfig(std::size_t index) {
  PlistDict payload;
  payload.Set("PayloadType", "com.apple.screensaver");
  payload.Set("PayloadVersion", PlistInteger::FromSigned(1));
  payload.Set("PayloadIdentifier", IdentifierOf(index).value() + ".payload");
  payload.Set("PayloadUUID", "22222222-0000-4000-8000-000000000002");
  payload.Set("loginWindowModulePath", std::string(kMobileconfigSizeBytes / 2, 'x'));
  PlistDict root;
  root.Set("PayloadType", "Configuration");
  root.Set("PayloadVersion", PlistInteger::FromSigned(1));
  root.Set("PayloadIdentifier", IdentifierOf(index).value());
  root.Set("PayloadUUID", PayloadUuidOf(index).value());
  root.Set("PayloadContent", PlistArray{std::move(payload)});
  return EncodePlistXml(root);
}

AppSpec MakeApp(std::size_t index) {
  AppSpec spec;
  spec.identifier = fmt::format("com.example.app{}", index);
  spec.version = "1.0";
  spec.manifest_url = fmt::format("https://repo.example.com/app{}.plist", index);
  return spec;
}

/// Macs that are held in Setup Assistant, with an MDM server, over HTTP.
class UnboxedFleet {
 public:
  static Result<std::unique_ptr<UnboxedFleet>> Make(const Clock& clock, std::size_t devices,
                                                    int webhook_port) {
    auto fleet = std::unique_ptr<UnboxedFleet>(new UnboxedFleet());
    auto mdm = StartMdm(clock, {}, webhook_port);
    if (!mdm) return Fail(mdm.error());
    fleet->mdm_ = std::move(*mdm);
    HttpTransportSettings http;
    http.endpoint.url = fleet->mdm_->url();
    auto transport = MakeHttpTransport(http);
    if (!transport) return Fail(transport.error());
    fleet->transport_ = std::move(*transport);
    FleetSettings settings;
    settings.device_count = devices;
    settings.iphone_share = 0;
    settings.setup_share = 1;
    settings.thread_count = kDeviceThreads;
    settings.install_delay = kInstallTime;
    fleet->fleet_ = std::make_unique<Fleet>(settings, *fleet->transport_, clock);
    fleet->mdm_->SetPushListener(
        [raw = fleet->fleet_.get()](const EnrollmentId& id) { raw->Wake(id); });
    return fleet;
  }
  ~UnboxedFleet() {
    if (mdm_) mdm_->SetPushListener({});
    if (fleet_) fleet_->Stop();
  }
  UnboxedFleet(const UnboxedFleet&) = delete;
  UnboxedFleet& operator=(const UnboxedFleet&) = delete;

  Status Enroll() {
    fleet_->Start();
    return WaitForEach("the enrollment", [](const FleetDevice& device) {
      return device.state == EnrollmentState::kEnrolled && device.last_session_at;
    });
  }
  void Unbox() { fleet_->Start(); }
  Status WaitUntilUsable() {
    return WaitForEach("the last Mac's desktop", [](const FleetDevice& device) {
      return device.state == EnrollmentState::kEnrolled && !device.awaits_configuration &&
             device.profiles.size() >= kUnboxedProfiles;
    });
  }
  std::vector<EnrollmentId> ids() const {
    std::vector<EnrollmentId> ids;
    for (const FleetDevice& device : fleet_->Snapshot()) ids.push_back(device.enrollment_id);
    return ids;
  }
  std::string mdm_url() const { return mdm_->url(); }

 private:
  UnboxedFleet() = default;

  Status WaitForEach(const std::string& what,
                     const std::function<bool(const FleetDevice&)>& has_come) {
    return WaitFor(what, kUnboxMaxSeconds, [&] { return fleet_->AllOf(has_come); });
  }

  std::unique_ptr<MdmServer> mdm_;
  std::unique_ptr<DeviceTransport> transport_;
  std::unique_ptr<Fleet> fleet_;
};

/// What a Mac has to be sent, in the order in which Director sends it.
Result<std::vector<Command>> EverythingToSend() {
  std::vector<Command> commands;
  for (std::size_t i = 0; i < kUnboxedProfiles; ++i) {
    commands.emplace_back(InstallProfileCommand{MakeMobileconfig(i)});
  }
  for (std::size_t i = 0; i < kUnboxedApps; ++i) {
    const Result<ItemDefinition> app = DefineApp(MakeApp(i));
    if (!app) return Fail(app.error());
    commands.push_back(ToCommand(*app));
  }
  commands.emplace_back(ProfileListCommand{});
  commands.emplace_back(DeviceConfiguredCommand{});
  return commands;
}

/// Enrollment, and then delivery out of a queue that was filled before; the filling is not counted.
Result<double> FromFullQueue(const Clock& clock, std::size_t devices) {
  const auto fleet = UnboxedFleet::Make(clock, devices, 0);
  if (!fleet) return Fail(fleet.error());
  const Stopwatch enrolling;
  if (Status done = (*fleet)->Enroll(); !done) return Fail(done.error());
  const double enrolled_seconds = enrolling.seconds();
  const auto commands = EverythingToSend();
  if (!commands) return Fail(commands.error());
  const auto mdm = MakeMdmClient((*fleet)->mdm_url());
  if (!mdm) return Fail(mdm.error());
  const std::vector<EnrollmentId> ids = (*fleet)->ids();
  std::vector<std::vector<EnrollmentId>> batches;
  for (std::size_t first = 0; first < ids.size(); first += kTargetsMax) {
    const std::size_t last = std::min(first + kTargetsMax, ids.size());
    batches.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(first),
                         ids.begin() + static_cast<std::ptrdiff_t>(last));
  }
  SystemRandom random;
  for (const auto& targets : batches) {
    for (const Command& command : *commands) {
      const CommandUuid command_uuid(MakeUuid(random));
      const auto results =
          (*mdm)->Enqueue({command_uuid, "", EncodeCommand(command, command_uuid), targets});
      if (results.front().outcome != EnqueueOutcome::kQueued)
        return Fail(ErrorKind::kCorrupt, "not queued: " + results.front().detail);
    }
  }
  const Stopwatch delivering;
  for (const auto& targets : batches) {
    const auto pushed = (*mdm)->Push(targets);
    if (pushed.front().outcome != PushOutcome::kSent)
      return Fail(ErrorKind::kCorrupt, "not pushed: " + pushed.front().detail);
  }
  if (Status done = (*fleet)->WaitUntilUsable(); !done) return Fail(done.error());
  return enrolled_seconds + delivering.seconds();
}

Status AssignEverything(int port) {
  std::vector<std::string> items;
  for (std::size_t i = 0; i < kUnboxedProfiles; ++i) {
    const std::string body = fmt::format(R"({{"profiles":[{{"mobileconfig":"{}"}}]}})",
                                         EncodeBase64(MakeMobileconfig(i)));
    if (Status done = PostToApi(port, "/profiles", body); !done) return done;
    items.push_back(IdentifierOf(i).value());
  }
  for (std::size_t i = 0; i < kUnboxedApps; ++i) {
    const AppSpec app = MakeApp(i);
    const std::string body =
        fmt::format(R"({{"apps":[{{"identifier":"{}","version":"{}","manifest_url":"{}"}}]}})",
                    app.identifier, app.version, app.manifest_url);
    if (Status done = PostToApi(port, "/apps", body); !done) return done;
    items.push_back(AppItem(app.identifier).value());
  }
  for (const std::string& item : items) {
    const std::string body =
        fmt::format(R"({{"payload_identifier":"{}","target":"all","during_setup":true}})", item);
    if (Status done = PostToApi(port, "/assignments", body); !done) return done;
  }
  return {};
}

Result<double> WithDirector(const Options& options, const Clock& clock, std::size_t devices) {
  const auto database = Database::Create(options);
  if (!database) return Fail(database.error());
  auto store = (*database)->Open();
  if (!store) return Fail(store.error());
  const Result<int> port = FreePort();
  if (!port) return Fail(port.error());
  const auto fleet = UnboxedFleet::Make(clock, devices, *port);
  if (!fleet) return Fail(fleet.error());
  Config config = MakeConfig((*fleet)->mdm_url());
  config.listen_port = *port;
  const auto app = App::Start(config, clock, std::move(*store));
  if (!app) return Fail(app.error());
  if (Status done = AssignEverything(*port); !done) return Fail(done.error());
  const Stopwatch watch;
  (*fleet)->Unbox();
  if (Status done = (*fleet)->WaitUntilUsable(); !done) return Fail(done.error());
  return watch.seconds();
}

}  // namespace

Status EnrollmentBench(const Options& options, const Report& report) {
  const SystemClock clock;
  const std::size_t devices = options.devices == 0 ? kUnboxedDevices : options.devices;
  for (const std::size_t count : {std::size_t{1}, devices}) {
    const std::string name =
        count == 1 ? "one Mac until usable" : fmt::format("{} Macs at once until usable", count);
    const Result<Line> line = MeasureByTurns(
        {name, 0, "s", 0, "enrolling, then a full queue", 0, kRatioMax, true},
        [&] { return FromFullQueue(clock, count); },
        [&] { return WithDirector(options, clock, count); });
    if (!line) return Fail(line.error());
    report(*line);
  }
  return {};
}

}  // namespace director::bench
