#include "director/ingest.h"

#include <fmt/core.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/http_load.h"
#include "bench/served.h"
#include "director/config.h"
#include "director/webhook_routes.h"
#include "mdm/command.h"

namespace director::bench {
namespace {

using Bodies = std::vector<std::string>;

constexpr std::size_t kIngestDevices = 5'000;
constexpr std::size_t kAcknowledgedMax = 240'000;  ///< more than a run can take
constexpr std::size_t kListsMax = 120'000;
constexpr std::size_t kPollsMax = 150'000;
constexpr std::size_t kInformationMax = 40'000;
constexpr std::size_t kConnections = 32;
constexpr double kP99MaxMs = 50;
/// Events a second of MDMDirector.
constexpr double kMdmDirectorAcknowledged = 290;
constexpr double kMdmDirectorDeviceInformation = 160;

/// What each figure has to reach.
struct Targets {
  double acknowledged = 0;
  double unchanged = 0;
};

/// The floors differ: pgbench's clients share their commits, SQLite's one connection does not.
Targets TargetsOf(const Database& database) {
  return database.is_postgres() ? Targets{1.5, 1.0} : Targets{1.0, 0.5};
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

Line RateLine(const std::string& name, std::string floor_name, double target) {
  Line line;
  line.name = "ingest " + name;
  line.unit = "events/s";
  line.floor_name = std::move(floor_name);
  line.target = target;
  return line;
}

Line BesideMdmDirector(const std::string& name, double rate, double of_mdmdirector) {
  Line line = RateLine(name, "MDMDirector", kTimesMdmDirector);
  line.figure = rate;
  line.floor = of_mdmdirector;
  line.ratio = rate / of_mdmdirector;
  return line;
}

/// Posts what has not been posted yet; no event comes a second time.
class Poster {
 public:
  Poster(Receiver& receiver, Bodies bodies) : receiver_(receiver), bodies_(std::move(bodies)) {}

  Result<LoadResult> Post(const LoadShape& shape) {
    Result<LoadResult> load = receiver_.Post(bodies_, shape);
    if (!load) return load;
    if (load->answers == 0) return Fail(ErrorKind::kCorrupt, "there is nothing left to post");
    bodies_.erase(bodies_.begin(), bodies_.begin() + static_cast<std::ptrdiff_t>(load->answers));
    return load;
  }
  Result<double> Rate(const LoadShape& shape) {
    const Result<LoadResult> load = Post(shape);
    if (!load) return Fail(load.error());
    return load->rate;
  }

 private:
  Receiver& receiver_;
  Bodies bodies_;
};

/// Answers to journaled commands, as fast as they go and then at half that rate.
Status MeasureAcknowledged(Receiver& receiver, Database& database, const LoadShape& shape,
                           const Report& report) {
  Bodies bodies;
  for (std::size_t i = 0; i < kAcknowledgedMax; ++i) {
    bodies.push_back(AcknowledgedBody(i % kIngestDevices, fmt::format("install-{}", i)));
  }
  Poster poster(receiver, std::move(bodies));
  const Result<Line> full = MeasureByTurns(
      RateLine("Acknowledged", database.commits_name(), TargetsOf(database).acknowledged),
      [&] { return database.CommitsPerSecond(shape.seconds); }, [&] { return poster.Rate(shape); });
  if (!full) return Fail(full.error());
  report(*full);
  report(BesideMdmDirector("Acknowledged", full->figure, kMdmDirectorAcknowledged));
  LoadShape half = shape;
  half.rate = full->figure / 2;
  const Result<LoadResult> calm = poster.Post(half);
  if (!calm) return Fail(calm.error());
  report({fmt::format("ingest Acknowledged, p99 at {:.0f} events/s", calm->rate), calm->p99_ms,
          "ms", kP99MaxMs, "limit", calm->p99_ms / kP99MaxMs, 1.0, true});
  return {};
}

Status MeasureUnchanged(Receiver& receiver, Database& database, const LoadShape& shape,
                        const Report& report) {
  Bodies bodies;
  for (std::size_t i = 0; i < kListsMax; ++i) {
    bodies.push_back(
        ProfileListBody(i % kIngestDevices, fmt::format("list-{}", i), PayloadUuidOf(0)));
  }
  Poster poster(receiver, std::move(bodies));
  const Result<Line> line = MeasureByTurns(
      RateLine("ProfileList, 20 profiles, unchanged", database.commits_name(),
               TargetsOf(database).unchanged),
      [&] { return database.CommitsPerSecond(shape.seconds); }, [&] { return poster.Rate(shape); });
  if (!line) return Fail(line.error());
  report(*line);
  return {};
}

/// Each answer has something new.
Status MeasureDeviceInformation(Receiver& receiver, const LoadShape& shape, const Report& report) {
  Bodies bodies;
  for (std::size_t i = 0; i < kInformationMax; ++i) {
    bodies.push_back(DeviceInformationBody(i % kIngestDevices, fmt::format("information-{}", i),
                                           i / kIngestDevices));
  }
  const Result<LoadResult> load = receiver.Post(bodies, shape);
  if (!load) return Fail(load.error());
  report(BesideMdmDirector("DeviceInformation", load->rate, kMdmDirectorDeviceInformation));
  return {};
}

Status MeasureIdle(Receiver& receiver, const LoadShape& shape, const Report& report) {
  Bodies polls;
  for (std::size_t i = 0; i < kPollsMax; ++i) polls.push_back(IdleBody(i % kIngestDevices));
  const Result<Line> line = MeasureByTurns(
      RateLine("Idle", "plain HTTP 200s/s", 0.5), [&] { return PlainHttpRate(polls, shape); },
      [&]() -> Result<double> {
        const Result<LoadResult> load = receiver.Post(polls, shape);
        if (!load) return Fail(load.error());
        return load->rate;
      });
  if (!line) return Fail(line.error());
  report(*line);
  return {};
}

Status MeasureReceiver(const Options& options, const Report& report) {
  const auto created = Database::Create(options);
  if (!created) return Fail(created.error());
  Database& database = **created;
  const Timestamp now = SystemClock().Now();
  const auto store = database.Open();
  if (!store) return Fail(store.error());
  Status done = SeedEnrollments(**store, kIngestDevices, now);
  if (done) done = SeedReports(**store, kIngestDevices, kProfiles, now);
  if (done)
    done = SeedIntents(**store, kIngestDevices, MakeUuids("install", kAcknowledgedMax),
                       request_type::kInstallProfile, now);
  if (done)
    done = SeedIntents(**store, kIngestDevices, MakeUuids("list", kListsMax),
                       request_type::kProfileList, now);
  if (done)
    done = SeedIntents(**store, kIngestDevices, MakeUuids("information", kInformationMax),
                       request_type::kDeviceInformation, now);
  if (done) done = database.Analyze();
  if (!done) return done;
  Receiver receiver(**store);
  if (Status started = receiver.Start(); !started) return started;

  const LoadShape shape{kConnections, options.seconds, 0};
  done = MeasureAcknowledged(receiver, database, shape, report);
  if (done) done = MeasureUnchanged(receiver, database, shape, report);
  if (done) done = MeasureDeviceInformation(receiver, shape, report);
  if (done) done = MeasureIdle(receiver, shape, report);
  return done;
}

}  // namespace

Status IngestBench(const Options& options, const Report& report) {
  return MeasureReceiver(options, report);
}

}  // namespace director::bench
