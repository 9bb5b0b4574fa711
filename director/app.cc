#include "director/app.h"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/log_keys.h"
#include "base/random.h"
#include "director/api.h"
#include "director/departures.h"
#include "director/executor.h"
#include "director/http_server.h"
#include "director/ingest.h"
#include "director/logged_store.h"
#include "director/mdmdirector_api.h"
#include "director/metrics.h"
#include "director/open_store.h"
#include "director/payloads.h"
#include "director/renewals.h"
#include "director/runner.h"
#include "director/upstreams.h"
#include "director/version.h"
#include "director/webhook_routes.h"
#include "store/postgres_store.h"

namespace director {
namespace {

constexpr Duration kPruneInterval = std::chrono::minutes(10);
constexpr Duration kKeepClosedIntents = std::chrono::hours(24 * 7);
constexpr std::size_t kPruneRowsMax = 10'000;
/// For webhooks, the API and the metrics; each worker has one more.
constexpr std::size_t kConnectionsForRequests = 6;

/// A SQLite file has one process: whoever held leases in it is dead. On PostgreSQL other directors
/// may be at work, and the leases of a dead one run out.
Result<std::unique_ptr<Store>> OpenStore(const Config& config, const Clock& clock) {
  Result<std::unique_ptr<Store>> store = OpenConfiguredStore(
      config, static_cast<std::size_t>(config.workers) + kConnectionsForRequests);
  if (!store || IsPostgresUrl(config.database)) return store;
  const Status recovered =
      (*store)->Write([&](StoreWriter& writer) { return writer.RecoverJournaled(clock.Now()); });
  if (recovered) return store;
  Error error = recovered.error();
  error.message = fmt::format("{}: {}", config.database, error.message);
  return Fail(std::move(error));
}

/// Deletes what is past its retention and asks when push certificates expire, now and then, on a
/// thread of its own.
class Housekeeper {
 public:
  Housekeeper(Store& store, Upstreams& upstreams, const Clock& clock)
      : store_(store), upstreams_(upstreams), clock_(clock), thread_([this] { Run(); }) {}
  ~Housekeeper() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Housekeeper(const Housekeeper&) = delete;
  Housekeeper& operator=(const Housekeeper&) = delete;

 private:
  void Run() {
    AskForPushCertificates();
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kPruneInterval, [&] { return stopping_; })) {
      lock.unlock();
      const Status done = store_.Write([&](StoreWriter& writer) {
        return writer.Prune(clock_.Now(), kKeepClosedIntents, kPruneRowsMax);
      });
      if (!done)
        Log(LogLevel::kError, "housekeeping failed",
            {{log_key::kError, ErrorForLog(done.error())}});
      AskForPushCertificates();
      lock.lock();
    }
  }

  /// What a server does not tell now is not known any more.
  void AskForPushCertificates() {
    for (const auto& [name, member] : upstreams_.all()) {
      const Result<Timestamp> end = ReadPushCertificateEnd(name, *member->upstream);
      member->push_certificate.Set(end ? std::optional(*end) : std::nullopt);
    }
  }

  /// Of the topic of one of its devices: a server has one as a rule.
  Result<Timestamp> ReadPushCertificateEnd(const UpstreamName& name, Upstream& upstream) {
    std::string topic;
    const Status read = store_.Read([&](StoreReader& reader) -> Status {
      Result<std::string> found = reader.FindTopic(name);
      if (!found) return Fail(found.error());
      topic = std::move(*found);
      return {};
    });
    if (!read) return Fail(read.error());
    if (topic.empty()) return Fail(ErrorKind::kNotFound, "no device has told its topic");
    return upstream.ReadPushCertificateEnd(topic);
  }

  Store& store_;
  Upstreams& upstreams_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

Status AddUpstreams(const Config& config, Upstreams& upstreams) {
  for (const UpstreamConfig& server : config.upstreams) {
    if (const Result<Secret> key = server.api_key.Get(); !key) return Fail(key.error());
    UpstreamSettings settings;
    settings.name = server.name;
    settings.kind = server.kind;
    settings.endpoint.url = server.url;
    settings.endpoint.renewable_password = [key = server.api_key] { return key.Get(); };
    settings.endpoint.ca_file = server.ca_file;
    Result<std::unique_ptr<Upstream>> upstream = MakeUpstream(settings);
    if (!upstream) {
      return Fail(ErrorKind::kInvalid,
                  fmt::format("mdm_url of {}: {}", server.name.value(), upstream.error().message));
    }
    upstreams.Add(std::move(*upstream), server.rates);
  }
  return {};
}

}  // namespace

/// In the order of construction; destroyed the other way round, so that each outlives its users.
struct App::Parts {
  Parts(const Config& c, const Clock& k)
      : config(c), clock(k), upstreams(c.certificates_per_minute, c.renewals_per_hour_max) {}

  const Config config;
  const Clock& clock;
  SystemRandom random;
  std::unique_ptr<Store> store;
  std::unique_ptr<SigningIdentity> signing;
  Upstreams upstreams;
  std::unique_ptr<Payloads> payloads;
  Secrets secrets;
  std::unique_ptr<Renewals> renewals;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Runner> runner;
  std::unique_ptr<Ingest> ingest;
  std::unique_ptr<Housekeeper> housekeeper;
  WebhookCounts webhook_counts;
  std::unique_ptr<Api> api;
  std::unique_ptr<Departures> departures;
  std::unique_ptr<mdmdirector::Api> mdmdirector_api;
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<HttpServer> http;

  Status Open(std::unique_ptr<Store> opened);
  Status Serve();
  std::vector<HttpRoute> ServiceRoutes();
  HttpServerResponse Ready();
};

Status App::Parts::Open(std::unique_ptr<Store> opened) {
  if (config.signs()) {
    auto identity = SigningIdentity::Load(config, clock);
    if (!identity) return Fail(identity.error());
    signing = std::move(*identity);
  }
  if (Status added = AddUpstreams(config, upstreams); !added) return added;
  Result<Secrets> made = MakeSecrets(config);
  if (!made) return Fail(made.error());
  secrets = std::move(*made);
  store = std::make_unique<LoggedStore>(std::move(opened), clock);
  auto source = MakeRenewals(config, *store, signing.get(), clock);
  if (!source) return Fail(source.error());
  renewals = std::move(*source);
  return {};
}

Status App::Parts::Serve() {
  payloads = std::make_unique<Payloads>(*store, signing.get());
  executor = std::make_unique<Executor>(*store, upstreams, *payloads, secrets, clock, random,
                                        renewals.get());
  runner = std::make_unique<Runner>(*store, upstreams, *executor, clock, random, config.settings);
  ingest = std::make_unique<Ingest>(
      *store, [this] { runner->Notify(); },
      RecordOptions{.clear_device_on_enroll = config.clear_device_on_enroll,
                    .settle_times = upstreams.settle_times()});
  housekeeper = std::make_unique<Housekeeper>(*store, upstreams, clock);
  api =
      std::make_unique<Api>(Api::Dependencies{*store, upstreams, *executor, secrets, clock, config,
                                              [this] { runner->Notify(); }, signing.get()});
  metrics = std::make_unique<Metrics>(MetricsSources{*store, upstreams, *executor, *payloads,
                                                     *ingest, webhook_counts, signing.get(),
                                                     config.database_password});
  std::vector<HttpRoute> routes = WebhookRoutes(config, *ingest, clock, webhook_counts);
  const auto add = [&](std::vector<HttpRoute> more) {
    routes.insert(routes.end(), std::make_move_iterator(more.begin()),
                  std::make_move_iterator(more.end()));
  };
  add(api->Routes());
  add(ServiceRoutes());
  if (config.mdmdirector_password.is_set()) {
    if (config.strict_compat) {
      // Who waits holds a thread: most of them stay free for webhooks.
      const auto waiting_max = static_cast<std::size_t>(std::max(1, config.http_threads / 4));
      departures = std::make_unique<Departures>(*store, upstreams,
                                                Departures::Limits{.waiting_max = waiting_max});
    }
    mdmdirector_api = std::make_unique<mdmdirector::Api>(mdmdirector::Api::Dependencies{
        *store, upstreams, secrets, clock, config.mdmdirector_password, config.proposals,
        [this] { runner->Notify(); }, departures.get(),
        config.profile_download ? payloads.get() : nullptr});
    add(mdmdirector_api->Routes());
  }
  HttpServerSettings settings;
  settings.host = config.listen_host;
  settings.port = config.listen_port;
  settings.threads = config.http_threads;
  settings.tls_certificate_file = config.tls_certificate_file;
  settings.tls_key_file = config.tls_key_file;
  auto server = StartHttpServer(settings, std::move(routes));
  if (!server) return Fail(server.error());
  http = std::move(*server);
  runner->Start(config.workers);
  return {};
}

std::vector<HttpRoute> App::Parts::ServiceRoutes() {
  const auto healthz = [](const HttpServerRequest&) -> HttpServerResponse {
    return {200, "text/plain", "ok\n", {}};
  };
  const auto readyz = [this](const HttpServerRequest&) { return Ready(); };
  const auto page = [this](const HttpServerRequest&) -> HttpServerResponse {
    Result<std::string> text = metrics->Render(clock.Now());
    if (!text) return ProblemResponse(text.error());
    return {200, "text/plain; version=0.0.4", std::move(*text), {}};
  };
  return {
      {"GET", "/healthz", 0, healthz}, {"GET", "/readyz", 0, readyz}, {"GET", "/metrics", 0, page}};
}

/// Ready when the database answers and takes a write, every MDM server answers and the signing
/// certificate is in date.
HttpServerResponse App::Parts::Ready() {
  std::vector<Error> problems;
  const Status read = store->Read([](StoreReader& reader) -> Status {
    const auto any = reader.LoadEnrollments({EnrollmentId("readyz")});
    if (!any) return Fail(any.error());
    return {};
  });
  const Status written =
      !read ? read : store->Write([](StoreWriter& writer) { return writer.CheckWritable(); });
  if (!written) problems.push_back(InvalidField("database", written.error().message));
  for (const auto& [name, member] : upstreams.all()) {
    const Result<std::string> version = member->upstream->Probe();
    if (!version)
      problems.push_back(InvalidField("upstream " + name.value(), version.error().message));
  }
  if (signing != nullptr && signing->Current()->CertificateNotAfter() <= clock.Now()) {
    problems.push_back(InvalidField("signing", "the signing certificate has expired"));
  }
  if (problems.empty()) return {200, "text/plain", "ready\n", {}};
  return ProblemResponse(503, "not ready", problems);
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<App>> App::Start(const Config& config, const Clock& clock) {
  Result<std::unique_ptr<Store>> store = OpenStore(config, clock);
  if (!store) return Fail(store.error());
  return Start(config, clock, std::move(*store));
}

Result<std::unique_ptr<App>> App::Start(const Config& config, const Clock& clock,
                                        std::unique_ptr<Store> store) {
  auto parts = std::make_unique<Parts>(config, clock);
  if (Status opened = parts->Open(std::move(store)); !opened) return Fail(opened.error());
  if (Status serving = parts->Serve(); !serving) return Fail(serving.error());
  std::unique_ptr<App> app(new App(std::move(parts)));
  Log(LogLevel::kInfo, "director started",
      {{log_key::kVersion, kVersion}, {log_key::kAddress, app->url()}});
  if (!config.signs())
    Log(LogLevel::kWarning, "no signing identity is configured: profiles go unsigned");
  if (config.profile_download) {
    Log(LogLevel::kWarning,
        "profile_download: whoever can connect can download the profiles of any device");
  }
  for (const UpstreamConfig& server : config.upstreams) {
    if (server.webhook.unauthenticated) {
      Log(LogLevel::kWarning, "webhooks of this MDM server are not authenticated",
          {{log_key::kUpstream, server.name.value()}});
    }
  }
  return app;
}

App::~App() {
  parts_->http->Stop();
  parts_->ingest.reset();
  parts_->runner->Stop();
  Log(LogLevel::kInfo, "director stopped");
}

int App::port() const { return parts_->http->port(); }

std::string App::url() const {
  return fmt::format("{}://{}:{}", parts_->config.tls_certificate_file.empty() ? "http" : "https",
                     parts_->config.listen_host, port());
}

Store& App::store() { return *parts_->store; }

std::uint64_t App::signatures() const { return parts_->payloads->signatures(); }

const ExecutorCounters& App::executor_counters() const { return parts_->executor->counters(); }

}  // namespace director
