#include "simulator/mdm_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/text.h"
#include "mdm/command.h"
#include "simulator/stand_in_support.h"

namespace director {
namespace {

using nlohmann::json;

constexpr std::string_view kJsonType = "application/json";
constexpr std::string_view kEnqueuePath = "/v1/enqueue/";
constexpr std::string_view kPushPath = "/v1/push/";
constexpr std::string_view kQueuePath = "/v1/queue/";
constexpr std::string_view kNotNow = "NotNow";
constexpr std::size_t kSqlIdMaxBytes = 255;
constexpr std::size_t kEchoMaxBytes = 64 * 1024;

std::vector<std::string> SplitIds(std::string_view text) {
  std::vector<std::string> ids;
  if (text.empty()) return ids;
  while (true) {
    const std::size_t comma = text.find(',');
    ids.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return ids;
    text.remove_prefix(comma + 1);
  }
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json EncodeIds(const Channel& channel) {
  json ids = {{"id", channel.enrollment_id.value()},
              {"type", std::string(ChannelTypeName(channel.type))}};
  if (IsUserChannel(channel.type)) ids["parent_id"] = channel.device_id.value();
  return ids;
}

/// The keys that check-in and acknowledge events share.
json EncodeEventObject(const Channel& channel, const DeviceRequest& request) {
  json object;
  object["ids"] = EncodeIds(channel);
  if (channel.udid.empty()) {
    object["enrollment_id"] = channel.device_id.value();
  } else {
    object["udid"] = channel.udid;
  }
  object["raw_payload"] = "";
  if (!request.url_params.empty()) object["url_params"] = request.url_params;
  return object;
}

std::string EncodeEvent(std::string topic, std::uint64_t event_id, Timestamp now,
                        std::string object_key, json object, std::string_view body) {
  json event;
  event["topic"] = std::move(topic);
  event["event_id"] = fmt::format("{:016x}", event_id);
  event["created_at"] = RenderCreatedAt(now);
  event[std::move(object_key)] = std::move(object);
  return WithBase64(Dump(event), R"("raw_payload":"")", body);
}

/// What is wrong with the body of a command.
std::string WhyNanoMdmRefuses(const std::string& body) {
  const Result<PlistValue> plist = DecodePlist(body);
  if (plist) return "decoding command: invalid command";
  return fmt::format("decoding command: parse error: {}: {}", plist.error().message,
                     Truncate(body, kEchoMaxBytes));
}

bool IsKnownMessage(std::string_view type) {
  static const std::set<std::string, std::less<>> known = {
      "Authenticate",      "TokenUpdate",      "CheckOut", "SetBootstrapToken",
      "GetBootstrapToken", "UserAuthenticate", "GetToken", "DeclarativeManagement",
  };
  return known.find(type) != known.end();
}

}  // namespace

MdmCore::MdmCore(CoreFaults faults, CoreSinks sinks, std::uint64_t seed)
    : faults_(faults), sinks_(std::move(sinks)), random_(seed) {}

// --- API ----------------------------------------------------------------------------------------

CoreAnswer MdmCore::HandleApi(const ApiRequest& request, Timestamp) {
  const std::optional<ApiTarget> target = ParseApiTarget(request.path);
  if (!target) return TextAnswer(400, "Bad Request");
  if (target->path == "/version") return Version();
  if (target->path.starts_with(kPushPath)) return Push(target->path.substr(kPushPath.size()));
  if (target->path.starts_with(kQueuePath)) {
    const auto cursor = target->query.find("cursor");
    return HandleQueue(request.method, target->path.substr(kQueuePath.size()),
                       cursor == target->query.end() ? "" : cursor->second);
  }
  if (!target->path.starts_with(kEnqueuePath)) return TextAnswer(404, "404 page not found");
  const auto nopush = target->query.find("nopush");
  return Enqueue({target->path.substr(kEnqueuePath.size()),
                  nopush == target->query.end() ? "" : nopush->second, request.body});
}

CoreAnswer MdmCore::EncodeReport(const ApiReport& report, std::size_t id_count) {
  json answer = json::object();
  std::size_t failed = 0;
  for (const auto& [id, target] : report.targets) {
    json entry = json::object();
    if (!target.push_error.empty()) entry["push_error"] = target.push_error;
    if (!target.push_result.empty()) entry["push_result"] = target.push_result;
    if (!target.command_error.empty()) entry["command_error"] = target.command_error;
    if (!target.push_error.empty() || !target.command_error.empty()) ++failed;
    answer["status"][id] = std::move(entry);
  }
  if (report.has_no_push) answer["no_push"] = true;
  if (!report.push_error.empty()) answer["push_error"] = report.push_error;
  if (!report.command_error.empty()) answer["command_error"] = report.command_error;
  if (!report.command_uuid.empty()) answer["command_uuid"] = report.command_uuid;
  if (!report.request_type.empty()) answer["request_type"] = report.request_type;
  int status = 200;
  if (!report.push_error.empty() || !report.command_error.empty()) {
    status = 500;
  } else if (failed > 0) {
    status = failed == id_count ? 500 : 207;
  }
  return {status, std::string(kJsonType), Dump(answer)};
}

CoreAnswer MdmCore::Enqueue(const EnqueueCall& call) {
  ApiReport report;
  report.has_no_push = !call.nopush.empty();
  const std::vector<std::string> ids = SplitIds(call.ids);
  if (call.body.size() > kCoreBodyMaxBytes) return TextAnswer(413, "body too large");
  if (ids.empty()) {
    report.command_error = "getting enrollment ids: empty path";
  } else if (ids.size() > kCoreTargetsMax) {
    report.command_error = "getting enrollment ids: too many";
  } else if (!call.body.empty()) {
    EnqueueInto(call, ids, report);
  } else if (report.has_no_push) {
    report.command_error = "must enqueue or push";
  }
  if (report.command_error.empty() && !report.has_no_push) PushInto(ids, report);
  return EncodeReport(report, ids.size());
}

void MdmCore::EnqueueInto(const EnqueueCall& call, const std::vector<std::string>& ids,
                          ApiReport& report) {
  const Result<ReceivedCommand> command = DecodeCommand(call.body);
  if (!command) {
    report.command_error = WhyNanoMdmRefuses(call.body);
    return;
  }
  report.command_uuid = command->command_uuid.value();
  report.request_type = command->request_type;
  report.command_error = RefuseBatch(ids, report.command_uuid);
  if (!report.command_error.empty()) return;
  Remember(report.command_uuid);
  const auto body = std::make_shared<const std::string>(call.body);
  for (const std::string& id : ids) Append(id, command->command_uuid, body, report);
}

std::string MdmCore::RefuseBatch(const std::vector<std::string>& ids,
                                 const std::string& uuid) const {
  const bool is_known = command_uuids_.count(uuid) > 0;
  switch (faults_.store) {
    case CoreStore::kKeyValue:
      return is_known ? "command already exists: " + uuid : "";
    case CoreStore::kSql:
      break;
  }
  if (is_known) return "Error 1062: Duplicate entry '" + uuid + "' for key 'commands.PRIMARY'";
  std::set<std::string> distinct;
  for (const std::string& id : ids) {
    if (id.size() > kSqlIdMaxBytes) return "Error 1406: Data too long for column 'id'";
    if (!distinct.insert(id).second) return "Error 1062: Duplicate entry for enrollment " + id;
    const auto found = enrollments_.find(id);
    if (found == enrollments_.end() || !found->second.has_token) {
      return "Error 1452: a foreign key constraint fails (enrollment_queue)";
    }
  }
  return "";
}

void MdmCore::Remember(const std::string& command_uuid) {
  command_uuids_.insert(command_uuid);
  command_uuid_order_.push_back(command_uuid);
  if (command_uuid_order_.size() <= kCoreCommandsMax) return;
  command_uuids_.erase(command_uuid_order_.front());
  command_uuid_order_.pop_front();
}

void MdmCore::Append(const std::string& id, const CommandUuid& command_uuid,
                     const std::shared_ptr<const std::string>& body, ApiReport& report) {
  const bool is_new = enrollments_.find(id) == enrollments_.end();
  if (is_new && enrollments_.size() >= kCoreEnrollmentsMax) {
    report.targets[id].command_error = "too many enrollments";
    return;
  }
  std::deque<Queued>& queue = enrollments_[id].queue;
  if (!queue.empty() && queue.back().command_uuid == command_uuid) {
    // The real key-value store links the entry to itself here.
    queue.back().points_to_itself = true;
    return;
  }
  if (queue.size() >= kCoreQueueMax) {
    report.targets[id].command_error = "queue is full";
    return;
  }
  queue.push_back({command_uuid, body, false, false});
  ++counters_.commands;
}

CoreAnswer MdmCore::Push(std::string_view ids) {
  ApiReport report;
  const std::vector<std::string> split = SplitIds(ids);
  if (split.empty()) {
    report.push_error = "getting enrollment ids: empty path";
  } else if (split.size() > kCoreTargetsMax) {
    report.push_error = "getting enrollment ids: too many";
  } else {
    PushInto(split, report);
  }
  return EncodeReport(report, split.size());
}

void MdmCore::PushInto(const std::vector<std::string>& ids, ApiReport& report) {
  std::set<std::string> done;
  for (const std::string& id : ids) {
    if (!done.insert(id).second) continue;
    const auto found = enrollments_.find(id);
    if (found == enrollments_.end() || !found->second.has_token) {
      report.targets[id].push_error = "push data missing for id";
    } else if (faults_.push == CorePush::kNoCertificate) {
      report.push_error = "no push certificate stored for the topic";
    } else if (found->second.is_unregistered) {
      report.targets[id].push_result = MakeUuid(random_);
      report.targets[id].push_error = "push HTTP status: 410: APNs push error: Unregistered";
    } else {
      report.targets[id].push_result = MakeUuid(random_);
      ++counters_.pushes;
      if (sinks_.push) sinks_.push(EnrollmentId(id));
    }
  }
}

CoreAnswer MdmCore::HandleQueue(const std::string& method, const std::string& ids,
                                const std::string& cursor) {
  if (faults_.queue_api == CoreQueueApi::kAbsent) return TextAnswer(404, "404 page not found");
  if (method == "GET") return ViewQueue(ids, cursor);
  if (method != "DELETE") return TextAnswer(405, "Method Not Allowed");
  for (const std::string& id : SplitIds(ids)) {
    const auto found = enrollments_.find(id);
    if (found != enrollments_.end()) found->second.queue.clear();
  }
  return EmptyAnswer(204);
}

CoreAnswer MdmCore::ViewQueue(const std::string& id, const std::string& cursor) const {
  json answer = {{"commands", json::array()}};
  const auto found = enrollments_.find(id);
  const std::size_t size = found == enrollments_.end() ? 0 : found->second.queue.size();
  std::size_t at = 0;
  std::from_chars(cursor.data(), cursor.data() + cursor.size(), at);
  for (const std::size_t end = std::min(at + kCoreQueuePageMax, size); at < end; ++at) {
    const Queued& queued = found->second.queue[at];
    const Result<ReceivedCommand> command = DecodeCommand(*queued.body);
    answer["commands"].push_back({{"command_uuid", queued.command_uuid.value()},
                                  {"request_type", command ? command->request_type : ""},
                                  {"command", EncodeBase64(*queued.body)}});
  }
  if (at < size) answer["next_cursor"] = std::to_string(at);
  return {200, std::string(kJsonType), Dump(answer)};
}

CoreAnswer MdmCore::Version() const {
  return {200, std::string(kJsonType), R"({"version":"v0.9.0-simulator"})"};
}

// --- device protocol ----------------------------------------------------------------------------

CoreAnswer MdmCore::HandleDevice(const DeviceRequest& request, Timestamp now) {
  ++counters_.device_requests;
  if (request.body.size() > kCoreBodyMaxBytes) return TextAnswer(413, "Request Entity Too Large");
  const bool is_checkin = request.content_type.rfind(kCheckinContentType, 0) == 0;
  return is_checkin ? HandleCheckin(request, now) : HandleConnect(request, now);
}

bool MdmCore::IsBound(const Channel& channel) const {
  const auto device = enrollments_.find(channel.device_id.value());
  return device != enrollments_.end() && device->second.has_authenticated;
}

MdmCore::Enrollment* MdmCore::Touch(const Channel& channel) {
  const std::string& id = channel.enrollment_id.value();
  const auto found = enrollments_.find(id);
  if (found == enrollments_.end() && enrollments_.size() >= kCoreEnrollmentsMax) return nullptr;
  return found == enrollments_.end() ? &enrollments_[id] : &found->second;
}

CoreAnswer MdmCore::HandleCheckin(const DeviceRequest& request, Timestamp now) {
  Result<PlistValue> plist = DecodePlist(request.body);
  PlistDict* dict = plist ? plist->AsDict() : nullptr;
  if (dict == nullptr) return TextAnswer(400, "Bad Request");
  Result<Channel> channel = DecodeChannel(*dict);
  const std::string type = TextAt(*dict, "MessageType");
  if (!channel || !IsKnownMessage(type)) return TextAnswer(400, "Bad Request");
  const bool is_authenticate = type == "Authenticate";
  if (is_authenticate && IsUserChannel(channel->type)) return TextAnswer(400, "Bad Request");
  if (!is_authenticate && !IsBound(*channel)) return TextAnswer(500, "Internal Server Error");
  Enrollment* enrollment = Touch(*channel);
  if (enrollment == nullptr) return TextAnswer(500, "Internal Server Error");
  const Checkin checkin{type, std::move(*channel), std::move(*dict)};
  CoreAnswer answer = RunCheckin(checkin, *enrollment);
  // The event goes out even when the handling failed.
  json object = EncodeEventObject(checkin.channel, request);
  if (type == "TokenUpdate") object["token_update_tally"] = enrollment->token_update_tally;
  Emit(EncodeEvent("mdm." + type, random_.Next(), now, "checkin_event", std::move(object),
                   request.body));
  return answer;
}

CoreAnswer MdmCore::RunCheckin(const Checkin& checkin, Enrollment& enrollment) {
  const std::string& type = checkin.message_type;
  if (type == "Authenticate") {
    Authenticate(checkin.channel, enrollment);
    return EmptyAnswer(200);
  }
  if (type == "TokenUpdate") {
    enrollment.has_token = true;
    enrollment.is_enabled = true;
    enrollment.is_unregistered = false;
    ++enrollment.token_update_tally;
    return EmptyAnswer(200);
  }
  if (type == "CheckOut") return CheckOut(checkin.channel, enrollment);
  if (type == "SetBootstrapToken") {
    enrollment.bootstrap_token = BytesAt(checkin.message, "BootstrapToken");
    return EmptyAnswer(200);
  }
  if (type == "GetBootstrapToken") {
    if (enrollment.bootstrap_token.empty()) return EmptyAnswer(200);
    PlistDict token;
    token.Set("BootstrapToken", PlistData{enrollment.bootstrap_token});
    return PlistAnswer(EncodePlistXml(std::move(token)));
  }
  if (type == "UserAuthenticate") return TextAnswer(410, "Gone");
  // DeclarativeManagement without a backend and GetToken without a handler.
  return TextAnswer(500, "Internal Server Error");
}

void MdmCore::Authenticate(const Channel& channel, Enrollment& enrollment) {
  enrollment.has_authenticated = true;
  enrollment.is_enabled = false;
  enrollment.token_update_tally = 0;
  enrollment.bootstrap_token.clear();
  enrollment.queue.clear();
  if (faults_.store == CoreStore::kKeyValue) return;
  // User channels are named by their device, so they follow it in the map.
  const std::string prefix = channel.enrollment_id.value() + ":";
  for (auto it = enrollments_.lower_bound(prefix);
       it != enrollments_.end() && it->first.rfind(prefix, 0) == 0; ++it) {
    it->second.queue.clear();
    it->second.is_enabled = false;
    it->second.token_update_tally = 0;
  }
}

CoreAnswer MdmCore::CheckOut(const Channel& channel, Enrollment& enrollment) {
  const bool is_user = IsUserChannel(channel.type);
  if (is_user && faults_.store == CoreStore::kSql) return TextAnswer(500, "Internal Server Error");
  // The queue stays and is still served.
  enrollment.is_enabled = false;
  return EmptyAnswer(200);
}

CoreAnswer MdmCore::HandleConnect(const DeviceRequest& request, Timestamp now) {
  const Result<PlistValue> plist = DecodePlist(request.body);
  const PlistDict* dict = plist ? plist->AsDict() : nullptr;
  if (dict == nullptr) return TextAnswer(400, "Bad Request");
  const Result<Channel> channel = DecodeChannel(*dict);
  const std::string status = TextAt(*dict, "Status");
  if (!channel || status.empty()) return TextAnswer(400, "Bad Request");
  if (!IsBound(*channel)) return TextAnswer(500, "Internal Server Error");
  Enrollment* enrollment = Touch(*channel);
  if (enrollment == nullptr) return TextAnswer(500, "Internal Server Error");
  const std::string command_uuid = TextAt(*dict, "CommandUUID");
  CoreAnswer answer = RunConnect(status, command_uuid, *enrollment);
  json object = EncodeEventObject(*channel, request);
  object["status"] = status;
  if (!command_uuid.empty()) object["command_uuid"] = command_uuid;
  Emit(EncodeEvent("mdm.Connect", random_.Next(), now, "acknowledge_event", std::move(object),
                   request.body));
  return answer;
}

CoreAnswer MdmCore::RunConnect(const std::string& status, const std::string& command_uuid,
                               Enrollment& enrollment) {
  const bool is_result = status != "Idle";
  if (is_result && !RecordResult(status, command_uuid, enrollment)) {
    return TextAnswer(500, "Internal Server Error");
  }
  for (const Queued& next : enrollment.queue) {
    // Only the answer to NotNow leaves out what said NotNow before.
    if (status == kNotNow && next.said_not_now) continue;
    return PlistAnswer(*next.body);
  }
  return EmptyAnswer(200);
}

bool MdmCore::RecordResult(const std::string& status, const std::string& command_uuid,
                           Enrollment& enrollment) {
  if (command_uuid.empty()) return false;
  std::deque<Queued>& queue = enrollment.queue;
  const auto found = std::find_if(queue.begin(), queue.end(), [&](const Queued& queued) {
    return queued.command_uuid.value() == command_uuid;
  });
  if (found != queue.end()) {
    if (status == kNotNow) {
      found->said_not_now = true;
    } else if (!found->points_to_itself) {
      queue.erase(found);
    }
    return true;
  }
  // SQL stores refer to the command by a foreign key.
  if (faults_.store == CoreStore::kSql && command_uuids_.count(command_uuid) == 0) return false;
  if (status == kNotNow) return true;
  switch (faults_.foreign_result) {
    case ForeignResult::kIgnored:
      break;
    case ForeignResult::kLosesQueue:
      counters_.commands_lost += queue.size();
      queue.clear();
      break;
  }
  return true;
}

void MdmCore::Emit(const std::string& body) {
  EmitEvent(body, {faults_.drop_webhook, faults_.duplicate_webhook}, sinks_, random_, counters_);
}

// --- faults and looks ---------------------------------------------------------------------------

void MdmCore::MarkUnregistered(const EnrollmentId& enrollment_id) {
  const auto found = enrollments_.find(enrollment_id.value());
  if (found != enrollments_.end()) found->second.is_unregistered = true;
}

void MdmCore::LoseQueue(const EnrollmentId& enrollment_id) {
  const auto found = enrollments_.find(enrollment_id.value());
  if (found == enrollments_.end()) return;
  counters_.commands_lost += found->second.queue.size();
  found->second.queue.clear();
}

std::optional<CoreEnrollment> MdmCore::FindEnrollment(const EnrollmentId& enrollment_id) const {
  const auto found = enrollments_.find(enrollment_id.value());
  if (found == enrollments_.end()) return std::nullopt;
  CoreEnrollment look;
  look.enrollment_id = enrollment_id;
  look.is_enabled = found->second.is_enabled;
  look.token_update_tally = found->second.token_update_tally;
  for (const Queued& queued : found->second.queue) look.queue.push_back(queued.command_uuid);
  return look;
}

}  // namespace director
