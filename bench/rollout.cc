#include <fmt/core.h>

#include "base/clock.h"
#include "base/random.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/served.h"
#include "director/app.h"
#include "mdm/command.h"
#include "simulator/device.h"

namespace director::bench {
namespace {

constexpr std::size_t kRolloutDevices = 10'000;
constexpr std::size_t kTargetsMax = 50;
constexpr double kRolloutMaxSeconds = 300;
/// Our stand-in answers within a fifth of a millisecond; a server with a database behind it does
/// not.
constexpr Duration kRealApiDelay = std::chrono::milliseconds(10);
constexpr double kMdmDirectorSeconds = 97.0 / 2'000;  ///< for each device

/// Each device enrolls at the MDM server, so that it can be pushed.
Status EnrollAtMdm(MdmServer& mdm, std::size_t devices) {
  for (std::size_t i = 0; i < devices; ++i) {
    DeviceFacts facts;
    facts.udid = UdidOf(i);
    facts.serial_number = fmt::format("C02{:08}", i);
    const VirtualDevice device(facts, {}, i);
    for (const DeviceMessage& message : {device.MakeAuthenticate(), device.MakeTokenUpdate()}) {
      const CoreAnswer answer =
          mdm.HandleDevice({std::string(kCheckinContentType), message.body, {}});
      if (answer.status != 200) return Fail(ErrorKind::kCorrupt, "a device could not enroll");
    }
  }
  return {};
}

/// What has to be said to the MDM server in any case: profile, question and push, 50 ids each.
Result<double> BareLoop(const std::string& mdm_url, std::size_t devices) {
  const auto mdm = MakeMdmClient(mdm_url);
  if (!mdm) return Fail(mdm.error());
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
          (*mdm)->Enqueue({command_uuid, "", EncodeCommand(command, command_uuid), targets});
      if (results.front().outcome != EnqueueOutcome::kQueued)
        return Fail(ErrorKind::kCorrupt, "not queued: " + results.front().detail);
    }
    const auto pushed = (*mdm)->Push(targets);
    if (pushed.front().outcome != PushOutcome::kSent)
      return Fail(ErrorKind::kCorrupt, "not pushed: " + pushed.front().detail);
  }
  return watch.seconds();
}

/// One assignment for everybody, all awake: from the request to the API until the MDM server has
/// every command and push.
Status MeasureRollout(const Options& options, Duration api_delay, Line line, const Report& report) {
  const SystemClock clock;
  const std::size_t devices = options.devices == 0 ? kRolloutDevices : options.devices;
  const auto database = Database::Create(options);
  if (!database) return Fail(database.error());
  auto store = (*database)->Open();
  if (!store) return Fail(store.error());
  const auto mdm = StartMdm(clock, api_delay);
  if (!mdm) return Fail(mdm.error());
  Status done = EnrollAtMdm(**mdm, devices);
  if (!done) return Fail(done.error());
  const Result<double> floor = BareLoop((*mdm)->url(), devices);
  if (!floor) return Fail(floor.error());

  done = SeedRevisions(**store, 1, clock.Now());
  if (done) done = SeedEnrollments(**store, devices, clock.Now());
  if (done) done = SeedReports(**store, devices, 0, clock.Now());
  if (done) done = (*database)->Analyze();
  if (!done) return Fail(done.error());
  const auto app = App::Start(MakeConfig((*mdm)->url()), clock, std::move(*store));
  if (!app) return Fail(app.error());
  done = WaitFor("the first look", kRolloutMaxSeconds,
                 [&] { return CountDue((*app)->store(), clock.Now()) == 0; });
  if (!done) return Fail(done.error());
  const CoreCounters before = (*mdm)->core_counters();
  const Stopwatch watch;
  done = PostToApi(
      (*app)->port(), "/assignments",
      fmt::format(R"({{"payload_identifier":"{}","target":"all"}})", IdentifierOf(0).value()));
  if (done) {
    done = WaitFor("the rollout", kRolloutMaxSeconds, [&] {
      const CoreCounters now = (*mdm)->core_counters();
      return now.commands - before.commands >= 2 * devices && now.pushes - before.pushes >= devices;
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

}  // namespace

Status RolloutBench(const Options& options, const Report& report) {
  Line line{"", 0, "s", 0, "bare loop of the same requests", 0, 1.5, true};
  if (Status done = MeasureRollout(options, {}, line, report); !done) return done;
  line.name = ", 10 ms each";
  return MeasureRollout(options, kRealApiDelay, line, report);
}

}  // namespace director::bench
