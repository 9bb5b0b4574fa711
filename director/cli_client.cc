#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "base/text.h"
#include "director/api_client.h"
#include "director/cli_output.h"
#include "director/cli_parts.h"
#include "director/files.h"
#include "mdm/profile.h"

namespace director {
namespace {

using Json = nlohmann::json;

std::string DevicePath(const std::string& device) {
  return "/devices/" + EncodePathSegment(device);
}

const std::vector<Column> kItemColumns = {{"ITEM", "payload_identifier"},
                                          {"WANTED", "presence"},
                                          {"STATE", "state"},
                                          {"SINCE", "state_since"},
                                          {"DUE", "due_at"}};

void PrintDevice(const Json& device) {
  for (const char* key :
       {"enrollment_id", "channel_type", "upstream", "status", "quarantine_reason", "serial_number",
        "device_name", "product_name", "os_version", "build_version", "epoch", "missing_step",
        "missing_since", "last_seen_at", "pushed_at", "due_at"}) {
    const std::string value = Cell(device.value(key, Json()));
    if (value != "-") fmt::print("{:<18} {}\n", key, value);
  }
  for (const Json& note : device.value("notes", Json::array()))
    fmt::print("{:<18} {}\n", "note", note.get<std::string>());
  if (const Json proposal = device.value("proposal", Json()); proposal.is_object()) {
    fmt::print("{:<18} {} by {}, {}: {}\n", "proposal", proposal.value("request_type", ""),
               proposal.value("source", ""), proposal.value("state", ""),
               proposal.value("explanation", ""));
  }
  fmt::print("\n");
  PrintTable(kItemColumns, device.value("items", Json::array()));
  for (const Json& item : device.value("items", Json::array())) {
    if (item.value("state", "") == "verified") continue;
    fmt::print("\n{}: {}\n", Cell(item.value("payload_identifier", Json())),
               item.value("reason", ""));
  }
}

void PrintExplanation(const Json& item) {
  fmt::print("{} on {}: {}\n\n{}\n\n", item.value("payload_identifier", ""),
             item.value("enrollment_id", ""), item.value("state", ""), item.value("reason", ""));
  for (const char* key :
       {"presence", "payload_uuid", "state_since", "due_at", "attempts", "last_error",
        "last_error_at", "acknowledged_at", "verified_at", "last_seen_at", "reported_at"}) {
    const Json value = item.value(key, Json());
    if (!value.is_null())
      fmt::print("{:<18} {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  for (const Json& command : item.value("commands", Json::array())) {
    fmt::print("{:<18} {} {} {} at {}\n", "command", command.value("request_type", ""),
               command.value("command_uuid", ""), command.value("state", ""),
               command.value("journaled_at", ""));
  }
  for (const Json& note : item.value("notes", Json::array()))
    fmt::print("{:<18} {}\n", "note", note.get<std::string>());
}

std::string StatesLine(const Json& states) {
  std::string line;
  for (const auto& [state, count] : states.items()) {
    if (count != 0) line += fmt::format("{}{} {}", line.empty() ? "" : ", ", state, count.dump());
  }
  return line.empty() ? "none" : line;
}

void PrintStatus(const Json& status) {
  fmt::print("at                 {}\n", status.value("at", ""));
  fmt::print("enrollments        {}\n", StatesLine(status.value("enrollments", Json::object())));
  fmt::print("half enrollments   {}\n",
             StatesLine(status.value("half_enrollments", Json::object())));
  fmt::print("items              {}\n", StatesLine(status.value("item_states", Json::object())));
  fmt::print("identities end     {}\n", StatesLine(status.value("identities", Json::object())));
  fmt::print("signing cert ends  {}\n",
             Cell(status.value("signing_certificate_expires_at", Json())));
  for (const Json& open : status.value("open_proposals", Json::array())) {
    fmt::print("open proposals     {} {}: {}\n", open.value("request_type", ""),
               open.value("state", ""), open.value("count", 0));
  }
  fmt::print("due now            {}\n", status.value("due", 0));
  fmt::print("dead letters       {}\n", status.value("dead_letters", 0));
  for (const Json& server : status.value("mdm_servers", Json::array())) {
    fmt::print("{:<18} {}\n", server.value("name", ""),
               server.value("reachable", false) ? "reachable"
                                                : "not reachable: " + server.value("problem", ""));
  }
  const Json oldest = status.value("oldest_waiting", Json());
  if (oldest.is_object()) {
    fmt::print("oldest waiting     {} on {}, {} since {}: {}\n",
               oldest.value("payload_identifier", ""), oldest.value("enrollment_id", ""),
               oldest.value("state", ""), oldest.value("state_since", ""),
               oldest.value("reason", ""));
  }
  fmt::print("\n");
  for (const Json& item : status.value("items", Json::array())) {
    fmt::print("{} ({}): {}\n", item.value("payload_identifier", ""), item.value("presence", ""),
               StatesLine(item.value("states", Json::object())));
  }
}

Status PrintStatusOnce(ApiClient& api, OutputFormat format) {
  const Result<Json> status = api.Get("/status");
  if (!status) return Fail(status.error());
  if (format == OutputFormat::kJson) {
    PrintJson(*status);
  } else {
    PrintStatus(*status);
  }
  std::fflush(stdout);
  return {};
}

std::string FilterQuery(const DeviceListOptions& options) {
  std::string query;
  const auto add = [&](const std::string& key, const std::string& value) {
    if (value.empty()) return;
    query += fmt::format("{}{}={}", query.empty() ? "?" : "&", key, EncodePathSegment(value));
  };
  add("status", options.status);
  add("item_state", options.item_state);
  add("payload_identifier", options.payload_identifier);
  add("half_enrolled", options.half_enrolled ? "true" : "");
  return query;
}

}  // namespace

Status PutProfiles(const ClientOptions& client, const std::vector<std::string>& files,
                   const std::string& source, OutputFormat format) {
  Json profiles = Json::array();
  for (const std::string& file : files) {
    const Result<std::string> bytes = ReadSmallFile(file, 2 * kProfileSizeMaxBytes);
    if (!bytes) return Fail(bytes.error());
    profiles.push_back({{"mobileconfig", EncodeBase64(*bytes)}});
  }
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> stored = api->Post("/profiles", {{"profiles", profiles}, {"source", source}});
  if (!stored) return Fail(stored.error());
  const Json rows = stored->value("profiles", Json::array());
  for (const Json& row : rows) {
    for (const Json& warning : row.value("warnings", Json::array())) {
      fmt::print(stderr, "{}: warning: {}: {}\n", row.value("payload_identifier", ""),
                 warning.value("field", ""), warning.value("message", ""));
    }
  }
  return PrintRows(rows,
                   {{"ITEM", "payload_identifier"},
                    {"REVISION", "payload_uuid"},
                    {"NAME", "display_name"},
                    {"NEW", "is_new"}},
                   format);
}

Status ListProfiles(const ClientOptions& client, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  return PrintRows(api->GetAll("/profiles", "profiles"),
                   {{"ITEM", "payload_identifier"},
                    {"REVISION", "payload_uuid"},
                    {"NAME", "display_name"},
                    {"BYTES", "size_bytes"},
                    {"SOURCE", "source"},
                    {"CREATED", "created_at"}},
                   format);
}

namespace {
const std::vector<Column> kAssignmentColumns = {
    {"ID", "assignment_id"},      {"ITEM", "payload_identifier"},
    {"WANTED", "presence"},       {"TARGET", "target_kind"},
    {"DEVICE", "target"},         {"CHANNEL", "channel"},
    {"REVISION", "payload_uuid"}, {"SOURCE", "source"}};
}  // namespace

Status AssignItem(const ClientOptions& client, const AssignOptions& options, OutputFormat format) {
  if (options.all == !options.devices.empty()) {
    return Fail(ErrorKind::kInvalid, "say either --all or --device");
  }
  Json body{{"payload_identifier", options.payload_identifier},
            {"presence", options.absent ? "absent" : "present"},
            {"channel", options.channel},
            {"adopt", options.adopt},
            {"during_setup", options.during_setup},
            {"at_enrollment_only", options.at_enrollment_only},
            {"source", options.source}};
  if (!options.payload_uuid.empty()) body["payload_uuid"] = options.payload_uuid;
  if (options.all) {
    body["target"] = "all";
  } else {
    body["devices"] = options.devices;
  }
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> stored = api->Post("/assignments", body);
  if (!stored) return Fail(stored.error());
  return PrintRows(stored->value("assignments", Json::array()), kAssignmentColumns, format);
}

Status ListAssignments(const ClientOptions& client, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> found = api->Get("/assignments");
  if (!found) return Fail(found.error());
  return PrintRows(found->value("assignments", Json::array()), kAssignmentColumns, format);
}

Status UnassignItem(const ClientOptions& client, const AssignOptions& options) {
  if (options.all == !options.devices.empty()) {
    return Fail(ErrorKind::kInvalid, "say either --all or --device");
  }
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> found =
      api->Get("/assignments?payload_identifier=" + EncodePathSegment(options.payload_identifier));
  if (!found) return Fail(found.error());
  int withdrawn = 0;
  for (const Json& assignment : found->value("assignments", Json::array())) {
    const std::string target =
        assignment["target"].is_string() ? assignment["target"].get<std::string>() : "";
    const bool wanted = assignment.value("channel", "") == options.channel &&
                        (options.all ? target.empty()
                                     : std::any_of(options.devices.begin(), options.devices.end(),
                                                   [&](const std::string& device) {
                                                     return EqualsIgnoreCaseAscii(device, target);
                                                   }));
    if (!wanted) continue;
    const Result<Json> done =
        api->Delete(fmt::format("/assignments/{}?source={}", assignment["assignment_id"].dump(),
                                EncodePathSegment(options.source)));
    if (!done) return Fail(done.error());
    ++withdrawn;
  }
  if (withdrawn == 0) return Fail(ErrorKind::kNotFound, "no such assignment");
  fmt::print("withdrawn: {}\n", withdrawn);
  return {};
}

Status ListDevices(const ClientOptions& client, const DeviceListOptions& options,
                   OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  return PrintRows(api->GetAll("/devices" + FilterQuery(options), "devices"),
                   {{"ENROLLMENT", "enrollment_id"},
                    {"SERIAL", "serial_number"},
                    {"NAME", "device_name"},
                    {"OS", "os_version"},
                    {"STATUS", "status"},
                    {"MISSING", "missing_step"},
                    {"LAST SEEN", "last_seen_at"},
                    {"ITEMS", "item_counts"}},
                   format);
}

Status ShowDevice(const ClientOptions& client, const std::string& device, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> found = api->Get(DevicePath(device));
  if (!found) return Fail(found.error());
  if (format == OutputFormat::kJson) {
    PrintJson(*found);
  } else {
    PrintDevice(*found);
  }
  return {};
}

Status ShowInventory(const ClientOptions& client, const std::string& device,
                     const std::string& kind, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const std::string filter = kind.empty() ? "" : "?kind=" + EncodePathSegment(kind);
  const Result<Json> found = api->Get(DevicePath(device) + "/inventory" + filter);
  if (!found) return Fail(found.error());
  Json answers = found->value("inventory", Json::array());
  // The answers themselves are too long for a table, unless somebody asks for one kind.
  if (format == OutputFormat::kJson || !kind.empty()) {
    PrintJson(answers);
    return {};
  }
  for (Json& answer : answers) answer["keys"] = answer["answer"].size();
  return PrintRows(answers, {{"KIND", "kind"}, {"REPORTED AT", "reported_at"}, {"KEYS", "keys"}},
                   format);
}

Status ExplainItem(const ClientOptions& client, const std::string& device,
                   const std::string& payload_identifier, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> item =
      api->Get(DevicePath(device) + "/items/" + EncodePathSegment(payload_identifier));
  if (!item) return Fail(item.error());
  if (format == OutputFormat::kJson) {
    PrintJson(*item);
  } else {
    PrintExplanation(*item);
  }
  return {};
}

Status ActOnDevice(const ClientOptions& client, const std::string& device,
                   const std::string& action) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> done = api->Post(DevicePath(device) + "/" + action, Json::object());
  if (!done) return Fail(done.error());
  fmt::print("{}: done\n", action);
  return {};
}

Status RetryItem(const ClientOptions& client, const std::string& device,
                 const std::string& payload_identifier) {
  return ActOnDevice(client, device, "items/" + EncodePathSegment(payload_identifier) + "/retry");
}

Status ShowStatus(const ClientOptions& client, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  return PrintStatusOnce(*api, format);
}

Status WatchStatus(const ClientOptions& client, OutputFormat format) {
  BlockStopSignals();
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  do {
    if (format == OutputFormat::kTable) fmt::print("\x1b[H\x1b[2J");
    if (Status shown = PrintStatusOnce(*api, format); !shown) return shown;
  } while (!WaitForStopSignal(std::chrono::seconds(2)));
  return {};
}

Status ShowEvents(const ClientOptions& client, const std::string& device, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const std::string filter = device.empty() ? "" : "&device=" + EncodePathSegment(device);
  const Result<Json> page = api->Get("/events?limit=100" + filter);
  if (!page) return Fail(page.error());
  const Json events = page->value("events", Json::array());
  if (format == OutputFormat::kJson) {
    PrintJson(events);
    return {};
  }
  for (const Json& event : events) {
    fmt::print("{}  {}  {}  {}\n", event.value("at", ""), event.value("kind", ""),
               Cell(event["enrollment_id"]), Printable(event.value("text", ""), 400));
  }
  return {};
}

}  // namespace director
