// What the Upstream port promises, against the stand-ins always and against real servers when
// DIRECTOR_NANOMDM_URL or DIRECTOR_MICROMDM_URL name one (with _KEY: its API key, and _AUTHORITY: a
// PEM file with certificate and key of the CA that it trusts for devices). `./dev e2e` sets them.
#include <algorithm>
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

namespace director::upstream_contract_test {
namespace {

constexpr auto kPatience = std::chrono::seconds(15);
constexpr const char* kWrongKey = "not the key";

std::string Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

std::string ReadFile(const std::string& path) {
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

const Clock& SystemTime() {
  static const SystemClock clock;
  return clock;
}

Subject StandIn(const std::string& name, CoreStore store, EnqueueOutcome unknown_id,
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

Subject MicroStandIn(const std::string& name, MicroQueue queue,
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

void AddReal(const std::string& prefix, UpstreamKind kind, std::vector<Subject>& subjects) {
  Subject subject;
  subject.name = "real " + std::string(UpstreamKindName(kind));
  subject.kind = kind;
  subject.url = Environment(prefix + "_URL");
  subject.key = Environment(prefix + "_KEY");
  subject.authority_file = Environment(prefix + "_AUTHORITY");
  if (!subject.url.empty()) subjects.push_back(std::move(subject));
}

const std::vector<Subject>& Subjects() {
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

std::unique_ptr<Upstream> ClientFor(const Subject& subject, const std::string& key) {
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
std::unique_ptr<HttpClient> HttpFor(const Subject& subject) {
  if (subject.core) return MakeCoreWire(*subject.core, SystemTime());
  HttpEndpoint endpoint;
  endpoint.url = subject.url;
  endpoint.user = std::string(UpstreamKindName(subject.kind));
  endpoint.password = Secret(subject.key);
  Result<std::unique_ptr<HttpClient>> client = MakeHttpClient(endpoint);
  REQUIRE(client);
  return std::move(*client);
}

std::unique_ptr<Upstream> ClientFor(const Subject& subject) {
  return ClientFor(subject, subject.key);
}

std::unique_ptr<DeviceTransport> DevicesOf(const Subject& subject) {
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

CommandUuid FreshUuid() {
  SystemRandom random;
  return CommandUuid(MakeUuid(random));
}

/// Real servers remember every device, so each test makes new ones.
VirtualDevice FreshDevice() {
  SystemRandom random;
  return VirtualDevice(MakeDeviceFacts(DeviceKind::kMac, random.Next(), 0), {}, random.Next());
}

EnqueueRequest AskForProfiles(std::vector<EnrollmentId> targets) {
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
void AwaitStored(const Subject& subject, const EnqueueRequest& request) {
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

std::vector<EnqueueOutcome> Outcomes(const std::vector<EnqueueTargetResult>& results) {
  std::vector<EnqueueOutcome> outcomes;
  for (const EnqueueTargetResult& result : results) outcomes.push_back(result.outcome);
  return outcomes;
}

bool IsQueued(Upstream& upstream, const EnqueueRequest& request) {
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

TEST_CASE("a server says its version, and nobody is no server") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      const Result<std::string> version = ClientFor(subject)->Probe();
      REQUIRE(version);
      CHECK_FALSE(version->empty());
      Subject gone = subject;
      gone.core = nullptr;
      gone.url = "http://127.0.0.1:1";
      const Result<std::string> nothing = ClientFor(gone)->Probe();
      REQUIRE_FALSE(nothing);
      CHECK(nothing.error().kind == ErrorKind::kUnavailable);
    }
  }
}

TEST_CASE("one enqueued command reaches its device once and nobody else") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      DeviceRun device(subject);
      DeviceRun other(subject);
      device.Enroll();
      other.Enroll();
      const EnqueueRequest request = AskForProfiles({device.id()});
      const auto results = ClientFor(subject)->Enqueue(request);
      REQUIRE(results.size() == 1);
      CHECK(results[0].enrollment_id == device.id());
      CHECK(results[0].outcome == EnqueueOutcome::kQueued);
      CHECK(results[0].detail.empty());
      REQUIRE(device.Receives(request.command_uuid));
      device.RunSession();
      CHECK(device.received_count() == 1);
      other.RunSession();
      CHECK(other.received_count() == 0);
    }
  }
}

TEST_CASE("several ids in one request all get the command, in as many as the server takes") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      const auto upstream = ClientFor(subject);
      const std::size_t count = std::min<std::size_t>(upstream->limits().targets_max, 3);
      std::vector<std::unique_ptr<DeviceRun>> devices;
      std::vector<EnrollmentId> ids;
      for (std::size_t i = 0; i < count; ++i) {
        devices.push_back(std::make_unique<DeviceRun>(subject));
        devices.back()->Enroll();
        ids.push_back(devices.back()->id());
      }
      const EnqueueRequest request = AskForProfiles(ids);
      const auto results = upstream->Enqueue(request);
      REQUIRE(results.size() == count);
      AwaitStored(subject, request);
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(results[i].enrollment_id == ids[i]);
        CHECK(results[i].outcome == EnqueueOutcome::kQueued);
        CHECK(devices[i]->Receives(request.command_uuid));
      }
    }
  }
}

TEST_CASE("commands for one device that are enqueued one after the other all arrive") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      std::vector<CommandUuid> uuids;
      for (int i = 0; i < 5; ++i) uuids.push_back(enrolled.Ask().command_uuid);
      for (const CommandUuid& uuid : uuids) CHECK(enrolled.device.Receives(uuid));
      CHECK(enrolled.device.received_count() == uuids.size());
    }
  }
}

TEST_CASE("the same CommandUUID again is queued already, not an error") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const EnqueueRequest request = enrolled.Ask();
      CHECK(IsQueued(*enrolled.upstream, request));
      CHECK(enrolled.device.Receives(request.command_uuid));
    }
  }
}

TEST_CASE("a wrong key is refused for good and queues nothing") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      DeviceRun& device = enrolled.device;
      const EnqueueRequest refused = AskForProfiles({device.id()});
      const auto stranger = ClientFor(subject, kWrongKey);
      const auto results = stranger->Enqueue(refused);
      REQUIRE(results.size() == 1);
      CHECK(results[0].outcome == EnqueueOutcome::kRejected);
      CHECK(results[0].detail.find("credentials") != std::string::npos);
      CHECK(results[0].detail.find(kWrongKey) == std::string::npos);
      const auto pushed = stranger->Push({device.id()});
      REQUIRE(pushed.size() == 1);
      CHECK(pushed[0].outcome == PushOutcome::kFailed);
      // The one behind it arrives and the refused one did not come first.
      CHECK(device.Receives(enrolled.Ask().command_uuid));
      CHECK(device.received_count() == 1);
    }
  }
}

std::vector<CommandUuid> UuidsIn(const std::vector<QueuedCommand>& queue) {
  std::vector<CommandUuid> uuids;
  for (const QueuedCommand& queued : queue) uuids.push_back(queued.command_uuid);
  return uuids;
}

/// What waits for the device; nothing when the server has no API for that, as real ones may.
std::optional<std::vector<QueuedCommand>> QueueOf(const EnrolledDevice& enrolled) {
  auto queue = enrolled.upstream->ReadQueue(enrolled.device.id());
  const bool is_absent = !queue && queue.error().kind == ErrorKind::kNotFound;
  if (is_absent && !enrolled.subject.stand_in && !enrolled.subject.core) return std::nullopt;
  INFO((queue ? std::string() : ErrorForLog(queue.error())));
  REQUIRE(queue);
  return std::move(*queue);
}

TEST_CASE("a queue is shown as it is, byte by byte and in order") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const auto empty = QueueOf(enrolled);
      if (!empty) continue;
      CHECK(empty->empty());
      const std::vector<EnqueueRequest> asked = {enrolled.Ask(), enrolled.Ask(), enrolled.Ask()};
      const auto queue = *QueueOf(enrolled);
      REQUIRE(queue.size() == asked.size());
      for (std::size_t i = 0; i < asked.size(); ++i) {
        CHECK(queue[i].command_uuid == asked[i].command_uuid);
        CHECK(queue[i].request_type == request_type::kProfileList);
        CHECK(queue[i].command == asked[i].command);
      }
    }
  }
}

TEST_CASE("a cleared queue gives its device nothing, and takes commands again") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      EnrolledDevice other(subject);
      enrolled.Ask();
      enrolled.Ask();
      const EnqueueRequest kept = other.Ask();
      const Status cleared = enrolled.upstream->ClearQueue(enrolled.device.id());
      const bool is_absent = !cleared && cleared.error().kind == ErrorKind::kNotFound;
      if (is_absent && !subject.stand_in && !subject.core) continue;
      REQUIRE(cleared);
      CHECK(QueueOf(enrolled)->empty());
      CHECK(UuidsIn(*QueueOf(other)) == std::vector{kept.command_uuid});
      enrolled.device.RunSession();
      CHECK(enrolled.device.received_count() == 0);
      REQUIRE(enrolled.upstream->ClearQueue(enrolled.device.id()));
      CHECK(enrolled.device.Receives(enrolled.Ask().command_uuid));
    }
  }
}

TEST_CASE("the queue of an id that never enrolled is empty, and a bad id has none") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      const auto upstream = ClientFor(subject);
      const auto queue = upstream->ReadQueue(FreshDevice().enrollment_id());
      if (queue || queue.error().kind != ErrorKind::kNotFound) {
        REQUIRE(queue);
        CHECK(queue->empty());
        CHECK(upstream->ClearQueue(FreshDevice().enrollment_id()));
      }
      for (const char* const bad : {"", "a/b", "..", "a\nb"}) {
        const auto none = upstream->ReadQueue(EnrollmentId(bad));
        REQUIRE_FALSE(none);
        CHECK(none.error().kind == ErrorKind::kInvalid);
        CHECK(upstream->ClearQueue(EnrollmentId(bad)).error().kind == ErrorKind::kInvalid);
      }
    }
  }
}

TEST_CASE("without the key nobody sees or clears a queue") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const EnqueueRequest waiting = enrolled.Ask();
      const ErrorKind refusal = QueueOf(enrolled) ? ErrorKind::kRejected : ErrorKind::kNotFound;
      const auto stranger = ClientFor(subject, kWrongKey);
      const auto queue = stranger->ReadQueue(enrolled.device.id());
      REQUIRE_FALSE(queue);
      CHECK(queue.error().kind == refusal);
      const Status cleared = stranger->ClearQueue(enrolled.device.id());
      REQUIRE_FALSE(cleared);
      CHECK(cleared.error().kind == refusal);
      CHECK(enrolled.device.Receives(waiting.command_uuid));
    }
  }
}

TEST_CASE("a queue of several pages is read to its end") {
  const Subject subject = StandIn("stand-in", CoreStore::kKeyValue, EnqueueOutcome::kQueued);
  EnrolledDevice enrolled(subject);
  std::vector<CommandUuid> asked;
  for (std::size_t i = 0; i < 2 * kCoreQueuePageMax + 1; ++i) {
    asked.push_back(enrolled.Ask().command_uuid);
  }
  CHECK(UuidsIn(*QueueOf(enrolled)) == asked);
}

TEST_CASE("a server that has no API for queues is told from one that fails") {
  const Subject subject = StandIn("stand-in", CoreStore::kKeyValue, EnqueueOutcome::kQueued);
  CoreFaults older;
  older.queue_api = CoreQueueApi::kAbsent;
  subject.stand_in->SetFaults(older);
  const auto upstream = ClientFor(subject);
  const auto queue = upstream->ReadQueue(EnrollmentId("UDID"));
  REQUIRE_FALSE(queue);
  CHECK(queue.error().kind == ErrorKind::kNotFound);
  CHECK(queue.error().message.find("no API for its queues") != std::string::npos);
  CHECK(upstream->ClearQueue(EnrollmentId("UDID")).error().kind == ErrorKind::kNotFound);
  Subject gone = subject;
  gone.url = "http://127.0.0.1:1";
  CHECK(ClientFor(gone)->ReadQueue(EnrollmentId("UDID")).error().kind == ErrorKind::kUnavailable);
  CHECK(ClientFor(gone)->ClearQueue(EnrollmentId("UDID")).error().kind == ErrorKind::kUnavailable);
}

TEST_CASE("an id that never enrolled") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      const EnrollmentId nobody = FreshDevice().enrollment_id();
      const auto results = ClientFor(subject)->Enqueue(AskForProfiles({nobody}));
      CHECK(Outcomes(results) == std::vector{subject.unknown_id});
    }
  }
}

TEST_CASE("what is no command is refused for good and not quoted") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      EnqueueRequest request = AskForProfiles({enrolled.device.id()});
      for (const char* const bad : {"<?xml version=\"1.0\"?><plist><dict><key>Private</key>",
                                    "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>"
                                    "<key>Private</key><string>x</string></dict></plist>"}) {
        request.command = bad;
        const auto results = enrolled.upstream->Enqueue(request);
        REQUIRE(results.size() == 1);
        CHECK(results[0].outcome == EnqueueOutcome::kRejected);
        CHECK_FALSE(results[0].detail.empty());
        CHECK(results[0].detail.find("Private") == std::string::npos);
      }
      enrolled.device.RunSession();
      CHECK(enrolled.device.received_count() == 0);
    }
  }
}

TEST_CASE("a push without a push certificate fails and takes no command with it") {
  for (const Subject& subject : Subjects()) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const EnqueueRequest request = enrolled.Ask();
      const auto pushed = enrolled.upstream->Push({enrolled.device.id()});
      REQUIRE(pushed.size() == 1);
      CHECK(pushed[0].enrollment_id == enrolled.device.id());
      CHECK(pushed[0].outcome == PushOutcome::kFailed);
      CHECK_FALSE(pushed[0].detail.empty());
      CHECK(enrolled.device.Receives(request.command_uuid));
    }
  }
}

TEST_CASE("a dead push token is told from other failures") {
  // Real servers would have to ask Apple.
  const std::vector<Subject> subjects = {
      StandIn("stand-in", CoreStore::kKeyValue, EnqueueOutcome::kQueued, CorePush::kOk),
      MicroStandIn("stand-in for MicroMDM", MicroQueue::kBuiltin, CorePush::kOk)};
  for (const Subject& subject : subjects) {
    DYNAMIC_SECTION(subject.name) {
      EnrolledDevice enrolled(subject);
      const EnrollmentId id = enrolled.device.id();
      const auto push = [&] {
        const auto pushed = enrolled.upstream->Push({id});
        REQUIRE(pushed.size() == 1);
        return pushed[0].outcome;
      };
      CHECK(push() == PushOutcome::kSent);
      if (subject.core) subject.core->MarkUnregistered(id);
      if (subject.stand_in) subject.stand_in->MarkUnregistered(id);
      CHECK(push() == PushOutcome::kUnregistered);
    }
  }
}

}  // namespace
}  // namespace director::upstream_contract_test
