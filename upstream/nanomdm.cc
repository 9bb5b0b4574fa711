#include "upstream/nanomdm.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "upstream/answer.h"
#include "upstream/queue.h"

namespace director {
namespace {

using Json = nlohmann::json;

constexpr Duration kPushCertificateTimeout = std::chrono::seconds(10);

constexpr std::size_t kTargetsMax = 50;
constexpr std::size_t kQueuePagesMax = 10;
constexpr QueueKeys kQueueKeys{"command_uuid", "request_type", "command"};
constexpr std::string_view kNotAddressable = "this enrollment id cannot be part of a URL";

// Keys of an answer.
constexpr const char* kStatus = "status";
constexpr const char* kNoPush = "no_push";
constexpr const char* kPushError = "push_error";
constexpr const char* kPushResult = "push_result";
constexpr const char* kCommandError = "command_error";
constexpr const char* kCommandUuid = "command_uuid";
constexpr const char* kRequestType = "request_type";

struct TargetStatus {
  std::optional<std::string> push_error;
  std::optional<std::string> push_result;
  std::optional<std::string> command_error;
};

/// NanoMDM's answer to enqueue and push; absent keys are absent here.
struct Answer {
  std::map<std::string, TargetStatus> status;
  std::optional<std::string> push_error;
  std::optional<std::string> command_error;
  std::optional<std::string> command_uuid;

  bool HasError() const {
    return push_error || command_error ||
           std::any_of(status.begin(), status.end(), [](const auto& entry) {
             return entry.second.push_error || entry.second.command_error;
           });
  }
};

/// The presence of a key is the contract, so a value of another type still counts.
std::optional<std::string> TextAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_string()) return "(not a text)";
  return found->get<std::string>();
}

std::map<std::string, TargetStatus> DecodeStatus(const Json& object) {
  std::map<std::string, TargetStatus> status;
  const auto found = object.find(kStatus);
  if (found == object.end() || !found->is_object()) return status;
  for (const auto& [id, entry] : found->items()) {
    if (!entry.is_object()) continue;
    status[id] = {TextAt(entry, kPushError), TextAt(entry, kPushResult),
                  TextAt(entry, kCommandError)};
  }
  return status;
}

/// Returns nothing when the body is not an answer of NanoMDM: a proxy's page or JSON of its own.
std::optional<Answer> DecodeAnswer(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto known = {kStatus, kNoPush, kPushError, kCommandError, kCommandUuid, kRequestType};
  const bool is_nanomdm =
      std::any_of(known.begin(), known.end(), [&](const char* key) { return json.contains(key); });
  if (!is_nanomdm) return std::nullopt;
  return Answer{DecodeStatus(json), TextAt(json, kPushError), TextAt(json, kCommandError),
                TextAt(json, kCommandUuid)};
}

enum class Next { kDone, kLook };

/// What one answer says about the targets: `outcome` holds for all that are not in `failed`.
struct Verdict {
  EnqueueOutcome outcome = EnqueueOutcome::kUnknown;
  std::string detail;
  std::map<std::string, std::string> failed;  // id to text: surely not stored for these
  Next next = Next::kDone;
};

Verdict Look(std::string detail) {
  return {EnqueueOutcome::kUnknown, std::move(detail), {}, Next::kLook};
}

Verdict JudgeCommandError(const std::string& text) {
  if (SaysBadCommand(text)) return {EnqueueOutcome::kRejected, CleanDetail(text), {}, Next::kDone};
  if (SaysDuplicate(text)) return {EnqueueOutcome::kQueued, {}, {}, Next::kDone};
  return {EnqueueOutcome::kUnavailable, CleanDetail(text), {}, Next::kDone};
}

Verdict JudgeAnswer(const Answer& answer, const std::vector<EnrollmentId>& targets) {
  if (answer.command_error) return JudgeCommandError(*answer.command_error);
  Verdict verdict{EnqueueOutcome::kQueued, {}, {}, Next::kDone};
  for (const auto& [id, status] : answer.status) {
    if (!status.command_error) continue;
    if (std::find(targets.begin(), targets.end(), EnrollmentId(id)) != targets.end()) {
      verdict.failed[id] = CleanDetail(*status.command_error);
      continue;
    }
    // Asking again would only bring "duplicate", which says nothing about the queues.
    verdict.outcome = EnqueueOutcome::kUnknown;
    verdict.detail = CleanDetail(*status.command_error);
  }
  return verdict;
}

/// For statuses that no NanoMDM sends together with its JSON, or that came without it.
Verdict JudgeStatus(int status, std::size_t target_count) {
  std::string detail = StatusDetail(status);
  switch (status) {
    case 413:
    case 414:
    case 431:
      if (target_count == 1) return {EnqueueOutcome::kRejected, detail, {}, Next::kDone};
      return {EnqueueOutcome::kUnavailable, detail, {}, Next::kDone};
    case 408:
    case 425:
    case 429:
      return {EnqueueOutcome::kUnavailable, detail, {}, Next::kDone};
    default:
      break;
  }
  if (status >= 300 && status < 500) return {EnqueueOutcome::kRejected, detail, {}, Next::kDone};
  return Look(std::move(detail));
}

/// NanoMDM itself answers 200, 207 and 500, and 400 with text up to v0.7.
bool MayCarryAnswer(int status) { return (status >= 200 && status < 300) || status == 500; }

Verdict JudgeResponse(const HttpResponse& response, const CommandUuid& command_uuid,
                      const std::vector<EnrollmentId>& targets) {
  const std::optional<Answer> answer =
      MayCarryAnswer(response.status) ? DecodeAnswer(response.body) : std::nullopt;
  if (!answer) return JudgeStatus(response.status, targets.size());
  const bool is_other_command =
      answer->command_uuid && *answer->command_uuid != command_uuid.value();
  // NanoMDM says 500 only with a reason; without one it is somebody else's JSON.
  if (is_other_command || (response.status == 500 && !answer->HasError())) {
    return Look("the answer does not belong to this command");
  }
  return JudgeAnswer(*answer, targets);
}

Verdict JudgeFirstError(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kUnavailable:
      return {EnqueueOutcome::kUnavailable, error.message, {}, Next::kDone};
    case ErrorKind::kInvalid:
      return {EnqueueOutcome::kRejected, error.message, {}, Next::kDone};
    case ErrorKind::kUnauthorized:
    case ErrorKind::kNotFound:
    case ErrorKind::kConflict:
    case ErrorKind::kUnknownOutcome:
    case ErrorKind::kRejected:
    case ErrorKind::kCorrupt:
      return Look(error.message);
  }
  return Look(error.message);
}

/// Merges the answer to the repeated request. It can prove that the command is stored; that it was
/// not stored this time proves nothing about the first time.
Verdict Settle(const Verdict& first, const Verdict& second) {
  if (second.outcome == EnqueueOutcome::kQueued && second.failed.empty()) return second;
  std::string detail = fmt::format("{}; asking again: {}", first.detail,
                                   second.failed.empty() ? second.detail : "partly refused");
  return {EnqueueOutcome::kUnknown, CleanDetail(detail), {}, Next::kDone};
}

std::string JoinEncoded(const std::vector<EnrollmentId>& targets) {
  std::string path;
  for (const EnrollmentId& target : targets) {
    if (!path.empty()) path.push_back(',');  // literal: it separates ids
    path += EncodePathSegment(target.value());
  }
  return path;
}

/// Drops what must not reach the server: an id named twice corrupts a queue of the key-value
/// stores.
std::vector<EnrollmentId> Sendable(const std::vector<EnrollmentId>& targets) {
  std::vector<EnrollmentId> sendable;
  for (const EnrollmentId& target : targets) {
    const bool is_repeated = std::find(sendable.begin(), sendable.end(), target) != sendable.end();
    if (!is_repeated && IsAddressable(target)) sendable.push_back(target);
  }
  return sendable;
}

EnqueueTargetResult ResultFor(const EnrollmentId& target, const Verdict& verdict) {
  if (!IsAddressable(target)) {
    return {target, EnqueueOutcome::kRejected, std::string(kNotAddressable)};
  }
  const auto failed = verdict.failed.find(target.value());
  if (failed != verdict.failed.end()) {
    return {target, EnqueueOutcome::kUnavailable, failed->second};
  }
  return {target, verdict.outcome, verdict.detail};
}

PushTargetResult PushFailure(const EnrollmentId& target, const std::string& text) {
  const PushOutcome outcome =
      SaysUnregistered(text) ? PushOutcome::kUnregistered : PushOutcome::kFailed;
  return {target, outcome, CleanDetail(text)};
}

PushTargetResult PushResultFor(const EnrollmentId& target, const HttpResponse& response,
                               const Answer& answer) {
  const auto found = answer.status.find(target.value());
  if (found != answer.status.end()) {
    const TargetStatus& status = found->second;
    if (status.push_error) return PushFailure(target, *status.push_error);
    if (status.push_result) return {target, PushOutcome::kSent, {}};
  }
  if (answer.push_error) return {target, PushOutcome::kFailed, CleanDetail(*answer.push_error)};
  if (response.status == 500) return {target, PushOutcome::kFailed, "no result for this id"};
  return {target, PushOutcome::kSent, {}};
}

class NanoMdm final : public Upstream {
 public:
  NanoMdm(NanoMdmSettings settings, std::unique_ptr<HttpClient> http)
      : settings_(std::move(settings)), http_(std::move(http)) {}

  const UpstreamName& name() const override { return settings_.name; }

  UpstreamLimits limits() const override {
    return {.targets_max = std::clamp<std::size_t>(settings_.targets_max, 1, kTargetsMax)};
  }

  std::vector<EnqueueTargetResult> Enqueue(const EnqueueRequest& request) override {
    const std::vector<EnrollmentId> sendable = Sendable(request.targets);
    const Verdict verdict = sendable.empty() ? Verdict{} : Deliver(request, sendable);
    std::vector<EnqueueTargetResult> results;
    for (const EnrollmentId& target : request.targets) {
      results.push_back(ResultFor(target, verdict));
    }
    return results;
  }

  std::vector<PushTargetResult> Push(const std::vector<EnrollmentId>& targets) override {
    std::map<EnrollmentId, PushTargetResult> by_target;
    PushSome(Sendable(targets), by_target);
    std::vector<PushTargetResult> results;
    for (const EnrollmentId& target : targets) {
      const auto found = by_target.find(target);
      results.push_back(found != by_target.end() ? found->second
                                                 : PushTargetResult{target, PushOutcome::kFailed,
                                                                    std::string(kNotAddressable)});
    }
    return results;
  }

  Result<std::vector<QueuedCommand>> ReadQueue(const EnrollmentId& id) override {
    if (!IsAddressable(id)) return Fail(ErrorKind::kInvalid, std::string(kNotAddressable));
    std::vector<QueuedCommand> queue;
    std::string query;
    for (std::size_t page = 0; page < kQueuePagesMax; ++page) {
      const Result<std::string> cursor = ReadPage(QueuePath(id) + query, queue);
      if (!cursor) return Fail(cursor.error());
      if (cursor->empty()) return queue;
      query = "?cursor=" + EncodePathSegment(*cursor);
    }
    return Fail(ErrorKind::kRejected,
                fmt::format("more than {} commands wait: the queue is not read", queue.size()));
  }

  Status ClearQueue(const EnrollmentId& id) override {
    if (!IsAddressable(id)) return Fail(ErrorKind::kInvalid, std::string(kNotAddressable));
    return ClearQueueAt(*http_, QueuePath(id), settings_.queue_timeout, id.value());
  }

  Result<std::string> Probe() override { return ProbeVersion(*http_); }

  Result<Timestamp> ReadPushCertificateEnd(const std::string& topic) override {
    HttpRequest request;
    request.method = "GET";
    request.path =
        fmt::format("{}/pushcert?topic={}", settings_.api_path, EncodePathSegment(topic));
    request.timeout = kPushCertificateTimeout;
    const Result<HttpResponse> response = http_->Send(request);
    if (!response) return Fail(ErrorKind::kUnavailable, response.error().message);
    if (response->status != 200) {
      return Fail(ErrorKind::kUnavailable, fmt::format("HTTP {}", response->status));
    }
    const Json answer = Json::parse(response->body, nullptr, /*allow_exceptions=*/false);
    const auto end = answer.is_object() ? answer.find("not_after") : answer.end();
    if (end == answer.end() || !end->is_string()) {
      return Fail(ErrorKind::kCorrupt, "the answer has no not_after");
    }
    Result<Timestamp> at = ParseTime(end->get_ref<const std::string&>());
    if (!at) return Fail(ErrorKind::kCorrupt, "not_after is no time");
    return at;
  }

 private:
  Verdict Deliver(const EnqueueRequest& request, const std::vector<EnrollmentId>& targets) {
    HttpRequest http_request;
    http_request.method = "PUT";
    http_request.path =
        fmt::format("{}/enqueue/{}?nopush=1", settings_.api_path, JoinEncoded(targets));
    http_request.body = request.command;
    http_request.content_type = "application/xml";
    http_request.timeout = settings_.enqueue_timeout;
    if (http_request.path.size() > kNanoMdmPathSizeMaxBytes && targets.size() > 1) {
      return {EnqueueOutcome::kUnavailable, "too long: too many ids for one URL", {}, Next::kDone};
    }
    // An empty body would turn the request into a push that answers 200.
    if (request.command.empty()) {
      return {EnqueueOutcome::kRejected, "the command is empty", {}, Next::kDone};
    }
    const Verdict first = Try(http_request, request.command_uuid, targets);
    if (first.next == Next::kDone) return first;
    return Settle(first, Try(http_request, request.command_uuid, targets));
  }

  Verdict Try(const HttpRequest& http_request, const CommandUuid& command_uuid,
              const std::vector<EnrollmentId>& targets) {
    const Result<HttpResponse> response = http_->Send(http_request);
    if (!response) return JudgeFirstError(response.error());
    return JudgeResponse(*response, command_uuid, targets);
  }

  /// Pushes to all, in halves when the path is too long: unlike a command a push may be split.
  void PushSome(const std::vector<EnrollmentId>& targets,
                std::map<EnrollmentId, PushTargetResult>& results) {
    if (targets.empty()) return;
    HttpRequest request;
    request.method = "GET";
    request.path = fmt::format("{}/push/{}", settings_.api_path, JoinEncoded(targets));
    request.timeout = settings_.push_timeout;
    if (request.path.size() > kNanoMdmPathSizeMaxBytes && targets.size() > 1) {
      const auto middle = targets.begin() + static_cast<std::ptrdiff_t>(targets.size() / 2);
      PushSome({targets.begin(), middle}, results);
      PushSome({middle, targets.end()}, results);
      return;
    }
    const Result<HttpResponse> response = http_->Send(request);
    const std::optional<Answer> answer =
        response && MayCarryAnswer(response->status) ? DecodeAnswer(response->body) : std::nullopt;
    const std::string failure =
        response ? StatusDetail(response->status) : response.error().message;
    for (const EnrollmentId& target : targets) {
      results[target] = answer ? PushResultFor(target, *response, *answer)
                               : PushTargetResult{target, PushOutcome::kFailed, failure};
    }
  }

  std::string QueuePath(const EnrollmentId& id) const {
    return fmt::format("{}/queue/{}", settings_.api_path, EncodePathSegment(id.value()));
  }

  /// Appends a page; returns the cursor of the next one, empty at the end.
  Result<std::string> ReadPage(const std::string& path, std::vector<QueuedCommand>& queue) {
    Result<QueuePage> page = ReadQueueAt(*http_, path, settings_.queue_timeout, kQueueKeys);
    if (!page) return Fail(page.error());
    std::move(page->commands.begin(), page->commands.end(), std::back_inserter(queue));
    if (Status fits = CheckQueueSize(queue); !fits) return Fail(fits.error());
    return std::move(page->next_cursor);
  }

  const NanoMdmSettings settings_;
  const std::unique_ptr<HttpClient> http_;
};

}  // namespace

std::unique_ptr<Upstream> MakeNanoMdm(NanoMdmSettings settings, std::unique_ptr<HttpClient> http) {
  return std::make_unique<NanoMdm>(std::move(settings), std::move(http));
}

}  // namespace director
