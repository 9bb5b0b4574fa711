#include "director/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "director/version.h"

namespace director {
namespace {

constexpr Duration kCountsMaxAge = std::chrono::seconds(10);

/// One rendering: a registry that is filled, serialised and thrown away, so that a series that is
/// gone disappears.
class Page {
 public:
  void Gauge(const std::string& name, const std::string& help, double value,
             const prometheus::Labels& labels = {}) {
    prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels).Set(value);
  }
  void Counter(const std::string& name, const std::string& help, std::uint64_t value,
               const prometheus::Labels& labels = {}) {
    prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels).Increment(
        static_cast<double>(value));
  }
  std::string Render() { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

 private:
  prometheus::Registry registry_{prometheus::Registry::InsertBehavior::Merge};
};

double Seconds(Timestamp at) { return static_cast<double>(ToUnixMs(at)) / 1000.0; }

constexpr char kPacedHelp[] = "Enrollments that wait for their turn, by the limit";

std::int64_t CountOf(const std::vector<ProposalCount>& counts, ProposalKind kind,
                     ProposalState state) {
  for (const ProposalCount& count : counts) {
    if (count.kind == kind && count.state == state) return count.count;
  }
  return 0;
}

void AddFleet(const FleetCounts& counts, Page& page) {
  for (const auto& [status, count] : counts.enrollments) {
    page.Gauge("director_enrollments", "Enrollments by status", static_cast<double>(count),
               {{"status", std::string(EnrollmentStatusName(status))}});
  }
  for (const EnrollmentStep step : kEnrollmentSteps) {
    const auto count = counts.half_enrollments.find(step);
    page.Gauge("director_half_enrollments",
               "Enrollments whose next step has been missing for more than an hour",
               count == counts.half_enrollments.end() ? 0 : static_cast<double>(count->second),
               {{"missing_step", std::string(EnrollmentStepName(step))}});
  }
  std::map<ItemState, std::int64_t> states;
  for (const ItemState state : AllItemStates()) states[state] = 0;
  for (const ItemCount& count : counts.items) states[count.state] += count.count;
  for (const auto& [state, count] : states) {
    page.Gauge("director_items", "Items of all enrollments by state", static_cast<double>(count),
               {{"state", std::string(ItemStateName(state))}});
  }
  for (const IdentityEnd end : kIdentityEnds) {
    const auto count = counts.identities.find(end);
    page.Gauge("director_identities", "Enrolled devices by when their identity ends",
               count == counts.identities.end() ? 0 : static_cast<double>(count->second),
               {{"ends", std::string(IdentityEndName(end))}});
  }
  for (const ProposalKind kind : kProposalKinds) {
    for (const ProposalState state :
         {ProposalState::kWaiting, ProposalState::kSent, ProposalState::kAnswered}) {
      page.Gauge("director_open_proposals", "Commands that people proposed and that are not done",
                 static_cast<double>(CountOf(counts.proposals, kind, state)),
                 {{"request_type", std::string(ProposalKindName(kind))},
                  {"state", std::string(ProposalStateName(state))}});
    }
  }
  page.Gauge("director_due_enrollments", "Enrollments whose due time has come",
             static_cast<double>(counts.due));
  page.Gauge("director_dead_letters", "Webhook bodies that could not be read",
             static_cast<double>(counts.dead_letters));
  page.Gauge("director_oldest_waiting_since_seconds",
             "Unix time since which the oldest item is not verified; 0 when none waits",
             counts.oldest_waiting ? Seconds(counts.oldest_waiting->since) : 0);
}

void AddCounters(const MetricsSources& sources, Page& page) {
  const ExecutorCounters& sent = sources.executor.counters();
  page.Counter("director_commands_total", "Commands by outcome at the MDM server",
               sent.commands_queued.load(), {{"outcome", "queued"}});
  page.Counter("director_commands_total", "Commands by outcome at the MDM server",
               sent.commands_failed.load(), {{"outcome", "not_queued"}});
  page.Counter("director_enqueue_requests_total", "Requests that carried them",
               sent.enqueue_requests.load());
  page.Counter("director_pushes_total", "Pushes by outcome", sent.pushes_sent.load(),
               {{"outcome", "sent"}});
  page.Counter("director_pushes_total", "Pushes by outcome", sent.pushes_failed.load(),
               {{"outcome", "failed"}});
  page.Counter("director_escrows_total", "Secrets taken to the escrow server by outcome",
               sent.secrets_escrowed.load(), {{"outcome", "escrowed"}});
  page.Counter("director_escrows_total", "Secrets taken to the escrow server by outcome",
               sent.escrows_failed.load(), {{"outcome", "failed"}});
  page.Counter("director_renewals_refused_total",
               "Enrollment profiles that would have changed more than the identity",
               sent.renewals_refused.load());
  page.Counter("director_signatures_total", "Profiles signed", sources.payloads.signatures());
  page.Counter("director_webhooks_total", "Webhooks by outcome", sources.webhooks.accepted.load(),
               {{"outcome", "accepted"}});
  page.Counter("director_webhooks_total", "Webhooks by outcome",
               sources.webhooks.unauthorized.load(), {{"outcome", "unauthorized"}});
  page.Counter("director_webhooks_total", "Webhooks by outcome",
               sources.webhooks.unavailable.load(), {{"outcome", "unavailable"}});
  page.Gauge("director_webhook_queue", "Webhooks that wait for their commit",
             static_cast<double>(sources.ingest.QueueDepth()));
}

}  // namespace

Result<FleetCounts> Metrics::Counts(Timestamp now) {
  const std::lock_guard lock(mutex_);
  if (counts_ && now < counted_at_ + kCountsMaxAge) return *counts_;
  const Status done = sources_.store.Read([&](StoreReader& reader) -> Status {
    Result<FleetCounts> counted = reader.CountFleet(now);
    if (!counted) return Fail(counted.error());
    counts_ = std::move(*counted);
    counted_at_ = now;
    return {};
  });
  if (!done) return Fail(done.error());
  return *counts_;
}

Result<std::string> Metrics::Render(Timestamp now) {
  const Result<FleetCounts> counts = Counts(now);
  if (!counts) return Fail(counts.error());
  Page page;
  page.Gauge("director_build_info", "1, labelled with the version", 1, {{"version", kVersion}});
  AddFleet(*counts, page);
  AddCounters(sources_, page);
  for (const auto& [name, member] : sources_.upstreams.all()) {
    page.Gauge("director_mdm_server_reachable", "1 when the MDM server answers",
               member->health.answers() ? 1 : 0, {{"upstream", name.value()}});
    if (const auto expires_at = member->push_certificate.expires_at()) {
      page.Gauge("director_push_certificate_expires_at_seconds",
                 "Unix time at which the MDM server's push certificate expires; missing where the "
                 "server does not tell",
                 Seconds(*expires_at), {{"upstream", name.value()}});
    }
    page.Gauge("director_paced_enrollments", kPacedHelp,
               static_cast<double>(member->pace.Waiting(now)),
               {{"limit", "mdm"}, {"upstream", name.value()}});
  }
  page.Gauge("director_paced_enrollments", kPacedHelp,
             static_cast<double>(sources_.upstreams.WaitingForCertificates(now)),
             {{"limit", "certificates"}, {"upstream", ""}});
  if (const auto changed_at = sources_.database_password.changed_at()) {
    page.Gauge("director_database_password_changed_at_seconds",
               "Unix time at which the file with the password in force was changed",
               Seconds(*changed_at));
  }
  if (sources_.signing != nullptr) {
    page.Gauge("director_signing_certificate_expires_at_seconds",
               "Unix time at which the signing certificate expires",
               Seconds(sources_.signing->Current()->CertificateNotAfter()));
  }
  return page.Render();
}

}  // namespace director
