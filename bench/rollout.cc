#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/served.h"
#include "director/app.h"
#include "director/executor.h"
#include "director/files.h"
#include "mdm/command.h"
#include "simulator/transport.h"

namespace director::bench {
namespace {

constexpr std::size_t kRolloutDevices = 10'000;
constexpr std::size_t kTargetsMax = 50;
constexpr std::size_t kEnrollingThreads = 8;
constexpr std::size_t kAuthorityMaxBytes = 64 * 1024;
constexpr double kRolloutMaxSeconds = 300;
/// Our stand-in answers within a fifth of a millisecond; a server with a database behind it does
/// not.
constexpr Duration kRealApiDelay = std::chrono::milliseconds(10);
constexpr double kMdmDirectorSeconds = 97.0 / 2'000;  ///< for each device

/// Where the commands go.
struct Mdm {
  std::string url;
  DeviceTransport& devices;
  /// Without a push certificate every push is refused, which takes its time, too.
  bool can_push = true;
};

/// Authenticate and TokenUpdate, so that it takes commands and can be pushed.
Status Enroll(DeviceTransport& devices, std::size_t index) {
  DeviceFacts facts;
  facts.udid = UdidOf(index);
  facts.serial_number = fmt::format("C02{:08}", index);
  const VirtualDevice device(facts, {}, index);
  for (const DeviceMessage& message : {device.MakeAuthenticate(), device.MakeTokenUpdate()}) {
    const DeviceReply reply = devices.Send(facts, message);
    if (reply.status == 0) return Fail(ErrorKind::kUnavailable, "the MDM server does not answer");
    if (reply.status != 200)
      return Fail(ErrorKind::kRejected, fmt::format("enrollment: HTTP {}", reply.status));
  }
  return {};
}

Status EnrollAll(DeviceTransport& devices, std::size_t count) {
  std::vector<Status> ends(kEnrollingThreads);
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < kEnrollingThreads; ++first) {
    threads.emplace_back([&, first] {
      for (std::size_t i = first; i < count && ends[first]; i += kEnrollingThreads)
        ends[first] = Enroll(devices, i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto failed = std::find_if(ends.begin(), ends.end(), [](const auto& end) { return !end; });
  return failed == ends.end() ? Status() : *failed;
}

/// What has to be said to the MDM server in any case: profile, question and push, 50 ids each.
Result<double> BareLoop(const Mdm& mdm, std::size_t devices) {
  const auto client = MakeMdmClient(mdm.url);
  if (!client) return Fail(client.error());
  SystemRandom random;
  const Stopwatch watch;
  const std::string payload(kMobileconfigSizeBytes, 'x');
  for (std::size_t first = 0; first < devices; first += kTargetsMax) {
    std::vector<EnrollmentId> targets;
    for (std::size_t i = first; i < std::min(first + kTargetsMax, devices); ++i)
      targets.emplace_back(UdidOf(i));
    for (const Command& command :
         {Command(InstallProfileCommand{payload}), Command(ProfileListCommand{})}) {
      const CommandUuid command_uuid(MakeUuid(random));
      const auto results =
          (*client)->Enqueue({command_uuid, "", EncodeCommand(command, command_uuid), targets});
      if (results.front().outcome != EnqueueOutcome::kQueued)
        return Fail(ErrorKind::kCorrupt, "not queued: " + results.front().detail);
    }
    const auto pushed = (*client)->Push(targets);
    if (mdm.can_push && pushed.front().outcome != PushOutcome::kSent)
      return Fail(ErrorKind::kCorrupt, "not pushed: " + pushed.front().detail);
  }
  return watch.seconds();
}

/// One assignment for everybody, all awake: from the request to the API until the MDM server has
/// answered every command and push.
Status MeasureRollout(const Options& options, const Mdm& mdm, Line line, const Report& report) {
  const SystemClock clock;
  const std::size_t devices = options.devices == 0 ? kRolloutDevices : options.devices;
  const auto database = Database::Create(options);
  if (!database) return Fail(database.error());
  auto store = (*database)->Open();
  if (!store) return Fail(store.error());
  Status done = EnrollAll(mdm.devices, devices);
  if (!done) return Fail(done.error());
  const Result<double> floor = BareLoop(mdm, devices);
  if (!floor) return Fail(floor.error());

  done = SeedRevisions(**store, 1, clock.Now());
  if (done) done = SeedEnrollments(**store, devices, clock.Now());
  if (done) done = SeedReports(**store, devices, 0, clock.Now());
  if (done) done = (*database)->Analyze();
  if (!done) return Fail(done.error());
  const auto app = App::Start(MakeConfig(mdm.url), clock, std::move(*store));
  if (!app) return Fail(app.error());
  done = WaitFor("the first look", kRolloutMaxSeconds,
                 [&] { return CountDue((*app)->store(), clock.Now()) == 0; });
  if (!done) return Fail(done.error());
  const ExecutorCounters& counters = (*app)->executor_counters();
  const auto pushes = [&] { return counters.pushes_sent + counters.pushes_failed; };
  const std::uint64_t commands_before = counters.commands_queued;
  const std::uint64_t pushes_before = pushes();
  const Stopwatch watch;
  done = PostToApi(
      (*app)->port(), "/assignments",
      fmt::format(R"({{"payload_identifier":"{}","target":"all"}})", IdentifierOf(0).value()));
  if (done) {
    done = WaitFor("the rollout", kRolloutMaxSeconds, [&] {
      return counters.commands_queued - commands_before >= 2 * devices &&
             pushes() - pushes_before >= devices;
    });
  }
  if (!done) return Fail(done.error());
  line.name = fmt::format("one profile to {} awake devices{}", devices, line.name);
  line.figure = watch.seconds();
  line.floor = *floor;
  line.ratio = line.figure / line.floor;
  report(line);
  const double of_mdmdirector = kMdmDirectorSeconds * static_cast<double>(devices);
  report({line.name, line.figure, "s", of_mdmdirector, "MDMDirector", line.figure / of_mdmdirector,
          1 / kTimesMdmDirector, true});
  return {};
}

Status MeasureStandIn(const Options& options, Duration api_delay, const Line& line,
                      const Report& report) {
  const SystemClock clock;
  const auto server = StartMdm(clock, api_delay);
  if (!server) return Fail(server.error());
  const auto devices = MakeServerTransport(**server);
  return MeasureRollout(options, {(*server)->url(), *devices}, line, report);
}

Status MeasureRealNanoMdm(const Options& options, const Line& line, const Report& report) {
  const Result<std::string> pem = ReadSmallFile(options.authority_file, kAuthorityMaxBytes);
  if (!pem) return Fail(pem.error());
  HttpTransportSettings settings;
  settings.endpoint.url = options.nanomdm_url;
  settings.authority = PemIdentity{*pem, *pem};
  settings.now = SystemClock().Now();
  const auto devices = MakeHttpTransport(settings);
  if (!devices) return Fail(devices.error());
  return MeasureRollout(options, {options.nanomdm_url, **devices, false}, line, report);
}

}  // namespace

Status RolloutBench(const Options& options, const Report& report) {
  Line line{"", 0, "s", 0, "bare loop of the same requests", 0, 1.5, true};
  if (!options.nanomdm_url.empty()) {
    line.name = ", NanoMDM";
    return MeasureRealNanoMdm(options, line, report);
  }
  if (Status done = MeasureStandIn(options, {}, line, report); !done) return done;
  line.name = ", 10 ms each";
  return MeasureStandIn(options, kRealApiDelay, line, report);
}

}  // namespace director::bench
