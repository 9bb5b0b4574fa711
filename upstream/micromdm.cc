#include "upstream/micromdm.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "upstream/answer.h"
#include "upstream/queue.h"

namespace director {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kCommandsPath = "/v1/commands/";
constexpr std::string_view kPushPath = "/v1/push/";
constexpr QueueKeys kMicroQueueKeys{"uuid", "", "payload"};
/// A device asks for its next command right after its answer. MicroMDM's built-in queue reads and
/// writes a device's commands in two steps, and loses what comes between them.
constexpr Duration kSettleTime = std::chrono::milliseconds(500);
constexpr std::string_view kNoQueue = "MicroMDM has no queue for this enrollment id";

// The UserID of every Shared iPad user.
constexpr std::string_view kSharedIpadUserId = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";

/// Returns MicroMDM's name of the queue, or nothing when there is none.
std::optional<std::string> QueueId(const EnrollmentId& target) {
  if (!IsAddressable(target)) return std::nullopt;
  const std::string& id = target.value();
  const std::size_t colon = id.find(':');
  if (colon == std::string::npos) return id;
  const std::string user_id = id.substr(colon + 1);
  const bool is_shared_ipad =
      user_id == kSharedIpadUserId || user_id.find('@') != std::string::npos;
  if (is_shared_ipad || !IsAddressable(EnrollmentId(user_id))) return std::nullopt;
  return user_id;
}

/// Returns the string at `key` of a JSON object, or nothing.
std::optional<std::string> StringAt(const Json& json, const char* key) {
  if (!json.is_object()) return std::nullopt;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

/// Returns the text of an answer `{"error":"..."}`, or nothing.
std::optional<std::string> ErrorText(const std::string& body) {
  return StringAt(Json::parse(body, nullptr, false), "error");
}

bool IsAccepted(const HttpResponse& response, const CommandUuid& command_uuid) {
  if (response.status != 200 && response.status != 201) return false;
  const Json json = Json::parse(response.body, nullptr, false);
  if (!json.is_object()) return false;
  const auto payload = json.find("payload");
  if (payload == json.end() || !payload->is_object()) return false;
  return StringAt(*payload, "command_uuid").value_or(command_uuid.value()) == command_uuid.value();
}

enum class Next { kDone, kLook };

struct Verdict {
  EnqueueOutcome outcome = EnqueueOutcome::kUnknown;
  std::string detail;
  Next next = Next::kDone;
};

Verdict JudgeErrorText(const std::string& text) {
  const EnqueueOutcome outcome =
      SaysBadCommand(text) ? EnqueueOutcome::kRejected : EnqueueOutcome::kUnavailable;
  return {outcome, CleanDetail(text), Next::kDone};
}

Verdict JudgeResponse(const HttpResponse& response, const CommandUuid& command_uuid) {
  if (IsAccepted(response, command_uuid)) return {EnqueueOutcome::kQueued, {}, Next::kDone};
  std::string detail = StatusDetail(response.status);
  if (response.status == 408 || response.status == 425 || response.status == 429) {
    return {EnqueueOutcome::kUnavailable, std::move(detail), Next::kDone};
  }
  if (response.status >= 300 && response.status < 500) {
    return {EnqueueOutcome::kRejected, std::move(detail), Next::kDone};
  }
  // 500 is MicroMDM's answer to nearly everything, and then it has not accepted the command.
  const std::optional<std::string> error =
      response.status == 500 ? ErrorText(response.body) : std::nullopt;
  if (error) return JudgeErrorText(*error);
  return {EnqueueOutcome::kUnknown, std::move(detail), Next::kLook};
}

Verdict JudgeError(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kUnavailable:
      return {EnqueueOutcome::kUnavailable, error.message, Next::kDone};
    case ErrorKind::kInvalid:
      return {EnqueueOutcome::kRejected, error.message, Next::kDone};
    case ErrorKind::kUnauthorized:
    case ErrorKind::kNotFound:
    case ErrorKind::kConflict:
    case ErrorKind::kUnknownOutcome:
    case ErrorKind::kRejected:
    case ErrorKind::kCorrupt:
      break;
  }
  return {EnqueueOutcome::kUnknown, error.message, Next::kLook};
}

/// True when the answer to a queue view lists the command.
bool ListsCommand(const std::string& body, const CommandUuid& command_uuid) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return false;
  const auto commands = json.find("commands");
  if (commands == json.end() || !commands->is_array()) return false;
  return std::any_of(commands->begin(), commands->end(), [&](const Json& command) {
    return StringAt(command, "uuid") == command_uuid.value();
  });
}

PushTargetResult JudgePush(const EnrollmentId& target, const Result<HttpResponse>& response) {
  if (!response) {
    const Error& error = response.error();
    const bool is_dropped = error.kind == ErrorKind::kUnknownOutcome;
    return {target, PushOutcome::kFailed,
            is_dropped ? error.message + " (no push certificate in MicroMDM?)" : error.message};
  }
  const Json json = Json::parse(response->body, nullptr, false);
  const std::optional<std::string> error = StringAt(json, "error");
  if (error && response->status == 500) {
    const PushOutcome outcome =
        SaysUnregistered(*error) ? PushOutcome::kUnregistered : PushOutcome::kFailed;
    return {target, outcome, CleanDetail(*error)};
  }
  if (response->status == 200 && StringAt(json, "status") == "success") {
    return {target, PushOutcome::kSent, {}};
  }
  return {target, PushOutcome::kFailed, StatusDetail(response->status)};
}

class MicroMdm final : public Upstream {
 public:
  MicroMdm(MicroMdmSettings settings, std::unique_ptr<HttpClient> http)
      : settings_(std::move(settings)), http_(std::move(http)) {}

  const UpstreamName& name() const override { return settings_.name; }

  UpstreamLimits limits() const override { return {1, true, kSettleTime}; }

  std::vector<EnqueueTargetResult> Enqueue(const EnqueueRequest& request) override {
    std::vector<EnqueueTargetResult> results;
    for (const EnrollmentId& target : request.targets) {
      Verdict verdict = EnqueueOne(request, target);
      results.push_back({target, verdict.outcome, std::move(verdict.detail)});
    }
    return results;
  }

  std::vector<PushTargetResult> Push(const std::vector<EnrollmentId>& targets) override {
    std::vector<PushTargetResult> results;
    for (const EnrollmentId& target : targets) results.push_back(PushOne(target));
    return results;
  }

  Result<std::vector<QueuedCommand>> ReadQueue(const EnrollmentId& id) override {
    const std::optional<std::string> path = CommandsPath(id);
    if (!path) return Fail(ErrorKind::kInvalid, std::string(kNoQueue));
    Result<QueuePage> page = ReadQueueAt(*http_, *path, settings_.queue_timeout, kMicroQueueKeys);
    if (!page) return Fail(page.error());
    if (Status fits = CheckQueueSize(page->commands); !fits) return Fail(fits.error());
    return std::move(page->commands);
  }

  Status ClearQueue(const EnrollmentId& id) override {
    const std::optional<std::string> path = CommandsPath(id);
    if (!path) return Fail(ErrorKind::kInvalid, std::string(kNoQueue));
    return ClearQueueAt(*http_, *path, settings_.queue_timeout, id.value());
  }

  Result<std::string> Probe() override { return ProbeVersion(*http_); }

 private:
  /// The path of an enrollment's queue; nothing when it has none.
  static std::optional<std::string> CommandsPath(const EnrollmentId& id) {
    const std::optional<std::string> queue_id = QueueId(id);
    if (!queue_id) return std::nullopt;
    return fmt::format("{}{}", kCommandsPath, EncodePathSegment(*queue_id));
  }

  Verdict EnqueueOne(const EnqueueRequest& request, const EnrollmentId& target) {
    const std::optional<std::string> path = CommandsPath(target);
    if (!path) return {EnqueueOutcome::kRejected, std::string(kNoQueue), Next::kDone};
    HttpRequest http_request;
    http_request.method = "POST";
    http_request.path = *path;
    http_request.body = request.command;
    http_request.content_type = "application/xml";
    http_request.timeout = settings_.enqueue_timeout;
    const Result<HttpResponse> response = http_->Send(http_request);
    Verdict verdict =
        response ? JudgeResponse(*response, request.command_uuid) : JudgeError(response.error());
    if (verdict.next == Next::kDone) return verdict;
    return LookInQueue(http_request.path, request.command_uuid, std::move(verdict.detail));
  }

  Verdict LookInQueue(const std::string& path, const CommandUuid& command_uuid,
                      std::string detail) {
    HttpRequest view;
    view.method = "GET";
    view.path = path;
    view.timeout = settings_.enqueue_timeout;
    const Result<HttpResponse> response = http_->Send(view);
    if (response && response->status == 200 && ListsCommand(response->body, command_uuid)) {
      return {EnqueueOutcome::kQueued, {}, Next::kDone};
    }
    return {EnqueueOutcome::kUnknown, CleanDetail(detail + "; the queue does not show the command"),
            Next::kDone};
  }

  PushTargetResult PushOne(const EnrollmentId& target) {
    const std::optional<std::string> queue_id = QueueId(target);
    if (!queue_id) return {target, PushOutcome::kFailed, std::string(kNoQueue)};
    HttpRequest request;
    request.method = "POST";
    request.path = fmt::format("{}{}", kPushPath, EncodePathSegment(*queue_id));
    request.timeout = settings_.push_timeout;
    return JudgePush(target, http_->Send(request));
  }

  const MicroMdmSettings settings_;
  const std::unique_ptr<HttpClient> http_;
};

}  // namespace

std::unique_ptr<Upstream> MakeMicroMdm(MicroMdmSettings settings,
                                       std::unique_ptr<HttpClient> http) {
  return std::make_unique<MicroMdm>(std::move(settings), std::move(http));
}

}  // namespace director
