#include <fmt/core.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/loop.h"
#include "bench/served.h"
#include "director/app.h"
#include "upstream/http_client.h"

namespace director::bench {
namespace {

constexpr std::size_t kPassDevices = 100'000;
constexpr std::size_t kPassItems = 60;
constexpr double kPeakMaxMiB = 200;
constexpr double kStartMaxSeconds = 1;

Status MakeAllDue(Store& store, std::size_t devices, Timestamp now) {
  std::map<EnrollmentId, Timestamp> due_at;
  for (std::size_t i = 0; i < devices; ++i) due_at.emplace(UdidOf(i), now);
  return store.Write([&](StoreWriter& writer) { return writer.MarkDue(due_at); });
}

/// From the start of a process that has its database until it calls itself ready.
Result<double> SecondsToStart(const Database& database, const Clock& clock) {
  const auto mdm = StartMdm(clock);
  if (!mdm) return Fail(mdm.error());
  Config config = MakeConfig((*mdm)->url());
  config.database = database.url();
  const Stopwatch watch;
  const auto app = App::Start(config, clock);
  if (!app) return Fail(app.error());
  HttpEndpoint endpoint;
  endpoint.url = (*app)->url();
  const auto client = MakeHttpClient(endpoint);
  if (!client) return Fail(client.error());
  const Result<HttpResponse> ready = (*client)->Send({"GET", "/readyz", {}, {}, {}});
  if (!ready) return Fail(ready.error());
  if (ready->status != 200) return Fail(ErrorKind::kCorrupt, ready->body);
  return watch.seconds();
}

}  // namespace

Status PassBench(const Options& options, const Report& report) {
  const SystemClock clock;
  const std::size_t devices = options.devices == 0 ? kPassDevices : options.devices;
  const auto database = Database::Create(options);
  if (!database) return Fail(database.error());
  {
    const auto store = (*database)->Open();
    if (!store) return Fail(store.error());
    Status done = SeedSettledFleet(**store, devices, kPassItems, clock);
    if (done) done = (*database)->Analyze();
    if (!done) return Fail(done.error());
    const Result<double> floor =
        (*database)->ReadTables({"enrollments", "schedule", "reports", "report_bodies", "items"});
    if (!floor) return Fail(floor.error());
    if (Status due = MakeAllDue(**store, devices, clock.Now()); !due) return Fail(due.error());
    Loop loop(**store, clock);
    const Stopwatch watch;
    const Result<std::size_t> decided = loop.Run();
    const double seconds = watch.seconds();
    if (!decided) return Fail(decided.error());
    if (*decided != devices || loop.commands() != 0)
      return Fail(ErrorKind::kCorrupt, "there was something to do");
    report({fmt::format("full pass, {} devices x {} items", devices, kPassItems), seconds, "s",
            *floor, "reading the rows", seconds / *floor, 3, true});
  }
  const double peak = PeakMiB();
  report({fmt::format("peak memory, {} devices", devices), peak, "MiB", kPeakMaxMiB, "limit",
          peak / kPeakMaxMiB, 1, true});
  const Result<double> start = SecondsToStart(**database, clock);
  if (!start) return Fail(start.error());
  report({fmt::format("start until ready, {} devices", devices), *start, "s", kStartMaxSeconds,
          "limit", *start / kStartMaxSeconds, 1, true});
  return {};
}

}  // namespace director::bench
