#include "tests/simulation/director_process.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/log.h"
#include "director/ingest.h"
#include "director/renewals.h"
#include "simulator/core_wire.h"
#include "simulator/device_profile.h"
#include "tests/support/reply_identity.h"
#include "upstream/micromdm.h"
#include "upstream/nanomdm.h"

namespace director::simulation {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kToken[] = "SECRET-api-token";
constexpr char kDataKey[] = "U0VDUkVULWRhdGEta2V5LVNFQ1JFVC1kYXRhLWtleSE=";

Config ProcessConfig(const Scenario& scenario) {
  Config config;
  config.proposals.per_hour_max = scenario.proposals_per_hour_max;
  config.api_token = SecretSource::FromValue(Secret(kToken));
  return config;
}

/// The time that a webhook's body names.
Timestamp SaidAt(const std::string& body, Timestamp fallback) {
  constexpr std::string_view kKey = R"("created_at":)";
  const std::size_t key = body.find(kKey);
  if (key == std::string::npos) return fallback;
  const std::size_t begin = body.find('"', key + kKey.size()) + 1;  // MicroMDM writes spaces
  const Result<Timestamp> time =
      ParseTime(std::string_view(body).substr(begin, body.find('"', begin) - begin));
  return time ? *time : fallback;
}

tl::unexpected<Error> Dead() { return Fail(ErrorKind::kUnavailable, "the process is dead"); }

}  // namespace

/// The database as this process sees it. Transactions fail, and the process dies around them.
class DirectorProcess::ProcessStore final : public Store {
 public:
  explicit ProcessStore(DirectorProcess& process) : process_(process) {}

  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    process_.Breathe(Duration(process_.random_.Below(20)));
    if (!process_.is_alive_) return Dead();
    const Faults& faults = process_.scenario_.faults;
    if (process_.Happens(faults.store_unavailable)) {
      return Fail(ErrorKind::kUnavailable, "the database is locked");
    }
    if (process_.Happens(faults.store_rolled_back)) return RollBack(body);
    if (process_.Happens(faults.death_before_commit)) {
      static_cast<void>(RollBack(body));
      process_.Die("before a commit");
      return Dead();
    }
    const Status done = process_.database_.Write(body);
    if (done) ++process_.commits_;
    if (process_.Happens(faults.death_after_commit)) {
      process_.Die("after a commit");
      return Dead();
    }
    return done;
  }

  Status Read(const std::function<Status(StoreReader&)>& body) override {
    if (!process_.is_alive_) return Dead();
    return process_.database_.Read(body);
  }

  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override {
    if (!process_.is_alive_) return Dead();
    return process_.database_.ReadOnce(body);
  }

 private:
  Status RollBack(const std::function<Status(StoreWriter&)>& body) {
    return process_.database_.Write([&](StoreWriter& writer) -> Status {
      if (Status done = body(writer); !done) return done;
      return Fail(ErrorKind::kUnavailable, "the disk failed at the commit");
    });
  }

  DirectorProcess& process_;
};

/// The network between Director and the MDM server's API.
class DirectorProcess::Wire final : public HttpClient {
 public:
  explicit Wire(DirectorProcess& process)
      : process_(process), server_(MakeCoreWire(process.server_, process.kernel_)) {}

  Result<HttpResponse> Send(const HttpRequest& request) override {
    if (!process_.is_alive_) return Dead();
    const Faults& faults = process_.scenario_.faults;
    if (process_.server_is_down_ || process_.Happens(faults.request_refused)) {
      return Fail(ErrorKind::kUnavailable, "connection refused");
    }
    if (process_.Happens(faults.request_timeout_before)) return TimeOut(request.timeout);
    if (process_.Happens(faults.request_html)) return HttpResponse{502, "text/html", "<html>"};
    process_.Breathe(Duration(1 + process_.random_.Below(300)));
    if (process_.Happens(faults.death_around_request)) process_.Die("before a request");
    if (!process_.is_alive_) return Dead();
    auto response = server_->Send(request);
    process_.Breathe(Duration(1 + process_.random_.Below(100)));
    if (process_.Happens(faults.death_around_request)) process_.Die("after a request");
    if (!process_.is_alive_) return Dead();
    if (process_.Happens(faults.request_timeout_after)) return TimeOut(request.timeout);
    if (process_.Happens(faults.request_error_after)) {
      return HttpResponse{500, "text/html", "<html>"};
    }
    return response;
  }

 private:
  Result<HttpResponse> TimeOut(Duration timeout) {
    process_.Breathe(timeout);
    if (!process_.is_alive_) return Dead();
    return Fail(ErrorKind::kUnknownOutcome, "timed out");
  }

  DirectorProcess& process_;
  std::unique_ptr<HttpClient> server_;
};

/// Where secrets are kept: slow, and fails before or after it has taken one.
class DirectorProcess::EscrowServer final : public Escrow {
 public:
  explicit EscrowServer(DirectorProcess& process) : process_(process) {}

  Status Deposit(const std::string& serial_number, SecretType, const Secret& secret) override {
    if (!process_.is_alive_) return Dead();
    process_.Breathe(Duration(1 + process_.random_.Below(5000)));
    if (process_.Happens(process_.scenario_.faults.escrow_fails / 2)) {
      return Fail(ErrorKind::kUnavailable, "it answered 500");
    }
    process_.watcher_.WatchEscrow(serial_number, secret.Reveal());
    if (process_.Happens(process_.scenario_.faults.escrow_fails / 2)) {
      return Fail(ErrorKind::kUnavailable, "timed out");
    }
    return {};
  }

 private:
  DirectorProcess& process_;
};

/// The webhook that makes enrollment profiles: it does not answer, or hands out one of another MDM
/// server.
class DirectorProcess::EnrollmentProfiles final : public EnrollmentProfileSource {
 public:
  explicit EnrollmentProfiles(DirectorProcess& process) : process_(process) {}

  Result<std::string> FetchEnrollmentProfile(std::string_view) override {
    if (!process_.is_alive_) return Dead();
    process_.Breathe(Duration(1 + process_.random_.Below(5000)));
    const Faults& faults = process_.scenario_.faults;
    if (process_.Happens(faults.no_enrollment_profile)) {
      return Fail(ErrorKind::kUnavailable, "timed out");
    }
    ManagementKeys management = SimulatorManagement();
    if (process_.Happens(faults.wrong_enrollment_profile)) management.topic += ".other";
    return MakeEnrollmentMobileconfig(management);
  }

 private:
  DirectorProcess& process_;
};

/// The real client, watched.
class DirectorProcess::WatchedUpstream final : public Upstream {
 public:
  WatchedUpstream(DirectorProcess& process, std::unique_ptr<Upstream> inner)
      : process_(process), inner_(std::move(inner)) {}

  const UpstreamName& name() const override { return inner_->name(); }
  UpstreamLimits limits() const override { return inner_->limits(); }
  std::vector<EnqueueTargetResult> Enqueue(const EnqueueRequest& request) override {
    if (process_.is_alive_) process_.watcher_.WatchEnqueue(request, process_.step_began_at_);
    auto results = inner_->Enqueue(request);
    process_.watcher_.WatchEnqueued(request, results);
    return results;
  }
  std::vector<PushTargetResult> Push(const std::vector<EnrollmentId>& targets) override {
    for (const EnrollmentId& id : targets) {
      if (process_.is_alive_) process_.watcher_.WatchPush(id);
    }
    return inner_->Push(targets);
  }
  Result<std::vector<QueuedCommand>> ReadQueue(const EnrollmentId& id) override {
    return inner_->ReadQueue(id);
  }
  Status ClearQueue(const EnrollmentId& id) override { return inner_->ClearQueue(id); }
  Result<std::string> Probe() override { return inner_->Probe(); }

 private:
  DirectorProcess& process_;
  std::unique_ptr<Upstream> inner_;
};

/// What is in memory only.
struct DirectorProcess::Parts {
  explicit Parts(DirectorProcess& process)
      : random(process.random_.Next()),
        upstreams(process.scenario_.certificates_per_minute, process.scenario_.renewals_per_hour),
        payloads(*process.store_, nullptr),
        renewals(*process.store_, std::make_unique<EnrollmentProfiles>(process),
                 EnrollmentProfilesFrom::kWebhook, nullptr, process.clock_),
        executor(*process.store_, upstreams, payloads, process.secrets_, process.clock_, random,
                 &renewals),
        runner(*process.store_, upstreams, executor, process.clock_, random,
               process.scenario_.settings),
        api({*process.store_, upstreams, executor, process.secrets_, process.clock_,
             process.config_, [&process] { process.Notify(); }, nullptr}),
        routes(api.Routes()) {
    upstreams.Add(std::make_unique<WatchedUpstream>(process, process.MakeClient()),
                  process.scenario_.rates);
  }

  SeededRandom random;
  Upstreams upstreams;
  Payloads payloads;
  Renewals renewals;
  Executor executor;
  Runner runner;
  Api api;
  std::vector<HttpRoute> routes;
};

DirectorProcess::DirectorProcess(Kernel& kernel, Store& database, MdmStandIn& server,
                                 const Scenario& scenario, ProcessWatcher& watcher)
    : kernel_(kernel),
      database_(database),
      server_(server),
      scenario_(scenario),
      watcher_(watcher),
      random_(scenario.seed ^ StableHash("process")),
      clock_(kernel),
      config_(ProcessConfig(scenario)),
      secrets_(SecretSource::FromValue(Secret(kDataKey)), std::make_unique<EscrowServer>(*this),
               director_test::ReuseReplyIdentity),
      store_(std::make_unique<ProcessStore>(*this)) {}

DirectorProcess::~DirectorProcess() = default;

std::unique_ptr<Upstream> DirectorProcess::MakeClient() {
  auto wire = std::make_unique<Wire>(*this);
  switch (scenario_.server) {
    case ServerKind::kNanoMdmKeyValue:
    case ServerKind::kNanoMdmSql: {
      NanoMdmSettings settings;
      settings.name = kServerName;
      settings.api_path = "/v1";
      settings.enqueue_timeout = settings.push_timeout = seconds(30);
      return MakeNanoMdm(settings, std::move(wire));
    }
    case ServerKind::kMicroMdmBuiltin:
    case ServerKind::kMicroMdmInMemory:
      break;
  }
  MicroMdmSettings settings;
  settings.name = kServerName;
  settings.enqueue_timeout = settings.push_timeout = seconds(30);
  return MakeMicroMdm(settings, std::move(wire));
}

void DirectorProcess::Start() {
  if (is_stepping_) {  // the dead step is still on the stack
    kernel_.After(seconds(1), [this] { Start(); });
    return;
  }
  is_alive_ = true;
  parts_ = std::make_unique<Parts>(*this);
  const Status recovered =
      store_->Write([&](StoreWriter& writer) { return writer.RecoverJournaled(clock_.Now()); });
  kernel_.Trace(recovered ? "director starts" : "director cannot start");
  if (!recovered) {
    if (is_alive_) Die("at the start");
    return;
  }
  PlanStep(kernel_.Now());
}

void DirectorProcess::Calm() {
  is_calm_ = true;
  server_is_down_ = false;
}

void DirectorProcess::Die(const char* where) {
  if (!is_alive_) return;
  kernel_.Trace(fmt::format("director dies {}", where));
  is_alive_ = false;
  ++deaths_;
  kernel_.After(seconds(1 + random_.Below(300)), [this] { Start(); });
}

void DirectorProcess::JumpClock(Duration by) {
  clock_.skew += by;
  if (by < Duration::zero()) set_back_at_ = kernel_.Now();
  kernel_.Trace(fmt::format("director's clock jumps by {} ms", by.count()));
  Notify();
}

void DirectorProcess::Breathe(Duration duration) {
  if (!is_stepping_ || is_breathing_ || !is_alive_) return;
  is_breathing_ = true;
  kernel_.RunFor(duration);
  is_breathing_ = false;
}

void DirectorProcess::Receive(const std::string& body) {
  if (!is_alive_) {
    kernel_.Trace("webhook: nobody listens");
    return;
  }
  const Incoming incoming =
      DecodeIncoming(body, kServerName, clock_.Now(), scenario_.settings.renewal.issuers);
  const std::uint64_t commits = commits_;
  const Status answered = RecordIncoming(*store_, {incoming});
  // A process that dies after the commit has recorded it, although nobody was told.
  const bool recorded = answered || commits_ > commits;
  const auto* event = std::get_if<MdmEvent>(&incoming.content);
  kernel_.Trace(fmt::format("webhook {} of {}: {}", event ? EventName(event->body) : "unreadable",
                            event ? event->channel.enrollment_id.value() : "nobody",
                            answered ? "recorded" : answered.error().message));
  if (recorded && event != nullptr) watcher_.WatchRecorded(*event, SaidAt(body, kernel_.Now()));
  if (answered) Notify();
}

HttpServerResponse DirectorProcess::CallApi(const std::string& method, const std::string& pattern,
                                            std::map<std::string, std::string> path_values,
                                            std::string body) {
  if (!is_alive_) return {0, {}, {}, {}};
  HttpServerRequest request;
  request.method = method;
  request.path = pattern;
  request.path_values = std::move(path_values);
  request.headers["authorization"] = std::string("Bearer ") + kToken;
  const bool is_json = body.starts_with('{');
  request.headers["content-type"] =
      is_json ? "application/json" : "application/x-apple-aspen-config";
  request.body = std::move(body);
  const auto route =
      std::find_if(parts_->routes.begin(), parts_->routes.end(), [&](const HttpRoute& candidate) {
        return candidate.method == method && candidate.pattern == pattern;
      });
  if (route == parts_->routes.end()) return {404, {}, pattern, {}};
  return route->handler(request);
}

Status DirectorProcess::WriteForOwner(const std::function<Status(StoreWriter&)>& body) {
  if (!is_alive_) return Dead();
  const Status done = store_->Write(body);
  if (done) Notify();
  return done;
}

void DirectorProcess::Notify() { PlanStep(kernel_.Now() + Duration(1 + random_.Below(50))); }

void DirectorProcess::PlanStep(Timestamp at) {
  if (at >= step_planned_at_) return;
  step_planned_at_ = at;
  kernel_.At(at, [this, plan = ++step_plan_] {
    if (plan != step_plan_) return;  // another plan came first
    step_planned_at_ = Timestamp::max();
    Step();
  });
}

void DirectorProcess::Step() {
  if (!is_alive_) return;
  if (is_stepping_) {  // the one worker is busy
    PlanStep(kernel_.Now() + milliseconds(20));
    return;
  }
  is_stepping_ = true;
  step_began_at_ = kernel_.Now();
  StepOnce();
  is_stepping_ = false;
}

void DirectorProcess::StepOnce() {
  const Result<std::size_t> claimed = parts_->runner.Step();
  if (!is_alive_) return;
  if (!claimed) {
    kernel_.Trace("step failed: " + claimed.error().message);
    PlanStep(kernel_.Now() + seconds(1));
    return;
  }
  if (*claimed > 0) kernel_.Trace(fmt::format("step: {} decided", *claimed));
  std::optional<Timestamp> next;
  const Status read = database_.Read([&](StoreReader& reader) -> Status {
    auto found = reader.NextDueAt();
    if (!found) return Fail(found.error());
    next = *found;
    return {};
  });
  if (!read) {
    kernel_.Trace("next due time: " + read.error().message);
    PlanStep(kernel_.Now() + seconds(1));
    return;
  }
  // The runner looks once a second at least; looking only when there is something to see is the
  // same, and jumps of the clock notify.
  if (next) PlanStep(std::max(kernel_.Now() + milliseconds(5), *next - clock_.skew));
}

}  // namespace director::simulation
