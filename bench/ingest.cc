#include "director/ingest.h"

#include <fmt/core.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/http_load.h"
#include "bench/loop.h"
#include "bench/served.h"
#include "director/app.h"
#include "director/config.h"
#include "director/webhook_routes.h"
#include "mdm/command.h"

namespace director::bench {
namespace {

using Bodies = std::vector<std::string>;

constexpr std::size_t kDevices = 5'000;
constexpr std::size_t kAnswersMax = 60'000;  ///< of each kind, more than a run can take
constexpr std::size_t kChangesMax = 8'000;
constexpr std::size_t kConnections = 32;
constexpr double kP99MaxMs = 50;
constexpr double kDeliveryMaxSeconds = 120;

/// What each figure has to reach.
struct Targets {
  double acknowledged = 0;
  double unchanged = 0;
  double changed = 0;
};

/// The floors differ: pgbench's clients share their commits, SQLite's one connection does not.
Targets TargetsOf(const Database& database) {
  return database.is_postgres() ? Targets{1.5, 1.0, 0.4} : Targets{1.0, 0.5, 0.2};
}

std::vector<std::string> MakeUuids(const char* kind, std::size_t count) {
  std::vector<std::string> uuids;
  for (std::size_t i = 0; i < count; ++i) uuids.push_back(fmt::format("{}-{}", kind, i));
  return uuids;
}

Result<double> PlainHttpRate(const Bodies& bodies, const LoadShape& shape) {
  HttpRoute route{"POST", "/webhook", 1 << 20, [](const HttpServerRequest&) {
                    return HttpServerResponse{200, "", "", {}};
                  }};
  const auto server = StartHttpServer({}, {route});
  if (!server) return Fail(server.error());
  const Result<LoadResult> load = PostAll((*server)->port(), "/webhook", bodies, shape);
  if (!load) return Fail(load.error());
  return load->rate;
}

/// The webhook receiver alone: nothing decides.
class Receiver {
 public:
  explicit Receiver(Store& store)
      : config_(MakeConfig("http://127.0.0.1:1")), ingest_(store, [] {}) {}

  Status Start() {
    auto server = StartHttpServer({}, WebhookRoutes(config_, ingest_, clock_, counts_));
    if (!server) return Fail(server.error());
    server_ = std::move(*server);
    return {};
  }
  Result<LoadResult> Post(const Bodies& bodies, const LoadShape& shape) {
    return PostAll(server_->port(), "/webhook", bodies, shape);
  }

 private:
  const SystemClock clock_;
  const Config config_;
  Ingest ingest_;
  WebhookCounts counts_;
  std::unique_ptr<HttpServer> server_;
};

Line RateLine(const std::string& name, double figure, double floor, std::string floor_name,
              double target) {
  return {"ingest " + name,      figure,         "events/s", floor,
          std::move(floor_name), figure / floor, target};
}

/// Bodies from `first` on, so that no event comes a second time.
Bodies Rest(const Bodies& bodies, std::size_t first) {
  return {bodies.begin() + static_cast<std::ptrdiff_t>(first), bodies.end()};
}

/// Answers to journaled commands, as fast as they go and then at half that rate.
Status MeasureAcknowledged(Receiver& receiver, const Database& database, double floor,
                           const LoadShape& shape, const Report& report) {
  Bodies bodies;
  for (std::size_t i = 0; i < kAnswersMax; ++i)
    bodies.push_back(AcknowledgedBody(i % kDevices, fmt::format("install-{}", i)));
  const Result<LoadResult> full = receiver.Post(bodies, shape);
  if (!full) return Fail(full.error());
  report(RateLine("Acknowledged", full->rate, floor, database.commits_name(),
                  TargetsOf(database).acknowledged));
  LoadShape half = shape;
  half.rate = full->rate / 2;
  const Result<LoadResult> calm = receiver.Post(Rest(bodies, full->answers), half);
  if (!calm) return Fail(calm.error());
  report({fmt::format("ingest Acknowledged, p99 at {:.0f} events/s", calm->rate), calm->p99_ms,
          "ms", kP99MaxMs, "limit", calm->p99_ms / kP99MaxMs, 1.0, true});
  return {};
}

Status MeasureUnchanged(Receiver& receiver, const Database& database, double floor,
                        const LoadShape& shape, const Report& report) {
  Bodies bodies;
  for (std::size_t i = 0; i < kAnswersMax / 2; ++i) {
    bodies.push_back(ProfileListBody(i % kDevices, fmt::format("list-{}", i), PayloadUuidOf(0)));
  }
  const Result<LoadResult> load = receiver.Post(bodies, shape);
  if (!load) return Fail(load.error());
  report(RateLine("ProfileList, 20 profiles, unchanged", load->rate, floor, database.commits_name(),
                  TargetsOf(database).unchanged));
  return {};
}

Status MeasureReceiver(const Options& options, const Database& database, double floor,
                       const Report& report) {
  const Timestamp now = SystemClock().Now();
  const auto store = database.Open();
  if (!store) return Fail(store.error());
  Status done = SeedEnrollments(**store, kDevices, now);
  if (done) done = SeedReports(**store, kDevices, kProfiles, now);
  if (done)
    done = SeedIntents(**store, kDevices, MakeUuids("install", kAnswersMax),
                       request_type::kInstallProfile, now);
  if (done)
    done = SeedIntents(**store, kDevices, MakeUuids("list", kAnswersMax / 2),
                       request_type::kProfileList, now);
  if (done) done = database.Analyze();
  if (!done) return done;
  Receiver receiver(**store);
  if (Status started = receiver.Start(); !started) return started;

  const LoadShape shape{kConnections, options.seconds, 0};
  done = MeasureAcknowledged(receiver, database, floor, shape, report);
  if (done) done = MeasureUnchanged(receiver, database, floor, shape, report);
  if (!done) return done;

  Bodies polls;
  for (std::size_t i = 0; i < kAnswersMax; ++i) polls.push_back(IdleBody(i % kDevices));
  const Result<double> plain = PlainHttpRate(polls, shape);
  if (!plain) return Fail(plain.error());
  const Result<LoadResult> idle = receiver.Post(polls, shape);
  if (!idle) return Fail(idle.error());
  report(RateLine("Idle", idle->rate, *plain, "plain HTTP 200s/s", 0.5));
  return {};
}

/// Every device reports that it has another revision of one profile: the whole Director, until the
/// MDM server has the command that mends it.
Status MeasureChanged(const Options& options, const Database& database, double floor,
                      const Report& report) {
  const SystemClock clock;
  const auto mdm = StartMdm(clock);
  if (!mdm) return Fail(mdm.error());
  auto store = database.Open();
  if (!store) return Fail(store.error());
  const auto devices = std::min<std::size_t>(
      kChangesMax, static_cast<std::size_t>(std::max(500.0, floor * options.seconds / 2)));
  Status done = SeedSettledFleet(**store, devices, kProfiles, clock);
  if (done)
    done = SeedIntents(**store, devices, MakeUuids("changed", devices), request_type::kProfileList,
                       clock.Now());
  if (done) done = database.Analyze();
  if (!done) return done;
  const auto app = App::Start(MakeConfig((*mdm)->url()), clock, std::move(*store));
  if (!app) return Fail(app.error());

  Bodies bodies;
  for (std::size_t i = 0; i < devices; ++i) {
    bodies.push_back(
        ProfileListBody(i, fmt::format("changed-{}", i), PayloadUuidOf(kProfiles + i)));
  }
  const Stopwatch watch;
  const Result<LoadResult> load =
      PostAll((*app)->port(), "/webhook", bodies, {kConnections, kDeliveryMaxSeconds, 0});
  if (!load) return Fail(load.error());
  // Each device is sent the profile and the question whether it is there.
  done = WaitFor("the last command", kDeliveryMaxSeconds,
                 [&] { return (*mdm)->core_counters().commands >= 2 * devices; });
  if (!done) return done;
  report(RateLine("ProfileList, one changed, until enqueued",
                  static_cast<double>(devices) / watch.seconds(), floor, database.commits_name(),
                  TargetsOf(database).changed));
  return {};
}

}  // namespace

Status IngestBench(const Options& options, const Report& report) {
  double floor = 0;
  {
    const auto database = Database::Create(options);
    if (!database) return Fail(database.error());
    const Result<double> commits = (*database)->CommitsPerSecond(options.seconds);
    if (!commits) return Fail(commits.error());
    floor = *commits;
    if (Status done = MeasureReceiver(options, **database, floor, report); !done)
      return Fail(done.error());
  }
  const auto database = Database::Create(options);
  if (!database) return Fail(database.error());
  if (Status done = MeasureChanged(options, **database, floor, report); !done)
    return Fail(done.error());
  return {};
}

}  // namespace director::bench
