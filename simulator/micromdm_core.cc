#include "simulator/micromdm_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/text.h"
#include "mdm/command.h"
#include "simulator/stand_in_support.h"

namespace director {
namespace {

using nlohmann::json;

constexpr std::string_view kMicroCommandsPath = "/v1/commands/";
constexpr std::string_view kMicroPushPath = "/v1/push/";
constexpr std::string_view kMicroLegacyPushPath = "/push/";
constexpr std::string_view kBinaryPlistMark = "bplist";

// APNs' `Unregistered` in the words of MicroMDM's push library.
constexpr std::string_view kInactiveToken =
    "device token is inactive for the specified topic (last invalid at 0001-01-01 00:00:00 +0000 "
    "UTC)";

std::string DumpIndented(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace);
}

CoreAnswer JsonAnswer(int status, const json& value) {
  return {status, "application/json; charset=utf-8", DumpIndented(value) + "\n"};
}

CoreAnswer ErrorAnswer(std::string_view text) {
  return JsonAnswer(500, {{"error", std::string(text)}});
}

/// The one segment that follows `prefix`, or nothing.
std::optional<std::string> SegmentAfter(std::string_view prefix, std::string_view path) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (path.empty() || path.find('/') != std::string_view::npos) return std::nullopt;
  return std::string(path);
}

/// The last one present of UDID, UserID and EnrollmentID.
std::string QueueIdIn(const PlistDict& message) {
  for (const char* const key : {"EnrollmentID", "UserID"}) {
    std::string id = TextAt(message, key);
    if (!id.empty()) return id;
  }
  return TextAt(message, "UDID");
}

bool IsForwarded(std::string_view message_type) {
  static const std::set<std::string, std::less<>> topics = {
      "Authenticate", "TokenUpdate", "CheckOut", "SetBootstrapToken", "GetBootstrapToken"};
  return topics.contains(message_type);
}

/// The keys that both kinds of event have; the user of a user channel is in the payload only.
json EncodeMicroObject(const PlistDict& plist) {
  json object;
  for (const auto& [key, name] :
       {std::pair("UDID", "udid"), std::pair("EnrollmentID", "enrollment_id")}) {
    const std::string id = TextAt(plist, key);
    if (!id.empty()) object[name] = id;
  }
  return object;
}

std::string EncodeMicroEvent(const std::string& topic, Timestamp now, RandomSource& random,
                             const std::string& object_key, json object, std::string_view body) {
  object["raw_payload"] = "";
  json event;
  event["topic"] = topic;
  event["event_id"] = ToLowerAscii(MakeUuid(random));
  event["created_at"] = RenderCreatedAt(now);
  event[object_key] = std::move(object);
  return WithBase64(DumpIndented(event), R"("raw_payload": "")", body);
}

/// What is wrong with the body of a command.
std::string WhyMicroMdmRefuses(const std::string& body) {
  const Result<PlistValue> plist = DecodePlist(body);
  if (!plist) return "parse payload as plist: " + plist.error().message;
  if (body.starts_with(kBinaryPlistMark)) return "parse payload as plist: binary";
  return "request is malformed";
}

template <typename Queue>
auto FindCommand(Queue& queue, const std::string& command_uuid) {
  return std::find_if(queue.begin(), queue.end(), [&](const auto& queued) {
    return queued.command_uuid.value() == command_uuid;
  });
}

/// Moves the first entry to the end of `to`, which may be the same queue.
template <typename Queue>
void MoveFirst(Queue& from, Queue& to) {
  if (from.empty()) return;
  auto first = std::move(from.front());
  from.pop_front();
  to.push_back(std::move(first));
}

}  // namespace

MicroMdmCore::MicroMdmCore(MicroMdmFaults faults, CoreSinks sinks, std::uint64_t seed)
    : faults_(faults), sinks_(std::move(sinks)), random_(seed) {}

// --- API ----------------------------------------------------------------------------------------

CoreAnswer MicroMdmCore::HandleApi(const ApiRequest& request, Timestamp now) {
  const std::optional<ApiTarget> target = ParseApiTarget(request.path);
  if (!target) return TextAnswer(400, "400 Bad Request");
  if (target->path == "/version") return JsonAnswer(200, {{"version", "1.13.1-simulator"}});
  if (const auto id = SegmentAfter(kMicroCommandsPath, target->path)) {
    return HandleCommands(request, *id, now);
  }
  const std::string_view push_path =
      request.method == "POST" ? kMicroPushPath : kMicroLegacyPushPath;
  const bool may_push = request.method == "POST" || request.method == "GET";
  const auto push_id = may_push ? SegmentAfter(push_path, target->path) : std::nullopt;
  if (push_id) return Push(*push_id);
  return TextAnswer(404, "404 page not found");
}

CoreAnswer MicroMdmCore::HandleCommands(const ApiRequest& request, const std::string& queue_id,
                                        Timestamp now) {
  if (request.method == "GET") return ViewQueue(queue_id, now);
  if (request.method == "DELETE") return ClearQueue(queue_id, now);
  if (request.method != "POST" && request.method != "PUT") return EmptyAnswer(405);
  return Enqueue(queue_id, request.body, now);
}

CoreAnswer MicroMdmCore::Enqueue(const std::string& queue_id, const std::string& body,
                                 Timestamp now) {
  if (body.size() > kCoreBodyMaxBytes) return TextAnswer(413, "body too large");
  const Result<ReceivedCommand> command = DecodeCommand(body);
  if (!command || body.starts_with(kBinaryPlistMark)) return ErrorAnswer(WhyMicroMdmRefuses(body));
  Queue* queue = TouchQueue(queue_id);
  if (queue == nullptr) return ErrorAnswer("too many queues");
  Store(*queue, now);
  if (queue->commands.size() + queue->not_now.size() + queue->arriving.size() >= kCoreQueueMax) {
    return ErrorAnswer("queue is full");
  }
  ++counters_.commands;
  if (IsOverwritten(*queue, now)) {
    ++counters_.commands_lost;
  } else {
    queue->arriving.push_back({command->command_uuid, std::make_shared<const std::string>(body),
                               false, now + faults_.store_delay});
    Store(*queue, now);
  }
  // A push that fails is the server's own affair: the caller has its 201 already.
  if (queue->has_push_data()) Push(queue_id);
  CoreAnswer answer = JsonAnswer(201, {{"payload",
                                        {{"udid", queue_id},
                                         {"command_uuid", command->command_uuid.value()},
                                         {"command", {{"request_type", command->request_type}}},
                                         {"payload", ""}}}});
  answer.body = WithBase64(std::move(answer.body), R"("payload": "")", body);
  return answer;
}

bool MicroMdmCore::IsOverwritten(const Queue& queue, Timestamp now) {
  if (faults_.queue != MicroQueue::kBuiltin || !queue.changed_by_device_at) return false;
  if (now - *queue.changed_by_device_at > faults_.race_window) return false;
  return random_.Fraction() < faults_.lose_raced_enqueue;
}

CoreAnswer MicroMdmCore::ViewQueue(const std::string& queue_id, Timestamp now) {
  json answer = json::object();
  const Queue* queue = FindQueue(queue_id, now);
  if (queue == nullptr) return JsonAnswer(200, answer);
  for (const Queued& queued : queue->commands) {
    answer["commands"].push_back(
        {{"uuid", queued.command_uuid.value()}, {"payload", EncodeBase64(*queued.body)}});
  }
  return JsonAnswer(200, answer);
}

CoreAnswer MicroMdmCore::ClearQueue(const std::string& queue_id, Timestamp now) {
  if (Queue* queue = FindQueue(queue_id, now); queue != nullptr) {
    queue->commands.clear();
    queue->not_now.clear();
  }
  return JsonAnswer(200, json::object());
}

CoreAnswer MicroMdmCore::Push(const std::string& queue_id) {
  const auto found = queues_.find(queue_id);
  if (found == queues_.end() || !found->second.has_push_data()) {
    return ErrorAnswer(
        fmt::format("retrieving PushInfo by UDID: not found: PushInfo udid {}", queue_id));
  }
  // The real handler panics, and its connection with it.
  if (faults_.push == CorePush::kNoCertificate) return EmptyAnswer(0);
  if (found->second.is_unregistered) return ErrorAnswer(kInactiveToken);
  ++counters_.pushes;
  if (sinks_.push) sinks_.push(found->second.push_target);
  return JsonAnswer(200, {{"status", "success"}, {"push_notification_id", MakeUuid(random_)}});
}

// --- device protocol ----------------------------------------------------------------------------

CoreAnswer MicroMdmCore::HandleDevice(const DeviceRequest& request, Timestamp now) {
  ++counters_.device_requests;
  if (request.body.size() > kCoreBodyMaxBytes) return TextAnswer(413, "Request Entity Too Large");
  Result<PlistValue> plist = DecodePlist(request.body);
  PlistDict* dict = plist ? plist->AsDict() : nullptr;
  if (dict == nullptr) return EmptyAnswer(500);
  Result<Channel> channel = DecodeChannel(*dict);
  if (!channel) return EmptyAnswer(500);
  const std::string queue_id = QueueIdIn(*dict);
  const Message message{request, std::move(*dict), std::move(*channel), queue_id};
  const bool is_checkin = request.content_type.starts_with(kCheckinContentType);
  return is_checkin ? HandleCheckin(message, now) : HandleConnect(message, now);
}

CoreAnswer MicroMdmCore::HandleCheckin(const Message& message, Timestamp now) {
  const std::string type = TextAt(message.plist, "MessageType");
  if (type == "UserAuthenticate") return EmptyAnswer(410);
  // Also DeclarativeManagement, which has no backend here, and GetToken.
  if (!IsForwarded(type)) return EmptyAnswer(500);
  CoreAnswer answer = RunCheckin(type, message, now);
  if (answer.status != 200) return answer;
  json object = EncodeMicroObject(message.plist);
  const auto& params = message.request.url_params;
  object["url_params"] = params.empty() ? json() : json(params);
  EmitEvent(EncodeMicroEvent("mdm." + type, now, random_, "checkin_event", std::move(object),
                             message.request.body),
            {faults_.drop_webhook, faults_.duplicate_webhook}, sinks_, random_, counters_);
  return answer;
}

CoreAnswer MicroMdmCore::RunCheckin(const std::string& type, const Message& message,
                                    Timestamp now) {
  if (type == "GetBootstrapToken") return GetBootstrapToken(message);
  if (type == "SetBootstrapToken") {
    const auto device = enrollments_.find(message.channel.udid);
    if (device != enrollments_.end()) {
      device->second.bootstrap_token = BytesAt(message.plist, "BootstrapToken");
    }
    return EmptyAnswer(200);
  }
  if (type == "CheckOut") {
    CheckOut(message);
    return EmptyAnswer(200);
  }
  const bool has_room =
      TouchEnrollment(message) != nullptr && TouchQueue(message.queue_id) != nullptr;
  if (!has_room) return EmptyAnswer(500);
  if (type == "Authenticate") {
    Authenticate(message, now);
  } else {
    TokenUpdate(message);
  }
  return EmptyAnswer(200);
}

CoreAnswer MicroMdmCore::GetBootstrapToken(const Message& message) {
  const auto device = enrollments_.find(message.channel.udid);
  if (device == enrollments_.end() || !device->second.has_device_record) return EmptyAnswer(500);
  PlistDict token;
  token.Set("BootstrapToken", PlistData{device->second.bootstrap_token});
  return PlistAnswer(EncodePlistXml(std::move(token)));
}

void MicroMdmCore::Authenticate(const Message& message, Timestamp now) {
  Queue& queue = *FindQueue(message.queue_id, now);
  queue.commands.clear();
  queue.not_now.clear();
  // The bootstrap token stays.
  Enrollment& enrollment = enrollments_[message.channel.enrollment_id.value()];
  enrollment.has_device_record = !message.channel.udid.empty();
  enrollment.is_enabled = false;
  enrollment.token_update_tally = 0;
}

void MicroMdmCore::TokenUpdate(const Message& message) {
  Queue& queue = queues_[message.queue_id];
  queue.push_target = message.channel.enrollment_id;
  queue.is_unregistered = false;
  Enrollment& enrollment = enrollments_[message.channel.enrollment_id.value()];
  const bool needs_record = message.channel.type == ChannelType::kDevice;
  enrollment.is_enabled = enrollment.has_device_record || !needs_record;
  ++enrollment.token_update_tally;
}

void MicroMdmCore::CheckOut(const Message& message) {
  // MicroMDM looks at the UDID alone, so a user channel signs its device off too. The queue stays
  // and is still served.
  for (const std::string& id : {message.channel.enrollment_id.value(), message.channel.udid}) {
    const auto found = enrollments_.find(id);
    if (found != enrollments_.end()) found->second.is_enabled = false;
  }
}

CoreAnswer MicroMdmCore::HandleConnect(const Message& message, Timestamp now) {
  const std::string status = TextAt(message.plist, "Status");
  const std::string command_uuid = TextAt(message.plist, "CommandUUID");
  json object = EncodeMicroObject(message.plist);
  object["status"] = status;
  if (!command_uuid.empty()) object["command_uuid"] = command_uuid;
  if (!message.request.url_params.empty()) object["url_params"] = message.request.url_params;
  // The event goes out before the queue is asked, so also when the queue then fails.
  EmitEvent(EncodeMicroEvent("mdm.Connect", now, random_, "acknowledge_event", std::move(object),
                             message.request.body),
            {faults_.drop_webhook, faults_.duplicate_webhook}, sinks_, random_, counters_);
  Queue* queue = FindQueue(message.queue_id, now);
  if (queue == nullptr) return EmptyAnswer(200);
  switch (faults_.queue) {
    case MicroQueue::kBuiltin:
      return NextBuiltin(*queue, ParseStatus(status), command_uuid, now);
    case MicroQueue::kInMemory:
      return NextInMemory(*queue, ParseStatus(status), command_uuid);
  }
  return EmptyAnswer(500);
}

MicroMdmCore::Said MicroMdmCore::ParseStatus(const std::string& status) {
  if (status == "Idle") return Said::kIdle;
  if (status == "NotNow") return Said::kNotNow;
  const bool is_final =
      status == "Acknowledged" || status == "Error" || status == "CommandFormatError";
  return is_final ? Said::kFinal : Said::kUnknown;
}

CoreAnswer MicroMdmCore::NextBuiltin(Queue& queue, Said said, const std::string& command_uuid,
                                     Timestamp now) {
  if (!queue.has_record) return EmptyAnswer(200);
  if (said == Said::kUnknown) return EmptyAnswer(500);
  const auto answered =
      said == Said::kIdle ? queue.commands.end() : FindCommand(queue.commands, command_uuid);
  if (answered != queue.commands.end()) {
    if (said == Said::kNotNow) queue.not_now.push_back(std::move(*answered));
    queue.commands.erase(answered);
  }
  if (!queue.commands.empty()) {
    MoveFirst(queue.commands, queue.commands);
  } else if (said != Said::kNotNow) {
    MoveFirst(queue.not_now, queue.commands);
  }
  const bool is_handed_out = !queue.commands.empty();
  if (said != Said::kIdle || is_handed_out) queue.changed_by_device_at = now;
  return is_handed_out ? PlistAnswer(*queue.commands.back().body) : EmptyAnswer(200);
}

CoreAnswer MicroMdmCore::NextInMemory(Queue& queue, Said said, const std::string& command_uuid) {
  const auto answered = FindCommand(queue.commands, command_uuid);
  if (answered != queue.commands.end()) {
    if (said == Said::kNotNow) answered->said_not_now = true;
    if (said == Said::kFinal) queue.commands.erase(answered);
  }
  for (const Queued& next : queue.commands) {
    if (said == Said::kNotNow && next.said_not_now) continue;
    return PlistAnswer(*next.body);
  }
  return EmptyAnswer(200);
}

// --- the tables ---------------------------------------------------------------------------------

std::string MicroMdmCore::QueueIdOf(const EnrollmentId& enrollment_id) const {
  const std::string& id = enrollment_id.value();
  const auto found = enrollments_.find(id);
  if (found != enrollments_.end()) return found->second.queue_id;
  const std::size_t colon = id.find(':');
  return colon == std::string::npos ? id : id.substr(colon + 1);
}

MicroMdmCore::Queue* MicroMdmCore::TouchQueue(const std::string& queue_id) {
  const auto found = queues_.find(queue_id);
  if (found != queues_.end()) return &found->second;
  return queues_.size() < kCoreEnrollmentsMax ? &queues_[queue_id] : nullptr;
}

MicroMdmCore::Enrollment* MicroMdmCore::TouchEnrollment(const Message& message) {
  const std::string& id = message.channel.enrollment_id.value();
  const bool is_known = enrollments_.contains(id);
  if (!is_known && enrollments_.size() >= kCoreEnrollmentsMax) return nullptr;
  Enrollment& enrollment = enrollments_[id];
  enrollment.queue_id = message.queue_id;
  return &enrollment;
}

MicroMdmCore::Queue* MicroMdmCore::FindQueue(const std::string& queue_id, Timestamp now) {
  const auto found = queues_.find(queue_id);
  if (found == queues_.end()) return nullptr;
  Store(found->second, now);
  return &found->second;
}

void MicroMdmCore::Store(Queue& queue, Timestamp now) {
  while (!queue.arriving.empty() && queue.arriving.front().stored_at <= now) {
    MoveFirst(queue.arriving, queue.commands);
    queue.has_record = true;
  }
}

// --- faults and looks ---------------------------------------------------------------------------

void MicroMdmCore::MarkUnregistered(const EnrollmentId& enrollment_id) {
  const auto found = queues_.find(QueueIdOf(enrollment_id));
  if (found != queues_.end()) found->second.is_unregistered = true;
}

void MicroMdmCore::LoseQueue(const EnrollmentId& enrollment_id) {
  const auto found = queues_.find(QueueIdOf(enrollment_id));
  if (found == queues_.end()) return;
  for (std::deque<Queued>* part :
       {&found->second.arriving, &found->second.commands, &found->second.not_now}) {
    counters_.commands_lost += part->size();
    part->clear();
  }
}

std::optional<CoreEnrollment> MicroMdmCore::FindEnrollment(
    const EnrollmentId& enrollment_id) const {
  const auto enrollment = enrollments_.find(enrollment_id.value());
  const auto queue = queues_.find(QueueIdOf(enrollment_id));
  if (enrollment == enrollments_.end() && queue == queues_.end()) return std::nullopt;
  CoreEnrollment look;
  look.enrollment_id = enrollment_id;
  if (enrollment != enrollments_.end()) {
    look.is_enabled = enrollment->second.is_enabled;
    look.token_update_tally = enrollment->second.token_update_tally;
  }
  if (queue == queues_.end()) return look;
  for (const std::deque<Queued>* part :
       {&queue->second.commands, &queue->second.arriving, &queue->second.not_now}) {
    for (const Queued& queued : *part) look.queue.push_back(queued.command_uuid);
  }
  return look;
}

}  // namespace director
