// The queue of a device at its MDM server, as clients of MDMDirector see and clear it.
#include <fmt/core.h>

#include <chrono>
#include <utility>

#include "base/text.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_support.h"
#include "mdm/command.h"
#include "reconciler/cleared_queue.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

/// What is not done by then is left to the next request.
constexpr Duration kClearTimeMax = std::chrono::minutes(2);

/// The statuses tell the client what to do; 401 and 404 would be about its own request.
HttpServerResponse QueueProblem(const Error& error, const std::string& what) {
  int status = 502;
  if (error.kind == ErrorKind::kNotFound) status = 501;
  const bool may_pass =
      error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kUnknownOutcome;
  if (may_pass) status = 503;
  HttpServerResponse response = Problem(error);
  response.status = status;
  response.body = what + ": " + response.body;
  return response;
}

Error NotConfigured() {
  return MakeError(ErrorKind::kUnavailable, "its MDM server is not configured");
}

/// The command as clients see it: the PIN of a lock or erase is shown by nothing that leaves no
/// trace.
std::string WithoutPin(const std::string& command) {
  const Result<ReceivedCommand> received = DecodeCommand(command);
  if (!received || received->body.Find("PIN") == nullptr) return command;
  PlistDict body = received->body;
  body.Set("PIN", PlistValue(std::string("******")));
  PlistDict message;
  message.Set("CommandUUID", PlistValue(received->command_uuid.value()));
  message.Set("Command", PlistValue(std::move(body)));
  return EncodePlistXml(PlistValue(std::move(message)));
}

using IntentKeys = std::vector<std::pair<EnrollmentId, CommandUuid>>;

/// What is open before the queue is cleared: what is sent afterwards is not concerned.
Result<IntentKeys> OpenIntents(StoreReader& reader, const EnrollmentId& id) {
  const Result<Snapshot> snapshot = reader.LoadSnapshot(id);
  if (!snapshot) return Fail(snapshot.error());
  IntentKeys keys;
  for (const Intent& intent : snapshot->intents) {
    if (IsOpen(intent.state)) keys.emplace_back(id, intent.command_uuid);
  }
  return keys;
}

/// The journal follows the queue. Where commands were open only the device's own report tells what
/// became of them: it is asked for, and the loop goes on from there.
Status RecordClearing(StoreWriter& writer, const EnrollmentId& id, const IntentKeys& open,
                      QueueClearing clearing, Timestamp now) {
  auto enrollments = writer.LoadEnrollments({id});
  if (!enrollments) return Fail(enrollments.error());
  auto intents = writer.LoadIntents(open);
  if (!intents) return Fail(intents.error());
  std::erase_if(*intents, [](const auto& entry) { return !IsOpen(entry.second.state); });
  for (auto& [enrollment_id, intent] : *intents) intent = AfterClearing(intent, clearing, now);
  if (Status saved = writer.SaveIntents(*intents); !saved) return saved;
  if (!intents->empty() && !enrollments->empty()) {
    enrollments->front().report_wanted_at = now;
    if (Status saved = writer.SaveEnrollments(*enrollments); !saved) return saved;
  }
  if (Status due = writer.MarkDue({{id, now}}); !due) return due;
  return writer.AddHappenings(
      {{0, now, id, "operator",
        clearing == QueueClearing::kCleared
            ? "The queue at the MDM server was cleared on request."
            : "The queue at the MDM server was perhaps cleared on request: no answer came."}});
}

/// Clears one queue and records it. The errors of `Upstream::ClearQueue` and of the store.
Status ClearOne(Store& store, Upstreams& upstreams, const Clock& clock, const Enrollment& device) {
  const EnrollmentId& id = device.channel.enrollment_id;
  Upstreams::Member* server = upstreams.Find(device.upstream);
  if (server == nullptr) return Fail(NotConfigured());
  IntentKeys open;
  Status done = store.Read([&](StoreReader& reader) -> Status {
    Result<IntentKeys> found = OpenIntents(reader, id);
    if (!found) return Fail(found.error());
    open = std::move(*found);
    return {};
  });
  if (!done) return done;
  const Status cleared = server->upstream->ClearQueue(id);
  const bool perhaps = !cleared && cleared.error().kind == ErrorKind::kUnknownOutcome;
  if (!cleared && !perhaps) return cleared;
  done = store.Write([&](StoreWriter& writer) -> Status {
    return RecordClearing(writer, id, open,
                          perhaps ? QueueClearing::kPerhaps : QueueClearing::kCleared, clock.Now());
  });
  return done ? cleared : done;
}

}  // namespace

HttpServerResponse Api::ListQueue(const HttpServerRequest& request) {
  std::optional<Enrollment> device;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    auto found = FindByUdid(reader, request.path_values.at("udid"));
    if (!found) return Fail(found.error());
    if (!*found) return Fail(ErrorKind::kNotFound, "no device has this UDID");
    device = std::move(*found);
    return {};
  });
  if (!done) return Problem(done.error());
  Upstreams::Member* server = deps_.upstreams.Find(device->upstream);
  if (server == nullptr) return Problem(NotConfigured());
  const auto queue = server->upstream->ReadQueue(device->channel.enrollment_id);
  if (!queue) return QueueProblem(queue.error(), "its queue cannot be read");
  Json commands = Json::array();
  for (const QueuedCommand& queued : *queue) {
    commands.push_back({{"uuid", queued.command_uuid.value()},
                        {"payload", EncodeBase64(WithoutPin(queued.command))}});
  }
  const Json body = {{"commands", std::move(commands)}};
  return {200, "application/json", body.dump(-1, ' ', false, Json::error_handler_t::replace), {}};
}

HttpServerResponse Api::PostDeviceCommand(const HttpServerRequest& request) {
  const std::string& command = request.path_values.at("command");
  if (command == "clear_queue") return ClearQueues(request);
  if (command == "device_lock") return SetFlag(request, ProposalKind::kDeviceLock);
  if (command == "erase_device") return SetFlag(request, ProposalKind::kEraseDevice);
  return Problem(
      MakeError(ErrorKind::kNotFound,
                fmt::format("{} is none of device_lock, erase_device and clear_queue", command)));
}

HttpServerResponse Api::ClearQueues(const HttpServerRequest& request) {
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return Problem(body.error());
  body->LowerCaseKeys();
  const DeviceNames names = ReadDeviceNames(*body);
  if (!body->problems().empty()) return Problem(body->problems().front());
  std::vector<Enrollment> devices;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    auto found = FindNamed(reader, names);
    if (!found) return Fail(found.error());
    devices = std::move(*found);
    return {};
  });
  if (!done) return Problem(done.error());
  return ClearEach(devices);
}

HttpServerResponse Api::ClearEach(const std::vector<Enrollment>& devices) {
  const Timestamp give_up_at = deps_.clock.Now() + kClearTimeMax;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    Status cleared = Fail(ErrorKind::kUnavailable, "no time is left; ask again for the rest");
    if (deps_.clock.Now() < give_up_at) {
      cleared = ClearOne(deps_.store, deps_.upstreams, deps_.clock, devices[i]);
      deps_.notify();
    }
    if (cleared) continue;
    return QueueProblem(cleared.error(), fmt::format("{} of {} queues are cleared; {}", i,
                                                     devices.size(), UdidOf(devices[i])));
  }
  return Done();
}

}  // namespace director::mdmdirector
