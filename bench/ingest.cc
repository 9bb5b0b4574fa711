#include "director/ingest.h"

#include <fmt/core.h>
#include <sqlite3.h>

#include <map>

#include "bench/bench.h"
#include "director/config.h"
#include "director/webhook_routes.h"
#include "mdm/command.h"
#include "mdm/plist.h"
#include "store/sqlite_store.h"

namespace director::bench {
namespace {

constexpr std::size_t kConnections = 16;
constexpr std::size_t kBodiesMax = 60'000;

PlistDict Identity(std::size_t device) {
  PlistDict message;
  message.Set("UDID", UdidOf(device));
  return message;
}

std::string AcknowledgedBody(std::size_t device, const std::string& command_uuid) {
  PlistDict message = Identity(device);
  message.Set("CommandUUID", command_uuid);
  message.Set("Status", "Acknowledged");
  return WebhookBody("mdm.Connect", UdidOf(device), EncodePlistXml(PlistValue(message)));
}

std::string IdleBody(std::size_t device) {
  PlistDict message = Identity(device);
  message.Set("Status", "Idle");
  return WebhookBody("mdm.Connect", UdidOf(device), EncodePlistXml(PlistValue(message)));
}

std::string ProfileListBody(std::size_t device, std::size_t revision) {
  PlistArray profiles;
  for (std::size_t i = 0; i < kProfiles; ++i) {
    PlistDict profile;
    profile.Set("PayloadIdentifier", fmt::format("com.example.profile{}", i));
    profile.Set("PayloadUUID",
                fmt::format("BBBBBBBB-0000-4000-8000-{:012X}", i == 0 ? revision : i));
    profile.Set("PayloadDisplayName", fmt::format("Profile {}", i));
    profiles.emplace_back(profile);
  }
  PlistDict message = Identity(device);
  message.Set("CommandUUID", fmt::format("list-{}", revision));
  message.Set("Status", "Acknowledged");
  message.Set("ProfileList", profiles);
  return WebhookBody("mdm.Connect", UdidOf(device), EncodePlistXml(PlistValue(message)));
}

Status Seed(Store& store, std::size_t devices, std::size_t commands) {
  const Timestamp now = SystemClock().Now();
  return store.Write([&](StoreWriter& writer) -> Status {
    std::vector<Enrollment> enrollments;
    for (std::size_t i = 0; i < devices; ++i) {
      Enrollment& enrollment = enrollments.emplace_back();
      enrollment.channel.enrollment_id = EnrollmentId(UdidOf(i));
      enrollment.channel.device_id = enrollment.channel.enrollment_id;
      enrollment.channel.udid = UdidOf(i);
      enrollment.upstream = UpstreamName("nanomdm");
      enrollment.status = EnrollmentStatus::kEnrolled;
      enrollment.first_seen_at = enrollment.last_seen_at = now;
    }
    if (Status saved = writer.SaveEnrollments(enrollments); !saved) return saved;
    std::vector<std::pair<EnrollmentId, Intent>> intents;
    for (std::size_t i = 0; i < commands; ++i) {
      Intent intent;
      intent.command_uuid = CommandUuid(fmt::format("command-{}", i));
      intent.request_type = std::string(request_type::kInstallProfile);
      intent.payload_identifier = PayloadIdentifier(fmt::format("com.example.profile{}", i));
      intent.payload_uuid = PayloadUuid("BBBBBBBB-0000-4000-8000-000000000000");
      intent.epoch = 1;
      intent.state = IntentState::kSent;
      intent.journaled_at = now;
      intents.emplace_back(EnrollmentId(UdidOf(i % devices)), intent);
    }
    return writer.SaveIntents(intents);
  });
}

/// The floor for everything that has to be on disk: one row, one commit, synchronous=FULL.
Result<double> CommitsPerSecond(const std::string& path, double seconds) {
  sqlite3* db = nullptr;
  const bool opened =
      sqlite3_open(path.c_str(), &db) == SQLITE_OK &&
      sqlite3_exec(db,
                   "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (v INTEGER)",
                   nullptr, nullptr, nullptr) == SQLITE_OK;
  double rate = 0;
  if (opened) {
    rate = Rate(1, seconds, [&](std::size_t) {
      return sqlite3_exec(db, "INSERT INTO t VALUES (1)", nullptr, nullptr, nullptr) == SQLITE_OK;
    });
  }
  sqlite3_close(db);
  if (!opened) return Fail(ErrorKind::kUnavailable, "the floor's database cannot be opened");
  return rate;
}

Result<double> PlainHttpRate(const std::vector<std::string>& bodies, double seconds) {
  HttpRoute route{"POST", "/webhook", 1 << 20, [](const HttpServerRequest&) {
                    return HttpServerResponse{200, "", "", {}};
                  }};
  const auto server = StartHttpServer({}, {route});
  if (!server) return Fail(server.error());
  return PostRate((*server)->port(), "/webhook", bodies, kConnections, seconds);
}

Line MakeLine(std::string name, double figure, double floor, std::string floor_name,
              double target) {
  return {std::move(name),       figure,         "events/s", floor,
          std::move(floor_name), figure / floor, target,     false};
}

}  // namespace

Result<std::vector<Line>> IngestBench(const Options& options) {
  const Scratch scratch;
  auto store = OpenSqliteStore(scratch.path("ingest.db"));
  if (!store) return Fail(store.error());
  const std::size_t devices = std::min<std::size_t>(options.devices, 5'000);
  if (Status seeded = Seed(**store, devices, kBodiesMax); !seeded) return Fail(seeded.error());

  std::map<std::string, std::vector<std::string>> bodies;
  for (std::size_t i = 0; i < kBodiesMax; ++i) {
    const std::size_t device = i % devices;
    bodies["Acknowledged"].push_back(AcknowledgedBody(device, fmt::format("command-{}", i)));
    bodies["ProfileList unchanged"].push_back(ProfileListBody(device, 1'000));
    bodies["ProfileList changed"].push_back(ProfileListBody(device, 2'000 + i));
    bodies["Idle"].push_back(IdleBody(device));
  }
  const Result<double> commits = CommitsPerSecond(scratch.path("floor.db"), options.seconds);
  if (!commits) return Fail(commits.error());
  const Result<double> plain = PlainHttpRate(bodies["Idle"], options.seconds);
  if (!plain) return Fail(plain.error());

  Config config;
  config.upstreams.emplace_back().name = UpstreamName("nanomdm");
  config.upstreams.front().webhook.unauthenticated = true;
  const SystemClock clock;
  Ingest ingest(**store, [] {});
  WebhookCounts counts;
  const auto server = StartHttpServer({}, WebhookRoutes(config, ingest, clock, counts));
  if (!server) return Fail(server.error());
  std::vector<Line> lines;
  const auto measure = [&](const std::string& name, double floor, const std::string& floor_name,
                           double target) -> Status {
    const Result<double> rate =
        PostRate((*server)->port(), "/webhook", bodies[name], kConnections, options.seconds);
    if (!rate) return Fail(rate.error());
    lines.push_back(MakeLine("ingest " + name, *rate, floor, floor_name, target));
    return {};
  };
  const std::string commit_floor = "one-row commits/s";
  for (const Status& done : {measure("Acknowledged", *commits, commit_floor, 1.0),
                             measure("ProfileList unchanged", *commits, commit_floor, 0.5),
                             measure("ProfileList changed", *commits, commit_floor, 0.3),
                             measure("Idle", *plain, "plain HTTP 200s/s", 0.3)}) {
    if (!done) return Fail(done.error());
  }
  return lines;
}

}  // namespace director::bench
