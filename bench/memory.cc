#include <fmt/core.h>

#include <fstream>
#include <string>

#include "bench/bench.h"
#include "director/executor.h"
#include "director/ingest.h"
#include "director/payloads.h"
#include "director/runner.h"
#include "mdm/event.h"
#include "store/sqlite_store.h"
#include "tests/support/willing_upstream.h"

namespace director::bench {
namespace {

constexpr double kLimitMiB = 150;

/// Highest resident memory of this process so far.
double PeakMiB() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

Incoming Enrolled(std::size_t device, Timestamp now) {
  MdmEvent event;
  event.upstream = UpstreamName("nanomdm");
  event.created_at = now;
  event.channel.enrollment_id = event.channel.device_id = EnrollmentId(UdidOf(device));
  event.channel.udid = UdidOf(device);
  event.body = TokenUpdateEvent{};
  return {now, event};
}

Status AssignProfiles(Store& store, Timestamp now) {
  const auto payload_uuids = SeedRevisions(store, now);
  if (!payload_uuids) return Fail(payload_uuids.error());
  return store.Write([&](StoreWriter& writer) -> Status {
    for (const PayloadUuid& payload_uuid : *payload_uuids) {
      const Result<Revision> revision = writer.LoadRevision(payload_uuid);
      if (!revision) return Fail(revision.error());
      Assignment assignment;
      assignment.payload_identifier = revision->payload_identifier;
      assignment.payload_uuid = payload_uuid;
      assignment.source = "bench";
      assignment.assigned_at = now;
      if (const auto saved = writer.SaveAssignment(assignment, now); !saved)
        return Fail(saved.error());
    }
    return {};
  });
}

}  // namespace

/// A fleet enrolls, everything is decided and journaled for every device; the peak of the whole
/// process.
Result<std::vector<Line>> MemoryBench(const Options& options) {
  const Scratch scratch;
  const SystemClock clock;
  auto store = OpenSqliteStore(scratch.path("memory.db"));
  if (!store) return Fail(store.error());
  if (Status assigned = AssignProfiles(**store, clock.Now()); !assigned)
    return Fail(assigned.error());
  for (std::size_t first = 0; first < options.devices; first += Ingest::kBatchMax) {
    std::vector<Incoming> batch;
    for (std::size_t i = first; i < std::min(first + Ingest::kBatchMax, options.devices); ++i) {
      batch.push_back(Enrolled(i, clock.Now()));
    }
    if (Status recorded = RecordIncoming(**store, batch); !recorded) return Fail(recorded.error());
  }
  Upstreams upstreams;
  upstreams.Add(std::make_unique<test::WillingUpstream>());
  Payloads payloads(**store, nullptr);
  SystemRandom random;
  Executor executor(**store, upstreams, payloads, clock, random);
  Runner runner(**store, upstreams, executor, clock, Settings());
  std::size_t decided = 0;
  while (decided < options.devices) {
    const Result<std::size_t> claimed = runner.Step();
    if (!claimed) return Fail(claimed.error());
    if (*claimed == 0) return Fail(ErrorKind::kCorrupt, "not every device became due");
    decided += *claimed;
  }
  const double peak = PeakMiB();
  return std::vector<Line>{{fmt::format("peak memory with {} devices", options.devices), peak,
                            "MiB", kLimitMiB, "limit", peak / kLimitMiB, 1.0, true}};
}

}  // namespace director::bench
