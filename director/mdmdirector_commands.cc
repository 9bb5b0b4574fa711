// The journal of commands in the shape of MDMDirector's table of commands.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/text.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_support.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kCommandsPerPart = 500;
/// How the journal words a CommandFormatError.
constexpr std::string_view kFormatErrorMark = "(CommandFormatError)";

/// The device's last answer. A refusal by the MDM server is final, too, and shown as an error.
std::string_view StatusOf(const Intent& intent) {
  switch (intent.state) {
    case IntentState::kAcknowledged:
    case IntentState::kDenied:
      return "Acknowledged";
    case IntentState::kNotNow:
      return "NotNow";
    case IntentState::kFailed:
      return intent.error.find(kFormatErrorMark) == std::string::npos ? "Error"
                                                                      : "CommandFormatError";
    case IntentState::kRefused:
      return "Error";
    case IntentState::kJournaled:
    case IntentState::kSent:
    case IntentState::kUnknown:
    case IntentState::kNotSent:
    case IntentState::kLost:
      return "";
  }
  return "";
}

Timestamp UpdatedAt(const IntentRow& row) {
  const Timestamp at = row.intent.journaled_at;
  return std::max({at, row.intent.answered_at.value_or(at), row.intent.not_now_at.value_or(at),
                   row.closed_at.value_or(at)});
}

Json CommandJson(const IntentRow& row) {
  const Intent& intent = row.intent;
  Json json = {{"UpdatedAt", FormatTime(UpdatedAt(row))},
               {"CommandUUID", intent.command_uuid.value()},
               {"Status", StatusOf(intent)},
               {"udid", row.udid.empty() ? row.enrollment_id.value() : row.udid},
               {"request_type", intent.request_type}};
  const std::string& identifier = intent.payload_identifier.value();
  if (!identifier.empty()) json["identifier"] = identifier;
  json["ErrorString"] =
      intent.error.empty() && intent.state == IntentState::kLost ? row.closed_reason : intent.error;
  json["AttemptCount"] = 0;
  return json;
}

/// The list as it is sent, a page of commands in each part.
class CommandList {
 public:
  CommandList(Store& store, IntentFilter filter) : store_(store), filter_(filter) {}

  Result<std::string> Next() {
    if (is_done_) return std::string();
    std::vector<IntentRow> rows;
    const Status read = store_.Read([&](StoreReader& reader) -> Status {
      auto page = reader.ListIntents(filter_, after_, kCommandsPerPart);
      if (!page) return Fail(page.error());
      rows = std::move(*page);
      return {};
    });
    if (!read) return Fail(read.error());
    return Part(rows);
  }

 private:
  std::string Part(const std::vector<IntentRow>& rows) {
    std::string part;
    for (const IntentRow& row : rows) {
      part += (is_first_ ? "[\n    " : ",\n    ") + Indented(Render(CommandJson(row)));
      is_first_ = false;
    }
    if (!rows.empty()) after_ = {rows.back().enrollment_id, rows.back().intent.command_uuid};
    is_done_ = rows.size() < kCommandsPerPart;
    if (is_done_) part += is_first_ ? "[]" : "\n]";
    return part;
  }

  Store& store_;
  const IntentFilter filter_;
  IntentKey after_;
  bool is_first_ = true;
  bool is_done_ = false;
};

HttpServerResponse SendCommands(Store& store, IntentFilter filter) {
  return AnswerInParts(
      [list = std::make_shared<CommandList>(store, filter)] { return list->Next(); });
}

}  // namespace

HttpServerResponse Api::ListCommands(const HttpServerRequest&) {
  return SendCommands(deps_.store, IntentFilter::kAll);
}

HttpServerResponse Api::ListPendingCommands(const HttpServerRequest&) {
  return SendCommands(deps_.store, IntentFilter::kOpen);
}

HttpServerResponse Api::ListFailedCommands(const HttpServerRequest&) {
  return SendCommands(deps_.store, IntentFilter::kFailed);
}

HttpServerResponse Api::RefuseDeletion(const HttpServerRequest&) {
  return {410,
          kText,
          "GET changes nothing here, and what was sent has to be known until it is answered: "
          "POST /device/command/clear_queue empties the queue of a device\n",
          {}};
}

}  // namespace director::mdmdirector
