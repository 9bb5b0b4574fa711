#include "upstream/queue.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/text.h"
#include "mdm/command.h"
#include "upstream/answer.h"

namespace director {
namespace {

using Json = nlohmann::json;

constexpr const char* kCommands = "commands";
constexpr const char* kNextCursor = "next_cursor";
constexpr std::size_t kCursorSizeMaxBytes = 1024;

Error NoQueue() { return MakeError(ErrorKind::kCorrupt, "the answer of the server is no queue"); }

/// The string at `key`; empty when there is none.
std::string WordAt(const Json& object, std::string_view key) {
  const auto found = key.empty() ? object.end() : object.find(std::string(key));
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<QueuedCommand> DecodeQueued(const Json& json, const QueueKeys& keys) {
  if (!json.is_object()) return Fail(NoQueue());
  const std::string command_uuid = WordAt(json, keys.command_uuid);
  Result<std::string> command = DecodeBase64(WordAt(json, keys.command));
  if (command_uuid.empty() || !command || command->empty()) return Fail(NoQueue());
  QueuedCommand queued{CommandUuid(command_uuid), WordAt(json, keys.request_type),
                       std::move(*command)};
  if (!queued.request_type.empty()) return queued;
  // Whoever put it there, it may be anything.
  const Result<ReceivedCommand> received = DecodeCommand(queued.command);
  if (received) queued.request_type = received->request_type;
  return queued;
}

/// MicroMDM says `{}` when nothing waits.
Result<QueuePage> DecodeQueuePage(const std::string& body, const QueueKeys& keys) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return Fail(NoQueue());
  QueuePage page;
  const auto commands = json.find(kCommands);
  if (commands == json.end() && !json.empty()) return Fail(NoQueue());
  if (commands == json.end() || commands->is_null()) return page;
  if (!commands->is_array()) return Fail(NoQueue());
  for (const Json& entry : *commands) {
    Result<QueuedCommand> queued = DecodeQueued(entry, keys);
    if (!queued) return Fail(queued.error());
    page.commands.push_back(std::move(*queued));
  }
  page.next_cursor = WordAt(json, kNextCursor);
  if (page.next_cursor.size() > kCursorSizeMaxBytes) return Fail(NoQueue());
  return page;
}

Error FromStatus(int status) {
  switch (status) {
    case 404:
    case 405:
    case 501:
      return MakeError(ErrorKind::kNotFound,
                       fmt::format("this MDM server has no API for its queues (HTTP {})", status));
    case 408:
    case 425:
    case 429:
      return MakeError(ErrorKind::kUnavailable, StatusDetail(status));
    default:
      break;
  }
  const bool is_refused = status >= 300 && status < 500;
  return MakeError(is_refused ? ErrorKind::kRejected : ErrorKind::kUnavailable,
                   StatusDetail(status));
}

/// What an answer to DELETE says went wrong: NanoMDM for each id or for all, MicroMDM for all.
std::optional<std::string> FailureIn(const Json& json, const std::string& id) {
  if (!json.is_object()) return std::nullopt;
  const auto all = json.find("error");
  if (all != json.end() && !all->is_null()) return WordAt(json, "error");
  const auto status = json.find("status");
  if (status == json.end() || !status->is_object()) return std::nullopt;
  const auto one = status->find(id);
  if (one == status->end() || one->is_null()) return std::nullopt;
  return WordAt(*status, id);
}

Status JudgeCleared(const HttpResponse& response, const std::string& id) {
  const Json json = Json::parse(response.body, nullptr, false);
  const bool may_explain =
      response.status == 200 || response.status == 207 || response.status == 500;
  if (const auto failure = may_explain ? FailureIn(json, id) : std::nullopt) {
    return Fail(ErrorKind::kUnavailable,
                failure->empty() ? "the server could not clear it" : CleanDetail(*failure));
  }
  const bool is_plain_yes = response.status == 200 && (response.body.empty() || json.is_object());
  if (response.status == 204 || is_plain_yes) return {};
  const bool says_nothing = response.status < 300 || response.status >= 500;
  if (says_nothing && response.status != 501) {
    return Fail(ErrorKind::kUnknownOutcome, StatusDetail(response.status));
  }
  return Fail(FromStatus(response.status));
}

}  // namespace

Result<QueuePage> ReadQueueAt(HttpClient& http, const std::string& path, Duration timeout,
                              const QueueKeys& keys) {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  request.timeout = timeout;
  const Result<HttpResponse> response = http.Send(request);
  if (!response) {
    const bool is_ours = response.error().kind == ErrorKind::kInvalid;
    return Fail(is_ours ? ErrorKind::kInvalid : ErrorKind::kUnavailable, response.error().message);
  }
  if (response->status != 200) return Fail(FromStatus(response->status));
  return DecodeQueuePage(response->body, keys);
}

Status ClearQueueAt(HttpClient& http, const std::string& path, Duration timeout,
                    const std::string& id) {
  HttpRequest request;
  request.method = "DELETE";
  request.path = path;
  request.timeout = timeout;
  const Result<HttpResponse> response = http.Send(request);
  if (!response) return Fail(response.error().kind, response.error().message);
  return JudgeCleared(*response, id);
}

Status CheckQueueSize(const std::vector<QueuedCommand>& queue) {
  std::size_t size_bytes = 0;
  for (const QueuedCommand& queued : queue) size_bytes += queued.command.size();
  if (queue.size() <= kQueuedCommandsMax && size_bytes <= kQueuedCommandsSizeMaxBytes) return {};
  return Fail(
      ErrorKind::kRejected,
      fmt::format("{} commands of {} bytes wait: the queue is not read", queue.size(), size_bytes));
}

}  // namespace director
