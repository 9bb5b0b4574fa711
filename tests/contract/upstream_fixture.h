#pragma once

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "mdm/command.h"
#include "simulator/core_wire.h"
#include "simulator/mdm_server.h"
#include "simulator/micromdm_core.h"
#include "simulator/transport.h"
#include "tests/support/catch.h"
#include "upstream/make_upstream.h"
#include "upstream/micromdm.h"

// The MDM servers that the Upstream port is tested with: the stand-ins always, and real ones when
// DIRECTOR_NANOMDM_URL or DIRECTOR_MICROMDM_URL name one (with _KEY: its API key, and _AUTHORITY: a
// PEM file with certificate and key of the CA that it trusts for devices). `./dev e2e` sets them.
namespace director::upstream_test {

inline constexpr auto kPatience = std::chrono::seconds(15);
inline constexpr const char* kWrongKey = "not the key";

inline std::string Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// An MDM server under test, the client for it, and how its devices reach it.
struct Subject {
  std::string name;
  UpstreamKind kind = UpstreamKind::kNanoMdm;
  std::string url;
  std::string key;
  std::string authority_file;  ///< empty: devices sign nothing
  /// What becomes of a command for an id that never enrolled.
  EnqueueOutcome unknown_id = EnqueueOutcome::kQueued;
  std::shared_ptr<MdmServer> stand_in;
  std::shared_ptr<MicroMdmCore> core;  ///< not null: there is no URL, requests go straight into it
};

/// The wire into a stand-in, which asks nobody for credentials, with a door.
class DoorWire final : public HttpClient {
 public:
  enum class Door { kOpen, kShut };

  DoorWire(std::shared_ptr<MdmStandIn> core, const Clock& clock, Door door)
      : core_(std::move(core)), http_(MakeCoreWire(*core_, clock)), door_(door) {}

  Result<HttpResponse> Send(const HttpRequest& request) override {
    if (door_ == Door::kOpen) return http_->Send(request);
    return HttpResponse{401, "application/json; charset=utf-8", R"({"error": "Unauthorized"})"};
  }

 private:
  const std::shared_ptr<MdmStandIn> core_;
  const std::unique_ptr<HttpClient> http_;
  const Door door_;
};

inline const Clock& SystemTime() {
  static const SystemClock clock;
  return clock;
}

inline Subject StandIn(const std::string& name, CoreStore store, EnqueueOutcome unknown_id,
                       CorePush push = CorePush::kNoCertificate) {
  MdmServerSettings settings;
  settings.api_key = Secret("contract");
  settings.faults.store = store;
  settings.faults.push = push;
  Result<std::unique_ptr<MdmServer>> server = MdmServer::Start(settings, SystemTime());
  REQUIRE(server);
  Subject subject;
  subject.name = name;
  subject.url = (*server)->url();
  subject.key = "contract";
  subject.unknown_id = unknown_id;
  subject.stand_in = std::move(*server);
  return subject;
}

inline Subject MicroStandIn(const std::string& name, MicroQueue queue,
                            CorePush push = CorePush::kNoCertificate) {
  MicroMdmFaults faults;
  faults.queue = queue;
  faults.push = push;
  faults.store_delay = std::chrono::milliseconds(5);
  Subject subject;
  subject.name = name;
  subject.kind = UpstreamKind::kMicroMdm;
  subject.key = "contract";
  subject.core = std::make_shared<MicroMdmCore>(faults, CoreSinks(), 1);
  return subject;
}

inline void AddReal(const std::string& prefix, UpstreamKind kind, std::vector<Subject>& subjects) {
  Subject subject;
  subject.name = "real " + std::string(UpstreamKindName(kind));
  subject.kind = kind;
  subject.url = Environment(prefix + "_URL");
  subject.key = Environment(prefix + "_KEY");
  subject.authority_file = Environment(prefix + "_AUTHORITY");
  if (!subject.url.empty()) subjects.push_back(std::move(subject));
}

inline const std::vector<Subject>& Subjects() {
  static const std::vector<Subject> subjects = [] {
    std::vector<Subject> all;
    all.push_back(StandIn("stand-in", CoreStore::kKeyValue, EnqueueOutcome::kQueued));
    all.push_back(StandIn("stand-in with SQL", CoreStore::kSql, EnqueueOutcome::kUnavailable));
    all.push_back(MicroStandIn("stand-in for MicroMDM", MicroQueue::kBuiltin));
    all.push_back(MicroStandIn("stand-in for MicroMDM, inmem", MicroQueue::kInMemory));
    AddReal("DIRECTOR_NANOMDM", UpstreamKind::kNanoMdm, all);
    AddReal("DIRECTOR_MICROMDM", UpstreamKind::kMicroMdm, all);
    return all;
  }();
  return subjects;
}

inline std::unique_ptr<Upstream> ClientFor(const Subject& subject, const std::string& key) {
  if (subject.core) {
    const auto door = key == subject.key ? DoorWire::Door::kOpen : DoorWire::Door::kShut;
    return MakeMicroMdm({UpstreamName("contract"), kPatience, kPatience},
                        std::make_unique<DoorWire>(subject.core, SystemTime(), door));
  }
  UpstreamSettings settings;
  settings.name = UpstreamName("contract");
  settings.kind = subject.kind;
  settings.endpoint.url = subject.url;
  settings.endpoint.password = Secret(key);
  Result<std::unique_ptr<Upstream>> upstream = MakeUpstream(settings);
  REQUIRE(upstream);
  return std::move(*upstream);
}

/// A plain client of the server's API, for what the port does not show.
inline std::unique_ptr<HttpClient> HttpFor(const Subject& subject) {
  if (subject.core) return MakeCoreWire(*subject.core, SystemTime());
  HttpEndpoint endpoint;
  endpoint.url = subject.url;
  endpoint.user = std::string(UpstreamKindName(subject.kind));
  endpoint.password = Secret(subject.key);
  Result<std::unique_ptr<HttpClient>> client = MakeHttpClient(endpoint);
  REQUIRE(client);
  return std::move(*client);
}

inline std::unique_ptr<Upstream> ClientFor(const Subject& subject) {
  return ClientFor(subject, subject.key);
}

inline std::unique_ptr<DeviceTransport> DevicesOf(const Subject& subject) {
  if (subject.core) return MakeCoreTransport(*subject.core, SystemTime());
  HttpTransportSettings settings;
  settings.endpoint.url = subject.url;
  settings.now = SystemTime().Now();
  if (subject.kind == UpstreamKind::kMicroMdm) settings.protocol = DeviceProtocol::kMicroMdm;
  if (!subject.authority_file.empty()) {
    const std::string pem = ReadFile(subject.authority_file);
    settings.authority = PemIdentity{pem, pem};
  }
  Result<std::unique_ptr<DeviceTransport>> transport = MakeHttpTransport(settings);
  REQUIRE(transport);
  return std::move(*transport);
}

inline CommandUuid FreshUuid() {
  SystemRandom random;
  return CommandUuid(MakeUuid(random));
}

/// Real servers remember every device, so each test makes new ones.
inline VirtualDevice FreshDevice() {
  SystemRandom random;
  return VirtualDevice(MakeDeviceFacts(DeviceKind::kMac, random.Next(), 0), {}, random.Next());
}

inline EnqueueRequest AskForProfiles(std::vector<EnrollmentId> targets) {
  EnqueueRequest request;
  request.command_uuid = FreshUuid();
  request.request_type = request_type::kProfileList;
  request.command = EncodeCommand(ProfileListCommand(), request.command_uuid);
  request.targets = std::move(targets);
  return request;
}

/// Runs whole sessions and remembers which commands the device was given.
class DeviceRun {
 public:
  explicit DeviceRun(const Subject& subject)
      : transport_(DevicesOf(subject)), device_(FreshDevice()) {}

  EnrollmentId id() const { return device_.enrollment_id(); }

  /// Authenticate, TokenUpdate and what follows.
  void Enroll() {
    RunSession();
    REQUIRE(device_.state() == EnrollmentState::kEnrolled);
  }

  /// True when the device was given the command within the patience. MicroMDM queues a moment after
  /// it has answered, so one session may come too early.
  bool Receives(const CommandUuid& command_uuid) {
    const auto give_up_at = std::chrono::steady_clock::now() + kPatience;
    while (received_.count(command_uuid) == 0) {
      if (std::chrono::steady_clock::now() > give_up_at) return false;
      RunSession();
    }
    return true;
  }

  std::size_t received_count() const { return received_.size(); }

  void RunSession() {
    std::optional<DeviceMessage> message = device_.BeginSession(SystemTime().Now());
    while (message) {
      const DeviceReply reply = transport_->Send(device_.facts(), *message);
      REQUIRE(reply.status == 200);
      if (const Result<ReceivedCommand> command = DecodeCommand(reply.body)) {
        received_.insert(command->command_uuid);
      }
      message = device_.HandleReply(reply, SystemTime().Now());
    }
  }

 private:
  const std::unique_ptr<DeviceTransport> transport_;
  VirtualDevice device_;
  std::set<CommandUuid> received_;
};

/// MicroMDM stores a command some milliseconds after its answer, and a device that changes its
/// queue meanwhile makes the `builtin` store forget it. Waits until the queue view shows the
/// command.
inline void AwaitStored(const Subject& subject, const EnqueueRequest& request) {
  if (subject.kind != UpstreamKind::kMicroMdm) return;
  const auto http = HttpFor(subject);
  for (const EnrollmentId& id : request.targets) {
    HttpRequest look;
    look.method = "GET";
    look.path = "/v1/commands/" + EncodePathSegment(id.value());
    const auto give_up_at = std::chrono::steady_clock::now() + kPatience;
    bool is_stored = false;
    while (!is_stored && std::chrono::steady_clock::now() < give_up_at) {
      const Result<HttpResponse> view = http->Send(look);
      REQUIRE(view);
      is_stored = view->body.find(request.command_uuid.value()) != std::string::npos;
    }
    REQUIRE(is_stored);
  }
}

inline std::vector<EnqueueOutcome> Outcomes(const std::vector<EnqueueTargetResult>& results) {
  std::vector<EnqueueOutcome> outcomes;
  for (const EnqueueTargetResult& result : results) outcomes.push_back(result.outcome);
  return outcomes;
}

inline bool IsQueued(Upstream& upstream, const EnqueueRequest& request) {
  return Outcomes(upstream.Enqueue(request)) == std::vector{EnqueueOutcome::kQueued};
}

/// A device that has just enrolled, and the client of its server.
struct EnrolledDevice {
  explicit EnrolledDevice(const Subject& server)
      : subject(server), device(server), upstream(ClientFor(server)) {
    device.Enroll();
  }
  EnqueueRequest Ask() {
    const EnqueueRequest request = AskForProfiles({device.id()});
    CHECK(IsQueued(*upstream, request));
    AwaitStored(subject, request);
    return request;
  }

  const Subject& subject;
  DeviceRun device;
  const std::unique_ptr<Upstream> upstream;
};

}  // namespace director::upstream_test
