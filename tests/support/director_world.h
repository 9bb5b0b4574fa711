#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "director/executor.h"
#include "director/ingest.h"
#include "director/payloads.h"
#include "director/profile_upload.h"
#include "director/revisions.h"
#include "director/runner.h"
#include "director/upstreams.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "simulator/core_wire.h"
#include "simulator/device.h"
#include "simulator/mdm_core.h"
#include "simulator/stand_in_support.h"
#include "store/store.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "upstream/http_client.h"
#include "upstream/nanomdm.h"

namespace director::director_test {

inline const UpstreamName kServer("nanomdm");

/// The wire between a real client and a stand-in: it can be cut, and remembers what went over it.
class CoreWire final : public HttpClient {
 public:
  enum class Fault {
    kNone,
    kDown,         ///< connection refused
    kLoseAnswers,  ///< enqueue requests arrive, their answers do not
    kRefuse        ///< enqueue requests are answered 400
  };

  CoreWire(MdmStandIn& core, const Clock& clock) : http_(MakeCoreWire(core, clock)) {}

  Result<HttpResponse> Send(const HttpRequest& request) override {
    if (fault == Fault::kDown) return Fail(ErrorKind::kUnavailable, "connection refused");
    const bool is_enqueue = Remember(request);
    if (is_enqueue && fault == Fault::kRefuse) return HttpResponse{400, "bad command", {}};
    Result<HttpResponse> response = http_->Send(request);
    const bool is_lost = is_enqueue && fault == Fault::kLoseAnswers;
    if (is_lost) return Fail(ErrorKind::kUnknownOutcome, "connection closed");
    return response;
  }

  Fault fault = Fault::kNone;
  std::vector<EnqueueCall> enqueued;
  std::vector<std::string> pushed;

 private:
  /// True for a command that is on its way, to NanoMDM or to MicroMDM.
  bool Remember(const HttpRequest& request) {
    const std::optional<ApiTarget> target = ParseApiTarget(request.path);
    REQUIRE(target);
    const std::string ids = target->path.substr(target->path.rfind('/') + 1);
    if (target->path.starts_with("/v1/push/")) pushed.push_back(ids);
    const bool is_enqueue =
        target->path.starts_with("/v1/enqueue/") || target->path.starts_with("/v1/commands/");
    if (!is_enqueue || request.method == "GET") return false;
    const auto nopush = target->query.find("nopush");
    enqueued.push_back({ids, nopush == target->query.end() ? "" : nopush->second, request.body});
    return true;
  }

  const std::unique_ptr<HttpClient> http_;
};

/// Director's loop with the real store, NanoMDM client and decision, a stand-in server and virtual
/// Macs, on one thread and in virtual time: nothing happens unless a test says so.
class World {
 public:
  explicit World(std::size_t macs = 1, std::unique_ptr<Store> opened = OpenStore(),
                 const UpstreamRates& rates = {}, double certificates_per_minute = 0,
                 double renewals_per_hour = 0)
      : store(std::move(opened)), upstreams(certificates_per_minute, renewals_per_hour) {
    auto client = std::make_unique<CoreWire>(core, clock);
    wire = client.get();
    NanoMdmSettings server;
    server.name = kServer;
    server.api_path = "/v1";
    upstreams.Add(MakeNanoMdm(server, std::move(client)), rates);
    for (std::size_t i = 0; i < macs; ++i) AddMac(i);
    Restart();
  }

  void AddMac(std::size_t index, DeviceBehaviour behaviour = {}) {
    devices.emplace_back(MakeDeviceFacts(DeviceKind::kMac, 7, index), std::move(behaviour), index);
  }
  EnrollmentId id(std::size_t index) const { return devices.at(index).enrollment_id(); }

  /// A crash and a new start: what was in memory is gone, the store and the MDM server stay.
  void Restart() {
    runner.reset();
    payloads = std::make_unique<Payloads>(*store, nullptr);
    executor = std::make_unique<Executor>(*store, upstreams, *payloads, secrets, clock, random,
                                          renewals.get());
    runner = std::make_unique<Runner>(*store, upstreams, *executor, clock, random, settings);
    WriteTo(*store, [&](StoreWriter& writer) { return writer.RecoverJournaled(clock.Now()); });
  }

  /// Uploads a revision and assigns it to all.
  PayloadUuid Assign(const std::string& identifier, const std::string& organization = "Example",
                     const std::string& certificate_authority = "",
                     AssignmentChannel channel = AssignmentChannel::kDevice) {
    const Result<Profile> profile =
        ParseUploadedProfile(MakeMobileconfig(identifier, organization));
    REQUIRE(profile);
    Revision revision;
    revision.payload_uuid = profile->payload_uuid;
    revision.payload_identifier = profile->payload_identifier;
    revision.certificate_authority = certificate_authority;
    revision.source = "test";
    revision.created_at = clock.Now();
    revision.content = profile->mobileconfig;
    revision.size_bytes = static_cast<std::int64_t>(revision.content.size());
    SaveAndAssign(revision, channel);
    return revision.payload_uuid;
  }

  /// Stores an app or accounts and assigns them to all.
  void AssignDefinition(const ItemDefinition& definition) {
    SaveAndAssign(ToRevision(definition, "test", clock.Now()), AssignmentChannel::kDevice);
  }

  /// One session of a device: it polls, answers everything that it gets, and goes quiet.
  void Session(std::size_t index) {
    VirtualDevice& device = devices.at(index);
    std::optional<DeviceMessage> message = device.BeginSession(clock.Now());
    if (message) ++sessions;
    while (message) {
      clock.Advance(std::chrono::milliseconds(50));
      DeviceRequest request;
      request.content_type = std::string(
          message->kind == MessageKind::kCheckin ? kCheckinContentType : kConnectContentType);
      request.body = message->body;
      const CoreAnswer answer = core.HandleDevice(request, clock.Now());
      if (decides_meanwhile) Settle();
      message = device.HandleReply({answer.status, answer.body}, clock.Now());
    }
  }

  /// Each Mac has one session: with the first one it enrolls.
  void SessionOfEach() {
    for (std::size_t i = 0; i < devices.size(); ++i) Session(i);
  }

  /// Runs the loop until nothing is due now.
  void Settle() {
    for (int steps = 0;; ++steps) {
      REQUIRE(steps < 10'000);  // a loop that feeds itself
      const Result<std::size_t> claimed = runner->Step();
      INFO((claimed ? std::string() : ErrorForLog(claimed.error())));
      REQUIRE(claimed);
      if (*claimed == 0) return;
    }
  }

  /// Lets virtual time pass: pushed devices wake, due enrollments are decided.
  void Run(Duration duration) {
    const Timestamp end = clock.Now() + duration;
    while (clock.Now() <= end) {
      Settle();
      if (WakePushed()) continue;
      const auto next = ReadFrom(*store, [](StoreReader& reader) { return reader.NextDueAt(); });
      if (!next || *next > end) break;
      clock.Set(std::max(*next, clock.Now() + Duration(1)));
    }
    clock.Set(std::max(clock.Now(), end));
  }

  bool WakePushed() {
    const std::set<EnrollmentId> pushed = std::exchange(pushed_, {});
    for (std::size_t i = 0; i < devices.size(); ++i) {
      if (pushed.contains(id(i))) Session(i);
    }
    return !pushed.empty();
  }

  ItemRecord Item(std::size_t index, const std::string& identifier) {
    for (const ItemRecord& item : SnapshotOf(*store, id(index)).items) {
      if (item.payload_identifier.value() == identifier) return item;
    }
    FAIL("no item " << identifier << " on device " << index);
    return {};
  }
  bool IsVerified(std::size_t index, const std::string& identifier) {
    const ItemRecord item = Item(index, identifier);
    if (item.state == ItemState::kVerified) return true;
    UNSCOPED_INFO("device " << index << ": " << ItemStateName(item.state) << ": " << item.reason);
    return false;
  }
  bool HasProfile(std::size_t index, const std::string& identifier) const {
    return devices.at(index).FindProfile(PayloadIdentifier(identifier)) != nullptr;
  }

  /// The commands of a type that reached the server, in order.
  std::vector<EnqueueCall> Enqueued(std::string_view request_type) const {
    std::vector<EnqueueCall> found;
    for (const EnqueueCall& call : wire->enqueued) {
      const Result<ReceivedCommand> command = DecodeCommand(call.body);
      if (command && command->request_type == request_type) found.push_back(call);
    }
    return found;
  }

  /// To how many devices it went in all.
  std::size_t CountEnqueued(std::string_view request_type) const {
    std::size_t count = 0;
    for (const EnqueueCall& call : Enqueued(request_type)) {
      count += 1 + static_cast<std::size_t>(std::count(call.ids.begin(), call.ids.end(), ','));
    }
    return count;
  }

  ManualClock clock{At(0)};
  SeededRandom random{1};
  Settings settings;
  std::unique_ptr<Store> store;
  bool drop_webhooks = false;
  std::vector<std::string> webhooks;  ///< that arrived, in order
  int sessions = 0;                   ///< of all devices
  /// Director decides after each message of a session, not only after its end.
  bool decides_meanwhile = false;
  MdmCore core{CoreFaults(),
               CoreSinks{[this](const std::string& body) { Receive(body); },
                         [this](const EnrollmentId& pushed) { pushed_.insert(pushed); }},
               1};
  CoreWire* wire = nullptr;
  Upstreams upstreams;
  Secrets secrets{TestDataKey(), nullptr};
  std::unique_ptr<Renewals> renewals;  ///< `Restart` after it is set
  std::unique_ptr<Payloads> payloads;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Runner> runner;
  std::vector<VirtualDevice> devices;

 private:
  void SaveAndAssign(const Revision& revision, AssignmentChannel channel) {
    Assignment assignment;
    assignment.channel = channel;
    assignment.payload_identifier = revision.payload_identifier;
    assignment.payload_uuid = revision.payload_uuid;
    assignment.source = "test";
    assignment.assigned_at = clock.Now();
    WriteTo(*store, [&](StoreWriter& writer) -> Status {
      if (Result<bool> saved = writer.SaveRevision(revision); !saved) return Fail(saved.error());
      const auto id = writer.SaveAssignment(assignment, clock.Now());
      if (!id) return Fail(id.error());
      return {};
    });
  }

  void Receive(const std::string& body) {
    if (drop_webhooks) return;
    webhooks.push_back(body);
    REQUIRE(RecordIncoming(*store,
                           {DecodeIncoming(body, kServer, clock.Now(), settings.renewal.issuers)}));
  }

  std::set<EnrollmentId> pushed_;
};

}  // namespace director::director_test
